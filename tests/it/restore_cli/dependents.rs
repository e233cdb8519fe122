//! Drills of honest databases in which something depends on what an ordinary role cannot restore.

use super::Fixture;
use super::drills::{backup, drill};
use serde_json::json;

const PLANTED: &str = include_str!("../fixtures/dependents.sql");

#[test]
fn what_depends_on_something_not_restored_goes_with_it_and_the_drill_passes() {
    let fixture = Fixture::new(json!({}));
    fixture.server.psql("app", PLANTED);
    backup(&fixture, json!({}));
    let said = drill(&fixture, None, &[]);
    let report = said.receipt();
    assert_eq!((said.code, &report["outcome"]), (0, &json!("passed")), "{report:#}");
    let lost = report["not_restored"].as_array().expect("a list").iter();
    let lost: Vec<String> = lost
        .map(|lost| format!("{}: {}", lost["what"], lost["reason"]).replace(['"', '\\'], ""))
        .collect();
    for (what, reason) in [
        ("CAST (integer AS text", "superusers"),
        ("FUNCTION dep.internal_abs", "superusers"),
        (
            "CONSTRAINT checked of TABLE dep.t",
            "SQLSTATE 42883 (a function or operator that is not there)",
        ),
        ("DEFAULT of b of TABLE dep.t", "SQLSTATE 42883"),
        ("VIEW dep.over_function", "SQLSTATE 42883"),
        ("VIEW dep.over_view", "SQLSTATE 42P01"),
        ("INDEX in_function", "SQLSTATE 42883"),
        ("INDEX in_class", "SQLSTATE 42704"),
        ("SERVER without_wrapper", "SQLSTATE 42704"),
        ("FOREIGN TABLE dep.of_wrapper", "SQLSTATE 42704"),
        ("VIEW dep.over_foreign", "SQLSTATE 42P01"),
        ("ALTER TABLE", ""),
        ("TEXT SEARCH DICTIONARY dep.words", "SQLSTATE 42704"),
        ("the rows of MATERIALIZED VIEW dep.files", "superusers"),
        ("the rows of MATERIALIZED VIEW dep.others", "another server"),
        ("POLICY p ON dep.t", "SQLSTATE 42883"),
    ] {
        let is_there = |line: &&String| line.starts_with(what) || (what == "ALTER TABLE" && line.contains("ATTACH PARTITION"));
        let found = lost.iter().find(is_there);
        assert!(found.is_some_and(|line| line.contains(reason)), "{what}: {reason} in {lost:#?}");
    }
}

/// Each schema of it once failed the drill, or cost it what depended on nothing.
#[test]
fn what_may_depend_on_something_not_restored_is_up_to_the_server() {
    let fixture = Fixture::new(json!({}));
    fixture.server.psql("app", include_str!("../fixtures/tried.sql"));
    backup(&fixture, json!({}));
    let said = drill(&fixture, None, &[]);
    let report = said.receipt();
    assert_eq!((said.code, &report["outcome"]), (0, &json!("passed")), "{report:#}");
    let lost = report["not_restored"].as_array().expect("a list").iter();
    let mut told: Vec<String> = lost.map(|lost| lost["what"].to_string().replace(['"', '\\'], "")).collect();
    told.sort_unstable();
    assert_eq!(told, TOLD, "{report:#}");
    // What is not told is there.
    let comparison = &report["comparison"];
    assert_eq!(comparison["indexes"], json!(5), "{report:#}");
    assert!(comparison["constraints"].as_u64().expect("a number") >= 7, "{report:#}");
    assert_eq!(report["warnings"], json!([]), "{report:#}");
}

