//! A backup that its private key opened: from here on its manifest is believed.

use super::find::{BackupKind, ChosenBackup, ends_the_search};
use super::legacy::unproven;
use super::provenance::Origin;
use crate::cancel::Cancel;
use crate::envelope::legacy::Kdf;
use crate::envelope::manifest::{ManifestObject, Role, UnverifiedManifest, VerifiedManifest, base_name, check_signature};
use crate::envelope::private_key::PrivateKey;
use crate::envelope::recipient::Recipient;
use crate::envelope::secret::{CipherKey, DataKeyText};
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::format::Sha256;
use crate::format::backup_format::Format;
use crate::format::compression::Compression;
use crate::format::inventory::Inventory;
use crate::format::order::{SelectionRecord, source_digest};
use crate::format::row_digest::RowKeys;
use crate::format::unhex;
use crate::human::units::counted;
use crate::observe::progress::Progress;
use crate::pipeline::{BufferSink, DumpStats, ExpectedPart, LengthLimit, PartDecryptor, RestorePipeline, Stage, back};
use std::num::NonZeroU32;

/// More than any RSA key object has: 8192 bits.
const MAX_KEY_OBJECT: u64 = 1024;
pub(super) const STRANGE: &str = "Name the signer whom you trust (--signer): then only what they signed counts. Without signatures, find out who can \
                       write to the bucket, and which of the manifests has been there from the beginning.";
const MAX_INVENTORY: u64 = 256 << 20;
/// Of plaintext, in backups by releases that sealed no length of it: a few hundred bytes are written for a role.
const MAX_GLOBALS: u64 = 256 << 20;

pub struct UnsealedBackup<'a> {
    pub backup: &'a ChosenBackup,
    pub manifest: VerifiedManifest,
    /// Of the whole manifest object: it stands for the backup in reports.
    pub manifest_sha256: Sha256,
    pub origin: Origin,
    /// The names of this manifest and of every other revision that agrees with it.
    pub counted: Vec<String>,
    /// Why other manifests under the same name do not count.
    pub passed_over: Vec<Error>,
    /// Names of manifests of the same data key and dump that the pinned signer did not sign, such as those of before a backup
    /// was signed: they do not count either.
    pub unsigned: Vec<String>,
    manifest_name: String,
    secret: DataKeyText,
}

impl<'a> UnsealedBackup<'a> {
    /// The newest manifest that names the key and that its secret proves. A manifest that nothing proves is passed over with
    /// a warning; one that contradicts the proven one is not: see `must_agree`.
    pub async fn open(backup: &'a ChosenBackup, key: &PrivateKey, signer: Option<&Verifier>) -> Result<Self> {
        let BackupKind::Sealed { manifests, unreadable } = &backup.kind else {
            return Err(unproven(&backup.stem, signer));
        };
        let mut failures: Vec<Error> = Vec::new();
        for found in manifests {
            let Some(wrapped) = found
                .unproven()
                .recipients
                .iter()
                .find(|wrapped| wrapped.fingerprint == key.fingerprint())
            else {
                continue;
            };
            match Self::prove(backup, found, &wrapped.object, key, signer).await {
                Ok(mut opened) => {
                    opened.passed_over.clone_from(unreadable);
                    opened.must_agree(manifests, key, signer).await?;
                    for passed_over in &opened.passed_over {
                        tracing::warn!(
                            code = passed_over.code.name(),
                            "another manifest does not count: {}",
                            passed_over.message
                        );
                    }
                    if let Some(warning) = opened.origin.warning() {
                        tracing::warn!("{}: {warning}", backup.stem);
                    }
                    return Ok(opened);
                }
                Err(error) if ends_the_search(error.code) => return Err(error),
                Err(error) => failures.push(error),
            }
        }
        let first = failures.into_iter().chain(unreadable.iter().cloned()).next();
        Err(first.unwrap_or_else(|| not_a_recipient(manifests, key)))
    }

