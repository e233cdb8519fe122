//! The roles and tablespaces of a backup, statement by statement: only what `pg_dumpall --globals-only` writes passes, and
//! nothing is changed that was there before.

mod role_options;

use super::filter::FilterChanges;
use super::filter::guard::{Guard, tampered};
use crate::error::{Code, Error, Result};
use crate::format::dump_lexer::{DumpLexer, Lexed};
use crate::format::dump_statement::Statement;
use crate::format::{hex, sha256};
use role_options::are_role_options;
use std::collections::BTreeSet;

/// What the target has already, and what its new roles may not do.
#[derive(Clone, Debug, Default)]
pub struct GlobalsOptions {
    pub existing_roles: BTreeSet<Vec<u8>>,
    pub existing_tablespaces: BTreeSet<Vec<u8>>,
    /// For a server that is thrown away: roles that nobody can log in as or be a superuser with, and no tablespaces.
    pub drill: bool,
}

/// The SQL that is left, and what is not in it.
#[derive(Debug, Default)]
pub(crate) struct PlannedGlobals {
    pub sql: Vec<u8>,
    pub changes: FilterChanges,
}

/// One more than the bytes that a name has at most.
const NAMEDATALEN: usize = 64;

const FOREIGN: &str = "statements that no pg_dumpall writes";
const ROLES: &str = "roles that were there";
const GRANTORS: &str = "grantors of parameters: who restores grants them";
const TABLESPACES: &str = "tablespaces";

struct Planner<'a> {
    options: &'a GlobalsOptions,
    guard: Guard,
    roles: BTreeSet<Vec<u8>>,
    tablespaces: BTreeSet<Vec<u8>>,
    /// Of what did not pass: several statements may be about one role, and it is roles that are counted.
    left_out: BTreeSet<(&'static str, String)>,
    planned: PlannedGlobals,
}

/// Reads globals whole.
pub(crate) fn plan(mut globals: &[u8], options: &GlobalsOptions) -> Result<PlannedGlobals> {
    let mut planner = Planner {
        options,
        guard: Guard::new(),
        roles: BTreeSet::new(),
        tablespaces: BTreeSet::new(),
        left_out: BTreeSet::new(),
        planned: PlannedGlobals::default(),
    };
    if globals.contains(&0) {
        return Err(tampered("a zero byte"));
    }
    let (mut lexer, mut held) = (DumpLexer::default(), Vec::new());
    while !globals.is_empty() {
        let (read, lexed) = lexer.read(globals);
        let (part, rest) = globals.split_at(read);
        globals = rest;
        if let Some(fault) = lexer.fault() {
            return Err(tampered(&format!("{fault}, which psql and others may read differently")));
        }
        if lexer.has_begun() {
            planner.guard.begin()?;
        }
        match lexed {
            Lexed::Command => {
                planner.guard.command(part, lexer.has_begun())?;
                held.clear();
            }
            Lexed::Variable => return Err(tampered("a name of one of psql's variables in its globals")),
            Lexed::Sql => held.extend_from_slice(part),
            Lexed::End if lexer.rows_follow() => return Err(tampered("rows in its globals")),
            Lexed::End => {
                held.extend_from_slice(part);
                let statement = Statement::new(&held, lexer.tokens());
                planner.guard.see(&statement)?;
                let settings = planner.guard.settings(lexer.depends_on_strings(), lexer.is_beyond_ascii())?;
                planner.judge(&statement, &held[statement.start()..], &settings);
                held.clear();
            }
            _ => return Err(tampered("rows in its globals")),
        }
    }
    planner.guard.finish()?;
    if lexer.open().is_some() {
        return Err(Error::new(Code::DumpIncomplete, "the globals end inside a statement"));
    }
    Ok(planner.planned)
}

