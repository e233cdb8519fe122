//! A selection is held to the letter, or refused before anything is written.

use super::{Fixture, some_tells};
use crate::support::postgres::Server;
use serde_json::{Value, json};

const OBJECTS: &str = r"
    create schema parts; create schema other;
    create table keep (i int); insert into keep values (1);
    create table other.thing (i int); insert into other.thing values (1), (2);
    create table m (i int) partition by range (i);
    create table parts.m1 partition of m for values from (0) to (500);
    create table parts.m2 partition of m for values from (500) to (1000) partition by range (i);
    create table parts.m2a partition of parts.m2 for values from (500) to (1000);
    insert into m select generate_series(0, 999);
    select lo_create(4711), lo_create(4712);
    create table owned (i int); insert into owned values (1);
    alter extension plpgsql add table owned;
";

/// What a selection comes to: rows and tables of the backup and words of its warnings, or words of the refusal.
enum Outcome {
    Holds(u64, &'static [&'static str]),
    Refused(&'static [&'static str]),
}
use Outcome::{Holds, Refused};

fn cases() -> Vec<(Value, Outcome)> {
    vec![
        (json!({"tables": ["keep"]}), Holds(1, &["2 large objects"])),
        (json!({"tables": ["keep", "cusotmers"]}), Refused(&["cusotmers", "matches nothing"])),
        // All of them at once.
        (
            json!({"tables": ["keep", "cusotmers", "ordres", "a.b.c.d"], "exclude_tables": ["("]}),
            Refused(&["cusotmers", "ordres", "a.b.c.d", "pattern ("]),
        ),
        (json!({"schemas": ["other"]}), Holds(2, &["2 large objects"])),
        (json!({"schemas": ["other", "publik"]}), Refused(&["publik", "matches nothing"])),
        (
            json!({"tables": ["keep"], "schemas": ["other"]}),
            Refused(&["together with schemas"]),
        ),
        // The partitions come with their parent, in whatever schema they are and however deep.
        (json!({"tables": "m"}), Holds(1000, &["2 large objects"])),
        (
            json!({"exclude_table_data": "m"}),
            Holds(3, &["belong to an extension", "public.owned"]),
        ),
        (
            json!({"exclude_tables": "m"}),
            Holds(3, &["belong to an extension", "public.owned"]),
        ),
        (
            json!({"tables": ["m"], "exclude_tables": ["parts.m1"]}),
            Holds(500, &["2 large objects"]),
        ),
        (json!({"tables": ["m"], "exclude_tables": ["m"]}), Refused(&["leaves nothing"])),
        (json!({"tables": ["k*"], "exclude_tables": ["keep"]}), Refused(&["leaves nothing"])),
        (
            json!({"schemas": ["other"], "exclude_schemas": ["other"]}),
            Refused(&["leaves nothing"]),
        ),
        (
            json!({"schemas": ["other"], "exclude_tables": ["other.*"]}),
            Refused(&["leaves nothing"]),
        ),
        // Large objects belong to no table, and stay.
        (json!({"exclude_schemas": ["*"]}), Holds(0, &["no table"])),
        (json!({"exclude_tables": ["*.*"]}), Holds(0, &["no table"])),
        // What an extension owns is in no dump, whatever is asked for.
        (json!({"tables": ["owned"]}), Refused(&["owned", "matches nothing"])),
        (json!({"tables": ["owned", "keep"]}), Refused(&["owned", "matches nothing"])),
        // Exclusions may miss, but not in silence.
        (
            json!({"exclude_tables": "no_such_*"}),
            Holds(1003, &["no_such_*", "matches nothing"]),
        ),
        (
            json!({"exclude_table_data": ["no_such", "keep"]}),
            Holds(1002, &["no_such", "matches nothing"]),
        ),
        (json!({"exclude_schemas": "nowhere"}), Holds(1003, &["nowhere", "matches nothing"])),
        (json!({"tables": ["keep"], "exclude_schemas": ["public"]}), Holds(1, &["no effect"])),
        (json!({"tables": ["app.public.keep"]}), Holds(1, &["2 large objects"])),
        (json!({"tables": ["other_db.public.keep"]}), Refused(&["another database"])),
        (json!({"schemas": ["app.other"]}), Refused(&["dot"])),
        (json!({"tables": ["keep("]}), Refused(&["keep("])),
    ]
}

