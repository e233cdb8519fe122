//! What differs between two backups, by their manifests and inventories alone: tables, extensions, versions, properties.

use super::find::ChosenBackup;
use super::history::HINT_NOTE;
use super::history::change::{ChangeBasis, TableChange, changes, vanished};
use super::history::contents::{MEBIBYTES_AT_ONCE, NightContents, open_contents};
use crate::cancel::Cancel;
use crate::envelope::manifest::Timestamp;
use crate::envelope::private_key::PrivateKey;
use crate::envelope::signature::Verifier;
use crate::error::Result;
use crate::format::inventory::Inventory;
use crate::format::order::SelectionRecord;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::Semaphore;

#[derive(Debug, Serialize)]
pub(crate) struct BackupDiff {
    pub status: &'static str,
    /// As they were named: the first, and the second.
    pub before: DiffSide,
    pub after: DiffSide,
    pub counts: DiffCounts,
    /// Every table of either, by name.
    pub tables: Vec<DiffTable>,
    /// Only those that differ, like those behind them.
    pub extensions: Vec<Difference>,
    pub properties: Vec<Difference>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
pub(crate) struct DiffSide {
    pub stem: String,
    pub database: String,
    /// The digest of its server, or `source unknown`.
    pub source: String,
    pub scheduled_time: Timestamp,
    pub rows: u64,
    pub plain_bytes: u64,
    /// Of all objects, as they are stored.
    pub bytes: u64,
    pub tables: usize,
    pub server_version: String,
    pub pg_dump_version: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct DiffCounts {
    pub same: usize,
    pub changed: usize,
    pub unknown: usize,
    pub appeared: usize,
    pub vanished: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct DiffTable {
    pub name: String,
    pub change: TableChange,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<ChangeBasis>,
    pub rows_before: Option<u64>,
    pub rows_after: Option<u64>,
    pub bytes_before: Option<u64>,
    pub bytes_after: Option<u64>,
}

/// Something with a name and a value on each side; `null` where a side has none.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    pub name: String,
    pub before: Value,
    pub after: Value,
    /// Users' own settings may hold secrets: it is told that they differ, and not in what.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
}

pub(crate) async fn diff(
    before: &ChosenBackup,
    after: &ChosenBackup,
    key: &PrivateKey,
    signer: Option<&Verifier>,
    cancel: &Cancel,
) -> Result<BackupDiff> {
    let memory = Semaphore::new(MEBIBYTES_AT_ONCE as usize);
    let open = |backup| open_contents(backup, key, signer, &memory, cancel);
    let opened = async { tokio::try_join!(open(before), open(after)) };
    let (before, after) = cancel.run_until_cancelled(opened).await?;
    Ok(compared(&before, &after))
}

type Opened = (NightContents, Inventory);

fn compared((before, inventory): &Opened, (after, later): &Opened) -> BackupDiff {
    let mut tables: Vec<DiffTable> = changes(before, after)
        .into_iter()
        .map(|table| DiffTable {
            name: table.name.to_string(),
            change: table.change.unwrap_or(TableChange::Unknown),
            by: table.by,
            rows_before: table.rows_before,
            rows_after: Some(table.rows),
            bytes_before: table.bytes_before,
            bytes_after: Some(table.bytes),
        })
        .collect();
    tables.extend(vanished(before, after).into_iter().map(|table| DiffTable {
        name: table.name.to_string(),
        change: TableChange::Vanished,
        by: None,
        rows_before: Some(table.rows),
        rows_after: None,
        bytes_before: Some(table.bytes),
        bytes_after: None,
    }));
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    let count = |wanted: TableChange| tables.iter().filter(|table| table.change == wanted).count();
    let counts = DiffCounts {
        same: count(TableChange::Same),
        changed: count(TableChange::Changed),
        unknown: count(TableChange::Unknown),
        appeared: count(TableChange::Appeared),
        vanished: count(TableChange::Vanished),
    };
    let mut notes = Vec::new();
    if tables.iter().any(|table| table.by == Some(ChangeBasis::Hint)) {
        notes.push(HINT_NOTE);
    }
    if before.selection != after.selection {
        notes.push("The two are not of the same part of a database: what appeared or vanished may only have been left out.");
    }
    BackupDiff {
        status: "ok",
        before: side(before, inventory),
        after: side(after, later),
        counts,
        tables,
        extensions: differences(&extensions(inventory), &extensions(later)),
        properties: differences(&properties(before, inventory), &properties(after, later)),
        notes,
    }
}

fn side(contents: &NightContents, inventory: &Inventory) -> DiffSide {
    DiffSide {
        stem: contents.stem.clone(),
        database: contents.database.clone(),
        source: contents.source.clone(),
        scheduled_time: contents.scheduled_time,
        rows: contents.rows,
        plain_bytes: contents.plain_bytes,
        bytes: contents.bytes,
        tables: contents.tables.len(),
        server_version: contents.server_version.clone(),
        pg_dump_version: inventory.pg_dump_version.clone(),
        partial: contents.is_partial(),
    }
}

/// Versions by name.
fn extensions(inventory: &Inventory) -> BTreeMap<String, Value> {
    let all = inventory.extensions.iter();
    all.map(|extension| (extension.name.clone(), json!(extension.version))).collect()
}

/// By their names in the inventory; a setting behind the list that it is in, with a slash.
fn properties(contents: &NightContents, inventory: &Inventory) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::from([
        ("database".to_owned(), json!(contents.database)),
        ("source".to_owned(), json!(contents.source)),
        ("server_version".to_owned(), json!(inventory.server_version)),
        ("pg_dump_version".to_owned(), json!(inventory.pg_dump_version)),
        ("large_objects".to_owned(), json!(inventory.large_objects)),
    ]);
    found.extend(
        contents
            .selection
            .as_ref()
            .map(|selection| ("selection".to_owned(), told(selection))),
    );
    // Texts, numbers and lists of them: this cannot fail.
    flatten("", &serde_json::to_value(&inventory.properties).unwrap_or_default(), &mut found);
    found
}

fn told(selection: &SelectionRecord) -> Value {
    match selection.is_partial() {
        true => json!(selection),
        false => json!("the whole database"),
    }
}

/// What has no value is as if it were not there: earlier releases knew less.
fn flatten(name: &str, value: &Value, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Null => {}
        Value::Array(list) if list.is_empty() => {}
        // Of a currency there is more than one value, and together they mean something.
        Value::Object(fields) if name != "money" => {
            for (field, value) in fields {
                let inner = if name.is_empty() {
                    field.clone()
                } else {
                    format!("{name}/{field}")
                };
                flatten(&inner, value, found);
            }
        }
        value => drop(found.insert(name.to_owned(), value.clone())),
    }
}

