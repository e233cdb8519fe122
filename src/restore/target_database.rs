//! A restore goes into an empty database: what is there already would be mixed with what comes. Extensions and schemas may
//! be there, since on managed servers somebody else makes them; and roles, which belong to the whole server.

use super::filter::ObjectName;
use super::globals::GlobalsOptions;
use super::properties::existing_among;
use super::psql::PsqlTarget;
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::format::database_properties::DatabaseProperties;
use crate::format::sql::identifier;
use crate::format::unhex_all;
use crate::rds::preflight::some_of;
use crate::rds::session;
use std::collections::{BTreeMap, BTreeSet};

/// Everything of a user's, as `kind name`; what belongs to an extension goes with that. An oid below 16384 is
/// of initdb, but for large objects, whose oids users choose.
const OBJECTS: &str = "
WITH own AS (
    SELECT d.classid, d.objid FROM pg_catalog.pg_depend d WHERE d.deptype OPERATOR(pg_catalog.=) 'e'
), found AS (
    SELECT 1 AS place, CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'S' THEN 'sequence' WHEN c.relkind OPERATOR(pg_catalog.=) 'v' THEN 'view'
        WHEN c.relkind OPERATOR(pg_catalog.=) 'm' THEN 'materialized view' WHEN c.relkind OPERATOR(pg_catalog.=) 'f' THEN 'foreign table'
        ELSE 'table' END AS kind, pg_catalog.format('%s', c.oid::pg_catalog.regclass) AS name,
        'pg_catalog.pg_class'::pg_catalog.regclass AS class, c.oid
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,S,f}'::pg_catalog.\"char\"[])
        AND n.nspname OPERATOR(pg_catalog.!~) '^pg_(toast|temp)'
    UNION ALL
    SELECT 2, 'function', pg_catalog.format('%s', p.oid::pg_catalog.regprocedure), 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid
    FROM pg_catalog.pg_proc p
    UNION ALL
    SELECT 3, 'type', pg_catalog.format('%s', t.oid::pg_catalog.regtype), 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid
    FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) t.typrelid
        JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace
    WHERE (t.typrelid OPERATOR(pg_catalog.=) 0 OR c.relkind OPERATOR(pg_catalog.=) 'c') AND t.typelem OPERATOR(pg_catalog.=) 0
        AND n.nspname OPERATOR(pg_catalog.!~) '^pg_(toast|temp)'
    UNION ALL
    SELECT 4, 'operator', pg_catalog.format('%s', o.oid::pg_catalog.regoperator), 'pg_catalog.pg_operator'::pg_catalog.regclass, o.oid
    FROM pg_catalog.pg_operator o
    UNION ALL
    SELECT 7, 'publication', pg_catalog.quote_ident(p.pubname), 'pg_catalog.pg_publication'::pg_catalog.regclass, p.oid
    FROM pg_catalog.pg_publication p
    UNION ALL
    SELECT 8, 'foreign server', pg_catalog.quote_ident(s.srvname), 'pg_catalog.pg_foreign_server'::pg_catalog.regclass, s.oid
    FROM pg_catalog.pg_foreign_server s
    UNION ALL
    SELECT 9, 'event trigger', pg_catalog.quote_ident(e.evtname), 'pg_catalog.pg_event_trigger'::pg_catalog.regclass, e.oid
    FROM pg_catalog.pg_event_trigger e
    UNION ALL
    SELECT 10, 'large object', pg_catalog.format('%s', l.oid), 'pg_catalog.pg_largeobject'::pg_catalog.regclass, l.oid
    FROM pg_catalog.pg_largeobject_metadata l
)
SELECT coalesce(pg_catalog.json_agg(pg_catalog.format('%s %s', kind, name) ORDER BY place, name COLLATE pg_catalog.\"C\"), '[]')
FROM found WHERE (oid OPERATOR(pg_catalog.>=) 16384 OR class OPERATOR(pg_catalog.=) 'pg_catalog.pg_largeobject'::pg_catalog.regclass)
    AND NOT EXISTS (SELECT FROM own WHERE classid OPERATOR(pg_catalog.=) class AND objid OPERATOR(pg_catalog.=) found.oid)";

const EXISTING: &str = "SELECT pg_catalog.json_build_object(
    'schemas', (SELECT coalesce(pg_catalog.json_agg(n.nspname), '[]') FROM pg_catalog.pg_namespace n
        WHERE n.nspname OPERATOR(pg_catalog.!~) '^pg_' AND n.nspname OPERATOR(pg_catalog.<>) 'information_schema'),
    'schemas_of_others', (SELECT coalesce(pg_catalog.json_agg(n.nspname), '[]') FROM pg_catalog.pg_namespace n
        WHERE n.nspname OPERATOR(pg_catalog.!~) '^pg_' AND n.nspname OPERATOR(pg_catalog.<>) ALL ('{information_schema,public}'::pg_catalog.name[])
          AND pg_catalog.pg_get_userbyid(n.nspowner) OPERATOR(pg_catalog.<>) current_user),
    'extensions', (SELECT coalesce(pg_catalog.json_agg(e.extname), '[]') FROM pg_catalog.pg_extension e
        WHERE e.extname OPERATOR(pg_catalog.<>) 'plpgsql'))";

/// What a restore finds and leaves as it is.
#[derive(Debug, Default)]
pub struct ExistingObjects {
    pub schemas: BTreeSet<Vec<u8>>,
    /// Those that belong to others than who restores. `public` nobody made: each server has it.
    pub schemas_of_others: BTreeSet<Vec<u8>>,
    pub extensions: BTreeSet<Vec<u8>>,
}

/// In the target's database. `public` is there in each, and no dump makes it unless somebody changed it.
pub fn existing(target: &PsqlTarget, cancel: &Cancel) -> Result<ExistingObjects> {
    let [schemas, schemas_of_others, extensions] = names(target, EXISTING, ["schemas", "schemas_of_others", "extensions"], cancel)?;
    Ok(ExistingObjects {
        schemas,
        schemas_of_others,
        extensions,
    })
}

/// What a part of a dump may refer to in the target.
#[derive(Debug, Default)]
pub(crate) struct ReferredObjects {
    pub relations: BTreeSet<ObjectName>,
    pub functions: BTreeSet<ObjectName>,
}

/// Tables and the like, and functions, that are in the target's database.
pub(crate) fn relations_and_functions(target: &PsqlTarget, cancel: &Cancel) -> Result<ReferredObjects> {
    let of = |name: &str, catalog: &str, schema: &str| {
        format!(
            "(SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(n.nspname, x.{name})), '[]') FROM pg_catalog.{catalog} x
              JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) x.{schema}
              WHERE n.nspname OPERATOR(pg_catalog.!~) '^pg_(toast|temp)')"
        )
    };
    let (relations, functions) = (of("relname", "pg_class", "relnamespace"), of("proname", "pg_proc", "pronamespace"));
    let sql = format!("SELECT pg_catalog.json_build_array({relations}, {functions})");
    let (relations, functions): (Vec<[String; 2]>, Vec<[String; 2]>) = target.json(&sql, cancel)?;
    let names = |found: Vec<[String; 2]>| found.into_iter().map(|name| name.map(String::into_bytes).to_vec()).collect();
    Ok(ReferredObjects {
        relations: names(relations),
        functions: names(functions),
    })
}

