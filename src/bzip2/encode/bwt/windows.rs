//! What is known of each B* in the order of the text: where it is, the code behind it, and how much of that lies before the
//! next B*.

use super::super::simd::{Isa, Simd, dispatch};
use super::order::{Order, WINDOW_BITS};
use super::sort::Bins;
use super::text::{Circle, POSITION};
use super::types::Stars;

/// A step goes over no more B* than this.
const LONGEST_STEP: usize = 64;
/// Steps are first counted by so many gaps without a branch.
const GAPS: usize = 8;

/// Memory for the bits of code between each B* and the next: 255 for more.
pub(super) struct Gaps(Vec<u8>);

impl Gaps {
    pub fn new(block: usize) -> Self {
        Self(vec![0; block / 2 + LONGEST_STEP])
    }
}

/// The B* by number.
#[derive(Clone, Copy)]
pub(super) struct Windows<'a> {
    /// Code from the third byte on.
    pub codes: &'a [u64],
    pub gaps: &'a [u8],
    /// Position and the byte before.
    pub entries: &'a [u32],
}

impl Windows<'_> {
    #[inline(always)]
    pub fn position(&self, number: usize) -> usize {
        self.entries[number] as usize & POSITION
    }

    /// The bits of code of a B*, at the low end.
    #[inline(always)]
    pub fn code(&self, number: usize) -> u64 {
        self.codes[number] >> (u64::BITS - WINDOW_BITS)
    }

    /// A number less than twice around.
    #[inline(always)]
    pub fn wrap(&self, number: usize) -> usize {
        let count = self.codes.len();
        if number >= count { number - count } else { number }
    }

    /// How many B* farther the bytes that `bits` of code behind a B* determine are sure to show one: every rotation with
    /// the same bytes has as many there. None if this cannot be told from the gaps.
    #[inline(always)]
    pub fn step(&self, number: usize, bits: u32) -> Option<usize> {
        let gaps: &[u8; LONGEST_STEP] = self.gaps[number..].first_chunk().unwrap_or_else(|| unreachable!());
        // B* whose first two bytes are known. What descends behind one before the last of them makes it a B*.
        let (mut sum, mut known) = (0, 0);
        for &gap in &gaps[..GAPS] {
            sum += u32::from(gap);
            known += usize::from(sum <= bits);
        }
        if known == GAPS {
            for &gap in &gaps[GAPS..] {
                sum += u32::from(gap);
                if sum > bits {
                    break;
                }
                known += 1;
            }
        }
        (known > 1).then(|| known - 1)
    }
}

/// Writes the code and the gap of each B*, and counts the bins. `window` is that of position 0.
pub(super) fn find<'a>(
    isa: Isa,
    text: Circle,
    stars: &Stars,
    order: &Order,
    window: u64,
    bins: &mut Bins,
    codes: &mut [u64],
    gaps: &'a mut Gaps,
) -> &'a [u8] {
    let count = stars.count;
    let gaps = &mut gaps.0[..count + LONGEST_STEP];
    dispatch!(isa, find_with(text: Circle, stars: &Stars, order: &Order, window: u64, bins: &mut Bins, codes: &mut [u64], gaps: &mut [u8]));
    for k in 0..LONGEST_STEP {
        gaps[count + k] = gaps[k];
    }
    gaps
}

#[inline(always)]
fn find_with<S: Simd>(
    _: S,
    text: Circle,
    stars: &Stars,
    order: &Order,
    mut window: u64,
    bins: &mut Bins,
    codes: &mut [u64],
    gaps: &mut [u8],
) {
    let table = order.codes();
    let counts = bins.ends();
    counts.fill(0);
    let (mut windows, mut left) = ([0u64; 64], [0u32; 64]);
    // Bits of code up to the end, here and at the B* behind.
    let (mut bits, mut bits_behind) = (0u32, 0u32);
    let mut next = codes.len();
    for index in (0..text.n.div_ceil(64)).rev() {
        let base = 64 * index;
        // What is behind the pair at base + k.
        let pairs = text.window::<65>(base);
        let mut code_back = |k: usize| {
            windows[k] = window;
            left[k] = bits;
            let code = table[usize::from(u16::from_be_bytes([pairs[k], pairs[k + 1]]))];
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
        for (code, gap) in codes[from..next].iter_mut().zip(&mut gaps[from..next]).rev() {
            let k = 63 - word.leading_zeros() as usize % 64;
            word ^= 1 << k;
            *code = windows[k];
            *gap = (left[k] - bits_behind).min(255) as u8;
            bits_behind = left[k];
            counts[usize::from(u16::from_be_bytes([pairs[k], pairs[k + 1]]))] += 1;
        }
        next = from;
    }
    // Behind the last the first comes again.
    if let Some(last) = codes.len().checked_sub(1) {
        gaps[last] = (u32::from(gaps[last]) + bits - bits_behind).min(255) as u8;
    }
}
