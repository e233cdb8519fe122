//! The engine under every child process: a process group of its own that goes when we go, an exit that poll(2) sees, an
//! end in two steps that leaves nothing of the group. [`super::reader`], [`super::writer`] and the drill's server use it.

use super::confinement::{self, Confinement, ParentThread};
use super::parent_death::die_with_parent;
use command_fds::{CommandFdExt, FdMapping};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group, pidfd_open, waitid, waitpgid};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus};
use std::time::Duration;

/// Fewer and larger wake-ups; the kernel may refuse it, which costs speed only.
const PIPE: usize = 1 << 20;

/// How a process is asked to end, and what ends it if we are killed.
#[derive(Clone, Copy)]
pub(crate) struct Ending {
    pub asks: Signal,
    /// How long it may take until it is killed.
    pub grace: Duration,
    pub with_parent: Signal,
}

impl Ending {
    /// For a program that ends soon when it is asked to by `asks`, and needs nothing where we are gone.
    pub(crate) const fn by(asks: Signal) -> Self {
        Self {
            asks,
            grace: Duration::from_secs(1),
            with_parent: Signal::KILL,
        }
    }
}

/// A running process in a group of its own, tied to the thread that started it. Dropped, it is ended and reaped.
pub(crate) struct ProcessGroup {
    child: Child,
    id: Pid,
    exit: OwnedFd,
    ending: Ending,
    status: Option<ExitStatus>,
    // Goes last: the process ends with it.
    _parent: Option<ParentThread>,
}

impl ProcessGroup {
    /// Starts `command` with `files` as its descriptors 3, 4, …; nothing else of ours is inherited. A confined one is
    /// started by a thread that is confined.
    pub(crate) fn start(mut command: Command, files: Vec<OwnedFd>, confinement: Option<&Confinement>, ending: Ending) -> io::Result<Self> {
        let mappings = files
            .into_iter()
            .zip(3..)
            .map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
        command.process_group(0);
        command.fd_mappings(mappings.collect()).map_err(io::Error::other)?;
        die_with_parent(ending.with_parent, &mut command);
        let (mut child, parent) = match confinement {
            None => (command.spawn()?, None),
            Some(confinement) => confinement::spawn(command, confinement.clone()).map(|(child, parent)| (child, Some(parent)))?,
        };
        let id = Pid::from_child(&child);
        let exit = match exit_descriptor(id) {
            Ok(exit) => exit,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error.into());
            }
        };
        let (status, _parent) = (None, parent);
        Ok(Self {
            child,
            id,
            exit,
            ending,
            status,
            _parent,
        })
    }

    pub(crate) fn take_stdin(&mut self) -> io::Result<Option<ChildStdin>> {
        prepared(self.child.stdin.take())
    }

    pub(crate) fn take_stdout(&mut self) -> io::Result<Option<ChildStdout>> {
        prepared(self.child.stdout.take())
    }

    pub(crate) fn take_stderr(&mut self) -> io::Result<Option<ChildStderr>> {
        prepared(self.child.stderr.take())
    }

    /// Readable once the process has ended.
    pub(crate) fn exit(&self) -> BorrowedFd<'_> {
        self.exit.as_fd()
    }

    /// How it ended, once [`Self::reap`] or [`Self::end`] has returned.
    pub(crate) fn status(&self) -> Option<ExitStatus> {
        self.status
    }

    /// Whether it has ended by now.
    pub(crate) fn has_ended(&self) -> bool {
        self.status.is_some() || self.exits_within(Duration::ZERO)
    }

    fn exits_within(&self, limit: Duration) -> bool {
        let timeout = timespec(limit);
        let mut watched = [PollFd::new(&self.exit, PollFlags::IN)];
        let _ = poll(&mut watched, Some(&timeout));
        watched[0].revents().contains(PollFlags::IN)
    }

    /// After its exit: what it left behind in its group goes, too.
    pub(crate) fn reap(&mut self) -> Option<ExitStatus> {
        let _ = kill_process_group(self.id, Signal::KILL);
        self.status = self.child.wait().ok();
        reap_orphans(self.id);
        self.status
    }

    /// Asks it to end, and kills the whole group if it does not.
    pub(crate) fn end(&mut self) {
        if self.status.is_some() {
            return;
        }
        // A stopped process takes no signal until it goes on.
        for signal in [self.ending.asks, Signal::CONT] {
            let _ = kill_process_group(self.id, signal);
        }
        self.exits_within(self.ending.grace);
        self.reap();
    }

    #[cfg(test)]
    pub(crate) fn id(&self) -> Pid {
        self.id
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.end();
    }
}

