//! The key schedule and what stands around a dump, FORMAT.md on a few screens: secret, recipients, manifest, and the
//! format of the image that came before.

pub mod contents;
pub mod data_key;
pub mod key_text;
pub mod legacy;
pub mod manifest;
mod modulus;
pub mod private_key;
pub mod recipient;
pub mod recovery_instructions;
pub mod secret;
pub mod signature;
pub mod test_keys;

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Exactly so many bytes of lower-case hexadecimal.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    (text.len() == 2 * N).then(|| unhex_all(text))??.try_into().ok()
}

/// However many bytes of lower-case hexadecimal.
pub fn unhex_all(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    text.as_bytes()
        .chunks(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?))
        .collect()
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
