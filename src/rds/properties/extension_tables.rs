//! What users added to an extension's tables and domains: `pg_dump` leaves these to `CREATE EXTENSION`, and with them every
//! index, trigger, constraint, rule, policy, statistics object and default, no matter who made it.
//!
//! The catalog does not say who made it: parts of tables are no members of an extension. A trigger is a user's if its function
//! is, a foreign key if it references a user's table. All else is one's if it is younger than the table's membership and of
//! no transaction in which the extension was made or changed. Where `pg_upgrade` made every object in a transaction of its
//! own, or many in one (since 17), that tells nothing and is not asked. `REINDEX CONCURRENTLY` makes an index young: then an
//! extension's own is told, too.

use crate::error::Result;
use crate::rds::preflight::{NameSample, names};
use crate::rds::session::Session;

const CLASSES: [&str; 7] = [
    "pg_class",
    "pg_constraint",
    "pg_trigger",
    "pg_rewrite",
    "pg_policy",
    "pg_statistic_ext",
    "pg_attrdef",
];

/// A warning, if there is anything.
pub(super) async fn ask(session: &Session<'_>) -> Result<Option<String>> {
    Ok(match names(session, &query()).await? {
        Ok(names) if names.is_empty() => None,
        Ok(names) => Some(format!(
            "pg_dump leaves the tables of extensions to CREATE EXTENSION, and what was added to them out of the dump; add it again after a \
             restore (an index that REINDEX CONCURRENTLY has rebuilt may be the extension's own): {names}"
        )),
        Err(why) => Some(format!(
            "whether something was added to tables of extensions, which no dump holds, could not be looked at: {why}"
        )),
    })
}

fn query() -> String {
    let class = |catalog: &str| format!("'pg_catalog.{catalog}'::pg_catalog.regclass");
    let classes = CLASSES.map(|catalog| format!("p.classid OPERATOR(pg_catalog.=) {}", class(catalog)));
    let is_no_member = |catalog: &str, oid: &str| {
        format!(
            "{oid} OPERATOR(pg_catalog.>=) '16384'::pg_catalog.oid AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                 WHERE e.classid OPERATOR(pg_catalog.=) {} AND e.objid OPERATOR(pg_catalog.=) {oid}
                   AND e.deptype OPERATOR(pg_catalog.=) 'e')",
            class(catalog)
        )
    };
    // An extension that was made in the usual way has members of its own transaction.
    let from = format!(
        "FROM (WITH memberships AS (
                 SELECT e.classid, e.objid, e.refobjid AS extension, e.xmin AS made FROM pg_catalog.pg_depend e
                 WHERE e.refclassid OPERATOR(pg_catalog.=) {extension} AND e.deptype OPERATOR(pg_catalog.=) 'e'),
             births AS (
                 SELECT x.oid AS extension, coalesce((SELECT d.xmin FROM pg_catalog.pg_depend d
                     WHERE d.classid OPERATOR(pg_catalog.=) {extension} AND d.objid OPERATOR(pg_catalog.=) x.oid
                       AND d.refclassid OPERATOR(pg_catalog.=) {namespace} LIMIT 1), x.xmin) AS made, x.xmin AS changed
                 FROM pg_catalog.pg_extension x),
             usual AS (
                 SELECT b.extension, b.made, b.changed FROM births b WHERE EXISTS (
                     SELECT FROM memberships m WHERE m.extension OPERATOR(pg_catalog.=) b.extension
                         AND m.made OPERATOR(pg_catalog.=) b.made)
                   AND NOT EXISTS (
                     SELECT FROM memberships m WHERE m.extension OPERATOR(pg_catalog.=) b.extension
                         AND pg_catalog.age(m.made) OPERATOR(pg_catalog.>) pg_catalog.age(b.made))
                   AND NOT EXISTS (
                     SELECT FROM pg_catalog.pg_depend s JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) s.objid
                         AND c.relkind OPERATOR(pg_catalog.=) 'r'
                     WHERE s.classid OPERATOR(pg_catalog.=) {relation} AND s.refclassid OPERATOR(pg_catalog.=) {namespace}
                         AND s.xmin OPERATOR(pg_catalog.=) b.made
                         AND NOT EXISTS (SELECT FROM memberships o WHERE o.classid OPERATOR(pg_catalog.=) {relation}
                             AND o.objid OPERATOR(pg_catalog.=) c.oid))),
             parts AS (
                 SELECT p.classid, p.objid, p.xmin AS made, m.extension, m.made AS member_since FROM memberships m
                 JOIN pg_catalog.pg_depend p ON p.refclassid OPERATOR(pg_catalog.=) m.classid
                     AND p.refobjid OPERATOR(pg_catalog.=) m.objid AND p.deptype OPERATOR(pg_catalog.=) ANY ('{{a,i}}'::pg_catalog.\"char\"[])
                 WHERE (m.classid OPERATOR(pg_catalog.=) {relation} OR m.classid OPERATOR(pg_catalog.=) {kind})
                   AND ({classes})
                   AND NOT EXISTS (SELECT FROM memberships o WHERE o.classid OPERATOR(pg_catalog.=) p.classid
                         AND o.objid OPERATOR(pg_catalog.=) p.objid))
             SELECT DISTINCT p.classid, p.objid FROM parts p
             LEFT JOIN usual u ON u.extension OPERATOR(pg_catalog.=) p.extension
             WHERE CASE
                 WHEN p.classid OPERATOR(pg_catalog.=) {relation} THEN EXISTS (
                     SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) p.objid
                         AND c.relkind OPERATOR(pg_catalog.=) ANY ('{{i,I}}'::pg_catalog.\"char\"[]))
                 WHEN p.classid OPERATOR(pg_catalog.=) {rule} THEN EXISTS (
                     SELECT FROM pg_catalog.pg_rewrite r WHERE r.oid OPERATOR(pg_catalog.=) p.objid
                         AND r.rulename OPERATOR(pg_catalog.<>) '_RETURN')
                 ELSE true END
               AND (EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE p.classid OPERATOR(pg_catalog.=) {trigger}
                        AND t.oid OPERATOR(pg_catalog.=) p.objid AND {of_user})
                 OR EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE p.classid OPERATOR(pg_catalog.=) {constraint}
                        AND k.oid OPERATOR(pg_catalog.=) p.objid AND {to_user})
                 OR (u.extension IS NOT NULL
                     AND pg_catalog.age(p.made) OPERATOR(pg_catalog.<) pg_catalog.age(p.member_since)
                     AND NOT p.made OPERATOR(pg_catalog.=) u.changed
                     AND NOT p.made OPERATOR(pg_catalog.=) u.made
                     AND NOT EXISTS (SELECT FROM memberships m WHERE m.extension OPERATOR(pg_catalog.=) p.extension
                         AND m.made OPERATOR(pg_catalog.=) p.made)))) x",
        extension = class("pg_extension"),
        namespace = class("pg_namespace"),
        relation = class("pg_class"),
        kind = class("pg_type"),
        rule = class("pg_rewrite"),
        trigger = class("pg_trigger"),
        constraint = class("pg_constraint"),
        of_user = is_no_member("pg_proc", "t.tgfoid"),
        to_user = is_no_member("pg_class", "k.confrelid"),
        classes = classes.join(" OR "),
    );
    NameSample::query("coalesce(pg_catalog.pg_describe_object(x.classid, x.objid, 0), '-')", &from, "1")
}
