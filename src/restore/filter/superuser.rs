//! Statements that PostgreSQL keeps for superusers. Where a restore has none, what they make is not there.

use super::judge::{CutRange, FilterNote, PLACE_OF_A_CUT, Verdict};
use super::lost::LostObjects;
use super::object::{elements, joined};
use super::options::ServerRights;
use crate::format::dump_statement::{Statement, shown};

const REASON: &str = "PostgreSQL lets only superusers make it, and no code of a dump runs as one here";
const OF_MODULES: &str = "a module that is not loaded here may own the parameter, and then a superuser alone may set it";
const WORDS: &str = "PostgreSQL lets only superusers say it";
const NO_LANGUAGE: &str = "its language is not there, or PostgreSQL lets only superusers write functions in it";
const FILES: &str = "PostgreSQL lets only superusers name files of the server";
const OF_EXTENSION: &str = "the table is an extension's, and so a superuser's";

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
pub(super) fn judge(statement: &Statement, rights: Option<&ServerRights>, lost: &mut LostObjects) -> Option<Verdict> {
    let of = |word: &str| statement.is(0, word);
    if let Some(verdict) = of_extension(statement, rights) {
        return Some(verdict);
    }
    if of("CREATE") {
        return create(statement, rights, lost);
    }
    if statement.has(0, "SECURITY LABEL") {
        let what = statement.text(0, statement.find(2, "IS").unwrap_or(2));
        return Some(Verdict::NotRestored(what, "its provider is not there".into()));
    }
    let at = match (of("ALTER"), statement.has(0, "COMMENT ON")) {
        (true, _) => 1,
        (_, true) => 2,
        _ => return None,
    };
    if statement.has(0, "ALTER PUBLICATION") && statement.find(3, "SCHEMA").is_some() {
        return Some(Verdict::NotRestored(statement.text(1, statement.len()), REASON.into()));
    }
    let kind_at = if statement.is(at, "PROCEDURAL") { at + 1 } else { at };
    let is_kind = KINDS.iter().any(|kind| statement.has(kind_at, kind));
    // Members of an operator family are added to families of extensions, too.
    let adds = at == 1 && statement.has(1, "OPERATOR FAMILY") && statement.find(2, "ADD").is_some();
    if adds {
        return Some(Verdict::NotRestored(statement.text(1, statement.len()), REASON.into()));
    }
    is_kind.then_some(Verdict::Drop)
}

/// Row security of a table that an extension made: `pg_dump` writes it, and only the table's owner may say it.
fn of_extension(statement: &Statement, rights: Option<&ServerRights>) -> Option<Verdict> {
    let is_policy = statement.has(0, "CREATE POLICY") || statement.has(0, "COMMENT ON POLICY");
    let table = if is_policy {
        statement.find(3, "ON")? + 1
    } else if statement.has(0, "ALTER TABLE") {
        2 + usize::from(statement.is(2, "ONLY"))
    } else {
        return None;
    };
    let (name, end) = statement.qualified(table)?;
    let is_about = is_policy || statement.find(end, "SECURITY").is_some();
    if !is_about || !rights?.tables.contains(&name) {
        return None;
    }
    Some(match statement.is(0, "COMMENT") {
        true => Verdict::Drop,
        false if is_policy => Verdict::NotRestored(statement.text(1, end), OF_EXTENSION.into()),
        false => Verdict::NotRestored(statement.text(1, statement.len()), OF_EXTENSION.into()),
    })
}

