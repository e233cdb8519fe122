//! psql: the end of the restore, and the way in which a target is asked things. Every option of libpq that a conninfo can
//! hold works for both.

mod answers;
mod failure;
mod find;
mod look;
mod report_text;
mod sqlstates;
pub(super) mod trial_reports;
mod without_rows;

use super::conninfo::Conninfo;
use super::tls::TargetTls;
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::pipeline::Stage;
use crate::process::accounts::{self, Account};
use crate::process::client_tools::ClientTools;
use crate::process::confinement::Confinement;
use crate::process::memory_file::memory_file;
use crate::process::writer::{ChildWriter, OutputWanted};
use crate::rds::passfile;
use answers::Answers;
use failure::failure;
pub(super) use failure::is_without_words;
pub use find::find;
pub(crate) use find::find_for_others;
use find::knows_restrict;
pub use report_text::ReportText;
use secrecy::{ExposeSecret, SecretString};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::process::Command;
use trial_reports::{ReportFilter, TrialReports, random_word};
use without_rows::{RowsSeen, without_rows};

/// Of a query's answer.
const ANSWER: usize = 64 << 20;
/// Lines of stderr that are kept though psql succeeded.
const WARNINGS: usize = 20;
/// Where a string ends must not be up to what somebody set for the database.
const STRINGS: &[u8] = b"SET standard_conforming_strings TO on;\n";
/// Nor what NULL in an array is, for which `pg_dump` writes and does not say so. Its dates and intervals mean the same under each
/// DateStyle and IntervalStyle, and constraints may count on the source's.
const VALUES: &[u8] = b"SET array_nulls TO on;\n";
/// For all that is not a dump: nothing is found that a user of the database put beside the catalog's functions, types and
/// operators, not even among temporary objects.
const PATH: &[u8] = b"SET search_path TO pg_catalog, pg_temp; SET standard_conforming_strings TO on;\n";

/// How psql runs what it is fed.
#[derive(Clone, Copy, Debug)]
pub struct PsqlMode {
    pub single_transaction: bool,
    /// Where not, errors are only told: right for roles, some of which exist already.
    pub stop_at_errors: bool,
    /// It can be asked what it has done.
    pub answers: bool,
}

impl PsqlMode {
    /// All of it, or an error.
    pub fn all(single_transaction: bool) -> Self {
        Self {
            single_transaction,
            stop_at_errors: true,
            answers: false,
        }
    }
}

/// A psql and the database that it connects to.
#[derive(Clone)]
pub struct PsqlTarget {
    pub client: ClientTools,
    pub conninfo: Conninfo,
    environment: Vec<(OsString, OsString)>,
    password: Option<SecretString>,
    tls: TargetTls,
    account: Option<Account>,
    confinement: Option<Confinement>,
    /// Nothing of rows is passed on of what the server says.
    hides_rows: bool,
    /// The database has rows, and code that may have read them has run.
    has_rows: bool,
    /// Statements that the session of a dump begins with.
    settings: String,
}

/// libpq itself looks for a password in these, and would send it like any other.
fn may_have_passfile(conninfo: &Conninfo, environment: &[(OsString, OsString)]) -> bool {
    let variable = |name: &str| environment.iter().find(|(known, value)| known == name && !value.is_empty());
    let own = variable("HOME").is_some_and(|(_, home)| std::path::Path::new(home).join(".pgpass").exists());
    let is_said = |keyword: &str| conninfo.get(keyword).is_some_and(|value| !value.is_empty());
    own || is_said("passfile") || is_said("service") || variable("PGPASSFILE").is_some() || variable("PGSERVICE").is_some()
}

impl PsqlTarget {
    /// `variables`: ours. libpq's own settings among them reach psql, a password only in a file in memory.
    pub fn new(client: ClientTools, conninfo: Conninfo, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut password = conninfo.password().cloned();
        let mut environment = Vec::new();
        for (name, value) in variables {
            match name.to_str() {
                Some("PGPASSWORD") => password = password.or_else(|| value.into_string().ok().map(SecretString::from)),
                Some("HOME" | "PATH") => environment.push((name, value)),
                Some(text) if text.starts_with("PG") && !text.starts_with("PGSEAL") => environment.push((name, value)),
                _ => {}
            }
        }
        let password = password.filter(|password| !password.expose_secret().is_empty());
        let tls = TargetTls::new(
            &conninfo,
            &environment,
            &client,
            password.is_some() || may_have_passfile(&conninfo, &environment),
        );
        Self {
            client,
            conninfo,
            environment,
            password,
            tls,
            account: None,
            confinement: None,
            hides_rows: false,
            has_rows: false,
            settings: String::new(),
        }
    }

    /// Whether a database is named, by whatever libpq reads. Else it would take the one that has the user's name.
    pub(crate) fn names_database(&self) -> bool {
        let named = |key: &str| self.conninfo.get(key).is_some_and(|value| !value.is_empty());
        let is_set = |(name, value): &(OsString, OsString)| (name == "PGDATABASE" || name == "PGSERVICE") && !value.is_empty();
        named("dbname") || named("service") || self.environment.iter().any(is_set)
    }

