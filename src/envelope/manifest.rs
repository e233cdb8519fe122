//! The manifest: two lines. The first says all that must be believed, the second proves it.

mod checksum;
mod signed;
mod unverified;

pub(crate) use signed::check_signature;
pub use unverified::{UnverifiedManifest, VerifiedManifest, base_name};

use super::recipient::Recipient;
use crate::envelope::legacy::Kdf;
use crate::error::{Code, Error, Result};
use crate::format::Sha256;
use crate::format::backup_format::Cipher;
use crate::format::backup_format::Format;
use crate::format::backup_format::KeyWrap;
use crate::format::compression::Compression;
use crate::format::database_properties::ValueProperties;
use crate::format::hex;
use crate::format::names::{DatabaseName, Prefix, Stem};
use crate::format::order::UNKNOWN_SOURCE;
use crate::format::parts::UploadedObject;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// More than a manifest of 10,000 parts and 16 recipients has.
pub(crate) const MAX_MANIFEST: u64 = 4 << 20;

/// RFC 3339 in UTC, whole seconds for what names things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp(pub OffsetDateTime);

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let utc = self.0.to_offset(time::UtcOffset::UTC);
        let millis = utc.replace_millisecond(utc.millisecond()).unwrap_or(utc);
        f.write_str(&millis.format(&Rfc3339).map_err(|_| std::fmt::Error)?)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        OffsetDateTime::parse(&text, &Rfc3339).map(Self).map_err(D::Error::custom)
    }
}

/// What an object of a backup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Dump,
    /// The secret, wrapped for one recipient.
    Key,
    Inventory,
    /// The roles.
    Globals,
    Manifest,
    /// How to restore this very backup by hand.
    #[serde(rename = "card")]
    RecoveryInstructions,
}

impl Role {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Dump => "dump",
            Self::Key => "key",
            Self::Inventory => "inventory",
            Self::Globals => "globals",
            Self::Manifest => "manifest",
            Self::RecoveryInstructions => "card",
        }
    }
}

/// Line 1. No table names and no host name: a manifest is not encrypted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub format: Format,
    /// `pgseal` and its version.
    pub program: String,
    pub run: String,
    pub database: String,
    pub scheduled_time: Timestamp,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    pub server_version: String,
    pub pg_dump_version: String,
    pub compression: String,
    pub cipher: Cipher,
    pub kdf: Kdf,
    pub iterations: u32,
    /// By role, hexadecimal.
    pub salts: serde_json::Map<String, serde_json::Value>,
    pub plain_bytes: u64,
    pub objects: Vec<ManifestObject>,
    pub recipients: Vec<WrappedKey>,
    pub tables: u64,
    pub rows: u64,
    /// [`source_digest`](crate::format::order::source_digest); `None` before 0.2, like the two behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Sha256>,
    /// [`SelectionRecord::digest`](crate::format::order::SelectionRecord::digest).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<Sha256>,
    /// Whether tables or schemas were chosen or left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<bool>,
    /// SHA-256 of the recovery instructions, which are written after the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_sha256: Option<Sha256>,
    /// Of the format `legacy`, which has no inventory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_settings: Option<ValueProperties>,
    /// Whose signature line 2 must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<Signer>,
    /// From 2 on: new recipients for the same dump.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub generation: u32,
}

/// The key that signed, so that its signature can be checked; whether it is to be trusted says the reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signer {
    pub fingerprint: String,
    /// SPKI DER in base64.
    pub public_key: String,
}

fn first() -> u32 {
    1
}

fn is_first(generation: &u32) -> bool {
    *generation == 1
}

/// One object of the backup beside the manifest itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ManifestObject {
    pub role: Role,
    pub key: String,
    pub size: u64,
    pub sha256: Sha256,
    /// For what went up in parts: S3's checksum of the object is made of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_sizes: Option<Vec<u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_sha256: Option<Vec<Sha256>>,
}

impl ManifestObject {
    pub fn small(role: Role, key: String, bytes: &[u8]) -> Self {
        Self {
            role,
            key,
            size: bytes.len() as u64,
            sha256: Sha256::digest(bytes),
            part_sizes: None,
            part_sha256: None,
        }
    }

