//! What can be known before the dump starts: in seconds, instead of after hours.
//!
//! Only what a backup cannot do without may fail it. A size that cannot be asked for, a privilege that cannot be looked at
//! in time, is a warning: `pg_dump` itself is the judge.

use super::extensions::extensions;
use super::session::{AdvisoryRows, Session, name};
use super::{readable, timeouts};
use crate::error::{Code, Error, Result};
use crate::format::inventory::Extension;
use crate::format::order::Selection;
use serde::Serialize;
use std::fmt;

/// What the server says of itself and of one database.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ServerFacts {
    /// Such as `17.6`.
    pub server_version: String,
    /// Such as 170006.
    #[serde(skip)]
    pub version_number: u32,
    /// In recovery: a read replica.
    pub replica: bool,
    /// Queries that the replica has cancelled so far.
    #[serde(skip)]
    pub conflicts: u64,
    /// Those that the login or the database sets: pg_dump switches them off, pg_dumpall does not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub timeouts: Vec<String>,
    #[serde(flatten)]
    pub size: SizeEstimate,
    pub extensions: Vec<Extension>,
    /// What could not be looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// How large a database is, in bytes, and how many of each there are.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct SizeEstimate {
    /// `tables`: asked for; `last_analyze`: the planner's numbers, where that would have had to wait; `unknown`.
    pub size_from: EstimateSource,
    /// Indexes and dead rows included.
    pub database_bytes: u64,
    /// Tables without their indexes: near to what a plain dump has.
    pub table_bytes: u64,
    pub tables: u64,
    /// Unlogged tables: on a replica their rows cannot be read.
    pub unlogged_tables: u64,
    pub large_objects: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EstimateSource {
    Tables,
    LastAnalyze,
    #[default]
    Unknown,
}

impl ServerFacts {
    pub(crate) fn major(&self) -> u32 {
        self.version_number / 10_000
    }
}

/// Asking for a size takes a lock, for which a backup need not wait: such tables are counted by their last ANALYZE. Large
/// objects stand in a dump as hexadecimal digits, two for a byte; materialized views are filled by a restore.
const SIZE_OF_TABLES: &str = "
WITH locked AS (SELECT l.relation FROM pg_catalog.pg_locks l WHERE l.mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock' AND l.relation IS NOT NULL)
SELECT pg_catalog.pg_database_size(pg_catalog.current_database()),
       COALESCE(pg_catalog.sum(CASE WHEN c.oid OPERATOR(pg_catalog.=) ANY (SELECT relation FROM locked) THEN c.relpages::pg_catalog.int8 OPERATOR(pg_catalog.*) 8192
                                    ELSE pg_catalog.pg_table_size(c.oid::pg_catalog.regclass) END)
                FILTER (WHERE c.relkind OPERATOR(pg_catalog.=) 'r'), 0)::pg_catalog.int8
       OPERATOR(pg_catalog.+) (2 OPERATOR(pg_catalog.*) pg_catalog.pg_table_size('pg_catalog.pg_largeobject'::pg_catalog.regclass)),
       pg_catalog.count(*) FILTER (WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog.\"char\"[])),
       pg_catalog.count(*) FILTER (WHERE c.relkind OPERATOR(pg_catalog.=) 'r' AND c.relpersistence OPERATOR(pg_catalog.=) 'u'),
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_largeobject_metadata)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE n.nspname OPERATOR(pg_catalog.<>) 'information_schema' AND pg_catalog.left(n.nspname::pg_catalog.text, 3) OPERATOR(pg_catalog.<>) 'pg_'";

/// The same from the catalog alone: no lock, no file is looked at.
const SIZE_BY_ANALYZE: &str = "
SELECT pg_catalog.sum(c.relpages::pg_catalog.int8) OPERATOR(pg_catalog.*) 8192,
       COALESCE(pg_catalog.sum((c.relpages::pg_catalog.int8 OPERATOR(pg_catalog.+) COALESCE(t.relpages, 0)) OPERATOR(pg_catalog.*) 8192)
                FILTER (WHERE c.relkind OPERATOR(pg_catalog.=) 'r' AND s.is_users), 0)
       OPERATOR(pg_catalog.+) COALESCE(pg_catalog.sum(c.relpages::pg_catalog.int8 OPERATOR(pg_catalog.*) 16384)
                  FILTER (WHERE c.oid OPERATOR(pg_catalog.=) 'pg_catalog.pg_largeobject'::pg_catalog.regclass), 0),
       pg_catalog.count(*) FILTER (WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog.\"char\"[]) AND s.is_users),
       pg_catalog.count(*) FILTER (WHERE c.relkind OPERATOR(pg_catalog.=) 'r' AND c.relpersistence OPERATOR(pg_catalog.=) 'u' AND s.is_users),
       COALESCE(pg_catalog.max(c.reltuples)
                FILTER (WHERE c.oid OPERATOR(pg_catalog.=) 'pg_catalog.pg_largeobject_metadata'::pg_catalog.regclass), 0)::pg_catalog.int8
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
     LEFT JOIN pg_catalog.pg_class t ON t.oid OPERATOR(pg_catalog.=) c.reltoastrelid,
     LATERAL (SELECT n.nspname OPERATOR(pg_catalog.<>) 'information_schema' AND pg_catalog.left(n.nspname::pg_catalog.text, 3) OPERATOR(pg_catalog.<>) 'pg_' AS is_users) s";

/// What pg_dump reads: all tables but those of the system and of extensions, and of these the ones that the extension itself
/// names as configuration, in whatever schema they are.
pub(super) const READ: &str = "
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE c.relpersistence OPERATOR(pg_catalog.<>) 't'
  AND (EXISTS (SELECT FROM pg_catalog.pg_extension x WHERE c.oid OPERATOR(pg_catalog.=) ANY (x.extconfig))
       OR n.nspname OPERATOR(pg_catalog.<>) 'information_schema' AND pg_catalog.left(n.nspname::pg_catalog.text, 3) OPERATOR(pg_catalog.<>) 'pg_'
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                          WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) c.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'))";

/// Every relation that somebody holds an exclusive lock on.
const LOCKED: &str = "
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog.\"char\"[]) AND pg_catalog.left(n.nspname::pg_catalog.text, 3) OPERATOR(pg_catalog.<>) 'pg_'
  AND c.oid OPERATOR(pg_catalog.=) ANY (SELECT l.relation FROM pg_catalog.pg_locks l
                WHERE l.mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock' AND l.granted
                  AND l.database OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()))";

const LOCKED_OF_ANY_KIND: &str = "
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE c.relpersistence OPERATOR(pg_catalog.<>) 't'
  AND c.oid OPERATOR(pg_catalog.=) ANY (SELECT l.relation FROM pg_catalog.pg_locks l
                WHERE l.mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock' AND l.granted
                  AND l.database OPERATOR(pg_catalog.=) ANY (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
                                                             UNION ALL SELECT 0::pg_catalog.oid))";

const STATE: &str = "
SELECT pg_catalog.current_setting('server_version'), pg_catalog.pg_is_in_recovery(),
       pg_catalog.current_setting('default_transaction_isolation'),
       pg_catalog.current_setting('default_transaction_read_only') OPERATOR(pg_catalog.=) 'on'
           AND pg_catalog.current_setting('default_transaction_deferrable') OPERATOR(pg_catalog.=) 'on'";

pub(super) const RELATION: &str = "pg_catalog.format('%I.%I', n.nspname, c.relname)";

/// The first few of however many names: an answer must not grow with what is wrong with a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NameSample {
    pub first: Vec<String>,
    pub total: u64,
}

