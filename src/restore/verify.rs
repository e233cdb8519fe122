//! Is the backup what was written? Without a key: what the store says of it. With it: every byte, down to the inventory.

use super::backup::{Backup, Kind};
use super::opened::Opened;
use crate::cancel::Cancel;
use crate::envelope::card::card_name;
use crate::envelope::manifest::{Found, Manifest, Object, Role, base_name, check_signature};
use crate::envelope::private_key::PrivateKey;
use crate::envelope::signature::Verifier;
use crate::envelope::{digest, hex, sha256, unhex};
use crate::error::{Code, Error, Result};
use crate::format::table_name::TableName;
use crate::observe::progress::{Progress, Reporter};
use crate::pipeline::{Counted, Nowhere, Table};
use crate::store::{Location, Pinned};
use aws_lc_rs::digest::{Context, SHA256};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;

/// Bytes read at once of an object that has no parts.
const STEP: u64 = 8 << 20;

/// How far a verification goes.
pub struct Ask<'a> {
    pub key: Option<&'a PrivateKey>,
    pub signer: Option<&'a Verifier>,
    /// Without a key: reads every byte all the same.
    pub deep: bool,
    pub workers: usize,
}

#[derive(Debug, Serialize)]
pub struct Report {
    pub status: &'static str,
    pub stem: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// What the result rests on: `store` (sizes, and the store's checksums), `hashes` (every byte read), `plaintext`
    /// (manifest proven, every byte deciphered and counted).
    pub level: &'static str,
    /// Whether the manifest itself was proven; without a key it is compared with nothing but itself.
    pub authenticated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    pub objects: Vec<Looked>,
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
pub struct Looked {
    pub role: Role,
    pub name: String,
    pub size: u64,
    /// `plaintext`, `sha256`, `checksum` (the store's own) or `size`.
    pub compared: &'static str,
}

/// Looks at everything that can be looked at; stops at the first thing that is wrong.
pub async fn verify(backup: &Backup, ask: &Ask<'_>, cancel: &Cancel) -> Report {
    let mut report = Report {
        status: "verified",
        stem: backup.stem.clone(),
        run: None,
        level: match ask {
            Ask { key: Some(_), .. } => "plaintext",
            Ask { deep: true, .. } => "hashes",
            _ => "store",
        },
        authenticated: false,
        signer: None,
        objects: Vec::new(),
        source: None,
        partial: false,
        warnings: Vec::new(),
        tables: None,
        rows: None,
        plain_bytes: None,
        error: None,
    };
    if let Err(error) = look(backup, ask, &mut report, cancel).await {
        report.status = "failed";
        report.error = Some(error);
    }
    report
}

async fn look(backup: &Backup, ask: &Ask<'_>, report: &mut Report, cancel: &Cancel) -> Result<()> {
    let Kind::Sealed { manifests, unreadable } = &backup.kind else {
        return Err(Error::new(
            Code::Tampered,
            format!("{} was written by the old image: it holds nothing that could prove it", backup.stem),
        )
        .advise("`pgseal decrypt` opens it; whether it is what was written cannot be told."));
    };
    if let Some(error) = unreadable.first() {
        return Err(error.clone());
    }
    match ask.key {
        Some(key) => with_key(backup, manifests, key, ask, report, cancel).await,
        None => without_key(backup, manifests, ask, report, cancel).await,
    }
}

async fn without_key(backup: &Backup, manifests: &[Found], ask: &Ask<'_>, report: &mut Report, cancel: &Cancel) -> Result<()> {
    let Some((newest, others)) = manifests.split_first() else {
        return Err(Error::new(Code::Bug, "a sealed backup without a manifest"));
    };
    check_signature(newest, ask.signer)?;
    let manifest = newest.unproven();
    describe(backup, manifest, report);
    for found in others {
        // Which of them is genuine, only a key or a signer can tell.
        let other = found.unproven();
        if !other.names_same_dump(manifest) || other.signer.is_some() != manifest.signer.is_some() {
            return Err(Error::new(
                Code::Tampered,
                format!("{} and {} name different dumps, or only one is signed", newest.name(), found.name()),
            ));
        }
    }
    for object in &manifest.objects {
        let compared = look_at(backup, object, ask.deep, cancel).await?;
        report.note(object, compared);
    }
    card(backup, manifest, report).await?;
    for found in others {
        check_signature(found, None)?;
        other_generation(backup, found.unproven(), ask.deep, report, cancel).await?;
    }
    Ok(())
}

/// One object as it stands, all of it or by what the store says.
async fn look_at(backup: &Backup, object: &Object, deep: bool, cancel: &Cancel) -> Result<&'static str> {
    let pinned = cancel.race(backup.pin(object)).await?;
    if deep {
        read(backup, &pinned, object, cancel).await?;
        Ok("sha256")
    } else {
        compare(&pinned, object)
    }
}

