//! Where backups lie: `s3://bucket/prefix[/STEM]`, or a directory with the downloaded objects.

use crate::error::{Code, Error, Result};
use std::path::{Path, PathBuf};

/// A place that a user named. Whether its last segment is a folder or a backup's stem shows when it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    S3 { bucket: String, path: String },
    Directory(PathBuf),
}

impl Location {
    /// The name of one of a backup's objects counts as the backup's.
    pub fn parse(text: &str) -> Result<Self> {
        let Some(rest) = text.strip_prefix("s3://") else {
            return match text {
                "" => Err(bad("is empty: s3://bucket/prefix or a directory is needed")),
                _ if text.contains("://") => Err(bad("must be s3://bucket/prefix or a directory")),
                path => Ok(Self::Directory(PathBuf::from(path))),
            };
        };
        let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(bad("names no bucket: s3://bucket/prefix is needed"));
        }
        Ok(Self::S3 {
            bucket: bucket.to_owned(),
            path: path.trim_end_matches('/').to_owned(),
        })
    }

    /// The folder and the name in it, if the last segment is taken for a name.
    pub fn split(&self) -> Option<(Self, String)> {
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
        for text in ["", "s3://", "s3:///x", "https://x/y"] {
            assert_eq!(Location::parse(text).unwrap_err().code, Code::BadEvent, "{text}");
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
