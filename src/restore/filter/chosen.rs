//! Of a dump only what chosen tables and schemas need: their definitions, rows, indexes, constraints, triggers, rights and
//! comments. What they refer to must be chosen, too, or be in the target already.

use super::object::{DumpObject, ObjectKind};
use super::outline::{ObjectName, is_index, sequence_in};
use crate::error::Result;
use crate::format::dump_lexer::{DumpLexer, Lexed};
use crate::format::dump_statement::Statement;
use crate::pipeline::Stage;
use std::collections::BTreeSet;

/// What is held of a statement until it is decided about; a longer one is decided about by its beginning.
const HELD: usize = 1 << 20;

/// What is restored, and what is there without it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChosenObjects {
    pub relations: BTreeSet<ObjectName>,
    pub schemas: BTreeSet<Vec<u8>>,
    /// Relations in the target.
    pub there: BTreeSet<ObjectName>,
    /// Functions in the target.
    pub functions: BTreeSet<ObjectName>,
}

impl ChosenObjects {
    pub(crate) fn has(&self, name: &ObjectName) -> bool {
        self.relations.contains(name) || self.has_schema(name)
    }

    fn has_schema(&self, name: &ObjectName) -> bool {
        name.len() > 1 && name.first().is_some_and(|schema| self.schemas.contains(schema))
    }

    fn will_be_there(&self, relation: &ObjectName) -> bool {
        self.has(relation) || self.there.contains(relation)
    }
}

/// Why something of a chosen table does not come: `(what, reason)`.
type Refused = (String, String);

enum Verdict {
    Pass,
    Drop,
    NotRestored(Refused),
}

/// Passes on the statements and rows of what is chosen.
pub(crate) struct ChosenStatements<S> {
    lexer: DumpLexer,
    judge: Judge,
    held: Vec<u8>,
    /// A statement that was too long to be held passes, or does not.
    long: Option<bool>,
    skips_rows: bool,
    below: S,
}

/// Decides about one statement after the other.
#[derive(Default)]
struct Judge {
    chosen: ChosenObjects,
    /// Indexes that were made.
    indexes: BTreeSet<ObjectName>,
    /// Constraints and triggers that were not, by table and name.
    lost: BTreeSet<(ObjectName, Vec<u8>)>,
    not_restored: Vec<Refused>,
}

impl<S: Stage> ChosenStatements<S> {
    pub(crate) fn new(chosen: ChosenObjects, below: S) -> Self {
        Self {
            lexer: DumpLexer::default(),
            judge: Judge {
                chosen,
                ..Judge::default()
            },
            held: Vec::new(),
            long: None,
            skips_rows: false,
            below,
        }
    }

    fn hold(&mut self, part: &[u8]) -> Result<()> {
        match self.long {
            Some(true) => return self.below.put(part),
            Some(false) => return Ok(()),
            None => self.held.extend_from_slice(part),
        }
        if self.held.len() <= HELD || self.lexer.tokens().is_empty() {
            return Ok(());
        }
        let passes = self.decide();
        self.long = Some(passes);
        self.release(passes)
    }

    fn end_statement(&mut self) -> Result<()> {
        let passes = match self.long.take() {
            Some(passes) => passes,
            None => {
                let passes = self.decide();
                self.release(passes)?;
                passes
            }
        };
        self.skips_rows = !passes && self.lexer.rows_follow();
        Ok(())
    }

    fn release(&mut self, passes: bool) -> Result<()> {
        if passes {
            self.below.put(&self.held)?;
        }
        self.held.clear();
        Ok(())
    }

    /// Whether what is held passes.
    fn decide(&mut self) -> bool {
        self.judge.passes(&Statement::new(&self.held, self.lexer.tokens()))
    }
}

