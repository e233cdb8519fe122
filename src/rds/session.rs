//! SQL of our own. Every query goes through [`Session`], so that none can be without a limit, deaf to a cancel, or at the
//! mercy of names that somebody put into the database.
//!
//! Each query travels in one message with its settings (`SET LOCAL` in the message's own transaction): they hold for it
//! alone and for certain, also behind a pooler that gives each transaction another session, and a failed query leaves
//! nothing behind for the next. Startup `options` would not do: RDS Proxy and pgbouncer refuse them.
//!
//! So a connection that is lost between or under two of them costs nothing but a new login: the query is asked again.
//!
//! Queries name `pg_catalog` all the same, and hold no backslash in a plain literal, whose meaning is a setting of the
//! server: values go in by [`crate::format::sql::literal`].

use super::diagnose::{self, LoginRefusal};
use super::login::{self, Connection};
use super::{Server, TRIES, is_transient, pause};
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::format::names::DatabaseName;
use crate::plan::Limits;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_postgres::error::DbError;
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow};

/// Locks are waited for no longer than this: who holds one on a catalog holds it for a moment.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
const BRIEF_LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// Connections that may be lost, by an idle time-out, a restart or an administrator: a server that ends each is told.
const LOSSES: u32 = 2;

/// A connection to one database whose server has said which it is. Closed when dropped.
pub struct Session<'a> {
    server: &'a Server,
    database: DatabaseName,
    cancel: Cancel,
    limits: Limits,
    /// Such as 170006.
    version_number: u32,
    /// Held while a query is out: the server answers them one by one, and the time of one must not run while it waits for
    /// another.
    login: Mutex<RenewableLogin>,
    /// Why it was given up, for anyone who waits for their turn then.
    ended: OnceLock<Error>,
}

struct RenewableLogin {
    connection: Connection,
    losses: u32,
}

/// What came of a query that the backup can do without.
pub enum AdvisoryRows {
    Rows(Vec<Row>),
    /// The server would not, or not in time: its own words.
    Refused(String),
}

impl<'a> Session<'a> {
    /// Logs in. A server that is busy or out of reach is tried again, with a new token.
    pub async fn open(server: &'a Server, database: &DatabaseName, cancel: &Cancel) -> Result<Self> {
        Self::try_open(server, database, cancel).await.map_err(Error::from)
    }

    /// The same, saying by SQLSTATE why not.
    pub(super) async fn try_open(server: &'a Server, database: &DatabaseName, cancel: &Cancel) -> Result<Self, LoginRefusal> {
        let login = RenewableLogin {
            connection: log_in(server, database, cancel).await?,
            losses: 0,
        };
        let mut session = Self {
            server,
            database: database.clone(),
            cancel: cancel.clone(),
            limits: server.limits,
            version_number: 0,
            login: Mutex::new(login),
            ended: OnceLock::new(),
        };
        let version = "SELECT pg_catalog.current_setting('server_version_num')";
        let row = session.row(version).await.map_err(LoginRefusal::from)?;
        session.version_number = row.number(0)? as u32;
        Ok(session)
    }

    /// Such as 170006.
    pub(crate) fn version_number(&self) -> u32 {
        self.version_number
    }

    pub(crate) fn major(&self) -> u32 {
        self.version_number / 10_000
    }

    /// The rows of one query, which must be a single statement that reads.
    pub(crate) async fn rows(&self, query: &str) -> Result<Vec<Row>> {
        match self.ask(query, LOCK_TIMEOUT).await? {
            Ok(rows) => Ok(rows),
            Err(answer) => Err(diagnose::of_query(&answer)),
        }
    }

    /// The rows of a query that holds what a user wrote. The inner error is the server's judgement of that: a data exception,
    /// class 22 of SQLSTATE. Whatever else goes wrong has nothing to do with it.
    pub(crate) async fn rows_for(&self, query: &str) -> Result<Result<Vec<Row>, String>> {
        match self.ask(query, LOCK_TIMEOUT).await? {
            Ok(rows) => Ok(Ok(rows)),
            Err(answer) if answer.code().code().starts_with("22") => Ok(Err(answer.message().to_owned())),
            Err(answer) => Err(diagnose::of_query(&answer)),
        }
    }

