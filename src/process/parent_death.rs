//! Ties a child process to the thread that starts it: if that thread ends, in whatever way, the kernel kills the child.
//!
//! Without it a `pg_dump` that waits for a lock would outlive a killed parent.

#![allow(unsafe_code)] // pre_exec is unsafe: what runs between fork and exec must be async-signal-safe

use rustix::process::{Signal, set_parent_process_death_signal};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The child gets `signal` when the calling thread ends: call it on the thread that also waits for the child.
pub(crate) fn die_with_parent(signal: Signal, command: &mut Command) -> &mut Command {
    let start = move || set_parent_process_death_signal(Some(signal)).map_err(std::io::Error::from);
    // SAFETY: the closure makes one prctl(2) system call and touches no memory but its stack: no allocation, no lock.
    unsafe { command.pre_exec(start) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_dies_with_the_thread_that_started_it() {
        let mut child = std::thread::spawn(|| die_with_parent(Signal::KILL, Command::new("sleep").arg("1000")).spawn().unwrap())
            .join()
            .unwrap();
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
}
