//! `CREATE TABLE`, `CREATE DOMAIN` and types with collations, taken apart: which clauses may need what is not there, and how it
//! is made without them.

use super::lost::LostObjects;
use super::object::{DumpObject, ObjectKind, elements};
use super::suspects::words;
use super::trial::{Replacement, TrialClause, TrialTable, replaced};
use crate::format::dump_statement::Statement;

/// Words that end the type or the expression of a column.
const CLAUSES: &[&str] = &["DEFAULT", "GENERATED", "NOT", "COLLATE", "CONSTRAINT", "CHECK", "OPTIONS"];
const CONSTRAINTS: &[&str] = &["CONSTRAINT", "CHECK", "UNIQUE", "PRIMARY", "FOREIGN", "EXCLUDE"];

/// Where the type of a column or domain ends.
pub(super) fn type_end(statement: &Statement, from: usize, to: usize) -> usize {
    (from..to).find(|at| statement.is_any(*at, CLAUSES)).unwrap_or(to)
}

/// The parentheses of a table's columns, and what its columns are of.
pub(super) fn columns(statement: &Statement, object: &DumpObject) -> Option<(usize, usize)> {
    let mut open = object.words.1;
    if statement.is(open, "OF") {
        open = statement.qualified(open + 1)?.1;
    } else if statement.has(open, "PARTITION OF") {
        open = statement.qualified(open + 2)?.1;
    }
    let is_open = statement.is_symbol(open, b'(');
    is_open.then(|| Some((open, statement.behind_parentheses(open)?)))?
}

pub(super) fn is_constraint(statement: &Statement, at: usize) -> bool {
    statement.is_any(at, CONSTRAINTS)
}

/// What is found of a table or domain.
struct StatementParts<'a> {
    statement: &'a Statement<'a>,
    object: &'a DumpObject,
    clauses: Vec<TrialClause>,
    /// Columns whose values may not be computed, and the places of their clauses.
    generated: Vec<(Vec<u8>, usize)>,
}

impl StatementParts<'_> {
    fn sql(&self, before: &str, words: &[u8]) -> Vec<u8> {
        [before.as_bytes(), self.object.sql(self.statement), b" ", words].concat()
    }

    fn needs(&self, text: &[u8]) -> Vec<usize> {
        let doubled = |name: &[u8]| {
            name.iter()
                .flat_map(|byte| std::iter::repeat_n(*byte, if *byte == b'"' { 2 } else { 1 }))
                .collect::<Vec<u8>>()
        };
        let is_odd = |name: &[u8]| words(name).next() != Some(name) && memchr::memmem::find(text, &doubled(name)).is_some();
        let is_in = |name: &&(Vec<u8>, usize)| words(text).any(|word| word == name.0) || is_odd(&name.0);
        self.generated.iter().filter(is_in).map(|(_, place)| *place).collect()
    }

    fn add(&mut self, what: String, again: Option<Vec<u8>>, needs: Vec<usize>) -> usize {
        let what = format!("{what} of {}", self.object.text(self.statement));
        self.clauses.push(TrialClause { what, again, needs });
        self.clauses.len() - 1
    }
}

/// `None`: nothing in it that it could be made without.
pub(super) fn table(statement: &Statement, object: &DumpObject, lost: &mut LostObjects) -> Option<TrialTable> {
    let (open, close) = columns(statement, object)?;
    let is_typed = statement.is(object.words.1, "OF");
    let mut parts = StatementParts {
        statement,
        object,
        clauses: Vec::new(),
        generated: Vec::new(),
    };
    let all = elements(statement, open + 1, close - 1);
    let mut kept: Vec<Option<Vec<u8>>> = vec![None; all.len()];
    let (constraints, columns): (Vec<usize>, Vec<usize>) = (0..all.len()).partition(|place| is_constraint(statement, all[*place].0));
    for place in columns {
        let (from, to) = all[place];
        if lost.mentioned_in(statement, from + 1, to)
            && let Some(column) = statement.name(from)
        {
            lost.suspects.add_column(&object.own, &column);
        }
        kept[place] = Some(column(&mut parts, from, to, is_typed, lost));
    }
    for place in constraints {
        let (from, to) = all[place];
        let text = statement.bytes(from, to);
        let needs = parts.needs(text);
        if needs.is_empty() && !lost.mentioned_in(statement, from, to) {
            kept[place] = Some(text.to_vec());
            continue;
        }
        let is_named = statement.is(from, "CONSTRAINT");
        let what = statement.text(from, from + if is_named { 2 } else { 1 });
        let again = parts.sql("ALTER TABLE ", &[b"ADD ", text].concat());
        parts.add(what, Some(again), needs);
        if let Some(name) = statement.name(from + 1).filter(|_| is_named) {
            lost.suspects.add(&name);
        }
    }
    let StatementParts { clauses, generated, .. } = parts;
    for (name, _) in generated {
        lost.suspects.add_generated(object, object.sql(statement), name);
    }
    let kept: Vec<Vec<u8>> = kept.into_iter().flatten().collect();
    let list = kept.join(&b",\n    "[..]);
    let text = match is_typed && list.is_empty() {
        true => Vec::new(),
        false => [b"(", &*list, b")"].concat(),
    };
    let bytes = statement.span(open, close);
    let without = Replacement {
        bytes: bytes.clone(),
        text,
    };
    let mut alone = Vec::new();
    if statement.is(close, "INHERITS") && lost.mentioned_in(statement, close, statement.len()) {
        let end = statement.behind_parentheses(close + 1)?;
        let parents = elements(statement, close + 2, end - 1).into_iter();
        let parents = parents.map(|(from, to)| [b"LIKE ", statement.bytes(from, to)].concat());
        let all: Vec<Vec<u8>> = parents.chain(kept.into_iter().filter(|element| !element.is_empty())).collect();
        let text = [b"(", &*all.join(&b", "[..]), b")"].concat();
        alone.push(Replacement { bytes, text });
        let bytes = statement.span(close, end);
        alone.push(Replacement { bytes, text: Vec::new() });
    }
    let may_go = statement.has(close, "PARTITION BY");
    let is_odd = !clauses.is_empty() || !alone.is_empty() || (may_go && lost.mentioned_in(statement, open, statement.len()));
    if may_go && is_odd {
        lost.suspects.add(&object.own);
    }
    is_odd.then(|| TrialTable {
        what: object.text(statement),
        name: object.sql(statement).to_vec(),
        without: vec![without],
        alone,
        clauses,
        may_go,
    })
}

