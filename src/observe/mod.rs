//! What is told while it runs, logs and progress, and what the process may take. Told is never an event, a token, a password or a key.

pub mod logs;
pub mod memory;
pub mod progress;
