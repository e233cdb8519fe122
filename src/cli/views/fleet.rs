//! What came of a fleet's backups of one time, and how it is now.

use super::failed;
use crate::fleet::FleetSummary;
use crate::format::ToJson;
use crate::human::units::{counted, grouped, lasting, sized};
use crate::human::{Answer, Column, Mark, Screen, Table};
use crate::restore::fleet_status::FleetStatus;

impl Answer for FleetSummary {
    fn json(&self) -> String {
        self.to_json()
    }

    fn draw(&self, screen: &mut Screen) {
        for failure in &self.failures {
            let code = failure.code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default();
            let database = failure.database.as_deref().unwrap_or("could not be asked for its databases");
            screen.mark(Mark::Bad, format!("{}: {database}{code}", failure.group));
        }
        if self.failed > self.failures.len() {
            screen.line(format!("  and {} more", self.failed - self.failures.len()));
        }
        if let Some(time) = &self.scheduled_time {
            screen.line(format!(
                "{time}: {} of {} complete",
                self.complete,
                counted(self.databases as u64, "database")
            ));
        }
        if let Some(error) = &self.error {
            failed(screen, "", error);
        }
    }
}

const COLUMNS: [Column; 6] = [
    Column::text("DATABASE", 0),
    Column::text("SERVER", 1),
    Column::number("AGE", 0),
    Column::number("SIZE", 3),
    Column::number("ROWS", 4),
    Column::text("LAST DRILL", 2),
];

impl Answer for FleetStatus {
    fn json(&self) -> String {
        self.to_json()
    }

    fn draw(&self, screen: &mut Screen) {
        let mut table = Table::new(&COLUMNS);
        for status in &self.databases {
            let newest = status.newest.as_ref();
            let cell = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            table.row([
                status.database.clone(),
                self.server(status),
                cell(newest.map(|newest| lasting(newest.age_seconds.max(0) as u64 * 1000))),
                cell(newest.map(|newest| sized(newest.bytes))),
                cell(newest.map(|newest| grouped(newest.rows))),
                cell(status.drill.as_ref().map(|drill| drill.outcome.replace('_', " "))),
            ]);
        }
        if !table.is_empty() {
            screen.table(&table);
            screen.blank();
        }
        for status in self.databases.iter().filter(|status| !status.missing.is_empty()) {
            let server = match self.server(status) {
                server if server.is_empty() => server,
                server => format!(" on {server}"),
            };
            screen.mark(Mark::Bad, format!("{}{server}: {}", status.database, status.missing.join("; ")));
        }
        match &self.error {
            Some(error) => failed(screen, "", error),
            None => screen.mark(
                Mark::Good,
                format!("{}, nothing is missing", counted(self.databases.len() as u64, "database")),
            ),
        }
    }
}
