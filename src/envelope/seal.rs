//! The secret of one attempt, in either format, with the salts that go with it.

use super::hex;
use super::legacy::LegacySecret;
use super::recipient::Recipient;
use super::secret::{CipherKey, ITERATIONS, Secret, new_salt};
use crate::error::{Code, Error, Result};
use crate::plan::Format;

/// A fresh secret for one attempt to make a backup; wiped when dropped.
pub struct Seal {
    /// 8 lower-case hex digits: the objects of two attempts never meet.
    pub run: String,
    kind: Kind,
}

enum Kind {
    Pgseal1(Secret),
    Legacy(LegacySecret),
}

impl Seal {
    pub fn new(format: Format) -> Result<Self> {
        let mut random = [0; 4];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| Error::new(Code::Bug, "the system gives no random bytes"))?;
        let kind = match format {
            Format::Pgseal1 => Kind::Pgseal1(Secret::generate()?),
            Format::Legacy => Kind::Legacy(LegacySecret::generate()?),
        };
        Ok(Self { run: hex(&random), kind })
    }

    /// Key and vector for one object, under a salt of its own.
    pub fn cipher_key(&self) -> Result<([u8; 8], CipherKey)> {
        let salt = new_salt()?;
        let key = match &self.kind {
            Kind::Pgseal1(secret) => secret.cipher_key(&salt),
            Kind::Legacy(legacy) => legacy.cipher_key(&salt),
        };
        Ok((salt, key))
    }

    /// The secret, wrapped for one recipient: the content of a key object.
    pub fn wrap(&self, recipient: &Recipient) -> Result<Vec<u8>> {
        match &self.kind {
            Kind::Pgseal1(secret) => recipient.wrap(&secret.file()),
            Kind::Legacy(legacy) => recipient.wrap_pkcs1(legacy.file()),
        }
    }

    /// How it is wrapped, for the manifest.
    pub fn wrapping(&self) -> &'static str {
        match self.kind {
            Kind::Pgseal1(_) => "rsa-oaep-sha256",
            Kind::Legacy(_) => "rsa-pkcs1-v1_5",
        }
    }

    /// Key derivation and its iterations, for the manifest.
    pub fn kdf(&self) -> (&'static str, u32) {
        match self.kind {
            Kind::Pgseal1(_) => ("pbkdf2-hmac-sha256", ITERATIONS.get()),
            Kind::Legacy(_) => ("evp-bytes-to-key-sha256", 1),
        }
    }

    pub fn manifest_mac(&self, line: &[u8]) -> [u8; 32] {
        match &self.kind {
            Kind::Pgseal1(secret) => secret.manifest_mac(line),
            Kind::Legacy(legacy) => legacy.secret.manifest_mac(line),
        }
    }
}
