//! What one folder's backups come to, database by database.

use super::drills::{DrillStatus, Drills};
use super::{DatabaseStatus, FleetStatusOptions, NewestBackup};
use crate::format::object_names::database_of;
use crate::format::order::UNKNOWN_SOURCE;
use crate::restore::list::filter::in_words;
use crate::restore::list::newest::{newest_of, without_unknown_sources};
use crate::restore::list::{BackupEntry, Listing};
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;

/// Of one database of one server, in a folder of this name.
pub(super) fn databases(
    group: &str,
    listing: &Listing,
    drills: &Drills,
    ask: &FleetStatusOptions,
    now: OffsetDateTime,
) -> Vec<DatabaseStatus> {
    let is_pinned = ask.signer.is_some();
    let mut newest = newest_of(&listing.backups, |entry| entry.counts(is_pinned));
    without_unknown_sources(&mut newest);
    let loose = loose(listing);
    let mut named: BTreeSet<&str> = BTreeSet::new();
    let mut found = Vec::new();
    for ((database, source), newest) in &newest {
        let is_of_it = |entry: &&BackupEntry| entry.database == *database && [*source, UNKNOWN_SOURCE].contains(&entry.source.as_str());
        let backups: Vec<&BackupEntry> = listing.backups.iter().filter(is_of_it).collect();
        let counts = newest.counts();
        let since = counts.map(|entry| entry.scheduled_time.0);
        let mut missing = match counts {
            None => vec!["it has no complete backup".to_owned()],
            Some(entry) if now - entry.scheduled_time.0 > ask.max_age => {
                vec![format!("its newest complete backup is older than {}", in_words(ask.max_age))]
            }
            Some(_) => Vec::new(),
        };
        for entry in &backups {
            if since.is_none_or(|since| entry.scheduled_time.0 > since) {
                missing.extend(what_is_wrong(entry, is_pinned));
            }
        }
        let beginnings: BTreeSet<&str> = backups.iter().map(|entry| database_of(&entry.stem)).collect();
        for beginning in beginnings {
            named.insert(beginning);
            let later = loose.get(beginning).into_iter().flatten();
            let mut later = later.filter(|(stem, _)| counts.is_none_or(|entry| time(stem) > time(&entry.stem)));
            // Of several runs that were interrupted the last one says it.
            missing.extend(later.next_back().map(|(_, message)| message.clone()));
        }
        // The last of any of its backups; and the last of the newest that had one, of which an older one's says nothing.
        let runs = backups.iter().flat_map(|entry| entry.runs.iter().map(move |run| (entry, run)));
        let drilled = runs.filter_map(|(entry, run)| Some((entry.scheduled_time.0, drills.of(&entry.stem, run)?)));
        let drilled: Vec<_> = drilled.collect();
        let last = drilled.iter().max_by_key(|(_, drill)| drill.finished);
        let of_newest = drilled.iter().max_by_key(|(taken, drill)| (*taken, drill.finished));
        let failed = [last, of_newest].into_iter().flatten().find(|(_, drill)| drill.failure().is_some());
        let drill = failed.or(last).map(|(_, drill)| (*drill).clone());
        let is_drill_alone = missing.is_empty();
        missing.extend(backups.iter().filter_map(|entry| drills.unread(&entry.stem)));
        missing.extend(drill.as_ref().and_then(DrillStatus::failure));
        found.push(DatabaseStatus {
            group: group.to_owned(),
            database: (*database).to_owned(),
            source: (*source).to_owned(),
            newest: counts.map(|entry| newest_backup(entry, now)),
            backups: backups.len(),
            drill,
            missing,
            is_drill_alone,
        });
    }
    for (beginning, runs) in loose.iter().filter(|(beginning, _)| !named.contains(*beginning)) {
        let last = runs.last().map(|(_, message)| message.clone());
        found.push(DatabaseStatus {
            group: group.to_owned(),
            // As in the names of objects, which is not how every name is written.
            database: (*beginning).to_owned(),
            source: UNKNOWN_SOURCE.to_owned(),
            newest: None,
            backups: 0,
            drill: None,
            missing: std::iter::once("it has no complete backup".to_owned()).chain(last).collect(),
            is_drill_alone: false,
        });
    }
    found
}

fn newest_backup(entry: &BackupEntry, now: OffsetDateTime) -> NewestBackup {
    NewestBackup {
        stem: entry.stem.clone(),
        scheduled_time: entry.scheduled_time.to_string(),
        age_seconds: (now - entry.scheduled_time.0).whole_seconds(),
        bytes: entry.bytes,
        plain_bytes: entry.plain_bytes,
        rows: entry.rows,
        tables: entry.tables,
        partial: entry.partial,
    }
}

/// Why a backup that is newer than any complete one is none.
fn what_is_wrong(entry: &BackupEntry, is_pinned: bool) -> Option<String> {
    let stem = &entry.stem;
    if !entry.is_complete() {
        Some(format!("{stem} is incomplete"))
    } else if entry.future {
        // Nobody can have made it: it is nothing, and says nothing of the others.
        None
    } else if !entry.is_of_signer(is_pinned) {
        // Somebody else's counts for nothing, and is no fault of theirs.
        None
    } else if entry.in_doubt {
        Some(format!("{stem} is in doubt ({})", entry.warnings.join("; ")))
    } else {
        None
    }
}

/// Objects that belong to no backup, by what stands before the time in their names, the last time at the end.
fn loose(listing: &Listing) -> BTreeMap<&str, Vec<(&str, String)>> {
    let mut loose: BTreeMap<&str, Vec<(&str, String)>> = BTreeMap::new();
    let mut add = |stem, message| loose.entry(database_of(stem)).or_default().push((stem, message));
    let whole: BTreeSet<&str> = listing.backups.iter().map(|entry| entry.stem.as_str()).collect();
    for entry in &listing.unauthenticated {
        add(&entry.stem, format!("{} is of the legacy image, and nothing proves it", entry.stem));
    }
    for entry in &listing.unreadable {
        let code = entry.error.code.name();
        add(&entry.stem, format!("the manifest of {} cannot be read ({code})", entry.stem));
    }
    // Beside a backup, something that no manifest names is of no other run.
    let left = listing.leftovers.iter().filter(|entry| !whole.contains(entry.stem.as_str()));
    for entry in left.filter(|entry| entry.is_of_a_run()) {
        let message = match &entry.error {
            Some(error) => format!("{} is no backup ({})", entry.stem, error.code.name()),
            None => format!("the run of {} was interrupted, or is still going on", entry.stem),
        };
        add(&entry.stem, message);
    }
    for runs in loose.values_mut() {
        runs.sort_by_key(|(stem, _)| time(stem));
    }
    loose
}

/// At the end of a stem, its digits alone: the legacy image writes signs between them.
fn time(stem: &str) -> String {
    let (_, time) = stem.rsplit_once('_').unwrap_or(("", stem));
    time.chars().filter(char::is_ascii_digit).collect()
}
