//! A child process as a reader whose end means that it exited, and how.
//!
//! One poll(2) watches all that can happen: output, words on stderr, the exit, a cancel, silence. Three traps decide its
//! shape: a cancel while the child is silent is reported as the cancel; a child that closes stdout and hangs ends in
//! seconds; a grandchild that holds the pipe is killed with the process group.

use super::parent_death::kill_on_parent_death;
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use command_fds::{CommandFdExt, FdMapping};
use rustix::event::{EventfdFlags, eventfd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group, pidfd_open, waitid};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a child may take to end after it closed its output, or after it was asked to.
const GRACE: Duration = Duration::from_secs(5);
const TERM_TIMEOUT: Duration = Duration::from_secs(1);
/// What is kept of stderr: its beginning tells the cause, its end the effect.
const STDERR_LIMIT: usize = 16 << 10;
/// Fewer and larger wake-ups; the kernel may refuse it, which costs speed only.
const PIPE: usize = 1 << 20;
/// Left to the child after all that there was has been read, unless it ends: far less than it needs to fill the pipe, and
/// far more than from one of its small writes to the next, each of which would wake us.
const READ_COALESCE_DELAY: Duration = Duration::from_micros(500);

/// A running child in a process group of its own. Dropped, it is killed and reaped.
pub struct ChildReader {
    child: Child,
    group: Pid,
    exit: OwnedFd,
    stdout: ChildStdout,
    stderr: Option<ChildStderr>,
    said: Vec<u8>,
    cancel: Cancel,
    stall: Duration,
    /// Beside that, before the first byte.
    patience: Duration,
    status: Option<ExitStatus>,
    /// The last read took all that there was.
    emptied: bool,
}

