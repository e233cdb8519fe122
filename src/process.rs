//! Child processes: each in a process group of its own that ends with it, heard to its end, and gone when we are.

pub mod accounts;
pub mod client_tools;
pub mod confinement;
pub mod group;
pub mod memory_file;
pub mod output;
pub mod parent_death;
pub mod reader;
pub mod writer;
