//! From what PostgreSQL and `pg_dump` say to the codes that users see.

use super::Server;
use crate::error::{Code, Error};
use tokio_postgres::error::{DbError, Severity, SqlState};

/// A login that failed.
pub(crate) struct LoginRefusal {
    pub error: Error,
    /// The server is there and knows the user; it is this database that is closed to it, or not there.
    pub of_the_database: bool,
}

impl From<Error> for LoginRefusal {
    fn from(error: Error) -> Self {
        Self {
            error,
            of_the_database: false,
        }
    }
}

impl LoginRefusal {
    /// The advice of `db_auth` is for IAM; a password has another.
    pub(super) fn advised(mut self, server: &Server) -> Self {
        let has_none_of_its_own = self.error.hint() == Code::DbAuth.hint();
        if self.error.code == Code::DbAuth && has_none_of_its_own && !server.is_iam() {
            let is_missing = self.error.message.contains("role ") && self.error.message.contains("does not exist");
            self.error = self.error.advise(if is_missing {
                "Create this role (`pgseal init` and docs/GUIDE.md have the SQL), or correct `user`."
            } else {
                "Check `user` and its password (PGPASSWORD, PGPASSFILE or `password_secret`), and that pg_hba.conf lets this user in from here with it."
            });
        }
        self
    }
}

impl From<LoginRefusal> for Error {
    fn from(refusal: LoginRefusal) -> Self {
        refusal.error
    }
}

const NO_UTF8: &str = "Our sessions speak UTF-8, which this server does not convert to and from the database's encoding (such as \
                       MULE_INTERNAL): move the data to a database in UTF8.";

const ENDED: &str = "Somebody or something ends the sessions of this user each time, such as an administrator, a job that calls \
                     pg_terminate_backend, or a server that is being shut down: exempt the backup user, or run again later.";

/// A name may hold a comma, so the variable is not cut at it.
const NO_LIST: &str = "POSTGRES_DATABASE is one name, or * for all: name several as a list in `database` of the event, of BACKUP_EVENT or of \
                       PGSEAL_EVENT_DEFAULTS, such as {\"database\": [\"a\", \"b\"]}.";

/// Our own connection failed. SQLSTATE decides: the words are in the server's language.
pub(crate) fn of_connection(error: &tokio_postgres::Error, host: &str, port: u16) -> LoginRefusal {
    if let Some(answer) = error.as_db_error() {
        let code = of_state(answer.code())
            .or_else(|| of_text(answer.message()))
            .unwrap_or(Code::DbUnreachable);
        let error = Error::new(code, format!("{host}:{port}: {}", answer.message()));
        let (error, of_the_database) = match *answer.code() {
            SqlState::INSUFFICIENT_PRIVILEGE => (error.advise("GRANT CONNECT ON DATABASE name TO the backup user."), true),
            // Rules of pg_hba.conf may be for one database alone.
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION => (error, true),
            SqlState::INVALID_CATALOG_NAME if error.message.contains(',') => (error.advise(NO_LIST), true),
            SqlState::INVALID_CATALOG_NAME | SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE => (error, true),
            SqlState::FEATURE_NOT_SUPPORTED => (error.advise(NO_UTF8), true),
            SqlState::ADMIN_SHUTDOWN => (error.advise(ENDED), false),
            _ => (error, false),
        };
        return LoginRefusal { error, of_the_database };
    }
    if let Some(ours) = ours_within(error) {
        return ours.clone().into();
    }
    let said = error_chain(error);
    let code = match &said {
        said if said.contains("TLS") || said.contains("certificate") => Code::DbTls,
        // No method of authentication that both sides know, a password missing, a SCRAM exchange that does not add up.
        said if said.contains("authentication") || said.contains("password") || said.contains("SCRAM") => Code::DbAuth,
        _ => Code::DbUnreachable,
    };
    Error::new(code, format!("{host}:{port}: {said}")).into()
}

