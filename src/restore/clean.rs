//! What interrupted runs left, removed on demand: objects that no manifest names. A run that still goes on has left such objects,
//! too, so only old ones go.

use super::list::filter::ListFilter;
use super::list::{self, LeftoverEntry};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::format::object_names::is_of_a_run;
use crate::store::{Archive, Location};
use crate::variables::Env;
use serde::Serialize;
use std::collections::BTreeMap;
use time::{Duration, OffsetDateTime};

pub(crate) struct CleanOptions {
    /// Removes them; otherwise says what would be removed.
    pub delete: bool,
    pub older_than: Duration,
}

#[derive(Debug, Serialize)]
pub(crate) struct CleanReport {
    /// `would_delete`, `deleted`, or `failed` with an error.
    pub status: &'static str,
    pub location: String,
    /// Removed, or to be removed.
    pub leftovers: Vec<CleanedLeftover>,
    /// Too new: their runs may still go on. Or of an unknown age.
    pub kept: Vec<CleanedLeftover>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CleanedLeftover {
    pub stem: String,
    pub objects: Vec<String>,
    pub bytes: u64,
}

pub(crate) async fn clean(text: &str, ask: &CleanOptions, env: &Env, cancel: &Cancel) -> Result<CleanReport> {
    let location = Location::parse(text)?;
    // Before the list: what is written in between is newer than anything that goes.
    let now = OffsetDateTime::now_utc();
    let listing = list::list(text, &ListFilter::default(), None, env, cancel).await?;
    let archive = cancel.run_until_cancelled(Archive::open(&location, env)).await?;
    let listed = cancel.run_until_cancelled(archive.list("")).await?;
    let sizes: BTreeMap<String, u64> = listed.iter().map(|object| (object.name.clone(), object.size)).collect();
    let written: BTreeMap<String, Option<OffsetDateTime>> = listed.into_iter().map(|object| (object.name, object.modified)).collect();
    let is_old = |name: &String| written.get(name).copied().flatten().is_some_and(|time| now - time > ask.older_than);
    // What only looks like something left (a manifest that is none, a legacy pair under a sealed name) is for a person to judge.
    let left = listing
        .leftovers
        .into_iter()
        .filter(|entry| entry.error.is_none())
        .filter_map(of_a_run);
    let size = |entry: &LeftoverEntry| entry.objects.iter().filter_map(|name| sizes.get(name)).sum();
    let (old, new): (Vec<LeftoverEntry>, Vec<LeftoverEntry>) = left.partition(|entry| entry.objects.iter().all(is_old));
    let cleaned = |entry: LeftoverEntry| CleanedLeftover {
        bytes: size(&entry),
        stem: entry.stem,
        objects: entry.objects,
    };
    let mut report = CleanReport {
        status: if ask.delete { "deleted" } else { "would_delete" },
        location: location.to_string(),
        leftovers: Vec::new(),
        kept: new.into_iter().map(cleaned).collect(),
        error: None,
    };
    for entry in old {
        if ask.delete
            && let Err(error) = delete(&archive, &entry.objects, cancel).await
        {
            report.status = "failed";
            report.error = Some(error);
            break;
        }
        report.leftovers.push(cleaned(entry));
    }
    Ok(report)
}

/// Files of other programs may have names with a time: what no run writes is nobody's leftover.
fn of_a_run(mut entry: LeftoverEntry) -> Option<LeftoverEntry> {
    entry.objects.retain(|name| is_of_a_run(name));
    (!entry.objects.is_empty()).then_some(entry)
}

async fn delete(archive: &Archive, names: &[String], cancel: &Cancel) -> Result<()> {
    for name in names {
        cancel.run_until_cancelled(archive.delete(name)).await?;
    }
    Ok(())
}
