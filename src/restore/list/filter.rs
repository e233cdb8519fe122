//! Which backups of a place are listed, and how old the newest may be.

use super::newest::{Newest, newest_of, without_unknown_sources};
use super::{BackupEntry, Listing, within};
use crate::error::{Code, Error, Result};
use crate::format::names::DatabaseName;
use crate::format::object_names::database_of;
use crate::human::units::{lasting, minute, short};
use std::collections::BTreeSet;
use time::format_description::well_known::Rfc3339;
use time::{Date, Duration, OffsetDateTime};

#[derive(Clone, Debug, Default)]
pub(crate) struct ListFilter {
    pub database: Option<String>,
    /// By the scheduled time.
    pub since: Option<OffsetDateTime>,
    /// So many of the newest.
    pub limit: Option<usize>,
    /// In the folders below as well.
    pub recursive: bool,
    /// Each database must have a complete backup that is no older.
    pub max_age: Option<Duration>,
}

/// A time as RFC 3339, a day (of UTC, from its start), or so long ago: `7d`.
pub(crate) fn since(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, String> {
    let day = time::macros::format_description!("[year]-[month]-[day]");
    let time = OffsetDateTime::parse(text, &Rfc3339).ok();
    let time = time.or_else(|| Date::parse(text, day).ok().map(|day| day.midnight().assume_utc()));
    time.or_else(|| age(text).ok().and_then(|age| now.checked_sub(age)))
        .ok_or_else(|| "a time is needed: 2026-11-24, 2026-11-24T02:00:00Z, or 7d for seven days ago".to_owned())
}

/// A number with `m`, `h` or `d`.
pub(crate) fn age(text: &str) -> Result<Duration, String> {
    let wrong = || "a number with its unit is needed: 90m, 26h or 8d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let number: u32 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    Ok(Duration::seconds(i64::from(number) * seconds))
}

pub(in crate::restore) fn in_words(age: Duration) -> String {
    lasting(age.whole_milliseconds().max(0) as u64).replace('\u{a0}', " ")
}

impl ListFilter {
    /// `is_pinned`: a signer was named, and only what they signed counts.
    pub(super) fn apply(&self, listing: &mut Listing, is_pinned: bool, now: OffsetDateTime) {
        let all = listing.backups.len();
        if let Some(database) = &self.database {
            listing.backups.retain(|entry| entry.database == *database);
            let encoded = DatabaseName::new(database)
                .map(|name| name.encoded().to_string())
                .unwrap_or_default();
            let is_of_it = |stem: &str| database_of(stem) == encoded;
            listing.unauthenticated.retain(|entry| is_of_it(&entry.stem));
            listing.unreadable.retain(|entry| is_of_it(&entry.stem));
            listing.leftovers.retain(|entry| is_of_it(&entry.stem));
        }
        listing.error = self.max_age.and_then(|age| {
            let error = self
                .too_old(&listing.backups, is_pinned, age, now)
                .or_else(|| without_backup(listing))?;
            Some(match listing.folders.is_empty() || !listing.backups.is_empty() {
                true => error,
                false => error.advise(format!("Look in the folders of this place: {}", listing.folders.join(", "))),
            })
        });
        if let Some(since) = self.since {
            listing.backups.retain(|entry| entry.scheduled_time.0 >= since);
        }
        listing.backups.truncate(self.limit.unwrap_or(usize::MAX));
        listing.hidden = all - listing.backups.len();
    }

    /// The database whose newest complete backup is the oldest, if that is older than it may be. Databases of two servers are
    /// two, whatever their names; a backup of a part counts only if there is none of the whole.
    fn too_old(&self, backups: &[BackupEntry], is_pinned: bool, age: Duration, now: OffsetDateTime) -> Option<Error> {
        let mut newest = newest_of(backups, |entry| entry.counts(is_pinned));
        without_unknown_sources(&mut newest);
        let advice = Code::TooOld.hint();
        let none = |message: String| Some(Error::new(Code::NoBackup, message).advise(advice));
        let signed = if is_pinned { " by this signer" } else { "" };
        let is_newest = |entry: &&BackupEntry| {
            let mut others = newest.iter().filter(|((database, _), _)| *database == entry.database);
            others.any(|(_, newest)| {
                newest
                    .counts()
                    .is_none_or(|newest| entry.scheduled_time.0 > newest.scheduled_time.0)
            })
        };
        let doubted = backups
            .iter()
            .filter(|entry| entry.in_doubt && !entry.future && entry.is_of_signer(is_pinned));
        if let Some(entry) = doubted.filter(is_newest).max_by_key(|entry| entry.scheduled_time.0) {
            let error = Error::new(Code::NoBackup, format!("{} is in doubt: {}", entry.stem, entry.warnings.join("; ")));
            return Some(error.advise("Restore or verify it with its private key; with --signer only what that signer signed counts."));
        }
        let time = |newest: &Newest<'_>| newest.counts().map(|entry| entry.scheduled_time.0);
        let ((database, source), oldest) = match newest.iter().min_by_key(|(_, newest)| time(newest)) {
            Some(oldest) => oldest,
            None => {
                let of = self
                    .database
                    .as_ref()
                    .map(|database| format!(" of the database {database}"))
                    .unwrap_or_default();
                return none(format!("there is no complete backup{of}{signed}"));
            }
        };
        let Some(time) = time(oldest) else {
            let doubt = backups
                .iter()
                .find(|entry| entry.database == *database && entry.source == *source && entry.in_doubt);
            let doubt = doubt
                .map(|entry| format!(", but one in doubt ({})", entry.stem))
                .unwrap_or_default();
            return none(format!("there is no complete backup of the database {database}{signed}{doubt}"));
        };
        let is = now - time;
        if is <= age {
            return None;
        }
        let sources = newest.keys().filter(|(other, _)| other == database).count();
        let of_source = match sources {
            1 => String::new(),
            _ => format!(" (source {}; {sources} servers have a database of this name here)", short(source)),
        };
        let part = oldest.newer_part();
        let part = part
            .map(|part| format!(" ({} is newer, and of a part of the database)", part.stem))
            .unwrap_or_default();
        let message = format!(
            "the newest complete backup{signed} of {database}{of_source}, of {} UTC, is {} old: more than {}{part}",
            minute(time),
            in_words(is),
            in_words(age)
        );
        Some(Error::new(Code::TooOld, message))
    }
}

/// A database of which there is something, and no backup at all: each of its runs was interrupted, or may not be read.
fn without_backup(listing: &Listing) -> Option<Error> {
    let of = |folder: &str, stem: &str| within(folder, database_of(stem));
    let known: BTreeSet<String> = listing.backups.iter().map(|entry| of(&entry.folder, &entry.stem)).collect();
    let runs = listing.leftovers.iter().filter(|entry| entry.is_of_a_run());
    let left = runs.map(|entry| (of(&entry.folder, &entry.stem), &entry.stem));
    let (_, stem) = left.into_iter().find(|(of, _)| !known.contains(of))?;
    let message = format!("{stem} is of a run that was interrupted, and there is no backup of its database at all");
    Some(
        Error::new(Code::NoBackup, message)
            .advise("Run the backup again. Of a database that is gone, `pgseal clean` removes what is left."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::order::UNKNOWN_SOURCE;
    use crate::restore::list::newest::{NOW, example as entry};
    use time::macros::datetime;

    #[test]
    fn times_and_ages_have_units() {
        let now = datetime!(2026-11-30 12:00 UTC);
        for (text, time) in [
            ("2026-11-24", datetime!(2026-11-24 00:00 UTC)),
            ("2026-11-24T02:00:00+01:00", datetime!(2026-11-24 01:00 UTC)),
            ("36h", datetime!(2026-11-29 00:00 UTC)),
        ] {
            assert_eq!(since(text, now).unwrap(), time, "{text}");
        }
        assert_eq!(age("90m").unwrap(), Duration::minutes(90));
        // A panic before anything could be told.
        assert!(since("4294967295d", now).is_err());
        for text in ["", "h", "26", "-1h", "1.5h", "26 h", "26ü", "yesterday"] {
            assert!(age(text).is_err() && since(text, now).is_err(), "{text}");
        }
    }

    fn told(backups: &[BackupEntry], is_pinned: bool) -> Option<String> {
        let error = ListFilter::default().too_old(backups, is_pinned, Duration::hours(26), NOW)?;
        assert_eq!(error.code == Code::TooOld, error.message.contains(" old: more than "), "{error}");
        Some(error.message)
    }

    /// A watch that is never silent is none: each of these once hid a database without a backup.
    #[test]
    fn nothing_that_is_no_whole_backup_of_this_server_counts_as_a_recent_one() {
        let old = || entry("app", "source a", 40);
        let recent = || entry("app", "source a", 2);
        assert_eq!(told(&[recent(), old()], false), None);
        type Change = fn(&mut BackupEntry);
        let hides: [(&str, Change); 5] = [
            ("another server's", |entry| entry.source = "source b".to_owned()),
            ("a part", |entry| entry.partial = true),
            ("not all there", |entry| entry.missing.push("x".to_owned())),
            ("cut off", |entry| entry.wrong_size.push("x".to_owned())),
            ("of a time to come", |entry| entry.future = true),
        ];
        for (name, change) in hides {
            let mut entry = recent();
            change(&mut entry);
            let told = told(&[entry, old()], false).unwrap_or_else(|| panic!("{name}: nothing is told"));
            assert!(told.contains("app") && told.contains("1 d 16 h"), "{name}: {told}");
            assert_eq!(told.contains("app_2 is newer, and of a part"), name == "a part", "{name}: {told}");
        }
        // One that restore may refuse is told as that.
        let doubted = BackupEntry {
            in_doubt: true,
            warnings: vec!["two dumps".to_owned()],
            ..recent()
        };
        let told_of = told(&[doubted, old()], false).expect("it is told");
        assert!(told_of.contains("app_2 is in doubt: two dumps"), "{told_of}");
    }

    #[test]
    fn with_a_signer_only_what_they_signed_counts() {
        let mut signed = entry("app", "source a", 40);
        signed.origin.pinned = true;
        let told = told(&[entry("app", "source a", 2), signed], true).expect("their newest is old");
        assert!(told.contains("by this signer"), "{told}");
    }

    #[test]
    fn a_part_counts_where_nobody_ever_makes_the_whole() {
        let mut part = entry("app", "source a", 2);
        part.partial = true;
        assert_eq!(told(&[part], false), None);
    }

    /// Backups of before 0.2 name no server: they must neither alarm for ever beside newer ones nor be taken for nothing.
    #[test]
    fn a_backup_that_names_no_server_counts_until_there_is_one_that_does() {
        assert_eq!(told(&[entry("app", UNKNOWN_SOURCE, 2)], false), None);
        assert!(told(&[entry("app", UNKNOWN_SOURCE, 40)], false).is_some());
        assert_eq!(told(&[entry("app", UNKNOWN_SOURCE, 40), entry("app", "source a", 2)], false), None);
    }

    #[test]
    fn each_database_counts_for_itself() {
        let told = told(&[entry("app", "source a", 2), entry("stock", "source a", 40)], false).expect("one is old");
        assert!(told.contains("stock"), "{told}");
        let of = |database: &str| ListFilter {
            database: Some(database.to_owned()),
            ..ListFilter::default()
        };
        let none = of("billing").too_old(&[], false, Duration::hours(26), NOW).expect("there is none");
        assert!(none.message.contains("billing"), "{none}");
    }
}
