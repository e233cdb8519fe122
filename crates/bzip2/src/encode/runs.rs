//! The first run-length coding: four equal bytes are followed by a count of 0 to 251 more (`add_pair_to_block` in
//! bzip2's `compress.c`).

use super::simd::{Isa, Simd, dispatch};

/// The longest run that one count holds.
const LONGEST: usize = 255;

/// Appends the code of `raw` to `out`, as far as that stays within `limit` bytes, and returns how much of `raw` that is.
/// A run at its end counts as ended: a caller with more to come keeps it back ([`open`]).
pub(super) fn encode(isa: Isa, raw: &[u8], limit: usize, out: &mut Vec<u8>) -> usize {
    dispatch!(isa, encode_with(raw: &[u8], limit: usize, out: &mut Vec<u8>) -> usize)
}

/// Length of the run at the end of `raw` that may go on, without those that have one count to themselves.
pub(super) fn open(raw: &[u8]) -> usize {
    let Some(&last) = raw.last() else { return 0 };
    raw.iter().rev().take_while(|&&byte| byte == last).count() % LONGEST
}

#[inline(always)]
fn encode_with<S: Simd>(simd: S, raw: &[u8], limit: usize, out: &mut Vec<u8>) -> usize {
    let mut from = 0;
    loop {
        let (start, end) = next_run(simd, raw, from).unwrap_or((raw.len(), raw.len()));
        let plain = (start - from).min(limit - out.len());
        out.extend_from_slice(&raw[from..from + plain]);
        from += plain;
        if from < start || start == raw.len() {
            return from;
        }
        while end - from >= 4 {
            let room = limit - out.len();
            if room < 5 {
                // Three equal bytes need no count.
                let few = room.min(3);
                out.extend_from_slice(&raw[from..from + few]);
                return from + few;
            }
            let run = (end - from).min(LONGEST);
            // At most 251.
            out.extend_from_slice(&[raw[from], raw[from], raw[from], raw[from], (run - 4) as u8]);
            from += run;
        }
    }
}

/// The first four or more equal bytes at or after `from`: where they begin and end.
#[inline(always)]
fn next_run<S: Simd>(simd: S, raw: &[u8], mut from: usize) -> Option<(usize, usize)> {
    loop {
        match raw[from..].first_chunk::<65>() {
            Some(window) => {
                let pairs = equal_to_next(simd, window);
                let fours = pairs & (pairs >> 1) & (pairs >> 2);
                if fours != 0 {
                    let start = from + fours.trailing_zeros() as usize;
                    return Some((start, run_end(simd, raw, start)));
                }
                // A run may begin with the last two pairs.
                from += 62;
            }
            None => {
                let start = from + raw[from..].windows(4).position(|w| w == [w[0]; 4])?;
                return Some((start, run_end(simd, raw, start)));
            }
        }
    }
}

#[inline(always)]
fn run_end<S: Simd>(simd: S, raw: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(window) = raw[at..].first_chunk::<65>() {
        let pairs = equal_to_next(simd, window);
        if pairs != u64::MAX {
            return at + pairs.trailing_ones() as usize + 1;
        }
        at += 64;
    }
    at + raw[at..].iter().take_while(|&&byte| byte == raw[start]).count()
}

#[inline(always)]
fn equal_to_next<S: Simd>(simd: S, window: &[u8; 65]) -> u64 {
    let (Some(here), Some(next)) = (window.first_chunk(), window.last_chunk()) else {
        unreachable!()
    };
    simd.equal(here, next)
}
