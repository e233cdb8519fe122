//! The dump on its way: parts go out while it grows, and nothing is visible until it is committed.

mod complete;
mod create;
mod etag;
mod part;

use super::etag_kind::EtagKind;
use super::s3_error::{S3ErrorKind, exists_and_is_missing};
use super::{ObjectIdentity, PutOutcome, PutRequest, S3};
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::format::parts::{Part, UploadedObject};
use aws_sdk_s3::types::CompletedPart;
use bytes::Bytes;
use create::AttemptCounter;
use part::{other_bytes, send};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;

/// How long an abort may take: it is awaited, and yet the end must come.
const ABORT_LIMIT: Duration = Duration::from_secs(5);
/// How long a create or a commit is waited for that was cancelled on its way.
const GRACE: Duration = Duration::from_secs(2);

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
    /// Of the parts.
    etags: Arc<EtagKind>,
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
            etags: Arc::default(),
            warnings: Vec::new(),
        }
    }

    /// Given once.
    pub(crate) fn warnings(&mut self) -> Vec<String> {
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
        let etags = self.etags.clone();
        self.in_flight.spawn(async move { send(&s3, &key, &id, part, &etags).await });
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
        if let Some(part) = self.etags.disproven(|_| true) {
            return Err(other_bytes(part));
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
                    ObjectIdentity::Other if self.is_of_one_run => Err(self.s3.is_not_what_was_sent(&self.key)),
                    // What is read decides, whatever size a look at it claims.
                    ObjectIdentity::Missing => Err(exists_and_is_missing("s3:PutObject", &self.s3.arn(&self.key))),
                    _ => self.exists_already(sealed).await.map(|(stored, _)| stored),
                },
            }
        };
        cancel.run_with_grace(GRACE, look).await
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
            Ok(Err(error)) => match S3ErrorKind::from_sdk(&error, "s3:AbortMultipartUpload", &arn) {
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