    async fn prove(
        backup: &'a ChosenBackup,
        found: &UnverifiedManifest,
        object: &str,
        key: &PrivateKey,
        signer: Option<&Verifier>,
    ) -> Result<Self> {
        check_signature(found, signer)?;
        let tampered = |reason: String| Error::new(Code::Tampered, reason);
        let unproven = found.unproven();
        let object = unproven.objects.iter().find(|known| known.role == Role::Key && known.key == object);
        let object = object.ok_or_else(|| tampered(format!("{}: a recipient's key object is not named", found.name())))?;
        let name = base_name(&object.key);
        let wrapped = backup.archive.read(name, MAX_KEY_OBJECT).await?;
        if Sha256::digest(&wrapped) != object.sha256 || wrapped.len() as u64 != object.size {
            return Err(tampered(format!("{name} has other bytes than were sealed")));
        }
        let opened = match unproven.format {
            Format::Legacy => key.unwrap_pkcs1(&wrapped),
            Format::Pgseal1 => key.unwrap_oaep(&wrapped),
        };
        // The key is the right one by its fingerprint: then the object was not made for it.
        let secret = opened.map_err(|error| tampered(format!("{name}: {}", error.message)))?;
        let manifest = found.prove(&secret)?;
        Ok(Self {
            backup,
            manifest,
            manifest_sha256: found.sha256()?,
            origin: Origin::new(found, signer, &backup.folder),
            counted: vec![found.name().to_owned()],
            passed_over: Vec::new(),
            unsigned: Vec::new(),
            manifest_name: found.name().to_owned(),
            secret,
        })
    }

    /// A stem has one data key and one dump. Anyone who may write to the bucket could add a newer manifest, genuine by a data key
    /// of their own: so every other manifest that somebody proves must be of the same data key, name the same dump, and be
    /// signed if this one is. With a pinned signer, who did not sign does not count.
    async fn must_agree(&mut self, manifests: &[UnverifiedManifest], key: &PrivateKey, signer: Option<&Verifier>) -> Result<()> {
        for other in manifests.iter().filter(|other| other.name() != self.manifest_name) {
            let said = other.unproven();
            let refused = |reason: &str| {
                let message = format!("{} and {} {reason}", self.manifest_name, other.name());
                Err(Error::new(Code::Tampered, message).advise(STRANGE))
            };
            let of_signer = check_signature(other, signer);
            if let (Some(_), Err(error)) = (signer, &of_signer) {
                match other.prove(&self.secret) {
                    Ok(_) if said.names_same_dump(&self.manifest) => self.unsigned.push(other.name().to_owned()),
                    _ => self.passed_over.push(error.clone()),
                }
                continue;
            }
            // What it says counts once it is proven: a fault that anybody can put there blocks nothing.
            if other.prove(&self.secret).is_ok() {
                if !said.names_same_dump(&self.manifest) {
                    return refused("are of one data key and name different dumps");
                }
                if said.signer.is_some() != self.manifest.signer.is_some() {
                    return refused("differ in that only one of them is signed");
                }
                if of_signer.is_err() {
                    return refused("are of one data key, but the signature of the latter does not hold");
                }
                self.counted.push(other.name().to_owned());
                continue;
            }
            let named = said.recipients.iter().find(|wrapped| wrapped.fingerprint == key.fingerprint());
            match named {
                Some(wrapped) => match Self::prove(self.backup, other, &wrapped.object, key, None).await {
                    Ok(_) => return refused("have different data keys: one of them was put there by somebody else"),
                    Err(error) if ends_the_search(error.code) => return Err(error),
                    Err(_) => {}
                },
                // Somebody else's key may prove it, and then it is this one that was put there.
                None if !said.recipients.is_empty() && !said.names_same_dump(&self.manifest) => {
                    return refused("name different dumps, and only the first is for this key: one of them was put there by somebody else");
                }
                None => {}
            }
            let unproven = Error::new(Code::Tampered, format!("{} is proven by nothing: it does not count", other.name()));
            self.passed_over.push(unproven);
        }
        Ok(())
    }

