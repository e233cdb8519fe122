//! The parts of an upload, and how large each is: S3 takes 10,000 parts of 5 MiB to 5 GiB, and the size of a dump is not known
//! before its end, so parts grow.

use bytes::Bytes;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// S3's limits.
pub(crate) const MAX_PARTS: u32 = 10_000;
pub(crate) const MAX_PART: u64 = 5 << 30;
/// The first part's size.
pub(crate) const SMALLEST: u64 = 8 * MIB;

/// A part on its way to S3.
pub struct Part {
    /// From 1.
    pub number: u32,
    pub bytes: Bytes,
    pub sha256: [u8; 32],
}

/// What the manifest keeps of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartDigest {
    pub size: u64,
    pub sha256: [u8; 32],
}

/// The whole object, as it will stand in S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadedObject {
    pub size: u64,
    pub sha256: [u8; 32],
    pub parts: Vec<PartDigest>,
    /// The last 16 bytes of each part: the vector of the next one's first block.
    pub ends: Vec<[u8; 16]>,
}

/// Parts in which the growth from the first part's size to the one that is kept takes place.
const RISE: u32 = 16;
/// What is lost by them, in parts of full size.
const RISEN: u32 = 9;
/// Parts that hold what is expected; those after them are for a dump that outgrows its estimate.
const EXPECTED: u32 = 5_000;
/// Beyond these every so many parts are larger by a sixteenth.
const STEP: u32 = 32;
/// Sizes are multiples of this.
const GRAIN: u64 = 64 * KIB;

/// The sizes of all parts, fixed before the first: they start at 8 MiB, rise within 16 parts to the size with which 5,000
/// parts hold what is expected, and stay. A dump that goes on after these 5,000 gets parts that are a sixteenth larger every 32
/// parts, up to what the memory holds; whatever the estimate was worth, no part is ever larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartSizeSchedule {
    /// What parts rise to.
    usual: u64,
    /// What no part exceeds.
    largest: u64,
    /// How many parts hold what is expected.
    expected: u32,
}

/// For an object of unknown size, in memory without a limit.
impl Default for PartSizeSchedule {
    fn default() -> Self {
        Self {
            usual: SMALLEST,
            largest: MAX_PART,
            expected: EXPECTED,
        }
    }
}

impl PartSizeSchedule {
    /// For an object of about so many bytes, with parts of at most `largest`; `None` where 10,000 of those are too few.
    pub(crate) fn new(bytes: u64, largest: u64) -> Option<Self> {
        let largest = largest.min(MAX_PART) / GRAIN * GRAIN;
        if largest < SMALLEST {
            return None;
        }
        let usual = bytes.div_ceil(u64::from(EXPECTED - RISEN)).next_multiple_of(GRAIN);
        let part_sizes = Self {
            usual: usual.clamp(SMALLEST, largest),
            largest,
            expected: EXPECTED,
        };
        (part_sizes.capacity() >= bytes).then_some(part_sizes)
    }

    /// One whose growth can be seen without terabytes.
    #[cfg(test)]
    pub(crate) fn short(usual: u64, largest: u64, expected: u32) -> Self {
        Self { usual, largest, expected }
    }

    /// The largest object that any schedule of part sizes holds, a little less than S3's own limit.
    pub(crate) fn most() -> u64 {
        u64::from(MAX_PARTS - RISEN) * MAX_PART
    }

    /// The least that the largest part may be for an object of this size.
    pub(crate) fn least(bytes: u64) -> u64 {
        let of_all = bytes.div_ceil(u64::from(MAX_PARTS - RISEN)).next_multiple_of(GRAIN);
        of_all.clamp(SMALLEST, MAX_PART)
    }

    /// The largest part of an object that is not larger than expected.
    pub(crate) fn usual(self) -> u64 {
        self.usual
    }

    /// The largest part of any object.
    pub(crate) fn largest(self) -> u64 {
        self.largest
    }