/// In words, for a message that begins with the program.
pub(crate) fn describe_exit_status(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit status {code}"),
        (None, Some(9)) => "was killed by signal 9 (out of memory?)".to_owned(),
        (None, signal) => format!("was killed by signal {}", signal.unwrap_or_default()),
    }
}

/// For poll(2): as long as it can wait, where that is too long for it.
pub(crate) fn timespec(limit: Duration) -> Timespec {
    Timespec::try_from(limit).unwrap_or(Timespec { tv_sec: 3600, tv_nsec: 0 })
}

/// Our end of a pipe: wide, and never waited for.
fn prepared<P: AsFd>(pipe: Option<P>) -> io::Result<Option<P>> {
    if let Some(pipe) = &pipe {
        let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE);
        rustix::io::ioctl_fionbio(pipe, true)?;
    }
    Ok(pipe)
}

/// Old kernels and old seccomp profiles have no pidfd: a thread waits instead.
fn exit_descriptor(child: Pid) -> rustix::io::Result<OwnedFd> {
    pidfd_open(child, PidfdFlags::empty()).or_else(|_| watch_exit(child))
}

/// The thread leaves the process to be reaped, and ends with it at the latest: anyone who starts one also ends it.
fn watch_exit(child: Pid) -> rustix::io::Result<OwnedFd> {
    let ended = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let tell = ended.try_clone().map_err(|_| Errno::MFILE)?;
    let watch = move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(child), options), Err(Errno::INTR)) {}
        // An eventfd can only refuse a write when its counter is full, and then it is readable already.
        let _ = rustix::io::write(&tell, &1u64.to_ne_bytes());
    };
    let started = std::thread::Builder::new().name("exit".to_owned()).spawn(watch);
    started.map(|_| ended).map_err(|_| Errno::AGAIN)
}

/// As process 1 of a container we inherit what a child leaves behind: of its group alone, since any other child that has
/// ended is waited for by somebody here.
fn reap_orphans(group: Pid) {
    if rustix::process::getpid().is_init() {
        while let Ok(Some(_)) = waitpgid(group, WaitOptions::NOHANG) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::Stdio;

    fn shell(script: &str) -> ProcessGroup {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped());
        ProcessGroup::start(command, Vec::new(), None, Ending::by(Signal::TERM)).unwrap()
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
    fn a_dropped_one_is_gone_with_its_children_even_if_it_was_stopped() {
        let mut process = shell("sleep 1000 & echo x; kill -STOP $$");
        let stdout = process.child.stdout.as_mut().unwrap();
        stdout.read_exact(&mut [0; 2]).unwrap();
        let mut stdout = process.child.stdout.take().unwrap();
        drop(process);
        stdout.read_to_end(&mut Vec::new()).unwrap();
    }

    #[test]
    fn what_it_leaves_behind_goes_with_it() {
        let mut process = shell("sleep 1000 & exit 3");
        assert!(process.exits_within(Duration::from_secs(600)) && process.has_ended());
        assert_eq!(process.reap().unwrap().code(), Some(3));
        // It ends when nobody has its other side any more.
        let mut rest = Vec::new();
        process.child.stdout.as_mut().unwrap().read_to_end(&mut rest).unwrap();
    }
}
