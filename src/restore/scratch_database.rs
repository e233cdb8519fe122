//! What a drill's superuser does for a backup, before any code of it exists and after all of it has run: what PostgreSQL keeps
//! for superusers, and what belongs to others than who restores.

use super::filter::{DumpHead, HeadExtension, PreparedTarget, ServerRights};
use super::psql::trial_reports::TrialReports;
use super::psql::{PsqlTarget, ReportText};
use super::steps;
use crate::cancel::Cancel;
use crate::error::Result;
use crate::format::database_properties::DatabaseProperties;
use crate::format::sql::{identifier, literal};
use serde::Deserialize;
use std::collections::BTreeSet;

/// Makes the roles that the backup names and nobody made: of them a dump holds the names alone. Nobody logs in as one.
pub(super) fn make_roles(properties: &DatabaseProperties, superuser: &PsqlTarget, cancel: &Cancel) -> Result<Vec<ReportText>> {
    let of_privileges = properties.privileges.iter().flatten();
    let of_privileges = of_privileges.flat_map(|privilege| privilege.grantee.iter().chain([&privilege.grantor]));
    let named: BTreeSet<&String> = properties
        .roles
        .iter()
        .chain(&properties.owner)
        .chain(properties.role_settings.keys())
        .chain(of_privileges)
        .collect();
    let there = "SELECT coalesce(pg_catalog.json_agg(r.rolname), '[]') FROM pg_catalog.pg_roles r;";
    let there: BTreeSet<String> = superuser.json::<Vec<String>>(there, cancel)?.into_iter().collect();
    let missing: Vec<&&String> = named.iter().filter(|role| !there.contains(**role)).collect();
    let statements: Vec<String> = missing
        .iter()
        .map(|role| format!("CREATE ROLE {} NOLOGIN NOSUPERUSER", identifier(role)))
        .collect();
    if statements.is_empty() {
        return Ok(Vec::new());
    }
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    let refusals = superuser.try_statements(&statements, cancel)?;
    let told = missing.iter().zip(refusals);
    Ok(told
        .filter_map(|(role, refusal)| Some((role, refusal?.message)))
        .map(|(role, why)| ReportText::ours(format!("the role {role} could not be made: {why}")))
        .collect())
}

/// Makes the extensions of a dump, and the schemas that they go to, while no function or operator of the dump exists that
/// their scripts could find. What the server lacks is told and left out.
pub(super) fn prepare(
    head: &DumpHead,
    excluded: &BTreeSet<Vec<u8>>,
    superuser: &PsqlTarget,
    restorer: &str,
    there: &BTreeSet<Vec<u8>>,
    cancel: &Cancel,
) -> Result<PreparedTarget> {
    let mut prepared = PreparedTarget::default();
    for HeadExtension { name, schema } in head.extensions.iter().filter(|extension| !excluded.contains(&extension.name)) {
        let (Ok(text), Ok(place)) = (std::str::from_utf8(name), schema.as_deref().map(std::str::from_utf8).transpose()) else {
            prepared
                .missing
                .push((name.clone(), "its name or its schema's is not UTF-8".into()));
            continue;
        };
        if let (Some(schema), Some(place)) = (schema, place)
            && !there.contains(schema)
            && !prepared.schemas.contains(schema)
        {
            let statement = format!("CREATE SCHEMA {} AUTHORIZATION {}", identifier(place), identifier(restorer));
            if superuser.try_statement(&statement, cancel)?.is_none() {
                prepared.schemas.push(schema.clone());
            }
        }
        let place = place.map_or(String::new(), |place| format!(" WITH SCHEMA {}", identifier(place)));
        let statement = format!("CREATE EXTENSION IF NOT EXISTS {}{place}", identifier(text));
        match superuser.try_statement(&statement, cancel)? {
            None => prepared.extensions.push(name.clone()),
            Some(refusal) => prepared.missing.push((name.clone(), refusal.message)),
        }
    }
    superuser.execute(&rights(restorer), cancel)?;
    let KnownObjects {
        languages,
        settings,
        tables,
        wrappers,
        refused,
        known,
    } = superuser.json(KNOWN, cancel)?;
    let bytes = |names: Vec<String>| names.into_iter().map(String::into_bytes);
    prepared.rights = Some(ServerRights {
        languages: bytes(languages).collect(),
        settings: bytes(settings).collect(),
        tables: tables.into_iter().map(|name| bytes(name).collect()).collect(),
        wrappers: bytes(wrappers).collect(),
        refused: bytes(refused).collect(),
        known: bytes(known).collect(),
    });
    Ok(prepared)
}