    /// A drill's: psql runs as this user and within these bounds, and what the server says is told without rows.
    pub(super) fn of_drill(self, account: Option<Account>, confinement: Confinement) -> Self {
        Self {
            account,
            confinement: Some(confinement),
            hides_rows: true,
            ..self
        }
    }

    /// The same once a dump is in: from then on names are of rows as well, since code may have made objects of such names.
    pub(super) fn after_load(self) -> Self {
        Self { has_rows: true, ..self }
    }

    /// With statements of ours that each dump is to find done.
    pub(super) fn with_settings(self, settings: String) -> Self {
        Self { settings, ..self }
    }

    /// The same server and login, another database.
    pub fn database(&self, name: &str) -> Self {
        Self {
            conninfo: self.conninfo.with_dbname(name),
            ..self.clone()
        }
    }

    /// Starts the restore of a dump, tied to the calling thread, which must outlive it. Only a [`Filter`] may feed it: psql
    /// runs commands of its own in what it reads, and where it knows how to refuse them it does so in vain if it is of
    /// before August 2026 (CVE-2026-18408).
    ///
    /// [`Filter`]: super::filter::Filter
    pub fn restore(&self, manner: PsqlMode, cancel: &Cancel) -> Result<Psql> {
        let mut command = self.command()?;
        // Until the dump says otherwise.
        command.env("PGCLIENTENCODING", "UTF8");
        if !manner.stop_at_errors {
            command.arg("--set=ON_ERROR_STOP=0");
        }
        if manner.single_transaction {
            command.arg("--single-transaction");
        }
        let wanted = match manner.answers {
            true => OutputWanted::Bytes(0),
            false => OutputWanted::Nothing,
        };
        if manner.answers {
            command.args(["--no-align", "--tuples-only"]);
        }
        let mut psql = Psql {
            child: self.start(command, wanted, cancel)?,
            key: None,
            answers: None,
            warnings: self.tls.warning.iter().cloned().map(ReportText::ours).collect(),
            target: self.clone(),
            rows: if self.has_rows {
                RowsSeen::before_all()
            } else {
                RowsSeen::default()
            },
        };
        let version = &self.client.version;
        if knows_restrict(version) {
            let key = random_word()?;
            psql.put(format!("\\restrict {key}\n").as_bytes())?;
            psql.key = Some(key);
        } else {
            // The first line of all: psql passes over a mark of UTF-8 there.
            psql.put(b"\n")?;
            psql.warnings.push(ReportText::ours(format!(
                "psql {version} does not know \\restrict: that it runs no command out of the dump is up to pgseal alone; \
                 psql 14.19, 15.14, 16.10, 17.6 and 18 know it"
            )));
        }
        psql.put(STRINGS)?;
        psql.put(VALUES)?;
        psql.put(self.settings.as_bytes())?;
        Ok(psql)
    }

