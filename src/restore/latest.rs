//! `latest` and `latest:DATABASE` in place of a stem: the newest backup that is all there.

use crate::cancel::Cancel;
use crate::envelope::manifest::{MAX_MANIFEST, UnverifiedManifest, base_name, check_signature};
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::format::object_names::manifest_revision;
use crate::format::order::UNKNOWN_SOURCE;
use crate::rds::preflight::some_of;
use crate::store::{Archive, Location};
use std::collections::{BTreeMap, BTreeSet};
use time::{Duration, OffsetDateTime};

/// How like the name of a database that is there a mistyped one is (Jaro-Winkler).
const NEAR: f64 = 0.85;
/// How far a clock may be behind ours.
const AHEAD: Duration = Duration::minutes(5);

/// The database that a place ends with: `Some(None)` for `latest` alone, which no stem is called.
pub(super) fn asked(name: &str) -> Option<Option<&str>> {
    match name.strip_prefix("latest")? {
        "" => Some(None),
        rest => rest.strip_prefix(':').filter(|database| !database.is_empty()).map(Some),
    }
}

/// The stem of the newest backup by its scheduled time. One whose manifest cannot be read, names what is not there, is of a
/// time to come or, if a signer is named, not theirs, is passed over: so nobody who may write to the bucket puts one in front. A
/// backup of a part counts only if there is none of the whole. Databases of two servers are two, whatever their names.
pub(super) async fn newest(
    folder: &Location,
    archive: &Archive,
    database: Option<&str>,
    signer: Option<&Verifier>,
    cancel: &Cancel,
) -> Result<String> {
    let listed = cancel.run_until_cancelled(archive.list("")).await?;
    let names: BTreeMap<&str, u64> = listed.iter().map(|object| (object.name.as_str(), object.size)).collect();
    let mut revisions: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for name in names.keys() {
        if let Some((stem, _)) = manifest_revision(name) {
            // By the time at its end, whatever the database is called.
            let time = stem.rsplit('_').next().unwrap_or(stem);
            revisions.entry((time, stem)).or_default().push(name);
        }
    }
    let ahead = OffsetDateTime::now_utc() + AHEAD;
    let mut found_of: BTreeMap<(String, String), Candidate> = BTreeMap::new();
    let mut not_signed = BTreeSet::new();
    let mut others = BTreeSet::new();
    for ((_, stem), names_of_it) in revisions.iter().rev() {
        for name in names_of_it {
            let bytes = cancel.run_until_cancelled(archive.read(name, MAX_MANIFEST)).await;
            let found = match bytes.and_then(|bytes| UnverifiedManifest::parse(name, &bytes)) {
                Ok(found) => found,
                Err(error) if super::find::ends_the_search(error.code) => return Err(error),
                Err(error) => {
                    tracing::warn!("{name} is passed over: {}", error.message);
                    continue;
                }
            };
            let manifest = found.unproven();
            let is_whole = manifest
                .objects
                .iter()
                .all(|object| names.get(base_name(&object.key)) == Some(&object.size));
            if !is_whole || manifest.scheduled_time.0 > ahead {
                continue;
            }
            if database.is_some_and(|database| database != manifest.database) {
                others.insert(manifest.database.clone());
                continue;
            }
            if signer.is_some() && check_signature(&found, signer).is_err() {
                not_signed.insert(*stem);
                continue;
            }
            let of = (manifest.database.clone(), manifest.source_text());
            let known = found_of.entry(of).or_default();
            let place = if manifest.is_partial() { &mut known.part } else { &mut known.whole };
            place.get_or_insert_with(|| (*stem).to_owned());
            break;
        }
    }
    let known: BTreeSet<String> = found_of
        .keys()
        .filter(|(_, source)| source != UNKNOWN_SOURCE)
        .map(|(of, _)| of.clone())
        .collect();
    // Of a version before 0.2, which does not say: once there are newer ones they count for nothing.
    found_of.retain(|(of, source), _| source != UNKNOWN_SOURCE || !known.contains(of));
    let (any, not_signed) = (!found_of.is_empty(), not_signed.len());
    match choose(folder, database, found_of, not_signed) {
        Err(error) if !any && not_signed == 0 => {
            let folders = match names.is_empty() {
                true => cancel.run_until_cancelled(archive.folders()).await?,
                false => Vec::new(),
            };
            Err(error.advise(elsewhere(folder, database, &others, &folders)))
        }
        outcome => outcome,
    }
}

/// Where to look, of a place that has no such backup: other databases, or other folders.
fn elsewhere(folder: &Location, database: Option<&str>, others: &BTreeSet<String>, folders: &[String]) -> String {
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

/// The newest of one database of one server.
#[derive(Debug, Default)]
struct Candidate {
    whole: Option<String>,
    part: Option<String>,
}

impl Candidate {
    fn stem(self) -> Option<String> {
        self.whole.or(self.part)
    }
}

fn choose(folder: &Location, database: Option<&str>, found: BTreeMap<(String, String), Candidate>, not_signed: usize) -> Result<String> {
    let databases: BTreeSet<&str> = found.keys().map(|(database, _)| database.as_str()).collect();
    if databases.len() > 1 {
        let example = databases.first().copied().unwrap_or_default();
        let message = format!(
            "{folder} has backups of {} databases: `latest` does not say of which one",
            databases.len()
        );
        return Err(Error::new(Code::BadUsage, message).advise(format!("Name the database: {folder}/latest:{example}")));
    }
    let sources = found.len();
    let mut stems = found.into_values().filter_map(Candidate::stem);
    let of = database.map(|database| format!(" of the database {database}")).unwrap_or_default();
    match (stems.next(), stems.next()) {
        (Some(stem), None) => Ok(stem),
        (Some(one), Some(other)) => Err(Error::new(
            Code::BadUsage,
            format!("{folder} has backups of {sources} servers{of}: `latest` does not say of which one"),
        )
        .advise(format!(
            "Name the backup, such as {one} or {other}: `pgseal list` shows their sources."
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
        let candidate = |whole: Option<&str>, part: Option<&str>| Candidate {
            whole: whole.map(str::to_owned),
            part: part.map(str::to_owned),
        };
        let chosen = |found: Vec<(&str, &str, Candidate)>, not_signed| {
            let found = found
                .into_iter()
                .map(|(database, source, found)| ((database.to_owned(), source.to_owned()), found));
            choose(&folder, Some("app"), found.collect(), not_signed)
        };
        assert_eq!(
            chosen(vec![("app", "s1", candidate(Some("whole"), Some("part")))], 0).unwrap(),
            "whole"
        );
        assert_eq!(chosen(vec![("app", "s1", candidate(None, Some("part")))], 0).unwrap(), "part");
        let two = vec![
            ("app", "s1", candidate(Some("one"), None)),
            ("app", "s2", candidate(Some("other"), None)),
        ];
        let error = chosen(two, 0).unwrap_err();
        assert!(error.code == Code::BadUsage && error.hint().contains("one or other"), "{error}");
        let error = chosen(Vec::new(), 2).unwrap_err();
        assert!(
            error.code == Code::NoBackup && error.message.contains("2 that they did not sign"),
            "{error}"
        );
    }
}
