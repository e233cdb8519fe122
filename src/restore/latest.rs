//! `latest` and `latest:DATABASE` in place of a stem: the newest backup that is all there.

use super::list::newest::{Newest, NewestOf, newest_of, without_unknown_sources};
use super::list::{self, BackupEntry};
use crate::cancel::Cancel;
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::rds::preflight::some_of;
use crate::store::{Archive, Location};
use std::collections::BTreeSet;

/// How like the name of a database that is there a mistyped one is (Jaro-Winkler).
const NEAR: f64 = 0.85;

/// The database that a place ends with: `Some(None)` for `latest` alone, which no stem is called.
pub(super) fn asked(name: &str) -> Option<Option<&str>> {
    match name.strip_prefix("latest")? {
        "" => Some(None),
        rest => rest.strip_prefix(':').filter(|database| !database.is_empty()).map(Some),
    }
}

/// The stem of the newest backup by its scheduled time. One whose manifest cannot be read, names what is not there, is of a
/// time to come or, if a signer is named, not theirs, is passed over: so nobody who may write to the bucket puts one in front.
pub(super) async fn newest(
    folder: &Location,
    archive: &Archive,
    database: Option<&str>,
    signer: Option<&Verifier>,
    cancel: &Cancel,
) -> Result<String> {
    let listed = cancel.run_until_cancelled(archive.list("")).await?;
    let is_bare = listed.is_empty();
    let listing = cancel
        .run_until_cancelled(list::folder::read(folder, archive, listed, signer))
        .await?;
    let unread = listing.unreadable.iter().map(|entry| (&entry.stem, Some(&entry.error)));
    let left = listing.leftovers.iter().map(|entry| (&entry.stem, entry.error.as_ref()));
    for (stem, error) in unread.chain(left) {
        if let Some(error) = error {
            tracing::warn!("{stem} is passed over: {}", error.message);
        }
    }
    let is_asked = |entry: &&BackupEntry| database.is_none_or(|database| database == entry.database);
    let is_there = |entry: &BackupEntry| entry.is_complete() && !entry.future;
    // Of which server one in doubt is, and whether of a part, may be somebody else's words.
    let (doubted, sure): (Vec<&BackupEntry>, Vec<&BackupEntry>) = listing
        .backups
        .iter()
        .filter(is_asked)
        .partition(|entry| entry.in_doubt && entry.is_of_signer(signer.is_some()));
    let mut found = newest_of(sure.iter().copied(), |entry| {
        is_there(entry) && entry.is_of_signer(signer.is_some())
    });
    found.retain(|_, newest| newest.counts().is_some());
    without_unknown_sources(&mut found);
    let whole = listing.backups.iter().filter(|entry| is_there(entry));
    let not_signed = whole
        .clone()
        .filter(|entry| is_asked(entry) && !entry.is_of_signer(signer.is_some()))
        .count();
    let others: BTreeSet<String> = whole.filter(|entry| !is_asked(entry)).map(|entry| entry.database.clone()).collect();
    match choose(folder, database, &found, not_signed) {
        Ok(chosen) => {
            // It is not passed over: what is wrong with it says the command that takes it.
            let doubted = doubted
                .iter()
                .filter(|entry| is_there(entry) && entry.scheduled_time.0 > chosen.scheduled_time.0);
            if let Some(newer) = doubted.max_by_key(|entry| entry.scheduled_time.0) {
                tracing::warn!("{}: {}", newer.stem, newer.warnings.join("; "));
                return Ok(newer.stem.clone());
            }
            for passed_over in listing.backups.iter().filter(is_asked).filter(|entry| {
                entry.source == chosen.source && entry.scheduled_time.0 > chosen.scheduled_time.0 && !entry.future && !entry.is_complete()
            }) {
                tracing::warn!(
                    "{} is newer than {} and not complete: it is passed over",
                    passed_over.stem,
                    chosen.stem
                );
            }
            if let Some(part) = found.values().find_map(Newest::newer_part) {
                tracing::warn!(
                    "{} is newer than {} and of a part of the database: it is passed over",
                    part.stem,
                    chosen.stem
                );
            }
            Ok(chosen.stem.clone())
        }
        Err(_)
            if found.is_empty()
                && let Some(only) = doubted
                    .iter()
                    .filter(|entry| is_there(entry))
                    .max_by_key(|entry| entry.scheduled_time.0) =>
        {
            Ok(only.stem.clone())
        }
        Err(error) if found.is_empty() && not_signed == 0 => {
            let folders = match is_bare {
                true => cancel.run_until_cancelled(archive.folders()).await?,
                false => Vec::new(),
            };
            Err(error.advise(elsewhere(folder, database, &others, &folders)))
        }
        Err(error) => Err(error),
    }
}

