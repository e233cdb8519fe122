//! What differs between two backups.

use crate::format::ToJson;
use crate::human::units::{counted, grouped, minute, sized};
use crate::human::{Answer, Column, Mark, Screen, Table};
use crate::restore::diff::{BackupDiff, DiffTable, Difference};
use crate::restore::history::change::TableChange;
use crate::restore::history::nights::shortened;
use serde_json::Value;

/// Tables that are told, those that changed most first.
const MOST_TABLES: usize = 40;

const COLUMNS: [Column; 6] = [
    Column::text("TABLE", 0),
    Column::text("CHANGE", 0),
    Column::number("ROWS BEFORE", 2),
    Column::number("ROWS", 1),
    Column::number("SIZE BEFORE", 4),
    Column::number("SIZE", 3),
];

impl Answer for BackupDiff {
    fn json(&self) -> String {
        self.to_json()
    }

    fn draw(&self, screen: &mut Screen) {
        let side = |side: &crate::restore::diff::DiffSide| {
            format!(
                "{}, {} UTC, {} in {} (source {})",
                side.stem,
                minute(side.scheduled_time.0),
                counted(side.rows, "row"),
                counted(side.tables as u64, "table"),
                shortened(&side.source)
            )
        };
        screen.facts(&[("before", side(&self.before)), ("after", side(&self.after))]);
        self.draw_tables(screen);
        for (heading, all) in [("Extensions", &self.extensions), ("Properties", &self.properties)] {
            if !all.is_empty() {
                screen.blank();
                screen.heading(heading);
                for one in all {
                    screen.line(format!("  {}", told(one)));
                }
            }
        }
        screen.blank();
        let counts = &self.counts;
        let all = [
            (counts.vanished, "vanished"),
            (counts.appeared, "appeared"),
            (counts.changed, "changed"),
            (counts.unknown, "with as many rows and bytes"),
            (counts.same, "the same"),
        ];
        let said = all.iter().filter(|(count, _)| *count > 0);
        let said: Vec<String> = said.map(|(count, word)| format!("{} {word}", grouped(*count as u64))).collect();
        screen.mark(
            Mark::Fact,
            format!("{}: {}", counted(self.tables.len() as u64, "table"), said.join(", ")),
        );
        for note in &self.notes {
            screen.line(note);
        }
    }
}

impl BackupDiff {
    fn draw_tables(&self, screen: &mut Screen) {
        let is_told = |table: &&DiffTable| !matches!(table.change, TableChange::Same | TableChange::Unknown);
        let mut told: Vec<&DiffTable> = self.tables.iter().filter(is_told).collect();
        let rows = |table: &DiffTable| table.rows_before.unwrap_or(0).abs_diff(table.rows_after.unwrap_or(0));
        told.sort_by_key(|table| (table.change != TableChange::Vanished, std::cmp::Reverse(rows(table))));
        let mut table = Table::new(&COLUMNS);
        for one in told.iter().take(MOST_TABLES) {
            let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), grouped);
            let size = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), sized);
            table.row([
                one.name.clone(),
                word(one).to_owned(),
                number(one.rows_before),
                number(one.rows_after),
                size(one.bytes_before),
                size(one.bytes_after),
            ]);
        }
        if !table.is_empty() {
            screen.blank();
            screen.table(&table);
        }
        if let more @ 1.. = told.len().saturating_sub(MOST_TABLES) as u64 {
            screen.line(format!("and {} (--json has all)", counted(more, "other table")));
        }
    }
}

fn word(table: &DiffTable) -> &'static str {
    match table.change {
        TableChange::Vanished => "vanished",
        TableChange::Appeared => "appeared",
        _ => "changed",
    }
}

fn told(one: &Difference) -> String {
    if one.hidden {
        return format!("{}: differs (its values are not shown)", one.name);
    }
    let value = |value: &Value| match value {
        Value::Null => "none".to_owned(),
        Value::String(text) if text.is_empty() => "empty".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    format!("{}: {} -> {}", one.name, value(&one.before), value(&one.after))
}
