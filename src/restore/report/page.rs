//! The page of a drill: one file of HTML that needs nothing but itself.

use super::text::{counted, escaped, filled, grouped, lasting, postgres, push, readable, sized, table_row};
use super::{DrillOutcome, DrillReport, RecoveryTimes, ReportedBackup};
use crate::restore::compare::{CountPair, TableComparison};
use crate::restore::filter::LeftOut;
use crate::restore::psql::ReportText;

/// Of what opens with the key: of a recipient's public key alone anybody makes such a set.
pub(super) const UNSIGNED: &str = "not signed: that the key opens it does not say who made it";
const TEMPLATE: &str = include_str!("../report.html");

impl DrillReport {
    pub fn to_html(&self) -> String {
        let parts = [
            ("database", escaped(&self.backup.database)),
            ("outcome", self.outcome.name().to_owned()),
            ("class", self.outcome.name().replace(' ', "-")),
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
            (DrillOutcome::NotFinished, _) => "This drill did not finish",
            (DrillOutcome::Failed, Some(comparison)) if comparison.is_equal() => "Restored, and then the drill failed",
            (DrillOutcome::Failed, Some(_)) => "Restored, but not the same",
            (DrillOutcome::Failed, None) => "This backup did not restore",
        }
    }

    fn sentence(&self) -> String {
        let part = if self.backup.partial { "A part of " } else { "" };
        // Before it was opened only its name is known.
        if self.backup.dumped_at.is_empty() {
            let stem = escaped(&self.backup.stem);
            return match self.outcome {
                DrillOutcome::NotFinished => {
                    format!("<b>{stem}</b> was not opened: nothing is known of it. Correct what the error names, then run the drill again.")
                }
                _ => format!("<b>{stem}</b> could not be opened. Nothing was restored."),
            };
        }
        let database = format!("{part}<b>{}</b>", escaped(&self.backup.database));
        let dumped = escaped(&readable(&self.backup.dumped_at));
        match (self.outcome, &self.comparison) {
            (DrillOutcome::Passed, Some(comparison)) => format!(
                "{database} of {dumped} was opened, restored into a fresh PostgreSQL and counted: {} in {}, every one as the inventory says.",
                counted(comparison.rows.found, "row"),
                counted(comparison.tables.len() as u64, "table"),
            ),
            (DrillOutcome::NotFinished, None) => {
                format!(
                    "{database} of {dumped} was not restored to its end: this says nothing about the backup. Correct what the error names, then run the drill again."
                )
            }
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
        if let Some(RecoveryTimes { restored_ms, useful_ms }) = self.recovery {
            tile(lasting(restored_ms), "restored in", "opened, decrypted and restored".to_owned());
            let of_backup = self.statistics.as_ref().is_some_and(|statistics| statistics.from == "backup");
            let note = if of_backup {
                "with the backup's statistics"
            } else {
                "after ANALYZE"
            };
            if let Some(time) = useful_ms {
                tile(lasting(time), "useful in", note.to_owned());
            }
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
        let heading = match self.outcome {
            DrillOutcome::NotFinished => "What stopped it",
            _ => "What is wrong",
        };
        format!("<section class=\"failures\"><h2>{heading}</h2>\n{lines}</section>")
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
            let rate = if phase.not_finished {
                "the drill ended here".to_owned()
            } else {
                rate
            };
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
            "<section><h2>Table by table</h2>\n<div class=\"scroll\" tabindex=\"0\"><table class=\"tables\"><thead><tr><th scope=\"col\">Table</th><th scope=\"col\" class=\"number\">Rows restored</th><th scope=\"col\" class=\"number extra\">Expected</th><th scope=\"col\" class=\"number extra\">In the dump</th><th scope=\"col\" class=\"share extra\"><span class=\"hidden\">Share</span></th><th scope=\"col\" class=\"number extra\">On disk</th><th scope=\"col\">Result</th></tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n<p class=\"hint\">Also there: {}, {}, {}.</p></section>",
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
