//! The inventory object: what is in a dump, encrypted like it, since names of tables are data.

use crate::error::{Code, Error, Result};
use crate::format::Sha256;
use crate::format::database_properties::DatabaseProperties;
use crate::format::order::SelectionRecord;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A table whose rows are in the dump.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRows {
    /// `schema.table`, as [`TableName`](super::table_name::TableName) shows it.
    pub name: String,
    pub rows: u64,
    /// Of its rows in COPY's text format, line ends included.
    pub bytes: u64,
    /// Where its section begins in the plain dump: the `COPY` statement, its rows and the mark behind them. Absent in backups
    /// by earlier releases, like the three behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Of that section.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Of its rows in any order: 32 hexadecimal digits, keyed from the data key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The same, keyed from the fingerprints of the recipients: to be compared between nights that have the same ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_hint: Option<String>,
}

/// Where reading may begin within the dump: the first block of bzip2, or frame of zstd, that begins in a part of the upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartIndexEntry {
    /// Of the upload, from 1 on.
    pub part: u32,
    /// Of the block in the plain dump.
    pub plain_offset: u64,
    /// Of the block in the compressed dump.
    pub bit_offset: u64,
    /// The 16 bytes of cipher text before the part: the vector that its first block was encrypted with, in hexadecimal.
    pub vector: String,
}

/// Of the whole dump; what the row counter saw pass, and what the server said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
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
    pub plain_sha256: Sha256,
    pub rows: u64,
    pub large_objects: u64,
    pub tables: Vec<TableRows>,
    pub extensions: Vec<Extension>,
    pub warnings: Vec<String>,
    /// Plain bytes of the objects by their role, `dump` and `globals`; empty in backups by earlier releases.
    #[serde(default)]
    pub plain_lengths: BTreeMap<String, u64>,
    /// The sorted fingerprints, a line each without an end, of whom the tables' `change_hint` is keyed from: their SHA-256. Later
    /// manifests may have other recipients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint_recipients: Option<Sha256>,
    /// Of the dump's parts, those in which a block begins; empty where there is no index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub part_index: Vec<PartIndexEntry>,
    #[serde(flatten)]
    pub properties: DatabaseProperties,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    pub name: String,
    pub version: String,
    /// That it made, and that no dump makes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schemas: Vec<String>,
    /// Tables, views and sequences that it made, by schema and name: of some a dump holds the rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relations: Vec<[String; 2]>,
    /// What else it made that a dump may name: a kind (`function`, `type`, `language`, `wrapper`, `access method`, `collation`,
    /// `operator`, `operator class`, `operator family`, `text search configuration`, `… dictionary`, `… parser`,
    /// `… template`), the schema where there is one, and the name; of a function its arguments, if it has any, and of a class
    /// or family of operators its access method. Of types that are not its own: a `cast`, with source and target, and a
    /// `default operator class` for `btree` or `hash`, with its type and access method.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<Vec<String>>,
}

impl Inventory {
    pub const FORMAT: &'static str = "pgseal/1 inventory";

    /// A dump of chosen tables or schemas, which makes not every schema that it needs.
    pub(crate) fn is_of_chosen(&self) -> bool {
        let is_chosen = |selection: &SelectionRecord| !selection.tables.is_empty() || !selection.schemas.is_empty();
        self.selection.as_ref().is_some_and(is_chosen)
    }

    pub fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| Error::new(Code::Bug, format!("the inventory is no JSON: {error}")))
    }

    pub fn parse(json: &[u8]) -> Result<Self> {
        let bad = |why: String| Error::new(Code::Tampered, format!("the inventory cannot be read: {why}"));
        if holds_zero_byte(json) {
            return Err(bad(
                "a text in it holds a zero byte, which no PostgreSQL can have written".to_owned()
            ));
        }
        serde_json::from_slice(json).map_err(|error| bad(error.to_string()))
    }
}

/// Whether `\u0000` stands in a text of this JSON; behind a backslash it would be those six letters.
fn holds_zero_byte(json: &[u8]) -> bool {
    memchr::memmem::find_iter(json, "\\u0000").any(|at| {
        let before = json[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        before % 2 == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As release 0.1 wrote it.
    const EARLIER: &str = r#"{"format":"pgseal/1 inventory","database":"app","server_version":"15.18","pg_dump_version":"15.18","plain_bytes":1,
        "plain_sha256":"0000000000000000000000000000000000000000000000000000000000000000","rows":0,"large_objects":0,"tables":[],"extensions":[],"warnings":[]}"#;

    #[test]
    fn an_inventory_of_an_earlier_release_is_read() {
        let contents = Inventory::parse(EARLIER.as_bytes()).unwrap();
        assert_eq!(contents.properties, DatabaseProperties::default());
        assert!(contents.plain_lengths.is_empty() && !contents.properties.has_settings());
    }

    /// A later release may tell more.
    #[test]
    fn an_inventory_with_unknown_fields_is_read() {
        let later = EARLIER.replace(r#""rows":0"#, r#""rows":0,"of_a_later_release":[{"name":"x"}]"#);
        assert_eq!(
            Inventory::parse(later.as_bytes()).unwrap(),
            Inventory::parse(EARLIER.as_bytes()).unwrap()
        );
    }

    /// Names of roles, settings and tables become SQL, of which psql reads a line up to its first zero byte.
    #[test]
    fn an_inventory_with_a_zero_byte_is_refused() {
        for (text, is_refused) in [
            (r"a\u0000", true),
            (r"a\\\u0000b", true),
            (r"a\\u0000b", false),
            (r"a\u0001", false),
        ] {
            let json = EARLIER.replace(r#""database":"app""#, &format!(r#""database":"app","owner":"{text}""#));
            let parsed = Inventory::parse(json.as_bytes());
            assert_eq!(parsed.is_err_and(|error| error.code == Code::Tampered), is_refused, "{text}");
        }
    }

    #[test]
    fn properties_stand_flat_and_come_back() {
        let mut contents = Inventory::parse(EARLIER.as_bytes()).unwrap();
        contents.properties.encoding = Some("LATIN1".to_owned());
        contents.properties.settings = [("search_path", "app, public"), ("TimeZone", "UTC")].into_iter().collect();
        contents.plain_lengths.insert("globals".to_owned(), 7);
        let json = contents.to_json().unwrap();
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(value["encoding"], "LATIN1");
        assert_eq!(value["settings"]["search_path"], "app, public");
        assert_eq!(value["plain_lengths"]["globals"], 7);
        assert_eq!(Inventory::parse(&json).unwrap(), contents);
    }
}