    /// The only row of one query.
    pub(crate) async fn row(&self, query: &str) -> Result<Row> {
        let row = self.rows(query).await?.pop();
        row.ok_or_else(|| Error::new(Code::Bug, "the server answered with no row"))
    }

    /// The rows of a query that nothing depends on: where the server refuses it, runs into a lock or is too slow, that is
    /// an answer too. An error is only what ends everything: a cancel, or a connection that is gone or silent.
    pub async fn advice(&self, query: &str) -> Result<AdvisoryRows> {
        self.advice_within(query, LOCK_TIMEOUT).await
    }

    /// The same for what is worth a moment only.
    pub async fn brief_advice(&self, query: &str) -> Result<AdvisoryRows> {
        self.advice_within(query, BRIEF_LOCK_TIMEOUT).await
    }

    async fn advice_within(&self, query: &str, lock_timeout: Duration) -> Result<AdvisoryRows> {
        match self.ask(query, lock_timeout).await? {
            Ok(rows) => Ok(AdvisoryRows::Rows(rows)),
            Err(answer) => Ok(AdvisoryRows::Refused(answer.message().to_owned())),
        }
    }

    /// The one place where a query is sent. The inner error is the server's own answer.
    async fn ask(&self, query: &str, lock_timeout: Duration) -> Result<Result<Vec<Row>, DbError>> {
        let message = self.message(query, lock_timeout);
        let answer = async { Ok(self.take_turn(&message).await) };
        let messages = match self.cancel.run_until_cancelled(answer).await.flatten() {
            Ok(Ok(messages)) => messages,
            Ok(Err(answer)) => return Ok(Err(answer)),
            Err(error) => {
                // Its answer would be taken for the next one's, and may never come.
                if let Ok(login) = self.login.try_lock() {
                    login.connection.driver.abort();
                }
                let _ = self.ended.set(error.clone());
                return Err(error);
            }
        };
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(Row(row)),
            _ => None,
        });
        Ok(Ok(rows.collect()))
    }

    /// Asks once no other query is out, and once more where the connection was lost.
    async fn take_turn(&self, message: &str) -> Result<Result<Vec<SimpleQueryMessage>, DbError>> {
        let mut login = self.login.lock().await;
        if let Some(error) = self.ended.get() {
            return Err(error.clone());
        }
        loop {
            let asking = login.connection.client.simple_query(message);
            let lost = match tokio::time::timeout(self.limits.query, asking).await {
                Ok(Ok(messages)) => return Ok(Ok(messages)),
                Ok(Err(error)) => match error.as_db_error() {
                    Some(answer) if !diagnose::ends_the_session(answer) => return Ok(Err(answer.clone())),
                    _ => diagnose::of_lost_session(&error, &self.address()),
                },
                Err(_) => {
                    let silent = Error::new(
                        Code::DbUnreachable,
                        format!("{}: there was no answer to a query in time", self.address()),
                    );
                    return Err(silent);
                }
            };
            if login.losses >= LOSSES {
                return Err(lost);
            }
            tracing::warn!(code = lost.code.name(), "{}; logging in again", lost.message);
            login.losses += 1;
            login.connection = log_in(self.server, &self.database, &self.cancel).await?;
        }
    }

    fn address(&self) -> String {
        format!("{}:{}", self.server.host.as_str(), self.server.port)
    }

    /// Temporary objects come last in the search, so that not even they can stand in for anything of the catalog. What a
    /// database or role sets by default could make the transaction wait for others (serializable and deferrable).
    fn message(&self, query: &str, lock_timeout: Duration) -> String {
        let statement = self.limits.statement();
        format!(
            "SET LOCAL transaction_isolation = 'read committed'; SET LOCAL transaction_deferrable = off; \
             SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL transaction_read_only = on; \
             SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}; {query}",
            statement.as_millis(),
            lock_timeout.min(statement).as_millis().max(1),
        )
    }
}

