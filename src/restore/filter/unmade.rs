//! What a dump speaks of and does not make: it comes with an extension, as the tables of pg_cron do, and is not there without it.

use super::judge::created_extension;
use super::object::{DumpObject, ObjectKind, parts_of};
use super::options::FilterOptions;
use crate::format::dump_statement::Statement;
use crate::format::sha256;
use std::collections::{BTreeSet, HashSet};

/// More than any database has, at 16 bytes each; beyond that nothing is called unmade.
const MAX_MADE: usize = 2_000_000;
/// PostgreSQL's own, in every database.
const OWN_SCHEMAS: [&[u8]; 4] = [b"pg_catalog", b"information_schema", b"pg_toast", b"public"];

/// Kept only where an extension is left out or missing.
#[derive(Debug, Default)]
pub(super) struct Unmade {
    made: HashSet<[u8; 16]>,
    schemas: BTreeSet<Vec<u8>>,
    /// Where the dump puts extensions that are left out, and all others.
    left_out: BTreeSet<Vec<u8>>,
    kept: BTreeSet<Vec<u8>>,
    kept_names: Vec<Vec<u8>>,
}

impl Unmade {
    /// Schemas that are there before the dump.
    pub(super) fn there(&mut self, schemas: impl IntoIterator<Item = Vec<u8>>) {
        self.schemas.extend(schemas);
    }

    /// Takes note of what a statement makes.
    pub(super) fn see(&mut self, statement: &Statement, options: &FilterOptions) {
        if let Some(at) = created_extension(statement) {
            let Some(name) = statement.name(at) else { return };
            let schema = statement.find(at + 1, "SCHEMA").and_then(|schema| statement.name(schema + 1));
            if options.exclude_extensions.contains(&name) {
                self.left_out.extend(schema);
            } else {
                self.kept.extend(schema);
                self.kept_names.push(name);
            }
            return;
        }
        if let Some(object) = DumpObject::made(statement) {
            if object.kind == ObjectKind::Schema {
                self.schemas.insert(object.own);
            } else if let Some((parts, _)) = statement.qualified(object.at) {
                self.insert(&parts);
            }
        }
        // The sequence of an identity column.
        if let Some(at) = statement.find_word(2, "SEQUENCE").filter(|at| statement.is(*at + 1, "NAME"))
            && let Some((parts, _)) = statement.qualified(at + 2)
        {
            self.insert(&parts);
        }
    }

    fn insert(&mut self, parts: &[Vec<u8>]) {
        if self.made.len() < MAX_MADE {
            self.made.insert(key(parts));
        }
    }

    pub(super) fn lacks_schema(&self, name: &[u8]) -> bool {
        !OWN_SCHEMAS.contains(&name) && !name.starts_with(b"pg_temp") && !self.schemas.contains(name)
    }

    /// With its schema, a name that neither the dump nor PostgreSQL itself has.
    pub(super) fn is_unmade(&self, parts: &[Vec<u8>]) -> bool {
        let is_own = parts.first().is_some_and(|schema| OWN_SCHEMAS[..3].contains(&&**schema));
        parts.len() > 1 && !is_own && self.made.len() < MAX_MADE && !self.made.contains(&key(parts))
    }

    /// As far as the dump alone tells: other extensions may have tables, too.
    fn is_of_left_out(&self, schema: &[u8]) -> bool {
        if self.kept.contains(schema) {
            return false;
        }
        let is_in_a_name = |name: &Vec<u8>| memchr::memmem::find(name, schema).is_some();
        self.left_out.contains(schema) || (self.lacks_schema(schema) && !self.kept_names.iter().any(is_in_a_name))
    }

    /// What a statement is about that a left-out extension has; of a table whose rows these are, its name.
    pub(super) fn of_left_out(&self, statement: &Statement, about: Option<usize>) -> Option<Vec<Vec<u8>>> {
        let parts = if statement.is(0, "COPY") {
            statement.qualified(1)?.0
        } else if statement.has(0, "SELECT pg_catalog") && statement.is(3, "setval") {
            parts_of(&statement.literal(5)?)
        } else {
            let object = DumpObject::read(statement, about?)?;
            if object.kind == ObjectKind::Schema {
                let is_gone = self.lacks_schema(&object.own) && self.is_of_left_out(&object.own);
                return is_gone.then(|| vec![object.own]);
            }
            let is_in_a_schema = matches!(object.kind, ObjectKind::Relation | ObjectKind::Type | ObjectKind::Routine);
            statement.qualified(object.at).filter(|_| is_in_a_schema)?.0
        };
        (self.is_unmade(&parts) && self.is_of_left_out(&parts[0])).then_some(parts)
    }
}

fn key(parts: &[Vec<u8>]) -> [u8; 16] {
    // A column's name may follow.
    let parts: Vec<&[u8]> = parts.iter().take(2).map(Vec::as_slice).collect();
    let mut key = [0; 16];
    key.copy_from_slice(&sha256(&parts.join(&0))[..16]);
    key
}
