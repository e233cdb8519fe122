//! What `pg_dump`'s patterns mean in one database, asked before the dump starts: a pattern that matches nothing is then an
//! error in seconds instead of a smaller backup, and a partitioned table brings its partitions.
//!
//! The patterns are those of psql (its manual, under "Patterns"), turned into regular expressions as PostgreSQL's own
//! `processSQLNamePattern` does. `tests/it/fidelity/patterns.rs` holds the two against each other.

mod left_out;
mod needs;
mod patterns;
mod size;

use super::readable;
use super::session::{self, AdvisoryRows, Session};
use crate::error::{Code, Error, Faults, Result};
use crate::format::database_properties::dump_encoding;
use crate::format::names::DatabaseName;
use crate::format::order::Selection;
use crate::format::sql;
use crate::format::table_name::TableName;
use patterns::condition;
use serde::Serialize;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// From this major on `pg_dump` itself takes the children of a table along.
const CHILDREN_SINCE: u32 = 16;
/// Children that an older `pg_dump` can be told by name: they travel as arguments.
const MAX_CHILDREN: usize = 10_000;

/// What `pg_dump` is told, and what a user should be.
#[derive(Clone, Debug, Default)]
pub struct DumpSelection {
    /// `--table=…` and so on, in the encoding of the dump.
    pub arguments: Vec<OsString>,
    pub warnings: Vec<String>,
    /// How many tables or schemas each pattern means, for `check`.
    pub matches: Vec<Match>,
    /// As `--encoding` takes it.
    pub encoding: String,
    /// Of a part of the database: common table expressions of which `written` has class and oid of all that is in the dump.
    pub written: Option<String>,
    /// Of a part of the database: plain bytes, about. `None` where it is not known.
    pub dump_bytes: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Match {
    pub field: &'static str,
    pub pattern: String,
    /// Tables, views, sequences and foreign tables, or schemas; partitions that come along are not counted.
    pub count: u64,
}

/// The fields of an event that hold patterns, and the options that they become.
struct PatternField {
    field: &'static str,
    option: &'static str,
    /// The option of `pg_dump` that takes children along.
    with_children: &'static str,
    is_exclusion: bool,
    of_schemas: bool,
}

const KINDS: [PatternField; 5] = [
    PatternField {
        field: "tables",
        option: "table",
        with_children: "table-and-children",
        is_exclusion: false,
        of_schemas: false,
    },
    PatternField {
        field: "exclude_tables",
        option: "exclude-table",
        with_children: "exclude-table-and-children",
        is_exclusion: true,
        of_schemas: false,
    },
    PatternField {
        field: "exclude_table_data",
        option: "exclude-table-data",
        with_children: "exclude-table-data-and-children",
        is_exclusion: true,
        of_schemas: false,
    },
    PatternField {
        field: "schemas",
        option: "schema",
        with_children: "schema",
        is_exclusion: false,
        of_schemas: true,
    },
    PatternField {
        field: "exclude_schemas",
        option: "exclude-schema",
        with_children: "exclude-schema",
        is_exclusion: true,
        of_schemas: true,
    },
];

fn patterns(selection: &Selection) -> [(&'static PatternField, &[String]); 5] {
    let Selection {
        tables,
        exclude_tables,
        exclude_table_data,
        schemas,
        exclude_schemas,
    } = selection;
    let lists: [&[String]; 5] = [tables, exclude_tables, exclude_table_data, schemas, exclude_schemas];
    let mut place = 0;
    lists.map(|list| {
        place += 1;
        (&KINDS[place - 1], list)
    })
}

/// Asks the database what the selection means there.
pub async fn resolve(session: &Session<'_>, database: &DatabaseName, selection: &Selection, client_major: u32) -> Result<DumpSelection> {
    let server_encoding = session.row("SELECT pg_catalog.getdatabaseencoding()").await?;
    let encoding = dump_encoding(server_encoding.text(0)?).to_owned();
    let mut resolved = DumpSelection {
        encoding,
        ..DumpSelection::default()
    };
    if !selection.is_partial() {
        return Ok(resolved);
    }
    let conditions = conditions(session, database, selection, client_major, &mut resolved).await?;
    for (list, option, pattern) in [
        (&selection.tables, "exclude-table", ".*"),
        (&selection.schemas, "exclude-schema", ""),
    ] {
        if !list.is_empty() {
            let of_the_system = SYSTEM.map(|schema| option_of(option, format!("{schema}{pattern}").as_bytes()));
            resolved.arguments.extend(of_the_system);
        }
    }
    resolved.warnings.extend(left_out::check(session, &conditions, database).await?);
    resolved.warnings.extend(needs::check(session, &conditions, selection).await?);
    let is_chosen = !selection.tables.is_empty() || !selection.schemas.is_empty();
    resolved.written = Some(needs::written_by(&conditions));
    resolved.dump_bytes = size::ask(session, &conditions, is_chosen).await?;
    let relations = left_out::LeftOutTables::new(&conditions).relations;
    let [_, _, without_rows, ..] = &conditions;
    let relations = format!("{relations}, {}", with_children("without_rows", without_rows));
    readable::part(session, &relations, !is_chosen, &mut resolved.warnings).await?;
    if !selection.tables.is_empty() && !selection.exclude_schemas.is_empty() {
        resolved.warnings.push("exclude_schemas has no effect beside tables".to_owned());
    }
    if is_chosen {
        resolved.warnings.extend(large_objects(session).await?);
    }
    Ok(resolved)
}

/// What each field's patterns mean, as conditions of SQL; what they come to is noted on the way. All faults at once.
async fn conditions(
    session: &Session<'_>,
    database: &DatabaseName,
    selection: &Selection,
    client_major: u32,
    resolved: &mut DumpSelection,
) -> Result<[Vec<String>; 5]> {
    let path = search_path(session).await?;
    let mut conditions: [Vec<String>; 5] = Default::default();
    let mut unmatched = Vec::new();
    let mut faults = Faults::default();
    for (place, (kind, list)) in patterns(selection).into_iter().enumerate() {
        for pattern in list {
            let Some(condition) = faults.keep(condition(kind, pattern, database, &path)) else {
                continue;
            };
            let found = match session.rows_for(&count(kind, &condition)).await? {
                Ok(rows) => rows.first().map_or(Ok(0), |row| row.number(0))?,
                // A regular expression that is none, or a letter that this database has no place for.
                Err(words) => {
                    faults.add(refused(kind.field, pattern, &words));
                    continue;
                }
            };
            match (found, kind.is_exclusion) {
                (0, false) if kind.of_schemas => faults.add(matches_nothing(kind.field, pattern, database)),
                (0, false) => unmatched.push((resolved.matches.len(), condition.clone())),
                (0, true) => resolved
                    .warnings
                    .push(format!("{}: the pattern {pattern} matches nothing in this database", kind.field)),
                _ => {}
            }
            resolved.matches.push(Match {
                field: kind.field,
                pattern: pattern.clone(),
                count: found,
            });
            resolved
                .arguments
                .push(argument(session, kind, pattern, &resolved.encoding, client_major).await?);
            if client_major < CHILDREN_SINCE && !kind.of_schemas {
                let children = children(session, kind, &condition, &resolved.encoding).await?;
                resolved.arguments.extend(children);
            }
            conditions[place].push(condition);
        }
        for (number, condition) in unmatched.drain(..) {
            let found = session.row(&count_identities(&condition, &conditions[place])).await?.number(0)?;
            let Match { field, pattern, count } = &mut resolved.matches[number];
            *count = found;
            if found == 0 {
                faults.add(matches_nothing(field, pattern, database));
            }
        }
    }
    faults.settle(Some(conditions))
}

/// A warning where there are any: they belong to no table and no schema.
async fn large_objects(session: &Session<'_>) -> Result<Option<String>> {
    let count = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_largeobject_metadata";
    let objects = match session.advice(count).await? {
        AdvisoryRows::Rows(rows) => rows.first().map_or(Ok(0), |row| row.number(0))?,
        AdvisoryRows::Refused(why) => {
            let told = format!("whether there are large objects, which are not in this dump, could not be looked at: {why}");
            return Ok(Some(told));
        }
    };
    let told = format!("{objects} large objects are not in this dump: they belong to no table and no schema");
    Ok(Some(told).filter(|_| objects > 0))
}

fn refused(field: &str, pattern: &str, words: &str) -> Error {
    Error::field(
        Code::BadEvent,
        field,
        format!("holds the pattern {pattern}, which cannot be read: {words}"),
    )
    .advise("The patterns are those of psql and pg_dump: * and ? stand for letters, double quotes keep case.")
}

fn matches_nothing(field: &str, pattern: &str, database: &DatabaseName) -> Error {
    let message = format!(
        "holds the pattern {pattern}, which matches nothing in the database {}",
        database.as_str()
    );
    Error::field(Code::BadEvent, field, message).advise(
        "Mind upper case and dots: a name with either is written in double quotes. Tables outside the search path need their schema; \
         what belongs to an extension or to the system is never in a dump, and an identity column's sequence only with its table.",
    )
}

/// The schemas in which a name without one is found, as `pg_dump` finds it: by the user's and the database's settings.
/// Our own sessions have another path. Their oids, in order.
async fn search_path(session: &Session<'_>) -> Result<String> {
    let rows = session
        .rows(
            "SELECT n.oid FROM (
                 SELECT pg_catalog.set_config('search_path', s.reset_val, true) AS path
                 FROM pg_catalog.pg_settings s WHERE s.name OPERATOR(pg_catalog.=) 'search_path' OFFSET 0) p
             CROSS JOIN LATERAL pg_catalog.unnest(CASE WHEN p.path IS NOT NULL THEN pg_catalog.current_schemas(true) END)
                 WITH ORDINALITY AS u(name, place)
             JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) u.name
             ORDER BY u.place",
        )
        .await?;
    let oids: Result<Vec<String>> = rows.iter().map(|row| row.number(0).map(|oid| oid.to_string())).collect();
    Ok(format!("'{{{}}}'::pg_catalog.oid[]", oids?.join(",")))
}

