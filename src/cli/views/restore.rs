//! What came back, and who opens a backup from now on.

use super::{signed, warned};
use crate::format::ToJson;
use crate::human::units::{counted, lasting, short, sized};
use crate::human::{Answer, Mark, Screen};
use crate::restore::analyze::StatisticsSummary;
use crate::restore::compare::{Comparison, Contents};
use crate::restore::rewrap::RewrapSummary;
use crate::restore::summary::RestoreSummary;

impl Answer for RestoreSummary {
    fn json(&self) -> String {
        self.to_json()
    }

    fn draw(&self, screen: &mut Screen) {
        let part = if self.partial { "a part of the database, " } else { "" };
        screen.mark(
            Mark::Good,
            format!(
                "restored {}: {part}{} in {}, {} of SQL, in {}",
                self.stem,
                counted(self.rows, "row"),
                counted(self.tables, "table"),
                sized(self.bytes),
                lasting(self.duration_ms)
            ),
        );
        screen.facts(&[
            ("into", self.to.clone()),
            ("signed by", signed(&self.origin)),
            (
                "statistics",
                self.statistics.as_ref().map(StatisticsSummary::in_words).unwrap_or_default(),
            ),
        ]);
        if let Some(comparison) = &self.comparison {
            draw_comparison(screen, comparison);
        }
        for table in &self.masked {
            let columns: Vec<String> = table
                .columns
                .iter()
                .map(|column| format!("{} ({})", column.column, column.mask))
                .collect();
            let rows = counted(table.rows, "row");
            screen.mark(Mark::Good, format!("masked {}: {} in {rows}", table.table, columns.join(", ")));
        }
        for left_out in &self.left_out {
            screen.mark(Mark::Skipped, format!("left out: {}", left_out.in_words()));
        }
        warned(screen, &self.warnings);
    }
}

/// Of one without differences: with others there is no answer.
fn draw_comparison(screen: &mut Screen, comparison: &Comparison) {
    let all = comparison.tables.len();
    let equal = comparison.tables.iter().filter(|table| table.contents == Contents::Equal).count();
    let words = match all - equal {
        0 => format!(
            "compared {} with the backup, value by value: all equal",
            counted(all as u64, "table")
        ),
        others => format!(
            "compared {equal} of {} with the backup, value by value: equal; of {others} the rows were counted",
            counted(all as u64, "table")
        ),
    };
    screen.mark(if all == equal { Mark::Good } else { Mark::Warning }, words);
    comparison.notes.iter().for_each(|note| screen.mark(Mark::Warning, note));
}

impl Answer for RewrapSummary {
    fn json(&self) -> String {
        self.to_json()
    }

    fn draw(&self, screen: &mut Screen) {
        let keys: Vec<&str> = self.recipients.iter().map(|key| short(key)).collect();
        screen.mark(
            Mark::Good,
            format!("{}: opens with the private key of {} from now on", self.stem, keys.join(", ")),
        );
        screen.facts(&[
            ("manifest", format!("{} (revision {})", self.manifest, self.generation)),
            ("written", self.written.join(", ")),
        ]);
        warned(screen, &self.warnings);
    }
}
