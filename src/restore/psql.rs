//! psql: the end of the way back, and the way in which a target is asked things. Every option of libpq that a conninfo can
//! hold works for both.

use super::child::{Fed, Wanted};
use super::conninfo::Conninfo;
use super::tls::{self, TargetTls};
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::pipeline::Stage;
use crate::pipeline::clients::{self, Client};
use crate::pipeline::pg_dump::{memory_file, told};
use crate::rds::passfile;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Command;

/// The first minor release of each major that knows `\restrict` (August 2025); before it psql stops there.
const RESTRICT: &[(u32, u32)] = &[(13, 22), (14, 19), (15, 14), (16, 10), (17, 6)];
/// Where `\restrict` stands, if it does: before the first line that is no comment.
const HEAD: usize = 4 << 10;
/// Of a query's answer.
const ANSWER: usize = 64 << 20;
/// Lines of stderr that are kept though psql succeeded.
const WARNINGS: usize = 20;

/// Among the installed ones the smallest major that is not older than the `pg_dump` that wrote the dump, and that knows
/// `\restrict` where the dump has it.
pub fn find(first: &[PathBuf], path: Option<&str>, pg_dump_version: &str) -> Result<Client> {
    choose(clients::installed("psql", first, path), pg_dump_version)
}

fn choose(installed: Vec<Client>, pg_dump_version: &str) -> Result<Client> {
    let failed = |message: String| Error::new(Code::RestoreFailed, message);
    let advice = "Install a newer postgresql-client, or name its folder in PGSEAL_PG_BIN.";
    let (major, _) = version(pg_dump_version).unwrap_or_default();
    let has_restrict = knows_restrict(pg_dump_version);
    let is_suitable = |client: &&Client| client.major >= major && (!has_restrict || knows_restrict(&client.version));
    if let Some(client) = installed.iter().filter(is_suitable).min_by_key(|client| client.major) {
        return Ok(client.clone());
    }
    let newest = installed.iter().max_by_key(|client| version(&client.version));
    Err(match newest {
        None => failed("no psql was found in PGSEAL_PG_BIN, /usr/lib/postgresql/*/bin or PATH".to_owned()),
        Some(client) if client.major >= major => too_old_for_restrict(&client.version, pg_dump_version),
        Some(client) => failed(format!(
            "the dump was written by pg_dump {pg_dump_version}; the newest installed psql is {}",
            client.version
        )),
    }
    .advise(advice))
}

/// How psql runs what it is fed.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub single_transaction: bool,
    /// Where not, errors are only told: right for roles, some of which exist already.
    pub stop_at_errors: bool,
}

impl Manner {
    /// All of it, or an error.
    pub fn all(single_transaction: bool) -> Self {
        Self {
            single_transaction,
            stop_at_errors: true,
        }
    }
}

/// A psql and the database that it connects to.
#[derive(Clone)]
pub struct Access {
    pub client: Client,
    pub conninfo: Conninfo,
    environment: Vec<(OsString, OsString)>,
    password: Option<SecretString>,
    tls: TargetTls,
}

impl Access {
    /// `variables`: ours. libpq's own settings among them reach psql, a password only in a file in memory.
    pub fn new(client: Client, conninfo: Conninfo, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
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
        let tls = TargetTls::new(&conninfo, &environment, &client, password.is_some());
        Self {
            client,
            conninfo,
            environment,
            password,
            tls,
        }
    }

    /// The same server and login, another database.
    pub fn database(&self, name: &str) -> Self {
        Self {
            conninfo: self.conninfo.with_dbname(name),
            ..self.clone()
        }
    }

    /// Starts the restore of a dump by this version of `pg_dump`, tied to the calling thread, which must outlive it.
    pub fn restore(&self, manner: Manner, pg_dump_version: &str, cancel: &Cancel) -> Result<Psql> {
        let mut command = self.command()?;
        if !manner.stop_at_errors {
            command.arg("--set=ON_ERROR_STOP=0");
        }
        if manner.single_transaction {
            command.arg("--single-transaction");
        }
        Ok(Psql {
            child: Fed::start(&mut command, self.files()?, Wanted::Nothing, cancel)?,
            version: self.client.version.clone(),
            pg_dump_version: pg_dump_version.to_owned(),
            head: Some(Vec::new()),
            password: self.password.clone(),
        })
    }

