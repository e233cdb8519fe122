//! What was not made, and what refers to it: that cannot be made either.
//!
//! References are found in the words alone. A dump writes every name that is not built in with its schema, since it sets
//! an empty search path.

use super::object::{Kind, Object, beside, joined};
use crate::format::dump_statement::Statement;
use std::collections::{BTreeMap, BTreeSet};

/// By kind and full identity, with the words for people.
#[derive(Debug, Default)]
pub(super) struct Lost {
    keys: BTreeMap<(Kind, String), String>,
    /// Names without arguments.
    names: BTreeMap<(Kind, String), String>,
    /// Routines that were made: one of several with a name is enough for a reference.
    routines: BTreeSet<String>,
    /// What was made with a schema in its name.
    made: BTreeSet<String>,
    /// Relations whose rows cannot be asked for here, and why.
    unreadable: BTreeMap<String, String>,
}

impl Lost {
    /// The one way in.
    pub(super) fn add(&mut self, object: &Object, text: String) {
        self.names.insert((object.kind, object.name.clone()), text.clone());
        self.keys.insert((object.kind, object.key.clone()), text);
    }

    pub(super) fn add_name(&mut self, kind: Kind, name: String, text: String) {
        self.names.insert((kind, name.clone()), text.clone());
        self.keys.insert((kind, name), text);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn has(&self, object: &Object) -> bool {
        self.keys.contains_key(&(object.kind, object.key.clone()))
    }

    pub(super) fn has_name(&self, kind: Kind, name: &str) -> bool {
        self.names.contains_key(&(kind, name.to_owned()))
    }

    /// Takes note of one that passes.
    pub(super) fn made(&mut self, object: &Object) {
        if object.kind == Kind::Routine {
            self.routines.insert(object.name.clone());
        }
        if object.kind == Kind::Schema {
            self.keys.remove(&(Kind::Schema, object.key.clone()));
        } else if object.name.contains('.') {
            self.made.insert(object.name.clone());
        }
    }

    /// The schema that it would be in, if that is of an extension that is not there.
    pub(super) fn schema_of(&self, object: &Object) -> Option<&str> {
        let (schema, _) = object.name.split_once('.')?;
        self.keys.get(&(Kind::Schema, schema.to_owned())).map(String::as_str)
    }

    pub(super) fn set_unreadable(&mut self, name: String, reason: String) {
        self.unreadable.insert(name, reason);
    }

    pub(super) fn unreadable(&self, name: &str) -> Option<&String> {
        self.unreadable.get(name)
    }

    /// Why the rows of what these words ask for cannot be had.
    pub(super) fn unreadable_in(&self, statement: &Statement, from: usize) -> Option<String> {
        (from..statement.len()).find_map(|at| {
            let (parts, _) = statement.qualified(at).filter(|(parts, _)| parts.len() > 1)?;
            self.unreadable.get(&joined(&parts[..2])).cloned()
        })
    }

    fn named(&self, kinds: &[Kind], name: &str) -> Option<&str> {
        kinds.iter().find_map(|kind| {
            let is_made = *kind == Kind::Routine && self.routines.contains(name);
            let text = self.names.get(&(*kind, name.to_owned())).filter(|_| !is_made)?;
            Some(text.as_str())
        })
    }

    /// The first lost object that these words refer to.
    pub(super) fn reference(&self, statement: &Statement, from: usize, to: usize) -> Option<&str> {
        if self.is_empty() {
            return None;
        }
        let mut at = from;
        while at < to {
            if let Some(found) = self.at(statement, at) {
                return Some(found);
            }
            // Not from the middle of a name on.
            at = statement.qualified(at).map_or(at + 1, |(_, end)| end.max(at + 1));
        }
        None
    }

    fn at(&self, statement: &Statement, at: usize) -> Option<&str> {
        if let Some(literal) = statement.literal(at) {
            let kinds = [Kind::Relation, Kind::Configuration, Kind::Dictionary, Kind::Type, Kind::Collation];
            let text = String::from_utf8_lossy(&literal).replace('"', "");
            return self.named(&kinds, &text);
        }
        if statement.is(at, "OPERATOR") && statement.is_symbol(at + 1, b'(') {
            let end = statement.find_symbol(at + 2, b')')?;
            return self.named(&[Kind::Operator], &statement.text(at + 2, end));
        }
        if let Some(found) = self.plain(statement, at) {
            return Some(found);
        }
        let (parts, end) = statement.qualified(at).filter(|(parts, _)| parts.len() > 1)?;
        let name = joined(&parts[..2]);
        let before = |words: &[&str]| at > 0 && statement.is_any(at - 1, words);
        if !self.made.contains(&name) && self.has_name(Kind::Schema, &String::from_utf8_lossy(&parts[0])) {
            return self.named(&[Kind::Schema], &String::from_utf8_lossy(&parts[0]));
        }
        let relation = [Kind::Relation, Kind::Type];
        if before(&["COLLATE"]) {
            self.named(&[Kind::Collation], &name)
        } else if statement.is_symbol(end, b'(') && !before(&["REFERENCES", "INTO", "ON", "ONLY"]) {
            self.named(&[Kind::Routine, Kind::Type, Kind::OperatorClass], &name)
        } else if before(&["HANDLER", "VALIDATOR", "INLINE", "SUPPORT"]) || (at > 0 && statement.is_symbol(at - 1, b'=')) {
            let kinds = [
                Kind::Routine,
                Kind::Type,
                Kind::Parser,
                Kind::Template,
                Kind::Configuration,
                Kind::Collation,
            ];
            self.named(&kinds, &name)
        } else if statement.has(0, "CREATE CONVERSION") || statement.has(0, "CREATE DEFAULT CONVERSION") {
            self.named(&[Kind::Routine], &name)
        } else if statement.has(0, "ALTER TEXT SEARCH") {
            self.named(&[Kind::Dictionary], &name)
        } else if statement.has(0, "ALTER TABLE") || statement.find(1, "INDEX").is_some() || statement.find(1, "PARTITION").is_some() {
            self.named(&[Kind::Relation, Kind::Type, Kind::OperatorClass], &name)
        } else {
            self.named(&relation, &name)
        }
    }

    /// Kinds whose names have no schema.
    fn plain(&self, statement: &Statement, at: usize) -> Option<&str> {
        let named = |kind, at| self.named(&[kind], &String::from_utf8_lossy(&statement.name(at)?));
        if statement.has(at, "FOREIGN DATA WRAPPER") {
            named(Kind::Wrapper, at + 3)
        } else if statement.is(at, "SERVER") {
            named(Kind::Server, at + 1)
        } else if statement.is(at, "LANGUAGE") {
            named(Kind::Language, at + 1)
        } else if statement.is(at, "USING") && statement.is_any(1, &["INDEX", "UNIQUE", "TABLE", "MATERIALIZED", "OPERATOR", "UNLOGGED"]) {
            named(Kind::AccessMethod, at + 1)
        } else if statement.has(at, "USING INDEX") || statement.has(at, "CLUSTER ON") {
            let (table, _) = statement.qualified(2 + usize::from(statement.is(2, "ONLY")))?;
            self.named(&[Kind::Relation], &joined(&beside(&table, statement.name(at + 2)?)))
        } else {
            None
        }
    }
}
