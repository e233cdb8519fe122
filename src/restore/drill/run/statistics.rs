//! The planner's statistics, without which a restored database is there and of little use.

use super::{DATABASE, DrillRun, DrillServer, blocking};
use crate::error::{Code, Result};
use crate::restore::analyze::{StatisticsSummary, analyze};
use crate::restore::filter::FilterChanges;
use crate::restore::psql::ReportText;
use crate::restore::report;

impl DrillRun<'_> {
    /// Those of the backup, or what ANALYZE makes: a phase of its own. That it fails says nothing of the backup.
    pub(super) async fn make_statistics(&mut self, there: &DrillServer, changes: &FilterChanges) -> Result<()> {
        if changes.brings_statistics() {
            self.report.statistics = Some(StatisticsSummary::of_backup());
            return Ok(());
        }
        self.report.begin(report::ANALYZE);
        // By the owner of the database: code that stands in indexes runs.
        let (target, back, stop) = (
            there.restorer.clone().after_load(),
            there.server.settings_back(DATABASE),
            self.cancel.clone(),
        );
        let analyzing = move || {
            back(&stop)?;
            analyze(&target, None, &stop)
        };
        match blocking(analyzing).await {
            Ok(made) => {
                self.report.warnings.extend(made.warning().map(ReportText::ours));
                self.report.statistics = Some(made);
            }
            Err(error) if matches!(error.code, Code::Terminated | Code::Deadline) => return Err(error),
            Err(_) => self.report.warnings.push("ANALYZE did not come to its end".into()),
        }
        self.report.end(None);
        Ok(())
    }
}
