//! Sorting the rotations of type B*: spread over bins by their first two bytes, then each bin by its keys.

use super::super::simd::{Isa, Simd, dispatch};
use super::bins::Bins;
use super::induce::entry;
use super::key::{same_code, sort_keys, with_code};
use super::text::CyclicText;
use super::ties::{TieResolver, TooRepetitive};
use super::types::{NUMBER, StarSet};

/// Puts the key of each B* into its bin, and lists their entries in the order of the text.
pub(super) fn spread(isa: Isa, text: CyclicText, stars: &StarSet, bins: &mut Bins, windows: &[u64], keys: &mut [i64], entries: &mut [u32]) {
    dispatch!(isa, spread_with(text: CyclicText, stars: &StarSet, bins: &mut Bins, windows: &[u64], keys: &mut [i64], entries: &mut [u32]));
}

#[inline(always)]
fn spread_with<S: Simd>(_: S, text: CyclicText, stars: &StarSet, bins: &mut Bins, windows: &[u64], keys: &mut [i64], entries: &mut [u32]) {
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
pub(super) fn sort(isa: Isa, bins: &Bins, keys: &mut [i64], ties: &mut TieResolver) -> Result<(), TooRepetitive> {
    dispatch!(isa, sort_with(bins: &Bins, keys: &mut [i64], ties: &mut TieResolver) -> Result<(), TooRepetitive>)
}

#[inline(always)]
fn sort_with<S: Simd>(simd: S, bins: &Bins, keys: &mut [i64], ties: &mut TieResolver) -> Result<(), TooRepetitive> {
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
