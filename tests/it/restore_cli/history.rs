//! `history` and `diff`: fourteen nights of a small database in which rows are deleted, and tables are emptied, dropped and made.

use super::{Fixture, text};
use crate::support::pgseal::Pgseal;
use serde_json::{Value, json};
use std::time::Instant;

const TABLES: &str = "create table orders (id int, note text); insert into orders select g, 'order' from generate_series(1, 500) g;
    create table log (line text); insert into log select 'line' from generate_series(1, 200) g;
    create table old (id int); insert into old values (1), (2);
    create schema odd; create table odd.\"Odd Name\" (id int); insert into odd.\"Odd Name\" values (1);";

fn stem(night: usize) -> String {
    format!("app_202611{night:02}T020000Z")
}

/// What somebody does before a night.
fn done_before(night: usize) -> &'static str {
    match night {
        6 => "drop table old",
        9 => "delete from orders where id > 88",
        11 => "truncate log",
        12 => "create table prices (cents int); insert into prices values (5)",
        // As many bytes.
        13 => "update plain set note = replace(note, 'x', 'y') where id = 17",
        _ => "select 1",
    }
}

fn backup(fixture: &Fixture, changes: &[(&str, Value)]) -> Value {
    let mut order = fixture.order.clone();
    for (name, value) in changes {
        order[*name] = value.clone();
    }
    let run = Pgseal::backup(&order).envs(fixture.bucket.env()).envs(fixture.server.env());
    run.env("PGSEAL_PG_BIN", fixture.server.bin()).run().complete()
}

fn fortnight() -> Fixture {
    let time = |night: usize| json!(format!("2026-11-{night:02}T02:00:00Z"));
    let fixture = Fixture::with(TABLES, json!({"scheduled_time": time(1), "compression": "none"}));
    for night in 2..=14 {
        fixture.server.psql("app", done_before(night));
        backup(&fixture, &[("scheduled_time", time(night))]);
    }
    fixture.bucket.download(&fixture.fetched());
    fixture
}

fn table<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let mut tables = answer["tables"].as_array().into_iter().flatten();
    tables
        .find(|table| table["name"] == name)
        .unwrap_or_else(|| panic!("{name}: {answer}"))
}

#[test]
fn fourteen_nights_name_the_last_good_one_of_each_table() {
    let fixture = fortnight();
    let (place, key) = (format!("s3://{}/backups", fixture.bucket.name), fixture.key());
    let history = |place: &str, more: &[&str]| {
        let said = fixture.run(&[&["history", place, "--key", &key], more].concat());
        assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
        said.receipt()
    };
    let began = Instant::now();
    let orders = history(&place, &["--table", "orders"]);
    println!("14 nights from S3 took {} ms", began.elapsed().as_millis());
    assert_eq!(orders["last_good"]["stem"], stem(8), "{orders}");
    let loss = &orders["last_good"]["loss"];
    assert_eq!(
        (&loss["stem"], &loss["rows_before"], &loss["rows_after"]),
        (&json!(stem(9)), &json!(500), &json!(88))
    );
    let nights = orders["nights"].as_array().expect("nights");
    let told: Vec<(&Value, &Value)> = nights.iter().map(|night| (&night["stem"], &night["tables"][0]["rows"])).collect();
    let (stems, rows): (Vec<Value>, Vec<Value>) = (1..=14)
        .map(|night| (json!(stem(night)), json!(if night < 9 { 500 } else { 88 })))
        .unzip();
    assert_eq!(told, stems.iter().zip(&rows).collect::<Vec<_>>());

    let all = history(&place, &[]);
    let good = |name: &str| table(&all, name)["last_good"]["stem"].clone();
    assert_eq!(good("public.orders"), stem(8));
    assert_eq!(good("public.log"), stem(10));
    assert_eq!(good("public.old"), stem(5));
    assert_eq!(good("public.prices"), stem(14));
    assert_eq!(good("odd.\"Odd Name\""), stem(14));
    let prices = table(&all, "public.prices");
    assert_eq!((&prices["first_seen"], &prices["rows_now"]), (&json!(stem(12)), &json!(1)));
    assert_eq!(table(&all, "public.old")["rows_now"], Value::Null);
    assert_eq!(all["nights"][5]["vanished"], json!(["public.old"]));
    assert_eq!(all["nights"][11]["compared_with"], stem(11));
    assert_eq!(table(&all["nights"][11], "public.prices")["change"], "appeared");
    assert_eq!(table(&all["nights"][8], "public.orders")["change"], "changed");
    // A value of the same length: only a hint can tell it, where there are any.
    let plain = table(&all["nights"][12], "public.plain");
    let expected = match plain["by"].as_str() {
        Some("hint") => "changed",
        _ => "unknown",
    };
    assert_eq!(plain["change"], expected, "{plain}");
    let unchanged = &table(&all["nights"][13], "public.plain")["change"];
    assert!(unchanged == "same" || unchanged == "unknown", "{unchanged}");

    // Whatever the dumps hold is not looked at.
    let fetched = fixture.fetched();
    for entry in std::fs::read_dir(&fetched).expect("the folder") {
        let path = entry.expect("an entry").path();
        if text(&path).contains(".sql") {
            let size = std::fs::metadata(&path).expect("its size").len();
            std::fs::write(&path, vec![0; usize::try_from(size).expect("small")]).expect("written");
        }
    }
    let from_directory = history(text(&fetched), &[]);
    assert_eq!(from_directory["tables"], all["tables"]);
    let odd = history(text(&fetched), &["--table", "Odd Name", "--limit", "2"]);
    assert_eq!(
        (odd["table"].as_str(), odd["nights"].as_array().map(Vec::len)),
        (Some("odd.\"Odd Name\""), Some(2))
    );
    // All that the asker allows to be lost is not lost.
    let lenient = history(
        text(&fetched),
        &["--table", "public.orders", "--drop", "90%", "--since", "2026-11-05"],
    );
    assert_eq!(
        (&lenient["last_good"]["stem"], &lenient["nights"][0]["stem"]),
        (&json!(stem(14)), &json!(stem(5)))
    );

    one_bad_night_is_told_and_all_bad_ones_fail(&fixture);
    pages_and_mistakes(&fixture);
    two_backups_differ(&fixture);
    a_rewrap_changes_no_night(&fixture, &all);
    parts_and_other_databases_are_apart(&fixture);
}

