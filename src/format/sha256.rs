//! SHA-256 of what is at hand as a whole.

/// SHA-256, by the fastest library at hand.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
}

/// A finished SHA-256 as plain bytes.
pub fn digest(digest: aws_lc_rs::digest::Digest) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}
