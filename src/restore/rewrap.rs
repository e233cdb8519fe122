//! New recipients for a backup that stands: new key objects and a new revision of the manifest. The dump is not touched,
//! and nothing is overwritten.

use super::find::{BackupKind, ChosenBackup};
use super::legacy::unproven;
use super::provenance::Origin;
use super::unsealed::UnsealedBackup;
use super::verify::objects::compare;
use crate::aws::manifest_signer::ManifestSigner;
use crate::cancel::Cancel;
use crate::envelope::data_key::new_run;
use crate::envelope::manifest::{
    MAX_MANIFEST, Manifest, ManifestObject, Proof, Role, UnverifiedManifest, WrappedKey, base_name, check_signature,
};
use crate::envelope::private_key::PrivateKey;
use crate::envelope::recipient::{MAX_RECIPIENTS, Recipient};
use crate::envelope::recovery_instructions::{instructions_name, place_of, recovery_instructions};
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::format::Sha256;
use crate::format::names::{MAX_REVISION, Prefix};
use crate::format::object_names::{instructions_revision, manifest_revision};
use crate::human::units::short;
use crate::observe::logs::ANSWER;
use crate::store::{Archive, Location, PutOutcome};
use bytes::Bytes;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// More than any recovery instructions have.
const MAX_INSTRUCTIONS: u64 = 1 << 20;

