//! What the image that came before wrote: kept so that its users' restore scripts go on working.

use super::secret::{CipherKey, DataKeyText};
use crate::error::Result;
use aws_lc_rs::digest::{Context, SHA256};
use base64::{Engine, prelude::BASE64_STANDARD};
use md5::Digest;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// `openssl rand -base64 128`: lines of 64, 64 and 44 characters.
const COLUMNS: usize = 64;

/// The legacy image's key file, and what of it counts.
pub struct LegacySecret {
    file: Zeroizing<Vec<u8>>,
    /// `-pass file:` reads the first line only: these 64 characters (48 random bytes) are the pass phrase.
    pub secret: DataKeyText,
}

impl LegacySecret {
    pub fn generate() -> Result<Self> {
        let mut random = Zeroizing::new([0u8; 128]);
        crate::random::fill(random.as_mut())?;
        let text = Zeroizing::new(BASE64_STANDARD.encode(random.as_ref()));
        let mut file = Zeroizing::new(Vec::with_capacity(text.len() + 3));
        for line in text.as_bytes().chunks(COLUMNS) {
            file.extend_from_slice(line);
            file.push(b'\n');
        }
        let secret = DataKeyText::from_passphrase(Zeroizing::new(text[..COLUMNS].to_owned()));
        Ok(Self { file, secret })
    }

    /// The key file before it is wrapped: 175 bytes.
    pub fn file(&self) -> &[u8] {
        &self.file
    }

    pub fn cipher_key(&self, salt: &[u8; 8]) -> CipherKey {
        Kdf::Sha256.cipher_key(&self.secret, salt)
    }
}

/// How `openssl enc` made key and vector of a pass phrase, by its version and switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kdf {
    /// EVP_BytesToKey with SHA-256, the default since OpenSSL 1.1.
    #[serde(rename = "evp-bytes-to-key-sha256")]
    Sha256,
    /// EVP_BytesToKey with MD5, the default before.
    #[serde(rename = "evp-bytes-to-key-md5")]
    Md5,
    /// `-pbkdf2`.
    #[serde(rename = "pbkdf2-hmac-sha256")]
    Pbkdf2,
}

impl Kdf {
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Md5, Self::Pbkdf2];

    pub fn cipher_key(self, secret: &DataKeyText, salt: &[u8; 8]) -> CipherKey {
        match self {
            Self::Sha256 => CipherKey::from_bytes_to_key(secret.passphrase(), salt, |parts| {
                let mut context = Context::new(&SHA256);
                parts.iter().for_each(|part| context.update(part));
                Zeroizing::new(context.finish().as_ref().to_vec())
            }),
            Self::Md5 => CipherKey::from_bytes_to_key(secret.passphrase(), salt, |parts| {
                let mut context = md5::Md5::new();
                parts.iter().for_each(|part| context.update(part));
                Zeroizing::new(context.finalize().to_vec())
            }),
            Self::Pbkdf2 => secret.cipher_key(salt),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_file_has_the_old_shape() {
        let legacy = LegacySecret::generate().unwrap();
        let lengths: Vec<usize> = legacy.file().split(|byte| *byte == b'\n').map(<[u8]>::len).collect();
        assert_eq!((lengths, legacy.file().len()), (vec![64, 64, 44, 0], 175));
    }
}
