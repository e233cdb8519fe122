//! Where a dump can run, how long it takes there and what that costs: from measured work and AWS's prices.

use crate::format::compression::Compression;
use crate::plan::{DEFAULT_CHECK_INTERVAL, MemoryBudget, PG_DUMP, StorageClass};
use serde::Serialize;

/// What one `pg_dump` gives at most, in bytes per second.
const PG_DUMP_RATE: u64 = 150 << 20;
const GB: f64 = 1e9;
const MIB: u64 = 1 << 20;

/// A function's time-out at most, less what is kept for a clean end and what start and commit take, in seconds.
const LAMBDA_SECONDS: u64 = 900 - 30;
/// Memory that comes with one virtual CPU, and all that a function may have, in MiB.
const LAMBDA_MIB_PER_CPU: u64 = 1769;
const LAMBDA_MIB: u64 = 10_240;
/// Dollars for a GiB of memory for a second (x86, us-east-1, <https://aws.amazon.com/lambda/pricing/>).
const LAMBDA_USD: f64 = 0.000_016_666_7;
/// Dollars for a virtual CPU and for a GiB of memory for an hour (Linux on x86, us-east-1,
/// <https://aws.amazon.com/fargate/pricing/>).
const FARGATE_USD: (f64, f64) = (0.04048, 0.004445);

/// Sizes of a task: virtual CPUs, and the most memory that goes with them, in GiB.
const FARGATE_CPUS: [(u64, u64); 5] = [(1, 8), (2, 16), (4, 30), (8, 60), (16, 120)];

/// How fast a dump goes, and why not faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThroughputEstimate {
    pub seconds: u64,
    /// `rate_limit`, `compression` or `pg_dump`.
    pub limited_by: &'static str,
}

impl ThroughputEstimate {
    /// Of `bytes` of plain dump, on so many CPUs.
    pub(crate) fn new(bytes: u64, rate_limit: Option<u64>, compression: Compression, cpus: u64) -> Self {
        let work = bytes as f64 / GB * cpu_seconds(compression);
        let at = |rate: u64| bytes.div_ceil(rate.max(1));
        let limits = [
            ("pg_dump", at(PG_DUMP_RATE)),
            ("compression", (work / cpus.max(1) as f64).ceil() as u64),
            ("rate_limit", rate_limit.map_or(0, at)),
        ];
        let (limited_by, seconds) = limits.into_iter().max_by_key(|(_, seconds)| *seconds).unwrap_or_default();
        Self { seconds, limited_by }
    }
}

/// Processor seconds for a GB (10^9 bytes) of plain dump, with the one that `pg_dump` itself takes: rounded up from the runs
/// of 10 GB of `make bench` (docs/bench/AIMS.md); higher levels of zstd by its own speed.
fn cpu_seconds(compression: Compression) -> f64 {
    match compression {
        Compression::Bzip2(_) => 21.0,
        Compression::Zstd(..=4) => 8.0,
        Compression::Zstd(5..=12) => 30.0,
        Compression::Zstd(_) => 850.0,
        Compression::None => 5.5,
    }
}

/// Seconds that nobody pays for more CPUs to get under.
const SOON: u64 = 60;

/// The smallest place of each kind that does it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Sizing {
    /// None where it takes longer than a function may run.
    pub lambda: Option<ComputeSize>,
    pub fargate: Option<ComputeSize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct ComputeSize {
    pub cpus: u64,
    pub memory_mib: u64,
    pub seconds: u64,
    /// At the list prices of us-east-1, for the computing alone.
    pub usd: f64,
}

