//! What a drill leaves: JSON for machines, and one page of HTML that needs nothing but itself, for people.

mod options;
mod page;
pub(super) mod text;

pub(crate) use options::ReportedOptions;

use super::analyze::StatisticsSummary;
use super::compare::Comparison;
use super::filter::{LeftOut, NotRestored};
use super::provenance::Origin;
use super::psql::ReportText;
use crate::envelope::manifest::Timestamp;
use crate::error::{Code, Error};
use crate::observe::output::visible;
use crate::process::confinement::ConfinementReport;
use serde::Serialize;
use std::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DrillOutcome {
    /// Restored, and equal to the inventory.
    Passed,
    /// It was not restored, or something differs.
    Failed,
    /// Something beside the backup stopped the drill: nothing is known of the backup.
    NotFinished,
}

/// A drill, from the backup's facts to the last count.
#[derive(Debug, Serialize)]
pub struct DrillReport {
    pub format: &'static str,
    pub outcome: DrillOutcome,
    pub program: String,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    pub duration_ms: u64,
    /// With what it was run.
    pub options: ReportedOptions,
    pub backup: ReportedBackup,
    pub restored: ReportedRestore,
    /// What kept the backup's code from the machine; `None` where no server was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confinement: Option<ConfinementReport>,
    pub phases: Vec<DrillPhase>,
    #[serde(skip)]
    pub under_way: Option<(&'static str, Instant)>,
    /// What stopped the drill, if something did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    /// What stopped the drill is of the place where it ran, such as a full disk.
    #[serde(skip)]
    pub is_of_the_place: bool,
    /// `None` where the drill did not come so far.
    pub comparison: Option<Comparison>,
    /// Statements that did not pass, by kind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// What is not there, and why: no fault of the backup.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_restored: Vec<NotRestored>,
    pub warnings: Vec<ReportText>,
    /// The planner's: of the backup, or made by ANALYZE; `None`: there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistics: Option<StatisticsSummary>,
    /// `None` where the rows did not come back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoveryTimes>,
}

/// What a restore takes, from opening the backup on, without the start of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RecoveryTimes {
    /// Up to the dump's last statement.
    pub restored_ms: u64,
    /// Up to the planner's statistics, with which queries are as fast as in the source: the measured recovery time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub useful_ms: Option<u64>,
}

/// The backup's identity: with these another person finds the same bytes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ReportedBackup {
    pub stem: String,
    pub run: String,
    pub database: String,
    pub manifest_sha256: String,
    /// Of the key that opened it.
    pub key_fingerprint: String,
    #[serde(flatten)]
    pub origin: Origin,
    /// The digest of the source, or `source unknown`.
    pub source: String,
    /// It is of a part of the database.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// When the dump was made, RFC 3339.
    pub dumped_at: String,
    pub plain_bytes: u64,
    pub sealed_bytes: u64,
    pub compression: String,
    pub server_version: String,
    pub pg_dump_version: String,
    /// That made it.
    pub program: String,
}

/// How it was restored.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ReportedRestore {
    pub server_version: String,
    pub psql_version: String,
    /// Statements that were left out on purpose, such as `owners`.
    pub without: Vec<String>,
}

pub(super) const OPEN: &str = "open and prove the backup";
pub(super) const START_SERVER: &str = "start a PostgreSQL";
pub(super) const RESTORE_ROLES: &str = "restore the roles";
pub(super) const RESTORE_DUMP: &str = "restore the dump";
pub(super) const ANALYZE: &str = "make the planner's statistics";
pub(super) const COMPARE: &str = "count and compare";

#[derive(Clone, Debug, Serialize)]
pub struct DrillPhase {
    /// One of those below.
    pub name: String,
    pub duration_ms: u64,
    /// The drill ended in it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub not_finished: bool,
    /// Of the dump, where it passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// Whether a failure says something of the backup. All others are of the way to it, of keys, or of who waits.
fn is_of_the_backup(code: Code) -> bool {
    matches!(code, Code::RestoreFailed | Code::Tampered | Code::DumpIncomplete)
}

impl DrillOutcome {
    /// In words, and as the class of the page's body.
    fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotFinished => "not finished",
        }
    }
}

impl DrillReport {
    pub const FORMAT: &str = "pgseal/1 drill";

    /// By what is known: passed only if nothing stopped it, a comparison was made, and it is equal.
    pub fn judge(&self) -> DrillOutcome {
        let is_equal = self.comparison.as_ref().map(Comparison::is_equal);
        match (&self.error, is_equal) {
            (None, Some(true)) => DrillOutcome::Passed,
            (Some(error), None | Some(true)) if self.is_of_the_place || !is_of_the_backup(error.code) => DrillOutcome::NotFinished,
            _ => DrillOutcome::Failed,
        }
    }

    /// Of the report's files, without their endings: no two drills share one.
    pub(crate) fn name(&self) -> String {
        let shape = time::macros::format_description!("[year][month][day]T[hour][minute][second][subsecond digits:3]Z");
        // Of a year that the shape cannot write there is none.
        let started = self.started_at.0.to_offset(time::UtcOffset::UTC).format(shape).unwrap_or_default();
        format!("{}.drill-{started}", self.backup.stem)
    }

    /// 0 only if the backup restores to what its inventory says.
    pub(crate) fn exit(&self) -> u8 {
        match (&self.error, self.outcome) {
            (Some(error), _) => error.code.exit(),
            (None, DrillOutcome::Passed) => 0,
            (None, _) => Code::RestoreFailed.exit(),
        }
    }

    pub(super) fn begin(&mut self, phase: &'static str) {
        self.under_way = Some((phase, Instant::now()));
    }

    /// With the bytes of the dump, where it passed.
    pub(super) fn end(&mut self, bytes: Option<u64>) {
        self.close(bytes, false);
    }

    /// Ends what is under way where the drill itself ended.
    pub(super) fn break_off(&mut self) {
        self.close(None, true);
    }

    fn close(&mut self, bytes: Option<u64>, not_finished: bool) {
        if let Some((name, begun)) = self.under_way.take() {
            self.phases.push(DrillPhase {
                name: name.to_owned(),
                duration_ms: begun.elapsed().as_millis() as u64,
                not_finished,
                bytes,
            });
        }
    }

    pub(super) fn recovery_times(&self) -> Option<RecoveryTimes> {
        self.phases.iter().find(|phase| phase.name == RESTORE_DUMP && !phase.not_finished)?;
        let of = |names: &[&str]| {
            let phases = self.phases.iter().filter(|phase| names.contains(&phase.name.as_str()));
            phases.map(|phase| phase.duration_ms).sum::<u64>()
        };
        let restored_ms = of(&[OPEN, RESTORE_ROLES, RESTORE_DUMP]);
        let useful_ms = self.statistics.as_ref().map(|_| restored_ms + of(&[ANALYZE]));
        Some(RecoveryTimes { restored_ms, useful_ms })
    }

    pub fn to_json(&self) -> String {
        // Every field is a text, number or list: this cannot fail.
        visible(&serde_json::to_string_pretty(self).unwrap_or_default()).into_owned()
    }
}

#[cfg(test)]
mod tests;
