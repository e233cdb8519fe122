//! What is there already: listed, read, and compared with what should be there. An object's name proves nothing.

use super::etag_kind::EtagVerdict;
use super::pages::Pages;
use super::s3::named;
use super::s3_error::S3ErrorKind;
use super::{ObjectMatch, S3};
use crate::error::{Code, Error, Result};
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::primitives::DateTime;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::{Bytes, BytesMut};
use std::time::Duration;
use time::OffsetDateTime;

/// Tries of one small object whose body broke off: the SDK repeats requests, not bodies.
const TRIES: u32 = 5;
/// More than all the attempts at one backup leave. A bound, since anyone who may write to the bucket can add some.
const LISTING_LIMIT: usize = 20_000;

/// An object as a listing has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    pub key: String,
    pub size: u64,
    /// Without quotes; absent where the server names none.
    pub etag: Option<String>,
    /// By the server's clock.
    pub last_modified: Option<OffsetDateTime>,
}

/// What came of asking for a small object.
#[derive(Clone, Debug)]
pub enum FetchOutcome {
    Found {
        bytes: Bytes,
        etag: Option<String>,
        last_modified: Option<OffsetDateTime>,
    },
    Missing,
    /// It has so many bytes: more than it may have.
    TooLarge(u64),
    /// The role may not read it.
    Denied(Error),
}

/// Whether what stands under a key are these bytes, and how far that could be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ObjectIdentity {
    Same {
        etag: String,
    },
    /// It may not be read; its size is the same, and its ETag is no hash of its bytes that would say more.
    SameSize {
        etag: String,
    },
    Other,
    Missing,
    /// Neither read nor listed.
    Unknown,
}

/// A success that cannot be read: empty, cut, or of somebody who stands between.
fn is_senseless<E>(error: &SdkError<E, HttpResponse>) -> bool {
    let is_success = error.raw_response().is_some_and(|response| response.status().is_success());
    matches!(error, SdkError::ResponseError(_)) || is_success
}

impl S3 {
    /// Every object whose key begins so; an inner error where the role may not list.
    pub async fn list_under(&self, beginning: &str) -> Result<Result<Vec<ListedObject>>> {
        let arn = self.bucket_arn();
        let mut listed = Vec::new();
        let mut pages = Pages::default();
        loop {
            let page = self
                .in_time("s3:ListBucket", &arn, self.page(beginning, pages.token(), &arn))
                .await?;
            let page = match page {
                Ok(page) => page,
                Err(denied) => return Ok(Err(denied)),
            };
            for object in page.contents() {
                let Some(key) = object.key().filter(|key| key.starts_with(beginning)) else {
                    continue;
                };
                listed.push(ListedObject {
                    key: key.to_owned(),
                    size: object.size().unwrap_or_default().max(0) as u64,
                    etag: plain(object.e_tag()),
                    last_modified: object.last_modified().and_then(moment),
                });
            }
            if listed.len() > LISTING_LIMIT {
                return Err(Error::new(
                    Code::StemTaken,
                    format!("more than {LISTING_LIMIT} objects are under {beginning}: no backup makes so many"),
                ));
            }
            if !pages.turn(&page, &arn)? {
                return Ok(Ok(listed));
            }
        }
    }

    /// One page of a list. An answer that came and cannot be read is none that the SDK asks for again.
    async fn page(&self, beginning: &str, token: Option<String>, arn: &str) -> Result<Result<ListObjectsV2Output>> {
        let d = &self.destination;
        let mut tries = 0;
        loop {
            let request = self.client.list_objects_v2().bucket(d.bucket.name.as_str()).prefix(beginning);
            let error = match request.set_continuation_token(token.clone()).send().await {
                Ok(page) => return Ok(Ok(page)),
                Err(error) => error,
            };
            if tries >= TRIES || !is_senseless(&error) {
                return match S3ErrorKind::from_sdk(&error, "s3:ListBucket", arn) {
                    S3ErrorKind::Denied(error) => Ok(Err(error)),
                    S3ErrorKind::NotFound => Err(Error::new(Code::S3NoBucket, format!("there is no bucket {}", d.bucket.name))),
                    other => Err(other.into_error("s3:ListBucket", arn)),
                };
            }
            tries += 1;
            tokio::time::sleep(Duration::from_millis(100 << tries)).await;
        }
    }

    /// A small object, whole.
    pub async fn fetch(&self, key: &str, limit: u64) -> Result<FetchOutcome> {
        self.in_time("s3:GetObject", &self.arn(key), self.try_to_fetch(key, limit)).await
    }

