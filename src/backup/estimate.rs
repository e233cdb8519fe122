//! How much and how long, before it starts.

use super::sizing::{Sizing, ThroughputEstimate};
use crate::error::{Code, Error, Result};
use crate::plan::{DeadlineCheck, MemoryBudget, Plan};
use crate::rds::preflight::ServerFacts;
use serde::Serialize;
use time::OffsetDateTime;

/// About how large a dump will be, and how long it will take at least.
#[derive(Clone, Debug, Serialize)]
pub struct Estimate {
    /// Plain bytes: tables without indexes.
    pub dump_bytes: u64,
    /// With the CPUs there are.
    pub seconds: u64,
    /// What holds it back: `rate_limit`, `compression` or `pg_dump`.
    pub limited_by: &'static str,
    /// Where else it could run.
    pub places: Sizing,
    pub memory: MemoryBudget,
}

impl Estimate {
    pub fn of(plan: &Plan, facts: &ServerFacts) -> Result<Self> {
        let memory = plan.memory(facts.size.table_bytes)?;
        let (bytes, rate) = (facts.size.table_bytes, plan.rate_limit.bytes_per_second());
        let ThroughputEstimate { seconds, limited_by } = ThroughputEstimate::of(bytes, rate, plan.compression, memory.workers);
        Ok(Self {
            dump_bytes: bytes,
            seconds,
            limited_by,
            places: Sizing::of(bytes, rate, plan.compression),
            memory,
        })
    }

    /// Stops a backup that cannot end in time. Tables hold dead rows too, so only what would miss the deadline at half
    /// its estimated size is refused.
    pub fn check_deadline(&self, plan: &Plan, deadline: Option<OffsetDateTime>) -> Result<()> {
        let Some(deadline) = deadline.filter(|_| plan.deadline_check != DeadlineCheck::Off) else {
            return Ok(());
        };
        let left = (deadline - OffsetDateTime::now_utc()).whole_seconds().max(0) as u64;
        if self.seconds / 2 <= left {
            return Ok(());
        }
        let told = format!(
            "about {} s are needed (limited by {}), {left} s are left",
            self.seconds, self.limited_by
        );
        if plan.deadline_check == DeadlineCheck::Refuse {
            return Err(Error::new(Code::DeadlinePredicted, told));
        }
        tracing::warn!("{told}");
        Ok(())
    }
}
