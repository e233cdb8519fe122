//! As many bytes as were promised, no more and no fewer: a bomb is stopped at the limit, a stream that lacks its end is found.

use super::Stage;
use crate::error::{Code, Error, Result};

/// Lets exactly the promised bytes pass; as many as come, where nothing was promised.
pub struct Exact<S> {
    promised: Option<u64>,
    passed: u64,
    below: S,
}

impl<S: Stage> Exact<S> {
    pub fn new(promised: Option<u64>, below: S) -> Self {
        Self {
            promised,
            passed: 0,
            below,
        }
    }
}

impl<S: Stage> Stage for Exact<S> {
    type Done = S::Done;

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.passed += bytes.len() as u64;
        match self.promised {
            Some(promised) if self.passed > promised => Err(tampered(promised, "more than")),
            _ => self.below.put(bytes),
        }
    }

    fn finish(self) -> Result<S::Done> {
        match self.promised {
            Some(promised) if self.passed != promised => Err(tampered(promised, "fewer than")),
            _ => self.below.finish(),
        }
    }
}

fn tampered(promised: u64, how: &str) -> Error {
    Error::new(
        Code::Tampered,
        format!("the dump has {how} the {promised} bytes that its manifest promises"),
    )
}