/// In the target's whole server. Names that all of its databases share can be in any encoding: each counts as this database
/// reads it, and by its very bytes.
pub fn existing_globals(target: &PsqlTarget, cancel: &Cancel) -> Result<GlobalsOptions> {
    let of = |name: &str, catalog: &str| {
        format!(
            "(SELECT coalesce(pg_catalog.json_agg({name}), '[]') FROM pg_catalog.{catalog} x)",
            name = session::hex(name)
        )
    };
    let (roles, tablespaces) = (of("x.rolname", "pg_roles"), of("x.spcname", "pg_tablespace"));
    let bytes = format!("SELECT pg_catalog.json_build_object('roles', {roles}, 'tablespaces', {tablespaces})");
    let text = "SELECT pg_catalog.json_build_object(
        'roles', (SELECT coalesce(pg_catalog.json_agg(r.rolname), '[]') FROM pg_catalog.pg_roles r),
        'tablespaces', (SELECT coalesce(pg_catalog.json_agg(t.spcname), '[]') FROM pg_catalog.pg_tablespace t))";
    let kinds = ["roles", "tablespaces"];
    let unhexed = |names: BTreeSet<Vec<u8>>| names.into_iter().filter_map(|name| unhex_all(std::str::from_utf8(&name).ok()?));
    let [mut existing_roles, mut existing_tablespaces] = names(target, text, kinds, cancel)?;
    let [roles, tablespaces] = names(target, &bytes, kinds, cancel)?;
    existing_roles.extend(unhexed(roles));
    existing_tablespaces.extend(unhexed(tablespaces));
    Ok(GlobalsOptions {
        existing_roles,
        existing_tablespaces,
        drill: false,
    })
}

