//! `pg_dump`'s patterns arrive as patterns, whatever they look like.

use super::Ground;
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
    let ground = Ground::new();
    ground.server.psql("app", TABLES);
    let dump = KeyPair::new().dump_of(&ground, fields);
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
    let ground = Ground::new();
    for pattern in ["--help", "-V", "--file=/tmp/pgseal-escaped"] {
        let mut event = ground.event();
        event["tables"] = json!([pattern]);
        ground.backup(&event).failed("bad_event", 2);
    }
    assert!(!std::path::Path::new("/tmp/pgseal-escaped").exists());
}
