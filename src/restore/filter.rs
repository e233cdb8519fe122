//! A plain dump on its way to psql: a guard against everything in it that psql would run by itself, and a filter for what
//! does not fit where it goes.
//!
//! Everything else passes byte for byte, in bounded memory. Rows, strings and bodies are never changed.

mod chosen;
mod clauses;
mod dependents;
pub(super) mod guard;
mod head;
mod judge;
mod lost;
mod missing;
mod object;
mod options;
mod outline;
mod recorded;
mod schemas;
mod superuser;
mod suspects;
#[cfg(test)]
mod tests;
mod trial;

pub(crate) use chosen::{ChosenObjects, ChosenStatements};
pub(crate) use head::{DumpHead, HeadExtension, Prepare, PreparedTarget};
pub(crate) use missing::ExtensionMembers;
pub use options::{FilterChanges, FilterOptions, Filtered, LeftOut, NotRestored, ServerRights};
pub(crate) use outline::{DumpOutline, ObjectName, OutlineReader};
pub(crate) use recorded::UnfinishedChanges;

use crate::error::{Code, Error, Result};
use crate::format::dump_lexer::{DumpLexer, Lexed, ROWS};
use crate::format::dump_statement::{Statement, shown};
use crate::pipeline::Stage;
use clauses::spaced;
use guard::{Guard, tampered};
use head::HeadReader;
use judge::{Verdict, judge};
use lost::LostObjects;
use recorded::ChangeRecorder;
use schemas::{MadeSchemas, MissingSchema};
use std::ops::Range;
use trial::{Replacement, Trial};

/// What is held of a statement until its end: more than any that is decided about. A longer one passes.
const HELD_STATEMENT_LIMIT: usize = 1 << 20;
/// Of what is kept aside.
const MAX_ASIDE: usize = 64 << 20;

/// A stage over a plain dump. Without options it is a guard alone.
pub struct Filter<S> {
    options: FilterOptions,
    head: Option<HeadReader>,
    lexer: DumpLexer,
    guard: Guard,
    /// The statement at hand, with what stands before it.
    held: Vec<u8>,
    /// Where a space ends what psql would take for the name of a variable.
    spaces: Vec<usize>,
    long: Option<LongStatement>,
    lost: LostObjects,
    /// The rows at hand are of a table that was not made.
    skips_rows: bool,
    /// Made by the dump or for it.
    schemas: MadeSchemas,
    changes: ChangeRecorder,
    below: S,
}

/// What becomes of the rest of a statement that was too long to be held.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LongStatement {
    Pass,
    Drop,
}

impl<S: Stage> Filter<S> {
    pub fn new(options: FilterOptions, below: S) -> Self {
        let mut lost = LostObjects::default();
        // What is there already has what it has.
        for name in options.exclude_extensions.difference(&options.existing_extensions) {
            options.members.get(name).into_iter().for_each(|members| lost.missing.add(members));
        }
        Self {
            options,
            head: None,
            lexer: DumpLexer::default(),
            guard: Guard::new(),
            held: Vec::new(),
            spaces: Vec::new(),
            long: None,
            lost,
            skips_rows: false,
            schemas: MadeSchemas::default(),
            changes: ChangeRecorder::default(),
            below,
        }
    }

    /// Before anything passes, `prepare` learns which schemas and extensions the dump makes at its head.
    pub(crate) fn with_head(options: FilterOptions, prepare: Prepare, below: S) -> Self {
        Self {
            head: Some(HeadReader::new(prepare)),
            ..Self::new(options, below)
        }
    }

    /// Should the dump not go in, what was done up to there is found in it.
    pub(crate) fn recording(mut self, unfinished: &UnfinishedChanges) -> Self {
        self.changes.unfinished = Some(unfinished.clone());
        self
    }

    fn end_head(&mut self) -> Result<()> {
        let Some(reader) = self.head.take() else { return Ok(()) };
        let prepared = (reader.prepare)(&reader.head)?;
        self.options.made_schemas.extend(prepared.schemas);
        self.options.made_extensions.extend(prepared.extensions);
        self.options.rights = prepared.rights.or(self.options.rights.take());
        if let Some(rights) = &self.options.rights {
            let schemas = reader.head.extensions.iter().filter_map(|extension| extension.schema.clone());
            self.lost.heed(rights, schemas);
        }
        for extension in &reader.head.extensions {
            if self.options.exclude_extensions.contains(&extension.name) {
                let members = self.options.members.get(&extension.name);
                self.lost.add_extension(&extension.name, extension.schema.as_ref(), members);
            }
        }
        for (name, reason) in prepared.missing {
            let extension = reader.head.extensions.iter().find(|extension| extension.name == name);
            let place = extension.and_then(|extension| extension.schema.as_ref());
            self.lost.add_extension(&name, place, self.options.members.get(&name));
            self.changes.not_restored(format!("EXTENSION {}", shown(&name)), reason);
            self.options.exclude_extensions.insert(name);
        }
        self.pass_on(&reader.kept)
    }

