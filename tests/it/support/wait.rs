//! Waiting for what another process is about to do: by looking again, never by sleeping for a time that should suffice.

use std::time::{Duration, Instant};

/// After this it does not come any more. A machine that does ten other things needs most of it, and a test that passes none.
pub const PATIENCE: Duration = Duration::from_secs(300);

pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let bound = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < bound, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
