//! How large the dump of a part will be: the estimate of the whole database would refuse a small part of a large one.

use super::left_out::LeftOutTables;
use super::with_children;
use crate::error::Result;
use crate::rds::session::{AdvisoryRows, Session};

/// Plain bytes, about: tables without indexes. `None` where they could not be asked.
pub(super) async fn ask(session: &Session<'_>, conditions: &[Vec<String>; 5], is_chosen: bool) -> Result<Option<u64>> {
    match session.brief_advice(&query(conditions, is_chosen)).await? {
        AdvisoryRows::Rows(rows) => rows.first().map(|row| row.number(0)).transpose(),
        AdvisoryRows::Refused(_) => Ok(None),
    }
}

fn query(conditions: &[Vec<String>; 5], is_chosen: bool) -> String {
    let relations = LeftOutTables::new(conditions).relations;
    let [_, _, without_rows, ..] = conditions;
    // Large objects belong to no part that was chosen by name.
    let large_objects = match is_chosen {
        true => "0",
        // In parentheses: operators that are written so have one precedence.
        false => "(2 OPERATOR(pg_catalog.*) pg_catalog.pg_table_size('pg_catalog.pg_largeobject'::pg_catalog.regclass))",
    };
    format!(
        "WITH RECURSIVE {relations}, {},
             locked AS (SELECT l.relation FROM pg_catalog.pg_locks l
                 WHERE l.mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock' AND l.relation IS NOT NULL)
         SELECT (coalesce(pg_catalog.sum(CASE WHEN c.oid OPERATOR(pg_catalog.=) ANY (SELECT relation FROM locked)
                     THEN c.relpages::pg_catalog.int8 OPERATOR(pg_catalog.*) 8192
                     ELSE pg_catalog.pg_table_size(c.oid::pg_catalog.regclass) END), 0)
                 OPERATOR(pg_catalog.+) {large_objects})::pg_catalog.int8
         FROM pg_catalog.pg_class c
         WHERE c.relkind OPERATOR(pg_catalog.=) 'r'
           AND c.oid OPERATOR(pg_catalog.=) ANY (SELECT oid FROM left_over EXCEPT SELECT oid FROM without_rows)",
        with_children("without_rows", without_rows)
    )
}