impl Planner<'_> {
    fn judge(&mut self, statement: &Statement, bytes: &[u8], settings: &str) {
        let name = |at| statement.name(at);
        let role_name = |at: usize| self.role_name(statement, at);
        let is_new_role = |at: Option<usize>| at.and_then(role_name).is_some_and(|role| self.roles.contains(&role));
        // One of them alone, as pg_dumpall writes it: of a list only the first would have been looked at.
        let is_last = |at: usize| at + 1 >= statement.len() || statement.is_any(at + 1, &["WITH", "GRANTED", "CASCADE", "RESTRICT"]);
        let is_new_space = |at: usize| name(at).is_some_and(|space| self.tablespaces.contains(&space));
        let grantee = || {
            let word = if statement.is(0, "GRANT") { "TO" } else { "FROM" };
            statement.find(1, word).map(|at| at + 1)
        };
        let is_known_set = statement.is(0, "SET")
            && statement.is_any(
                1,
                &["default_transaction_read_only", "client_encoding", "standard_conforming_strings"],
            );
        let of_grantor = statement.has(0, "SET SESSION AUTHORIZATION") || statement.has(0, "RESET SESSION AUTHORIZATION");
        let (passes, what, at) = if statement.is_empty() || is_known_set {
            (true, FOREIGN, 0)
        } else if of_grantor {
            (false, GRANTORS, if statement.is(0, "SET") { 3 } else { 0 })
        } else if let (true, Some(role)) = (statement.has(0, "CREATE ROLE") && statement.len() == 3, role_name(2)) {
            let is_new = !self.options.existing_roles.contains(&role) && !self.may_be_known(&role);
            if is_new {
                self.roles.insert(role);
            }
            (is_new, ROLES, 2)
        } else if let (true, Some(space)) = (statement.has(0, "CREATE TABLESPACE"), name(2)) {
            let is_new = !self.options.drill && !self.options.existing_tablespaces.contains(&space);
            if is_new {
                self.tablespaces.insert(space);
            }
            (is_new, TABLESPACES, 2)
        } else if statement.has(0, "ALTER ROLE")
            && (statement.is(3, "SET") || statement.has(3, "IN DATABASE") || statement.is(3, "WITH") && are_role_options(statement, 4))
        {
            (is_new_role(Some(2)), ROLES, 2)
        } else if statement.has(0, "COMMENT ON ROLE") {
            (is_new_role(Some(3)), ROLES, 3)
        } else if statement.has(0, "ALTER TABLESPACE") && statement.is(3, "SET") {
            (is_new_space(2), TABLESPACES, 2)
        } else if statement.has(0, "COMMENT ON TABLESPACE") {
            (is_new_space(3), TABLESPACES, 3)
        } else if statement.is_any(0, &["GRANT", "REVOKE"]) {
            match statement.find(1, "ON") {
                Some(on) if statement.is(on + 1, "TABLESPACE") && statement.is_any(on + 3, &["TO", "FROM"]) => {
                    (is_new_space(on + 2), TABLESPACES, on + 2)
                }
                Some(on) if statement.is(on + 1, "PARAMETER") && grantee().is_some_and(is_last) => {
                    (is_new_role(grantee()), ROLES, grantee().unwrap_or(0))
                }
                // Membership changes who becomes a member.
                None if statement.is(0, "GRANT") && statement.is(2, "TO") && is_last(3) => (is_new_role(Some(3)), ROLES, 3),
                _ => (false, FOREIGN, 0),
            }
        } else if statement.has(0, "SECURITY LABEL") {
            let role = statement.find(1, "ON").filter(|on| statement.is(on + 1, "ROLE")).map(|on| on + 2);
            (!self.options.drill && is_new_role(role), ROLES, role.unwrap_or(0))
        } else {
            (false, FOREIGN, 0)
        };
        if !passes {
            if what == GRANTORS && at == 0 {
                return;
            }
            let name = if at > 0 { statement.text(at, at + 1) } else { statement.text(0, 3) };
            if what == FOREIGN || self.left_out.insert((what, name.clone())) {
                self.planned.changes.leave_out(what, name);
            }
            return;
        }
        self.planned.sql.extend_from_slice(settings.as_bytes());
        if self.options.drill && statement.has(0, "ALTER ROLE") && statement.is(3, "WITH") {
            self.without_powers(statement);
        } else if let Some(by) = statement.find(1, "GRANTED").filter(|_| statement.is(0, "GRANT")) {
            self.grant(statement, by);
        } else {
            self.planned.sql.extend_from_slice(bytes);
        }
        self.planned.sql.push(b'\n');
    }

    /// Who granted it may have no right to do so here, as another server's first superuser: then the one who restores grants it.
    fn grant(&mut self, statement: &Statement, by: usize) {
        let (without, with) = (statement.bytes(0, by), statement.bytes(0, statement.len()));
        let sql = &mut self.planned.sql;
        if self.options.drill {
            sql.extend_from_slice(without);
            sql.push(b';');
            return;
        }
        // Nobody finds a statement that holds its own hash.
        let tag = hex(&sha256(with));
        let (begin, otherwise, end) = (
            format!("DO LANGUAGE plpgsql $b{tag}$ BEGIN EXECUTE $g{tag}$"),
            format!(" $g{tag}$; EXCEPTION WHEN insufficient_privilege THEN EXECUTE $g{tag}$"),
            format!(" $g{tag}$; END $b{tag}$;"),
        );
        for part in [begin.as_bytes(), with, otherwise.as_bytes(), without, end.as_bytes()] {
            sql.extend_from_slice(part);
        }
    }

    /// The role that a word names, unless it is one of those that mean anyone who is there: `current_user`, or all. A name that
    /// the server would cut would become another's.
    fn role_name(&self, statement: &Statement, at: usize) -> Option<Vec<u8>> {
        const WORDS: [&str; 7] = ["CURRENT_USER", "CURRENT_ROLE", "SESSION_USER", "USER", "PUBLIC", "ALL", "NONE"];
        // What stands in double quotes is no word.
        let name = statement.name(at).filter(|_| !statement.is_any(at, &WORDS))?;
        (name.len() < NAMEDATALEN).then_some(name)
    }

    /// A name in another encoding than UTF-8, which is how the target's names are known: it may be any of these.
    fn may_be_known(&self, role: &[u8]) -> bool {
        let is_utf8 = matches!(&*self.guard.encoding().to_ascii_lowercase().replace('-', ""), "utf8" | "unicode");
        !role.is_ascii() && !is_utf8 && self.options.existing_roles.iter().any(|known| !known.is_ascii())
    }

    /// The same role, as nobody.
    fn without_powers(&mut self, statement: &Statement) {
        let mut taken = Vec::new();
        for at in 0..statement.len() {
            if at > 3 && statement.is_any(at, &["SUPERUSER", "REPLICATION", "BYPASSRLS", "LOGIN"]) {
                self.planned.sql.extend_from_slice(b"NO");
                taken.push(statement.text(at, at + 1));
            }
            self.planned.sql.extend_from_slice(statement.bytes(at, at + 1));
            self.planned.sql.push(b' ');
        }
        self.planned.sql.push(b';');
        if !taken.is_empty() {
            let what = format!("{} of the role {}", taken.join(", "), statement.text(2, 3));
            self.planned
                .changes
                .not_restored(what, "roles of a drill own things, and can do nothing");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(globals: &str, existing: &[&str], drill: bool) -> Result<(String, FilterChanges)> {
        let options = GlobalsOptions {
            existing_roles: existing.iter().map(|name| name.as_bytes().to_vec()).collect(),
            existing_tablespaces: BTreeSet::from([b"pg_default".to_vec()]),
            drill,
        };
        let PlannedGlobals { sql, changes } = plan(globals.as_bytes(), &options)?;
        Ok((String::from_utf8(sql).unwrap(), changes))
    }

    /// Sets that were forged from a public key alone: each changed a role of the target.
    #[test]
    fn no_word_list_or_long_name_reaches_a_role_that_was_there() {
        let known = "a".repeat(63);
        let long = format!("{known}b");
        for (globals, forbidden) in [
            (
                "CREATE ROLE \"current_user\";\nALTER ROLE current_user WITH NOSUPERUSER;\n",
                "NOSUPERUSER",
            ),
            (
                "CREATE ROLE \"session_user\";\nGRANT \"pg_execute_server_program\" TO session_user;\n",
                "GRANT",
            ),
            ("CREATE ROLE \"all\";\nALTER ROLE all SET my.evil TO 'yes';\n", "evil"),
            (
                "CREATE ROLE zz1;\nGRANT \"pg_execute_server_program\" TO \"zz1\", \"plain\";\n",
                "GRANT",
            ),
            (
                "CREATE ROLE zz1;\nGRANT SET ON PARAMETER \"log_statement\" TO \"zz1\", \"plain\";\n",
                "GRANT",
            ),
            (
                "CREATE TABLESPACE x LOCATION '/x';\nGRANT ALL ON TABLESPACE x, pg_default TO zz1;\n",
                "GRANT",
            ),
            ("CREATE ROLE zz1;\nALTER ROLE zz1 WITH SUPERUSER USER \"plain\";\n", "plain"),
            ("CREATE ROLE zz1;\nALTER ROLE zz1 WITH LOGIN ROLE \"plain\";\n", "plain"),
            ("CREATE ROLE zz1;\nALTER ROLE zz1 WITH IN ROLE plain ADMIN plain;\n", "plain"),
            ("CREATE ROLE zz1;\nALTER ROLE zz1 WITH SYSID 10;\n", "SYSID"),
            (&format!("CREATE ROLE \"{long}\";\nALTER ROLE \"{long}\" WITH SUPERUSER;\n"), "ROLE"),
        ] {
            let (sql, _) = planned(globals, &["plain", &known], false).unwrap();
            assert!(!sql.contains(forbidden), "{sql}");
        }
        let options = GlobalsOptions {
            existing_roles: BTreeSet::from(["\u{e9}".as_bytes().to_vec()]),
            ..GlobalsOptions::default()
        };
        let latin = b"SET client_encoding = 'LATIN1';\nCREATE ROLE \"\xe9\";\nALTER ROLE \"\xe9\" WITH SUPERUSER;\n";
        let sql = plan(latin, &options).unwrap().sql;
        assert!(!sql.windows(4).any(|word| word == b"ROLE"));
    }

    #[test]
    fn all_that_pg_dumpall_says_of_a_role_passes() {
        let globals = "CREATE ROLE app;\nALTER ROLE app WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS \
            CONNECTION LIMIT 5 PASSWORD 'SCRAM-SHA-256$4096:x' VALID UNTIL '2030-01-01 00:00:00+00';\n\
            ALTER ROLE app WITH CONNECTION LIMIT -1;\n";
        let (sql, changes) = planned(globals, &[], false).unwrap();
        assert!(sql.contains("VALID UNTIL") && sql.contains("LIMIT -1"), "{sql}");
        assert_eq!(changes, FilterChanges::default());
    }

    const GLOBALS: &str = "--\n-- PostgreSQL database cluster dump\n--\n\n\\restrict abc\n\nSET default_transaction_read_only = off;\n\
        SET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\nCREATE ROLE app;\n\
        ALTER ROLE app WITH SUPERUSER INHERIT NOCREATEROLE LOGIN PASSWORD 'SCRAM-SHA-256$4096:x';\nCREATE ROLE postgres;\n\
        ALTER ROLE postgres WITH NOSUPERUSER LOGIN;\nALTER ROLE postgres SET search_path TO 'x';\nCREATE ROLE \"Odd \"\"x\";\n\
        COMMENT ON ROLE \"Odd \"\"x\" IS 'y';\nCOMMENT ON ROLE postgres IS 'z';\nGRANT postgres TO app WITH INHERIT TRUE GRANTED BY postgres;\n\
        GRANT app TO postgres GRANTED BY postgres;\nCREATE TABLESPACE fast OWNER app LOCATION '/x';\nGRANT ALL ON TABLESPACE fast TO app;\n\
        GRANT SET ON PARAMETER \"work_mem\" TO app;\n\\unrestrict abc\n";

    #[test]
    fn a_role_that_was_there_is_not_changed() {
        let (sql, changes) = planned(GLOBALS, &["postgres"], false).unwrap();
        assert!(!sql.contains("ROLE postgres") && !sql.contains("TO postgres"), "{sql}");
        for kept in [
            "CREATE ROLE app;",
            "ALTER ROLE app WITH SUPERUSER",
            "CREATE ROLE \"Odd \"\"x\";",
            "COMMENT ON ROLE \"Odd",
            "GRANT postgres TO app",
            "TABLESPACE fast OWNER",
            "ON TABLESPACE fast",
            "ON PARAMETER",
        ] {
            assert!(sql.contains(kept), "{kept}");
        }
        let roles = changes.left_out.iter().find(|left| left.what == ROLES).unwrap();
        assert_eq!((roles.count, &*roles.names), (1, &["postgres".to_owned()][..]));
        let (_, changes) = planned(GLOBALS, &["postgres", "app"], false).unwrap();
        let roles = changes.left_out.iter().find(|left| left.what == ROLES).unwrap();
        assert_eq!(roles.count, 2);
        // Everything is there: nothing is left to be done.
        let (sql, _) = planned(GLOBALS, &["postgres", "app", "Odd \"x"], false).unwrap();
        assert!(!sql.contains("ROLE"), "{sql}");
    }

    #[test]
    fn roles_of_a_drill_can_do_nothing() {
        let (sql, changes) = planned(GLOBALS, &[], true).unwrap();
        assert!(
            sql.contains("ALTER ROLE app WITH NOSUPERUSER INHERIT NOCREATEROLE NOLOGIN PASSWORD"),
            "{sql}"
        );
        assert!(
            sql.contains("ALTER ROLE postgres WITH NOSUPERUSER NOLOGIN") && !sql.contains("TABLESPACE"),
            "{sql}"
        );
        // No grantor of the source may grant anything here: each of these was a warning with the server's ERROR.
        assert!(sql.contains("GRANT app TO postgres") && !sql.contains("GRANTED BY"), "{sql}");
        assert_eq!(changes.not_restored.len(), 2);
    }

    #[test]
    fn other_statements_of_globals_do_not_run() {
        for statement in [
            "SELECT evil();",
            "DO $$ BEGIN END $$;",
            "DROP ROLE app;",
            "CREATE ROLE x SUPERUSER;",
            "ALTER ROLE ALL SET search_path = x;",
            "ALTER SYSTEM SET x = 1;",
            "GRANT a, b TO c;",
            "SET ROLE x;",
            "CREATE EXTENSION x;",
        ] {
            let (sql, changes) = planned(&format!("{statement}\n"), &["app"], false).unwrap();
            assert_eq!((sql.as_str(), changes.left_out.len()), ("", 1), "{statement}");
        }
    }

    #[test]
    fn psqls_commands_and_rows_in_globals_are_refused() {
        for globals in [
            "\\! id\n",
            "CREATE ROLE x; \\! id\n",
            "COPY t FROM stdin;\n\\! id\n\\.\n",
            "CREATE ROLE :USER;\n",
            "SET client_encoding = 'SJIS';\n",
            "CREATE ROLE a; -- x\r\\! id\n",
        ] {
            assert_eq!(planned(globals, &[], false).unwrap_err().code, Code::Tampered, "{globals}");
        }
    }
}