pub(crate) struct RewrapOptions<'a> {
    /// Of one of the present recipients.
    pub key: &'a PrivateKey,
    pub signer: Option<&'a Verifier>,
    /// Who opens the backup by the new manifest.
    pub recipients: Vec<Recipient>,
    /// The present recipients too.
    pub keep: bool,
    /// Needed where the present manifest is signed. Unless another signer is named, its own is pinned: it vouches for
    /// nothing that it has not signed before.
    pub signing: Option<ManifestSigner>,
    /// Signs a backup that nobody has signed yet, on its user's word that it is genuine.
    pub adopt_unsigned: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct RewrapSummary {
    pub status: &'static str,
    pub stem: String,
    pub generation: u32,
    pub manifest: String,
    /// Fingerprints.
    pub recipients: Vec<String>,
    pub written: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    #[serde(flatten)]
    pub origin: Origin,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

pub(crate) async fn rewrap(backup: &ChosenBackup, ask: &RewrapOptions<'_>, cancel: &Cancel) -> Result<RewrapSummary> {
    let BackupKind::Sealed { .. } = &backup.kind else {
        return Err(unproven(&backup.stem, ask.signer).advise("Nothing new is vouched for: restore it, and back it up anew."));
    };
    if ask.adopt_unsigned && ask.signing.is_none() {
        return Err(Error::new(
            Code::BadUsage,
            "--adopt-unsigned signs the backup, and PGSEAL_SIGNING_KEY is missing",
        )
        .advise("Set PGSEAL_SIGNING_KEY to the signer's private key: a file, or the ARN of a key in KMS."));
    }
    let opened = opened(backup, ask).await?;
    if opened.manifest.signer.is_some() && ask.signing.is_none() {
        return Err(Error::field(
            Code::BadEvent,
            "PGSEAL_SIGNING_KEY",
            "must name a signer's key: the backup is signed, and its new manifest must be, too",
        )
        .advise("Set PGSEAL_SIGNING_KEY to the signer's private key: a file, or the ARN of a key in KMS."));
    }
    let mut warnings = opened.warnings();
    if opened.manifest.signer.is_none() && ask.signing.is_some() {
        warnings.push(
            "the backup is signed from here on, and its older manifests are not: read it with --signer, which passes them over; without, it is refused until they are deleted".to_owned(),
        );
    }
    if let (Some(signing), Some(pinned)) = (&ask.signing, ask.signer)
        && signing.signer.fingerprint != pinned.fingerprint
    {
        warnings.push(format!(
            "the new manifest is signed by {}: a reader whose --signer is {} does not see its recipients",
            signing.signer.fingerprint, pinned.fingerprint
        ));
    }
    // Who opens it now says the newest one, though this key may be named by an older one only.
    let newest = opened.newest()?;
    if newest.generation != opened.manifest.generation {
        warnings.push(format!(
            "the key that you gave is no longer a recipient: an earlier rewrap, revision {}, left it out",
            newest.generation
        ));
    }
    let mut manifest = Manifest::clone(&newest);
    manifest.generation = next_revision(&opened, newest.generation).await?;
    let keys = with_recipients(&mut manifest, &opened, ask)?;
    manifest.signer = ask.signing.as_ref().map(|signing| signing.signer.clone());

    let stem = manifest.stem(&Prefix::new("")?)?;
    let name = stem.manifest_revision(manifest.generation);
    let contents = opened.contents(cancel).await?;
    let (selection, properties) = contents
        .map(|contents| (contents.selection, contents.properties))
        .unwrap_or_default();
    let place = place(&opened).await;
    let text = recovery_instructions(&manifest, &name, place.as_deref(), selection.as_ref(), &properties)?;
    manifest.card_sha256 = Some(Sha256::digest(text.as_bytes()));
    let mut bytes = manifest.line()?;
    let signatures = match &ask.signing {
        Some(signing) => vec![cancel.run_until_cancelled(signing.sign(&bytes)).await?],
        None => Vec::new(),
    };
    bytes.extend_from_slice(&Proof::new(&opened.manifest_mac(&bytes), signatures).line()?);
    warnings.extend(still_open(&opened, &manifest, ask.key.fingerprint()));
    let found = must_be_taken(&name, &bytes, &opened, ask)?;
    let archive = kept_alike(backup, &stem.manifest_of(newest.generation), &mut warnings, cancel).await?;
    let mut written = Vec::new();
    for (name, wrapped) in keys {
        put(&archive, &name, wrapped, &mut written, cancel).await?;
    }
    put(&archive, &name, bytes.into(), &mut written, cancel).await?;
    read_back(backup, &found, &written, cancel).await.map_err(|mut error| {
        error.message = format!("{name} was written, and is not read back as it was meant: {}", error.message);
        error
    })?;
    // The new revision exists; what is missing from here on is only its recovery instructions.
    let instructions = instructions_name(&backup.stem, manifest.generation);
    if let Err(error) = put(&archive, &instructions, text.into(), &mut written, cancel).await {
        let warning = format!(
            "the recovery instructions were not written ({}): {}",
            error.code.name(),
            error.message
        );
        tracing::warn!("{warning}");
        warnings.push(warning);
    }
    Ok(RewrapSummary {
        status: "rewrapped",
        stem: backup.stem.clone(),
        generation: manifest.generation,
        partial: manifest.is_partial(),
        manifest: name,
        recipients: manifest.recipients.into_iter().map(|wrapped| wrapped.fingerprint).collect(),
        written,
        origin: Origin::new(&found, ask.signer, &backup.folder),
        warnings,
    })
}

/// Who is no recipient from now on, and opens the backup all the same, by older manifests.
fn still_open(opened: &UnsealedBackup<'_>, after: &Manifest, own: &str) -> Vec<String> {
    let BackupKind::Sealed { manifests, .. } = &opened.backup.kind else {
        return Vec::new();
    };
    let mut of: BTreeMap<&str, (Vec<&str>, BTreeSet<&str>)> = BTreeMap::new();
    // Also those that this signer did not sign: nobody believes them, and the keys that they name open the backup.
    let proven: Vec<&String> = opened.counted.iter().chain(&opened.unsigned).collect();
    for found in manifests.iter().filter(|found| proven.iter().any(|name| *name == found.name())) {
        for wrapped in &found.unproven().recipients {
            if after.recipients.iter().all(|new| new.fingerprint != wrapped.fingerprint) {
                let (by, objects) = of.entry(&wrapped.fingerprint).or_default();
                by.push(found.name());
                objects.insert(base_name(&wrapped.object));
            }
        }
    }
    let told = |(key, (manifests, objects)): (&str, (Vec<&str>, BTreeSet<&str>))| {
        let (key_name, objects) = (short(key), objects.into_iter().collect::<Vec<_>>().join(", "));
        let own = match key == own {
            true => " (the key that you used: if you did not mean that, run it again with --keep and its public key as --recipient)",
            false => "",
        };
        format!(
            "{key_name} is no longer a recipient{own}, and opens this backup until {} and then {objects} are deleted, in all versions: docs/KEYS.md, Removing a recipient",
            manifests.join(", ")
        )
    };
    of.into_iter().map(told).collect()
}

/// The backup, believed by no less than what its new signature will say.
async fn opened<'a>(backup: &'a ChosenBackup, ask: &RewrapOptions<'_>) -> Result<UnsealedBackup<'a>> {
    let own = match &ask.signing {
        Some(signing) if ask.signer.is_none() => Some(signing.verifier()?),
        _ => None,
    };
    if !ask.adopt_unsigned {
        let opened = UnsealedBackup::open(backup, ask.key, ask.signer.or(own.as_ref())).await;
        return opened.map_err(|error| match own {
            Some(_) if error.code == Code::Tampered => error.advise(
                "The signer of PGSEAL_SIGNING_KEY signs what it has signed before. Name another signer by --signer; a backup that was never signed needs --adopt-unsigned, and your word that it is genuine.",
            ),
            _ => error,
        });
    }
    let opened = UnsealedBackup::open(backup, ask.key, None).await?;
    match (&opened.manifest.signer, own) {
        (Some(signer), own) if own.as_ref().is_none_or(|own| own.fingerprint != signer.fingerprint) => Err(Error::new(
            Code::Tampered,
            format!(
                "{} is signed, by {}: --adopt-unsigned is for backups that are not",
                backup.stem, signer.fingerprint
            ),
        )
        .advise("Name that signer by --signer, if you trust it.")),
        _ => Ok(opened),
    }
}

/// What is about to be written, as every reader will see it: what one of them would refuse is never written.
fn must_be_taken(name: &str, bytes: &[u8], opened: &UnsealedBackup<'_>, ask: &RewrapOptions<'_>) -> Result<UnverifiedManifest> {
    let signer = ask.signing.as_ref().map(ManifestSigner::verifier).transpose()?;
    let taken = UnverifiedManifest::parse(name, bytes).and_then(|found| {
        opened.prove_other(&found)?;
        check_signature(&found, signer.as_ref())?;
        Ok(found)
    });
    let found = taken.map_err(|error| Error::new(Code::Bug, format!("no reader would take the new manifest: {}", error.message)))?;
    if !found.unproven().names_same_dump(&opened.manifest) {
        return Err(Error::new(Code::Bug, "the new manifest names another dump than the old one"));
    }
    Ok(found)
}

/// And what was written, as it lies there now.
async fn read_back(backup: &ChosenBackup, written: &UnverifiedManifest, names: &[String], cancel: &Cancel) -> Result<()> {
    let again = ChosenBackup::at(backup.folder.clone(), backup.archive.clone(), &backup.stem);
    let BackupKind::Sealed { manifests, .. } = cancel.run_until_cancelled(again).await?.kind else {
        return Err(Error::new(Code::Tampered, "it is gone"));
    };
    let sha256 = written.sha256()?;
    let same = manifests.iter().find(|found| found.name() == written.name());
    if same.map(UnverifiedManifest::sha256).transpose()? != Some(sha256) {
        return Err(Error::new(Code::Tampered, "other bytes stand there"));
    }
    for object in &written.unproven().objects {
        if names.iter().any(|name| *name == base_name(&object.key)) {
            compare(backup, object, true, cancel).await?;
        }
    }
    Ok(())
}

/// Where the objects lie, for anyone who follows the recovery instructions: this bucket, or the one that older instructions name,
/// which are believed by their hash in a manifest that counts. The name of a local folder helps nobody else.
async fn place(opened: &UnsealedBackup<'_>) -> Option<String> {
    let backup = opened.backup;
    let Location::Directory(_) = &backup.folder else {
        return Some(backup.folder.to_string());
    };
    let BackupKind::Sealed { manifests, .. } = &backup.kind else {
        return None;
    };
    for found in manifests
        .iter()
        .filter(|found| opened.counted.iter().any(|name| name == found.name()))
    {
        let name = instructions_name(&backup.stem, found.unproven().generation);
        let Ok(text) = backup.archive.read(&name, MAX_INSTRUCTIONS).await else {
            continue;
        };
        let is_proven = found.unproven().card_sha256 == Some(Sha256::digest(&text));
        let place = std::str::from_utf8(&text).ok().filter(|_| is_proven).and_then(place_of);
        if place.is_some() {
            return place;
        }
    }
    None
}

/// Key objects that exist stay and are named again; for everyone else there is a new one, under a run of its own: these are
/// given back, by their names, to be written.
fn with_recipients(manifest: &mut Manifest, opened: &UnsealedBackup<'_>, ask: &RewrapOptions<'_>) -> Result<Vec<(String, Bytes)>> {
    let mut made = Vec::new();
    let present = std::mem::take(&mut manifest.recipients);
    let (keys, mut objects): (Vec<ManifestObject>, Vec<ManifestObject>) = std::mem::take(&mut manifest.objects)
        .into_iter()
        .partition(|object| object.role == Role::Key);
    let stays = |wrapped: &&WrappedKey| ask.keep || ask.recipients.iter().any(|new| new.fingerprint == wrapped.fingerprint);
    manifest.recipients = present.iter().filter(stays).cloned().collect();
    objects.extend(
        keys.into_iter()
            .filter(|key| manifest.recipients.iter().any(|wrapped| wrapped.object == key.key)),
    );
    let folder = objects
        .first()
        .map(|object| object.key.strip_suffix(base_name(&object.key)).unwrap_or_default());
    let folder = folder.unwrap_or_default().to_owned();
    let run = new_run()?;
    for recipient in &ask.recipients {
        if manifest
            .recipients
            .iter()
            .any(|wrapped| wrapped.fingerprint == recipient.fingerprint)
        {
            continue;
        }
        let name = format!("{}.{run}.key.{}.enc", opened.backup.stem, &recipient.fingerprint[..16]);
        let bytes = opened.wrap(recipient)?;
        let object = ManifestObject::small(Role::Key, format!("{folder}{name}"), &bytes);
        made.push((name, bytes.into()));
        manifest
            .recipients
            .push(WrappedKey::new(recipient, opened.manifest.format.into(), &object.key));
        objects.push(object);
    }
    if manifest.recipients.len() > MAX_RECIPIENTS {
        return Err(Error::field(
            Code::BadPublicKey,
            "recipient",
            format!("comes to more than {MAX_RECIPIENTS} recipients"),
        ));
    }
    objects.sort_by_key(|object| object.role);
    manifest.objects = objects;
    Ok(made)
}

/// The first one above what was opened whose names are free. What stands there need not be a manifest, nor ours: anyone who
/// may write to the bucket can take the highest number of all.
/// One that has come since, and that the data key proves, is another rewrap's: on top of what it says this one would undo it.
async fn next_revision(opened: &UnsealedBackup<'_>, newest: u32) -> Result<u32> {
    let backup = opened.backup;
    let mut taken = BTreeSet::new();
    for beginning in ["manifest", "RECOVER"] {
        let listed = backup.archive.list(&format!("{}.{beginning}.", backup.stem)).await?;
        taken.extend(
            listed
                .iter()
                .filter_map(|listed| manifest_revision(&listed.name).map(|(_, revision)| revision)),
        );
        for listed in listed.iter().filter(|listed| manifest_revision(&listed.name).is_some()) {
            if opened.has_seen(&listed.name) {
                continue;
            }
            let read = backup.archive.read(&listed.name, MAX_MANIFEST).await;
            let proven = read.and_then(|bytes| opened.prove_other(&UnverifiedManifest::parse(&listed.name, &bytes)?));
            if proven.is_ok() {
                return Err(conflict(&listed.name));
            }
        }
        taken.extend(listed.iter().filter_map(|listed| instructions_revision(&listed.name)));
    }
    let free = (newest + 1..=MAX_REVISION).find(|revision| !taken.contains(revision));
    free.ok_or_else(|| Error::new(Code::CommitFailed, "every number of a later manifest is taken"))
}

/// The backup's folder: what is written there is kept for as long as the newest manifest.
async fn kept_alike(backup: &ChosenBackup, newest: &str, warnings: &mut Vec<String>, cancel: &Cancel) -> Result<Archive> {
    match cancel.run_until_cancelled(backup.archive.with_tags_of(newest)).await {
        Err(error) if error.code == Code::S3Denied => {
            let warning = format!(
                "the new objects have no tags, and lifecycle rules that go by tags pass them over: {}",
                error.message
            );
            tracing::warn!(target: ANSWER, "{warning}");
            warnings.push(warning);
            Ok(backup.archive.clone())
        }
        outcome => outcome,
    }
}

async fn put(archive: &Archive, name: &str, bytes: Bytes, written: &mut Vec<String>, cancel: &Cancel) -> Result<()> {
    match cancel.run_until_cancelled(archive.put_new(name, bytes)).await? {
        PutOutcome::Stored { .. } => {
            written.push(name.to_owned());
            Ok(())
        }
        PutOutcome::Exists => Err(conflict(name)),
    }
}

fn conflict(name: &str) -> Error {
    Error::new(
        Code::CommitFailed,
        format!("{name} exists already: someone else gives this backup new recipients at the same time"),
    )
    .advise("Look at what they did with `pgseal list`; then run again.")
}
