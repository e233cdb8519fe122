//! Where backups lie: `s3://bucket/prefix[/STEM]`, or a directory with the downloaded objects.

use crate::error::{Code, Error, Result};
use crate::plan::bucket::is_access_point;
use std::path::{Path, PathBuf};

/// What a connection string of libpq begins with.
const CONNECTION: &[&str] = &["host=", "hostaddr=", "dbname=", "user=", "password=", "port=", "service="];

/// By libpq's keys, or a login before a host.
fn is_connection(text: &str) -> bool {
    let host = text.split('/').next().unwrap_or_default();
    CONNECTION.iter().any(|key| text.starts_with(key)) || host.split_once('@').is_some_and(|(login, _)| login.contains(':'))
}

/// A place that a user named. Whether its last segment is a folder or a backup's stem shows when it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    S3 { bucket: String, path: String },
    Directory(PathBuf),
}

impl Location {
    /// The name of one of a backup's objects counts as the backup's.
    pub fn parse(text: &str) -> Result<Self> {
        let Some((bucket, path)) = split_url(text) else {
            return match text {
                "" => Err(bad("is empty: s3://bucket/prefix or a directory is needed")),
                _ if text.contains("://") => Err(bad("must be s3://bucket/prefix or a directory")),
                // Slips, and what the console copies.
                _ if text.starts_with("s3:") || text.starts_with("arn:aws") => {
                    Err(bad("looks like a place in S3, which is written s3://bucket/prefix"))
                }
                // Of it nothing is repeated: it may hold a password.
                _ if is_connection(text) && !Path::new(text).exists() => {
                    Err(bad("looks like a connection string, and must be s3://bucket/prefix or a directory"))
                }
                path => Ok(Self::Directory(PathBuf::from(path))),
            };
        };
        if bucket.contains('@') {
            return Err(bad(
                "holds a login: credentials come from a profile or the environment, and s3:// is followed by the bucket",
            ));
        }
        if bucket.is_empty() {
            return Err(bad("names no bucket: s3://bucket/prefix is needed"));
        }
        Ok(Self::S3 {
            bucket: bucket.to_owned(),
            path: path.trim_end_matches('/').to_owned(),
        })
    }

    /// The last of its names: of a folder for each server, the server's.
    pub(crate) fn last_name(&self) -> String {
        self.split().map_or_else(|| self.to_string(), |(_, name)| name)
    }

    /// What has this name in it.
    pub(crate) fn join(&self, name: &str) -> Self {
        match self {
            Self::S3 { bucket, path } => Self::S3 {
                bucket: bucket.clone(),
                path: if path.is_empty() {
                    name.to_owned()
                } else {
                    format!("{path}/{name}")
                },
            },
            Self::Directory(path) => Self::Directory(path.join(name)),
        }
    }

    /// The folder and the name in it, if the last segment is taken for a name.
    pub(crate) fn split(&self) -> Option<(Self, String)> {
        match self {
            Self::S3 { path, .. } if path.is_empty() => None,
            Self::S3 { bucket, path } => {
                let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
                let folder = Self::S3 {
                    bucket: bucket.clone(),
                    path: folder.to_owned(),
                };
                Some((folder, name.to_owned()))
            }
            Self::Directory(path) => {
                let name = path.file_name()?.to_str()?.to_owned();
                let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
                Some((Self::Directory(folder.to_owned()), name))
            }
        }
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::S3 { bucket, path } if path.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, path } => write!(f, "s3://{bucket}/{path}"),
            Self::Directory(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Bucket and key of `s3://BUCKET/KEY`; `None` of anything else. In a bucket's place may stand the ARN of an access point,
/// which may have slashes of its own.
pub fn split_url(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("s3://")?;
    let ends = rest.match_indices('/').map(|(end, _)| end).chain([rest.len()]);
    let bucket = match rest.starts_with("arn:") {
        true => ends.map(|end| &rest[..end]).find(|arn| is_access_point(arn)),
        false => None,
    };
    let bucket = bucket.unwrap_or_else(|| rest.split('/').next().unwrap_or_default());
    let key = rest[bucket.len()..].strip_prefix('/').unwrap_or_default();
    Some((bucket, key))
}

fn bad(reason: &str) -> Error {
    Error::field(Code::BadEvent, "location", reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_bucket_or_a_directory() {
        let s3 = |bucket: &str, path: &str| Location::S3 {
            bucket: bucket.into(),
            path: path.into(),
        };
        assert_eq!(Location::parse("s3://acme/a/b/").unwrap(), s3("acme", "a/b"));
        assert_eq!(Location::parse("s3://acme").unwrap(), s3("acme", ""));
        assert_eq!(Location::parse("some/dir").unwrap(), Location::Directory("some/dir".into()));
        for text in ["", "s3://", "s3:///x", "https://x/y", "host=db password=hunter2"] {
            assert_eq!(Location::parse(text).unwrap_err().code, Code::BadEvent, "{text}");
        }
    }

    /// A location was cut at its first slash, which may be one of the ARN's.
    #[test]
    fn an_access_point_is_a_bucket() {
        for arn in [
            "arn:aws:s3:eu-west-1:111122223333:accesspoint/acme",
            "arn:aws:s3:eu-west-1:111122223333:accesspoint:acme",
            "arn:aws:s3-outposts:us-west-2:111122223333:outpost/op-01/accesspoint/acme",
        ] {
            for path in ["", "backups", "backups/app_20261124T020000Z"] {
                let expected = Location::S3 {
                    bucket: arn.into(),
                    path: path.into(),
                };
                let text = expected.to_string();
                assert_eq!(Location::parse(&text).unwrap(), expected);
                assert_eq!(split_url(&format!("s3://{arn}/{path}")), Some((arn, path)));
            }
        }
    }

    #[test]
    fn the_last_segment_may_be_a_name() {
        let split = |text: &str| {
            Location::parse(text)
                .unwrap()
                .split()
                .map(|(folder, name)| (folder.to_string(), name))
        };
        assert_eq!(split("s3://acme/a/b"), Some(("s3://acme/a".into(), "b".into())));
        assert_eq!(split("s3://acme/b"), Some(("s3://acme".into(), "b".into())));
        assert_eq!(split("s3://acme"), None);
        assert_eq!(split("b"), Some((".".into(), "b".into())));
        assert_eq!(split("/x/b"), Some(("/x".into(), "b".into())));
    }
}