    /// The size of part `number` (from 1); `None` after the last that S3 takes.
    pub(crate) fn size(self, number: u32) -> Option<u64> {
        if !(1..=MAX_PARTS).contains(&number) {
            return None;
        }
        if number <= self.expected {
            let rise = (self.usual - SMALLEST) / u64::from(RISE) * u64::from((number - 1).min(RISE));
            let risen = if number > RISE {
                self.usual
            } else {
                SMALLEST + rise / GRAIN * GRAIN
            };
            return Some(risen.min(self.usual));
        }
        let steps = (number - self.expected - 1) / STEP + 1;
        let grown = (0..steps).try_fold(self.usual, |size, _| {
            let next = size + (size / 16).next_multiple_of(GRAIN);
            (next < self.largest).then_some(next)
        });
        Some(grown.unwrap_or(self.largest))
    }

    /// The largest object that fits, in bytes.
    pub(crate) fn capacity(self) -> u64 {
        let (mut number, mut total) = (1, 0);
        while let Some(size) = self.size(number) {
            let of_this_size = match number {
                ..=RISE => 1,
                _ if number <= self.expected => self.expected - number + 1,
                _ => STEP - (number - self.expected - 1) % STEP,
            };
            let parts = of_this_size.min(MAX_PARTS - number + 1);
            total += u64::from(parts) * size;
            number += parts;
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const TIB: u64 = 1 << 40;

    fn sizes(part_sizes: PartSizeSchedule) -> Vec<u64> {
        (1..=MAX_PARTS).map(|number| part_sizes.size(number).unwrap()).collect()
    }

    #[test]
    fn parts_start_at_8_mib_grow_smoothly_and_never_beyond_the_limit() {
        for (bytes, largest) in [
            (0, 8 * MIB),
            (0, 5 * GIB),
            (3 * GIB, 20 * MIB),
            (300 * GIB, 128 * MIB),
            (TIB, 5 * GIB),
            (20 * TIB, 5 * GIB),
        ] {
            let part_sizes = PartSizeSchedule::new(bytes, largest).unwrap();
            let sizes = sizes(part_sizes);
            assert_eq!(sizes[0], 8 * MIB);
            assert!(sizes.is_sorted(), "{part_sizes:?}");
            assert_eq!(sizes.iter().sum::<u64>(), part_sizes.capacity());
            assert!(sizes.iter().all(|size| size % 64 == 0 && *size <= largest), "{part_sizes:?}");
            // It once doubled, and the memory with it.
            let later = &sizes[RISE as usize..];
            let smooth = later.windows(2).all(|pair| pair[1] <= pair[0] + pair[0] / 16 + GRAIN);
            assert!(smooth, "{part_sizes:?}");
            assert!(sizes[..EXPECTED as usize].iter().sum::<u64>() >= bytes.min(u64::from(EXPECTED - RISEN) * largest));
            assert!(sizes[..EXPECTED as usize].iter().all(|size| *size <= part_sizes.usual()));
        }
        assert_eq!(PartSizeSchedule::new(0, GIB).unwrap().size(MAX_PARTS + 1), None);
        assert_eq!(PartSizeSchedule::new(0, 7 * MIB), None);
    }

    #[test]
    fn a_small_object_keeps_8_mib_and_may_yet_become_large() {
        let part_sizes = PartSizeSchedule::new(10 * GIB, GIB).unwrap();
        assert_eq!(part_sizes.usual(), 8 * MIB);
        assert!(part_sizes.capacity() > 2 * TIB, "{}", part_sizes.capacity() / GIB);
    }

    #[test]
    fn the_ladder_reaches_the_limit_of_s3() {
        let reached = PartSizeSchedule::new(PartSizeSchedule::most(), MAX_PART).unwrap().capacity();
        assert_eq!(format!("{:.1}", reached as f64 / TIB as f64), "48.8");
        assert_eq!(PartSizeSchedule::new(u64::from(MAX_PARTS) * MAX_PART, MAX_PART), None);
    }

    #[test]
    fn every_expected_size_gets_a_ladder_that_holds_it_where_the_least_part_fits() {
        for tib in 1..=48 {
            let bytes = tib * TIB;
            let least = PartSizeSchedule::least(bytes);
            assert!(PartSizeSchedule::new(bytes, least).unwrap().capacity() >= bytes, "{tib} TiB");
            assert_eq!(PartSizeSchedule::new(bytes, least - least / 50), None, "{tib} TiB");
        }
    }
}