/// What pg_dump takes for a table and would dump. What belongs to an extension it leaves to CREATE EXTENSION, whatever
/// pattern means it, but for the tables that the extension names as its configuration.
const TABLES: &str = "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,S,v,m,f,p}'::pg_catalog.\"char\"[])
    AND (NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                     WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
                       AND d.objid OPERATOR(pg_catalog.=) c.oid AND d.deptype OPERATOR(pg_catalog.=) 'e')
         OR EXISTS (SELECT FROM pg_catalog.pg_extension x WHERE c.oid OPERATOR(pg_catalog.=) ANY (x.extconfig)))
    AND n.nspname OPERATOR(pg_catalog.<>) 'information_schema'
    AND pg_catalog.left(n.nspname::pg_catalog.text, 3) OPERATOR(pg_catalog.<>) 'pg_'";

/// Schemas that are the server's own. A pattern may mean them, and what pg_dump then writes can be restored nowhere.
const SYSTEM: [&str; 2] = ["pg_*", "information_schema"];

/// The others.
const OF_USERS: &str = "n.nspname OPERATOR(pg_catalog.<>) 'information_schema'
    AND pg_catalog.left(n.nspname::pg_catalog.text, 3) OPERATOR(pg_catalog.<>) 'pg_'";

/// A sequence of an identity column: never written but with the column's table.
pub(super) const IS_IDENTITY: &str = "(c.relkind OPERATOR(pg_catalog.=) 'S' AND EXISTS (SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) c.oid
      AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype OPERATOR(pg_catalog.=) 'i'))";

