//! The dump on its way: parts go out while it grows, and nothing is visible until it is committed.

mod create;

use super::fault::{Meaning, of_another_run};
use super::s3::{named, no_etag};
use super::{Put, S3, Written};
use crate::cancel::Cancel;
use crate::envelope::sha256;
use crate::error::{Code, Error, Result};
use crate::pipeline::{Part, Sealed};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};
use base64::{Engine, prelude::BASE64_STANDARD};
use create::Tries;
use std::sync::Arc;
use std::time::Duration;
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
enum Completed {
    Stored(Stored),
    /// S3 knows no such upload, or has the object already: an earlier call may have done it.
    NoUpload,
    /// No usable answer, after all retries that the client makes by itself.
    Unanswered(Error),
    /// S3 found other bytes than were sent.
    Corrupted(Error),
    /// Refused: perhaps only because an earlier try, whose answer was lost, had done it.
    Refused(Error),
    /// A 200 that makes no sense, which the client does not retry.
    Senseless(Error),
}

/// An object in S3 as it now stands.
#[derive(Clone, Debug)]
pub struct Stored {
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
        }
    }

    /// Sends every part that arrives, at most `limit` at once, until the sender is gone.
    pub async fn receive(&mut self, parts: &mut Receiver<Part>, limit: usize, cancel: &Cancel) -> Result<()> {
        loop {
            while self.in_flight.len() >= limit {
                cancel.race(self.landed()).await?;
            }
            let arrived = tokio::select! {
                biased;
                reason = cancel.cancelled() => return Err(reason),
                landed = self.in_flight.join_next(), if !self.in_flight.is_empty() => {
                    self.keep(landed)?;
                    continue;
                }
                part = parts.recv() => part,
            };
            match arrived {
                Some(part) => {
                    if self.id.is_none() {
                        self.open(cancel).await?;
                    }
                    self.launch(part);
                }
                None => return Ok(()),
            }
        }
    }

    /// An upload whose id was never learned could not be aborted: where an answer may have been lost, they are looked for.
    async fn open(&mut self, cancel: &Cancel) -> Result<()> {
        let tries = Tries::default();
        let created = cancel.settle(GRACE, create::create(&self.s3, &self.key, &tries)).await;
        let lost = |error: &Error| matches!(error.code, Code::S3Unavailable | Code::Terminated | Code::Deadline);
        let unanswered = tries.count() > 1 || created.as_ref().is_err_and(lost);
        let id = created.as_ref().ok().cloned();
        if unanswered && self.is_of_one_run {
            create::abort_others(&self.s3, &self.key, id.as_deref(), ABORT_LIMIT).await;
        }
        self.id = Some(created?);
        Ok(())
    }

    fn launch(&mut self, part: Part) {
        let (s3, key, id) = (self.s3.clone(), self.key.clone(), self.id.clone().unwrap_or_default());
        self.in_flight.spawn(async move { send(&s3, &key, &id, part).await });
    }

    async fn landed(&mut self) -> Result<()> {
        let landed = self.in_flight.join_next().await;
        self.keep(landed)
    }

    fn keep(&mut self, landed: Option<Result<Result<CompletedPart>, tokio::task::JoinError>>) -> Result<()> {
        match landed {
            Some(Ok(part)) => self.done.push(part?),
            Some(Err(_)) => return Err(Error::new(Code::Bug, "the upload of a part panicked")),
            None => {}
        }
        Ok(())
    }

    /// Sends the part that was held back and makes the object visible. Only what has been proven whole comes here.
    pub async fn commit(&mut self, sealed: &Sealed, last: Part, cancel: &Cancel) -> Result<Stored> {
        if self.id.is_none() {
            let put = Put {
                key: self.key.clone(),
                body: last.bytes,
                is_dump: true,
            };
            return match cancel.settle(GRACE, self.s3.put(put)).await? {
                Written::Stored { etag } => Ok(Stored { etag }),
                Written::Exists => self.exists_already(sealed).await,
            };
        }
        self.launch(last);
        while !self.in_flight.is_empty() {
            cancel.race(self.landed()).await?;
        }
        self.done.sort_by_key(|part| part.part_number());
        if self.done.len() != sealed.parts.len() {
            return Err(Error::new(
                Code::Bug,
                format!("{} parts were sent, {} were sealed", self.done.len(), sealed.parts.len()),
            ));
        }
        cancel.settle(GRACE, self.complete(sealed)).await
    }

    /// Never a success without a proper answer: after any other the object itself is looked for, and where it is not
    /// there a call that was answered without sense is made again, with the same upload.
    async fn complete(&mut self, sealed: &Sealed) -> Result<Stored> {
        let mut tries = 0;
        loop {
            tries += 1;
            let unclear = match self.complete_once(sealed).await? {
                Completed::Stored(stored) => return Ok(self.completed(stored)),
                unclear => unclear,
            };
            let missing = match (self.exists_already(sealed).await, &unclear) {
                (Ok(stored), _) => return Ok(self.completed(stored)),
                (Err(missing), _) if missing.code == Code::S3UploadGone => missing,
                (Err(_), Completed::Refused(refused)) => return Err(refused.clone()),
                (Err(unknown), _) => return Err(unknown),
            };
            match unclear {
                Completed::Senseless(_) if tries < COMPLETE_TRIES => tokio::time::sleep(Duration::from_millis(200 << tries)).await,
                Completed::Corrupted(_) if tries < 2 => {}
                Completed::Senseless(error) | Completed::Unanswered(error) | Completed::Corrupted(error) | Completed::Refused(error) => {
                    return Err(error);
                }
                Completed::NoUpload | Completed::Stored(_) => return Err(missing),
            }
        }
    }

    /// There is no upload any more that could be aborted.
    fn completed(&mut self, stored: Stored) -> Stored {
        self.id = None;
        stored
    }

    async fn complete_once(&self, sealed: &Sealed) -> Result<Completed> {
        let (s3, d) = (&self.s3, &self.s3.destination);
        let arn = s3.arn(&self.key);
        let action = "s3:PutObject (CompleteMultipartUpload)";
        let request = s3
            .client
            .complete_multipart_upload()
            .bucket(&d.bucket)
            .key(&self.key)
            .upload_id(self.id.as_deref().unwrap_or_default())
            .if_none_match("*")
            .checksum_type(ChecksumType::Composite)
            .mpu_object_size(sealed.size as i64)
            .set_expected_bucket_owner(d.owner.clone())
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(self.done.clone())).build());
        let patience = TimeoutConfig::builder().read_timeout(ASSEMBLY).build();
        let patient = aws_sdk_s3::config::Builder::new().timeout_config(patience);
        match request.customize().config_override(patient).send().await {
            Ok(answer) => {
                let differs = |told: &str| !same_hash(told, &composite(sealed));
                match (answer.checksum_sha256(), named(answer.e_tag())) {
                    (Some(told), _) if differs(told) => Err(Error::new(
                        Code::S3Integrity,
                        format!("S3 assembled {arn} with another checksum than the parts have"),
                    )),
                    // An answer without a checksum is one of a server that keeps none.
                    (_, Some(etag)) => Ok(Completed::Stored(Stored { etag: etag.to_owned() })),
                    (_, None) => Ok(Completed::Senseless(no_etag(action, &arn))),
                }
            }
            Err(failure) => match Meaning::of(&failure, action, &arn) {
                Meaning::Exists | Meaning::NoUpload | Meaning::NotFound => Ok(Completed::NoUpload),
                Meaning::Denied(error) => Ok(Completed::Refused(error)),
                Meaning::Corrupted(error) => Ok(Completed::Corrupted(error)),
                Meaning::Failed(error) if error.code == Code::S3Unavailable => {
                    let ok = failure.raw_response().is_some_and(|response| response.status().as_u16() == 200);
                    Ok(if ok {
                        Completed::Senseless(error)
                    } else {
                        Completed::Unanswered(error)
                    })
                }
                other => Err(other.into_error(action, &arn)),
            },
        }
    }

    /// An object under a key of one run is ours: if it has our size, it is the commit. Under another key it must have our
    /// checksum too.
    async fn exists_already(&self, sealed: &Sealed) -> Result<Stored> {
        let (arn, size) = (self.s3.arn(&self.key), sealed.size);
        let unknown = || Error::new(Code::CommitUnknown, format!("whether {arn} was completed cannot be told"));
        match self.s3.head(&self.key).await {
            Ok(Some(Some(_))) if !self.is_of_one_run => match self.s3.checksum(&self.key).await {
                Some(told) if same_hash(&told, &self.checksum(sealed)) => Ok(Stored { etag: String::new() }),
                Some(_) => Err(of_another_run(&arn)),
                None => Err(unknown()),
            },
            Ok(Some(Some(found))) if found == size => Ok(Stored { etag: String::new() }),
            Ok(Some(Some(found))) => Err(Error::new(Code::S3Integrity, format!("{arn} has {found} bytes, {size} were sent"))),
            Ok(Some(None)) => Err(Error::new(
                Code::S3UploadGone,
                format!("the upload of {arn} was aborted by someone else"),
            )),
            Ok(None) | Err(_) => Err(unknown()),
        }
    }

    /// S3's checksum of the object as it was sent, in parts or in one piece.
    fn checksum(&self, sealed: &Sealed) -> String {
        match (&self.id, &sealed.parts[..]) {
            (None, [only]) => BASE64_STANDARD.encode(only.sha256),
            _ => composite(sealed),
        }
    }

    /// Ends the upload, whatever state it is in; awaited by whoever failed. An upload that stays open is told.
    pub async fn abort(mut self) -> Result<()> {
        self.in_flight.shutdown().await;
        let Some(id) = self.id.take() else { return Ok(()) };
        let d = &self.s3.destination;
        let request = self
            .s3
            .client
            .abort_multipart_upload()
            .bucket(&d.bucket)
            .key(&self.key)
            .upload_id(id);
        let answer = tokio::time::timeout(ABORT_LIMIT, request.set_expected_bucket_owner(d.owner.clone()).send()).await;
        let arn = self.s3.arn(&self.key);
        match answer {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => match Meaning::of(&error, "s3:AbortMultipartUpload", &arn) {
                Meaning::NoUpload | Meaning::NotFound => Ok(()),
                other => Err(other.into_error("s3:AbortMultipartUpload", &arn)),
            },
            Err(_) => Err(Error::new(
                Code::S3Unavailable,
                format!("the upload of {arn} could not be aborted in time"),
            )),
        }
    }
}

