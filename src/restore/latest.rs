//! `latest` and `latest:DATABASE` in place of a stem: the newest backup that is all there.

use crate::cancel::Cancel;
use crate::envelope::manifest::{MAX_MANIFEST, UnverifiedManifest, base_name, check_signature};
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::format::object_names::manifest_revision;
use crate::store::{Archive, Location};
use std::collections::{BTreeMap, BTreeSet};
use time::{Duration, OffsetDateTime};

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
/// time to come or, where a signer is named, not theirs, is passed over: so nobody who may write to the bucket puts one in front.
pub(super) async fn newest(
    folder: &Location,
    archive: &Archive,
    database: Option<&str>,
    signer: Option<&Verifier>,
    cancel: &Cancel,
) -> Result<String> {
    let listed = cancel.run_until_cancelled(archive.list("")).await?;
    let names: BTreeSet<&str> = listed.iter().map(|object| object.name.as_str()).collect();
    let mut revisions: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for name in &names {
        if let Some((stem, _)) = manifest_revision(name) {
            // By the time at its end, whatever the database is called.
            let time = stem.rsplit('_').next().unwrap_or(stem);
            revisions.entry((time, stem)).or_default().push(name);
        }
    }
    let ahead = OffsetDateTime::now_utc() + AHEAD;
    let mut databases: BTreeMap<String, String> = BTreeMap::new();
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
            let is_whole = manifest.objects.iter().all(|object| names.contains(base_name(&object.key)));
            let counts = is_whole && manifest.scheduled_time.0 <= ahead && (signer.is_none() || check_signature(&found, signer).is_ok());
            if !counts || database.is_some_and(|database| database != manifest.database) {
                continue;
            }
            if database.is_some() {
                return Ok((*stem).to_owned());
            }
            databases.entry(manifest.database.clone()).or_insert_with(|| (*stem).to_owned());
            break;
        }
    }
    match (databases.len(), databases.pop_first(), database) {
        (1, Some((_, stem)), _) => Ok(stem),
        (0, _, Some(database)) => Err(Error::new(
            Code::NoBackup,
            format!("there is no complete backup of the database {database} in {folder}"),
        )),
        (0, ..) => Err(Error::new(Code::NoBackup, format!("there is no complete backup in {folder}"))),
        (count, first, _) => {
            let example = first.map(|(database, _)| database).unwrap_or_default();
            Err(Error::new(
                Code::BadUsage,
                format!("{folder} has backups of {count} databases: `latest` does not say of which one"),
            )
            .advise(format!("Name the database: {folder}/latest:{example}")))
        }
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
}