/// What an SQLSTATE means, no matter who met it. <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn of_state(state: &SqlState) -> Option<Code> {
    Some(match *state {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => Code::DbAuth,
        SqlState::INVALID_CATALOG_NAME | SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE => Code::NoDatabase,
        SqlState::TOO_MANY_CONNECTIONS
        | SqlState::CANNOT_CONNECT_NOW
        | SqlState::ADMIN_SHUTDOWN
        | SqlState::CRASH_SHUTDOWN
        | SqlState::INSUFFICIENT_RESOURCES
        | SqlState::OUT_OF_MEMORY
        // A trivial query that the server itself gave up.
        | SqlState::QUERY_CANCELED => Code::DbBusy,
        // The server was there, and would not go on as we speak with it.
        SqlState::FEATURE_NOT_SUPPORTED => Code::DumpFailed,
        SqlState::INSUFFICIENT_PRIVILEGE => Code::DbPrivilege,
        SqlState::LOCK_NOT_AVAILABLE => Code::DbLockTimeout,
        SqlState::T_R_SERIALIZATION_FAILURE => Code::ReplicaConflict,
        _ => return None,
    })
}

/// A query that must be answered was not.
pub(crate) fn of_query(answer: &DbError) -> Error {
    let code = of_state(answer.code()).or_else(|| of_text(answer.message()));
    let error = Error::new(code.unwrap_or(Code::DbUnreachable), answer.message().to_owned());
    if *answer.code() == SqlState::QUERY_CANCELED {
        return error.advise(
            "The server took too long over a small question: look what it waits for (pg_stat_activity), or run at a quieter hour.",
        );
    }
    error
}

/// Whether the server takes no further query on this connection after it.
pub(crate) fn ends_the_session(answer: &DbError) -> bool {
    matches!(answer.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
        || matches!(
            *answer.code(),
            SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN | SqlState::CANNOT_CONNECT_NOW | SqlState::IDLE_SESSION_TIMEOUT
        )
}

/// The connection ended under a query.
pub(crate) fn of_lost_session(error: &tokio_postgres::Error, address: &str) -> Error {
    let code = error.as_db_error().and_then(|answer| of_state(answer.code()));
    let lost = Error::new(code.unwrap_or(Code::DbUnreachable), format!("{address}: {}", error_chain(error)));
    match error.as_db_error().map(DbError::code) {
        Some(&SqlState::ADMIN_SHUTDOWN) => lost.advise(ENDED),
        _ => lost,
    }
}

/// An error of ours that went through the client as one of the system.
fn ours_within(error: &tokio_postgres::Error) -> Option<&Error> {
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(ours) = inner.and_then(|inner| inner.downcast_ref::<Error>()) {
            return Some(ours);
        }
        next = cause.source();
    }
    None
}

/// `pg_dump` failed: its own last words, with the code that they mean.
pub(crate) fn of_pg_dump(stderr: &str, status: &str) -> Error {
    let code = of_text(stderr).unwrap_or(Code::DumpFailed);
    let told = telling_lines(stderr).join(" · ");
    let told = if told.is_empty() { "it said nothing".to_owned() } else { told };
    Error::new(code, format!("pg_dump {status}: {told}"))
}

/// The first lines that name a cause, and then the last ones of the rest: a query that is quoted may have many.
fn telling_lines(stderr: &str) -> Vec<&str> {
    const SHOWN: usize = 4;
    const MARKS: [&str; 5] = ["error:", "ERROR:", "FATAL:", "DETAIL:", "HINT:"];
    let spoken = stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_cause = |line: &str| MARKS.iter().any(|mark| line.contains(mark));
    let (causes, others): (Vec<_>, Vec<_>) = spoken.enumerate().partition(|(_, line)| is_cause(line));
    let mut told: Vec<_> = causes.into_iter().take(SHOWN).collect();
    let room = SHOWN - told.len();
    told.extend_from_slice(&others[others.len().saturating_sub(room)..]);
    told.sort_by_key(|(at, _)| *at);
    told.into_iter().map(|(_, line)| line).collect()
}

