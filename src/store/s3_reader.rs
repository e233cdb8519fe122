//! A folder of a bucket: listed, pinned to versions or ETags, read by ranges.

use super::archive::{ObjectEntry, ObjectVersion, PinnedObject};
use super::pages::Pages;
use super::s3::too_slow;
use super::s3_error::S3ErrorKind;
use super::{ObjectMatch, PutOutcome, PutRequest, S3};
use crate::aws::ServiceError;
use crate::error::{Code, Error, Result};
use crate::plan::{BucketName, Destination};
use crate::variables::Env;
use aws_sdk_s3::types::ChecksumMode;
use bytes::{Bytes, BytesMut};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;

/// Tries of one range whose body broke off: the SDK repeats requests, not bodies.
const TRIES: u32 = 5;

/// An answer to HeadObject has no body that could say which of these it is.
const LOOK_DENIED: &str = "Allow s3:GetObject on the object, s3:GetObjectVersion where the bucket is versioned, and kms:Decrypt on the key of a bucket \
                           that KMS encrypts; s3:ListBucket, too, or an object that is missing looks like this.";

/// Which right it is, as far as S3 tells.
fn read_denied(message: &str, of_version: bool) -> &'static str {
    match (message.contains("kms:Decrypt"), of_version) {
        (true, _) => "Allow kms:Decrypt on the key that the bucket's objects are encrypted with, in the role and in the key's policy.",
        (false, true) => {
            "The bucket is versioned: allow s3:GetObjectVersion on the object, beside s3:GetObject (and kms:Decrypt on its key)."
        }
        (false, false) => "Allow s3:GetObject on the object, and kms:Decrypt on the key of a bucket that KMS encrypts.",
    }
}

#[derive(Clone)]
pub struct S3Reader {
    s3: Arc<S3>,
    /// Empty, or ends with a slash.
    folder: String,
}

impl S3Reader {
    pub(crate) async fn open(bucket: &str, path: &str, env: &Env) -> Result<Self> {
        Ok(Self {
            s3: Arc::new(S3::open(&Destination::reading(BucketName::of_location(bucket), env)?, env).await?),
            folder: if path.is_empty() { String::new() } else { format!("{path}/") },
        })
    }

    pub(crate) async fn list(&self, beginning: &str) -> Result<Vec<ObjectEntry>> {
        let d = &self.s3.destination;
        let arn = self.s3.bucket_arn();
        let mut listed = Vec::new();
        let mut pages = Pages::default();
        loop {
            let request = self
                .s3
                .client
                .list_objects_v2()
                .bucket(d.bucket.name.as_str())
                .prefix(format!("{}{beginning}", self.folder))
                .delimiter("/")
                .set_continuation_token(pages.token());
            let page = request.send().await;
            let page = page.map_err(|error| match S3ErrorKind::from_sdk(&error, "s3:ListBucket", &arn) {
                S3ErrorKind::NotFound => Error::new(Code::S3NoBucket, format!("there is no bucket {}", d.bucket.name)),
                other => other.into_error("s3:ListBucket", &arn),
            })?;
            for object in page.contents() {
                let Some(name) = object.key().and_then(|key| key.strip_prefix(self.folder.as_str())) else {
                    continue;
                };
                listed.push(ObjectEntry {
                    name: name.to_owned(),
                    size: object.size().unwrap_or_default().max(0) as u64,
                    modified: object
                        .last_modified()
                        .and_then(|time| OffsetDateTime::from_unix_timestamp(time.secs()).ok()),
                });
            }
            if !pages.turn(&page, &arn)? {
                return Ok(listed);
            }
        }
    }

    /// All of them.
    pub(crate) async fn folders(&self) -> Result<Vec<String>> {
        let d = &self.s3.destination;
        let arn = self.s3.bucket_arn();
        let (mut pages, mut all) = (Pages::default(), Vec::new());
        loop {
            let request = self.s3.client.list_objects_v2().bucket(d.bucket.name.as_str()).prefix(&self.folder);
            let page = request.delimiter("/").set_continuation_token(pages.token()).send().await;
            let page = page.map_err(|error| S3ErrorKind::from_sdk(&error, "s3:ListBucket", &arn).into_error("s3:ListBucket", &arn))?;
            let names = page
                .common_prefixes()
                .iter()
                .filter_map(|found| found.prefix()?.strip_prefix(&*self.folder));
            all.extend(names.map(str::to_owned));
            if !pages.turn(&page, &arn)? {
                break;
            }
        }
        Ok(all)
    }

    /// The bucket is there, in this region, and takes writes of ours, as far as it says so without an object.
    pub(crate) async fn must_take_objects(&self) -> Result<()> {
        self.s3.check_bucket().await?;
        self.s3.must_take(&self.folder).await
    }

    pub(crate) async fn pin(&self, name: &str) -> Result<Option<PinnedObject>> {
        let key = format!("{}{name}", self.folder);
        let request = self.s3.head_object(&key);
        match request.checksum_mode(ChecksumMode::Enabled).send().await {
            Ok(found) => Ok(Some(PinnedObject {
                name: name.to_owned(),
                size: found.content_length().unwrap_or_default().max(0) as u64,
                checksum: found.checksum_sha256().map(str::to_owned),
                at: ObjectVersion::S3 {
                    etag: found.e_tag().map(str::to_owned),
                    version: found.version_id().filter(|id| *id != "null").map(str::to_owned),
                },
            })),
            Err(error) => match S3ErrorKind::from_sdk(&error, "s3:GetObject (HeadObject)", &self.s3.arn(&key)) {
                S3ErrorKind::NotFound => Ok(None),
                S3ErrorKind::Denied(error) => Err(error.advise(LOOK_DENIED)),
                other => Err(other.into_error("s3:GetObject", &self.s3.arn(&key))),
            },
        }
    }

