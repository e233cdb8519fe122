//! The manifest: two lines. The first says all that must be believed, the second proves it.

use super::hex;
use super::recipient::Recipient;
use super::seal::Seal;
use crate::error::{Code, Error, Result};
use crate::pipeline::Sealed;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

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

/// Line 1. No table names and no host name: a manifest stands in clear.
#[derive(Debug, Serialize)]
pub struct Manifest {
    pub format: &'static str,
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
    pub cipher: &'static str,
    pub kdf: &'static str,
    pub iterations: u32,
    pub salts: serde_json::Map<String, serde_json::Value>,
    pub plain_bytes: u64,
    pub objects: Vec<Object>,
    pub recipients: Vec<Wrapped>,
    pub tables: u64,
    pub rows: u64,
}

/// One object of the backup beside the manifest itself.
#[derive(Clone, Debug, Serialize)]
pub struct Object {
    pub role: &'static str,
    pub key: String,
    pub size: u64,
    /// Hexadecimal.
    pub sha256: String,
    /// For what went up in parts: S3's checksum of the object is made of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_sizes: Option<Vec<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_sha256: Option<Vec<String>>,
}

impl Object {
    pub fn small(role: &'static str, key: String, bytes: &[u8]) -> Self {
        Self {
            role,
            key,
            size: bytes.len() as u64,
            sha256: hex(&super::sha256(bytes)),
            part_sizes: None,
            part_sha256: None,
        }
    }

    pub fn sealed(role: &'static str, key: String, sealed: &Sealed) -> Self {
        Self {
            role,
            key,
            size: sealed.size,
            sha256: hex(&sealed.sha256),
            part_sizes: Some(sealed.parts.iter().map(|part| part.size).collect()),
            part_sha256: Some(sealed.parts.iter().map(|part| hex(&part.sha256)).collect()),
        }
    }
}

/// Who can open it, and by which object.
#[derive(Clone, Debug, Serialize)]
pub struct Wrapped {
    pub fingerprint: String,
    pub bits: usize,
    pub wrap: &'static str,
    pub object: String,
}

impl Wrapped {
    pub fn new(recipient: &Recipient, wrap: &'static str, object: &str) -> Self {
        Self {
            fingerprint: recipient.fingerprint.clone(),
            bits: recipient.bits,
            wrap,
            object: object.to_owned(),
        }
    }
}

impl Manifest {
    /// Both lines. The MAC covers line 1 as written, its newline included, so nobody needs a canonical JSON.
    pub fn seal(&self, seal: &Seal) -> Result<Vec<u8>> {
        let mut text = serde_json::to_vec(self).map_err(|error| Error::new(Code::Bug, format!("the manifest is no JSON: {error}")))?;
        text.push(b'\n');
        let mac = hex(&seal.manifest_mac(&text));
        text.extend_from_slice(format!("{{\"mac\":\"hmac-sha256:{mac}\"}}\n").as_bytes());
        Ok(text)
    }
}
