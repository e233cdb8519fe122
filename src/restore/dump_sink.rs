//! The end of a restore: one psql, or several.

use super::parallel::ParallelPsql;
use super::psql::trial_reports::TrialReports;
use super::psql::{Psql, PsqlMode, PsqlTarget, ReportText};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::pipeline::Stage;

/// How a dump goes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DumpSessions {
    One,
    /// All or nothing.
    OneTransaction,
    /// So many beside each other, two at least.
    Several(usize),
}

impl DumpSessions {
    pub(crate) fn of(jobs: usize, single_transaction: bool) -> Self {
        match (jobs, single_transaction) {
            (_, true) => Self::OneTransaction,
            (0 | 1, false) => Self::One,
            (jobs, false) => Self::Several(jobs),
        }
    }

    pub(crate) fn are_several(self) -> bool {
        matches!(self, Self::Several(_))
    }

    /// Begins. Only a [`Filter`] may feed it, as with [`PsqlTarget::restore`].
    ///
    /// [`Filter`]: super::filter::Filter
    pub(super) fn start(self, target: &PsqlTarget, tried: Option<&TrialReports>, cancel: &Cancel) -> Result<DumpSink> {
        if let Self::Several(jobs) = self {
            return Ok(DumpSink::Several(Box::new(ParallelPsql::start(target, jobs, tried, cancel)?)));
        }
        let psql = target.restore(PsqlMode::all(self == Self::OneTransaction), cancel)?;
        Ok(DumpSink::One(Box::new(match tried {
            Some(tried) => psql.telling(tried),
            None => psql,
        })))
    }
}

pub(super) enum DumpSink {
    One(Box<Psql>),
    Several(Box<ParallelPsql>),
}

impl Stage for DumpSink {
    type Done = Vec<ReportText>;

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::One(psql) => psql.put(bytes),
            Self::Several(several) => several.put(bytes),
        }
    }

    fn finish(self) -> Result<Self::Done> {
        match self {
            Self::One(psql) => psql.finish(),
            Self::Several(several) => several.finish(),
        }
    }
}