fn count(kind: &PatternField, condition: &str) -> String {
    match kind.field {
        _ if kind.of_schemas => format!("SELECT pg_catalog.count(*) FROM pg_catalog.pg_namespace n WHERE {OF_USERS} AND {condition}"),
        // Here such a sequence counts: its value is left out.
        "exclude_table_data" => format!("SELECT pg_catalog.count(*) {TABLES} AND {condition}"),
        _ => format!("SELECT pg_catalog.count(*) {TABLES} AND NOT {IS_IDENTITY} AND {condition}"),
    }
}

/// Sequences of identity columns that the condition means and whose tables are among those that these conditions mean.
fn count_identities(condition: &str, chosen: &[String]) -> String {
    format!(
        "SELECT pg_catalog.count(*) {TABLES} AND {condition} AND c.oid OPERATOR(pg_catalog.=) ANY (
             SELECT d.objid FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) d.refobjid
             JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
             WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
               AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
               AND d.deptype OPERATOR(pg_catalog.=) 'i' AND ({}))",
        chosen.join(" OR ")
    )
}

/// The tables of these conditions with all their children, as a query that can be part of a `WITH RECURSIVE`.
fn with_children(name: &str, conditions: &[String]) -> String {
    let any = if conditions.is_empty() {
        "false".to_owned()
    } else {
        conditions.join(" OR ")
    };
    format!(
        "{name} AS (SELECT c.oid {TABLES} AND ({any}) UNION
             SELECT i.inhrelid FROM {name} JOIN pg_catalog.pg_inherits i ON i.inhparent OPERATOR(pg_catalog.=) {name}.oid)"
    )
}

