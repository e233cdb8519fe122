//! What comes of a statement where something was not made.
//!
//! Words decide only where they are exact: what superusers alone may say, tables whose columns or parents are not there, and
//! what is said about something that certainly is not there. Whatever else may depend on it is for the server to decide.

use super::clauses;
use super::judge::Verdict;
use super::lost::LostObjects;
use super::object::{DumpObject, ObjectKind, elements, joined, parts_of};
use super::options::ServerRights;
use super::superuser;
use super::trial::{PlainTrial, Trial, TrialKind, TrialNotice};
use crate::format::dump_statement::{Statement, shown};
use crate::restore::psql::ReportText;

/// Options of a user mapping that ordinary roles may not set, depending on its wrapper.
const KEPT_OPTIONS: &[&str] = &["password_required", "sslcert", "sslkey"];

pub(super) enum DependentVerdict {
    Decided(Verdict),
    /// It passes, changed like this before anything else, and maybe on trial.
    Passes(Option<Verdict>, Option<Trial>),
}

/// As far as a restore without a superuser goes.
pub(super) fn judge(statement: &Statement, rights: Option<&ServerRights>, lost: &mut LostObjects) -> DependentVerdict {
    lost.suspects.is_closed = false;
    if let Some(verdict) = about(statement, lost) {
        return DependentVerdict::Decided(verdict);
    }
    let made = DumpObject::made(statement);
    if let Some(object) = &made {
        lost.missing.see_made(object, statement);
    }
    let verdict = superuser::judge(statement, rights, lost).or_else(|| table_without(statement, made.as_ref(), lost));
    match verdict {
        Some(Verdict::Cut(cuts)) => {
            let trial = trial(statement, made.as_ref(), rights, lost);
            DependentVerdict::Passes(Some(Verdict::Cut(cuts)), trial)
        }
        Some(verdict) => {
            if let (Some(object), Verdict::NotRestored(..)) = (&made, &verdict) {
                lost.add(object, statement);
            }
            DependentVerdict::Decided(verdict)
        }
        None => DependentVerdict::Passes(None, trial(statement, made.as_ref(), rights, lost)),
    }
}

/// Something said about what is not there is not worth a word.
fn about(statement: &Statement, lost: &mut LostObjects) -> Option<Verdict> {
    if let Some(name) = lost.missing.named_by(statement, said_of(statement)) {
        return Some(match statement.is(0, "COPY") {
            true => Verdict::LeaveOutRows(name),
            false => Verdict::Drop,
        });
    }
    if statement.is(0, "COPY") {
        let (name, _) = statement.qualified(1)?;
        return lost.has_name(ObjectKind::Relation, &joined(&name)).then_some(Verdict::Drop);
    }
    if statement.has(0, "SELECT pg_catalog") && statement.is(3, "setval") {
        let name = joined(&parts_of(&statement.literal(5)?));
        return lost.has_name(ObjectKind::Relation, &name).then_some(Verdict::Drop);
    }
    let object = DumpObject::read(statement, said_of(statement)?)?;
    if !lost.has(&object) {
        return None;
    }
    // The sequence of an identity column comes with it.
    if let Some(name) = statement.find_word(2, "SEQUENCE").filter(|name| statement.is(*name + 1, "NAME"))
        && let Some((name, _)) = statement.qualified(name + 2)
    {
        lost.add_name(ObjectKind::Relation, &joined(&name));
    }
    Some(Verdict::Drop)
}

/// Where the object stands that a statement is about.
pub(super) fn said_of(statement: &Statement) -> Option<usize> {
    if statement.is(0, "ALTER") {
        Some(1)
    } else if statement.has(0, "COMMENT ON") {
        Some(2)
    } else if statement.has(0, "SECURITY LABEL") || statement.is_any(0, &["GRANT", "REVOKE"]) {
        Some(statement.find(1, "ON")? + 1)
    } else {
        None
    }
}

