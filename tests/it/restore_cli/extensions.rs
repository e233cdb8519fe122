//! Databases with extensions that only their own server has, as RDS has some, whose tables hold rows of the users'.

use super::Fixture;
use super::drills::{backup, drill};
use crate::support::postgres::{Server, copied_installation};
use serde_json::json;

/// Like pg_cron: a schema and tables of its own, which a dump fills.
const JOBS: &str = "create schema jobs; create table jobs.job (id serial primary key, what text);
    select pg_catalog.pg_extension_config_dump('jobs.job', ''); select pg_catalog.pg_extension_config_dump('jobs.job_id_seq', '');
    create function jobs.schedule(text) returns void language sql as 'insert into jobs.job (what) values ($1)';";
/// Like PostGIS: a table and a function in the schema that it is put to.
const SHAPES: &str = "create table systems (id int primary key); select pg_catalog.pg_extension_config_dump('systems', '');
    create function area(int) returns int language sql immutable as 'select $1 * $1';
    create function touches(int, int) returns bool language sql immutable as 'select $1 = $2 + 1';
    create operator %% (leftarg = int, rightarg = int, function = touches);";

/// Like a columnar store: an access method, a collation and what else a dump names in other ways than by a function's call.
const METHODS: &str = "create access method xheap type table handler heap_tableam_handler;
    create function xblhandler(internal) returns index_am_handler language c as '$libdir/bloom', 'blhandler';
    create access method xbl type index handler xblhandler;
    create operator class xint_ops default for type int using xbl as operator 1 =(int, int), function 1 hashint4(int);
    create collation xcoll from \"C\"; create function xf(int) returns int language sql immutable as 'select $1';
    create text search dictionary xdict (template = pg_catalog.simple); create text search configuration xcfg (copy = pg_catalog.simple);
    create operator %%% (leftarg = text, rightarg = text, function = texteq);";

/// A server that has these, as no other one does.
fn server(folder: &std::path::Path) -> Server {
    let (bin, extensions) = copied_installation(folder);
    for (name, script, schema) in [
        ("pgseal_jobs", JOBS, "schema = 'pg_catalog'\n"),
        ("pgseal_shapes", SHAPES, ""),
        ("pgseal_methods", METHODS, ""),
    ] {
        let control = format!("default_version = '1'\nrelocatable = false\n{schema}");
        std::fs::write(extensions.join(format!("{name}.control")), control).expect("written");
        std::fs::write(extensions.join(format!("{name}--1.sql")), script).expect("written");
    }
    Server::builder().installed_in(bin).start()
}

/// Drills and restores failed: the rows of such a table are in every dump, and no extension was there to make it.
#[test]
fn what_an_extension_has_that_is_nowhere_else_fails_no_drill_and_no_restore() {
    let folder = tempfile::tempdir().expect("a folder");
    let sql = "create extension pgseal_jobs; select jobs.schedule('vacuum'); grant usage on schema jobs to public;
        grant select on jobs.job to public; create extension pgseal_shapes; insert into systems values (7);
        create table land (side int check (area(side) > 0)); insert into land values (3);
        create view touching as select side from land where side %% 2;";
    let fixture = Fixture::on(server(folder.path()), sql, json!({}));
    let fetched = backup(&fixture, json!({}));
    let said = drill(&fixture, None, &[]);
    let report = said.receipt();
    assert_eq!(
        (said.code, &report["outcome"]),
        (0, &json!("passed")),
        "{report:#}\n{}",
        said.stderr
    );
    let told = |what: &str| {
        report["left_out"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|left| left["what"] == what)
            .cloned()
    };
    let rows = told("rows of left-out extensions").unwrap_or_else(|| panic!("{report:#}"));
    assert_eq!(rows["names"], json!(["jobs.job", "public.systems"]), "{report:#}");
    let lost = report["not_restored"].to_string();
    for what in [
        "EXTENSION pgseal_jobs",
        "EXTENSION pgseal_shapes",
        "of TABLE public.land",
        "VIEW public.touching",
    ] {
        assert!(lost.replace(['\\', '"'], "").contains(what), "{what}: {report:#}");
    }
    let tables = report["comparison"]["tables"].as_array().expect("tables");
    assert_eq!(tables.len(), 2, "plain and land: {report:#}");

    let target = Server::start();
    let to = format!("{} dbname=back", target.conninfo("postgres"));
    let key = fixture.key();
    let restore = |options: &[&str]| {
        let arguments = [
            "restore",
            &fetched,
            "--key",
            &key,
            "--create",
            "--to",
            &to,
            "--no-owner",
            "--no-privileges",
        ];
        crate::support::pgseal::Pgseal::new(&[&arguments, options].concat())
            .env("PGSEAL_PG_BIN", target.bin())
            .run()
    };
    let said = restore(&["--single-transaction", "--exclude-extension", "pgseal_jobs"]);
    assert_eq!(said.code, 7, "the other one is missing, too: {}", said.stdout);
    target.psql("postgres", "create database area_there");
    target.psql(
        "area_there",
        "create function area(int) returns int language sql immutable as 'select 1'",
    );
    let both = ["--exclude-extension", "pgseal_jobs", "--exclude-extension", "pgseal_shapes"];
    let said = restore(&both);
    // Its check needs the function: that is told, with what to do.
    assert!(
        said.code == 7 && said.stderr.contains("function public.area(integer) does not exist"),
        "{}",
        said.stderr
    );
    assert!(!said.stderr.contains("jobs") || said.stderr.contains("left out"), "{}", said.stderr);
}