/// Where to look, of a place that has no such backup: other databases, or other folders.
pub(super) fn elsewhere(folder: &Location, database: Option<&str>, others: &BTreeSet<String>, folders: &[String]) -> String {
    let near = |other: &&String| strsim::jaro_winkler(other, database.unwrap_or_default()) >= NEAR;
    if let Some(other) = others.iter().find(near) {
        return format!("Did you mean {folder}/latest:{other}?");
    }
    match (others.is_empty(), folders.is_empty()) {
        (false, _) => format!("It has backups of {}.", some_of(others)),
        (true, false) => format!("The folders below it are places of their own: {}.", some_of(folders)),
        (true, true) => format!("`pgseal list {folder}` shows what is there: what has no manifest is no backup."),
    }
}

fn choose<'a>(folder: &Location, database: Option<&str>, found: &NewestOf<'a>, not_signed: usize) -> Result<&'a BackupEntry> {
    let databases: BTreeSet<&str> = found.keys().map(|(database, _)| *database).collect();
    if databases.len() > 1 {
        let example = databases.first().copied().unwrap_or_default();
        let message = format!(
            "{folder} has backups of {} databases: `latest` does not say of which one",
            databases.len()
        );
        return Err(Error::new(Code::BadUsage, message).advise(format!("Name the database: {folder}/latest:{example}")));
    }
    let sources = found.len();
    let mut backups = found.values().filter_map(Newest::counts);
    let of = database.map(|database| format!(" of the database {database}")).unwrap_or_default();
    match (backups.next(), backups.next()) {
        (Some(backup), None) => Ok(backup),
        (Some(one), Some(other)) => Err(Error::new(
            Code::BadUsage,
            format!("{folder} has backups of {sources} servers{of}: `latest` does not say of which one"),
        )
        .advise(format!(
            "Name the backup, such as {} or {}: `pgseal list` shows their sources.",
            one.stem, other.stem
        ))),
        (None, _) if not_signed > 0 => Err(Error::new(
            Code::NoBackup,
            format!("there is no complete backup{of} in {folder} that this signer signed; {not_signed} that they did not sign are there"),
        )
        .advise("Name a backup by its stem to read it all the same, without --signer if it is not signed.")),
        (None, _) => Err(Error::new(Code::NoBackup, format!("there is no complete backup{of} in {folder}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::list::newest::example;

    #[test]
    fn latest_may_name_a_database() {
        for (name, means) in [
            ("latest", Some(None)),
            ("latest:app", Some(Some("app"))),
            ("latest:a:b", Some(Some("a:b"))),
            ("latest:", None),
            ("latestapp", None),
            ("app_20261124T020000Z", None),
        ] {
            assert_eq!(asked(name), means, "{name}");
        }
    }

    #[test]
    fn a_mistyped_database_or_folder_is_told_what_is_there() {
        let folder = Location::parse("s3://bucket/backups").unwrap();
        let told = |database: &str, others: &[&str], folders: &[&str]| {
            let others = others.iter().map(|name| (*name).to_owned()).collect();
            let folders: Vec<String> = folders.iter().map(|name| (*name).to_owned()).collect();
            elsewhere(&folder, Some(database), &others, &folders)
        };
        assert_eq!(told("appp", &["app", "shop"], &[]), "Did you mean s3://bucket/backups/latest:app?");
        assert!(told("crm", &["app", "shop"], &[]).contains("app, shop"));
        assert!(told("app", &[], &["db1"]).contains("db1"));
        assert!(told("app", &[], &[]).contains("pgseal list s3://bucket/backups"));
    }

    /// A table that was backed up alone hid weeks of failed full backups, and one server's backup stood for another's.
    #[test]
    fn the_whole_goes_before_a_part_and_servers_are_told_apart() {
        let folder = Location::parse("s3://bucket/backups").unwrap();
        let entry = |stem: &str, source: &str, partial: bool| BackupEntry {
            stem: stem.to_owned(),
            partial,
            ..example("app", source, 2)
        };
        let chosen = |backups: &[BackupEntry], not_signed| {
            choose(&folder, Some("app"), &newest_of(backups, |_| true), not_signed).map(|chosen| chosen.stem.clone())
        };
        let (whole, part) = (entry("whole", "s1", false), entry("part", "s1", true));
        assert_eq!(chosen(&[part.clone(), whole], 0).unwrap(), "whole");
        assert_eq!(chosen(&[part], 0).unwrap(), "part");
        let error = chosen(&[entry("one", "s1", false), entry("other", "s2", false)], 0).unwrap_err();
        assert!(error.code == Code::BadUsage && error.hint().contains("one or other"), "{error}");
        let error = chosen(&[], 2).unwrap_err();
        assert!(
            error.code == Code::NoBackup && error.message.contains("2 that they did not sign"),
            "{error}"
        );
    }
}
