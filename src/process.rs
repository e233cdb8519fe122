//! Child processes: each in a process group of its own that ends with it, heard to its end, and gone when we are.

pub(crate) mod accounts;
pub mod client_tools;
pub(crate) mod confinement;
pub(crate) mod group;
pub(crate) mod memory_file;
pub(crate) mod output;
pub(crate) mod parent_death;
pub(crate) mod reader;
pub(crate) mod short_run;
pub(crate) mod writer;
