//! The databases that an event means.

use super::{failed, warned};
use crate::format::ToJson;
use crate::human::units::{lasting, sized};
use crate::human::{Answer, Column, Mark, Screen, Table};
use crate::plan_events::BackupPlan;

const COLUMNS: [Column; 4] = [
    Column::text("DATABASE", 0),
    Column::number("SQL, ABOUT", 0),
    Column::number("TIME, AT LEAST", 1),
    Column::text("LIMITED BY", 2),
];

impl Answer for BackupPlan {
    fn json(&self) -> String {
        self.to_json()
    }

    fn draw(&self, screen: &mut Screen) {
        let mut table = Table::new(&COLUMNS);
        for planned in &self.backups {
            if let Some(estimate) = &planned.estimate {
                table.row([
                    planned.database.clone(),
                    sized(estimate.dump_bytes),
                    lasting(estimate.seconds.max(1) * 1000),
                    estimate.limited_by.to_owned(),
                ]);
            }
        }
        if !table.is_empty() {
            screen.table(&table);
        }
        for planned in &self.backups {
            if let Some(error) = &planned.error {
                failed(screen, &planned.database, error);
            }
            if let Some(reason) = planned.reason {
                screen.mark(Mark::Skipped, format!("{}: skipped: {reason}", planned.database));
            }
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