/// A server that is busy or out of reach is tried again, with a new token.
async fn log_in(server: &Server, database: &DatabaseName, cancel: &Cancel) -> Result<Connection, LoginRefusal> {
    let mut tries = 0;
    loop {
        tries += 1;
        // A token takes a call or two of its own: not out of the login's time.
        let password = cancel.run_until_cancelled(server.password(database.as_str())).await?;
        let trying = async { Ok(login::log_in(server, database.as_str(), &password).await) };
        match cancel.run_until_cancelled(trying).await? {
            Err(refusal) if tries < TRIES && is_transient(refusal.error.code) => {
                let error = refusal.error;
                tracing::warn!(code = error.code.name(), tries, "{}", error.message);
                cancel.pause(pause(server.limits, tries)).await?;
            }
            outcome => return outcome,
        }
    }
}

/// One row, as text: whatever a server may send, reading it ends in a value or an error.
pub struct Row(SimpleQueryRow);

impl Row {
    /// A text that is not NULL.
    pub(crate) fn text(&self, column: usize) -> Result<&str> {
        self.optional(column)?.ok_or_else(|| odd(column, "is NULL"))
    }

    pub(crate) fn optional(&self, column: usize) -> Result<Option<&str>> {
        self.0.try_get(column).map_err(|_| odd(column, "is not there, or not UTF-8"))
    }

    /// A whole number; a negative one counts as none.
    pub(crate) fn number(&self, column: usize) -> Result<u64> {
        let number: i128 = self.text(column)?.parse().map_err(|_| odd(column, "is no number"))?;
        Ok(u64::try_from(number.max(0)).unwrap_or(u64::MAX))
    }

    pub(crate) fn flag(&self, column: usize) -> Result<bool> {
        match self.text(column)? {
            "t" => Ok(true),
            "f" => Ok(false),
            _ => Err(odd(column, "is neither true nor false")),
        }
    }

    /// What [`hex`] or [`name`] made.
    pub(crate) fn bytes(&self, column: usize) -> Result<Vec<u8>> {
        let text = self.text(column)?.as_bytes();
        let digit = |byte: u8| (byte as char).to_digit(16);
        let byte = |pair: &[u8]| Some((digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?) as u8);
        let bytes: Option<Vec<u8>> = text.chunks(2).map(byte).collect();
        bytes.ok_or_else(|| odd(column, "is not hexadecimal"))
    }

    /// What [`name`] made, as it can be shown.
    pub(crate) fn name(&self, column: usize) -> Result<String> {
        Ok(shown(&self.bytes(column)?))
    }
}

fn odd(column: usize, what: &str) -> Error {
    Error::new(
        Code::Bug,
        format!("the server's answer cannot be read: column {} {what}", column + 1),
    )
}

/// SQL for the very bytes of a name or text, for [`Row::bytes`]: of objects that all databases share, such as databases and
/// roles, a name can be in any encoding, and the server would hand it over unread or refuse to.
pub fn hex(expression: &str) -> String {
    format!(
        "pg_catalog.encode(pg_catalog.decode(pg_catalog.replace(({expression})::pg_catalog.text, \
         pg_catalog.chr(92), pg_catalog.chr(92) OPERATOR(pg_catalog.||) pg_catalog.chr(92)), 'escape'), 'hex')"
    )
}

/// SQL for a name or text of this database, in UTF-8 unless the database has no encoding, for [`Row::name`].
pub(crate) fn name(expression: &str) -> String {
    format!(
        "pg_catalog.encode(pg_catalog.convert_to(({expression})::pg_catalog.text, (CASE WHEN pg_catalog.getdatabaseencoding() \
         OPERATOR(pg_catalog.=) 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END)::pg_catalog.name), 'hex')"
    )
}

/// Bytes as text, no two alike: what is no UTF-8 as `\xNN`, a backslash doubled, and what moves a cursor escaped too.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character.is_control() || character == '\\' {
                true => text.extend(character.escape_default()),
                false => text.push(character),
            }
        }
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_what_they_are() {
        assert_eq!(shown(b"caf\xe9"), "caf\\xe9");
        assert_eq!(shown(b"caf\\xe9"), "caf\\\\xe9");
        assert_eq!(shown("né\u{1b}[2J\n".as_bytes()), "né\\u{1b}[2J\\n");
    }
}
