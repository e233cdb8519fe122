//! What certainly was not made, by its full identity; and the names of all that may need it.

use super::missing::Members;
use super::object::{DumpObject, ObjectKind, joined, parts_of};
use super::options::ServerRights;
use super::suspects::Suspects;
use crate::format::dump_lexer::{DumpLexer, Lexed};
use crate::format::dump_statement::{Statement, shown};
use crate::format::{hex, sha256};
use std::collections::BTreeSet;

/// More than any honest database has; a hostile dump may consist of nothing else.
const MAX_OBJECTS: usize = 200_000;
/// Of an identity: a longer one is held by its hash.
const MAX_KEY: usize = 1024;

/// Types whose values are names, by which a string may need what is not there.
const TYPES_OF_NAMES: &[&[u8]] = &[
    b"regclass",
    b"regcollation",
    b"regconfig",
    b"regdictionary",
    b"regoper",
    b"regoperator",
    b"regproc",
    b"regprocedure",
    b"regtype",
];

fn held(identity: &str) -> String {
    match identity.len() > MAX_KEY {
        true => hex(&sha256(identity.as_bytes())),
        false => identity.to_owned(),
    }
}

#[derive(Debug, Default)]
pub(super) struct LostObjects {
    keys: BTreeSet<(ObjectKind, String)>,
    /// Names without arguments.
    names: BTreeSet<(ObjectKind, String)>,
    pub(super) suspects: Suspects,
    /// Servers of files, which superusers alone may name.
    file_servers: BTreeSet<String>,
    /// Nobody knows the names of what they had, and a body may use any of them.
    pub(super) lacks_extensions: bool,
    /// Sequences of identity columns that may not be there.
    pub(super) doubtful_sequences: BTreeSet<String>,
    /// What those extensions had, as far as the backup tells.
    pub(super) missing: Members,
    /// Schemas in which extensions have what no dump names.
    shared: BTreeSet<Vec<u8>>,
    /// Names of what the dump makes, and of what is in those schemas before.
    known: BTreeSet<Vec<u8>>,
}

impl LostObjects {
    pub(super) fn add(&mut self, object: &DumpObject, statement: &Statement) {
        self.names.insert((object.kind, held(&object.name)));
        self.keys.insert((object.kind, held(&object.key)));
        // These serve without being named: by the types of columns, in comparisons and in sorting.
        let is_default = || statement.has(object.words.1, "DEFAULT FOR TYPE");
        self.suspects.are_all |= object.kind == ObjectKind::Cast || (object.kind == ObjectKind::OperatorClass && is_default());
        self.suspect(object, statement);
    }

    pub(super) fn add_name(&mut self, kind: ObjectKind, name: &str) {
        self.names.insert((kind, held(name)));
        self.keys.insert((kind, held(name)));
    }

    /// By a wish: what is said about it alone goes with it.
    pub(super) fn leave_out(&mut self, object: &DumpObject) {
        self.keys.insert((object.kind, held(&object.key)));
    }

    /// It holds no more.
    pub(super) fn is_full(&self) -> bool {
        self.keys.len().max(self.suspects.len()) > MAX_OBJECTS
    }

    /// Its name, and those by which others use it without a name.
    pub(super) fn suspect(&mut self, object: &DumpObject, statement: &Statement) {
        let (from, to) = object.words;
        if !matches!(object.kind, ObjectKind::Cast | ObjectKind::Transform | ObjectKind::UserMapping) {
            self.suspects.add(&object.own);
        }
        let mut at = from;
        let types = if matches!(object.kind, ObjectKind::Cast | ObjectKind::Transform) {
            to
        } else {
            from
        };
        while at < types {
            let Some((parts, end)) = statement.qualified(at) else {
                at += 1;
                continue;
            };
            let is_word = statement.is_any(at, &["CAST", "TRANSFORM", "AS", "FOR", "LANGUAGE"]);
            if let Some(name) = parts.last().filter(|_| !is_word) {
                self.suspects.add(name);
            }
            at = end;
        }
        for at in to..statement.len() {
            let name = if statement.is(at, "CONSTRAINT") {
                at + 1
            } else if statement.is(at, "MULTIRANGE_TYPE_NAME") {
                at + 2
            } else {
                continue;
            };
            if let Some((parts, _)) = statement.qualified(name) {
                parts.last().into_iter().for_each(|name| self.suspects.add(name));
            }
        }
    }

