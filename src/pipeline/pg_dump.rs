//! `pg_dump` as a reader whose end means: exit status 0 **and** its closing line seen.

use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::format::names::DatabaseName;
use crate::plan::TlsMode;
use crate::process::client_tools::ClientTools;
use crate::process::group::describe_exit_status;
use crate::process::memory_file::memory_file;
use crate::process::reader::ChildReader;
use crate::rds::selection::DumpSelection;
use crate::rds::{SERVICE, Server, diagnose, passfile};
use secrecy::{ExposeSecret, SecretString};
use std::ffi::OsString;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Kept of the output's end, to look for the closing line: longer than it and the `\unrestrict` line behind it.
const TAIL: usize = 512;
/// Lines of stderr that go into a receipt.
const WARNINGS: usize = 20;

/// What is to be dumped.
pub(crate) enum DumpScope<'a> {
    /// One database, or what the patterns mean of it.
    Database {
        name: &'a DatabaseName,
        selection: &'a DumpSelection,
        lock_timeout: Duration,
        on_replica: bool,
        /// Of the planner.
        statistics: bool,
    },
    /// The roles and tablespaces, without passwords.
    Globals {
        database: &'a DatabaseName,
        /// As `--encoding` takes it.
        encoding: &'a str,
        /// Of the login or the database: pg_dumpall, unlike pg_dump, would end by them.
        timeouts: &'a [String],
    },
}

/// The first major of pg_dump that dumps the planner's statistics.
pub(crate) const STATISTICS_SINCE: u32 = 18;

/// All that a dump needs to start, on whichever thread that will be.
pub(crate) struct PgDumpCommand {
    command: Command,
    files: Vec<OwnedFd>,
    closing: &'static str,
    secret: SecretString,
    /// How long it may wait for locks.
    patience: Duration,
}

impl PgDumpCommand {
    /// The password and the CAs are handed over in memory files: they stand in no argument, no environment and on no disk.
    pub(crate) fn new(client: &ClientTools, server: &Server, scope: &DumpScope<'_>, run: &str, password: SecretString) -> Result<Self> {
        let (program, database, closing) = match scope {
            DumpScope::Database { name, .. } => ("pg_dump", name, "-- PostgreSQL database dump complete"),
            DumpScope::Globals { database, .. } => ("pg_dumpall", database, "-- PostgreSQL database cluster dump complete"),
        };
        let files = vec![
            memory_file("passfile", &passfile(password.expose_secret())?)?,
            memory_file("roots", &server.tls.roots)?,
            memory_file("service", service(client.major).as_bytes())?,
        ];
        let mut command = Command::new(client.program(program));
        command.args(arguments(scope)).env_clear().envs([
            ("PGHOST", server.host.as_str()),
            ("PGPORT", &server.port.to_string()),
            ("PGUSER", &server.user),
            // By variable only: as an argument, a name such as `host=…` would be read as a connection string.
            ("PGDATABASE", database.as_str()),
            ("PGPASSFILE", "/proc/self/fd/3"),
            // Keepalives have no variable of their own; what stands in the variables here stands there not.
            ("PGSERVICEFILE", "/proc/self/fd/5"),
            ("PGSERVICE", "pgseal"),
            ("PGSSLMODE", server.tls.mode.as_str()),
            ("PGGSSENCMODE", "disable"),
            ("PGCONNECT_TIMEOUT", "15"),
            ("PGAPPNAME", &application_name(run)),
            ("LC_ALL", "C"),
            // What pg_dump is told in arguments, it hands to the server in this encoding.
            ("PGCLIENTENCODING", scope.encoding()),
        ]);
        command.envs(verification(server));
        let patience = match scope {
            DumpScope::Database { lock_timeout, .. } => *lock_timeout,
            DumpScope::Globals { .. } => Duration::ZERO,
        };
        Ok(Self {
            command,
            files,
            closing,
            secret: password,
            patience,
        })
    }

    /// Starts it, tied to the calling thread: that thread reads it to its end.
    pub(crate) fn start(self, stall: Duration, cancel: &Cancel) -> Result<PgDump> {
        let mut process = ChildReader::start(self.command, self.files, stall, cancel)?;
        process.be_patient(self.patience);
        Ok(PgDump {
            process,
            tail: Vec::with_capacity(2 * TAIL),
            bytes: 0,
            closing: self.closing,
            secret: self.secret,
        })
    }
}