impl Judge {
    fn passes(&mut self, statement: &Statement<'_>) -> bool {
        match self.judge(statement) {
            Verdict::Pass => {
                let made = DumpObject::made(statement).filter(|object| is_index(statement, object));
                // An index is in the schema of its table.
                if let (Some(object), Some(table)) = (made, table_behind(statement, 0, "ON")) {
                    self.indexes.insert(table.into_iter().take(1).chain([object.own]).collect());
                }
                self.indexes.extend(index_of_constraint(statement));
                true
            }
            Verdict::Drop => false,
            Verdict::NotRestored(refused) => {
                self.not_restored.push(refused);
                false
            }
        }
    }

    fn judge(&mut self, statement: &Statement<'_>) -> Verdict {
        let by = |passes: bool| if passes { Verdict::Pass } else { Verdict::Drop };
        let is_setting = statement.is_any(0, &["SET", "RESET"]) || (statement.has(0, "SELECT pg_catalog") && statement.is(3, "set_config"));
        if is_setting || statement.is_empty() {
            return Verdict::Pass;
        }
        if statement.is(0, "COPY") {
            return by(statement.qualified(1).is_some_and(|(table, _)| self.chosen.has(&table)));
        }
        if statement.has(0, "SELECT pg_catalog") && statement.is(3, "setval") {
            return by(sequence_in(statement, "setval").is_some_and(|sequence| self.chosen.has(&sequence)));
        }
        if statement.has(0, "REFRESH MATERIALIZED VIEW") {
            return by(statement.qualified(3).is_some_and(|(view, _)| self.chosen.has(&view)));
        }
        if statement.has(0, "ALTER DEFAULT PRIVILEGES") {
            let schema = statement.find(3, "SCHEMA").and_then(|at| statement.name(at + 1));
            return by(schema.is_some_and(|schema| self.chosen.schemas.contains(&schema)));
        }
        let at = match () {
            () if statement.has(0, "CREATE OR REPLACE") => 3,
            () if statement.is_any(0, &["CREATE", "ALTER"]) => 1,
            () if statement.has(0, "COMMENT ON") => 2,
            () if statement.has(0, "SECURITY LABEL") || statement.is_any(0, &["GRANT", "REVOKE"]) => match statement.find(1, "ON") {
                Some(on) => on + 1,
                None => return Verdict::Drop,
            },
            () => return Verdict::Drop,
        };
        let Some(object) = DumpObject::read(statement, at) else {
            return self.granted(statement, at);
        };
        self.judge_object(statement, at, &object)
    }

    /// `GRANT … ON "s"."t"`, without the word TABLE, and the `SEQUENCE` of large objects' kin.
    fn granted(&self, statement: &Statement<'_>, at: usize) -> Verdict {
        let is_grant = statement.is_any(0, &["GRANT", "REVOKE"]);
        let named = statement.qualified(at).filter(|_| is_grant);
        match named {
            Some((name, _)) if self.chosen.has(&name) => Verdict::Pass,
            _ => Verdict::Drop,
        }
    }

    fn judge_object(&mut self, statement: &Statement<'_>, at: usize, object: &DumpObject) -> Verdict {
        let by = |passes: bool| if passes { Verdict::Pass } else { Verdict::Drop };
        let Some((name, end)) = statement.qualified(object.at) else {
            return Verdict::Drop;
        };
        match object.kind {
            ObjectKind::Schema => by(self.chosen.schemas.contains(&object.own)),
            ObjectKind::Relation if statement.is(at, "COLUMN") => {
                let table = name.split_last().map(|(_, table)| table.to_vec()).unwrap_or_default();
                by(self.chosen.has(&table))
            }
            ObjectKind::Relation if is_index(statement, object) => match table_behind(statement, end, "ON") {
                Some(table) if statement.is(0, "CREATE") => by(self.chosen.has(&table)),
                _ => self.index(statement, &name, end),
            },
            ObjectKind::Relation if statement.is(0, "ALTER") => self.altered(statement, &name, end),
            ObjectKind::Relation => by(self.chosen.has(&name)),
            ObjectKind::Constraint | ObjectKind::Policy | ObjectKind::Trigger => match table_behind(statement, end, "ON") {
                Some(table) if self.chosen.has(&table) && !self.lost.contains(&(table.clone(), object.own.clone())) => {
                    self.trigger(statement, object, table)
                }
                _ => Verdict::Drop,
            },
            ObjectKind::Rule => {
                let table = table_behind(statement, end, "TO").or_else(|| table_behind(statement, end, "ON"));
                by(table.is_some_and(|table| self.chosen.has(&table)))
            }
            ObjectKind::Statistics => match table_behind(statement, end, "FROM") {
                Some(table) if statement.is(0, "CREATE") => by(self.chosen.has(&table)),
                _ => by(self.chosen.has_schema(&name)),
            },
            ObjectKind::Operator => by(self
                .chosen
                .schemas
                .iter()
                .any(|schema| statement.name(object.at).as_ref() == Some(schema))),
            _ => by(self.chosen.has_schema(&name)),
        }
    }

