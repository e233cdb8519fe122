//! What a part of a database needs and does not have in it: `pg_dump` takes along what a table owns, not what it uses. Such a
//! backup is whole as a part, and restores only where the rest is already.

use super::left::Left;
use crate::error::Result;
use crate::rds::preflight::{Names, names};
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

/// What else lies in a schema and may be used, and the column that says in which.
const USED: [(&str, &str); 5] = [
    ("pg_proc", "pronamespace"),
    ("pg_operator", "oprnamespace"),
    ("pg_opclass", "opcnamespace"),
    ("pg_collation", "collnamespace"),
    ("pg_ts_config", "cfgnamespace"),
];

/// A warning that names what is missing, if anything is.
pub(super) async fn check(session: &Session, conditions: &[Vec<String>; 5]) -> Result<Option<String>> {
    Ok(match names(session, &query(conditions)).await? {
        Ok(names) if names.is_empty() => None,
        Ok(names) => Some(format!(
            "what was chosen needs what is not in this dump, and must be there before it is restored: {names}"
        )),
        Err(why) => Some(format!(
            "whether what was chosen needs more than is in this dump could not be looked at: {why}"
        )),
    })
}

fn query(conditions: &[Vec<String>; 5]) -> String {
    let Left { relations, schemas, .. } = Left::of(conditions);
    let parts = PARTS.map(|(catalog, part, relation, class)| {
        format!(
            "SELECT d.refclassid, d.refobjid FROM left_over l JOIN pg_catalog.{catalog} p ON p.{relation} OPERATOR(pg_catalog.=) l.oid
             JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.{class}'::pg_catalog.regclass
                 AND d.objid OPERATOR(pg_catalog.=) p.{part}"
        )
    });
    let lies_in = |catalog: &str, column: &str| {
        format!(
            "EXISTS (SELECT FROM pg_catalog.{catalog} o JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) o.{column}
                 WHERE o.oid OPERATOR(pg_catalog.=) u.refobjid AND {schemas})"
        )
    };
    let used = USED.map(|(catalog, column)| {
        let is_it = format!("u.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.{catalog}'::pg_catalog.regclass");
        format!("WHEN {is_it} THEN NOT {}", lies_in(catalog, column))
    });
    // What belongs to an extension comes with it, and an extension with no part that was chosen by name.
    let [tables, _, _, chosen_schemas, _] = conditions;
    let is_chosen = !tables.is_empty() || !chosen_schemas.is_empty();
    // Owned sequences come along with their table, and so does the type of its rows.
    let from = format!(
        "FROM (WITH RECURSIVE {relations}, used AS ({})
             SELECT coalesce(m.refclassid, u.refclassid) AS refclassid, coalesce(m.refobjid, u.refobjid) AS refobjid FROM used u
             LEFT JOIN pg_catalog.pg_depend m ON m.classid OPERATOR(pg_catalog.=) u.refclassid AND m.objid OPERATOR(pg_catalog.=) u.refobjid
                 AND m.deptype OPERATOR(pg_catalog.=) 'e'
             WHERE u.refobjid OPERATOR(pg_catalog.>=) '16384'::pg_catalog.oid AND CASE
                 WHEN m.objid IS NOT NULL THEN {is_chosen}
                 WHEN u.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass THEN
                     EXISTS (SELECT FROM pg_catalog.pg_class o WHERE o.oid OPERATOR(pg_catalog.=) u.refobjid
                             AND o.relkind OPERATOR(pg_catalog.=) ANY ('{{r,p,v,m,f,S}}'::pg_catalog.\"char\"[]))
                     AND NOT u.refobjid OPERATOR(pg_catalog.=) ANY (SELECT oid FROM left_over)
                     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend w JOIN left_over l ON l.oid OPERATOR(pg_catalog.=) w.refobjid
                             WHERE w.classid OPERATOR(pg_catalog.=) u.refclassid AND w.objid OPERATOR(pg_catalog.=) u.refobjid
                               AND w.refclassid OPERATOR(pg_catalog.=) u.refclassid
                               AND w.deptype OPERATOR(pg_catalog.=) ANY ('{{a,i}}'::pg_catalog.\"char\"[]))
                 WHEN u.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_foreign_server'::pg_catalog.regclass THEN true
                 {}
                 WHEN u.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass THEN NOT {}
                     AND NOT EXISTS (SELECT FROM pg_catalog.pg_type o JOIN left_over l ON l.oid OPERATOR(pg_catalog.=) o.typrelid
                             WHERE o.oid OPERATOR(pg_catalog.=) u.refobjid)
                 ELSE false END
             GROUP BY 1, 2) x",
        parts.join(" UNION "),
        used.join(" "),
        lies_in("pg_type", "typnamespace"),
    );
    Names::query("pg_catalog.pg_describe_object(x.refclassid, x.refobjid, 0)", &from, "1")
}