/// One part, from memory, with its checksum: a retry sends the same bytes.
async fn send(s3: &S3, key: &str, id: &str, part: Part) -> Result<CompletedPart> {
    let d = &s3.destination;
    let checksum = BASE64_STANDARD.encode(part.sha256);
    let mut tries = 0;
    loop {
        tries += 1;
        let request = s3
            .client
            .upload_part()
            .bucket(&d.bucket)
            .key(key)
            .upload_id(id)
            .part_number(part.number as i32)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .checksum_sha256(&checksum)
            .set_expected_bucket_owner(d.owner.clone())
            .body(ByteStream::from(part.bytes.clone()));
        let refused = match request.customize().disable_payload_signing().send().await {
            Ok(answer) => match (named(answer.e_tag()), answer.checksum_sha256()) {
                (_, Some(told)) if told != checksum => Meaning::Corrupted(Error::new(
                    Code::S3Integrity,
                    format!("S3 received other bytes of part {} than were sent", part.number),
                )),
                (Some(etag), _) => {
                    let completed = CompletedPart::builder()
                        .part_number(part.number as i32)
                        .e_tag(etag)
                        .checksum_sha256(&checksum);
                    return Ok(completed.build());
                }
                // What arrived, if anything did, cannot be told: once more, like bytes that were refused.
                (None, _) => Meaning::Corrupted(no_etag("s3:PutObject (UploadPart)", &s3.arn(key))),
            },
            Err(error) => Meaning::of(&error, "s3:PutObject (UploadPart)", &s3.arn(key)),
        };
        match refused {
            Meaning::Corrupted(_) if tries < 2 => {}
            Meaning::NotFound => return Err(Meaning::NoUpload.into_error("s3:PutObject (UploadPart)", &s3.arn(key))),
            other => return Err(other.into_error("s3:PutObject (UploadPart)", &s3.arn(key))),
        }
    }
}

/// S3's checksum of an object in parts: the hash of the parts' hashes, and their number.
fn composite(sealed: &Sealed) -> String {
    let hashes: Vec<u8> = sealed.parts.iter().flat_map(|part| part.sha256).collect();
    format!("{}-{}", BASE64_STANDARD.encode(sha256(&hashes)), sealed.parts.len())
}

/// Whether two checksums are of the same bytes: the number of parts behind the hash is not told everywhere.
fn same_hash(one: &str, other: &str) -> bool {
    one.split('-').next() == other.split('-').next()
}
