//! Statements about what was not made, and those that refer to it.

use super::judge::{Cut, Note, Verdict};
use super::lost::Lost;
use super::object::{Kind, Object, beside, elements, joined};
use super::options::Rights;
use super::superuser;
use crate::format::dump_statement::Statement;

const ELSEWHERE: &str = "its rows are on another server, which a drill does not ask";
const REFUSED: &str = "its query asks for what PostgreSQL keeps for superusers";
/// Words that end the type or the expression of a column.
const CLAUSES: &[&str] = &["DEFAULT", "GENERATED", "NOT", "COLLATE", "CONSTRAINT", "CHECK", "OPTIONS"];

/// `None`: it passes, as far as a restore without a superuser goes.
pub(super) fn judge(statement: &Statement, rights: Option<&Rights>, lost: &mut Lost) -> Option<Verdict> {
    if let Some(verdict) = about(statement, lost) {
        return Some(verdict);
    }
    let made = Object::made(statement);
    let verdict = superuser::judge(statement, rights, lost).or_else(|| refers(statement, rights, made.as_ref(), lost));
    if let Some(object) = made {
        match &verdict {
            Some(Verdict::NotRestored(text, _)) => lost.add(&object, text.clone()),
            Some(Verdict::Drop) => {}
            _ => lost.made(&object),
        }
    }
    verdict
}

/// Something said about what is not there is not worth a word.
fn about(statement: &Statement, lost: &mut Lost) -> Option<Verdict> {
    if lost.is_empty() {
        return None;
    }
    if statement.is(0, "COPY") {
        let (name, _) = statement.qualified(1)?;
        return lost.has_name(Kind::Relation, &joined(&name)).then_some(Verdict::Drop);
    }
    if statement.has(0, "SELECT pg_catalog") && statement.is(3, "setval") {
        let name = String::from_utf8_lossy(&statement.literal(5)?).replace('"', "");
        return lost.has_name(Kind::Relation, &name).then_some(Verdict::Drop);
    }
    if statement.has(0, "REFRESH MATERIALIZED VIEW") {
        let (name, _) = statement.qualified(3)?;
        return lost.has_name(Kind::Relation, &joined(&name)).then_some(Verdict::Drop);
    }
    if statement.has(0, "SET default_table_access_method") {
        let name = statement.literal(3).or_else(|| statement.name(3))?;
        let is_lost = lost.has_name(Kind::AccessMethod, &String::from_utf8_lossy(&name));
        return is_lost.then(|| Verdict::Replace("SET default_table_access_method = heap;".to_owned()));
    }
    let at = if statement.is(0, "ALTER") {
        1
    } else if statement.has(0, "COMMENT ON") {
        2
    } else if statement.has(0, "SECURITY LABEL") {
        statement.find(2, "ON")? + 1
    } else if statement.is_any(0, &["GRANT", "REVOKE"]) {
        statement.find(1, "ON")? + 1
    } else {
        return None;
    };
    let object = Object::read(statement, at)?;
    if lost.has(&object) {
        // The sequence of an identity column comes with it.
        if let Some(name) = statement.find_word(2, "SEQUENCE").filter(|name| statement.is(*name + 1, "NAME"))
            && let Some((name, _)) = statement.qualified(name + 2)
        {
            let name = joined(&name);
            lost.add_name(Kind::Relation, name.clone(), format!("SEQUENCE {name}"));
        }
        return Some(Verdict::Drop);
    }
    let (end, table) = (object.words.1, &object.name);
    if statement.is(0, "ALTER") && object.kind == Kind::Relation {
        let mut at = end + usize::from(statement.is_any(end, &["ENABLE", "DISABLE"]));
        at += usize::from(statement.is_any(at, &["ALWAYS", "REPLICA"]));
        let kind = [("TRIGGER", Kind::Trigger), ("RULE", Kind::Rule)];
        let (_, kind) = kind.into_iter().find(|(word, _)| at > end && statement.is(at, word))?;
        let name = String::from_utf8_lossy(&statement.name(at + 1)?).into_owned();
        return lost.has_name(kind, &format!("{name}.{table}")).then_some(Verdict::Drop);
    }
    None
}

