//! What a part of a database needs and does not have in it: `pg_dump` takes along what a table owns, not what it uses. Such a
//! backup is whole as a part, and restores only where the rest is already.
//!
//! All of it is read from `pg_depend`: what the part writes, what that depends on, and which of this is not written. A
//! function's body that is text names nothing there.

use super::Selection;
use super::left_out::{IN_SCHEMAS, LeftOutTables, OUTSIDE, is_written};
use super::with_children;
use crate::error::Result;
use crate::rds::preflight::{NameSample, names};
use crate::rds::session::Session;

/// Catalogs of what belongs to a relation, the columns that say which it is and to which, and the class that `pg_depend` has
/// it under.
const PARTS: [(&str, &str, &str, &str); 8] = [
    ("pg_class", "oid", "oid", "pg_class"),
    ("pg_attrdef", "oid", "adrelid", "pg_attrdef"),
    ("pg_constraint", "oid", "conrelid", "pg_constraint"),
    ("pg_index", "indexrelid", "indrelid", "pg_class"),
    ("pg_policy", "oid", "polrelid", "pg_policy"),
    ("pg_rewrite", "oid", "ev_class", "pg_rewrite"),
    ("pg_statistic_ext", "oid", "stxrelid", "pg_statistic_ext"),
    ("pg_trigger", "oid", "tgrelid", "pg_trigger"),
];

/// The same for what belongs to something else that lies in a schema: what it is, the column that says to which, and that
/// one's catalog. A composite type's columns are those of a relation.
const OF_OTHERS: [(&str, &str, &str); 4] = [
    ("pg_class", "reltype", "pg_type"),
    ("pg_constraint", "contypid", "pg_type"),
    ("pg_amop", "amopfamily", "pg_opfamily"),
    ("pg_amproc", "amprocfamily", "pg_opfamily"),
];

/// Warnings that name what is missing, if anything is.
pub(super) async fn check(session: &Session<'_>, conditions: &[Vec<String>; 5], selection: &Selection) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    warnings.extend(match names(session, &query(conditions)).await? {
        Ok(names) if names.is_empty() => None,
        Ok(names) => Some(format!(
            "what was chosen needs what is not in this dump, and must be there before it is restored: {names}"
        )),
        Err(why) => Some(format!(
            "whether what was chosen needs more than is in this dump could not be looked at: {why}"
        )),
    });
    if selection.exclude_table_data.is_empty() {
        return Ok(warnings);
    }
    warnings.extend(match names(session, &rows(conditions)).await? {
        Ok(names) if names.is_empty() => None,
        Ok(names) => Some(format!(
            "rows that are in this dump reference rows that exclude_table_data leaves out, and a restore fails at these foreign keys: {names}"
        )),
        Err(why) => Some(format!(
            "whether rows reference others that exclude_table_data leaves out could not be looked at: {why}"
        )),
    });
    Ok(warnings)
}

/// Foreign keys between a table whose rows come along and one whose rows do not. One that was never validated is restored so.
fn rows(conditions: &[Vec<String>; 5]) -> String {
    let relations = LeftOutTables::new(conditions).relations;
    let [_, _, without_rows, ..] = conditions;
    let from = format!(
        "FROM (WITH RECURSIVE {relations}, {}
             SELECT k.oid FROM pg_catalog.pg_constraint k
             WHERE k.contype OPERATOR(pg_catalog.=) 'f' AND k.convalidated
               AND k.conrelid OPERATOR(pg_catalog.=) ANY (SELECT oid FROM left_over EXCEPT SELECT oid FROM without_rows)
               AND k.confrelid OPERATOR(pg_catalog.=) ANY (SELECT oid FROM left_over INTERSECT SELECT oid FROM without_rows)
               AND pg_catalog.pg_relation_size(k.conrelid) OPERATOR(pg_catalog.>) 0) x",
        with_children("without_rows", without_rows)
    );
    let described = "coalesce(pg_catalog.pg_describe_object('pg_catalog.pg_constraint'::pg_catalog.regclass, x.oid, 0), '-')";
    NameSample::query(described, &from, "1")
}

/// SQL that holds of something under a class of `pg_depend`.
fn is_of(class: &str, catalog: &str) -> String {
    format!("{class} OPERATOR(pg_catalog.=) 'pg_catalog.{catalog}'::pg_catalog.regclass")
}

/// SQL for all that the part writes: rows of class and oid.
fn written(schemas: &str, is_chosen: bool) -> String {
    let class = |catalog: &str| format!("'pg_catalog.{catalog}'::pg_catalog.regclass::pg_catalog.oid");
    let mut written: Vec<String> = Vec::new();
    for (catalog, part, relation, under) in PARTS {
        written.push(format!(
            "SELECT {} AS classid, p.{part} AS objid FROM left_over l
             JOIN pg_catalog.{catalog} p ON p.{relation} OPERATOR(pg_catalog.=) l.oid",
            class(under)
        ));
    }
    let lying = |catalog: &str, column: &str| {
        format!(
            "pg_catalog.{catalog} o JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) o.{column} AND {schemas}
             AND {}",
            is_written(catalog)
        )
    };
    for (catalog, column) in IN_SCHEMAS {
        written.push(format!("SELECT {}, o.oid FROM {}", class(catalog), lying(catalog, column)));
    }
    for (catalog, owner, of) in OF_OTHERS {
        let column = IN_SCHEMAS
            .iter()
            .find(|(catalog, _)| *catalog == of)
            .map_or("oid", |(_, column)| column);
        let only = match catalog {
            "pg_class" => "p.relkind OPERATOR(pg_catalog.=) 'c'",
            _ => "true",
        };
        written.push(format!(
            "SELECT {}, p.oid FROM {} JOIN pg_catalog.{catalog} p ON p.{owner} OPERATOR(pg_catalog.=) o.oid AND {only}",
            class(catalog),
            lying(of, column)
        ));
    }
    if !is_chosen {
        for catalog in OUTSIDE {
            written.push(format!(
                "SELECT {}, o.oid FROM pg_catalog.{catalog} o WHERE {}",
                class(catalog),
                is_written(catalog)
            ));
        }
        written.push(format!(
            "SELECT {}, p.oid FROM left_over l JOIN pg_catalog.pg_publication_rel p ON p.prrelid OPERATOR(pg_catalog.=) l.oid",
            class("pg_publication_rel")
        ));
    }
    written.join(" UNION ALL ")
}

