//! Amounts of type `money` are text in a locale: read in another one, 12,50 is 1,250.

use super::databases::locale;
use super::{Fixture, some_tells};
use crate::support::postgres::Server;
use serde_json::json;

const AMOUNTS: &str = "select string_agg(m::numeric::text, ' ' order by i) from pay";

/// Backup, drill and restore called it good, and each amount was a hundred times as high.
#[test]
fn amounts_are_read_in_the_locale_that_they_were_written_in() {
    let folder = tempfile::tempdir().expect("a folder");
    locale(folder.path(), "es_AR", "es_AR.UTF-8");
    let with_locale = || Server::builder().environment("LOCPATH", &folder.path().display().to_string());
    let fixture = Fixture::new(with_locale().setting("lc_monetary", "es_AR.UTF-8").start());
    let server = &fixture.server;
    server.psql("postgres", "create database pays");
    server.psql(
        "pays",
        "create table pay (i int, m money); insert into pay values (1, 0.99::numeric), (2, 12.5::numeric), (3, -1234.56::numeric);
         create table keep (i int); insert into keep values (1)",
    );
    let amounts = server.psql("pays", AMOUNTS);
    let (_, place) = fixture.backup("pays", json!({}));

    // The drill makes the locale, and other servers have it.
    let (said, report) = fixture.drill(&place);
    assert_eq!((said.code, &report["outcome"]), (0, &json!("passed")), "{report}");
    fixture.restored(server, &place, "copy", &["--create"]);
    let other = with_locale().start();
    fixture.restored(&other, &place, "copy", &["--create"]);
    for server in [server, &other] {
        assert_eq!(server.psql("copy", AMOUNTS), amounts);
    }

    // Without an inventory the same, in the session of the rows and in the database.
    let (_, legacy) = fixture.backup("pays", json!({"format": "legacy", "compression": "bzip2"}));
    let elsewhere = with_locale().start();
    fixture.restored(&elsewhere, &legacy, "old", &["--create"]);
    assert_eq!(elsewhere.psql("old", AMOUNTS), amounts);
    assert_eq!(elsewhere.psql("old", "show lc_monetary"), "es_AR.UTF-8");
    assert!(
        fixture
            .recovery_instructions(&legacy)
            .contains("ALTER DATABASE restored SET \"lc_monetary\" TO E'es_AR.UTF-8'"),
        "{legacy}"
    );

    // One that lacks it is told before the rows.
    let without = Server::start();
    let said = fixture.restore(&without, &place, "copy", &["--create"]);
    assert_eq!(said.code, 7, "{}", said.stderr);
    for word in ["restore_failed", "money", "es_AR.UTF-8", "localedef"] {
        assert!(said.stderr.contains(word), "{word}: {}", said.stderr);
    }
    assert_eq!(without.psql("copy", "select count(*) from pg_class where relname = 'pay'"), "0");

    // Ranges of amounts, and constants in what is computed.
    for (name, sql, ask) in [
        (
            "ranges",
            "create type price_range as range (subtype = money); create table tariffs (r price_range);
             insert into tariffs values (price_range(0.99::numeric::money, 12.5::numeric::money))",
            "select upper(r)::numeric from tariffs",
        ),
        (
            "constants",
            "create table orders (price numeric, check (price::money >= '$ 0,99'::money)); insert into orders values (5);
             create function fee(m money default '$ 0,99') returns numeric language sql as 'select m::numeric'",
            "select fee()",
        ),
    ] {
        server.psql("postgres", &format!("create database {name}"));
        server.psql(name, sql);
        let (_, place) = fixture.backup(name, json!({}));
        fixture.restored(&other, &place, name, &["--create"]);
        assert_eq!(other.psql(name, ask), server.psql(name, ask), "{name}");
        assert_eq!(fixture.restore(&without, &place, name, &["--create"]).code, 7, "{name}");
    }

    // Where the dump has none, the locale is nobody's business.
    for (name, sql, asked) in [
        ("poor", "create table t (i int); insert into t values (1)", json!({})),
        (
            "empty",
            "create domain price as money; create table t (i int, m price[]); create table keep (i int); insert into keep values (1)",
            json!({}),
        ),
        (
            "tables",
            "create table pay (m money default '$ 0,99'); insert into pay default values; create view v as select '$ 1,50'::money;
             create table keep (i int); insert into keep values (1)",
            json!({"tables": ["public.keep"]}),
        ),
        (
            "schemas",
            "create schema other; create table other.pay (m money check (m > '$ 0,10'::money)); insert into other.pay values ('$ 0,99');
             create function other.fee(m money default '$ 0,99') returns int language sql as 'select 1'; create table keep (i int)",
            json!({"exclude_schemas": ["other"]}),
        ),
        (
            "rowless",
            "create table pay (m money); insert into pay values ('$ 0,99'); create table keep (i int)",
            json!({"exclude_table_data": ["public.pay"]}),
        ),
    ] {
        server.psql("postgres", &format!("create database {name}"));
        server.psql(name, sql);
        let (_, place) = fixture.backup(name, asked);
        assert_eq!(fixture.inventory(&place).get("money"), None, "{name}");
        fixture.restored(&without, &place, name, &["--create"]);
    }

    // In a part that has some, and in constants of types that are made of it.
    for (name, sql, asked) in [
        (
            "chosen",
            "create table pay (m money); insert into pay values ('$ 0,99')",
            json!({"tables": ["public.pay"]}),
        ),
        (
            "composite",
            "create type offer as (i int, m money); create table t (i int); insert into t values (1);
             create view v as select '(1,\"$ 0,99\")'::offer",
            json!({}),
        ),
    ] {
        server.psql("postgres", &format!("create database {name}"));
        server.psql(name, sql);
        let (_, place) = fixture.backup(name, asked);
        assert_eq!(fixture.inventory(&place)["money"]["locale"], "es_AR.UTF-8", "{name}");
        assert_eq!(fixture.restore(&without, &place, name, &["--create"]).code, 7, "{name}");
    }
}

