//! Which object words such as `FUNCTION public.f(integer)` name.

use crate::format::dump_statement::{Statement, shown};

/// What has names of its own in PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ObjectKind {
    /// Tables, views, sequences and indexes.
    Relation,
    Type,
    Routine,
    Operator,
    OperatorClass,
    OperatorFamily,
    Collation,
    Conversion,
    Statistics,
    Cast,
    Transform,
    Trigger,
    Rule,
    Policy,
    Constraint,
    Server,
    Wrapper,
    UserMapping,
    Language,
    AccessMethod,
    EventTrigger,
    Extension,
    Publication,
    Subscription,
    Schema,
    Configuration,
    Dictionary,
    Parser,
    Template,
}

/// Longer ones before those that they begin with.
const KINDS: &[(&str, ObjectKind)] = &[
    ("FOREIGN DATA WRAPPER", ObjectKind::Wrapper),
    ("FOREIGN TABLE", ObjectKind::Relation),
    ("FOREIGN SERVER", ObjectKind::Server),
    ("UNLOGGED TABLE", ObjectKind::Relation),
    ("UNLOGGED SEQUENCE", ObjectKind::Relation),
    ("TABLE", ObjectKind::Relation),
    ("MATERIALIZED VIEW", ObjectKind::Relation),
    ("RECURSIVE VIEW", ObjectKind::Relation),
    ("VIEW", ObjectKind::Relation),
    ("SEQUENCE", ObjectKind::Relation),
    ("UNIQUE INDEX", ObjectKind::Relation),
    ("INDEX", ObjectKind::Relation),
    ("COLUMN", ObjectKind::Relation),
    ("TYPE", ObjectKind::Type),
    ("DOMAIN", ObjectKind::Type),
    ("FUNCTION", ObjectKind::Routine),
    ("PROCEDURE", ObjectKind::Routine),
    ("ROUTINE", ObjectKind::Routine),
    ("AGGREGATE", ObjectKind::Routine),
    ("OPERATOR CLASS", ObjectKind::OperatorClass),
    ("OPERATOR FAMILY", ObjectKind::OperatorFamily),
    ("OPERATOR", ObjectKind::Operator),
    ("COLLATION", ObjectKind::Collation),
    ("DEFAULT CONVERSION", ObjectKind::Conversion),
    ("CONVERSION", ObjectKind::Conversion),
    ("STATISTICS", ObjectKind::Statistics),
    ("CAST", ObjectKind::Cast),
    ("TRANSFORM", ObjectKind::Transform),
    ("EVENT TRIGGER", ObjectKind::EventTrigger),
    ("CONSTRAINT TRIGGER", ObjectKind::Trigger),
    ("TRIGGER", ObjectKind::Trigger),
    ("RULE", ObjectKind::Rule),
    ("POLICY", ObjectKind::Policy),
    ("CONSTRAINT", ObjectKind::Constraint),
    ("SERVER", ObjectKind::Server),
    ("USER MAPPING", ObjectKind::UserMapping),
    ("TRUSTED PROCEDURAL LANGUAGE", ObjectKind::Language),
    ("TRUSTED LANGUAGE", ObjectKind::Language),
    ("PROCEDURAL LANGUAGE", ObjectKind::Language),
    ("LANGUAGE", ObjectKind::Language),
    ("ACCESS METHOD", ObjectKind::AccessMethod),
    ("EXTENSION", ObjectKind::Extension),
    ("PUBLICATION", ObjectKind::Publication),
    ("SUBSCRIPTION", ObjectKind::Subscription),
    ("SCHEMA", ObjectKind::Schema),
    ("TEXT SEARCH CONFIGURATION", ObjectKind::Configuration),
    ("TEXT SEARCH DICTIONARY", ObjectKind::Dictionary),
    ("TEXT SEARCH PARSER", ObjectKind::Parser),
    ("TEXT SEARCH TEMPLATE", ObjectKind::Template),
];

