//! Steps of a restore into a database, which a drill takes as well.

use super::dump_sink::DumpSessions;
use super::filter::{Filter, FilterChanges, FilterOptions, Filtered, UnfinishedChanges};
use super::globals::{self, GlobalsOptions};
use super::mask::{MaskRules, MaskStage, MaskedTable};
use super::psql::trial_reports::TrialReports;
use super::psql::{PsqlMode, PsqlTarget, ReportText};
use super::target_database;
use super::unsealed::UnsealedBackup;
use crate::cancel::Cancel;
use crate::envelope::manifest::Role;
use crate::error::{Code, Error, Result};
use crate::format::dump_statement::shown;
use crate::format::inventory::Inventory;
use crate::observe::progress::Progress;
use crate::pipeline::{BufferSink, DumpStats, Stage};

/// A misspelt wish would leave nothing out, without a word.
pub(super) fn unknown_extensions(filter: &FilterOptions, contents: &Inventory) -> Option<String> {
    let known: Vec<&[u8]> = contents.extensions.iter().map(|extension| extension.name.as_bytes()).collect();
    let unknown = filter.exclude_extensions.iter().filter(|name| !known.contains(&name.as_slice()));
    let names: Vec<String> = unknown.map(|name| shown(name)).collect();
    (!names.is_empty()).then(|| {
        format!(
            "the backup has no extension of the name {}, which was to be left out",
            names.join(", ")
        )
    })
}

pub(super) async fn server_major(access: &PsqlTarget, cancel: &Cancel) -> Result<u32> {
    let (access, cancel) = (access.clone(), cancel.clone());
    let number = blocking(move || access.query("SHOW server_version_num", &cancel)).await?;
    let unreadable = || Error::new(Code::RestoreFailed, "the server does not say its version");
    number.trim().parse::<u32>().map(|number| number / 10_000).map_err(|_| unreadable())
}

/// The roles of the backup, but for those that exist already; errors are only told.
pub(super) async fn globals(
    opened: &UnsealedBackup<'_>,
    access: &PsqlTarget,
    drill: bool,
    workers: usize,
    cancel: &Cancel,
) -> Result<(FilterChanges, Vec<ReportText>)> {
    let progress = Progress::new(0);
    let (_, sql) = opened
        .fetch_object(Role::Globals, workers, || Ok(BufferSink::default()), &progress, cancel)
        .await?;
    let (target, stop) = (access.clone(), cancel.clone());
    blocking(move || {
        let existing = target_database::existing_globals(&target, &stop)?;
        let planned = globals::plan(&sql, &GlobalsOptions { drill, ..existing })?;
        Ok((planned.changes, run_statements(&planned.sql, &target, None, &stop)?))
    })
    .await
}

/// Runs checked statements, such as those that a [`Filter`] kept aside; gives what was said of those that failed.
pub(super) fn run_statements(
    statements: &[u8],
    target: &PsqlTarget,
    tried: Option<&TrialReports>,
    cancel: &Cancel,
) -> Result<Vec<ReportText>> {
    let manner = PsqlMode {
        single_transaction: false,
        stop_at_errors: false,
        answers: false,
    };
    let mut psql = target.restore(manner, cancel)?;
    if let Some(tried) = tried {
        psql = psql.telling(tried);
    }
    psql.put(statements)?;
    psql.finish()
}

/// How a dump goes into a database.
pub(super) struct DumpOptions {
    pub filter: FilterOptions,
    pub mask: Option<MaskRules>,
    pub sessions: DumpSessions,
    pub workers: usize,
}

/// What was counted, what was masked, and what became of the rest.
pub(super) type DumpOutcome = (DumpStats, (Vec<MaskedTable>, Filtered<Vec<ReportText>>));

pub(super) async fn dump(
    opened: &UnsealedBackup<'_>,
    access: &PsqlTarget,
    options: DumpOptions,
    progress: &std::sync::Arc<Progress>,
    cancel: &Cancel,
) -> Result<DumpOutcome> {
    let (target, stop, workers) = (access.clone(), cancel.clone(), options.workers);
    let unfinished = UnfinishedChanges::default();
    let recorded = unfinished.clone();
    let sink = move || {
        let psql = options.sessions.start(&target, None, &stop)?;
        let filter = Filter::new(options.filter, psql).recording(&recorded);
        Ok(MaskStage::new(options.mask, filter))
    };
    let brought = opened.fetch_object(Role::Dump, workers, sink, progress, cancel).await;
    brought.map_err(|error| unfinished.take_changes().likely_cause(error))
}

/// psql is waited for on a thread that may wait.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::new(Code::Bug, format!("a thread ended: {error}"))))
}