    /// `ALTER INDEX … ATTACH PARTITION …`, and what is said about an index.
    fn index(&self, statement: &Statement<'_>, name: &ObjectName, end: usize) -> Verdict {
        let attached = statement.find(end, "PARTITION").and_then(|at| statement.qualified(at + 1));
        let is_made = |index: &ObjectName| self.indexes.contains(index) || self.chosen.has_schema(index);
        // The index of a constraint has its name, and was made by ALTER TABLE: with its table, in the same schema.
        match attached {
            Some((part, _)) if is_made(name) && is_made(&part) => Verdict::Pass,
            None if is_made(name) => Verdict::Pass,
            _ => Verdict::Drop,
        }
    }

    fn altered(&mut self, statement: &Statement<'_>, table: &ObjectName, end: usize) -> Verdict {
        let words = |from, to| statement.text(from, to);
        if let Some(attach) = statement.find(end, "ATTACH").filter(|at| statement.is(at + 1, "PARTITION")) {
            let Some((part, part_end)) = statement.qualified(attach + 2) else {
                return Verdict::Drop;
            };
            let is_without = match (self.chosen.has(table), self.chosen.has(&part)) {
                (true, true) => return Verdict::Pass,
                (false, false) => return Verdict::Drop,
                (true, false) => "the partition is not restored, and its rows are not",
                (false, true) => "the table that it is a partition of is not restored: attach it yourself, if it is there",
            };
            let what = format!(
                "PARTITION {} OF {}",
                words(attach + 2, part_end),
                words(2, end).trim_start_matches("ONLY ")
            );
            return Verdict::NotRestored((what, is_without.to_owned()));
        }
        if !self.chosen.has(table) {
            return Verdict::Drop;
        }
        if let Some(owned) = statement.find(end, "OWNED").filter(|at| statement.is(at + 1, "BY")) {
            let column = statement.qualified(owned + 2);
            let owner = column.and_then(|(column, _)| Some(column.split_last()?.1.to_vec()));
            return match owner {
                Some(owner) if self.chosen.will_be_there(&owner) => Verdict::Pass,
                _ => Verdict::Drop,
            };
        }
        if let Some(references) = statement.find(end, "REFERENCES")
            && let Some((other, _)) = statement.qualified(references + 1)
            && !self.chosen.will_be_there(&other)
        {
            let constraint = statement
                .find(end, "CONSTRAINT")
                .and_then(|at| statement.name(at + 1))
                .unwrap_or_default();
            self.lost.insert((table.clone(), constraint));
            let what = format!(
                "CONSTRAINT {} ON {}",
                words(end + 2, end + 3),
                words(2, end).trim_start_matches("ONLY ")
            );
            let reason = format!(
                "its table {} is not restored, and not in the target",
                words(references + 1, references + 4)
            );
            return Verdict::NotRestored((what, reason));
        }
        let trigger = statement.find(end, "TRIGGER").and_then(|at| statement.name(at + 1));
        match trigger {
            Some(trigger) if self.lost.contains(&(table.clone(), trigger.clone())) => Verdict::Drop,
            _ => Verdict::Pass,
        }
    }

