//! What was read of a file and is still needed.

use super::parallel::PIECE;

/// The part of the file that is still needed. Places in the file are in bits.
#[derive(Default)]
pub(super) struct Input {
    pub bytes: Vec<u8>,
    /// The place of the first of them.
    start: u64,
}

impl Input {
    pub(super) fn end(&self) -> u64 {
        self.global(self.bytes.len() * 8)
    }

    pub(super) fn local(&self, place: u64) -> usize {
        (place - self.start) as usize
    }

    pub(super) fn global(&self, bit: usize) -> u64 {
        self.start + bit as u64
    }

    /// Drops what lies before `place`, once it is enough to be worth the copying of the rest.
    pub(super) fn forget(&mut self, place: u64) {
        let dead = self.local(place) / 8;
        if dead >= PIECE && dead >= self.bytes.len() / 2 {
            self.bytes.drain(..dead);
            self.start += dead as u64 * 8;
        }
    }
}