/// A warning that names what was made here and stands in no statement of the dump: a restore has to find it there.
pub(super) fn schemas_beside(head: &DumpHead, prepared: &PreparedTarget) -> Option<String> {
    let beside = prepared.schemas.iter().filter(|schema| !head.schemas.contains(schema));
    let names: Vec<_> = beside.map(|schema| String::from_utf8_lossy(schema)).collect();
    (!names.is_empty()).then(|| {
        format!(
            "the drill made schemas that extensions of this backup go to and that are not in it; before a restore make them yourself: {}",
            names.join(", ")
        )
    })
}

/// What a role without superuser may write functions in, may not set, and does not own.
const KNOWN: &str = "SELECT pg_catalog.json_build_object(
    'languages', (SELECT pg_catalog.json_agg(l.lanname) FROM pg_catalog.pg_language l WHERE l.lanpltrusted),
    'settings', (SELECT pg_catalog.json_agg(pg_catalog.lower(s.name)) FROM pg_catalog.pg_settings s
        WHERE s.context OPERATOR(pg_catalog.<>) 'user'),
    'wrappers', (SELECT coalesce(pg_catalog.json_agg(w.fdwname), '[]') FROM pg_catalog.pg_foreign_data_wrapper w),
    'refused', (SELECT coalesce(pg_catalog.json_agg(p.proname), '[]') FROM pg_catalog.pg_proc p
        WHERE NOT pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE')),
    'known', (SELECT coalesce(pg_catalog.json_agg(k.name), '[]') FROM (
        SELECT p.proname AS name FROM pg_catalog.pg_proc p WHERE p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
        UNION SELECT c.relname FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
        UNION SELECT t.typname FROM pg_catalog.pg_type t WHERE t.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
        UNION SELECT o.opcname FROM pg_catalog.pg_opclass o WHERE o.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
        UNION SELECT f.opfname FROM pg_catalog.pg_opfamily f WHERE f.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
        UNION SELECT l.collname FROM pg_catalog.pg_collation l WHERE l.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
        UNION SELECT s.dictname FROM pg_catalog.pg_ts_dict s WHERE s.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
        UNION SELECT s.cfgname FROM pg_catalog.pg_ts_config s WHERE s.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
        UNION SELECT s.tmplname FROM pg_catalog.pg_ts_template s WHERE s.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
        UNION SELECT s.prsname FROM pg_catalog.pg_ts_parser s WHERE s.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid) k),
    'tables', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(n.nspname, c.relname)), '[]')
        FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) d.objid
            JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
        WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype OPERATOR(pg_catalog.=) 'e'))";

#[derive(Deserialize)]
struct KnownObjects {
    languages: Vec<String>,
    settings: Vec<String>,
    tables: Vec<Vec<String>>,
    wrappers: Vec<String>,
    refused: Vec<String>,
    known: Vec<String>,
}

/// Rows of an extension's tables come with the dump; so do servers of its wrappers. Not the right to put triggers there: the
/// extension's own functions may be the superuser's.
fn rights(restorer: &str) -> String {
    format!(
        "DO $rights$ DECLARE statement pg_catalog.text; BEGIN FOR statement IN
    SELECT pg_catalog.format('GRANT %s ON %s %I.%I TO %I',
        CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'S' THEN 'USAGE, SELECT, UPDATE' ELSE 'SELECT, INSERT' END,
        CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, n.nspname, c.relname, {role})
    FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) d.objid
        JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype OPERATOR(pg_catalog.=) 'e'
        AND c.relkind OPERATOR(pg_catalog.=) ANY ('{{r,p,S,v,m,f}}'::pg_catalog.\"char\"[])
    UNION ALL
    SELECT pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, {role})
    FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) d.objid
    WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.deptype OPERATOR(pg_catalog.=) 'e'
    UNION ALL
    SELECT pg_catalog.format('GRANT USAGE ON FOREIGN DATA WRAPPER %I TO %I', w.fdwname, {role}) FROM pg_catalog.pg_foreign_data_wrapper w
LOOP EXECUTE statement; END LOOP; END $rights$;",
        role = literal(restorer)
    )
}

/// Owners and privileges, once everything else has been done and counted: they run no code of the dump.
pub(super) fn set_owners(aside: &[u8], superuser: &PsqlTarget, tried: &TrialReports, cancel: &Cancel) -> Result<Vec<ReportText>> {
    if aside.is_empty() {
        return Ok(Vec::new());
    }
    steps::run_statements(aside, superuser, Some(tried), cancel)
}
