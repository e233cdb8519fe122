//! What is known of each B* in the order of the text: where it is, the code behind it, and how much code there is to the
//! next B*, its gap.

use super::super::simd::{Isa, Simd, dispatch};
use super::bins::Bins;
use super::order::{Order, WINDOW_BITS};
use super::text::{CyclicText, POSITION};
use super::types::StarSet;

/// A step goes over no more B* than this.
const LONGEST_STEP: usize = 64;
/// Steps are first counted by so many gaps without a branch.
const GAPS: usize = 8;

/// A gap of so many bits or more, which is more than a step goes.
const GAP: u64 = (1 << (u64::BITS - WINDOW_BITS)) - 1;
const _: () = assert!(GAP > WINDOW_BITS as u64);

/// Words for the windows of a block: at most every other position is a B*, and behind the last the first come again.
pub(super) const fn room(block: usize) -> usize {
    block / 2 + LONGEST_STEP
}

/// The B* by number.
#[derive(Clone, Copy)]
pub(super) struct Windows<'a> {
    /// Code from the third byte on, and the gap in the low bits; behind them the first ones again.
    pub codes: &'a [u64],
    pub count: usize,
    /// Position and the byte before.
    pub entries: &'a [u32],
}

impl Windows<'_> {
    #[inline(always)]
    pub(super) fn position(&self, number: usize) -> usize {
        self.entries[number] as usize & POSITION
    }

    /// The number of the B* at a position.
    pub(super) fn number(&self, position: usize) -> usize {
        self.entries.partition_point(|&entry| (entry as usize & POSITION) < position)
    }

    /// The bits of code of a B*, at the low end.
    #[inline(always)]
    pub(super) fn code(&self, number: usize) -> u64 {
        self.codes[number] >> (u64::BITS - WINDOW_BITS)
    }

    /// A number less than twice around.
    #[inline(always)]
    pub(super) fn wrap(&self, number: usize) -> usize {
        if number >= self.count { number - self.count } else { number }
    }

    /// How many B* farther the bytes that `bits` of code behind a B* determine are sure to show one: every rotation with
    /// the same bytes has as many there. None if this cannot be told from the gaps.
    #[inline(always)]
    pub(super) fn step(&self, number: usize, bits: u32) -> Option<usize> {
        let windows: &[u64; LONGEST_STEP] = self.codes[number..].first_chunk().unwrap_or_else(|| unreachable!());
        // B* whose first two bytes are known. What descends behind one before the last of them makes it a B*.
        let (mut sum, mut known) = (0, 0);
        for window in &windows[..GAPS] {
            sum += (window & GAP) as u32;
            known += usize::from(sum <= bits);
        }
        if known == GAPS {
            for window in &windows[GAPS..] {
                sum += (window & GAP) as u32;
                if sum > bits {
                    break;
                }
                known += 1;
            }
        }
        (known > 1).then(|| known - 1)
    }
}

/// Writes the code and the gap of each B* and counts the bins, which are empty before. `window` is that of position 0.
pub(super) fn find(isa: Isa, text: CyclicText, stars: &StarSet, order: &Order, window: u64, bins: &mut Bins, codes: &mut [u64]) {
    dispatch!(isa, find_with(text: CyclicText, stars: &StarSet, order: &Order, window: u64, bins: &mut Bins, codes: &mut [u64]));
    for k in 0..LONGEST_STEP {
        codes[stars.count + k] = codes[k];
    }
}

#[inline(always)]
fn find_with<S: Simd>(_: S, text: CyclicText, stars: &StarSet, order: &Order, mut window: u64, bins: &mut Bins, codes: &mut [u64]) {
    let codes_of = order.codes();
    let counts = bins.ends();
    let (mut windows, mut left) = ([0u64; 64], [0u32; 64]);
    // Bits of code up to the end, here and at the B* behind.
    let (mut bits, mut bits_behind) = (0u32, 0u32);
    let mut next = stars.count;
    for index in (0..text.n.div_ceil(64)).rev() {
        let base = 64 * index;
        // What is behind the pair at base + k.
        let bytes = text.window_before::<66>(base);
        let mut code_back = |k: usize| {
            windows[k] = window;
            left[k] = bits;
            let code = codes_of(&[bytes[k], bytes[k + 1], bytes[k + 2]]);
            window = Order::before(window, code);
            bits += Order::code_length(code);
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
        let from = next - word.count_ones() as usize;
        for slot in codes[from..next].iter_mut().rev() {
            let k = 63 - word.leading_zeros() as usize % 64;
            word ^= 1 << k;
            *slot = with_gap(windows[k], left[k] - bits_behind);
            bits_behind = left[k];
            counts[usize::from(u16::from_be_bytes([bytes[k + 1], bytes[k + 2]]))] += 1;
        }
        next = from;
    }
    // Behind the last the first comes again.
    if let Some(last) = stars.count.checked_sub(1) {
        codes[last] = with_gap(codes[last], (codes[last] & GAP) as u32 + bits - bits_behind);
    }
}

#[inline(always)]
fn with_gap(code: u64, gap: u32) -> u64 {
    (code & !GAP) | u64::from(gap).min(GAP)
}
