//! SHA-256: as bytes while it is computed and compared, as 64 lower-case hexadecimal digits in JSON and for people.

use super::hex::{hex, unhex};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// A SHA-256. That a text is one is settled where it is read: what holds other text does not parse.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    pub fn digest(bytes: &[u8]) -> Self {
        Self(sha256(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Sha256 {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = unhex(&text).ok_or_else(|| de::Error::custom("a SHA-256 is not 64 lower-case hexadecimal digits"))?;
        Ok(Self(bytes))
    }
}

/// SHA-256 of what is at hand as a whole, by the fastest library at hand.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
}

/// A finished SHA-256 as plain bytes.
pub(crate) fn digest(digest: aws_lc_rs::digest::Digest) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_64_lower_case_digits_are_one() {
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let hash: Sha256 = serde_json::from_str(&format!("\"{text}\"")).unwrap();
        assert_eq!((hash, hash.to_string().as_str()), (Sha256::digest(b"abc"), text));
        assert_eq!(serde_json::to_string(&hash).unwrap(), format!("\"{text}\""));
        for wrong in [&text[1..], &text.to_uppercase(), &format!("{text}0"), &text.replace('b', "g"), ""] {
            assert!(serde_json::from_str::<Sha256>(&format!("\"{wrong}\"")).is_err(), "{wrong}");
        }
    }
}
