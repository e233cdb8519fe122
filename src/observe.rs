//! What is told while it runs (logs, progress, the answer), and the memory that there is. No event, token, password or key is told.

pub mod logs;
pub(crate) mod memory;
pub mod output;
pub mod progress;
