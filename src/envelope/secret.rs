//! The secret of one backup and all that is derived from it.

use crate::error::Result;
use crate::format::row_digest::RowKeys;
use crate::random;
use aws_lc_rs::hmac;
use sha2::Sha256;
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// OpenSSL's own default for `-pbkdf2`: a reader who forgets `-iter` still gets in, and a secret of 256 bits gains
/// nothing from more.
pub const ITERATIONS: NonZeroU32 = NonZeroU32::new(10_000).expect("not zero");

/// Binds the MAC key to its use: one block of HKDF-Expand (RFC 5869, 2.3) with this as its info.
const MAC_LABEL: &[u8] = b"pgseal/1 manifest mac\x01";

/// Key and first vector of AES-256-CBC.
pub struct CipherKey {
    pub key: Zeroizing<[u8; 32]>,
    pub iv: Zeroizing<[u8; 16]>,
}

/// What `openssl enc` takes as pass phrase: in `pgseal/1` 32 random bytes as 64 lower-case hex digits.
///
/// Neither printed nor compared; wiped when dropped.
pub struct DataKeyText(Zeroizing<String>);

impl DataKeyText {
    pub fn generate() -> Result<Self> {
        let mut random = Zeroizing::new([0u8; 32]);
        random::fill(random.as_mut())?;
        Ok(Self(Zeroizing::new(crate::format::hex(random.as_ref()))))
    }

    pub(super) fn from_passphrase(passphrase: Zeroizing<String>) -> Self {
        Self(passphrase)
    }

    /// The content of a key object before it is wrapped: the hex digits and a newline, 65 bytes.
    pub fn file(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(format!("{}\n", *self.0).into_bytes())
    }

    pub(super) fn passphrase(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The keys of the tables' digests, with those of their hints for these recipients.
    pub(crate) fn row_keys(&self, fingerprints: &[&str]) -> RowKeys {
        RowKeys::new(self.passphrase(), fingerprints)
    }

    /// PBKDF2-HMAC-SHA256 to 48 bytes, as `openssl enc -pbkdf2 -md sha256` does.
    pub fn cipher_key(&self, salt: &[u8; 8]) -> CipherKey {
        self.cipher_key_after(ITERATIONS, salt)
    }

    /// The same for a number of iterations that a manifest names.
    pub fn cipher_key_after(&self, iterations: NonZeroU32, salt: &[u8; 8]) -> CipherKey {
        let mut derived = Zeroizing::new([0u8; 48]);
        pbkdf2::pbkdf2_hmac::<Sha256>(self.passphrase(), salt, iterations.get(), derived.as_mut());
        CipherKey::from_bytes(&derived)
    }

    /// HMAC-SHA256 of the manifest's first line, its newline included.
    pub fn manifest_mac(&self, line: &[u8]) -> [u8; 32] {
        let extract = hmac::Key::new(hmac::HMAC_SHA256, self.passphrase());
        let mac_key = hmac::sign(&extract, MAC_LABEL);
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, mac_key.as_ref()), line);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(mac.as_ref());
        bytes
    }
}

impl CipherKey {
    pub(super) fn from_bytes(bytes: &[u8; 48]) -> Self {
        let mut both = Self {
            key: Zeroizing::new([0; 32]),
            iv: Zeroizing::new([0; 16]),
        };
        both.key.copy_from_slice(&bytes[..32]);
        both.iv.copy_from_slice(&bytes[32..]);
        both
    }

    /// EVP_BytesToKey with one round: what `openssl enc` did before `-pbkdf2`, with SHA-256, before 1.1 with MD5.
    pub(super) fn from_bytes_to_key(passphrase: &[u8], salt: &[u8; 8], digest: impl Fn(&[&[u8]]) -> Zeroizing<Vec<u8>>) -> Self {
        let mut bytes = Zeroizing::new([0u8; 48]);
        let mut last: Zeroizing<Vec<u8>> = Zeroizing::default();
        let mut filled = 0;
        while filled < bytes.len() {
            last = digest(&[&last, passphrase, salt]);
            let take = last.len().min(bytes.len() - filled);
            bytes[filled..filled + take].copy_from_slice(&last[..take]);
            filled += take;
        }
        Self::from_bytes(&bytes)
    }
}

/// Eight fresh random bytes for a `Salted__` header.
pub(crate) fn new_salt() -> Result<[u8; 8]> {
    random::bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_one_line_of_64_hex_digits() {
        let file = DataKeyText::generate().unwrap().file();
        assert_eq!(file.len(), 65);
        assert!(file[..64].iter().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte)));
        assert_eq!(file[64], b'\n');
    }

    #[test]
    fn two_secrets_differ() {
        assert_ne!(*DataKeyText::generate().unwrap().file(), *DataKeyText::generate().unwrap().file());
    }
}