async fn argument(session: &Session<'_>, kind: &PatternField, pattern: &str, encoding: &str, client_major: u32) -> Result<OsString> {
    let option = if client_major < CHILDREN_SINCE {
        kind.option
    } else {
        kind.with_children
    };
    let pattern = match encoding {
        // In a database without an encoding a pattern is the bytes that it is.
        "UTF8" | "SQL_ASCII" => pattern.as_bytes().to_vec(),
        _ => session
            .row(&format!("SELECT {}", in_encoding(&sql::literal(pattern), encoding)))
            .await?
            .bytes(0)?,
    };
    Ok(option_of(option, &pattern))
}

/// `--option=pattern` in one argument: a leading dash is then part of the pattern.
fn option_of(option: &str, pattern: &[u8]) -> OsString {
    let mut argument = format!("--{option}=").into_bytes();
    argument.extend_from_slice(pattern);
    OsString::from_vec(argument)
}

fn in_encoding(expression: &str, encoding: &str) -> String {
    format!(
        "pg_catalog.encode(pg_catalog.convert_to(({expression})::pg_catalog.text, {}), 'hex')",
        sql::literal(encoding)
    )
}

/// Options that name each child of what the condition means, for a `pg_dump` that does not take them along.
async fn children(session: &Session<'_>, kind: &PatternField, condition: &str, encoding: &str) -> Result<Vec<OsString>> {
    let query = format!(
        "WITH RECURSIVE {} SELECT {}, {} FROM family f
         JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) f.oid
         JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
         WHERE NOT (f.oid OPERATOR(pg_catalog.=) ANY (SELECT c.oid {TABLES} AND {condition})) ORDER BY 1, 2 LIMIT {}",
        with_children("family", &[condition.to_owned()]),
        in_encoding("n.nspname", encoding),
        in_encoding("c.relname", encoding),
        MAX_CHILDREN + 1,
    );
    let rows = session.rows(&query).await?;
    if rows.len() > MAX_CHILDREN {
        let error = Error::field(Code::BadEvent, kind.field, format!("means more than {MAX_CHILDREN} partitions"));
        return Err(error.advise("Install pg_dump 16 or newer, which takes partitions along, or choose by schema."));
    }
    // In quotes a pattern is a name and nothing else.
    let option = |row: &session::Row| {
        let name = TableName::new([row.bytes(0)?, row.bytes(1)?]);
        Ok(option_of(kind.option, &name.to_sql()))
    };
    rows.iter().map(option).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_one_argument_and_one_literal() {
        assert_eq!(option_of("table", b"-j9"), "--table=-j9");
        let database = DatabaseName::new("app").unwrap();
        let condition = condition(&KINDS[3], "x' OR '\\", &database, "path").unwrap();
        assert_eq!(
            condition,
            "n.nspname OPERATOR(pg_catalog.~) E'^(x'' or ''\\\\)$' COLLATE pg_catalog.\"default\""
        );
    }
}