/// Common table expressions, the last of them `written`.
pub(super) fn written_by(conditions: &[Vec<String>; 5]) -> String {
    let LeftOutTables { relations, schemas, .. } = LeftOutTables::new(conditions);
    format!("{relations}, written AS ({})", written(&schemas, is_chosen(conditions)))
}

/// What belongs to an extension comes with it. With no part that was chosen by name comes an extension, or anything else
/// that lies in no schema.
fn is_chosen([tables, _, _, schemas, _]: &[Vec<String>; 5]) -> bool {
    !tables.is_empty() || !schemas.is_empty()
}

fn query(conditions: &[Vec<String>; 5]) -> String {
    let schemas = LeftOutTables::new(conditions).schemas;
    let ([tables, ..], is_chosen) = (conditions, is_chosen(conditions));
    let in_schemas = IN_SCHEMAS.map(|(catalog, column)| {
        format!(
            "WHEN {} THEN NOT EXISTS (SELECT FROM pg_catalog.{catalog} o
                 JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) o.{column}
                 WHERE o.oid OPERATOR(pg_catalog.=) r.objid AND {schemas})",
            is_of("r.classid", catalog)
        )
    });
    let outside: Vec<String> = OUTSIDE.iter().map(|catalog| is_of("r.classid", catalog)).collect();
    // The schemas of chosen tables are made by a restore. One named public is there.
    let is_schema_missing = match &tables[..] {
        [] => format!(
            "NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.oid OPERATOR(pg_catalog.=) r.objid
                 AND (({schemas}) OR n.nspname OPERATOR(pg_catalog.=) 'public'))"
        ),
        _ => "false".to_owned(),
    };
    // A part of something else (the type of a table's rows, or of arrays) comes with what it is a part of. Owned sequences
    // come with their table.
    let from = format!(
        "FROM (WITH RECURSIVE {written}, used AS (
                 SELECT d.refclassid AS classid, d.refobjid AS objid FROM written w
                 JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) w.classid AND d.objid OPERATOR(pg_catalog.=) w.objid
                     AND d.refobjid OPERATOR(pg_catalog.>=) '16384'::pg_catalog.oid
                     AND d.deptype OPERATOR(pg_catalog.=) ANY ('{{n,a,i}}'::pg_catalog.\"char\"[])
                 UNION
                 SELECT d.refclassid, d.refobjid FROM used u
                 JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) u.classid AND d.objid OPERATOR(pg_catalog.=) u.objid
                     AND d.deptype OPERATOR(pg_catalog.=) 'i'),
             roots AS (
                 SELECT u.classid, u.objid FROM used u WHERE NOT EXISTS (
                     SELECT FROM pg_catalog.pg_depend d WHERE d.classid OPERATOR(pg_catalog.=) u.classid
                         AND d.objid OPERATOR(pg_catalog.=) u.objid AND d.deptype OPERATOR(pg_catalog.=) 'i'
                         AND NOT (d.refclassid OPERATOR(pg_catalog.=) u.classid AND d.refobjid OPERATOR(pg_catalog.=) u.objid)))
             SELECT coalesce(m.refclassid, r.classid) AS classid, coalesce(m.refobjid, r.objid) AS objid FROM roots r
             LEFT JOIN pg_catalog.pg_depend m ON m.classid OPERATOR(pg_catalog.=) r.classid AND m.objid OPERATOR(pg_catalog.=) r.objid
                 AND m.deptype OPERATOR(pg_catalog.=) 'e'
             WHERE CASE
                 WHEN m.objid IS NOT NULL THEN {is_chosen}
                 WHEN {is_relation} THEN
                     EXISTS (SELECT FROM pg_catalog.pg_class o WHERE o.oid OPERATOR(pg_catalog.=) r.objid
                             AND o.relkind OPERATOR(pg_catalog.=) ANY ('{{r,p,v,m,f,S}}'::pg_catalog.\"char\"[]))
                     AND NOT r.objid OPERATOR(pg_catalog.=) ANY (SELECT oid FROM left_over)
                     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend w JOIN left_over l ON l.oid OPERATOR(pg_catalog.=) w.refobjid
                             WHERE w.classid OPERATOR(pg_catalog.=) r.classid AND w.objid OPERATOR(pg_catalog.=) r.objid
                               AND w.refclassid OPERATOR(pg_catalog.=) r.classid
                               AND w.deptype OPERATOR(pg_catalog.=) ANY ('{{a,i}}'::pg_catalog.\"char\"[]))
                 WHEN {is_schema} THEN {is_schema_missing}
                 WHEN {} THEN {is_chosen}
                 {}
                 ELSE false END
             GROUP BY 1, 2) x",
        outside.join(" OR "),
        in_schemas.join(" "),
        written = written_by(conditions),
        is_relation = is_of("r.classid", "pg_class"),
        is_schema = is_of("r.classid", "pg_namespace"),
    );
    NameSample::query("coalesce(pg_catalog.pg_describe_object(x.classid, x.objid, 0), '-')", &from, "1")
}
