//! Move to front: each byte of the last column becomes its rank among the bytes by the time of their last use, runs of
//! rank 0 become numbers in the digits RUNA and RUNB (`generateMTFValues` in bzip2's `compress.c`).

use super::bits::BitWriter;
use super::simd::{Isa, Simd, dispatch};
use crate::{RUN_A, RUN_B};

/// Symbols that may occur: the ranks but 0, two digits and the end of the block.
pub(super) fn alphabet(used: &[bool; 256]) -> usize {
    used.iter().filter(|&&used| used).count() + 2
}

/// Writes the symbols of `column` with the end of the block and returns how many they are: at most one for each byte and
/// one. Behind them, `symbols` has room for eight more.
pub(super) fn encode(isa: Isa, used: &[bool; 256], column: &[u8], symbols: &mut [u16]) -> usize {
    let len = dispatch!(isa, encode_with(used: &[bool; 256], column: &[u8], symbols: &mut [u16]) -> usize);
    symbols[len] = alphabet(used) as u16 - 1;
    len + 1
}

/// The bytes used: which of the 16 sixteenths, then each of them.
pub(super) fn write_used(used: &[bool; 256], bits: &mut BitWriter) {
    let sixteenths = used.as_chunks::<16>().0;
    let word = |flags: &mut dyn Iterator<Item = bool>| flags.fold(0, |word, flag| (word << 1) | u64::from(flag));
    bits.put(word(&mut sixteenths.iter().map(|s| s.contains(&true))), 16);
    for sixteenth in sixteenths.iter().filter(|s| s.contains(&true)) {
        bits.put(word(&mut sixteenth.iter().copied()), 16);
    }
}

/// The move-to-front list behind its first sixteen bytes, eight to a word: one subtraction finds a byte among eight.
struct ListTail([u64; 30]);

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The list at the start of a block: first the bytes used, then the others, each in order.
fn list(used: &[bool; 256]) -> ([u8; 16], ListTail) {
    let all = |wanted| (0..=255u8).filter(move |&byte| used[usize::from(byte)] == wanted);
    let mut bytes = all(true).chain(all(false));
    let front = std::array::from_fn(|_| bytes.next().unwrap_or(0));
    let rest = std::array::from_fn(|_| u64::from_le_bytes(std::array::from_fn(|_| bytes.next().unwrap_or(0))));
    (front, ListTail(rest))
}

impl ListTail {
    /// The rank of a byte that is not among the first sixteen, whose last moves on into these.
    #[inline(always)]
    fn rank(&mut self, last: u8, byte: u8) -> usize {
        let (mut carried, wanted) = (u64::from(last), u64::from(byte) * ONES);
        let mut before = 16;
        for word in &mut self.0 {
            let next = *word >> 56;
            let (new, rank) = moved(*word, carried, wanted);
            *word = new;
            if let Some(rank) = rank {
                return before + rank;
            }
            carried = next;
            before += 8;
        }
        // Every byte is in the list.
        unreachable!()
    }
}

/// The word with `first` put before its bytes, of which the wanted one goes, or else the last; and where that was.
#[inline(always)]
pub(super) fn moved(word: u64, first: u64, wanted: u64) -> (u64, Option<usize>) {
    let x = word ^ wanted;
    // The lowest byte marked is the lowest that is zero.
    let found = x.wrapping_sub(ONES) & !x & HIGHS;
    let upto = found ^ found.wrapping_sub(1);
    let moved = (word << 8) | first;
    let rank = (found != 0).then(|| found.trailing_zeros() as usize / 8);
    // Without a mark, all bits are up to it.
    (word ^ ((word ^ moved) & upto), rank)
}

#[inline(always)]
fn encode_with<S: Simd>(simd: S, used: &[bool; 256], column: &[u8], symbols: &mut [u16]) -> usize {
    let (mut front, mut rest_of_list) = list(used);
    let mut len = 0;
    // A byte before the column, equal to the first of the list, begins the first run.
    let mut before = [front[0]; 64];
    let mut from = 0;
    for base in (0..column.len()).step_by(64) {
        let rest = &column[base..];
        let mut here = [0; 64];
        let starts = match rest.first_chunk() {
            Some(block) => {
                here = *block;
                u64::MAX
            }
            None => {
                here[..rest.len()].copy_from_slice(rest);
                !(u64::MAX << rest.len())
            }
        };
        if base > 0 {
            before = *column[base - 1..].first_chunk().unwrap_or(&before_of(column[base - 1], &here));
        } else {
            before = before_of(before[0], &here);
        }
        let mut starts = starts & !simd.equal(&before, &here);
        while starts != 0 {
            let k = starts.trailing_zeros() as usize;
            starts &= starts - 1;
            let at = base + k;
            len += run(at - from, &mut symbols[len..]);
            from = at + 1;
            let rank = simd
                .to_front(&mut front, here[k])
                .unwrap_or_else(|last| rest_of_list.rank(last, here[k]));
            symbols[len] = rank as u16 + 1;
            len += 1;
        }
    }
    len + run(column.len() - from, &mut symbols[len..])
}

/// The bytes before each of `here`.
fn before_of(first: u8, here: &[u8; 64]) -> [u8; 64] {
    std::array::from_fn(|k| if k == 0 { first } else { here[k - 1] })
}

/// Symbols that are written at a time.
const SLACK: usize = 8;

/// A run of rank 0: its length in digits 1 (RUNA) and 2 (RUNB) of base 2, the lowest first.
#[inline(always)]
fn run(length: usize, symbols: &mut [u16]) -> usize {
    let value = length + 1;
    let digits = value.ilog2() as usize;
    symbols[..SLACK].copy_from_slice(&DIGITS[value % 256]);
    if digits > SLACK {
        for (k, symbol) in symbols[SLACK..digits].iter_mut().enumerate() {
            *symbol = RUN_A + (value >> (SLACK + k) & 1) as u16;
        }
    }
    digits
}

/// The bits of a byte as digits.
static DIGITS: [[u16; SLACK]; 256] = {
    let mut digits = [[RUN_A; SLACK]; 256];
    let mut value = 0;
    while value < 256 {
        let mut k = 0;
        while k < SLACK {
            digits[value][k] += (value >> k & 1) as u16;
            k += 1;
        }
        value += 1;
    }
    digits
};
const _: () = assert!(RUN_B == RUN_A + 1);