fn names<const N: usize>(target: &PsqlTarget, sql: &str, kinds: [&str; N], cancel: &Cancel) -> Result<[BTreeSet<Vec<u8>>; N]> {
    let mut found: BTreeMap<String, Vec<String>> = target.json(sql, cancel)?;
    Ok(kinds.map(|kind| {
        let names = found.remove(kind).unwrap_or_default();
        names.into_iter().map(String::into_bytes).collect()
    }))
}

/// Whatever stands in a template is in every database that is made of it from then on.
pub(crate) fn must_be_no_template(target: &PsqlTarget, cancel: &Cancel) -> Result<()> {
    let state = "SELECT pg_catalog.json_build_array(d.datname, d.datistemplate OR d.datname OPERATOR(pg_catalog.=) ANY ('{template0,template1}'::pg_catalog.name[]))
        FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database();";
    let (name, is_template): (String, bool) = target.json(state, cancel)?;
    if !is_template {
        return Ok(());
    }
    let message = format!("the database {name} is a template: what is restored into it would be in every new database");
    Err(Error::new(Code::RestoreFailed, message).advise("Name another database in --to, and add --create to create it."))
}

/// What the dump's owners and grants name, and the target lacks.
fn missing_roles(properties: &DatabaseProperties, target: &PsqlTarget, cancel: &Cancel) -> Result<Option<String>> {
    let needed: BTreeSet<String> = properties.roles.iter().cloned().collect();
    if needed.is_empty() {
        return Ok(None);
    }
    let found = existing_among(needed.clone(), target, cancel)?;
    // In one line, whatever the names are.
    let missing: Vec<String> = needed
        .difference(&found)
        .map(|role| identifier(role).replace(['\n', '\r'], "\u{fffd}"))
        .collect();
    let message = "the target lacks roles that the backup's owners and privileges name:";
    Ok((!missing.is_empty()).then(|| format!("{message} {}", some_of(&missing))))
}

/// They must be there before its rows: privileges and policies come behind them.
pub(crate) fn must_have_roles(properties: &DatabaseProperties, target: &PsqlTarget, cancel: &Cancel) -> Result<()> {
    let Some(message) = missing_roles(properties, target, cancel)? else {
        return Ok(());
    };
    Err(Error::new(Code::RestoreFailed, message).advise(
        "Make them (CREATE ROLE, in psql), or restore those of the backup first (--globals, if it was made with them); or leave out what names them (--no-owner --no-privileges).",
    ))
}

/// Where only a part of the dump is restored, which need not name any of them.
pub(crate) fn may_lack_roles(properties: &DatabaseProperties, target: &PsqlTarget, cancel: &Cancel) -> Result<Vec<String>> {
    let missing = missing_roles(properties, target, cancel)?;
    let told = |message| format!("{message}; if a statement of this part names one of them, the restore fails there");
    Ok(missing.into_iter().map(told).collect())
}

/// `restore_failed` with the first objects, unless nothing is there.
pub fn must_be_empty(target: &PsqlTarget, cancel: &Cancel) -> Result<()> {
    let objects: Vec<String> = target.json(OBJECTS, cancel)?;
    if objects.is_empty() {
        return Ok(());
    }
    let error = Error::new(Code::RestoreFailed, format!("the target is not empty: {}", some_of(&objects)));
    Err(error.advise("Restore into an empty database: name another one in --to, and add --create to create it."))
}

/// For a part of a database, whose tables may need others: those are there already, and these must not be.
pub(crate) fn must_have_none_of(tables: &[String], target: &PsqlTarget, cancel: &Cancel) -> Result<()> {
    let mut objects: Vec<String> = target.json(OBJECTS, cancel)?;
    let is_one = |object: &str, table: &str| object.strip_suffix(table).is_some_and(|kind| kind.ends_with(' '));
    objects.retain(|object| tables.iter().any(|table| is_one(object, table)));
    if objects.is_empty() {
        return Ok(());
    }
    let message = format!("the target has tables of this part already: {}", some_of(&objects));
    Err(Error::new(Code::RestoreFailed, message).advise(
        "Drop them there if an earlier restore of this part made them, or name another database in --to: whatever else it has may stay.",
    ))
}
