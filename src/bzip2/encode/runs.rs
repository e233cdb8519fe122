//! The first run-length coding: four equal bytes are followed by a count of 0 to 251 more (`add_pair_to_block` in
//! bzip2's `compress.c`).

use super::simd::{Isa, Simd, dispatch};

/// The longest run that one count holds.
const LONGEST: usize = 255;

/// Codes `raw` into `out`, which has room, and returns the length.
pub(super) fn encode(isa: Isa, raw: &[u8], out: &mut [u8]) -> usize {
    dispatch!(isa, encode_with(raw: &[u8], out: &mut [u8]) -> usize)
}

/// Length of the longest prefix of `raw` that is coded in at most `limit` bytes.
pub(super) fn fitting(isa: Isa, raw: &[u8], limit: usize) -> usize {
    // At worst each four bytes become five.
    if raw.len() + raw.len() / 4 <= limit {
        return raw.len();
    }
    dispatch!(isa, fitting_with(raw: &[u8], limit: usize) -> usize)
}

#[inline(always)]
fn encode_with<S: Simd>(simd: S, raw: &[u8], out: &mut [u8]) -> usize {
    let (mut from, mut len) = (0, 0);
    while let Some((start, end)) = next_run(simd, raw, from) {
        let mut plain = start;
        while end - plain >= 4 {
            let run = (end - plain).min(LONGEST);
            let upto = plain + 4;
            out[len..len + upto - from].copy_from_slice(&raw[from..upto]);
            len += upto - from;
            // At most 251.
            out[len] = (run - 4) as u8;
            len += 1;
            plain += run;
            from = plain;
        }
    }
    out[len..len + raw.len() - from].copy_from_slice(&raw[from..]);
    len + raw.len() - from
}

#[inline(always)]
fn fitting_with<S: Simd>(simd: S, raw: &[u8], limit: usize) -> usize {
    let (mut from, mut room) = (0, limit);
    while let Some((start, end)) = next_run(simd, raw, from) {
        if start - from >= room {
            return from + room;
        }
        room -= start - from;
        from = start;
        while end - from >= 4 {
            if room < 5 {
                return from + room.min(3);
            }
            room -= 5;
            from += (end - from).min(LONGEST);
        }
    }
    from + room.min(raw.len() - from)
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
