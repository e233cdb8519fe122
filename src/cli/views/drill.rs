//! What a drill found; the page that it leaves has it all.

use super::{failed, warned};
use crate::human::units::{counted, lasting};
use crate::human::{Answer, Mark, Screen};
use crate::restore::report::{DrillOutcome, DrillReport};

/// More stand in the report.
const SHOWN: usize = 10;

pub(in crate::cli) struct DrillAnswer {
    pub report: DrillReport,
    /// Where the page is, if it could be kept.
    pub page: Option<String>,
}

impl Answer for DrillAnswer {
    fn json(&self) -> String {
        self.report.to_json()
    }

    fn draw(&self, screen: &mut Screen) {
        self.report.draw(screen);
        if let Some(page) = &self.page {
            screen.blank();
            screen.line(format!("Report: {page}"));
        }
    }
}

impl DrillReport {
    fn draw(&self, screen: &mut Screen) {
        let stem = &self.backup.stem;
        if let Some(error) = &self.error {
            failed(screen, stem, error);
        }
        if self.outcome == DrillOutcome::NotFinished {
            screen.mark(Mark::Warning, "the drill did not finish: it says nothing about the backup");
        }
        if let Some(comparison) = &self.comparison {
            let found = format!(
                "{} in {}",
                counted(comparison.rows.found, "row"),
                counted(comparison.tables.len() as u64, "table")
            );
            match self.outcome {
                DrillOutcome::Passed => screen.mark(Mark::Good, format!("{stem} restores: {found}, all as the inventory says")),
                DrillOutcome::Failed | DrillOutcome::NotFinished => {
                    screen.mark(Mark::Bad, format!("{stem}: {found} were restored, and something differs"))
                }
            }
            for difference in comparison.differences.iter().take(SHOWN) {
                screen.mark(Mark::Bad, difference);
            }
            if comparison.differences.len() > SHOWN {
                screen.line(format!("  and {} more", comparison.differences.len() - SHOWN));
            }
        }
        let recovery = self.recovery;
        screen.facts(&[
            ("took", lasting(self.duration_ms)),
            ("restored in", recovery.map(|times| lasting(times.restored_ms)).unwrap_or_default()),
            (
                "useful in",
                recovery.and_then(|times| times.useful_ms).map(lasting).unwrap_or_default(),
            ),
            ("server", self.restored.server_version.clone()),
            ("confined by", self.confinement.map(|held| held.in_words()).unwrap_or_default()),
        ]);
        for left_out in &self.left_out {
            screen.mark(Mark::Skipped, format!("left out: {}", left_out.in_words()));
        }
        for gone in self.not_restored.iter().take(SHOWN) {
            screen.mark(Mark::Skipped, format!("not restored: {}: {}", gone.what, gone.reason));
        }
        if self.not_restored.len() > SHOWN {
            screen.line(format!("  and {} more", self.not_restored.len() - SHOWN));
        }
        warned(screen, &self.warnings);
    }
}
