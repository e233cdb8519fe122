//! A child process as a reader whose end means that it exited, and how.
//!
//! One poll(2) watches all that can happen: output, words on stderr, the exit, a cancel, silence. Three traps decide its
//! shape: a cancel while the child is silent is reported as the cancel; a child that closes stdout and hangs ends in
//! seconds; a grandchild that holds the pipe is killed with the process group.

use super::group::{Ending, ProcessGroup, timespec};
use super::output::{ChildOutput, STDERR_LIMIT};
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::Signal;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a child may take to end after it closed its output.
const GRACE: Duration = Duration::from_secs(5);
/// Left to the child after all that there was has been read, unless it ends: far less than it needs to fill the pipe, and
/// far more than from one of its small writes to the next, each of which would wake us.
const READ_COALESCE_DELAY: Duration = Duration::from_micros(500);

/// A running child. Dropped, it is ended (`pg_dump` then cancels its query on the server) and reaped.
pub(crate) struct ChildReader {
    /// For people.
    name: String,
    process: ProcessGroup,
    stdout: ChildStdout,
    stderr: ChildOutput,
    cancel: Cancel,
    stall: Duration,
    /// Beside that, before the first byte.
    patience: Duration,
    /// The last read took all that there was.
    emptied: bool,
}

impl ChildReader {
    /// Starts `command` with `files` as its descriptors 3, 4, …; nothing else of ours is inherited.
    pub(crate) fn start(mut command: Command, files: Vec<OwnedFd>, stall: Duration, cancel: &Cancel) -> Result<Self> {
        let name = Path::new(command.get_program())
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let failed = |error: std::io::Error| Error::new(Code::DumpFailed, format!("{name} cannot be started: {error}"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = ProcessGroup::start(command, files, None, Ending::by(Signal::TERM)).map_err(failed)?;
        let stdout = process.take_stdout().map_err(failed)?;
        let stdout = stdout.ok_or_else(|| Error::new(Code::Bug, "a child without a pipe"))?;
        let stderr = ChildOutput::new(process.take_stderr().map_err(failed)?, STDERR_LIMIT);
        Ok(Self {
            name,
            process,
            stdout,
            stderr,
            cancel: cancel.clone(),
            stall,
            patience: Duration::ZERO,
            emptied: false,
        })
    }

    /// How much longer than usual it may be silent before its first byte: it may have to wait for locks.
    pub(crate) fn be_patient(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Bytes of stdout; `0` after the child has exited, whose status is then known.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.status().is_some() {
            return Ok(0);
        }
        if self.emptied {
            self.wait_exit(READ_COALESCE_DELAY)?;
        }
        let waiting_since = Instant::now();
        let allowed = self.stall.saturating_add(self.patience);
        loop {
            self.cancel.check()?;
            let left = allowed.saturating_sub(waiting_since.elapsed());
            if left.is_zero() {
                self.process.end();
                return Err(Error::new(
                    Code::DumpStalled,
                    format!("{} sent nothing for {} s", self.name, allowed.as_secs()),
                ));
            }
            let has_exited = self.wait(left)?;
            self.stderr.read_available();
            match rustix::io::read(&self.stdout, &mut *buffer) {
                Ok(0) => return self.exited().map(|()| 0),
                Ok(read) => {
                    self.emptied = read < buffer.len();
                    self.patience = Duration::ZERO;
                    return Ok(read);
                }
                // It has exited and its output is empty, yet somebody holds the pipe open: a grandchild.
                Err(Errno::AGAIN) if has_exited => return self.exited().map(|()| 0),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => {
                    return Err(Error::new(
                        Code::DumpFailed,
                        format!("{}'s output cannot be read: {error}", self.name),
                    ));
                }
            }
        }
    }

    /// How it ended, once [`Self::read`] has returned 0.
    pub(crate) fn status(&self) -> Option<ExitStatus> {
        self.process.status()
    }

    /// What it said on stderr, as far as kept.
    pub(crate) fn stderr_text(&self) -> String {
        self.stderr.text()
    }

    /// Waits for any event. Whether it has exited is told of a moment before the output is read: nothing of it is missed.
    fn wait(&self, limit: Duration) -> Result<bool> {
        let outputs = [self.stdout.as_fd()].into_iter().chain(self.stderr.pipe().map(AsFd::as_fd));
        self.poll(outputs, limit)
    }

    fn wait_exit(&self, limit: Duration) -> Result<bool> {
        self.poll([], limit)
    }

    fn poll<'a>(&'a self, outputs: impl IntoIterator<Item = BorrowedFd<'a>>, limit: Duration) -> Result<bool> {
        let ends = [self.process.exit(), self.cancel.wake()];
        let mut watched: Vec<_> = ends
            .into_iter()
            .chain(outputs)
            .map(|pipe| PollFd::from_borrowed_fd(pipe, PollFlags::IN))
            .collect();
        match poll(&mut watched, Some(&timespec(limit))) {
            Ok(_) | Err(Errno::INTR) => Ok(!watched[0].revents().is_empty()),
            Err(error) => Err(Error::new(Code::Bug, format!("poll: {error}"))),
        }
    }

    /// Its output has ended: now it must exit, by itself, soon.
    fn exited(&mut self) -> Result<()> {
        let deadline = Instant::now() + GRACE;
        loop {
            self.cancel.check()?;
            let has_exited = self.wait_exit(deadline.saturating_duration_since(Instant::now()))?;
            self.stderr.read_available();
            if has_exited {
                self.process.reap();
                return Ok(());
            }
            if Instant::now() >= deadline {
                self.process.end();
                return Err(Error::new(
                    Code::DumpFailed,
                    format!("{} closed its output and did not end; it was killed", self.name),
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn shell(script: &str, stall: Duration, cancel: &Cancel) -> ChildReader {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        ChildReader::start(command, Vec::new(), stall, cancel).unwrap()
    }

    fn all(process: &mut ChildReader) -> Result<Vec<u8>> {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 1000]);
        loop {
            match process.read(&mut buffer)? {
                0 => return Ok(bytes),
                read => bytes.extend_from_slice(&buffer[..read]),
            }
        }
    }

    #[test]
    fn the_end_tells_the_exit_status_and_what_was_said() {
        let mut process = shell("echo out; echo err >&2; exit 3", LONG, &Cancel::new().unwrap());
        assert_eq!(all(&mut process).unwrap(), b"out\n");
        assert_eq!(
            (process.status().unwrap().code(), process.stderr_text().as_str()),
            (Some(3), "err\n")
        );
    }

    #[test]
    fn a_flood_on_stderr_neither_blocks_nor_fills_memory() {
        let mut process = shell(
            "echo first >&2; yes | head -c 5000000 >&2; echo last >&2; echo done",
            LONG,
            &Cancel::new().unwrap(),
        );
        assert_eq!(all(&mut process).unwrap(), b"done\n");
        let said = process.stderr_text();
        assert!(said.len() <= 2 * STDERR_LIMIT && said.starts_with("first") && said.ends_with("last\n"));
    }

    #[test]
    fn a_cancel_while_the_child_is_silent_is_reported_as_the_cancel() {
        let cancel = Cancel::new().unwrap();
        let mut process = shell("exec sleep 1000", LONG, &cancel);
        let reader = std::thread::spawn(move || all(&mut process));
        cancel.cancel(Error::new(Code::Deadline, "time ran out"));
        assert_eq!(reader.join().unwrap().unwrap_err().code, Code::Deadline);
    }

    #[test]
    fn a_child_that_closes_its_output_and_hangs_is_ended() {
        let mut process = shell("echo x; exec >&-; exec sleep 1000", LONG, &Cancel::new().unwrap());
        assert_eq!(all(&mut process).unwrap_err().code, Code::DumpFailed);
    }

    #[test]
    fn a_grandchild_that_holds_the_pipe_does_not_hold_us() {
        let mut process = shell("echo x; sleep 1000 & exit 0", LONG, &Cancel::new().unwrap());
        assert_eq!(all(&mut process).unwrap(), b"x\n");
        assert!(process.status().unwrap().success());
    }

    #[test]
    fn silence_is_a_stall() {
        let mut process = shell("echo x; exec sleep 1000", Duration::from_millis(50), &Cancel::new().unwrap());
        assert_eq!(all(&mut process).unwrap_err().code, Code::DumpStalled);
    }

    #[test]
    fn the_first_byte_may_take_longer_since_locks_are_waited_for() {
        let go = tempfile::tempdir().unwrap();
        let script = |name: &str| {
            format!(
                "mkfifo {0}/{name}; read x <{0}/{name}; echo got; exec sleep 1000",
                go.path().display()
            )
        };
        // What is allowed before the first byte is over as soon as it came.
        let mut process = shell(&script("a"), Duration::from_millis(50), &Cancel::new().unwrap());
        process.be_patient(LONG);
        let fifo = go.path().join("a");
        let writer = std::thread::spawn(move || {
            while std::fs::write(&fifo, "go\n").is_err() {
                std::thread::yield_now();
            }
        });
        let mut buffer = [0; 100];
        assert_eq!(process.read(&mut buffer).unwrap(), 4);
        assert_eq!(process.read(&mut buffer).unwrap_err().code, Code::DumpStalled);
        drop(process);
        let _ = writer.join();
        // And without it silence is a stall at once.
        let mut process = shell(&script("b"), Duration::from_millis(50), &Cancel::new().unwrap());
        assert_eq!(process.read(&mut buffer).unwrap_err().code, Code::DumpStalled);
    }

    #[test]
    fn a_dropped_child_is_gone_even_if_it_was_stopped() {
        let mut process = shell("echo $$; kill -STOP $$", LONG, &Cancel::new().unwrap());
        let mut buffer = [0; 100];
        let read = process.read(&mut buffer).unwrap();
        let pid: i32 = std::str::from_utf8(&buffer[..read]).unwrap().trim().parse().unwrap();
        drop(process);
        assert!(rustix::process::test_kill_process(rustix::process::Pid::from_raw(pid).unwrap()).is_err());
    }
}