    pub fn sealed(role: Role, key: String, sealed: &UploadedObject) -> Self {
        Self {
            role,
            key,
            size: sealed.size,
            sha256: sealed.sha256.into(),
            part_sizes: Some(sealed.parts.iter().map(|part| part.size).collect()),
            part_sha256: Some(sealed.parts.iter().map(|part| part.sha256.into()).collect()),
        }
    }
}

/// Who can open it, and by which object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WrappedKey {
    pub fingerprint: String,
    pub bits: usize,
    pub wrap: KeyWrap,
    pub object: String,
}

impl WrappedKey {
    pub fn new(recipient: &Recipient, wrap: KeyWrap, object: &str) -> Self {
        Self {
            fingerprint: recipient.fingerprint.clone(),
            bits: recipient.bits,
            wrap,
            object: object.to_owned(),
        }
    }
}

impl Manifest {
    /// Line 1 with its newline: what the MAC and the signatures cover, byte for byte, so that nobody needs a canonical
    /// JSON.
    pub fn line(&self) -> Result<Vec<u8>> {
        let mut text = serde_json::to_vec(self).map_err(|error| Error::new(Code::Bug, format!("the manifest is no JSON: {error}")))?;
        text.push(b'\n');
        Ok(text)
    }

    /// The digest of the source, or that it is not known.
    pub(crate) fn source_text(&self) -> String {
        self.source.map_or_else(|| UNKNOWN_SOURCE.to_owned(), |digest| digest.to_string())
    }

    pub(crate) fn is_partial(&self) -> bool {
        self.partial == Some(true)
    }

    /// Whether two revisions are of the same dump: in all but who opens it, and who signed.
    pub(crate) fn names_same_dump(&self, other: &Self) -> bool {
        let of = |manifest: &Self| {
            let mut dump = manifest.clone();
            dump.objects.retain(|object| object.role != Role::Key);
            dump.objects.sort_by(|a, b| a.key.cmp(&b.key));
            (dump.recipients, dump.signer, dump.card_sha256, dump.generation) = (Vec::new(), None, None, 1);
            dump.line().ok()
        };
        of(self).is_some() && of(self) == of(other)
    }

    /// Somebody opens it: each recipient has a key object among its objects.
    pub(crate) fn names_its_keys(&self) -> bool {
        let keys = || self.objects.iter().filter(|object| object.role == Role::Key);
        let has_key = |wrapped: &WrappedKey| keys().any(|object| base_name(&object.key) == base_name(&wrapped.object));
        !self.recipients.is_empty() && self.recipients.iter().all(has_key)
    }

    pub(crate) fn object(&self, role: Role) -> Option<&ManifestObject> {
        self.objects.iter().find(|object| object.role == role)
    }

    pub(crate) fn compression(&self) -> Result<Compression> {
        Compression::parse(&self.compression)
    }

    /// Where the objects of this backup stand below a prefix: their names follow from what line 1 says.
    pub fn stem(&self, prefix: &Prefix) -> Result<Stem> {
        Stem::new(prefix, &DatabaseName::new(&self.database)?, self.scheduled_time.0)
    }
}

/// Line 2.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// `hmac-sha256:` and 64 hex digits.
    pub mac: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<Signature>,
}

/// ECDSA P-256 over the SHA-256 of line 1.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// `ecdsa-p256-sha256`.
    pub algorithm: String,
    /// Of the signer's SPKI.
    pub fingerprint: String,
    /// ASN.1 DER in base64, as `openssl dgst -sign` and KMS give it.
    pub signature: String,
}

impl Proof {
    pub fn new(mac: &[u8; 32], signatures: Vec<Signature>) -> Self {
        Self {
            mac: format!("hmac-sha256:{}", hex(mac)),
            signatures,
        }
    }

    pub fn line(&self) -> Result<Vec<u8>> {
        let mut text = serde_json::to_vec(self).map_err(|error| Error::new(Code::Bug, format!("the proof is no JSON: {error}")))?;
        text.push(b'\n');
        Ok(text)
    }
}
