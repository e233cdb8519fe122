//! One table, or one schema, back into a database: `restore --table` and `--schema`.

use super::Fixture;
use crate::support::postgres::Server;
use serde_json::{Value, json};

const OBJECTS: &str = "create schema shop; create schema \"Other one\"; create type shop.state as enum ('new', 'paid');
    create function public.touched() returns trigger language plpgsql as $$ begin new.note := 'touched'; return new; end $$;
    create table public.customers (id serial primary key, name text not null unique);
    insert into public.customers (name) select 'customer ' || g from generate_series(1, 50) g;
    create table shop.orders (id bigint generated always as identity primary key, customer int references public.customers,
      state shop.state default 'new', note text, check (id > 0)) ;
    insert into shop.orders (customer, note) select g % 50 + 1, 'note ' || g from generate_series(1, 3000) g;
    create index orders_by_note on shop.orders (lower(note)); create statistics shop.together on customer, state from shop.orders;
    create trigger on_change before update on shop.orders for each row execute function public.touched();
    comment on table shop.orders is 'all orders'; comment on column shop.orders.note is 'free'; comment on index shop.orders_by_note is 'by note';
    create table shop.events (at date not null, what text) partition by range (at);
    create table shop.events_2025 partition of shop.events for values from ('2025-01-01') to ('2026-01-01');
    create table shop.events_2026 partition of shop.events for values from ('2026-01-01') to ('2027-01-01');
    create index events_at on shop.events (at); insert into shop.events select '2025-06-01'::date + g, 'x' || g from generate_series(1, 500) g;
    create view shop.paid as select * from shop.orders where state = 'paid';
    create materialized view \"Other one\".counts as select state, count(*) from shop.orders group by 1;
    create table \"Other one\".\"Odd; table\" (\"a b\" int primary key); insert into \"Other one\".\"Odd; table\" values (1);
    create sequence public.shared; create table public.uses (i int default nextval('public.shared')); insert into public.uses values (7);
    select lo_create(4711); grant select on large object 4711 to dumper";

/// All that a database says of a table, in one text.
fn described(server: &Server, database: &str, table: &str) -> String {
    let columns = format!(
        "select attname, format_type(atttypid, atttypmod), attnotnull, attidentity, pg_get_expr(adbin, adrelid), col_description(attrelid, attnum)
         from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
         where attrelid = '{table}'::regclass and attnum > 0 order by attnum"
    );
    let more = [
        format!(
            "select pg_get_indexdef(indexrelid), obj_description(indexrelid) from pg_index where indrelid = '{table}'::regclass order by 1"
        ),
        format!("select conname, pg_get_constraintdef(oid) from pg_constraint where conrelid = '{table}'::regclass order by 1"),
        format!("select pg_get_triggerdef(oid) from pg_trigger where tgrelid = '{table}'::regclass and not tgisinternal order by 1"),
        format!("select obj_description('{table}'::regclass)"),
        format!("select * from {table} order by 1"),
        format!("select pg_get_statisticsobjdef(oid) from pg_statistic_ext where stxrelid = '{table}'::regclass"),
    ];
    more.iter().fold(server.psql(database, &columns), |text, sql| {
        text + "\n--\n" + &server.psql(database, sql)
    })
}

fn restored(fixture: &Fixture, database: &str, more: &[&str]) -> Value {
    let (place, key) = (fixture.at_s3(), fixture.key());
    let to = fixture.server.conninfo(database);
    let said = fixture.run(&[&["restore", &place, "--key", &key, "--to", &to], more].concat());
    assert_eq!(said.code, 0, "{more:?}: {}", said.stderr);
    said.receipt()
}

fn warned(restored: &Value, words: &str) -> bool {
    restored["warnings"].to_string().contains(words)
}

