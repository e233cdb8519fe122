//! A plain dump over several connections: the rows of its tables in pieces, then the keys and indexes, then the foreign keys.
//!
//! The dump stays what it is, a list of statements in an order that holds. What may run beside each other is known by its kind:
//! pieces of rows among themselves, then keys and indexes, then foreign keys. Everything else runs in the main session, in the
//! dump's order, when all that stands before it is done.

mod pool;
mod post_data;
mod rows;
mod session_settings;

use super::psql::{Psql, PsqlTarget, ReportText, trial_reports::TrialReports};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::format::dump_lexer::{DumpLexer, Lexed};
use crate::format::dump_statement::Statement;
use crate::pipeline::Stage;
use pool::{Phase, SessionPool};
use post_data::{BuildStep, Partitions, Step};
use rows::RowsOfTable;
use session_settings::SessionSettings;
use std::sync::Arc;

/// What is held of a statement: a longer one is none that could run beside others.
const MAX_STATEMENT: usize = 1 << 20;
/// Of steps that wait for their turn, and of statistics that wait for the end.
const MAX_WAITING: usize = 32 << 20;

/// The end of a restore over several connections.
pub(super) struct ParallelPsql {
    lexer: DumpLexer,
    /// The statement at hand, with what stands before it.
    held: Vec<u8>,
    /// It was too long to be held: the rest goes where its beginning went.
    is_long: bool,
    main: Psql,
    /// The main session may not have done yet what it was given.
    is_main_busy: bool,
    settings: SessionSettings,
    partitions: Partitions,
    rows: Option<RowsOfTable>,
    /// The last key or index, with the settings of its place: what is said of it right behind it may still join.
    open: Option<(BuildStep, Arc<[u8]>)>,
    /// Of the planner: whatever is built meanwhile would overwrite them.
    statistics: Vec<u8>,
    pool: SessionPool,
}

impl ParallelPsql {
    /// One session more than `jobs`, which waits while they work.
    pub(super) fn start(target: &PsqlTarget, jobs: usize, tried: Option<&TrialReports>, cancel: &Cancel) -> Result<Self> {
        Ok(Self {
            lexer: DumpLexer::default(),
            held: Vec::new(),
            is_long: false,
            main: target.session(tried, cancel)?,
            is_main_busy: true,
            settings: SessionSettings::default(),
            partitions: Partitions::default(),
            rows: None,
            open: None,
            statistics: Vec::new(),
            pool: SessionPool::new(target.clone(), jobs, tried.cloned(), cancel)?,
        })
    }

    fn hold(&mut self, part: &[u8]) -> Result<()> {
        if self.is_long {
            return self.main.put(part);
        }
        self.held.extend_from_slice(part);
        if self.held.len() <= MAX_STATEMENT {
            return Ok(());
        }
        if self.lexer.forget_comments() {
            self.held.clear();
            return Ok(());
        }
        self.all_done()?;
        self.is_long = true;
        self.give_main()
    }

    fn give_main(&mut self) -> Result<()> {
        self.is_main_busy = true;
        let held = std::mem::take(&mut self.held);
        self.main.put(&held)
    }

    fn end_statement(&mut self) -> Result<()> {
        if std::mem::take(&mut self.is_long) {
            return Ok(());
        }
        let statement = Statement::new(&self.held, self.lexer.tokens());
        if self.lexer.rows_follow() {
            let rows = RowsOfTable::new(&statement);
            self.held.clear();
            self.step_into(None)?;
            self.settle_main()?;
            self.pool.begin(Phase::Rows)?;
            self.rows = Some(rows);
            return Ok(());
        }
        if self.lexer.is_insert() {
            return self.give_main();
        }
        let step = post_data::step(&statement, &self.partitions, self.open.as_ref().map(|(open, _)| open));
        match step {
            Step::Setting => {
                self.settings.see(&statement);
                let held = std::mem::take(&mut self.held);
                self.main.put(&held)
            }
            Step::Independent => self.give_main(),
            Step::Statistics if self.statistics.len() + self.held.len() <= MAX_WAITING => {
                self.statistics.append(&mut self.held);
                Ok(())
            }
            Step::FollowUp => {
                if let Some((open, _)) = &mut self.open {
                    open.sql.push(b'\n');
                    open.sql.extend_from_slice(statement.all_bytes());
                }
                self.held.clear();
                Ok(())
            }
            Step::Build(step) => {
                self.held.clear();
                let settings = self.settings.now().clone();
                self.step_into(Some((step, settings)))
            }
            Step::Statistics | Step::Other => {
                self.partitions.see(&statement);
                self.all_done()?;
                self.give_main()
            }
        }
    }

    /// What came before is complete, and goes to work.
    fn step_into(&mut self, next: Option<(BuildStep, Arc<[u8]>)>) -> Result<()> {
        let Some((step, settings)) = std::mem::replace(&mut self.open, next) else {
            return Ok(());
        };
        self.settle_main()?;
        self.pool.build(step, settings, MAX_WAITING)
    }

    /// What the other sessions do now builds upon what this one was given.
    fn settle_main(&mut self) -> Result<()> {
        if std::mem::take(&mut self.is_main_busy) {
            self.main.settle()?;
        }
        Ok(())
    }

    fn all_done(&mut self) -> Result<()> {
        self.step_into(None)?;
        self.pool.drain()
    }

    fn rows(&mut self, part: &[u8]) -> Result<()> {
        let Some(rows) = &mut self.rows else { return Ok(()) };
        let mut rest = part;
        while !rest.is_empty() {
            rest = rows.take(rest);
            if let Some(piece) = rows.full_piece(|| self.pool.buffer()) {
                self.pool.copy(piece, self.settings.now())?;
            }
        }
        Ok(())
    }

    fn end_rows(&mut self) -> Result<()> {
        let Some(rows) = self.rows.take() else { return Ok(()) };
        match rows.last_piece() {
            Some(piece) => self.pool.copy(piece, self.settings.now()),
            None => Ok(()),
        }
    }
}

impl Stage for ParallelPsql {
    /// What psql said though it succeeded, each once.
    type Done = Vec<ReportText>;

    fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (read, lexed) = self.lexer.read(bytes);
            let (part, rest) = bytes.split_at(read);
            bytes = rest;
            match lexed {
                Lexed::Rows => self.rows(part)?,
                // Of rows, unless it is of their end: what comes next tells.
                Lexed::Mark => self.rows.iter_mut().for_each(|rows| rows.mark(part)),
                Lexed::RowsEnd => self.end_rows()?,
                Lexed::Opening => {}
                Lexed::Sql | Lexed::Variable | Lexed::Command => self.hold(part)?,
                Lexed::End => {
                    self.hold(part)?;
                    self.end_statement()?;
                }
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<ReportText>> {
        self.all_done()?;
        let (held, statistics) = (std::mem::take(&mut self.held), std::mem::take(&mut self.statistics));
        self.main.put(&held)?;
        self.main.put(&statistics)?;
        let mut told = self.main.finish()?;
        for text in self.pool.finish()? {
            if !told.contains(&text) {
                told.push(text);
            }
        }
        Ok(told)
    }
}
