//! `pg_dump`'s patterns arrive as patterns, whatever they look like.

use super::Fixture;
use super::formats::KeyPair;
use serde_json::{Value, json};

const TABLES: &str = r#"
    create schema other;
    create table keep (i int); insert into keep values (7001);
    create table skip (i int); insert into skip values (7002);
    create table "-dash" (i int); insert into "-dash" values (7003);
    create table other.thing (i int); insert into other.thing values (7004);
"#;

/// Which of the four rows a dump with these fields holds.
fn rows(fields: Value) -> Vec<u32> {
    let fixture = Fixture::new();
    fixture.server.psql("app", TABLES);
    let dump = KeyPair::new().dump_of(&fixture, fields);
    (7001..=7004)
        .filter(|row| dump.lines().any(|line| line == row.to_string()))
        .collect()
}

#[test]
fn everything_without_a_pattern() {
    assert_eq!(rows(json!({})), [7001, 7002, 7003, 7004]);
}

#[test]
fn tables() {
    assert_eq!(rows(json!({"tables": ["keep", "other.*"]})), [7001, 7004]);
}

#[test]
fn a_leading_dash_is_part_of_a_name() {
    assert_eq!(rows(json!({"tables": ["-dash"]})), [7003]);
    assert_eq!(rows(json!({"exclude_tables": ["-dash"]})), [7001, 7002, 7004]);
}

#[test]
fn exclusions() {
    assert_eq!(rows(json!({"exclude_tables": ["skip", "other.thing"]})), [7001, 7003]);
    assert_eq!(rows(json!({"exclude_table_data": ["skip"]})), [7001, 7003, 7004]);
}

#[test]
fn schemas() {
    assert_eq!(rows(json!({"schemas": ["other"]})), [7004]);
    assert_eq!(rows(json!({"exclude_schemas": ["other"]})), [7001, 7002, 7003]);
}

#[test]
fn a_pattern_that_looks_like_an_option_is_none() {
    let fixture = Fixture::new();
    for pattern in ["--help", "-V", "--file=/tmp/pgseal-escaped"] {
        let mut event = fixture.event();
        event["tables"] = json!([pattern]);
        fixture.backup(&event).failed("bad_event", 2);
    }
    assert!(!std::path::Path::new("/tmp/pgseal-escaped").exists());
}

/// Such a backup was `complete` without a word, and could be restored nowhere.
#[test]
fn what_a_part_needs_and_does_not_have_is_told() {
    let fixture = Fixture::new();
    fixture.server.psql(
        "app",
        "create schema other; create type other.mood as enum ('sad'); create function other.next() returns int language sql as 'select 1';
         create table parent (i int primary key); create table child (s text) inherits (parent);
         create table moods (m other.mood); create table numbers (n int default other.next());
         create table linked (i int references parent); create view seen as select * from parent;
         create table whole (i int generated always as identity primary key, n serial, t text check (t <> ''));
         create table other.inside (m other.mood, n int default other.next());",
    );
    let needs = |fields: Value| {
        let mut event = fixture.event();
        event
            .as_object_mut()
            .expect("an object")
            .extend(fields.as_object().expect("fields").clone());
        let report = fixture.prepared(&["check", "--event", &event.to_string()]).run().receipt();
        let checks = report["checks"].as_array().expect("a list").clone();
        let selection = checks.into_iter().find(|check| check["name"] == "selection").expect("the check");
        let warnings = selection["detail"]["warnings"]
            .as_array()
            .unwrap_or_else(|| panic!("{report}"))
            .clone();
        let texts: Vec<_> = warnings.iter().filter_map(Value::as_str).collect();
        let needed = texts.iter().find_map(|text| text.split_once("before it is restored: "));
        needed.map_or(String::new(), |(_, names)| names.to_owned())
    };
    let parent = "table public.parent";
    for (tables, needed) in [
        ("child", parent),
        ("moods", "type other.mood"),
        ("numbers", "function other.next()"),
        ("linked", parent),
        ("seen", parent),
        ("whole", ""),
    ] {
        assert_eq!(needs(json!({"tables": [tables]})), needed, "{tables}");
    }
    assert_eq!(needs(json!({"tables": ["child", "parent"]})), "");
    assert_eq!(needs(json!({"schemas": ["other"]})), "");
    assert_eq!(needs(json!({"schemas": ["public"]})), "function other.next(), type other.mood");
    assert_eq!(needs(json!({"exclude_tables": ["parent"]})), parent);
    assert_eq!(
        needs(json!({"exclude_schemas": ["other"]})),
        "function other.next(), type other.mood"
    );
}