fn create(statement: &Statement, rights: Option<&ServerRights>, lost: &mut LostObjects) -> Option<Verdict> {
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
        return function(statement, at, rights);
    } else if statement.is(at, "AGGREGATE") {
        let (_, end) = name(1)?;
        let end = statement.behind_parentheses(end)?;
        let close = statement.behind_parentheses(end)?;
        let is_internal = |(from, to): (usize, usize)| {
            let of = statement.is_any(from, &["STYPE", "MSTYPE"]) && to == from + 3;
            of && statement.name(from + 2).is_some_and(|name| name == b"internal")
        };
        elements(statement, end + 1, close - 1).into_iter().any(is_internal).then_some(end)
    } else if statement.is(at, "SERVER") {
        if statement
            .find(at, "WRAPPER")
            .and_then(|wrapper| statement.name(wrapper + 1))
            .as_deref()
            == Some(b"file_fdw")
        {
            let (name, _) = name(1)?;
            lost.add_file_server(joined(&name));
        }
        None
    } else if statement.has(at, "FOREIGN TABLE") {
        let (_, end) = name(2)?;
        let server = statement.name(statement.find(end, "SERVER")? + 1)?;
        lost.is_file_server(&joined(&[server])).then_some(end)
    } else {
        None
    };
    let end = needs_one?;
    let reason = if statement.has(at, "FOREIGN TABLE") { FILES } else { REASON };
    Some(Verdict::NotRestored(statement.text(at, end), reason.into()))
}

fn function(statement: &Statement, at: usize, rights: Option<&ServerRights>) -> Option<Verdict> {
    let (_, name_end) = statement.qualified(at + 1)?;
    let end = statement.behind_parentheses(name_end)?;
    let language = statement.find(end, "LANGUAGE").map(|language| language + 1);
    let language = language.and_then(|at| statement.name(at).or_else(|| statement.literal(at)));
    let language = language.map(|name| name.to_ascii_lowercase());
    let is_refused = |rights: &ServerRights| language.as_ref().is_some_and(|name| !rights.languages.contains(name));
    let reason = match language.as_deref() {
        Some(b"c" | b"internal") => Some(REASON),
        _ => rights.is_some_and(is_refused).then_some(NO_LANGUAGE),
    };
    if let Some(reason) = reason {
        return Some(Verdict::NotRestored(statement.text(at, end), reason.into()));
    }
    // Words about it that a superuser alone may say: the function itself needs none.
    let mut cuts = Vec::new();
    let body = ["AS", "BEGIN", "RETURN"].iter().filter_map(|word| statement.find(end, word)).min();
    let until = body.unwrap_or(statement.len());
    let mut cut = |from: usize, to: usize, what: &str, reason: &'static str| {
        let note = Some(FilterNote::NotRestored(
            format!("{what} of {}", statement.text(at, end)),
            reason.into(),
        ));
        let (bytes, text) = (statement.span(from, to), PLACE_OF_A_CUT);
        cuts.push(CutRange { bytes, text, note });
    };
    if let Some(found) = statement
        .find(end, "LEAKPROOF")
        .filter(|found| *found < until && !statement.is(*found - 1, "NOT"))
    {
        cut(found, found + 1, "LEAKPROOF", WORDS);
    }
    if let Some(found) = statement.find(end, "SUPPORT").filter(|found| *found < until)
        && let Some((_, to)) = statement.qualified(found + 1)
    {
        cut(found, to, "SUPPORT", WORDS);
    }
    let mut from = end;
    while let Some(found) = statement.find(from, "SET").filter(|found| *found < until) {
        let (parameter, value) = statement.qualified(found + 1)?;
        from = value + 2;
        while statement.is_symbol(from, b',') {
            from += 2;
        }
        let parameter: Vec<String> = parameter.iter().map(|part| shown(part)).collect();
        let parameter = parameter.join(".").to_ascii_lowercase();
        if rights.is_some_and(|rights| rights.settings.contains(parameter.as_bytes())) {
            cut(found, from, &format!("SET {parameter}"), WORDS);
        } else if parameter.contains('.') {
            cut(found, from, &format!("SET {parameter}"), OF_MODULES);
        }
    }
    cuts.sort_by_key(|cut| cut.bytes.start);
    (!cuts.is_empty()).then_some(Verdict::Cut(cuts))
}
