//! Schemas that a dump needs and does not make: `pg_dump --table` writes none, and none that an extension made.

use super::dependents::said_of;
use super::lost::LostObjects;
use super::object::{DumpObject, ObjectKind};
use super::options::FilterOptions;
use crate::format::dump_statement::Statement;
use std::collections::BTreeSet;

/// Those that the dump makes, and those that were made for it.
#[derive(Default)]
pub(super) struct MadeSchemas(BTreeSet<Vec<u8>>);

/// As the dump writes its name, and as it is.
pub(super) struct MissingSchema {
    pub(super) sql: Vec<u8>,
    pub(super) name: Vec<u8>,
}

impl MadeSchemas {
    /// The schema of what is made there, where nobody has made it. It counts as made from then on.
    pub(super) fn missing(&mut self, statement: &Statement, options: &FilterOptions, lost: &mut LostObjects) -> Option<MissingSchema> {
        if !options.makes_schemas && lost.missing.schemas.is_empty() {
            return None;
        }
        let object = DumpObject::made(statement)?;
        if object.kind == ObjectKind::Schema {
            self.0.insert(object.own);
            return None;
        }
        // Of operators the name is none, but for its schema.
        let has_schema = !matches!(object.kind, ObjectKind::Cast | ObjectKind::Transform | ObjectKind::UserMapping);
        if !has_schema || !statement.is_symbol(object.at + 1, b'.') {
            return None;
        }
        let schema = &statement.name(object.at)?;
        let is_there = options.existing_schemas.contains(schema) || options.made_schemas.contains(schema);
        let is_wanted = options.makes_schemas || lost.missing.schemas.contains(schema);
        if is_there || !is_wanted || !self.0.insert(schema.clone()) {
            return None;
        }
        lost.made_schema(schema);
        Some(MissingSchema {
            sql: statement.bytes(object.at, object.at + 1).to_vec(),
            name: schema.clone(),
        })
    }
}

/// The schema of others whose owner, privileges or comment a statement sets.
pub(super) fn of_others(options: &FilterOptions, statement: &Statement) -> Option<String> {
    let at = said_of(statement).filter(|at| statement.is(*at, "SCHEMA"))? + 1;
    let is_of_others = statement.name(at).is_some_and(|name| options.schemas_of_others.contains(&name));
    is_of_others.then(|| statement.text(at, at + 1))
}
