//! Whether an object is there, for a role that may do little.

use super::S3;
use super::s3::{named, no_etag};
use super::s3_error::S3ErrorKind;
use crate::error::{Code, Error, Result};
use aws_sdk_s3::types::{ChecksumType, CompletedMultipartUpload, CompletedPart};

/// What a look at one key came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyProbe {
    Found {
        size: u64,
        etag: String,
    },
    Missing,
    /// The role may neither look at the object nor list the bucket.
    Forbidden,
}

/// What a look at the bucket came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BucketProbe {
    Found,
    /// The role may not look: why.
    Forbidden(String),
}

impl S3 {
    /// By HeadObject; where that is denied, as the documented policy denies it for a dump, by ListObjectsV2.
    pub async fn look(&self, key: &str) -> Result<KeyProbe> {
        let (action, arn) = ("s3:GetObject (HeadObject)", self.arn(key));
        match self.head_object(key).send().await {
            Ok(found) => match named(found.e_tag()) {
                Some(etag) => Ok(KeyProbe::Found {
                    size: found.content_length().unwrap_or_default().max(0) as u64,
                    etag: etag.to_owned(),
                }),
                // Anyone who stands in S3's place and says yes to everything knows no ETag.
                None => Err(no_etag(action, &arn)),
            },
            Err(error) => match S3ErrorKind::from_sdk(&error, action, &arn) {
                S3ErrorKind::NotFound => Ok(KeyProbe::Missing),
                S3ErrorKind::Denied(_) => self.look_in_list(key).await,
                other => Err(other.into_error(action, &arn)),
            },
        }
    }

    /// A key is the first of those that begin with it.
    async fn look_in_list(&self, key: &str) -> Result<KeyProbe> {
        let d = &self.destination;
        let (action, arn) = ("s3:ListBucket (ListObjectsV2)", self.bucket_arn());
        let request = self.client.list_objects_v2().bucket(d.bucket.name.as_str()).prefix(key).max_keys(1);
        match request.send().await {
            // A list names the bucket that it is of, or it is none.
            Ok(listed) if listed.name().is_none() => {
                Err(Error::new(Code::S3Unavailable, format!("{action} on {arn}: the answer is no list")))
            }
            Ok(listed) => {
                let found = listed.contents().iter().find(|object| object.key() == Some(key));
                Ok(found.map_or(KeyProbe::Missing, |object| KeyProbe::Found {
                    size: object.size().unwrap_or_default().max(0) as u64,
                    etag: object.e_tag().unwrap_or_default().to_owned(),
                }))
            }
            Err(error) => match S3ErrorKind::from_sdk(&error, action, &arn) {
                S3ErrorKind::Denied(_) => Ok(KeyProbe::Forbidden),
                other => Err(other.into_error(action, &arn)),
            },
        }
    }
}

/// Headers without which nothing protects a backup, and what one of them is for.
#[derive(Clone, Copy)]
enum RequiredHeader {
    Condition,
    Checksum,
}

/// What was found out about conditional writes.
pub enum ConditionalSupport {
    Supported,
    /// Why it could not be told.
    NotChecked(String),
}

impl S3 {
    /// Asks whether this server has what our writes need, without writing: it completes an upload that does not exist. Who
    /// knows the headers says so (`NoSuchUpload`), and who does not answers 501. An error is what every write would meet.
    pub(crate) async fn support(&self) -> Result<ConditionalSupport> {
        match self.complete_nothing(&self.probe_key(), RequiredHeader::Condition).await {
            S3ErrorKind::NoUpload => {}
            S3ErrorKind::Unsupported(error) => return Err(lacking(error, RequiredHeader::Condition)),
            S3ErrorKind::BadCredentials(error) => return Err(error),
            other => {
                let error = other.into_error("s3:PutObject (CompleteMultipartUpload)", &self.arn(&self.probe_key()));
                return Ok(ConditionalSupport::NotChecked(format!("{}: {}", error.code.name(), error.message)));
            }
        }
        match self.complete_nothing(&self.probe_key(), RequiredHeader::Checksum).await {
            S3ErrorKind::Unsupported(error) => Err(lacking(error, RequiredHeader::Checksum)),
            _ => Ok(ConditionalSupport::Supported),
        }
    }

    /// Whether a folder takes what we write, by completing an upload that there is not: nothing is left there.
    pub(crate) async fn must_take(&self, folder: &str) -> Result<()> {
        // As reports of drills are named: a role that may leave nothing else there must not be refused here.
        let key = format!("{folder}pgseal-check.drill-check");
        match self.complete_nothing(&key, RequiredHeader::Condition).await {
            S3ErrorKind::Unsupported(error) => Err(lacking(error, RequiredHeader::Condition)),
            S3ErrorKind::Denied(error) | S3ErrorKind::BadCredentials(error) => Err(error),
            _ => Ok(()),
        }
    }

    /// A 501 to one of our writes, which carry both headers, with the name of the one that is not known.
    pub(super) async fn unsupported(&self, error: Error) -> Error {
        for needed in [RequiredHeader::Condition, RequiredHeader::Checksum] {
            if let S3ErrorKind::Unsupported(_) = self.complete_nothing(&self.probe_key(), needed).await {
                return lacking(error, needed);
            }
        }
        // It knows both where nothing is written: what it lacks here only it can say.
        let either = "something that every write of a backup has (conditional writes by If-None-Match, or checksums)";
        lacking_named(error, either)
    }

    fn probe_key(&self) -> String {
        match self.destination.prefix.as_str() {
            "" => "pgseal-check".to_owned(),
            prefix => format!("{prefix}/pgseal-check"),
        }
    }

    async fn complete_nothing(&self, key: &str, needed: RequiredHeader) -> S3ErrorKind {
        let d = &self.destination;
        let part = CompletedPart::builder().part_number(1).e_tag("d41d8cd98f00b204e9800998ecf8427e");
        let request = self
            .client
            .complete_multipart_upload()
            .bucket(d.bucket.name.as_str())
            .key(key)
            .upload_id("pgseal-check-no-such-upload")
            .multipart_upload(CompletedMultipartUpload::builder().parts(part.build()).build());
        let request = match needed {
            RequiredHeader::Condition => request.if_none_match("*"),
            RequiredHeader::Checksum => request.checksum_type(ChecksumType::Composite),
        };
        let action = "s3:PutObject (CompleteMultipartUpload)";
        match request.send().await {
            Ok(_) => S3ErrorKind::Failed(Error::new(
                Code::S3Unavailable,
                "an upload that does not exist was completed: this is no S3",
            )),
            Err(error) => S3ErrorKind::from_sdk(&error, action, &self.arn(key)),
        }
    }
}

fn lacking(error: Error, needed: RequiredHeader) -> Error {
    lacking_named(
        error,
        match needed {
            RequiredHeader::Condition => "conditional writes (the header If-None-Match)",
            RequiredHeader::Checksum => "checksums (the headers x-amz-checksum-…)",
        },
    )
}

fn lacking_named(mut error: Error, lack: &str) -> Error {
    error.message = format!("this endpoint lacks {lack}: {}", error.message);
    error
}
