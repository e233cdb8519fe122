//! The databases that an event means.

use super::{failed, warned};
use crate::backup::Route;
use crate::format::ToJson;
use crate::human::units::{counted, lasting, sized};
use crate::human::{Answer, Column, Mark, Screen, Table};
use crate::plan_events::{BackupPlan, PlannedBackup};

const COLUMNS: [Column; 5] = [
    Column::text("DATABASE", 0),
    Column::number("SQL, ABOUT", 0),
    Column::number("TIME, AT LEAST", 1),
    Column::text("LIMITED BY", 2),
    Column::text("RUNS AS", 3),
];

impl Answer for BackupPlan {
    fn json(&self) -> String {
        self.to_json()
    }

    fn draw(&self, screen: &mut Screen) {
        let mut table = Table::new(&COLUMNS);
        let has_groups = self.items().iter().any(|planned| self.items()[0].group != planned.group);
        let named = |planned: &PlannedBackup| match has_groups {
            true => format!("{} on {}", planned.name(), planned.group),
            false => planned.name().to_owned(),
        };
        for planned in self.items() {
            if let Some(estimate) = &planned.estimate {
                table.row([
                    named(planned),
                    sized(estimate.dump_bytes),
                    lasting(estimate.seconds.max(1) * 1000),
                    estimate.limited_by.to_owned(),
                    match planned.route {
                        Some(Route::Ecs) => "task".to_owned(),
                        _ => "function or task".to_owned(),
                    },
                ]);
            }
        }
        if !table.is_empty() {
            screen.table(&table);
        }
        for planned in self.items() {
            if let Some(error) = &planned.error {
                failed(screen, &named(planned), error);
            }
            if let Some(reason) = &planned.reason {
                screen.mark(Mark::Skipped, format!("{}: skipped: {reason}", named(planned)));
            }
        }
        if let Some(files) = &self.files {
            screen.mark(
                Mark::Good,
                format!(
                    "{} of {} planned",
                    counted(files.databases as u64, "database"),
                    counted(files.groups as u64, "server")
                ),
            );
            screen.facts(&[("index", format!("s3://{}/{}", files.index.bucket, files.index.key))]);
        }
        if let Some(error) = &self.error {
            failed(screen, "", error);
        }
        warned(screen, &self.warnings);
        if !table.is_empty() {
            screen.blank();
            screen.line("With --json each of them is an event of its own.");
        }
    }
}
