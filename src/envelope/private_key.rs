//! RSA private keys, as people keep them: who opens a backup.

pub(super) mod container;
mod encrypted;
pub(crate) mod passphrase;
mod pem;

pub(crate) use container::warn_if_open_to_all;
#[cfg(test)]
pub(super) mod tests;

use super::key_text::items;
use super::recipient::{RSA_ENCRYPTION, Recipient};
use super::secret::DataKeyText;
use crate::error::{Code, Error, Result};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use container::DecodedKey;
use pkcs8::der::Encode;
use pkcs8::der::asn1::{AnyRef, OctetStringRef};
use pkcs8::spki::AlgorithmIdentifierRef;
use std::path::Path;
use zeroize::Zeroizing;

/// Hex digits of a `pgseal/1` secret.
const SECRET_DIGITS: usize = 64;
/// A key file of the legacy format holds at least this much text. The legacy image wrote 175 bytes; of made-up bytes one in
/// 10^13 is all text over this length.
const MIN_TEXT: usize = 32;

/// An RSA private key.
///
/// - 2048 to 8192 bits, consistent in itself;
/// - it neither prints nor compares; its numbers are wiped when the last copy is dropped.
#[derive(Clone)]
pub struct PrivateKey {
    recipient: Recipient,
    key: PrivateDecryptingKey,
}

impl PrivateKey {
    /// Fails as [`Self::open`] would if there is no such file. Without opening it: a pipe is read once.
    pub fn must_exist(path: &Path) -> Result<()> {
        std::fs::metadata(path)
            .map(drop)
            .map_err(|error| container::unreadable(path, &error))
    }

    /// Reads a key file; where it is encrypted, the passphrase comes from `passphrase_file`, else from the terminal.
    pub fn open(path: &Path, passphrase_file: Option<&Path>) -> Result<Self> {
        let name = path.display();
        let file = container::read(path)?;
        let parse = || Self::parse(&file, || passphrase::ask(&name.to_string(), passphrase_file));
        let key = passphrase::tried(passphrase_file, parse).map_err(|mut error| {
            error.message = format!("{name}: {}", error.message);
            error
        })?;
        // Not before: what is no private key may be read by anybody.
        warn_if_open_to_all(path);
        Ok(key)
    }

    /// Takes PKCS#1 and PKCS#8, as PEM or DER, encrypted in any of the usual ways or not at all. `passphrase` is asked only
    /// where the key is encrypted.
    pub fn parse(file: &[u8], passphrase: impl FnOnce() -> Result<Zeroizing<Vec<u8>>>) -> Result<Self> {
        match container::open(file, passphrase)? {
            DecodedKey::Rsa(pkcs1) => Self::from_pkcs1(&pkcs1),
            DecodedKey::Ec(_) => Err(container::refused(
                "holds an EC key: a backup is opened by an RSA key",
                "Give the RSA private key of one of the backup's recipients.",
            )),
        }
    }

    fn from_pkcs1(der: &[u8]) -> Result<Self> {
        let broken = |reason: &str| {
            container::refused(
                &format!("holds an RSA key that cannot be used: {reason}"),
                "Look at it with `openssl pkey -in KEY -noout -check`; what pgseal does not take, `openssl pkeyutl -decrypt` may.",
            )
        };
        // RFC 8017, A.1.2: version, modulus, publicExponent, privateExponent …
        let numbers = items(der).filter(|items| items.len() >= 9);
        let [_, modulus, exponent, ..] = numbers.as_deref().ok_or_else(|| broken("numbers are missing"))? else {
            return Err(broken("numbers are missing"));
        };
        let public = [*modulus, *exponent].to_der().map_err(|_| broken("its numbers make no sense"))?;
        let recipient = Recipient::of_private(&public).map_err(|error| broken(error.message.trim_start_matches("`public_key` ")))?;
        let key = pkcs8(der)
            .and_then(|der| PrivateDecryptingKey::from_pkcs8(&der).ok())
            .ok_or_else(|| broken("its numbers do not belong together"))?;
        Ok(Self { recipient, key })
    }

