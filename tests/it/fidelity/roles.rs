//! The roles that a backup names are those that its dump needs: a restore asks for each of them, a drill makes each of them.

use super::{Fixture, some_tells};
use crate::support::postgres::{Server, client_folder};
use crate::support::s3::block_on;
use pgseal::cancel::Cancel;
use pgseal::event::Event;
use pgseal::format::names::DatabaseName;
use pgseal::plan::{Plan, RuntimeLimits};
use pgseal::rds::properties;
use pgseal::rds::session::Session;
use pgseal::variables::Env;
use serde_json::json;
use std::collections::BTreeSet;
use std::process::Command;
use time::OffsetDateTime;

/// Each names the role {r}, or has something of it that no dump names.
const KINDS: &[&str] = &[
    "create table t_{r} (i int); alter table t_{r} owner to {r}",
    "create table t_{r} (i int); grant select on t_{r} to {r}",
    "create table t_{r} (i int); grant update (i) on t_{r} to {r}",
    "create sequence s_{r}; grant usage on s_{r} to {r}",
    "create view v_{r} as select 1 as i; alter view v_{r} owner to {r}",
    "create materialized view m_{r} as select 1 as i; grant select on m_{r} to {r}",
    "create type c_{r} as (i int); alter type c_{r} owner to {r}",
    "create domain d_{r} as int; grant usage on domain d_{r} to {r}",
    "create type e_{r} as enum ('a'); alter type e_{r} owner to {r}",
    "create function f_{r}() returns int language sql as 'select 1'; alter function f_{r}() owner to {r}",
    "create function f_{r}() returns int language sql as 'select 1'; grant execute on function f_{r}() to {r}",
    "create schema n_{r} authorization {r}",
    "create schema n_{r}; grant usage on schema n_{r} to {r}",
    "grant create on schema public to {r}",
    "alter schema public owner to {r}",
    "alter schema public owner to app; revoke all on schema public from public",
    "select lo_create(4711); alter large object 4711 owner to {r}",
    "select lo_create(4711); grant select on large object 4711 to {r}",
    "create foreign data wrapper w_{r}; grant usage on foreign data wrapper w_{r} to {r}",
    "create foreign data wrapper w_{r}; create server x_{r} foreign data wrapper w_{r}; alter server x_{r} owner to {r}",
    "create foreign data wrapper w_{r}; create server x_{r} foreign data wrapper w_{r}; create user mapping for {r} server x_{r}",
    "alter default privileges for role {r} grant select on tables to app",
    "alter default privileges for role app grant select on tables to {r}",
    "create publication p_{r}; alter publication p_{r} owner to {r}",
    "create table t_{r} (i int); create policy p on t_{r} to app, {r}",
    "create collation l_{r} from \"C\"; alter collation l_{r} owner to {r}",
    "create conversion v_{r} for 'UTF8' to 'LATIN1' from utf8_to_iso8859_1; alter conversion v_{r} owner to {r}",
    "create operator === (leftarg = int, rightarg = int, procedure = int4eq); alter operator === (int, int) owner to {r}",
    "create operator family o_{r} using btree; alter operator family o_{r} using btree owner to {r}",
    "create text search dictionary x_{r} (template = simple); alter text search dictionary x_{r} owner to {r}",
    "create text search configuration x_{r} (copy = simple); alter text search configuration x_{r} owner to {r}",
    "create table t_{r} (i int, j int); create statistics x_{r} on i, j from t_{r}; alter statistics x_{r} owner to {r}",
    // What no dump names.
    "create extension hstore",
    "create extension pg_stat_statements; alter table t owner to app",
    "alter role {r} in database here set work_mem = '5MB'",
    "grant connect on database here to {r}",
    "create temp table was_used (i int)",
    "drop schema public cascade; create schema public; create table public.t (i int); alter table public.t owner to app",
    "create index on t (i)",
];

