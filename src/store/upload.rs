//! The dump on its way: parts go out while it grows, and nothing is visible until it is committed.

mod create;
mod etag;
mod part;

use super::look::KeyProbe;
use super::s3::{named, no_etag, wait_for};
use super::s3_error::{S3ErrorKind, exists_and_is_missing, of_another_run};
use super::{ObjectIdentity, PutOutcome, PutRequest, S3};
use crate::cancel::Cancel;
use crate::envelope::manifest::{ManifestObject, Role};
use crate::error::{Code, Error, Result};
use crate::format::parts::{Part, UploadedObject};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::types::{ChecksumType, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use create::AttemptCounter;
use etag::foretold_etag;
use part::send;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;

/// How long an abort may take: it is awaited, and yet the end must come.
const ABORT_LIMIT: Duration = Duration::from_secs(5);
/// How long a create or a commit is waited for that was cancelled on its way.
const GRACE: Duration = Duration::from_secs(2);

/// How long S3 may assemble an object. AWS answers at once and then sends white space; other servers copy every byte first.
const ASSEMBLY: Duration = Duration::from_secs(300);
/// Calls of Complete, beside the retries that each makes by itself.
const COMPLETE_TRIES: u32 = 4;

/// What one call of Complete came to.
enum CompleteOutcome {
    Stored(StoredObject),
    /// S3 knows no such upload: an earlier call may have done it.
    NoUpload,
    /// S3 has the object already, it says; without it, the error.
    Exists(Error),
    /// 409: another write of this key is in the way, perhaps an earlier call of ours.
    Busy,
    /// No usable answer, after all retries that the client makes by itself.
    Unanswered(Error),
    /// S3 found other bytes than were sent.
    Corrupted(Error),
    /// It tells another checksum than the parts have: of the object, or only in this answer.
    Differs(Error),
    /// Refused: perhaps only because an earlier try, whose answer was lost, had done it.
    Refused(Error),
    /// A success that makes no sense, which the client does not retry.
    Senseless(Error),
}

/// An object in S3 as it now stands.
#[derive(Clone, Debug)]
pub struct StoredObject {
    pub etag: String,
}

/// A multipart upload that starts with the first whole part; a dump that is smaller needs none.
pub struct Upload {
    s3: Arc<S3>,
    key: String,
    /// No other run has uploads of this key.
    is_of_one_run: bool,
    id: Option<String>,
    done: Vec<CompletedPart>,
    in_flight: JoinSet<Result<CompletedPart>>,
    /// The last part's bytes, which tell whether this server's ETags are MD5.
    last: Option<Bytes>,
    /// Of uploads that nobody may have ended.
    warnings: Vec<String>,
}

impl Upload {
    pub fn new(s3: Arc<S3>, key: String, is_of_one_run: bool) -> Self {
        Self {
            s3,
            key,
            is_of_one_run,
            id: None,
            done: Vec::new(),
            in_flight: JoinSet::new(),
            last: None,
            warnings: Vec::new(),
        }
    }

    /// Given once.
    pub fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Sends every part that arrives, at most `limit` at once, until the sender is gone.
    pub async fn receive(&mut self, parts: &mut Receiver<Part>, limit: usize, cancel: &Cancel) -> Result<()> {
        loop {
            while self.in_flight.len() >= limit {
                cancel.run_until_cancelled(self.join_next_part()).await?;
            }
            let arrived = tokio::select! {
                biased;
                reason = cancel.cancelled() => return Err(reason),
                landed = self.in_flight.join_next(), if !self.in_flight.is_empty() => {
                    self.record_part(landed)?;
                    continue;
                }
                part = parts.recv() => part,
            };
            match arrived {
                Some(part) => {
                    if self.id.is_none() {
                        self.open(cancel).await?;
                    }
                    self.spawn_part(part);
                }
                None => return Ok(()),
            }
        }
    }

    /// An upload whose id was never learned could not be aborted: where an answer may have been lost, they are looked for.
    async fn open(&mut self, cancel: &Cancel) -> Result<()> {
        let tries = AttemptCounter::default();
        let creating = create::create(&self.s3, &self.key, &tries);
        let (action, arn) = ("s3:PutObject (CreateMultipartUpload)", self.s3.arn(&self.key));
        let created = cancel.run_with_grace(GRACE, self.s3.in_time(action, &arn, creating)).await;
        let lost = |error: &Error| matches!(error.code, Code::S3Unavailable | Code::Terminated | Code::Deadline);
        let unanswered = tries.count() > 1 || created.as_ref().is_err_and(lost);
        let id = created.as_ref().ok().cloned();
        if unanswered && self.is_of_one_run {
            let left = create::abort_others(&self.s3, &self.key, id.as_deref(), ABORT_LIMIT).await;
            self.warnings.extend(left);
        } else if unanswered {
            // Those of other runs cannot be told from it.
            let arn = self.s3.arn(&self.key);
            self.warnings.push(create::stays(&format!("an answer about {arn} was lost")));
        }
        self.id = Some(created?);
        Ok(())
    }

    fn spawn_part(&mut self, part: Part) {
        let (s3, key, id) = (self.s3.clone(), self.key.clone(), self.id.clone().unwrap_or_default());
        self.in_flight.spawn(async move { send(&s3, &key, &id, part).await });
    }

    async fn join_next_part(&mut self) -> Result<()> {
        let landed = self.in_flight.join_next().await;
        self.record_part(landed)
    }

    fn record_part(&mut self, landed: Option<Result<Result<CompletedPart>, tokio::task::JoinError>>) -> Result<()> {
        match landed {
            Some(Ok(part)) => self.done.push(part?),
            Some(Err(_)) => return Err(Error::new(Code::Bug, "the upload of a part panicked")),
            None => {}
        }
        Ok(())
    }

    /// Sends the part that was held back and makes the object visible. Only what has been proven whole comes here.
    pub async fn commit(&mut self, sealed: &UploadedObject, last: Part, cancel: &Cancel) -> Result<StoredObject> {
        self.last = Some(last.bytes.clone());
        if self.id.is_none() {
            return self.put_whole(sealed, last.bytes, cancel).await;
        }
        self.spawn_part(last);
        while !self.in_flight.is_empty() {
            cancel.run_until_cancelled(self.join_next_part()).await?;
        }
        self.done.sort_by_key(|part| part.part_number());
        if self.done.len() != sealed.parts.len() {
            return Err(Error::new(
                Code::Bug,
                format!("{} parts were sent, {} were sealed", self.done.len(), sealed.parts.len()),
            ));
        }
        cancel.run_with_grace(GRACE, self.complete(sealed)).await
    }

    /// A dump that fits into one part. Where it exists already its bytes decide, as far as they may be read.
    async fn put_whole(&self, sealed: &UploadedObject, body: Bytes, cancel: &Cancel) -> Result<StoredObject> {
        let put = PutRequest {
            key: self.key.clone(),
            body: body.clone(),
            is_dump: true,
        };
        let look = async {
            match self.s3.put(put).await? {
                PutOutcome::Stored { etag } => Ok(StoredObject { etag }),
                PutOutcome::Exists => match self.s3.identify(&self.key, &body).await {
                    ObjectIdentity::Same { etag } => Ok(StoredObject { etag }),
                    ObjectIdentity::Other if self.is_of_one_run => Err(Error::new(
                        Code::S3Integrity,
                        format!("{} is not what was sent", self.s3.arn(&self.key)),
                    )),
                    _ => self.exists_already(sealed).await.map(|(stored, _)| stored),
                },
            }
        };
        cancel.run_with_grace(GRACE, look).await
    }

    /// Never a success without a proper answer: after any other the object itself is looked for, and where it is not
    /// there a call that was answered without sense, or that another write was in the way of, is made again with the same
    /// upload.
    async fn complete(&mut self, sealed: &UploadedObject) -> Result<StoredObject> {
        let conflict_ends = Instant::now() + self.s3.patience.conflict;
        let mut tries = 0;
        loop {
            tries += 1;
            let unclear = match self.complete_once(sealed).await? {
                CompleteOutcome::Stored(stored) => return Ok(self.completed(stored)),
                unclear => unclear,
            };
            let seen = match (self.exists_already(sealed).await, &unclear) {
                // S3 said of it that it is another one: only proof says otherwise, no size.
                (Ok((_, false)), CompleteOutcome::Differs(error)) => return Err(error.clone()),
                (Ok((stored, _)), _) => return Ok(self.completed(stored)),
                (Err(seen), _) => seen,
            };
            // What stands there is not ours: nothing that is tried changes that.
            if !matches!(seen.code, Code::S3UploadGone | Code::CommitUnknown) {
                return Err(seen);
            }
            match unclear {
                CompleteOutcome::Busy if Instant::now() < conflict_ends => wait_for(tries).await,
                CompleteOutcome::Senseless(_) if tries < COMPLETE_TRIES => wait_for(tries).await,
                CompleteOutcome::Exists(_) if tries < COMPLETE_TRIES && seen.code == Code::S3UploadGone => wait_for(tries).await,
                CompleteOutcome::Corrupted(_) | CompleteOutcome::Differs(_) if tries < 2 => {}
                CompleteOutcome::Refused(error) | CompleteOutcome::Differs(error) => return Err(error),
                CompleteOutcome::Senseless(error)
                | CompleteOutcome::Exists(error)
                | CompleteOutcome::Unanswered(error)
                | CompleteOutcome::Corrupted(error)
                    if seen.code == Code::S3UploadGone =>
                {
                    return Err(error);
                }
                _ => return Err(seen),
            }
        }
    }

    /// There is no upload any more that could be aborted.
    fn completed(&mut self, stored: StoredObject) -> StoredObject {
        self.id = None;
        stored
    }

    async fn complete_once(&self, sealed: &UploadedObject) -> Result<CompleteOutcome> {
        let (s3, d) = (&self.s3, &self.s3.destination);
        let arn = s3.arn(&self.key);
        let action = "s3:PutObject (CompleteMultipartUpload)";
        let request = s3
            .client
            .complete_multipart_upload()
            .bucket(d.bucket.name.as_str())
            .key(&self.key)
            .upload_id(self.id.as_deref().unwrap_or_default())
            .if_none_match("*")
            .checksum_type(ChecksumType::Composite)
            .mpu_object_size(sealed.size as i64)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(self.done.clone())).build());
        let patience = TimeoutConfig::builder()
            .operation_attempt_timeout(ASSEMBLY)
            .operation_timeout(3 * ASSEMBLY)
            .build();
        let patient = aws_sdk_s3::config::Builder::new().timeout_config(patience);
        match request.customize().config_override(patient).send().await {
            Ok(answer) => {
                let differs = |told: &str| !self.object(sealed).has_checksum(told);
                match (answer.checksum_sha256(), named(answer.e_tag())) {
                    (Some(told), _) if differs(told) => Ok(CompleteOutcome::Differs(Error::new(
                        Code::S3Integrity,
                        format!("S3 assembled {arn} with another checksum than the parts have"),
                    ))),
                    (_, Some(etag)) if etag.starts_with('"') != etag.ends_with('"') => Ok(CompleteOutcome::Senseless(Error::new(
                        Code::S3Unavailable,
                        format!("{action} on {arn}: the answer's ETag has no end"),
                    ))),
                    // An answer without a checksum is one of a server that keeps none.
                    (_, Some(etag)) => Ok(CompleteOutcome::Stored(StoredObject { etag: etag.to_owned() })),
                    (_, None) => Ok(CompleteOutcome::Senseless(no_etag(action, &arn))),
                }
            }
            Err(failure) => match S3ErrorKind::of(&failure, action, &arn) {
                S3ErrorKind::Exists => Ok(CompleteOutcome::Exists(exists_and_is_missing(action, &arn))),
                S3ErrorKind::NoUpload | S3ErrorKind::NotFound => Ok(CompleteOutcome::NoUpload),
                S3ErrorKind::Busy => Ok(CompleteOutcome::Busy),
                S3ErrorKind::Unsupported(error) => Err(self.s3.unsupported(error).await),
                S3ErrorKind::Denied(error) | S3ErrorKind::BadCredentials(error) => Ok(CompleteOutcome::Refused(error)),
                S3ErrorKind::Corrupted(error) => Ok(CompleteOutcome::Corrupted(error)),
                S3ErrorKind::Failed(error) if error.code == Code::S3Unavailable => {
                    let ok = failure.raw_response().is_some_and(|response| response.status().is_success());
                    Ok(if ok {
                        CompleteOutcome::Senseless(error)
                    } else {
                        CompleteOutcome::Unanswered(error)
                    })
                }
                other => Err(other.into_error(action, &arn)),
            },
        }
    }

    /// An object under a key of one run is ours: if it has our size, and our checksum and ETag as far as S3 tells the one and
    /// the other can be foretold, it is the commit. Under another key it must have our checksum. Beside it, whether more than
    /// its size says so.
    async fn exists_already(&self, sealed: &UploadedObject) -> Result<(StoredObject, bool)> {
        let (arn, size) = (self.s3.arn(&self.key), sealed.size);
        let unknown = || Error::new(Code::CommitUnknown, format!("whether {arn} was completed cannot be told"));
        let (found, etag) = match self.s3.look(&self.key).await {
            Ok(KeyProbe::Found { size, etag }) => (size, etag),
            Ok(KeyProbe::Missing) => {
                return Err(Error::new(
                    Code::S3UploadGone,
                    format!("the upload of {arn} did not become an object: it was aborted by someone else, or S3 refused it"),
                ));
            }
            Ok(KeyProbe::Forbidden) | Err(_) => return Err(unknown()),
        };
        let told = self.s3.checksum(&self.key).await;
        let is_ours = told.as_ref().map(|told| self.object(sealed).has_checksum(told));
        if !self.is_of_one_run {
            return match is_ours {
                Some(true) => Ok((StoredObject { etag }, true)),
                Some(false) => Err(of_another_run(&arn)),
                None => Err(unknown()),
            };
        }
        let differs = |what: &str| Err(Error::new(Code::S3Integrity, format!("{arn} is not what was sent: it has {what}")));
        let foretold = self.last.as_ref().and_then(|last| foretold_etag(&self.done, last));
        match &foretold {
            _ if found != size => differs(&format!("{found} bytes, not {size}")),
            _ if is_ours == Some(false) => differs("another checksum"),
            Some(foretold) if foretold != etag.trim_matches('"') => differs("another ETag"),
            _ => Ok((StoredObject { etag }, is_ours.is_some() || foretold.is_some())),
        }
    }

    /// The object as it was sent.
    fn object(&self, sealed: &UploadedObject) -> ManifestObject {
        ManifestObject::sealed(Role::Dump, self.key.clone(), sealed)
    }

    /// Ends the upload, whatever state it is in; awaited by the one that failed. An upload that stays open is told.
    pub async fn abort(mut self) -> Result<()> {
        self.in_flight.shutdown().await;
        let Some(id) = self.id.take() else { return Ok(()) };
        let d = &self.s3.destination;
        let request = self
            .s3
            .client
            .abort_multipart_upload()
            .bucket(d.bucket.name.as_str())
            .key(&self.key)
            .upload_id(id);
        let answer = tokio::time::timeout(ABORT_LIMIT, request.send()).await;
        let arn = self.s3.arn(&self.key);
        match answer {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => match S3ErrorKind::of(&error, "s3:AbortMultipartUpload", &arn) {
                S3ErrorKind::NoUpload | S3ErrorKind::NotFound => Ok(()),
                other => Err(other.into_error("s3:AbortMultipartUpload", &arn)),
            },
            Err(_) => Err(Error::new(
                Code::S3Unavailable,
                format!("the upload of {arn} could not be aborted in time"),
            )),
        }
    }
}
