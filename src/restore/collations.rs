//! Collations of the operating system that a backup needs in `pg_catalog`, where no dump makes them: initdb takes them from the
//! system of its server, and only where that has their locales.

use super::psql::PsqlTarget;
use crate::cancel::Cancel;
use crate::error::Result;
use crate::format::database_properties::{DatabaseProperties, SystemCollation};
use crate::format::sql::{identifier, literal};
use std::collections::BTreeSet;

/// That a warning names.
const NAMED: usize = 5;

/// Those of `pg_catalog` that fit the encoding of the database.
const THERE: &str = "SELECT coalesce(pg_catalog.json_agg(l.collname), '[]') FROM pg_catalog.pg_collation l
    WHERE l.collnamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace
    AND l.collencoding OPERATOR(pg_catalog.=) ANY (ARRAY['-1'::pg_catalog.int4, (SELECT d.encoding FROM pg_catalog.pg_database d
        WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())]);";

/// Of the system, for a server of ours.
pub(super) fn locales(properties: &DatabaseProperties) -> impl Iterator<Item = &str> {
    properties.collations().flat_map(|one| [&*one.collate, &*one.ctype])
}

fn missing<'a>(properties: &'a DatabaseProperties, target: &PsqlTarget, cancel: &Cancel) -> Result<Vec<(&'a str, &'a SystemCollation)>> {
    let named = || properties.collations().filter_map(|one| Some((one.name.as_deref()?, one)));
    if named().next().is_none() {
        return Ok(Vec::new());
    }
    let there: BTreeSet<String> = target.json::<Vec<String>>(THERE, cancel)?.into_iter().collect();
    Ok(named().filter(|(name, _)| !there.contains(*name)).collect())
}

fn listed(names: &[&str]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let first = names[..names.len() - more].join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}

/// A warning, where the database that is to be filled lacks some of them.
pub(super) fn lacking(properties: &DatabaseProperties, target: &PsqlTarget, cancel: &Cancel) -> Result<Option<String>> {
    let missing = missing(properties, target, cancel)?;
    let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
    Ok((!names.is_empty()).then(|| {
        format!(
            "the target lacks collations that the source's system has, and what uses one of them ends the restore where it comes: {}",
            listed(&names)
        )
    }))
}

/// Makes them by the superuser of a drill, as initdb would have. A system that lacks a locale has a near one: that is said.
pub(super) fn make(properties: &DatabaseProperties, superuser: &PsqlTarget, cancel: &Cancel) -> Result<Option<String>> {
    let mut left = missing(properties, superuser, cancel)?;
    let statement = |name: &str, collate: &str, ctype: &str| {
        format!(
            "CREATE COLLATION pg_catalog.{} (LC_COLLATE = {}, LC_CTYPE = {})",
            identifier(name),
            literal(collate),
            literal(ctype)
        )
    };
    let mut replaced = Vec::new();
    for near in [None, Some("C.UTF-8"), Some("C")] {
        if left.is_empty() {
            break;
        }
        let statements: Vec<String> = left
            .iter()
            .map(|(name, one)| statement(name, near.unwrap_or(&one.collate), near.unwrap_or(&one.ctype)))
            .collect();
        let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
        let refusals = superuser.try_statements(&statements, cancel)?;
        let (mut refused, mut made) = (Vec::new(), Vec::new());
        for (one, refusal) in left.into_iter().zip(refusals) {
            if refusal.is_some() { refused.push(one) } else { made.push(one.0) }
        }
        if let Some(near) = near.filter(|_| !made.is_empty()) {
            replaced.push(format!("{} in {near}", listed(&made)));
        }
        left = refused;
    }
    Ok((!replaced.is_empty()).then(|| {
        format!(
            "the system of this drill lacks the locales of collations that the source has: it made {} instead, and what they collate sorts otherwise",
            replaced.join(", ")
        )
    }))
}
