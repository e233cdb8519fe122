//! Rows of materialized views, which are made anew by whatever the dump left there.

use super::{CONDITIONS, PlainTrial, TrialNotice, TrialScript};
use crate::format::dump_statement::Statement;
use crate::restore::psql::trial_reports::{ELSEWHERE, REFUSED, SAID};

/// Of other servers, and of the ways to them: what wrappers, dblink and languages outside of the server say.
const REMOTE: &str = "fdw_error OR connection_exception OR prohibited_sql_statement_attempted OR external_routine_exception";
/// Whether anything here asks other servers.
const REACHES_OUT: &str = "EXISTS (SELECT FROM pg_catalog.pg_foreign_server) \
    OR EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extname OPERATOR(pg_catalog.=) 'dblink') \
    OR EXISTS (SELECT FROM pg_catalog.pg_language l WHERE NOT l.lanpltrusted \
        AND l.lanname OPERATOR(pg_catalog.<>) 'internal' AND l.lanname OPERATOR(pg_catalog.<>) 'c')";
/// Whether somebody who drills has no login at another server: a drill has one role, and a mapping is for each its own.
const LACKS_MAPPING: &str = "EXISTS (SELECT FROM pg_catalog.pg_foreign_server s WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_user_mappings m \
    WHERE m.srvid OPERATOR(pg_catalog.=) s.oid AND (m.umuser OPERATOR(pg_catalog.=) 0 OR m.usename OPERATOR(pg_catalog.=) current_user)))";
/// In the session: the views that were not filled here, though a restore fills them, each by its oid and a comma.
const NOT_FILLED: &str = "pgseal.not_filled";

/// The view whose rows a statement fills, as the dump writes it.
pub(in crate::restore::filter) fn refreshed(statement: &Statement) -> Option<String> {
    let name = || statement.qualified(3).map(|(_, end)| statement.text(3, end));
    statement.has(0, "REFRESH MATERIALIZED VIEW").then(name)?
}

/// What passes in place of such a statement in a restore. A dump has row security off, so that a view of an owner who sees a part
/// of a table could never be filled. It is filled with that part then, and told: the same is seen of an owner who saw everything
/// in the source and may not here.
pub(in crate::restore::filter) fn refresh_as_seen(whole: &[u8], name: &str) -> Vec<u8> {
    let mut script = TrialScript::new(whole, "", true);
    script.put("BEGIN ");
    script.execute(whole);
    script.put(" EXCEPTION WHEN insufficient_privilege THEN PERFORM pg_catalog.set_config('row_security', 'on', true); ");
    script.execute(whole);
    script.put(" PERFORM pg_catalog.set_config('row_security', 'off', true); ");
    script.put("PERFORM pg_catalog.set_config('client_min_messages', 'warning', true); RAISE WARNING '%', ");
    let told =
        format!("the materialized view {name} has the rows that its owner sees under row-level security here: compare it with the source");
    script.quoted(told.as_bytes());
    script.put("; END");
    script.end()
}

impl TrialScript<'_> {
    /// Rows of other servers are not asked for, as far as the catalog knows of them.
    pub(super) fn refresh(&mut self, name: &[u8], what: &str, suspect: bool, whole: &[u8]) {
        self.put("BEGIN IF EXISTS (");
        self.reached(name, "c.relkind OPERATOR(pg_catalog.=) 'f'");
        self.put(") THEN ");
        self.say(what, &format!("'{ELSEWHERE}'"));
        self.not_filled(name);
        self.put("ELSE BEGIN ");
        self.execute(whole);
        self.put(" EXCEPTION WHEN insufficient_privilege THEN ");
        self.say_error(what, &format!("{REFUSED}: "));
        self.not_filled(name);
        // Where nothing asks other servers, code only says that they did not answer.
        self.put(&format!("WHEN {REMOTE} THEN IF NOT ({REACHES_OUT}) THEN RAISE; END IF; "));
        self.say_error(what, &format!("{ELSEWHERE}: "));
        self.not_filled(name);
        // A view below was not filled: it comes first in a dump, so it has been told. One that a function hides may have been, too;
        // else it is filled later, and ends any restore.
        self.put(&format!(
            "WHEN object_not_in_prerequisite_state THEN IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c \
             WHERE c.oid::pg_catalog.text OPERATOR(pg_catalog.=) ANY (pg_catalog.string_to_array(pg_catalog.current_setting('{NOT_FILLED}', true), ',')) \
             AND pg_catalog.strpos(SQLERRM, c.relname::pg_catalog.text) OPERATOR(pg_catalog.>) 0) AND NOT EXISTS ("
        ));
        self.reached(
            name,
            "NOT c.relispopulated AND c.oid OPERATOR(pg_catalog.<>) pg_catalog.to_regclass(",
        );
        self.quoted(name);
        self.put(")::pg_catalog.oid) THEN RAISE; END IF; ");
        self.say_error(what, SAID);
        self.not_filled(name);
        // Said by the wrapper, with the name of this role, which has no login at its server.
        self.put(&format!(
            "WHEN undefined_object THEN IF NOT {LACKS_MAPPING} OR pg_catalog.strpos(SQLERRM, current_user::pg_catalog.text) OPERATOR(pg_catalog.=) 0 THEN "
        ));
        match suspect {
            true => self.forgive(name, what, whole),
            false => self.put("RAISE; "),
        }
        self.put("ELSE ");
        self.say_error(what, &format!("{ELSEWHERE}: "));
        self.put("END IF; ");
        self.not_filled(name);
        if suspect {
            self.put(&format!("WHEN {CONDITIONS} THEN "));
            self.forgive(name, what, whole);
        }
        self.put("END; END IF; END");
    }

    /// What the server says for want of something that is not there.
    fn forgive(&mut self, name: &[u8], what: &str, whole: &[u8]) {
        if !self.is_named {
            // What it names it needed to be made. How rows and arrays are compared is looked up when they are.
            self.put("IF pg_catalog.to_regclass(");
            self.quoted(name);
            self.put(") IS NOT NULL THEN IF SQLSTATE OPERATOR(pg_catalog.<>) '42883' THEN RAISE; END IF; ");
            self.only_of(whole);
            self.put("END IF; ");
        }
        let told = TrialNotice::IfThere(name.to_vec());
        let (what, generated) = (what.to_owned(), Vec::new());
        self.tell(&PlainTrial { what, told, generated });
    }

    fn not_filled(&mut self, name: &[u8]) {
        self.put(&format!(
            "PERFORM pg_catalog.set_config('{NOT_FILLED}', pg_catalog.concat(pg_catalog.current_setting('{NOT_FILLED}', true), pg_catalog.to_regclass("
        ));
        self.quoted(name);
        self.put(")::pg_catalog.oid, ','), false); ");
    }

    /// A query for the relations that a view is made of, by the catalog, and that are like this. The last parenthesis of `like` may
    /// be open.
    fn reached(&mut self, name: &[u8], like: &str) {
        self.put("WITH RECURSIVE reached(oid) AS (SELECT pg_catalog.to_regclass(");
        self.quoted(name);
        self.put(
            ")::pg_catalog.oid UNION SELECT step.oid FROM reached, LATERAL (\
             SELECT d.refobjid AS oid FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d \
             ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) r.oid \
             WHERE r.ev_class OPERATOR(pg_catalog.=) reached.oid \
             AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
             UNION ALL SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent OPERATOR(pg_catalog.=) reached.oid) step) \
             SELECT FROM reached JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) reached.oid WHERE ",
        );
        self.put(like);
    }
}
