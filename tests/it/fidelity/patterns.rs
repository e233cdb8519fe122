//! What we say of a pattern is what pg_dump makes of it.

use super::Fixture;
use crate::support::postgres::{Server, client_folder};
use serde_json::{Value, json};
use std::process::Command;

const OBJECTS: &str = r#"
    create schema other; create schema "Other"; create schema "dot.ted"; create schema hidden;
    create table orders (i int); create table "Orders" (i int); create table orders_2025 (i int); create table orders_2026 (i int);
    create table other.orders (i int); create table other.thing (i int); create table "Other".thing (i int);
    create table "dot.ted"."t.1" (i int); create table "a|b" (i int); create table "what?" (i int); create table "star*" (i int);
    create table "say ""hi""" (i int); create table "größe" (i int); create table "Ärger" (i int); create table money$ (i int);
    create table "int[]" (i int); create table "sp ace" (i int); create table "back\slash" (i int);
    create view a_view as select 1 as i; create sequence a_seq; create materialized view a_mat as select 1 as i;
    create table hidden.orders (i int); create table hidden.mine (i int);
    alter role dumper set search_path = public, hidden; alter role owner set search_path = public, hidden;
"#;

const TABLES: &[&str] = &[
    "orders",
    "ORDERS",
    "\"Orders\"",
    "\"ORDERS\"",
    "o*",
    "orders_202?",
    "orders_202[56]",
    "orders|a_view",
    "(orders|a_view)",
    "*",
    "*.*",
    "*.orders",
    "other.*",
    "OTHER.thing",
    "\"Other\".thing",
    "\"Other\".*",
    "o*.t*",
    "\"dot.ted\".\"t.1\"",
    "dot.ted",
    "\"a|b\"",
    "a|b",
    "\"what?\"",
    "what?",
    "\"star*\"",
    "\"say \"\"hi\"\"\"",
    "größe",
    "GRÖSSE",
    "Ärger",
    "ärger",
    "gr*e",
    "money$",
    "\"money$\"",
    "int[]",
    "\"int[]\"",
    "sp ace",
    "\"back\\slash\"",
    "a_view",
    "a_seq",
    "a_mat",
    "mine",
    "hidden.orders",
    "pg_class",
    "pg_catalog.pg_class",
    "thing",
    ".orders",
    "orders.",
    "app.public.orders",
    "nothing*",
    "orders{",
    "'; drop table orders; --",
    "\\",
];

const SCHEMAS: &[&str] = &[
    "other",
    "OTHER",
    "\"Other\"",
    "o*",
    "*",
    "\"dot.ted\"",
    "dot?ted",
    "(other|hidden)",
    "public",
    "none",
    "\"other",
];

/// How many relations or schemas pg_dump finds by it, as a superuser, whom no table of the system refuses; nothing where it refuses the pattern.
fn by_pg_dump(server: &Server, option: &str, pattern: &str) -> Option<u64> {
    let kinds: &[&str] = match option {
        "schema" => &["CREATE SCHEMA "],
        _ => &["CREATE TABLE ", "CREATE VIEW ", "CREATE SEQUENCE ", "CREATE MATERIALIZED VIEW "],
    };
    let output = Command::new(client_folder(18).join("pg_dump"))
        .args(["--schema-only", "--strict-names", "--encoding=UTF8"])
        .arg(format!("--{option}={pattern}"))
        // As a backup does: what is the server's own can be restored nowhere.
        .args(["pg_*", "information_schema"].map(|system| match option {
            "schema" => format!("--exclude-schema={system}"),
            _ => format!("--exclude-table={system}.*"),
        }))
        .args(["--dbname", &format!("host=localhost port={} user=owner dbname=app", server.port())])
        .env("PGPASSWORD", server.password())
        .env("PGCLIENTENCODING", "UTF8")
        .output()
        .expect("pg_dump starts");
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => {
            let text = String::from_utf8_lossy(&output.stdout);
            Some(text.lines().filter(|line| kinds.iter().any(|kind| line.starts_with(kind))).count() as u64)
        }
        false if said.contains("no matching") => Some(0),
        false => None,
    }
}

