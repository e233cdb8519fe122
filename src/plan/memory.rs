//! Memory by a formula: what the pipeline takes, compared with what there is, before anything starts.

use crate::error::{Code, Error, Result};
use crate::format::compression::Compression;
use crate::format::parts::{MAX_PART, PartSizeSchedule};
use serde::Serialize;

const MIB: u64 = 1 << 20;
/// The program itself, the SDK's connections and TLS.
const BASE: u64 = 30 * MIB;
/// `pg_dump` beside us: its catalogue grows with the number of tables.
pub const PG_DUMP: u64 = 16 * MIB;
/// Of so many bzip2 blocks one is decoded again where nothing else is asked for, the first among them; one decoder does for
/// as many workers. The other implementation takes 42 CPU seconds for a GB of plain dump, the whole pipeline 24: one block in
/// 80 costs 2 % of it (docs/SCALE.md).
pub const DEFAULT_CHECK_INTERVAL: usize = 80;

/// `base + workers × (encoder + 2 × (block + output)) + check + (in_flight + 2) × part`, in bytes.
///
/// Two blocks a worker are on the pipeline: one in its hands, one waiting or done. A decoder for each eighty workers, or for
/// each, checks what they made. A part is being filled, one waits in the channel, `in_flight` are on the wire.
///
/// The memory there is chooses the parts: `part` is what the expected size needs, and with it the formula gives `peak`. A dump
/// that outgrows its estimate gets larger ones, up to `part_limit`: with that the formula still stays within what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryBudget {
    pub base: u64,
    pub workers: u64,
    /// Working memory of one encoder.
    pub encoder: u64,
    /// The decoders that check a share of the blocks.
    pub check: u64,
    /// Plain bytes handed to a worker at once.
    pub block: u64,
    /// Uploads at once.
    pub in_flight: u64,
    /// The largest part that the expected size needs.
    pub part: u64,
    /// The largest part of any dump, however wrong the estimate was.
    pub part_limit: u64,
    /// The peak by the formula.
    pub peak: u64,
    /// What the function or the cgroup has, if it has a limit.
    pub available: Option<u64>,
    /// The sizes of all parts.
    #[serde(skip)]
    pub part_sizes: PartSizeSchedule,
}

/// Of the memory there is, what parts may grow to beyond the estimate leaves a quarter: for the catalogue of `pg_dump`.
const SHARE: (u64, u64) = (3, 4);

impl MemoryBudget {
    /// Shrinks what is in flight, then the workers, until the peak fits; where even one of each does not, the parts, down to
    /// what 10,000 of them need; and refuses then. One block in `checked` is decoded again.
    pub(crate) fn fit(
        compression: Compression,
        workers: usize,
        checked: usize,
        expected_bytes: u64,
        available: Option<u64>,
    ) -> Result<Self> {
        let sealed = sealed_bytes(compression, expected_bytes).min(PartSizeSchedule::most());
        let workers = if compression == Compression::None {
            0
        } else {
            workers.max(1) as u64
        };
        let budget = |workers, in_flight, part_sizes| Self::new(compression, workers, checked as u64, in_flight, part_sizes, available);
        let bug = || Error::new(Code::Bug, "no parts for this size");
        let wanted = PartSizeSchedule::new(sealed, MAX_PART).ok_or_else(bug)?;
        let at_once = super::IN_FLIGHT.min((32 * MIB / wanted.usual()).max(1));
        let Some(available) = available else {
            return Ok(budget(workers, at_once, wanted));
        };
        let for_us = available.saturating_sub(PG_DUMP);
        let narrower = (1..=at_once).rev().map(|in_flight| (workers, in_flight));
        let fewer = (1..workers).rev().map(|workers| (workers, 1));
        let candidates: Vec<_> = narrower.chain(fewer).collect();
        let largest = |memory: u64, (workers, in_flight)| {
            let others = budget(workers, in_flight, wanted).without_parts();
            memory.saturating_sub(others) / (in_flight + 2)
        };
        let fits = |candidate: &(u64, u64)| {
            let room = largest(for_us, *candidate);
            (room >= wanted.usual()).then_some((*candidate, wanted.usual()))
        };
        let squeezed = |candidate: &(u64, u64)| {
            let part_sizes = PartSizeSchedule::new(sealed, largest(for_us, *candidate))?;
            Some((*candidate, part_sizes.usual()))
        };
        let found = candidates.iter().find_map(fits).or_else(|| candidates.iter().find_map(squeezed));
        let Some(((workers, in_flight), usual)) = found else {
            let least = budget(workers.min(1), 1, wanted).without_parts() + 3 * PartSizeSchedule::least(sealed) + PG_DUMP;
            return Err(Error::new(
                Code::NotEnoughMemory,
                format!("at least {} MiB are needed, {} MiB are there", least.div_ceil(MIB), available / MIB),
            ));
        };
        let share = (available / SHARE.1 * SHARE.0).saturating_sub(PG_DUMP);
        let most = largest(share, (workers, in_flight)).max(usual);
        // Where the parts are squeezed their limit is the memory's own.
        let part_sizes =
            PartSizeSchedule::new(sealed, most).or_else(|| PartSizeSchedule::new(sealed, largest(for_us, (workers, in_flight))));
        Ok(budget(workers, in_flight, part_sizes.ok_or_else(bug)?))
    }

