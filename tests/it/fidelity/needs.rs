//! What a part of a database uses and lacks is told, whatever kind of thing it is, and what it has is not.

use super::{Fixture, some_tells};
use crate::support::postgres::Server;
use crate::support::s3::block_on;
use pgseal::cancel::Cancel;
use pgseal::event::Event;
use pgseal::format::names::DatabaseName;
use pgseal::plan::{Plan, RuntimeLimits};
use pgseal::rds::selection;
use pgseal::rds::session::Session;
use pgseal::variables::Env;
use serde_json::{Value, json};
use time::OffsetDateTime;

struct Case {
    name: &'static str,
    sql: &'static str,
    fields: Value,
    /// Told to be missing; none: nothing is told to be.
    needs: &'static [&'static str],
}

fn case(name: &'static str, sql: &'static str, fields: Value, needs: &'static [&'static str]) -> Case {
    Case { name, sql, fields, needs }
}

const RESET: &str = "set client_min_messages = error; drop schema if exists app, other, hid cascade; drop extension if exists hstore cascade;
    drop table if exists u; drop publication if exists p; drop access method if exists heap2; drop foreign data wrapper if exists w cascade;";
const OBJECTS: &str = "create schema app; create schema other; create table app.t (i int primary key); insert into app.t values (1);";

#[allow(clippy::too_many_lines)] // a table
fn cases() -> Vec<Case> {
    let app = || json!({"schemas": ["app"]});
    let without_other = || json!({"exclude_schemas": ["other"]});
    vec![
        case(
            "extension",
            "create extension pg_trgm schema other",
            without_other(),
            &["schema other"],
        ),
        case(
            "extension's type",
            "create extension hstore schema other; alter table app.t add h other.hstore",
            app(),
            &["extension hstore"],
        ),
        case(
            "extension's array",
            "create extension hstore schema other; alter table app.t add h other.hstore[]",
            json!({"tables": ["app.t"]}),
            &["extension hstore"],
        ),
        case(
            "argument",
            "create type other.e as enum ('a'); create function app.f(x other.e) returns int language sql as 'select 1'",
            app(),
            &["type other.e"],
        ),
        case(
            "result",
            "create table other.o (i int); create function app.f() returns setof other.o language sql as 'select * from other.o'",
            app(),
            &["table other.o"],
        ),
        case(
            "result, excluded by table",
            "create table other.o (i int); create function app.f() returns setof other.o language sql as 'select * from other.o'",
            json!({"exclude_tables": ["other.o"]}),
            &["table other.o"],
        ),
        case(
            "default of an argument",
            "create function other.s() returns int language sql as 'select 1';
             create function app.f(x int default other.s()) returns int language sql as 'select 1'",
            app(),
            &["function other.s()"],
        ),
        case(
            "body of SQL",
            "create table other.o (i int); create function app.f() returns bigint begin atomic select count(*) from other.o; end",
            app(),
            &["table other.o"],
        ),
        case(
            "domain",
            "create type other.e as enum ('a'); create domain app.d as other.e",
            app(),
            &["type other.e"],
        ),
        case(
            "check of a domain",
            "create function other.s(int) returns bool language sql as 'select true'; create domain app.d as int check (other.s(value))",
            app(),
            &["function other.s(integer)"],
        ),
        case(
            "composite type",
            "create type other.c as (a int); create type app.d as (x other.c)",
            without_other(),
            &["type other.c"],
        ),
        case(
            "range",
            "create type other.e as enum ('a', 'b'); create type app.r as range (subtype = other.e)",
            app(),
            &["type other.e"],
        ),
        case(
            "aggregate",
            "create function other.s(int, int) returns int language sql as 'select 1';
             create aggregate app.a(int) (sfunc = other.s, stype = int)",
            app(),
            &["function other.s(integer,integer)"],
        ),
        case(
            "operator",
            "create function other.s(int, int) returns bool language sql as 'select true';
             create operator app.=== (leftarg = int, rightarg = int, function = other.s)",
            app(),
            &["function other.s(integer,integer)"],
        ),
        case(
            "operator class",
            "create function other.s(int, int) returns int language sql immutable as 'select 1';
             create operator class app.c for type int using btree as operator 1 <, function 1 other.s(int, int)",
            app(),
            &["function other.s(integer,integer)"],
        ),
        case(
            "text search",
            "create text search dictionary other.d (template = simple); create text search configuration app.c (copy = simple);
             alter text search configuration app.c alter mapping for word with other.d",
            app(),
            &["text search dictionary other.d"],
        ),
        case(
            "cast",
            "create type other.e as enum ('a'); create function app.c(other.e) returns int language sql as 'select 1';
             create cast (other.e as int) with function app.c(other.e)",
            without_other(),
            &["type other.e"],
        ),
        case(
            "access method",
            "create access method heap2 type table handler heap_tableam_handler; create table app.u (i int) using heap2",
            app(),
            &["access method heap2"],
        ),
        case(
            "event trigger",
            "create function other.e() returns event_trigger language plpgsql as 'begin end';
             create event trigger ev on ddl_command_end execute function other.e()",
            without_other(),
            &["function other.e()"],
        ),
        case(
            "publication",
            "create publication p for table app.t where (i > 0)",
            json!({"exclude_tables": ["app.t"]}),
            &[],
        ),
        case(
            "sequence",
            "create sequence other.s; create table app.u (i int default nextval('other.s'))",
            without_other(),
            &["sequence other.s"],
        ),
        case(
            "foreign key",
            "create table app.u (i int references app.t)",
            json!({"exclude_tables": ["app.t"]}),
            &["table app.t"],
        ),
        case(
            "array of a table's rows",
            "create table app.u (x app.t[], y app.t)",
            json!({"tables": ["app.t", "app.u"]}),
            &[],
        ),
        case(
            "nothing missing",
            "create extension hstore schema other; create type app.e as enum ('a'); create domain app.d as app.e[];
             create function app.f(x app.e[]) returns setof app.t language sql as 'select * from app.t';
             create table app.u (i int generated always as identity references app.t, s serial, e app.e[], t app.t[], r int4multirange);
             create type app.r as range (subtype = int); create table app.w (m app.r); create type app.c as (x app.r);
             create operator class app.c for type app.e using btree as operator 1 = (anyenum, anyenum), function 1 enum_cmp(anyenum, anyenum)",
            app(),
            &[],
        ),
        case(
            "nothing missing beside an extension",
            "create extension hstore schema app; create schema hid; create table app.u (h app.hstore, a app.hstore[]);
             create function app.f(app.hstore) returns int language sql as 'select 1';
             create foreign data wrapper w; create server s foreign data wrapper w; create foreign table app.ft (i int) server s",
            json!({"exclude_schemas": ["hid"]}),
            &[],
        ),
        case("nothing used", "create extension hstore schema app", app(), &[]),
        case(
            "nothing missing in public",
            "create extension hstore; create table app.u (h hstore, a hstore[])",
            json!({"exclude_schemas": ["other", "public"]}),
            &[],
        ),
    ]
}

