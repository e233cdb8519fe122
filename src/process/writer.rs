//! A child process that is fed, and whose last words are kept: psql, initdb.
//!
//! The mirror of `pipeline::child`, which reads one. Writing never blocks for good: one poll(2) watches the pipe in, the
//! pipes out, the exit and the cancel.

use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::process::confinement::{self, Confinement, ParentThread};
use crate::process::parent_death::kill_on_parent_death;
use command_fds::{CommandFdExt, FdMapping};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::fmt::Display;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How long a child may take to end after it was asked to.
const TERM_TIMEOUT: Duration = Duration::from_secs(1);
/// What is kept of stderr: its beginning and its end.
const OUTPUT_LIMIT: usize = 16 << 10;
/// Fewer and larger wake-ups; the kernel may refuse it, which costs speed only.
const PIPE: usize = 1 << 20;

/// A running child in a process group of its own, tied to the thread that started it. Dropped, it is ended and reaped.
pub(crate) struct ChildWriter {
    name: String,
    child: Child,
    group: Pid,
    exit: OwnedFd,
    input: Option<ChildStdin>,
    output: OutputTail,
    words: OutputTail,
    wanted: OutputWanted,
    cancel: Cancel,
    status: Option<ExitStatus>,
    // Goes last: the process ends with it.
    _keeper: Option<ParentThread>,
}

/// Takes lines out of an output.
pub(crate) trait LineFilter {
    /// Bytes as they come; what stays goes to `kept`.
    fn read(&mut self, bytes: &[u8], kept: &mut Vec<u8>);

    /// A line that did not end.
    fn finish(&mut self, kept: &mut Vec<u8>);
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
    pub(crate) fn start(command: &mut Command, files: Vec<OwnedFd>, wanted: OutputWanted, cancel: &Cancel) -> Result<Self> {
        Self::start_confined(command, files, wanted, None, cancel)
    }