fn refers(statement: &Statement, rights: Option<&Rights>, made: Option<&Object>, lost: &mut Lost) -> Option<Verdict> {
    if statement.has(0, "REFRESH MATERIALIZED VIEW") {
        let (name, _) = statement.qualified(3)?;
        let reason = lost.unreadable(&joined(&name))?;
        return Some(Verdict::NotRestored(
            format!("the rows of MATERIALIZED VIEW {}", joined(&name)),
            reason.clone().into(),
        ));
    }
    if let Some(object) = made {
        let from = object.words.1;
        if let Some(cause) = lost.schema_of(object) {
            return Some(not_restored(object.text(statement), cause));
        }
        if object.kind == Kind::Relation {
            let reason = unreadable(statement, from, rights, lost);
            if let Some(reason) = reason {
                lost.set_unreadable(object.name.clone(), reason);
            }
        }
        if let Some(wrapper) = statement.find(from, "WRAPPER").filter(|_| object.kind == Kind::Server) {
            let name = String::from_utf8_lossy(&statement.name(wrapper + 1)?).into_owned();
            if rights.is_some_and(|rights| !rights.wrappers.contains(name.as_bytes())) {
                return Some(not_restored(object.text(statement), &format!("FOREIGN DATA WRAPPER {name}")));
            }
        }
        if object.kind == Kind::Relation && statement.is_symbol(from, b'(') {
            return table(statement, object, lost);
        }
        // The key of an operator is in the parentheses, and the function with it.
        let from = match object.kind {
            Kind::Operator | Kind::Cast | Kind::Transform | Kind::UserMapping => object.words.0 + 1,
            Kind::Routine => statement.find_symbol(object.words.0, b'(')?,
            Kind::Trigger | Kind::Rule | Kind::Policy => object.words.0 + 1,
            _ => from,
        };
        if object.kind == Kind::Type && statement.is(object.words.0, "DOMAIN") {
            return domain(statement, object, lost);
        }
        // Its commutator is made of itself.
        let to = ["COMMUTATOR", "NEGATOR"]
            .iter()
            .filter_map(|word| statement.find_word(from, word))
            .min();
        let to = to.filter(|_| object.kind == Kind::Operator).unwrap_or(statement.len());
        let cause = lost.reference(statement, from, to)?;
        return Some(not_restored(object.text(statement), cause));
    }
    if !statement.is(0, "ALTER") {
        return None;
    }
    let object = Object::read(statement, 1)?;
    let end = object.words.1;
    if statement.find(end, "OWNER").is_some() {
        return None;
    }
    let cause = lost.reference(statement, end, statement.len())?.to_owned();
    let mut until = end;
    while until < statement.len() && !statement.is_symbol(until, b'(') && until < end + 6 {
        until += 1;
    }
    let what = statement.text(1, until);
    if statement.has(end, "ADD CONSTRAINT") {
        let (table, _) = statement.qualified(2 + usize::from(statement.is(2, "ONLY")))?;
        let name = statement.name(end + 2)?;
        let constraint = format!("{}.{}", String::from_utf8_lossy(&name), joined(&table));
        lost.add_name(Kind::Constraint, constraint, what.clone());
        lost.add_name(Kind::Relation, joined(&beside(&table, name)), what.clone());
    }
    if statement.has(end, "OWNED BY") {
        return Some(Verdict::Drop);
    }
    Some(not_restored(what, &cause))
}

/// Rows that a drill cannot ask for: of other servers, and of what superusers alone may read.
fn unreadable(statement: &Statement, from: usize, rights: Option<&Rights>, lost: &Lost) -> Option<String> {
    if statement.has(1, "FOREIGN TABLE") {
        return Some(ELSEWHERE.to_owned());
    }
    statement.find(1, "VIEW")?;
    let is_refused = |at: &usize| {
        let name = statement.name(*at);
        name.is_some_and(|name| rights.is_some_and(|rights| rights.refused.contains(&name)))
    };
    let is_called = |at: &usize| statement.is_symbol(at + 1, b'(') || at.checked_sub(1).is_some_and(|at| statement.is_symbol(at, b'.'));
    match (from..statement.len())
        .filter(is_refused)
        .any(|at| is_called(&at) || statement.is_any(at - 1, &["FROM", "JOIN"]))
    {
        true => Some(REFUSED.to_owned()),
        false => lost.unreadable_in(statement, from),
    }
}

