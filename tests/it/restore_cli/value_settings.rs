//! Rows come back under the settings that they were checked under.

use super::before_rows::into;
use super::drills::{backup, drill};
use super::recipients::follow;
use super::{Fixture, text};
use crate::support::postgres::Server;
use serde_json::json;

/// Settings of a database come behind its rows: `CHECK` read them otherwise than the source had, and honest drills and
/// restores failed.
#[test]
fn checks_read_values_as_they_did_in_the_source() {
    let fixture = Fixture::new(json!({}));
    fixture.server.psql(
        "app",
        r#"alter database app set datestyle = 'SQL, DMY'; alter database app set timezone = 'Asia/Tokyo';
           alter database app set bytea_output = 'escape'; alter database app set lc_monetary = 'C';
           alter database app set extra_float_digits = -10; alter database app set "app.region" = 'eu''s \ own';
           alter database app set default_transaction_read_only = off; alter database app set role = none;"#,
    );
    fixture.server.psql(
        "app",
        r#"create table public.days (day text check (day::date < '2027-01-01'::date));
           insert into days values ('25/12/2026');
           create table public.styles (day date check (day::text like '%/%'));
           insert into styles values ('25/12/2026');
           create table public.moments (at timestamptz check (extract(hour from at) = 9));
           insert into moments values ('2026-01-01 09:00:00');
           create table public.bytes (b bytea check (b::text = 'a\000'));
           insert into bytes values ('a\000');
           create table public.numbers (n float8 check (n::text = '0.3'));
           insert into numbers values (0.1::float8 + 0.2::float8);
           create table public.places (region text check (region = current_setting('app.region')));
           insert into places values (current_setting('app.region'));
           create table public.spans (i interval check (i < '1 day'));
           insert into spans values ('-1 day -02:00:00'), ('-1 day +02:00:00')"#,
    );
    let place = backup(&fixture, json!({}));
    let said = drill(&fixture, None, &[]);
    let report = said.receipt();
    assert_eq!((said.code, &report["outcome"]), (0, &json!("passed")), "{report:#}");

    let key = fixture.key();
    let arguments = ["restore", &place, "--key", &key, "--to", "dbname=copy", "--create"];
    let made = into(&fixture, fixture.server.bin(), &arguments);
    assert_eq!(made.code, 0, "{}", made.stderr);
    for table in ["days", "styles", "moments", "bytes", "numbers", "places", "spans"] {
        let rows = format!("select string_agg(t::text, ',' order by t) from {table} t");
        assert_eq!(fixture.server.psql("copy", &rows), fixture.server.psql("app", &rows), "{table}");
    }
}

/// By stock tools a CHECK ended the restore, or a day and a month changed places without a word.
#[test]
fn the_recovery_instructions_set_them_before_the_rows() {
    let fixture = Fixture::with(
        r#"alter database app set datestyle = 'ISO, DMY'; set datestyle = 'ISO, DMY';
           alter database app set "app.region" = 'eu''s \ own'; set "app.region" = 'eu''s \ own';
           create table days (day text check (day::date < '2027-01-01'::date));
           insert into days values ('25/12/2026'), ('05/06/2026');
           create materialized view parsed as select day::date as day from days;
           create table places (region text check (region = current_setting('app.region')));
           insert into places values (current_setting('app.region'))"#,
        json!({}),
    );
    follow(&fixture.server, &fixture.key(), &fixture.fetched(), &fixture.name_of("card"));
    for (column, table) in [("day", "days"), ("day", "parsed"), ("region", "places")] {
        let rows = format!("select string_agg({column}::text, ',' order by {column}) from {table}");
        assert_eq!(fixture.server.psql("restored", &rows), fixture.server.psql("app", &rows), "{table}");
    }
}

/// A server's own DateStyle, TimeZone and IntervalStyle: generated columns and the rows of materialized views had other values after a
/// restore, and a drill passed; what a login has for itself went before all of them.
#[test]
fn settings_of_the_server_and_of_logins_change_no_value() {
    let (fixture, _) = values_stay("pgseal/1");
    let report = drill(&fixture, None, &[]).receipt();
    assert_eq!(report["outcome"], json!("passed"), "{report:#}");
}

/// It has no inventory: amounts came back a hundred times as high, days as months, and nothing that was kept told why.
#[test]
fn the_old_format_keeps_the_settings_that_change_values() {
    let (_, by_hand) = values_stay("legacy");
    assert!(by_hand.contains("SET \"DateStyle\" TO E'ISO, DMY';"), "{by_hand}");
}

/// Gives the recovery instructions.
fn values_stay(format: &str) -> (Fixture, String) {
    let server = Server::builder()
        .setting("datestyle", "ISO, DMY")
        .setting("timezone", "Asia/Tokyo")
        .setting("intervalstyle", "sql_standard")
        .start();
    let fixture = Fixture::on(
        server,
        "create function day_of(t text) returns date language sql immutable as 'select t::date';
         create function day_of(t timestamptz) returns date language sql immutable as 'select t::date';
         create function seconds(t text) returns numeric language sql immutable as 'select extract(epoch from t::interval)';
         create table days (at text, day date generated always as (day_of(at)) stored);
         insert into days values ('05/06/2026');
         create table moments (at timestamptz, day date generated always as (day_of(at)) stored);
         insert into moments values ('2026-06-06 01:00+09');
         create table spans (off text check (off::interval < interval '-1 day'), s numeric generated always as (seconds(off)) stored);
         insert into spans values ('-1 02:00:00');
         create materialized view told as select at::date::text as day, (interval '1 day 2 hours')::text as span from moments;
         create table pay (m money); insert into pay values (1.5::numeric)",
        json!({"format": format}),
    );
    let rows = "select (select string_agg(day::text, ',') from days), (select string_agg(day::text, ',') from moments),
        (select string_agg(s::text, ',') from spans), (select string_agg(day || span, ',') from told),
        (select string_agg(m::numeric::text, ',') from pay)";
    let told = fixture.server.psql("app", rows);
    let place = match format {
        "legacy" => text(&fixture.fetched()).to_owned(),
        _ => backup(&fixture, json!({})),
    };
    let card = fixture.name_of("card");
    let by_hand = std::fs::read_to_string(fixture.fetched().join(&card)).expect("the recovery instructions");

    // A server and a login that read all of it otherwise.
    let mut fixture = fixture;
    fixture.server = Server::start();
    for (name, value) in [("datestyle", "ISO, MDY"), ("timezone", "UTC"), ("intervalstyle", "postgres")] {
        fixture
            .server
            .psql("postgres", &format!("alter role postgres set {name} = '{value}'"));
    }
    let key = fixture.key();
    let made = into(
        &fixture,
        fixture.server.bin(),
        &["restore", &place, "--key", &key, "--to", "dbname=copy", "--create"],
    );
    assert_eq!(made.code, 0, "{}", made.stderr);
    follow(&fixture.server, &fixture.key(), &fixture.fetched(), &card);
    for database in ["copy", "restored"] {
        assert_eq!(fixture.server.psql(database, rows), told, "{database}");
    }
    (fixture, by_hand)
}