impl Sizing {
    pub(crate) fn new(bytes: u64, rate_limit: Option<u64>, compression: Compression) -> Self {
        let needs = |cpus: u64| {
            let memory = MemoryBudget::fit(compression, cpus as usize, DEFAULT_CHECK_INTERVAL, bytes, None).ok()?;
            let pace = ThroughputEstimate::new(bytes, rate_limit, compression, cpus);
            Some(((memory.peak + PG_DUMP).div_ceil(MIB), pace))
        };
        let lambda = (1..=LAMBDA_MIB / LAMBDA_MIB_PER_CPU).find_map(|cpus| {
            let (memory, pace) = needs(cpus)?;
            let memory_mib = memory.max(cpus * LAMBDA_MIB_PER_CPU);
            let seconds = pace.seconds;
            let usd = cents(seconds as f64 * memory_mib as f64 / 1024.0 * LAMBDA_USD);
            (seconds <= LAMBDA_SECONDS && memory_mib <= LAMBDA_MIB).then_some(ComputeSize {
                cpus,
                memory_mib,
                seconds,
                usd,
            })
        });
        let fargate = FARGATE_CPUS.into_iter().find_map(|(cpus, most_gib)| {
            let (memory, ThroughputEstimate { seconds, limited_by }) = needs(cpus)?;
            // A task has at least two GiB for each CPU, and whole ones; large ones come in steps.
            let step = match cpus {
                16 => 8,
                8 => 4,
                _ => 1,
            };
            let gib = memory.div_ceil(1024).max(2 * cpus).next_multiple_of(step);
            let usd = cents(seconds as f64 / 3600.0 * (cpus as f64 * FARGATE_USD.0 + gib as f64 * FARGATE_USD.1));
            let memory_mib = gib * 1024;
            // More CPUs help only where compression is what takes the time, and a short run is short enough.
            let enough = limited_by != "compression" || seconds <= SOON || cpus == 16;
            (enough && gib <= most_gib).then_some(ComputeSize {
                cpus,
                memory_mib,
                seconds,
                usd,
            })
        });
        Self { lambda, fargate }
    }
}

/// Where an item of a plan runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Route {
    Lambda,
    Ecs,
}

/// Of a task, in the units and types of ECS's RunTask: 1,024 for a CPU, MiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TaskSize {
    pub cpu: String,
    pub memory: String,
}

impl Sizing {
    /// A function where that is enough of one; `function`: the memory in MiB of the one there is, if it is known.
    pub(crate) fn route(&self, function: Option<u64>) -> (Route, Option<TaskSize>) {
        if self
            .lambda
            .is_some_and(|size| function.is_none_or(|memory| size.memory_mib <= memory))
        {
            return (Route::Lambda, None);
        }
        let size = self.fargate.map(|size| TaskSize {
            cpu: (size.cpus * 1024).to_string(),
            memory: size.memory_mib.to_string(),
        });
        (Route::Ecs, size)
    }
}

/// What one backup takes in S3.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct StorageEstimate {
    pub bytes: u64,
    /// At the list prices of us-east-1.
    pub usd_per_month: f64,
}

impl StorageEstimate {
    pub(crate) fn new(dump_bytes: u64, compression: Compression, class: Option<&StorageClass>) -> Self {
        // As small as the mixed set of `make bench` became (docs/bench/AIMS.md); rows that are text alone become less so.
        let ratio = match compression {
            Compression::Bzip2(_) => 5,
            Compression::Zstd(_) => 4,
            Compression::None => 1,
        };
        let bytes = dump_bytes / ratio;
        Self {
            bytes,
            usd_per_month: cents(bytes as f64 / (1u64 << 30) as f64 * usd_per_gib(class)),
        }
    }
}

/// Dollars for a GiB for a month (us-east-1, <https://aws.amazon.com/s3/pricing/>), the first tier.
fn usd_per_gib(class: Option<&StorageClass>) -> f64 {
    match class.map(StorageClass::as_str) {
        Some("STANDARD_IA") => 0.0125,
        Some("ONEZONE_IA") => 0.01,
        Some("GLACIER_IR") => 0.004,
        Some("GLACIER") => 0.0036,
        Some("DEEP_ARCHIVE") => 0.00099,
        // And those that begin so.
        _ => 0.023,
    }
}