    /// Its function must be there, and the other table of a constraint trigger.
    fn trigger(&mut self, statement: &Statement<'_>, object: &DumpObject, table: ObjectName) -> Verdict {
        let from = statement
            .find(object.words.1, "FROM")
            .filter(|_| statement.has(0, "CREATE CONSTRAINT TRIGGER"));
        if let Some((other, end)) = from.and_then(|at| statement.qualified(at + 1))
            && !self.chosen.will_be_there(&other)
        {
            self.lost.insert((table, object.own.clone()));
            let other = from.map(|at| statement.text(at + 1, end)).unwrap_or_default();
            let reason = format!("its table {other} is not restored, and not in the target");
            return Verdict::NotRestored((object.text(statement), reason));
        }
        let execute = statement.find(object.words.1, "EXECUTE").filter(|_| statement.is(0, "CREATE"));
        let Some((function, end)) = execute.and_then(|at| statement.qualified(at + 2)) else {
            return Verdict::Pass;
        };
        // Of pg_catalog without its schema, since a dump's search path is empty.
        let is_built_in = function.len() == 1 || function.first().is_some_and(|schema| schema == b"pg_catalog");
        if is_built_in || self.chosen.has_schema(&function) || self.chosen.functions.contains(&function) {
            return Verdict::Pass;
        }
        self.lost.insert((table, object.own.clone()));
        let function = execute.map(|at| statement.text(at + 2, end)).unwrap_or_default();
        Verdict::NotRestored((object.text(statement), format!("its function {function} is not in the target")))
    }
}

/// `ALTER TABLE … ADD CONSTRAINT name PRIMARY KEY …` makes an index of that name beside the table.
fn index_of_constraint(statement: &Statement<'_>) -> Option<ObjectName> {
    let at = if statement.is(2, "ONLY") { 3 } else { 2 };
    let (table, end) = statement.qualified(at).filter(|_| statement.has(0, "ALTER TABLE"))?;
    if !statement.has(end, "ADD CONSTRAINT") || !statement.is_any(end + 3, &["PRIMARY", "UNIQUE", "EXCLUDE"]) {
        return None;
    }
    let name = statement.name(end + 2)?;
    Some(table.into_iter().take(1).chain([name]).collect())
}

/// The table behind this word.
fn table_behind(statement: &Statement<'_>, from: usize, word: &str) -> Option<ObjectName> {
    let at = statement.find(from, word)? + 1;
    let at = at + usize::from(statement.is_any(at, &["ONLY", "TABLE"]));
    Some(statement.qualified(at)?.0)
}

impl<S: Stage> Stage for ChosenStatements<S> {
    /// What was not restored and why, and what lay below.
    type Done = (Vec<Refused>, S::Done);

    fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (read, lexed) = self.lexer.read(bytes);
            let (part, rest) = bytes.split_at(read);
            bytes = rest;
            match lexed {
                Lexed::Rows | Lexed::Mark | Lexed::RowsEnd | Lexed::Opening if self.skips_rows => {
                    self.skips_rows = lexed != Lexed::RowsEnd;
                }
                Lexed::Rows | Lexed::Mark | Lexed::RowsEnd | Lexed::Opening => self.below.put(part)?,
                Lexed::Command => {
                    // What stands before it are comments.
                    self.held.extend_from_slice(part);
                    self.release(true)?;
                }
                Lexed::Sql | Lexed::Variable => self.hold(part)?,
                Lexed::End => {
                    self.hold(part)?;
                    self.end_statement()?;
                }
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Self::Done> {
        // Comments, and what the filter below refuses.
        self.release(true)?;
        Ok((self.judge.not_restored, self.below.finish()?))
    }
}
