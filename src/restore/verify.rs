//! Is the backup what was written? Without a key: what the store says of it, or every byte. With it: down to the inventory.

mod contents;
pub(super) mod objects;

pub use contents::check_against_inventory;

use super::find::{BackupKind, ChosenBackup, ends_the_search};
use super::legacy::unproven;
use super::provenance::Origin;
use super::unsealed::UnsealedBackup;
use crate::cancel::Cancel;
use crate::envelope::manifest::{Manifest, ManifestObject, Role, UnverifiedManifest, base_name, check_signature};
use crate::envelope::private_key::PrivateKey;
use crate::envelope::recovery_instructions::instructions_name;
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::format::Sha256;
use crate::format::object_names::{compact, is_report, stem_of};
use crate::observe::progress::{Activity, Progress, Reporter};
use crate::pipeline::Discard;
use objects::{STEP, compare, fits};
use serde::Serialize;
use std::collections::BTreeSet;

/// How far a verification goes.
pub struct VerifyOptions<'a> {
    pub key: Option<&'a PrivateKey>,
    pub signer: Option<&'a Verifier>,
    /// Without a key: reads every byte all the same.
    pub deep: bool,
    pub workers: usize,
}

#[derive(Debug, Serialize)]
pub struct VerifyReport {
    /// `failed`, or how far it came: `sizes_match`, `hashes_match`, and `verified` only where it opens.
    pub status: &'static str,
    pub stem: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The name of the manifest that was looked at.
    #[serde(skip)]
    manifest: Option<String>,
    /// Every object that the manifest names is there, in the size that it names; and has the checksum, where the store
    /// keeps one.
    pub sizes_match: bool,
    /// Every byte of every object was read, and has the hash that the manifest names.
    pub hashes_match: bool,
    /// The private key opens it: the manifest is proven by the data key, everything was decrypted, and the dump is what the
    /// inventory says. Anyone who has the public key can make such a set: whose it is, says the signature.
    pub opens: bool,
    #[serde(flatten)]
    pub origin: Origin,
    pub objects: Vec<CheckedObject>,
    /// Objects under the backup's name that no manifest which counts names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub strangers: Vec<String>,
    /// What only manifests of before this backup was signed name, those manifests included.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unsigned: Vec<String>,
    /// The digest of the source, or `source unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// It is of a part of the database.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tables: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plain_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

/// One object, and the strongest thing that was compared.
#[derive(Debug, Serialize)]
pub struct CheckedObject {
    pub role: Role,
    pub name: String,
    pub size: u64,
    /// `plaintext`, `sha256`, `checksum` (the store's own) or `size`.
    pub compared: &'static str,
}

/// Looks at everything that can be looked at; stops at the first thing that is wrong with the backup itself.
pub async fn verify(backup: &ChosenBackup, ask: &VerifyOptions<'_>, cancel: &Cancel) -> VerifyReport {
    let mut report = VerifyReport {
        status: "failed",
        stem: backup.stem.clone(),
        run: None,
        manifest: None,
        sizes_match: false,
        hashes_match: false,
        opens: false,
        origin: Origin::default(),
        objects: Vec::new(),
        strangers: Vec::new(),
        unsigned: Vec::new(),
        source: None,
        partial: false,
        warnings: Vec::new(),
        tables: None,
        rows: None,
        plain_bytes: None,
        error: None,
    };
    match check_objects(backup, ask, &mut report, cancel).await {
        Err(error) => {
            // What failed is one thing, and what fits all the same is another: a wrong key is no missing object.
            if !ends_the_search(error.code) && !report.sizes_match {
                report.sizes_match = sizes_match(backup, ask, &report, cancel).await;
            }
            report.error = Some(error);
        }
        Ok(()) if report.opens => report.status = "verified",
        Ok(()) if report.hashes_match => report.status = "hashes_match",
        Ok(()) => report.status = "sizes_match",
    }
    report
}

/// Of the manifest that was looked at, or would have been: its objects are there, as it says.
async fn sizes_match(backup: &ChosenBackup, ask: &VerifyOptions<'_>, report: &VerifyReport, cancel: &Cancel) -> bool {
    let BackupKind::Sealed { manifests, .. } = &backup.kind else {
        return false;
    };
    let counts = |found: &&UnverifiedManifest| match &report.manifest {
        Some(name) => found.name() == *name,
        None => check_signature(found, ask.signer).is_ok(),
    };
    let Some(found) = manifests.iter().find(counts) else {
        return false;
    };
    for object in &found.unproven().objects {
        if !fits(backup, object, cancel).await.unwrap_or(false) {
            return false;
        }
    }
    true
}

async fn check_objects(backup: &ChosenBackup, ask: &VerifyOptions<'_>, report: &mut VerifyReport, cancel: &Cancel) -> Result<()> {
    let BackupKind::Sealed { manifests, unreadable } = &backup.kind else {
        return Err(unproven(&backup.stem, ask.signer));
    };
    let judged = match ask.key {
        Some(key) => with_key(backup, manifests, key, ask, report, cancel).await?,
        None => without_key(backup, manifests, unreadable, ask, report, cancel).await?,
    };
    strangers(backup, &judged, ask, report, cancel).await?;
    for error in judged.passed_over {
        // What one's own signer did not sign is somebody else's doing; without a signer nobody can tell whose it is.
        if ask.signer.is_none() {
            return Err(error);
        }
        report.warnings.push(error.message);
    }
    Ok(())
}

struct Judged<'a> {
    /// The manifests that count, the newest first.
    counted: Vec<&'a UnverifiedManifest>,
    /// Why others do not.
    passed_over: Vec<Error>,
    /// And those of this backup that its signer did not sign.
    unsigned: Vec<&'a UnverifiedManifest>,
}

