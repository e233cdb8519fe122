//! Inventories and catalogs that differ.

use super::*;

fn found(of_extension: bool) -> CatalogTable {
    CatalogTable {
        schema: String::new(),
        table: String::new(),
        disk_bytes: 8192,
        of_extension,
        root: None,
    }
}

fn inventory(tables: &[(&str, u64)]) -> Inventory {
    let tables: Vec<crate::format::inventory::TableRows> = tables
        .iter()
        .map(|(name, rows)| crate::format::inventory::TableRows {
            name: (*name).to_owned(),
            rows: *rows,
            bytes: 10,
            ..Default::default()
        })
        .collect();
    Inventory {
        rows: tables.iter().map(|table| table.rows).sum(),
        tables,
        ..Inventory::default()
    }
}

fn loaded<'a>(left_out: &'a [Vec<Vec<u8>>], made: &'a BTreeSet<TableName>) -> LoadedDump<'a> {
    LoadedDump::alone(left_out, made)
}

fn held(expected: &[(&str, u64)], there: &[(&str, bool, u64)]) -> Comparison {
    let names: Vec<TableName> = there.iter().map(|(name, ..)| TableName::parse(name).unwrap()).collect();
    let found: Vec<CatalogTable> = there.iter().map(|(_, of_extension, _)| found(*of_extension)).collect();
    let rows: Vec<u64> = there.iter().map(|(_, _, rows)| *rows).collect();
    let mut comparison = Comparison::default();
    let made = there.iter().map(|(name, ..)| TableName::parse(name).unwrap());
    // As code of a backup makes them, out of rows.
    let made = made.filter(|name| !name.to_string().contains("078-05-1120")).collect();
    comparison.compare_tables(&inventory(expected), loaded(&[], &made), &names, &found, &rows);
    comparison
}

#[test]
fn what_is_equal_is_equal() {
    let comparison = held(
        &[("s.b", 2), ("s.a", 1)],
        &[("s.a", false, 1), ("s.b", false, 2), ("s.empty", false, 0)],
    );
    assert!(comparison.is_equal());
    assert_eq!((comparison.rows.found, comparison.notes.len(), comparison.tables.len()), (3, 1, 3));
}

#[test]
fn names_are_the_same_in_each_spelling() {
    let comparison = held(
        &[("s.\"order\"", 2), ("s.E\"n\\xe9\"", 1)],
        &[("s.order", false, 2), ("s.E\"n\\xe9\"", false, 1)],
    );
    assert!(comparison.is_equal(), "{:?}", comparison.differences);
}

#[test]
fn each_difference_is_named() {
    let comparison = held(&[("s.a", 1), ("s.b", 2)], &[("s.a", false, 3), ("s.c", false, 1)]);
    assert_eq!(
        comparison.differences,
        [
            "the table s.a has 3 rows instead of 1",
            "the table s.b is missing; 2 rows were expected",
            "the table s.c has 1 rows, of which the dump has none"
        ]
    );
    assert!(comparison.tables.iter().all(|table| !table.equal));
}

#[test]
fn rows_by_way_of_a_root_are_those_of_its_partitions() {
    for (rows, equal) in [(25, true), (24, false)] {
        let names = ["s.p0", "s.p1", "s.p2"].map(|name| TableName::parse(name).unwrap());
        let found = [0, 1, 2].map(|_| CatalogTable {
            root: Some(["73".to_owned(), "70".to_owned()]),
            ..found(false)
        });
        let mut comparison = Comparison::default();
        // One partition was dumped by its own name.
        comparison.compare_tables(
            &inventory(&[("s.p", 100), ("s.p2", 7)]),
            loaded(&[], &BTreeSet::new()),
            &names,
            &found,
            &[75, rows, 7],
        );
        assert_eq!(comparison.is_equal(), equal, "{:?}", comparison.differences);
        assert_eq!((comparison.tables.len(), comparison.tables[0].disk_bytes), (2, 2 * 8192));
    }
}