    /// Runs SQL and gives what it prints: a row a line, columns parted by `|`.
    pub fn query(&self, sql: &str, cancel: &Cancel) -> Result<String> {
        self.query_bytes(sql.as_bytes(), cancel)
    }

    /// The same for SQL with names that are no UTF-8, which must say so itself by `SET client_encoding`.
    pub fn query_bytes(&self, sql: &[u8], cancel: &Cancel) -> Result<String> {
        let mut command = self.command()?;
        command.args(["--no-align", "--tuples-only"]).env("PGCLIENTENCODING", "UTF8");
        let mut child = Fed::start(&mut command, self.files()?, Wanted::Bytes(ANSWER), cancel)?;
        child.write(sql)?;
        let status = child.finish()?;
        if !status.success() {
            return Err(failure(&redacted(&child.said(), self.password.as_ref()), status));
        }
        let answer = std::str::from_utf8(child.output());
        let answer = answer.map_err(|_| Error::new(Code::RestoreFailed, "psql answered in another encoding than UTF-8"))?;
        Ok(answer.trim_end_matches('\n').to_owned())
    }

    /// Runs one query whose only column and row is JSON.
    pub fn json<T: DeserializeOwned>(&self, sql: &str, cancel: &Cancel) -> Result<T> {
        let answer = self.query(sql, cancel)?;
        serde_json::from_str(&answer).map_err(|error| Error::new(Code::RestoreFailed, format!("psql's answer is no JSON: {error}")))
    }

    /// Runs statements one after the other, whatever becomes of each: for each what the server said against it.
    pub fn try_statements(&self, statements: &[&str], cancel: &Cancel) -> Result<Vec<Option<Refusal>>> {
        // A message may hold any text: lines of ours begin with what nobody can have guessed.
        let mut mark = [0; 16];
        aws_lc_rs::rand::fill(&mut mark).map_err(|_| Error::new(Code::Bug, "no random bytes"))?;
        let mark = crate::envelope::hex(&mark);
        let mut script = String::from("\\set ON_ERROR_STOP off\n");
        for statement in statements {
            script.push_str(&format!("{statement};\n\\echo {mark} :ERROR :SQLSTATE :LAST_ERROR_MESSAGE\n"));
        }
        let answer = self.query(&script, cancel)?;
        let outcomes: Vec<Option<Refusal>> = answer.split(&*mark).skip(1).map(Refusal::read).collect();
        if outcomes.len() != statements.len() {
            return Err(Error::new(Code::RestoreFailed, "psql did not come to the end of its statements"));
        }
        Ok(outcomes)
    }

    /// The same for one.
    pub fn try_statement(&self, statement: &str, cancel: &Cancel) -> Result<Option<Refusal>> {
        Ok(self.try_statements(&[statement], cancel)?.pop().flatten())
    }

    fn command(&self) -> Result<Command> {
        let mut command = Command::new(self.client.program("psql"));
        command
            .args(["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--file=-"])
            .arg(format!("--dbname={}", self.conninfo.render()))
            .env_clear()
            .env("PGAPPNAME", "pgseal")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            // Its words are read by us; the dump itself says in which encoding it is.
            .env("LC_ALL", "C");
        command.envs(self.tls.variables.iter().copied());
        let names = [
            self.password.as_ref().map(|_| "PGPASSFILE"),
            self.tls.roots.as_ref().map(|_| "PGSSLROOTCERT"),
        ];
        for (name, descriptor) in names.into_iter().flatten().zip(3..) {
            command.env(name, format!("/proc/self/fd/{descriptor}"));
        }
        Ok(command)
    }

    /// In the order of [`Self::command`].
    fn files(&self) -> Result<Vec<OwnedFd>> {
        let passfile = |password: &SecretString| memory_file("passfile", &passfile(password.expose_secret())?);
        let roots = self.tls.roots.as_ref().map(|roots| memory_file("roots", roots));
        self.password.iter().map(passfile).chain(roots).collect()
    }
}

/// What a server said against a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub sqlstate: String,
    pub message: String,
}