const TOLD: &[&str] = &[
    "AGGREGATE cut_comma.mine(numeric)",
    "CAST (public.hstore AS integer)",
    "CONSTRAINT by_extension_i_check of TABLE public.by_extension",
    "CONSTRAINT by_refused_check of TABLE public.by_refused",
    "CONSTRAINT c of TABLE cut_comma.t",
    "CONSTRAINT c2 of TABLE cut_comma.typed",
    "CONSTRAINT pos of DOMAIN cut_comma.d",
    "CONSTRAINT t_check of TABLE computed.t",
    "CONSTRAINT t_g_check of TABLE computed.t",
    "CONSTRAINT whole_a_check of TABLE computed.part",
    "CONSTRAINT whole_a_check of TABLE computed.whole",
    "DEFAULT of a of TABLE computed.part",
    "DEFAULT of a of TABLE computed.whole",
    "DEFAULT of a of TABLE cut_comma.t",
    "DEFAULT of a of TABLE cut_comma.typed",
    "DEFAULT of i of TABLE public.by_member",
    "DEFAULT of j of TABLE public.by_extension",
    "EXTENSION far_away",
    "EXTENSION prefix",
    "FOREIGN TABLE orders.archive",
    "FUNCTION overloads.len(text)",
    "FUNCTION overloads.oi(integer, integer)",
    "FUNCTION own.lostf(integer)",
    "GENERATED of b of TABLE computed.part",
    "GENERATED of b of TABLE computed.whole",
    "GENERATED of g of TABLE computed.t",
    "INDEX in_default ON classes.t",
    "OPERATOR CLASS classes.backwards",
    "OPERATOR CLASS classes.json_ops",
    "OPERATOR FAMILY classes.backwards",
    "OPERATOR FAMILY classes.json_ops",
    "OPERATOR overloads.=== ( FUNCTION = overloads.oi, LEFTARG = integer, RIGHTARG = integer )",
    "SUBTYPE_OPCLASS of TYPE classes.back_range",
    "TABLE ONLY computed.t ADD CONSTRAINT t_pkey PRIMARY KEY",
    "TABLE ONLY computed.u ADD CONSTRAINT u_x_fkey FOREIGN KEY",
    "TABLE ONLY public.to_added ADD CONSTRAINT to_added_i_fkey FOREIGN KEY",
    "TABLE computed.by_lost",
    "TABLE name_collision.t ADD CONSTRAINT positive CHECK",
    "UNIQUE INDEX in_g ON computed.t",
    "USER MAPPING FOR pg_monitor SERVER far",
    "USER MAPPING FOR postgres SERVER far",
    "VIEW cut_comma.of_aggregate",
    "VIEW overloads.gone",
    "VIEW public.by_cast",
    "VIEW public.by_literal",
    "VIEW public.by_operator",
    "the rows of MATERIALIZED VIEW far.by_link",
    "the rows of MATERIALIZED VIEW far.over_child",
    "the rows of MATERIALIZED VIEW far.over_partition",
    "the rows of MATERIALIZED VIEW far.over_view",
    "the rows of MATERIALIZED VIEW far.refused",
];

/// What uses one by a column's type names neither it nor its types: each of these failed the drill.
#[test]
fn a_cast_that_nobody_names_is_missed_by_whatever_the_server_says() {
    let fixture = Fixture::new(json!({}));
    fixture.server.psql(
        "app",
        "create function b2i(boolean) returns smallint immutable language sql as 'select case when $1 then 1::smallint else 0::smallint end';
         create cast (boolean as smallint) with function b2i(boolean) as assignment;
         create table by_default (id int, s smallint default true); insert into by_default values (2, true);
         create function i2b(smallint) returns boolean immutable language sql as 'select $1 <> 0';
         create cast (smallint as boolean) with function i2b(smallint) as implicit;
         create table by_check (active smallint, check (active)); insert into by_check values (1);
         create cast (text as json) with inout as implicit;
         create table by_column (t text, g json generated always as (t::text) stored); insert into by_column values ('1')",
    );
    backup(&fixture, json!({}));
    let said = drill(&fixture, None, &[]);
    let report = said.receipt();
    assert_eq!((said.code, &report["outcome"]), (0, &json!("passed")), "{report:#}");
}

