//! The commit, and what is written once the backup stands.

use super::already_complete::ExistingBackup;
use super::attempt::{Attempt, AttemptEnd};
use crate::envelope::manifest::{Manifest, ManifestObject, Proof, Role, Timestamp, UnverifiedManifest, base_name, check_signature};
use crate::envelope::recovery_instructions::{instructions_name, recovery_instructions};
use crate::error::{Code, Error, Result};
use crate::format::Sha256;
use crate::format::backup_format::Cipher;
use crate::format::backup_format::Format;
use crate::pipeline::StreamSummary;
use crate::receipt::{BackupSummary, ReceiptObject};
use crate::store::{ObjectIdentity, PutOutcome, PutRequest};
use bytes::Bytes;
use std::time::Duration;
use time::OffsetDateTime;

/// How long an answer is waited for when a signal or the deadline comes while it is on its way.
const GRACE: Duration = Duration::from_secs(2);
/// What the recovery instructions may take: the backup stands without it, and a function's reserve is short.
const CARD_LIMIT: Duration = Duration::from_secs(8);

impl Attempt<'_> {
    /// The commit: before this line in S3 there is no backup, after it there is one.
    pub(crate) async fn write_manifest(mut self, arrived: StreamSummary) -> Result<BackupSummary, AttemptEnd> {
        let finished = OffsetDateTime::now_utc();
        self.stored.sort_by_key(|(object, _)| object.role);
        let (kdf, iterations) = self.seal.kdf();
        let mut manifest = Manifest {
            format: self.context.plan.format,
            program: format!("pgseal {}", env!("CARGO_PKG_VERSION")),
            run: self.seal.run.clone(),
            database: self.database.as_str().to_owned(),
            scheduled_time: Timestamp(self.context.plan.scheduled_time),
            started_at: Timestamp(self.started),
            finished_at: Timestamp(finished),
            server_version: self.facts.server_version.clone(),
            pg_dump_version: self.client.version.clone(),
            compression: self.context.plan.compression.to_string(),
            cipher: Cipher::Aes256Cbc,
            kdf,
            iterations,
            salts: std::mem::take(&mut self.salts),
            plain_bytes: arrived.counted.plain_bytes,
            objects: self.stored.iter().map(|(object, _)| object.clone()).collect(),
            recipients: self.recipients.clone(),
            tables: arrived.counted.tables.len() as u64,
            rows: arrived.counted.rows,
            source: Some(self.order.source),
            selection: Some(self.order.selection_digest()),
            partial: Some(self.order.selection.is_partial()),
            card_sha256: None,
            value_settings: match self.context.plan.format {
                Format::Legacy => Some((&self.properties.properties).into()),
                Format::Pgseal1 => None,
            },
            signer: self.signing.as_ref().map(|signing| signing.signer.clone()),
            generation: 1,
        };
        let instructions = self.instructions(&manifest)?;
        manifest.card_sha256 = Some(Sha256::digest(&instructions));
        let mut bytes = manifest.line()?;
        let signatures = match &self.signing {
            Some(signing) => vec![self.context.cancel.run_until_cancelled(signing.sign(&bytes)).await?],
            None => Vec::new(),
        };
        let proof = Proof::new(&self.seal.manifest_mac(&bytes), signatures);
        bytes.extend_from_slice(&proof.line()?);
        // Success is for what comes back: nothing is committed that its own reader refuses.
        let key = self.stem.manifest();
        let read = UnverifiedManifest::parse(base_name(&key), &bytes).and_then(|found| check_signature(&found, None));
        read.map_err(|error| Error::new(Code::Bug, format!("no reader would take the manifest: {}", error.message)))?;
        let bytes = Bytes::from(bytes);
        let etag = self.commit(&bytes).await?;
        self.stored
            .push((ManifestObject::small(Role::Manifest, self.stem.manifest(), &bytes), etag));
        self.write_instructions(instructions).await;
        let bucket = self.context.store.bucket();
        Ok(BackupSummary {
            partial: manifest.is_partial(),
            run: manifest.run,
            objects: self
                .stored
                .iter()
                .map(|(object, etag)| ReceiptObject::new(object, bucket, Some(etag.clone())))
                .collect(),
            dumped_bytes: arrived.counted.plain_bytes,
            compressed_bytes: Some(arrived.compressed_bytes),
            tables: manifest.tables,
            rows: manifest.rows,
            started_at: manifest.started_at,
            finished_at: manifest.finished_at,
            duration_ms: (finished - self.started).whole_milliseconds().max(0) as u64,
            throttled_ms: Some(arrived.throttled.as_millis() as u64),
            server_version: manifest.server_version,
            pg_dump_version: manifest.pg_dump_version,
            recipients: manifest.recipients.into_iter().map(|wrapped| wrapped.fingerprint).collect(),
            warnings: self.warnings,
        })
    }

    /// Success is said only if this manifest stands. Where the answer was lost, the bytes in S3 decide.
    async fn commit(&self, manifest: &Bytes) -> Result<String, AttemptEnd> {
        let key = self.stem.manifest();
        let put = PutRequest {
            key: key.clone(),
            body: manifest.clone(),
            is_dump: false,
        };
        let written: Vec<&str> = self.stored.iter().map(|(object, _)| object.key.as_str()).collect();
        self.context.store.must_not_be_disproven(&written)?;
        let cancel = self.context.cancel;
        let error = match cancel.run_with_grace(GRACE, self.context.store.put(put)).await {
            Ok(PutOutcome::Stored { etag }) => return Ok(etag),
            Ok(PutOutcome::Exists) => None,
            Err(error) => Some(error),
        };
        let look = async { Ok(self.context.store.identify(&key, manifest).await) };
        let held = cancel.run_with_grace(GRACE, look).await.unwrap_or(ObjectIdentity::Unknown);
        let run = &self.seal.run;
        match (held, error) {
            (ObjectIdentity::Same { etag }, _) => Ok(etag),
            // Somebody else's: only what it says can make it a success.
            (ObjectIdentity::Other, _) => match cancel.run_with_grace(GRACE, self.order.find(&self.context.store)).await? {
                // Nobody else has this run: it is ours, spoilt on its way or in S3.
                ExistingBackup::Complete(found) if found.manifest.run == *run => {
                    let told = format!("{key} is of run {run} and has other bytes than were sent");
                    Err(Error::new(Code::S3Integrity, told).into())
                }
                ExistingBackup::Complete(found) => Err(AttemptEnd::AlreadyComplete(found)),
                ExistingBackup::Unseen(denied) => Err(denied.into()),
                ExistingBackup::Nothing => Err(gone(run)),
            },
            (ObjectIdentity::Missing, None) => Err(gone(run)),
            // The answer to an earlier try may have been lost, so that it may well be our own.
            (ObjectIdentity::SameSize { .. } | ObjectIdentity::Unknown, None) => {
                let told = format!("{key} exists, and whether it is the manifest of run {run} is unknown: it may not be read");
                let advice = "Allow s3:GetObject on *.manifest.jsonl (and kms:Decrypt on its key), and run again: a backup that is there is \
                              then found.";
                Err(Error::new(Code::CommitUnknown, told).advise(advice).into())
            }
            (_, Some(error)) if cancel.reason().is_some_and(|reason| reason.code == error.code) => {
                let told = format!(
                    "{} while the manifest of run {run} was on its way: if it arrives all the same, the backup is there",
                    error.message
                );
                let advice = "Run again: a backup that is there is then found.";
                Err(Error::new(error.code, told).advise(advice).into())
            }
            // No answer of S3's, and no look: it may stand.
            (ObjectIdentity::Unknown | ObjectIdentity::SameSize { .. }, Some(error))
                if matches!(error.code, Code::S3Unavailable | Code::S3Integrity) =>
            {
                let told = format!("whether the manifest of run {run} was written is unknown: {}", error.message);
                Err(Error::new(Code::CommitUnknown, told).into())
            }
            (ObjectIdentity::Missing | ObjectIdentity::Unknown | ObjectIdentity::SameSize { .. }, Some(error)) => {
                let told = format!(
                    "the manifest of run {run} could not be written ({}): {}",
                    error.code.name(),
                    error.message
                );
                Err(Error::new(Code::CommitFailed, told).into())
            }
        }
    }

    /// How to restore this very backup, for anyone who finds it.
    fn instructions(&self, manifest: &Manifest) -> Result<Vec<u8>> {
        let key = self.stem.manifest();
        let name = base_name(&key);
        let folder = key.strip_suffix(name).unwrap_or_default().trim_end_matches('/');
        let place = format!("s3://{}/{folder}", self.context.store.bucket());
        let place = place.trim_end_matches('/');
        let (selection, properties) = (Some(&self.order.selection), &self.properties.properties);
        Ok(recovery_instructions(manifest, name, Some(place), selection, properties)?.into_bytes())
    }

    /// The backup stands already: without its recovery instructions it is a backup all the same.
    async fn write_instructions(&mut self, instructions: Vec<u8>) {
        let object = ManifestObject::small(
            Role::RecoveryInstructions,
            instructions_name(&self.stem.to_string(), 1),
            &instructions,
        );
        let body = Bytes::from(instructions);
        let put = PutRequest {
            key: object.key.clone(),
            body: body.clone(),
            is_dump: false,
        };
        let written = tokio::time::timeout(CARD_LIMIT, self.context.cancel.run_with_grace(GRACE, self.context.store.put(put))).await;
        let written = written.unwrap_or_else(|_| Err(Error::new(Code::S3Unavailable, "S3 did not take it in time")));
        match written {
            Ok(PutOutcome::Stored { etag }) => self.stored.push((object, etag)),
            Ok(PutOutcome::Exists) => {
                let look = async { Ok(self.context.store.identify(&object.key, &body).await) };
                match self
                    .context
                    .cancel
                    .run_with_grace(GRACE, look)
                    .await
                    .unwrap_or(ObjectIdentity::Unknown)
                {
                    ObjectIdentity::Same { etag } => self.stored.push((object, etag)),
                    _ => self.warnings.push(format!("{} exists already, from another hand", object.key)),
                }
            }
            Err(error) => self.warnings.push(format!(
                "the recovery instructions were not written ({}): {}",
                error.code.name(),
                error.message
            )),
        }
    }
}

/// Of a manifest that was found under this name, and then was not.
fn gone(run: &str) -> AttemptEnd {
    let told = format!("the manifest of run {run} could not be written: another one stood there and is gone");
    Error::new(Code::CommitFailed, told).into()
}