    fn new(
        compression: Compression,
        workers: u64,
        checked: u64,
        in_flight: u64,
        part_sizes: PartSizeSchedule,
        available: Option<u64>,
    ) -> Self {
        let (block, encoder) = (block_bytes(compression) as u64, encoder_bytes(compression));
        let check = workers.div_ceil(checked.max(1)) * decoder_bytes(compression);
        let memory = Self {
            base: BASE,
            workers,
            encoder,
            check,
            block,
            in_flight,
            part: part_sizes.usual(),
            part_limit: part_sizes.largest(),
            peak: 0,
            available,
            part_sizes,
        };
        let peak = memory.without_parts() + (in_flight + 2) * memory.part;
        Self { peak, ..memory }
    }

    fn without_parts(&self) -> u64 {
        self.base + self.workers * (self.encoder + 4 * self.block) + self.check
    }
}

/// What becomes of so many plain bytes, at most: dumps come to a fifth or a quarter of their size, and one of pictures to three
/// quarters; what is larger than half meets the parts for a dump that outgrows its estimate.
fn sealed_bytes(compression: Compression, plain: u64) -> u64 {
    match compression {
        Compression::Bzip2(_) | Compression::Zstd(_) => plain / 2,
        Compression::None => plain,
    }
}

/// Plain bytes that are compressed as one unit.
pub fn block_bytes(compression: Compression) -> usize {
    match compression {
        Compression::Bzip2(level) => 100_000 * level as usize,
        Compression::Zstd(_) => 2 << 20,
        Compression::None => 64 << 10,
    }
}

/// Working memory of one encoder: of ours what its buffers add up to, rounded up; zstd's grows with its level
/// (`ZSTD_estimateCCtxSize` at a window of 2 MiB, rounded up).
fn encoder_bytes(compression: Compression) -> u64 {
    match compression {
        Compression::Bzip2(level) => 1_900_000 + 1_130_000 * u64::from(level),
        Compression::Zstd(level) => match level {
            ..=4 => 6 * MIB,
            5..=12 => 18 * MIB,
            13..=15 => 28 * MIB,
            _ => 52 * MIB,
        },
        Compression::None => 0,
    }
}