/// A grant on an extension's function ended the restore without it, and what a user had in the extension's schema lost its
/// privileges: a function that was closed to all was open.
#[test]
fn privileges_go_with_exactly_what_an_extension_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let sql = "create extension pgseal_jobs; revoke execute on function jobs.schedule(text) from public;
        create function jobs.own() returns int language sql as 'select 1'; revoke execute on function jobs.own() from public;";
    let fixture = Fixture::on(server(folder.path()), sql, json!({}));
    let fetched = backup(&fixture, json!({}));
    let target = Server::start();
    target.psql("postgres", "create database back");
    target.psql("back", "create schema jobs");
    let to = format!("{} dbname=back", target.conninfo("postgres"));
    let arguments = [
        "restore",
        &fetched,
        "--key",
        &fixture.key(),
        "--to",
        &to,
        "--no-owner",
        "--exclude-extension",
        "pgseal_jobs",
    ];
    let said = crate::support::pgseal::Pgseal::new(&arguments)
        .env("PGSEAL_PG_BIN", target.bin())
        .run();
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    let receipt = said.receipt();
    let left_out = receipt["left_out"].as_array().expect("a list");
    let of_extension = left_out.iter().find(|left| left["what"] == "what left-out extensions have");
    assert_eq!(
        of_extension.expect("one")["names"],
        json!(["jobs.job_id_seq", "jobs.schedule"]),
        "{receipt}"
    );
    let is_open = "select has_function_privilege('public', 'jobs.own()', 'execute')";
    assert_eq!(target.psql("back", is_open).trim(), "f");
}

