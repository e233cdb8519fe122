//! Backups of the legacy image: opened, and labelled as what they are, since nothing in them can be checked.

use super::find::ChosenBackup;
use crate::cancel::Cancel;
use crate::envelope::legacy::Kdf;
use crate::envelope::private_key::PrivateKey;
use crate::envelope::secret::CipherKey;
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::format::compression::Compression;
use crate::observe::progress::Progress;
use crate::pipeline::{DumpStats, ExpectedPart, LengthLimit, PartDecryptor, RAISE, RestorePipeline, Stage, back};
use crate::store::missing;
use aes::Aes256;
use cbc::Decryptor;
use cbc::cipher::array::Array;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use std::sync::Arc;

/// Before anything is made for them.
pub(crate) async fn all_there(backup: &ChosenBackup, names: &[&str]) -> Result<()> {
    for name in names {
        backup.archive.pin(name).await?.ok_or_else(|| missing(name))?;
    }
    Ok(())
}

const MAX_KEY_OBJECT: u64 = 1024;
/// Read at once; the format itself has no parts.
const STEP: u64 = 8 << 20;
/// `Salted__`, the salt, one block.
const HEADER_LIMIT: u64 = 32;

/// What somebody who opens a backup of the legacy image has agreed to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Consent {
    /// Nobody can tell whether it was changed.
    pub unauthenticated: bool,
    /// Bytes of plaintext, since the format does not say how many there are.
    pub max_output: Option<u64>,
}

/// Of a command that needs a proof: the legacy image wrote no manifest, which is nobody's doing. A signer whom somebody named has
/// not signed it, though.
pub(crate) fn unproven(stem: &str, signer: Option<&Verifier>) -> Error {
    if signer.is_some() {
        return Error::new(Code::Tampered, format!("{stem} is not signed: the legacy image signed nothing"));
    }
    Error::new(
        Code::NoBackup,
        format!("{stem} was written by the legacy image: it has no manifest, so it cannot be proved unchanged"),
    )
    .advise("Where you trust everyone who can write to the bucket: `pgseal restore` and `pgseal decrypt` open it with --unauthenticated.")
}

impl Consent {
    pub(crate) fn must_be_given(self, stem: &str, signer: Option<&Verifier>) -> Result<()> {
        if self.unauthenticated && signer.is_none() {
            return Ok(());
        }
        let unproven = unproven(stem, signer);
        Err(match unproven.code {
            Code::NoBackup => Error::new(Code::BadUsage, unproven.message)
                .advise("Where you trust everyone who can write to the bucket, give --unauthenticated."),
            _ => unproven,
        })
    }

    pub(super) fn length(self) -> LengthLimit {
        self.max_output.map_or(LengthLimit::Any, LengthLimit::Allowed)
    }

    /// A sealed backup says how long it is before anything of it comes.
    pub(crate) fn must_hold(self, plain_bytes: u64) -> Result<()> {
        match self.max_output {
            Some(limit) if plain_bytes > limit => Err(Error::new(
                Code::BadUsage,
                format!("the dump has {plain_bytes} bytes, more than --max-output allows"),
            )
            .advise(RAISE)),
            _ => Ok(()),
        }
    }
}

/// Brings the dump back. A damaged one is noticed only where bzip2's own checksums fail.
#[expect(clippy::too_many_arguments, reason = "two names, one key, and what every restore pipeline takes")]
pub async fn fetch_object<S, F>(
    backup: &ChosenBackup,
    key_name: &str,
    dump: &str,
    key: &PrivateKey,
    workers: usize,
    plain_bytes: LengthLimit,
    sink: F,
    progress: &Arc<Progress>,
    cancel: &Cancel,
) -> Result<(DumpStats, S::Done)>
where
    F: FnOnce() -> Result<S> + Send + 'static,
    S: Stage,
    S::Done: Send + 'static,
{
    tracing::warn!(
        "{} is unauthenticated: the legacy image's format cannot tell whether it was changed",
        backup.stem
    );
    let wrapped = backup.archive.read(key_name, MAX_KEY_OBJECT).await?;
    let secret = key.unwrap_pkcs1(&wrapped)?;
    let pinned = backup.archive.pin(dump).await?.ok_or_else(|| missing(dump))?;
    if pinned.size < HEADER_LIMIT || !pinned.size.is_multiple_of(16) {
        return Err(Error::new(Code::Tampered, format!("{dump} has {} bytes: it was cut", pinned.size)));
    }
    let head = backup.archive.range(&pinned, 0..HEADER_LIMIT).await?;
    let header = head.first_chunk::<16>().filter(|header| header.starts_with(b"Salted__"));
    let salt = header.and_then(|header| header.last_chunk::<8>()).copied();
    let salt = salt.ok_or_else(|| Error::new(Code::Tampered, format!("{dump} was not written by `openssl enc`")))?;
    let first = head.last_chunk::<16>().copied().unwrap_or_default();
    let kdf = Kdf::ALL
        .into_iter()
        .find(|kdf| begins_bzip2(&kdf.cipher_key(&secret, &salt), first));
    let kdf = kdf.ok_or_else(|| not_opened(dump, key))?;
    tracing::info!(key_derivation = ?kdf, "opening a backup of the legacy image");
    let way = RestorePipeline {
        opener: PartDecryptor {
            name: dump.to_owned(),
            key: kdf.cipher_key(&secret, &salt),
            salt,
            parts: steps(pinned.size),
        },
        compression: Compression::Bzip2(9),
        workers,
        keeps_heads: false,
        plain_bytes,
    };
    back(&backup.archive, &pinned, way, sink, progress, cancel).await
}

fn steps(size: u64) -> Vec<ExpectedPart> {
    let starts = (0..size).step_by(STEP as usize);
    let step = |offset| ExpectedPart {
        offset,
        size: STEP.min(size - offset),
        sha256: None,
    };
    starts.map(step).collect()
}

/// `BZh`, a level, and the magic number of a block or of an empty stream's end.
fn begins_bzip2(key: &CipherKey, mut block: [u8; 16]) -> bool {
    let mut cipher = Decryptor::<Aes256>::new(&Array::from(*key.key), &Array::from(*key.iv));
    let (blocks, _) = Array::slice_as_chunks_mut(&mut block);
    cipher.decrypt_blocks(blocks);
    let magic = block[4..10] == *b"1AY&SY" || block[4..10] == [0x17, 0x72, 0x45, 0x38, 0x50, 0x90];
    block.starts_with(b"BZh") && (b'1'..=b'9').contains(&block[3]) && magic
}

fn not_opened(dump: &str, key: &PrivateKey) -> Error {
    Error::new(
        Code::WrongKey,
        format!(
            "{dump} is opened by no key derivation of openssl; the private key {} is not the right one",
            key.fingerprint()
        ),
    )
    .advise("Use the private key whose public half the legacy task had in OPENSSL_PUBLIC_KEY; or the key file belongs to another dump.")
}