/// Types, tables and sequences that cannot be there: no other statement could give back their rows.
fn table_without(statement: &Statement, made: Option<&DumpObject>, lost: &LostObjects) -> Option<Verdict> {
    let object = made?;
    let cause = match object.kind {
        ObjectKind::Relation if statement.is_any(object.words.0, &["TABLE", "UNLOGGED", "SEQUENCE"]) => {
            lacking_schema(object, statement, lost).or_else(|| lacking(statement, object, lost))
        }
        ObjectKind::Type if statement.is(object.words.0, "DOMAIN") => {
            let to = clauses::type_end(statement, object.words.1 + 1, statement.len());
            lost_type(statement, object.words.1, to, lost)
        }
        ObjectKind::Type if statement.has(object.words.1, "AS") && statement.is_symbol(object.words.1 + 1, b'(') => {
            let end = statement.behind_parentheses(object.words.1 + 1)?;
            let attributes = elements(statement, object.words.1 + 2, end - 1).into_iter();
            // A collation is none.
            let types = attributes.map(|(from, to)| (from + 1, clauses::type_end(statement, from + 1, to)));
            types.into_iter().find_map(|(from, to)| lost_type(statement, from, to, lost))
        }
        _ => None,
    }?;
    Some(Verdict::NotRestored(
        object.text(statement),
        ReportText::ours(format!("{cause} was not restored")),
    ))
}

fn lacking_schema(object: &DumpObject, statement: &Statement, lost: &LostObjects) -> Option<String> {
    let (parts, _) = statement.qualified(object.at)?;
    let schema = parts.first().filter(|_| parts.len() > 1)?;
    lost.lacks_schema(schema).then(|| format!("SCHEMA {}", shown(schema)))
}

/// A parent or the type of a column.
fn lacking(statement: &Statement, object: &DumpObject, lost: &LostObjects) -> Option<String> {
    let behind = object.words.1;
    if statement.is_any(behind, &["OF", "PARTITION"]) {
        let of = statement.find(behind, "OF")?;
        return lost_type(statement, of + 1, statement.qualified(of + 1)?.1, lost);
    }
    let (open, close) = clauses::columns(statement, object)?;
    for (from, to) in elements(statement, open + 1, close - 1) {
        if clauses::is_constraint(statement, from) {
            continue;
        }
        let end = clauses::type_end(statement, from + 1, to);
        if let Some(cause) = lost_type(statement, from + 1, end, lost) {
            return Some(cause);
        }
    }
    let parents = statement.is(close, "INHERITS").then(|| statement.behind_parentheses(close + 1))??;
    lost_type(statement, close + 2, parents, lost)
}

/// A table is a type, too.
fn lost_type(statement: &Statement, from: usize, to: usize, lost: &LostObjects) -> Option<String> {
    let mut at = from;
    while at < to {
        let Some((parts, end)) = statement.qualified(at) else {
            at += 1;
            continue;
        };
        if parts.len() > 1 {
            let name = joined(&parts);
            let is_lost = [ObjectKind::Type, ObjectKind::Relation]
                .into_iter()
                .any(|kind| lost.has_name(kind, &name));
            if is_lost || lost.lacks_schema(&parts[0]) {
                return Some(format!("TYPE {name}"));
            }
        }
        at = end;
    }
    None
}

/// For what may need something that is not there.
fn trial(statement: &Statement, made: Option<&DumpObject>, rights: Option<&ServerRights>, lost: &mut LostObjects) -> Option<Trial> {
    let has_body = made.is_some_and(|object| object.kind == ObjectKind::Routine);
    let is_refused = || made.is_some_and(|object| may_be_refused(statement, object, rights));
    let is_named = lost.is_named_in(statement) || (has_body && lost.lacks_extensions) || is_refused();
    let suspect = is_named || lost.suspects.are_all;
    lost.suspects.is_closed = !is_named;
    let kind = match made {
        Some(object) => make(statement, object, suspect, lost),
        None if statement.has(0, "REFRESH MATERIALIZED VIEW") => refresh(statement, suspect),
        None if suspect => alter(statement, lost),
        None => None,
    };
    if let Some(object) = made {
        lost.made(object);
        let is_view = object.kind == ObjectKind::Relation && statement.is_any(object.words.0, &["VIEW", "MATERIALIZED", "RECURSIVE"]);
        if (has_body || is_view) && !is_named {
            lost.suspects.remember(&object.own, statement.all_bytes());
        }
    }
    kind.map(|kind| Trial { kind, is_named })
}

fn refresh(statement: &Statement, suspect: bool) -> Option<TrialKind> {
    let (_, end) = statement.qualified(3)?;
    let what = format!("the rows of MATERIALIZED VIEW {}", statement.text(3, end));
    let name = statement.bytes(3, end).to_vec();
    Some(TrialKind::Refresh { name, what, suspect })
}

