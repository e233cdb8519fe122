//! Restores through psql: whole, failing, cut off and cancelled.

use super::{access, cancel, dump, newest_psql, until};
use crate::support::postgres::Server;
use pgseal::error::{Code, Error};
use pgseal::pipeline::Stage;
use pgseal::restore::filter::{Filter, FilterOptions};
use pgseal::restore::psql::{PsqlMode, PsqlTarget};

/// A psql 18 for a server's database.
fn target(server: &Server, database: &str) -> PsqlTarget {
    let mut access = access(server, database);
    access.client = newest_psql();
    access
}

fn restore(target: &PsqlTarget, single: bool, dump: &[u8], options: FilterOptions) -> Result<Vec<String>, Error> {
    let mut filter = Filter::new(options, target.restore(PsqlMode::all(single), &cancel())?);
    for piece in dump.chunks(100_000) {
        filter.put(piece)?;
    }
    Ok(filter.finish()?.below.into_iter().map(String::from).collect())
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
    let options = FilterOptions {
        no_owner: true,
        no_privileges: true,
        no_transactions: true,
        settings_newer_than: Some(other.major()),
        ..FilterOptions::default()
    };
    other.psql("postgres", "create database copy");
    restore(&target(&other, "copy"), true, &dump, options).expect("a restore");
    assert_eq!(other.psql("copy", CONTENT), source.psql("app", CONTENT));

    let error = restore(&target(&other, "postgres"), false, &dump, FilterOptions::default()).expect_err("an unknown setting or role");
    assert!(error.message.contains("ERROR: unrecognized configuration parameter"), "{error}");
}

#[test]
fn the_first_error_is_told_and_one_transaction_leaves_nothing() {
    let server = Server::start();
    let target = target(&server, "postgres");
    let rows = "x\n".repeat(200_000);
    let dump = format!("CREATE TABLE a (i int PRIMARY KEY);\n\nCOPY a (i) FROM stdin;\n1\n1\n{rows}\\.\n\nCREATE TABLE b ();\n");
    for (single, left) in [(true, "f"), (false, "t")] {
        let error = restore(&target, single, dump.as_bytes(), FilterOptions::default()).expect_err("a row that is no number");
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
    let end = "SELECT pg_terminate_backend(pg_backend_pid());\n";
    let dump = format!("{end}{}", "SELECT 1;\n".repeat(1_000_000));
    let error = restore(&target(&server, "postgres"), false, dump.as_bytes(), FilterOptions::default()).expect_err("psql left");
    assert_eq!(error.code, Code::RestoreFailed);
}

#[test]
fn a_psql_that_does_not_know_restrict_takes_the_dump_with_a_warning() {
    let server = Server::start();
    let mut target = target(&server, "postgres");
    target.client.version = "15.13".to_owned();
    let dump = b"--\n\\restrict abc\n\nCREATE TABLE a ();\n\n\\unrestrict abc\n";
    let warnings = restore(&target, false, dump, FilterOptions::default()).expect("a restore");
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains("15.13") && warning.contains("\\restrict")),
        "{warnings:?}"
    );
    assert_eq!(server.psql("postgres", "select to_regclass('a') is not null"), "t");
}

#[test]
fn a_cancel_ends_it_and_its_query() {
    let server = Server::start();
    let target = target(&server, "postgres");
    let cancel = cancel();
    let restore = std::thread::spawn({
        let cancel = cancel.clone();
        move || {
            let mut psql = target.restore(PsqlMode::all(true), &cancel)?;
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
