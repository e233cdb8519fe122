//! Which rows did not go in, where a drill failed among them. No words of its server tell it: code that may have read rows can
//! have them say anything. Counting does, and the names are the inventory's.

use super::compare::{Comparison, LoadedDump, TableComparison, compare};
use super::psql::{PsqlTarget, is_without_words};
use super::scratch_server::ScratchServer;
use super::steps::blocking;
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::format::inventory::Inventory;
use crate::format::table_name::TableName;
use std::collections::BTreeSet;

/// The same error, with the table whose rows are not all there. What cannot be counted any more is not told.
pub(super) async fn tell(
    mut error: Error,
    server: ScratchServer,
    database: &'static str,
    contents: Inventory,
    restorer: PsqlTarget,
    cancel: &Cancel,
) -> Error {
    if error.code != Code::RestoreFailed || !is_without_words(&error) {
        return error;
    }
    let stop = cancel.clone();
    let counting = blocking(move || count(&server, database, &contents, &restorer, &stop)).await;
    if let Ok(Some(told)) = counting {
        error.message = format!("{}; {told}", error.message);
    }
    error
}

/// Like the comparison of a drill that came so far: by the owner of the database, in sessions without what the dump set for it.
fn count(server: &ScratchServer, database: &str, contents: &Inventory, restorer: &PsqlTarget, cancel: &Cancel) -> Result<Option<String>> {
    server.settings_back(database)(cancel)?;
    let made = BTreeSet::new();
    let comparison = compare(contents, LoadedDump::alone(&[], &made), &restorer.clone().after_load(), cancel)?;
    Ok(in_words(contents, &comparison))
}

/// Rows go in table by table, in the order of the dump, and those of one statement all or none: the first that lacks some is
/// where it stopped. A table that is not there was left out before.
fn in_words(contents: &Inventory, comparison: &Comparison) -> Option<String> {
    let lacks_rows = |table: &&TableComparison| {
        table
            .found_rows
            .is_some_and(|found| found < table.expected_rows.unwrap_or_default())
    };
    // It may have stopped before the first of them.
    if contents.rows > 0 && comparison.tables.iter().all(|table| table.found_rows.unwrap_or_default() == 0) {
        let first = contents.tables.iter().find(|table| table.rows > 0)?;
        return Some(format!("none of its rows are there, of which those of {} come first", first.name));
    }
    let named = |table: &TableComparison| TableName::parse(&table.name);
    let lacking: BTreeSet<TableName> = comparison.tables.iter().filter(lacks_rows).filter_map(named).collect();
    let mut names = contents.tables.iter().map(|table| &table.name);
    if let Some(name) = names.find(|name| TableName::parse(name).is_some_and(|name| lacking.contains(&name))) {
        return Some(format!("the rows of {name} are not all there"));
    }
    let is_whole = comparison.tables.iter().all(|table| table.found_rows.is_some());
    (is_whole && contents.rows > 0).then(|| "the rows of its tables are all there".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::inventory::TableRows;

    /// Of each table its name, the rows in the dump, and those that are there.
    fn told(tables: &[(&str, u64, Option<u64>)]) -> Option<String> {
        let contents = Inventory {
            tables: tables
                .iter()
                .map(|(name, rows, _)| TableRows {
                    name: (*name).to_owned(),
                    rows: *rows,
                    bytes: 0,
                    ..TableRows::default()
                })
                .collect(),
            rows: tables.iter().map(|(_, rows, _)| rows).sum(),
            ..Inventory::default()
        };
        let mut comparison = Comparison::default();
        for (name, rows, found) in tables {
            comparison.tables.insert(
                0,
                TableComparison {
                    name: (*name).to_owned(),
                    expected_rows: Some(*rows),
                    found_rows: *found,
                    dump_bytes: 0,
                    disk_bytes: 0,
                    contents: crate::restore::compare::Contents::NotCompared,
                    expected_digest: None,
                    found_digest: None,
                    equal: *found == Some(*rows),
                },
            );
        }
        in_words(&contents, &comparison)
    }

    #[test]
    fn the_first_table_that_lacks_rows_is_told() {
        let first = [
            ("public.a", 3, Some(3)),
            ("public.gone", 2, None),
            ("public.none", 0, Some(0)),
            ("public.\"O\"", 2, Some(0)),
            ("public.z", 1, Some(0)),
        ];
        assert_eq!(told(&first).as_deref(), Some("the rows of public.\"O\" are not all there"));
        assert_eq!(
            told(&[("public.a", 3, Some(3))]).as_deref(),
            Some("the rows of its tables are all there")
        );
        assert_eq!(told(&[("public.a", 0, Some(0))]), None);
        // What failed was a view before all rows.
        assert_eq!(
            told(&[("public.a", 3, Some(0)), ("public.b", 1, Some(0))]).as_deref(),
            Some("none of its rows are there, of which those of public.a come first")
        );
        assert_eq!(told(&[("public.a", 3, Some(3)), ("public.gone", 2, None)]), None);
    }
}