    /// Runs statements of ours that change something, up to the first error; gives what they print. What only asks goes
    /// through [`Self::query`].
    pub fn execute(&self, sql: &str, cancel: &Cancel) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.output(sql.as_bytes(), cancel)?)
            .trim_end_matches('\n')
            .to_owned())
    }

    fn output(&self, sql: &[u8], cancel: &Cancel) -> Result<Vec<u8>> {
        let mut command = self.command()?;
        command.args(["--no-align", "--tuples-only"]).env("PGCLIENTENCODING", "UTF8");
        let mut child = self.start(command, OutputWanted::Bytes(ANSWER), cancel)?;
        child.write(PATH)?;
        child.write(sql)?;
        let status = child.finish()?;
        if !status.success() {
            return Err(failure(&self.told(&child.stderr_text(), true), status));
        }
        Ok(child.output().to_vec())
    }

    /// Runs statements one after the other, whatever becomes of each: for each what the server said against it.
    pub(crate) fn try_statements(&self, statements: &[&str], cancel: &Cancel) -> Result<Vec<Option<PsqlRefusal>>> {
        // A message may hold any text: lines of ours begin with what nobody can have guessed.
        let mark = random_word()?;
        let mut script = String::from("\\set ON_ERROR_STOP off\n");
        for statement in statements {
            script.push_str(&format!("{statement};\n\\echo {mark} :ERROR :SQLSTATE :LAST_ERROR_MESSAGE\n"));
        }
        // A message can quote bytes that are no UTF-8.
        let answer = self.output(script.as_bytes(), cancel)?;
        let answer = String::from_utf8_lossy(&answer);
        let is_told = !(self.hides_rows && self.has_rows);
        let lines = answer.split(&*mark).skip(1);
        let outcomes: Vec<Option<PsqlRefusal>> = lines.map(|line| PsqlRefusal::read(line, is_told)).collect();
        if outcomes.len() != statements.len() {
            return Err(Error::new(Code::RestoreFailed, "psql did not come to the end of its statements"));
        }
        Ok(outcomes)
    }

    /// The same for one.
    pub(crate) fn try_statement(&self, statement: &str, cancel: &Cancel) -> Result<Option<PsqlRefusal>> {
        Ok(self.try_statements(&[statement], cancel)?.pop().flatten())
    }

    fn command(&self) -> Result<Command> {
        let program = self.client.program("psql");
        let mut command = match self.account {
            Some(_) => accounts::run_as(&program, self.account),
            None => Command::new(program),
        };
        command
            .args(["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--file=-"])
            .arg(format!("--dbname={}", self.conninfo.render()))
            .env_clear()
            .env("PGAPPNAME", "pgseal")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            // Its words are read by us; the dump itself says in which encoding it is.
            .env("LC_ALL", "C");
        command.envs(self.tls.variables.iter().copied());
        if self.hides_rows {
            command.args(["--set=VERBOSITY=verbose", "--set=SHOW_CONTEXT=always"]);
        }
        let names = [
            self.password.as_ref().map(|_| "PGPASSFILE"),
            self.tls.roots.as_ref().map(|_| "PGSSLROOTCERT"),
        ];
        for (name, descriptor) in names.into_iter().flatten().zip(3..) {
            command.env(name, format!("/proc/self/fd/{descriptor}"));
        }
        Ok(command)
    }

    fn start(&self, command: Command, wanted: OutputWanted, cancel: &Cancel) -> Result<ChildWriter> {
        ChildWriter::start_confined(command, self.files()?, wanted, self.confinement.as_ref(), cancel)
    }

    /// What psql said, without what nobody shall read.
    fn told(&self, said: &str, has_rows: bool) -> ReportText {
        let said = match &self.password {
            Some(password) => said.replace(password.expose_secret(), "[redacted]"),
            None => said.to_owned(),
        };
        match self.hides_rows {
            true => without_rows(&said, has_rows),
            false => ReportText::before_rows(said),
        }
    }

    /// In the order of [`Self::command`].
    fn files(&self) -> Result<Vec<OwnedFd>> {
        let file = |name: &str, content: &[u8]| {
            let file = memory_file(name, content)?;
            let not_given = |error| Error::new(Code::Bug, format!("a memory file cannot be given away: {error}"));
            accounts::give(&file, self.account).map_err(not_given)?;
            Ok(file)
        };
        let passfile = |password: &SecretString| file("passfile", &passfile(password.expose_secret())?);
        let roots = self.tls.roots.as_ref().map(|roots| file("roots", roots));
        self.password.iter().map(passfile).chain(roots).collect()
    }
}

/// What a server said against a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PsqlRefusal {
    pub sqlstate: String,
    pub message: ReportText,
}

impl PsqlRefusal {
    /// ` true 42501 permission denied`, or ` false 00000 …`.
    fn read(line: &str, is_told: bool) -> Option<Self> {
        let mut words = line.trim().splitn(3, ' ');
        let (failed, sqlstate, message) = (words.next()?, words.next()?, words.next().unwrap_or_default());
        (failed != "false").then(|| Self {
            sqlstate: sqlstate.to_owned(),
            message: match is_told {
                true => ReportText::before_rows(message.split_whitespace().collect::<Vec<_>>().join(" ")),
                false => ReportText::of_state("", sqlstate),
            },
        })
    }
}

/// A database that takes a plain dump, up to the first error.
pub struct Psql {
    child: ChildWriter,
    /// Of `\restrict`.
    key: Option<String>,
    answers: Option<Answers>,
    warnings: Vec<ReportText>,
    target: PsqlTarget,
    rows: RowsSeen,
}

impl Psql {
    /// What it says of statements that were tried is told there.
    pub(super) fn telling(mut self, tried: &TrialReports) -> Self {
        self.child.filter_stderr(Box::new(ReportFilter::new(tried.clone())));
        self
    }

    /// It has ended, or must now.
    fn ended(&mut self) -> Result<Vec<ReportText>> {
        let status = self.child.finish()?;
        let said = self.target.told(&self.child.stderr_text(), self.rows.are_there());
        if !status.success() {
            return Err(failure(&said, status));
        }
        let warnings = std::mem::take(&mut self.warnings);
        Ok(warnings.into_iter().chain(said.lines().take(WARNINGS)).collect())
    }
}

impl Stage for Psql {
    /// What psql said though it succeeded.
    type Done = Vec<ReportText>;

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        if self.target.hides_rows {
            self.rows.see(bytes);
        }
        if self.child.write(bytes)? {
            return Ok(());
        }
        self.ended()?;
        Err(Error::new(Code::RestoreFailed, "psql ended before the dump did"))
    }

    fn finish(mut self) -> Result<Vec<ReportText>> {
        if let Some(key) = self.key.take() {
            self.put(format!("\n\\unrestrict {key}\n").as_bytes())?;
        }
        self.ended()
    }
}

#[cfg(test)]
mod tests;
