//! A PostgreSQL server of our own, for one drill: on a socket in a folder that nobody else can enter, confined, and gone
//! afterwards with all that was in it, however the drill ends.

use super::conninfo::Conninfo;
use super::locales;
use super::psql::PsqlTarget;
use super::scratch_folder::ScratchFolder;
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::format::hex;
use crate::format::sql::{identifier, literal};
use crate::process::accounts::{Account, Accounts, give, give_tree, run_as};
use crate::process::client_tools::{self, ClientTools};
use crate::process::confinement::{Confinement, ConfinementReport, EnforcedLayers, must_hold};
use crate::process::group::{Ending, ProcessGroup};
use crate::process::memory_file::memory_file;
use crate::process::short_run::{SHORT_RUN_LIMIT, short_run};
use crate::process::writer::{ChildWriter, OutputWanted};
use crate::random;
use rustix::process::Signal;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

const START: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(50);
/// PostgreSQL's immediate shutdown: it takes its backends with it and frees shared memory.
const SHUTDOWN: Ending = Ending {
    asks: Signal::QUIT,
    grace: Duration::from_secs(10),
    with_parent: Signal::QUIT,
};

/// Whatever the restored database sets for its sessions while a dump comes, in the superuser's nothing is loaded or found by it.
const SUPERUSER_OPTIONS: &str = "-c search_path=pg_catalog -c session_preload_libraries= -c local_preload_libraries=";

/// What makes a restore fast and needs no safety: the data lives shorter than the machine.
const SETTINGS: &[&str] = &[
    "listen_addresses=",
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
    // Its own words, and none of an error, which may quote rows.
    "log_min_messages=log",
    "log_min_error_statement=panic",
];

/// Among the installed servers the smallest major that is not older than the one the backup is from.
pub fn find(first: &[PathBuf], path: Option<&str>, server_major: u32) -> Result<ClientTools> {
    let installed = client_tools::installed("postgres", first, path);
    let whole = |client: &&ClientTools| client.program("initdb").is_file();
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

/// How a drill's server is to be made.
pub struct ScratchOptions<'a> {
    /// Of the system, which the database needs.
    pub locales: &'a [String],
    /// Where its folder goes.
    pub parent: &'a Path,
    /// Goes on where nothing confines it.
    pub unconfined: bool,
}

/// Bytes that the server takes at once.
const WAL_FILE: u64 = 16 << 20;

/// A running server. Dropped, it is shut down and its folder removed.
pub struct ScratchServer {
    // In this order: the server goes before its folder.
    server: ProcessGroup,
    superuser: PsqlTarget,
    restorer: PsqlTarget,
    restorer_name: String,
    confinement: ConfinementReport,
    folder: ScratchFolder,
}

