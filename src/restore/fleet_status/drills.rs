//! What drills say of backups, by the reports that they leave.

use crate::error::Result;
use crate::format::object_names::is_report;
use crate::restore::find::ends_the_search;
use crate::restore::list::folder::AHEAD;
use crate::restore::list::tree::{AT_ONCE, Folder};
use crate::store::Location;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A report is a page of JSON, and longer only if much differs.
const MAX_REPORT: u64 = 16 << 20;

/// A drill of one backup.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DrillStatus {
    /// `passed`, `failed` or `not_finished`.
    pub outcome: String,
    pub finished_at: String,
    #[serde(skip)]
    pub finished: OffsetDateTime,
    pub report: String,
}

impl DrillStatus {
    /// Why somebody should look.
    pub(super) fn failure(&self) -> Option<String> {
        let outcome = match self.outcome.as_str() {
            "passed" => return None,
            "not_finished" => "did not finish",
            // Of a report by another hand, too.
            _ => "failed",
        };
        Some(format!("its last drill {outcome}: see {}", self.report))
    }
}

fn stem_in(name: &str) -> &str {
    name.rsplit_once(".drill-").map_or(name, |(stem, _)| stem)
}

#[derive(Deserialize)]
struct Report {
    outcome: String,
    finished_at: String,
    backup: ReportedRun,
}

#[derive(Deserialize)]
struct ReportedRun {
    /// Of a report by a version before 0.2 or of another hand: then the name of its file counts.
    #[serde(default)]
    stem: String,
    #[serde(default)]
    run: String,
}

/// The newest drill of each backup, by its stem and run: a stem may be that of another server's backup, too. A report is not
/// signed: it is worth as much as the right to write where it is.
#[derive(Default)]
pub(super) struct Drills {
    found: HashMap<(String, String), DrillStatus>,
    /// By the stem in their names: reports that may not be read, and why.
    unread: HashMap<String, String>,
}

impl Drills {
    pub(super) fn of(&self, stem: &str, run: &str) -> Option<&DrillStatus> {
        self.found.get(&(stem.to_owned(), run.to_owned()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty() && self.unread.is_empty()
    }

    pub(super) fn unread(&self, stem: &str) -> Option<String> {
        self.unread.get(stem).cloned()
    }

    /// Those whose reports are in this folder. What is no report, by its size or its words, or says that it is of a time to
    /// come, is nobody's result.
    pub(super) async fn add(&mut self, folder: &Folder) -> Result<()> {
        let reports = folder.listed.iter().filter(|object| object.size <= MAX_REPORT);
        let reports = reports.map(|object| object.name.as_str());
        let reports = reports.filter(|name| is_report(name) && name.ends_with(".json"));
        let reading = reports.map(|name| async move { (name, folder.archive.read(name, MAX_REPORT).await) });
        let mut reading = stream::iter(reading).buffered(AT_ONCE);
        while let Some((name, read)) = reading.next().await {
            match read {
                Ok(read) => {
                    if let Ok(report) = serde_json::from_slice::<Report>(&read) {
                        self.see(name, report, &folder.location);
                    }
                }
                Err(error) if ends_the_search(error.code) => return Err(error),
                Err(error) => {
                    let message = format!("the report {name} of a drill cannot be read ({})", error.code.name());
                    self.unread.insert(stem_in(name).to_owned(), message);
                }
            }
        }
        Ok(())
    }

    fn see(&mut self, name: &str, report: Report, place: &Location) {
        let time = OffsetDateTime::parse(&report.finished_at, &Rfc3339);
        let Some(finished) = time.ok().filter(|time| *time <= OffsetDateTime::now_utc() + AHEAD) else {
            return;
        };
        let stem = if report.backup.stem.is_empty() {
            stem_in(name)
        } else {
            &report.backup.stem
        };
        let key = (stem.to_owned(), report.backup.run);
        if self.found.get(&key).is_none_or(|known| known.finished < finished) {
            let status = DrillStatus {
                finished,
                outcome: report.outcome,
                finished_at: report.finished_at,
                report: place.join(name).to_string(),
            };
            self.found.insert(key, status);
        }
    }
}
