//! Which rotations are sorted: those of type B*. A rotation is of type L if it is greater than the next one around the
//! circle, otherwise of type S; it is B* if it is S and the next one L (Itoh and Tanaka's two-stage sort as in Mori's
//! divsufsort). The order of the B* gives that of all others.

use super::super::simd::{Isa, Simd, dispatch};
use super::text::CyclicText;
use crate::MAX_BLOCK_LEN;

/// Bits of the number of a B* in the order of the text. There are at most half as many as positions.
pub(super) const NUMBER_BITS: u32 = 20;
pub(super) const NUMBER: usize = (1 << NUMBER_BITS) - 1;
const _: () = assert!(MAX_BLOCK_LEN / 2 <= NUMBER);

const WORDS: usize = MAX_BLOCK_LEN.div_ceil(64) + 1;

/// The set of the B* positions.
pub(super) struct StarSet {
    /// A bit for each position.
    words: Vec<u64>,
    pub count: usize,
    /// By byte: positions of type S with the same byte next.
    pub equal_s: [u32; 256],
}

/// Where the circle may begin: behind a B*, so that no induction crosses the origin. None if all bytes are equal.
pub(super) fn begin(block: &[u8]) -> Option<usize> {
    let n = block.len();
    // Twice around: the first ascent may be the one across the end, and its descent far behind it.
    let mut ascent = None;
    for at in 0..2 * n {
        let (here, next) = (block[at % n], block[(at + 1) % n]);
        if here < next {
            ascent = Some(at + 1);
        } else if here > next
            && let Some(ascent) = ascent
        {
            return Some(ascent % n);
        }
    }
    None
}

impl StarSet {
    pub(super) fn new() -> Self {
        Self {
            words: vec![0; WORDS],
            count: 0,
            equal_s: [0; 256],
        }
    }

    pub(super) fn find(&mut self, isa: Isa, text: CyclicText) {
        let stars = self;
        dispatch!(isa, find_with(text: CyclicText, stars: &mut StarSet));
    }

    #[inline(always)]
    fn find_with<S: Simd>(&mut self, simd: S, text: CyclicText) {
        self.equal_s = [0; 256];
        let words = text.n.div_ceil(64);
        // Positions descend, as types follow from the next one; bit 0 of the carry is the type of the next position, L at
        // the end as at the beginning.
        let mut next_l = 1;
        for w in (0..words).rev() {
            let window = text.window::<65>(64 * w);
            let (Some(here), Some(next)) = (window.first_chunk(), window.last_chunk()) else {
                unreachable!()
            };
            let (mut greater, mut equal) = (simd.greater(here, next), simd.equal(here, next));
            let rest = text.n - 64 * w;
            if rest < 64 {
                greater |= u64::MAX << rest;
                equal &= !(u64::MAX << rest);
            }
            let (greater, equal) = (greater.reverse_bits(), equal.reverse_bits());
            // L runs on through equal bytes: a carry clears them.
            let behind_l = ((greater << 1) | next_l) & equal;
            let l = greater | (equal & !equal.wrapping_add(behind_l));
            self.words[w] = (!l & ((l << 1) | next_l)).reverse_bits();
            next_l = l >> 63;
            let mut equal_s = (equal & !l).reverse_bits();
            while equal_s != 0 {
                self.equal_s[usize::from(here[equal_s.trailing_zeros() as usize])] += 1;
                equal_s &= equal_s - 1;
            }
        }
        self.count = self.words[..words].iter().map(|word| word.count_ones() as usize).sum();
    }

    pub(super) fn contains(&self, position: usize) -> bool {
        self.words[position / 64] >> (position % 64) & 1 == 1
    }

    /// How far behind the B* at `start` the last B* is that the `known` bytes from `start` on are sure to show: every rotation
    /// with the same bytes has one there.
    pub(super) fn step(&self, text: CyclicText, start: usize, known: usize) -> Option<usize> {
        // Types before a descent are determined, and a B* is a position of type S before one of type L.
        let descends = |at: &usize| {
            let pair = text.pair(text.wrap(start + at));
            pair >> 8 > pair & 0xFF
        };
        let descent = (1..known.min(text.n) - 1).rev().find(descends)?;
        (1..descent).rev().find(|at| self.contains(text.wrap(start + at)))
    }

    /// The set's word of the positions from `64 * index` on.
    #[inline(always)]
    pub(super) fn word(&self, index: usize) -> u64 {
        self.words[index]
    }
}

#[inline(always)]
fn find_with<S: Simd>(simd: S, text: CyclicText, stars: &mut StarSet) {
    stars.find_with(simd, text);
}