    /// SHA-256 of the public half's SPKI DER: the same as the recipient's.
    pub fn fingerprint(&self) -> &str {
        &self.recipient.fingerprint
    }

    /// The public half.
    pub fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    /// Opens a key object of `pgseal/1`: RSA-OAEP with SHA-256 and MGF1-SHA-256, no label (RFC 8017, 7.1).
    pub fn unwrap_oaep(&self, wrapped: &[u8]) -> Result<DataKeyText> {
        self.check_length(wrapped)?;
        let key = OaepPrivateDecryptingKey::new(self.key.clone()).map_err(|_| self.does_not_open())?;
        let mut buffer = Zeroizing::new(vec![0; key.min_output_size()]);
        let file = key
            .decrypt(&OAEP_SHA256_MGF1SHA256, wrapped, &mut buffer, None)
            .map_err(|_| self.does_not_open())?;
        secret(file).ok_or_else(|| self.does_not_open())
    }

    /// Opens a key file of the legacy format: RSA PKCS#1 v1.5 (RFC 8017, 7.2).
    ///
    /// With a wrong key that may succeed with made-up bytes ("implicit rejection"), so what comes out must look like a key
    /// file. Looks are no proof: the first block of the dump must show that the passphrase is right.
    pub fn unwrap_pkcs1(&self, wrapped: &[u8]) -> Result<DataKeyText> {
        self.check_length(wrapped)?;
        let key = Pkcs1PrivateDecryptingKey::new(self.key.clone()).map_err(|_| self.does_not_open())?;
        let mut buffer = Zeroizing::new(vec![0; key.min_output_size()]);
        let file = key.decrypt(wrapped, &mut buffer).map_err(|_| self.does_not_open())?;
        legacy_secret(file).ok_or_else(|| self.does_not_open())
    }

    fn check_length(&self, wrapped: &[u8]) -> Result<()> {
        let (is, should) = (wrapped.len(), self.key.key_size_bytes());
        if is == should {
            return Ok(());
        }
        Err(Error::new(
            Code::WrongKey,
            format!(
                "the key object has {is} bytes; one made for the private key {} has {should}",
                self.fingerprint()
            ),
        )
        .advise("Use the private key of one of the backup's recipients, and the key object that was made for it."))
    }

    fn does_not_open(&self) -> Error {
        Error::new(
            Code::WrongKey,
            format!("the private key {} does not open this key object", self.fingerprint()),
        )
        .advise(
            "Use the private key of one of the backup's recipients; \
             `openssl pkey -in KEY -pubout -outform DER | openssl dgst -sha256` prints a key's fingerprint.",
        )
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey")
    }
}

/// The one form that aws-lc-rs takes.
fn pkcs8(pkcs1: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let algorithm = AlgorithmIdentifierRef {
        oid: RSA_ENCRYPTION,
        parameters: Some(AnyRef::NULL),
    };
    let info = pkcs8::PrivateKeyInfoRef::new(algorithm, OctetStringRef::new(pkcs1).ok()?);
    info.to_der().ok().map(Zeroizing::new)
}

/// 64 lower-case hex digits and one newline, nothing else.
fn secret(file: &[u8]) -> Option<DataKeyText> {
    let digits = file.strip_suffix(b"\n").filter(|digits| digits.len() == SECRET_DIGITS)?;
    let hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    digits.iter().all(hex).then(|| from_ascii(digits))?
}

/// Plain text whose first line is the passphrase.
fn legacy_secret(file: &[u8]) -> Option<DataKeyText> {
    let text = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n');
    if file.len() < MIN_TEXT || !file.iter().all(text) {
        return None;
    }
    let line = passphrase::first_line(file);
    if line.is_empty() { None } else { from_ascii(line) }
}

fn from_ascii(bytes: &[u8]) -> Option<DataKeyText> {
    let text = std::str::from_utf8(bytes).ok()?;
    Some(DataKeyText::from_passphrase(Zeroizing::new(text.to_owned())))
}
