//! The sessions that work beside each other, each on a thread of its own: psql is tied to the thread that started it.

use super::post_data::{BuildStep, TableLock};
use super::rows::Piece;
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::panics;
use crate::pipeline::Stage;
use crate::restore::psql::trial_reports::TrialReports;
use crate::restore::psql::{Psql, PsqlTarget, ReportText};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// Work of one phase may run beside each other; between two phases all of it must be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Rows,
    KeysAndIndexes,
    ForeignKeys,
}

/// What a session is given.
pub(super) enum Job {
    Rows(Piece),
    Build(BuildStep),
}

/// With the settings under which it runs.
struct Order {
    job: Job,
    settings: Arc<[u8]>,
}

/// What came of a job.
struct Done {
    worker: usize,
    outcome: Result<()>,
    locks: Vec<TableLock>,
    /// Of rows, to be filled again.
    buffer: Option<Vec<u8>>,
}

struct Worker {
    orders: Sender<Order>,
    thread: JoinHandle<Result<Vec<ReportText>>>,
}

/// At most so many sessions. Dropped, it ends them and waits for their threads.
pub(super) struct SessionPool {
    target: PsqlTarget,
    limit: usize,
    tried: Option<TrialReports>,
    /// Of all sessions: one that fails ends the others.
    stop: Cancel,
    workers: Vec<Worker>,
    idle: Vec<usize>,
    running: usize,
    report: Sender<Done>,
    reports: Receiver<Done>,
    phase: Phase,
    waiting: VecDeque<(BuildStep, Arc<[u8]>)>,
    waiting_bytes: usize,
    /// How many share a table; `None`: one has it alone.
    locked: BTreeMap<Vec<Vec<u8>>, Option<usize>>,
    buffers: Vec<Vec<u8>>,
}

impl SessionPool {
    pub(super) fn new(target: PsqlTarget, limit: usize, tried: Option<TrialReports>, cancel: &Cancel) -> Result<Self> {
        let (report, reports) = channel();
        Ok(Self {
            target,
            limit: limit.max(1),
            tried,
            stop: cancel.child()?,
            workers: Vec::new(),
            idle: Vec::new(),
            running: 0,
            report,
            reports,
            phase: Phase::Rows,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            locked: BTreeMap::new(),
            buffers: Vec::new(),
        })
    }

    /// An empty one for the next rows.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    /// What belongs to another phase is done when this returns.
    pub(super) fn begin(&mut self, phase: Phase) -> Result<()> {
        if self.phase != phase {
            self.drain()?;
            self.phase = phase;
        }
        Ok(())
    }

    /// Waits for a session that has nothing to do, and gives it these rows.
    pub(super) fn copy(&mut self, piece: Piece, settings: &Arc<[u8]>) -> Result<()> {
        self.begin(Phase::Rows)?;
        let worker = loop {
            match self.free_worker()? {
                Some(worker) => break worker,
                None => self.wait()?,
            }
        };
        self.give(worker, Job::Rows(piece), settings.clone())
    }

    /// Takes a step that runs as soon as a session is free and nobody has its tables; waits while more than `most` bytes of
    /// steps wait.
    pub(super) fn build(&mut self, step: BuildStep, settings: Arc<[u8]>, most: usize) -> Result<()> {
        self.begin(step.phase)?;
        self.waiting_bytes += step.sql.len();
        self.waiting.push_back((step, settings));
        self.start_steps()?;
        while self.waiting_bytes > most {
            self.wait()?;
        }
        Ok(())
    }

    /// Waits until all that was given is done.
    pub(super) fn drain(&mut self) -> Result<()> {
        self.start_steps()?;
        while self.running > 0 {
            self.wait()?;
        }
        Ok(())
    }

    /// Ends the sessions; gives what they said though they succeeded.
    pub(super) fn finish(&mut self) -> Result<Vec<ReportText>> {
        self.drain()?;
        // Without orders each session ends by itself. All of them are waited for, whatever becomes of one.
        let threads: Vec<_> = self.workers.drain(..).map(|worker| worker.thread).collect();
        let ended: Vec<_> = threads.into_iter().map(JoinHandle::join).collect();
        let mut told = Vec::new();
        for outcome in ended {
            told.extend(outcome.unwrap_or_else(|_| Err(Error::new(Code::Bug, "a session's thread ended")))?);
        }
        Ok(told)
    }

    /// Takes the reports that are there, waiting for the first of them.
    fn wait(&mut self) -> Result<()> {
        // We hold a sender ourselves.
        let Ok(first) = self.reports.recv() else { return Ok(()) };
        self.take(first)?;
        while let Ok(next) = self.reports.try_recv() {
            self.take(next)?;
        }
        self.start_steps()
    }

    fn take(&mut self, done: Done) -> Result<()> {
        self.running -= 1;
        self.idle.push(done.worker);
        for TableLock { table, .. } in done.locks {
            match self.locked.remove(&table) {
                Some(Some(count)) if count > 1 => drop(self.locked.insert(table, Some(count - 1))),
                _ => {}
            }
        }
        self.buffers.extend(done.buffer);
        done.outcome
    }

