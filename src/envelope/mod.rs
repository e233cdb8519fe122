//! The key schedule and what stands around a dump, FORMAT.md on a few screens: secret, recipients, manifest, and the
//! format of the image that came before.

pub mod legacy;
pub mod manifest;
pub mod recipient;
pub mod seal;
pub mod secret;

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

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
