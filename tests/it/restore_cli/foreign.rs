//! Backups in foreign places: other roles, tablespaces, extensions and schemas than the source has, and dumps that no
//! pg_dump wrote.

use super::interop::{old_image, private, written};
use super::sealed::Order;
use super::{Fixture, openssl, text};
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::postgres::{Server, clients_path};
use serde_json::{Value, json};

/// Another backup of the same database, after some SQL; gives its place.
fn backed_up(fixture: &Fixture, sql: &str, asked: Value) -> String {
    fixture.server.psql("app", sql);
    let mut order = crate::support::invariants::event(&fixture.server, "app", &fixture.bucket);
    order["public_key"] = json!(String::from_utf8(openssl(&["pkey", "-pubout", "-in", &fixture.key()])).expect("PEM"));
    order["scheduled_time"] = json!("2026-11-24T02:00:00Z");
    for (name, value) in asked.as_object().into_iter().flatten() {
        order[name] = value.clone();
    }
    let run = Pgseal::backup(&order).envs(fixture.bucket.env()).envs(fixture.server.env());
    run.run().complete();
    format!("s3://{}/backups/app_20261124T020000Z", fixture.bucket.name)
}

/// With a server's own programs and its superuser.
fn at(server: &Server, fixture: &Fixture, arguments: &[&str]) -> CommandOutput {
    let psql = server.psql_command("postgres");
    let set = psql
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value?.to_str()?.to_owned())));
    Pgseal::new(arguments)
        .envs(set)
        .env("PGSEAL_PG_BIN", fixture.server.bin())
        .envs(fixture.bucket.env())
        .run()
}

fn restored(server: &Server, fixture: &Fixture, backup: &str, options: &[&str]) -> CommandOutput {
    let key = fixture.key();
    let arguments = ["restore", backup, "--key", &key, "--to", "dbname=copy"];
    at(server, fixture, &[&arguments[..], options].concat())
}

fn passes_its_drill(fixture: &Fixture, backup: &str) -> Value {
    let reports = fixture.folder.path().join("drills");
    let said = at(
        &fixture.server,
        fixture,
        &["drill", backup, "--key", &fixture.key(), "--report", text(&reports)],
    );
    let report = said.receipt();
    assert_eq!((said.code, &report["outcome"]), (0, &json!("passed")), "{report}");
    report
}

fn left_out<'a>(report: &'a Value, what: &str) -> &'a Value {
    let left = report["left_out"].as_array().into_iter().flatten();
    left.into_iter().find(|left| left["what"] == what).unwrap_or(&Value::Null)
}