impl ChildReader {
    /// Starts `command` with `files` as its descriptors 3, 4, …; nothing else of ours is inherited.
    pub fn start(command: &mut Command, files: Vec<OwnedFd>, stall: Duration, cancel: &Cancel) -> Result<Self> {
        let failed = |error: &dyn std::fmt::Display| Error::new(Code::DumpFailed, format!("pg_dump cannot be started: {error}"));
        let mappings = files
            .into_iter()
            .zip(3..)
            .map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        command.fd_mappings(mappings.collect()).map_err(|error| failed(&error))?;
        let mut child = kill_on_parent_death(command).spawn().map_err(|error| failed(&error))?;
        let group = Pid::from_child(&child);
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(Error::new(Code::Bug, "a child without pipes"));
        };
        let _ = rustix::pipe::fcntl_setpipe_size(&stdout, PIPE);
        let prepared = rustix::io::ioctl_fionbio(&stdout, true)
            .and_then(|()| rustix::io::ioctl_fionbio(&stderr, true))
            .and_then(|()| exit_descriptor(group));
        match prepared {
            Ok(exit) => {
                let (said, cancel) = (Vec::new(), cancel.clone());
                Ok(Self {
                    child,
                    group,
                    exit,
                    stdout,
                    stderr: Some(stderr),
                    said,
                    cancel,
                    stall,
                    patience: Duration::ZERO,
                    status: None,
                    emptied: false,
                })
            }
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(failed(&error))
            }
        }
    }

    /// How much longer than usual it may be silent before its first byte: it may have to wait for locks.
    pub fn be_patient(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Bytes of stdout; `0` after the child has exited, whose status is then known.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.status.is_some() {
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
                self.end();
                return Err(Error::new(
                    Code::DumpStalled,
                    format!("pg_dump sent nothing for {} s", allowed.as_secs()),
                ));
            }
            let seen = self.wait(left)?;
            if seen.stderr {
                self.listen();
            }
            match rustix::io::read(&self.stdout, &mut *buffer) {
                Ok(0) => return self.exited().map(|()| 0),
                Ok(read) => {
                    self.emptied = read < buffer.len();
                    self.patience = Duration::ZERO;
                    return Ok(read);
                }
                // It has exited and its output is empty, yet somebody holds the pipe open: a grandchild.
                Err(rustix::io::Errno::AGAIN) if seen.exit => return self.exited().map(|()| 0),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Error::new(Code::DumpFailed, format!("pg_dump's output cannot be read: {error}"))),
            }
        }
    }

    /// How it ended, once [`Self::read`] has returned 0.
    pub fn status(&self) -> Option<ExitStatus> {
        self.status
    }

    /// What it said on stderr, as far as kept.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.said).into_owned()
    }

    /// Waits for any event; an exit is looked at before the output is, so that nothing of it is missed.
    fn wait(&self, limit: Duration) -> Result<PollResult> {
        let nothing = PollFlags::empty();
        let (stderr, events) = match &self.stderr {
            Some(stderr) => (stderr.as_fd(), PollFlags::IN),
            None => (self.exit.as_fd(), nothing),
        };
        let mut watched = [
            PollFd::new(&self.exit, PollFlags::IN),
            PollFd::new(&self.stdout, PollFlags::IN),
            PollFd::from_borrowed_fd(stderr, events),
            PollFd::from_borrowed_fd(self.cancel.wake(), PollFlags::IN),
        ];
        let timeout = Timespec::try_from(limit).unwrap_or(Timespec { tv_sec: 3600, tv_nsec: 0 });
        match poll(&mut watched, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {
                let spoke = self.stderr.is_some() && watched[2].revents() != nothing;
                Ok(PollResult {
                    exit: watched[0].revents() != nothing,
                    stderr: spoke,
                })
            }
            Err(error) => Err(Error::new(Code::Bug, format!("poll: {error}"))),
        }
    }

    /// Drains stderr: a child must never block on it, and must not fill our memory with it.
    fn listen(&mut self) {
        let mut buffer = [0; 4096];
        while let Some(stderr) = &self.stderr {
            match rustix::io::read(stderr, &mut buffer) {
                Ok(0) => self.stderr = None,
                Ok(read) => {
                    self.said.extend_from_slice(&buffer[..read]);
                    if self.said.len() > 2 * STDERR_LIMIT {
                        let surplus = self.said.len() - STDERR_LIMIT;
                        self.said.drain(STDERR_LIMIT / 2..STDERR_LIMIT / 2 + surplus);
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    /// Its output has ended: now it must exit, by itself, soon.
    fn exited(&mut self) -> Result<()> {
        let deadline = Instant::now() + GRACE;
        loop {
            self.cancel.check()?;
            let seen = self.wait_exit(deadline.saturating_duration_since(Instant::now()))?;
            self.listen();
            if seen {
                // What it left behind in its group goes with it.
                let _ = kill_process_group(self.group, Signal::KILL);
                self.status = self.child.wait().ok();
                reap_orphans();
                return Ok(());
            }
            if Instant::now() >= deadline {
                self.end();
                return Err(Error::new(
                    Code::DumpFailed,
                    "pg_dump closed its output and did not end; it was killed",
                ));
            }
        }
    }

    fn wait_exit(&self, limit: Duration) -> Result<bool> {
        let mut watched = [
            PollFd::new(&self.exit, PollFlags::IN),
            PollFd::from_borrowed_fd(self.cancel.wake(), PollFlags::IN),
        ];
        let timeout = Timespec::try_from(limit).unwrap_or(Timespec { tv_sec: 3600, tv_nsec: 0 });
        match poll(&mut watched, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(watched[0].revents() != PollFlags::empty()),
            Err(error) => Err(Error::new(Code::Bug, format!("poll: {error}"))),
        }
    }

    /// Asks it to end (`pg_dump` then cancels its query on the server), and kills the whole group if it does not.
    fn end(&mut self) {
        if self.status.is_some() {
            return;
        }
        let _ = kill_process_group(self.group, Signal::TERM);
        // A stopped process takes no TERM until it goes on.
        let _ = kill_process_group(self.group, Signal::CONT);
        let timeout = Timespec::try_from(TERM_TIMEOUT).unwrap_or_default();
        let _ = poll(&mut [PollFd::new(&self.exit, PollFlags::IN)], Some(&timeout));
        let _ = kill_process_group(self.group, Signal::KILL);
        self.status = self.child.wait().ok();
        reap_orphans();
    }
}

/// Readable once the process has ended. Old kernels and old seccomp profiles have no pidfd: a thread waits instead.
fn exit_descriptor(child: Pid) -> rustix::io::Result<OwnedFd> {
    pidfd_open(child, PidfdFlags::empty()).or_else(|_| watch_exit(child))
}

/// The thread leaves the process to be reaped, and ends with it at the latest: anyone who starts one also ends it.
fn watch_exit(child: Pid) -> rustix::io::Result<OwnedFd> {
    let ended = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let tell = ended.try_clone().map_err(|_| rustix::io::Errno::MFILE)?;
    let watch = move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(child), options), Err(rustix::io::Errno::INTR)) {}
        // An eventfd can only refuse a write when its counter is full, and then it is readable already.
        let _ = rustix::io::write(&tell, &1u64.to_ne_bytes());
    };
    let started = std::thread::Builder::new().name("exit".to_owned()).spawn(watch);
    started.map(|_| ended).map_err(|_| rustix::io::Errno::AGAIN)
}

/// As process 1 of a container we inherit what a child leaves behind. Called when no child of our own is waited for.
fn reap_orphans() {
    if rustix::process::getpid().is_init() {
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
    }
}

impl Drop for ChildReader {
    fn drop(&mut self) {
        self.end();
    }
}

struct PollResult {
    exit: bool,
    stderr: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn shell(script: &str, stall: Duration, cancel: &Cancel) -> ChildReader {
        ChildReader::start(Command::new("/bin/sh").args(["-c", script]), Vec::new(), stall, cancel).unwrap()
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
    fn an_exit_is_noticed_without_pidfd_too() {
        let mut child = Command::new("/bin/sh").args(["-c", "exit 7"]).spawn().unwrap();
        let ended = watch_exit(Pid::from_child(&child)).unwrap();
        let seen = poll(&mut [PollFd::new(&ended, PollFlags::IN)], None).unwrap();
        // It is still there to be reaped, with its status.
        assert_eq!((seen, child.wait().unwrap().code()), (1, Some(7)));
    }

    #[test]
    fn a_dropped_child_is_gone_even_if_it_was_stopped() {
        let mut process = shell("echo $$; kill -STOP $$", LONG, &Cancel::new().unwrap());
        let mut buffer = [0; 100];
        let read = process.read(&mut buffer).unwrap();
        let pid: i32 = std::str::from_utf8(&buffer[..read]).unwrap().trim().parse().unwrap();
        drop(process);
        assert!(rustix::process::test_kill_process(Pid::from_raw(pid).unwrap()).is_err());
    }
}