fn one_bad_night_is_told_and_all_bad_ones_fail(fixture: &Fixture) {
    let (fetched, key) = (fixture.fetched(), fixture.key());
    let inventory = std::fs::read_dir(&fetched)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| text(path).contains(&stem(3)) && text(path).contains("inventory"))
        .expect("an inventory");
    let genuine = std::fs::read(&inventory).expect("the inventory");
    let mut changed = genuine.clone();
    changed[40] ^= 1;
    std::fs::write(&inventory, changed).expect("written");
    let said = fixture.run(&["history", text(&fetched), "--key", &key, "--table", "orders"]);
    let answer = said.receipt();
    assert_eq!((said.code, &answer["status"]), (0, &json!("ok")), "{answer}");
    assert_eq!(answer["nights"][2]["error"]["code"], "tampered", "{answer}");
    assert_eq!(answer["nights"][3]["compared_with"], stem(2), "{answer}");
    assert_eq!(answer["last_good"]["stem"], stem(8), "{answer}");
    std::fs::write(&inventory, genuine).expect("written");

    let other = fixture.folder.path().join("other.pem");
    super::openssl(&["genrsa", "-out", text(&other), "2048"]);
    let said = fixture.run(&["history", text(&fetched), "--key", text(&other)]);
    let answer = said.receipt();
    assert_eq!((said.code, &answer["status"]), (7, &json!("failed")), "{answer}");
    assert_eq!(answer["error"]["code"], "wrong_key", "{answer}");
    assert_eq!(answer["nights"].as_array().map(Vec::len), Some(14), "{answer}");
}

fn pages_and_mistakes(fixture: &Fixture) {
    let (fetched, key) = (fixture.fetched(), fixture.key());
    let page = fixture.folder.path().join("app.html");
    let run = |more: &[&str]| fixture.run(&[&["history", text(&fetched), "--key", &key], more].concat());
    assert_eq!(run(&["--html", text(&page)]).code, 0);
    let written = std::fs::read_to_string(&page).expect("a page");
    assert!(written.contains("public.orders") && written.contains("<svg"), "{written}");
    let again = run(&["--html", text(&page)]);
    assert_eq!((again.code, again.error_code().as_str()), (2, "bad_usage"));
    assert_eq!(run(&["--html", text(&page), "--force"]).code, 0);
    for (more, exit, code) in [
        (&["--table", "ordres"][..], 2, "bad_usage"),
        (&["--drop", "110%"], 2, ""),
        (&["--drop", "10"], 2, ""),
        (&["--database", "nobody"], 7, "no_backup"),
        (&["--source", "nobody"], 2, "bad_usage"),
        (&["--since", "2026-11-20"], 7, "no_backup"),
    ] {
        let said = run(more);
        assert_eq!(said.code, exit, "{more:?}: {}", said.stderr);
        assert!(said.stderr.contains(code), "{more:?}: {}", said.stderr);
    }
    let without = fixture.run(&["history", text(&fetched)]);
    assert!(without.code == 2 && without.stderr.contains("--key"), "{}", without.stderr);
}

