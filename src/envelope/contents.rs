//! The inventory object: what is in a dump, enciphered like it, since names of tables are data.

use crate::error::{Code, Error, Result};
use crate::format::order::SelectionRecord;
use crate::pipeline::Table;
use serde::{Deserialize, Serialize};

/// Of the whole dump; what [`crate::pipeline::Counted`] saw pass, and what the server said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// `pgseal/1 inventory`.
    pub format: String,
    pub database: String,
    /// As dialled; absent before 0.2, like the three behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<SelectionRecord>,
    /// Whether that is less than the whole database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<bool>,
    pub server_version: String,
    pub pg_dump_version: String,
    pub plain_bytes: u64,
    /// Hexadecimal.
    pub plain_sha256: String,
    pub rows: u64,
    pub large_objects: u64,
    pub tables: Vec<Table>,
    pub extensions: Vec<Extension>,
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    pub name: String,
    pub version: String,
}

impl Contents {
    pub const FORMAT: &'static str = "pgseal/1 inventory";

    pub fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| Error::new(Code::Bug, format!("the inventory is no JSON: {error}")))
    }

    pub fn parse(json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json).map_err(|error| Error::new(Code::Tampered, format!("the inventory cannot be read: {error}")))
    }
}
