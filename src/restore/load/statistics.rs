//! The planner's statistics of a restored database: without them its first queries may take hours instead of seconds.

use super::{Load, blocking};
use crate::error::{Code, Result};
use crate::format::table_name::TableName;
use crate::restore::analyze::{StatisticsSummary, analyze};
use crate::restore::filter::FilterChanges;
use crate::restore::psql::PsqlTarget;
use std::collections::BTreeSet;

pub(super) enum WantedStatistics {
    No,
    /// They came with the rows.
    Brought,
    /// Of all tables, or of those that the backup holds where others are there as well.
    Make(Option<BTreeSet<TableName>>),
}

impl Load<'_> {
    pub(super) fn wanted_statistics(&self, changes: &FilterChanges, is_part: bool) -> WantedStatistics {
        match changes.brings_statistics() {
            true => WantedStatistics::Brought,
            false if !self.ask.analyze => WantedStatistics::No,
            false => WantedStatistics::Make(is_part.then(|| changes.tables_made.clone())),
        }
    }

    /// What fails here takes nothing away from the restore.
    pub(super) async fn make_statistics(
        &self,
        wanted: WantedStatistics,
        access: &PsqlTarget,
        warnings: &mut Vec<String>,
    ) -> Result<Option<StatisticsSummary>> {
        let only = match wanted {
            WantedStatistics::No => return Ok(None),
            WantedStatistics::Brought => return Ok(Some(StatisticsSummary::of_backup())),
            WantedStatistics::Make(only) => only,
        };
        tracing::info!("{}: the rows are in; ANALYZE makes the planner's statistics", self.backup.stem);
        let (target, cancel) = (access.clone(), self.cancel.clone());
        match blocking(move || analyze(&target, only.as_ref(), &cancel)).await {
            Ok(made) => {
                warnings.extend(made.warning());
                Ok(Some(made))
            }
            Err(error) if matches!(error.code, Code::Terminated | Code::Deadline) => Err(error),
            Err(error) => {
                let warning = format!("the planner's statistics were not made: {}: run ANALYZE", error.message);
                tracing::warn!("{warning}");
                warnings.push(warning);
                Ok(None)
            }
        }
    }
}