    fn pass_on(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (read, lexed) = self.lexer.read(bytes);
            let (part, rest) = bytes.split_at(read);
            bytes = rest;
            if let Some(fault) = self.lexer.fault() {
                return Err(tampered(&format!("{fault}, which psql and others may read differently")));
            }
            match lexed {
                Lexed::Rows | Lexed::Mark | Lexed::RowsEnd | Lexed::Opening if self.skips_rows => {
                    self.skips_rows = lexed != Lexed::RowsEnd;
                }
                Lexed::Rows | Lexed::Mark | Lexed::RowsEnd | Lexed::Opening => {
                    self.below.put(part)?;
                }
                Lexed::Command => {
                    self.guard.command(part, self.lexer.has_begun())?;
                    self.release()?;
                }
                Lexed::Sql | Lexed::Variable => {
                    self.hold(part)?;
                    if lexed == Lexed::Variable {
                        match self.long {
                            None => self.spaces.push(self.held.len()),
                            Some(LongStatement::Pass) => self.below.put(b" ")?,
                            Some(LongStatement::Drop) => {}
                        }
                    }
                }
                Lexed::End => {
                    self.hold(part)?;
                    self.end_statement()?;
                }
            }
        }
        Ok(())
    }

    fn hold(&mut self, part: &[u8]) -> Result<()> {
        if self.lexer.has_begun() {
            self.guard.begin()?;
        }
        match self.long {
            Some(LongStatement::Pass) => {
                if self.lexer.depends_on_strings() {
                    self.guard.settings(true, false)?;
                }
                return self.below.put(part);
            }
            Some(LongStatement::Drop) => return Ok(()),
            None => self.held.extend_from_slice(part),
        }
        if self.held.len() <= HELD_STATEMENT_LIMIT {
            return Ok(());
        }
        if self.lexer.forget_comments() {
            return self.release();
        }
        let statement = Statement::new(&self.held, self.lexer.tokens());
        self.guard.see_beginning(&statement)?;
        let start = statement.start();
        // To be tried it would have to be held.
        let (verdict, _) = judge(&self.options, &statement, &mut self.lost);
        self.long = Some(match verdict {
            Verdict::LeaveOut(what, name) => {
                self.changes.leave_out(what, name);
                LongStatement::Drop
            }
            Verdict::LeaveOutRows(name) => {
                self.changes.leave_out_rows(name);
                LongStatement::Drop
            }
            Verdict::NotRestored(what, reason) => {
                self.changes.not_restored(what, reason);
                LongStatement::Drop
            }
            Verdict::Drop => LongStatement::Drop,
            _ => LongStatement::Pass,
        });
        if self.lexer.depends_on_strings() {
            self.guard.settings(true, false)?;
        }
        if self.long == Some(LongStatement::Drop) {
            self.held.truncate(start);
            return self.release();
        }
        self.hand_on(0..start)?;
        self.below.put(self.guard.all_settings().as_bytes())?;
        self.hand_on(start..self.held.len())?;
        self.forget();
        Ok(())
    }

    fn end_statement(&mut self) -> Result<()> {
        if let Some(long) = self.long.take() {
            self.skips_rows = long == LongStatement::Drop && self.lexer.rows_follow();
            return Ok(());
        }
        let statement = Statement::new(&self.held, self.lexer.tokens());
        if !self.lexer.is_insert() {
            self.guard.see(&statement)?;
            self.changes.see_table(&statement);
        }
        let (start, end) = (statement.start(), self.held.len());
        let missing = match self.lexer.is_insert() {
            true => None,
            false => self.schemas.missing(&statement, &self.options, &mut self.lost),
        };
        let refreshed = trial::refreshed(&statement);
        let (verdict, trial) = match self.lexer.is_insert() {
            true => (Verdict::Pass, None),
            false => judge(&self.options, &statement, &mut self.lost),
        };
        let is_gone = matches!(
            verdict,
            Verdict::Drop | Verdict::LeaveOut(..) | Verdict::LeaveOutRows(_) | Verdict::NotRestored(..) | Verdict::SetAside
        );
        // Without their statement they would be code.
        self.skips_rows = is_gone && self.lexer.rows_follow();
        if self.lost.is_full() {
            return Err(Error::new(
                Code::RestoreFailed,
                "more of the dump than can be remembered cannot be restored here",
            ));
        }
        let settings = self.guard.settings(self.lexer.depends_on_strings(), self.lexer.is_beyond_ascii())?;
        self.hand_on(0..start)?;
        if let Some(MissingSchema { sql, name }) = missing {
            self.below.put(settings.as_bytes())?;
            self.below.put(&[b"CREATE SCHEMA ", sql.as_slice(), b";\n"].concat())?;
            self.changes.schemas_made.push(shown(&name));
        }
        match verdict {
            Verdict::Pass if trial.is_some() => {
                self.below.put(settings.as_bytes())?;
                self.put_on_trial(start, &[], trial)?;
            }
            Verdict::Pass => {
                self.below.put(settings.as_bytes())?;
                match refreshed {
                    Some(name) => self.below.put(&trial::refresh_as_seen(&self.held[start..end], &name))?,
                    None => self.hand_on(start..end)?,
                }
            }
            Verdict::Drop => {}
            Verdict::LeaveOut(what, name) => self.changes.leave_out(what, name),
            Verdict::LeaveOutRows(name) => self.changes.leave_out_rows(name),
            Verdict::NotRestored(what, reason) => self.changes.not_restored(what, reason),
            Verdict::Replace(statement, note) => {
                self.below.put(statement.as_bytes())?;
                note.into_iter().for_each(|note| self.changes.tell(note));
            }
            Verdict::SetAside => self.set_aside(start, trial)?,
            Verdict::Cut(cuts) => {
                self.below.put(settings.as_bytes())?;
                let mut places = Vec::new();
                for cut in cuts {
                    let text = cut.text.to_vec();
                    places.push(Replacement { bytes: cut.bytes, text });
                    cut.note.into_iter().for_each(|note| self.changes.tell(note));
                }
                if trial.is_some() {
                    self.put_on_trial(start, &places, trial)?;
                } else {
                    let mut from = start;
                    for Replacement { bytes, text } in places {
                        self.hand_on(from..bytes.start)?;
                        self.below.put(&text)?;
                        from = bytes.end;
                    }
                    self.hand_on(from..end)?;
                }
            }
        }
        self.forget();
        Ok(())
    }

    fn put_on_trial(&mut self, start: usize, cuts: &[Replacement], trial: Option<Trial>) -> Result<()> {
        trial.map_or(Ok(()), |trial| {
            self.below.put(&trial::script(&trial, &self.held, start, cuts, &self.options.mark))
        })
    }

    fn set_aside(&mut self, start: usize, trial: Option<Trial>) -> Result<()> {
        let aside = &mut self.changes.aside;
        if aside.is_empty() {
            aside.extend_from_slice(format!("SET client_encoding = '{}';\n", self.guard.encoding()).as_bytes());
        }
        if aside.len() + self.held.len() > MAX_ASIDE {
            return Err(Error::new(
                Code::RestoreFailed,
                "the dump has more owners and privileges than can be kept aside",
            ));
        }
        if let Some(trial) = trial {
            aside.extend_from_slice(&trial::script(&trial, &self.held, start, &[], &self.options.mark));
            aside.push(b'\n');
            return Ok(());
        }
        for piece in spaced(&self.held, &self.spaces, start..self.held.len()) {
            aside.extend_from_slice(piece);
        }
        aside.push(b'\n');
        Ok(())
    }

    /// Hands on a piece of what is held.
    fn hand_on(&mut self, piece: Range<usize>) -> Result<()> {
        spaced(&self.held, &self.spaces, piece).try_for_each(|piece| self.below.put(piece))
    }

    fn forget(&mut self) {
        self.held.clear();
        self.spaces.clear();
    }

    fn release(&mut self) -> Result<()> {
        self.hand_on(0..self.held.len())?;
        self.forget();
        Ok(())
    }
}

impl<S: Stage> Stage for Filter<S> {
    type Done = Filtered<S::Done>;

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        // psql takes a line up to it, no matter who else reads further.
        if memchr::memchr(0, bytes).is_some() {
            return Err(tampered("a zero byte"));
        }
        let Some(reader) = &mut self.head else {
            return self.pass_on(bytes);
        };
        if reader.read(bytes) { self.end_head() } else { Ok(()) }
    }

    fn finish(mut self) -> Result<Self::Done> {
        self.end_head()?;
        self.guard.finish()?;
        // psql runs what is left at the end, with or without its semicolon.
        if let Some(inside) = self.lexer.open().filter(|inside| *inside != ROWS) {
            return Err(Error::new(Code::DumpIncomplete, format!("the dump ends inside {inside}")));
        }
        self.release()?;
        let below = self.below.finish()?;
        Ok(Filtered {
            changes: self.changes.take(),
            below,
        })
    }
}
