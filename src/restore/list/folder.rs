//! What one folder holds: its manifests are read, and each object is a backup's or nobody's.

use super::{BackupEntry, LeftoverEntry, LegacyEntry, Listing, UnreadableEntry};
use crate::envelope::manifest::{MAX_MANIFEST, UnverifiedManifest, base_name, check_signature};
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::format::object_names::{compact, instructions_revision, is_report, manifest_revision, stem_of};
use crate::human::units::short;
use crate::restore::find::{ends_the_search, legacy_pair};
use crate::restore::provenance::Origin;
use crate::store::{Archive, Location, ObjectEntry};
use futures_util::{StreamExt, stream};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use time::{Duration, OffsetDateTime};

/// How far a clock may be behind ours.
pub(in crate::restore) const AHEAD: Duration = Duration::minutes(5);
/// Manifests that are read at once.
const AT_ONCE: usize = 16;

type Sizes<'a> = HashMap<&'a str, u64>;

/// All of a folder, by the objects that were listed in it.
pub(in crate::restore) async fn read(
    location: &Location,
    archive: &Archive,
    listed: Vec<ObjectEntry>,
    signer: Option<&Verifier>,
) -> Result<Listing> {
    let (reports, listed): (Vec<ObjectEntry>, Vec<ObjectEntry>) = listed.into_iter().partition(|listed| is_report(&listed.name));
    let mut groups: BTreeMap<&str, Vec<&ObjectEntry>> = BTreeMap::new();
    for object in &listed {
        let Some(stem) = stem_of(&object.name) else { continue };
        groups.entry(stem).or_default().push(object);
    }
    let sizes: Sizes<'_> = listed.iter().map(|object| (object.name.as_str(), object.size)).collect();
    let mut listing = Listing::of(location);
    listing.reports = reports.into_iter().map(|listed| listed.name).collect();
    let mut named: BTreeSet<String> = BTreeSet::new();
    let mut errors: BTreeMap<&str, Error> = BTreeMap::new();
    let mut manifests = manifests(archive, &listed).await?;
    for (stem, objects) in &groups {
        let mut found: Vec<UnverifiedManifest> = Vec::new();
        for read in manifests.remove(stem).unwrap_or_default() {
            match read {
                Ok(manifest) => found.push(manifest),
                // What may not be read matters more than what is no manifest.
                Err(error) => match errors.get(stem) {
                    Some(known) if known.code != Code::Tampered => {}
                    _ => drop(errors.insert(stem, error)),
                },
            }
        }
        found.sort_by_key(|found| std::cmp::Reverse(found.unproven().generation));
        let Some(newest) = newest(&found, signer, &sizes) else { continue };
        for found in &found {
            named.insert(found.name().to_owned());
            named.extend(found.unproven().objects.iter().map(|object| base_name(&object.key).to_owned()));
        }
        let is_card = |listed: &&&ObjectEntry| {
            instructions_revision(&listed.name).is_some_and(|revision| found.iter().any(|found| found.unproven().generation == revision))
        };
        named.extend(objects.iter().filter(is_card).map(|listed| listed.name.clone()));
        let mut entry = whole(stem, newest, &sizes);
        entry.origin = Origin::new(newest, signer, location);
        let doubts = doubts(newest, &found, signer, &sizes);
        entry.in_doubt = !doubts.is_empty();
        entry.runs = found.iter().map(|found| found.unproven().run.clone()).collect();
        entry.warnings = entry.origin.warning().into_iter().chain(doubts).collect();
        if let (Some(signer), false) = (signer, entry.origin.pinned) {
            // Not theirs is not in doubt: it is somebody else's, and counts for nothing.
            entry.warnings.push(format!("not signed by {}", short(&signer.fingerprint)));
        }
        if entry.future {
            entry
                .warnings
                .push("its time is still to come: nobody can have made it then".to_owned());
        }
        listing.backups.push(entry);
    }
    listing.sort();
    for (stem, objects) in &groups {
        let left: Vec<&&ObjectEntry> = objects.iter().filter(|listed| !named.contains(&listed.name)).collect();
        if left.is_empty() {
            continue;
        }
        let bytes = left.iter().map(|listed| listed.size).sum();
        let objects: Vec<String> = left.iter().map(|listed| listed.name.clone()).collect();
        let is_legacy = legacy_pair(&objects).is_some();
        let stem_text = (*stem).to_owned();
        match errors.remove(stem) {
            Some(error) if error.code != Code::Tampered => listing.unreadable.push(UnreadableEntry {
                folder: String::new(),
                stem: stem_text,
                objects,
                bytes,
                error,
            }),
            None if is_legacy && !groups.contains_key(compact(stem).as_str()) => {
                listing.unauthenticated.push(LegacyEntry {
                    folder: String::new(),
                    stem: stem_text,
                    objects,
                    bytes,
                });
            }
            error => listing.leftovers.push(LeftoverEntry {
                folder: String::new(),
                stem: stem_text,
                objects,
                bytes,
                error: error.or_else(|| is_legacy.then(|| downgraded(stem))),
            }),
        }
    }
    Ok(listing)
}

