//! One object of a backup as it lies in the store, against what its manifest says of it.

use crate::cancel::Cancel;
use crate::envelope::manifest::{Object, base_name};
use crate::envelope::{digest, hex, sha256, unhex};
use crate::error::{Code, Error, Result};
use crate::restore::backup::Backup;
use crate::store::Pinned;
use aws_lc_rs::digest::{Context, SHA256};
use base64::{Engine, prelude::BASE64_STANDARD};

/// Bytes read at once: a manifest that nothing proves may say of parts what it likes.
pub(super) const STEP: u64 = 8 << 20;

/// The strongest thing that was compared: `sha256` where every byte was read, `checksum` where the store's own is the one
/// that was sealed, `size` where it keeps none. A checksum that says nothing to us (of other parts, or spelled otherwise)
/// decides nothing: then every byte is read.
pub(in crate::restore) async fn compare(backup: &Backup, object: &Object, deep: bool, cancel: &Cancel) -> Result<&'static str> {
    let pinned = cancel.race(backup.pin(object)).await?;
    match &pinned.checksum {
        Some(stored) if !deep && is_checksum_of(stored, object) => Ok("checksum"),
        None if !deep => Ok("size"),
        _ => read(backup, &pinned, object, cancel).await.map(|()| "sha256"),
    }
}

/// Whether it is there, in its size, and with the checksum that was sealed where the store keeps one. Reads no byte of it.
pub(in crate::restore) async fn fits(backup: &Backup, object: &Object, cancel: &Cancel) -> Result<bool> {
    let pinned = cancel.race(backup.pin(object)).await?;
    Ok(pinned.checksum.as_deref().is_none_or(|stored| is_checksum_of(stored, object)))
}

/// S3 makes it of the whole object, or of its parts' hashes with their number behind it. Not every store tells the number.
fn is_checksum_of(stored: &str, object: &Object) -> bool {
    let base64 = |hash: &[u8]| BASE64_STANDARD.encode(hash);
    if unhex::<32>(&object.sha256).is_some_and(|whole| base64(&whole) == stored) {
        return true;
    }
    let parts = object.part_sha256.as_deref().unwrap_or_default();
    let hashes: Option<Vec<[u8; 32]>> = parts.iter().map(|hash| unhex::<32>(hash)).collect();
    let composite = base64(&sha256(&hashes.unwrap_or_default().concat()));
    let (hash, count) = stored.split_once('-').map_or((stored, None), |(hash, count)| (hash, Some(count)));
    !parts.is_empty() && hash == composite && count.is_none_or(|count| count == parts.len().to_string())
}

/// Reads every byte, a few MiB at once, and finds the part that is wrong.
async fn read(backup: &Backup, pinned: &Pinned, object: &Object, cancel: &Cancel) -> Result<()> {
    let name = base_name(&object.key);
    let mut whole = Context::new(&SHA256);
    let mut from = 0;
    let sizes = object.part_sizes.clone().unwrap_or_else(|| vec![object.size]);
    let hashes = object.part_sha256.clone().unwrap_or_else(|| vec![object.sha256.clone()]);
    let is_one = sizes.len() == 1;
    for (index, (size, expected)) in sizes.iter().zip(&hashes).enumerate() {
        let (begin, end) = (from, from + size);
        let mut part = Context::new(&SHA256);
        while from < end {
            let to = end.min(from + STEP);
            let bytes = cancel.race(backup.archive.range(pinned, from..to)).await?;
            part.update(&bytes);
            whole.update(&bytes);
            from = to;
        }
        if hex(&digest(part.finish())) != *expected {
            let place = if is_one {
                String::new()
            } else {
                format!(" part {}, which begins at byte {begin},", index + 1)
            };
            return Err(tampered(format!("{name}:{place} has other bytes than were sealed")));
        }
    }
    if hex(&digest(whole.finish())) != object.sha256 {
        return Err(tampered(format!("{name} has other bytes than were sealed")));
    }
    Ok(())
}

fn tampered(reason: String) -> Error {
    Error::new(Code::Tampered, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::manifest::Role;

    /// A composite checksum without the number of parts was called tampered.
    #[test]
    fn a_composite_checksum_is_known_with_and_without_its_number_of_parts() {
        let hashes = [[1; 32], [2; 32]];
        let object = Object {
            part_sizes: Some(vec![1, 1]),
            part_sha256: Some(hashes.iter().map(|hash| hex(hash)).collect()),
            ..Object::small(Role::Dump, "a".into(), b"ab")
        };
        let composite = BASE64_STANDARD.encode(sha256(&hashes.concat()));
        let whole = BASE64_STANDARD.encode(sha256(b"ab"));
        for known in [whole.clone(), composite.clone(), format!("{composite}-2")] {
            assert!(is_checksum_of(&known, &object), "{known}");
        }
        let other = BASE64_STANDARD.encode([3; 32]);
        for unknown in [
            format!("{composite}-3"),
            format!("{other}-2"),
            other,
            format!("{whole}-1"),
            String::new(),
        ] {
            assert!(!is_checksum_of(&unknown, &object), "{unknown}");
        }
        let single = Object::small(Role::Dump, "a".into(), b"ab");
        assert!(is_checksum_of(&whole, &single) && !is_checksum_of(&BASE64_STANDARD.encode(sha256(b"")), &single));
    }
}