async fn with_key(
    backup: &Backup,
    manifests: &[Found],
    key: &PrivateKey,
    ask: &Ask<'_>,
    report: &mut Report,
    cancel: &Cancel,
) -> Result<()> {
    let opened = Opened::open(backup, key, ask.signer).await?;
    report.authenticated = true;
    describe(backup, &opened.manifest, report);
    for object in &opened.manifest.objects {
        match object.role {
            // Deciphered below, where each byte is read anyway.
            Role::Dump | Role::Inventory | Role::Globals => drop(cancel.race(backup.pin(object)).await?),
            _ => {
                let compared = look_at(backup, object, true, cancel).await?;
                report.note(object, compared);
            }
        }
    }
    let progress = Progress::new(opened.manifest.plain_bytes);
    let reporter = Reporter::start(progress.clone(), &backup.stem);
    let contents = opened.contents(cancel).await?;
    for role in [Role::Globals, Role::Dump] {
        if opened.manifest.object(role).is_none() {
            continue;
        }
        let (counted, ()) = opened.bring(role, ask.workers, || Ok(Nowhere), &progress, cancel).await?;
        if let (Role::Dump, Some(contents)) = (role, &contents) {
            agrees(&counted, contents)?;
        }
        if role == Role::Dump && (counted.rows, counted.tables.len() as u64) != (opened.manifest.rows, opened.manifest.tables) {
            return Err(Error::new(Code::Tampered, "the dump has other rows than the manifest counts"));
        }
    }
    drop(reporter);
    for object in &opened.manifest.objects {
        if matches!(object.role, Role::Dump | Role::Inventory | Role::Globals) {
            report.note(object, "plaintext");
        }
    }
    card(backup, &opened.manifest, report).await?;
    let others = manifests
        .iter()
        .filter(|found| found.unproven().generation != opened.manifest.generation);
    for found in others {
        check_signature(found, None)?;
        let other = opened.prove_other(found)?;
        if other.signer.is_some() != opened.manifest.signer.is_some() {
            return Err(Error::new(
                Code::Tampered,
                format!("{} is signed or not, unlike the manifest that opened the backup", found.name()),
            ));
        }
        other_generation(backup, &other, true, report, cancel).await?;
    }
    Ok(())
}

/// Whoever is named by another generation alone counts on that one, and on its key objects.
async fn other_generation(backup: &Backup, manifest: &Manifest, deep: bool, report: &mut Report, cancel: &Cancel) -> Result<()> {
    for object in manifest.objects.iter().filter(|object| object.role == Role::Key) {
        let compared = look_at(backup, object, deep, cancel).await?;
        if !report.objects.iter().any(|looked| looked.name == base_name(&object.key)) {
            report.note(object, compared);
        }
    }
    card(backup, manifest, report).await
}

fn describe(backup: &Backup, manifest: &Manifest, report: &mut Report) {
    report.source = Some(manifest.source_text().to_owned());
    report.partial = manifest.is_partial();
    if manifest.is_partial() {
        report.warnings.push("this backup holds only a part of the database".to_owned());
    }
    report.warnings.extend(moved(backup, manifest));
    report.run = Some(manifest.run.clone());
    report.signer = manifest.signer.as_ref().map(|signer| signer.fingerprint.clone());
    report.tables = Some(manifest.tables);
    report.rows = Some(manifest.rows);
    report.plain_bytes = Some(manifest.plain_bytes);
}

/// A set that was copied to another folder is genuine, and may be of another server than its place says.
fn moved(backup: &Backup, manifest: &Manifest) -> Option<String> {
    let Location::S3 { path, .. } = &backup.folder else {
        return None;
    };
    let key = &manifest.object(Role::Dump)?.key;
    let written = key.strip_suffix(base_name(key))?.trim_end_matches('/');
    (written != path).then(|| format!("it was written to the folder `{written}` and is read from `{path}`: it was moved or copied"))
}

/// What came out against what was counted when it went in.
pub fn agrees(counted: &Counted, contents: &crate::envelope::contents::Contents) -> Result<()> {
    let tampered = |what: String| {
        Err(Error::new(
            Code::Tampered,
            format!("the dump is not what its inventory says: {what}"),
        ))
    };
    if hex(&counted.plain_sha256) != contents.plain_sha256 || counted.plain_bytes != contents.plain_bytes {
        return tampered("its plaintext has another hash".into());
    }
    if !same_tables(&counted.tables, &contents.tables) || counted.rows != contents.rows || counted.large_objects != contents.large_objects {
        return tampered("its tables have other rows".into());
    }
    Ok(())
}

