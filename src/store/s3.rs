//! The bucket: looked at before anything is written, and written to without ever overwriting.

use super::bucket_owner::BucketOwner;
use super::etag_kind::EtagKind;
use super::look::{BucketProbe, KeyProbe};
use super::put_answer;
use super::s3_error::{S3ErrorKind, exists_and_is_missing};
use super::same_bytes::has_bytes;
use super::senseless_reads;
use super::transfer::{StalledTransfer, Transfer, TransferTimeouts};
use super::whole::Whole;
use crate::aws::{self, RetryNotice, ServiceError};
use crate::error::{Code, Error, Result};
use crate::format::sha256;
use crate::plan::{BucketName, Destination, Encryption};
use crate::variables::Env;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{ResponseChecksumValidation, StalledStreamProtectionConfig};
use aws_sdk_s3::operation::head_object::builders::HeadObjectFluentBuilder;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ChecksumMode, ObjectCannedAcl, ObjectLockMode, ServerSideEncryption, StorageClass};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use std::time::{Duration, Instant, SystemTime};

/// Tries of a write that was answered without sense.
const TRIES: u32 = 5;
/// Without a byte of an object that is read: then the range is asked for again.
const READ_STALL: Duration = Duration::from_secs(30);

pub struct S3 {
    pub(super) client: Client,
    pub(super) destination: Destination,
    pub(super) patience: TransferTimeouts,
    pub(super) etags: EtagKind,
}

/// A small object, whole in memory.
pub struct PutRequest {
    pub key: String,
    pub body: Bytes,
    /// The dump itself takes the plan's storage class; what stands beside it stays at hand.
    pub is_dump: bool,
}

/// What became of a write that overwrites nothing.
#[derive(Debug, PartialEq, Eq)]
pub enum PutOutcome {
    Stored { etag: String },
    Exists,
}

/// What stands under a key, compared with what should.
#[derive(Debug, PartialEq, Eq)]
pub enum ObjectMatch {
    Same {
        etag: String,
    },
    /// Something else.
    Other,
    Missing,
    /// The role may not look, or there was no proper answer.
    Unknown,
}

impl S3 {
    pub async fn open(destination: &Destination, env: &Env) -> Result<Self> {
        let shared = aws::config(&destination.bucket.region).await?;
        // Servers other than AWS are seldom reachable by a host name for each bucket. An access point has no path.
        let own_endpoint = env.get("AWS_ENDPOINT_URL_S3").or(env.get("AWS_ENDPOINT_URL")).is_some();
        let by_path = own_endpoint && !destination.bucket.name.is_access_point();
        let config = aws_sdk_s3::config::Builder::from(&shared).force_path_style(by_path);
        Ok(Self::with_config(config, destination.clone()))
    }

    /// With a configuration of the caller's own: for tests that answer in S3's place.
    pub fn with_config(config: aws_sdk_s3::config::Builder, destination: Destination) -> Self {
        // Bodies that are sent are watched by ourselves: see `transfer`.
        let stalls = StalledStreamProtectionConfig::enabled()
            .upload_enabled(false)
            .grace_period(READ_STALL);
        // What is read is held against our own hashes. The SDK would warn of each object in parts, whose checksum it cannot check.
        let config = senseless_reads::retrying(aws::refreshing(config))
            .interceptor(RetryNotice::new("S3"))
            .interceptor(Whole)
            .interceptor(BucketOwner(destination.bucket.owner.clone()))
            .stalled_stream_protection(stalls.build())
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        Self {
            client: Client::from_conf(config.build()),
            destination,
            patience: TransferTimeouts::default(),
            etags: EtagKind::default(),
        }
    }

    /// By the same connections.
    pub(super) fn with_destination(&self, destination: Destination) -> Self {
        Self {
            client: self.client.clone(),
            destination,
            patience: self.patience,
            etags: EtagKind::default(),
        }
    }

    /// With other limits than the usual ones: for tests of links that are slow or stand still.
    pub fn patient(mut self, patience: TransferTimeouts) -> Self {
        self.patience = patience;
        self
    }

    pub(crate) fn bucket(&self) -> &str {
        self.destination.bucket.name.as_str()
    }

