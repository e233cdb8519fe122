//! A folder of objects in memory, for tests of the restore pipeline: what they change costs neither a disk nor a server.

use super::PutOutcome;
use super::archive::{ObjectEntry, ObjectVersion, PinnedObject};
use crate::error::{Code, Error, Result};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

/// Clones share their objects.
#[derive(Clone, Default)]
pub struct InMemoryStore(Arc<Mutex<BTreeMap<String, Bytes>>>);

impl InMemoryStore {
    pub fn new(objects: BTreeMap<String, Bytes>) -> Self {
        Self(Arc::new(Mutex::new(objects)))
    }

    pub(crate) fn list(&self, beginning: &str) -> Vec<ObjectEntry> {
        let objects = self.objects();
        let listed = objects.iter().filter(|(name, _)| name.starts_with(beginning));
        let listed = listed.map(|(name, body)| ObjectEntry {
            name: name.clone(),
            size: body.len() as u64,
            modified: None,
        });
        listed.collect()
    }

    pub(crate) fn pin(&self, name: &str) -> Option<PinnedObject> {
        let body = self.objects().get(name)?.clone();
        Some(PinnedObject {
            name: name.to_owned(),
            size: body.len() as u64,
            checksum: None,
            at: ObjectVersion::Memory(body),
        })
    }

    pub(crate) fn range(&self, pinned: &PinnedObject, range: Range<u64>) -> Result<Bytes> {
        let ObjectVersion::Memory(body) = &pinned.at else {
            return Err(Error::new(Code::Bug, "an object of elsewhere was looked for in memory"));
        };
        if range.end > body.len() as u64 {
            return Err(Error::new(Code::Tampered, format!("{} is shorter than it was", pinned.name)));
        }
        Ok(body.slice(range.start as usize..range.end as usize))
    }

    pub(crate) fn delete(&self, name: &str) {
        self.objects().remove(name);
    }

    pub(crate) fn put_new(&self, name: &str, body: Bytes) -> PutOutcome {
        let mut objects = self.objects();
        if objects.contains_key(name) {
            return PutOutcome::Exists;
        }
        objects.insert(name.to_owned(), body);
        PutOutcome::Stored { etag: String::new() }
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        // Anyone who panicked while it held the lock had finished its one change, or made none.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pinned_stays_and_nothing_is_overwritten() {
        let memory = InMemoryStore::default();
        assert_eq!(
            memory.put_new("a.enc", Bytes::from_static(b"first")),
            PutOutcome::Stored { etag: String::new() }
        );
        assert_eq!(memory.put_new("a.enc", Bytes::from_static(b"other")), PutOutcome::Exists);
        let pinned = memory.pin("a.enc").unwrap();
        memory.objects().clear();
        assert_eq!(memory.range(&pinned, 1..5).unwrap(), "irst");
        assert_eq!(memory.range(&pinned, 1..6).unwrap_err().code, Code::Tampered);
        assert!(memory.pin("a.enc").is_none());
        assert!(memory.list("a").is_empty());
    }
}
