//! The nouns of `docs/FORMAT.md` that more than one side of the program reads or writes.

pub mod backup_format;
pub mod compression;
pub mod database_properties;
pub mod dump_commands;
pub mod dump_lexer;
pub mod dump_statement;
mod hex;
pub mod inventory;
mod json;
pub mod names;
pub mod object_names;
pub mod order;
pub mod parts;
mod sha256;
pub mod table_name;
pub mod unique_names;

pub use hex::{hex, unhex, unhex_all};
pub use json::ToJson;
pub use sha256::{digest, sha256};
