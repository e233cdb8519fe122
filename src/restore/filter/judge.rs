//! One statement: does it pass?

use super::dependents::{self, DependentVerdict};
use super::lost::LostObjects;
use super::object::{DumpObject, ObjectKind, elements, joined};
use super::options::{FilterOptions, STATISTICS};
use super::schemas;
use super::trial::Trial;
use crate::format::dump_statement::{Statement, shown};
use crate::restore::psql::ReportText;
use std::collections::BTreeSet;
use std::ops::Range;

/// What is to become of a statement.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    /// Not worth a word.
    Drop,
    LeaveOut(&'static str, String),
    /// Of a table that comes with an extension which is not there: its schema and name.
    LeaveOutRows(Vec<Vec<u8>>),
    SetAside,
    NotRestored(String, ReportText),
    /// Another one in its place.
    Replace(String, Option<FilterNote>),
    /// It passes with something else in place of these bytes.
    Cut(Vec<CutRange>),
}

/// So that what stood before and behind a cut does not become one: two hyphens would be a comment, a string that follows
/// another in a new line goes on with it, and psql would read on otherwise than the lexer did.
pub(super) const PLACE_OF_A_CUT: &[u8] = b" /**/ ";

#[derive(Debug, PartialEq, Eq)]
pub(super) struct CutRange {
    pub(super) bytes: Range<usize>,
    pub(super) text: &'static [u8],
    pub(super) note: Option<FilterNote>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum FilterNote {
    LeftOut(&'static str, String),
    NotRestored(String, ReportText),
}

/// Settings that `pg_dump` writes, and the major of the first server that knows them.
const SETTINGS: &[(&str, u32)] = &[("transaction_timeout", 17), ("default_table_access_method", 12)];

/// Of the first server that takes `FUNCTION` where others say `PROCEDURE`.
const FUNCTION_WORD: u32 = 11;

const NO_ACCESS_METHOD: &str = "the extension that has it is not there: its tables are made with heap";

/// What is left out with them.
const OF_EXTENSIONS: &str = "what left-out extensions have";

/// Kinds of objects with an owner whose name is all that stands between.
const OWNED: &[&str] = &[
    "AGGREGATE",
    "COLLATION",
    "CONVERSION",
    "DOMAIN",
    "EVENT TRIGGER",
    "FOREIGN DATA WRAPPER",
    "FOREIGN TABLE",
    "FUNCTION",
    "LANGUAGE",
    "PROCEDURAL LANGUAGE",
    "LARGE OBJECT",
    "MATERIALIZED VIEW",
    "OPERATOR CLASS",
    "OPERATOR FAMILY",
    "OPERATOR",
    "PROCEDURE",
    "PUBLICATION",
    "ROUTINE",
    "SCHEMA",
    "SEQUENCE",
    "SERVER",
    "STATISTICS",
    "SUBSCRIPTION",
    "TABLE",
    "TEXT SEARCH CONFIGURATION",
    "TEXT SEARCH DICTIONARY",
    "TYPE",
    "VIEW",
];

/// By its first words, and by those that decide behind them. `lost` holds what was not made.
pub(super) fn judge(options: &FilterOptions, statement: &Statement, lost: &mut LostObjects) -> (Verdict, Option<Trial>) {
    if !options.superuser_only {
        if let Some(object) = DumpObject::made(statement) {
            lost.missing.see_made(&object, statement);
        }
        let verdict = of_missing_extensions(statement, lost);
        return (verdict.unwrap_or_else(|| judge_wishes(options, statement, lost)), None);
    }
    match dependents::judge(statement, options.rights.as_ref(), lost) {
        DependentVerdict::Decided(verdict) => (verdict, None),
        DependentVerdict::Passes(verdict, trial) => (verdict.unwrap_or_else(|| judge_wishes(options, statement, lost)), trial),
    }
}

/// Their tables' rows, and what is said about what they have.
fn of_missing_extensions(statement: &Statement, lost: &LostObjects) -> Option<Verdict> {
    let parts = lost.missing.named_by(statement, dependents::said_of(statement))?;
    Some(match statement.is(0, "COPY") {
        true => Verdict::LeaveOutRows(parts),
        false => Verdict::LeaveOut(OF_EXTENSIONS, joined(&parts)),
    })
}

/// What is wished, and what its place makes necessary.
fn judge_wishes(options: &FilterOptions, statement: &Statement, lost: &mut LostObjects) -> Verdict {
    let text = |from, to| statement.text(from, to);
    if let Some(reason) = options.without_statistics().filter(|_| statement.sets_statistics()) {
        return Verdict::LeaveOut(STATISTICS, reason.to_owned());
    }
    if let Some(schema) = schemas::of_others(options, statement) {
        return Verdict::LeaveOut("owners, privileges and comments of others' schemas", schema);
    }
    if statement.is_any(0, &["GRANT", "REVOKE"]) || statement.has(0, "ALTER DEFAULT PRIVILEGES") {
        let what = match (
            statement.find(1, "ON"),
            statement.find(1, "TO").or_else(|| statement.find(1, "FROM")),
        ) {
            (Some(on), Some(to)) if on < to => text(on + 1, to),
            _ => String::new(),
        };
        return ownership(options, options.no_privileges, "privileges", what);
    }
    if statement.is(0, "ALTER") {
        return judge_alter(options, statement);
    }
    if statement.is_any(0, &["SET", "RESET"]) {
        return judge_set(options, statement, lost);
    }
    if let Some(path) = &options.search_path {
        let is_path = statement.has(0, "SELECT pg_catalog")
            && statement.is(3, "set_config")
            && statement.literal(5).is_some_and(|setting| setting == b"search_path")
            && statement.literal(7).is_some_and(|value| value.is_empty());
        if is_path {
            let path = crate::format::sql::literal(path);
            let statement = format!("SELECT pg_catalog.set_config('search_path', {path}, false);");
            return Verdict::Replace(statement, None);
        }
    }
    if statement.len() == 1 && statement.is_any(0, &["BEGIN", "COMMIT"]) && options.no_transactions {
        return Verdict::Drop;
    }
    if statement.is(0, "COMMENT") {
        return judge_comment(options, statement, lost);
    }
    if statement.is(0, "CREATE") {
        let verdict = judge_create(options, statement);
        // What is said about it goes with it.
        if matches!(verdict, Verdict::LeaveOut(..))
            && let Some(object) = DumpObject::made(statement).filter(|object| object.kind == ObjectKind::Policy)
        {
            lost.leave_out(&object);
        }
        return verdict;
    }
    Verdict::Pass
}

/// Dropped on demand; where a superuser is at hand it is for him.
fn ownership(options: &FilterOptions, unwanted: bool, what: &'static str, name: String) -> Verdict {
    if unwanted {
        Verdict::LeaveOut(what, name)
    } else if options.set_aside {
        Verdict::SetAside
    } else {
        Verdict::Pass
    }
}

fn judge_alter(options: &FilterOptions, statement: &Statement) -> Verdict {
    if let Some(owner) = owner_clause(statement) {
        if !options.no_owner
            && !options.set_aside
            && let Some(statement) = owner_of_public(statement)
        {
            return Verdict::Replace(statement, None);
        }
        return ownership(options, options.no_owner, "owners", statement.text(1, owner));
    }
    let table = if statement.is(2, "ONLY") { 3 } else { 2 };
    if options.no_policies
        && statement.has(0, "ALTER TABLE")
        && let Some((_, end)) = statement.qualified(table)
        && statement.has(end, "ENABLE ROW LEVEL SECURITY")
    {
        return Verdict::LeaveOut("policies", format!("row security of {}", statement.text(table, end)));
    }
    cut_tablespace(options, statement)
}

/// Before PostgreSQL 15 the schema `public` is the server's own: on RDS of a role that nobody else may act as, and that is
/// nowhere else. Whose it is matters less than the rows.
fn owner_of_public(statement: &Statement) -> Option<String> {
    // With or without quotes, which this program has pg_dump put around all names.
    let is_public = statement.name(2).is_some_and(|name| name == b"public");
    let role = shown(&statement.name(5)?);
    let is_plain = role
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if !statement.has(0, "ALTER SCHEMA") || !is_public || !statement.has(3, "OWNER TO") || !is_plain || statement.len() > 7 {
        return None;
    }
    Some(format!(
        "DO $pgseal$ BEGIN ALTER SCHEMA public OWNER TO \"{role}\"; EXCEPTION WHEN undefined_object OR insufficient_privilege THEN \
         RAISE WARNING 'the schema public keeps its owner: %', SQLERRM; END $pgseal$;"
    ))
}

/// Where `OWNER TO role` begins, if nothing but a kind and a name stands before it: a superuser may run the statement.
pub(super) fn owner_clause(statement: &Statement) -> Option<usize> {
    let owner = statement.len().checked_sub(3)?;
    let kind = OWNED.iter().find(|kind| statement.has(1, kind))?;
    if !statement.is(0, "ALTER") || !statement.has(owner, "OWNER TO") {
        return None;
    }
    let mut at = 1 + kind.split(' ').count();
    if statement.is(at, "ONLY") {
        at += 1;
    }
    let mut end = match *kind {
        "LARGE OBJECT" => statement.is_number(at).then_some(at + 1)?,
        "OPERATOR" => statement.find_symbol(at, b'(')?,
        _ => statement.qualified(at)?.1,
    };
    match *kind {
        "AGGREGATE" | "FUNCTION" | "OPERATOR" | "PROCEDURE" | "ROUTINE" => end = statement.behind_parentheses(end)?,
        "OPERATOR CLASS" | "OPERATOR FAMILY" => end += 2,
        _ => {}
    }
    (end == owner).then_some(owner)
}

fn judge_set(options: &FilterOptions, statement: &Statement, lost: &mut LostObjects) -> Verdict {
    if statement.has(1, "SESSION AUTHORIZATION") {
        let unwanted = options.no_owner || options.set_aside;
        let role = statement.literal(3).map_or_else(|| statement.text(3, 4), |role| shown(&role));
        return ownership(options, unwanted, "owners", role);
    }
    let setting = |name: &str| statement.is(0, "SET") && statement.is(1, name);
    let is_newer = |(name, since): &&(&str, u32)| options.settings_newer_than.is_some_and(|major| *since > major) && setting(name);
    if let Some((name, _)) = SETTINGS.iter().find(is_newer) {
        return Verdict::LeaveOut("settings", (*name).to_owned());
    }
    if options.no_tablespaces && setting("default_tablespace") {
        let name = statement.literal(3).or_else(|| statement.name(3)).unwrap_or_default();
        if !name.is_empty() {
            return Verdict::LeaveOut("tablespaces", shown(&name));
        }
    }
    if setting("default_table_access_method") {
        let name = statement.literal(3).or_else(|| statement.name(3)).unwrap_or_default();
        let what = format!("ACCESS METHOD {}", shown(&name));
        let note = match lost.take_access_method(name) {
            None => return Verdict::Pass,
            Some(is_told) if is_told => None,
            Some(_) if options.superuser_only => Some(FilterNote::NotRestored(what, NO_ACCESS_METHOD.into())),
            Some(_) => Some(FilterNote::LeftOut(OF_EXTENSIONS, what)),
        };
        return Verdict::Replace("SET default_table_access_method = heap;".to_owned(), note);
    }
    Verdict::Pass
}

fn judge_comment(options: &FilterOptions, statement: &Statement, lost: &LostObjects) -> Verdict {
    let what = || statement.text(2, statement.find(2, "IS").unwrap_or(2));
    let is_left_out = |object: DumpObject| lost.has(&object);
    if options.no_comments || DumpObject::read(statement, 2).is_some_and(is_left_out) {
        return Verdict::LeaveOut("comments", what());
    }
    if statement.is(2, "EXTENSION") {
        if is_without(options, statement, 3) {
            return Verdict::LeaveOut("comments", what());
        }
        // Who made the extension alone may comment on it.
        if !options.set_aside && statement.name(3).is_some_and(|name| options.made_extensions.contains(&name)) {
            return Verdict::Drop;
        }
        return ownership(options, false, "comments", what());
    }
    Verdict::Pass
}

/// The extension named there is not made by this restore.
fn is_without(options: &FilterOptions, statement: &Statement, at: usize) -> bool {
    let name = statement.name(at);
    name.is_some_and(|name| options.exclude_extensions.contains(&name) || options.existing_extensions.contains(&name))
}

fn judge_create(options: &FilterOptions, statement: &Statement) -> Verdict {
    let is_made = |made: &BTreeSet<Vec<u8>>, at| statement.name(at).is_some_and(|name| made.contains(&name));
    if let Some(at) = created_extension(statement) {
        if is_made(&options.made_extensions, at) {
            return Verdict::Drop;
        }
        if is_without(options, statement, at) {
            return Verdict::LeaveOut("extensions", statement.text(at, at + 1));
        }
    } else if statement.is(1, "SCHEMA") && statement.len() == 3 {
        if is_made(&options.made_schemas, 2) {
            return Verdict::Drop;
        }
        if statement.name(2).is_some_and(|name| options.existing_schemas.contains(&name)) {
            return Verdict::LeaveOut("schemas that were there", statement.text(2, 3));
        }
    } else if statement.is(1, "POLICY") {
        let table = statement.find(3, "ON").unwrap_or(2);
        let end = statement.qualified(table + 1).map_or(table, |(_, end)| end);
        let of_role = statement.find(end, "TO").is_some_and(|to| !statement.is(to + 1, "PUBLIC"));
        if options.no_policies || (options.no_privileges && of_role) {
            return Verdict::LeaveOut("policies", statement.text(2, end));
        }
    } else if statement.has(1, "USER MAPPING FOR") {
        // PostgreSQL means everybody with or without quotes.
        let is_everybody = statement.name(4).is_some_and(|name| name == b"public");
        if options.no_privileges && !is_everybody && !statement.is_any(4, &["CURRENT_USER", "USER"]) {
            let end = statement.find(4, "OPTIONS").unwrap_or(statement.len());
            return Verdict::LeaveOut("user mappings", statement.text(4, end));
        }
    } else if options.settings_newer_than.is_some_and(|major| major < FUNCTION_WORD)
        && let Some(at) = function_word(statement)
    {
        return Verdict::Cut(vec![CutRange {
            bytes: statement.span(at, at + 1),
            text: b"PROCEDURE",
            note: None,
        }]);
    } else {
        return cut_tablespace(options, statement);
    }
    Verdict::Pass
}

/// The word that is `PROCEDURE` in older servers: of an operator's function, and of what a trigger executes.
fn function_word(statement: &Statement) -> Option<usize> {
    if ["TRIGGER", "CONSTRAINT TRIGGER", "EVENT TRIGGER"]
        .iter()
        .any(|kind| statement.has(1, kind))
    {
        let executed = (2..statement.len()).find(|at| statement.has(*at, "EXECUTE FUNCTION"));
        return executed.map(|at| at + 1);
    }
    let open = statement.find_symbol(2, b'(').filter(|_| statement.is(1, "OPERATOR"))?;
    let end = statement.behind_parentheses(open)?;
    let mut options = elements(statement, open + 1, end - 1).into_iter().map(|(from, _)| from);
    options.find(|from| statement.is(*from, "FUNCTION") && statement.is_symbol(from + 1, b'='))
}

/// Where the name of `CREATE EXTENSION` stands.
pub(super) fn created_extension(statement: &Statement) -> Option<usize> {
    let is_conditional = statement.has(2, "IF NOT EXISTS");
    statement.has(0, "CREATE EXTENSION").then_some(if is_conditional { 5 } else { 2 })
}

/// `TABLESPACE fast` of tables and materialized views, `USING INDEX TABLESPACE fast` of constraints.
fn cut_tablespace(options: &FilterOptions, statement: &Statement) -> Verdict {
    const KINDS: &[&str] = &[
        "CREATE TABLE",
        "CREATE UNLOGGED TABLE",
        "CREATE INDEX",
        "CREATE UNIQUE INDEX",
        "CREATE MATERIALIZED VIEW",
        "ALTER TABLE",
    ];
    let clause = || {
        let at = statement.find(2, "TABLESPACE")?;
        let is_before = statement.find(2, "AS").is_none_or(|body| at < body);
        let name = statement.name(at + 1).filter(|_| is_before)?;
        let from = if statement.has(at.checked_sub(2)?, "USING INDEX") {
            at - 2
        } else {
            at
        };
        Some((statement.span(from, at + 2), shown(&name)))
    };
    if !options.no_tablespaces || !KINDS.iter().any(|kind| statement.has(0, kind)) {
        return Verdict::Pass;
    }
    match clause() {
        Some((bytes, name)) => Verdict::Cut(vec![CutRange {
            bytes,
            text: PLACE_OF_A_CUT,
            note: Some(FilterNote::LeftOut("tablespaces", name)),
        }]),
        None => Verdict::Pass,
    }
}
