//! What came back, held against the inventory that was counted while the dump was written.

mod catalog;

use super::psql::PsqlTarget;
use crate::cancel::Cancel;
use crate::error::Result;
use crate::format::inventory::{Extension, Inventory};
use crate::format::order::SelectionRecord;
use crate::format::table_name::TableName;
use crate::format::unhex_all;
use catalog::{CATALOG, Catalog, CatalogTable};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The answer: equal if there is no difference.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Comparison {
    pub tables: Vec<TableComparison>,
    pub rows: CountPair,
    pub large_objects: CountPair,
    pub extensions: Vec<Extension>,
    /// How many there are in the restored database.
    pub indexes: u64,
    pub constraints: u64,
    pub sequences: u64,
    /// Of the restored database on disk.
    pub disk_bytes: u64,
    /// Each one makes a drill fail.
    pub differences: Vec<String>,
    /// Worth knowing, and no fault of the backup.
    pub notes: Vec<String>,
}

impl Comparison {
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CountPair {
    pub expected: u64,
    pub found: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct TableComparison {
    pub name: String,
    /// By the inventory; `None`: the dump holds no rows of it.
    pub expected_rows: Option<u64>,
    /// In the database; `None`: the table is not there.
    pub found_rows: Option<u64>,
    /// Of its rows in the dump.
    pub dump_bytes: u64,
    /// With its indexes.
    pub disk_bytes: u64,
    pub contents: Contents,
    /// Of its rows, in the inventory and in the database; where they were compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found_digest: Option<String>,
    pub equal: bool,
}

/// Whether the rows of a table are those of the dump, value by value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Contents {
    Equal,
    Differ,
    #[default]
    NotCompared,
}

/// What is known of a dump that is in.
#[derive(Clone, Copy)]
pub struct LoadedDump<'a> {
    /// Schema and name of tables that came with extensions which are not there.
    pub left_out: &'a [Vec<Vec<u8>>],
    /// Tables that it makes. Of others, which its code may have made of rows, a report has no names.
    pub made: &'a BTreeSet<TableName>,
    /// A part was restored into a database that may have other tables.
    pub beside_others: bool,
}

impl<'a> LoadedDump<'a> {
    /// In a database of its own.
    pub fn alone(left_out: &'a [Vec<Vec<u8>>], made: &'a BTreeSet<TableName>) -> Self {
        Self {
            left_out,
            made,
            beside_others: false,
        }
    }
}

/// For people.
const OTHER_TABLES: &str = "tables that the dump does not make";

/// Counts every table of the database and compares.
pub fn compare(inventory: &Inventory, loaded: LoadedDump<'_>, restored: &PsqlTarget, cancel: &Cancel) -> Result<Comparison> {
    let catalog: Catalog = restored.json(CATALOG, cancel)?;
    let names: Vec<TableName> = catalog.tables.iter().map(CatalogTable::name).collect::<Result<_>>()?;
    let rows = count(&names, &catalog.encoding, restored, cancel)?;
    let mut comparison = Comparison {
        rows: CountPair {
            expected: inventory.rows,
            found: 0,
        },
        large_objects: CountPair {
            expected: inventory.large_objects,
            found: catalog.large_objects,
        },
        indexes: catalog.indexes,
        constraints: catalog.constraints,
        sequences: catalog.sequences,
        disk_bytes: catalog.disk_bytes,
        ..Comparison::default()
    };
    comparison.compare_tables(inventory, loaded, &names, &catalog.tables, &rows);
    comparison.note_extensions(inventory, &catalog.extensions);
    let CountPair { expected, found } = comparison.large_objects;
    if expected != found {
        comparison.add_difference(format!("{found} large objects instead of {expected}"));
    }
    for (table, count) in by_table(&catalog.broken_indexes, inventory, loaded) {
        comparison.add_difference(format!("of the indexes of {table} {count} not valid"));
    }
    for (table, count) in by_table(&catalog.open_constraints, inventory, loaded) {
        // pg_dump keeps a NOT VALID of the source; whatever else is violated has stopped the restore.
        comparison.note(format!("of the constraints of {table} {count} not validated, as in the source"));
    }
    let is_of_source = |found: &Extension| inventory.extensions.iter().any(|known| known.name == found.name);
    let (ours, others): (Vec<_>, Vec<_>) = catalog.extensions.into_iter().partition(is_of_source);
    comparison.extensions = ours;
    if !others.is_empty() {
        comparison.note(format!("extensions that the source does not have: {}", others.len()));
    }
    Ok(comparison)
}