impl ScratchServer {
    /// Makes and starts one in a new folder; `psql` is what connects to it. Locales of the system that are missing are made
    /// for it, where that can be done.
    pub fn start(server: &ClientTools, psql: ClientTools, options: &ScratchOptions, cancel: &Cancel) -> Result<Self> {
        let (accounts, enforced) = (Accounts::choose()?, EnforcedLayers::probe());
        must_hold(enforced, accounts.are_used(), options.unconfined)?;
        for (client, program, account) in [
            (server, "initdb", accounts.maker),
            (server, "postgres", accounts.server),
            (&psql, "psql", accounts.psql),
        ] {
            must_run(&client.program(program), account, cancel)?;
        }
        let folder = ScratchFolder::new(options.parent, &accounts)?;
        let as_maker = |program: &Path| run_as(program, accounts.maker);
        let locales = locales::make(options.locales, &folder.locales(), as_maker, cancel)?;
        let [superuser, restorer] = [DrillLogin::new("pgseal_drill")?, DrillLogin::new("pgseal_restore")?];
        initdb(server, &folder, &superuser, accounts.maker, cancel)?;
        // Anyone who else is the user that made it comes no further from here on.
        give_tree(&folder.data(), accounts.server).map_err(|error| failed(&format!("its folder cannot be given away: {error}")))?;
        let running = start_server(server, &folder, accounts.server, locales.as_deref(), enforced, cancel)?;
        let program = psql.program("psql");
        let program = program.canonicalize().unwrap_or(program);
        let confinement = Confinement::new(&program, Vec::new(), true, enforced, cancel)?;
        let conninfo = Conninfo::parse("port=5432 dbname=postgres connect_timeout=10")?.with("host", &folder.socket().to_string_lossy());
        let access = |login: &DrillLogin| {
            let conninfo = conninfo.clone().with("user", &login.name);
            // None of our variables: PGOPTIONS and the like are meant for other servers.
            let password = [(OsString::from("PGPASSWORD"), OsString::from(&login.password))];
            PsqlTarget::new(psql.clone(), conninfo, password).of_drill(accounts.psql, confinement.clone())
        };
        let mut superuser_access = access(&superuser);
        superuser_access.conninfo = superuser_access.conninfo.with("options", SUPERUSER_OPTIONS);
        let mut throwaway = Self {
            server: running,
            superuser: superuser_access,
            restorer: access(&restorer),
            restorer_name: restorer.name.clone(),
            confinement: ConfinementReport::new(enforced, accounts.are_used()),
            folder,
        };
        throwaway.wait_until_ready(cancel)?;
        // It sees all rows, to count them, and may nothing else that an ordinary owner of a database may not.
        throwaway.superuser.execute(
            &format!(
                "CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION BYPASSRLS PASSWORD {};
                 REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;",
                identifier(&restorer.name),
                literal(&restorer.password)
            ),
            cancel,
        )?;
        Ok(throwaway)
    }

    /// Its superuser, at the database `postgres`.
    pub fn access(&self) -> &PsqlTarget {
        &self.superuser
    }

    /// Who restores and counts: the owner of its database, and no superuser. Whatever a backup brings runs as this role.
    pub(crate) fn restorer(&self) -> &PsqlTarget {
        &self.restorer
    }

    pub(crate) fn restorer_name(&self) -> &str {
        &self.restorer_name
    }

    /// What drills that were killed left beside it, in words.
    pub(crate) fn abandoned(&self) -> Option<String> {
        self.folder.abandoned.clone()
    }

