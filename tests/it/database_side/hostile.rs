//! A database whose users put things in our way: functions and operators that fit better than the catalog's, names in
//! encodings of their own, settings.

use super::{Fixture, Pooler};
use crate::support::invariants::{backup_stands, no_login};
use crate::support::postgres::Server;
use crate::support::wait::until;
use serde_json::json;

/// For every function of the catalog of these names, a twin in `public` with the same arguments, and twins for the types
/// that literals and columns of the catalog have; each takes note of who called it. The same for operators.
const TWINS: &str = r#"
create table public.loot (who text, what text);
grant insert on public.loot to public;
do $do$
declare
    names text[] := array['pg_table_size', 'pg_database_size', 'current_database', 'current_setting', 'pg_is_in_recovery',
        'has_schema_privilege', 'has_table_privilege', 'has_sequence_privilege', 'has_database_privilege', 'pg_has_role',
        'row_security_active', 'aclexplode', 'format', 'encode', 'decode', 'replace', 'chr', 'convert_to', 'left',
        'getdatabaseencoding', 'pg_total_relation_size', 'pg_relation_size', 'quote_ident', 'set_config', 'array_to_string',
        'pg_get_userbyid', 'shobj_description', 'obj_description', 'unnest', 'lower', 'text', 'regexp_match', 'pg_control_system'];
    types text[] := array['text', 'name', 'oid', 'int4', 'int8', '"char"', 'regclass', 'bool'];
    operators text[] := array['=', '<>', '||', '+', '-', '*', '<', '>', '~', '!~', '~~', '>='];
    trap text;
    twin record;
    a text;
    b text;
    op text;
    body text := 'begin insert into public.loot values (current_user, %L); return null; end';
begin
    for twin in
        select p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid) as args from pg_catalog.pg_proc p
        where p.proname = any (names) and p.pronamespace = 'pg_catalog'::regnamespace
        union
        select n, concat_ws(', ', x, y) from unnest(names) n, unnest(types) x, unnest(array['text', 'name', 'oid', null]) y
    loop
        begin
            execute pg_catalog.format('create function public.%I(%s) returns text language plpgsql as %L', twin.proname, twin.args,
                pg_catalog.format(body, twin.proname));
        exception when others then null;
        end;
    end loop;
    foreach op in array operators loop
        foreach a in array types loop
            foreach b in array types loop
                trap := pg_catalog.concat('operator ', op);
                execute pg_catalog.format('create function public.%I(%s, %s) returns bool language plpgsql as %L', trap, a, b,
                    pg_catalog.format(body, op));
                execute pg_catalog.format('create operator public.%s (leftarg = %s, rightarg = %s, function = public.%I)', op, a, b,
                    trap);
            end loop;
        end loop;
    end loop;
end $do$;
"#;

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
