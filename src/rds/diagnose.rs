//! From what PostgreSQL and `pg_dump` say to the codes that users see.

use crate::error::{Code, Error};
use tokio_postgres::error::SqlState;

/// Our own connection failed.
pub fn of_connection(error: &tokio_postgres::Error, host: &str, port: u16) -> Error {
    if let Some(answer) = error.as_db_error() {
        let code = match *answer.code() {
            SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => Code::DbAuth,
            SqlState::INVALID_CATALOG_NAME => Code::NoDatabase,
            SqlState::TOO_MANY_CONNECTIONS | SqlState::CANNOT_CONNECT_NOW => Code::DbBusy,
            SqlState::INSUFFICIENT_PRIVILEGE => Code::DbPrivilege,
            _ => of_text(answer.message()).unwrap_or(Code::DbUnreachable),
        };
        return Error::new(code, format!("{host}:{port}: {}", answer.message()));
    }
    let said = chain(error);
    let code = match &said {
        said if said.contains("TLS") || said.contains("certificate") => Code::DbTls,
        // No method of authentication that both sides know, a password missing, a SCRAM exchange that does not add up.
        said if said.contains("authentication") || said.contains("password") || said.contains("SCRAM") => Code::DbAuth,
        _ => Code::DbUnreachable,
    };
    Error::new(code, format!("{host}:{port}: {said}"))
}

/// A query of the preflight failed.
pub fn of_query(error: &tokio_postgres::Error) -> Error {
    let said = error
        .as_db_error()
        .map_or_else(|| chain(error), |answer| answer.message().to_owned());
    Error::new(of_text(&said).unwrap_or(Code::DbUnreachable), said)
}

/// `pg_dump` failed: its own last words, with the code that they mean.
pub fn of_pg_dump(stderr: &str, status: &str) -> Error {
    let code = of_text(stderr).unwrap_or(Code::DumpFailed);
    let spoken: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let told = spoken[spoken.len().saturating_sub(4)..].join(" · ");
    let told = if told.is_empty() { "it said nothing".to_owned() } else { told };
    Error::new(code, format!("pg_dump {status}: {told}"))
}

/// Server and libpq speak English here (`LC_ALL=C`, and the messages of PostgreSQL are stable over its versions).
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

fn chain(error: &tokio_postgres::Error) -> String {
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
}
