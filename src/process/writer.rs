//! A child process that is fed, and whose last words are kept: psql, initdb.
//!
//! The mirror of [`super::reader`]. Writing never blocks for good: one poll(2) watches the pipe in, the pipes out, the exit
//! and the cancel.

use super::group::{Ending, ProcessGroup};
use super::output::{ChildOutput, LineFilter, STDERR_LIMIT};
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::process::confinement::Confinement;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::Signal;
use std::os::fd::OwnedFd;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};

/// A running child, tied to the thread that started it. Dropped, it is ended (psql then cancels its query on the server)
/// and reaped.
pub(crate) struct ChildWriter {
    name: String,
    process: ProcessGroup,
    input: Option<ChildStdin>,
    stdout: ChildOutput,
    stderr: ChildOutput,
    wanted: OutputWanted,
    cancel: Cancel,
}

/// How much of a child's output is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputWanted {
    Nothing,
    /// At most so many bytes: more is an error.
    Bytes(usize),
}

impl ChildWriter {
    /// Starts `command` with `files` as its descriptors 3, 4, …; nothing else of ours is inherited.
    pub(crate) fn start(command: Command, files: Vec<OwnedFd>, wanted: OutputWanted, cancel: &Cancel) -> Result<Self> {
        Self::start_confined(command, files, wanted, None, cancel)
    }

    /// The same by a thread that is confined, so that the child is.
    pub(crate) fn start_confined(
        mut command: Command,
        files: Vec<OwnedFd>,
        wanted: OutputWanted,
        confinement: Option<&Confinement>,
        cancel: &Cancel,
    ) -> Result<Self> {
        let name = std::path::Path::new(command.get_program()).file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        let failed = |error: std::io::Error| Error::new(Code::RestoreFailed, format!("{name} cannot be started: {error}"));
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        command.stdout(if wanted == OutputWanted::Nothing {
            Stdio::null()
        } else {
            Stdio::piped()
        });
        let mut process = ProcessGroup::start(command, files, confinement, Ending::by(Signal::INT)).map_err(failed)?;
        let input = process.take_stdin().map_err(failed)?;
        let stdout = ChildOutput::new(process.take_stdout().map_err(failed)?, usize::MAX);
        let stderr = ChildOutput::new(process.take_stderr().map_err(failed)?, STDERR_LIMIT);
        Ok(Self {
            name,
            process,
            input,
            stdout,
            stderr,
            wanted,
            cancel: cancel.clone(),
        })
    }

    /// Has lines taken out of what it says on stderr.
    pub(crate) fn filter_stderr(&mut self, filter: Box<dyn LineFilter + Send>) {
        self.stderr.filter(filter);
    }

    /// Has its output read as it comes, instead of kept.
    pub(crate) fn filter_stdout(&mut self, filter: Box<dyn LineFilter + Send>) {
        self.stdout.filter(filter);
    }

