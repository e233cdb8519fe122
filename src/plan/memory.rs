//! Memory by a formula: what the road takes, compared with what there is, before anything starts.

use super::parts::Ladder;
use super::values::Compression;
use crate::error::{Code, Error, Result};
use serde::Serialize;

const MIB: u64 = 1 << 20;
/// The program itself, the SDK's connections and TLS.
const BASE: u64 = 30 * MIB;
/// `pg_dump` beside us: its catalogue grows with the number of tables.
pub const PG_DUMP: u64 = 16 * MIB;
/// Of so many bzip2 blocks one is decoded again where nothing else is asked for, the first among them; one decoder does for
/// as many workers. The other implementation takes 42 CPU seconds for a GB of plain dump, the whole pipeline 24: one block in
/// 80 costs 2 % of it (docs/SCALE.md).
pub const CHECKED: usize = 80;

/// `base + workers × (encoder + 2 × (block + output)) + check + (in_flight + 2) × part`, in bytes.
///
/// Two blocks a worker are on the road: one in its hands, one waiting or done. A decoder for each eighty workers, or for
/// each, checks what they made. A part is being filled, one waits in the channel, `in_flight` are on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
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
    /// The peak by the formula.
    pub peak: u64,
    /// What the function or the cgroup has, if it has a limit.
    pub available: Option<u64>,
}

impl Memory {
    /// Shrinks what is in flight, then the workers, until the peak fits; refuses where even one of each does not. One block
    /// in `checked` is decoded again.
    pub fn fit(compression: Compression, workers: usize, checked: usize, expected_bytes: u64, available: Option<u64>) -> Result<Self> {
        let of = |workers, in_flight, part| Self::of(compression, workers, checked as u64, in_flight, part, available);
        let part = Ladder::for_size(expected_bytes).largest_part(expected_bytes);
        let wanted = of(workers as u64, super::IN_FLIGHT.min((32 * MIB / part).max(1)), part);
        let Some(available) = available else { return Ok(wanted) };
        let narrower = (1..=wanted.in_flight).rev().map(|in_flight| (wanted.workers, in_flight));
        let fewer = (1..wanted.workers).rev().map(|workers| (workers, 1));
        narrower
            .chain(fewer)
            .map(|(workers, in_flight)| of(workers, in_flight, part))
            .find(|memory| memory.peak + PG_DUMP <= available)
            .ok_or_else(|| {
                let least = of(1, 1, part);
                Error::new(
                    Code::NotEnoughMemory,
                    format!(
                        "at least {} MiB are needed, {} MiB are there",
                        (least.peak + PG_DUMP).div_ceil(MIB),
                        available / MIB
                    ),
                )
            })
    }

    fn of(compression: Compression, workers: u64, checked: u64, in_flight: u64, part: u64, available: Option<u64>) -> Self {
        let (block, encoder) = (block_bytes(compression) as u64, encoder_bytes(compression));
        let workers = if compression == Compression::None { 0 } else { workers };
        let check = workers.div_ceil(checked.max(1)) * decoder_bytes(compression);
        let peak = BASE + workers * (encoder + 4 * block) + check + (in_flight + 2) * part;
        Self {
            base: BASE,
            workers,
            encoder,
            check,
            block,
            in_flight,
            part,
            peak,
            available,
        }
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
        let small = Memory::fit(Compression::Bzip2(9), 2, CHECKED, 100 << 20, None).unwrap();
        let large = Memory::fit(Compression::Bzip2(9), 2, CHECKED, 10 << 30, None).unwrap();
        assert!(small.peak < 128 * MIB, "{small:?}");
        assert!(large.peak as f64 <= 1.05 * small.peak as f64, "{large:?}");
    }

    #[test]
    fn little_memory_shrinks_before_it_refuses() {
        let shrunk = Memory::fit(Compression::Bzip2(9), 6, CHECKED, 0, Some(128 * MIB)).unwrap();
        assert!(
            shrunk.workers < 6 && shrunk.in_flight == 1 && shrunk.peak + PG_DUMP <= 128 * MIB,
            "{shrunk:?}"
        );
        let refused = Memory::fit(Compression::Bzip2(9), 1, CHECKED, 0, Some(64 * MIB)).unwrap_err();
        assert_eq!(refused.code, Code::NotEnoughMemory);
    }

    #[test]
    fn each_worker_has_a_decoder_where_all_is_checked() {
        let share = Memory::fit(Compression::Bzip2(9), 4, CHECKED, 0, None).unwrap();
        let all = Memory::fit(Compression::Bzip2(9), 4, 1, 0, None).unwrap();
        assert_eq!((all.check, all.peak - share.peak), (4 * share.check, 3 * share.check));
    }
}
