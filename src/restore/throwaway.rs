//! A PostgreSQL server of our own, for one drill: on a socket in a folder that nobody else can enter, and gone afterwards
//! with all that was in it, however the drill ends.

use super::child::{Fed, Wanted};
use super::conninfo::Conninfo;
use super::locales;
use super::psql::Access;
use crate::cancel::Cancel;
use crate::envelope::hex;
use crate::error::{Code, Error, Result};
use crate::pipeline::clients::{self, Client};
use crate::pipeline::tether::tether_by;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Not a role that a dump's globals could make.
const SUPERUSER: &str = "pgseal_drill";
const SOCKET: &str = ".s.PGSQL.5432";
/// Of a socket's path, in bytes (sun_path of unix(7), less its NUL).
const SOCKET_PATH: usize = 107;
/// Longest start and longest immediate shutdown.
const START: Duration = Duration::from_secs(120);
const STOP: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

/// What makes a restore fast and needs no safety: the data lives shorter than the machine.
const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "autovacuum=off",
    "shared_buffers=128MB",
    "maintenance_work_mem=128MB",
    "max_wal_size=4GB",
    "checkpoint_timeout=1h",
    // A single transaction takes a lock for every large object and table.
    "max_locks_per_transaction=1024",
    // Files of the data folder: a container's /dev/shm has 64 MB.
    "dynamic_shared_memory_type=mmap",
    "logging_collector=off",
    "log_min_messages=warning",
    "log_min_error_statement=panic",
];

/// Among the installed servers the smallest major that is not older than the one the backup is from.
pub fn find(first: &[PathBuf], path: Option<&str>, server_major: u32) -> Result<Client> {
    let installed = clients::installed("postgres", first, path);
    let whole = |client: &&Client| client.program("initdb").is_file();
    let suitable = installed.iter().filter(whole).filter(|client| client.major >= server_major);
    if let Some(server) = suitable.min_by_key(|client| client.major) {
        return Ok(server.clone());
    }
    let newest = installed.iter().map(|client| client.major).max();
    let message = match newest {
        Some(newest) => format!("the backup is of PostgreSQL {server_major}; the newest server installed here is {newest}"),
        None => "no PostgreSQL server was found in PGSEAL_PG_BIN, /usr/lib/postgresql/*/bin or PATH".to_owned(),
    };
    Err(Error::new(Code::RestoreFailed, message).advise("Install the package postgresql, or name its folder in PGSEAL_PG_BIN."))
}

/// A running server. Dropped, it is shut down and its folder removed.
pub struct Throwaway {
    // In this order: the server goes before its folder.
    server: Running,
    access: Access,
    folder: Folder,
}

impl Throwaway {
    /// Makes and starts one in a new folder of `parent`; `psql` is what connects to it. Locales of the system that are
    /// missing are made for it, where that can be done.
    pub fn start(server: &Client, psql: Client, locales: &[String], parent: &Path, cancel: &Cancel) -> Result<Self> {
        let owner = Owner::find()?;
        let folder = Folder::new(parent, owner)?;
        let locales = locales::make(locales, &folder.0, |program| owner.command(program), cancel)?;
        initdb(server, &folder, owner, cancel)?;
        let running = Running::start(server, &folder, owner, locales.as_deref())?;
        let conninfo = Conninfo::parse("port=5432 dbname=postgres connect_timeout=10")?
            .with("user", SUPERUSER)
            .with("host", &folder.0.to_string_lossy());
        let mut throwaway = Self {
            server: running,
            // None of our variables: PGOPTIONS and the like are meant for other servers.
            access: Access::new(psql, conninfo, []),
            folder,
        };
        throwaway.wait_until_ready(cancel)?;
        Ok(throwaway)
    }

    /// Its superuser, at the database `postgres`.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The end of the server's own log, for the message of a failure.
    pub fn log(&self) -> String {
        self.folder.log_end()
    }

    fn wait_until_ready(&mut self, cancel: &Cancel) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            let refused = match self.access.query("SELECT 1;", cancel) {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            cancel.check()?;
            if self.server.has_ended() {
                return Err(failed(&format!("the server did not start: {}", self.folder.log_end())));
            }
            if Instant::now() > deadline {
                return Err(failed(&format!(
                    "the server did not get ready in {} s: {}",
                    START.as_secs(),
                    refused.message
                )));
            }
            cancel.sleep(POLL)?;
        }
    }
}

fn failed(message: &str) -> Error {
    Error::new(Code::RestoreFailed, format!("throw-away PostgreSQL: {message}"))
}

/// Who runs the server where we are root, which PostgreSQL refuses to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner(Option<(u32, u32)>);

impl Owner {
    fn find() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self(None));
        }
        let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let ids = ["postgres", "nobody"].iter().find_map(|name| ids(&accounts, name));
        match ids {
            Some(ids) => Ok(Self(Some(ids))),
            None => Err(failed(
                "PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it",
            )),
        }
    }

    fn give(self, path: &Path) -> std::io::Result<()> {
        self.0.map_or(Ok(()), |(user, group)| chown(path, Some(user), Some(group)))
    }

    /// The command in a bare environment, as this user.
    fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = self.0 {
            command.uid(user).gid(group);
        }
        // A server must not sit in a folder that its user may not enter.
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir("/");
        command
    }
}

