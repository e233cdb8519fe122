//! The end of an upload: what makes its parts one object, and whether it did.

use super::etag::foretold_etag;
use super::{StoredObject, Upload};
use crate::envelope::manifest::{ManifestObject, Role};
use crate::error::{Code, Error, Result};
use crate::format::parts::UploadedObject;
use crate::store::etag_kind::EtagVerdict;
use crate::store::look::KeyProbe;
use crate::store::s3::{named, no_etag, wait_for};
use crate::store::s3_error::{OF_ANOTHER_RUN, S3ErrorKind, exists_and_is_missing, of_another_run};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::operation::complete_multipart_upload::CompleteMultipartUploadOutput;
use aws_sdk_s3::types::{ChecksumType, CompletedMultipartUpload};
use std::time::{Duration, Instant};

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
    /// A success that makes no sense or that nothing proves, which the client does not retry.
    Senseless(Error),
    /// The same of a server that proves nothing to anyone: where nobody may look, it is believed.
    Unproven(StoredObject, Error),
}

impl Upload {
    /// Never a success without an answer that proves itself: after any other the object itself is looked for, and where it is not
    /// there a call that was answered without sense, or that another write was in the way of, is made again with the same
    /// upload.
    pub(super) async fn complete(&mut self, sealed: &UploadedObject) -> Result<StoredObject> {
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
                (Err(seen), CompleteOutcome::Unproven(stored, _))
                    if seen.code == Code::CommitUnknown && self.cannot_be_told(sealed).await =>
                {
                    let stored = stored.clone();
                    return Ok(self.completed(stored));
                }
                (Err(seen), _) => seen,
            };
            // What stands there is not ours: nothing that is tried changes that.
            if !matches!(seen.code, Code::S3UploadGone | Code::CommitUnknown) {
                return Err(seen);
            }
            match unclear {
                CompleteOutcome::Busy if Instant::now() < conflict_ends => wait_for(tries).await,
                CompleteOutcome::Senseless(_) | CompleteOutcome::Unproven(..) if tries < COMPLETE_TRIES => wait_for(tries).await,
                CompleteOutcome::Exists(_) if tries < COMPLETE_TRIES && seen.code == Code::S3UploadGone => wait_for(tries).await,
                CompleteOutcome::Corrupted(_) | CompleteOutcome::Differs(_) if tries < 2 => {}
                CompleteOutcome::Refused(error) | CompleteOutcome::Differs(error) => return Err(error),
                CompleteOutcome::Senseless(error)
                | CompleteOutcome::Unproven(_, error)
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
            Ok(answer) => Ok(self.judge(sealed, &answer, action, &arn)),
            Err(failure) => match S3ErrorKind::from_sdk(&failure, action, &arn) {
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

    /// A success as far as it proves itself: by our checksum, or by the ETag that the parts foretell.
    fn judge(&self, sealed: &UploadedObject, answer: &CompleteMultipartUploadOutput, action: &str, arn: &str) -> CompleteOutcome {
        let is_ours = answer.checksum_sha256().map(|told| self.object(sealed).has_checksum(told));
        if is_ours == Some(false) {
            return CompleteOutcome::Differs(Error::new(
                Code::S3Integrity,
                format!("S3 assembled {arn} with another checksum than the parts have"),
            ));
        }
        let Some(etag) = named(answer.e_tag()) else {
            return CompleteOutcome::Senseless(no_etag(action, arn));
        };
        let senseless = |reason: &str| Error::new(Code::S3Unavailable, format!("{action} on {arn}: the answer {reason}"));
        if etag.starts_with('"') != etag.ends_with('"') {
            return CompleteOutcome::Senseless(senseless("has an ETag without an end"));
        }
        if answer.key().is_some_and(|key| key != self.key) {
            return CompleteOutcome::Senseless(senseless("is of another object"));
        }
        let (stored, bare) = (StoredObject { etag: etag.to_owned() }, etag.trim_matches('"'));
        let foretold = self.foretold_etag().map(|foretold| foretold == bare);
        if is_ours == Some(true) || foretold == Some(true) {
            return CompleteOutcome::Stored(stored);
        }
        let told_parts = bare.rsplit_once('-').and_then(|(_, number)| number.parse::<usize>().ok());
        let is_of_as_many = told_parts.is_none_or(|number| number == self.done.len());
        let error = senseless("shows in no way what was made");
        match foretold.is_none() && is_of_as_many && !self.has_echoed() {
            true => CompleteOutcome::Unproven(stored, error),
            false => CompleteOutcome::Senseless(error),
        }
    }

    /// Whether this server repeats checksums to those that send them.
    fn has_echoed(&self) -> bool {
        self.etags.has_echoed() || self.s3.etags.has_echoed()
    }

    /// Whether nobody may look, or what is there, of our size, could be another run's as well.
    async fn cannot_be_told(&self, sealed: &UploadedObject) -> bool {
        match self.s3.look(&self.key).await {
            Ok(KeyProbe::Forbidden) => true,
            Ok(KeyProbe::Found { size, .. }) => size == sealed.size,
            Ok(KeyProbe::Missing) | Err(_) => false,
        }
    }

    fn foretold_etag(&self) -> Option<String> {
        self.last.as_ref().and_then(|last| foretold_etag(&self.done, last))
    }

    /// An object under a key of one run is ours: if it has our size, and our checksum and ETag as far as S3 tells the one and
    /// the other can be foretold, it is the commit. Under another key it must have our checksum, or the ETag that was foretold.
    /// Beside it, whether more than its size says so.
    pub(super) async fn exists_already(&self, sealed: &UploadedObject) -> Result<(StoredObject, bool)> {
        let (arn, size) = (self.s3.arn(&self.key), sealed.size);
        let unknown = || Error::new(Code::CommitUnknown, format!("whether {arn} was completed is unknown"));
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
            let is_ours = is_ours.or_else(|| Some(self.foretold_etag()? == etag.trim_matches('"')));
            return match is_ours {
                _ if found != size => Err(of_another_run(&arn)),
                Some(true) => Ok((StoredObject { etag }, true)),
                Some(false) => Err(of_another_run(&arn)),
                None => Err(unknown().advise(OF_ANOTHER_RUN)),
            };
        }
        let differs = |what: &str| Err(Error::new(Code::S3Integrity, format!("{arn} is not what was sent: it has {what}")));
        let foretold = self.foretold_etag();
        match &foretold {
            _ if found != size => differs(&format!("{found} bytes, not {size}")),
            _ if is_ours == Some(false) => differs("another checksum"),
            Some(foretold) if foretold != etag.trim_matches('"') => differs("another ETag"),
            None if is_ours.is_none() && self.done.is_empty() => self.judge_whole(etag),
            _ => Ok((StoredObject { etag }, is_ours.is_some() || foretold.is_some())),
        }
    }

    /// What stands there has our size, and was sent in one piece.
    fn judge_whole(&self, etag: String) -> Result<(StoredObject, bool)> {
        let body = self.last.as_deref().unwrap_or_default();
        match self.s3.etags.judge(&etag, body) {
            EtagVerdict::Others => Err(self.s3.is_not_what_was_sent(&self.key)),
            EtagVerdict::Ours => Ok((StoredObject { etag }, true)),
            EtagVerdict::Nothing => {
                self.s3.etags.remember(self.key.clone(), &etag);
                Ok((StoredObject { etag }, false))
            }
        }
    }

    /// The object as it was sent.
    fn object(&self, sealed: &UploadedObject) -> ManifestObject {
        ManifestObject::sealed(Role::Dump, self.key.clone(), sealed)
    }
}
