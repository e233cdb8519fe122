//! What psql said, as an error of ours, with what helps against it.

use super::report_text::ReportText;
use super::without_rows::WITHOUT_WORDS;
use crate::error::{Code, Error};
use crate::process::group::describe_exit_status;
use crate::restore::tls;

/// Of psql, by its manual: the connection went bad while it read a script.
const NO_CONNECTION: i32 = 2;
const LOST: &str = "psql lost its connection to the server";

/// Whether a drill tells this failure without what the server said of it.
pub(in crate::restore) fn is_without_words(error: &Error) -> bool {
    error.message.contains(WITHOUT_WORDS) || error.message.contains(LOST)
}

/// psql's first error with what belongs to it: `psql:<stdin>:12: ERROR:  …` and its DETAIL.
pub(super) fn failure(said: &ReportText, status: std::process::ExitStatus) -> Error {
    const SIGNS: [&str; 4] = [" ERROR:  ", " FATAL:  ", " PANIC:  ", "psql: error: "];
    let lines: Vec<&str> = said.as_str().lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let is_error = |line: &&str| SIGNS.iter().any(|sign| line.contains(sign));
    // psql itself says `psql:<stdin>:3: error: invalid command \x`; a server may speak another language.
    let first = lines.iter().position(is_error);
    let first = first.or_else(|| lines.iter().rposition(|line| line.starts_with("psql:")));
    let Some(first) = first else {
        let last = lines.last();
        let message = match (status.code(), last) {
            (Some(NO_CONNECTION), None) => format!("{LOST} (exit status {NO_CONNECTION})"),
            (Some(NO_CONNECTION), Some(last)) => format!("{LOST} (exit status {NO_CONNECTION}): {last}"),
            (_, last) => format!("psql {}: {}", describe_exit_status(status), last.unwrap_or(&"it said nothing")),
        };
        return Error::new(Code::RestoreFailed, message);
    };
    // A file of ours in memory, or one that --to or the environment names.
    let is_passfile = |line: &str| line.starts_with("password retrieved from file");
    let belongs = |line: &&&str| {
        !is_passfile(line) && !line.starts_with("psql:") && !line.starts_with("LINE ") && !line.trim_start().starts_with('^')
    };
    // A statement that was tried is its own context, in full.
    let is_context =
        |line: &str| line.starts_with("CONTEXT:  SQL statement") || line.starts_with("CONTEXT:  PL/pgSQL function inline_code_block");
    let rest = lines[first + 1..]
        .iter()
        .take_while(|line| !line.starts_with("psql:") && !is_context(line));
    let told = std::iter::once(&lines[first]).chain(rest.filter(belongs).take(3));
    let told: Vec<String> = told.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let message = told.join(" · ");
    let hint = HINTS.iter().find(|(words, _)| words.iter().all(|word| message.contains(word)));
    let missing = lacks_locale(&message)
        .then_some(NO_LOCALE)
        .or_else(|| names_a_schema(&message).then_some(NOT_IN_THE_DUMP));
    let advice = tls::advice(&message).or(missing).or(hint.map(|(_, hint)| *hint));
    let error = Error::new(Code::RestoreFailed, message);
    match advice {
        Some(advice) => error.advise(advice),
        None => error,
    }
}

const NOT_IN_THE_DUMP: &str = "It is not in the dump: of a part of a database, make it in the target first (the backup's receipt warned of \
    what a part needs); of a whole one, it came with an extension that was left out or is not there.";

const NO_LOCALE: &str = "It is a collation of the system: install its locale where the server runs (locale-gen, localedef), run \
    SELECT pg_import_system_collations('pg_catalog') there as a superuser in an empty database of your own, and restore into that \
    one, without --create.";

