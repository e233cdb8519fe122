//! Which backups of a place are the nights of one database of one server.

use crate::error::{Code, Error, Result};
use crate::format::names::DatabaseName;
use crate::format::object_names::database_of;
use crate::format::order::UNKNOWN_SOURCE;
use crate::human::units::short;
use crate::rds::preflight::some_of;
use crate::restore::latest::elsewhere;
use crate::restore::list::{BackupEntry, Listing};
use crate::store::Location;
use serde::Serialize;
use std::collections::BTreeSet;
use time::OffsetDateTime;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct NightFilter {
    pub database: Option<String>,
    /// What the source's digest begins with.
    pub source: Option<String>,
    /// By the scheduled time.
    pub since: Option<OffsetDateTime>,
    /// So many of the newest.
    pub limit: Option<usize>,
}

/// A backup of this database that is no night of it.
#[derive(Debug, Serialize)]
pub(crate) struct LeftOutNight {
    pub stem: String,
    pub reason: String,
}

#[derive(Debug)]
pub(super) struct ChosenNights {
    pub database: String,
    pub source: String,
    /// The oldest first.
    pub entries: Vec<BackupEntry>,
    pub left_out: Vec<LeftOutNight>,
}

/// `is_pinned`: a signer was named, and only what they signed counts.
pub(super) fn choose(
    location: &Location,
    listing: Listing,
    folders: &[String],
    filter: &NightFilter,
    is_pinned: bool,
) -> Result<ChosenNights> {
    let none = |message: String, others: &BTreeSet<String>| {
        Error::new(Code::NoBackup, message).advise(elsewhere(location, filter.database.as_deref(), others, folders))
    };
    let counting = || listing.backups.iter().filter(|entry| entry.counts(is_pinned));
    let databases: BTreeSet<String> = counting().map(|entry| entry.database.clone()).collect();
    let database = match (&filter.database, databases.len()) {
        (Some(database), _) if databases.contains(database) => database.clone(),
        (Some(database), _) => {
            let message = format!("there is no complete backup of the database {database} in {location}");
            return Err(none(message, &databases));
        }
        (None, 0) => return Err(none(format!("there is no complete backup in {location}"), &databases)),
        (None, 1) => databases.into_iter().next().unwrap_or_default(),
        (None, count) => {
            let message = format!("--database: {location} has backups of {count} databases: {}", some_of(&databases));
            return Err(Error::new(Code::BadUsage, message).advise("Name one of them: --database NAME."));
        }
    };
    let of_database = |entry: &&BackupEntry| entry.database == database;
    let sources: BTreeSet<String> = counting().filter(of_database).map(|entry| entry.source.clone()).collect();
    let source = one_source(&database, &sources, filter.source.as_deref())?;
    let mut left_out = unreadable(&listing, &database);
    let mut entries = Vec::new();
    let is_asked = |entry: &BackupEntry| entry.database == database && filter.since.is_none_or(|since| entry.scheduled_time.0 >= since);
    for entry in listing.backups.into_iter().filter(is_asked) {
        match why_not(&entry, &source, is_pinned) {
            None => entries.push(entry),
            // Another server's is no matter of this one.
            Some(_) if entry.source != source && entry.source != UNKNOWN_SOURCE => {}
            Some(reason) => left_out.push(LeftOutNight { stem: entry.stem, reason }),
        }
    }
    entries.sort_by(|a, b| (a.scheduled_time.0, &a.stem).cmp(&(b.scheduled_time.0, &b.stem)));
    left_out.sort_by(|a, b| a.stem.cmp(&b.stem));
    entries.drain(..entries.len().saturating_sub(filter.limit.unwrap_or(usize::MAX)));
    if entries.is_empty() {
        let message = format!("no complete backup of {database} in {location} is that new");
        return Err(Error::new(Code::NoBackup, message).advise("Name an earlier time with --since, and a --limit above 0."));
    }
    Ok(ChosenNights {
        database,
        source,
        entries,
        left_out,
    })
}

/// Backups of before 0.2 do not say of which server they are, and count for nothing once there are newer ones.
fn one_source(database: &str, sources: &BTreeSet<String>, asked: Option<&str>) -> Result<String> {
    let known = || sources.iter().filter(|source| *source != UNKNOWN_SOURCE);
    let fitting: Vec<&String> = match asked {
        Some(asked) => sources.iter().filter(|source| source.starts_with(asked)).collect(),
        None if known().count() > 0 => known().collect(),
        None => sources.iter().collect(),
    };
    let shown: Vec<String> = sources.iter().map(|source| shortened(source).to_owned()).collect();
    match fitting.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(
            Error::new(Code::BadUsage, format!("--source: no backup of {database} is of that server"))
                .advise(format!("Those that are there: {}.", some_of(&shown))),
        ),
        several => {
            let message = format!(
                "--source: {} servers have a database {database} here: {}",
                several.len(),
                some_of(&shown)
            );
            Err(Error::new(Code::BadUsage, message).advise("Name one of them: `pgseal list --json` shows the source of each backup."))
        }
    }
}

pub(crate) fn shortened(source: &str) -> &str {
    if source == UNKNOWN_SOURCE { source } else { short(source) }
}

