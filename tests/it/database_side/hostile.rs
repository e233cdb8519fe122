//! A database whose users put things in our way: functions and operators that fit better than the catalog's, names in
//! encodings of their own, settings.

use super::{Fixture, Pooler};
use crate::support::invariants::{backup_stands, no_login};
use crate::support::postgres::Server;
use crate::support::wait::until;
use serde_json::json;

/// Twins of the catalog's functions and operators.
const TWINS: &str = include_str!("../fixtures/twins.sql");

/// How often functions of the database's users ran, in whatever transaction. The view counts the catalog's SQL functions too.
fn calls(server: &Server) -> String {
    let count = "set search_path = pg_catalog; select coalesce(sum(calls), 0) from pg_stat_user_functions where schemaname <> 'pg_catalog'";
    server.psql("app", count)
}

#[test]
fn no_function_or_operator_of_a_user_runs_in_our_queries() {
    let fixture = Fixture::on(Server::builder().setting("track_functions", "all"));
    fixture.server.psql("app", TWINS);
    // The worst settings that an owner of the database can make for everybody.
    for (name, value) in [
        ("search_path", "public, pg_catalog"),
        ("standard_conforming_strings", "off"),
        ("backslash_quote", "off"),
        ("quote_all_identifiers", "on"),
        ("bytea_output", "escape"),
    ] {
        fixture.server.psql("postgres", &format!("alter database app set {name} = {value}"));
    }
    // The twins do work: this is no test that cannot fail.
    fixture
        .server
        .psql("app", "select pg_table_size('plain'::text); select 'a'::text = 'b'::name");
    let loot = "set search_path = pg_catalog; select count(*) from public.loot";
    assert_eq!(fixture.server.psql("app", loot), "2");
    fixture.server.psql("app", "set search_path = pg_catalog; truncate public.loot");
    // A session that has ended tells its numbers a moment later.
    until("both calls are counted", || calls(&fixture.server) == "2");

    let pooler = Pooler::before(&fixture.server, "transaction");
    let ports = [pooler.port(), fixture.server.port()];
    for (number, port) in ports.into_iter().enumerate() {
        let mut event = fixture.event_through(port);
        event["prefix"] = json!(format!("backups/{number}"));
        for command in ["check", "plan", "backup"] {
            let said = fixture.prepared(command, &event).run();
            assert_eq!(said.code, 0, "{command}: {}{}", said.stdout, said.stderr);
        }
        event["database"] = json!("*");
        let said = fixture.prepared("plan", &event).run();
        assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    }
    drop(pooler);
    assert_eq!(fixture.server.psql("app", loot), "0");
    no_login(&fixture.server);
    assert_eq!(calls(&fixture.server), "2");
}

/// Without an encoding the server hands names over as they are, or refuses to.
#[test]
fn names_that_are_no_utf8_are_shown_and_stop_nobody() {
    let fixture = Fixture::new();
    let sql = |database: &str, text: &str| fixture.server.psql(database, text);
    for (database, encoding) in [("bytes", "SQL_ASCII"), ("latin", "LATIN1")] {
        sql(
            "postgres",
            &format!("create database {database} encoding '{encoding}' lc_collate 'C' lc_ctype 'C' template template0"),
        );
    }
    // The server takes the byte e9 as it comes from a client that says nothing of its encoding.
    let strange = "set client_encoding = 'SQL_ASCII'; do $$ begin execute format('create table %I (i int)', E'caf\\351'); end $$";
    sql("bytes", strange);
    sql("latin", "create table \"café\" (i int)");
    sql(
        "postgres",
        &format!("create role reader login password '{}'", fixture.server.password()),
    );
    for (database, shown) in [("bytes", r"caf\xe9"), ("latin", "café")] {
        let mut event = fixture.event();
        event["database"] = json!(database);
        event["user"] = json!("reader");
        let report = fixture.prepared("check", &event).run().receipt();
        let said = report.to_string().replace("\\\\", "\\");
        assert!(said.contains("db_privilege") && said.contains(shown), "{said}");
        event["user"] = json!("dumper");
        backup_stands(&fixture.bucket, &fixture.prepared("backup", &event).run().complete());
    }
}