    /// Finds a missing bucket and a wrong region before the dump. A role without `s3:ListBucket` cannot look, and need
    /// not: then the first write tells.
    pub async fn check_bucket(&self) -> Result<BucketProbe> {
        let d = &self.destination;
        let answer = self.client.head_bucket().bucket(d.bucket.name.as_str()).send().await;
        let resource = self.bucket_arn();
        let region = match &answer {
            Ok(found) => found.bucket_region().map(str::to_owned),
            Err(error) => ServiceError::from_sdk(error).region,
        };
        if let Some(region) = region.filter(|region| !region.is_empty() && region != d.bucket.region.as_str()) {
            let error = Error::new(
                Code::S3WrongRegion,
                format!("the bucket {} is in {region}, not in {}", d.bucket.name, d.bucket.region),
            );
            return Err(error.advise(format!("Set `bucket_region` to {region}.")));
        }
        let Err(error) = answer else {
            return Ok(BucketProbe::Found);
        };
        match S3ErrorKind::from_sdk(&error, "s3:ListBucket (HeadBucket)", &resource) {
            S3ErrorKind::NotFound => Err(Error::new(Code::S3NoBucket, format!("there is no bucket {}", d.bucket.name))),
            S3ErrorKind::Denied(error) => {
                tracing::info!("the bucket cannot be looked at beforehand: {}", error.message);
                Ok(BucketProbe::Forbidden(error.message))
            }
            other => Err(other.into_error("s3:ListBucket", &resource)),
        }
    }

    /// S3's SHA-256 of an object, where it tells one.
    pub(crate) async fn checksum(&self, key: &str) -> Option<String> {
        let asked = self.head_object(key).checksum_mode(ChecksumMode::Enabled);
        asked.send().await.ok()?.checksum_sha256().map(str::to_owned)
    }

    pub(super) fn head_object(&self, key: &str) -> HeadObjectFluentBuilder {
        self.client.head_object().bucket(self.destination.bucket.name.as_str()).key(key)
    }

    /// One PutObject with `If-None-Match: *` and a checksum.
    pub async fn put(&self, put: PutRequest) -> Result<PutOutcome> {
        let limit = self.patience.all_tries(put.body.len() as u64);
        let tries = tokio::time::timeout(limit, self.try_to_put(&put)).await;
        tries.unwrap_or_else(|_| Err(too_slow("s3:PutObject", &self.arn(&put.key))))
    }

    async fn try_to_put(&self, put: &PutRequest) -> Result<PutOutcome> {
        let checksum = BASE64_STANDARD.encode(sha256(&put.body));
        let arn = self.arn(&put.key);
        let conflict_ends = Instant::now() + self.patience.conflict;
        let (mut tries, mut stalls) = (0, 0);
        loop {
            tries += 1;
            let meaning = match self.put_once(put, &checksum, &arn).await {
                Ok(Ok(etag)) => return Ok(PutOutcome::Stored { etag }),
                Ok(Err(meaning)) => meaning,
                Err(StalledTransfer) => {
                    stalls += 1;
                    if stalls >= self.patience.stalls {
                        return Err(stalled("s3:PutObject", &arn));
                    }
                    wait_for(stalls).await;
                    continue;
                }
            };
            match meaning {
                S3ErrorKind::Exists => match self.look(&put.key).await {
                    Ok(KeyProbe::Missing) if tries < TRIES => wait_for(tries).await,
                    Ok(KeyProbe::Missing) => return Err(exists_and_is_missing("s3:PutObject", &arn)),
                    _ => return Ok(PutOutcome::Exists),
                },
                // Another write of this key, or an earlier try of this one: who it was shows in what stands there then.
                S3ErrorKind::Busy if Instant::now() < conflict_ends => match self.look(&put.key).await {
                    Ok(KeyProbe::Found { .. }) => return Ok(PutOutcome::Exists),
                    _ => wait_for(tries).await,
                },
                S3ErrorKind::Corrupted(_) if tries < 2 => {}
                // As where an answer was lost: what stands there decides, and where nothing does it is sent again.
                S3ErrorKind::Senseless(error) => match self.look(&put.key).await {
                    Ok(KeyProbe::Found { .. }) => return Ok(PutOutcome::Exists),
                    _ if tries < TRIES => wait_for(tries).await,
                    _ => return Err(error),
                },
                S3ErrorKind::Unsupported(error) => return Err(self.unsupported(error).await),
                other => return Err(other.into_error("s3:PutObject", &arn)),
            }
        }
    }