/// Each of these failed the drill: by an access method's name in a setting or an index, by a name in a string, by a collation.
#[test]
fn what_names_a_missing_extension_without_a_call_fails_no_drill() {
    let folder = tempfile::tempdir().expect("a folder");
    let sql = "create extension pgseal_methods; create table heaped (i int, b text) using xheap; insert into heaped values (1, 'x');
        create materialized view kept using xheap as select 1 as a; create index of_method on heaped using xbl (i);
        comment on index of_method is 'x';
        create table doc (id int, b text, v tsvector generated always as (to_tsvector('public.xcfg', b)) stored,
            f text default ('public.xf(int)'::regprocedure)::text, o text default ('public.%%%(text,text)'::regoperator)::text);
        insert into doc (id, b) values (1, 'a b'); create index in_words on doc using gin (to_tsvector('public.xcfg', b));
        create table collated (b text collate public.xcoll not null default 'x', c text collate \"C\"); insert into collated default values;
        create domain word as text collate public.xcoll; create type pair as (a int, b text collate public.xcoll);
        create type span as range (subtype = text, collation = public.xcoll);
        create table typed (w word, p pair, s span); insert into typed values ('x', row(1, 'y'), '[a,b)');";
    let fixture = Fixture::on(server(folder.path()), sql, json!({}));
    let fetched = backup(&fixture, json!({}));
    let inventory = Fixture::offline(&["decrypt", &fetched, "--key", &fixture.key(), "--what", "inventory"]);
    for member in [
        r#"["access method","xheap"]"#,
        r#"["collation","public","xcoll"]"#,
        r#"["function","public","xf","integer"]"#,
        r#"["operator","public","%%%"]"#,
        r#"["operator class","public","xint_ops","xbl"]"#,
        r#"["operator family","public","xint_ops","xbl"]"#,
        r#"["text search configuration","public","xcfg"]"#,
        r#"["text search dictionary","public","xdict"]"#,
    ] {
        assert!(inventory.stdout.contains(member), "{member} in {}", inventory.stdout);
    }
    let said = drill(&fixture, None, &[]);
    let report = said.receipt();
    assert_eq!(
        (said.code, &report["outcome"]),
        (0, &json!("passed")),
        "{report:#}\n{}",
        said.stderr
    );
    let lost = report["not_restored"].as_array().expect("a list").iter();
    let mut lost: Vec<String> = lost.map(|lost| lost["what"].to_string().replace(['"', '\\'], "")).collect();
    lost.sort_unstable();
    let expected = [
        "ACCESS METHOD xheap",
        "COLLATE of DOMAIN public.word",
        "COLLATE of b of TABLE public.collated",
        "COLLATE of b of TYPE public.pair",
        "COLLATION of TYPE public.span",
        "DEFAULT of f of TABLE public.doc",
        "DEFAULT of o of TABLE public.doc",
        "EXTENSION pgseal_methods",
        "GENERATED of v of TABLE public.doc",
        "INDEX in_words ON public.doc",
        "INDEX of_method ON public.heaped",
    ];
    assert_eq!(lost, expected, "{report:#}");
    let tables = report["comparison"]["tables"].as_array().expect("tables");
    assert!(tables.len() == 5 && tables.iter().all(|table| table["equal"] == true), "{report:#}");
}

/// In another schema than its own, and what serves types of others without a name.
const SERVICES: &str = "create function public.xpub(int) returns int language sql immutable as 'select $1';
    create function public.overloaded(int) returns int language sql immutable as 'select $1';
    create function svc.span(int) returns interval language sql immutable as $f$ select make_interval(secs => $1) $f$;
    create cast (int as interval) with function svc.span(int) as assignment;
    create function svc.lt(json, json) returns bool language sql immutable as 'select $1::text < $2::text';
    create function svc.le(json, json) returns bool language sql immutable as 'select $1::text <= $2::text';
    create function svc.eq(json, json) returns bool language sql immutable as 'select $1::text = $2::text';
    create function svc.ge(json, json) returns bool language sql immutable as 'select $1::text >= $2::text';
    create function svc.gt(json, json) returns bool language sql immutable as 'select $1::text > $2::text';
    create function svc.cmp(json, json) returns int language sql immutable as 'select bttextcmp($1::text, $2::text)';
    create operator svc.< (leftarg = json, rightarg = json, function = svc.lt); create operator svc.<= (leftarg = json, rightarg = json, function = svc.le);
    create operator svc.= (leftarg = json, rightarg = json, function = svc.eq); create operator svc.>= (leftarg = json, rightarg = json, function = svc.ge);
    create operator svc.> (leftarg = json, rightarg = json, function = svc.gt);
    create operator class svc.json_ops default for type json using btree as operator 1 svc.<, operator 2 svc.<=, operator 3 svc.=,
        operator 4 svc.>=, operator 5 svc.>, function 1 svc.cmp(json, json);
    create type svc.own as enum ('a'); create cast (text as svc.own) with inout;";

/// Half of the extension alone: what the other one has would have everything tried.
const ELSEWHERE: &str = "create function public.xpub(int) returns int language sql immutable as 'select $1';
    create function public.overloaded(int) returns int language sql immutable as 'select $1';
    create type svc.own as enum ('a'); create cast (text as svc.own) with inout;";

/// Backs up, drills on a server without the extension, and gives what was not restored, and the inventory.
fn drilled(name: &str, script: &str, sql: &str) -> (Vec<String>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let (bin, extensions) = copied_installation(folder.path());
    let control = "default_version = '1'\nrelocatable = false\nschema = svc\n";
    std::fs::write(extensions.join(format!("{name}.control")), control).expect("written");
    std::fs::write(extensions.join(format!("{name}--1.sql")), script).expect("written");
    let sql = format!("create extension {name}; {sql}");
    let fixture = Fixture::on(Server::builder().installed_in(bin).start(), &sql, json!({}));
    let fetched = backup(&fixture, json!({}));
    let inventory = Fixture::offline(&["decrypt", &fetched, "--key", &fixture.key(), "--what", "inventory"]).stdout;
    let said = drill(&fixture, None, &[]);
    let report = said.receipt();
    assert_eq!(
        (said.code, &report["outcome"]),
        (0, &json!("passed")),
        "{report:#}\n{}",
        said.stderr
    );
    let tables = report["comparison"]["tables"].as_array().expect("tables");
    assert!(tables.iter().all(|table| table["equal"] == true), "{report:#}");
    let lost = report["not_restored"].as_array().expect("a list").iter();
    let mut lost: Vec<String> = lost.map(|lost| lost["what"].to_string().replace(['"', '\\'], "")).collect();
    lost.sort_unstable();
    (lost, inventory)
}

/// Names in a schema that was not the extension's own were taken for the dump's, and failed the drill.
#[test]
fn what_a_missing_extension_has_in_another_schema_fails_no_drill() {
    let sql = "create function public.overloaded(text) returns int language sql immutable as 'select 1';
        create table t (a int default public.xpub(1), check (public.xpub(a) > 0)); insert into t values (1);
        create index by_xpub on t (public.xpub(a)); create view v as select public.xpub(1) as x;
        create view o as select public.overloaded(1) as x, public.overloaded('x'::text) as y";
    let (lost, inventory) = drilled("pgseal_elsewhere", ELSEWHERE, sql);
    assert!(!inventory.contains(r#"["cast""#), "of its own type: {inventory}");
    let expected = [
        "CONSTRAINT t_a_check of TABLE public.t",
        "DEFAULT of a of TABLE public.t",
        "EXTENSION pgseal_elsewhere",
        "INDEX by_xpub ON public.t",
        "VIEW public.o",
        "VIEW public.v",
    ];
    assert_eq!(lost, expected);
}

/// Neither a cast nor a default operator class is named where it is used: each of these failed the drill.
#[test]
fn casts_and_default_classes_of_a_missing_extension_fail_no_drill() {
    let sql = "create table g (a int, b interval generated always as (a::interval) stored); insert into g values (1);
        create table c (a int check (a::interval > '0'), d interval default 5); insert into c values (1);
        create view cast_away as select a::interval as i from c; create view above as select * from cast_away;
        create table i (j json); insert into i values ('1'), ('2'); create index by_j on i (j);
        create table k (j json primary key); insert into k values ('1'), ('2');
        create view distinct_j as select distinct j from i;
        create table p (j json) partition by range (j); create table p1 partition of p for values from ('1') to ('3'); insert into p values ('2')";
    let (lost, inventory) = drilled("pgseal_services", SERVICES, sql);
    for member in [r#"["cast","integer","interval"]"#, r#"["default operator class","json","btree"]"#] {
        assert!(inventory.contains(member), "{member} in {inventory}");
    }
    let expected = [
        "CONSTRAINT c_a_check of TABLE public.c",
        "DEFAULT of d of TABLE public.c",
        "EXTENSION pgseal_services",
        "GENERATED of b of TABLE public.g",
        "INDEX by_j ON public.i",
        "TABLE ONLY public.k ADD CONSTRAINT k_pkey PRIMARY KEY",
        "TABLE public.p",
        "VIEW public.above",
        "VIEW public.cast_away",
        "VIEW public.distinct_j",
    ];
    assert_eq!(lost, expected);
}
