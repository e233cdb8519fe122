//! Databases whose users put functions, operators and casts beside the catalog's, which fit our questions better.

use super::{access, cancel};
use crate::support::postgres::Server;
use pgseal::error::Code;
use pgseal::format::database_properties::DatabaseProperties;
use pgseal::restore::compare::Comparison;
use pgseal::restore::create::create;
use pgseal::restore::properties::{self, PropertyChoice};
use pgseal::restore::target_database::{existing, existing_globals, must_be_empty};
use serde_json::json;

const TWINS: &str = include_str!("../fixtures/twins.sql");
/// Casts need no search path: where there is none in the catalog, anybody's is taken that a superuser let in.
const CASTS: [(&str, &str); 7] = [
    ("regclass", "text"),
    ("regtype", "text"),
    ("regprocedure", "text"),
    ("regoperator", "text"),
    ("oid", "text"),
    ("json", "text"),
    ("text", "int4"),
];
const SCHEMA: &str = "
    create table t (i int primary key, b text check (b <> 'x'));
    insert into t values (1, 'a'), (2, 'b');
    create table parent (i int) partition by range (i);
    create table part partition of parent for values from (0) to (10);
    alter table t add constraint late check (i > 0) not valid;
    create extension pg_trgm;
    create sequence s;
    select lo_create(1);
";

fn plant(server: &Server, database: &str) {
    server.psql(database, TWINS);
    for (from, to) in CASTS {
        let function = format!(
            "create function public.cast_{from}({from}) returns {to} language plpgsql as
                'begin insert into public.loot values (current_user, ''cast''); return null; end';
            create cast ({from} as {to}) with function public.cast_{from}({from}) as assignment"
        );
        server.psql(database, &function);
    }
    let sql = format!("alter database {database} set search_path = public, pg_catalog");
    server.psql("postgres", &sql);
}

fn loot(server: &Server, database: &str) -> String {
    server.psql(database, "set search_path = pg_catalog; select count(*) from public.loot")
}

/// What does not depend on the twins' own table.
fn facts(comparison: &Comparison) -> serde_json::Value {
    let Comparison {
        rows,
        large_objects,
        extensions,
        indexes,
        constraints,
        sequences,
        differences,
        ..
    } = comparison;
    json!([rows, large_objects, extensions, indexes, constraints, sequences, differences])
}

#[test]
fn a_hostile_twin_changes_no_answer_and_sees_no_question() {
    let server = Server::start();
    server.create_app(SCHEMA);
    let inventory = super::inventory(json!({
        "tables": [{"name": "public.t", "rows": 2, "bytes": 4}, {"name": "public.part", "rows": 0, "bytes": 0}],
        "rows": 2, "large_objects": 1,
    }));
    let (app, maintenance) = (access(&server, "app"), access(&server, "postgres"));
    let ask = || {
        let comparison = super::compared(&inventory, &app, &cancel()).expect("a comparison");
        let there = existing(&app, &cancel()).expect("schemas and extensions");
        let globals = existing_globals(&maintenance, &cancel()).expect("roles");
        (facts(&comparison), format!("{there:?} {:?}", globals.existing_roles))
    };
    let honest = ask();
    for database in ["app", "postgres"] {
        plant(&server, database);
        // The twins do work: this is no test that cannot fail.
        server.psql(database, "select 'a'::text = 'b'::name; select '{}'::json::text");
        assert_eq!(loot(&server, database), "2");
        server.psql(database, "set search_path = pg_catalog; truncate public.loot");
    }
    assert_eq!(ask(), honest);

    let error = must_be_empty(&app, &cancel()).expect_err("it is full");
    assert!(
        error.code == Code::RestoreFailed && error.message.contains("the target is not empty: table public."),
        "{error}"
    );
    let error = create(&app, &DatabaseProperties::default(), &cancel()).expect_err("it exists");
    assert!(error.message.contains("exists already"), "{error}");
    let properties = DatabaseProperties {
        encoding: Some("UTF8".to_owned()),
        owner: Some("postgres".to_owned()),
        comment: Some("a comment".to_owned()),
        ..DatabaseProperties::default()
    };
    let wanted = PropertyChoice {
        owner: true,
        privileges: true,
        roles: true,
    };
    let said = properties::apply(&properties, wanted, &app, &cancel()).expect("applied");
    assert_eq!(said.into_iter().map(String::from).collect::<Vec<_>>(), [""; 0]);
    for database in ["app", "postgres"] {
        assert_eq!(loot(&server, database), "0", "{database}");
    }
}