/// The crate `bzip2`'s decoder (4 bytes for each of a block), the packed block, and pieces of its text.
fn decoder_bytes(compression: Compression) -> u64 {
    match compression {
        Compression::Bzip2(level) => 600_000 + 510_000 * u64::from(level),
        Compression::Zstd(_) | Compression::None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_workers_stay_below_128_mib_from_100_mb_to_10_gb() {
        let small = MemoryBudget::fit(Compression::Bzip2(9), 2, DEFAULT_CHECK_INTERVAL, 100 << 20, None).unwrap();
        let large = MemoryBudget::fit(Compression::Bzip2(9), 2, DEFAULT_CHECK_INTERVAL, 10 << 30, None).unwrap();
        assert!(small.peak < 128 * MIB, "{small:?}");
        assert!(large.peak as f64 <= 1.05 * small.peak as f64, "{large:?}");
    }

    #[test]
    fn little_memory_shrinks_before_it_refuses() {
        let shrunk = MemoryBudget::fit(Compression::Bzip2(9), 6, DEFAULT_CHECK_INTERVAL, 0, Some(128 * MIB)).unwrap();
        assert!(
            shrunk.workers < 6 && shrunk.in_flight == 1 && shrunk.peak + PG_DUMP <= 128 * MIB,
            "{shrunk:?}"
        );
        let refused = MemoryBudget::fit(Compression::Bzip2(9), 1, DEFAULT_CHECK_INTERVAL, 0, Some(64 * MIB)).unwrap_err();
        assert_eq!(refused.code, Code::NotEnoughMemory);
    }

    const GIB: u64 = 1 << 30;
    const TB: u64 = 1_000_000_000_000;

    /// The formula with the largest part that may ever come.
    fn worst(memory: &MemoryBudget) -> u64 {
        memory.without_parts() + (memory.in_flight + 2) * memory.part_limit + PG_DUMP
    }

    /// It once took 15 GiB, since parts doubled and the plain size counted; a task of the template ends at 8.
    #[test]
    fn five_terabytes_fit_a_task_of_8_gib() {
        for compression in [Compression::Bzip2(9), Compression::Zstd(3), Compression::None] {
            let memory = MemoryBudget::fit(compression, 2, DEFAULT_CHECK_INTERVAL, 5 * TB, Some(8 * GIB)).unwrap();
            assert!(memory.peak + PG_DUMP <= 4 * GIB && worst(&memory) <= 8 * GIB, "{memory:?}");
            assert!(memory.part_sizes.capacity() > 3 * 5 * TB / 2, "{memory:?}");
        }
        // And with bzip2 one of 2 GiB.
        assert!(MemoryBudget::fit(Compression::Bzip2(9), 1, DEFAULT_CHECK_INTERVAL, 5 * TB, Some(2 * GIB)).is_ok());
        // There is no cliff.
        let peak = |tenths: u64| {
            MemoryBudget::fit(Compression::Bzip2(9), 2, DEFAULT_CHECK_INTERVAL, tenths * TB / 10, None)
                .unwrap()
                .peak
        };
        for tenths in 10..200 {
            assert!(peak(tenths + 1) - peak(tenths) < 80 * MIB, "at {tenths} tenths of a terabyte");
        }
    }

    /// Whatever the estimate was worth, no part comes that the memory does not hold: the dump ends with an error first.
    #[test]
    fn the_formula_holds_where_the_estimate_was_too_low() {
        let memories = [128 * MIB, 256 * MIB, GIB, 2 * GIB, 8 * GIB, 30 * GIB, 120 * GIB];
        let plain = [0, 1, GIB, 100 * GIB, TB, 5 * TB, 20 * TB, 50 * TB, 60 * TB];
        let compressions = [Compression::Bzip2(9), Compression::Zstd(19), Compression::None];
        let mut fitted = 0;
        for (available, bytes) in memories.iter().flat_map(|memory| plain.map(|bytes| (*memory, bytes))) {
            for (compression, workers) in compressions
                .iter()
                .flat_map(|compression| [1, 2, 16].map(|workers| (*compression, workers)))
            {
                let Ok(memory) = MemoryBudget::fit(compression, workers, DEFAULT_CHECK_INTERVAL, bytes, Some(available)) else {
                    continue;
                };
                fitted += 1;
                assert!(memory.peak + PG_DUMP <= available && worst(&memory) <= available, "{memory:?}");
                // No part is larger than the last: see `parts`.
                let last = memory.part_sizes.size(crate::format::parts::MAX_PARTS).unwrap();
                assert!(last <= memory.part_limit, "{memory:?}");
                let sealed = sealed_bytes(compression, bytes).min(PartSizeSchedule::most());
                assert!(memory.part_sizes.capacity() >= sealed, "{memory:?}");
            }
        }
        assert!(fitted > 250, "only {fitted} fitted");
    }

    /// Where nothing is known of the size, the parts follow the memory alone.
    #[test]
    fn an_unknown_size_gets_all_that_the_memory_holds() {
        let memory = MemoryBudget::fit(Compression::Bzip2(9), 2, DEFAULT_CHECK_INTERVAL, 0, Some(2 * GIB)).unwrap();
        assert_eq!(memory.part, 8 * MIB);
        assert!(memory.part_sizes.capacity() > 900 * GIB, "{memory:?}");
    }

    #[test]
    fn each_worker_has_a_decoder_where_all_is_checked() {
        let share = MemoryBudget::fit(Compression::Bzip2(9), 4, DEFAULT_CHECK_INTERVAL, 0, None).unwrap();
        let all = MemoryBudget::fit(Compression::Bzip2(9), 4, 1, 0, None).unwrap();
        assert_eq!((all.check, all.peak - share.peak), (4 * share.check, 3 * share.check));
    }
}