/// `check` of one pattern as an exclusion, which may match nothing.
fn by_us(fixture: &Fixture, field: &str, patterns: &[&str]) -> Option<Vec<u64>> {
    let said = fixture.run("check", "app", json!({field: patterns}));
    let report = said.receipt();
    let check = report["checks"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|check| check["name"] == "selection");
    let check = check.unwrap_or_else(|| panic!("no such check: {report}"));
    if check["status"] != "ok" {
        assert_eq!(check["error"]["code"], "bad_event", "{check}");
        return None;
    }
    let matches = check["detail"]["matches"].as_array().expect("matches");
    Some(matches.iter().map(|one| one["count"].as_u64().expect("a number")).collect())
}

#[test]
fn patterns_mean_what_they_mean_to_pg_dump() {
    for major in [15, 10] {
        let fixture = Fixture::new(Server::builder().major(major).start());
        let server = &fixture.server;
        server.create_app(OBJECTS);
        server.psql("app", "create schema untouched; create table untouched.t (i int)");
        for schema in ["public", "other", "\"Other\"", "\"dot.ted\"", "hidden", "untouched"] {
            server.let_dumper_read("app", schema);
        }
        for (field, option, patterns) in [("exclude_table_data", "table", TABLES), ("exclude_schemas", "schema", SCHEMAS)] {
            let pg_dump: Vec<Option<u64>> = patterns.iter().map(|pattern| by_pg_dump(server, option, pattern)).collect();
            let known: Vec<&str> = patterns
                .iter()
                .zip(&pg_dump)
                // An exclusion of all is refused.
                .filter(|(pattern, found)| found.is_some() && (option, **pattern) != ("schema", "*"))
                .map(|(pattern, _)| *pattern)
                .collect();
            let ours = by_us(&fixture, field, &known).expect("none of these is refused");
            let expected = patterns.iter().zip(&pg_dump).filter(|(pattern, _)| known.contains(pattern));
            for ((pattern, pg_dump), ours) in expected.filter_map(|(pattern, found)| Some((pattern, found.as_ref()?))).zip(ours) {
                assert_eq!(ours, *pg_dump, "{major}: {pattern}");
            }
            for (pattern, _) in patterns.iter().zip(&pg_dump).filter(|(_, found)| found.is_none()) {
                assert_eq!(by_us(&fixture, field, &[pattern]), None, "{major}: pg_dump refuses {pattern}");
            }
        }
        for refused in ["x.public.orders", "a.b.c.d", "("] {
            assert_eq!(by_pg_dump(server, "table", refused), None, "{refused}");
            assert_eq!(by_us(&fixture, "exclude_table_data", &[refused]), None, "{refused}");
        }
    }
}

/// In a database of another encoding the same letters are other bytes.
#[test]
fn patterns_mean_the_same_in_every_encoding() {
    let fixture = Fixture::new(Server::start());
    for encoding in ["UTF8", "LATIN1", "WIN1252", "SQL_ASCII"] {
        let database = encoding.to_lowercase();
        let clause = format!("encoding '{encoding}' lc_collate 'C' lc_ctype 'C' template template0");
        fixture.server.psql("postgres", &format!("create database {database} {clause}"));
        let sql = "create table \"größe\" (i int); insert into \"größe\" values (1); create table t (i int)";
        fixture.server.psql(&database, sql);
        for (field, rows) in [("exclude_table_data", 0), ("tables", 1)] {
            let (entry, _) = fixture.backup(&database, json!({field: ["gr*ß*", "\"größe\""]}));
            assert_eq!(
                (&entry["rows"], &entry["warnings"]),
                (&json!(rows), &json!([])),
                "{encoding}: {field}"
            );
        }
    }
    // A letter that the encoding has no place for is in no name there.
    let said = fixture.run("backup", "latin1", json!({"exclude_table_data": ["日本"]}));
    said.failed("bad_event", 2);
    let _: Value = said.receipt();
}
