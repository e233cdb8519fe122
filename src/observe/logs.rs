//! Logs on stderr: JSON lines for machines, plain lines for a person at a terminal.

use super::output::{VisibleStderr, stderr_is_terminal};
use crate::variables::Env;
use crate::variables::LEVELS;
use tracing_subscriber::filter::EnvFilter;

/// Starts logging. On Lambda its own settings count (`AWS_LAMBDA_LOG_FORMAT`, `AWS_LAMBDA_LOG_LEVEL`); elsewhere
/// `PGSEAL_LOG` names the level.
///
/// The libraries below never log more than warnings, whatever is asked: at their debug levels they print requests.
pub fn start(env: &Env) {
    let level = env
        .get("PGSEAL_LOG")
        .or(env.get("AWS_LAMBDA_LOG_LEVEL"))
        .map(|level| level.trim().to_ascii_lowercase());
    let level = match level.as_deref() {
        Some("fatal") => "error",
        // Another one in `PGSEAL_LOG` is refused as soon as anything can be said.
        level => level.filter(|level| LEVELS.contains(level)).unwrap_or("info"),
    };
    let libraries = if level == "error" { "error" } else { "warn" };
    // Both names come from the closed lists above.
    let filter = EnvFilter::new(format!("{libraries},pgseal={level}"));
    let plain = match env.get("AWS_LAMBDA_LOG_FORMAT") {
        Some(format) => !format.eq_ignore_ascii_case("json"),
        None => stderr_is_terminal(),
    };
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| VisibleStderr)
        .log_internal_errors(false)
        .with_target(false);
    // A second start, as in tests, changes nothing.
    let _ = if plain {
        logs.with_ansi(false).try_init()
    } else {
        logs.json().flatten_event(true).try_init()
    };
}
