//! What is told while it runs: logs and progress. Never an event, a token, a password or a key.

pub mod logs;
pub mod output;
pub mod progress;
