//! Bits to bytes, the highest first, as the format has them.

use crate::GROUP_LEN;

/// Appends to a `Vec` through a 64-bit window.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    /// The last `held` bits are yet to be written.
    window: u64,
    held: u32,
    start: usize,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        Self {
            out,
            window: 0,
            held: 0,
            start,
        }
    }

    /// At most 32 bits, none set above them.
    #[inline(always)]
    pub(super) fn put(&mut self, bits: u64, count: u32) {
        debug_assert!(count <= 32 && bits >> count == 0);
        self.window = (self.window << count) | bits;
        self.held += count;
        if self.held >= 32 {
            self.held -= 32;
            let word = (self.window >> self.held) as u32;
            self.out.extend_from_slice(&word.to_be_bytes());
        }
    }

    /// At most [`GROUP_LEN`] codes of at most 17 bits, each as `code << 8 | length`.
    #[inline(always)]
    pub(super) fn put_codes(&mut self, codes: impl ExactSizeIterator<Item = u32>) {
        const MOST: usize = (GROUP_LEN * 17 + 32).div_ceil(8);
        let mut bytes = [0u8; MOST + 8];
        let mut len = 0;
        let (mut window, mut held) = (self.window, self.held);
        let mut codes = codes;
        loop {
            // Three codes behind less than 8 bits are less than a word; the first time two.
            let mut some = false;
            for _ in 0..if held < 8 { 3 } else { 1 } {
                if let Some(code) = codes.next() {
                    window = (window << (code & 0xFF)) | u64::from(code >> 8);
                    held += code & 0xFF;
                    some = true;
                }
            }
            if !some {
                break;
            }
            bytes[len % MOST..][..8].copy_from_slice(&(window << (64 - held)).to_be_bytes());
            len += held as usize / 8;
            held %= 8;
        }
        self.window = window;
        self.held = held;
        self.out.extend_from_slice(&bytes[..len.min(MOST)]);
    }

    /// Bits written so far.
    pub(super) fn len(&self) -> u64 {
        (self.out.len() - self.start) as u64 * 8 + u64::from(self.held)
    }

    /// Fills the last byte with zeros.
    pub(super) fn finish(self) -> u64 {
        let bits = self.len();
        let whole = (self.window << (32 - self.held)) as u32;
        self.out.extend_from_slice(&whole.to_be_bytes()[..self.held.div_ceil(8) as usize]);
        bits
    }
}
