//! What is there: whole backups, the newest first, and apart from them what interrupted runs left.

pub(crate) mod filter;
pub(super) mod folder;
pub(super) mod newest;
pub(super) mod tree;

use super::find::near;
use super::latest;
use super::provenance::Origin;
use crate::cancel::Cancel;
use crate::envelope::manifest::Timestamp;
use crate::envelope::signature::Verifier;
use crate::error::{Error, Result};
use crate::format::object_names::{compact, is_of_a_run, old_spelling, stem_of};
use crate::observe::logs::ANSWER;
use crate::rds::preflight::some_of;
use crate::store::{Archive, Location, ObjectEntry};
use crate::variables::Env;
use filter::ListFilter;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use time::OffsetDateTime;

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
    /// Backups that the filter left out.
    #[serde(skip)]
    pub hidden: usize,
    /// A database has no complete backup that is as new as was asked for (`--max-age`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

impl Listing {
    pub(super) fn of(location: &Location) -> Self {
        Self {
            location: location.to_string(),
            backups: Vec::new(),
            unauthenticated: Vec::new(),
            unreadable: Vec::new(),
            leftovers: Vec::new(),
            reports: Vec::new(),
            folders: Vec::new(),
            hidden: 0,
            error: None,
        }
    }

    pub(super) fn sort(&mut self) {
        self.backups.sort_by(|a, b| {
            let time = b.scheduled_time.0.cmp(&a.scheduled_time.0);
            a.future.cmp(&b.future).then(time).then(a.stem.cmp(&b.stem))
        });
    }

    /// Says of everything in it in which folder of a greater place it stands.
    fn put_into(&mut self, folder: &str) {
        let folders = self.backups.iter_mut().map(|entry| &mut entry.folder);
        let folders = folders.chain(self.unauthenticated.iter_mut().map(|entry| &mut entry.folder));
        let folders = folders.chain(self.unreadable.iter_mut().map(|entry| &mut entry.folder));
        let folders = folders.chain(self.leftovers.iter_mut().map(|entry| &mut entry.folder));
        for place in folders {
            folder.clone_into(place);
        }
        for report in &mut self.reports {
            *report = within(folder, report);
        }
    }

    fn add(&mut self, other: Self) {
        self.backups.extend(other.backups);
        self.unauthenticated.extend(other.unauthenticated);
        self.unreadable.extend(other.unreadable);
        self.leftovers.extend(other.leftovers);
        self.reports.extend(other.reports);
    }

    /// Nothing that could be of a backup is in it.
    fn is_bare(&self) -> bool {
        self.backups.is_empty() && self.unauthenticated.is_empty() && self.unreadable.is_empty() && self.leftovers.is_empty()
    }

    /// What makes it more than a list.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.error.as_ref().or_else(|| self.unreadable.first().map(|entry| &entry.error))
    }
}

/// A name with its folder.
pub(crate) fn within(folder: &str, name: &str) -> String {
    match folder {
        "" => name.to_owned(),
        folder => format!("{folder}/{name}"),
    }
}

/// A backup with a manifest. Whether its objects are what was sealed, `verify` tells.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BackupEntry {
    /// Below the location; left out where that is the backup's folder.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub folder: String,
    pub stem: String,
    pub database: String,
    pub scheduled_time: Timestamp,
    pub finished_at: Timestamp,
    pub run: String,
    /// As each of its manifests says.
    #[serde(skip)]
    pub runs: Vec<String>,
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
    /// Its manifests contradict each other, or a signature does not hold: `restore` may refuse it. The warnings say why.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub in_doubt: bool,
}

impl BackupEntry {
    /// As far as a list can tell: all of it is there.
    pub(crate) fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.wrong_size.is_empty()
    }

    /// A list need not doubt that it can be restored. `is_pinned`: a signer was named, and only what they signed counts.
    pub(super) fn counts(&self, is_pinned: bool) -> bool {
        self.is_complete() && !self.future && !self.in_doubt && self.is_of_signer(is_pinned)
    }

    /// If a signer was named, it is theirs.
    pub(super) fn is_of_signer(&self, is_pinned: bool) -> bool {
        self.origin.pinned || !is_pinned
    }
}

