//! A restored database against an inventory.

use super::{access, cancel};
use crate::support::postgres::Server;
use pgseal::restore::compare::CountPair;
use serde_json::json;

const SCHEMA: &str = "
    create table parent (i int primary key) partition by range (i);
    create table part partition of parent for values from (0) to (10);
    create table \"Odd \"\"; table\" (a int unique, b text);
    create table child () inherits (\"Odd \"\"; table\");
    create table unlogged_one ();
    create materialized view m as select 1;
    create view v as select 1;
    insert into parent values (1), (2);
    insert into \"Odd \"\"; table\" values (1, 'x');
    insert into child values (2, 'y'), (3, 'z'), (4, 'z');
    alter table child add constraint positive check (a > 0) not valid;
    select lo_create(1);
";

#[test]
fn an_equal_database_is_equal_on_every_server() {
    for major in 10..=18 {
        let server = Server::builder().major(major).start();
        if major == 10 {
            // Keys of partitioned tables came with 11.
            server.create_app(&SCHEMA.replace("(i int primary key) partition", "(i int) partition"));
        } else {
            server.create_app(SCHEMA);
        }
        let inventory = json!({
            "tables": [
                {"name": "public.\"Odd \"\"; table\"", "rows": 1, "bytes": 4},
                {"name": "public.child", "rows": 3, "bytes": 12},
                {"name": "public.part", "rows": 2, "bytes": 4},
            ],
            "rows": 6, "large_objects": 1, "extensions": [{"name": "plpgsql", "version": "1.0"}], "warnings": [],
        });
        let inventory = super::inventory(inventory);
        let comparison = super::compared(&inventory, &access(&server, "app"), &cancel()).expect("a comparison");
        assert_eq!(comparison.differences, [""; 0], "{major}");
        assert_eq!(comparison.rows, CountPair { expected: 6, found: 6 });
        let notes = &comparison.notes;
        assert!(
            notes
                .iter()
                .any(|note| note.contains("constraints of public.child 1 is not validated")),
            "{notes:?}"
        );
        assert!(notes.iter().any(|note| note.contains("public.unlogged_one")), "{notes:?}");
        assert!(comparison.disk_bytes > 0 && comparison.tables.len() == 4);
    }
}

#[test]
fn what_differs_is_named() {
    let server = Server::start();
    server.create_app(SCHEMA);
    server.psql(
        "app",
        "update pg_index set indisvalid = false where indexrelid = 'part_pkey'::regclass",
    );
    let inventory = json!({
        "tables": [
            {"name": "public.child", "rows": 4, "bytes": 12},
            {"name": "public.part", "rows": 2, "bytes": 4},
            {"name": "public.gone", "rows": 7, "bytes": 4},
        ],
        "rows": 13, "large_objects": 0,
    });
    let inventory = super::inventory(inventory);
    let comparison = super::compared(&inventory, &access(&server, "app"), &cancel()).expect("a comparison");
    assert_eq!(
        comparison.differences,
        [
            "the table public.child has 3 rows instead of 4",
            "the table public.gone is missing; 7 rows were expected",
            "the table public.\"Odd \"\"; table\" has 1 rows, of which the dump has none",
            "1 large objects instead of 0",
            "of the indexes of public.part 1 is not valid",
        ]
    );
    assert_eq!(comparison.rows, CountPair { expected: 13, found: 6 });
}