/// A class that serves rows and arrays is looked up when they are compared, in lines of the server's own: of the processes that
/// build a large index, of the check of a foreign key, and of a view that was made without it.
#[test]
fn a_class_that_nobody_names_is_missed_when_rows_and_arrays_are_compared() {
    const CLASS: &str = "create function json_cmp(json, json) returns int immutable language sql as 'select bttextcmp($1::text, $2::text)';
         create function json_lt(json, json) returns bool immutable language sql as 'select $1::text < $2::text';
         create function json_eq(json, json) returns bool immutable language sql as 'select $1::text = $2::text';
         create function json_gt(json, json) returns bool immutable language sql as 'select $1::text > $2::text';
         create function json_le(json, json) returns bool immutable language sql as 'select $1::text <= $2::text';
         create function json_ge(json, json) returns bool immutable language sql as 'select $1::text >= $2::text';
         create operator < (leftarg = json, rightarg = json, function = json_lt);
         create operator <= (leftarg = json, rightarg = json, function = json_le);
         create operator = (leftarg = json, rightarg = json, function = json_eq);
         create operator >= (leftarg = json, rightarg = json, function = json_ge);
         create operator > (leftarg = json, rightarg = json, function = json_gt);
         create operator class json_ops default for type json using btree as
             operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >, function 1 json_cmp(json, json);";
    for sql in [
        "create table big (ja json[]); insert into big select array[to_json(i)] from generate_series(1, 1000) i;
         alter table big set (parallel_workers = 2); create index by_array on big (ja)",
        "create table parent (ja json[] primary key); insert into parent values (array['1'::json]);
         create table child (ja json[] references parent); insert into child values (array['1'::json])",
        "create table a (id int, j json[]); insert into a values (1, array['1'::json]);
         create materialized view differ as select x.id from a x join a y on x.id = y.id where x.* is distinct from y.*",
    ] {
        let fixture = Fixture::new(json!({}));
        fixture.server.psql("app", &format!("{CLASS} {sql}"));
        backup(&fixture, json!({}));
        let said = drill(&fixture, None, &[]);
        let report = said.receipt();
        assert_eq!((said.code, &report["outcome"]), (0, &json!("passed")), "{sql}: {report:#}");
    }
}

/// Each restore was equal, and each drill failed: a drill has one role, which has no login at other servers, and leaves views of
/// theirs unfilled that others read in functions.
#[test]
fn what_only_a_drill_does_not_fill_fails_no_drill() {
    for sql in [
        "create extension dblink; create server far foreign data wrapper dblink_fdw options (host '/nowhere');
         create user mapping for postgres server far; create table t (n int);
         create function far_rows() returns bigint language plpgsql as $f$ begin
           if current_user = 'postgres' then return 1; end if;
           return (select n from public.dblink('far', 'select 1') as x (n bigint)); end $f$;
         create materialized view by_link as select far_rows() n",
        "create materialized view passwords as select count(*) c from pg_authid;
         create function of_passwords() returns bigint stable language sql as 'select c from public.passwords';
         create materialized view z as select of_passwords() c",
        // The caller comes before what it calls.
        "create function zz_lost(text) returns int immutable language internal as 'textlen';
         create function norm(text) returns int immutable language plpgsql as 'begin return public.zz_lost($1); end';
         create table t (x text); insert into t values ('a'); create index i on t (norm(x))",
        // The same beside a cast, by way of a view whose name ends a body.
        "create type lvl as enum ('low'); create function lvl_int(lvl) returns int immutable language sql as 'select 1';
         create cast (lvl as int) with function lvl_int(lvl);
         create function zz_lost(text) returns int immutable language internal as 'textlen';
         create table t (x text); insert into t values ('a'); create view v as select zz_lost(x) l from t;
         create function all_rows() returns setof int stable language sql as 'select l from public.v';
         create materialized view daily as select count(*) c from all_rows()",
    ] {
        let fixture = Fixture::new(json!({}));
        fixture.server.psql("app", sql);
        backup(&fixture, json!({}));
        let said = drill(&fixture, None, &[]);
        let report = said.receipt();
        assert_eq!((said.code, &report["outcome"]), (0, &json!("passed")), "{sql}: {report:#}");
    }
}

