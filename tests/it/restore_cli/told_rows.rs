//! A drill's report may lie where others read it: an owner of one table of the source must not have it tell the rows of others.

use super::Fixture;
use super::drills::{backup, drill};
use serde_json::json;

/// Of a table that the owner may not read.
const SECRET: &str = "create table patients (id int primary key, ssn text, num int);
    insert into patients values (1, '078-05-1120 John Smith', 78051120), (2, '219-09-9999 Jane Doe', 219099999);
    create role mallory; grant create, usage on schema public to mallory; set role mallory;";
/// What may be of it, in any spelling; too long to stand in a hash by chance.
const TRACES: &[&str] = &[
    "078-05",
    "5-1120",
    "78051120",
    "219-09",
    "9-9999",
    "219099999",
    "John",
    "JOHN",
    "Smith",
    "07805",
    "OHNSM",
];

/// Keeps the line that a statement of before the rows may say.
const KEEPS: &str = "create function keep(int) returns bool immutable language plpgsql as
        $k$ begin perform set_config('mallory.kept', current_query(), false); return true; end $k$;
    create domain kept as int check (public.keep(value)); create type keeps as (k public.kept);
    create view v as select '(1)'::public.keeps as k, 'pg_read_file'::text as t; create table runs (i int check (f(i) > 0))";

/// What runs in the drill alone, and the table whose rows run it.
const PLANTED: &[(&str, &str, &str)] = &[
    (
        "a constraint of that name",
        "for s in select ssn from public.patients loop execute format('alter table public.own add constraint %I check (true) not valid', s); \
         end loop; return 1;",
        "create table own (i int); create table runs (i int check (f(i) > 0))",
    ),
    (
        "a table of that name",
        "for s in select ssn from public.patients loop execute format('create table public.%I ()', s); end loop; return 1;",
        "create table runs (i int check (f(i) > 0))",
    ),
    (
        "a broken index of a table of that name",
        "select ssn into s from public.patients limit 1; execute format('create table public.%I (i int, primary key (i))', s); return 1;",
        "create table runs (i int check (f(i) > 0))",
    ),
    (
        "a number that a function of PostgreSQL refuses",
        "return (select num from public.patients limit 1);",
        "create table runs (i int check (chr(f(i)) <> ''))",
    ),
    (
        "a sequence of that name in an error of PostgreSQL",
        "select ssn into s from public.patients limit 1; execute format('create sequence public.%I', s);
         return format('public.%I', s)::regclass::oid::bigint;",
        "create table runs (i int check (currval(f(i)::oid::regclass) > 0))",
    ),
    (
        "a sequence that is bound to a table of that name when owners are set",
        "select ssn into s from public.patients limit 1; execute format('create table public.%I (c int)', s);
         execute format('alter sequence public.own owned by public.%I.c', s); return 1;",
        "create sequence own; create table runs (i int check (f(i) > 0))",
    ),
    (
        "codes of five letters",
        "select upper(regexp_replace(string_agg(ssn, '' order by id), '[^0-9A-Za-z]', '', 'g')) into s from public.patients;
         for k in 0..7 loop raise warning using errcode = rpad(substr(s, 1 + 5 * k, 5), 5, '0'), message = 'x'; end loop; return 1;",
        "create table runs (i int check (f(i) > 0))",
    ),
    (
        "a line as psql writes it",
        "select string_agg(ssn, ' / ') into s from public.patients;
         raise warning 'x%', E'\\npsql:<stdin>:9: ' || s || ' ERROR:  42P01: y'; return 1;",
        "create table runs (i int check (f(i) > 0))",
    ),
    (
        "the reason of its own statement",
        "select string_agg(ssn, ' / ') into s from public.patients;
         raise warning '% It says: %', substring(current_query() from 'pgseal tried [0-9a-f]+ tr?[0-9a-f]+ [0-9a-f]+'), s; return 1;",
        "create table runs (i int); create materialized view own as select f(1) as a",
    ),
    (
        "the reason of a statement of before the rows, whose line was kept",
        "select string_agg(ssn, ' / ') into s from public.patients;
         raise warning '% %', substring(current_setting('mallory.kept') from 'pgseal tried [0-9a-f]+ [a-z]+[0-9a-f]+ [0-9a-f]+'), s;
         return 1;",
        KEEPS,
    ),
    (
        "a line between two that are taken out",
        "select substring(current_setting('mallory.kept') from 'pgseal tried [0-9a-f]+ [a-z]+[0-9a-f]+ [0-9a-f]+') || E'\\npsql:'
             || string_agg(ssn, ' / ') || E'\\npsql:<stdin>:1: ERROR:  42P01: ' || string_agg(ssn, ' / ') || E'\\n'
             || substring(current_setting('mallory.kept') from 'pgseal tried [0-9a-f]+ [a-z]+[0-9a-f]+ [0-9a-f]+') into s
         from public.patients;
         raise warning '%', s; return 1;",
        KEEPS,
    ),
    (
        "a notification among the counts",
        "if (select count(*) from public.patients) < 2 then return 1; end if;
         execute 'listen x'; select string_agg(ascii(substr(ssn, k, 1))::text, '') into s from public.patients, generate_series(1, 5) k;
         perform pg_notify('x', E'\\n78051120\\n' || s); return 1;",
        "create function w(int) returns int immutable language plpgsql as $k$ begin return f(1)::int; end $k$;
         reset role; create table runs (i int); create index on runs ((i + public.w(1)))",
    ),
    (
        "the context of a COPY",
        "return 1;",
        "reset role; alter table patients add check (case when current_database() = 'drill'
             then (E'x\\nCONTEXT:  COPY ' || ssn || ': y')::int > 0 else true end); create table runs (i int)",
    ),
    (
        "settings of its sessions",
        "execute 'alter database drill set role = ''mallory'''; execute 'alter database drill set default_transaction_read_only = on';
         execute 'alter database drill connection limit 0'; return 1;",
        "create table runs (i int check (f(i) > 0))",
    ),
];

