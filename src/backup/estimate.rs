//! How much and how long, before it starts.

use crate::error::{Code, Error, Result};
use crate::plan::{Compression, DeadlineCheck, Memory, Plan};
use crate::rds::preflight::Facts;
use serde::Serialize;
use time::OffsetDateTime;

/// What one `pg_dump` gives at most, in bytes per second.
const PG_DUMP_RATE: u64 = 150 << 20;

/// About how large a dump will be, and how long it will take at least.
#[derive(Clone, Debug, Serialize)]
pub struct Estimate {
    /// Plain bytes: tables without indexes.
    pub dump_bytes: u64,
    pub seconds: u64,
    /// What holds it back: `rate_limit`, `compression` or `pg_dump`.
    pub limited_by: &'static str,
    pub memory: Memory,
}

impl Estimate {
    pub fn of(plan: &Plan, facts: &Facts) -> Result<Self> {
        let memory = plan.memory(facts.table_bytes)?;
        let compression = per_core(plan.compression).map(|rate| rate * memory.workers.max(1));
        let limits = [
            ("rate_limit", plan.rate_limit.bytes_per_second()),
            ("compression", compression),
            ("pg_dump", Some(PG_DUMP_RATE)),
        ];
        let (limited_by, rate) = limits
            .into_iter()
            .filter_map(|(name, rate)| Some((name, rate?)))
            .min_by_key(|(_, rate)| *rate)
            .unwrap_or(("pg_dump", PG_DUMP_RATE));
        Ok(Self {
            dump_bytes: facts.table_bytes,
            seconds: facts.table_bytes.div_ceil(rate.max(1)),
            limited_by,
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

/// Plain bytes per second that one core compresses, measured on dumps of ordinary tables.
fn per_core(compression: Compression) -> Option<u64> {
    match compression {
        Compression::Bzip2(_) => Some(16 << 20),
        Compression::Zstd(..=4) => Some(240 << 20),
        Compression::Zstd(5..=12) => Some(40 << 20),
        Compression::Zstd(_) => Some(1200 << 10),
        Compression::None => None,
    }
}
