//! What is said when a backup is done, or is not.

use crate::envelope::manifest::{Manifest, ManifestObject, Role, Timestamp};
use crate::error::Error;
use crate::format::Sha256;
use serde::Serialize;

/// A backup of this very order, that an earlier delivery made.
#[derive(Debug)]
pub(crate) struct CompletedBackup {
    pub manifest: Manifest,
    /// All objects that the manifest names, then the manifest, each with its ETag where S3 told one.
    pub objects: Vec<(ManifestObject, Option<String>)>,
    pub warnings: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Complete,
    /// A manifest of this very order was there already: success.
    AlreadyComplete,
    /// PostgreSQL itself forbids to dump it: told, and no failure.
    Skipped,
    Failed,
}

/// The answer of a command that came to none of its own.
#[derive(Debug, Serialize)]
pub struct Refusal {
    status: Status,
    error: Error,
}

impl Refusal {
    pub fn new(error: Error) -> Self {
        Self {
            status: Status::Failed,
            error,
        }
    }
}

/// The answer to one event.
#[derive(Debug, Serialize)]
pub struct Receipt {
    pub status: Status,
    pub backups: Vec<ReceiptEntry>,
    /// The first failure: of a database, or what stopped the event before any was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Whose databases they are, as far as it is known: the first label of its name, or its address.
    #[serde(skip)]
    pub server: Option<String>,
}

/// One database.
#[derive(Debug, Serialize)]
pub struct ReceiptEntry {
    pub status: Status,
    pub database: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    /// Why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    #[serde(flatten)]
    pub made: Option<BackupSummary>,
}

/// A backup that was made, now or by an earlier delivery: all of this stands in S3.
#[derive(Debug, Serialize)]
pub struct BackupSummary {
    pub run: String,
    pub objects: Vec<ReceiptObject>,
    /// Tables or schemas were chosen or left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    pub dumped_bytes: u64,
    /// Known to the run that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compressed_bytes: Option<u64>,
    pub tables: u64,
    pub rows: u64,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    pub duration_ms: u64,
    /// Of which this was spent holding the rate; known to the run that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled_ms: Option<u64>,
    pub server_version: String,
    pub pg_dump_version: String,
    /// Fingerprints.
    pub recipients: Vec<String>,
    pub warnings: Vec<String>,
}

/// An object as S3 has it.
#[derive(Debug, Serialize)]
pub struct ReceiptObject {
    pub role: Role,
    pub bucket: String,
    pub key: String,
    pub size: u64,
    pub sha256: Sha256,
    /// Absent where S3 did not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

impl BackupSummary {
    /// What the manifest of an earlier delivery says of its backup.
    pub(crate) fn of_completed(found: CompletedBackup, bucket: &str) -> Self {
        let CompletedBackup {
            manifest,
            objects,
            warnings,
        } = found;
        let duration = manifest.finished_at.0 - manifest.started_at.0;
        Self {
            objects: objects
                .iter()
                .map(|(object, etag)| ReceiptObject::new(object, bucket, etag.as_ref().map(|etag| format!("\"{etag}\""))))
                .collect(),
            partial: manifest.is_partial(),
            run: manifest.run,
            dumped_bytes: manifest.plain_bytes,
            compressed_bytes: None,
            tables: manifest.tables,
            rows: manifest.rows,
            started_at: manifest.started_at,
            finished_at: manifest.finished_at,
            duration_ms: duration.whole_milliseconds().max(0) as u64,
            throttled_ms: None,
            server_version: manifest.server_version,
            pg_dump_version: manifest.pg_dump_version,
            recipients: manifest.recipients.into_iter().map(|wrapped| wrapped.fingerprint).collect(),
            warnings,
        }
    }
}

impl ReceiptObject {
    pub(crate) fn new(object: &ManifestObject, bucket: &str, etag: Option<String>) -> Self {
        let ManifestObject {
            role, key, size, sha256, ..
        } = object.clone();
        Self {
            role,
            bucket: bucket.to_owned(),
            key,
            size,
            sha256,
            etag,
        }
    }
}

impl Receipt {
    /// Nothing could be tried.
    pub fn refused(error: Error) -> Self {
        Self {
            status: Status::Failed,
            backups: Vec::new(),
            error: Some(error),
            warnings: Vec::new(),
            server: None,
        }
    }