/// To a hundredth of a cent.
fn cents(usd: f64) -> f64 {
    (usd * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::RateLimit;
    use std::fmt::Write;

    fn time(seconds: u64) -> String {
        match seconds {
            ..120 => format!("{seconds} s"),
            120..7200 => format!("{} min", seconds.div_ceil(60)),
            7200..172_800 => format!("{:.1} h", seconds as f64 / 3600.0),
            _ => format!("{:.1} d", seconds as f64 / 86_400.0),
        }
    }

    fn place(place: Option<ComputeSize>) -> String {
        place.map_or("-".to_owned(), |place| {
            format!("{} CPU, {} MiB, ${:.4}", place.cpus, place.memory_mib, place.usd)
        })
    }

    /// The table of docs/SCALE.md.
    fn table() -> String {
        let mut rows = String::new();
        for (name, bytes) in [("1 GB", 1u64), ("10 GB", 10), ("100 GB", 100), ("1 TB", 1000), ("10 TB", 10_000)] {
            for rate in ["10M", "50M", "0"] {
                let bytes = bytes * 1_000_000_000;
                let limit = RateLimit::parse(rate).unwrap().bytes_per_second();
                let times = [1, 2, 4].map(|cpus| {
                    let pace = ThroughputEstimate::new(bytes, limit, Compression::Bzip2(9), cpus);
                    format!("{} ({})", time(pace.seconds), pace.limited_by)
                });
                let places = Sizing::new(bytes, limit, Compression::Bzip2(9));
                let [one, two, four] = times;
                let (lambda, fargate) = (place(places.lambda), place(places.fargate));
                let _ = writeln!(rows, "| {name} | `{rate}` | {one} | {two} | {four} | {lambda} | {fargate} |");
            }
        }
        rows
    }

    #[test]
    fn the_table_in_the_docs_is_what_the_program_says() {
        let docs = include_str!("../../docs/SCALE.md");
        assert!(docs.contains(&table()), "docs/SCALE.md should have:\n{}", table());
    }

    #[test]
    fn more_processors_help_until_something_else_is_slower() {
        let pace = |cpus| ThroughputEstimate::new(100_000_000_000, None, Compression::Bzip2(9), cpus);
        assert_eq!(pace(1).limited_by, "compression");
        assert_eq!(pace(2).seconds, pace(1).seconds / 2);
        assert_eq!(pace(16), pace(8));
        assert_eq!(pace(16).limited_by, "pg_dump");
        let slow = ThroughputEstimate::new(1 << 30, Some(1 << 20), Compression::Bzip2(9), 2);
        assert_eq!((slow.seconds, slow.limited_by), (1024, "rate_limit"));
        assert_eq!(ThroughputEstimate::new(0, None, Compression::None, 1).seconds, 0);
    }

    #[test]
    fn what_takes_longer_than_a_function_may_run_is_a_task() {
        let small = Sizing::new(1 << 30, Some(10 << 20), Compression::Bzip2(9));
        assert_eq!(small.lambda.unwrap().cpus, 1);
        let large = Sizing::new(1 << 40, Some(10 << 20), Compression::Bzip2(9));
        assert!(large.lambda.is_none() && large.fargate.unwrap().cpus == 1, "{large:?}");
    }

    #[test]
    fn a_month_in_s3_has_its_price() {
        let month = |compression, class: Option<&str>| {
            let class = class.map(|class| StorageClass::new(class).unwrap());
            StorageEstimate::new(100 << 30, compression, class.as_ref()).usd_per_month
        };
        assert_eq!(month(Compression::None, None), 2.3);
        assert_eq!(month(Compression::Bzip2(9), None), 0.46);
        assert_eq!(month(Compression::Bzip2(9), Some("GLACIER_IR")), 0.08);
    }

    #[test]
    fn a_small_one_goes_to_a_function_that_has_the_memory_for_it() {
        let small = Sizing::new(1 << 30, Some(10 << 20), Compression::Bzip2(9));
        assert_eq!(small.route(None), (Route::Lambda, None));
        assert_eq!(small.route(Some(10_240)).0, Route::Lambda);
        assert_eq!(small.route(Some(128)).0, Route::Ecs);
        let (route, size) = Sizing::new(1 << 40, Some(10 << 20), Compression::Bzip2(9)).route(Some(10_240));
        assert_eq!((route, size.unwrap().cpu.as_str()), (Route::Ecs, "1024"));
    }

    /// Fargate takes 8 CPUs in steps of 4 GiB, and 16 in steps of 8.
    #[test]
    fn every_size_is_one_that_fargate_has() {
        for exponent in 20..46 {
            for compression in [Compression::Bzip2(9), Compression::Zstd(19), Compression::None] {
                let Some(size) = Sizing::new(1 << exponent, None, compression).fargate else {
                    continue;
                };
                let step = if size.cpus == 16 {
                    8
                } else if size.cpus == 8 {
                    4
                } else {
                    1
                };
                assert_eq!(size.memory_mib % (step * 1024), 0, "{size:?}");
            }
        }
    }

    #[test]
    fn the_largest_object_of_s3_still_has_a_place() {
        let whole = Sizing::new(48 << 40, None, Compression::None);
        assert!(whole.fargate.unwrap().memory_mib < 120 * 1024, "{whole:?}");
    }
}