impl NameSample {
    const SHOWN: usize = 5;

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// SQL for the first of them: a name, and how many there are.
    pub(crate) fn query(expression: &str, from: &str, order: &str) -> String {
        let name = name(expression);
        format!(
            "SELECT {name}, pg_catalog.count(*) OVER () {from} ORDER BY {order} LIMIT {}",
            Self::SHOWN
        )
    }
}

impl fmt::Display for NameSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.first.join(", "))?;
        match self.total.saturating_sub(self.first.len() as u64) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// A part that the dump could not read is an error here, unless the dump is of a part only: then `pg_dump` itself decides,
/// since only it knows what its patterns mean.
pub(crate) async fn facts(session: &Session<'_>, selection: &Selection) -> Result<ServerFacts> {
    let state = session.row(STATE).await?;
    let version = state.text(0)?;
    let replica = state.flag(1)?;
    let mut warnings = Vec::new();
    warnings.extend(transactions(state.text(2)? == "serializable", state.flag(3)?, replica)?);
    let facts = ServerFacts {
        server_version: version.split_whitespace().next().unwrap_or_default().to_owned(),
        version_number: session.version_number(),
        replica,
        conflicts: if replica { conflicts(session).await? } else { 0 },
        timeouts: timeouts::ask(session).await?,
        extensions: extensions(session, &mut warnings).await?,
        size: size(session, &mut warnings).await?,
        warnings: Vec::new(),
    };
    if !selection.is_partial() {
        readable::whole(session, &mut warnings).await?;
    }
    Ok(ServerFacts { warnings, ..facts })
}

/// What database or role set for transactions holds for `pg_dump` until it begins its own: no option of it changes that, and
/// RDS Proxy and pgbouncer refuse startup options. `waits`: they are read-only and deferrable as well.
fn transactions(are_serializable: bool, waits: bool, replica: bool) -> Result<Option<String>> {
    let advice = "set it for the backup user alone: ALTER ROLE … SET default_transaction_isolation = 'read committed'";
    if are_serializable && replica {
        let message = "default_transaction_isolation is serializable, which a hot standby refuses, and pg_dump keeps";
        return Err(Error::new(Code::DumpFailed, message).advise(format!("On the primary, {advice}.")));
    }
    let told = "default_transaction_isolation, _read_only and _deferrable together make pg_dump wait for every serializable transaction that writes";
    Ok((are_serializable && waits).then(|| format!("{told}: {advice}")))
}

