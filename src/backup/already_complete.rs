//! What stands under a backup's name, and whether it is a backup of this very order. Success without a dump of our own is
//! said here and nowhere else.

use crate::envelope::manifest::{MAX_MANIFEST, Manifest, ManifestObject, Role, Timestamp, UnverifiedManifest, check_signature};
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::format::Sha256;
use crate::format::backup_format::Format;
use crate::format::names::{DatabaseName, Stem};
use crate::format::order::{SelectionRecord, source_digest};
use crate::plan::{Host, Plan};
use crate::receipt::CompletedBackup;
use crate::store::{FetchOutcome, KeyProbe, ListedObject, S3};
use bytes::Bytes;
use time::{Duration, OffsetDateTime};

/// How much before its scheduled time a manifest may have been written: clocks differ.
const EARLY: Duration = Duration::minutes(5);
/// More revisions than recipients ever change. A bound, since anyone who may write to the bucket can add some.
const MAX_REVISIONS: usize = 64;
/// The revisions that are asked for by name if nothing may be listed.
const GUESSED_REVISIONS: u32 = 4;

/// What a manifest must show to be of one order.
#[derive(Clone)]
pub(super) struct ThisOrder {
    stem: Stem,
    format: Format,
    pub source: Sha256,
    pub selection: SelectionRecord,
    selection_digest: Sha256,
    /// Fingerprints.
    recipients: Vec<String>,
    scheduled_time: OffsetDateTime,
    /// By whose key it must be signed, if anyone signs here.
    signer: Option<Verifier>,
}

/// What was found under the name of an order.
pub(super) enum ExistingBackup {
    Nothing,
    /// Neither listed nor read: what stands there, if anything does, shows at the commit.
    Unseen(Error),
    Complete(Box<CompletedBackup>),
}

/// One manifest as it was fetched.
struct Candidate {
    key: String,
    content: ManifestContent,
    etag: Option<String>,
    last_modified: Option<OffsetDateTime>,
}

enum ManifestContent {
    Bytes(Bytes),
    TooLarge(u64),
}

impl ThisOrder {
    pub(crate) fn new(plan: &Plan, (host, port): (&Host, u16), database: &DatabaseName, stem: &Stem, signer: Option<Verifier>) -> Self {
        let selection = SelectionRecord::new(&plan.selection, plan.globals);
        Self {
            stem: stem.clone(),
            format: plan.format,
            source: source_digest(host.as_str(), port, database.as_str()),
            selection_digest: selection.digest(),
            selection,
            recipients: plan.recipients.iter().map(|recipient| recipient.fingerprint.clone()).collect(),
            scheduled_time: plan.scheduled_time,
            signer,
        }
    }

    pub(crate) fn selection_digest(&self) -> Sha256 {
        self.selection_digest
    }

    /// Looks at every revision of the manifest: the first may have been retired since. Fails with `stem_taken` where
    /// something else stands under the name, and with `s3_denied` where what stands there may not be read.
    pub(super) async fn find(&self, store: &S3) -> Result<ExistingBackup> {
        let (keys, listed) = self.manifest_keys(store).await?;
        let (candidates, unseen) = fetch_candidates(store, keys, listed.as_ref().err()).await?;
        if candidates.is_empty() {
            return Ok(unseen.map_or(ExistingBackup::Nothing, ExistingBackup::Unseen));
        }
        let (found, chosen, others) = self.judge(&candidates)?;
        let candidate = &candidates[chosen];
        let listed = match listed {
            Ok(listed) => {
                let listed = self.with_all_objects(store, &found.manifest, &candidate.key, listed).await?;
                // One that makes up for what another one lost may be anybody's.
                for other in others.iter().filter(|_| !listed.is_empty()) {
                    if let Some(reason) = self.lacks(other, &listed) {
                        return Err(self.taken(&format!("another manifest of it {reason}")));
                    }
                }
                listed
            }
            Err(_) => {
                self.look_at_each(store, &found.manifest, &candidate.key).await?;
                Vec::new()
            }
        };
        self.compare_checksums(store, &found.manifest, candidate, &listed).await?;
        Ok(ExistingBackup::Complete(Box::new(with_etags(found, &listed))))
    }

