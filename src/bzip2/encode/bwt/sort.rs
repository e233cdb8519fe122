//! Sorting the rotations of type B*: spread over bins by their first two bytes, then each bin by keys of 44 bits of code
//! and the number of the B* in the order of the text, so that no two keys are equal.

use super::super::simd::{Isa, Simd, dispatch};
use super::induce::entry;
use super::text::Circle;
use super::ties::{Repetitive, Ties};
use super::types::{NUMBER, NUMBER_BITS, Stars};

/// Bits of code in a key.
pub(super) const KEY_BITS: u32 = 64 - NUMBER_BITS;
/// Keys are compared as signed numbers, which is what vectors can.
pub(super) const SIGN: u64 = 1 << 63;

/// By pair of first bytes: how many B* there are, then where the next key goes, and in the end where the bin ends.
pub(super) struct Bins {
    ends: Vec<u32>,
    /// Bytes that begin a pair. Of the others there is nothing to look at, and no memory to touch.
    firsts: Vec<u8>,
}

impl Bins {
    pub fn new() -> Self {
        Self {
            ends: vec![0; 1 << 16],
            firsts: Vec::new(),
        }
    }

    /// Empties the bins of the bytes used.
    pub fn clear(&mut self, used: &[bool; 256]) {
        self.firsts.clear();
        self.firsts.extend((0..=255).filter(|&byte| used[usize::from(byte)]));
        for &first in &self.firsts {
            self.ends.as_chunks_mut::<256>().0[usize::from(first)].fill(0);
        }
    }

    /// Puts in place of each count where its bin begins.
    fn begin(&mut self) {
        let mut start = 0;
        for &first in &self.firsts {
            for end in &mut self.ends.as_chunks_mut::<256>().0[usize::from(first)] {
                start += std::mem::replace(end, start);
            }
        }
    }

    pub fn ends(&mut self) -> &mut [u32; 1 << 16] {
        self.ends.first_chunk_mut().unwrap_or_else(|| unreachable!())
    }

    /// The bins that have any keys: where these are.
    pub fn ranges(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let rows = self
            .firsts
            .iter()
            .flat_map(|&first| &self.ends.as_chunks::<256>().0[usize::from(first)]);
        let mut start = 0;
        rows.filter_map(move |&end| {
            let range = start..end as usize;
            start = range.end;
            (!range.is_empty()).then_some(range)
        })
    }

    /// Number of B* that begin with `first` and `second`, of which `first` is less.
    pub fn count(&self, first: usize, second: usize) -> usize {
        let pair = 256 * first + second;
        // There is one before it: that of twice the same byte.
        (self.ends[pair] - self.ends[pair - 1]) as usize
    }
}

/// Puts the key of each B* into its bin, and lists their entries in the order of the text.
pub(super) fn spread(isa: Isa, text: Circle, stars: &Stars, bins: &mut Bins, windows: &[u64], keys: &mut [i64], entries: &mut [u32]) {
    dispatch!(isa, spread_with(text: Circle, stars: &Stars, bins: &mut Bins, windows: &[u64], keys: &mut [i64], entries: &mut [u32]));
}

#[inline(always)]
fn spread_with<S: Simd>(_: S, text: Circle, stars: &Stars, bins: &mut Bins, windows: &[u64], keys: &mut [i64], entries: &mut [u32]) {
    bins.begin();
    let ends = bins.ends();
    let mut rest = windows.iter().zip(entries).enumerate();
    for index in 0..text.n.div_ceil(64) {
        let mut word = stars.word(index);
        let base = 64 * index;
        // The byte before, then the pair.
        let bytes = text.window_before::<66>(base);
        for (number, (&window, slot)) in rest.by_ref().take(word.count_ones() as usize) {
            let k = word.trailing_zeros() as usize % 64;
            word &= word - 1;
            *slot = entry(base + k, bytes[k]);
            let end = &mut ends[usize::from(u16::from_be_bytes([bytes[k + 1], bytes[k + 2]]))];
            keys[*end as usize] = with_code(number as i64, window);
            *end += 1;
        }
    }
}