impl Refusal {
    /// ` true 42501 permission denied`, or ` false 00000 …`.
    fn read(line: &str) -> Option<Self> {
        let mut words = line.trim().splitn(3, ' ');
        let (failed, sqlstate, message) = (words.next()?, words.next()?, words.next().unwrap_or_default());
        (failed != "false").then(|| Self {
            sqlstate: sqlstate.to_owned(),
            message: message.split_whitespace().collect::<Vec<_>>().join(" "),
        })
    }
}

/// A database that takes a plain dump, up to the first error.
pub struct Psql {
    child: Fed,
    version: String,
    pg_dump_version: String,
    /// The dump's beginning, until it is known whether it has `\restrict`.
    head: Option<Vec<u8>>,
    password: Option<SecretString>,
}

impl Psql {
    fn look(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(head) = &mut self.head else { return Ok(()) };
        head.extend(bytes.iter().take(HEAD - head.len()));
        match has_restrict(head) {
            Some(true) if !knows_restrict(&self.version) => Err(too_old_for_restrict(&self.version, &self.pg_dump_version)),
            None if head.len() < HEAD => Ok(()),
            _ => {
                self.head = None;
                Ok(())
            }
        }
    }

    /// It has ended, or must now.
    fn ended(&mut self) -> Result<Vec<String>> {
        let status = self.child.finish()?;
        let said = redacted(&self.child.said(), self.password.as_ref());
        if !status.success() {
            return Err(failure(&said, status));
        }
        let words = said.lines().filter(|line| !line.trim().is_empty());
        Ok(words.take(WARNINGS).map(str::to_owned).collect())
    }
}

impl Stage for Psql {
    /// What psql said though it succeeded.
    type Done = Vec<String>;

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.look(bytes)?;
        if self.child.write(bytes)? {
            return Ok(());
        }
        self.ended()?;
        Err(Error::new(Code::RestoreFailed, "psql ended before the dump did"))
    }

    fn finish(mut self) -> Result<Vec<String>> {
        self.ended()
    }
}

/// Known once the first line that is neither empty nor a comment has begun.
fn has_restrict(head: &[u8]) -> Option<bool> {
    let is_passed = |line: &&[u8]| line.ends_with(b"\n") && (line.trim_ascii().is_empty() || line.starts_with(b"--"));
    let line = head.split_inclusive(|byte| *byte == b'\n').find(|line| !is_passed(line))?;
    let sign = b"\\restrict ";
    if line.len() < sign.len() && (sign.starts_with(line) || b"--".starts_with(line)) || (line.starts_with(b"--") && !line.ends_with(b"\n"))
    {
        return None;
    }
    Some(line.starts_with(sign))
}

/// Major and minor of `17.6`, `18beta1`, `9.6.24`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    let major = numbers.next().filter(|major| *major > 0)?;
    let is_release = text.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with('.');
    Some((major, if is_release { numbers.next().unwrap_or(0) } else { 0 }))
}

fn knows_restrict(text: &str) -> bool {
    version(text).is_some_and(|(major, minor)| major >= 18 || RESTRICT.iter().any(|(known, since)| major == *known && minor >= *since))
}

fn too_old_for_restrict(psql: &str, pg_dump: &str) -> Error {
    let message = format!(
        "the dump was written by pg_dump {pg_dump} and begins with \\restrict, which psql {psql} does not know; psql 13.22, 14.19, 15.14, 16.10, 17.6 and 18 do"
    );
    Error::new(Code::RestoreFailed, message).advise("Install a newer postgresql-client, or name its folder in PGSEAL_PG_BIN.")
}

fn redacted(said: &str, password: Option<&SecretString>) -> String {
    match password {
        Some(password) => said.replace(password.expose_secret(), "[redacted]"),
        None => said.to_owned(),
    }
}