/// One cast in a dump, and whatever failed for other reasons passed the drill, while restores stopped there.
#[test]
fn what_fails_in_code_that_runs_fails_the_drill_as_it_fails_a_restore() {
    const CAST: &str = "create type mood as enum ('ok', 'sad'); create cast (varchar as mood) with inout as implicit;
         create function b2i(boolean) returns smallint immutable language sql as 'select 1::smallint';
         create cast (boolean as smallint) with function b2i(boolean) as assignment;";
    for sql in [
        // A function that finds another by a search path that no restore has.
        "create table customer (id int primary key, email text not null); insert into customer values (1, 'A');
         create function helper(text) returns text immutable language sql as 'select lower($1)';
         create function norm(text) returns text immutable language plpgsql as 'begin return helper($1); end';
         create unique index by_email on customer (norm(email))",
        "create function rate() returns numeric immutable language sql as 'select 0.19';
         create function tax() returns numeric immutable language plpgsql as 'begin return rate(); end';
         create table price (net numeric, gross numeric generated always as (net * (1 + tax())) stored); insert into price values (1)",
        // A view that hides another in a function: pg_dump does not know which to fill first.
        "create table sales (v int); insert into sales values (1);
         create materialized view totals as select sum(v) s from sales;
         create function total() returns bigint stable language sql as 'select sum(s)::bigint from public.totals';
         create materialized view dash as select total() t",
        // Such a function becomes a part of the query.
        "create table sales (v int); insert into sales values (1);
         create materialized view totals as select v s from sales;
         create function many() returns setof int stable language sql as 'select s from public.totals';
         create materialized view dash as select * from many()",
        // A cast of a type that is everywhere.
        "create cast (text as mood) with inout as assignment;
         create table customer (id int primary key, email text not null); insert into customer values (1, 'A');
         create function helper(text) returns text immutable language sql as 'select lower($1)';
         create function norm(text) returns text immutable language plpgsql as 'begin return helper($1); end';
         create unique index by_email on customer (norm(email))",
        // Code that looks like ours, and says what a missing server says.
        "create function boom() returns int language plpgsql as $f$ begin if current_setting('search_path') <> '\"$user\", public' then
             execute 'do $d$ begin raise object_not_in_prerequisite_state; end $d$'; end if; return 1; end $f$;
         create table s (v int); insert into s values (1); create materialized view mv as select v, boom() from s",
        "create function far() returns int language plpgsql as $f$ begin if current_setting('search_path') <> '\"$user\", public' then
             raise fdw_error; end if; return 1; end $f$;
         create table s (v int); insert into s values (1); create materialized view mv as select v, far() from s",
        // What any function says that ends without an answer; the extension beside it asks nobody.
        "create extension pgcrypto; create table orders (status text); insert into orders values ('paid');
         create function label(s text) returns text language plpgsql stable as $f$ begin if s = 'paid' then return 'done'; end if; end $f$;
         create materialized view report as select label(status) from orders; insert into orders values ('cancelled')",
        // What was not filled for want of a server is not what this one lacks.
        "create extension postgres_fdw; create server far foreign data wrapper postgres_fdw; create user mapping for public server far;
         create foreign table aaa (n int) server far; create table t (a int); insert into t values (1);
         create materialized view a_far as select count(*) c from aaa with no data;
         create materialized view z_base as select sum(a) s from t;
         create function base_sum() returns bigint language sql stable as 'select s from public.z_base';
         create materialized view b_report as select base_sum() as s;
         update pg_class set relispopulated = true where relname = 'a_far'",
        // Nobody asks that server.
        "create extension postgres_fdw; create server far foreign data wrapper postgres_fdw; create table t (a text);
         create function tenant() returns text language sql stable as $f$ select current_setting('app.tenant') $f$;
         set app.tenant = 'x'; create materialized view m as select * from t where a = tenant()",
        // A name in the rows.
        "create table tabs (n text); insert into tabs values ('tabs');
         create materialized view m as select n, n::regclass::oid::int as i from tabs",
    ] {
        let fixture = Fixture::new(json!({}));
        fixture.server.psql("app", &format!("{CAST} {sql}"));
        backup(&fixture, json!({}));
        let said = drill(&fixture, None, &[]);
        let report = said.receipt();
        assert_eq!((said.code, &report["outcome"]), (7, &json!("failed")), "{sql}: {report:#}");
    }
}

