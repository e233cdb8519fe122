//! One database over many nights: what became of each table, and its last good night. Of each backup the manifests, one key
//! object and the inventory are read: kilobytes, and never the dump.

pub(crate) mod change;
pub(crate) mod contents;
pub(crate) mod highlights;
pub(crate) mod losses;
pub(crate) mod nights;
mod page;
mod sparkline;
mod table_choice;
#[cfg(test)]
pub(crate) mod tests;

use super::find::{ChosenBackup, ends_the_search};
use super::latest;
use super::list::folder;
use crate::cancel::Cancel;
use crate::envelope::manifest::Timestamp;
use crate::envelope::private_key::PrivateKey;
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::format::object_names::stem_of;
use crate::format::order::SelectionRecord;
use crate::human::units::counted;
use crate::observe::logs::ANSWER;
use crate::store::{Archive, Location};
use crate::variables::Env;
use change::{ChangeBasis, NightTable, changes, vanished};
use contents::{MEBIBYTES_AT_ONCE, NightContents, open_contents};
use futures_util::{StreamExt, stream};
use losses::{DropLimit, LastGood, TableHistory, table_history};
use nights::{ChosenNights, LeftOutNight, NightFilter, choose};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Backups that are opened at once: each takes a handful of small requests, one behind the other.
const AT_ONCE: usize = 16;
pub(crate) const HINT_NOTE: &str = "`same` and `changed` with `\"by\": \"hint\"` are told by change_hint: a hint and no proof. \
                                    A drill compares contents with a secret key.";

pub(crate) struct HistoryOptions<'a> {
    pub key: &'a PrivateKey,
    /// Only what they signed counts.
    pub signer: Option<&'a Verifier>,
    /// As somebody typed it.
    pub table: Option<String>,
    pub drop: DropLimit,
}

#[derive(Debug, Serialize)]
pub(crate) struct History {
    /// `ok`, or `failed` if no night could be read.
    pub status: &'static str,
    pub location: String,
    pub database: String,
    /// The digest of its server, or `source unknown`.
    pub source: String,
    /// Such as `10%`.
    pub drop: String,
    /// The oldest first.
    pub nights: Vec<Night>,
    /// By name; of the whole database, or of its newest part where a table is in no backup of the whole.
    pub tables: Vec<TableHistory>,
    /// The one that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_good: Option<LastGood>,
    /// Backups of this database that are no nights of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOutNight>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Night {
    pub stem: String,
    pub scheduled_time: Timestamp,
    /// `None` where it cannot be opened.
    #[serde(flatten)]
    pub facts: Option<NightFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

#[derive(Debug, Serialize)]
pub(crate) struct NightFacts {
    pub rows: u64,
    pub plain_bytes: u64,
    /// Of all objects, as they are stored.
    pub bytes: u64,
    pub server_version: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// Of a part of the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<SelectionRecord>,
    /// The night before it of the same selection.
    pub compared_with: Option<String>,
    pub tables: Vec<NightTable>,
    pub vanished: Vec<String>,
}

impl History {
    pub(crate) fn lost(&self) -> impl Iterator<Item = &TableHistory> {
        self.tables.iter().filter(|table| table.last_good.loss.is_some())
    }

