//! States of the real database.

use super::{Cause, Point, Promise, WHOLE, fails};
use crate::support::ports::nobody_listens;
use serde_json::json;

pub fn points() -> Vec<Point> {
    let says = |code, says| Promise::Fails { code, says };
    let state = |name: &str, done: &str, undone: &str, promise| {
        let cause = Cause::Database {
            done: done.to_owned(),
            undone: undone.to_owned(),
        };
        Point::new(format!("the database {name}"), cause, promise)
    };
    let event = |name: &str, fields, promise| Point::new(format!("the database {name}"), Cause::Event(fields), promise);
    vec![
        event("is missing", json!({"database": "no such database"}), fails("no_database")),
        event("has no such user", json!({"user": "nobody_here"}), fails("db_auth")),
        event(
            "is where nobody listens",
            json!({"port": nobody_listens()}),
            fails("db_unreachable"),
        ),
        Point::new(
            "the database refuses the password",
            Cause::Variables(vec![("PGPASSWORD", "another one".to_owned())]),
            fails("db_auth"),
        ),
        Point::new(
            "the database speaks no TLS",
            Cause::Variables(vec![("PGSSLMODE", "verify-full".to_owned())]),
            fails("db_tls"),
        ),
        Point::new("the database has a table locked", Cause::Locked, says("db_lock_timeout", "wide")),
        state(
            "lets nobody in",
            "do $$ begin execute format('alter database %I connection limit 0', current_database()); end $$",
            "do $$ begin execute format('alter database %I connection limit -1', current_database()); end $$",
            fails("db_busy"),
        ),
        state(
            "has a table with row security",
            "alter table wide enable row level security",
            "alter table wide disable row level security",
            says("db_privilege", "wide"),
        ),
        state(
            "has a large object of another",
            "select lo_from_bytea(424242, 'kept back')",
            "select lo_unlink(424242)",
            says("db_privilege", "424242"),
        ),
        state(
            "has a table with an odd name",
            "create table \"O'dd \"\"one\" ()",
            "drop table \"O'dd \"\"one\"",
            WHOLE,
        ),
        state(
            "has no table",
            "alter table wide rename to kept; create schema s; drop schema s",
            "alter table kept rename to wide",
            WHOLE,
        ),
    ]
}