fn differences(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Vec<Difference> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differs = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    differs
        .map(|name| {
            // A point is in the names of users' own settings alone.
            let hidden = name.rsplit_once('/').is_some_and(|(_, setting)| setting.contains('.'));
            let value = |side: &BTreeMap<String, Value>| match side.get(name) {
                Some(_) if hidden => json!("not shown"),
                value => value.cloned().unwrap_or_default(),
            };
            Difference {
                name: name.clone(),
                before: value(before),
                after: value(after),
                hidden,
            }
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::format::database_properties::Settings;
    use crate::format::inventory::Extension;
    use crate::restore::history::tests::night;

    fn side_of(day: u8, tables: &[(&str, u64)]) -> Opened {
        let inventory = Inventory {
            server_version: "17.6".to_owned(),
            pg_dump_version: "17.6".to_owned(),
            ..Inventory::default()
        };
        (night(day, tables), inventory)
    }

    /// One of everything that may differ.
    pub(crate) fn example() -> BackupDiff {
        let mut before = side_of(5, &[("public.a", 3), ("public.b", 5), ("public.c", 7_000_000)]);
        let mut after = side_of(6, &[("public.b", 5), ("public.c", 4), ("public.d", 1)]);
        let extension = |name: &str, version: &str| Extension {
            name: name.to_owned(),
            version: version.to_owned(),
            ..Extension::default()
        };
        before.1.extensions = vec![extension("hstore", "1.7"), extension("postgis", "3.4")];
        after.1.extensions = vec![extension("hstore", "1.8"), extension("pg_trgm", "1.6")];
        after.1.server_version = "18.1".to_owned();
        before.1.properties.owner = Some("app".to_owned());
        before.1.properties.settings = [("TimeZone", "UTC"), ("app.token", "s3cret")].into_iter().collect::<Settings>();
        after.1.properties.settings = [("TimeZone", "CET"), ("app.token", "other")].into_iter().collect::<Settings>();
        after.1.properties.roles = vec!["app".to_owned()];
        compared(&before, &after)
    }

    #[test]
    fn tables_are_told_with_both_sides() {
        let before = side_of(1, &[("public.a", 3), ("public.b", 5), ("public.c", 7)]);
        let after = side_of(2, &[("public.b", 5), ("public.c", 4), ("public.d", 1)]);
        let diff = compared(&before, &after);
        let counts = DiffCounts {
            same: 0,
            changed: 1,
            unknown: 1,
            appeared: 1,
            vanished: 1,
        };
        assert_eq!(diff.counts, counts);
        let told: Vec<_> = diff
            .tables
            .iter()
            .map(|table| (table.name.as_str(), table.change, table.rows_before, table.rows_after))
            .collect();
        assert_eq!(
            told,
            [
                ("public.a", TableChange::Vanished, Some(3), None),
                ("public.b", TableChange::Unknown, Some(5), Some(5)),
                ("public.c", TableChange::Changed, Some(7), Some(4)),
                ("public.d", TableChange::Appeared, None, Some(1)),
            ]
        );
        assert!(diff.extensions.is_empty() && diff.properties.is_empty() && diff.notes.is_empty());
        let same = compared(&before, &before);
        assert_eq!((same.counts.same, same.tables.len()), (3, 3));
    }

    #[test]
    fn extensions_versions_and_properties_that_differ_are_told() {
        let diff = example();
        let told = |list: &[Difference]| -> Vec<String> {
            list.iter()
                .map(|one| format!("{} {} {}", one.name, one.before, one.after))
                .collect()
        };
        assert_eq!(
            told(&diff.extensions),
            [r#"hstore "1.7" "1.8""#, r#"pg_trgm null "1.6""#, r#"postgis "3.4" null"#]
        );
        assert_eq!(
            told(&diff.properties),
            [
                r#"owner "app" null"#,
                r#"roles null ["app"]"#,
                r#"server_version "17.6" "18.1""#,
                r#"settings/TimeZone "UTC" "CET""#,
                r#"settings/app.token "not shown" "not shown""#,
            ]
        );
        let json = serde_json::to_string(&diff).unwrap();
        assert!(!json.contains("s3cret"), "{json}");
    }

    #[test]
    fn other_selections_are_told() {
        let (before, mut after) = (side_of(1, &[("public.a", 3)]), side_of(2, &[]));
        let selection = SelectionRecord {
            tables: vec!["b".to_owned()],
            ..SelectionRecord::default()
        };
        after.0.selection = Some(selection);
        let diff = compared(&before, &after);
        assert!(diff.after.partial && diff.notes.len() == 1, "{:?}", diff.notes);
        assert!(diff.properties.iter().any(|one| one.name == "selection"), "{:?}", diff.properties);
    }
}
