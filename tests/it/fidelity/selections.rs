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
        (json!({"schemas": ["other"]}), Holds(2, &["2 large objects"])),
        (json!({"schemas": ["other", "publik"]}), Refused(&["publik", "matches nothing"])),
        (
            json!({"tables": ["keep"], "schemas": ["other"]}),
            Refused(&["together with schemas"]),
        ),
        // The partitions come with their parent, in whatever schema they are and however deep.
        (json!({"tables": "m"}), Holds(1000, &["2 large objects"])),
        (json!({"exclude_table_data": "m"}), Holds(3, &[])),
        (json!({"exclude_tables": "m"}), Holds(3, &[])),
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
                    let is_told = if words.is_empty() {
                        entry["warnings"] == json!([])
                    } else {
                        some_tells(&entry["warnings"], words)
                    };
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