/// How many there are of each table, such as `1 is` and `2 are`.
fn by_table(found: &[[String; 2]], inventory: &Inventory, loaded: LoadedDump<'_>) -> BTreeMap<String, String> {
    let named: BTreeSet<TableName> = inventory.tables.iter().filter_map(|table| TableName::parse(&table.name)).collect();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for parts in found {
        let name = TableName::new(parts.iter().filter_map(|part| unhex_all(part)));
        let is_known = named.contains(&name) || loaded.made.contains(&name);
        let shown = if is_known { name.to_string() } else { OTHER_TABLES.to_owned() };
        *counts.entry(shown).or_default() += 1;
    }
    let in_words = |count| if count == 1 { "1 is".to_owned() } else { format!("{count} are") };
    counts.into_iter().map(|(table, count)| (table, in_words(count))).collect()
}

impl Comparison {
    fn add_difference(&mut self, what: String) {
        self.differences.push(what);
    }

    fn note(&mut self, what: String) {
        self.notes.push(what);
    }

    fn compare_tables(&mut self, inventory: &Inventory, loaded: LoadedDump<'_>, names: &[TableName], found: &[CatalogTable], rows: &[u64]) {
        // By what the names mean: majors differ in which of them they put in quotes.
        let found = found.iter().zip(rows).map(|(table, rows)| (table, *rows));
        let mut unseen: UnseenTables = names.iter().zip(found).collect();
        let expected = expected_tables(inventory);
        for (name, rows) in &expected {
            let found = match unseen.remove(name) {
                Some((table, rows)) => Some((table.of_extension, table.disk_bytes, rows)),
                None => take_partitions(name, &expected, &mut unseen).map(|(bytes, rows)| (false, bytes, rows)),
            };
            self.compare_table(name, *rows, found, loaded);
        }
        self.judge_unseen(unseen, loaded);
        self.tables.sort_by(|one, other| one.name.cmp(&other.name));
    }

    /// `found`: whether it is an extension's, its bytes on disk and its rows.
    fn compare_table(&mut self, name: &TableName, expected: ExpectedRows, found: Option<(bool, u64, u64)>, loaded: LoadedDump<'_>) {
        let is_this = |parts: &Vec<Vec<u8>>| TableName::new(parts.iter().cloned()) == *name;
        let ExpectedRows { rows: expected, bytes } = expected;
        if found.is_none() && loaded.left_out.iter().any(is_this) {
            self.rows.expected = self.rows.expected.saturating_sub(expected);
            return self.note(format!(
                "the table {name} comes with an extension that is not here: its {expected} rows were left out"
            ));
        }
        let found_rows = found.map(|(_, _, rows)| rows);
        // An extension's own rows come with the extension: the dump holds only what was added.
        let of_extension = found.is_some_and(|(of_extension, ..)| of_extension);
        let equal = found_rows.is_some_and(|rows| rows == expected || (of_extension && rows > expected));
        match found_rows {
            None => self.add_difference(format!("the table {name} is missing; {expected} rows were expected")),
            Some(rows) if !equal => self.add_difference(format!("the table {name} has {rows} rows instead of {expected}")),
            Some(_) => {}
        }
        self.rows.found += found_rows.map_or(0, |rows| if equal { expected } else { rows });
        self.tables.push(TableComparison {
            name: name.to_string(),
            expected_rows: Some(expected),
            found_rows,
            dump_bytes: bytes,
            disk_bytes: found.map_or(0, |(_, disk_bytes, _)| disk_bytes),
            contents: Contents::NotCompared,
            expected_digest: None,
            found_digest: None,
            equal,
        });
    }

    /// Tables of which the inventory has no rows.
    fn judge_unseen(&mut self, unseen: UnseenTables<'_>, loaded: LoadedDump<'_>) {
        let (mut others, mut with_rows) = (0, 0);
        for (name, (table, rows)) in unseen.into_iter().filter(|(_, (table, _))| !table.of_extension) {
            if loaded.beside_others && !loaded.made.contains(name) {
                continue;
            }
            if !loaded.made.contains(name) {
                self.rows.found += rows;
                others += 1;
                with_rows += u64::from(rows > 0);
                continue;
            }
            // Left out by the selection, or unlogged on a replica: then it is empty.
            if rows > 0 {
                self.add_difference(format!("the table {name} has {rows} rows, of which the dump has none"));
                self.rows.found += rows;
            } else {
                self.note(format!(
                    "the table {name} is there without rows: the dump holds only its definition"
                ));
            }
            self.tables.push(TableComparison {
                name: name.to_string(),
                expected_rows: None,
                found_rows: Some(rows),
                dump_bytes: 0,
                disk_bytes: table.disk_bytes,
                contents: Contents::NotCompared,
                expected_digest: None,
                found_digest: None,
                equal: rows == 0,
            });
        }
        match (others, with_rows) {
            (0, _) => {}
            (others, 0) => self.note(format!("{OTHER_TABLES}: {others}, without rows")),
            (others, _) => self.add_difference(format!("{OTHER_TABLES}: {others}, of which {with_rows} have rows")),
        }
    }