/// User and group of `name:password:uid:gid:…` of passwd(5).
fn ids(accounts: &str, name: &str) -> Option<(u32, u32)> {
    let fields = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = fields.into_iter().find(|fields| fields.first() == Some(&name))?;
    let id = |place: usize| found.get(place)?.parse().ok().filter(|id| *id != 0);
    Some((id(2)?, id(3)?))
}

/// A new folder, the owner's alone.
struct Folder(PathBuf);

impl Folder {
    fn new(parent: &Path, owner: Owner) -> Result<Self> {
        let unusable = |error: &dyn std::fmt::Display| failed(&format!("no folder in {}: {error}", parent.display()));
        let parent = parent.canonicalize().map_err(|error| unusable(&error))?;
        let mut name = [0; 6];
        aws_lc_rs::rand::fill(&mut name).map_err(|error| unusable(&error))?;
        let path = parent.join(format!("pgseal-drill-{}", hex(&name)));
        if path.join(SOCKET).as_os_str().len() > SOCKET_PATH {
            return Err(failed(&format!("{} is too long a path for a socket", parent.display())).advise("Name a shorter folder in TMPDIR."));
        }
        // Fails where anything of that name exists.
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| unusable(&error))?;
        let folder = Self(path);
        owner.give(&folder.0).map_err(|error| unusable(&error))?;
        Ok(folder)
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    fn log_end(&self) -> String {
        let log = std::fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&log[log.len().saturating_sub(4096)..]).into_owned();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(4)..].join(" · ")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!("{} could not be removed: {error}", self.0.display());
        }
    }
}

/// With UTF-8's rules for letters where the system has them: a constraint may depend on them.
fn initdb(server: &Client, folder: &Folder, owner: Owner, cancel: &Cancel) -> Result<()> {
    let mut said = String::new();
    for locale in ["C.UTF-8", "C"] {
        let mut command = owner.command(&server.program("initdb"));
        command.args(["--no-sync", "--auth=trust", "--encoding=UTF8"]);
        command.arg(format!("--username={SUPERUSER}")).arg(format!("--locale={locale}"));
        command.arg("-D").arg(folder.data());
        let mut child = Fed::start(&mut command, Vec::new(), Wanted::Nothing, cancel)?;
        if child.finish()?.success() {
            return Ok(());
        }
        said = child.said();
    }
    let words: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    Err(failed(&format!("initdb: {}", words.join(" · "))))
}

/// The server process, and the thread that started it and waits for it: when that thread ends, the kernel ends the server.
struct Running {
    process: OwnedFd,
    ended: Receiver<()>,
    keeper: Option<JoinHandle<()>>,
}

impl Running {
    fn start(server: &Client, folder: &Folder, owner: Owner, locales: Option<&Path>) -> Result<Self> {
        let failed = |error: &dyn std::fmt::Display| failed(&format!("the server cannot be started: {error}"));
        let log = File::create(folder.log()).map_err(|error| failed(&error))?;
        let mut command = owner.command(&server.program("postgres"));
        command.arg("-D").arg(folder.data()).args(["-p", "5432", "-k"]).arg(&folder.0);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        // Else those of the system, wherever it keeps them.
        if let Some(folder) = locales
            .map(Path::as_os_str)
            .map(ToOwned::to_owned)
            .or_else(|| std::env::var_os("LOCPATH"))
        {
            command.env("LOCPATH", folder);
        }
        command.stdin(Stdio::null()).process_group(0);
        command.stdout(log.try_clone().map_err(|error| failed(&error))?).stderr(log);
        // PostgreSQL's immediate shutdown: it takes its backends with it and frees shared memory.
        tether_by(Signal::QUIT, &mut command);

        let (started, start) = channel();
        let (gone, ended) = channel();
        let keeper = std::thread::Builder::new().name("postgres".to_owned()).spawn(move || {
            let child = command.spawn().and_then(|child| {
                let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
                Ok((child, process))
            });
            match child {
                Ok((mut child, process)) => {
                    let _ = started.send(Ok(process));
                    let _ = child.wait();
                    let _ = gone.send(());
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                }
            }
        });
        let keeper = keeper.map_err(|error| failed(&error))?;
        let process = start.recv().map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        Ok(Self {
            process,
            ended,
            keeper: Some(keeper),
        })
    }

    fn has_ended(&mut self) -> bool {
        self.keeper.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.process, Signal::QUIT);
        if self.ended.recv_timeout(STOP) == Err(RecvTimeoutError::Timeout) {
            let _ = pidfd_send_signal(&self.process, Signal::KILL);
        }
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_and_root_is_none_of_them() {
        let accounts = "root:x:0:0::/root:/bin/sh\nnobodyelse:x:1:1::/:\nnobody:x:65534:65533:nobody:/:/bin/false\nodd\n";
        assert_eq!(ids(accounts, "nobody"), Some((65534, 65533)));
        assert_eq!(ids(accounts, "root"), None);
        assert_eq!(ids(accounts, "postgres"), None);
    }

    #[test]
    fn a_folder_whose_socket_would_be_out_of_reach_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let long = parent.path().join("x".repeat(100));
        std::fs::create_dir(&long).unwrap();
        let error = Folder::new(&long, Owner(None)).err().unwrap();
        assert!(error.hint().contains("TMPDIR"), "{error}");
        assert_eq!(std::fs::read_dir(&long).unwrap().count(), 0);
    }
}
