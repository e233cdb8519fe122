//! What a filter has done so far, which must be known even if the dump does not go in.

use super::options::FilterChanges;
use crate::error::{Code, Error};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Names that an error holds.
const NAMED: usize = 5;

/// Holds the changes of a filter that ended without its [`Filtered`](super::Filtered).
#[derive(Clone, Debug, Default)]
pub(crate) struct UnfinishedChanges(Arc<Mutex<FilterChanges>>);

impl UnfinishedChanges {
    pub(crate) fn take_changes(&self) -> FilterChanges {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The changes of a filter; dropped before they were taken, they go where somebody may ask for them.
#[derive(Default)]
pub(super) struct ChangeRecorder {
    changes: FilterChanges,
    pub(super) unfinished: Option<UnfinishedChanges>,
}

impl ChangeRecorder {
    pub(super) fn take(&mut self) -> FilterChanges {
        self.unfinished = None;
        std::mem::take(&mut self.changes)
    }
}

impl Drop for ChangeRecorder {
    fn drop(&mut self) {
        if let Some(UnfinishedChanges(left)) = self.unfinished.take() {
            *left.lock().unwrap_or_else(PoisonError::into_inner) = std::mem::take(&mut self.changes);
        }
    }
}

impl Deref for ChangeRecorder {
    type Target = FilterChanges;

    fn deref(&self) -> &FilterChanges {
        &self.changes
    }
}

impl DerefMut for ChangeRecorder {
    fn deref_mut(&mut self) -> &mut FilterChanges {
        &mut self.changes
    }
}

impl FilterChanges {
    /// Not all that depends on a thing can be seen in a dump's words: what a function does, and casts that nobody wrote.
    pub(crate) fn likely_cause(&self, mut error: Error) -> Error {
        // Without its owner or comment a thing is there all the same.
        const ABOUT: [&str; 5] = ["owners", "privileges", "comments", "settings", "tablespaces"];
        let not_restored = self.not_restored.iter().map(|missing| &missing.what);
        let left_out = self
            .left_out
            .iter()
            .filter(|left| !ABOUT.contains(&left.what))
            .flat_map(|left| &left.names);
        let mut names: Vec<&str> = Vec::new();
        for name in not_restored.chain(left_out).take(10 * NAMED) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        if error.code == Code::RestoreFailed && !names.is_empty() {
            let more = names.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let names = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
            error.message = format!("{}; it may need what was left out before: {names}{more}", error.message);
        }
        error
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Filter, FilterOptions};
    use super::*;
    use crate::error::Result;
    use crate::pipeline::{BufferSink, Stage};

    const DUMP: &[u8] = b"CREATE EVENT TRIGGER audit ON ddl_command_start EXECUTE FUNCTION public.f();\nSELECT 1;\n";

    fn filter<S: Stage>(below: S, unfinished: &UnfinishedChanges) -> Filter<S> {
        let options = FilterOptions {
            superuser_only: true,
            ..FilterOptions::default()
        };
        Filter::new(options, below).recording(unfinished)
    }

    /// Ends like a psql that met an error.
    struct FailingWriter;

    impl Stage for FailingWriter {
        type Done = ();

        fn put(&mut self, _: &[u8]) -> Result<()> {
            Ok(())
        }

        fn finish(self) -> Result<()> {
            Err(Error::new(Code::RestoreFailed, "ERROR: no"))
        }
    }

    #[test]
    fn what_was_left_out_is_known_though_the_dump_did_not_go_in() {
        let unfinished = UnfinishedChanges::default();
        let mut failing = filter(FailingWriter, &unfinished);
        failing.put(DUMP).unwrap();
        let error = failing.finish().unwrap_err();
        let changes = unfinished.take_changes();
        assert_eq!(changes.not_restored[0].what, "EVENT TRIGGER audit");
        let told = changes.likely_cause(error).message;
        assert_eq!(told, "ERROR: no; it may need what was left out before: EVENT TRIGGER audit");
        let other = changes.likely_cause(Error::new(Code::Tampered, "no"));
        assert_eq!(other.message, "no");
    }

    #[test]
    fn what_a_whole_dump_lacked_is_told_once() {
        let unfinished = UnfinishedChanges::default();
        let mut whole = filter(BufferSink::default(), &unfinished);
        whole.put(DUMP).unwrap();
        assert_eq!(whole.finish().unwrap().changes.not_restored.len(), 1);
        assert_eq!(unfinished.take_changes(), FilterChanges::default());
    }
}