/// psql's first error with what belongs to it: `psql:<stdin>:12: ERROR:  …` and its DETAIL.
fn failure(said: &str, status: std::process::ExitStatus) -> Error {
    const SIGNS: [&str; 4] = [" ERROR:  ", " FATAL:  ", " PANIC:  ", "psql: error: "];
    let lines: Vec<&str> = said.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let is_error = |line: &&str| SIGNS.iter().any(|sign| line.contains(sign));
    // psql itself says `psql:<stdin>:3: error: invalid command \x`; a server may speak another language.
    let first = lines.iter().position(is_error);
    let first = first.or_else(|| lines.iter().rposition(|line| line.starts_with("psql:")));
    let Some(first) = first else {
        let last = lines.last().copied().unwrap_or("it said nothing");
        return Error::new(Code::RestoreFailed, format!("psql {}: {last}", told(status)));
    };
    let belongs = |line: &&&str| !line.starts_with("psql:") && !line.starts_with("LINE ") && !line.trim_start().starts_with('^');
    let rest = lines[first + 1..].iter().take_while(|line| !line.starts_with("psql:"));
    let told = std::iter::once(&lines[first]).chain(rest.filter(belongs).take(3));
    let told: Vec<String> = told.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let error = Error::new(Code::RestoreFailed, told.join(" · "));
    match tls::advice(&error.message) {
        Some(advice) => error.advise(advice),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    fn client(version: &str) -> Client {
        let (major, _) = self::version(version).unwrap();
        Client {
            folder: PathBuf::from("/nowhere"),
            major,
            version: version.to_owned(),
        }
    }

    fn chosen(installed: &[&str], pg_dump: &str) -> Result<String> {
        choose(installed.iter().map(|version| client(version)).collect(), pg_dump).map(|client| client.version)
    }

    #[test]
    fn the_smallest_that_is_not_older_and_knows_restrict() {
        for (pg_dump, psql) in [
            ("15.14", "16.10"),
            ("15.13", "15.1"),
            ("16.9", "16.10"),
            ("17.6", "18.0"),
            ("18beta2", "18.0"),
        ] {
            assert_eq!(chosen(&["18.0", "15.1", "17.5", "16.10"], pg_dump).unwrap(), psql, "{pg_dump}");
        }
        assert_eq!(chosen(&["17.5"], "17.5").unwrap(), "17.5");
        for (installed, pg_dump, words) in [
            (&["17.5"][..], "17.6", &["pg_dump 17.6", "psql 17.5", "\\restrict"][..]),
            (&["15.14", "16.10"], "17.6", &["pg_dump 17.6", "psql is 16.10"]),
            (&[], "17.6", &["no psql"]),
        ] {
            let error = chosen(installed, pg_dump).unwrap_err();
            assert_eq!(error.code, Code::RestoreFailed);
            assert!(words.iter().all(|word| error.message.contains(word)), "{error}");
        }
    }

    #[test]
    fn restrict_is_seen_at_the_first_line_that_is_no_comment() {
        for (head, seen) in [
            ("--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n", Some(true)),
            ("--\n-- PostgreSQL database dump\n--\n\n-- Dumped", None),
            ("--\n-- x\n--\n\nSET statement_timeout = 0;\n\\restrict x\n", Some(false)),
            ("\\restr", None),
            ("\\restrict ", Some(true)),
            ("-", None),
            ("", None),
        ] {
            assert_eq!(has_restrict(head.as_bytes()), seen, "{head:?}");
        }
    }

    #[test]
    fn the_first_error_is_told_with_its_detail() {
        let status = std::process::ExitStatus::from_raw(3 << 8);
        for (said, told) in [
            (
                "psql:<stdin>:3: NOTICE:  hello\npsql:<stdin>:9: ERROR:  duplicate key\nDETAIL:  Key (a)=(1) exists.\nCONTEXT:  COPY t, line 2\npsql:<stdin>:10: ERROR:  late\n",
                "psql:<stdin>:9: ERROR: duplicate key · DETAIL: Key (a)=(1) exists. · CONTEXT: COPY t, line 2",
            ),
            (
                "psql:<stdin>:1: ERROR:  syntax error at or near \"x\"\nLINE 1: x;\n        ^\n",
                "psql:<stdin>:1: ERROR: syntax error at or near \"x\"",
            ),
            (
                "psql: error: connection to server at \"h\", port 1 failed: refused\n\tIs it running?\n",
                "psql: error: connection to server at \"h\", port 1 failed: refused · Is it running?",
            ),
            (
                "psql:<stdin>:3: HINWEIS:  a\npsql:<stdin>:4: FEHLER:  b\n",
                "psql:<stdin>:4: FEHLER: b",
            ),
            ("", "psql ended with exit status 3: it said nothing"),
        ] {
            assert_eq!(failure(said, status).message, told);
        }
    }
}