    async fn try_to_fetch(&self, key: &str, limit: u64) -> Result<FetchOutcome> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.fetch_once(key, limit).await {
                Err(error) if error.code == Code::S3Unavailable && tries < TRIES => {
                    tokio::time::sleep(Duration::from_millis(100 << tries)).await;
                }
                other => return other,
            }
        }
    }

    async fn fetch_once(&self, key: &str, limit: u64) -> Result<FetchOutcome> {
        let d = &self.destination;
        let arn = self.arn(key);
        let request = self.client.get_object().bucket(d.bucket.name.as_str()).key(key);
        let found = match request.send().await {
            Ok(found) => found,
            Err(error) => {
                return match S3ErrorKind::from_sdk(&error, "s3:GetObject", &arn) {
                    S3ErrorKind::NotFound => Ok(FetchOutcome::Missing),
                    S3ErrorKind::Denied(error) => Ok(FetchOutcome::Denied(error)),
                    other => Err(other.into_error("s3:GetObject", &arn)),
                };
            }
        };
        let broken = |reason: String| Error::new(Code::S3Unavailable, format!("s3:GetObject on {arn}: {reason}"));
        // Anyone who stands in S3's place and says yes to everything knows no ETag.
        if named(found.e_tag()).is_none() {
            return Err(broken("the answer names no ETag".to_owned()));
        }
        let (etag, last_modified) = (plain(found.e_tag()), found.last_modified().and_then(moment));
        let promised = found.content_length().unwrap_or_default().max(0) as u64;
        if promised > limit {
            return Ok(FetchOutcome::TooLarge(promised));
        }
        let mut bytes = BytesMut::new();
        let mut body = found.body;
        while let Some(piece) = body.try_next().await.map_err(|error| broken(error.to_string()))? {
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > limit {
                return Ok(FetchOutcome::TooLarge(bytes.len() as u64));
            }
        }
        if (bytes.len() as u64) < promised {
            return Err(broken(format!("{} bytes did not come", promised - bytes.len() as u64)));
        }
        Ok(FetchOutcome::Found {
            bytes: bytes.freeze(),
            etag,
            last_modified,
        })
    }

    /// Compares what stands under a key with these bytes: by reading it, else by what a listing says of it. The ETag of an
    /// object that no KMS key encrypts is its MD5.
    pub(crate) async fn identify(&self, key: &str, bytes: &Bytes) -> ObjectIdentity {
        match self.compare_object(key, bytes).await {
            ObjectMatch::Same { etag } => return ObjectIdentity::Same { etag },
            ObjectMatch::Other => return ObjectIdentity::Other,
            ObjectMatch::Missing => return ObjectIdentity::Missing,
            ObjectMatch::Unknown => {}
        }
        let Ok(Ok(listed)) = self.list_under(key).await else {
            return ObjectIdentity::Unknown;
        };
        let Some(found) = listed.into_iter().find(|listed| listed.key == key) else {
            return ObjectIdentity::Missing;
        };
        if found.size != bytes.len() as u64 {
            return ObjectIdentity::Other;
        }
        let etag = found.etag.map(|etag| format!("\"{etag}\"")).unwrap_or_default();
        match self.etags.judge(&etag, bytes) {
            EtagVerdict::Ours => ObjectIdentity::Same { etag },
            EtagVerdict::Others => ObjectIdentity::Other,
            EtagVerdict::Nothing => {
                self.etags.remember(key.to_owned(), &etag);
                ObjectIdentity::SameSize { etag }
            }
        }
    }

    /// What was taken by its size alone is held against what this server's ETags have turned out to be since.
    pub(crate) fn must_not_be_disproven(&self, keys: &[&str]) -> Result<()> {
        match self.etags.disproven(|key| keys.contains(&key)) {
            Some(key) => Err(self.is_not_what_was_sent(&key)),
            None => Ok(()),
        }
    }

    /// Of an object of this run's own name.
    pub(crate) fn is_not_what_was_sent(&self, key: &str) -> Error {
        Error::new(Code::S3Integrity, format!("{} is not what was sent", self.arn(key)))
    }
}

/// Without the quotes that it has in a header and in a listing.
fn plain(etag: Option<&str>) -> Option<String> {
    named(etag).map(|etag| etag.trim_matches('"').to_owned())
}

fn moment(time: &DateTime) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(time.secs()).ok()
}