    /// The names to look at, the newest revision first, and what was listed; or the ones to guess, and why nothing may be
    /// listed.
    async fn manifest_keys(&self, store: &S3) -> Result<(Vec<String>, std::result::Result<Vec<ListedObject>, Error>)> {
        let listed = store.list_under(&format!("{}.", self.stem)).await?;
        let keys: Vec<String> = match &listed {
            Ok(listed) => {
                let mut revisions: Vec<(u32, &str)> = listed
                    .iter()
                    .filter_map(|object| Some((self.stem.revision_of(&object.key)?, object.key.as_str())))
                    .collect();
                revisions.sort_unstable_by_key(|(revision, _)| std::cmp::Reverse(*revision));
                revisions.into_iter().map(|(_, key)| key.to_owned()).collect()
            }
            Err(_) => {
                let later = (2..=GUESSED_REVISIONS).rev().map(|revision| self.stem.manifest_revision(revision));
                later.chain([self.stem.manifest()]).collect()
            }
        };
        if keys.len() > MAX_REVISIONS {
            return Err(self.taken(&format!("{} manifests are there", keys.len())));
        }
        Ok((keys, listed))
    }

    /// Everything listed that the manifest may name. A listing during which all of it was written may hold the manifest and
    /// not what came before it: what is missing is listed once more.
    async fn with_all_objects(
        &self,
        store: &S3,
        manifest: &Manifest,
        key: &str,
        mut listed: Vec<ListedObject>,
    ) -> Result<Vec<ListedObject>> {
        let beginnings = self.stem.beginnings(manifest.format);
        for beginning in beginnings.iter().filter(|beginning| **beginning != format!("{}.", self.stem)) {
            listed.extend(store.list_under(beginning).await?.unwrap_or_default());
        }
        if self.lacks(manifest, &listed).is_none() {
            return Ok(listed);
        }
        let mut again = Vec::new();
        for beginning in &beginnings {
            match store.list_under(beginning).await? {
                Ok(more) => again.extend(more),
                Err(_) => return Ok(Vec::new()),
            }
        }
        match self.lacks(manifest, &again) {
            None => Ok(again),
            Some(reason) => Err(self.taken(&format!("{key} {reason}"))),
        }
    }

    async fn compare_checksums(&self, store: &S3, manifest: &Manifest, candidate: &Candidate, listed: &[ListedObject]) -> Result<()> {
        for object in &manifest.objects {
            let later = listed
                .iter()
                .find(|listed| listed.key == object.key && listed.last_modified > candidate.last_modified);
            let fault = match (store.checksum(&object.key).await, later) {
                (Some(told), _) if object.has_checksum(&told) => continue,
                (Some(_), _) => "has another checksum: it was replaced",
                // By the one clock that both have: nothing that a manifest names comes after it.
                (None, Some(_)) => "was written after the manifest, and has no checksum that says whether it is the same",
                (None, None) => continue,
            };
            return Err(self.taken(&format!("{} names {}, which {fault}", candidate.key, object.key)));
        }
        Ok(())
    }

    /// Where nothing may be listed: each object by itself. What may not be looked at cannot be said to be there.
    async fn look_at_each(&self, store: &S3, manifest: &Manifest, key: &str) -> Result<()> {
        for object in &manifest.objects {
            match store.look(&object.key).await? {
                KeyProbe::Found { size, .. } if size == object.size => {}
                KeyProbe::Found { .. } => return Err(self.taken(&format!("{key} names {}, which has another size", object.key))),
                KeyProbe::Missing => return Err(self.taken(&format!("{key} names {}, which is missing", object.key))),
                KeyProbe::Forbidden => return Err(unseen(key, &object.key)),
            }
        }
        Ok(())
    }

