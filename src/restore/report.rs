//! What a drill leaves: JSON for machines, and one page of HTML that needs nothing but itself, for people.

mod options;
mod text;

pub(crate) use options::ReportedOptions;

use super::compare::{Comparison, CountPair, TableComparison};
use super::filter::{LeftOut, NotRestored};
use super::provenance::Origin;
use super::psql::ReportText;
use crate::envelope::manifest::Timestamp;
use crate::error::{Code, Error};
use crate::observe::output::visible;
use crate::process::confinement::ConfinementReport;
use serde::Serialize;
use text::{counted, escaped, filled, grouped, lasting, postgres, push, readable, sized, table_row};

/// Of what opens with the key: of a recipient's public key alone anybody makes such a set.
const UNSIGNED: &str = "not signed: that the key opens it does not say who made it";
const TEMPLATE: &str = include_str!("report.html");

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DrillOutcome {
    /// Restored, and equal to the inventory.
    Passed,
    /// It was not restored, or something differs.
    Failed,
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
    /// What stopped the drill, if something did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    /// `None` where the drill did not come so far.
    pub comparison: Option<Comparison>,
    /// Statements that did not pass, by kind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// What is not there, and why: no fault of the backup.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_restored: Vec<NotRestored>,
    pub warnings: Vec<ReportText>,
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

#[derive(Clone, Debug, Serialize)]
pub struct DrillPhase {
    /// Such as `start a PostgreSQL`, `restore the dump`, `count and compare`.
    pub name: String,
    pub duration_ms: u64,
    /// Of the dump, where it passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

impl DrillReport {
    pub const FORMAT: &str = "pgseal/1 drill";

    /// By what is known: passed only if nothing stopped it, a comparison was made, and it is equal.
    pub fn outcome(error: Option<&Error>, comparison: Option<&Comparison>) -> DrillOutcome {
        match (error, comparison) {
            (None, Some(comparison)) if comparison.is_equal() => DrillOutcome::Passed,
            _ => DrillOutcome::Failed,
        }
    }

    /// Of the report's files, without their endings: no two drills share one.
    pub(crate) fn name(&self) -> String {
        let started: String = self.started_at.to_string().chars().filter(char::is_ascii_alphanumeric).collect();
        format!("{}.drill-{started}", self.backup.stem)
    }

    /// 0 only if the backup restores to what its inventory says.
    pub(crate) fn exit(&self) -> u8 {
        match (&self.error, self.outcome) {
            (Some(error), _) => error.code.exit(),
            (None, DrillOutcome::Passed) => 0,
            (None, DrillOutcome::Failed) => Code::RestoreFailed.exit(),
        }
    }

    pub fn to_json(&self) -> String {
        // Every field is a text, number or list: this cannot fail.
        visible(&serde_json::to_string_pretty(self).unwrap_or_default()).into_owned()
    }

    pub fn to_html(&self) -> String {
        let passed = self.outcome == DrillOutcome::Passed;
        let parts = [
            ("database", escaped(&self.backup.database)),
            ("outcome", if passed { "passed" } else { "failed" }.to_owned()),
            ("verdict", self.verdict().to_owned()),
            ("sentence", self.sentence()),
            ("tiles", self.tiles()),
            ("failures", self.failures()),
            ("phases", self.phases()),
            ("tables", self.tables()),
            ("notes", self.notes()),
            ("facts", self.facts()),
        ];
        filled(TEMPLATE, &parts)
    }

    fn verdict(&self) -> &'static str {
        match (self.outcome, &self.comparison) {
            (DrillOutcome::Passed, _) if self.backup.partial => "This partial backup restores",
            (DrillOutcome::Passed, _) => "This backup restores",
            (DrillOutcome::Failed, Some(comparison)) if comparison.is_equal() => "Restored, and then the drill failed",
            (DrillOutcome::Failed, Some(_)) => "Restored, but not the same",
            (DrillOutcome::Failed, None) => "This backup did not restore",
        }
    }

    fn sentence(&self) -> String {
        let part = if self.backup.partial { "A part of " } else { "" };
        let database = format!("{part}<b>{}</b>", escaped(&self.backup.database));
        let dumped = escaped(&readable(&self.backup.dumped_at));
        match (self.outcome, &self.comparison) {
            (DrillOutcome::Passed, Some(comparison)) => format!(
                "{database} of {dumped} was opened, restored into a fresh PostgreSQL and counted: {} in {}, every one as the inventory says.",
                counted(comparison.rows.found, "row"),
                counted(comparison.tables.len() as u64, "table"),
            ),
            (_, Some(comparison)) if comparison.is_equal() => {
                format!("{database} of {dumped} was restored and is the same, but the drill did not come to its end.")
            }
            (_, Some(comparison)) => format!(
                "{database} of {dumped} was restored, and what came back differs from the inventory in {}.",
                counted(comparison.differences.len() as u64, "place")
            ),
            (_, None) => format!("{database} of {dumped} could not be brought back. Nothing was compared."),
        }
    }

    fn tiles(&self) -> String {
        let mut tiles = String::new();
        let mut tile = |value: String, name: &str, note: String| {
            let note = if note.is_empty() { note } else { format!("<small>{note}</small>") };
            push(&mut tiles, format_args!("<li><b>{value}</b><span>{name}</span>{note}</li>\n"));
        };
        if let Some(comparison) = &self.comparison {
            let held = |pair: CountPair| {
                if pair.expected == pair.found {
                    "as expected".to_owned()
                } else {
                    format!("{} expected", grouped(pair.expected))
                }
            };
            let equal = comparison.tables.iter().filter(|table| table.equal).count() as u64;
            let all = comparison.tables.len() as u64;
            let note = if equal == all {
                "all equal".to_owned()
            } else {
                format!("{} differ", grouped(all - equal))
            };
            tile(grouped(all), "tables", note);
            tile(grouped(comparison.rows.found), "rows", held(comparison.rows));
            if comparison.large_objects != CountPair::default() {
                tile(
                    grouped(comparison.large_objects.found),
                    "large objects",
                    held(comparison.large_objects),
                );
            }
            tile(
                sized(comparison.disk_bytes),
                "restored",
                format!("from {} sealed", sized(self.backup.sealed_bytes)),
            );
        } else {
            tile(
                sized(self.backup.plain_bytes),
                "dump",
                format!("{} sealed", sized(self.backup.sealed_bytes)),
            );
        }
        let longest = self.phases.iter().max_by_key(|phase| phase.duration_ms);
        let note = longest.map_or(String::new(), |phase| {
            format!("{}: {}", escaped(&phase.name), lasting(phase.duration_ms))
        });
        tile(lasting(self.duration_ms), "in all", note);
        tiles
    }

    fn failures(&self) -> String {
        let mut lines = String::new();
        if let Some(error) = &self.error {
            push(
                &mut lines,
                format_args!(
                    "<p><code>{}</code> {}</p><p class=\"hint\">{}</p>\n",
                    error.code.name(),
                    escaped(&error.message),
                    escaped(error.hint())
                ),
            );
        }
        let differences = self.comparison.iter().flat_map(|comparison| &comparison.differences);
        let items: String = differences
            .map(|difference| format!("<li>{}</li>\n", escaped(difference)))
            .collect();
        if !items.is_empty() {
            push(&mut lines, format_args!("<ul>{items}</ul>\n"));
        }
        if lines.is_empty() {
            return lines;
        }
        format!("<section class=\"failures\"><h2>What is wrong</h2>\n{lines}</section>")
    }

    /// Bars on one scale of time, each from where the one before ended.
    fn phases(&self) -> String {
        let all = self.phases.iter().map(|phase| phase.duration_ms).sum::<u64>().max(1) as f64;
        let mut begun = 0;
        let mut rows = String::new();
        for phase in &self.phases {
            let (from, width) = (begun as f64 / all * 100.0, phase.duration_ms as f64 / all * 100.0);
            begun += phase.duration_ms;
            let rate = phase.bytes.filter(|_| phase.duration_ms > 0).map_or(String::new(), |bytes| {
                format!("{} · {}/s", sized(bytes), sized(bytes * 1000 / phase.duration_ms))
            });
            push(
                &mut rows,
                format_args!(
                    "<tr><th scope=\"row\">{}</th><td class=\"bar\"><i style=\"margin-left:{from:.2}%;width:{width:.2}%\"></i></td><td class=\"number\">{}</td><td>{rate}</td></tr>\n",
                    escaped(&phase.name),
                    lasting(phase.duration_ms)
                ),
            );
        }
        rows
    }

    fn tables(&self) -> String {
        let Some(comparison) = &self.comparison else {
            return String::new();
        };
        let largest = comparison
            .tables
            .iter()
            .map(|table| table.dump_bytes)
            .max()
            .unwrap_or_default()
            .max(1);
        // What differs first, then the largest.
        let mut sorted: Vec<&TableComparison> = comparison.tables.iter().collect();
        sorted.sort_by_key(|table| (table.equal, std::cmp::Reverse(table.dump_bytes)));
        let rows: String = sorted.iter().map(|table| table_row(table, largest)).collect();
        format!(
            "<section><h2>Table by table</h2>\n<div class=\"scroll\"><table class=\"tables\"><thead><tr><th scope=\"col\">Table</th><th scope=\"col\" class=\"number\">Rows restored</th><th scope=\"col\" class=\"number\">Expected</th><th scope=\"col\" class=\"number extra\">In the dump</th><th scope=\"col\" class=\"extra\"><span class=\"hidden\">Share</span></th><th scope=\"col\" class=\"number extra\">On disk</th><th scope=\"col\">Result</th></tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n<p class=\"hint\">Also there: {}, {}, {}.</p></section>",
            counted(comparison.indexes, "index"),
            counted(comparison.constraints, "constraint"),
            counted(comparison.sequences, "sequence"),
        )
    }

    fn notes(&self) -> String {
        let notes = self.comparison.iter().flat_map(|comparison| &comparison.notes);
        let partial = self.backup.partial.then(|| {
            "This backup is partial: tables or schemas were chosen or left out, so that it does not give back the whole database."
                .to_owned()
        });
        let changes = self.changes();
        let texts = partial.iter().chain(notes).chain(&changes).map(String::as_str);
        let items: String = texts
            .chain(self.warnings.iter().map(ReportText::as_str))
            .map(|note| format!("<li>{}</li>\n", escaped(note)))
            .collect();
        if items.is_empty() {
            return items;
        }
        format!("<section><h2>Worth knowing</h2>\n<ul>{items}</ul></section>")
    }

    /// What is not in the restored database, in words.
    fn changes(&self) -> Vec<String> {
        let lost = self
            .not_restored
            .iter()
            .map(|lost| format!("Not restored: {}: {}", lost.what, lost.reason));
        lost.chain(self.left_out.iter().map(LeftOut::in_words)).collect()
    }

    fn facts(&self) -> String {
        let ReportedBackup { stem, run, origin, .. } = &self.backup;
        let signed_by = |pinned: bool| origin.signed_by.clone().filter(|_| origin.pinned == pinned).unwrap_or_default();
        let extensions = self.comparison.iter().flat_map(|comparison| &comparison.extensions);
        let extensions: Vec<String> = extensions
            .map(|extension| format!("{} {}", extension.name, extension.version))
            .collect();
        let facts = [
            ("Backup", stem.clone()),
            ("Run", run.clone()),
            (
                "Contents",
                if self.backup.partial { "a part of the database" } else { "" }.to_owned(),
            ),
            ("Source, SHA-256", self.backup.source.clone()),
            ("Manifest, SHA-256", self.backup.manifest_sha256.clone()),
            ("Opened by key", self.backup.key_fingerprint.clone()),
            ("Signed by the pinned signer", signed_by(true)),
            ("Signed by, not pinned", signed_by(false)),
            ("Origin", if origin.signed_by.is_none() { UNSIGNED } else { "" }.to_owned()),
            ("Written to", origin.written_to.clone().unwrap_or_default()),
            ("Compression", self.backup.compression.clone()),
            ("Source server", postgres(&self.backup.server_version)),
            ("Dumped by", format!("pg_dump {}", self.backup.pg_dump_version)),
            ("Sealed by", self.backup.program.clone()),
            ("Restored into", postgres(&self.restored.server_version)),
            ("Restored by", format!("psql {}", self.restored.psql_version)),
            (
                "Confined by",
                self.confinement.map_or(String::new(), |confinement| confinement.in_words()),
            ),
            ("Options", self.options.in_words()),
            ("Left out", self.without()),
            ("Extensions", extensions.join(", ")),
            (
                "Drill",
                format!(
                    "{} to {}",
                    readable(&self.started_at.to_string()),
                    readable(&self.finished_at.to_string())
                ),
            ),
            ("Reported by", self.program.clone()),
        ];
        let mut rows = String::new();
        for (name, value) in facts.iter().filter(|(_, value)| !value.trim().is_empty()) {
            push(&mut rows, format_args!("<dt>{name}</dt><dd>{}</dd>\n", escaped(value)));
        }
        rows
    }
}

#[cfg(test)]
mod tests;
