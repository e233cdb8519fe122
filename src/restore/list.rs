//! What is there: whole backups, the newest first, and apart from them what interrupted runs left.

pub(crate) mod filter;

use super::find::legacy_pair;
use super::latest;
use super::provenance::Origin;
use crate::cancel::Cancel;
use crate::envelope::manifest::{MAX_MANIFEST, Timestamp, UnverifiedManifest, base_name, check_signature};
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::format::object_names::{compact, instructions_revision, is_report, manifest_revision, old_spelling, stem_of};
use crate::observe::logs::ANSWER;
use crate::rds::preflight::some_of;
use crate::store::{Archive, Location, ObjectEntry};
use crate::variables::Env;
use filter::ListFilter;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use time::{Duration, OffsetDateTime};

/// How far a clock may be behind ours.
const AHEAD: Duration = Duration::minutes(5);

#[derive(Debug, Serialize)]
pub(crate) struct Listing {
    pub location: String,
    /// The newest first; behind them those of a time to come, which nobody can have made yet.
    pub backups: Vec<BackupEntry>,
    /// Of the legacy image: nothing in them can be checked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unauthenticated: Vec<LegacyEntry>,
    /// Where a manifest is there and may not be read: whether it is a backup is unknown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<UnreadableEntry>,
    pub leftovers: Vec<LeftoverEntry>,
    /// Of drills that were told to leave them here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<String>,
    /// Of a place without any object of a backup: the folders in it, where backups may be. The first thousand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<String>,
    /// A database has no complete backup that is as new as was asked for (`--max-age`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

impl Listing {
    /// What makes it more than a list.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.error.as_ref().or_else(|| self.unreadable.first().map(|entry| &entry.error))
    }
}

/// A backup with a manifest. Whether its objects are what was sealed, `verify` tells.
#[derive(Debug, Serialize)]
pub(crate) struct BackupEntry {
    pub stem: String,
    pub database: String,
    pub scheduled_time: Timestamp,
    pub finished_at: Timestamp,
    pub run: String,
    pub format: String,
    /// Of all objects.
    pub bytes: u64,
    pub plain_bytes: u64,
    pub tables: u64,
    pub rows: u64,
    pub server_version: String,
    pub generation: u32,
    /// Fingerprints of the private keys that open it.
    pub recipients: Vec<String>,
    /// Of the newest manifest: not proven by anything but, where it is pinned, its signature.
    #[serde(flatten)]
    pub origin: Origin,
    /// Its time is still to come.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub future: bool,
    /// The digest of the source, or `source unknown`.
    pub source: String,
    /// It is of a part of the database.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What the newest manifest names and is not there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// What has another size than it was sealed with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wrong_size: Vec<String>,
}

impl BackupEntry {
    /// As far as a list can tell: all of it is there.
    pub(crate) fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.wrong_size.is_empty()
    }
}

/// A key file and a dump that no manifest names, as the legacy image wrote them.
#[derive(Debug, Serialize)]
pub(crate) struct LegacyEntry {
    pub stem: String,
    pub objects: Vec<String>,
    pub bytes: u64,
}

/// The manifest, and what stands under its name and belongs to nothing that can be read.
#[derive(Debug, Serialize)]
pub(crate) struct UnreadableEntry {
    pub stem: String,
    pub objects: Vec<String>,
    pub bytes: u64,
    pub error: Error,
}

