//! The receipt of a backup.

use super::{failed, warned};
use crate::envelope::manifest::Role;
use crate::format::ToJson;
use crate::human::units::{counted, lasting, minute, short, sized};
use crate::human::{Answer, Mark, Screen};
use crate::receipt::{BackupSummary, Receipt, ReceiptEntry, Status};

impl Answer for Receipt {
    fn json(&self) -> String {
        self.to_json()
    }

    fn draw(&self, screen: &mut Screen) {
        for entry in &self.backups {
            draw_entry(entry, screen);
        }
        if let Some(error) = &self.error {
            failed(screen, "", error);
        }
        warned(screen, &self.warnings);
        if self.backups.len() > 1 {
            let of = |wanted: &[Status]| self.backups.iter().filter(|entry| wanted.contains(&entry.status)).count();
            let complete = of(&[Status::Complete, Status::AlreadyComplete]);
            screen.blank();
            screen.line(format!(
                "{complete} of {} complete, {} failed, {} skipped",
                counted(self.backups.len() as u64, "database"),
                of(&[Status::Failed]),
                of(&[Status::Skipped])
            ));
        }
    }
}

fn draw_entry(entry: &ReceiptEntry, screen: &mut Screen) {
    let name = &entry.database;
    if let Some(error) = &entry.error {
        failed(screen, name, error);
    } else if let Some(made) = &entry.made {
        draw_made(entry, made, screen);
    } else {
        screen.mark(
            Mark::Skipped,
            format!("{name}: skipped: {}", entry.reason.unwrap_or("no reason is known")),
        );
    }
}

fn draw_made(entry: &ReceiptEntry, made: &BackupSummary, screen: &mut Screen) {
    let part = if made.partial { "a part of " } else { "" };
    let contents = format!("{} in {}", counted(made.rows, "row"), counted(made.tables, "table"));
    // As `list` counts it: what the manifest names.
    let is_named = |role: Role| !matches!(role, Role::Manifest | Role::RecoveryInstructions);
    let sealed: u64 = made
        .objects
        .iter()
        .filter(|object| is_named(object.role))
        .map(|object| object.size)
        .sum();
    let sizes = format!("{} of SQL, {} sealed", sized(made.dumped_bytes), sized(sealed));
    screen.mark(
        Mark::Good,
        match entry.status {
            Status::AlreadyComplete => {
                format!(
                    "{part}{}: already complete since {} UTC: {contents}, {sizes}",
                    entry.database,
                    minute(made.finished_at.0)
                )
            }
            _ => format!("{part}{}: {contents}, {sizes}, in {}", entry.database, lasting(made.duration_ms)),
        },
    );
    let bucket = made
        .objects
        .iter()
        .find(|object| object.role == Role::Dump)
        .map(|object| object.bucket.as_str());
    let keys: Vec<&str> = made.recipients.iter().map(|key| short(key)).collect();
    let throttled = made.throttled_ms.filter(|held| *held > 0);
    screen.facts(&[
        (
            "backup",
            format!("s3://{}/{}", bucket.unwrap_or_default(), entry.stem.as_deref().unwrap_or_default()),
        ),
        ("opens with", format!("the private key of {}", keys.join(", "))),
        (
            "held back",
            throttled.map(|held| format!("{} by rate_limit", lasting(held))).unwrap_or_default(),
        ),
    ]);
    warned(screen, &made.warnings);
}