fn told(fixture: &Fixture, database: &str, fields: &Value) -> Vec<String> {
    let event = Event::parse(&fixture.event(database, fields).to_string()).expect("an event");
    let env = fixture.bucket.env().into_iter().chain(fixture.server.env());
    let place = RuntimeLimits {
        now: OffsetDateTime::now_utc(),
        cpus: 1,
        memory: None,
    };
    let plan = Plan::resolve(&event, &Env::from_iter(env), place).expect("a plan");
    block_on(async {
        let server = pgseal::rds::Server::find(&plan.source).await.expect("the server");
        let cancel = Cancel::new().expect("a cancel");
        let database = DatabaseName::new(database).expect("a name");
        let session = Session::open(&server, &database, &cancel).await.expect("a login");
        let resolved = selection::resolve(&session, &database, &plan.selection, 18).await;
        resolved.expect("a selection").warnings
    })
}

/// A restore failed at each of them, and nobody had told.
#[test]
fn whatever_a_part_needs_and_lacks_is_told() {
    let fixture = Fixture::new(Server::start());
    let mut wrong = Vec::new();
    fixture.server.create_app("");
    for case in cases() {
        fixture.server.psql("app", &format!("{RESET} {OBJECTS} {}", case.sql));
        let warnings = told(&fixture, "app", &case.fields);
        let about: Vec<&String> = warnings.iter().filter(|warning| warning.contains("needs")).collect();
        let is_right = match case.needs {
            [] => about.is_empty(),
            needs => needs.iter().all(|need| {
                about
                    .iter()
                    .any(|warning| warning.contains(&format!(": {need}")) || warning.contains(&format!(", {need}")))
            }),
        };
        if !is_right {
            wrong.push(format!("{}: {warnings:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Backup and drill were silent, and a restore failed at its first statement.
#[test]
fn an_extension_in_a_schema_that_is_left_out_is_told() {
    let fixture = Fixture::new(Server::start());
    fixture
        .server
        .create_app("create schema extensions; create extension pg_trgm schema extensions; create table t (i int)");
    let fields = json!({"exclude_schemas": ["extensions"]});
    let (entry, place) = fixture.backup("app", fields.clone());
    assert!(some_tells(&entry["warnings"], &["needs", "schema extensions"]), "{entry}");
    let checked = fixture.run("check", "app", fields).receipt();
    assert!(checked.to_string().contains("schema extensions"), "{checked}");
    let (_, report) = fixture.drill(&place);
    assert_eq!(report["outcome"], "passed", "{report}");
    assert!(some_tells(&report["warnings"], &["before a restore", "extensions"]), "{report}");
    // As both say.
    fixture.server.psql("postgres", "create database again");
    assert_ne!(fixture.restore(&fixture.server, &place, "again", &[]).code, 0);
    fixture.server.psql("postgres", "create database prepared");
    fixture.server.psql("prepared", "create schema extensions");
    fixture.restored(&fixture.server, &place, "prepared", &[]);
}

/// A restore failed at its last statements.
#[test]
fn rows_that_reference_rows_that_are_left_out_are_told() {
    let fixture = Fixture::new(Server::start());
    fixture.server.create_app(
        "create schema app; create table app.t (i int primary key); insert into app.t values (1);
         create table app.u (i int references app.t); insert into app.u values (1);
         create table app.empty (i int references app.t);
         create table app.unproven (i int); insert into app.unproven values (7);
         alter table app.unproven add constraint k foreign key (i) references app.t not valid;
         create table app.p (i int references app.t) partition by list (i); create table app.p1 partition of app.p for values in (1);
         insert into app.p values (1)",
    );
    for (excluded, told_of, silent_of) in [
        (json!(["app.t"]), &["u_i_fkey", "p_i_fkey"][..], &["empty", "unproven"][..]),
        (json!(["app.t", "app.p"]), &["u_i_fkey"], &["p_i_fkey"]),
        (json!(["app.t", "app.u", "app.p"]), &[], &["reference"]),
        (json!(["app.u"]), &[], &["reference"]),
    ] {
        let fields = json!({"exclude_table_data": excluded});
        let warnings = json!(told(&fixture, "app", &fields));
        for name in told_of {
            assert!(some_tells(&warnings, &["reference", name]), "{fields}: {warnings}");
        }
        for name in silent_of {
            assert!(!warnings.to_string().contains(name), "{fields}: {warnings}");
        }
    }
    let (entry, _) = fixture.backup("app", json!({"exclude_table_data": ["app.t"]}));
    assert!(some_tells(&entry["warnings"], &["reference", "u_i_fkey"]), "{entry}");
}

/// The catalogs of the oldest server have all that is asked for.
#[test]
fn an_old_server_tells_what_a_part_needs() {
    let fixture = Fixture::new(Server::builder().major(10).start());
    fixture.server.create_app(
        "create schema app; create schema other; create type other.e as enum ('a'); create domain app.d as other.e;
         create table app.t (i int primary key); create table app.u (i int references app.t); insert into app.t values (1);
         insert into app.u values (1)",
    );
    for schema in ["app", "other"] {
        fixture.server.let_dumper_read("app", schema);
    }
    let warnings = json!(told(
        &fixture,
        "app",
        &json!({"exclude_schemas": "other", "exclude_table_data": "app.t"})
    ));
    assert!(some_tells(&warnings, &["needs", "type other.e"]), "{warnings}");
    assert!(some_tells(&warnings, &["reference", "u_i_fkey"]), "{warnings}");
}