    pub(crate) async fn range(&self, pinned: &PinnedObject, range: Range<u64>) -> Result<Bytes> {
        let mut bytes = BytesMut::with_capacity((range.end - range.start) as usize);
        let mut tries = 0;
        loop {
            tries += 1;
            let from = range.start + bytes.len() as u64;
            // As long as the slowest link that may work takes for it: what drips would go on forever.
            let limit = self.s3.patience.whole(range.end - from);
            let reading = tokio::time::timeout(limit, self.rest_of(pinned, from..range.end, &mut bytes));
            let read = reading.await.unwrap_or_else(|_| {
                let arn = self.s3.arn(&format!("{}{}", self.folder, pinned.name));
                Err(too_slow("s3:GetObject", &arn))
            });
            match read {
                Ok(()) => return Ok(bytes.freeze()),
                Err(error) if error.code == Code::S3Unavailable && tries < TRIES => {
                    tokio::time::sleep(Duration::from_millis(100 << tries)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Adds what comes; after an error what came stays, and the next try goes on behind it.
    async fn rest_of(&self, pinned: &PinnedObject, range: Range<u64>, bytes: &mut BytesMut) -> Result<()> {
        let ObjectVersion::S3 { etag, version } = &pinned.at else {
            return Err(Error::new(Code::Bug, "a file was looked for in S3"));
        };
        let key = format!("{}{}", self.folder, pinned.name);
        let arn = self.s3.arn(&key);
        let action = if version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
        let broken = |reason: String| Error::new(Code::S3Unavailable, format!("{action} on {arn}: {reason}"));
        let request = self
            .s3
            .client
            .get_object()
            .bucket(self.s3.bucket())
            .key(&key)
            .set_if_match(etag.clone())
            .set_version_id(version.clone())
            .range(format!("bytes={}-{}", range.start, range.end - 1));
        let answer = request
            .send()
            .await
            .map_err(|error| match S3ErrorKind::from_sdk(&error, action, &arn) {
                S3ErrorKind::Denied(error) => {
                    let advice = read_denied(&error.message, version.is_some());
                    error.advise(advice)
                }
                S3ErrorKind::Exists => Error::new(Code::Tampered, format!("{arn} was replaced while it was read")),
                S3ErrorKind::NotFound => super::archive::missing(&pinned.name),
                other => other.into_error(action, &arn),
            })?;
        let mut body = answer.body;
        let mut left = range.end - range.start;
        while let Some(piece) = body.try_next().await.map_err(|error| broken(error.to_string()))? {
            let piece = &piece[..piece.len().min(left as usize)];
            bytes.extend_from_slice(piece);
            left -= piece.len() as u64;
        }
        if left > 0 {
            return Err(broken(format!("{left} bytes did not come")));
        }
        Ok(())
    }

    pub(crate) async fn delete(&self, name: &str) -> Result<()> {
        let key = format!("{}{name}", self.folder);
        let request = self.s3.client.delete_object().bucket(self.s3.bucket()).key(&key);
        let (action, arn) = ("s3:DeleteObject", self.s3.arn(&key));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(S3ErrorKind::from_sdk(&error, action, &arn).into_error(action, &arn)),
        }
    }

    pub(crate) async fn put_new(&self, name: &str, body: Bytes) -> Result<PutOutcome> {
        let put = PutRequest {
            key: format!("{}{name}", self.folder),
            body,
            is_dump: false,
        };
        let (key, body) = (put.key.clone(), put.body.clone());
        Ok(match self.s3.put(put).await? {
            // Perhaps ours, from a try whose answer was lost or was not S3's: that its bytes say.
            PutOutcome::Exists => match self.s3.compare_object(&key, &body).await {
                ObjectMatch::Same { etag } => PutOutcome::Stored { etag },
                _ => PutOutcome::Exists,
            },
            stored => stored,
        })
    }

    /// The same folder: what is written there from now on is kept as this object is, by lifecycle rules that go by tags. A
    /// server that knows no tags has no such rules.
    pub(crate) async fn with_tags_of(&self, name: &str) -> Result<Self> {
        let key = format!("{}{name}", self.folder);
        let request = self.s3.client.get_object_tagging().bucket(self.s3.bucket()).key(&key);
        let tags = match request.send().await {
            Ok(answer) => answer.tag_set,
            Err(error) if matches!(ServiceError::from_sdk(&error).status, Some(404 | 405 | 501)) => Vec::new(),
            Err(error) => {
                let (action, arn) = ("s3:GetObjectTagging", self.s3.arn(&key));
                return Err(S3ErrorKind::from_sdk(&error, action, &arn).into_error(action, &arn));
            }
        };
        let mut destination = self.s3.destination.clone();
        destination.set_tags(tags.into_iter().map(|tag| (tag.key, tag.value)));
        Ok(Self {
            s3: Arc::new(self.s3.with_destination(destination)),
            folder: self.folder.clone(),
        })
    }
}