fn not_restored(what: String, cause: &str) -> Verdict {
    Verdict::NotRestored(what, format!("{cause} was not restored").into())
}

/// Its rows are worth more than its clauses: those that refer to what is lost go alone, unless it is a column's type.
fn table(statement: &Statement, object: &Object, lost: &Lost) -> Option<Verdict> {
    let open = object.words.1;
    let close = statement.behind_parentheses(open)?;
    if let Some(cause) = lost.reference(statement, close, statement.len()) {
        return Some(not_restored(object.text(statement), cause));
    }
    let all = elements(statement, open + 1, close - 1);
    let mut cuts = Vec::new();
    for (place, (from, to)) in all.iter().copied().enumerate() {
        if statement.is_any(from, &["CONSTRAINT", "CHECK"]) {
            let Some(cause) = lost.reference(statement, from, to) else {
                continue;
            };
            let is_first = cuts.len() == place;
            let span = match (is_first, all.get(place + 1)) {
                (true, Some(_)) => statement.span(from, to + 1),
                (true, None) => statement.span(from, to),
                (false, _) => statement.span(from - 1, to),
            };
            let what = format!("{} of {}", statement.text(from, from + 2), object.text(statement));
            cuts.push(cut(span, what, cause));
            continue;
        }
        let end = (from + 1..to).find(|at| statement.is_any(*at, CLAUSES)).unwrap_or(to);
        if let Some(cause) = lost.reference(statement, from + 1, end) {
            return Some(not_restored(object.text(statement), cause));
        }
        clauses(statement, (from, end, to), object, lost, &mut cuts);
    }
    (!cuts.is_empty()).then_some(Verdict::Cut(cuts))
}

/// Of a column or domain, from where its type ends.
fn clauses(statement: &Statement, (name, mut from, to): (usize, usize, usize), object: &Object, lost: &Lost, cuts: &mut Vec<Cut>) {
    while from < to {
        let mut end = from + 1;
        let is_named = statement.is(from, "CONSTRAINT");
        let first = if is_named { from + 2 } else { from };
        end = end.max(first + 1);
        let mut depth = 0u32;
        while end < to && (depth > 0 || !statement.is_any(end, CLAUSES)) {
            depth += u32::from(statement.is_symbol(end, b'('));
            depth -= u32::from(depth > 0 && statement.is_symbol(end, b')'));
            end += 1;
        }
        if let Some(cause) = lost.reference(statement, from, end) {
            // What nobody computes any more is null.
            if statement.is(from, "GENERATED") && statement.has(end, "NOT NULL") {
                end += 2;
            }
            let what = format!(
                "{} of {} of {}",
                statement.text(from, from + 1),
                statement.text(name, name + 1),
                object.text(statement)
            );
            cuts.push(cut(statement.span(from, end), what, cause));
        }
        from = end;
    }
}

fn domain(statement: &Statement, object: &Object, lost: &Lost) -> Option<Verdict> {
    let from = object.words.1;
    let to = statement.len() - usize::from(statement.is_symbol(statement.len() - 1, b';'));
    let end = (from + 1..to).find(|at| statement.is_any(*at, CLAUSES)).unwrap_or(to);
    if let Some(cause) = lost.reference(statement, from, end) {
        return Some(not_restored(object.text(statement), cause));
    }
    let mut cuts = Vec::new();
    clauses(statement, (object.words.1 - 1, end, to), object, lost, &mut cuts);
    (!cuts.is_empty()).then_some(Verdict::Cut(cuts))
}

fn cut(bytes: std::ops::Range<usize>, what: String, cause: &str) -> Cut {
    let note = Note::NotRestored(what, format!("{cause} was not restored").into());
    Cut { bytes, note }
}
