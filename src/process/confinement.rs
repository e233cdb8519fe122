//! What a process of a drill may do: by Landlock, which files it reads, writes and runs; by seccomp, which system calls
//! it may not make. Both hold for a thread and for all that it starts, and nothing lifts them again: so anyone who starts such a
//! process restricts a thread of its own first.

mod report;

pub(crate) use report::{ConfinementReport, EnforcedLayers};

use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::process::short_run::{SHORT_RUN_LIMIT, short_run};
use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
    path_beneath_rules,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch, apply_filter,
};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};

/// The newest one that was tried; older kernels hold what they know of it.
const TESTED: ABI = ABI::V7;

/// Of the system, what the programs of PostgreSQL read: libraries, locales, time zones, extensions. No settings of other
/// programs, no `/proc`, no `/etc/passwd`.
const READABLE: &[&str] = &[
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/share",
    "/usr/local/lib",
    "/usr/local/share",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/locale.alias",
    "/etc/ssl/openssl.cnf",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
];

/// System calls that neither the server nor psql makes, and that lead out of a confinement or into other processes.
const SHUT: &[libc::c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    // Its operations pass no filter of system calls.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // A file without a name is under no folder, so that no rule about folders keeps it from being run.
    libc::SYS_memfd_create,
    libc::SYS_execveat,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_mknodat,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
];

/// The rules of one program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Confinement {
    /// May be run, and nothing else.
    programs: Vec<PathBuf>,
    readable: Vec<PathBuf>,
    /// Its own folders.
    writable: Vec<PathBuf>,
    connects: bool,
    expected: EnforcedLayers,
}

impl Confinement {
    /// For a program of PostgreSQL, which may write to `writable` alone and open connections only if it `connects`.
    pub(crate) fn new(program: &Path, writable: Vec<PathBuf>, connects: bool, expected: EnforcedLayers, cancel: &Cancel) -> Result<Self> {
        let (loaders, libraries) = loaded(program, cancel)?;
        let installation = program.parent().and_then(Path::parent).filter(|folder| folder.parent().is_some());
        let mut readable: Vec<PathBuf> = READABLE.iter().map(PathBuf::from).collect();
        readable.extend(installation.map(Path::to_owned));
        readable.extend(libraries);
        let mut programs = vec![program.to_owned()];
        programs.extend(loaders);
        Ok(Self {
            programs,
            readable,
            writable,
            connects,
            expected,
        })
    }

    /// The same with a folder more to read.
    pub(crate) fn reading(mut self, folder: Option<&Path>) -> Self {
        self.readable.extend(folder.map(Path::to_owned));
        self
    }

    /// Restricts the calling thread and all that it will start, for good. Less than the probe promised is an error.
    pub(crate) fn enforce(&self) -> io::Result<EnforcedLayers> {
        let landlock = self.landlock().map_err(io::Error::other)?;
        let mut seccomp = false;
        for filter in self.filters().unwrap_or_default() {
            seccomp = apply_filter(&filter).is_ok();
            if !seccomp {
                break;
            }
        }
        if landlock < self.expected.landlock || (self.expected.seccomp && !seccomp) {
            return Err(io::Error::other("its confinement does not hold"));
        }
        Ok(EnforcedLayers { landlock, seccomp })
    }