/// A body is text to a dump: that the function calls one that is not there comes out when the rows go in.
#[test]
fn a_failed_drill_tells_what_was_not_restored() {
    let fixture = Fixture::new(json!({}));
    fixture.server.psql(
        "app",
        "CREATE FUNCTION public.within(integer) RETURNS integer LANGUAGE internal IMMUTABLE AS 'int4abs';
        CREATE FUNCTION public.calls(n integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN public.within(n) > 0; END $$;
        CREATE TABLE public.checked (n integer CHECK (public.calls(n)));
        INSERT INTO public.checked VALUES (1);",
    );
    backup(&fixture, json!({}));
    let said = drill(&fixture, None, &[]);
    let report = said.receipt();
    assert_eq!((said.code, &report["outcome"]), (7, &json!("failed")), "{report:#}");
    assert_eq!(
        report["not_restored"][0]["what"],
        json!("FUNCTION public.within(integer)"),
        "{report:#}"
    );
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(
        message.contains("it may need what was left out before: FUNCTION public.within(integer)"),
        "{message}"
    );
}

/// A server quotes the rows that it refuses, and the code of a backup says what it likes: both stood in reports, which may be
/// left in a bucket.
#[test]
fn no_row_is_in_the_report_of_a_drill() {
    for (sql, told, rows) in [
        (
            "CREATE FUNCTION public.ok(s text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
             CREATE TABLE public.people (name text CHECK (public.ok(name)));
             INSERT INTO public.people VALUES ('Margaret 078-05-1120');
             CREATE OR REPLACE FUNCTION public.ok(s text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';",
            "SQLSTATE 23514",
            "those of public.people come first",
        ),
        (
            "CREATE FUNCTION public.number(s text) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
             CREATE TABLE public.people (name text); INSERT INTO public.people VALUES ('Margaret 078-05-1120');
             CREATE INDEX ON public.people (public.number(name));
             CREATE OR REPLACE FUNCTION public.number(s text) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT s::integer';",
            "SQLSTATE 22P02",
            "the rows of its tables are all there",
        ),
        (
            "CREATE FUNCTION public.says(s text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN true; END $$;
             CREATE TABLE public.people (name text CHECK (public.says(name)));
             INSERT INTO public.people VALUES ('Margaret 078-05-1120');
             CREATE OR REPLACE FUNCTION public.says(s text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
             $$ BEGIN RAISE WARNING '%', s; RAISE EXCEPTION USING ERRCODE = '42P01', MESSAGE = s; END $$;",
            "SQLSTATE 42P01",
            "those of public.people come first",
        ),
        (
            "CREATE ROLE \"Margaret 078-05-1120\"; CREATE TABLE public.people (name regrole);
             INSERT INTO public.people VALUES ('\"Margaret 078-05-1120\"');",
            "SQLSTATE 42704",
            "those of public.people come first",
        ),
    ] {
        let fixture = Fixture::new(json!({}));
        fixture.server.psql("app", sql);
        backup(&fixture, json!({}));
        let said = drill(&fixture, None, &[]);
        let report = said.receipt();
        assert_eq!((said.code, &report["outcome"]), (7, &json!("failed")), "{report:#}");
        let message = report["error"]["message"].as_str().expect("a message");
        assert!(message.contains(told) && message.contains(rows), "{message}");
        for output in [&said.stdout, &said.stderr] {
            assert!(!output.contains("078-05") && !output.contains("Margaret"), "{output}");
        }
    }
}