/// As exact as can be had without waiting.
async fn size(session: &Session<'_>, warnings: &mut Vec<String>) -> Result<SizeEstimate> {
    let mut reason = String::new();
    for (query, size_from) in [
        (SIZE_OF_TABLES, EstimateSource::Tables),
        (SIZE_BY_ANALYZE, EstimateSource::LastAnalyze),
    ] {
        match session.brief_advice(query).await? {
            AdvisoryRows::Rows(rows) => {
                let row = rows
                    .first()
                    .ok_or_else(|| Error::new(Code::Bug, "the server answered with no row"))?;
                if size_from == EstimateSource::LastAnalyze {
                    warnings.push(format!(
                        "the size is estimated from the last ANALYZE, since the tables could not be asked: {reason}"
                    ));
                }
                return Ok(SizeEstimate {
                    size_from,
                    database_bytes: row.number(0)?,
                    table_bytes: row.number(1)?,
                    tables: row.number(2)?,
                    unlogged_tables: row.number(3)?,
                    large_objects: row.number(4)?,
                });
            }
            AdvisoryRows::Refused(why) => reason = why,
        }
    }
    warnings.push(format!("the size could not be estimated: {reason}"));
    Ok(SizeEstimate::default())
}

/// Names, or why the server would not give them.
pub(crate) async fn names(session: &Session<'_>, query: &str) -> Result<Result<NameSample, String>> {
    let rows = match session.advice(query).await? {
        AdvisoryRows::Rows(rows) => rows,
        AdvisoryRows::Refused(why) => return Ok(Err(why)),
    };
    let mut names = NameSample::default();
    for row in &rows {
        names.first.push(row.name(0)?);
        names.total = row.number(1)?;
    }
    Ok(Ok(names))
}

/// Relations that somebody holds an exclusive lock on, in this database.
pub(crate) async fn locked(session: &Session<'_>) -> Result<NameSample> {
    let query = NameSample::query(RELATION, LOCKED, "n.nspname, c.relname");
    Ok(names(session, &query).await?.unwrap_or_default())
}

/// The same of views, indexes and catalogs too, which a dump reads without a limit for their locks.
pub(crate) async fn locked_of_any_kind(session: &Session<'_>) -> Result<NameSample> {
    let query = NameSample::query(RELATION, LOCKED_OF_ANY_KIND, "n.nspname, c.relname");
    Ok(names(session, &query).await?.unwrap_or_default())
}

/// Queries of this database that a replica has cancelled so far, as far as it tells.
pub(crate) async fn conflicts(session: &Session<'_>) -> Result<u64> {
    let query = "SELECT COALESCE(d.conflicts, 0) FROM pg_catalog.pg_stat_database d
                 WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()";
    match session.brief_advice(query).await? {
        AdvisoryRows::Rows(rows) => rows.first().map_or(Ok(0), |row| row.number(0)),
        AdvisoryRows::Refused(_) => Ok(0),
    }
}

/// The first five, and how many more.
pub(crate) fn some_of<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let names: Vec<String> = names.into_iter().cloned().collect();
    let total = names.len() as u64;
    let first = names.into_iter().take(NameSample::SHOWN).collect();
    NameSample { first, total }.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Operators are qualified as functions are. These have one precedence then: parentheses say what belongs together.
    #[test]
    fn no_query_has_a_bare_operator() {
        let all = [
            SIZE_OF_TABLES,
            SIZE_BY_ANALYZE,
            READ,
            readable::UNREADABLE,
            readable::NO_SELECT,
            readable::NO_USAGE,
            readable::ROW_SECURITY,
            readable::CLOSED_OBJECTS,
            LOCKED,
            STATE,
            timeouts::TIMEOUTS,
        ];
        for query in all {
            // Every second piece stands in quotes.
            let bare: String = query.split('\'').step_by(2).collect();
            for operator in [
                " = ", " <> ", " || ", " + ", " * ", " < ", " > ", " ~ ", " IN (", "CASE c.", "CASE a.",
            ] {
                assert!(!bare.contains(operator), "{operator}: {query}");
            }
        }
    }

    #[test]
    fn however_many_there_are_five_are_named() {
        let names = |count: usize| (1..=count).map(|n| format!("t{n}")).collect::<Vec<_>>();
        assert_eq!(some_of(&names(2)), "t1, t2");
        assert_eq!(some_of(&names(600)), "t1, t2, t3, t4, t5 and 595 more");
    }
}
