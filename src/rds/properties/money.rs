//! How the server writes amounts of type `money`: in the locale of `lc_monetary`, which `pg_dump` neither sets nor tells. Read in
//! another one, `$ 12,50` is 1,250.

use crate::error::Result;
use crate::format::database_properties::MoneyFormat;
use crate::format::inventory::TableRows;
use crate::format::table_name::TableName;
use crate::format::unhex_all;
use crate::rds::session::{self, AdvisoryRows, Session};
use std::collections::BTreeSet;

/// More tables than these are not asked one by one.
const MAX_TABLES: usize = 10_000;

/// The type, its arrays, and all that is made of these: domains, composite types, rows of tables, ranges.
const KINDS: &str = "kinds AS (
    SELECT m.oid FROM pg_catalog.unnest('{790,791}'::pg_catalog.oid[]) m(oid)
    UNION SELECT w.whole FROM kinds k JOIN (
        SELECT t.typbasetype AS part, t.oid AS whole FROM pg_catalog.pg_type t
        UNION ALL SELECT t.typelem, t.oid FROM pg_catalog.pg_type t
        UNION ALL SELECT a.atttypid, c.reltype FROM pg_catalog.pg_attribute a
            JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) a.attrelid
            WHERE a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped AND c.reltype OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
        UNION ALL SELECT r.rngsubtype, r.rngtypid FROM pg_catalog.pg_range r
        UNION ALL SELECT r.rngsubtype, (pg_catalog.row_to_json(r) OPERATOR(pg_catalog.->>) 'rngmultitypid')::pg_catalog.oid
            FROM pg_catalog.pg_range r) w ON w.part OPERATOR(pg_catalog.=) k.oid
    WHERE w.whole IS NOT NULL)";

/// Ordinary and partitioned tables, of whose rows alone a dump has text.
const TABLES: &str = "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog.\"char\"[]) AND EXISTS (
        SELECT FROM pg_catalog.pg_attribute a JOIN kinds k ON k.oid OPERATOR(pg_catalog.=) a.atttypid
        WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped)";

/// Catalogs with expressions, which a dump has as text with all constants in them, and which read text as amounts: a catalog `o`, the class that its rows
/// have in `pg_depend`, their oid, and which of them have any. Majors differ in their columns: whole rows are looked through.
const CODE: [(&str, &str, &str, &str); 11] = [
    ("pg_rewrite", "pg_rewrite", "o.oid", "true"),
    ("pg_constraint", "pg_constraint", "o.oid", "o.conbin IS NOT NULL"),
    ("pg_attrdef", "pg_attrdef", "o.oid", "true"),
    ("pg_type", "pg_type", "o.oid", "o.typdefaultbin IS NOT NULL"),
    (
        "pg_index",
        "pg_class",
        "o.indexrelid",
        "o.indexprs IS NOT NULL OR o.indpred IS NOT NULL",
    ),
    ("pg_policy", "pg_policy", "o.oid", "true"),
    ("pg_trigger", "pg_trigger", "o.oid", "o.tgqual IS NOT NULL"),
    ("pg_proc", "pg_proc", "o.oid", "o.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid"),
    ("pg_class", "pg_class", "o.oid", "o.relispartition"),
    ("pg_statistic_ext", "pg_statistic_ext", "o.oid", "true"),
    ("pg_publication_rel", "pg_publication_rel", "o.oid", "true"),
];

/// Where a dump can have amounts.
#[derive(Clone, Debug)]
pub(super) struct Amounts {
    pub(super) format: MoneyFormat,
    /// Constants of views, defaults, checks and the like.
    are_in_code: bool,
    /// Those with columns for them. `None`: too many, or of names that a dump may have otherwise.
    tables: Option<BTreeSet<TableName>>,
}

impl Amounts {
    /// Whether a dump with these rows can have one: else its locale is nobody's business.
    pub(super) fn can_be_in(&self, dumped: &[TableRows]) -> bool {
        let Some(tables) = self.tables.as_ref().filter(|_| !self.are_in_code) else {
            return true;
        };
        let has_one = |table: &TableRows| TableName::parse(&table.name).is_none_or(|name| tables.contains(&name));
        dumped.iter().any(|table| table.rows > 0 && has_one(table))
    }
}

