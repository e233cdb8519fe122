//! How much and how long, before it starts.

use super::sizing::{Route, Sizing, StorageEstimate, TaskSize, ThroughputEstimate};
use crate::error::{Code, Error, Result};
use crate::plan::{DeadlineCheck, MemoryBudget, Plan};
use crate::rds::preflight::ServerFacts;
use crate::variables::Env;
use serde::Serialize;
use time::OffsetDateTime;

const A_DAY: u64 = 24 * 60 * 60;

/// About how large a dump will be, and how long it will take at least.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Estimate {
    /// Plain bytes: tables without indexes.
    pub dump_bytes: u64,
    /// With the CPUs there are.
    pub seconds: u64,
    /// What holds it back: `rate_limit`, `compression` or `pg_dump`.
    pub limited_by: &'static str,
    /// Where else it could run.
    pub places: Sizing,
    pub memory: MemoryBudget,
    /// Of one backup, for as long as it is kept.
    pub storage: StorageEstimate,
}

impl Estimate {
    /// `part`: plain bytes of what is dumped, where that is a part of the database.
    pub(crate) fn new(plan: &Plan, facts: &ServerFacts, part: Option<u64>) -> Result<Self> {
        let bytes = part.unwrap_or(facts.size.table_bytes);
        let rate = plan.rate_limit.average(bytes, OffsetDateTime::now_utc());
        let memory = plan.memory(bytes)?;
        let ThroughputEstimate { seconds, limited_by } = ThroughputEstimate::new(bytes, rate, plan.compression, memory.workers);
        Ok(Self {
            dump_bytes: bytes,
            seconds,
            limited_by,
            places: Sizing::new(bytes, rate, plan.compression),
            memory,
            storage: StorageEstimate::new(bytes, plan.compression, plan.destination.storage_class.as_ref()),
        })
    }

    /// Where it should run, with the function that this is, if it is one.
    pub(crate) fn route(&self, env: &Env) -> (Route, Option<TaskSize>) {
        let function = env.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").and_then(|text| text.parse().ok());
        self.places.route(function)
    }

    /// A rate without a unit is in bytes: `20` for `20M` would go on for weeks.
    pub(crate) fn warning(&self, plan: &Plan) -> Option<String> {
        let rate = plan
            .rate_limit
            .average(self.dump_bytes, OffsetDateTime::now_utc())
            .filter(|_| self.seconds > A_DAY && self.limited_by == "rate_limit")?;
        let hours = self.seconds / 3600;
        Some(format!(
            "`rate_limit` is {rate} bytes per second, at which this dump takes about {hours} hours; 20M is twenty MiB per second"
        ))
    }

    /// Stops a backup that cannot end in time. Tables hold dead rows too, so only what would miss the deadline at half
    /// its estimated size is refused.
    pub(crate) fn check_deadline(&self, plan: &Plan, deadline: Option<OffsetDateTime>) -> Result<()> {
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