/// What the server calls the session of this run's pg_dump: other runs may dump the same database as the same user.
pub(crate) fn application_name(run: &str) -> String {
    format!("pgseal {run}")
}

/// A running dump.
pub(crate) struct PgDump {
    process: ChildReader,
    tail: Vec<u8>,
    bytes: u64,
    closing: &'static str,
    secret: SecretString,
}

impl PgDump {
    /// Lines that it said though it succeeded.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.stderr_text()
            .lines()
            .filter(|line| !line.trim().is_empty())
            .take(WARNINGS)
            .map(str::to_owned)
            .collect()
    }

    /// The end of the output is here: was it the end of the dump?
    fn prove(&self) -> Result<()> {
        let status = self
            .process
            .status()
            .ok_or_else(|| Error::new(Code::Bug, "pg_dump ended without a status"))?;
        if !status.success() {
            return Err(diagnose::of_pg_dump(&self.stderr_text(), &describe_exit_status(status)));
        }
        if self.bytes == 0 {
            return Err(Error::new(Code::DumpIncomplete, "pg_dump ended without a byte"));
        }
        if !closes(&self.tail, self.closing) {
            return Err(Error::new(
                Code::DumpIncomplete,
                format!("pg_dump ended after {} bytes without its closing line", self.bytes),
            ));
        }
        Ok(())
    }

    fn stderr_text(&self) -> String {
        self.process.stderr_text().replace(self.secret.expose_secret(), "[redacted]")
    }
}

impl Read for PgDump {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.process.read(buffer)?;
        if read == 0 {
            self.prove()?;
            return Ok(0);
        }
        self.bytes += read as u64;
        let fresh = &buffer[read.saturating_sub(TAIL)..read];
        self.tail.extend_from_slice(fresh);
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
        Ok(read)
    }
}

impl DumpScope<'_> {
    fn encoding(&self) -> &str {
        match self {
            DumpScope::Database { selection, .. } => &selection.encoding,
            DumpScope::Globals { encoding, .. } => encoding,
        }
    }
}