/// Also `collation "de_DE.utf8"`, as indexes and views call those of `pg_catalog`: a dot there is none of a schema.
fn lacks_locale(message: &str) -> bool {
    let is_of_system = |name: &str| {
        let first = name.split(['.', '"']).next().unwrap_or_default();
        let territory = first.split_once('_').map(|(_, territory)| territory.as_bytes());
        first == "pg_catalog" || territory.is_some_and(|name| name.len() > 1 && name[..2].iter().all(u8::is_ascii_uppercase))
    };
    let collation = message.split_once("ERROR: collation \"").map(|(_, name)| name);
    message.contains("could not create locale") || collation.is_some_and(is_of_system)
}

/// `type "public.st" does not exist`: no search path would find it.
fn names_a_schema(message: &str) -> bool {
    let kinds = [
        "relation \"",
        "type \"",
        "function ",
        "operator class \"",
        "text search configuration \"",
        "collation \"",
    ];
    let behind = kinds
        .iter()
        .find_map(|kind| message.split_once(&format!("ERROR: {kind}")).map(|(_, behind)| behind));
    let name = behind.and_then(|behind| behind.split_once(" does not exist")).map(|(name, _)| name);
    name.is_some_and(|name| name.split('(').next().is_some_and(|name| name.contains('.')))
}

/// How psql begins what it says before it reads a statement.
const CONNECTING: &str = "psql: ";

