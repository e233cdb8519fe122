//! From the order of the B* rotations to that of all, and to the last column: the rotations of type S are induced from
//! right to left, then those of type L from left to right (divsufsort's `construct_BWT`).
//!
//! An entry is a position and the byte before it, so that the column needs no look into the text.

use super::super::simd::{BATCH, Isa, Simd, dispatch};
use super::bins::Bins;
use super::key::number;
use super::text::{CyclicText, POSITION, POSITION_BITS};
use super::types::StarSet;

/// The rows: as many as 20 bits can name, so that an index needs no check. Pages never touched take no memory.
pub(super) const ROWS: usize = 1 << POSITION_BITS;
/// Where the rotations of each first byte are.
pub(super) struct Buckets {
    /// `[b][a]`: the next row, downwards, for a rotation of type S that begins with a and b.
    pairs: Vec<u32>,
    /// By first byte: where the rows begin, those of type L first.
    starts: [usize; 257],
    /// By first byte: where those of type S begin.
    s_starts: [usize; 256],
    /// By first byte: where those of type S begin that the second pass needs.
    kept_starts: [usize; 256],
}

impl Buckets {
    pub(super) fn new() -> Self {
        Self {
            pairs: vec![0; 1 << 16],
            starts: [0; 257],
            s_starts: [0; 256],
            kept_starts: [0; 256],
        }
    }

    /// Lays out the rows, and moves the sorted B* to theirs: `rows` begins with the entries of the B*.
    pub(super) fn place(&mut self, stars: &StarSet, bins: &Bins, counts: &[u32; 1 << 16], rows: &mut [u32; ROWS]) {
        let mut start = 0;
        for first in 0..256 {
            let counts = &counts[256 * first..256 * (first + 1)];
            let all: u32 = counts.iter().sum();
            let s: u32 = stars.equal_s[first] + counts[first + 1..].iter().sum::<u32>();
            self.starts[first] = start;
            self.s_starts[first] = start + (all - s) as usize;
            start += all as usize;
        }
        self.starts[256] = start;
        // From the last on: the row of a B* is never before its place among the B*.
        let mut left = stars.count;
        for first in (0..256).rev() {
            let mut end = self.starts[first + 1];
            for second in (first + 1..256).rev() {
                let pair = 256 * first + second;
                let count = counts[pair] as usize;
                if count == 0 {
                    continue;
                }
                self.pairs[256 * second + first] = end as u32;
                end -= count;
                // Among those that begin with the same pair, B* come first: the second byte's type is L.
                let stars = bins.count(first, second);
                rows.copy_within(left - stars..left, end);
                left -= stars;
            }
            self.pairs[256 * first + first] = end as u32;
        }
        debug_assert_eq!(left, 0);
    }
}

/// Sorted keys to entries at the beginning of the same memory; the entries by number are behind the keys.
pub(super) fn keys_to_entries(keys_and_entries: &mut [u64], count: usize) {
    for k in 0..count {
        let number = number(keys_and_entries[k] as i64);
        let words: &mut [u32] = bytemuck::cast_slice_mut(keys_and_entries);
        words[k] = words[2 * count + number];
    }
}

/// Induces all rows, writes the column, and returns the row of `origin`.
pub(super) fn induce(
    isa: Isa,
    text: CyclicText,
    stars: &StarSet,
    buckets: &mut Buckets,
    origin: usize,
    rows: &mut [u32; ROWS],
    column: &mut [u8],
) -> u32 {
    let row = induce_s(isa, text, stars, buckets, origin, rows, column);
    induce_l(isa, text, buckets, rows, column);
    row.unwrap_or_else(|| {
        let first = usize::from(text.at(origin));
        let l = buckets.starts[first]..buckets.s_starts[first];
        let at = rows[l.clone()].iter().position(|&entry| entry as usize & POSITION == origin);
        // Every position has a row.
        (l.start + at.unwrap_or_else(|| unreachable!())) as u32
    })
}

/// Scans the rows of type S from the right. An entry whose predecessor is of type S gives that its row; the others are
/// kept for the second pass, at the right end of their bucket.
fn induce_s(
    isa: Isa,
    text: CyclicText,
    stars: &StarSet,
    buckets: &mut Buckets,
    origin: usize,
    rows: &mut [u32; ROWS],
    column: &mut [u8],
) -> Option<u32> {
    dispatch!(isa, induce_s_with(text: CyclicText, stars: &StarSet, buckets: &mut Buckets, origin: usize, rows: &mut [u32; ROWS], column: &mut [u8]) -> Option<u32>)
}