/// Signs in the words of `pg_dump`, which come without an SQLSTATE. Its own and libpq's are English (`LC_ALL=C`) and stable over
/// the versions; the server's are in the server's language: where none of these fits, `dump_failure` asks.
fn of_text(text: &str) -> Option<Code> {
    const SIGNS: &[(&str, Code)] = &[
        ("canceling statement due to lock timeout", Code::DbLockTimeout),
        ("could not obtain lock", Code::DbLockTimeout),
        // --lock-wait-timeout is a statement_timeout around LOCK TABLE.
        ("canceling statement due to statement timeout", Code::DbLockTimeout),
        ("conflict with recovery", Code::ReplicaConflict),
        ("permission denied", Code::DbPrivilege),
        ("row-level security", Code::DbPrivilege),
        ("must be owner", Code::DbPrivilege),
        ("server version mismatch", Code::VersionMismatch),
        ("authentication failed", Code::DbAuth),
        // The server lets nobody in without TLS.
        (", no encryption", Code::DbTls),
        (", SSL off", Code::DbTls),
        ("no pg_hba.conf entry", Code::DbAuth),
        ("is not permitted to log in", Code::DbAuth),
        ("does not exist", Code::NoDatabase),
        ("too many clients", Code::DbBusy),
        ("too many connections", Code::DbBusy),
        ("remaining connection slots", Code::DbBusy),
        ("the database system is", Code::DbBusy),
        ("terminating connection", Code::DumpFailed),
        ("server closed the connection", Code::DumpFailed),
        ("certificate verify failed", Code::DbTls),
        ("server certificate for", Code::DbTls),
        ("server does not support SSL", Code::DbTls),
        ("SSL error", Code::DbTls),
        ("could not translate host name", Code::DbUnreachable),
        ("Connection refused", Code::DbUnreachable),
        ("timeout expired", Code::DbUnreachable),
        ("No route to host", Code::DbUnreachable),
    ];
    // "does not exist" is said of tables as well; only of a database or role that stops the login it means the login.
    let fits = |sign: &str| match sign {
        "canceling statement due to statement timeout" => text.contains(sign) && text.contains("LOCK TABLE"),
        "does not exist" => text.contains("FATAL:  database") && text.contains(sign),
        _ => text.contains(sign),
    };
    SIGNS.iter().find(|(sign, _)| fits(sign)).map(|(_, code)| *code)
}

fn error_chain(error: &tokio_postgres::Error) -> String {
    let mut said = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if !said.contains(&text) {
            said.push_str(": ");
            said.push_str(&text);
        }
        next = cause.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_pg_dump_become_codes() {
        for (stderr, code) in [
            (
                "pg_dump: error: query failed: ERROR:  canceling statement due to lock timeout",
                Code::DbLockTimeout,
            ),
            (
                "pg_dump: error: query failed: ERROR:  permission denied for table secret",
                Code::DbPrivilege,
            ),
            (
                "pg_dump: error: Dumping the contents of table \"t\" failed: PQgetResult() failed.\nERROR:  canceling statement due to conflict with recovery",
                Code::ReplicaConflict,
            ),
            (
                "pg_dump: error: query would be affected by row-level security policy for table \"t\"",
                Code::DbPrivilege,
            ),
            (
                "pg_dump: error: connection to server at \"h\", port 1 failed: FATAL:  sorry, too many clients already",
                Code::DbBusy,
            ),
            (
                "pg_dump: error: connection to server at \"h\", port 1 failed: FATAL:  PAM authentication failed for user \"u\"",
                Code::DbAuth,
            ),
            (
                "pg_dump: error: connection to server at \"h\", port 1 failed: FATAL:  database \"x\" does not exist",
                Code::NoDatabase,
            ),
            ("FATAL:  terminating connection due to administrator command", Code::DumpFailed),
            ("pg_dump: error: no matching tables were found", Code::DumpFailed),
        ] {
            assert_eq!(of_pg_dump(stderr, "ended with exit status 1").code, code, "{stderr}");
        }
    }

    /// Of its last four lines all were of the query.
    #[test]
    fn the_cause_is_told_however_long_the_query_is() {
        let query = "SELECT 1,\n2,\n3,\n4,\n5";
        let stderr = format!(
            "pg_dump: warning: w\npg_dump: error: query failed: ERROR:  it broke\nHINT:  mend it\npg_dump: detail: Query was: {query}\n"
        );
        let told = of_pg_dump(&stderr, "failed").message;
        assert_eq!(
            told,
            "pg_dump failed: pg_dump: error: query failed: ERROR:  it broke · HINT:  mend it · 4, · 5"
        );
        assert_eq!(of_pg_dump(" \n", "failed").message, "pg_dump failed: it said nothing");
    }
}
