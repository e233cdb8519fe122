//! Whether a selection leaves anything is what a real `pg_dump` says.

use super::{Fixture, some_tells};
use crate::support::postgres::{Server, client_folder};
use serde_json::{Value, json};
use std::process::Command;

/// Databases, each with what is in it.
const DATABASES: &[(&str, &str)] = &[
    ("nothing", ""),
    ("no_schema", "drop schema public"),
    ("bare", "create schema s"),
    (
        "identity",
        "create schema pt; create table pt.p (i int generated always as identity)",
    ),
    ("serial", "create schema pt; create table pt.p (i serial)"),
    (
        "parts",
        "create schema pt; create table pt.p (i int) partition by range (i); create schema s;
         create table s.c partition of pt.p for values from (0) to (9)",
    ),
    (
        "functions",
        "create table p (i int); create function f() returns int language sql as 'select 1'",
    ),
    (
        "types",
        "create table p (i int); create type colour as enum ('red'); create domain d as int",
    ),
    (
        "composite",
        "create schema pt; create table pt.p (i int); create type pt.pair as (a int, b int)",
    ),
    (
        "ranges",
        "create schema pt; create table pt.p (i int); create type pt.r as range (subtype = int4)",
    ),
    ("objects", "create table p (i int); select lo_create(4711)"),
    ("extension", "create table p (i int); create extension hstore"),
    ("in_schema", "create schema pt; create extension hstore schema pt"),
    ("views", "create schema pt; create view pt.v as select 1 as i"),
    (
        "statistics",
        "create schema pt; create table pt.p (i int, j int); create statistics pt.x on i, j from pt.p",
    ),
    (
        "defaults",
        "create schema pt; create table pt.p (i int); alter default privileges in schema pt grant select on tables to dumper",
    ),
];

fn selections() -> Vec<Value> {
    vec![
        json!({"exclude_tables": ["pt.p"]}),
        json!({"exclude_tables": ["*.*"]}),
        json!({"exclude_tables": ["nothing_such"]}),
        json!({"exclude_schemas": ["*"]}),
        json!({"exclude_schemas": ["pt"]}),
        json!({"exclude_schemas": ["public"]}),
        json!({"tables": ["pt.p_i_seq"]}),
        json!({"tables": ["pt.p", "pt.p_i_seq"]}),
        json!({"tables": ["pt.*"]}),
        json!({"tables": ["pt.*"], "exclude_tables": ["pt.p"]}),
        json!({"tables": ["pt.*"], "exclude_tables": ["pt.p", "pt.p_i_seq"]}),
        json!({"tables": ["s.c"], "exclude_tables": ["pt.p"]}),
        json!({"tables": ["pg_catalog.pg_class"]}),
        json!({"tables": ["*.*"]}),
        json!({"schemas": ["pt"]}),
        json!({"schemas": ["pt"], "exclude_tables": ["pt.*"]}),
        json!({"schemas": ["s"], "exclude_schemas": ["s"]}),
        json!({"schemas": ["*"]}),
        json!({"schemas": ["*"], "exclude_schemas": ["public", "pt", "s"]}),
        json!({"schemas": ["pg_catalog"]}),
        json!({"schemas": ["information_schema"]}),
    ]
}

/// What pg_dump writes: objects, and schemas; nothing where a pattern of it matches nothing.
fn written(server: &Server, database: &str, selection: &Value, with_exclusions: bool) -> Option<(usize, usize)> {
    let mut command = Command::new(client_folder(18).join("pg_dump"));
    command.args(["--strict-names", "--dbname"]).arg(server.conninfo(database));
    for (field, patterns) in selection.as_object().into_iter().flatten() {
        let option = match &**field {
            "tables" => "table-and-children",
            "exclude_tables" => "exclude-table-and-children",
            "schemas" => "schema",
            _ => "exclude-schema",
        };
        let of_the_system: &[&str] = match &**field {
            "tables" => &["--exclude-table=pg_*.*", "--exclude-table=information_schema.*"],
            "schemas" => &["--exclude-schema=pg_*", "--exclude-schema=information_schema"],
            _ => &[],
        };
        command.args(of_the_system);
        if with_exclusions || !field.starts_with("exclude") {
            let patterns = patterns.as_array().into_iter().flatten().filter_map(Value::as_str);
            command.args(patterns.map(|pattern| format!("--{option}={pattern}")));
        }
    }
    let output = command.output().expect("pg_dump starts");
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("no matching"), "{database}: {selection}: {said}");
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let kinds = || {
        text.lines()
            .filter(|line| line.starts_with("-- Name: ") || line.starts_with("-- Data for Name: "))
    };
    let count = |is_schema: bool| {
        let is = |line: &&str| {
            !line.contains("; Type: COMMENT;") && !line.contains("; Type: ACL;") && line.contains("; Type: SCHEMA;") == is_schema
        };
        kinds().filter(is).count()
    };
    Some((count(false), count(true)))
}

/// A sequence of an identity column counted as something: the backup was complete, and empty.
#[test]
fn a_selection_is_refused_where_pg_dump_would_write_nothing_of_it() {
    let fixture = Fixture::new(Server::start());
    for (database, sql) in DATABASES {
        fixture.server.psql("postgres", &format!("create database {database}"));
        if !sql.is_empty() {
            fixture.server.psql(database, sql);
        }
    }
    // A large object has its own grants.
    fixture.server.psql("postgres", "alter role dumper superuser");
    let mut wrong = Vec::new();
    for selection in selections() {
        let names: Vec<&str> = DATABASES.iter().map(|(name, _)| *name).collect();
        let report = fixture.run("check", "nothing", {
            let mut fields = selection.clone();
            fields["database"] = json!(names);
            fields
        });
        let report = report.receipt();
        for name in names {
            let meant = written(&fixture.server, name, &selection, false);
            let left = written(&fixture.server, name, &selection, true);
            let is_refused = match (meant, left) {
                (Some((objects, schemas)), Some((left, left_schemas))) => {
                    let has_choice = selection.get("tables").or(selection.get("schemas")).is_some();
                    left == 0 && (objects > 0 || (schemas > 0 || has_choice) && left_schemas == 0)
                }
                _ => true,
            };
            let checks = report["checks"].as_array().expect("checks").iter();
            let check = checks
                .clone()
                .find(|check| check["name"] == "selection" && check["database"] == name);
            let check = check.unwrap_or_else(|| panic!("{name}: {report}"));
            if (check["status"] != "ok") != is_refused {
                wrong.push(format!("{name} {selection}: meant {meant:?}, left {left:?}, {check}"));
            }
            if let Some((left, _)) = left.filter(|_| !is_refused)
                && left == 0
            {
                assert!(
                    some_tells(&check["detail"]["warnings"], &["no table"]),
                    "{name} {selection}: {check}"
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
