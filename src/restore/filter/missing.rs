//! What extensions have that a dump speaks of and does not make, as the tables of pg_cron: without the extension it is not there.

use super::object::{DumpObject, ObjectKind, joined, parts_of};
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
    /// Whatever else: a schema, if its kind has one, and the name.
    pub(super) objects: BTreeSet<(ObjectKind, Vec<Vec<u8>>)>,
    /// For which they have operator classes: of a default one, an index names no more.
    pub(super) access_methods: BTreeSet<Vec<u8>>,
    /// They have casts or default classes of types that are not theirs, which nothing names that needs them.
    pub(super) serves_others: bool,
    /// Functions with their arguments.
    signatures: BTreeSet<String>,
    /// Names under which the dump makes functions of its own.
    overloaded: BTreeSet<Vec<Vec<u8>>>,
}

fn kind_of(word: &str) -> Option<ObjectKind> {
    match word {
        "function" => Some(ObjectKind::Routine),
        "type" => Some(ObjectKind::Type),
        "language" => Some(ObjectKind::Language),
        "wrapper" => Some(ObjectKind::Wrapper),
        "access method" => Some(ObjectKind::AccessMethod),
        "collation" => Some(ObjectKind::Collation),
        "operator" => Some(ObjectKind::Operator),
        "operator class" => Some(ObjectKind::OperatorClass),
        "operator family" => Some(ObjectKind::OperatorFamily),
        "text search configuration" => Some(ObjectKind::Configuration),
        "text search dictionary" => Some(ObjectKind::Dictionary),
        "text search parser" => Some(ObjectKind::Parser),
        "text search template" => Some(ObjectKind::Template),
        _ => None,
    }
}

impl ExtensionMembers {
    pub(crate) fn new(extensions: &[Extension]) -> Self {
        let bytes = |text: &String| text.clone().into_bytes();
        let object = |words: &Vec<String>| {
            let (kind, name) = words.split_first()?;
            Some((kind_of(kind)?, name.iter().take(2).map(bytes).collect()))
        };
        let signature = |words: &Vec<String>| match words.as_slice() {
            [kind, schema, name, arguments @ ..] if kind_of(kind) == Some(ObjectKind::Routine) => {
                let name = joined(&[bytes(schema), bytes(name)]);
                Some(format!("{name}({})", arguments.first().map_or("", String::as_str)))
            }
            _ => None,
        };
        let access_method = |words: &Vec<String>| match words.as_slice() {
            // Theirs are for types of their own, which are gone too, or served without a name.
            [kind, _, _, method] if kind_of(kind) == Some(ObjectKind::OperatorClass) => {
                (method != "btree" && method != "hash").then(|| bytes(method))
            }
            _ => None,
        };
        let serves_others = |words: &Vec<String>| {
            let kind = words.first().map(String::as_str);
            matches!(kind, Some("cast" | "default operator class"))
        };
        let members = |extension: &Extension| Members {
            schemas: extension.schemas.iter().map(bytes).collect(),
            relations: extension.relations.iter().map(|name| name.iter().map(bytes).collect()).collect(),
            objects: extension.objects.iter().filter_map(object).collect(),
            access_methods: extension.objects.iter().filter_map(access_method).collect(),
            serves_others: extension.objects.iter().any(serves_others),
            signatures: extension.objects.iter().filter_map(signature).collect(),
            overloaded: BTreeSet::new(),
        };
        Self(extensions.iter().map(|one| (bytes(&one.name), members(one))).collect())
    }

    pub(super) fn get(&self, extension: &[u8]) -> Option<&Members> {
        self.0.get(extension)
    }
}

impl Members {
    pub(super) fn add(&mut self, more: &Self) {
        self.schemas.extend(more.schemas.iter().cloned());
        self.relations.extend(more.relations.iter().cloned());
        self.objects.extend(more.objects.iter().cloned());
        self.access_methods.extend(more.access_methods.iter().cloned());
        self.serves_others |= more.serves_others;
        self.signatures.extend(more.signatures.iter().cloned());
    }

    /// What they put elsewhere than where they went to, and where a dump has it by its schema.
    pub(super) fn elsewhere<'a>(&'a self, place: Option<&'a Vec<u8>>) -> impl Iterator<Item = (ObjectKind, &'a Vec<u8>, &'a Vec<u8>)> {
        let objects = self.objects.iter().filter_map(|(kind, name)| match name.as_slice() {
            [schema, name] => Some((*kind, schema, name)),
            _ => None,
        });
        objects
            .filter(move |(_, schema, _)| Some(*schema) != place && schema.as_slice() != b"pg_catalog" && !self.schemas.contains(*schema))
    }

    /// Somebody made it after all, for what a user has in it.
    pub(super) fn has_schema_now(&mut self, name: &[u8]) {
        self.schemas.remove(name);
    }

    /// The dump makes one of that name itself: words about it may be about that one.
    pub(super) fn see_made(&mut self, object: &DumpObject, statement: &Statement) {
        if self.objects.is_empty() {
            return;
        }
        let Some((parts, _)) = statement.qualified(object.at) else { return };
        if object.kind == ObjectKind::Routine {
            self.overloaded.insert(parts);
        } else {
            self.objects.remove(&(object.kind, parts));
        }
    }

    /// The name of what a statement is about, if it is one of these. What a user has in a schema of these is his own.
    pub(super) fn named_by(&self, statement: &Statement, about: Option<usize>) -> Option<Vec<Vec<u8>>> {
        if statement.is(0, "COPY") {
            return Some(statement.qualified(1)?.0).filter(|parts| self.relations.contains(parts));
        }
        if statement.has(0, "SELECT pg_catalog") && statement.is(3, "setval") {
            return Some(parts_of(&statement.literal(5)?)).filter(|parts| self.relations.contains(parts));
        }
        if let Some(schema) = schema_of_all(statement) {
            return self.schemas.contains(&schema).then(|| vec![schema]);
        }
        let object = DumpObject::read(statement, about?)?;
        let (parts, _) = statement.qualified(object.at)?;
        let is_one = match object.kind {
            ObjectKind::Schema => self.schemas.contains(&object.own),
            // A column's name may follow.
            ObjectKind::Relation => self.relations.contains(&parts[..parts.len().min(2)]),
            ObjectKind::Routine if self.overloaded.contains(&parts) => self.signatures.contains(&object.key),
            kind => self.objects.contains(&(kind, parts.clone())),
        };
        is_one.then_some(parts)
    }
}

/// Of `ALTER DEFAULT PRIVILEGES … IN SCHEMA s …` and `ALTER PUBLICATION p ADD TABLES IN SCHEMA s`.
fn schema_of_all(statement: &Statement) -> Option<Vec<u8>> {
    let is_one = statement.has(0, "ALTER DEFAULT PRIVILEGES") || statement.has(0, "ALTER PUBLICATION");
    let at = statement.find(2, "SCHEMA").filter(|at| is_one && statement.is(at - 1, "IN"))?;
    statement.name(at + 1)
}
