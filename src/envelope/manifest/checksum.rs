//! The checksum that a store keeps of an object, made anew from what its manifest says.

use super::ManifestObject;
use crate::format::sha256;
use base64::{Engine, prelude::BASE64_STANDARD};

impl ManifestObject {
    /// Whether a store's SHA-256 is of this object. S3 makes it of the whole object, or of its parts' hashes with their number
    /// behind it. Not every store tells the number.
    pub(crate) fn has_checksum(&self, stored: &str) -> bool {
        let base64 = |hash: &[u8]| BASE64_STANDARD.encode(hash);
        if base64(self.sha256.as_bytes()) == stored {
            return true;
        }
        let parts = self.part_sha256.as_deref().unwrap_or_default();
        let hashes: Vec<[u8; 32]> = parts.iter().map(|hash| *hash.as_bytes()).collect();
        let composite = base64(&sha256(&hashes.concat()));
        let (hash, count) = stored.split_once('-').map_or((stored, None), |(hash, count)| (hash, Some(count)));
        !parts.is_empty() && hash == composite && count.is_none_or(|count| count == parts.len().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::manifest::Role;

    /// A composite checksum without the number of parts was called tampered.
    #[test]
    fn a_composite_checksum_is_known_with_and_without_its_number_of_parts() {
        let hashes = [[1; 32], [2; 32]];
        let object = ManifestObject {
            part_sizes: Some(vec![1, 1]),
            part_sha256: Some(hashes.iter().map(|hash| (*hash).into()).collect()),
            ..ManifestObject::small(Role::Dump, "a".into(), b"ab")
        };
        let composite = BASE64_STANDARD.encode(sha256(&hashes.concat()));
        let whole = BASE64_STANDARD.encode(sha256(b"ab"));
        for known in [whole.clone(), composite.clone(), format!("{composite}-2")] {
            assert!(object.has_checksum(&known), "{known}");
        }
        let other = BASE64_STANDARD.encode([3; 32]);
        for unknown in [
            format!("{composite}-3"),
            format!("{other}-2"),
            other,
            format!("{whole}-1"),
            String::new(),
        ] {
            assert!(!object.has_checksum(&unknown), "{unknown}");
        }
        let single = ManifestObject::small(Role::Dump, "a".into(), b"ab");
        assert!(single.has_checksum(&whole) && !single.has_checksum(&BASE64_STANDARD.encode(sha256(b""))));
    }
}
