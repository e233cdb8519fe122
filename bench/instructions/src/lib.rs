//! The program's own encoder, without the rest of the program.

#[path = "../../../src/bzip2/mod.rs"]
pub mod bzip2;