    /// The statements that make them have succeeded, or the restore would have stopped: so none of this is a difference.
    fn note_extensions(&mut self, inventory: &Inventory, found: &[Extension]) {
        // With exclusions alone pg_dump writes them all.
        let is_chosen = |selection: &SelectionRecord| !(selection.tables.is_empty() && selection.schemas.is_empty());
        let reason = match inventory.selection.as_ref().map(is_chosen) {
            Some(true) => "a dump of chosen tables or schemas holds none",
            Some(false) => "it was left out of this restore, or this server lacks it",
            None => "the dump is of a part that holds none, it was left out of this restore, or this server lacks it",
        };
        for extension in &inventory.extensions {
            let Extension { name, version, .. } = extension;
            match found.iter().find(|found| found.name == *name) {
                None => self.note(format!("the extension {name} is not there: {reason}")),
                Some(found) if found.version != *version => {
                    self.note(format!(
                        "the extension {name} is {} here and was {version} in the source",
                        found.version
                    ));
                }
                Some(_) => {}
            }
        }
    }
}

/// Tables of the database that nothing of the inventory has met yet, with their rows.
type UnseenTables<'a> = BTreeMap<&'a TableName, (&'a CatalogTable, u64)>;

/// Of one table, by the inventory.
#[derive(Clone, Copy, Default)]
struct ExpectedRows {
    rows: u64,
    /// In the dump.
    bytes: u64,
}

fn expected_tables(inventory: &Inventory) -> BTreeMap<TableName, ExpectedRows> {
    // A dump may hold a table's rows in more than one block.
    let mut expected: BTreeMap<TableName, ExpectedRows> = BTreeMap::new();
    for table in &inventory.tables {
        let name = TableName::parse(&table.name).unwrap_or_else(|| TableName::new([table.name.clone().into_bytes()]));
        let sum = expected.entry(name).or_default();
        sum.rows += table.rows;
        sum.bytes += table.bytes;
    }
    expected
}

/// Bytes on disk and rows of the partitions of a table whose rows were dumped by way of the root, as pg_dump does where a
/// partition's bounds may change.
fn take_partitions(root: &TableName, expected: &BTreeMap<TableName, ExpectedRows>, unseen: &mut UnseenTables<'_>) -> Option<(u64, u64)> {
    let is_of_it =
        |(partition, (table, _)): &(&&TableName, &(&CatalogTable, u64))| !expected.contains_key(**partition) && table.is_partition_of(root);
    let partitions: Vec<&TableName> = unseen.iter().filter(is_of_it).map(|(partition, _)| *partition).collect();
    let parts: Vec<(&CatalogTable, u64)> = partitions.iter().filter_map(|partition| unseen.remove(partition)).collect();
    let sum = parts.iter().fold((0, 0), |(bytes, rows): (u64, u64), (table, more)| {
        (table.disk_bytes.saturating_add(bytes), more.saturating_add(rows))
    });
    (!parts.is_empty()).then_some(sum)
}

/// One session counts them all. `ONLY`: rows of children are counted with the children, as they are dumped.
fn count(names: &[TableName], encoding: &str, restored: &PsqlTarget, cancel: &Cancel) -> Result<Vec<u64>> {
    // Row security shall be an error here, never fewer rows.
    let mut before = b"SET row_security TO off;\n".to_vec();
    if encoding == "SQL_ASCII" {
        before.extend_from_slice(b"SET client_encoding TO 'SQL_ASCII';\n");
    }
    let question = |name: &TableName| [b"SELECT pg_catalog.count(*) FROM ONLY ", &*name.to_sql()].concat();
    let questions: Vec<Vec<u8>> = names.iter().map(question).collect();
    restored.numbers(&before, &questions, cancel)
}

#[cfg(test)]
mod tests;