    /// The ETag, or what S3 said instead.
    async fn put_once(&self, put: &PutRequest, checksum: &str, arn: &str) -> Result<Result<String, S3ErrorKind>, StalledTransfer> {
        let d = &self.destination;
        let transfer = Transfer::new(self.patience, put.body.len());
        let request = self
            .client
            .put_object()
            .bucket(d.bucket.name.as_str())
            .key(&put.key)
            .if_none_match("*")
            .checksum_sha256(checksum)
            .set_storage_class(self.storage_class(put.is_dump))
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(self.kms_key_id())
            .set_acl(self.acl())
            .set_tagging(self.tagging(&put.key))
            .set_object_lock_mode(self.lock_mode())
            .set_object_lock_retain_until_date(self.locked_until())
            .body(transfer.body(put.body.clone()));
        // The body is covered by its checksum, which is signed: hashing it once more for the signature adds nothing.
        let request = request.customize().disable_payload_signing();
        let call = request.interceptor(transfer.clone()).config_override(transfer.timeouts()).send();
        Ok(match transfer.watch(call).await? {
            Ok(answer) => put_answer::etag(&answer, checksum, &put.body, arn, &self.etags).map_err(|error| match error.code {
                // Other bytes stand under this name now: no look at their size makes them ours.
                Code::S3Integrity => S3ErrorKind::Failed(error),
                _ => S3ErrorKind::Senseless(error),
            }),
            // A success that cannot be read, such as half a page.
            Err(error) if error.raw_response().is_some_and(|answer| answer.status().is_success()) => {
                let meaning = S3ErrorKind::from_sdk(&error, "s3:PutObject", arn);
                Err(S3ErrorKind::Senseless(meaning.into_error("s3:PutObject", arn)))
            }
            Err(error) => Err(S3ErrorKind::from_sdk(&error, "s3:PutObject", arn)),
        })
    }

    /// Whether an object has exactly these bytes.
    pub async fn compare_object(&self, key: &str, bytes: &Bytes) -> ObjectMatch {
        let comparing = tokio::time::timeout(self.patience.call, self.compare(key, bytes));
        comparing.await.unwrap_or(ObjectMatch::Unknown)
    }

    async fn compare(&self, key: &str, bytes: &Bytes) -> ObjectMatch {
        let d = &self.destination;
        let request = self.client.get_object().bucket(d.bucket.name.as_str()).key(key);
        match request.send().await {
            // Not read: anyone who put it there chose its size.
            Ok(found) if found.content_length().is_some_and(|size| size.max(0) as u64 > bytes.len() as u64) => ObjectMatch::Other,
            Ok(found) => match (named(found.e_tag()).map(str::to_owned), has_bytes(found.body, bytes).await) {
                (Some(etag), Ok(true)) => ObjectMatch::Same { etag },
                (Some(_), Ok(false)) => ObjectMatch::Other,
                (None, _) | (_, Err(_)) => ObjectMatch::Unknown,
            },
            Err(error) => match S3ErrorKind::from_sdk(&error, "s3:GetObject", &self.arn(key)) {
                S3ErrorKind::NotFound => ObjectMatch::Missing,
                _ => ObjectMatch::Unknown,
            },
        }
    }

    /// A call with its retries and the whole of its answer. The SDK's own limits end with the head of an object, and what
    /// drips is not a stall to it.
    pub(super) async fn in_time<T>(&self, action: &str, arn: &str, call: impl Future<Output = Result<T>>) -> Result<T> {
        let answer = tokio::time::timeout(self.patience.call, call).await;
        answer.unwrap_or_else(|_| Err(too_slow(action, arn)))
    }

    /// As a policy names it.
    pub(super) fn arn(&self, key: &str) -> String {
        let bucket = self.bucket_arn();
        if self.destination.bucket.name.is_access_point() {
            format!("{bucket}/object/{key}")
        } else {
            format!("{bucket}/{key}")
        }
    }