    /// An extension that is not there. It may have had a schema of its own name, and has names in the one it went to, `place`.
    pub(super) fn add_extension(&mut self, name: &[u8], place: Option<&Vec<u8>>, members: Option<&Members>) {
        let text = shown(name);
        self.add_name(ObjectKind::Extension, &text);
        self.add_name(ObjectKind::Schema, &joined(&[name.to_vec()]));
        self.suspects.add(name);
        self.lacks_extensions = true;
        let Some(members) = members else { return };
        self.missing.add(members);
        for schema in &members.schemas {
            self.add_name(ObjectKind::Schema, &joined(std::slice::from_ref(schema)));
            self.suspects.add(schema);
        }
        self.suspects.are_all |= members.serves_others;
        for (kind, schema, name) in members.elsewhere(place) {
            self.shared.insert(schema.clone());
            // Signs such as `=` are everywhere.
            if kind != ObjectKind::Operator {
                self.suspects.add(name);
            }
        }
        // Of these a dump does not say the schema.
        let is_nameless = |name: &&Vec<Vec<u8>>| name.first().is_some_and(|schema| schema == b"pg_catalog") || name.len() == 1;
        let nameless = members.objects.iter().map(|(_, name)| name).filter(is_nameless);
        let nameless = nameless.filter_map(|name| name.last());
        nameless.chain(&members.access_methods).for_each(|name| self.suspects.add(name));
        for relation in &members.relations {
            self.add_name(ObjectKind::Relation, &joined(relation));
            relation.last().into_iter().for_each(|name| self.suspects.add(name));
        }
    }

    /// What extensions have that the role at hand may not use, and where they have it.
    pub(super) fn heed(&mut self, rights: &ServerRights, schemas: impl IntoIterator<Item = Vec<u8>>) {
        let tables = rights.tables.iter().filter_map(|name| name.last());
        tables.chain(&rights.refused).for_each(|name| self.suspects.add(name));
        self.shared.extend(schemas);
        self.known.extend(rights.known.iter().cloned());
    }

    pub(super) fn has(&self, object: &DumpObject) -> bool {
        self.keys.contains(&(object.kind, held(&object.key)))
    }

    pub(super) fn has_name(&self, kind: ObjectKind, name: &str) -> bool {
        self.names.contains(&(kind, held(name)))
    }

    /// `Some`: that of tables which is not there, and whether somebody has told so. It counts as told from then on.
    pub(super) fn take_access_method(&mut self, name: Vec<u8>) -> Option<bool> {
        let text = shown(&name);
        if self.has_name(ObjectKind::AccessMethod, &text) {
            return Some(true);
        }
        let is_missing = self.missing.objects.contains(&(ObjectKind::AccessMethod, vec![name]));
        is_missing.then(|| {
            self.add_name(ObjectKind::AccessMethod, &text);
            false
        })
    }

    /// PostgreSQL's own are there, whatever else has such a name.
    pub(super) fn may_lack_collation(&self, statement: &Statement, at: usize) -> bool {
        let Some((parts, end)) = statement.qualified(at) else {
            return false;
        };
        let is_in_catalog = parts.len() > 1 && parts[0] == b"pg_catalog";
        match is_in_catalog {
            true => self.missing.objects.contains(&(ObjectKind::Collation, parts)),
            false => self.mentioned_in(statement, at, end),
        }
    }

    pub(super) fn lacks_schema(&self, name: &[u8]) -> bool {
        self.has_name(ObjectKind::Schema, &joined(&[name.to_vec()]))
    }

