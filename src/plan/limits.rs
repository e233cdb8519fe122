//! How long the database may take before the dump starts. Without limits of ours a server that accepts a connection and
//! then says nothing would hold a backup forever.

use super::values;
use crate::error::{Code, Error, Result};
use crate::variables::Env;
use std::time::Duration;

/// The variable that shortens all of them together.
pub(crate) const VARIABLE: &str = "PGSEAL_LOGIN_TIMEOUT";

/// - `login`: one try of a login: name, TCP, TLS, startup and authentication;
/// - `query`: one query, as waited for here; the server itself is told three quarters of it;
/// - `all`: everything before the dump, for one database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub login: Duration,
    pub query: Duration,
    pub all: Duration,
}

impl Limits {
    pub(crate) const DEFAULT: Self = Self::from_login(Duration::from_secs(15));

    /// All in the proportion of 15 s to 20 s to 120 s.
    const fn from_login(login: Duration) -> Self {
        Self {
            login,
            query: login.saturating_mul(4).checked_div(3).unwrap(),
            all: login.saturating_mul(8),
        }
    }

    /// `PGSEAL_LOGIN_TIMEOUT` may shorten the limits, never lengthen them.
    pub(crate) fn from_env(env: &Env) -> Result<Self> {
        let Some(text) = env.get(VARIABLE) else {
            return Ok(Self::DEFAULT);
        };
        let wanted = || {
            Error::new(
                Code::BadEvent,
                format!("{VARIABLE} must be a time of 100ms to 15s with its unit, such as 5s"),
            )
        };
        let login = values::duration(VARIABLE, text).map_err(|_| wanted())?;
        let allowed = Duration::from_millis(100)..=Self::DEFAULT.login;
        allowed.contains(&login).then_some(Self::from_login(login)).ok_or_else(wanted)
    }

    /// What the server is told for one query: it ends before we stop waiting, so that it can say so.
    pub(crate) fn statement(&self) -> Duration {
        self.query * 3 / 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_can_be_shortened_and_not_lengthened() {
        let limits = |text: &str| Limits::from_env(&Env::from_iter([(VARIABLE, text)]));
        let seconds = |limits: Limits| [limits.login, limits.query, limits.statement(), limits.all].map(|limit| limit.as_millis());
        assert_eq!(seconds(limits("").unwrap()), [15_000, 20_000, 15_000, 120_000]);
        assert_eq!(seconds(limits("600ms").unwrap()), [600, 800, 600, 4_800]);
        for text in ["16s", "0s", "99ms", "5", "for ever", "-1s"] {
            assert_eq!(limits(text).unwrap_err().code, Code::BadEvent, "{text}");
        }
    }
}
