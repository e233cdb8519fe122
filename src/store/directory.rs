//! A directory with the downloaded objects of one or more backups.

use super::archive::{ObjectEntry, ObjectVersion, PinnedObject};
use super::{NewFile, PutOutcome};
use crate::error::{Code, Error, Result};
use bytes::Bytes;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use time::OffsetDateTime;

#[derive(Clone)]
pub struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(crate) fn list(&self, beginning: &str) -> Result<Vec<ObjectEntry>> {
        let failed = |error| unreadable(&self.0, &error);
        let mut listed = Vec::new();
        for entry in std::fs::read_dir(&self.0).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // Names of objects are UTF-8: another one is none of ours.
            let Ok(name) = entry.file_name().into_string() else { continue };
            // What a link points at counts, as for every tool.
            let Ok(facts) = std::fs::metadata(entry.path()) else { continue };
            if name.starts_with(beginning) && facts.is_file() {
                listed.push(ObjectEntry {
                    name,
                    size: facts.len(),
                    modified: facts.modified().ok().map(OffsetDateTime::from),
                });
            }
        }
        Ok(listed)
    }

    pub(crate) fn folders(&self) -> Result<Vec<String>> {
        let failed = |error| unreadable(&self.0, &error);
        let mut folders = Vec::new();
        for entry in std::fs::read_dir(&self.0).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if let (true, Ok(name)) = (entry.path().is_dir(), entry.file_name().into_string()) {
                folders.push(format!("{name}/"));
            }
        }
        folders.sort();
        Ok(folders)
    }

    pub(crate) fn pin(&self, name: &str) -> Result<Option<PinnedObject>> {
        let path = self.0.join(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(&path, &error)),
        };
        let size = file.metadata().map_err(|error| unreadable(&path, &error))?.len();
        Ok(Some(PinnedObject {
            name: name.to_owned(),
            size,
            checksum: None,
            at: ObjectVersion::File(Arc::new(file)),
        }))
    }

    pub(crate) async fn range(&self, pinned: &PinnedObject, range: Range<u64>) -> Result<Bytes> {
        let ObjectVersion::File(file) = &pinned.at else {
            return Err(Error::new(Code::Bug, "an object of S3 was looked for in a directory"));
        };
        let (file, path) = (file.clone(), self.0.join(&pinned.name));
        let read = move || {
            let mut bytes = vec![0; (range.end - range.start) as usize];
            file.read_exact_at(&mut bytes, range.start).map(|()| Bytes::from(bytes))
        };
        let read = tokio::task::spawn_blocking(read)
            .await
            .map_err(|error| Error::new(Code::Bug, error.to_string()))?;
        read.map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => Error::new(Code::Tampered, format!("{} became shorter while it was read", path.display())),
            _ => unreadable(&path, &error),
        })
    }

    pub(crate) fn delete(&self, name: &str) -> Result<()> {
        let path = self.0.join(name);
        std::fs::remove_file(&path).map_err(|error| {
            Error::new(Code::OutputFailed, format!("{} cannot be removed: {error}", path.display()))
                .advise("Let this user delete in that folder. What stands before it in the answer is removed.")
        })
    }

    pub(crate) fn put_new(&self, name: &str, body: &[u8]) -> Result<PutOutcome> {
        let path = self.0.join(name);
        let failed = |error| {
            let error = Error::new(Code::OutputFailed, format!("{} cannot be written: {error}", path.display()));
            error.advise("Make room there, or let this user write to that folder.")
        };
        // For its owner alone; no link that has the name is followed, and no file replaced.
        let mut file = NewFile::create(&path, 0o600).map_err(failed)?;
        file.write_all(body).map_err(failed)?;
        match file.publish() {
            Ok(()) => Ok(PutOutcome::Stored { etag: String::new() }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(PutOutcome::Exists),
            Err(error) => Err(failed(error)),
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(Code::BadUsage, format!("{} cannot be read: {error}", path.display())).advise(
        "A place in S3 begins with s3://, such as s3://BUCKET/PREFIX; of a folder, see that it is there and that this user may read it.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// The partial file had a name that anyone could foresee, and was opened through whatever link had it.
    #[test]
    fn no_link_in_a_shared_folder_is_followed_and_no_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other");
        std::fs::write(&other, "theirs").unwrap();
        for name in [".a.enc.partial", "b.enc"] {
            std::os::unix::fs::symlink(&other, folder.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink(folder.path().join("nowhere"), folder.path().join("c.enc")).unwrap();
        let directory = Directory::new(folder.path());
        assert_ne!(directory.put_new("a.enc", b"ours").unwrap(), PutOutcome::Exists);
        for taken in ["b.enc", "c.enc"] {
            assert_eq!(directory.put_new(taken, b"ours").unwrap(), PutOutcome::Exists, "{taken}");
        }
        assert_eq!(std::fs::read(&other).unwrap(), b"theirs");
        assert!(!folder.path().join("nowhere").exists());
        assert!(folder.path().join("a.enc").symlink_metadata().unwrap().is_file());
    }

    #[tokio::test]
    async fn what_was_pinned_stays_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::new(folder.path());
        assert_eq!(
            directory.put_new("a.enc", b"first").unwrap(),
            PutOutcome::Stored { etag: String::new() }
        );
        assert_eq!(directory.put_new("a.enc", b"other").unwrap(), PutOutcome::Exists);
        let pinned = directory.pin("a.enc").unwrap().unwrap();
        std::fs::remove_file(folder.path().join("a.enc")).unwrap();
        directory.put_new("a.enc", b"second").unwrap();
        assert_eq!(directory.range(&pinned, 1..5).await.unwrap(), "irst");
        assert_eq!(directory.range(&pinned, 1..6).await.unwrap_err().code, Code::Tampered);
        assert!(directory.pin("b.enc").unwrap().is_none());
        // Nothing half-written is left, and what is written is for its owner alone.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let mode = std::fs::metadata(folder.path().join("a.enc")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let names: Vec<String> = directory.list("a").unwrap().into_iter().map(|listed| listed.name).collect();
        assert_eq!(names, ["a.enc"]);
    }
}