/// A column without the clauses that may need what is not there.
fn column(parts: &mut StatementParts<'_>, from: usize, to: usize, is_typed: bool, lost: &LostObjects) -> Vec<u8> {
    let statement = parts.statement;
    let name = statement.bytes(from, from + 1);
    let base = statement.span(from, to);
    let text = statement.bytes(from, to);
    let behind_type = type_end(statement, from + 1, to);
    let (mut cuts, mut computed): (Vec<Replacement>, Option<(usize, usize)>) = (Vec::new(), None);
    for (start, first, end) in each(statement, behind_type, to) {
        let is_computed = statement.is(first, "GENERATED") && !statement.is(end - 1, "IDENTITY");
        if !(may_fail(statement, (start, first, end), lost) || (is_computed && lost.mentioned_in(statement, start, end))) {
            continue;
        }
        let mut until = end;
        if is_computed {
            // What nobody computes is null.
            let not = if statement.is(end, "CONSTRAINT") { end + 2 } else { end };
            until = match statement.has(not, "NOT NULL") {
                true if statement.has(not + 2, "NO INHERIT") => not + 4,
                true => not + 2,
                false => end,
            };
        }
        let bytes = statement.span(start, until);
        let place = bytes.start - base.start..bytes.end - base.start;
        cuts.push(Replacement {
            bytes: place,
            text: Vec::new(),
        });
        let what = format!("{} of {}", statement.text(start, first + 1), statement.text(from, from + 1));
        let again = if is_computed {
            computed = Some((parts.clauses.len(), cuts.len() - 1));
            None
        } else if statement.is(first, "DEFAULT") {
            let words = [b"ALTER COLUMN ", name, b" SET ", statement.bytes(first, end)].concat();
            Some(parts.sql("ALTER TABLE ", &words))
        } else if statement.is(first, "COLLATE") {
            let whole = [statement.bytes(from + 1, behind_type), b" ", statement.bytes(first, end)].concat();
            Some(parts.sql("ALTER TABLE ", &[b"ALTER COLUMN ", name, b" TYPE ", &*whole].concat()))
        } else {
            Some(parts.sql("ALTER TABLE ", &[b"ADD ", statement.bytes(start, end)].concat()))
        };
        parts.add(what, again, Vec::new());
    }
    if let Some((place, own)) = computed {
        if let Some(name) = statement.name(from) {
            parts.generated.push((name, place));
        }
        if !is_typed {
            let others: Vec<Replacement> = cuts
                .iter()
                .enumerate()
                .filter(|(cut, _)| *cut != own)
                .map(|(_, cut)| cut.clone())
                .collect();
            let whole = replaced(text, 0, &others);
            let words = [b"DROP COLUMN ", name, b", ADD COLUMN ", &*whole].concat();
            parts.clauses[place].again = Some(parts.sql("ALTER TABLE ", &words));
        }
    }
    replaced(text, 0, &cuts)
}

/// Whether it is a default, a check or a collation that may need what is not there.
fn may_fail(statement: &Statement, (start, first, end): (usize, usize, usize), lost: &LostObjects) -> bool {
    match statement.is(first, "COLLATE") {
        true => lost.may_lack_collation(statement, first + 1),
        false => statement.is_any(first, &["DEFAULT", "CHECK"]) && lost.mentioned_in(statement, start, end),
    }
}

