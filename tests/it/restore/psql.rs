//! Restores through psql: whole, failing, cut off and cancelled.

use super::{access, cancel, dump, newest_psql, until};
use crate::support::postgres::Server;
use pgseal::error::{Code, Error};
use pgseal::pipeline::Stage;
use pgseal::restore::filter::{Filter, Without};
use pgseal::restore::psql::{Access, Manner};

const DUMPED_BY: &str = "18.4";

/// A psql 18 for a server's database.
fn target(server: &Server, database: &str) -> Access {
    let mut access = access(server, database);
    access.client = newest_psql();
    access
}

fn restore(target: &Access, single: bool, dump: &[u8], without: Without) -> Result<Vec<String>, Error> {
    let mut filter = Filter::new(without, target.restore(Manner::all(single), DUMPED_BY, &cancel())?);
    for piece in dump.chunks(100_000) {
        filter.put(piece)?;
    }
    filter.finish()
}

/// A database with owners, grants, rows, a large object and names that look like the end of rows.
fn source() -> Server {
    let server = Server::start();
    server.psql("postgres", "create role stranger; create database app owner stranger");
    server.psql(
        "app",
        "create table t (i int primary key, t text); alter table t owner to stranger;
         insert into t select i, case i % 3 when 0 then null else repeat(E'\\\\.\\n', i % 7) end from generate_series(1, 20000) i;
         create view \"v;\" as select * from t; grant select on t to public; alter default privileges for role stranger grant select on tables to dumper;
         create function f() returns int language sql begin atomic select 1; select 2; end;
         create rule r as on insert to t where new.i < 0 do instead (select 1; select 2);
         select lo_from_bytea(4711, repeat('x', 100000)::bytea);",
    );
    server
}

const CONTENT: &str = "select count(*), md5(string_agg(t::text, ',' order by i)), (select count(*) from pg_largeobject_metadata) from t";

#[test]
fn a_dump_arrives_whole_in_an_older_server_without_its_roles() {
    let source = source();
    let dump = dump(&source);
    let other = Server::start();
    // Debian's server does not know the transaction_timeout that pg_dump 18 sets.
    let without = Without {
        owner: true,
        privileges: true,
        transactions: true,
        settings_newer_than: Some(other.major()),
    };
    other.psql("postgres", "create database copy");
    restore(&target(&other, "copy"), true, &dump, without).expect("a restore");
    assert_eq!(other.psql("copy", CONTENT), source.psql("app", CONTENT));

    let error = restore(&target(&other, "postgres"), false, &dump, Without::default()).expect_err("an unknown setting or role");
    assert!(error.message.contains("ERROR: unrecognized configuration parameter"), "{error}");
}

#[test]
fn the_first_error_is_told_and_one_transaction_leaves_nothing() {
    let server = Server::start();
    let target = target(&server, "postgres");
    let rows = "x\n".repeat(200_000);
    let dump = format!("CREATE TABLE a (i int PRIMARY KEY);\n\nCOPY a (i) FROM stdin;\n1\n1\n{rows}\\.\n\nCREATE TABLE b ();\n");
    for (single, left) in [(true, "f"), (false, "t")] {
        let error = restore(&target, single, dump.as_bytes(), Without::default()).expect_err("a row that is no number");
        assert_eq!(error.code, Code::RestoreFailed);
        assert!(
            error.message.starts_with("psql:<stdin>:") && error.message.contains("ERROR: "),
            "{error}"
        );
        assert!(error.message.contains("CONTEXT: COPY a, line"), "{error}");
        assert_eq!(server.psql("postgres", "select to_regclass('a') is not null"), left);
        assert_eq!(server.psql("postgres", "select to_regclass('b') is not null"), "f");
    }
}

#[test]
fn an_end_before_the_dumps_end_is_a_failure() {
    let server = Server::start();
    let dump = format!("\\q\n{}", "SELECT 1;\n".repeat(1_000_000));
    let error = restore(&target(&server, "postgres"), false, dump.as_bytes(), Without::default()).expect_err("psql left");
    assert_eq!(
        (error.code, error.message.as_str()),
        (Code::RestoreFailed, "psql ended before the dump did")
    );
}

#[test]
fn a_psql_that_does_not_know_restrict_is_not_fed() {
    let server = Server::start();
    let mut target = target(&server, "postgres");
    target.client.version = "15.13".to_owned();
    let mut psql = target.restore(Manner::all(false), "18.4", &cancel()).expect("psql starts");
    psql.put(b"--\n-- PostgreSQL database dump\n--\n\n\\rest")
        .expect("nothing seen yet");
    let error = psql.put(b"rict abc\n\nCREATE TABLE a ();\n").expect_err("refused");
    assert!(error.message.contains("18.4") && error.message.contains("15.13"), "{error}");
}

#[test]
fn a_cancel_ends_it_and_its_query() {
    let server = Server::start();
    let target = target(&server, "postgres");
    let cancel = cancel();
    let restore = std::thread::spawn({
        let cancel = cancel.clone();
        move || {
            let mut psql = target.restore(Manner::all(true), DUMPED_BY, &cancel)?;
            psql.put(b"CREATE TABLE a ();\nSELECT pg_sleep(1000);\n")?;
            psql.finish()
        }
    });
    const SLEEPING: &str = "select count(*) from pg_stat_activity where query like '%pg_sleep(1000)%' and pid <> pg_backend_pid()";
    until("the restore sleeps", || {
        server.psql("postgres", SLEEPING) == "1" || restore.is_finished()
    });
    cancel.cancel(Error::new(Code::Terminated, "stop"));
    assert_eq!(restore.join().expect("no panic").expect_err("cancelled").code, Code::Terminated);
    until("nobody sleeps any more", || server.psql("postgres", SLEEPING) == "0");
    assert_eq!(server.psql("postgres", "select to_regclass('a') is null"), "t");
}