    /// The newest manifest that is of this order in every point, if no other one contradicts it; with its place.
    fn judge(&self, candidates: &[Candidate]) -> Result<(CompletedBackup, usize, Vec<Manifest>)> {
        let mut warnings = Vec::new();
        let mut chosen: Option<(usize, UnverifiedManifest)> = None;
        let mut others: Vec<UnverifiedManifest> = Vec::new();
        let mut refused: Option<String> = None;
        for (place, candidate) in candidates.iter().enumerate() {
            let name = candidate.key.rsplit('/').next().unwrap_or(&candidate.key);
            let found = match &candidate.content {
                ManifestContent::TooLarge(size) => Err(format!("it has {size} bytes, and no manifest has more than {MAX_MANIFEST}")),
                ManifestContent::Bytes(bytes) => {
                    UnverifiedManifest::parse(name, bytes).map_err(|error| format!("it is no manifest ({})", error.message))
                }
            };
            let found = match found {
                Ok(found) => found,
                Err(reason) => {
                    warnings.push(format!("{}: {reason}", candidate.key));
                    refused.get_or_insert(reason);
                    continue;
                }
            };
            match self.differences(&found, candidate.last_modified) {
                differences if differences.is_empty() && chosen.is_none() => chosen = Some((place, found)),
                differences => {
                    if !differences.is_empty() {
                        refused.get_or_insert(differences.join("; "));
                    }
                    others.push(found);
                }
            }
        }
        let Some((place, found)) = chosen else {
            return Err(self.taken(&refused.unwrap_or_default()));
        };
        let (manifest, is_signed) = (found.unproven(), found.unproven().signer.is_some());
        for other in &others {
            if !other.unproven().names_same_dump(manifest) {
                return Err(self.taken(&format!("{} and {} name different dumps", found.name(), other.name())));
            }
            if other.unproven().signer.is_some() != is_signed {
                return Err(self.taken(&format!("of {} and {} only one is signed", found.name(), other.name())));
            }
        }
        let candidate = &candidates[place];
        let sealed = match &candidate.content {
            ManifestContent::Bytes(bytes) => ManifestObject::small(Role::Manifest, candidate.key.clone(), bytes),
            ManifestContent::TooLarge(_) => return Err(Error::new(Code::Bug, "a manifest that was too large was parsed")),
        };
        let found = CompletedBackup {
            manifest: manifest.clone(),
            objects: vec![(sealed, candidate.etag.clone())],
            warnings,
        };
        let others = others.iter().map(|other| other.unproven().clone()).collect();
        Ok((found, place, others))
    }

    /// In which points a manifest is not of this order, each as a part of a sentence.
    fn differences(&self, found: &UnverifiedManifest, last_modified: Option<OffsetDateTime>) -> Vec<String> {
        let manifest = found.unproven();
        let mut differences = Vec::new();
        match &manifest.source {
            None => differences.push("it was made by a version before 0.2, which does not say of which source it is".to_owned()),
            Some(source) if *source != self.source => {
                differences.push("it is of another source: another host, port or database".to_owned());
            }
            Some(_) => {}
        }
        if manifest.source.is_some() && manifest.selection != Some(self.selection_digest) {
            let part = if manifest.is_partial() {
                "a part of the database"
            } else {
                "the whole database"
            };
            differences.push(format!("it has another selection of tables, schemas or roles: it is of {part}"));
        }
        let missing: Vec<&str> = self
            .recipients
            .iter()
            .filter(|ours| !manifest.recipients.iter().any(|wrapped| wrapped.fingerprint == **ours))
            .map(String::as_str)
            .collect();
        if !missing.is_empty() {
            differences.push(format!("it lacks the recipients {}", missing.join(", ")));
        }
        if manifest.format != self.format {
            differences.push(format!("its format is {}", manifest.format));
        }
        if let Err(reason) = self.is_in_place(manifest) {
            differences.push(reason);
        }
        match last_modified {
            Some(written) if written >= self.scheduled_time - EARLY => {}
            Some(written) => differences.push(format!(
                "it was planted: it was written at {}, before its scheduled time {}",
                Timestamp(written),
                Timestamp(self.scheduled_time)
            )),
            None => differences.push("S3 does not say when it was written".to_owned()),
        }
        if let Err(error) = check_signature(found, self.signer.as_ref()) {
            differences.push(format!("it is not signed as it must be ({})", error.message));
        }
        differences
    }