/// Objects that no manifest names, or a manifest that is none.
#[derive(Debug, Serialize)]
pub(crate) struct LeftoverEntry {
    pub stem: String,
    pub objects: Vec<String>,
    pub bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

pub(crate) async fn list(text: &str, filter: &ListFilter, signer: Option<&Verifier>, env: &Env, cancel: &Cancel) -> Result<Listing> {
    let mut named = Location::parse(text)?;
    if let Some((folder, name)) = named.split()
        && let Some(database) = latest::asked(&name)
    {
        let archive = cancel.run_until_cancelled(Archive::open(&folder, env)).await?;
        let stem = latest::newest(&folder, &archive, database, signer, cancel).await?;
        named = folder.join(&stem);
    }
    let (location, archive, listed) = cancel.run_until_cancelled(open_location(&named, env)).await?;
    let mut groups: BTreeMap<String, Vec<ObjectEntry>> = BTreeMap::new();
    let (reports, objects): (Vec<ObjectEntry>, Vec<ObjectEntry>) = listed.into_iter().partition(|listed| is_report(&listed.name));
    for listed in objects {
        let Some(stem) = stem_of(&listed.name) else { continue };
        groups.entry(stem.to_owned()).or_default().push(listed);
    }
    let mut folders = Vec::new();
    if groups.is_empty() {
        folders = cancel.run_until_cancelled(archive.folders()).await?;
        let below = match folders.len() {
            0 => "no folder is in it either".to_owned(),
            count => format!("the folders in it are places of their own ({count}): {}", some_of(&folders)),
        };
        tracing::warn!(target: ANSWER, "no object that could be of a backup stands directly under {location}; {below}");
    }
    let mut listing = Listing {
        location: named.to_string(),
        backups: Vec::new(),
        unauthenticated: Vec::new(),
        unreadable: Vec::new(),
        leftovers: Vec::new(),
        reports: reports.into_iter().map(|listed| listed.name).collect(),
        folders,
        error: None,
    };
    let mut named: BTreeSet<String> = BTreeSet::new();
    let sizes: BTreeMap<String, u64> = groups.values().flatten().map(|listed| (listed.name.clone(), listed.size)).collect();
    let mut errors: BTreeMap<String, Error> = BTreeMap::new();
    for (stem, objects) in &groups {
        let mut found: Vec<UnverifiedManifest> = Vec::new();
        for listed in objects.iter().filter(|listed| manifest_revision(&listed.name).is_some()) {
            let bytes = cancel.run_until_cancelled(archive.read(&listed.name, MAX_MANIFEST)).await;
            match bytes.and_then(|bytes| UnverifiedManifest::parse(&listed.name, &bytes)) {
                Ok(manifest) => found.push(manifest),
                Err(error) if error.code == Code::Terminated => return Err(error),
                // What may not be read matters more than what is no manifest.
                Err(error) => match errors.get(stem) {
                    Some(known) if known.code != Code::Tampered => {}
                    _ => drop(errors.insert(stem.clone(), error)),
                },
            }
        }
        found.sort_by_key(|found| std::cmp::Reverse(found.unproven().generation));
        let Some(newest) = newest(&found, signer) else { continue };
        for found in &found {
            named.insert(found.name().to_owned());
            named.extend(found.unproven().objects.iter().map(|object| base_name(&object.key).to_owned()));
        }
        let is_card = |listed: &&ObjectEntry| {
            instructions_revision(&listed.name).is_some_and(|revision| found.iter().any(|found| found.unproven().generation == revision))
        };
        named.extend(objects.iter().filter(is_card).map(|listed| listed.name.clone()));
        let mut entry = whole(stem, newest, &sizes);
        entry.origin = Origin::new(newest, signer, &location);
        entry.warnings = warnings(newest, &found, &entry, signer);
        listing.backups.push(entry);
    }
    listing.backups.sort_by(|a, b| {
        let time = b.scheduled_time.0.cmp(&a.scheduled_time.0);
        a.future.cmp(&b.future).then(time).then(a.stem.cmp(&b.stem))
    });
    let stems: BTreeSet<String> = groups.keys().cloned().collect();
    for (stem, objects) in groups {
        let left: Vec<&ObjectEntry> = objects.iter().filter(|listed| !named.contains(&listed.name)).collect();
        if left.is_empty() {
            continue;
        }
        let bytes = left.iter().map(|listed| listed.size).sum();
        let objects: Vec<String> = left.iter().map(|listed| listed.name.clone()).collect();
        match errors.remove(&stem) {
            Some(error) if error.code != Code::Tampered => listing.unreadable.push(UnreadableEntry {
                stem,
                objects,
                bytes,
                error,
            }),
            None if legacy_pair(&objects).is_some() && !stems.contains(&compact(&stem)) => {
                listing.unauthenticated.push(LegacyEntry { stem, objects, bytes });
            }
            error => {
                let error = error.or_else(|| legacy_pair(&objects).map(|_| downgraded(&stem)));
                listing.leftovers.push(LeftoverEntry {
                    stem,
                    objects,
                    bytes,
                    error,
                });
            }
        }
    }
    filter.apply(&mut listing, signer.is_some(), OffsetDateTime::now_utc());
    Ok(listing)
}

/// What stands in a place; or of the one backup that its last segment names, as every other command takes it.
async fn open_location(named: &Location, env: &Env) -> Result<(Location, Archive, Vec<ObjectEntry>)> {
    let one = named.split().and_then(|(folder, name)| Some((folder, compact(stem_of(&name)?))));
    let archive = Archive::open(named, env).await?;
    // A folder may be called so, too: it goes first.
    let within = archive.list("").await;
    let Some((folder, stem)) = one.filter(|_| within.as_ref().map_or(true, Vec::is_empty)) else {
        return Ok((named.clone(), archive, within?));
    };
    let around = Archive::open(&folder, env).await?;
    let mut listed = Vec::new();
    for beginning in [&stem, &old_spelling(&stem)] {
        match around.list(&format!("{beginning}.")).await {
            Ok(more) => listed.extend(more),
            // What may not be looked at is not nothing.
            Err(error) => return Err(within.err().unwrap_or(error)),
        }
    }
    match listed.is_empty() {
        true => Ok((named.clone(), archive, within?)),
        false => Ok((folder, around, listed)),
    }
}

/// With a pinned signer, what they signed; else the highest number.
fn newest<'a>(found: &'a [UnverifiedManifest], signer: Option<&Verifier>) -> Option<&'a UnverifiedManifest> {
    let pinned = found
        .iter()
        .find(|found| signer.is_some() && check_signature(found, signer).is_ok());
    pinned.or(found.first())
}