    /// The same by a thread that is confined, so that the child is. `command` is used up.
    pub(crate) fn start_confined(
        command: &mut Command,
        files: Vec<OwnedFd>,
        wanted: OutputWanted,
        confinement: Option<&Confinement>,
        cancel: &Cancel,
    ) -> Result<Self> {
        let name = std::path::Path::new(command.get_program()).file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        let failed = |error: &dyn Display| Error::new(Code::RestoreFailed, format!("{name} cannot be started: {error}"));
        let mappings = files
            .into_iter()
            .zip(3..)
            .map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
        command.stdin(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        command.stdout(if wanted == OutputWanted::Nothing {
            Stdio::null()
        } else {
            Stdio::piped()
        });
        command.fd_mappings(mappings.collect()).map_err(|error| failed(&error))?;
        kill_on_parent_death(command);
        let (mut child, keeper) = match confinement {
            None => (command.spawn().map_err(|error| failed(&error))?, None),
            Some(confinement) => {
                let command = std::mem::replace(command, Command::new(""));
                let (child, keeper) = confinement::spawn(command, confinement.clone()).map_err(|error| failed(&error))?;
                (child, Some(keeper))
            }
        };
        let (input, group) = (child.stdin.take(), Pid::from_child(&child));
        let output = child.stdout.take().map(OwnedFd::from);
        let words = child.stderr.take().map(OwnedFd::from);
        if let Some(input) = &input {
            let _ = rustix::pipe::fcntl_setpipe_size(input, PIPE);
        }
        let mut pipes = input
            .as_ref()
            .map(AsFd::as_fd)
            .into_iter()
            .chain(output.iter().chain(&words).map(AsFd::as_fd));
        let prepared = pipes
            .try_for_each(|pipe| rustix::io::ioctl_fionbio(pipe, true))
            .and_then(|()| pidfd_open(group, PidfdFlags::empty()));
        match prepared {
            Ok(exit) => Ok(Self {
                name,
                child,
                group,
                exit,
                input,
                output: OutputTail::new(output),
                words: OutputTail::new(words),
                wanted,
                cancel: cancel.clone(),
                status: None,
                _keeper: keeper,
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(failed(&error))
            }
        }
    }

    /// Has lines taken out of what it says on stderr.
    pub(crate) fn filter_stderr(&mut self, filter: Box<dyn LineFilter + Send>) {
        self.words.filter = Some(filter);
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
                Err(Errno::AGAIN) => self.wait()?,
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
            if let Some(status) = self.status {
                return Ok(status);
            }
            self.wait()?;
        }
    }

    /// What it wrote to stdout; to be asked after [`Self::finish`].
    pub(crate) fn output(&self) -> &[u8] {
        &self.output.kept
    }

    /// What it said on stderr, as far as kept.
    pub(crate) fn output_text(&self) -> String {
        String::from_utf8_lossy(&self.words.kept).into_owned()
    }

    /// Waits for any event and takes what has come. The exit is looked at before the pipes are: nothing of it is missed.
    fn wait(&mut self) -> Result<()> {
        let mut watched = vec![
            PollFd::new(&self.exit, PollFlags::IN),
            PollFd::from_borrowed_fd(self.cancel.wake(), PollFlags::IN),
        ];
        watched.extend(self.input.iter().map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
        let outputs = self.output.pipe.iter().chain(&self.words.pipe);
        watched.extend(outputs.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        match poll(&mut watched, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Error::new(Code::Bug, format!("poll: {error}"))),
        }
        let has_exited = watched[0].revents().contains(PollFlags::IN);
        self.words.read_available(|kept| {
            if kept.len() > 2 * OUTPUT_LIMIT {
                let surplus = kept.len() - OUTPUT_LIMIT;
                kept.drain(OUTPUT_LIMIT / 2..OUTPUT_LIMIT / 2 + surplus);
            }
        });
        self.output.read_available(|_| ());
        if let OutputWanted::Bytes(limit) = self.wanted
            && self.output.kept.len() > limit
        {
            return Err(Error::new(
                Code::RestoreFailed,
                format!("{} wrote more than {limit} bytes", self.name),
            ));
        }
        if has_exited {
            // What it left behind in its group goes with it.
            let _ = kill_process_group(self.group, Signal::KILL);
            self.input = None;
            self.status = self.child.wait().ok();
        }
        Ok(())
    }

    /// Asks it to end (psql then cancels its query on the server), and kills the whole group if it does not.
    fn end(&mut self) {
        if self.status.is_some() {
            return;
        }
        for signal in [Signal::INT, Signal::CONT] {
            let _ = kill_process_group(self.group, signal);
        }
        let timeout = Timespec::try_from(TERM_TIMEOUT).unwrap_or_default();
        let _ = poll(&mut [PollFd::new(&self.exit, PollFlags::IN)], Some(&timeout));
        let _ = kill_process_group(self.group, Signal::KILL);
        self.status = self.child.wait().ok();
    }
}

impl Drop for ChildWriter {
    fn drop(&mut self) {
        self.end();
    }
}

/// A pipe out of the child, and what came of it.
struct OutputTail {
    pipe: Option<OwnedFd>,
    filter: Option<Box<dyn LineFilter + Send>>,
    kept: Vec<u8>,
}

impl OutputTail {
    fn new(pipe: Option<OwnedFd>) -> Self {
        let (filter, kept) = (None, Vec::new());
        Self { pipe, filter, kept }
    }

    /// Takes what is there; `trim` keeps it bounded.
    fn read_available(&mut self, trim: impl Fn(&mut Vec<u8>)) {
        let mut buffer = [0; 16 << 10];
        while let Some(pipe) = &self.pipe {
            match rustix::io::read(pipe, &mut buffer) {
                Ok(0) => {
                    self.pipe = None;
                    self.filter.iter_mut().for_each(|filter| filter.finish(&mut self.kept));
                }
                Ok(read) => {
                    match &mut self.filter {
                        Some(filter) => filter.read(&buffer[..read], &mut self.kept),
                        None => self.kept.extend_from_slice(&buffer[..read]),
                    }
                    trim(&mut self.kept);
                }
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, wanted: OutputWanted, cancel: &Cancel) -> ChildWriter {
        ChildWriter::start(Command::new("/bin/sh").args(["-c", script]), Vec::new(), wanted, cancel).unwrap()
    }

    const SOME: OutputWanted = OutputWanted::Bytes(1000);

    #[test]
    fn it_reads_what_is_written_and_its_words_are_kept() {
        let mut child = shell("wc -c; echo err >&2; exit 3", SOME, &Cancel::new().unwrap());
        for _ in 0..5000 {
            assert!(child.write(&[b'x'; 1000]).unwrap());
        }
        assert_eq!(child.finish().unwrap().code(), Some(3));
        assert_eq!((child.output(), child.output_text().as_str()), (&b"5000000\n"[..], "err\n"));
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
        assert_eq!(child.output_text(), "gone\n");
    }

    #[test]
    fn a_flood_on_stderr_neither_blocks_nor_fills_memory() {
        let script = "echo first >&2; yes | head -c 5000000 >&2; echo last >&2; cat >/dev/null";
        let mut child = shell(script, OutputWanted::Nothing, &Cancel::new().unwrap());
        for _ in 0..100 {
            assert!(child.write(&[b'x'; 1 << 16]).unwrap());
        }
        assert!(child.finish().unwrap().success());
        assert!(child.output_text().len() <= 2 * OUTPUT_LIMIT);
        assert!(child.output_text().starts_with("first\n") && child.output_text().ends_with("last\n"));
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
                ready.send(child.group).unwrap();
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
