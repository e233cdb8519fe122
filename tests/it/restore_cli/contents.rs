//! Contents, not counts: a value that was changed in one row is found, and nothing else is told as changed.

use super::Fixture;
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::postgres::{Server, clients_path};
use serde_json::{Value, json};

/// Types whose text depends on settings, and forms of tables whose columns stand in another order.
const TYPES: &str = "create table moments (at timestamptz, long interval, day date, t timetz);
    insert into moments select now() + g * interval '37 hours', g * interval '1 day 1.5 seconds', date '1999-12-31' + g, '10:00:00+03' from generate_series(1, 300) g;
    create table numbers (r real, d double precision, n numeric, i bigint, b bytea, x xml, j jsonb, a int[], p point, ts tsvector);
    insert into numbers select g / 3.0, g / 7.0, g / 11.0, g, decode(md5(g::text), 'hex'), '<a>1</a>', '{\"k\": 1.50}', array[g, null],
      point(g / 3.0, 1), 'a b'::tsvector from generate_series(1, 300) g;
    insert into numbers (r, d) values ('nan', 'infinity'), (1e-40, 5e-324);
    create table parent (a int, b text); create table child (c int) inherits (parent);
    alter table child add column e text default 'e'; alter table parent add column d text default 'd';
    insert into parent values (1, 'x', 'y'); insert into child (a, b, c) values (2, E'tab\\tline\\nback\\\\', 3);
    create table made (a int, b int generated always as (a * 2) stored); insert into made (a) select g from generate_series(1, 100) g;
    create table nothing (); insert into nothing default values;
    create table gone (a int, b int, c int); insert into gone values (1, 2, 3); alter table gone drop column b;
    create table parts (k int, v text) partition by list (k); create table parts_1 partition of parts for values in (1);
    create table parts_2 (v text, k int); alter table parts attach partition parts_2 for values in (2); insert into parts values (1, 'a'), (2, 'b')";

fn restore(fixture: &Fixture, database: &str, more: &[&str]) -> CommandOutput {
    let (place, key, to) = (fixture.at_s3(), fixture.key(), fixture.server.conninfo(database));
    let arguments = ["restore", &place, "--key", &key, "--to", &to, "--create", "--compare"];
    Pgseal::new(&[&arguments, more].concat())
        .envs(fixture.bucket.env())
        .env("PGSEAL_PG_BIN", clients_path())
        .run()
}

fn contents(comparison: &Value) -> Vec<(&str, &str)> {
    let tables = comparison["tables"].as_array().expect("tables");
    tables
        .iter()
        .map(|table| (table["name"].as_str().expect("a name"), table["contents"].as_str().expect("a word")))
        .collect()
}

#[test]
fn whatever_was_restored_reads_back_equal_on_every_major() {
    for major in 10..=18 {
        let types = if major < 12 {
            TYPES.replace("b int generated always as (a * 2) stored", "b int")
        } else {
            TYPES.to_owned()
        };
        let sql = format!(
            "{types}; alter database app set timezone to 'Asia/Kathmandu'; alter database app set bytea_output to 'escape'; grant select on all tables in schema public to dumper"
        );
        let fixture = Fixture::on(Server::builder().major(major).start(), &sql, json!({}));
        let said = restore(&fixture, "back", &[]);
        assert_eq!(said.code, 0, "{major}: {}", said.stderr);
        let comparison = said.receipt()["comparison"].clone();
        let unequal: Vec<_> = contents(&comparison)
            .into_iter()
            .filter(|(_, contents)| *contents != "equal")
            .collect();
        assert!(
            unequal.is_empty() && contents(&comparison).len() >= 10,
            "{major}: {unequal:?} {comparison}"
        );
    }
}

/// A function of the dump itself changes a row when its materialized view is filled.
#[test]
fn a_value_that_is_changed_behind_the_restore_is_found_and_its_table_named() {
    let bump = "create function bump() returns int language sql volatile as
          $$ update public.plain set note = note || '!' where id = 77 returning 1 $$;
        create materialized view bumped as select public.bump()";
    let fixture = Fixture::with(bump, json!({}));
    let said = restore(&fixture, "back", &[]);
    said.failed("restore_failed", 7);
    let told = "the table public.plain has as many rows as it should, and other values in them";
    assert!(said.stdout.contains(told), "{}", said.stdout);
    let (place, key) = (fixture.at_s3(), fixture.key());
    let drilled = fixture.run(&[
        "drill",
        &place,
        "--key",
        &key,
        "--report",
        fixture.folder.path().to_str().expect("UTF-8"),
    ]);
    assert_eq!(drilled.code, 7, "{}", drilled.stderr);
    let report = drilled.receipt();
    let tables = report["comparison"]["tables"].as_array().expect("tables");
    let table = tables.iter().find(|table| table["name"] == "public.plain").expect("the table");
    assert!(
        table["contents"] == "differ" && table["expected_digest"] != table["found_digest"],
        "{table}"
    );
}

#[test]
fn a_drill_compares_each_tables_digest() {
    let fixture = Fixture::with(TYPES, json!({}));
    let reports = fixture.folder.path().join("reports");
    std::fs::create_dir(&reports).expect("a folder");
    let (place, key) = (fixture.at_s3(), fixture.key());
    let said = fixture.run(&["drill", &place, "--key", &key, "--report", reports.to_str().expect("UTF-8")]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let report = said.receipt();
    let comparison = &report["comparison"];
    for table in comparison["tables"].as_array().expect("tables") {
        assert!(
            table["contents"] == "equal" && table["expected_digest"] == table["found_digest"],
            "{table}"
        );
        assert_eq!(table["found_digest"].as_str().map(str::len), Some(32), "{table}");
    }
}