fn two_backups_differ(fixture: &Fixture) {
    let (fetched, key) = (fixture.fetched(), fixture.key());
    let diff = |before: &str, after: &str| {
        let said = fixture.run(&["diff", before, after, "--key", &key]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        said.receipt()
    };
    let (fifth, newest) = (fetched.join(stem(5)), format!("s3://{}/backups/latest:app", fixture.bucket.name));
    let answer = diff(text(&fifth), &newest);
    assert_eq!(
        (&answer["before"]["stem"], &answer["after"]["stem"]),
        (&json!(stem(5)), &json!(stem(14)))
    );
    let change = |name: &str| table(&answer, name)["change"].clone();
    assert_eq!(change("public.old"), "vanished");
    assert_eq!(change("public.prices"), "appeared");
    assert_eq!(change("public.orders"), "changed");
    assert_eq!(
        (
            &table(&answer, "public.log")["rows_before"],
            &table(&answer, "public.log")["rows_after"]
        ),
        (&json!(200), &json!(0))
    );
    assert_eq!(
        (&answer["counts"]["vanished"], &answer["extensions"]),
        (&json!(1), &json!([])),
        "{answer}"
    );
    let same = diff(text(&fifth), text(&fifth));
    assert_eq!((&same["counts"]["same"], &same["properties"]), (&json!(5), &json!([])), "{same}");
    let missing = fixture.run(&["diff", text(&fifth), text(&fetched.join("app_20200101T020000Z")), "--key", &key]);
    assert_eq!((missing.code, missing.error_code().as_str()), (7, "no_backup"));
}

/// Hints are keyed by whom a backup was written for, not by who may open it now.
fn a_rewrap_changes_no_night(fixture: &Fixture, before: &Value) {
    let (place, key) = (format!("s3://{}/backups", fixture.bucket.name), fixture.key());
    let (other, public) = (
        fixture.folder.path().join("other.pem"),
        fixture.folder.path().join("other_public.pem"),
    );
    super::openssl(&["pkey", "-in", text(&other), "-pubout", "-out", text(&public)]);
    let night = format!("{place}/{}", stem(13));
    let said = fixture.run(&["rewrap", &night, "--key", &key, "--recipient", text(&public), "--keep"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let after = fixture.run(&["history", &place, "--key", &key]).receipt();
    for night in 0..14 {
        assert_eq!(after["nights"][night]["tables"], before["nights"][night]["tables"], "{after}");
    }
    // Its key opens that night alone.
    let alone = fixture.run(&["history", &place, "--key", text(&other)]);
    let answer = alone.receipt();
    assert_eq!((alone.code, &answer["status"]), (0, &json!("ok")), "{answer}");
    let opened = answer["nights"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|night| night["error"].is_null());
    assert_eq!(opened.map(|night| night["stem"].clone()).collect::<Vec<_>>(), [json!(stem(13))]);
}

/// In the same bucket: a night of one table alone, and another database.
fn parts_and_other_databases_are_apart(fixture: &Fixture) {
    let (place, key) = (format!("s3://{}/backups", fixture.bucket.name), fixture.key());
    fixture.server.psql("app", "insert into log values ('again')");
    backup(
        fixture,
        &[("scheduled_time", json!("2026-11-15T02:00:00Z")), ("tables", json!(["log"]))],
    );
    let answer = fixture.run(&["history", &place, "--key", &key]).receipt();
    let part = &answer["nights"][14];
    assert_eq!((&part["partial"], &part["compared_with"]), (&json!(true), &Value::Null), "{part}");
    assert_eq!(
        (&part["vanished"], &part["selection"]["tables"]),
        (&json!([]), &json!(["log"])),
        "{part}"
    );
    // The whole goes before a part.
    assert_eq!(table(&answer, "public.orders")["last_seen"], stem(14), "{answer}");
    assert_eq!(table(&answer, "public.log")["last_good"]["stem"], stem(10), "{answer}");

    fixture.server.psql("postgres", "create database shop template app");
    let shop = backup(
        fixture,
        &[("scheduled_time", json!("2026-11-15T02:00:00Z")), ("database", json!("shop"))],
    );
    assert_eq!(shop["status"], "complete", "{shop}");
    let two = fixture.run(&["history", &place, "--key", &key]);
    assert_eq!((two.code, two.error_code().as_str()), (2, "bad_usage"), "{}", two.stderr);
    assert!(
        two.stderr.contains("app, shop") && two.stderr.contains("--database"),
        "{}",
        two.stderr
    );
    let shop = fixture.run(&["history", &place, "--key", &key, "--database", "shop"]);
    let answer = shop.receipt();
    assert_eq!((shop.code, answer["nights"].as_array().map(Vec::len)), (0, Some(1)), "{answer}");
}