/// Sorts each bin, equal code by the text behind as far as the budget goes.
pub(super) fn sort(isa: Isa, bins: &Bins, keys: &mut [i64], ties: &mut Ties) -> Result<(), Repetitive> {
    dispatch!(isa, sort_with(bins: &Bins, keys: &mut [i64], ties: &mut Ties) -> Result<(), Repetitive>)
}

#[inline(always)]
fn sort_with<S: Simd>(simd: S, bins: &Bins, keys: &mut [i64], ties: &mut Ties) -> Result<(), Repetitive> {
    let mut result = Ok(());
    for range in bins.ranges() {
        let bin = &mut keys[range];
        sort_keys(simd, bin, NUMBER as u64, ties.scratch());
        let tied = bin.windows(2).fold(false, |tied, pair| tied | same_code(pair[0], pair[1]));
        if tied && result.is_ok() {
            result = ties.resolve(bin);
        }
    }
    result
}

/// Sorts keys, all different, by their code, which is what is above the bits of `index`; those of equal code come in any
/// order.
#[inline(always)]
pub(super) fn sort_keys<S: Simd>(simd: S, keys: &mut [i64], index: u64, scratch: &mut [i64]) {
    if keys.len() <= S::FEW {
        simd.sort_few_in_place(keys);
    } else if keys.len() > scratch.len() {
        keys.sort_unstable();
    } else if keys.len() < 512 {
        spread_parts::<S, 64>(simd, keys, index, scratch, |part, scratch| sort_part(simd, part, index, scratch));
    } else {
        spread_parts::<S, 2048>(simd, keys, index, scratch, |part, scratch| sort_part(simd, part, index, scratch));
    }
}

/// A part that the first pass left with many keys.
#[inline(always)]
fn sort_part<S: Simd>(simd: S, keys: &mut [i64], index: u64, scratch: &mut [i64]) {
    spread_parts::<S, 64>(simd, keys, index, scratch, |part, _| {
        if part.iter().any(|&key| (key ^ part[0]) as u64 > index) {
            part.sort_unstable();
        }
    });
}

/// One pass by as many bits, from the first that differs, that some four keys are left in each part: at most `PARTS` parts.
/// Small parts are sorted, the others by `many`, with as much scratch.
#[inline(always)]
fn spread_parts<S: Simd, const PARTS: usize>(
    simd: S,
    keys: &mut [i64],
    index: u64,
    scratch: &mut [i64],
    many: impl Fn(&mut [i64], &mut [i64]),
) {
    let first = keys[0];
    let differ = keys.iter().fold(0, |differ, key| differ | (key ^ first)) as u64;
    if differ <= index {
        return;
    }
    let bits = (keys.len().ilog2() - 2).min(PARTS.ilog2());
    let shift = (u64::BITS - differ.leading_zeros()).saturating_sub(bits);
    let part = |key: i64| ((key as u64 ^ SIGN) >> shift) as usize & ((1 << bits) - 1);
    let mut ends = [0u32; PARTS];
    let ends = &mut ends[..1 << bits];
    for &key in &*keys {
        ends[part(key)] += 1;
    }
    let mut start = 0;
    for end in &mut *ends {
        start += std::mem::replace(end, start);
    }
    let scratch = &mut scratch[..keys.len()];
    for &key in &*keys {
        let end = &mut ends[part(key)];
        scratch[*end as usize] = key;
        *end += 1;
    }
    let mut start = 0;
    for &end in &*ends {
        let end = end as usize;
        let (from, to) = (&mut scratch[start..end], &mut keys[start..end]);
        start = end;
        if from.len() <= S::FEW {
            simd.sort_few(from, to);
        } else {
            to.copy_from_slice(from);
            many(to, from);
        }
    }
}

#[inline(always)]
pub(super) fn same_code(a: i64, b: i64) -> bool {
    ((a ^ b) as u64) <= NUMBER as u64
}

#[inline(always)]
pub(super) fn number(key: i64) -> usize {
    key as usize & NUMBER
}

/// The key with another number.
#[inline(always)]
pub(super) fn with_number(key: i64, number: usize) -> i64 {
    (key & !(NUMBER as i64)) | number as i64
}

/// The key with the first bits of `code`.
#[inline(always)]
pub(super) fn with_code(key: i64, code: u64) -> i64 {
    (((code ^ SIGN) as usize & !NUMBER) | number(key)) as i64
}