/// Of each stem, in the order of their names. What the store cannot answer ends it; what one object may be is told of that one.
async fn manifests<'a>(archive: &Archive, listed: &'a [ObjectEntry]) -> Result<BTreeMap<&'a str, Vec<Result<UnverifiedManifest>>>> {
    let named = listed
        .iter()
        .filter_map(|object| Some((object.name.as_str(), manifest_revision(&object.name)?.0)));
    let reading = named.map(|(name, stem)| async move {
        let bytes = archive.read(name, MAX_MANIFEST).await;
        (stem, bytes.and_then(|bytes| UnverifiedManifest::parse(name, &bytes)))
    });
    let mut reading = stream::iter(reading).buffered(AT_ONCE);
    let mut found: BTreeMap<&str, Vec<Result<UnverifiedManifest>>> = BTreeMap::new();
    while let Some((stem, read)) = reading.next().await {
        match read {
            Err(error) if ends_the_search(error.code) => return Err(error),
            read => found.entry(stem).or_default().push(read),
        }
    }
    Ok(found)
}

/// With a pinned signer, what they signed; of those the highest number whose objects are all there, or the highest of all.
fn newest<'a>(found: &'a [UnverifiedManifest], signer: Option<&Verifier>, sizes: &Sizes<'_>) -> Option<&'a UnverifiedManifest> {
    let is_theirs = |found: &&UnverifiedManifest| signer.is_some() && check_signature(found, signer).is_ok();
    let is_whole = |found: &&UnverifiedManifest| is_whole(found, sizes);
    let theirs = || found.iter().filter(is_theirs);
    let whole = theirs().find(is_whole).or_else(|| theirs().next());
    whole.or_else(|| found.iter().find(is_whole)).or(found.first())
}

fn is_whole(found: &UnverifiedManifest, sizes: &Sizes<'_>) -> bool {
    let mut objects = found.unproven().objects.iter();
    found.unproven().names_its_keys() && objects.all(|object| sizes.get(base_name(&object.key)) == Some(&object.size))
}

/// Why a reader with the key may refuse it. Without the key none of the manifests is proven: anyone who may write to the bucket can
/// cause a doubt, and none of theirs is taken for a backup. A pinned signer settles it, as it does for `restore`.
fn doubts(newest: &UnverifiedManifest, all: &[UnverifiedManifest], signer: Option<&Verifier>, sizes: &Sizes<'_>) -> Vec<String> {
    let mut doubts: Vec<String> = check_signature(newest, None).err().map(|error| error.message).into_iter().collect();
    let is_signed = |found: &UnverifiedManifest| found.unproven().signer.is_some();
    for other in all.iter().filter(|other| other.name() != newest.name()) {
        let signature = check_signature(other, signer);
        if signer.is_some() && signature.is_err() {
            continue;
        }
        let (name, of) = (other.name(), newest.name());
        if !other.unproven().names_same_dump(newest.unproven()) {
            doubts.push(format!("{of} and {name} name different dumps"));
        } else if is_signed(other) != is_signed(newest) {
            doubts.push(format!(
                "only one of {of} and {name} is signed: without --signer, restore refuses it"
            ));
        } else if let Err(error) = signature {
            doubts.push(error.message);
        } else if !is_whole(other, sizes) {
            doubts.push(format!("{name} names objects that are not there, and {of} does not"));
        }
    }
    doubts
}

fn downgraded(stem: &str) -> Error {
    Error::new(
        Code::Tampered,
        format!("objects of the legacy image's kind are under {stem}, the name of a sealed backup"),
    )
}

fn whole(stem: &str, found: &UnverifiedManifest, sizes: &Sizes<'_>) -> BackupEntry {
    let manifest = found.unproven();
    let objects = manifest.objects.iter().map(|object| (base_name(&object.key), object.size));
    let named = |wanted: fn(Option<u64>, u64) -> bool| -> Vec<String> {
        let found = objects.clone().filter(|(name, size)| wanted(sizes.get(*name).copied(), *size));
        found.map(|(name, _)| name.to_owned()).collect()
    };
    let mut missing = named(|there, _| there.is_none());
    if !manifest.names_its_keys() {
        missing.push("a key object of a recipient".to_owned());
    }
    BackupEntry {
        folder: String::new(),
        stem: stem.to_owned(),
        database: manifest.database.clone(),
        scheduled_time: manifest.scheduled_time,
        finished_at: manifest.finished_at,
        run: manifest.run.clone(),
        runs: Vec::new(),
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
        missing,
        wrong_size: named(|there, sealed| there.is_some_and(|size| size != sealed)),
        in_doubt: false,
    }
}
