//! The reading side: one folder of objects, in a bucket or in a directory, with the same promises for both.

use super::directory::Directory;
use super::memory::InMemoryStore;
use super::s3_reader::S3Reader;
use super::{Location, PutOutcome};
use crate::error::{Code, Error, Result};
use crate::variables::Env;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use time::OffsetDateTime;

/// One folder.
#[derive(Clone)]
pub enum Archive {
    S3(S3Reader),
    Directory(Directory),
    /// For tests.
    Memory(InMemoryStore),
}

/// An object of the folder, by its name there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectEntry {
    pub name: String,
    pub size: u64,
    /// When it was written, where that is known.
    pub modified: Option<OffsetDateTime>,
}

/// An object that stays the same while it is read, whatever happens to its name.
#[derive(Clone)]
pub struct PinnedObject {
    pub name: String,
    pub size: u64,
    /// What the store says of the bytes: base64 of their SHA-256, or of their parts' hashes with `-N` behind it.
    pub checksum: Option<String>,
    pub(super) at: ObjectVersion,
}

#[derive(Clone)]
pub(super) enum ObjectVersion {
    /// Version where the bucket has versions, ETag always.
    S3 {
        etag: Option<String>,
        version: Option<String>,
    },
    File(Arc<std::fs::File>),
    Memory(Bytes),
}

impl Archive {
    pub(crate) async fn open(location: &Location, env: &Env) -> Result<Self> {
        match location {
            Location::S3 { bucket, path } => Ok(Self::S3(S3Reader::open(bucket, path, env).await?)),
            Location::Directory(path) => Ok(Self::Directory(Directory::new(path))),
        }
    }

    /// Every object whose name begins so, sorted by name; folders within are left out.
    pub(crate) async fn list(&self, beginning: &str) -> Result<Vec<ObjectEntry>> {
        let mut listed = match self {
            Self::S3(reader) => reader.list(beginning).await?,
            Self::Directory(directory) => directory.list(beginning)?,
            Self::Memory(memory) => memory.list(beginning),
        };
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listed)
    }

    /// Fixes an object; `None` where there is none.
    pub async fn pin(&self, name: &str) -> Result<Option<PinnedObject>> {
        match self {
            Self::S3(reader) => reader.pin(name).await,
            Self::Directory(directory) => directory.pin(name),
            Self::Memory(memory) => Ok(memory.pin(name)),
        }
    }

    /// Exactly these bytes of what was pinned.
    pub(crate) async fn range(&self, pinned: &PinnedObject, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        match self {
            Self::S3(reader) => reader.range(pinned, range).await,
            Self::Directory(directory) => directory.range(pinned, range).await,
            Self::Memory(memory) => memory.range(pinned, range),
        }
    }

    /// The names of what lies deeper, a slash at the end of each.
    pub(crate) async fn folders(&self) -> Result<Vec<String>> {
        match self {
            Self::S3(reader) => reader.folders().await,
            Self::Directory(directory) => directory.folders(),
            Self::Memory(_) => Ok(Vec::new()),
        }
    }

    /// Tried without writing, where the store answers that; a directory says it when something is written.
    pub(crate) async fn must_take_objects(&self) -> Result<()> {
        match self {
            Self::S3(reader) => reader.must_take_objects().await,
            Self::Directory(_) | Self::Memory(_) => Ok(()),
        }
    }

    /// A small object, whole.
    pub(crate) async fn read(&self, name: &str, limit: u64) -> Result<Bytes> {
        let pinned = self.pin(name).await?.ok_or_else(|| missing(name))?;
        if pinned.size > limit {
            return Err(Error::new(
                Code::Tampered,
                format!("{name} has {} bytes; such an object has at most {limit}", pinned.size),
            ));
        }
        self.range(&pinned, 0..pinned.size).await
    }

    /// Removes an object; in a versioned bucket its versions stay until they expire.
    pub(crate) async fn delete(&self, name: &str) -> Result<()> {
        match self {
            Self::S3(reader) => reader.delete(name).await,
            Self::Directory(directory) => directory.delete(name),
            Self::Memory(memory) => {
                memory.delete(name);
                Ok(())
            }
        }
    }

    /// The same folder, whose new objects get the tags of this one.
    pub(crate) async fn with_tags_of(&self, name: &str) -> Result<Self> {
        match self {
            Self::S3(reader) => reader.with_tags_of(name).await.map(Self::S3),
            Self::Directory(_) | Self::Memory(_) => Ok(self.clone()),
        }
    }

    /// Writes a new object; never overwrites.
    pub(crate) async fn put_new(&self, name: &str, body: Bytes) -> Result<PutOutcome> {
        match self {
            Self::S3(reader) => reader.put_new(name, body).await,
            Self::Directory(directory) => directory.put_new(name, &body),
            Self::Memory(memory) => Ok(memory.put_new(name, body)),
        }
    }
}

/// An object that a manifest promises is not there.
pub fn missing(name: &str) -> Error {
    Error::new(Code::Tampered, format!("{name} is missing")).advise("Fetch all objects of the backup: all those whose names begin alike.")
}