#[test]
fn an_extensions_own_rows_do_not_count() {
    let comparison = held(&[("s.settings", 1)], &[("s.settings", true, 9), ("s.other", true, 5)]);
    assert!(comparison.is_equal());
    assert_eq!(comparison.rows.found, 1);
    assert!(!held(&[("s.settings", 3)], &[("s.settings", true, 2)]).is_equal());
}

#[test]
fn extensions_are_notes() {
    let extension = |name: &str, version: &str| Extension {
        name: name.to_owned(),
        version: version.to_owned(),
        ..Extension::default()
    };
    let mut comparison = Comparison::default();
    let inventory = Inventory {
        extensions: ["a", "b", "c"].map(|name| extension(name, "1")).into(),
        ..Inventory::default()
    };
    comparison.note_extensions(&inventory, &[extension("a", "1"), extension("b", "2")]);
    assert!(comparison.is_equal());
    assert_eq!(comparison.notes.len(), 2);
}

/// A whole backup was called a part of a database.
#[test]
fn an_extension_that_is_not_there_is_told_with_its_reason() {
    let note = |tables: Option<&[&str]>| {
        let selection = tables.map(|tables| SelectionRecord {
            tables: tables.iter().map(ToString::to_string).collect(),
            exclude_tables: vec!["x".to_owned()],
            ..SelectionRecord::default()
        });
        let inventory = Inventory {
            selection,
            extensions: vec![Extension {
                name: "hstore".to_owned(),
                version: "1.8".to_owned(),
                ..Extension::default()
            }],
            ..Inventory::default()
        };
        let mut comparison = Comparison::default();
        comparison.note_extensions(&inventory, &[]);
        assert!(comparison.is_equal());
        comparison.notes.remove(0)
    };
    assert!(note(Some(&["t"])).contains("chosen tables"), "{}", note(Some(&["t"])));
    assert!(
        !note(Some(&[])).contains("chosen") && note(Some(&[])).contains("left out"),
        "{}",
        note(Some(&[]))
    );
    assert!(note(None).contains("part") && note(None).contains("left out"));
}

#[test]
fn the_rows_of_a_left_out_extensions_table_are_no_difference() {
    let mut comparison = Comparison::default();
    let (left_out, none) = ([vec![b"cron".to_vec(), b"job".to_vec()]], BTreeSet::new());
    comparison.rows.expected = 9;
    comparison.compare_tables(
        &inventory(&[("cron.job", 2), ("s.gone", 7)]),
        loaded(&left_out, &none),
        &[],
        &[],
        &[],
    );
    assert_eq!(
        (comparison.differences.len(), comparison.notes.len(), comparison.rows.expected),
        (1, 1, 7)
    );
    assert!(comparison.differences[0].contains("s.gone") && comparison.notes[0].contains("cron.job"));
}

/// A table's owner had a report tell rows of others by names that a CHECK made of them.
#[test]
fn of_what_the_dump_does_not_make_no_name_is_told() {
    let equal = held(&[("s.a", 1)], &[("s.a", false, 1), ("public.\"078-05-1120 Smith\"", false, 0)]);
    let differs = held(&[("s.a", 1)], &[("s.a", false, 1), ("public.\"078-05-1120 Smith\"", false, 2)]);
    assert_eq!((equal.is_equal(), differs.is_equal()), (true, false));
    let hex = |text: &str| crate::format::hex(text.as_bytes());
    let found = ["a", "a", "078-05-1120"].map(|table| [hex("s"), hex(table)]);
    let counts = by_table(&found, &inventory(&[("s.a", 1)]), loaded(&[], &BTreeSet::new()));
    assert_eq!(counts["s.a"], "2 are");
    for told in [format!("{equal:?}"), format!("{differs:?}"), format!("{counts:?}")] {
        assert!(told.contains(OTHER_TABLES) && !told.contains("078"), "{told}");
    }
}