async fn without_key<'a>(
    backup: &ChosenBackup,
    manifests: &'a [UnverifiedManifest],
    unreadable: &[Error],
    ask: &VerifyOptions<'_>,
    report: &mut VerifyReport,
    cancel: &Cancel,
) -> Result<Judged<'a>> {
    let mut counted: Vec<&UnverifiedManifest> = Vec::new();
    let mut passed_over: Vec<Error> = Vec::new();
    for found in manifests {
        // Which of several is genuine, only a key or a signer can tell.
        let judged = check_signature(found, ask.signer).and_then(|()| match counted.first() {
            Some(newest) => must_agree(newest, found),
            _ => Ok(()),
        });
        match judged {
            Ok(()) => counted.push(found),
            Err(error) => passed_over.push(error),
        }
    }
    passed_over.extend(unreadable.iter().cloned());
    let Some((newest, others)) = counted.split_first() else {
        let none = || Error::new(Code::Bug, "a sealed backup without a manifest");
        return Err(passed_over.into_iter().next().unwrap_or_else(none));
    };
    let manifest = newest.unproven();
    report.manifest = Some(newest.name().to_owned());
    describe(manifest, Origin::new(newest, ask.signer, &backup.folder), report);
    for object in &manifest.objects {
        let compared = compare(backup, object, ask.deep, cancel).await?;
        report.record(object, compared);
    }
    check_instructions(backup, manifest, report).await?;
    for found in others {
        other_revision(backup, found.unproven(), ask.deep, report, cancel).await?;
    }
    report.sizes_match = true;
    report.hashes_match = report.objects.iter().all(|looked| looked.compared == "sha256");
    Ok(Judged {
        counted,
        passed_over,
        unsigned: Vec::new(),
    })
}

fn must_agree(one: &UnverifiedManifest, other: &UnverifiedManifest) -> Result<()> {
    let (said, told) = (one.unproven(), other.unproven());
    let reason = if !said.names_same_dump(told) {
        "name different dumps"
    } else if said.signer.is_some() != told.signer.is_some() {
        "differ in that only one of them is signed"
    } else {
        return Ok(());
    };
    Err(Error::new(Code::Tampered, format!("{} and {} {reason}", one.name(), other.name())).advise(super::unsealed::STRANGE))
}

async fn with_key<'a>(
    backup: &ChosenBackup,
    manifests: &'a [UnverifiedManifest],
    key: &PrivateKey,
    ask: &VerifyOptions<'_>,
    report: &mut VerifyReport,
    cancel: &Cancel,
) -> Result<Judged<'a>> {
    let opened = UnsealedBackup::open(backup, key, ask.signer).await?;
    report.manifest = opened.counted.first().cloned();
    describe(&opened.manifest, opened.origin.clone(), report);
    for object in &opened.manifest.objects {
        match object.role {
            // Decrypted below, where each byte is read anyway.
            Role::Dump | Role::Inventory | Role::Globals => drop(cancel.run_until_cancelled(backup.pin(object)).await?),
            _ => {
                let compared = compare(backup, object, true, cancel).await?;
                report.record(object, compared);
            }
        }
    }
    let progress = Progress::new(opened.manifest.plain_bytes);
    let reporter = Reporter::start(Activity::Verifying, progress.clone(), &backup.stem);
    let contents = opened.contents(cancel).await?;
    for role in [Role::Globals, Role::Dump] {
        if opened.manifest.object(role).is_none() {
            continue;
        }
        let (counted, ()) = opened.fetch_object(role, ask.workers, || Ok(Discard), &progress, cancel).await?;
        if let (Role::Dump, Some(contents)) = (role, &contents) {
            check_against_inventory(&counted, contents)?;
        }
        if role == Role::Dump && (counted.rows, counted.tables.len() as u64) != (opened.manifest.rows, opened.manifest.tables) {
            return Err(Error::new(Code::Tampered, "the dump has other rows than the manifest counts"));
        }
    }
    drop(reporter);
    for object in &opened.manifest.objects {
        if matches!(object.role, Role::Dump | Role::Inventory | Role::Globals) {
            report.record(object, "plaintext");
        }
    }
    check_instructions(backup, &opened.manifest, report).await?;
    let counts = |found: &&UnverifiedManifest| opened.counted.iter().any(|name| name == found.name());
    let counted: Vec<&UnverifiedManifest> = manifests.iter().filter(counts).collect();
    let others = counted
        .iter()
        .filter(|found| found.unproven().generation != opened.manifest.generation);
    for found in others {
        other_revision(backup, found.unproven(), true, report, cancel).await?;
    }
    (report.sizes_match, report.hashes_match, report.opens) = (true, true, true);
    report.warnings.extend(opened.unsigned_warning());
    Ok(Judged {
        counted,
        unsigned: manifests
            .iter()
            .filter(|found| opened.unsigned.iter().any(|name| name == found.name()))
            .collect(),
        passed_over: opened.passed_over,
    })
}

