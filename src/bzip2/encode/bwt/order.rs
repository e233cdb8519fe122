//! An order-preserving code of the text: each byte in the context of the one before gets an alphabetical prefix code, so
//! that comparing codes is comparing text, and a word of code covers two to three times as many bytes as a word of text.

use super::text::Circle;

/// For each pair of bytes, the code of the second behind the first: its bits highest first, the length in the low
/// [`LENGTH_BITS`].
pub(super) struct Order {
    codes: Vec<u64>,
}

/// Enough for a length. No code is longer than about 1.5 times the 20 bits of a count.
const LENGTH_BITS: u32 = 6;
/// Bits of a [window](Order::before) that are code.
pub(super) const WINDOW_BITS: u32 = 64 - LENGTH_BITS;

impl Order {
    pub fn new() -> Self {
        Self { codes: vec![0; 1 << 16] }
    }

    /// From the counts of all pairs.
    pub fn build(&mut self, counts: &[u32; 1 << 16]) {
        for (codes, counts) in self.codes.chunks_exact_mut(256).zip(counts.as_chunks::<256>().0) {
            let mut bytes = [0u8; 256];
            // sums[k]: weight of the bytes before the k-th.
            let mut sums = [0u32; 257];
            let mut len = 0;
            for (byte, &count) in counts.iter().enumerate() {
                if count > 0 {
                    bytes[len] = byte as u8;
                    sums[len + 1] = sums[len] + count;
                    len += 1;
                }
            }
            if len > 0 {
                split(&bytes[..len], &sums[..=len], 0, 0, codes);
            }
        }
    }

    /// The window of the position before, given that of the position behind and the code of the pair between.
    #[inline(always)]
    pub fn before(window: u64, code: u64) -> u64 {
        // The length's own bits spoil only bits below WINDOW_BITS: whatever is shifted comes from there.
        window.wrapping_shr(code as u32) | code
    }

    /// Bits of a code.
    #[inline(always)]
    pub fn code_length(code: u64) -> u32 {
        code as u32 & ((1 << LENGTH_BITS) - 1)
    }

    pub fn codes(&self) -> &[u64; 1 << 16] {
        self.codes.first_chunk().unwrap_or_else(|| unreachable!())
    }

    /// Bits of the code of `pair`'s second byte.
    #[inline(always)]
    pub fn length(&self, pair: usize) -> u32 {
        Self::code_length(self.codes[pair])
    }

    /// The window at position 0, which is also that behind the last: none if once around gives fewer bits than it has.
    pub fn window_at_start(&self, text: Circle) -> Option<u64> {
        let (mut bits, mut end) = (0, 0);
        while bits < u64::BITS {
            if end == text.n {
                return None;
            }
            bits += self.length(text.pair(end));
            end += 1;
        }
        Some((0..end).rev().fold(0, |window, at| Self::before(window, self.codes[text.pair(at)])))
    }
}

/// Gives the bytes codes that begin with `code` of `length` bits: halves of the most even weight get 0 and 1 next.
fn split(bytes: &[u8], sums: &[u32], code: u64, length: u32, codes: &mut [u64]) {
    if let [byte] = bytes {
        let high = if length == 0 { 0 } else { code << (64 - length) };
        codes[usize::from(*byte)] = high | u64::from(length);
        return;
    }
    let (first, last) = (sums[0], sums[bytes.len()]);
    let half = first + (last - first) / 2;
    let mut middle = sums[..bytes.len()].partition_point(|&sum| sum <= half).clamp(1, bytes.len() - 1);
    if middle > 1 && half.abs_diff(sums[middle - 1]) < half.abs_diff(sums[middle]) {
        middle -= 1;
    }
    split(&bytes[..middle], &sums[..=middle], code << 1, length + 1, codes);
    split(&bytes[middle..], &sums[middle..], (code << 1) | 1, length + 1, codes);
}