#[test]
fn a_table_comes_back_with_all_that_belongs_to_it() {
    let fixture = Fixture::with(OBJECTS, json!({}));
    let server = &fixture.server;
    let of_source = |table: &str| described(server, "app", table);
    // Into a new database: what it refers to is not there, and is told.
    server.psql("postgres", "create database alone; create database back");
    server.psql("alone", "create schema shop; create type shop.state as enum ('new', 'paid')");
    let alone = restored(&fixture, "alone", &["--table", "shop.orders", "--single-transaction"]);
    assert!(
        warned(&alone, "CONSTRAINT") && warned(&alone, "public.customers") && warned(&alone, "touched"),
        "{alone}"
    );
    assert_eq!(
        (&alone["rows"], &alone["tables"], &alone["partial"]),
        (&json!(3000), &json!(1), &json!(true))
    );
    assert_eq!(
        server.psql("alone", "select count(*) from pg_class where relnamespace = 'public'::regnamespace"),
        "0"
    );
    assert_eq!(
        server.psql("alone", "insert into shop.orders (note) values ('next') returning id"),
        "3001"
    );

    // Back into the database that lost it.
    server.psql(
        "app",
        "create table kept as select * from shop.orders; drop table shop.orders cascade",
    );
    let before = described(server, "app", "public.customers");
    let back = restored(&fixture, "app", &["--table", "orders"]);
    assert!(!warned(&back, "not restored"), "{back}");
    server.psql("postgres", "create database whole");
    restored(&fixture, "whole", &[]);
    assert_eq!(of_source("shop.orders"), described(server, "whole", "shop.orders"));
    assert_eq!(described(server, "app", "public.customers"), before);
    assert_eq!(
        server.psql("app", "select count(*) from (table shop.orders except table kept) x"),
        "0"
    );

    // Partitions come with their table, in quotes or not, several at once. A sequence that others use, too, must be there.
    let (place, key, to) = (fixture.at_s3(), fixture.key(), server.conninfo("back"));
    let without = fixture.run(&[
        "restore",
        &place,
        "--key",
        &key,
        "--to",
        &to,
        "--table",
        "uses",
        "--single-transaction",
    ]);
    without.failed("restore_failed", 7);
    assert!(
        without.stdout.contains("public.shared") && without.stdout.contains("make it in the target first"),
        "{}",
        without.stdout
    );
    server.psql("back", "create sequence public.shared");
    let several = [
        "--table",
        "shop.events",
        "--table",
        "\"Other one\".\"Odd; table\"",
        "--table",
        "uses",
    ];
    let back = restored(&fixture, "back", &several);
    assert_eq!(back["tables"], 4, "{back}");
    for table in [
        "shop.events",
        "shop.events_2025",
        "shop.events_2026",
        "\"Other one\".\"Odd; table\"",
    ] {
        assert_eq!(of_source(table), described(server, "back", table), "{table}");
    }
    assert_eq!(
        server.psql(
            "back",
            "select inhparent::regclass from pg_inherits where inhrelid = 'shop.events_2026'::regclass"
        ),
        "shop.events"
    );
    // What is there already stays as it is.
    let again = fixture.run(&["restore", &place, "--key", &key, "--to", &to, "--table", "shop.events_2025"]);
    again.failed("restore_failed", 7);
    assert_eq!(server.psql("back", "select count(*) from shop.events"), "500");
}

#[test]
fn a_schema_comes_back_with_all_that_is_in_it() {
    let fixture = Fixture::with(OBJECTS, json!({"compression": "zstd"}));
    let server = &fixture.server;
    server.psql("postgres", "create database one");
    let one = restored(&fixture, "one", &["--schema", "shop"]);
    assert!(warned(&one, "public.customers"), "{one}");
    for table in ["shop.events", "shop.events_2025"] {
        assert_eq!(described(server, "app", table), described(server, "one", table), "{table}");
    }
    let relations = "select string_agg(relname, ' ' order by relname) from pg_class c where relnamespace = 'shop'::regnamespace";
    assert_eq!(server.psql("one", relations), server.psql("app", relations));
    let others = "select count(*) from pg_class where relnamespace = 'public'::regnamespace or relname = 'counts'";
    assert_eq!(server.psql("one", others), "0");
    let created = restored(&fixture, "two", &["--schema", "\"Other one\"", "--schema", "shop", "--create"]);
    assert_eq!(created["tables"], 4, "{created}");
    assert_eq!(server.psql("two", "select count from \"Other one\".counts"), "3000");
}

#[test]
fn a_part_that_there_is_not_is_refused_before_anything_is_made() {
    let fixture = Fixture::with(OBJECTS, json!({}));
    let (place, key, to) = (fixture.at_s3(), fixture.key(), fixture.server.conninfo("fresh"));
    for (more, words) in [
        (["--table", "shop.order"], "shop.orders"),
        (["--table", "nothing"], "nothing"),
        (["--table", "a.b.c"], "no name of a table"),
        (["--schema", "sho"], "It has"),
    ] {
        let said = fixture.run(&[&["restore", &place, "--key", &key, "--to", &to, "--create"][..], &more].concat());
        said.failed("bad_usage", 2);
        assert!(said.stdout.contains(words), "{more:?}: {}", said.stdout);
    }
    assert_eq!(
        fixture
            .server
            .psql("postgres", "select count(*) from pg_database where datname = 'fresh'"),
        "0"
    );
}