#[inline(always)]
fn induce_s_with<S: Simd>(
    simd: S,
    text: CyclicText,
    stars: &StarSet,
    buckets: &mut Buckets,
    origin: usize,
    rows: &mut [u32; ROWS],
    column: &mut [u8],
) -> Option<u32> {
    let mut origin_row = None;
    let mut batch = [0u32; BATCH];
    for first in (0..256).rev() {
        let (start, end) = (buckets.s_starts[first], buckets.starts[first + 1]);
        // Rows from here on are complete; those before, of twice the same byte, arise during the scan.
        let complete = start + stars.equal_s[first] as usize;
        let heads: &mut [u32; 256] = bytemuck::cast_slice_mut::<u32, [u32; 256]>(&mut buckets.pairs)
            .get_mut(first)
            .unwrap_or_else(|| unreachable!());
        let mut kept = end;
        let mut from = end;
        while from > start {
            let to = from;
            let known = if to > complete { complete } else { heads[first] as usize };
            from = known.max(to.saturating_sub(BATCH));
            // Else the scan would stand still for ever.
            assert!(from < to);
            if first == usize::from(text.at(origin)) {
                let at = rows[from..to].iter().position(|&entry| entry as usize & POSITION == origin);
                origin_row = origin_row.or(at.map(|at| (from + at) as u32));
            }
            write_column(&rows[from..to], &mut column[from..to]);
            let len = simd.part(rows, from, to, least_entry(first + 1), &mut kept, &mut batch);
            for &entry in &batch[..len] {
                let before = (entry >> POSITION_BITS) as usize & 0xFF;
                let row = heads[before] - 1;
                heads[before] = row;
                rows[row as usize & POSITION] = induced(text, entry);
            }
        }
        buckets.kept_starts[first] = kept;
    }
    origin_row
}

/// Scans the rows of type L, which arise during the scan, and those of type S kept, from the left: an entry whose
/// predecessor is of type L gives that its row.
fn induce_l(isa: Isa, text: CyclicText, buckets: &Buckets, rows: &mut [u32; ROWS], column: &mut [u8]) {
    dispatch!(isa, induce_l_with(text: CyclicText, buckets: &Buckets, rows: &mut [u32; ROWS], column: &mut [u8]));
}

#[inline(always)]
fn induce_l_with<S: Simd>(simd: S, text: CyclicText, buckets: &Buckets, rows: &mut [u32; ROWS], column: &mut [u8]) {
    let mut heads: [u32; 256] = std::array::from_fn(|first| buckets.starts[first] as u32);
    let mut batch = [0u32; BATCH];
    for first in 0..256 {
        let mut from = buckets.starts[first];
        let l_end = buckets.s_starts[first];
        while from < l_end {
            let to = (heads[first] as usize).min(from + BATCH);
            // Else the scan would stand still for ever.
            assert!(from < to);
            write_column(&rows[from..to], &mut column[from..to]);
            let len = simd.at_least(&rows[from..to], least_entry(first), &mut batch);
            for &entry in &batch[..len] {
                induce_one(text, &mut heads, rows, entry);
            }
            from = to;
        }
        for row in buckets.kept_starts[first]..buckets.starts[first + 1] {
            induce_one(text, &mut heads, rows, rows[row & POSITION]);
        }
    }
}

#[inline(always)]
fn write_column(rows: &[u32], column: &mut [u8]) {
    for (byte, entry) in column.iter_mut().zip(rows) {
        *byte = (entry >> POSITION_BITS) as u8;
    }
}

#[inline(always)]
fn induce_one(text: CyclicText, heads: &mut [u32; 256], rows: &mut [u32; ROWS], entry: u32) {
    let before = (entry >> POSITION_BITS) as usize & 0xFF;
    let row = heads[before];
    heads[before] = row + 1;
    rows[row as usize & POSITION] = induced(text, entry);
}

/// A row: the position and the byte before it.
#[inline(always)]
pub(super) fn entry(position: usize, before: u8) -> u32 {
    position as u32 | (u32::from(before) << POSITION_BITS)
}

/// The least entry with this byte before it or a greater one.
fn least_entry(before: usize) -> u32 {
    (before as u32) << POSITION_BITS
}

/// The entry of the position before that of `of`. No entry at position 0 induces: before it is a B*.
#[inline(always)]
fn induced(text: CyclicText, of: u32) -> u32 {
    let position = of as usize & POSITION;
    entry(position.wrapping_sub(1) & POSITION, text.before_that(position))
}