    /// What anyone who restores it has to know of its origin.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let passed_over = self.passed_over.iter().map(|error| error.message.clone());
        let warnings = self.origin.warning().into_iter().chain(passed_over);
        warnings.chain(self.unsigned_warning()).collect()
    }

    pub(super) fn unsigned_warning(&self) -> Option<String> {
        let names = &self.unsigned;
        let verb = if names.len() == 1 { "is" } else { "are" };
        (!names.is_empty()).then(|| {
            format!(
                "{} of this backup {verb} not signed by this signer, and {verb} ignored: {}",
                counted(names.len() as u64, "other manifest"),
                names.join(", ")
            )
        })
    }

    /// How an object is opened, by what the manifest says of it.
    pub(super) fn opener(&self, object: &ManifestObject) -> Result<PartDecryptor> {
        let bad = |reason: &str| Error::new(Code::Tampered, format!("the manifest is not consistent: {reason}"));
        let salt = self
            .manifest
            .salts
            .get(object.role.as_str())
            .and_then(|salt| unhex::<8>(salt.as_str()?));
        let salt = salt.ok_or_else(|| bad("a salt is missing"))?;
        let sizes = object.part_sizes.clone().unwrap_or_else(|| vec![object.size]);
        let hashes = object.part_sha256.clone().unwrap_or_else(|| vec![object.sha256]);
        let mut offset = 0;
        let mut parts = Vec::with_capacity(sizes.len());
        for (size, sha256) in sizes.into_iter().zip(&hashes) {
            parts.push(ExpectedPart {
                offset,
                size,
                sha256: Some(*sha256.as_bytes()),
            });
            offset += size;
        }
        Ok(PartDecryptor {
            name: base_name(&object.key).to_owned(),
            key: self.cipher_key(&salt)?,
            salt,
            parts,
        })
    }

    fn cipher_key(&self, salt: &[u8; 8]) -> Result<CipherKey> {
        let bad = |reason: &str| Error::new(Code::Tampered, format!("the manifest is not consistent: {reason}"));
        match self.manifest.kdf {
            Kdf::Pbkdf2 => {
                let iterations = NonZeroU32::new(self.manifest.iterations).ok_or_else(|| bad("no iterations"))?;
                Ok(self.secret.cipher_key_after(iterations, salt))
            }
            other => Ok(other.cipher_key(&self.secret, salt)),
        }
    }

    /// Of the digests of its tables.
    pub(crate) fn row_keys(&self) -> RowKeys {
        let recipients = self.manifest.recipients.iter();
        self.secret
            .row_keys(&recipients.map(|wrapped| wrapped.fingerprint.as_str()).collect::<Vec<_>>())
    }

    /// Whether it was there when this backup was opened, and could be read.
    pub(crate) fn has_seen(&self, manifest: &str) -> bool {
        match &self.backup.kind {
            BackupKind::Sealed { manifests, .. } => manifests.iter().any(|found| found.name() == manifest),
            BackupKind::Legacy { .. } => false,
        }
    }

    /// The newest of the manifests that count. Another recipient's may be newer than the one that names this key.
    pub(crate) fn newest(&self) -> Result<VerifiedManifest> {
        let manifests = match &self.backup.kind {
            BackupKind::Sealed { manifests, .. } => manifests.as_slice(),
            BackupKind::Legacy { .. } => &[],
        };
        // The newest first.
        let newest = manifests.iter().find(|found| self.counted.iter().any(|name| name == found.name()));
        let newest = newest.ok_or_else(|| Error::new(Code::Bug, "a backup was opened by none of its manifests"))?;
        newest.prove(&self.secret)
    }

    /// Believes another manifest of this backup, if the secret made it.
    pub(crate) fn prove_other(&self, found: &UnverifiedManifest) -> Result<VerifiedManifest> {
        found.prove(&self.secret)
    }

    /// The MAC of another first line under the same secret.
    pub(crate) fn manifest_mac(&self, line: &[u8]) -> [u8; 32] {
        self.secret.manifest_mac(line)
    }

    /// The secret, for one more recipient, in the way of the backup's format.
    pub(crate) fn wrap(&self, recipient: &Recipient) -> Result<Vec<u8>> {
        let file = self.secret.file();
        match self.manifest.format {
            Format::Legacy => recipient.wrap_pkcs1(&file),
            Format::Pgseal1 => recipient.wrap(&file),
        }
    }

    pub(crate) fn object(&self, role: Role) -> Result<&ManifestObject> {
        let missing = || {
            let message = format!("the backup {} was made without {}", self.backup.stem, role.as_str());
            match role {
                Role::Globals => Error::new(Code::BadUsage, message)
                    .advise("The roles are in those backups whose event has `\"globals\": true`: add it for the next ones."),
                Role::Inventory => Error::new(Code::BadUsage, message).advise("The format `legacy` has none: `pgseal/1` does."),
                _ => Error::new(Code::NoBackup, message),
            }
        };
        self.manifest.object(role).ok_or_else(missing)
    }

    /// That an object is there, with the size that was sealed.
    pub(crate) async fn must_have(&self, role: Role) -> Result<()> {
        self.backup.pin(self.object(role)?).await.map(drop)
    }

    /// Brings an object back into a sink.
    pub async fn fetch_object<S, F>(
        &self,
        role: Role,
        workers: usize,
        sink: F,
        progress: &std::sync::Arc<Progress>,
        cancel: &Cancel,
    ) -> Result<(DumpStats, S::Done)>
    where
        F: FnOnce() -> Result<S> + Send + 'static,
        S: Stage,
        S::Done: Send + 'static,
    {
        let object = self.object(role)?;
        let pinned = self.backup.pin(object).await?;
        let way = RestorePipeline {
            opener: self.opener(object)?,
            compression: match role {
                Role::Inventory => Compression::None,
                _ => self.manifest.compression()?,
            },
            workers,
            keeps_heads: role == Role::Dump,
            plain_bytes: self.length(role, cancel).await?,
        };
        back(&self.backup.archive, &pinned, way, sink, progress, cancel).await
    }

    /// Of an object's plaintext: of all but the dump the inventory knows it.
    async fn length(&self, role: Role, cancel: &Cancel) -> Result<LengthLimit> {
        match role {
            Role::Dump => Ok(LengthLimit::Exactly(self.manifest.plain_bytes)),
            Role::Globals => {
                // Its own length is not in question here: `contents` asks for the inventory alone.
                let contents = Box::pin(self.contents(cancel)).await?;
                let sealed = contents.and_then(|contents| contents.plain_lengths.get(role.as_str()).copied());
                Ok(sealed.map_or(LengthLimit::AtMost(MAX_GLOBALS), LengthLimit::Exactly))
            }
            _ => Ok(LengthLimit::Any),
        }
    }

    /// The plain values of the inventory against their digests in line 1: one writer made both.
    fn must_tell_the_same(&self, contents: &Inventory) -> Result<()> {
        let manifest = &self.manifest;
        let source = contents.host.as_deref().zip(contents.port);
        let source = source.map(|(host, port)| source_digest(host, port, &contents.database));
        let selection = contents.selection.as_ref().map(SelectionRecord::digest);
        let is_other = |ours: Option<Sha256>, said: Option<Sha256>| ours.is_some() && said.is_some() && ours != said;
        if is_other(source, manifest.source) || is_other(selection, manifest.selection) {
            return Err(Error::new(
                Code::Tampered,
                "the inventory is of another source or selection than the manifest says",
            ));
        }
        Ok(())
    }

    /// What should be in the dump; `None` in the legacy format, which keeps no inventory.
    pub async fn contents(&self, cancel: &Cancel) -> Result<Option<Inventory>> {
        match self.manifest.object(Role::Inventory) {
            None => Ok(None),
            Some(object) if object.size > MAX_INVENTORY => Err(Error::new(Code::Tampered, "the inventory is too large to be one")),
            Some(_) => {
                let (_, json) = self
                    .fetch_object(Role::Inventory, 1, || Ok(BufferSink::default()), &Progress::new(0), cancel)
                    .await?;
                let contents = Inventory::parse(&json)?;
                self.must_tell_the_same(&contents)?;
                Ok(Some(contents))
            }
        }
    }
}

fn not_a_recipient(manifests: &[UnverifiedManifest], key: &PrivateKey) -> Error {
    let recipients = manifests.iter().flat_map(|found| &found.unproven().recipients);
    let mut needed: Vec<&str> = recipients.map(|wrapped| wrapped.fingerprint.as_str()).collect();
    needed.sort_unstable();
    needed.dedup();
    Error::new(
        Code::WrongKey,
        format!(
            "this backup opens with the private key {}; the one given is {}",
            needed.join(" or "),
            key.fingerprint()
        ),
    )
}
