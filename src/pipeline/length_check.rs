//! As many bytes as were promised, no more and no fewer: a bomb is stopped at the limit, a stream that lacks its end is found.

use super::Stage;
use crate::error::{Code, Error, Result};

/// How many bytes an object may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthLimit {
    Exactly(u64),
    /// Where the backup does not say: no more than anyone would have.
    AtMost(u64),
    /// As many as its reader allows: more is no fault of the backup's.
    Allowed(u64),
    Any,
}

/// Lets as many bytes pass as an object may have.
pub(crate) struct LengthCheck<S> {
    promised: LengthLimit,
    passed: u64,
    below: S,
}

impl<S: Stage> LengthCheck<S> {
    pub(crate) fn new(promised: LengthLimit, below: S) -> Self {
        Self {
            promised,
            passed: 0,
            below,
        }
    }
}

impl<S: Stage> Stage for LengthCheck<S> {
    type Done = S::Done;

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.passed += bytes.len() as u64;
        match self.promised {
            LengthLimit::Exactly(promised) if self.passed > promised => Err(tampered(promised, "more than")),
            LengthLimit::AtMost(limit) if self.passed > limit => Err(Error::new(
                Code::Tampered,
                format!("the object has more than {limit} bytes of plaintext, which is the limit"),
            )),
            LengthLimit::Allowed(limit) if self.passed > limit => Err(Error::new(
                Code::BadUsage,
                format!("the dump has more than {limit} bytes, which --max-output allows"),
            )
            .advise(RAISE)),
            _ => self.below.put(bytes),
        }
    }

    fn finish(self) -> Result<S::Done> {
        match self.promised {
            LengthLimit::Exactly(promised) if self.passed != promised => Err(tampered(promised, "fewer than")),
            _ => self.below.finish(),
        }
    }
}

pub const RAISE: &str = "Give a larger --max-output, if you expect as much; a dump that has far more than its source is a bomb.";

fn tampered(promised: u64, how: &str) -> Error {
    Error::new(
        Code::Tampered,
        format!("the object has {how} the {promised} bytes of plaintext that were sealed"),
    )
}