fn warnings(newest: &UnverifiedManifest, all: &[UnverifiedManifest], entry: &BackupEntry, signer: Option<&Verifier>) -> Vec<String> {
    let mut warnings: Vec<String> = entry.origin.warning().into_iter().collect();
    if let Err(error) = check_signature(newest, signer) {
        warnings.push(error.message);
    }
    let others = all.iter().filter(|other| other.name() != newest.name());
    for other in others.filter(|other| !other.unproven().names_same_dump(newest.unproven())) {
        warnings.push(format!("{} and {} name different dumps", newest.name(), other.name()));
    }
    if entry.future {
        warnings.push("its time is still to come: nobody can have made it then".to_owned());
    }
    warnings
}

fn downgraded(stem: &str) -> Error {
    Error::new(
        Code::Tampered,
        format!("objects of the legacy image's kind stand under {stem}, the name of a sealed backup"),
    )
}

fn whole(stem: &str, found: &UnverifiedManifest, sizes: &BTreeMap<String, u64>) -> BackupEntry {
    let manifest = found.unproven();
    let objects = manifest.objects.iter().map(|object| (base_name(&object.key), object.size));
    let named = |wanted: fn(Option<u64>, u64) -> bool| -> Vec<String> {
        let found = objects.clone().filter(|(name, size)| wanted(sizes.get(*name).copied(), *size));
        found.map(|(name, _)| name.to_owned()).collect()
    };
    BackupEntry {
        stem: stem.to_owned(),
        database: manifest.database.clone(),
        scheduled_time: manifest.scheduled_time,
        finished_at: manifest.finished_at,
        run: manifest.run.clone(),
        format: manifest.format.to_string(),
        bytes: manifest.objects.iter().map(|object| object.size).sum(),
        plain_bytes: manifest.plain_bytes,
        tables: manifest.tables,
        rows: manifest.rows,
        server_version: manifest.server_version.clone(),
        generation: manifest.generation,
        recipients: manifest.recipients.iter().map(|wrapped| wrapped.fingerprint.clone()).collect(),
        origin: Origin::default(),
        future: manifest.scheduled_time.0 > OffsetDateTime::now_utc() + AHEAD,
        source: manifest.source_text(),
        partial: manifest.is_partial(),
        warnings: Vec::new(),
        missing: named(|there, _| there.is_none()),
        wrong_size: named(|there, sealed| there.is_some_and(|size| size != sealed)),
    }
}