/// `part`: what a dump that is not of the whole database has, see `DumpSelection`.
fn query(part: Option<&str>) -> String {
    let (part, is_dumped) = match part {
        Some(part) => (
            format!("{part}, "),
            "EXISTS (SELECT FROM written w WHERE w.classid OPERATOR(pg_catalog.=) x.classid AND w.objid OPERATOR(pg_catalog.=) x.objid)",
        ),
        None => (String::new(), "x.objid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid"),
    };
    let code = CODE.map(|(catalog, class, oid, has_code)| {
        format!(
            "SELECT 'pg_catalog.{class}'::pg_catalog.regclass::pg_catalog.oid AS classid, {oid} AS objid,
                 pg_catalog.format('%s', o) AS tree FROM pg_catalog.{catalog} o WHERE {has_code}"
        )
    });
    let code = format!("(SELECT x.tree FROM ({}) x WHERE {is_dumped}) x", code.join(" UNION ALL "));
    let written = MoneyFormat::AMOUNTS.map(|amount| {
        session::name(&format!(
            "pg_catalog.format('%s', '{amount}'::pg_catalog.numeric::pg_catalog.money)"
        ))
    });
    // Constants, and text that is read as an amount when the code runs.
    let places = ["const", "result"]
        .into_iter()
        .flat_map(|kind| [790, 791].map(|of_type| (kind, of_type)));
    let is_plain: Vec<String> = places
        .map(|(kind, of_type)| format!("pg_catalog.strpos(x.tree, ':{kind}type {of_type} ') OPERATOR(pg_catalog.>) 0"))
        .collect();
    let is_plain = is_plain.join(" OR ");
    format!(
        "WITH RECURSIVE {part}{KINDS} SELECT {locale}, {written},
             EXISTS (SELECT FROM {code} WHERE {is_plain})
             OR ((SELECT pg_catalog.count(*) FROM kinds) OPERATOR(pg_catalog.>) 2 AND EXISTS (
                 SELECT FROM {code} CROSS JOIN LATERAL pg_catalog.regexp_matches(x.tree, ':(?:const|result)type ([0-9]+) ', 'g') m(found)
                 JOIN kinds k ON k.oid OPERATOR(pg_catalog.=) (m.found)[1]::pg_catalog.oid)),
             coalesce((SELECT pg_catalog.string_agg(pg_catalog.concat({schema}, '.', {table}), ',')
                 FROM (SELECT n.nspname, c.relname {TABLES} LIMIT {limit}) t), '')",
        locale = session::name("pg_catalog.current_setting('lc_monetary')"),
        written = written.join(", "),
        schema = session::name("t.nspname"),
        table = session::name("t.relname"),
        limit = MAX_TABLES + 1,
    )
}

/// `None` where the dump cannot have any. The login's settings are those of `pg_dump`'s.
pub(super) async fn ask(
    session: &Session<'_>,
    part: Option<&str>,
    dump_encoding: Option<&str>,
) -> Result<(Option<Amounts>, Option<String>)> {
    let why = match session.advice(&query(part)).await? {
        AdvisoryRows::Rows(rows) => {
            let Some(row) = rows.first() else { return Ok((None, None)) };
            let (are_in_code, tables) = (row.flag(3)?, table_names(row.text(4)?, dump_encoding));
            if !are_in_code && tables.as_ref().is_some_and(BTreeSet::is_empty) {
                return Ok((None, None));
            }
            let text = |column: usize| Ok::<_, crate::error::Error>(String::from_utf8(row.bytes(column)?).ok());
            match (text(0)?, text(1)?, text(2)?) {
                (Some(locale), Some(above), Some(below)) => {
                    let format = MoneyFormat {
                        locale,
                        samples: [above, below],
                    };
                    let amounts = Amounts {
                        format,
                        are_in_code,
                        tables,
                    };
                    return Ok((Some(amounts), None));
                }
                _ => "they are no text in UTF-8".to_owned(),
            }
        }
        AdvisoryRows::Refused(why) => why,
    };
    Ok((
        None,
        Some(format!(
            "how amounts of type money are written could not be looked at, and a restore cannot tell whether it reads them right: {why}"
        )),
    ))
}

/// As the inventory will have them. In a dump that is not in UTF-8 it may have other letters in other bytes.
fn table_names(listed: &str, dump_encoding: Option<&str>) -> Option<BTreeSet<TableName>> {
    let is_same = |part: &[u8]| part.is_ascii() || matches!(dump_encoding, Some("UTF8" | "SQL_ASCII"));
    let listed: Vec<&str> = listed.split(',').filter(|name| !name.is_empty()).collect();
    if listed.len() > MAX_TABLES {
        return None;
    }
    let name = |listed: &&str| {
        let parts: Vec<Vec<u8>> = listed.split('.').map(unhex_all).collect::<Option<_>>()?;
        parts.iter().all(|part| is_same(part)).then(|| TableName::new(parts))
    };
    listed.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(are_in_code: bool, tables: Option<&[&str]>) -> Amounts {
        let named = |names: &[&str]| names.iter().filter_map(|name| TableName::parse(name)).collect();
        Amounts {
            format: MoneyFormat {
                locale: "C".to_owned(),
                samples: Default::default(),
            },
            are_in_code,
            tables: tables.map(named),
        }
    }

    #[test]
    fn amounts_are_where_code_or_rows_may_have_them() {
        let rows = |name: &str, rows| TableRows {
            name: name.to_owned(),
            rows,
            bytes: 0,
            ..TableRows::default()
        };
        let dumped = [rows("public.pay", 0), rows("public.keep", 7)];
        assert!(!amounts(false, Some(&["public.pay", "public.other"])).can_be_in(&dumped));
        assert!(amounts(false, Some(&["public.keep"])).can_be_in(&dumped));
        assert!(amounts(true, Some(&[])).can_be_in(&dumped));
        assert!(amounts(false, None).can_be_in(&dumped));
    }

    /// A name in another encoding than the dump's may be a table that has amounts.
    #[test]
    fn names_are_the_inventorys_or_none() {
        let listed = "7075626c6963.706179,7075626c6963.c3a9";
        assert_eq!(table_names(listed, Some("UTF8")).map(|names| names.len()), Some(2));
        assert_eq!(table_names(listed, Some("WIN1252")), None);
        assert_eq!(table_names("7075626c6963.706179", None).map(|names| names.len()), Some(1));
        assert_eq!(table_names("", None), Some(BTreeSet::new()));
    }
}