#[test]
fn globals_do_not_change_a_role_of_the_target() {
    let fixture = Fixture::new(json!({}));
    fixture
        .server
        .psql("postgres", "create role boss nosuperuser; create role other; grant boss to other");
    let backup = backed_up(&fixture, "create role fresh; grant boss to fresh", json!({"globals": true}));
    fixture.server.psql(
        "app",
        "drop role fresh; revoke boss from other; alter role boss superuser login; comment on role boss is 'ours'",
    );
    let said = restored(&fixture.server, &fixture, &backup, &["--create", "--globals"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let role = "select rolsuper, rolcanlogin, shobj_description(oid, 'pg_authid'), pg_has_role('other', 'boss', 'member'),
        pg_has_role('fresh', 'boss', 'member') from pg_roles where rolname = 'boss'";
    assert_eq!(fixture.server.psql("postgres", role), "t|t|ours|f|t");
    let names = left_out(&said.receipt(), "roles that were there")["names"].clone();
    assert!(names.as_array().expect("names").contains(&json!("boss")), "{names}");
}

/// On another server the same role may grant less: memberships were lost with a line that said nothing of them.
#[test]
fn a_membership_is_granted_by_who_restores_where_its_grantor_cannot() {
    let fixture = Fixture::new(json!({}));
    let sql =
        "create role boss; create role team; create role fresh; grant team to boss with admin option; set role boss; grant team to fresh";
    let backup = backed_up(&fixture, &format!("{sql}; reset role"), json!({"globals": true}));
    fixture
        .server
        .psql("app", "drop role fresh; revoke team from boss cascade; drop role team");
    let said = restored(&fixture.server, &fixture, &backup, &["--create", "--globals"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let member = "select pg_has_role('fresh', 'team', 'member'), pg_has_role('boss', 'team', 'member')";
    // What boss was is boss's own, who was there.
    assert_eq!(fixture.server.psql("postgres", member), "t|f", "{}", said.stdout);
}

/// A dump has row security off, with which such a view cannot be filled: `pg_dump | psql` stops at it as well.
#[test]
fn a_view_of_who_sees_a_part_of_a_table_is_filled_as_it_was() {
    let fixture = Fixture::new(json!({}));
    let backup = backed_up(
        &fixture,
        "alter role dumper bypassrls; create role ann; create table accounts (tenant text);
         insert into accounts values ('ann'), ('ann'), ('bob');
         alter table accounts enable row level security; create policy p on accounts using (tenant = current_user);
         grant select on accounts to ann; grant create, usage on schema public to ann;
         set role ann; create materialized view mine as select count(*) c from public.accounts; reset role",
        json!({}),
    );
    let said = restored(&fixture.server, &fixture, &backup, &["--create"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(fixture.server.psql("copy", "select c from mine"), "2");
    assert!(
        said.receipt()["warnings"].to_string().contains("row-level security here"),
        "{}",
        said.stdout
    );
    passes_its_drill(&fixture, &backup);
}

/// Its owner saw everything in the source and sees nothing here: the view was empty, and nobody was told.
#[test]
fn a_view_that_is_filled_with_less_than_before_is_told() {
    let fixture = Fixture::new(json!({}));
    let backup = backed_up(
        &fixture,
        "alter role dumper bypassrls; create role ann bypassrls; create table accounts (tenant text); insert into accounts values ('bob');
         alter table accounts enable row level security; create policy p on accounts using (tenant = current_user);
         grant select on accounts to ann; grant create, usage on schema public to ann;
         set role ann; create materialized view everything as select count(*) c from public.accounts; reset role",
        json!({}),
    );
    fixture.server.psql("app", "alter role ann nobypassrls");
    let said = restored(&fixture.server, &fixture, &backup, &["--create"]);
    let warnings = said.receipt()["warnings"].to_string();
    assert!(
        said.code == 0 && warnings.contains("everything") && warnings.contains("compare it"),
        "{}",
        said.stdout
    );
}

#[test]
fn policies_and_mappings_for_roles_that_are_not_there_can_be_left_out() {
    let fixture = Fixture::new(json!({}));
    let backup = backed_up(
        &fixture,
        "alter role dumper bypassrls; create role reader; alter table plain enable row level security; create policy p on plain to reader using (id > 1);
         create policy q on plain using (id > 2); create extension postgres_fdw; create server s foreign data wrapper postgres_fdw;
         create user mapping for reader server s options (user 'x')",
        json!({}),
    );
    passes_its_drill(&fixture, &backup);
    let other = Server::start();
    let stopped = restored(&other, &fixture, &backup, &["--create", "--no-owner"]);
    assert!(
        stopped.code == 7 && stopped.stderr.contains("--no-privileges"),
        "{}",
        stopped.stderr
    );
    other.psql("postgres", "drop database copy");
    let said = restored(&other, &fixture, &backup, &["--create", "--no-owner", "--no-privileges"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(left_out(&said.receipt(), "policies")["names"], json!(["p ON public.plain"]));
    assert_eq!(other.psql("copy", "select string_agg(polname, ',') from pg_policy"), "q");
}

#[test]
fn a_tablespace_that_is_missing_can_be_left_out() {
    let fixture = Fixture::new(json!({}));
    let folder = fixture.server.psql("postgres", "show data_directory") + "-fast";
    let made = std::process::Command::new("install")
        .args(["-d", "-o", "postgres", "-m", "700", &folder])
        .status();
    assert!(made.expect("install starts").success());
    fixture
        .server
        .psql("postgres", &format!("create tablespace fast location '{folder}'"));
    let backup = backed_up(
        &fixture,
        "create table far (i int) tablespace fast; insert into far values (1)",
        json!({}),
    );
    let report = passes_its_drill(&fixture, &backup);
    assert_eq!(left_out(&report, "tablespaces")["names"], json!(["fast"]));
    let other = Server::start();
    let stopped = restored(&other, &fixture, &backup, &["--create"]);
    assert!(
        stopped.code == 7 && stopped.stderr.contains("--no-tablespaces"),
        "{}",
        stopped.stderr
    );
    other.psql("postgres", "drop database copy");
    let said = restored(&other, &fixture, &backup, &["--create", "--no-tablespaces"]);
    assert_eq!((said.code, &*other.psql("copy", "select i from far")), (0, "1"), "{}", said.stderr);
    fixture.server.psql("app", "drop table far; drop tablespace fast");
    let _ = std::fs::remove_dir_all(folder);
}

#[test]
fn an_extension_that_the_server_lacks_can_be_left_out() {
    let fixture = Fixture::new(json!({}));
    fixture.server.psql("app", "create extension pg_trgm");
    let backup = backed_up(&fixture, "", json!({}));
    // As on a managed server, where nobody but its owner may make some.
    let other = Server::start();
    other.psql("postgres", "create role plain login createdb");
    let key = fixture.key();
    let arguments = [
        "restore",
        &backup,
        "--key",
        &key,
        "--to",
        "dbname=copy",
        "--create",
        "--exclude-extension",
        "pg_trgm",
    ];
    let said = at(&other, &fixture, &arguments);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(
        other.psql("copy", "select count(*) from pg_extension where extname = 'pg_trgm'"),
        "0"
    );
    assert_eq!(left_out(&said.receipt(), "extensions")["names"], json!(["pg_trgm"]));
}

#[test]
fn extensions_and_schemas_that_were_made_beforehand_stay_as_they_are() {
    let fixture = Fixture::new(json!({}));
    let backup = backed_up(
        &fixture,
        "create schema ext; create extension pg_trgm schema ext; create table ext.t (i int); insert into ext.t values (1)",
        json!({}),
    );
    let other = Server::start();
    other.psql("postgres", "create role keeper login; create database copy owner keeper");
    other.psql(
        "copy",
        "create schema ext; grant all on schema ext to keeper; create extension pg_trgm schema ext; comment on schema ext is 'ours'",
    );
    let key = fixture.key();
    // Nor does the dump take a schema from who has it, or its comment and rights from it.
    other.psql("postgres", "create role app_owner; create database shared");
    other.psql(
        "shared",
        "create schema theirs authorization keeper; create extension pg_trgm; comment on schema theirs is 'ours'",
    );
    let sql = "create role app_owner; create schema theirs authorization app_owner; comment on schema theirs is 'of the source';
         grant usage on schema theirs to public; create table theirs.t (i int); insert into theirs.t values (1)";
    fixture.server.psql("app", sql);
    let part = backed_up(&fixture, "select 1", json!({"schemas": "theirs", "prefix": "part"}));
    let said = at(&other, &fixture, &["restore", &part, "--key", &key, "--to", "dbname=shared"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let of_schema = "select nspowner::regrole || ' ' || coalesce(nspacl::text, '-') || obj_description(oid, 'pg_namespace')
        from pg_namespace where nspname = 'theirs'";
    assert_eq!(other.psql("shared", of_schema), "keeper -ours");

    let arguments = [
        "restore",
        &backup,
        "--key",
        &key,
        "--to",
        "dbname=copy user=keeper",
        "--no-owner",
        "--no-privileges",
    ];
    let said = at(&other, &fixture, &arguments);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(other.psql("copy", "select i from ext.t"), "1");
    assert_eq!(left_out(&said.receipt(), "extensions")["names"], json!(["pg_trgm"]));
    assert_eq!(left_out(&said.receipt(), "schemas that were there")["names"], json!(["ext"]));
}

#[test]
fn functions_that_need_a_search_path_get_one() {
    let fixture = Fixture::new(json!({}));
    let backup = backed_up(
        &fixture,
        "create function inner_one(int) returns int immutable language sql as 'select $1';
         create function outer_one(int) returns int immutable language plpgsql as 'begin return inner_one($1); end';
         create index on plain (outer_one(id))",
        json!({}),
    );
    let stopped = restored(&fixture.server, &fixture, &backup, &["--create"]);
    assert!(stopped.code == 7 && stopped.stderr.contains("--search-path"), "{}", stopped.stderr);
    fixture.server.psql("postgres", "drop database copy");
    let said = restored(
        &fixture.server,
        &fixture,
        &backup,
        &["--create", "--search-path", "public, pg_catalog"],
    );
    assert_eq!(said.code, 0, "{}", said.stderr);
}

#[test]
fn chosen_tables_come_back_with_their_schema() {
    let fixture = Fixture::new(json!({}));
    let backup = backed_up(
        &fixture,
        "create schema \"App\"; create table \"App\".t (i int); insert into \"App\".t values (1)",
        json!({"tables": ["\"App\".t"]}),
    );
    passes_its_drill(&fixture, &backup);
    let said = restored(&fixture.server, &fixture, &backup, &["--create"]);
    assert_eq!(
        (said.code, &*fixture.server.psql("copy", "select i from \"App\".t")),
        (0, "1"),
        "{}",
        said.stderr
    );
}

/// Complete and proven, by somebody who has the public key alone; or of the legacy image, which nothing proves.
#[test]
fn a_forged_dump_runs_nothing_but_sql() {
    let folder = tempfile::tempdir().expect("a folder");
    let mark = folder.path().join("ran");
    let server = Server::start();
    let dump = format!("CREATE TABLE a ();\n\\! touch {0}\n\\o |touch {0}\nSELECT 1;\n", mark.display());
    let key = private("recipient-a");
    let psql = server.psql_command("postgres");
    let set: Vec<_> = psql
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value?.to_str()?.to_owned())))
        .collect();
    let forged = written(&Order::default().seal(dump.as_bytes()));
    let old = tempfile::tempdir().expect("a folder");
    let names = ["app_2026-11-24T02:00:00Z.key.txt.enc", "app_2026-11-24T02:00:00Z.sql.bz.enc"];
    old_image(old.path(), dump.as_bytes(), "pkeyutl", "-md sha256", names);
    for (index, (place, more)) in [(forged.path(), &[][..]), (old.path(), &["--unauthenticated"])]
        .into_iter()
        .enumerate()
    {
        let to = format!("dbname=copy{index}");
        let arguments = ["restore", text(place), "--key", text(&key), "--to", &to, "--create"];
        let said = Pgseal::new(&[&arguments[..], more].concat())
            .envs(set.clone())
            .env("PGSEAL_PG_BIN", clients_path())
            .run();
        assert!(said.code == 7 && said.stderr.contains("tampered"), "{}{}", said.stdout, said.stderr);
        assert!(said.stderr.contains("a command for psql"), "{}", said.stderr);
    }
    assert!(!mark.exists());
}
