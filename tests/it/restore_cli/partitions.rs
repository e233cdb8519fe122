//! Partitions whose rows the dump names by the table at the top, and the indexes of partitioned tables.

use super::Fixture;
use super::restore::into;
use serde_json::json;

/// Of partitions by the hash of an enum `pg_dump` writes the rows as those of the root, since the hash is another one elsewhere.
const BY_HASH: &str = "create type mood as enum ('sad', 'ok', 'happy');
    create table moods (m mood, v int) partition by hash (m);
    create table moods_0 partition of moods for values with (modulus 3, remainder 0);
    create table moods_1 partition of moods for values with (modulus 3, remainder 1);
    create table moods_2 partition of moods for values with (modulus 3, remainder 2);
    insert into moods select (array['sad', 'ok', 'happy'])[1 + g % 3]::mood, g from generate_series(1, 300) g;
    create table orders (id int primary key, words tsvector, text text) partition by range (id);
    create table orders_1 partition of orders for values from (1) to (100); create table orders_2 partition of orders default;
    create trigger words before insert on orders for each row execute function tsvector_update_trigger(words, 'pg_catalog.simple', text);
    insert into orders (id, text) select g, 'some words' from generate_series(1, 200) g;
    create table items (order_id int references orders, n int); insert into items select g, g from generate_series(1, 200) g;
    create constraint trigger checked after insert on items from plain for each row execute function suppress_redundant_updates_trigger();
    grant select on all tables in schema public to dumper";

#[test]
fn rows_that_are_written_as_those_of_a_root_are_all_of_that_table() {
    let fixture = Fixture::with(BY_HASH, json!({}));
    let (place, key) = (fixture.at_s3(), fixture.key());
    let csv = fixture.run(&["rows", &place, "--key", &key, "--table", "moods", "--as", "csv"]);
    assert_eq!((csv.code, csv.stdout.lines().count()), (0, 301), "{}", csv.stderr);
    let copied = fixture.run(&["decrypt", &place, "--key", &key, "--table", "public.moods"]);
    let rows = copied.stdout.lines().filter(|line| line.contains('\t')).count();
    assert_eq!((copied.code, rows), (0, 300), "{}", copied.stderr);

    // A partitioned table has no rows of its own.
    let parts = fixture.run(&["rows", &place, "--key", &key, "--table", "orders", "--as", "json"]);
    assert_eq!((parts.code, parts.stdout.lines().count()), (0, 200), "{}", parts.stderr);
    // One name with rows does not hide another one without.
    let two = ["decrypt", &place, "--key", &key, "--table", "orders", "--table", "ordres"];
    let said = fixture.run(&two);
    assert!(said.code == 2 && said.stderr.contains("ordres"), "{}", said.stderr);
    let one = ["history", &place, "--key", &key];
    let said = fixture.run(&one);
    said.failed("bad_usage", 2);
    assert!(
        said.stderr.contains("names one backup") && said.stderr.contains("--database"),
        "{}",
        said.stderr
    );

    // Compared value by value, though no server gives a partitioned table out by COPY.
    let said = into(
        &fixture,
        &["restore", &place, "--key", &key, "--to", "dbname=all", "--create", "--compare"],
    );
    assert_eq!(said.code, 0, "{}\n{}", said.stderr, said.stdout);
    let comparison = said.receipt()["comparison"].clone();
    for table in comparison["tables"].as_array().expect("tables") {
        assert_eq!(table["contents"], "equal", "{comparison}");
    }

    // Alone a partition would come back empty.
    let one = |table: &str, to: &str| {
        let to = format!("dbname={to}");
        into(
            &fixture,
            &["restore", &place, "--key", &key, "--to", &to, "--create", "--table", table],
        )
    };
    let said = one("moods_0", "part");
    said.failed("bad_usage", 2);
    assert!(said.stderr.contains("among those of public.moods"), "{}", said.stderr);
    fixture.server.psql("postgres", "create database types");
    fixture.server.psql("types", "create type mood as enum ('sad', 'ok', 'happy')");
    let said = into(
        &fixture,
        &["restore", &place, "--key", &key, "--to", "dbname=types", "--table", "moods"],
    );
    assert_eq!((said.code, &said.receipt()["rows"]), (0, &json!(300)), "{}", said.stderr);
    assert_eq!(fixture.server.psql("types", "select count(*) from moods"), "300");

    let history = fixture.run(&[
        "history",
        &format!("s3://{}/backups", fixture.bucket.name),
        "--key",
        &key,
        "--table",
        "moods",
    ]);
    assert_eq!(history.code, 0, "{}", history.stderr);
    let told = history.receipt();
    let tables = told["nights"][0]["tables"].as_array().expect("tables");
    assert_eq!(
        (tables.len(), &tables[0]["rows"], &told["last_good"]["rows"]),
        (1, &json!(300), &json!(300)),
        "{told}"
    );
}

/// The index of the partitioned table came back without those of its partitions: not valid.
#[test]
fn the_key_of_a_partitioned_table_is_one_when_it_comes_back_alone() {
    let fixture = Fixture::with(BY_HASH, json!({}));
    let (place, key) = (fixture.at_s3(), fixture.key());
    let said = into(
        &fixture,
        &[
            "restore",
            &place,
            "--key",
            &key,
            "--to",
            "dbname=part",
            "--create",
            "--table",
            "orders",
            "--table",
            "items",
        ],
    );
    assert_eq!(said.code, 0, "{}", said.stderr);
    let broken = "select count(*) from pg_index where not indisvalid";
    assert_eq!(fixture.server.psql("part", broken), "0");
    fixture
        .server
        .psql("part", "insert into orders (id, text) values (7, 'x') on conflict (id) do nothing");
    // A trigger of PostgreSQL's own comes, and one that needs another table does not.
    let triggers = "select string_agg(tgname, ' ') from pg_trigger where not tgisinternal and tgparentid = 0";
    assert_eq!(fixture.server.psql("part", triggers), "words");
    let warnings = said.receipt()["warnings"].to_string();
    assert!(
        warnings.contains("its table public.plain is not restored, and not in the target") && !warnings.contains("tsvector_update"),
        "{warnings}"
    );
}