/// The clauses of a column: where each begins, where its first word behind a name is, and where it ends.
fn each(statement: &Statement, mut from: usize, to: usize) -> Vec<(usize, usize, usize)> {
    let mut all = Vec::new();
    while from < to {
        let first = if statement.is(from, "CONSTRAINT") { from + 2 } else { from };
        let (mut end, mut depth) = (first + 1, 0u32);
        while end < to && (depth > 0 || !statement.is_any(end, CLAUSES)) {
            depth += u32::from(statement.is_symbol(end, b'('));
            depth -= u32::from(depth > 0 && statement.is_symbol(end, b')'));
            end += 1;
        }
        let end = end.min(to);
        all.push((from, first, end));
        from = end.max(from + 1);
    }
    all
}

pub(super) fn domain(statement: &Statement, object: &DumpObject, lost: &mut LostObjects) -> TrialTable {
    debug_assert_eq!(object.kind, ObjectKind::Type);
    let to = statement.len() - usize::from(statement.is_symbol(statement.len() - 1, b';'));
    let mut parts = StatementParts {
        statement,
        object,
        clauses: Vec::new(),
        generated: Vec::new(),
    };
    let mut without = Vec::new();
    for (start, first, end) in each(statement, type_end(statement, object.words.1 + 1, to), to) {
        if !may_fail(statement, (start, first, end), lost) {
            continue;
        }
        let bytes = statement.span(start, end);
        without.push(Replacement { bytes, text: Vec::new() });
        if statement.is(first, "COLLATE") {
            // Nothing gives a domain another one.
            parts.add(statement.text(start, first + 1), None, Vec::new());
            continue;
        }
        let verb: &[u8] = if statement.is(first, "DEFAULT") { b"SET " } else { b"ADD " };
        let again = parts.sql("ALTER DOMAIN ", &[verb, statement.bytes(start, end)].concat());
        let what = statement.text(start, if start == first { first + 1 } else { first });
        parts.add(what, Some(again), Vec::new());
    }
    lost.suspect(object, statement);
    TrialTable {
        what: object.text(statement),
        name: object.sql(statement).to_vec(),
        without,
        alone: Vec::new(),
        clauses: parts.clauses,
        may_go: true,
    }
}

/// A composite type or a range whose collations or operator class may not be there: its values are worth more. `None`: there is none of them.
pub(super) fn collated_type(statement: &Statement, object: &DumpObject, lost: &LostObjects) -> Option<TrialTable> {
    let open = object.words.1 + if statement.has(object.words.1, "AS RANGE") { 2 } else { 1 };
    if object.kind != ObjectKind::Type || !statement.is(object.words.1, "AS") || !statement.is_symbol(open, b'(') {
        return None;
    }
    let is_range = open > object.words.1 + 1;
    let close = statement.behind_parentheses(open)?;
    let mut parts = StatementParts {
        statement,
        object,
        clauses: Vec::new(),
        generated: Vec::new(),
    };
    let mut kept = Vec::new();
    for (from, to) in elements(statement, open + 1, close - 1) {
        let at = if is_range { from } else { type_end(statement, from + 1, to) };
        let is_collation = statement.is(at, if is_range { "COLLATION" } else { "COLLATE" });
        if is_range && statement.is(from, "SUBTYPE_OPCLASS") && lost.mentioned_in(statement, from + 2, to) {
            // The values are then in the subtype's usual order.
            parts.add("SUBTYPE_OPCLASS".to_owned(), None, Vec::new());
        } else if !is_collation || !lost.may_lack_collation(statement, at + if is_range { 2 } else { 1 }) {
            kept.push(statement.bytes(from, to));
        } else if is_range {
            parts.add("COLLATION".to_owned(), None, Vec::new());
        } else {
            kept.push(statement.bytes(from, at));
            let name = statement.bytes(from, from + 1);
            let words = [b"ALTER ATTRIBUTE ", name, b" TYPE ", statement.bytes(from + 1, to)].concat();
            let what = format!("COLLATE of {}", statement.text(from, from + 1));
            let again = parts.sql("ALTER TYPE ", &words);
            parts.add(what, Some(again), Vec::new());
        }
    }
    let (bytes, text) = (statement.span(open, close), [b"(", &*kept.join(&b", "[..]), b")"].concat());
    (!parts.clauses.is_empty()).then(|| TrialTable {
        what: object.text(statement),
        name: object.sql(statement).to_vec(),
        without: vec![Replacement { bytes, text }],
        alone: Vec::new(),
        clauses: parts.clauses,
        may_go: true,
    })
}

/// This piece of what is held, with a space at each of these places.
pub(super) fn spaced<'a>(held: &'a [u8], spaces: &'a [usize], piece: std::ops::Range<usize>) -> impl Iterator<Item = &'a [u8]> {
    let inside = spaces.iter().filter(move |space| piece.start < **space && **space <= piece.end);
    let ends = inside.map(|space| (*space, &b" "[..])).chain([(piece.end, &b""[..])]);
    ends.scan(piece.start, |from, (end, space)| {
        let part = &held[std::mem::replace(from, end)..end];
        Some([part, space])
    })
    .flatten()
}