/// Debian's `pg_dump` is told each partition; one from 16 on takes them along itself.
#[test]
fn a_selection_holds_or_is_refused_by_backup_and_check_alike() {
    for server in [Server::start(), Server::builder().major(18).start()] {
        let major = server.major();
        let fixture = Fixture::new(server);
        fixture.server.create_app(OBJECTS);
        fixture.server.psql("app", "grant select on large object 4711, 4712 to dumper");
        for (fields, outcome) in cases() {
            let checked = fixture.run("check", "app", fields.clone());
            match outcome {
                Holds(rows, words) => {
                    let (entry, _) = fixture.backup("app", fields.clone());
                    assert_eq!(entry["rows"], rows, "{major}: {fields}");
                    let is_told = some_tells(&entry["warnings"], words);
                    assert!(is_told, "{major}: {fields}: {}", entry["warnings"]);
                    assert_eq!(checked.code, 0, "{major}: {fields}: {}", checked.stdout);
                }
                Refused(words) => {
                    let before = fixture.bucket.keys();
                    let said = fixture.run("backup", "app", fields.clone());
                    said.failed("bad_event", 2);
                    assert!(
                        words.iter().all(|word| said.stdout.contains(word)),
                        "{major}: {fields}: {}",
                        said.stdout
                    );
                    assert_eq!(fixture.bucket.keys(), before, "{major}: {fields}: something was written");
                    assert_eq!(checked.code, 2, "{major}: {fields}: {}", checked.stdout);
                }
            }
        }
    }
}

/// `check` was green, and the backup failed out of pg_dump.
#[test]
fn what_may_not_be_read_of_a_part_is_named_by_backup_and_check_alike() {
    let fixture = Fixture::new(Server::start());
    fixture.server.create_app(
        "create table open (i int); create table rowed (i int); alter table rowed enable row level security; create schema s;
         create table s.other (i int); select lo_create(4711)",
    );
    for (fields, words) in [
        (json!({"exclude_tables": ["rowed"]}), Some("large object 4711")),
        (json!({"exclude_table_data": ["rowed"]}), Some("large object 4711")),
        (json!({"exclude_schemas": ["s"]}), Some("rows of public.rowed")),
        (json!({"schemas": ["public"]}), Some("rows of public.rowed")),
        (json!({"tables": ["open"]}), None),
        (json!({"tables": ["r*", "open"], "exclude_table_data": ["rowed"]}), None),
    ] {
        for command in ["check", "backup"] {
            let said = fixture.run(command, "app", fields.clone());
            let Some(words) = words else {
                assert_eq!(said.code, 0, "{command} {fields}: {}", said.stdout);
                continue;
            };
            assert!(
                said.code == 3 && said.stdout.contains("db_privilege"),
                "{command} {fields}: {}",
                said.stdout
            );
            assert!(said.stdout.contains(words), "{command} {fields}: {}", said.stdout);
        }
    }
    fixture.server.psql("app", "revoke pg_read_all_data from dumper");
    for command in ["check", "backup"] {
        let said = fixture.run(command, "app", json!({"tables": ["open"]}));
        assert!(
            said.code == 3 && said.stdout.contains("no SELECT on public.open"),
            "{command}: {}",
            said.stdout
        );
    }
}