/// A key file and a dump that no manifest names, as the legacy image wrote them.
#[derive(Debug, Serialize)]
pub(crate) struct LegacyEntry {
    /// Below the location; left out where that is the backup's folder.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub folder: String,
    pub stem: String,
    pub objects: Vec<String>,
    pub bytes: u64,
}

/// The manifest, and what stands under its name and belongs to nothing that can be read.
#[derive(Debug, Serialize)]
pub(crate) struct UnreadableEntry {
    /// Below the location; left out where that is the backup's folder.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub folder: String,
    pub stem: String,
    pub objects: Vec<String>,
    pub bytes: u64,
    pub error: Error,
}

/// Objects that no manifest names, or a manifest that is none.
#[derive(Debug, Serialize)]
pub(crate) struct LeftoverEntry {
    /// Below the location; left out where that is the backup's folder.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub folder: String,
    pub stem: String,
    pub objects: Vec<String>,
    pub bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

impl LeftoverEntry {
    /// Of a run of this program, or of the legacy image: other programs' files have times in their names, too.
    pub(super) fn is_of_a_run(&self) -> bool {
        self.objects.iter().any(|name| is_of_a_run(name) || name.ends_with(".enc"))
    }
}

pub(crate) async fn list(text: &str, filter: &ListFilter, signer: Option<&Verifier>, env: &Env, cancel: &Cancel) -> Result<Listing> {
    let mut listing = match filter.recursive {
        true => cancel.run_until_cancelled(all_below(&Location::parse(text)?, signer, env)).await?,
        false => one_place(text, signer, env, cancel).await?,
    };
    filter.apply(&mut listing, signer.is_some(), OffsetDateTime::now_utc());
    Ok(listing)
}

/// Of a place and all folders below it.
async fn all_below(root: &Location, signer: Option<&Verifier>, env: &Env) -> Result<Listing> {
    let folders = tree::folders(root, env).await?;
    let reading = folders.into_iter().map(|found| async move {
        let mut listing = folder::read(&found.location, &found.archive, found.listed, signer).await?;
        listing.put_into(&found.name);
        Ok::<_, Error>(listing)
    });
    let mut reading = stream::iter(reading).buffered(tree::AT_ONCE);
    let mut all = Listing::of(root);
    while let Some(read) = reading.next().await {
        all.add(read?);
    }
    all.sort();
    Ok(all)
}

async fn one_place(text: &str, signer: Option<&Verifier>, env: &Env, cancel: &Cancel) -> Result<Listing> {
    let mut named = Location::parse(text)?;
    if let Some((folder, name)) = named.split()
        && let Some(database) = latest::asked(&name)
    {
        let archive = cancel.run_until_cancelled(Archive::open(&folder, env)).await?;
        let stem = latest::newest(&folder, &archive, database, signer, cancel).await?;
        named = folder.join(&stem);
    }
    let (location, archive, listed) = cancel.run_until_cancelled(open_location(&named, env)).await?;
    let mut listing = cancel
        .run_until_cancelled(folder::read(&location, &archive, listed, signer))
        .await?;
    listing.location = named.to_string();
    if listing.is_bare() {
        listing.folders = cancel.run_until_cancelled(archive.folders()).await?;
        let below = match listing.folders.len() {
            0 => "no folder is in it either".to_owned(),
            count => format!("the folders in it are places of their own ({count}): {}", some_of(&listing.folders)),
        };
        let near = cancel.run_until_cancelled(async { Ok(near(&named, env).await) }).await?;
        let meant = match near.is_empty() {
            true => String::new(),
            false => format!(". Did you mean {}?", near.join(" or ")),
        };
        tracing::warn!(target: ANSWER, "no object that could be of a backup is directly under {location}; {below}{meant}");
    }
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
