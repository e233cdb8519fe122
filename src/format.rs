//! The nouns of `docs/FORMAT.md` that more than one side of the program reads or writes.

pub mod backup_format;
pub mod compression;
pub(crate) mod copy_text;
pub mod database_properties;
pub(crate) mod dump_commands;
pub mod dump_lexer;
pub(crate) mod dump_statement;
mod hex;
pub mod inventory;
mod json;
pub mod names;
pub mod object_names;
pub mod order;
pub mod parts;
pub mod row_digest;
mod sha256;
pub(crate) mod sql;
pub mod table_name;
pub(crate) mod unique_names;

pub(crate) use hex::unhex_any_case;
pub use hex::{hex, unhex, unhex_all};
pub use json::ToJson;
pub(crate) use sha256::digest;
pub use sha256::{Sha256, sha256};