    pub(crate) fn opened(&self) -> usize {
        self.nights.iter().filter(|night| night.facts.is_some()).count()
    }
}

/// Nothing of them is proven yet.
pub(crate) struct FoundNights {
    location: Location,
    archive: Archive,
    chosen: ChosenNights,
}

impl FoundNights {
    pub(crate) async fn find(text: &str, filter: &NightFilter, signer: Option<&Verifier>, env: &Env, cancel: &Cancel) -> Result<Self> {
        let location = Location::parse(text)?;
        let finding = async {
            let archive = Archive::open(&location, env).await?;
            let listed = archive.list("").await?;
            if listed.is_empty()
                && let Some((folder, name)) = location.split()
                && (latest::asked(&name).is_some() || stem_of(&name).is_some())
            {
                let error = Error::new(
                    Code::BadUsage,
                    format!("{name} names one backup, and a history is of all in a place"),
                );
                return Err(error.advise(format!("Give the place, {folder}, and the database by --database.")));
            }
            let folders = match listed.is_empty() {
                true => archive.folders().await?,
                false => Vec::new(),
            };
            let listing = folder::read(&location, &archive, listed, signer).await?;
            let chosen = choose(&location, listing, &folders, filter, signer.is_some())?;
            Ok((archive, chosen))
        };
        let (archive, chosen) = cancel.run_until_cancelled(finding).await?;
        Ok(Self { location, archive, chosen })
    }
}

pub(crate) async fn history(found: FoundNights, ask: &HistoryOptions<'_>, cancel: &Cancel) -> Result<History> {
    let opened = cancel.run_until_cancelled(open_all(&found, ask, cancel)).await?;
    told(&found.location, found.chosen, opened, ask)
}

/// In the order of the entries. What the store cannot answer ends it; what is wrong with one night is told of that one.
async fn open_all(found: &FoundNights, ask: &HistoryOptions<'_>, cancel: &Cancel) -> Result<Vec<Result<NightContents>>> {
    let chosen = &found.chosen;
    let memory = Semaphore::new(MEBIBYTES_AT_ONCE as usize);
    let memory = &memory;
    let reading = chosen.entries.iter().map(|entry| async move {
        let backup = ChosenBackup::at(found.location.clone(), found.archive.clone(), &entry.stem).await?;
        let (contents, _) = open_contents(&backup, ask.key, ask.signer, memory, cancel).await?;
        // It was chosen by what nothing had proven.
        match contents.database == chosen.database && contents.source == chosen.source {
            true => Ok(contents),
            false => Err(Error::new(
                Code::Tampered,
                format!("{} is of another database or server than its newest manifest says", entry.stem),
            )),
        }
    });
    let mut reading = stream::iter(reading).buffered(AT_ONCE);
    let (mut names, mut all) = (HashSet::new(), Vec::with_capacity(chosen.entries.len()));
    while let Some(read) = reading.next().await {
        match read {
            Err(error) if ends_the_search(error.code) => return Err(error),
            read => all.push(read.map(|mut contents| {
                contents.share_names(&mut names);
                contents
            })),
        }
    }
    Ok(all)
}

fn told(location: &Location, chosen: ChosenNights, opened: Vec<Result<NightContents>>, ask: &HistoryOptions<'_>) -> Result<History> {
    let contents: Vec<&NightContents> = opened.iter().flatten().collect();
    let of_table = table_groups(&contents);
    let names: Vec<&Arc<str>> = of_table.keys().copied().collect();
    let asked = match &ask.table {
        Some(text) if !contents.is_empty() => Some(table_choice::choose_table(text, &names)?),
        _ => None,
    };
    let is_asked = |name: &Arc<str>| asked.is_none_or(|asked| asked == name);
    let nights: Vec<Night> = chosen
        .entries
        .iter()
        .zip(&opened)
        .enumerate()
        .map(|(place, (entry, read))| Night {
            stem: entry.stem.clone(),
            scheduled_time: entry.scheduled_time,
            facts: read.as_ref().ok().map(|contents| facts(contents, &opened[..place], is_asked)),
            error: read.as_ref().err().cloned(),
        })
        .collect();
    for night in &nights {
        if let Some(error) = &night.error {
            tracing::warn!(target: ANSWER, code = error.code.name(), "{} cannot be read: {}", night.stem, error.message);
        }
    }
    let tables: Vec<TableHistory> = of_table
        .iter()
        .filter(|(name, _)| is_asked(name))
        .filter_map(|(name, nights)| table_history(name, nights, ask.drop))
        .collect();
    let tables_of = || nights.iter().filter_map(|night| Some(&night.facts.as_ref()?.tables)).flatten();
    let has_hints = tables_of().any(|table| table.by == Some(ChangeBasis::Hint));
    let error = failure(&opened);
    Ok(History {
        status: if error.is_some() { "failed" } else { "ok" },
        location: location.to_string(),
        database: chosen.database,
        source: chosen.source,
        drop: ask.drop.to_string().replace('\u{a0}', ""),
        table: asked.map(|name| name.to_string()),
        last_good: asked.and_then(|_| Some(tables.first()?.last_good.clone())),
        nights,
        tables,
        left_out: chosen.left_out,
        notes: has_hints.then_some(HINT_NOTE).into_iter().collect(),
        error,
    })
}

/// Each table with the nights that tell of it: those of the whole database, or of the newest part that has it.
fn table_groups<'a>(contents: &[&'a NightContents]) -> BTreeMap<&'a Arc<str>, Vec<&'a NightContents>> {
    let mut groups: Vec<Vec<&NightContents>> = Vec::new();
    for night in contents {
        match groups.iter_mut().find(|group| group[0].selection == night.selection) {
            Some(group) => group.push(night),
            None => groups.push(vec![night]),
        }
    }
    groups.sort_by_key(|group| {
        (
            group[0].is_partial(),
            std::cmp::Reverse(group.last().map(|night| night.scheduled_time.0)),
        )
    });
    let mut of_table = BTreeMap::new();
    for group in &groups {
        for table in group.iter().flat_map(|night| &night.tables) {
            of_table.entry(&table.name).or_insert(group);
        }
    }
    of_table.into_iter().map(|(name, group)| (name, group.clone())).collect()
}

fn facts(contents: &NightContents, earlier: &[Result<NightContents>], is_asked: impl Fn(&Arc<str>) -> bool) -> NightFacts {
    let before = earlier.iter().rev().flatten().find(|night| night.selection == contents.selection);
    let (tables, gone) = match before {
        Some(before) => (changes(before, contents), vanished(before, contents)),
        None => (contents.tables.iter().map(NightTable::alone).collect(), Vec::new()),
    };
    let partial = contents.is_partial();
    NightFacts {
        rows: contents.rows,
        plain_bytes: contents.plain_bytes,
        bytes: contents.bytes,
        server_version: contents.server_version.clone(),
        partial,
        selection: contents.selection.clone().filter(|_| partial),
        compared_with: before.map(|before| before.stem.clone()),
        tables: tables.into_iter().filter(|table| is_asked(&table.name)).collect(),
        vanished: gone
            .iter()
            .filter(|table| is_asked(&table.name))
            .map(|table| table.name.to_string())
            .collect(),
    }
}

/// If not one could be read: the newest says why.
fn failure(opened: &[Result<NightContents>]) -> Option<Error> {
    let errors: Vec<&Error> = opened.iter().filter_map(|read| read.as_ref().err()).collect();
    let newest = errors.last().filter(|_| errors.len() == opened.len())?;
    let code = match newest.code.exit() {
        7 => newest.code,
        _ => Code::NoBackup,
    };
    let nights = counted(errors.len() as u64, "night");
    let message = format!("none of {nights} can be read; of the newest: {}", newest.message);
    Some(Error::new(code, message).advise(newest.hint()))
}
