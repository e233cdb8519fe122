//! Masked copies for staging: chosen columns get other values while the dump passes by, before psql sees them.
//!
//! The stage stands above the filter, so that all it writes goes through the same guard as the dump itself. Everything but the
//! fields of masked columns passes byte for byte, in bounded memory. No rule is passed over without a word: one that cannot hold
//! ends the restore, before the first row where the dump's definitions tell, and at the end each rule must have met the rows
//! that it is for.

mod charset;
mod dump_tables;
mod key;
mod masked_field;
mod masked_rows;
mod rules;
mod shape;
#[cfg(test)]
mod tests;

pub(crate) use rules::MaskRules;

use crate::error::{Code, Error, Result};
use crate::format::dump_lexer::{DumpLexer, Lexed};
use crate::format::dump_statement::Statement;
use crate::pipeline::Stage;
use charset::Charset;
use dump_tables::DumpTables;
use masked_rows::MaskedRows;
use serde::Serialize;

/// What is held of a statement: more than a definition or a `COPY` of a table can have (1,600 columns).
const MAX_STATEMENT: usize = 1 << 20;
/// Masked rows are handed on in pieces of about this size.
const PIECE: usize = 256 << 10;

/// A table of which columns were masked, for the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct MaskedTable {
    pub table: String,
    pub rows: u64,
    pub columns: Vec<MaskedColumn>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct MaskedColumn {
    pub column: String,
    /// Such as `hash`.
    pub mask: &'static str,
    /// That were replaced: all but NULL.
    pub values: u64,
}

/// A stage over a plain dump; without rules it only hands on.
pub(crate) struct MaskStage<S> {
    masking: Option<Masking>,
    below: S,
}

impl<S: Stage> MaskStage<S> {
    pub(crate) fn new(rules: Option<MaskRules>, below: S) -> Self {
        Self {
            masking: rules.map(Masking::new),
            below,
        }
    }
}

impl<S: Stage> Stage for MaskStage<S> {
    /// Of what was masked, and of the stage below.
    type Done = (Vec<MaskedTable>, S::Done);

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.masking {
            Some(masking) => masking.read(bytes, &mut self.below),
            None => self.below.put(bytes),
        }
    }

    /// A rule that met nothing ends the restore before psql comes to its end, and with it to a commit.
    fn finish(mut self) -> Result<Self::Done> {
        let masked = match self.masking.take() {
            Some(masking) => masking.finish()?,
            None => Vec::new(),
        };
        Ok((masked, self.below.finish()?))
    }
}

struct Masking {
    tables: DumpTables,
    lexer: DumpLexer,
    charset: Charset,
    /// The statement at hand, and whether it is longer than what is held of it.
    statement: Vec<u8>,
    is_cut: bool,
    /// The table at hand, if it has masked columns.
    rows: Option<MaskedRows>,
    /// Bytes that are of a row or of the end of all rows: what comes next tells.
    mark: Vec<u8>,
    masked: Vec<MaskedTable>,
    out: Vec<u8>,
}

impl Masking {
    fn new(rules: MaskRules) -> Self {
        Self {
            tables: DumpTables::new(rules),
            lexer: DumpLexer::default(),
            charset: Charset::default(),
            statement: Vec::new(),
            is_cut: false,
            rows: None,
            mark: Vec::new(),
            masked: Vec::new(),
            out: Vec::new(),
        }
    }

    fn read<S: Stage>(&mut self, mut bytes: &[u8], below: &mut S) -> Result<()> {
        while !bytes.is_empty() {
            let (read, lexed) = self.lexer.read(bytes);
            let (part, rest) = bytes.split_at(read);
            bytes = rest;
            match lexed {
                Lexed::Rows if self.rows.is_some() => {
                    let mark = std::mem::take(&mut self.mark);
                    self.mask(&mark, below)?;
                    self.mask(part, below)?;
                    continue;
                }
                Lexed::Mark if self.rows.is_some() => {
                    self.mark.extend_from_slice(part);
                    continue;
                }
                Lexed::RowsEnd => self.end_rows(below)?,
                Lexed::Rows | Lexed::Mark | Lexed::Opening => {}
                Lexed::Command if self.lexer.has_begun() => self.hold(part),
                Lexed::Command => self.forget(),
                Lexed::Sql | Lexed::Variable => self.hold(part),
                // Before its last bytes reach psql.
                Lexed::End => {
                    self.hold(part);
                    self.end_statement()?;
                }
            }
            below.put(part)?;
        }
        Ok(())
    }

    fn hold(&mut self, part: &[u8]) {
        // Comments between statements are nothing that counts.
        if !self.lexer.has_begun() && self.lexer.forget_comments() {
            return self.statement.clear();
        }
        let room = MAX_STATEMENT.saturating_sub(self.statement.len());
        self.is_cut |= part.len() > room;
        self.statement.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn forget(&mut self) {
        self.statement.clear();
        self.is_cut = false;
    }

    fn end_statement(&mut self) -> Result<()> {
        let tokens = self.lexer.tokens();
        let statement = Statement::new(&self.statement, tokens);
        if self.lexer.is_insert() {
            return Err(Error::new(
                Code::RestoreFailed,
                "the dump holds rows as INSERT statements, which cannot be masked",
            ));
        }
        let is_of_tables = statement.is(0, "COPY") || statement.is(0, "CREATE") || statement.is(0, "ALTER");
        if self.is_cut && is_of_tables && (self.lexer.rows_follow() || dump_tables::is_of_table(&statement)) {
            return Err(Error::new(
                Code::RestoreFailed,
                "the dump has a definition of a table that is too long to be looked at: its columns cannot be masked",
            ));
        }
        if let Some(charset) = Charset::set_by(&statement) {
            self.charset = charset;
        }
        if self.lexer.rows_follow() {
            self.rows = self.tables.copy(&statement, self.charset)?;
        } else if !self.is_cut {
            self.tables.see(&statement)?;
        }
        self.forget();
        Ok(())
    }

    fn mask<S: Stage>(&mut self, part: &[u8], below: &mut S) -> Result<()> {
        let Some(rows) = &mut self.rows else { return Ok(()) };
        // A constant may be much longer than what it replaces.
        let mut rest = part;
        while !rest.is_empty() {
            let read = rows.put(rest, &mut self.out, PIECE)?;
            rest = &rest[read..];
            if self.out.len() >= PIECE {
                below.put(&self.out)?;
                self.out.clear();
            }
        }
        if !self.out.is_empty() {
            below.put(&self.out)?;
            self.out.clear();
        }
        Ok(())
    }

    fn end_rows<S: Stage>(&mut self, below: &mut S) -> Result<()> {
        if let Some(rows) = self.rows.take() {
            self.masked.push(rows.end()?);
        }
        below.put(&std::mem::take(&mut self.mark))
    }

    fn finish(self) -> Result<Vec<MaskedTable>> {
        self.tables.must_all_be_met()?;
        Ok(self.masked)
    }
}
