//! What users put on an extension's table is in no dump, and told; what the extension made itself is not.

use super::{Fixture, some_tells};
use crate::support::postgres::{Server, client_folder, copied_installation};
use serde_json::{Value, json};
use std::process::Command;

/// Each makes something called `mine`, on the table or domain of an extension, and has it told or dumped.
const ADDED: &[&str] = &[
    "create index mine on owned (j)",
    "alter table owned add constraint mine unique (k)",
    "alter table owned add constraint mine check (j > 0)",
    "alter table owned add constraint mine foreign key (j) references plain",
    "create trigger mine before insert on owned for each row execute procedure f()",
    "create trigger mine instead of insert on owned_view for each row execute procedure f()",
    "create rule mine as on delete to owned do instead nothing",
    "create policy mine on owned using (true)",
    "create statistics mine on i, j from owned",
    "alter domain owned_domain add constraint mine check (value > 0)",
    "create table mine partition of owned_parts for values in (1)",
    "create view mine as select * from owned",
    "create table mine (i int references owned)",
    "create index mine on plain (i)",
];

/// The extension's own come before its table is a member, as in a script.
const OBJECTS: &str = "create table owned (i int primary key, j int default 1 check (j <> 7), k int); create index own on owned (k);
    create function own() returns trigger language plpgsql as 'begin return new; end'; alter extension plpgsql add function own();
    create trigger own before insert on owned for each row execute procedure own();
    create rule own as on update to owned do instead nothing; create view owned_view as select 1 as i; create domain owned_domain as int;
    create table owned_parts (i int) partition by list (i);
    alter extension plpgsql add table owned; alter extension plpgsql add view owned_view; alter extension plpgsql add domain owned_domain;
    alter extension plpgsql add table owned_parts;
    create table plain (i int primary key); create function f() returns trigger language plpgsql as 'begin return new; end'";

fn dump(server: &Server, database: &str) -> String {
    let mut command = Command::new(client_folder(18).join("pg_dump"));
    let dump = command.args(["-d", &server.conninfo(database)]).output().expect("pg_dump starts");
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    String::from_utf8(dump.stdout).expect("a dump in UTF-8")
}

fn told(fixture: &Fixture, database: &str, fields: Value) -> Value {
    let checked = fixture.run("check", database, fields).receipt();
    let checks = checked["checks"].as_array().expect("checks").iter();
    let selection = checks.clone().find(|check| check["name"] == "selection");
    selection.unwrap_or_else(|| panic!("{checked}"))["detail"]["warnings"].clone()
}

/// Backup and check were silent, and all of it was gone after a restore.
#[test]
fn what_was_added_to_an_extensions_table_is_told_where_the_dump_lacks_it() {
    for major in [10, 18] {
        let fixture = Fixture::new(Server::builder().major(major).start());
        let server = &fixture.server;
        let mut wrong = Vec::new();
        // As many as a warning names.
        for (number, some) in ADDED.chunks(5).enumerate() {
            let database = format!("added_{number}");
            server.psql("postgres", &format!("create database {database}"));
            let named = |at: usize| format!("mine_{at}");
            let added: Vec<String> = some.iter().enumerate().map(|(at, sql)| sql.replace("mine", &named(at))).collect();
            server.psql(&database, &format!("{OBJECTS}; {}", added.join("; ")));
            server.let_dumper_read(&database, "public");
            let dump = dump(server, &database);
            let warnings = told(&fixture, &database, json!({}));
            for (at, sql) in added.iter().enumerate() {
                if some_tells(&warnings, &["tables of extensions", &named(at)]) == dump.contains(&named(at)) {
                    wrong.push(format!("{major}: {sql}: {warnings}"));
                }
            }
            if warnings.to_string().contains("own ") {
                wrong.push(format!("{major}: the extension's own: {warnings}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// In the receipt too; and no word where there is nothing, or where no extension is in the dump.
#[test]
fn an_extensions_table_as_it_was_made_is_not_told() {
    let fixture = Fixture::new(Server::start());
    fixture.server.create_app(OBJECTS);
    for extension in ["hstore", "pg_stat_statements", "postgres_fdw", "earthdistance cascade"] {
        fixture.server.psql("app", &format!("create extension {extension}"));
    }
    let (entry, _) = fixture.backup("app", json!({}));
    assert_eq!(entry["warnings"], json!([]));
    fixture.server.psql("app", "create index mine on owned (j)");
    let (entry, _) = fixture.backup("app", json!({}));
    assert!(
        some_tells(&entry["warnings"], &["tables of extensions", "index public.mine"]),
        "{entry}"
    );
    assert!(
        !told(&fixture, "app", json!({"tables": ["plain"]}))
            .to_string()
            .contains("tables of extensions")
    );
}

/// `ALTER EXTENSION … ADD FUNCTION` took it out of every backup, without a word.
#[test]
fn what_a_user_added_to_an_extension_or_moved_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let (bin, extensions) = copied_installation(folder.path());
    let script =
        "create function own() returns int language sql as 'select 1'; create function moved() returns int language sql as 'select 1';
        create type mood as enum ('a'); create function pg_catalog.of_all() returns int language sql as 'select 1'";
    for (name, relocatable) in [("pgseal_movable", true), ("pgseal_fixed", false)] {
        let control = format!("default_version = '1'\nrelocatable = {relocatable}\n");
        let script = if relocatable {
            script
        } else {
            "create function app.of_script() returns int language sql as 'select 1'"
        };
        std::fs::write(extensions.join(format!("{name}.control")), control).expect("written");
        std::fs::write(extensions.join(format!("{name}--1.sql")), script).expect("written");
    }
    let fixture = Fixture::new(Server::builder().installed_in(bin).start());
    let server = &fixture.server;
    server.psql("postgres", "create database untouched");
    let extensions =
        "create schema app; create schema \"Own\"; create extension pgseal_movable schema \"Own\"; create extension pgseal_fixed";
    server.psql("untouched", extensions);
    let warnings = told(&fixture, "untouched", json!({}));
    assert!(!some_tells(&warnings, &["belongs to an extension"]), "{warnings}");

    server.psql("postgres", "create database added");
    server.psql("added", extensions);
    server.psql(
        "added",
        "create function app.f(int) returns int language sql as 'select 1'; alter extension pgseal_movable add function app.f(int);
         create type app.kind as enum ('a'); alter extension pgseal_movable add type app.kind;
         create table app.empty (i int); alter extension pgseal_movable add table app.empty;
         alter function \"Own\".moved() set schema app",
    );
    let warnings = told(&fixture, "added", json!({}));
    for what in [
        "function app.f(integer)",
        "type app.kind",
        "table app.empty",
        "function app.moved()",
        "of pgseal_movable",
    ] {
        assert!(some_tells(&warnings, &["belongs to an extension", what]), "{what}: {warnings}");
    }
    assert!(!some_tells(&warnings, &["of_script"]), "{warnings}");
}