    fn landlock(&self) -> std::result::Result<Option<u32>, RulesetError> {
        let write = AccessFs::from_all(TESTED)
            & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::MakeFifo | AccessFs::IoctlDev);
        let status = Ruleset::default()
            .handle_access(AccessFs::from_all(TESTED))?
            .handle_access(AccessNet::from_all(TESTED))?
            .scope(Scope::from_all(TESTED))?
            .create()?
            .add_rules(path_beneath_rules(&self.programs, AccessFs::Execute | AccessFs::ReadFile))?
            .add_rules(path_beneath_rules(&self.readable, AccessFs::ReadFile | AccessFs::ReadDir))?
            .add_rules(path_beneath_rules(["/dev/null"], AccessFs::ReadFile | AccessFs::WriteFile))?
            .add_rules(path_beneath_rules(&self.writable, write))?
            .restrict_self()?;
        Ok(match (status.ruleset, status.landlock) {
            (RulesetStatus::NotEnforced, _) => None,
            (_, LandlockStatus::Available { effective_abi, .. }) => Some(effective_abi as u32),
            _ => None,
        })
    }

    /// Two, since each has one answer: `clone3` must look as if it did not exist, so that the C library takes `clone`, whose
    /// flags a filter can see.
    fn filters(&self) -> std::result::Result<Vec<BpfProgram>, seccompiler::BackendError> {
        let condition = |argument, operator, value: libc::c_int| {
            let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value as u64)?;
            SeccompRule::new(vec![condition]).map(|rule| vec![rule])
        };
        let mut shut: BTreeMap<i64, Vec<SeccompRule>> = SHUT.iter().map(|call| (*call, Vec::new())).collect();
        // Sockets of the machine alone, and none of datagrams (which `SOCK_RAW` means here, too): these need no connection.
        let mut sockets = condition(0, SeccompCmpOp::Ne, libc::AF_UNIX)?;
        let without_flags = SeccompCmpOp::MaskedEq(!(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) as u32 as u64);
        for kind in [libc::SOCK_DGRAM, libc::SOCK_RAW] {
            sockets.extend(condition(1, without_flags.clone(), kind)?);
        }
        shut.insert(libc::SYS_socket, sockets.clone());
        shut.insert(libc::SYS_socketpair, sockets);
        let new_user = SeccompCmpOp::MaskedEq(libc::CLONE_NEWUSER as u64);
        shut.insert(libc::SYS_clone, condition(0, new_user, libc::CLONE_NEWUSER)?);
        if !self.connects {
            shut.insert(libc::SYS_connect, Vec::new());
        }
        let unknown = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        let arch: TargetArch = std::env::consts::ARCH.try_into()?;
        [(shut, libc::EPERM), (unknown, libc::ENOSYS)]
            .into_iter()
            .map(|(rules, errno)| SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno as u32), arch)?.try_into())
            .collect()
    }
}

/// The dynamic loader of a program, and its libraries wherever they lie, as the loader itself tells them.
fn loaded(program: &Path, cancel: &Cancel) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let mut command = Command::new(program);
    command.env_clear().env("LD_TRACE_LOADED_OBJECTS", "1");
    let text = short_run(command, SHORT_RUN_LIMIT, cancel)?.stdout;
    let path = |word: Option<&str>| word.filter(|word| word.starts_with('/')).map(PathBuf::from);
    let loaders = text.lines().filter_map(|line| path(line.split_whitespace().next()));
    let libraries = text
        .lines()
        .filter_map(|line| path(line.split_once("=> ").and_then(|(_, rest)| rest.split_whitespace().next())));
    Ok((loaders.collect(), libraries.collect()))
}

/// The thread that started a confined process. The kernel ends the process with it, so it stays until this is dropped.
pub(crate) struct ParentThread {
    _release: Sender<()>,
}

/// Starts `command` on a thread that has restricted itself.
pub(crate) fn spawn(mut command: Command, confinement: Confinement) -> io::Result<(Child, ParentThread)> {
    let (started, start) = channel();
    let (release, released) = channel::<()>();
    std::thread::Builder::new().name("parent".to_owned()).spawn(move || {
        let child = confinement.enforce().and_then(|_| command.spawn());
        // And the descriptors that were only for the child.
        drop(command);
        let is_started = child.is_ok();
        let _ = started.send(child);
        if is_started {
            // Nothing is ever sent: it ends when the other side is dropped.
            let _ = released.recv();
        }
    })?;
    let child = start.recv().map_err(io::Error::other)??;
    Ok((child, ParentThread { _release: release }))
}

