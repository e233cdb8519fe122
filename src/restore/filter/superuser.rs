//! Statements that PostgreSQL keeps for superusers. Where a restore has none, what they make is not there; what depends on
//! it in a way that can be told from the words goes with it.

use super::judge::{Cut, Note, Verdict};
use crate::format::dump_statement::Statement;
use std::collections::BTreeSet;

const REASON: &str = "PostgreSQL lets only superusers make it, and no code of a dump runs as one here";

/// Kinds of which nobody else can make any.
const KINDS: &[&str] = &[
    "EVENT TRIGGER",
    "FOREIGN DATA WRAPPER",
    "ACCESS METHOD",
    "OPERATOR CLASS",
    "OPERATOR FAMILY",
    "TEXT SEARCH PARSER",
    "TEXT SEARCH TEMPLATE",
    "SUBSCRIPTION",
    "LANGUAGE",
];

/// `None`: it needs no superuser.
pub(super) fn judge(statement: &Statement, lost: &mut BTreeSet<String>) -> Option<Verdict> {
    let of = |word: &str| statement.is(0, word);
    if of("CREATE") {
        return create(statement, lost);
    }
    if statement.has(0, "SECURITY LABEL") {
        let what = statement.text(0, statement.find(2, "IS").unwrap_or(2));
        return Some(Verdict::NotRestored(what, "its provider is not there"));
    }
    let at = match (of("ALTER"), statement.has(0, "COMMENT ON")) {
        (true, _) => 1,
        (_, true) => 2,
        _ => return None,
    };
    if statement.has(0, "ALTER PUBLICATION") && statement.find(3, "SCHEMA").is_some() {
        return Some(Verdict::NotRestored(statement.text(1, statement.len()), REASON));
    }
    let kind_at = if statement.is(at, "PROCEDURAL") { at + 1 } else { at };
    let is_kind = KINDS.iter().any(|kind| statement.has(kind_at, kind));
    // Members of an operator family are added to families of extensions, too.
    let adds = at == 1 && statement.has(1, "OPERATOR FAMILY") && statement.find(2, "ADD").is_some();
    if adds {
        return Some(Verdict::NotRestored(statement.text(1, statement.len()), REASON));
    }
    (is_kind || lost.contains(&identity(statement, at)?)).then_some(Verdict::Drop)
}

fn create(statement: &Statement, lost: &mut BTreeSet<String>) -> Option<Verdict> {
    let mut at = if statement.has(1, "OR REPLACE") { 3 } else { 1 };
    at += usize::from(statement.is(at, "TRUSTED"));
    at += usize::from(statement.is(at, "PROCEDURAL"));
    let name = |words: usize| statement.qualified(at + words);
    let is_own_kind = KINDS.iter().find(|kind| statement.has(at, kind));
    let needs_one = if let Some(kind) = is_own_kind {
        Some(name(kind.split(' ').count())?.1)
    } else if statement.is(at, "TYPE") {
        let (_, end) = name(1)?;
        (end == statement.len() || statement.is_symbol(end, b'(')).then_some(end)
    } else if statement.is(at, "CAST") {
        let end = statement.behind_parentheses(at + 1)?;
        // It takes the owner of one of the types; a dump names the schema of each that is not built in.
        let is_of_others = !statement.text(at + 1, end).contains('.');
        (is_of_others || statement.has(end, "WITHOUT FUNCTION")).then_some(end)
    } else if statement.is(at, "PUBLICATION") {
        let (_, end) = name(1)?;
        let is_wide = statement.has(end, "FOR ALL") || statement.has(end, "FOR TABLES IN SCHEMA");
        is_wide.then_some(end)
    } else if statement.is_any(at, &["FUNCTION", "PROCEDURE"]) {
        return function(statement, at, lost);
    } else {
        None
    };
    let end = needs_one?;
    lost.extend(identity(statement, at));
    Some(Verdict::NotRestored(statement.text(at, end), REASON))
}

fn function(statement: &Statement, at: usize, lost: &mut BTreeSet<String>) -> Option<Verdict> {
    let (_, name_end) = statement.qualified(at + 1)?;
    let end = statement.behind_parentheses(name_end)?;
    let language = statement.find(end, "LANGUAGE").map(|language| language + 1);
    let language = language.and_then(|at| statement.name(at).or_else(|| statement.literal(at)));
    let language = language.map(|name| name.to_ascii_lowercase());
    if matches!(language.as_deref(), Some(b"c" | b"internal")) {
        lost.extend(identity(statement, at));
        return Some(Verdict::NotRestored(statement.text(at, end), REASON));
    }
    // Words about it that a superuser alone may say: the function itself needs none.
    let mut cuts = Vec::new();
    let until = statement.find(end, "AS").unwrap_or(statement.len());
    let mut cut = |from: usize, to: usize, what: &str| {
        let note = Note::NotRestored(
            format!("{what} of {}", statement.text(at, end)),
            "PostgreSQL lets only superusers say it",
        );
        let bytes = statement.span(from, to);
        cuts.push(Cut { bytes, note });
    };
    if let Some(found) = statement
        .find(end, "LEAKPROOF")
        .filter(|found| *found < until && !statement.is(*found - 1, "NOT"))
    {
        cut(found, found + 1, "LEAKPROOF");
    }
    if let Some(found) = statement.find(end, "SUPPORT").filter(|found| *found < until)
        && let Some((_, to)) = statement.qualified(found + 1)
    {
        cut(found, to, "SUPPORT");
    }
    cuts.sort_by_key(|cut| cut.bytes.start);
    (!cuts.is_empty()).then_some(Verdict::Cut(cuts))
}

/// A kind and a name: functions that share one are taken together.
fn identity(statement: &Statement, at: usize) -> Option<String> {
    let kinds = ["FUNCTION", "PROCEDURE", "TYPE", "PUBLICATION"];
    let kind = kinds.iter().find(|kind| statement.is(at, kind))?;
    let (parts, _) = statement.qualified(at + 1)?;
    let parts: Vec<String> = parts.iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect();
    Some(format!("{kind} {}", parts.join(".")))
}
