//! What is there: whole backups, the newest first, and apart from them what dead runs left.

use super::backup::legacy_pair;
use super::names::{manifest_of, stem_of};
use crate::cancel::Cancel;
use crate::envelope::card::card_name;
use crate::envelope::manifest::{Found, MAX_MANIFEST, Timestamp, base_name};
use crate::error::{Error, Result};
use crate::event::Env;
use crate::store::{Archive, Listed, Location};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Serialize)]
pub struct Listing {
    pub location: String,
    pub backups: Vec<Whole>,
    /// Of the old image: nothing in them can be checked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unauthenticated: Vec<Unauthenticated>,
    pub leftovers: Vec<Leftover>,
}

/// A backup with a manifest. Whether its objects are what was sealed, `verify` tells.
#[derive(Debug, Serialize)]
pub struct Whole {
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
    pub signed: bool,
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
}

/// A key file and a dump that no manifest names, as the old image wrote them.
#[derive(Debug, Serialize)]
pub struct Unauthenticated {
    pub stem: String,
    pub objects: Vec<String>,
    pub bytes: u64,
}

/// Objects that no manifest names, or a manifest that is none.
#[derive(Debug, Serialize)]
pub struct Leftover {
    pub stem: String,
    pub objects: Vec<String>,
    pub bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

pub async fn list(text: &str, env: &Env, cancel: &Cancel) -> Result<Listing> {
    let location = Location::parse(text)?;
    let archive = Archive::open(&location, env).await?;
    let mut groups: BTreeMap<String, Vec<Listed>> = BTreeMap::new();
    for listed in cancel.race(archive.list("")).await? {
        let Some(stem) = stem_of(&listed.name) else { continue };
        groups.entry(stem.to_owned()).or_default().push(listed);
    }
    let mut listing = Listing {
        location: location.to_string(),
        backups: Vec::new(),
        unauthenticated: Vec::new(),
        leftovers: Vec::new(),
    };
    let mut named: BTreeSet<String> = BTreeSet::new();
    let sizes: BTreeMap<String, u64> = groups.values().flatten().map(|listed| (listed.name.clone(), listed.size)).collect();
    let mut unreadable: BTreeMap<String, Error> = BTreeMap::new();
    for (stem, objects) in &groups {
        let mut newest: Option<Found> = None;
        let mut warnings = Vec::new();
        for listed in objects.iter().filter(|listed| manifest_of(&listed.name).is_some()) {
            let bytes = cancel.race(archive.read(&listed.name, MAX_MANIFEST)).await;
            match bytes.and_then(|bytes| Found::parse(&listed.name, &bytes)) {
                Ok(found) => {
                    if let Some(other) = newest.as_ref().filter(|other| !other.unproven().names_same_dump(found.unproven())) {
                        warnings.push(format!("{} and {} name different dumps", other.name(), found.name()));
                    }
                    named.insert(listed.name.clone());
                    named.extend(found.unproven().objects.iter().map(|object| base_name(&object.key).to_owned()));
                    if newest
                        .as_ref()
                        .is_none_or(|other| other.unproven().generation < found.unproven().generation)
                    {
                        newest = Some(found);
                    }
                }
                Err(error) => {
                    unreadable.insert(stem.clone(), error);
                }
            }
        }
        if let Some(found) = newest {
            named.extend((1..=found.unproven().generation).map(|generation| card_name(stem, generation)));
            listing.backups.push(Whole {
                warnings,
                ..whole(stem, &found, &sizes)
            });
        }
    }
    listing
        .backups
        .sort_by(|a, b| b.scheduled_time.0.cmp(&a.scheduled_time.0).then(a.stem.cmp(&b.stem)));
    for (stem, objects) in groups {
        let left: Vec<&Listed> = objects.iter().filter(|listed| !named.contains(&listed.name)).collect();
        if left.is_empty() {
            continue;
        }
        let bytes = left.iter().map(|listed| listed.size).sum();
        let objects: Vec<String> = left.iter().map(|listed| listed.name.clone()).collect();
        if legacy_pair(&objects).is_some() {
            listing.unauthenticated.push(Unauthenticated { stem, objects, bytes });
        } else {
            let error = unreadable.remove(&stem);
            listing.leftovers.push(Leftover {
                stem,
                objects,
                bytes,
                error,
            });
        }
    }
    Ok(listing)
}

fn whole(stem: &str, found: &Found, sizes: &BTreeMap<String, u64>) -> Whole {
    let manifest = found.unproven();
    let names = manifest.objects.iter().map(|object| base_name(&object.key));
    Whole {
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
        signed: manifest.signer.is_some(),
        source: manifest.source_text().to_owned(),
        partial: manifest.is_partial(),
        warnings: Vec::new(),
        missing: names.filter(|name| !sizes.contains_key(*name)).map(str::to_owned).collect(),
    }
}

impl Listing {
    pub fn to_json(&self) -> String {
        // Every field is a text, number or list: this cannot fail.
        serde_json::to_string(self).unwrap_or_else(|_| "{\"backups\":[]}".to_owned())
    }
}