/// By order, rows and bytes, and by names where both sides spell them: the plaintext is the same by its hash, and an
/// inventory may have names in UTF-8 that stand in the dump in the database's own encoding.
fn same_tables(counted: &[Table], sealed: &[Table]) -> bool {
    let names = |one: &str, other: &str| {
        let (one, other) = (TableName::parse(one), TableName::parse(other));
        let is_text = |name: &TableName| {
            name.parts()
                .all(|part| std::str::from_utf8(part).is_ok_and(|part| !part.contains('\u{fffd}')))
        };
        one == other || ![one, other].iter().flatten().all(is_text)
    };
    let same = |(one, other): (&Table, &Table)| (one.rows, one.bytes) == (other.rows, other.bytes) && names(&one.name, &other.name);
    counted.len() == sealed.len() && counted.iter().zip(sealed).all(same)
}

/// The store's own checksum, where it keeps one: S3 makes it of the parts' hashes, which the manifest has.
fn compare(pinned: &Pinned, object: &Object) -> Result<&'static str> {
    let Some(stored) = &pinned.checksum else { return Ok("size") };
    let whole = unhex::<32>(&object.sha256).map(|hash| BASE64_STANDARD.encode(hash));
    let hashes: Option<Vec<u8>> = object
        .part_sha256
        .as_deref()
        .unwrap_or_default()
        .iter()
        .map(|hash| unhex::<32>(hash))
        .collect::<Option<Vec<_>>>()
        .map(|hashes| hashes.concat());
    let parts = object.part_sha256.as_ref().map_or(0, Vec::len);
    let composite = hashes.map(|hashes| format!("{}-{parts}", BASE64_STANDARD.encode(sha256(&hashes))));
    if Some(stored) == whole.as_ref() || Some(stored) == composite.as_ref() {
        return Ok("checksum");
    }
    Err(Error::new(
        Code::Tampered,
        format!("{}: the store's checksum is not the one that was sealed", base_name(&object.key)),
    ))
}

/// Reads every byte, and finds the part that is wrong.
async fn read(backup: &Backup, pinned: &Pinned, object: &Object, cancel: &Cancel) -> Result<()> {
    let name = base_name(&object.key);
    let mut whole = Context::new(&SHA256);
    let mut from = 0;
    let sizes = object.part_sizes.clone().unwrap_or_default();
    let hashes = object.part_sha256.as_deref().unwrap_or_default();
    for (index, (size, expected)) in sizes.iter().zip(hashes).enumerate() {
        let bytes = cancel.race(backup.archive.range(pinned, from..from + size)).await?;
        if hex(&sha256(&bytes)) != *expected {
            return Err(Error::new(
                Code::Tampered,
                format!(
                    "{name}: part {}, which begins at byte {from}, has other bytes than were sealed",
                    index + 1
                ),
            ));
        }
        whole.update(&bytes);
        from += size;
    }
    while from < pinned.size {
        let to = pinned.size.min(from + STEP);
        whole.update(&cancel.race(backup.archive.range(pinned, from..to)).await?);
        from = to;
    }
    if hex(&digest(whole.finish())) != object.sha256 {
        return Err(Error::new(Code::Tampered, format!("{name} has other bytes than were sealed")));
    }
    Ok(())
}

/// The card is written after the manifest, and may be missing where a run ended between the two.
async fn card(backup: &Backup, manifest: &Manifest, report: &mut Report) -> Result<()> {
    let Some(expected) = &manifest.card_sha256 else { return Ok(()) };
    let name = card_name(&backup.stem, manifest.generation);
    let Some(pinned) = backup.archive.pin(&name).await? else {
        return Ok(());
    };
    let bytes = backup.archive.range(&pinned, 0..pinned.size.min(STEP)).await?;
    if hex(&sha256(&bytes)) != *expected {
        return Err(Error::new(
            Code::Tampered,
            format!("{name} has other words than were written: do not follow it"),
        ));
    }
    report.objects.push(Looked {
        role: Role::Card,
        name,
        size: pinned.size,
        compared: "sha256",
    });
    Ok(())
}

impl Report {
    fn note(&mut self, object: &Object, compared: &'static str) {
        self.objects.push(Looked {
            role: object.role,
            name: base_name(&object.key).to_owned(),
            size: object.size,
            compared,
        });
    }

    pub fn to_json(&self) -> String {
        // Every field is a text, number or list: this cannot fail.
        serde_json::to_string(self).unwrap_or_else(|_| "{\"status\":\"failed\"}".to_owned())
    }
}
