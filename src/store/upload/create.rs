//! The first call of an upload, and the one whose lost answer leaves something behind: S3 makes an upload for every try,
//! and only its id can end it.

use crate::error::{Code, Error, Result};
use crate::store::S3;
use crate::store::s3::wait_for;
use crate::store::s3_error::S3ErrorKind;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Calls that were answered without sense or met another write, beside the retries that each makes by itself.
const TRIES: u32 = 4;

/// How often the call was sent: the client retries by itself, and does not tell.
#[derive(Clone, Debug, Default)]
pub(super) struct AttemptCounter(Arc<AtomicU32>);

impl AttemptCounter {
    pub(super) fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Intercept for AttemptCounter {
    fn name(&self) -> &'static str {
        "tries"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// The id of a new upload.
pub(super) async fn create(s3: &S3, key: &str, tries: &AttemptCounter) -> Result<String> {
    let d = &s3.destination;
    let action = "s3:PutObject (CreateMultipartUpload)";
    let mut calls = 0;
    loop {
        calls += 1;
        let request = s3
            .client
            .create_multipart_upload()
            .bucket(d.bucket.name.as_str())
            .key(key)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .checksum_type(ChecksumType::Composite)
            .set_storage_class(s3.storage_class(true))
            .set_server_side_encryption(s3.encryption())
            .set_ssekms_key_id(s3.kms_key_id())
            .set_acl(s3.acl())
            .set_tagging(s3.tagging(key))
            .set_object_lock_mode(s3.lock_mode())
            .set_object_lock_retain_until_date(s3.locked_until());
        let (error, again) = match request.customize().interceptor(tries.clone()).send().await {
            Ok(created) => match created.upload_id().filter(|id| !id.is_empty()) {
                Some(id) => return Ok(id.to_owned()),
                None => (
                    Error::new(Code::S3Unavailable, format!("{action}: the answer names no upload")),
                    true,
                ),
            },
            Err(failure) => {
                let senseless = failure.raw_response().is_some_and(|response| response.status().is_success());
                match S3ErrorKind::from_sdk(&failure, action, &s3.arn(key)) {
                    S3ErrorKind::Unsupported(error) => return Err(s3.unsupported(error).await),
                    meaning => {
                        let again = senseless || matches!(meaning, S3ErrorKind::Busy | S3ErrorKind::Senseless(_));
                        (meaning.into_error(action, &s3.arn(key)), again)
                    }
                }
            }
        };
        if !again || calls >= TRIES {
            return Err(error);
        }
        wait_for(calls).await;
    }
}

/// Ends every upload of this key but one. Where a key is of one run only, each of them is a try of ours whose answer was
/// lost. A role that may not list uploads leaves them to the bucket's lifecycle rule: then a warning says so.
pub(super) async fn abort_others(s3: &S3, key: &str, kept: Option<&str>, limit: Duration) -> Option<String> {
    let why = match tokio::time::timeout(limit, find_and_abort(s3, key, kept)).await {
        Ok(Ok(())) => return None,
        Ok(Err(error)) => error.message,
        Err(_) => format!("S3 did not list the uploads of {} in time", s3.arn(key)),
    };
    let warning = stays(&why);
    tracing::warn!("{warning}");
    Some(warning)
}

pub(super) fn stays(why: &str) -> String {
    format!("an upload may stay open, and is billed until a lifecycle rule (AbortIncompleteMultipartUpload) ends it: {why}")
}

async fn find_and_abort(s3: &S3, key: &str, kept: Option<&str>) -> Result<()> {
    let d = &s3.destination;
    let request = s3.client.list_multipart_uploads().bucket(d.bucket.name.as_str()).prefix(key);
    let listed = request.send().await;
    let action = "s3:ListBucketMultipartUploads";
    let listed = listed.map_err(|error| S3ErrorKind::from_sdk(&error, action, &s3.arn(key)).into_error(action, &s3.arn(key)))?;
    let ids = listed.uploads().iter().filter(|upload| upload.key() == Some(key));
    for id in ids.filter_map(|upload| upload.upload_id()).filter(|id| Some(*id) != kept) {
        let request = s3
            .client
            .abort_multipart_upload()
            .bucket(d.bucket.name.as_str())
            .key(key)
            .upload_id(id);
        let action = "s3:AbortMultipartUpload";
        let aborted = request.send().await;
        aborted.map_err(|error| S3ErrorKind::from_sdk(&error, action, &s3.arn(key)).into_error(action, &s3.arn(key)))?;
    }
    Ok(())
}
