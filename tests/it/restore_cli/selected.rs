//! One table out of a backup: what is read for it, and what comes.

use super::Fixture;
use crate::support::fault_proxy::FaultProxy;
use crate::support::pgseal::Pgseal;
use crate::support::restore::{block, run_alone};
use crate::support::s3::Bucket;
use serde_json::{Value, json};
use std::process::Command;

/// Hexadecimal digits, of which half the bytes stay: parts of 8 MiB, and a small table between two large ones.
const TABLES: &str = "create table first (id int, t text); create table middle (id int primary key, t text);
    create table third (id int, t text); create schema other; create table other.middle (id int);
    create table \"Odd; \"\"name\" (\"a,b\" int, \"C\" text, n numeric generated always as (1) stored);
    insert into first select g, md5(g::text) || md5('a' || g) || md5('b' || g) from generate_series(1, 250000) g;
    insert into middle select g, md5(g::text) from generate_series(1, 300) g;
    insert into third select g, md5('c' || g) || md5('d' || g) || md5('e' || g) from generate_series(1, 250000) g;
    insert into \"Odd; \"\"name\" values (1, E'tab\\there'), (2, null), (3, E'back\\\\slash, \"quoted\" and \\'single\\''), (4, ''),
      (5, E'line\\nend\\r'), (6, '\\N'), (7, '\\.')";

fn decrypted(fixture: &Fixture, more: &[&str]) -> String {
    let (place, key) = (fixture.at_s3(), fixture.key());
    let said = fixture.run(&[&["decrypt", &place, "--key", &key], more].concat());
    assert_eq!(said.code, 0, "{more:?}: {}", said.stderr);
    said.stdout
}

/// What stands in a dump of a table: its COPY, the rows, and the mark behind them.
fn section<'a>(dump: &'a str, table: &str) -> &'a str {
    let from = dump.find(&format!("COPY {table} ")).expect("its COPY");
    let length = dump[from..].find("\n\\.\n").expect("its end");
    &dump[from..from + length + 4]
}

/// Bytes of the dump that a run asks the server for, and what it prints.
fn bytes_read(bucket: &Bucket, arguments: &[&str]) -> (u64, String) {
    let proxy = FaultProxy::with(bucket, |_| None);
    let said = Pgseal::new(arguments).envs(proxy.env()).run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let seen = proxy.seen();
    let ranges = seen
        .iter()
        .filter(|seen| seen.key.contains(".sql."))
        .filter_map(|seen| seen.header("range"));
    let length = |range: &str| {
        let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
        Some(to.parse::<u64>().ok()? + 1 - from.parse::<u64>().ok()?)
    };
    (ranges.filter_map(length).sum(), said.stdout)
}

fn dump_size(fixture: &Fixture) -> u64 {
    let objects = fixture.receipt["backups"][0]["objects"].as_array().expect("objects");
    let dump = objects.iter().find(|object| object["role"] == "dump").expect("a dump");
    dump["size"].as_u64().expect("a size")
}

#[test]
fn a_table_is_taken_out_of_the_parts_that_hold_it() {
    const PART: u64 = 8 << 20;
    // So many rows that there are three parts.
    for (compression, rows) in [("bzip2", 190_000), ("zstd", 180_000), ("none", 90_000)] {
        let tables = TABLES.replace("250000", &rows.to_string());
        let fixture = Fixture::with(&tables, json!({"compression": compression}));
        let dump = decrypted(&fixture, &[]);
        for (name, in_dump) in [
            ("\"Odd; \"\"name\"", "\"public\".\"Odd; \"\"name\""),
            ("PLAIN", "\"public\".\"plain\""),
        ] {
            let got = decrypted(&fixture, &["--table", name]);
            assert!(got == section(&dump, in_dump), "{compression}: {name}: {} bytes", got.len());
        }
        let mut sections: Vec<&str> = ["first", "third", "plain", "middle"]
            .iter()
            .map(|name| section(&dump, &format!("\"public\".\"{name}\"")))
            .collect();
        sections.sort_by_key(|section| dump.find(section));
        let several = decrypted(
            &fixture,
            &[
                "--table",
                "third",
                "--table",
                "public.middle",
                "--table",
                "first",
                "--table",
                "plain",
            ],
        );
        assert!(several == sections.concat(), "{compression}: in the dump's order");

        let (place, key) = (fixture.at_s3(), fixture.key());
        let size = dump_size(&fixture);
        let rows = ["rows", &place, "--key", &key, "--table", "public.middle"];
        let (read, printed) = bytes_read(&fixture.bucket, &rows);
        assert!(
            size > 2 * PART && read <= 2 * PART && read < size,
            "{compression}: {read} bytes of {size} were read"
        );
        assert!(printed == section(&dump, "\"public\".\"middle\""), "{compression}");
        for name in ["middle", "third"] {
            let expected = section(&dump, &format!("\"public\".\"{name}\""));
            assert!(
                taken_by_hand(&fixture, &instructions(&fixture), name) == expected.as_bytes(),
                "{compression}: {name}"
            );
            if compression == "bzip2" {
                assert!(taken_by_hand(&fixture, &block("one-table"), name) == expected.as_bytes(), "{name}");
            }
        }
    }
}