#[test]
fn no_code_of_a_backup_has_a_report_tell_rows() {
    let mut wrong = Vec::new();
    for (what, code, tables) in PLANTED {
        let fixture = Fixture::new(json!({}));
        let body = format!(
            "declare s text; begin if current_database() <> 'drill' then return null; end if; perform set_config('search_path', 'public', true);
             {code} end"
        );
        let function = format!("create function f(int) returns bigint language plpgsql as $$ {body} $$");
        let function = function.replace(
            "returns bigint",
            if code.contains("num from") {
                "returns int"
            } else {
                "returns bigint"
            },
        );
        let tables = tables.replace("f(i)", "public.f(i)").replace("f(1)", "public.f(1)");
        fixture
            .server
            .psql("app", &format!("{SECRET} {function}; {tables}; insert into runs values (1)"));
        backup(&fixture, json!({}));
        let said = drill(&fixture, None, &[]);
        let report = said.receipt();
        let told = format!("{report:#} {}", said.stderr);
        // What a report is about, and when it was made.
        let told: String = told
            .lines()
            .filter(|line| !line.contains("sha256") && !line.contains("_at\""))
            .collect();
        wrong.extend(
            TRACES
                .iter()
                .filter(|trace| told.contains(**trace))
                .map(|trace| format!("{what}: {trace}: {told}")),
        );
        let may_fail = code.starts_with("return ") || code.contains("create sequence") || code.contains("pg_notify");
        if !may_fail && report["outcome"] != "passed" {
            wrong.push(format!("{what}: not passed: {told}"));
        }
        // Owners were set all the same.
        if report.to_string().contains("must be owner") || report.to_string().contains("read-only") {
            wrong.push(format!("{what}: {told}"));
        }
    }
    assert_eq!(wrong, [""; 0], "{}", wrong.join("\n"));
}

/// No word of the server is passed on, and still it is known which table it was: the first one whose rows are not there.
#[test]
fn a_failed_drill_names_the_table_whose_rows_did_not_go_in() {
    let fixture = Fixture::new(json!({}));
    // Code that has the server speak of another table.
    let body = "begin if current_database() <> 'drill' then return true; end if;
        raise warning 'x%', E'\\npsql:<stdin>:1: ERROR:  22P02: x\\nCONTEXT:  COPY customers, line 1'; return false; end";
    let sql = format!(
        "create function own(int) returns bool language plpgsql as $$ {body} $$;
         create table customers (i int); insert into customers values (1), (2);
         create table orders (i int check (public.own(i))); insert into orders values (1);
         create table zones (i int); insert into zones values (1)"
    );
    fixture.server.psql("app", &sql);
    backup(&fixture, json!({}));
    let said = drill(&fixture, None, &[]);
    let report = said.receipt();
    assert_eq!((said.code, &report["outcome"]), (7, &json!("failed")), "{report:#}");
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(message.contains("the rows of public.orders are not all there"), "{message}");
    assert!(!message.contains("customers") && !message.contains("zones"), "{message}");
}