/// Who is named in statements of the dump.
fn named(server: &Server, database: &str, roles: &[&str]) -> BTreeSet<String> {
    let mut command = Command::new(client_folder(18).join("pg_dump"));
    let dump = command.args(["-d", &server.conninfo(database)]).output().expect("pg_dump starts");
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let text = String::from_utf8(dump.stdout).expect("a dump in UTF-8");
    // Before 15 it is the server's own; a restore lets this one statement fail.
    let is_told = |line: &&str| !line.starts_with("--") && *line != "ALTER SCHEMA public OWNER TO postgres;";
    let lines = text.lines().filter(is_told);
    let words: BTreeSet<&str> = lines.flat_map(|line| line.split([' ', ',', ';'])).collect();
    roles
        .iter()
        .filter(|role| words.contains(**role))
        .map(|role| (*role).to_owned())
        .collect()
}

fn told(fixture: &Fixture, database: &str) -> BTreeSet<String> {
    let event = Event::parse(&fixture.event(database, &json!({})).to_string()).expect("an event");
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
        let answer = properties::ask(&session, &plan.selection).await.expect("properties");
        answer.properties.roles.into_iter().collect()
    })
}

/// The role that initdb made is in no list of PostgreSQL's: a drill failed because a table was granted to it. And a role
/// that has settings or may connect, and no more, was asked for before a restore that did not need it.
#[test]
fn the_roles_that_are_told_are_those_that_the_dump_names() {
    for major in [10, 18] {
        let fixture = Fixture::new(Server::builder().major(major).start());
        let server = &fixture.server;
        server.psql("postgres", "create role app; create role lone superuser");
        let mut wrong = Vec::new();
        for (number, kind) in KINDS.iter().enumerate() {
            let database = format!("kind_{number}");
            server.psql("postgres", &format!("create database {database} template template0"));
            server.psql(&database, "create table t (i int); alter table t owner to app");
            for role in ["postgres", "lone"] {
                let sql = kind.replace("{r}", role).replace("here", &database);
                if role == "lone" && (sql == *kind || sql.contains("operator ===") || sql.contains("4711") || sql.contains("owner to app"))
                {
                    continue;
                }
                server.psql(&database, &sql);
            }
            server.let_dumper_read(&database, "public");
            let expected = named(server, &database, &["postgres", "app", "lone", "dumper", "owner"]);
            let told = told(&fixture, &database);
            if told != expected {
                wrong.push(format!("{major}: {kind}: told {told:?}, the dump names {expected:?}"));
            }
            server.psql("postgres", &format!("drop database {database}"));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// What sessions have for themselves is in no dump, whatever kind it is of.
#[test]
fn temporary_objects_need_no_role() {
    let fixture = Fixture::new(Server::start());
    let server = &fixture.server;
    server.psql("postgres", "create role analyst; create database app");
    let mut busy = server.session("app");
    busy.run(
        "create domain pg_temp.d as int; create function pg_temp.f() returns int language sql as 'select 1';
         create type pg_temp.e as enum ('a'); create temp table t (i int); grant select on t to analyst;
         alter domain pg_temp.d owner to analyst; alter function pg_temp.f() owner to analyst",
    );
    assert_eq!(told(&fixture, "app"), BTreeSet::new());
    drop(busy);
}

/// Before 15 `public` is the superuser's: `rdsadmin` on RDS, whom no target has, and whom nobody may act as.
#[test]
fn a_database_whose_public_is_the_superusers_comes_back_anywhere() {
    let fixture = Fixture::new(Server::builder().major(14).start());
    let server = &fixture.server;
    server.psql("postgres", "create role app; create database app");
    server.psql(
        "app",
        "create table t (i int); alter table t owner to app; insert into t values (1)",
    );
    server.psql(
        "postgres",
        "set session authorization owner; alter role postgres rename to rdsadmin",
    );
    let (entry, place) = fixture.backup("app", json!({}));
    assert_eq!(entry["rows"], 1);
    let target = Server::start();
    target.psql("postgres", "create role app");
    let report = fixture.restored(&target, &place, "app", &["--create"]);
    assert!(
        some_tells(&report["warnings"], &["public", "keeps its owner", "rdsadmin"]),
        "{report}"
    );
    assert_eq!(
        target.psql("app", "select pg_get_userbyid(relowner) from pg_class where relname = 't'"),
        "app"
    );
}
