//! A backup that was never restored is a hope. A drill restores it into a throw-away server, counts, and leaves a report.

mod full_disk;
mod run;

use super::filter::FilterOptions;
use super::find::ChosenBackup;
use super::report::{self, DrillReport};
use super::unsealed::UnsealedBackup;
use crate::cancel::Cancel;
use crate::envelope::manifest::Timestamp;
use crate::envelope::private_key::PrivateKey;
use crate::envelope::signature::Verifier;
use crate::error::Code;
use std::path::PathBuf;
use std::time::Instant;
use time::OffsetDateTime;

pub(crate) struct DrillOptions<'a> {
    /// Given away: it is gone from memory before any other process is started.
    pub key: PrivateKey,
    pub signer: Option<&'a Verifier>,
    /// Goes on where nothing confines what the backup's code does.
    pub unconfined: bool,
    /// What is to be left out of the dump.
    pub filter: FilterOptions,
    pub workers: usize,
    pub jobs: usize,
    /// Folders to look for PostgreSQL in, before the usual ones.
    pub client_folders: Vec<PathBuf>,
    pub path: Option<String>,
}

/// Never fails without a report: what stopped it stands there.
pub(crate) async fn drill(backup: &ChosenBackup, ask: DrillOptions<'_>, cancel: &Cancel) -> DrillReport {
    let (started, begun) = (OffsetDateTime::now_utc(), Instant::now());
    let mut report = DrillReport {
        format: DrillReport::FORMAT,
        outcome: report::DrillOutcome::Failed,
        program: format!("pgseal {}", env!("CARGO_PKG_VERSION")),
        started_at: Timestamp(started),
        finished_at: Timestamp(started),
        duration_ms: 0,
        options: report::ReportedOptions::new(&ask.filter, ask.unconfined),
        backup: report::ReportedBackup {
            stem: backup.stem.clone(),
            key_fingerprint: ask.key.fingerprint().to_owned(),
            ..report::ReportedBackup::default()
        },
        restored: report::ReportedRestore::default(),
        confinement: None,
        phases: Vec::new(),
        under_way: None,
        is_of_the_place: false,
        error: None,
        comparison: None,
        left_out: Vec::new(),
        not_restored: Vec::new(),
        warnings: Vec::new(),
        statistics: None,
        recovery: None,
    };
    match run::run(backup, ask, &mut report, cancel).await {
        Ok(comparison) => report.comparison = Some(comparison),
        Err(error) if error.code == Code::Terminated => {
            report.error = Some(error.or_advise("Stopped by a signal: nothing is known of the backup. Run the drill again."));
        }
        Err(error) => report.error = Some(error),
    }
    report.break_off();
    report.outcome = report.judge();
    report.recovery = report.recovery_times();
    report.finished_at = Timestamp(OffsetDateTime::now_utc());
    report.duration_ms = begun.elapsed().as_millis() as u64;
    report
}

impl DrillReport {
    /// Which backup it is of.
    fn describe(&mut self, opened: &UnsealedBackup<'_>) {
        let manifest = &opened.manifest;
        self.backup = report::ReportedBackup {
            run: manifest.run.clone(),
            database: manifest.database.clone(),
            manifest_sha256: opened.manifest_sha256.to_string(),
            origin: opened.origin.clone(),
            source: manifest.source_text(),
            partial: manifest.is_partial(),
            dumped_at: manifest.started_at.to_string(),
            plain_bytes: manifest.plain_bytes,
            sealed_bytes: manifest.objects.iter().map(|object| object.size).sum(),
            compression: manifest.compression.clone(),
            server_version: manifest.server_version.clone(),
            pg_dump_version: manifest.pg_dump_version.clone(),
            program: manifest.program.clone(),
            ..std::mem::take(&mut self.backup)
        };
    }
}
