//! One object of a backup as it lies in the store, against what its manifest says of it.

use crate::cancel::Cancel;
use crate::envelope::manifest::{ManifestObject, base_name};
use crate::error::{Code, Error, Result};
use crate::format::Sha256;
use crate::format::digest;
use crate::restore::find::ChosenBackup;
use crate::store::PinnedObject;
use aws_lc_rs::digest::{Context, SHA256};

/// Bytes read at once: a manifest that nothing proves may say of parts what it likes.
pub(super) const STEP: u64 = 8 << 20;

/// The strongest thing that was compared: `sha256` where every byte was read, `checksum` where the store's own is the one
/// that was sealed, `size` where it keeps none. A checksum that says nothing to us (of other parts, or spelled otherwise)
/// decides nothing: then every byte is read.
pub(in crate::restore) async fn compare(
    backup: &ChosenBackup,
    object: &ManifestObject,
    deep: bool,
    cancel: &Cancel,
) -> Result<&'static str> {
    let pinned = cancel.run_until_cancelled(backup.pin(object)).await?;
    match &pinned.checksum {
        Some(stored) if !deep && object.has_checksum(stored) => Ok("checksum"),
        None if !deep => Ok("size"),
        _ => read(backup, &pinned, object, cancel).await.map(|()| "sha256"),
    }
}

/// Whether it is there, in its size, and with the checksum that was sealed where the store keeps one. Reads no byte of it.
pub(in crate::restore) async fn fits(backup: &ChosenBackup, object: &ManifestObject, cancel: &Cancel) -> Result<bool> {
    let pinned = cancel.run_until_cancelled(backup.pin(object)).await?;
    Ok(pinned.checksum.as_deref().is_none_or(|stored| object.has_checksum(stored)))
}

/// Reads every byte, a few MiB at once, and finds the part that is wrong.
async fn read(backup: &ChosenBackup, pinned: &PinnedObject, object: &ManifestObject, cancel: &Cancel) -> Result<()> {
    let name = base_name(&object.key);
    let mut whole = Context::new(&SHA256);
    let mut from = 0;
    let sizes = object.part_sizes.clone().unwrap_or_else(|| vec![object.size]);
    let hashes = object.part_sha256.clone().unwrap_or_else(|| vec![object.sha256]);
    let is_one = sizes.len() == 1;
    for (index, (size, expected)) in sizes.iter().zip(&hashes).enumerate() {
        let (begin, end) = (from, from + size);
        let mut part = Context::new(&SHA256);
        while from < end {
            let to = end.min(from + STEP);
            let bytes = cancel.run_until_cancelled(backup.archive.range(pinned, from..to)).await?;
            part.update(&bytes);
            whole.update(&bytes);
            from = to;
        }
        if Sha256::from(digest(part.finish())) != *expected {
            let place = if is_one {
                String::new()
            } else {
                format!(" part {}, which begins at byte {begin},", index + 1)
            };
            return Err(tampered(format!("{name}:{place} has other bytes than were sealed")));
        }
    }
    if Sha256::from(digest(whole.finish())) != object.sha256 {
        return Err(tampered(format!("{name} has other bytes than were sealed")));
    }
    Ok(())
}

fn tampered(reason: String) -> Error {
    Error::new(Code::Tampered, reason)
}
