//! Steps of a restore into a database, which a drill takes as well.

use super::empty;
use super::filter::{Changes, Filter, FilterOptions, Filtered, Unfinished};
use super::globals::{self, GlobalsOptions};
use super::opened::Opened;
use super::psql::{Access, Manner};
use crate::cancel::Cancel;
use crate::envelope::contents::Contents;
use crate::envelope::manifest::Role;
use crate::error::{Code, Error, Result};
use crate::format::table_name::TableName;
use crate::observe::progress::Progress;
use crate::pipeline::{Counted, Memory, Stage};
use std::collections::BTreeSet;

/// `pg_dump --table` writes no schema: those of the chosen tables are made, unless they are there.
pub(super) async fn schemas_of_tables(contents: &Contents, access: &Access, cancel: &Cancel) -> Result<Vec<String>> {
    if contents.selection.as_ref().is_none_or(|selection| selection.tables.is_empty()) {
        return Ok(Vec::new());
    }
    let names = contents.tables.iter().filter_map(|table| TableName::parse(&table.name));
    let schemas: BTreeSet<Vec<u8>> = names
        .filter_map(|name| (name.parts().count() == 2).then(|| name.parts().next().map(<[u8]>::to_vec))?)
        .collect();
    let (target, stop) = (access.clone(), cancel.clone());
    blocking(move || empty::make_schemas(&schemas, &target, &stop)).await
}

pub(super) async fn server_major(access: &Access, cancel: &Cancel) -> Result<u32> {
    let (access, cancel) = (access.clone(), cancel.clone());
    let number = blocking(move || access.look("SHOW server_version_num", &cancel)).await?;
    let unreadable = || Error::new(Code::RestoreFailed, "the server does not say its version");
    number.trim().parse::<u32>().map(|number| number / 10_000).map_err(|_| unreadable())
}

/// The roles of the backup, but for those that exist already; errors are only told.
pub(super) async fn globals(
    opened: &Opened<'_>,
    access: &Access,
    drill: bool,
    workers: usize,
    cancel: &Cancel,
) -> Result<(Changes, Vec<String>)> {
    let progress = Progress::new(0);
    let (_, sql) = opened
        .bring(Role::Globals, workers, || Ok(Memory::default()), &progress, cancel)
        .await?;
    let (target, stop) = (access.clone(), cancel.clone());
    blocking(move || {
        let existing = empty::existing_globals(&target, &stop)?;
        let planned = globals::plan(&sql, &GlobalsOptions { drill, ..existing })?;
        Ok((planned.changes, run(&planned.sql, &target, &stop)?))
    })
    .await
}

/// Runs checked statements, such as those that a [`Filter`] kept aside; gives what was said of those that failed.
pub(super) fn run(statements: &[u8], target: &Access, cancel: &Cancel) -> Result<Vec<String>> {
    let manner = Manner {
        single_transaction: false,
        stop_at_errors: false,
    };
    let mut psql = target.restore(manner, cancel)?;
    psql.put(statements)?;
    psql.finish()
}

pub(super) async fn dump(
    opened: &Opened<'_>,
    access: &Access,
    options: FilterOptions,
    single_transaction: bool,
    workers: usize,
    progress: &std::sync::Arc<Progress>,
    cancel: &Cancel,
) -> Result<(Counted, Filtered<Vec<String>>)> {
    let (target, stop) = (access.clone(), cancel.clone());
    let unfinished = Unfinished::default();
    let recorded = unfinished.clone();
    let sink = move || {
        let psql = target.restore(Manner::all(single_transaction), &stop)?;
        Ok(Filter::new(options, psql).recording(&recorded))
    };
    let brought = opened.bring(Role::Dump, workers, sink, progress, cancel).await;
    brought.map_err(|error| unfinished.take().likely_cause(error))
}

/// psql is waited for on a thread that may wait.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::new(Code::Bug, format!("a thread ended: {error}"))))
}