/// Without any confinement a drill is refused, unless somebody wishes so.
pub(crate) fn must_hold(enforced: EnforcedLayers, users: bool, unconfined: bool) -> Result<()> {
    if unconfined || users || enforced.landlock.is_some() {
        return Ok(());
    }
    let message = "nothing confines what a backup's code does here: the kernel has no Landlock, and only root can give the server \
                   a user of its own";
    Err(Error::new(Code::RestoreFailed, message)
        .advise("Run the drill on Linux 5.13 or newer with Landlock, or as root; --unconfined drills without, in a machine that holds nothing else."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;

    fn shell(confinement: Confinement, script: &str) -> io::Result<bool> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdout(Stdio::null()).stderr(Stdio::null());
        let (mut child, _keeper) = spawn(command, confinement)?;
        Ok(child.wait()?.success())
    }

    #[test]
    fn a_confined_program_runs_no_other_and_reads_and_writes_its_own() {
        let enforced = EnforcedLayers::probe();
        assert!(enforced.landlock.is_some() && enforced.seccomp, "{enforced:?}");
        let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(other.path().join("secret"), "s").unwrap();
        let confinement = || {
            Confinement::new(
                Path::new("/bin/sh"),
                vec![own.path().to_owned()],
                false,
                enforced,
                &Cancel::new().unwrap(),
            )
            .unwrap()
        };
        let (inside, outside) = (own.path().display(), other.path().display());
        for (script, succeeds) in [
            (format!("echo x >{inside}/file && read x <{inside}/file && rm() {{ :; }}"), true),
            (format!("read x <{outside}/secret"), false),
            (format!("echo x >{outside}/file"), false),
            (format!("echo x >{outside}/secret"), false),
            ("/usr/bin/true".to_owned(), false),
            (format!("cd {inside} && ./file"), false),
        ] {
            assert_eq!(shell(confinement(), &script).unwrap(), succeeds, "{script}");
        }
        assert_eq!(std::fs::read(other.path().join("secret")).unwrap(), b"s");
        // And this thread is as free as before.
        assert!(Command::new("/usr/bin/true").status().unwrap().success());
    }

    #[test]
    fn a_thread_that_is_confined_opens_no_connection_and_looks_into_no_process() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        std::net::TcpStream::connect(address).unwrap();
        std::thread::spawn(move || {
            Confinement::default().enforce().unwrap();
            assert!(std::net::TcpStream::connect(address).is_err());
            assert!(std::net::UdpSocket::bind("127.0.0.1:0").is_err());
            let folder = std::os::unix::net::UnixStream::connect("/nowhere").unwrap_err();
            assert_eq!(folder.kind(), io::ErrorKind::PermissionDenied);
            assert!(std::fs::read("/proc/self/environ").is_err());
            // A datagram needs no connection, and a file in memory lies in no folder: both were ways out.
            assert!(std::os::unix::net::UnixDatagram::unbound().is_err());
            assert!(std::os::unix::net::UnixDatagram::pair().is_err());
            assert!(std::os::unix::net::UnixStream::pair().is_ok());
            let program = rustix::fs::memfd_create("program", rustix::fs::MemfdFlags::CLOEXEC);
            assert_eq!(program.unwrap_err(), rustix::io::Errno::PERM);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn less_than_was_promised_is_an_error() {
        let promised = EnforcedLayers {
            landlock: Some(99),
            seccomp: true,
        };
        let confinement = Confinement {
            expected: promised,
            ..Confinement::default()
        };
        assert!(spawn(Command::new("/bin/true"), confinement).is_err());
    }

    #[test]
    fn where_nothing_confines_only_the_wish_counts() {
        let landlock = EnforcedLayers {
            landlock: Some(1),
            seccomp: false,
        };
        for (enforced, users, unconfined, holds) in [
            (EnforcedLayers::NONE, false, false, false),
            (EnforcedLayers::NONE, false, true, true),
            (EnforcedLayers::NONE, true, false, true),
            (landlock, false, false, true),
            (
                EnforcedLayers {
                    landlock: None,
                    seccomp: true,
                },
                false,
                false,
                false,
            ),
        ] {
            assert_eq!(must_hold(enforced, users, unconfined).is_ok(), holds);
        }
        let report = |enforced, users| serde_json::to_value(ConfinementReport::new(enforced, users)).unwrap();
        assert_eq!(report(EnforcedLayers::NONE, false), "none");
        let held = serde_json::json!({"landlock": {"abi": 1}, "seccomp": false, "users": true});
        assert_eq!(report(landlock, true), held);
    }
}