    /// Whether all objects stand where this order would have put them.
    fn is_in_place(&self, manifest: &Manifest) -> Result<(), String> {
        let beginnings = self.stem.beginnings(manifest.format);
        let is_elsewhere = |object: &&ManifestObject| !beginnings.iter().any(|beginning| object.key.starts_with(beginning));
        match manifest.objects.iter().find(is_elsewhere) {
            Some(object) => Err(format!("it names {}, which is in another folder", object.key)),
            None => Ok(()),
        }
    }

    /// What makes the manifest's word untrue: an object that is missing or has another size.
    fn lacks(&self, manifest: &Manifest, listed: &[ListedObject]) -> Option<String> {
        manifest.objects.iter().find_map(|object| {
            let fault = match listed.iter().find(|listed| listed.key == object.key) {
                Some(listed) if listed.size == object.size => return None,
                Some(_) => "has another size",
                None => "is missing",
            };
            Some(format!("names {}, which {fault}", object.key))
        })
    }

    fn taken(&self, differs: &str) -> Error {
        Error::new(
            Code::StemTaken,
            format!("something else has the name of {}: {differs}", self.stem.manifest()),
        )
    }
}

/// All objects that the manifest names, and the manifest behind them.
fn with_etags(mut found: CompletedBackup, listed: &[ListedObject]) -> CompletedBackup {
    let etag = |key: &str| listed.iter().find(|listed| listed.key == key)?.etag.clone();
    let named = found.manifest.objects.iter();
    let mut objects: Vec<_> = named.map(|object| (object.clone(), etag(&object.key))).collect();
    objects.append(&mut found.objects);
    CompletedBackup { objects, ..found }
}

/// A manifest can be read, and S3 does not say whether what it names is there: without s3:ListBucket the answer to what is
/// missing is 403 too.
fn unseen(key: &str, object: &str) -> Error {
    Error::new(
        Code::S3Denied,
        format!("{key} names {object}, and whether that is there is unknown: neither s3:GetObject nor s3:ListBucket is allowed"),
    )
    .advise("Allow s3:ListBucket on the bucket, and run again.")
}

/// The manifests under these names, and what may not be read of them where nothing may be listed: S3 says then of what is
/// missing that it is denied, too.
async fn fetch_candidates(store: &S3, keys: Vec<String>, unlisted: Option<&Error>) -> Result<(Vec<Candidate>, Option<Error>)> {
    let mut candidates = Vec::with_capacity(keys.len());
    let mut unseen = None;
    for key in keys {
        let (content, etag, last_modified) = match (store.fetch(&key, MAX_MANIFEST).await?, unlisted) {
            (
                FetchOutcome::Found {
                    bytes,
                    etag,
                    last_modified,
                },
                _,
            ) => (ManifestContent::Bytes(bytes), etag, last_modified),
            (FetchOutcome::TooLarge(size), _) => (ManifestContent::TooLarge(size), None, None),
            (FetchOutcome::Missing, _) => continue,
            (FetchOutcome::Denied(_), Some(unlisted)) => {
                unseen = Some(unlisted.clone());
                continue;
            }
            (FetchOutcome::Denied(error), None) => return Err(unreadable(&key, &error)),
        };
        candidates.push(Candidate {
            key,
            content,
            etag,
            last_modified,
        });
    }
    Ok((candidates, unseen))
}

/// A manifest stands there, and nobody can say of what.
fn unreadable(key: &str, error: &Error) -> Error {
    Error::new(
        Code::S3Denied,
        format!(
            "{key} exists and may not be read, so that nobody can say whether it is of this order: {}",
            error.message
        ),
    )
    .advise("Allow s3:GetObject on *.manifest.jsonl (and kms:Decrypt on its key), or use a prefix of its own.")
}