    fn start_steps(&mut self) -> Result<()> {
        while let Ok(done) = self.reports.try_recv() {
            self.take(done)?;
        }
        while let Some(at) = self.waiting.iter().position(|(step, _)| self.are_free(&step.locks)) {
            let Some(worker) = self.free_worker()? else { return Ok(()) };
            let Some((step, settings)) = self.waiting.remove(at) else {
                return Ok(());
            };
            self.waiting_bytes -= step.sql.len();
            for TableLock { table, shared } in &step.locks {
                let count = match self.locked.get(table) {
                    Some(Some(count)) if *shared => Some(count + 1),
                    _ => shared.then_some(1),
                };
                self.locked.insert(table.clone(), count);
            }
            self.give(worker, Job::Build(step), settings)?;
        }
        Ok(())
    }

    fn are_free(&self, locks: &[TableLock]) -> bool {
        locks.iter().all(|lock| match self.locked.get(&lock.table) {
            None => true,
            Some(count) => lock.shared && count.is_some(),
        })
    }

    /// One that has nothing to do, or a new one.
    fn free_worker(&mut self) -> Result<Option<usize>> {
        if let Some(worker) = self.idle.pop() {
            return Ok(Some(worker));
        }
        if self.workers.len() == self.limit {
            return Ok(None);
        }
        let (worker, (orders, ordered)) = (self.workers.len(), channel());
        let session = Session {
            target: self.target.clone(),
            tried: self.tried.clone(),
            stop: self.stop.clone(),
            psql: None,
            settings: Arc::default(),
        };
        let report = self.report.clone();
        let thread = std::thread::Builder::new().name(format!("restore-{worker}"));
        let thread = thread.spawn(move || session.work(worker, ordered, &report));
        let thread = thread.map_err(|error| Error::new(Code::Bug, format!("no thread for another session: {error}")))?;
        self.workers.push(Worker { orders, thread });
        Ok(Some(worker))
    }

    fn give(&mut self, worker: usize, job: Job, settings: Arc<[u8]>) -> Result<()> {
        self.running += 1;
        let is_taken = self.workers[worker].orders.send(Order { job, settings }).is_ok();
        is_taken
            .then_some(())
            .ok_or_else(|| Error::new(Code::Bug, "a session takes no work"))
    }
}

impl Drop for SessionPool {
    fn drop(&mut self) {
        if self.workers.is_empty() {
            return;
        }
        self.stop.cancel(Error::new(Code::Bug, "nobody waits for this session any more"));
        for Worker { orders, thread } in self.workers.drain(..) {
            drop(orders);
            let _ = thread.join();
        }
    }
}

/// One session, on its thread.
struct Session {
    target: PsqlTarget,
    tried: Option<TrialReports>,
    stop: Cancel,
    psql: Option<Psql>,
    /// Those that it has.
    settings: Arc<[u8]>,
}

impl Session {
    fn work(mut self, worker: usize, orders: Receiver<Order>, report: &Sender<Done>) -> Result<Vec<ReportText>> {
        for Order { job, settings } in orders {
            let outcome = panics::caught_on_thread(|| self.run(&job, &settings));
            let is_over = outcome.is_err();
            let (locks, buffer) = match job {
                Job::Rows(piece) => (Vec::new(), Some(piece.rows)),
                Job::Build(step) => (step.locks, None),
            };
            let buffer = buffer.map(|mut rows| {
                rows.clear();
                rows
            });
            let _ = report.send(Done {
                worker,
                outcome,
                locks,
                buffer,
            });
            if is_over {
                return Ok(Vec::new());
            }
        }
        self.psql.map_or_else(|| Ok(Vec::new()), Psql::finish)
    }

    fn run(&mut self, job: &Job, settings: &Arc<[u8]>) -> Result<()> {
        let psql = match &mut self.psql {
            Some(psql) => psql,
            none => none.insert(self.target.session(self.tried.as_ref(), &self.stop)?),
        };
        if !Arc::ptr_eq(&self.settings, settings) {
            psql.put(settings)?;
            self.settings = settings.clone();
        }
        match job {
            Job::Rows(piece) => {
                let put = psql.put(&piece.statement).and_then(|()| psql.put(b"\n"));
                let put = put.and_then(|()| psql.put(&piece.rows)).and_then(|()| psql.put(b"\\.\n"));
                put.and_then(|()| psql.settle()).map_err(|error| piece.named_in(error))
            }
            Job::Build(step) => {
                let put = psql.put(&step.sql).and_then(|()| psql.settle());
                put.map_err(|mut error| {
                    if error.code == Code::RestoreFailed {
                        error.message = format!("{}; the statement: {} …", error.message, step.what);
                    }
                    error
                })
            }
        }
    }
}
