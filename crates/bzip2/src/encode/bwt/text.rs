//! The block as a circle.

use crate::MAX_BLOCK_LEN;

/// Bits of a position.
pub(super) const POSITION_BITS: u32 = 20;
pub(super) const POSITION: usize = (1 << POSITION_BITS) - 1;
const _: () = assert!(MAX_BLOCK_LEN <= POSITION);

/// Bytes before the first that hold the last ones again.
const LEAD: usize = 16;
/// Bytes behind the last that hold the first ones again: a vector and a word may read so far.
const TRAIL: usize = 80;
/// As far as the origin moves by moving the view; farther, the bytes move.
const SHIFT: usize = 1 << 12;
const VIEW: usize = LEAD + (1 << POSITION_BITS) + TRAIL;

/// The block after run-length coding.
pub(in super::super) struct Text {
    bytes: Vec<u8>,
    block: usize,
}

/// The block rotated. An index needs no check: every position of 20 bits is inside.
#[derive(Clone, Copy)]
pub(super) struct CyclicText<'a> {
    view: &'a [u8; VIEW],
    pub n: usize,
}

impl Text {
    pub(crate) fn new(block: usize) -> Self {
        Self {
            bytes: vec![0; SHIFT + VIEW],
            block,
        }
    }

    /// Where the block is to be written.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[LEAD..][..self.block]
    }

    /// The block of `n` bytes.
    pub(super) fn block(&mut self, n: usize) -> &mut [u8] {
        &mut self.bytes[LEAD..][..n]
    }

    /// The block of `n` bytes as it stands rotated to `start` by [`circle`](Self::circle).
    pub(super) fn rotated(&mut self, n: usize, start: usize) -> &mut [u8] {
        let start = if start > SHIFT { 0 } else { start };
        &mut self.bytes[LEAD + start..][..n]
    }

    /// The block as a circle that begins at `start`.
    pub(super) fn circle(&mut self, n: usize, mut start: usize) -> CyclicText<'_> {
        if start > SHIFT {
            self.block(n).rotate_left(start);
            start = 0;
        }
        let first = LEAD + start;
        self.bytes.copy_within(LEAD..first, LEAD + n);
        for k in 0..TRAIL {
            self.bytes[first + n + k] = self.bytes[first + k];
        }
        for k in 1..=LEAD {
            // From the end on, so that a short block is repeated whole.
            self.bytes[first - k] = self.bytes[first - k + n];
        }
        let view = self.bytes[start..].first_chunk();
        CyclicText {
            // The buffer is longer than a view by SHIFT.
            view: view.unwrap_or_else(|| unreachable!()),
            n,
        }
    }
}

impl<'a> CyclicText<'a> {
    /// The block itself.
    pub(super) fn block(self) -> &'a [u8] {
        &self.view[LEAD..][..self.n]
    }

    /// The byte at `position`.
    #[inline(always)]
    pub(super) fn at(self, position: usize) -> u8 {
        self.view[LEAD + (position & POSITION)]
    }

    /// The byte two before `position`.
    #[inline(always)]
    pub(super) fn before_that(self, position: usize) -> u8 {
        self.view[LEAD - 2 + (position & POSITION)]
    }

    /// The two bytes at `position` as the index of a pair.
    #[inline(always)]
    pub(super) fn pair(self, position: usize) -> usize {
        let at = LEAD + (position & POSITION);
        usize::from(u16::from_be_bytes([self.view[at], self.view[at + 1]]))
    }

    /// Eight bytes, to be compared as text.
    #[inline(always)]
    pub(super) fn word(self, position: usize) -> u64 {
        let at = LEAD + (position & POSITION);
        u64::from_be_bytes(self.view[at..at + 8].try_into().unwrap_or_default())
    }

    /// `N` bytes.
    #[inline(always)]
    pub(super) fn window<const N: usize>(self, position: usize) -> &'a [u8; N] {
        self.view[LEAD + position..].first_chunk().unwrap_or_else(|| unreachable!())
    }

    /// `N` bytes from the one before `position` on.
    #[inline(always)]
    pub(super) fn window_before<const N: usize>(self, position: usize) -> &'a [u8; N] {
        self.view[LEAD - 1 + position..].first_chunk().unwrap_or_else(|| unreachable!())
    }

    /// A position less than twice around.
    #[inline(always)]
    pub(super) fn wrap(self, position: usize) -> usize {
        if position >= self.n { position - self.n } else { position }
    }
}