fn why_not(entry: &BackupEntry, source: &str, is_pinned: bool) -> Option<String> {
    let reason = if !entry.is_complete() {
        "it is incomplete".to_owned()
    } else if entry.future {
        "its time is still to come".to_owned()
    } else if !entry.is_of_signer(is_pinned) {
        "this signer did not sign it".to_owned()
    } else if entry.in_doubt {
        format!("it is in doubt: {}", entry.warnings.join("; "))
    } else if entry.source != source {
        "it does not say of which server it is".to_owned()
    } else {
        return None;
    };
    Some(reason)
}

/// What has the database's name, and a manifest that cannot be read.
fn unreadable(listing: &Listing, database: &str) -> Vec<LeftOutNight> {
    let encoded = DatabaseName::new(database)
        .map(|name| name.encoded().to_string())
        .unwrap_or_default();
    let unread = listing.unreadable.iter().map(|entry| (&entry.stem, Some(&entry.error)));
    let left = listing.leftovers.iter().map(|entry| (&entry.stem, entry.error.as_ref()));
    let failed = unread.chain(left).filter_map(|(stem, error)| Some((stem, error?)));
    failed
        .filter(|(stem, _)| database_of(stem) == encoded)
        .map(|(stem, error)| LeftOutNight {
            stem: stem.clone(),
            reason: error.message.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::list::newest::example;
    use time::Duration;

    fn listing(backups: Vec<BackupEntry>) -> (Location, Listing) {
        let location = Location::parse("s3://bucket/backups").unwrap();
        let mut listing = Listing::of(&location);
        listing.backups = backups;
        (location, listing)
    }

    fn chosen(backups: Vec<BackupEntry>, filter: &NightFilter) -> Result<ChosenNights> {
        let (location, listing) = listing(backups);
        choose(&location, listing, &[], filter, false)
    }

    fn stems(chosen: &ChosenNights) -> Vec<&str> {
        chosen.entries.iter().map(|entry| entry.stem.as_str()).collect()
    }

    #[test]
    fn nights_are_told_from_the_oldest_on_and_the_newest_are_kept() {
        let all = || vec![example("app", "s1", 2), example("app", "s1", 50), example("app", "s1", 26)];
        let of = |filter: NightFilter| chosen(all(), &filter).unwrap();
        assert_eq!(stems(&of(NightFilter::default())), ["app_50", "app_26", "app_2"]);
        let limited = NightFilter {
            limit: Some(2),
            ..NightFilter::default()
        };
        assert_eq!(stems(&of(limited)), ["app_26", "app_2"]);
        let since = NightFilter {
            since: Some(crate::restore::list::newest::NOW - Duration::hours(3)),
            ..NightFilter::default()
        };
        assert_eq!(stems(&of(since)), ["app_2"]);
        let none = NightFilter {
            limit: Some(0),
            ..NightFilter::default()
        };
        assert_eq!(chosen(all(), &none).unwrap_err().code, Code::NoBackup);
    }

    #[test]
    fn several_databases_or_servers_must_be_told_apart() {
        let error = chosen(vec![example("app", "s1", 2), example("shop", "s1", 2)], &NightFilter::default()).unwrap_err();
        assert!(error.code == Code::BadUsage && error.message.contains("app, shop"), "{error}");
        let two = || vec![example("app", "aaaa1", 2), example("app", "bbbb1", 3)];
        let error = chosen(two(), &NightFilter::default()).unwrap_err();
        assert!(error.code == Code::BadUsage && error.message.contains("bbbb1"), "{error}");
        let of = |source: &str| NightFilter {
            source: Some(source.to_owned()),
            ..NightFilter::default()
        };
        let one = chosen(two(), &of("bb")).unwrap();
        // The other server's is not even left out.
        assert_eq!((stems(&one), one.left_out.len()), (vec!["app_3"], 0));
        assert_eq!(chosen(two(), &of("c")).unwrap_err().code, Code::BadUsage);
        let shop = NightFilter {
            database: Some("shop".to_owned()),
            ..NightFilter::default()
        };
        assert_eq!(chosen(two(), &shop).unwrap_err().code, Code::NoBackup);
    }

    #[test]
    fn what_counts_for_nothing_is_told_with_its_reason() {
        type Change = fn(&mut BackupEntry);
        let hides: [(&str, Change); 4] = [
            ("incomplete", |entry| entry.missing.push("x".to_owned())),
            ("still to come", |entry| entry.future = true),
            ("in doubt: two dumps", |entry| {
                entry.in_doubt = true;
                entry.warnings.push("two dumps".to_owned());
            }),
            ("of which server", |entry| entry.source = UNKNOWN_SOURCE.to_owned()),
        ];
        for (reason, change) in hides {
            let mut other = example("app", "s1", 20);
            change(&mut other);
            let chosen = chosen(vec![example("app", "s1", 2), other], &NightFilter::default()).unwrap();
            assert_eq!(stems(&chosen), ["app_2"], "{reason}");
            assert!(chosen.left_out[0].reason.contains(reason), "{}", chosen.left_out[0].reason);
        }
        let only = chosen(vec![example("app", UNKNOWN_SOURCE, 2)], &NightFilter::default()).unwrap();
        assert_eq!(only.source, UNKNOWN_SOURCE);
        let (location, pinned) = listing(vec![example("app", "s1", 2)]);
        let error = choose(&location, pinned, &[], &NightFilter::default(), true).unwrap_err();
        assert_eq!(error.code, Code::NoBackup);
    }
}
