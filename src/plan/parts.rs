//! How large each part of the upload is: S3 takes 10,000 parts of 5 MiB to 5 GiB, and the size of a dump is not known
//! before its end, so parts grow.

const MIB: u64 = 1 << 20;
/// S3's limits.
pub const MAX_PARTS: u32 = 10_000;
pub const MAX_PART: u64 = 5 << 30;
const SMALLEST: u64 = 8 * MIB;

/// Parts start at 8 MiB and double after each `rung` of parts, up to 5 GiB.
///
/// With the usual rung of 2,000 parts the first 15 GiB keep parts of 8 MiB, and 496,000 MiB fit. Where a larger dump is
/// expected the rung is shorter: with 1, the ladder reaches S3's own limit for an object, 48.8 TiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ladder {
    rung: u32,
}

/// An estimate may be wrong by so much before a dump outgrows its ladder.
const MARGIN: u64 = 4;

impl Default for Ladder {
    fn default() -> Self {
        Self { rung: 2_000 }
    }
}

impl Ladder {
    /// The ladder with the smallest parts that still holds `bytes` with a margin.
    pub fn for_size(bytes: u64) -> Self {
        let holds = |ladder: &Self| ladder.capacity() >= bytes.saturating_mul(MARGIN);
        let rungs = [2_000, 1_000, 500, 250, 100, 10].into_iter().map(|rung| Self { rung });
        rungs.into_iter().find(holds).unwrap_or(Self { rung: 1 })
    }

    /// The size of part `number` (from 1); `None` after the last that S3 takes.
    pub fn size(self, number: u32) -> Option<u64> {
        if !(1..=MAX_PARTS).contains(&number) {
            return None;
        }
        let doublings = ((number - 1) / self.rung).min(10);
        Some((SMALLEST << doublings).min(MAX_PART))
    }

    /// The largest object that fits, in bytes.
    pub fn capacity(self) -> u64 {
        (1..=MAX_PARTS).filter_map(|number| self.size(number)).sum()
    }

    /// The largest part that an object of this size needs.
    pub fn largest_part(self, bytes: u64) -> u64 {
        let mut left = bytes;
        for size in (1..=MAX_PARTS).filter_map(|number| self.size(number)) {
            if left <= size {
                return size;
            }
            left -= size;
        }
        MAX_PART
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const TIB: u64 = 1 << 40;

    #[test]
    fn parts_start_at_8_mib_and_never_shrink() {
        for rung in [1, 10, 2_000] {
            let sizes: Vec<u64> = (1..=MAX_PARTS).map(|number| Ladder { rung }.size(number).unwrap()).collect();
            assert_eq!(sizes[0], 8 * MIB);
            assert!(sizes.is_sorted());
            assert!(sizes.iter().all(|size| (5 * MIB..=5 * GIB).contains(size)));
        }
        assert_eq!(Ladder::default().size(MAX_PARTS + 1), None);
    }

    #[test]
    fn the_usual_ladder_keeps_8_mib_for_15_gib() {
        let usual = Ladder::for_size(0);
        assert_eq!(usual.largest_part(15 * GIB), 8 * MIB);
        assert_eq!(usual.capacity(), 496_000 * MIB);
    }

    #[test]
    fn the_ladder_reaches_the_limit_of_s3() {
        let limit = u64::from(MAX_PARTS) * MAX_PART;
        let reached = Ladder::for_size(limit).capacity();
        assert_eq!(format!("{:.1}", reached as f64 / TIB as f64), "48.8");
    }

    #[test]
    fn every_expected_size_gets_a_ladder_that_holds_it() {
        for tib in 1..=48 {
            assert!(Ladder::for_size(tib * TIB).capacity() >= tib * TIB, "{tib} TiB");
        }
    }
}