/// Anyone who is named by another revision alone counts on that one, and on its key objects.
async fn other_revision(backup: &ChosenBackup, manifest: &Manifest, deep: bool, report: &mut VerifyReport, cancel: &Cancel) -> Result<()> {
    for object in manifest.objects.iter().filter(|object| object.role == Role::Key) {
        let compared = compare(backup, object, deep, cancel).await?;
        if !report.objects.iter().any(|looked| looked.name == base_name(&object.key)) {
            report.record(object, compared);
        }
    }
    check_instructions(backup, manifest, report).await
}

/// What else has the backup's name: left by a run that was interrupted, or put there by somebody else.
async fn strangers(
    backup: &ChosenBackup,
    judged: &Judged<'_>,
    ask: &VerifyOptions<'_>,
    report: &mut VerifyReport,
    cancel: &Cancel,
) -> Result<()> {
    let Judged { counted, unsigned, .. } = judged;
    let mut known: BTreeSet<String> = report.objects.iter().map(|looked| looked.name.clone()).collect();
    known.extend(counted.iter().map(|found| found.name().to_owned()));
    let dump = counted.iter().find_map(|found| found.unproven().object(Role::Dump));
    let old_stem = dump.and_then(|dump| stem_of(base_name(&dump.key)));
    let names = cancel.run_until_cancelled(backup.names(old_stem)).await?;
    let mut of_unsigned = BTreeSet::new();
    for found in unsigned {
        let manifest = found.unproven();
        of_unsigned.insert(found.name().to_owned());
        of_unsigned.insert(instructions_name(&backup.stem, manifest.generation));
        of_unsigned.extend(manifest.objects.iter().map(|object| base_name(&object.key).to_owned()));
    }
    let others = names.into_iter().filter(|name| !known.contains(name) && !is_report(name));
    (report.unsigned, report.strangers) = others.partition(|name| of_unsigned.contains(name));
    let is_old = |name: &&String| stem_of(name).is_some_and(|stem| compact(stem) == stem) && is_legacy(name);
    match report.strangers.iter().find(is_old) {
        Some(name) if ask.signer.is_none() => Err(Error::new(
            Code::Tampered,
            format!("{name} is named as the legacy image names its objects: nothing of ours is, under a sealed backup's name"),
        )),
        _ => Ok(()),
    }
}

fn is_legacy(name: &str) -> bool {
    super::find::LEGACY_ENDINGS.iter().flatten().any(|ending| name.ends_with(ending))
}

fn describe(manifest: &Manifest, origin: Origin, report: &mut VerifyReport) {
    report.source = Some(manifest.source_text());
    report.partial = manifest.is_partial();
    if manifest.is_partial() {
        report.warnings.push("this backup holds only a part of the database".to_owned());
    }
    report.warnings.extend(origin.warning());
    report.origin = origin;
    report.run = Some(manifest.run.clone());
    report.tables = Some(manifest.tables);
    report.rows = Some(manifest.rows);
    report.plain_bytes = Some(manifest.plain_bytes);
}

/// The recovery instructions are written after the manifest, and may be missing where a run ended between the two.
async fn check_instructions(backup: &ChosenBackup, manifest: &Manifest, report: &mut VerifyReport) -> Result<()> {
    let Some(expected) = &manifest.card_sha256 else { return Ok(()) };
    let name = instructions_name(&backup.stem, manifest.generation);
    let Some(pinned) = backup.archive.pin(&name).await? else {
        return Ok(());
    };
    let bytes = backup.archive.range(&pinned, 0..pinned.size.min(STEP)).await?;
    if Sha256::digest(&bytes) != *expected {
        return Err(Error::new(
            Code::Tampered,
            format!("{name} has other words than were written: do not follow it"),
        ));
    }
    report.objects.push(CheckedObject {
        role: Role::RecoveryInstructions,
        name,
        size: pinned.size,
        compared: "sha256",
    });
    Ok(())
}

impl VerifyReport {
    fn record(&mut self, object: &ManifestObject, compared: &'static str) {
        self.objects.push(CheckedObject {
            role: object.role,
            name: base_name(&object.key).to_owned(),
            size: object.size,
            compared,
        });
    }
}