    pub(super) fn made_schema(&mut self, name: &[u8]) {
        let key = (ObjectKind::Schema, held(&joined(&[name.to_vec()])));
        self.keys.remove(&key);
        self.names.remove(&key);
        self.missing.has_schema_now(name);
    }

    /// Takes note of one that passes.
    pub(super) fn made(&mut self, object: &DumpObject) {
        if object.kind == ObjectKind::Schema {
            self.made_schema(&object.own);
        }
        // A function beside one of the extension's, of other arguments: its name may still mean that one.
        let is_overload = || {
            let name = parts_of(object.name.as_bytes());
            object.kind == ObjectKind::Routine && self.missing.objects.contains(&(ObjectKind::Routine, name))
        };
        if !self.shared.is_empty() && !is_overload() {
            self.known.insert(object.own.clone());
        }
    }

    pub(super) fn add_file_server(&mut self, name: String) {
        self.file_servers.insert(name);
    }

    pub(super) fn is_file_server(&self, name: &str) -> bool {
        self.file_servers.contains(name)
    }

    /// Whether a statement names what is not there, or may be.
    pub(super) fn is_named_in(&self, statement: &Statement) -> bool {
        self.suspects.mentioned(statement.all_bytes()) || self.names_unknown(statement, 0, statement.len())
    }

    /// Whether a part of a statement may need what is not there.
    pub(super) fn mentioned_in(&self, statement: &Statement, from: usize, to: usize) -> bool {
        self.suspects.are_all || self.suspects.mentioned(statement.bytes(from, to)) || self.names_unknown(statement, from, to)
    }

    /// `schema.name` of an extension's schema that nobody has made: it was added to an extension, or one lacks that has it.
    fn names_unknown(&self, statement: &Statement, from: usize, to: usize) -> bool {
        if self.shared.is_empty() {
            return false;
        }
        let own = if from == 0 {
            DumpObject::made(statement).map(|object| object.own)
        } else {
            None
        };
        self.names_unknown_but(statement, from, to, own.as_ref())
    }

    fn names_unknown_but(&self, statement: &Statement, from: usize, to: usize, own: Option<&Vec<u8>>) -> bool {
        let mut at = from;
        while at < to {
            if is_of_names(statement, at) && self.text_names_unknown(statement, at, own) {
                return true;
            }
            // `OPERATOR(schema.%)`: of operators nobody knows which the extension had.
            let is_operator = statement.is_symbol(at + 1, b'.') && statement.name(at + 2).is_none();
            if is_operator && statement.name(at).is_some_and(|schema| self.shared.contains(&schema)) {
                return true;
            }
            let Some((parts, end)) = statement.qualified(at) else {
                at += 1;
                continue;
            };
            if let [schema, name, ..] = &*parts
                && self.shared.contains(schema)
                && !self.known.contains(name)
                && own != Some(name)
            {
                return true;
            }
            at = end;
        }
        false
    }

    /// Of a string that holds names, such as `'public.f(public.t)'::regprocedure`.
    fn text_names_unknown(&self, statement: &Statement, at: usize, own: Option<&Vec<u8>>) -> bool {
        // With escapes in it: the server can tell.
        let Some(mut text) = statement.literal(at) else { return true };
        text.push(b';');
        let (mut lexer, mut rest) = (DumpLexer::default(), &*text);
        while !rest.is_empty() {
            let (read, lexed) = lexer.read(rest);
            rest = &rest[read..];
            if lexed == Lexed::End {
                break;
            }
        }
        let names = Statement::new(&text, lexer.tokens());
        self.names_unknown_but(&names, 0, names.len(), own)
    }
}

/// A string that is cast to one of those types.
fn is_of_names(statement: &Statement, at: usize) -> bool {
    // Two colons are one symbol.
    let is_cast = statement.is_text(at) && statement.is_symbol(at + 1, b':');
    let of = |(parts, _): (Vec<Vec<u8>>, usize)| parts.last().is_some_and(|name| TYPES_OF_NAMES.contains(&&**name));
    is_cast && statement.qualified(at + 2).is_some_and(of)
}
