//! The newest complete backup of each database of each server: what `latest`, `--max-age` and a fleet's status ask for.

use super::BackupEntry;
use crate::format::order::UNKNOWN_SOURCE;
use std::collections::{BTreeMap, BTreeSet};

/// By the database's name and its server: databases of two servers are two, whatever their names.
pub(in crate::restore) type NewestOf<'a> = BTreeMap<(&'a str, &'a str), Newest<'a>>;

/// Of one database of one server. A backup of a part counts only if there is none of the whole.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::restore) struct Newest<'a> {
    whole: Option<&'a BackupEntry>,
    part: Option<&'a BackupEntry>,
}

impl<'a> Newest<'a> {
    /// `None` where the database has backups, and none that counts.
    pub(in crate::restore) fn counts(&self) -> Option<&'a BackupEntry> {
        self.whole.or(self.part)
    }

    /// A backup of a part that is newer than the newest of all of the database, which counts instead.
    pub(in crate::restore) fn newer_part(&self) -> Option<&'a BackupEntry> {
        let (whole, part) = (self.whole?, self.part?);
        (part.scheduled_time.0 > whole.scheduled_time.0).then_some(part)
    }
}

/// Databases of which nothing counts are there, too.
pub(in crate::restore) fn newest_of<'a>(
    backups: impl IntoIterator<Item = &'a BackupEntry>,
    counts: impl Fn(&BackupEntry) -> bool,
) -> NewestOf<'a> {
    let mut newest = NewestOf::new();
    for entry in backups {
        let known = newest.entry((&entry.database, &entry.source)).or_default();
        if counts(entry) {
            let place = if entry.partial { &mut known.part } else { &mut known.whole };
            let is_newer = place.is_none_or(|known| entry.scheduled_time.0 > known.scheduled_time.0);
            if is_newer {
                *place = Some(entry);
            }
        }
    }
    newest
}

/// Backups of a version before 0.2, which do not say of which server they are, count for nothing once there are newer ones.
pub(in crate::restore) fn without_unknown_sources(newest: &mut NewestOf<'_>) {
    let known: BTreeSet<&str> = newest
        .keys()
        .filter(|(_, source)| *source != UNKNOWN_SOURCE)
        .map(|(of, _)| *of)
        .collect();
    newest.retain(|(of, source), _| *source != UNKNOWN_SOURCE || !known.contains(of));
}

#[cfg(test)]
pub(in crate::restore) const NOW: time::OffsetDateTime = time::macros::datetime!(2026-11-30 12:00 UTC);

#[cfg(test)]
/// A backup that was so many hours old at `NOW`, for tests.
pub(in crate::restore) fn example(database: &str, source: &str, hours: i64) -> BackupEntry {
    let time = crate::envelope::manifest::Timestamp(NOW - time::Duration::hours(hours));
    BackupEntry {
        folder: String::new(),
        stem: format!("{database}_{hours}"),
        database: database.to_owned(),
        scheduled_time: time,
        finished_at: time,
        run: "3f9a12bc".to_owned(),
        runs: Vec::new(),
        format: "pgseal/1".to_owned(),
        bytes: 1,
        plain_bytes: 1,
        tables: 1,
        rows: 1,
        server_version: "17.6".to_owned(),
        generation: 0,
        recipients: Vec::new(),
        origin: crate::restore::provenance::Origin::default(),
        future: false,
        source: source.to_owned(),
        partial: false,
        warnings: Vec::new(),
        missing: Vec::new(),
        wrong_size: Vec::new(),
        in_doubt: false,
    }
}
