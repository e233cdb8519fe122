//! Names of what may not be there, and whether a statement mentions one of them.
//!
//! Any occurrence will do, in code, strings and bodies: the server decides what comes of it, and to be asked costs nothing.

use super::object::{DumpObject, joined};
use crate::format::dump_statement::Statement;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// More names of signs alone than anybody has: beyond that every sign is one.
const MAX_SIGNS: usize = 1000;
/// Words of bodies: of a few thousand functions.
const MAX_REMEMBERED: usize = 1_000_000;

#[derive(Debug, Default)]
pub(super) struct Suspects {
    words: HashSet<Vec<u8>>,
    /// Operators, and names without a letter.
    signs: BTreeSet<Vec<u8>>,
    /// Columns, which have their tables with them: their names alone are everywhere.
    columns: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>,
    /// What is not there need not be named by what needs it, such as a cast.
    pub(super) are_all: bool,
    /// No name is added. What fails for want of something that nobody names is no reason to forgive whatever names it.
    pub(super) is_closed: bool,
    /// Those whose values nobody may compute.
    pub(super) generated: Vec<GeneratedColumns>,
    /// Words of functions' bodies and of views, each with the names of these: a dump has functions by name, so one may call another
    /// that is lost only later.
    callers: HashMap<Vec<u8>, Vec<Vec<u8>>>,
    remembered: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GeneratedColumns {
    /// As the dump writes it.
    pub(super) table: Vec<u8>,
    pub(super) column: Vec<u8>,
    /// The table's identity, and a word by which the column is found.
    relation: String,
    key: Vec<u8>,
}

impl Suspects {
    /// With it become suspect the functions whose bodies mention it, and so on.
    pub(super) fn add(&mut self, name: &[u8]) {
        let mut names = if self.is_closed { Vec::new() } else { vec![name.to_vec()] };
        while let Some(name) = names.pop() {
            match key(&name) {
                Some(word) => {
                    names.extend(self.callers.remove(word).unwrap_or_default());
                    self.words.insert(word.to_vec());
                }
                None if !name.is_empty() => {
                    self.signs.insert(name);
                }
                None => {}
            }
        }
    }

    /// A function or a view that passes, by its own name: suspect as soon as something that its body mentions is.
    pub(super) fn remember(&mut self, own: &[u8], body: &[u8]) {
        let found: HashSet<Vec<u8>> = words(body).flat_map(|word| [word.to_vec(), word.to_ascii_lowercase()]).collect();
        for word in found.into_iter().filter(|word| *word != own) {
            if self.remembered >= MAX_REMEMBERED {
                return;
            }
            self.remembered += 1;
            self.callers.entry(word).or_default().push(own.to_vec());
        }
    }

    pub(super) fn len(&self) -> usize {
        self.words.len() + self.signs.len() + self.columns.values().map(BTreeSet::len).sum::<usize>() + self.generated.len()
    }

    pub(super) fn add_column(&mut self, table: &[u8], column: &[u8]) {
        if !self.is_closed
            && let (Some(table), Some(column)) = (key(table), key(column))
        {
            self.columns.entry(column.to_vec()).or_default().insert(table.to_vec());
        }
    }

    /// `sql`: the table's name as the dump writes it.
    pub(super) fn add_generated(&mut self, object: &DumpObject, sql: &[u8], column: Vec<u8>) {
        self.add_column(&object.own, &column);
        if let Some(key) = key(&column) {
            let (key, relation, table) = (key.to_vec(), object.name.clone(), sql.to_vec());
            self.generated.push(GeneratedColumns {
                table,
                column,
                relation,
                key,
            });
        }
    }

    pub(super) fn mentioned(&self, text: &[u8]) -> bool {
        if self.words.is_empty() && self.signs.is_empty() && self.columns.is_empty() {
            return false;
        }
        let is_one = |word: &[u8]| self.words.contains(word) || self.words.contains(&word.to_ascii_lowercase());
        words(text).any(is_one) || self.has_sign(text) || self.has_column(text)
    }

    /// Those among the columns that nobody may compute which are mentioned, with their very table: of another one of that name
    /// the rows themselves are at fault.
    pub(super) fn generated_in(&self, statement: &Statement) -> Vec<GeneratedColumns> {
        if self.generated.is_empty() {
            return Vec::new();
        }
        let words: HashSet<&[u8]> = words(statement.all_bytes()).collect();
        let relations: HashSet<String> = (0..statement.len())
            .filter_map(|at| statement.qualified(at))
            .map(|(parts, _)| joined(&parts))
            .collect();
        let is_in = |one: &&GeneratedColumns| words.contains(&*one.key) && relations.contains(&one.relation);
        self.generated.iter().filter(is_in).cloned().collect()
    }

    fn has_sign(&self, text: &[u8]) -> bool {
        if self.signs.len() > MAX_SIGNS {
            return text.iter().any(u8::is_ascii_punctuation);
        }
        self.signs.iter().any(|sign| memchr::memmem::find(text, sign).is_some())
    }

    fn has_column(&self, text: &[u8]) -> bool {
        if self.columns.is_empty() {
            return false;
        }
        let words: HashSet<&[u8]> = words(text).collect();
        let tables = words.iter().filter_map(|word| self.columns.get(*word)).flatten();
        tables.into_iter().any(|table| words.contains(&**table))
    }
}

fn is_of_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'$' || !byte.is_ascii()
}

/// Each as it is, and those on both sides of a dollar: it may be of a name, or begin or end the quotes around a body.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = text.split(|byte| !is_of_word(byte)).filter(|word| !word.is_empty());
    whole.flat_map(|word| {
        let pieces = word.contains(&b'$').then(|| word.split(|byte| *byte == b'$'));
        let pieces = pieces.into_iter().flatten().filter(|piece| !piece.is_empty());
        std::iter::once(word).chain(pieces)
    })
}

/// A word by which a name is found, whatever quotes double in it. PostgreSQL has no longer ones than 63 bytes.
fn key(name: &[u8]) -> Option<&[u8]> {
    words(name).max_by_key(|word| word.len()).map(|word| &word[..word.len().min(64)])
}