/// What helps, by the words of a server that speaks English.
const HINTS: &[(&[&str], &str)] = &[
    (
        &[CONNECTING, "password authentication failed"],
        "Correct the user in --to (user=…) or its password, which PGPASSWORD, PGPASSFILE or a service file holds.",
    ),
    (
        &[CONNECTING, "no password supplied"],
        "The server asks for a password: set PGPASSWORD or PGPASSFILE.",
    ),
    (
        &[CONNECTING, "no pg_hba.conf entry"],
        "The server's pg_hba.conf does not let this user in from here to this database, or not without TLS.",
    ),
    (
        &[CONNECTING, "Connection refused"],
        "Nothing listens there: correct host and port in --to, or start the server.",
    ),
    (
        &[CONNECTING, "could not translate host name"],
        "No name server knows this host: correct host=… in --to.",
    ),
    (
        &[CONNECTING, "No such file or directory", "socket"],
        "No server listens on this socket: name the host or the folder of the socket in --to (host=…), and the port.",
    ),
    (
        &[CONNECTING, "imeout expired"],
        "Nothing answers there: correct host and port in --to, and let this machine through (security group, firewall, VPC).",
    ),
    (
        &[CONNECTING, "timed out"],
        "Nothing answers there: correct host and port in --to, and let this machine through (security group, firewall, VPC).",
    ),
    (
        &[CONNECTING, "unreachable"],
        "No way leads there: correct host in --to, or the network of this machine.",
    ),
    (
        &[CONNECTING, "No route to host"],
        "No way leads there: correct host in --to, or the network of this machine.",
    ),
    (
        &[CONNECTING, "invalid sslmode value"],
        "Correct sslmode in --to: disable, allow, prefer, require, verify-ca or verify-full.",
    ),
    (
        &[CONNECTING, "invalid connection option"],
        "Correct the name of this option in --to: this psql's libpq does not know it.",
    ),
    (&[CONNECTING, "connection option \""], "Correct the value of this option in --to."),
    (&[CONNECTING, "invalid port number"], "Correct port=… in --to: 1 to 65535."),
    (&[CONNECTING, "invalid ", " value: \""], "Correct the value of this option in --to."),
    (
        &["remaining connection slots"],
        "The server accepts no further connection now: end idle ones, or wait.",
    ),
    (
        &["sorry, too many clients"],
        "The server accepts no further connection now: end idle ones, or wait.",
    ),
    (
        &["FATAL: permission denied for database"],
        "GRANT CONNECT on this database to the user of --to, or name another one.",
    ),
    (
        &["FATAL: database \"", "does not exist"],
        "Add --create to have the database made, or name another one in --to.",
    ),
    (
        &["FATAL: role \"", "does not exist"],
        "The login itself is meant: name a user of that server in --to (user=…).",
    ),
    (
        &["must be able to SET ROLE"],
        "Restore as a member of that role, or leave owners and grants out (--no-owner --no-privileges).",
    ),
    (
        &["must be member of role"],
        "Restore as a member of that role, or leave owners and grants out (--no-owner --no-privileges).",
    ),
    (
        &["permission denied to", "owner"],
        "Restore as a superuser or a member of the owner, or leave owners and grants out (--no-owner --no-privileges).",
    ),
    (
        &["permission denied to grant"],
        "Restore as a role that may grant it, or leave grants out (--no-privileges).",
    ),
    (
        &["role \"", "does not exist"],
        "Restore the roles first (--globals), or leave out what names them (--no-owner --no-privileges).",
    ),
    (
        &["must be owner of extension"],
        "Somebody else made the extension: leave out comments (--no-comments), or this one's with --exclude-extension.",
    ),
    (
        &["extension \"", "is not available"],
        "The server lacks the extension: install it there, or leave it out with --exclude-extension.",
    ),
    (
        &["extension \""],
        "Leave the extension out with --exclude-extension, or have its administrator make it first.",
    ),
    (
        &["default_tablespace"],
        "The server has no tablespace of that name: put everything into the default one with --no-tablespaces.",
    ),
    (
        &["tablespace \"", "does not exist"],
        "The server has no tablespace of that name: put everything into the default one with --no-tablespaces.",
    ),
    (
        &["schema \"", "does not exist"],
        "A dump of a part of a database need not make its schemas: make this one in the target first.",
    ),
    (
        &["function", "does not exist"],
        "A function of the source may name things without their schema, which a dump does not allow: try --search-path 'public, pg_catalog'.",
    ),
    (
        &["relation", "does not exist"],
        "A function of the source may name things without their schema, which a dump does not allow: try --search-path 'public, pg_catalog'.",
    ),
    (
        &["type", "does not exist"],
        "A function of the source may name things without their schema, which a dump does not allow: try --search-path 'public, pg_catalog'.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn a_refusal_comes_with_what_helps() {
        for (said, advice) in [
            (
                "psql: error: connection to server failed: FATAL:  database \"x\" does not exist",
                "--create",
            ),
            (
                "psql: error: connection to server failed: FATAL:  role \"x\" does not exist",
                "user=",
            ),
            ("psql:<stdin>:9: ERROR:  must be able to SET ROLE \"boss\"", "--no-owner"),
            ("psql:<stdin>:9: ERROR:  must be member of role \"boss\"", "--no-owner"),
            (
                "psql:<stdin>:9: ERROR:  permission denied to change owner of type \"t\"",
                "--no-owner",
            ),
            (
                "psql:<stdin>:9: ERROR:  permission denied to grant role \"boss\"",
                "--no-privileges",
            ),
            ("psql:<stdin>:9: ERROR:  role \"boss\" does not exist", "--globals"),
            ("psql:<stdin>:9: ERROR:  must be owner of extension plpgsql", "--no-comments"),
            (
                "psql:<stdin>:9: ERROR:  extension \"postgis\" is not available\nDETAIL:  Could not open control file",
                "install it there",
            ),
            (
                "psql:<stdin>:9: ERROR:  permission denied to create extension \"dblink\"",
                "--exclude-extension",
            ),
            ("psql:<stdin>:9: ERROR:  tablespace \"fast\" does not exist", "--no-tablespaces"),
            (
                "psql:<stdin>:9: ERROR:  schema \"crm\" does not exist",
                "make this one in the target",
            ),
            (
                "psql:<stdin>:9: ERROR:  function f(integer) does not exist\nLINE 1: …",
                "--search-path",
            ),
            ("psql:<stdin>:9: ERROR:  relation \"t\" does not exist", "--search-path"),
            ("psql:<stdin>:9: ERROR:  type \"t\" does not exist", "--search-path"),
            // No search path finds what is called by its schema.
            ("psql:<stdin>:9: ERROR:  type \"public.st\" does not exist", "not in the dump"),
            (
                "psql:<stdin>:9: ERROR:  relation \"public.orders\" does not exist",
                "not in the dump",
            ),
            (
                "psql:<stdin>:9: ERROR:  function public.f(integer) does not exist",
                "not in the dump",
            ),
            ("psql:<stdin>:9: ERROR:  function f(a.b) does not exist", "--search-path"),
            (
                "psql:<stdin>:9: ERROR:  collation \"pg_catalog.de_DE.utf8\" for encoding \"UTF8\" does not exist",
                "pg_import_system_collations",
            ),
            (
                "psql:<stdin>:9: ERROR:  collation \"de_DE.utf8\" for encoding \"UTF8\" does not exist",
                "pg_import_system_collations",
            ),
            (
                "psql:<stdin>:9: ERROR:  could not create locale \"ja_JP.utf8\": No such file or directory",
                "install its locale",
            ),
            (
                "psql:<stdin>:9: ERROR:  collation \"public.mine\" for encoding \"UTF8\" does not exist",
                "not in the dump",
            ),
        ] {
            let error = failure(&said.into(), std::process::ExitStatus::from_raw(3 << 8));
            assert!(error.hint().contains(advice), "{said}: {}", error.hint());
        }
    }

    #[test]
    fn a_refused_connection_comes_with_what_helps() {
        let server = "psql: error: connection to server at \"db\" (10.0.0.1), port 5432 failed: ";
        for (words, advice) in [
            (
                "FATAL:  password authentication failed for user \"x\"\npassword retrieved from file \"/proc/self/fd/3\"",
                "PGPASSWORD",
            ),
            ("fe_sendauth: no password supplied", "PGPASSWORD"),
            (
                "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?",
                "Nothing listens",
            ),
            ("timeout expired", "security group"),
            ("Connection timed out\n\tIs the server running", "security group"),
            ("FATAL:  no pg_hba.conf entry for host \"10.0.0.2\"", "pg_hba.conf"),
            ("FATAL:  sorry, too many clients already", "idle"),
            (
                "FATAL:  permission denied for database \"app\"\nDETAIL:  User does not have CONNECT privilege.",
                "CONNECT",
            ),
        ] {
            let error = failure(
                &ReportText::ours(format!("{server}{words}")),
                std::process::ExitStatus::from_raw(2 << 8),
            );
            assert!(error.hint().contains(advice), "{words}: {}", error.hint());
            assert!(!error.message.contains("/proc/self/fd"), "{}", error.message);
        }
        for (said, advice) in [
            (
                "psql: error: could not translate host name \"nowhere\" to address: Name or service not known",
                "host=",
            ),
            ("psql: error: invalid sslmode value: \"ful\"", "verify-full"),
            ("psql: error: invalid connection option \"hots\"", "name of this option"),
            (
                "psql: error: invalid integer value \"x\" for connection option \"port\"",
                "value of this option",
            ),
            ("psql: error: invalid channel_binding value: \"x\"", "value of this option"),
            (
                "psql: error: connection to server on socket \"/tmp/.s.PGSQL.5432\" failed: No such file or directory\n\tIs the server running locally",
                "socket",
            ),
        ] {
            let error = failure(&said.into(), std::process::ExitStatus::from_raw(2 << 8));
            assert!(error.hint().contains(advice), "{said}: {}", error.hint());
        }
    }

    #[test]
    fn psql_without_an_error_tells_its_last_line() {
        let error = failure(&"NOTICE:  hm\nlast words\n".into(), std::process::ExitStatus::from_raw(1 << 8));
        assert_eq!(error.message, "psql ended with exit status 1: last words");
    }

    /// In a drill whose rows are there nothing else tells it.
    #[test]
    fn a_lost_connection_is_told_by_the_exit_status() {
        let gone = "psql:<stdin>:9: server closed the connection unexpectedly\npsql:<stdin>:9: error: connection to server was lost\n";
        let said = super::super::without_rows::without_rows(gone, true);
        let error = failure(&said, std::process::ExitStatus::from_raw(2 << 8));
        assert_eq!(error.message, "psql lost its connection to the server (exit status 2)");
        assert!(is_without_words(&error));
    }
}
