//! What a filter has done so far, which must be known even if the dump does not go in.

use super::options::Changes;
use crate::error::{Code, Error};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Names that an error holds.
const NAMED: usize = 5;

/// Holds the changes of a filter that ended without its [`Filtered`](super::Filtered).
#[derive(Clone, Debug, Default)]
pub struct Unfinished(Arc<Mutex<Changes>>);

impl Unfinished {
    pub fn take(&self) -> Changes {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The changes of a filter; dropped before they were taken, they go where somebody may ask for them.
#[derive(Default)]
pub(super) struct Recorded {
    changes: Changes,
    pub(super) unfinished: Option<Unfinished>,
}

impl Recorded {
    pub(super) fn take(&mut self) -> Changes {
        self.unfinished = None;
        std::mem::take(&mut self.changes)
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        if let Some(Unfinished(left)) = self.unfinished.take() {
            *left.lock().unwrap_or_else(PoisonError::into_inner) = std::mem::take(&mut self.changes);
        }
    }
}

impl Deref for Recorded {
    type Target = Changes;

    fn deref(&self) -> &Changes {
        &self.changes
    }
}

impl DerefMut for Recorded {
    fn deref_mut(&mut self) -> &mut Changes {
        &mut self.changes
    }
}

impl Changes {
    /// Not all that depends on a thing can be seen in a dump's words: what a function does, and casts that nobody wrote.
    pub fn likely_cause(&self, mut error: Error) -> Error {
        // Without its owner or comment a thing is there all the same.
        const ABOUT: [&str; 5] = ["owners", "privileges", "comments", "settings", "tablespaces"];
        let not_restored = self.not_restored.iter().map(|missing| &missing.what);
        let left_out = self
            .left_out
            .iter()
            .filter(|left| !ABOUT.contains(&left.what))
            .flat_map(|left| &left.names);
        let names: Vec<&str> = not_restored.chain(left_out).map(String::as_str).collect();
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
    use crate::pipeline::{Memory, Stage};

    const DUMP: &[u8] = b"CREATE EVENT TRIGGER audit ON ddl_command_start EXECUTE FUNCTION public.f();\nSELECT 1;\n";

    fn filter<S: Stage>(below: S, unfinished: &Unfinished) -> Filter<S> {
        let options = FilterOptions {
            superuser_only: true,
            ..FilterOptions::default()
        };
        Filter::new(options, below).recording(unfinished)
    }

    /// Ends like a psql that met an error.
    struct Ends;

    impl Stage for Ends {
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
        let unfinished = Unfinished::default();
        let mut failing = filter(Ends, &unfinished);
        failing.put(DUMP).unwrap();
        let error = failing.finish().unwrap_err();
        let changes = unfinished.take();
        assert_eq!(changes.not_restored[0].what, "EVENT TRIGGER audit");
        let told = changes.likely_cause(error).message;
        assert_eq!(told, "ERROR: no; it may need what was left out before: EVENT TRIGGER audit");
        let other = changes.likely_cause(Error::new(Code::Tampered, "no"));
        assert_eq!(other.message, "no");
    }

    #[test]
    fn what_a_whole_dump_lacked_is_told_once() {
        let unfinished = Unfinished::default();
        let mut whole = filter(Memory::default(), &unfinished);
        whole.put(DUMP).unwrap();
        assert_eq!(whole.finish().unwrap().changes.not_restored.len(), 1);
        assert_eq!(unfinished.take(), Changes::default());
    }
}