/// A connection string that names a database and nothing else, whatever its name looks like.
fn conninfo(database: &str) -> String {
    format!("dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn arguments(scope: &DumpScope<'_>) -> Vec<OsString> {
    let (selection, lock_timeout, on_replica, statistics) = match scope {
        DumpScope::Database {
            selection,
            lock_timeout,
            on_replica,
            statistics,
            ..
        } => (selection, lock_timeout, on_replica, statistics),
        DumpScope::Globals {
            database,
            encoding,
            timeouts,
        } => {
            // Only where it must be: a proxy refuses startup options. Names of ours, with nothing to be quoted in them.
            let options: Vec<String> = timeouts.iter().map(|name| format!(" -c {name}=0")).collect();
            let options = match options.concat() {
                none if none.is_empty() => none,
                options => format!(" options='{}'", options.trim_start()),
            };
            return vec![
                "--globals-only".into(),
                "--no-role-passwords".into(),
                "--no-password".into(),
                "--quote-all-identifiers".into(),
                format!("--encoding={encoding}").into(),
                // Else it wants `postgres` or `template1`, which hardened servers close.
                format!("--database={}{options}", conninfo(database.as_str())).into(),
            ];
        }
    };
    let mut arguments: Vec<OsString> = vec![
        "--format=plain".into(),
        "--no-password".into(),
        format!("--lock-wait-timeout={}", lock_timeout.as_millis()).into(),
        // A word that no keyword is today may be one in the major that this is restored into.
        "--quote-all-identifiers".into(),
        // Its exit status 0 means then that each pattern was found.
        "--strict-names".into(),
        format!("--encoding={}", selection.encoding).into(),
    ];
    if *on_replica {
        // Their rows do not exist on a replica, and asking for them fails.
        arguments.push("--no-unlogged-table-data".into());
    }
    if *statistics {
        arguments.push("--statistics".into());
    }
    arguments.extend(selection.arguments.iter().cloned());
    arguments
}

/// The service file for a libpq of this major.
fn service(major: u32) -> String {
    let known = |line: &&str| major >= 12 || !line.starts_with("tcp_user_timeout");
    SERVICE.lines().filter(known).map(|line| format!("{line}\n")).collect()
}

/// How the server is verified, by libpq as by our own connection, and what it may ask for where it is not verified.
fn verification(server: &Server) -> Vec<(&'static str, &'static str)> {
    let mode = server.tls.mode;
    let mut variables = Vec::new();
    // With roots at hand, libpq would verify the CA under `require` too.
    let roots = if mode == TlsMode::Require {
        "/nonexistent/root.crt"
    } else {
        "/proc/self/fd/4"
    };
    variables.push(("PGSSLROOTCERT", roots));
    if mode != TlsMode::VerifyFull {
        // libpq 16 and later; before, the next one does it where the server can.
        variables.push(("PGREQUIREAUTH", "none,scram-sha-256"));
        if mode != TlsMode::Disable && server.offers_binding.load(Ordering::Relaxed) {
            variables.push(("PGCHANNELBINDING", "require"));
        }
    }
    variables
}

/// Whether the output ends with the closing comment, and behind it at most the `\unrestrict KEY` of August 2025.
fn closes(tail: &[u8], closing: &str) -> bool {
    let text = String::from_utf8_lossy(tail);
    let Some((_, rest)) = text.rsplit_once(&format!("\n--\n{closing}\n--\n")) else {
        return false;
    };
    let lines: Vec<&str> = rest.lines().filter(|line| !line.is_empty()).collect();
    rest.ends_with('\n') && matches!(lines.as_slice(), [] | [_]) && lines.iter().all(|line| line.starts_with("\\unrestrict "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSING: &str = "-- PostgreSQL database dump complete";

    #[test]
    fn the_closing_line_is_told_from_what_looks_like_it() {
        for whole in [
            "x;\n\n--\n-- PostgreSQL database dump complete\n--\n\n",
            "\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n\n",
        ] {
            assert!(closes(whole.as_bytes(), CLOSING), "{whole:?}");
        }
        for cut in [
            "",
            "x;\n",
            "\n--\n-- PostgreSQL database dump complete\n--",
            "\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestr",
            "\n--\n-- PostgreSQL database dump complete\n--\n\nSELECT 1;\n",
            "\n-- PostgreSQL database dump complete\n",
        ] {
            assert!(!closes(cut.as_bytes(), CLOSING), "{cut:?}");
        }
    }

    #[test]
    fn a_pattern_is_never_an_option_of_its_own() {
        let name = DatabaseName::new("app").unwrap();
        let selection = DumpSelection {
            arguments: vec!["--table=-j9".into()],
            encoding: "UTF8".to_owned(),
            ..DumpSelection::default()
        };
        let scope = DumpScope::Database {
            name: &name,
            selection: &selection,
            lock_timeout: Duration::from_secs(60),
            on_replica: false,
            statistics: true,
        };
        let arguments = arguments(&scope);
        for expected in [
            "--statistics",
            "--table=-j9",
            "--lock-wait-timeout=60000",
            "--quote-all-identifiers",
            "--strict-names",
            "--encoding=UTF8",
        ] {
            assert!(arguments.iter().any(|argument| argument == expected), "{expected}");
        }
    }

    #[test]
    fn timeouts_of_the_login_are_switched_off_for_globals_and_nothing_is_where_there_are_none() {
        let database = DatabaseName::new("app").unwrap();
        let timeouts = ["lock_timeout".to_owned(), "statement_timeout".to_owned()];
        let scope = |timeouts| DumpScope::Globals {
            database: &database,
            encoding: "UTF8",
            timeouts,
        };
        let wanted = "--database=dbname='app' options='-c lock_timeout=0 -c statement_timeout=0'";
        assert!(arguments(&scope(&timeouts)).iter().any(|argument| argument == wanted));
        assert!(
            arguments(&scope(&[]))
                .iter()
                .all(|argument| !argument.to_string_lossy().contains("options"))
        );
    }

    #[test]
    fn globals_are_asked_of_the_database_itself_by_its_very_name() {
        for (name, quoted) in [
            ("app", "--database=dbname='app'"),
            ("host=evil port=1", "--database=dbname='host=evil port=1'"),
            ("it's \\", "--database=dbname='it\\'s \\\\'"),
            ("postgresql://evil/x", "--database=dbname='postgresql://evil/x'"),
        ] {
            let database = DatabaseName::new(name).unwrap();
            let scope = DumpScope::Globals {
                database: &database,
                encoding: "UTF8",
                timeouts: &[],
            };
            assert!(arguments(&scope).iter().any(|argument| argument == quoted), "{name}");
        }
    }
}
