//! A restore goes into an empty database: what is there already would be mixed with what comes. Extensions and schemas may
//! be there, since on managed servers somebody else makes them; and roles, which belong to the whole server.

use super::globals::GlobalsOptions;
use super::psql::Access;
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::rds::preflight::some_of;
use std::collections::{BTreeMap, BTreeSet};

/// Everything of a user's, as `kind name`; what belongs to an extension goes with that. An oid below 16384 is
/// of initdb, but for large objects, whose oids users choose.
const OBJECTS: &str = "
WITH own AS (
    SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), found AS (
    SELECT 1 AS place, CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
        WHEN 'f' THEN 'foreign table' ELSE 'table' END AS kind, c.oid::regclass::text AS name, 'pg_class'::regclass AS class, c.oid
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname !~ '^pg_(toast|temp)'
    UNION ALL
    SELECT 2, 'function', p.oid::regprocedure::text, 'pg_proc'::regclass, p.oid FROM pg_proc p
    UNION ALL
    SELECT 3, 'type', t.oid::regtype::text, 'pg_type'::regclass, t.oid
    FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE (t.typrelid = 0 OR c.relkind = 'c') AND t.typelem = 0 AND n.nspname !~ '^pg_(toast|temp)'
    UNION ALL
    SELECT 4, 'operator', o.oid::regoperator::text, 'pg_operator'::regclass, o.oid FROM pg_operator o
    UNION ALL
    SELECT 7, 'publication', quote_ident(p.pubname), 'pg_publication'::regclass, p.oid FROM pg_publication p
    UNION ALL
    SELECT 8, 'foreign server', quote_ident(s.srvname), 'pg_foreign_server'::regclass, s.oid FROM pg_foreign_server s
    UNION ALL
    SELECT 9, 'event trigger', quote_ident(e.evtname), 'pg_event_trigger'::regclass, e.oid FROM pg_event_trigger e
    UNION ALL
    SELECT 10, 'large object', l.oid::text, 'pg_largeobject'::regclass, l.oid FROM pg_largeobject_metadata l
)
SELECT coalesce(json_agg(kind || ' ' || name ORDER BY place, name COLLATE \"C\"), '[]')
FROM found WHERE (oid >= 16384 OR class = 'pg_largeobject'::regclass) AND NOT EXISTS (SELECT FROM own WHERE classid = class AND objid = found.oid);
";

const EXISTING: &str = "SELECT json_build_object(
    'schemas', (SELECT coalesce(json_agg(nspname), '[]') FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'),
    'extensions', (SELECT coalesce(json_agg(extname), '[]') FROM pg_extension WHERE extname <> 'plpgsql'));";

const GLOBALS: &str = "SELECT json_build_object('roles', (SELECT coalesce(json_agg(rolname), '[]') FROM pg_roles),
    'tablespaces', (SELECT coalesce(json_agg(spcname), '[]') FROM pg_tablespace));";

/// What a restore finds and leaves as it is.
#[derive(Debug, Default)]
pub struct Existing {
    pub schemas: BTreeSet<Vec<u8>>,
    pub extensions: BTreeSet<Vec<u8>>,
}

/// In the target's database. `public` is there in each, and no dump makes it unless somebody changed it.
pub fn existing(target: &Access, cancel: &Cancel) -> Result<Existing> {
    let [schemas, extensions] = names(target, EXISTING, ["schemas", "extensions"], cancel)?;
    Ok(Existing { schemas, extensions })
}

/// In the target's whole server.
pub fn existing_globals(target: &Access, cancel: &Cancel) -> Result<GlobalsOptions> {
    let [existing_roles, existing_tablespaces] = names(target, GLOBALS, ["roles", "tablespaces"], cancel)?;
    Ok(GlobalsOptions {
        existing_roles,
        existing_tablespaces,
        drill: false,
    })
}

fn names<const N: usize>(target: &Access, sql: &str, kinds: [&str; N], cancel: &Cancel) -> Result<[BTreeSet<Vec<u8>>; N]> {
    let mut found: BTreeMap<String, Vec<String>> = target.json(sql, cancel)?;
    Ok(kinds.map(|kind| {
        let names = found.remove(kind).unwrap_or_default();
        names.into_iter().map(String::into_bytes).collect()
    }))
}

/// Makes those that are missing; one that cannot be made is told, and the restore will say what it is missing for.
pub fn make_schemas(schemas: &BTreeSet<Vec<u8>>, target: &Access, cancel: &Cancel) -> Result<Vec<String>> {
    let there = existing(target, cancel)?.schemas;
    let missing: Vec<String> = schemas
        .difference(&there)
        .filter_map(|name| String::from_utf8(name.clone()).ok())
        .collect();
    let statements: Vec<String> = missing.iter().map(|name| format!("CREATE SCHEMA {}", identifier(name))).collect();
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    if statements.is_empty() {
        return Ok(Vec::new());
    }
    let refusals = target.try_statements(&statements, cancel)?;
    let told = missing.iter().zip(refusals).map(|(name, refusal)| match refusal {
        None => format!("the schema {name} was made: a dump of chosen tables makes none"),
        Some(refusal) => format!("the schema {name} could not be made: {}", refusal.message),
    });
    Ok(told.collect())
}

/// `restore_failed` with the first objects, unless nothing is there.
pub fn must_be_empty(target: &Access, cancel: &Cancel) -> Result<()> {
    let objects: Vec<String> = target.json(OBJECTS, cancel)?;
    if objects.is_empty() {
        return Ok(());
    }
    let error = Error::new(Code::RestoreFailed, format!("the target is not empty: {}", some_of(&objects)));
    Err(error.advise("Restore into an empty database: name another one in --to, and add --create if it shall be made."))
}

pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Right whatever `standard_conforming_strings` is.
pub(super) fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_are_quoted() {
        assert_eq!(identifier("a\"; DROP"), "\"a\"\"; DROP\"");
        assert_eq!(literal("it's \\"), "E'it''s \\\\'");
    }
}