/// What the recovery instructions say of one table.
fn instructions(fixture: &Fixture) -> String {
    let text = std::fs::read_to_string(fixture.fetched().join(fixture.name_of("card"))).expect("the instructions");
    let (_, part) = text.split_once("## One table alone").expect("the part");
    let (_, commands) = part.split_once("```sh\n").expect("a block");
    commands.split_once("```").expect("its end").0.to_owned()
}

/// With stock tools alone.
fn taken_by_hand(fixture: &Fixture, commands: &str, table: &str) -> Vec<u8> {
    let folder = fixture.fetched();
    std::fs::copy(fixture.key(), folder.join("private_key.pem")).expect("the key");
    run_alone("unwrap", &folder).fine();
    let commands = commands.replace("public.orders", &format!("public.{table}"));
    assert!(commands.contains(table));
    let ended = Command::new("bash").args(["-eu", "-c", &commands]).current_dir(&folder).status();
    assert!(ended.expect("bash starts").success());
    std::fs::read(folder.join("table.sql")).expect("the table")
}

fn rows(fixture: &Fixture, table: &str, more: &[&str]) -> String {
    let (place, key) = (fixture.at_s3(), fixture.key());
    let said = fixture.run(&[&["rows", &place, "--key", &key, "--table", table], more].concat());
    assert_eq!(said.code, 0, "{more:?}: {}", said.stderr);
    said.stdout
}

#[test]
fn rows_are_printed_as_a_server_would_take_or_print_them() {
    let fixture = Fixture::with(TABLES, json!({}));
    let odd = "\"Odd; \"\"name\"";
    let server = &fixture.server;
    let rows_of = |table: &str| server.psql("app", &format!("select \"a,b\", \"C\" from {table} order by 1"));
    for format in ["copy", "insert"] {
        server.psql("app", &format!("create table before as select * from {odd}; delete from {odd}"));
        let printed = rows(&fixture, odd, &["--as", format]);
        server.psql("app", &format!("set search_path = public; {printed}"));
        assert_eq!(rows_of(odd), rows_of("before"), "{format}");
        server.psql("app", "drop table before");
    }
    let csv = rows(&fixture, odd, &["--as", "csv"]);
    let by_server = server.psql(
        "app",
        &format!("copy (select \"a,b\", \"C\" from {odd} order by 1) to stdout csv header"),
    );
    assert_eq!(csv.trim_end(), by_server.trim_end());
    let json: Vec<Value> = rows(&fixture, odd, &["--as", "json"])
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(json.len(), 7);
    assert_eq!(json[0], json!({"a,b": "1", "C": "tab\there"}));
    assert_eq!(json[1]["C"], Value::Null);
    assert_eq!(json[5]["C"], "\\N");
}

#[test]
fn rows_are_chosen_by_the_values_of_columns() {
    let fixture = Fixture::with(TABLES, json!({"compression": "zstd"}));
    let chosen = |more: &[&str]| rows(&fixture, "plain", &[&["--as", "csv"], more].concat());
    assert_eq!(chosen(&["--where", "id=7"]), "id,note\n7,xxxxxxx\n");
    assert_eq!(chosen(&["--where", "id=7", "--where", "note=x"]), "id,note\n");
    assert_eq!(chosen(&["--where", "note=x", "--limit", "2"]).lines().count(), 3);
    assert_eq!(chosen(&["--limit", "0"]), "id,note\n");
    let (place, key) = (fixture.at_s3(), fixture.key());
    for (arguments, words) in [
        (vec!["--table", "plain", "--where", "nope=1"], "no column nope"),
        (vec!["--table", "middle"], "2 schemas"),
        (vec!["--table", "public.midle"], "public.midle"),
        (vec!["--table", "plain", "--where", "id"], "id=42"),
        (vec!["--table", "a.b.c"], "no name of a table"),
    ] {
        let said = fixture.run(&[&["rows", &place, "--key", &key], &arguments[..]].concat());
        assert!(said.code == 2 && said.stderr.contains(words), "{arguments:?}: {}", said.stderr);
        assert_eq!(said.stdout, "", "{arguments:?}");
    }
}
