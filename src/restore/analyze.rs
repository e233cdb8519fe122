//! The planner's statistics, in stages, as `vacuumdb --analyze-in-stages` makes them: poor ones of all tables come first, so that
//! queries can begin, then better ones.

use super::psql::PsqlTarget;
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::format::table_name::TableName;
use crate::format::{hex, sql, unhex_all};
use crate::human::units::{counted, lasting};
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::Instant;

/// Settings of each stage. The last has those of the database.
const STAGES: [&[&str]; 3] = [
    &["SET default_statistics_target TO 1", "SET vacuum_cost_delay TO 0"],
    &["SET default_statistics_target TO 10"],
    &[],
];

/// A partitioned table counts its partitions in, and is left to no autovacuum. Nothing is asked of a foreign table: the server
/// would look for its rows elsewhere.
const TABLES: &str = "
WITH RECURSIVE own AS (
    SELECT c.oid, c.relkind, c.relispartition, c.relname, n.nspname
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,m,p}'::pg_catalog.\"char\"[])
        AND c.relpersistence OPERATOR(pg_catalog.<>) 't'::pg_catalog.\"char\"
        AND n.nspname OPERATOR(pg_catalog.<>) ALL ('{pg_catalog,information_schema}'::pg_catalog.name[])
        AND n.nspname OPERATOR(pg_catalog.!~) '^pg_(toast|temp)'
), above_foreign AS (
    SELECT i.inhparent AS oid FROM pg_catalog.pg_inherits i
        JOIN pg_catalog.pg_class f ON f.oid OPERATOR(pg_catalog.=) i.inhrelid AND f.relkind OPERATOR(pg_catalog.=) 'f'
    UNION
    SELECT i.inhparent FROM pg_catalog.pg_inherits i JOIN above_foreign b ON b.oid OPERATOR(pg_catalog.=) i.inhrelid
), counted_in AS (
    SELECT i.inhrelid AS oid FROM pg_catalog.pg_inherits i JOIN own ON own.oid OPERATOR(pg_catalog.=) i.inhparent
    WHERE own.relkind OPERATOR(pg_catalog.=) 'p'
        AND NOT EXISTS (SELECT FROM above_foreign b WHERE b.oid OPERATOR(pg_catalog.=) own.oid)
)
SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(
    pg_catalog.encode(pg_catalog.convert_to(nspname::pg_catalog.text, encoding), 'hex'),
    pg_catalog.encode(pg_catalog.convert_to(relname::pg_catalog.text, encoding), 'hex')) ORDER BY nspname, relname), '[]')
FROM own, (SELECT (CASE WHEN pg_catalog.getdatabaseencoding() OPERATOR(pg_catalog.=) 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END)
    ::pg_catalog.name AS encoding) AS spoken
WHERE NOT EXISTS (SELECT FROM above_foreign b WHERE b.oid OPERATOR(pg_catalog.=) own.oid)
    AND NOT EXISTS (SELECT FROM counted_in i WHERE i.oid OPERATOR(pg_catalog.=) own.oid)";

/// Whence the planner's statistics are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatisticsSummary {
    /// `backup` or `analyze`.
    pub from: &'static str,
    /// That were analyzed; partitions count with their table.
    #[serde(skip_serializing_if = "is_none")]
    pub tables: u64,
    /// That could not be.
    #[serde(skip_serializing_if = "is_none")]
    pub failed: u64,
    #[serde(skip_serializing_if = "is_none")]
    pub duration_ms: u64,
}

fn is_none(number: &u64) -> bool {
    *number == 0
}

impl StatisticsSummary {
    pub(super) fn of_backup() -> Self {
        Self {
            from: "backup",
            tables: 0,
            failed: 0,
            duration_ms: 0,
        }
    }

    /// For people.
    pub(crate) fn in_words(&self) -> String {
        match self.from {
            "backup" => "from the backup".to_owned(),
            _ => format!("ANALYZE of {}, in {}", counted(self.tables, "table"), lasting(self.duration_ms)),
        }
    }

    /// Without words of the server.
    pub(super) fn warning(&self) -> Option<String> {
        (self.failed > 0).then(|| {
            format!(
                "ANALYZE failed for {} of {} tables: queries of these may be slow",
                self.failed,
                self.failed + self.tables
            )
        })
    }
}

/// Analyzes all tables, or `only` these. What the login may not analyze, the server passes over.
pub(super) fn analyze(target: &PsqlTarget, only: Option<&BTreeSet<TableName>>, cancel: &Cancel) -> Result<StatisticsSummary> {
    let begun = Instant::now();
    let unreadable = || Error::new(Code::RestoreFailed, "the catalog's answer has no names");
    let mut statements = Vec::new();
    for parts in target.json::<Vec<[String; 2]>>(TABLES, cancel)? {
        let [schema, table] = parts.map(|part| unhex_all(&part));
        let (schema, table) = (schema.ok_or_else(unreadable)?, table.ok_or_else(unreadable)?);
        if only.is_some_and(|only| !only.contains(&TableName::new([schema.clone(), table.clone()]))) {
            continue;
        }
        statements.push(match (str::from_utf8(&schema), str::from_utf8(&table)) {
            (Ok(schema), Ok(table)) => format!("ANALYZE {}.{}", sql::identifier(schema), sql::identifier(table)),
            // Of a SQL_ASCII database: our session speaks UTF-8.
            _ => by_bytes(&schema, &table),
        });
    }
    let mut failed = BTreeSet::new();
    for settings in STAGES {
        let all: Vec<&str> = settings.iter().copied().chain(statements.iter().map(String::as_str)).collect();
        let outcomes = target.try_statements(&all, cancel)?;
        let of_tables = outcomes.into_iter().skip(settings.len()).enumerate();
        failed.extend(of_tables.filter_map(|(place, refusal)| refusal.map(|_| place)));
    }
    let failed = failed.len() as u64;
    Ok(StatisticsSummary {
        from: "analyze",
        tables: statements.len() as u64 - failed,
        failed,
        duration_ms: begun.elapsed().as_millis() as u64,
    })
}

fn by_bytes(schema: &[u8], table: &[u8]) -> String {
    let name = |name: &[u8]| format!("pg_catalog.convert_from(pg_catalog.decode('{}', 'hex'), 'SQL_ASCII')", hex(name));
    format!(
        "DO LANGUAGE plpgsql $pgseal$ BEGIN EXECUTE pg_catalog.format('ANALYZE %I.%I', {}, {}); END $pgseal$",
        name(schema),
        name(table)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_told_with_how_many_there_are() {
        let mut made = StatisticsSummary::of_backup();
        assert_eq!(made.warning(), None);
        (made.tables, made.failed) = (3, 2);
        let warning = made.warning().unwrap();
        assert!(warning.contains("2 of 5 tables"), "{warning}");
    }
}
