//! What a backup is a backup of: its source and its selection. As digests they stand in line 1 of the manifest, so that a
//! writer without the data key sees whether a manifest is of its own order; the plain values stand in the sealed inventory.

use crate::format::Sha256;
use serde::{Deserialize, Serialize};

/// What a reader says of a manifest from before 0.2.
pub(crate) const UNKNOWN_SOURCE: &str = "source unknown";

/// The database that a dump was made of, without showing its host: SHA-256 of `pgseal/1 source`, the host as dialled
/// in lower case, the port in decimal and the database's name, separated by newlines.
pub fn source_digest(host: &str, port: u16, database: &str) -> Sha256 {
    let text = format!("pgseal/1 source\n{}\n{port}\n{database}", host.to_ascii_lowercase());
    Sha256::digest(text.as_bytes())
}

/// What of the database is dumped: `pg_dump`'s own patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    pub tables: Vec<String>,
    pub exclude_tables: Vec<String>,
    pub exclude_table_data: Vec<String>,
    pub schemas: Vec<String>,
    pub exclude_schemas: Vec<String>,
}

impl Selection {
    /// Whether the dump is of less than the whole database.
    pub(crate) fn is_partial(&self) -> bool {
        *self != Self::default()
    }
}

/// What of the database was asked for, in the one shape that its digest is made of: this order of fields, lists sorted,
/// absent ones empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectionRecord {
    pub tables: Vec<String>,
    pub exclude_tables: Vec<String>,
    pub exclude_table_data: Vec<String>,
    pub schemas: Vec<String>,
    pub exclude_schemas: Vec<String>,
    pub globals: bool,
}

impl SelectionRecord {
    pub(crate) fn new(selection: &Selection, globals: bool) -> Self {
        let sorted = |patterns: &[String]| {
            let mut patterns = patterns.to_vec();
            patterns.sort_unstable();
            patterns
        };
        Self {
            tables: sorted(&selection.tables),
            exclude_tables: sorted(&selection.exclude_tables),
            exclude_table_data: sorted(&selection.exclude_table_data),
            schemas: sorted(&selection.schemas),
            exclude_schemas: sorted(&selection.exclude_schemas),
            globals,
        }
    }

    /// SHA-256 of `pgseal/1 selection`, a newline and the compact JSON of this.
    pub fn digest(&self) -> Sha256 {
        // Texts and a flag: this cannot fail.
        let json = serde_json::to_string(self).unwrap_or_default();
        Sha256::digest(format!("pgseal/1 selection\n{json}").as_bytes())
    }

    /// Whether the dump is of less than the whole database.
    pub(crate) fn is_partial(&self) -> bool {
        !self.in_words().is_empty()
    }

    /// What was chosen or left out, without any name: for a text that is not encrypted.
    pub(crate) fn in_words(&self) -> Vec<&'static str> {
        let words = [
            (&self.tables, "only chosen tables"),
            (&self.schemas, "only chosen schemas"),
            (&self.exclude_tables, "without some tables"),
            (&self.exclude_schemas, "without some schemas"),
            (&self.exclude_table_data, "without the rows of some tables"),
        ];
        let asked = words.into_iter().filter(|(patterns, _)| !patterns.is_empty());
        asked.map(|(_, words)| words).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    /// Made by `printf 'pgseal/1 source\nHOST\nPORT\nDATABASE' | sha256sum`.
    #[test]
    fn the_source_is_what_sha256sum_says() {
        let known = [
            (
                ("orders.CXA1b2c3d4e5.eu-west-1.rds.amazonaws.com", 5432, "app"),
                "085ad44fa1068ea75c04aa6218975c97b64f00226804d4e919cbb8d17af658bd",
            ),
            (
                ("127.0.0.1", 65535, "Größe; 1"),
                "3b010106376f527e16496bf97dd5f6c90ff5120c0b5d2d5d788f03af54188c67",
            ),
        ];
        for ((host, port, database), digest) in known {
            assert_eq!(source_digest(host, port, database).to_string(), digest, "{database}");
        }
    }

    /// Made by `printf 'pgseal/1 selection\n{"tables":…}' | sha256sum`.
    #[test]
    fn the_selection_is_what_sha256sum_says() {
        let whole = SelectionRecord::default();
        assert_eq!(
            whole.digest().to_string(),
            "7afa75079708eddf3366e681768a5f7b384857be3e2afdae888257e47a75bfec"
        );
        assert!(!whole.is_partial());
        let asked = Selection {
            tables: texts(&["orders", "größe", "a\"b"]),
            exclude_table_data: texts(&["public.log*"]),
            exclude_schemas: texts(&["tmp"]),
            ..Selection::default()
        };
        let part = SelectionRecord::new(&asked, true);
        assert_eq!(
            part.digest().to_string(),
            "a13705070f6aa065c1a8853d3c431e69c493b91409098a94f0026f6930653f77"
        );
        assert!(part.is_partial());
    }

    #[test]
    fn the_order_of_patterns_does_not_matter_and_the_roles_alone_are_no_part() {
        let of = |tables: &[&str]| Selection {
            tables: texts(tables),
            ..Selection::default()
        };
        let digest = |tables: &[&str]| SelectionRecord::new(&of(tables), false).digest();
        assert_eq!(digest(&["b", "a"]), digest(&["a", "b"]));
        assert_ne!(digest(&["a", "b"]), digest(&["a"]));
        assert!(!SelectionRecord::new(&Selection::default(), true).is_partial());
    }

    #[test]
    fn every_list_is_a_part_and_has_its_words() {
        let lists: [fn(&mut Selection) -> &mut Vec<String>; 5] = [
            |selection| &mut selection.tables,
            |selection| &mut selection.exclude_tables,
            |selection| &mut selection.exclude_table_data,
            |selection| &mut selection.schemas,
            |selection| &mut selection.exclude_schemas,
        ];
        for list in lists {
            let mut selection = Selection::default();
            list(&mut selection).push("secret_name".to_owned());
            let words = SelectionRecord::new(&selection, false).in_words();
            assert!(words.len() == 1 && !words[0].contains("secret_name"), "{words:?}");
        }
    }
}
