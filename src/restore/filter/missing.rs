//! What extensions have that a dump speaks of and does not make, as the tables of pg_cron: without the extension it is not there.

use super::object::{DumpObject, ObjectKind, parts_of};
use crate::format::dump_statement::Statement;
use crate::format::inventory::Extension;
use std::collections::{BTreeMap, BTreeSet};

/// By the source's catalog, of every extension that it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtensionMembers(BTreeMap<Vec<u8>, Members>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Members {
    pub(super) schemas: BTreeSet<Vec<u8>>,
    /// Schema and name.
    pub(super) relations: BTreeSet<Vec<Vec<u8>>>,
}

impl ExtensionMembers {
    pub fn new(extensions: &[Extension]) -> Self {
        let bytes = |text: &String| text.clone().into_bytes();
        let members = |extension: &Extension| Members {
            schemas: extension.schemas.iter().map(bytes).collect(),
            relations: extension.relations.iter().map(|name| name.iter().map(bytes).collect()).collect(),
        };
        Self(extensions.iter().map(|one| (bytes(&one.name), members(one))).collect())
    }

    pub(super) fn of(&self, extension: &[u8]) -> Option<&Members> {
        self.0.get(extension)
    }
}

impl Members {
    pub(super) fn add(&mut self, more: &Self) {
        self.schemas.extend(more.schemas.iter().cloned());
        self.relations.extend(more.relations.iter().cloned());
    }

    /// The name of what a statement is about, if it is one of these; words about what else is in a schema
    /// of these go with it.
    pub(super) fn named_by(&self, statement: &Statement, about: Option<usize>) -> Option<Vec<Vec<u8>>> {
        let parts = if statement.is(0, "COPY") {
            statement.qualified(1)?.0
        } else if statement.has(0, "SELECT pg_catalog") && statement.is(3, "setval") {
            parts_of(&statement.literal(5)?)
        } else {
            let object = DumpObject::read(statement, about?)?;
            if object.kind == ObjectKind::Schema {
                return self.schemas.contains(&object.own).then(|| vec![object.own]);
            }
            statement.qualified(object.at)?.0
        };
        // Rows are one's own wherever they are: a user's table may stand beside those of the extension.
        let is_said = statement.is_any(0, &["GRANT", "REVOKE", "COMMENT"]);
        let is_in_schema = is_said && parts.len() > 1 && self.schemas.contains(&parts[0]);
        // A column's name may follow.
        (is_in_schema || self.relations.contains(&parts[..parts.len().min(2)])).then_some(parts)
    }
}