    pub(crate) fn of_server(self, server: Option<&str>) -> Self {
        Self {
            server: server.map(str::to_owned),
            ..self
        }
    }

    /// Failed if one failed; `already_complete` if there was nothing to do at all. What was skipped counts for neither.
    pub(crate) fn new(backups: Vec<ReceiptEntry>, warnings: Vec<String>) -> Self {
        let mut tried = backups.iter().filter(|entry| entry.status != Status::Skipped);
        let mut all = |status: Status| tried.all(|entry| entry.status == status);
        let status = match () {
            () if backups.iter().any(|entry| entry.status == Status::Failed) => Status::Failed,
            () if all(Status::AlreadyComplete) => Status::AlreadyComplete,
            () => Status::Complete,
        };
        Self {
            status,
            backups,
            error: None,
            warnings,
            server: None,
        }
    }

    /// The first failure: it gives the exit status and the `errorType`.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.error
            .as_ref()
            .or_else(|| self.backups.iter().find_map(|entry| entry.error.as_ref()))
    }

    /// Only what failed, for an error's message.
    pub(crate) fn failures_to_json(&self) -> String {
        let mut receipt = serde_json::to_value(self).unwrap_or_default();
        if let Some(entries) = receipt["backups"].as_array_mut() {
            entries.retain(|entry| entry["status"] == "failed");
        }
        receipt.to_string()
    }
}

impl ReceiptEntry {
    pub(crate) fn failed(database: &str, stem: Option<String>, error: Error) -> Self {
        Self {
            status: Status::Failed,
            database: database.to_owned(),
            stem,
            error: Some(error),
            reason: None,
            made: None,
        }
    }

    pub(crate) fn already_complete(database: &str, stem: String, made: BackupSummary) -> Self {
        Self {
            status: Status::AlreadyComplete,
            database: database.to_owned(),
            stem: Some(stem),
            error: None,
            reason: None,
            made: Some(made),
        }
    }

    pub(crate) fn complete(database: &str, stem: String, made: BackupSummary) -> Self {
        Self {
            status: Status::Complete,
            database: database.to_owned(),
            stem: Some(stem),
            error: None,
            reason: None,
            made: Some(made),
        }
    }

    pub(crate) fn skipped(database: &str, reason: &'static str) -> Self {
        Self {
            status: Status::Skipped,
            database: database.to_owned(),
            stem: None,
            error: None,
            reason: Some(reason),
            made: None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use time::macros::datetime;

    /// Of a database of 25 MB.
    pub(crate) fn summary() -> BackupSummary {
        let object = |role, size| ReceiptObject {
            role,
            bucket: "acme-backups".to_owned(),
            key: "backups/shop_20261124T020000Z.3f9a12bc.sql.bz2.enc".to_owned(),
            size,
            sha256: Sha256::digest(b"x"),
            etag: None,
        };
        BackupSummary {
            run: "3f9a12bc".to_owned(),
            objects: vec![object(Role::Dump, 4_400_000), object(Role::Key, 512)],
            partial: false,
            dumped_bytes: 25_400_000,
            compressed_bytes: Some(4_400_000),
            tables: 5,
            rows: 67_501,
            started_at: Timestamp(datetime!(2026-11-24 02:00:03 UTC)),
            finished_at: Timestamp(datetime!(2026-11-24 02:01:08 UTC)),
            duration_ms: 65_000,
            throttled_ms: Some(12_300),
            server_version: "17.6".to_owned(),
            pg_dump_version: "18.1".to_owned(),
            recipients: vec!["45d2ebf9c13a70e2b0f5d1a5c0b54c1f2a7d3c9e8b6f401122334455667788aa".to_owned()],
            warnings: vec!["extension tables hold rows that no dump has: cron.job".to_owned()],
        }
    }
}
