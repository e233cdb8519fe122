//! The keys by which the B* are sorted: 44 bits of code and the number of the B* in the order of the text, so that no two
//! keys are equal.

use super::super::simd::Simd;
use super::types::{NUMBER, NUMBER_BITS};

/// Bits of code in a key.
pub(super) const KEY_BITS: u32 = 64 - NUMBER_BITS;
/// Keys are compared as signed numbers, which is what vectors can.
pub(super) const SIGN: u64 = 1 << 63;

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