    /// Writes all of it; `false` where the child does not read any more. All that psql ever reads comes through here: it
    /// takes a line up to its first zero byte, and what stood in quotes behind that would no longer be in any.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<bool> {
        if memchr::memchr(0, bytes).is_some() {
            return Err(Error::new(
                Code::Tampered,
                "a text of the backup holds a zero byte, which no PostgreSQL can have written",
            ));
        }
        while !bytes.is_empty() {
            self.cancel.check()?;
            let Some(input) = &self.input else { return Ok(false) };
            match rustix::io::write(input, bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::AGAIN) => self.wait(true)?,
                Err(Errno::INTR) => {}
                Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Closes its input and waits for its end, however long that takes: the last statement may build an index.
    pub(crate) fn finish(&mut self) -> Result<ExitStatus> {
        self.input = None;
        loop {
            self.cancel.check()?;
            if let Some(status) = self.process.status() {
                return Ok(status);
            }
            self.wait(false)?;
        }
    }

    /// Waits until what it writes has come so far; `false` where it has ended before.
    pub(crate) fn wait_until(&mut self, mut has_come: impl FnMut() -> bool) -> Result<bool> {
        loop {
            self.cancel.check()?;
            if has_come() {
                return Ok(true);
            }
            if self.process.status().is_some() {
                return Ok(false);
            }
            self.wait(false)?;
        }
    }

    /// What it wrote to stdout; to be asked after [`Self::finish`].
    pub(crate) fn output(&self) -> &[u8] {
        self.stdout.kept()
    }

    /// What it said on stderr, as far as kept.
    pub(crate) fn stderr_text(&self) -> String {
        self.stderr.text()
    }

    /// Waits for any event, that more can be written among them, and takes what has come. The exit is looked at before the pipes are: nothing of it is missed.
    fn wait(&mut self, to_write: bool) -> Result<()> {
        let mut watched: Vec<_> = [self.process.exit(), self.cancel.wake()]
            .map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN))
            .into();
        let input = self.input.iter().filter(|_| to_write);
        watched.extend(input.map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
        let outputs = self.stdout.pipe().into_iter().chain(self.stderr.pipe());
        watched.extend(outputs.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        match poll(&mut watched, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Error::new(Code::Bug, format!("poll: {error}"))),
        }
        let has_exited = watched[0].revents().contains(PollFlags::IN);
        self.stderr.read_available();
        self.stdout.read_available();
        if let OutputWanted::Bytes(limit) = self.wanted
            && self.stdout.kept().len() > limit
        {
            return Err(Error::new(
                Code::RestoreFailed,
                format!("{} wrote more than {limit} bytes", self.name),
            ));
        }
        if has_exited {
            self.input = None;
            self.process.reap();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, wanted: OutputWanted, cancel: &Cancel) -> ChildWriter {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        ChildWriter::start(command, Vec::new(), wanted, cancel).unwrap()
    }

    const SOME: OutputWanted = OutputWanted::Bytes(1000);

    #[test]
    fn it_reads_what_is_written_and_its_words_are_kept() {
        let mut child = shell("wc -c; echo err >&2; exit 3", SOME, &Cancel::new().unwrap());
        for _ in 0..5000 {
            assert!(child.write(&[b'x'; 1000]).unwrap());
        }
        assert_eq!(child.finish().unwrap().code(), Some(3));
        assert_eq!((child.output(), child.stderr_text().as_str()), (&b"5000000\n"[..], "err\n"));
    }

    #[test]
    fn no_zero_byte_ever_reaches_it() {
        let mut child = shell("cat", SOME, &Cancel::new().unwrap());
        assert_eq!(child.write(b"SELECT 'a\0';").unwrap_err().code, Code::Tampered);
        assert!(child.finish().unwrap().success());
        assert_eq!(child.output(), b"");
    }

    #[test]
    fn one_that_does_not_read_is_no_trap() {
        let mut child = shell("exec <&-; echo gone >&2; exit 1", OutputWanted::Nothing, &Cancel::new().unwrap());
        while child.write(&[b'x'; 1 << 16]).unwrap() {}
        assert_eq!(child.finish().unwrap().code(), Some(1));
        assert_eq!(child.stderr_text(), "gone\n");
    }

    #[test]
    fn a_flood_on_stderr_neither_blocks_nor_fills_memory() {
        let script = "echo first >&2; yes | head -c 5000000 >&2; echo last >&2; cat >/dev/null";
        let mut child = shell(script, OutputWanted::Nothing, &Cancel::new().unwrap());
        for _ in 0..100 {
            assert!(child.write(&[b'x'; 1 << 16]).unwrap());
        }
        assert!(child.finish().unwrap().success());
        assert!(child.stderr_text().len() <= 2 * STDERR_LIMIT);
        assert!(child.stderr_text().starts_with("first\n") && child.stderr_text().ends_with("last\n"));
    }

    #[test]
    fn more_output_than_wanted_is_an_error() {
        let mut child = shell("yes | head -c 100000", SOME, &Cancel::new().unwrap());
        assert_eq!(child.finish().unwrap_err().code, Code::RestoreFailed);
    }

    #[test]
    fn a_cancel_ends_it_while_it_does_not_read() {
        let cancel = Cancel::new().unwrap();
        let (ready, wait) = std::sync::mpsc::channel();
        let thread = std::thread::spawn({
            let cancel = cancel.clone();
            move || {
                let mut child = shell("trap '' INT; exec sleep 1000", OutputWanted::Nothing, &cancel);
                ready.send(child.process.id()).unwrap();
                loop {
                    if let Err(error) = child.write(&[b'x'; 1 << 16]) {
                        return error.code;
                    }
                }
            }
        });
        let group = wait.recv().unwrap();
        cancel.cancel(Error::new(Code::Terminated, "stop"));
        assert_eq!(thread.join().unwrap(), Code::Terminated);
        assert!(rustix::process::test_kill_process(group).is_err());
    }
}