/// What a server lets its owner do or not, with nothing lost.
fn may_be_refused(statement: &Statement, object: &DumpObject, rights: Option<&ServerRights>) -> bool {
    let (from, len) = (object.words.1, statement.len());
    match object.kind {
        ObjectKind::Cast | ObjectKind::Transform => true,
        ObjectKind::UserMapping => KEPT_OPTIONS
            .iter()
            .any(|option| (from..len).any(|at| statement.name(at).is_some_and(|name| name == option.as_bytes()))),
        ObjectKind::Server => {
            let name = statement.find(from, "WRAPPER").and_then(|wrapper| statement.name(wrapper + 1));
            name.is_some_and(|name| rights.is_some_and(|rights| !rights.wrappers.contains(&name)))
        }
        _ => false,
    }
}

fn make(statement: &Statement, object: &DumpObject, suspect: bool, lost: &mut LostObjects) -> Option<TrialKind> {
    if !suspect {
        return None;
    }
    if object.kind == ObjectKind::Relation && statement.is_any(object.words.0, &["TABLE", "UNLOGGED"]) {
        return clauses::table(statement, object, lost).map(|table| TrialKind::Table(Box::new(table)));
    }
    if object.kind == ObjectKind::Type && statement.is(object.words.0, "DOMAIN") {
        return Some(TrialKind::Table(Box::new(clauses::domain(statement, object, lost))));
    }
    match object.kind {
        // By the words of its types everything would name it. That it may not be there shows in the statements that need it.
        ObjectKind::Cast => lost.suspects.are_all = true,
        _ => lost.suspect(object, statement),
    }
    if let Some(collated) = clauses::collated_type(statement, object, lost) {
        return Some(TrialKind::Table(Box::new(collated)));
    }
    Some(TrialKind::Plain(PlainTrial {
        what: object.text(statement),
        told: TrialNotice::Always,
        generated: lost.suspects.generated_in(statement),
    }))
}

fn alter(statement: &Statement, lost: &mut LostObjects) -> Option<TrialKind> {
    let object = said_of(statement).and_then(|at| DumpObject::read(statement, at));
    let generated = lost.suspects.generated_in(statement);
    let plain = |what, told| Some(TrialKind::Plain(PlainTrial { what, told, generated }));
    if statement.has(0, "SELECT pg_catalog") && statement.is(3, "setval") {
        let name = joined(&parts_of(&statement.literal(5)?));
        return if lost.doubtful_sequences.contains(&name) {
            plain(String::new(), TrialNotice::Never)
        } else {
            None
        };
    }
    if !statement.is(0, "ALTER") {
        let is_about = statement.is_any(0, &["COMMENT", "SECURITY", "GRANT", "REVOKE"]);
        return if is_about { plain(String::new(), TrialNotice::Never) } else { None };
    }
    let end = object.as_ref().map_or(2, |object| object.words.1);
    let is_said = |words: &str| {
        statement
            .find(end, words.split(' ').next().unwrap_or(words))
            .is_some_and(|at| statement.has(at, words))
    };
    let is_about =
        ["OWNER TO", "OWNED BY", "DEPENDS ON"].iter().any(|words| is_said(words)) || statement.is_any(end, &["ENABLE", "DISABLE"]);
    let told = match &object {
        _ if is_about => TrialNotice::Never,
        Some(object) if object.kind == ObjectKind::Relation => TrialNotice::IfThere(object.sql(statement).to_vec()),
        _ => TrialNotice::Always,
    };
    // The sequence of an identity column is made with it, or not.
    if let Some(name) = statement.find_word(end, "SEQUENCE").filter(|name| statement.is(*name + 1, "NAME"))
        && let Some((name, _)) = statement.qualified(name + 2)
    {
        lost.doubtful_sequences.insert(joined(&name));
        name.last().into_iter().for_each(|name| lost.suspects.add(name));
    }
    let mut until = end;
    while until < statement.len() && !statement.is_symbol(until, b'(') && until < end + 6 {
        until += 1;
    }
    if let Some(at) = statement.find(end, "CONSTRAINT")
        && let Some(name) = statement.name(at + 1)
    {
        lost.suspects.add(&name);
    }
    plain(statement.text(1, until), told)
}