    pub(super) fn bucket_arn(&self) -> String {
        match self.destination.bucket.name.as_str() {
            access_point if access_point.starts_with("arn:") => access_point.to_owned(),
            bucket => format!("arn:aws:s3:::{bucket}"),
        }
    }

    pub(super) fn storage_class(&self, is_dump: bool) -> Option<StorageClass> {
        let class = self.destination.storage_class.filter(|_| is_dump);
        class.map(|class| StorageClass::from(class.as_str()))
    }

    pub(super) fn encryption(&self) -> Option<ServerSideEncryption> {
        self.destination.encryption.map(|encryption| match encryption {
            Encryption::Aes256 => ServerSideEncryption::Aes256,
            Encryption::Kms => ServerSideEncryption::AwsKms,
            Encryption::KmsDsse => ServerSideEncryption::AwsKmsDsse,
        })
    }

    pub(super) fn kms_key_id(&self) -> Option<String> {
        self.destination.kms_key_id.as_ref().map(|key| key.as_str().to_owned())
    }

    pub(super) fn tagging(&self, key: &str) -> Option<String> {
        self.destination.tagging(key)
    }

    pub(super) fn acl(&self) -> Option<ObjectCannedAcl> {
        self.destination.acl.map(|acl| ObjectCannedAcl::from(acl.as_str()))
    }

    pub(super) fn lock_mode(&self) -> Option<ObjectLockMode> {
        let lock = self.destination.object_lock?;
        Some(if lock.compliance {
            ObjectLockMode::Compliance
        } else {
            ObjectLockMode::Governance
        })
    }

    pub(super) fn locked_until(&self) -> Option<DateTime> {
        let days = self.destination.object_lock?.days;
        Some(DateTime::from(SystemTime::now() + Duration::from_secs(u64::from(days) * 86_400)))
    }
}

/// An ETag, unless it is empty.
pub(super) fn named(etag: Option<&str>) -> Option<&str> {
    etag.filter(|etag| !etag.is_empty())
}

/// A success that is none: S3 names an ETag in each of these.
pub(super) fn no_etag(action: &str, arn: &str) -> Error {
    Error::new(Code::S3Unavailable, format!("{action} on {arn}: the answer names no ETag"))
}

/// Between two tries: 0.4 s, then twice as long each time, up to 13 s.
pub(super) async fn wait_for(tries: u32) {
    tokio::time::sleep(Duration::from_millis(200 << tries.min(6))).await;
}

pub(super) fn stalled(action: &str, arn: &str) -> Error {
    Error::new(
        Code::S3Unavailable,
        format!("{action} on {arn}: nothing moved any more, in several tries"),
    )
}

pub(super) fn too_slow(action: &str, arn: &str) -> Error {
    Error::new(Code::S3Unavailable, format!("{action} on {arn}: the answer did not end in time"))
}

/// A small text object, such as an event.
pub async fn read_text(env: &Env, bucket: &str, key: &str, limit: usize) -> Result<String> {
    let destination = Destination::reading(BucketName::of_location(bucket), env)?;
    let s3 = S3::open(&destination, env).await?;
    let arn = s3.arn(key);
    let reading = async {
        let request = s3.client.get_object().bucket(bucket).key(key).range(format!("bytes=0-{limit}"));
        let answer = request
            .send()
            .await
            .map_err(|error| match S3ErrorKind::from_sdk(&error, "s3:GetObject", &arn) {
                S3ErrorKind::NotFound => Error::new(Code::BadUsage, format!("--event: there is no object s3://{bucket}/{key}"))
                    .advise("Correct the key in --event: the bucket exists, and has no object of that name."),
                other => other.into_error("s3:GetObject", &arn),
            })?;
        let body = answer.body.collect().await;
        body.map_err(|error| Error::new(Code::S3Unavailable, format!("s3:GetObject on {arn}: {error}")))
    };
    let body = s3.in_time("s3:GetObject", &arn, reading).await?;
    String::from_utf8(body.into_bytes().to_vec()).map_err(|_| Error::new(Code::BadEvent, "the event is not UTF-8"))
}