/// An object that a statement makes or is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DumpObject {
    pub(super) kind: ObjectKind,
    /// What tells it from others of its kind.
    pub(super) key: String,
    /// Its name, without arguments.
    pub(super) name: String,
    /// Its own name alone.
    pub(super) own: Vec<u8>,
    /// Where that name stands, with its schema's.
    pub(super) at: usize,
    /// Where the words of its identity begin and end.
    pub(super) words: (usize, usize),
}

impl DumpObject {
    /// What stands there: a kind, then a name.
    pub(super) fn read(statement: &Statement, at: usize) -> Option<Self> {
        let (words, kind) = KINDS.iter().find(|(words, _)| statement.has(at, words))?;
        let mut from = at + words.split(' ').count();
        if statement.has(from, "IF NOT EXISTS") {
            from += 3;
        }
        from += usize::from(statement.is(from, "ONLY"));
        let object = |key: String, name: String, own: Vec<u8>, end| {
            Some(Self {
                kind: *kind,
                key,
                name,
                own,
                at: from,
                words: (at, end),
            })
        };
        match kind {
            ObjectKind::Cast => {
                let end = statement.behind_parentheses(from)?;
                let key = statement.text(from, end);
                return object(key.clone(), key, Vec::new(), end);
            }
            ObjectKind::UserMapping => {
                let end = statement.find(from, "SERVER")? + 2;
                let key = statement.text(from, end);
                return object(key.clone(), key, Vec::new(), end);
            }
            ObjectKind::Transform => {
                let language = statement.find(from, "LANGUAGE")?;
                let key = statement.text(from, language + 2);
                return object(key.clone(), key, Vec::new(), language + 2);
            }
            ObjectKind::Operator => {
                let open = statement.find_symbol(from, b'(')?;
                let end = statement.behind_parentheses(open)?;
                let name = statement.text(from, open);
                let arguments = operands(statement, open, end);
                let own = name.rsplit('.').next().unwrap_or(&name).as_bytes().to_vec();
                return object(format!("{name} ({arguments})"), name, own, end);
            }
            _ => {}
        }
        let (mut parts, mut end) = statement.qualified(from)?;
        let own = parts.last().cloned().unwrap_or_default();
        match kind {
            ObjectKind::Relation if *words == "COLUMN" => {
                parts.pop();
            }
            // An index is in the schema of its table, and CREATE does not name it.
            ObjectKind::Relation if words.ends_with("INDEX") && statement.is(end, "ON") => {
                let table = end + 1 + usize::from(statement.is(end + 1, "ONLY"));
                let (table, _) = statement.qualified(table)?;
                parts = beside(&table, parts.pop()?);
            }
            ObjectKind::Trigger | ObjectKind::Rule | ObjectKind::Policy | ObjectKind::Constraint => {
                let on = statement.find(end, "ON")?;
                let is_new_rule = *kind == ObjectKind::Rule && statement.is(end, "AS");
                let table = if is_new_rule { statement.find(on, "TO")? } else { on };
                let (table, behind) = statement.qualified(table + 1)?;
                parts.extend(table);
                end = behind;
            }
            ObjectKind::Routine => {
                let name = joined(&parts);
                let behind = statement.behind_parentheses(end)?;
                return object(format!("{name}({})", arguments(statement, end + 1, behind - 1)), name, own, behind);
            }
            _ => {}
        }
        let name = joined(&parts);
        object(name.clone(), name, own, end)
    }

    /// That a `CREATE` makes.
    pub(super) fn made(statement: &Statement) -> Option<Self> {
        statement
            .is(0, "CREATE")
            .then(|| Self::read(statement, if statement.has(1, "OR REPLACE") { 3 } else { 1 }))?
    }

