//! The secret of one attempt, in either format, with the salts that go with it.

use super::legacy::{Kdf, LegacySecret};
use super::recipient::Recipient;
use super::secret::{CipherKey, DataKeyText, ITERATIONS, new_salt};
use crate::error::Result;
use crate::format::backup_format::Format;
use crate::format::hex;
use crate::format::row_digest::RowKeys;
use crate::random;
use std::sync::{Mutex, PoisonError};

/// 8 fresh lower-case hex digits.
pub(crate) fn new_run() -> Result<String> {
    Ok(hex(&random::bytes::<4>()?))
}

/// Objects that every backup encrypts: the dump and its inventory.
const ALWAYS: usize = 2;

/// A fresh secret for one attempt to make a backup; wiped when dropped.
pub(crate) struct DataKey {
    /// 8 lower-case hex digits: the objects of two attempts never meet.
    pub run: String,
    kind: DataKeyKind,
    /// Keys that no object has yet.
    derived: Mutex<Vec<([u8; 8], CipherKey)>>,
}

enum DataKeyKind {
    Pgseal1(DataKeyText),
    Legacy(LegacySecret),
}

impl DataKey {
    /// With the keys that every backup needs, which takes some milliseconds.
    pub(crate) fn new(format: Format) -> Result<Self> {
        let kind = match format {
            Format::Pgseal1 => DataKeyKind::Pgseal1(DataKeyText::generate()?),
            Format::Legacy => DataKeyKind::Legacy(LegacySecret::generate()?),
        };
        let mut seal = Self {
            run: new_run()?,
            kind,
            derived: Mutex::default(),
        };
        let derived = (0..ALWAYS).map(|_| seal.derive()).collect::<Result<_>>()?;
        seal.derived = Mutex::new(derived);
        Ok(seal)
    }

    /// `None` in the legacy format, which keeps nothing of them.
    pub(crate) fn row_keys(&self, fingerprints: &[&str]) -> Option<RowKeys> {
        match &self.kind {
            DataKeyKind::Pgseal1(secret) => Some(secret.row_keys(fingerprints)),
            DataKeyKind::Legacy(_) => None,
        }
    }

    /// Key and vector for one object, under a salt of its own.
    pub(crate) fn cipher_key(&self) -> Result<([u8; 8], CipherKey)> {
        let derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner).pop();
        derived.map_or_else(|| self.derive(), Ok)
    }

    fn derive(&self) -> Result<([u8; 8], CipherKey)> {
        let salt = new_salt()?;
        let key = match &self.kind {
            DataKeyKind::Pgseal1(secret) => secret.cipher_key(&salt),
            DataKeyKind::Legacy(legacy) => legacy.cipher_key(&salt),
        };
        Ok((salt, key))
    }

    /// The secret, wrapped for one recipient: the content of a key object.
    pub(crate) fn wrap(&self, recipient: &Recipient) -> Result<Vec<u8>> {
        match &self.kind {
            DataKeyKind::Pgseal1(secret) => recipient.wrap(&secret.file()),
            DataKeyKind::Legacy(legacy) => recipient.wrap_pkcs1(legacy.file()),
        }
    }

    /// Key derivation and its iterations, for the manifest.
    pub(crate) fn kdf(&self) -> (Kdf, u32) {
        match self.kind {
            DataKeyKind::Pgseal1(_) => (Kdf::Pbkdf2, ITERATIONS.get()),
            DataKeyKind::Legacy(_) => (Kdf::Sha256, 1),
        }
    }

    pub(crate) fn manifest_mac(&self, line: &[u8]) -> [u8; 32] {
        match &self.kind {
            DataKeyKind::Pgseal1(secret) => secret.manifest_mac(line),
            DataKeyKind::Legacy(legacy) => legacy.secret.manifest_mac(line),
        }
    }
}
