//! Whether exclusions leave anything that `pg_dump` writes: each pattern may match, and still all of it be taken away again.

use super::{IS_IDENTITY, OF_USERS, TABLES, with_children};
use crate::error::{Code, Error, Result};
use crate::format::names::DatabaseName;
use crate::rds::session::Session;

/// What lies in a schema beside relations, and the column that says in which. Statistics go with their table.
pub(super) const IN_SCHEMAS: [(&str, &str); 12] = [
    ("pg_proc", "pronamespace"),
    ("pg_type", "typnamespace"),
    ("pg_operator", "oprnamespace"),
    ("pg_opclass", "opcnamespace"),
    ("pg_opfamily", "opfnamespace"),
    ("pg_collation", "collnamespace"),
    ("pg_conversion", "connamespace"),
    ("pg_ts_parser", "prsnamespace"),
    ("pg_ts_dict", "dictnamespace"),
    ("pg_ts_template", "tmplnamespace"),
    ("pg_ts_config", "cfgnamespace"),
    ("pg_default_acl", "defaclnamespace"),
];

/// What lies in no schema: `pg_dump` writes it unless tables or schemas are chosen.
pub(super) const OUTSIDE: [&str; 9] = [
    "pg_extension",
    "pg_language",
    "pg_cast",
    "pg_foreign_data_wrapper",
    "pg_foreign_server",
    "pg_publication",
    "pg_event_trigger",
    "pg_transform",
    "pg_am",
];

/// Of initdb are oids below 16384. What belongs to an extension (`e`) or is a part of something else (`i`: the type of a
/// table's rows or of arrays, the constructor of a range) is never written by itself.
pub(super) fn is_written(catalog: &str) -> String {
    format!(
        "o.oid OPERATOR(pg_catalog.>=) '16384'::pg_catalog.oid AND NOT EXISTS (
             SELECT FROM pg_catalog.pg_depend d WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.{catalog}'::pg_catalog.regclass
                 AND d.objid OPERATOR(pg_catalog.=) o.oid AND d.deptype OPERATOR(pg_catalog.=) ANY ('{{e,i}}'::pg_catalog.\"char\"[]))"
    )
}

/// SQL: something but relations is in the schemas for which the condition holds.
fn others(schemas: &str) -> String {
    let exists = IN_SCHEMAS.map(|(catalog, column)| {
        format!(
            "EXISTS (SELECT FROM pg_catalog.{catalog} o JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) o.{column}
                 WHERE {schemas} AND {})",
            is_written(catalog)
        )
    });
    exists.join(" OR ")
}

/// SQL: something is there that lies in no schema. Users choose the oids of large objects.
fn outside() -> String {
    let exists = OUTSIDE.map(|catalog| format!("EXISTS (SELECT FROM pg_catalog.{catalog} o WHERE {})", is_written(catalog)));
    let more = "EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)
        OR EXISTS (SELECT FROM pg_catalog.pg_default_acl o WHERE o.defaclnamespace OPERATOR(pg_catalog.=) '0'::pg_catalog.oid)";
    format!("{} OR {more}", exists.join(" OR "))
}

/// Refuses a selection whose exclusions take everything away. Gives a warning where no table is in it, but something else,
/// or where nothing was there in the first place.
pub(super) async fn check(session: &Session<'_>, conditions: &[Vec<String>; 5], database: &DatabaseName) -> Result<Option<String>> {
    let [tables, exclude_tables, _, _, exclude_schemas] = conditions;
    let row = session.row(&query(conditions)).await?;
    let (table_is_meant, table_is_left) = (row.flag(0)?, row.flag(1)?);
    let (is_meant, is_left) = (table_is_meant || row.flag(2)?, table_is_left || row.flag(3)?);
    let (schema_is_meant, schema_is_left) = (row.flag(4)?, row.flag(5)?);
    // A schema with nothing in it is a backup only where there never was more.
    if !is_left && (is_meant || (schema_is_meant && !schema_is_left)) {
        let field = match (exclude_tables.is_empty(), tables.is_empty() && !exclude_schemas.is_empty()) {
            (true, true) => "exclude_schemas",
            _ => "exclude_tables",
        };
        let message = format!(
            "leaves nothing of what was chosen in the database {}: such a backup would be empty",
            database.as_str()
        );
        return Err(Error::field(Code::BadEvent, field, message));
    }
    Ok((!table_is_left).then(|| "no table, view or sequence is in this selection".to_owned()))
}

/// What a selection leaves: common table expressions of relations (`wanted` and, less what is left out, `left_over`), and
/// conditions on schemas.
pub(super) struct LeftOutTables {
    pub relations: String,
    chosen: String,
    /// Of schemas `n` whose other objects are dumped: none where tables are chosen.
    pub schemas: String,
}

impl LeftOutTables {
    pub(crate) fn new([tables, exclude_tables, _, schemas, exclude_schemas]: &[Vec<String>; 5]) -> Self {
        let any = |conditions: &[String]| match conditions {
            [] => "false".to_owned(),
            some => format!("({})", some.join(" OR ")),
        };
        let chosen = match &schemas[..] {
            [] => format!("({OF_USERS})"),
            some => format!("({OF_USERS} AND {})", any(some)),
        };
        let out = any(exclude_schemas);
        // Beside tables pg_dump passes over schemas, those to be left out as well.
        let (wanted, left_out) = match &tables[..] {
            [] => (format!("wanted AS (SELECT c.oid {TABLES} AND {chosen})"), out.clone()),
            some => (with_children("wanted", some), "false".to_owned()),
        };
        let unwanted = with_children("unwanted", exclude_tables);
        Self {
            relations: format!(
                "{wanted}, {unwanted}, left_over AS (
                     SELECT oid FROM wanted EXCEPT SELECT oid FROM unwanted EXCEPT SELECT c.oid {TABLES} AND {left_out})"
            ),
            schemas: match tables.is_empty() {
                true => format!("{chosen} AND NOT {out}"),
                false => "false".to_owned(),
            },
            chosen,
        }
    }
}

/// Six flags: for relations, for all else, and for schemas themselves, whether one is meant and whether one is left.
fn query(conditions: &[Vec<String>; 5]) -> String {
    let [tables, _, _, schemas, _] = conditions;
    let left = LeftOutTables::new(conditions);
    // A schema named public is there anyway, unless it was chosen.
    let named = match &schemas[..] {
        [] => "n.nspname OPERATOR(pg_catalog.<>) 'public'",
        _ => "true",
    };
    let schema = |condition: &str| {
        format!(
            "EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE {condition} AND {named} AND NOT EXISTS (
                 SELECT FROM pg_catalog.pg_depend d WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass
                     AND d.objid OPERATOR(pg_catalog.=) n.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'))"
        )
    };
    let other = |of: &str| match (&tables[..], &schemas[..]) {
        ([], []) => format!("({} OR {})", others(of), outside()),
        ([], _) => format!("({})", others(of)),
        _ => "false".to_owned(),
    };
    let schema = |of: &str| if tables.is_empty() { schema(of) } else { "false".to_owned() };
    let relation = |of: &str| {
        format!("EXISTS (SELECT FROM {of} JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) {of}.oid WHERE NOT {IS_IDENTITY})")
    };
    let LeftOutTables {
        relations,
        chosen,
        schemas: of_left,
    } = &left;
    format!(
        "WITH RECURSIVE {relations} SELECT {}, {}, {}, {}, {}, {}",
        relation("wanted"),
        relation("left_over"),
        other(chosen),
        other(of_left),
        schema(chosen),
        schema(of_left),
    )
}