    /// Its name as the dump writes it.
    pub(super) fn sql<'a>(&self, statement: &Statement<'a>) -> &'a [u8] {
        let end = statement.qualified(self.at).map_or(self.at, |(_, end)| end);
        statement.bytes(self.at, end)
    }

    /// For people. An index is named without its schema, as `CREATE` does: its table tells which one is meant.
    pub(super) fn text(&self, statement: &Statement) -> String {
        let (from, mut to) = self.words;
        let is_index = statement.is(from, "INDEX") || statement.has(from, "UNIQUE INDEX");
        if is_index && statement.is(to, "ON") {
            let table = to + 1 + usize::from(statement.is(to + 1, "ONLY"));
            to = statement.qualified(table).map_or(to, |(_, end)| end);
        }
        statement.text(from, to)
    }
}

/// In the same schema as this one.
pub(super) fn beside(table: &[Vec<u8>], name: Vec<u8>) -> Vec<Vec<u8>> {
    let schema = table.split_last().map_or(&[][..], |(_, schema)| schema);
    schema.iter().cloned().chain([name]).collect()
}

/// Without default values, which only `CREATE` has.
fn arguments(statement: &Statement, from: usize, to: usize) -> String {
    let mut kept: Vec<String> = Vec::new();
    for (from, to) in elements(statement, from, to) {
        let end = statement.find(from, "DEFAULT").filter(|end| *end < to).unwrap_or(to);
        kept.push(statement.text(from, end));
    }
    kept.join(", ")
}

/// Of an operator, as its `CREATE` and as everything else writes them.
fn operands(statement: &Statement, open: usize, end: usize) -> String {
    let of = |word: &str| {
        let mut all = elements(statement, open + 1, end - 1).into_iter();
        all.find_map(|(from, to)| statement.is(from, word).then(|| statement.text(from + 2, to)))
    };
    match (of("LEFTARG"), of("RIGHTARG")) {
        (None, None) => statement.text(open + 1, end - 1),
        (left, right) => {
            let or_none = |side: Option<String>| side.unwrap_or_else(|| "NONE".to_owned());
            format!("{}, {}", or_none(left), or_none(right))
        }
    }
}

/// What commas part there, outside of inner parentheses.
pub(super) fn elements(statement: &Statement, from: usize, to: usize) -> Vec<(usize, usize)> {
    let (mut found, mut start, mut depth) = (Vec::new(), from, 0u32);
    for at in from..to {
        if statement.is_symbol(at, b'(') || statement.is_symbol(at, b'[') {
            depth += 1;
        } else if statement.is_symbol(at, b')') || statement.is_symbol(at, b']') {
            depth = depth.saturating_sub(1);
        } else if depth == 0 && statement.is_symbol(at, b',') {
            found.push((start, at));
            start = at + 1;
        }
    }
    if start < to {
        found.push((start, to));
    }
    found
}

/// One text for each name: a part that holds a dot or a quote stands in quotes.
pub(super) fn joined(parts: &[Vec<u8>]) -> String {
    let quoted = |part: &Vec<u8>| match shown(part) {
        text if text.contains(['.', '"']) => format!("\"{}\"", text.replace('"', "\"\"")),
        text => text,
    };
    parts.iter().map(quoted).collect::<Vec<_>>().join(".")
}

/// The parts of a name that stands in a string, as in `setval('s."Odd.one"', 1)`.
pub(super) fn parts_of(text: &[u8]) -> Vec<Vec<u8>> {
    let (mut parts, mut is_quoted) = (vec![Vec::new()], false);
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if is_quoted && bytes.peek() == Some(&b'"') => bytes.next().into_iter().for_each(|quote| push(&mut parts, quote)),
            b'"' => is_quoted = !is_quoted,
            b'.' if !is_quoted => parts.push(Vec::new()),
            byte => push(&mut parts, byte),
        }
    }
    parts
}

fn push(parts: &mut [Vec<u8>], byte: u8) {
    parts.last_mut().into_iter().for_each(|part| part.push(byte));
}
