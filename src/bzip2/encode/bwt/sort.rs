//! Sorting the rotations of type B*: spread over bins by their first two bytes, then each bin by keys of 44 bits of code
//! and the position, so that no two keys are equal.

use super::super::simd::{Isa, Simd, dispatch};
use super::order::Order;
use super::text::{Circle, POSITION, POSITION_BITS};
use super::ties::{Repetitive, Ties};
use super::types::Stars;

/// Bits of code in a key.
pub(super) const KEY_BITS: u32 = 64 - POSITION_BITS;
/// Keys are compared as signed numbers, which is what vectors can.
pub(super) const SIGN: u64 = 1 << 63;

/// By pair of first bytes: how many B* there are, then where the next key goes, and in the end where the bin ends.
pub(super) struct Bins {
    ends: Vec<u32>,
}

impl Bins {
    pub fn new() -> Self {
        Self { ends: vec![0; 1 << 16] }
    }

    fn ends(&mut self) -> &mut [u32; 1 << 16] {
        self.ends.first_chunk_mut().unwrap_or_else(|| unreachable!())
    }

    /// Where the keys of each bin are that has any.
    pub fn ranges(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let mut start = 0;
        self.ends.iter().filter_map(move |&end| {
            let range = start..end as usize;
            start = range.end;
            (!range.is_empty()).then_some(range)
        })
    }

    /// Number of B* that begin with `pair`.
    pub fn count(&self, pair: usize) -> usize {
        let start = if pair == 0 { 0 } else { self.ends[pair - 1] };
        (self.ends[pair] - start) as usize
    }
}

/// Writes the window of each B*, the code from its second byte on, in the order of the text, and counts the bins. `window`
/// is that of position 0.
pub(super) fn windows(isa: Isa, text: Circle, stars: &Stars, order: &Order, window: u64, bins: &mut Bins, windows: &mut [u64]) {
    dispatch!(isa, windows_with(text: Circle, stars: &Stars, order: &Order, window: u64, bins: &mut Bins, windows: &mut [u64]));
}

#[inline(always)]
fn windows_with<S: Simd>(_: S, text: Circle, stars: &Stars, order: &Order, mut window: u64, bins: &mut Bins, windows: &mut [u64]) {
    let codes = order.codes();
    let counts = bins.ends();
    counts.fill(0);
    let mut rest = windows;
    let mut at = [0u64; 64];
    for index in (0..text.n.div_ceil(64)).rev() {
        let base = 64 * index;
        // at[k]: of position base + k + 1.
        let pairs = text.window::<65>(base);
        let mut code_back = |k: usize| {
            at[k] = window;
            window = Order::before(codes, window, usize::from(u16::from_be_bytes([pairs[k], pairs[k + 1]])));
        };
        if text.n - base >= 64 {
            for k in (0..64).rev() {
                code_back(k);
            }
        } else {
            for k in (0..text.n - base).rev() {
                code_back(k);
            }
        }
        let mut word = stars.word(index);
        let here;
        (rest, here) = rest.split_at_mut(rest.len() - word.count_ones() as usize);
        for slot in here {
            let k = word.trailing_zeros() as usize % 64;
            word &= word - 1;
            *slot = at[k];
            counts[usize::from(u16::from_be_bytes([pairs[k], pairs[k + 1]]))] += 1;
        }
    }
}

/// Puts the key of each B* into its bin.
pub(super) fn spread(isa: Isa, text: Circle, stars: &Stars, bins: &mut Bins, windows: &[u64], keys: &mut [i64]) {
    dispatch!(isa, spread_with(text: Circle, stars: &Stars, bins: &mut Bins, windows: &[u64], keys: &mut [i64]));
}

#[inline(always)]
fn spread_with<S: Simd>(_: S, text: Circle, stars: &Stars, bins: &mut Bins, windows: &[u64], keys: &mut [i64]) {
    let ends = bins.ends();
    let mut start = 0;
    for end in &mut *ends {
        start += std::mem::replace(end, start);
    }
    let mut rest = windows;
    for index in 0..text.n.div_ceil(64) {
        let mut word = stars.word(index);
        let base = 64 * index;
        let pairs = text.window::<65>(base);
        let here;
        (here, rest) = rest.split_at(word.count_ones() as usize);
        for &window in here {
            let k = word.trailing_zeros() as usize % 64;
            word &= word - 1;
            let end = &mut ends[usize::from(u16::from_be_bytes([pairs[k], pairs[k + 1]]))];
            keys[*end as usize] = with_code((base + k) as i64, window);
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
        sort_keys(simd, bin, POSITION as u64, ties.scratch());
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
    ((a ^ b) as u64) <= POSITION as u64
}

#[inline(always)]
pub(super) fn position(key: i64) -> usize {
    key as usize & POSITION
}

/// The key with another position.
#[inline(always)]
pub(super) fn with_position(key: i64, position: usize) -> i64 {
    (key & !(POSITION as i64)) | position as i64
}

/// The key with the first bits of `code`.
#[inline(always)]
pub(super) fn with_code(key: i64, code: u64) -> i64 {
    (((code ^ SIGN) as usize & !POSITION) | position(key)) as i64
}