    /// Whether its disk has no room for the next file of its write-ahead log, without which it stops.
    pub(crate) fn is_out_of_space(&self) -> bool {
        rustix::fs::statvfs(self.folder.data()).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < WAL_FILE)
    }

    pub(crate) fn confinement(&self) -> ConfinementReport {
        self.confinement
    }

    /// Gives a database to who restores.
    pub(crate) fn hand_over(&self, database: &str, cancel: &Cancel) -> Result<()> {
        let (database, owner) = (self.superuser.database(database), identifier(&self.restorer_name));
        let name = identifier(database.conninfo.dbname().unwrap_or_default());
        let statements = format!("ALTER DATABASE {name} OWNER TO {owner};\nALTER SCHEMA public OWNER TO {owner};\n");
        database.execute(&statements, cancel).map(drop)
    }

    /// Ends that sessions of the database heed what code of its dump set for it or for its role. Wanted before each phase that opens
    /// some: code may run in every phase, and set it again.
    pub(crate) fn settings_back(&self, database: &str) -> impl FnOnce(&Cancel) -> Result<()> + Send + 'static + use<> {
        let (database, restorer) = (identifier(database), identifier(&self.restorer_name));
        let statements = format!(
            "ALTER DATABASE {database} RESET ALL;\nALTER DATABASE {database} CONNECTION LIMIT -1;\n\
             ALTER ROLE {restorer} RESET ALL;\nALTER ROLE {restorer} IN DATABASE {database} RESET ALL;\n"
        );
        let superuser = self.superuser.clone();
        move |cancel| superuser.execute(&statements, cancel).map(drop)
    }

    fn wait_until_ready(&mut self, cancel: &Cancel) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            let refused = match self.superuser.query("SELECT 1;", cancel) {
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

/// An installation in somebody's own folder is often closed to others, and who runs it here is one.
fn must_run(program: &Path, account: Option<Account>, cancel: &Cancel) -> Result<()> {
    let Some(Account { user, .. }) = account else { return Ok(()) };
    let mut command = run_as(program, account);
    command.arg("--version");
    let why = match short_run(command, SHORT_RUN_LIMIT, cancel) {
        Ok(run) if run.status.is_some_and(|status| status.success()) => return Ok(()),
        Ok(run) => run.stderr.split_whitespace().collect::<Vec<_>>().join(" "),
        Err(error) if error.code == Code::Terminated => return Err(error),
        // The program is named in front of it.
        Err(error) => match error.message.split_once(" cannot be started: ") {
            Some((_, why)) => why.to_owned(),
            None => error.message,
        },
    };
    let message = format!("user {user}, who runs it in this drill, cannot run {}: {why}", program.display());
    Err(failed(&message).advise(
        "When root runs it, a drill starts PostgreSQL and psql as two other users: make the installation and the folders above it readable by \
         others (chmod a+rX), or name another one in PGSEAL_PG_BIN. A container needs the capabilities CHOWN, SETUID, SETGID, \
         DAC_OVERRIDE and KILL for it.",
    ))
}

/// A role of the drill's own: no dump can name it, and nobody who reaches the socket has its password.
struct DrillLogin {
    name: String,
    password: String,
}

impl DrillLogin {
    fn new(name: &str) -> Result<Self> {
        let bytes: [u8; 28] = random::bytes()?;
        Ok(Self {
            name: format!("{name}_{}", hex(&bytes[..4])),
            password: hex(&bytes[4..]),
        })
    }
}

/// With UTF-8's rules for letters where the system has them: a constraint may depend on them.
fn initdb(server: &ClientTools, folder: &ScratchFolder, superuser: &DrillLogin, maker: Option<Account>, cancel: &Cancel) -> Result<()> {
    let mut said = String::new();
    for locale in ["C.UTF-8", "C"] {
        let mut command = run_as(&server.program("initdb"), maker);
        command.args(["--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--pwfile=/proc/self/fd/3"]);
        command
            .arg(format!("--username={}", superuser.name))
            .arg(format!("--locale={locale}"));
        command.arg("-D").arg(folder.data());
        let password = memory_file("password", format!("{}\n", superuser.password).as_bytes())?;
        give(&password, maker).map_err(|error| failed(&format!("initdb: {error}")))?;
        let mut child = ChildWriter::start(command, vec![password], OutputWanted::Nothing, cancel)?;
        if child.finish()?.success() {
            return Ok(());
        }
        said = child.stderr_text();
    }
    let words: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    Err(failed(&format!("initdb: {}", words.join(" · "))))
}

/// The server as a child that takes its own children with it when it is asked to end, or when we are gone.
fn start_server(
    server: &ClientTools,
    folder: &ScratchFolder,
    account: Option<Account>,
    locales: Option<&Path>,
    enforced: EnforcedLayers,
    cancel: &Cancel,
) -> Result<ProcessGroup> {
    let failed = |error: &dyn std::fmt::Display| failed(&format!("the server cannot be started: {error}"));
    let log = folder.log().map_err(|error| failed(&error))?;
    let program = server.program("postgres").canonicalize().map_err(|error| failed(&error))?;
    let mut command = run_as(&program, account);
    command.arg("-D").arg(folder.data()).args(["-p", "5432", "-k"]).arg(folder.socket());
    match account {
        None => command.args(["-c", "unix_socket_permissions=0700"]),
        // For psql, which is another user of this group.
        Some(Account { group, .. }) => command.args(["-c", "unix_socket_permissions=0770", "-c", &format!("unix_socket_group={group}")]),
    };
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    // Else those of the system, wherever it keeps them.
    let locales = locales
        .map(Path::to_owned)
        .or_else(|| std::env::var_os("LOCPATH").map(PathBuf::from));
    if let Some(folder) = &locales {
        command.env("LOCPATH", folder);
    }
    let confinement =
        Confinement::new(&program, vec![folder.data(), folder.socket()], false, enforced, cancel)?.reading(locales.as_deref());
    command.stdin(Stdio::null());
    command.stdout(log.try_clone().map_err(|error| failed(&error))?).stderr(log);
    ProcessGroup::start(command, Vec::new(), Some(&confinement), SHUTDOWN).map_err(|error| failed(&error))
}