/// Each has other catalogs with code.
#[test]
fn amounts_are_found_on_every_major() {
    for major in 10..=18 {
        let fixture = Fixture::new(Server::builder().major(major).start());
        fixture.server.psql("postgres", "create database pays");
        fixture.server.psql(
            "pays",
            "create table pay (m money); create view v as select '1.50'::money as m; create table keep (i int);
             grant select on all tables in schema public to public",
        );
        for (asked, has_some) in [(json!({}), true), (json!({"exclude_tables": ["public.v"]}), false)] {
            let (entry, place) = fixture.backup("pays", asked);
            assert!(!some_tells(&entry["warnings"], &["money"]), "{major}: {entry}");
            let found = fixture.inventory(&place).get("money").is_some();
            assert_eq!(found, has_some, "{major}");
        }
    }
}

/// `ALTER EXTENSION … ADD TABLE` took its rows out of every backup, without a word.
#[test]
fn rows_of_a_table_that_a_user_added_to_an_extension_are_told() {
    let fixture = Fixture::new(Server::start());
    fixture.server.psql("postgres", "create database added");
    fixture.server.psql(
        "added",
        "create table added (i int); insert into added values (1); create table empty (i int); create table keep (i int);
         alter extension plpgsql add table added; alter extension plpgsql add table empty",
    );
    let (entry, _) = fixture.backup("added", json!({}));
    assert!(
        some_tells(&entry["warnings"], &["belong to an extension", "public.added"]),
        "{entry}"
    );
    assert!(!some_tells(&entry["warnings"], &["public.empty"]), "{entry}");
}

/// In yen the amounts went in right, and were a hundredth from the end of the restore on: their locale was the server's.
#[test]
fn a_restored_database_shows_amounts_as_the_source_did() {
    let folder = tempfile::tempdir().expect("a folder");
    locale(folder.path(), "ja_JP", "ja_JP.UTF-8");
    let with_locale = || Server::builder().environment("LOCPATH", &folder.path().display().to_string());
    let fixture = Fixture::new(with_locale().setting("lc_monetary", "ja_JP.UTF-8").start());
    let server = &fixture.server;
    server.psql("postgres", "create database pays");
    server.psql(
        "pays",
        "create table pay (i int, m money); insert into pay values (1, 1250::numeric::money)",
    );
    let (_, place) = fixture.backup("pays", json!({}));
    let other = with_locale().start();
    fixture.restored(&other, &place, "made", &["--create"]);
    other.psql("postgres", "create database theirs");
    let said = fixture.restore(&other, &place, "theirs", &[]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let warning = "ALTER DATABASE \\\"theirs\\\" SET lc_monetary TO E'ja_JP.UTF-8'";
    assert!(said.stdout.contains(warning), "{}", said.stdout);
    other.psql("postgres", "alter database theirs set lc_monetary to 'ja_JP.UTF-8'");
    for database in ["made", "theirs"] {
        assert_eq!(other.psql(database, AMOUNTS), server.psql("pays", AMOUNTS), "{database}");
    }
}