/// `pg_dump` writes no sequence of an identity column but with its table, and it was demanded all the same. That of a serial
/// column it does write.
#[test]
fn an_identity_sequence_is_needed_with_its_table_only() {
    for server in [Server::start(), Server::builder().major(18).start()] {
        let major = server.major();
        let fixture = Fixture::new(server);
        fixture.server.create_app(
            "create table kept (i int); create table idonly (id int generated always as identity, v int);
             create schema hid; create table hid.idonly (id int generated by default as identity)",
        );
        let sql = |text: &str| fixture.server.psql("app", text);
        sql(&format!(
            "create role reader login password '{}'; grant select on kept to reader; grant usage on schema hid to reader",
            fixture.server.password()
        ));
        let run = |command: &str, mut fields: Value| {
            fields["user"] = json!("reader");
            fixture.run(command, "app", fields)
        };
        let refused = |fields: Value, words: &str| {
            for command in ["check", "backup"] {
                let said = run(command, fields.clone());
                assert_eq!(said.code, 3, "{major} {command} {fields}: {}", said.stdout);
                assert!(
                    said.stdout.contains("db_privilege") && said.stdout.contains(words),
                    "{fields}: {}",
                    said.stdout
                );
            }
        };
        let works = |fields: Value| {
            for command in ["check", "backup"] {
                let said = run(command, fields.clone());
                assert_eq!(said.code, 0, "{major} {command} {fields}: {}", said.stdout);
            }
        };
        works(json!({"exclude_tables": ["idonly"], "exclude_schemas": ["hid"]}));
        works(json!({"exclude_tables": ["*.idonly"]}));
        works(json!({"schemas": ["public"], "exclude_tables": ["idonly"]}));
        works(json!({"tables": ["kept"]}));
        works(json!({"tables": ["*"], "exclude_tables": ["idonly"]}));
        // With its table it is dumped, and needed.
        sql("grant select on idonly to reader");
        refused(json!({"exclude_schemas": ["hid"]}), "public.idonly_id_seq");
        refused(json!({"tables": ["idonly"]}), "public.idonly_id_seq");

        sql("create table counted (id serial); revoke select on idonly from reader");
        let fields = json!({"schemas": ["public"], "exclude_tables": ["idonly", "counted"]});
        refused(fields.clone(), "public.counted_id_seq");
        sql("grant select on sequence counted_id_seq to reader");
        works(fields);
    }
}

/// A restore failed at an index, behind all rows: what its expression uses was not told.
#[test]
fn what_a_part_uses_and_lacks_is_told() {
    let fixture = Fixture::new(Server::start());
    fixture.server.create_app(
        "create schema s; create function f(int) returns int language sql immutable as 'select $1';
         create function g(int) returns int language sql immutable as 'select $1';
         create operator === (leftarg = int, rightarg = int, procedure = int4eq); create collation plain from \"C\";
         create table s.t (i int, a text collate plain); create index on s.t (f(i)); create index on s.t (i) where i === 1;
         create statistics s.st on i, (g(i)) from s.t",
    );
    let (entry, _) = fixture.backup("app", json!({"schemas": ["s"]}));
    for name in [
        "function public.f(integer)",
        "function public.g(integer)",
        "operator public.===(integer,integer)",
        "collation public.plain",
    ] {
        assert!(some_tells(&entry["warnings"], &[name]), "{name}: {}", entry["warnings"]);
    }
}

/// A small part of a large database was refused on Lambda, whose time the whole of it would have taken.
#[test]
fn the_estimate_of_a_part_is_of_the_part() {
    let fixture = Fixture::new(Server::start());
    fixture.server.psql("postgres", "create database app");
    fixture.server.psql(
        "app",
        "create table small as select 1 as i; create table large as select repeat('x', 1000) as t from generate_series(1, 10000);
         create schema other; create table other.small as select 1 as i; select lo_from_bytea(4711, 'x'); alter large object 4711 owner to dumper;
         create materialized view large_view as select * from large",
    );
    let estimate = |fields: Value| {
        let report = fixture.run("check", "app", fields).receipt();
        let bytes = report["estimates"][0]["estimate"]["dump_bytes"].as_u64();
        bytes.unwrap_or_else(|| panic!("no estimate: {report}"))
    };
    // A restore fills materialized views: a dump has none of their rows.
    let whole = estimate(json!({}));
    assert!(whole > 10_000_000 && whole < 15_000_000, "{whole}");
    let most = estimate(json!({"exclude_tables": "small"}));
    assert!(most > 10_000_000 && most < 15_000_000, "{most}");
    for part in [
        json!({"tables": "small"}),
        json!({"exclude_tables": "large"}),
        json!({"exclude_table_data": "large"}),
        json!({"schemas": "other"}),
        json!({"exclude_schemas": "public"}),
    ] {
        assert!(estimate(part.clone()) < 1_000_000, "{part}");
    }
    let planned = fixture.run("plan", "app", json!({"tables": "small"})).receipt();
    let bytes = planned["items"][0]["estimate"]["dump_bytes"].as_u64();
    assert!(bytes.is_some_and(|bytes| bytes < 1_000_000), "{planned}");
    // Bytes, where megabytes were meant.
    let slow = fixture.run("check", "app", json!({"rate_limit": 20})).receipt();
    assert!(slow["status"] == "ok" && slow.to_string().contains("20M is twenty"), "{slow}");
}
