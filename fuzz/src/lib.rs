//! How the targets cut their input, and an S3 to answer as the input says.

#[path = "../../crates/bzip2/fuzz/src/lib.rs"]
mod input;
pub mod server;

pub use input::Input;
