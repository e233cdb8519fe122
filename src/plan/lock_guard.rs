//! What is done if the dump blocks somebody.

use super::values;
use crate::error::{Code, Error, Result};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockGuard {
    /// Else it is told.
    pub ends: bool,
    /// For how long somebody may wait.
    pub limit: Duration,
}

impl LockGuard {
    /// `off`, or `warn:` or `end:` and a time such as 30s.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>> {
        let (ends, limit) = match text.split_once(':') {
            _ if text == "off" => return Ok(None),
            Some(("warn", limit)) => (false, limit),
            Some(("end", limit)) => (true, limit),
            _ => {
                let reason = "must be off, or warn or end with a time, such as warn:30s";
                return Err(Error::field(Code::BadEvent, "lock_guard", reason));
            }
        };
        let limit = values::duration("lock_guard", limit)?;
        Ok(Some(Self { ends, limit }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_warns_or_ends_after_a_time() {
        let guard = |text| LockGuard::parse(text).unwrap();
        assert_eq!(guard("off"), None);
        let limit = Duration::from_secs(30);
        assert_eq!(guard("warn:30s"), Some(LockGuard { ends: false, limit }));
        assert_eq!(guard("end:30s"), Some(LockGuard { ends: true, limit }));
        for text in ["", "on", "warn", "warn:", "warn:30", "end:0s", "kill:30s", "end:30s:"] {
            assert_eq!(LockGuard::parse(text).unwrap_err().field.as_deref(), Some("lock_guard"), "{text}");
        }
    }
}
