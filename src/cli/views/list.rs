//! What is in a place.

use super::{failed, warned};
use crate::format::ToJson;
use crate::human::units::{counted, grouped, minute, short, sized};
use crate::human::{Answer, Column, Mark, Screen, Table};
use crate::rds::preflight::some_of;
use crate::restore::list::{BackupEntry, Listing, within};

const COLUMNS: [Column; 8] = [
    Column::text("DATABASE", 1),
    Column::text("TAKEN (UTC)", 2),
    Column::number("SIZE", 3),
    Column::number("ROWS", 4),
    Column::number("TABLES", 6),
    Column::text("KEY", 5),
    Column::text("NOTE", 1),
    Column::text("BACKUP", 0),
];

impl Answer for Listing {
    fn json(&self) -> String {
        self.to_json()
    }

    fn draw(&self, screen: &mut Screen) {
        draw_backups(&self.backups, screen);
        if !self.unauthenticated.is_empty() {
            screen.blank();
            screen.heading("Of the legacy image (nobody can tell whether they were changed)");
            for entry in &self.unauthenticated {
                screen.line(format!("  {}  {}", within(&entry.folder, &entry.stem), sized(entry.bytes)));
            }
        }
        if !self.unreadable.is_empty() {
            screen.blank();
            screen.heading("Unreadable (whether they are backups is unknown)");
            for entry in &self.unreadable {
                failed(screen, &within(&entry.folder, &entry.stem), &entry.error);
            }
        }
        if !self.leftovers.is_empty() {
            screen.blank();
            screen.heading("Objects that no manifest names (no backups)");
            for entry in &self.leftovers {
                let objects = match entry.objects.as_slice() {
                    [one] => one.clone(),
                    several => counted(several.len() as u64, "object"),
                };
                screen.line(format!(
                    "  {}  {objects}, {}",
                    within(&entry.folder, &entry.stem),
                    sized(entry.bytes)
                ));
                if let Some(error) = &entry.error {
                    failed(screen, "", error);
                }
            }
        }
        if !self.reports.is_empty() {
            screen.blank();
            screen.line(format!("Reports of drills: {}.", counted(self.reports.len() as u64, "file")));
        }
        if let Some(error) = &self.error {
            screen.blank();
            failed(screen, "", error);
        } else if self.backups.is_empty() && self.unauthenticated.is_empty() && self.unreadable.is_empty() {
            screen.blank();
            match self.hidden {
                0 => screen.mark(Mark::Warning, format!("there is no backup in {}", self.location)),
                hidden => {
                    let others = counted(hidden as u64, "backup");
                    screen.mark(
                        Mark::Warning,
                        format!("no such backup is in {}; {others} of others are", self.location),
                    );
                }
            }
            if !self.folders.is_empty() {
                screen.advice(format!("Look in the folders below it: {}", self.folders.join(", ")));
            }
        }
    }
}

fn draw_backups(backups: &[BackupEntry], screen: &mut Screen) {
    if backups.is_empty() {
        return;
    }
    let mut table = Table::new(&COLUMNS);
    for entry in backups {
        let keys: Vec<&str> = entry.recipients.iter().map(|key| short(key)).collect();
        let notes = [
            (entry.partial, "partial"),
            (!entry.is_complete(), "INCOMPLETE"),
            (entry.in_doubt, "IN DOUBT"),
            (entry.future, "future"),
            (entry.origin.pinned, "signed"),
        ];
        table.row([
            entry.database.clone(),
            minute(entry.scheduled_time.0),
            sized(entry.bytes),
            grouped(entry.rows),
            grouped(entry.tables),
            keys.join(" "),
            notes
                .iter()
                .filter(|(is, _)| *is)
                .map(|(_, note)| *note)
                .collect::<Vec<_>>()
                .join(", "),
            within(&entry.folder, &entry.stem),
        ]);
    }
    screen.table(&table);
    for entry in backups {
        if !entry.wrong_size.is_empty() {
            screen.mark(
                Mark::Bad,
                format!("{}: of another size: {}", entry.stem, entry.wrong_size.join(", ")),
            );
        }
        if !entry.missing.is_empty() {
            screen.mark(Mark::Bad, format!("{}: missing: {}", entry.stem, entry.missing.join(", ")));
        }
    }
    warned(screen, shared_warnings(backups));
}

/// What is true of several backups is said once.
fn shared_warnings(backups: &[BackupEntry]) -> Vec<String> {
    let mut stems_of: Vec<(&str, Vec<String>)> = Vec::new();
    for (warning, stem) in backups
        .iter()
        .flat_map(|entry| entry.warnings.iter().map(|warning| (warning, &entry.stem)))
    {
        match stems_of.iter_mut().find(|(known, _)| known == warning) {
            Some((_, stems)) => stems.push(stem.clone()),
            None => stems_of.push((warning, vec![stem.clone()])),
        }
    }
    let told = |(warning, stems): (&str, Vec<String>)| format!("{}: {warning}", some_of(&stems));
    stems_of.into_iter().map(told).collect()
}
