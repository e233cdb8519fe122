//! An order-preserving code of the text: each byte in the context of those before gets an alphabetical prefix code, so that
//! comparing codes is comparing text, and a word of code covers three times as many bytes as a word of text.
//!
//! The context is the byte before, and behind the most frequent pairs both bytes of them: any that belongs to what two
//! rotations have in common will do.

use super::text::CyclicText;

/// Entries of the table. A row of it has 256, or 128 where all bytes are ASCII, and there are the more of them.
const TABLE: usize = 1 << 17;
/// One of so many pairs of the text is looked at to find them: a prime, as rows of a table are often as long as others.
const SAMPLE: usize = 61;
/// A pair that is rarer in the sample has not enough to tell.
const LEAST: u32 = 8;

/// A row of the table for each context.
pub(super) struct Order {
    /// By pair of bytes: the row of what follows. From `known` on they were never needed.
    rows: Vec<u16>,
    known: usize,
    /// The pairs that have rows of their own, behind those of single bytes, which the other pairs share.
    pairs: Vec<u16>,
    /// Bits of a byte.
    byte_bits: u32,
    /// First counts, then codes: in the low [`CODE_BITS`] the bits of the code, the first of them highest, and above them
    /// their number.
    table: Vec<u32>,
}

/// Bits of a code in the table, at most.
const CODE_BITS: u32 = 26;
/// Enough for a length.
const LENGTH_BITS: u32 = 6;
const _: () = assert!(CODE_BITS + LENGTH_BITS == u32::BITS);
/// Bits of a [window](Order::before) that are code.
pub(super) const WINDOW_BITS: u32 = u64::BITS - LENGTH_BITS;

impl Order {
    pub(super) fn new() -> Self {
        Self {
            rows: vec![0; 1 << 16],
            known: 0,
            pairs: Vec::new(),
            byte_bits: u8::BITS,
            table: vec![0; TABLE],
        }
    }

    /// How many rows the bytes have, and the pairs behind them.
    fn rows(&self) -> (usize, usize) {
        (1 << self.byte_bits, self.pairs.len())
    }

    /// What follows each context.
    fn contexts(&mut self) -> std::slice::ChunksExactMut<'_, u32> {
        let (bytes, pairs) = self.rows();
        self.table[..(bytes + pairs) << self.byte_bits].chunks_exact_mut(1 << self.byte_bits)
    }

    /// Counts what follows each context, and in `pairs` how often each pair occurs, which are zero before.
    pub(super) fn count(&mut self, text: CyclicText, pairs: &mut [u32; 1 << 16]) {
        self.byte_bits = if text.block().is_ascii() { 7 } else { 8 };
        for pair in self.known..1 << (8 + self.byte_bits) {
            self.rows[pair] = pair as u16 & 0xFF;
            self.known = pair + 1;
        }
        self.choose(text, pairs);
        self.contexts().for_each(|context| context.fill(0));
        let rows: &[u16; 1 << 16] = self.rows.first_chunk().unwrap_or_else(|| unreachable!());
        let table: &mut [u32; TABLE] = self.table.first_chunk_mut().unwrap_or_else(|| unreachable!());
        let bits = self.byte_bits;
        let mut count = |pair: usize, next: usize| table[(usize::from(rows[pair]) << bits | next) % TABLE] += 1;
        let sixes = text.n / 6 * 6;
        for at in (0..sixes).step_by(6) {
            // Eight bytes are six pairs with what follows.
            let word = text.word(at);
            for k in (0..6).rev() {
                count((word >> (8 * k + 8)) as usize & 0xFFFF, (word >> (8 * k)) as usize & 0xFF);
            }
        }
        for at in sixes..text.n {
            let word = text.word(at);
            count((word >> 48) as usize, (word >> 40) as usize & 0xFF);
        }
        // What follows a context follows the last byte of it.
        let own: Vec<usize> = self.pairs.iter().map(|pair| usize::from(pair & 0xFF)).collect();
        for (last, counts) in (0..self.rows().0).chain(own).zip(self.contexts()) {
            for (sum, count) in pairs[last << 8..].iter_mut().zip(counts) {
                *sum += *count;
            }
        }
    }

    /// Finds the frequent pairs; `counts` are zero before and behind.
    fn choose(&mut self, text: CyclicText, counts: &mut [u32; 1 << 16]) {
        for pair in self.pairs.drain(..) {
            self.rows[usize::from(pair)] = pair & 0xFF;
        }
        let mut frequent: Vec<(u32, u16)> = Vec::new();
        for at in (0..text.n).step_by(SAMPLE) {
            counts[text.pair(at)] += 1;
        }
        for at in (0..text.n).step_by(SAMPLE) {
            let pair = text.pair(at);
            let count = std::mem::take(&mut counts[pair]);
            if count >= LEAST {
                frequent.push((count, pair as u16));
            }
        }
        let bytes = self.rows().0;
        let room = (TABLE >> self.byte_bits) - bytes;
        if frequent.len() > room {
            frequent.select_nth_unstable_by_key(room, |&pair| std::cmp::Reverse(pair));
            frequent.truncate(room);
        }
        for (row, (_, pair)) in (bytes..).zip(frequent) {
            self.rows[usize::from(pair)] = row as u16;
            self.pairs.push(pair);
        }
    }

    /// Makes codes of the counts.
    pub(super) fn build(&mut self) {
        for row in self.contexts() {
            let mut bytes = [0u8; 256];
            // sums[k]: weight of the bytes before the k-th.
            let mut sums = [0u32; 257];
            let mut len = 0;
            for (number, counts) in row.as_chunks::<16>().0.iter().enumerate() {
                // Most are zero.
                if *counts == [0; 16] {
                    continue;
                }
                for (byte, &count) in (16 * number..).zip(counts) {
                    if count > 0 {
                        bytes[len] = byte as u8;
                        sums[len + 1] = sums[len] + count;
                        len += 1;
                    }
                }
            }
            if len > 0 {
                split(&bytes[..len], &sums[..=len], 0, 0, row);
            }
        }
    }

    /// The window of the position before, given that of the position behind and the code of the byte between.
    #[inline(always)]
    pub(super) fn before(window: u64, code: u32) -> u64 {
        // The code moves to the high end, and its length to the low one, where a shift looks for it and where it spoils only
        // bits below WINDOW_BITS: whatever is shifted comes from there.
        let code = u64::from(code).rotate_right(CODE_BITS);
        window.wrapping_shr(code as u32) | code
    }

    /// Bits of a code.
    #[inline(always)]
    pub(super) fn code_length(code: u32) -> u32 {
        code >> CODE_BITS
    }

    /// The code of a byte by the three that end with it.
    #[inline(always)]
    pub(super) fn codes(&self) -> impl Fn(&[u8; 3]) -> u32 {
        let rows: &[u16; 1 << 16] = self.rows.first_chunk().unwrap_or_else(|| unreachable!());
        let table: &[u32; TABLE] = self.table.first_chunk().unwrap_or_else(|| unreachable!());
        let bits = self.byte_bits;
        move |&[first, second, third]| {
            let row = rows[usize::from(u16::from_be_bytes([first, second]))];
            table[(usize::from(row) << bits | usize::from(third)) % TABLE]
        }
    }

    /// The code of the byte behind `position`, which is less than once around.
    pub(super) fn code_behind(&self, text: CyclicText, position: usize) -> u32 {
        self.codes()(text.window_before(position))
    }

    /// Number of bytes from `start` on that `bits` of code from its second byte on determine, or `most` if they are more: where
    /// each byte follows from those before, none needs any code.
    pub(super) fn known_bytes(&self, text: CyclicText, start: usize, bits: u32, most: usize) -> usize {
        let (mut left, mut known) = (bits, 2);
        while known < most.min(text.n) {
            let length = Self::code_length(self.code_behind(text, text.wrap(start + known - 1)));
            if length > left {
                break;
            }
            left -= length;
            known += 1;
        }
        known
    }

    /// The window at position 0, which is also that behind the last: none if once around gives fewer bits than it has.
    pub(super) fn window_at_start(&self, text: CyclicText) -> Option<u64> {
        let (mut bits, mut end) = (0, 0);
        while bits < u64::BITS {
            if end == text.n {
                return None;
            }
            bits += Self::code_length(self.code_behind(text, end));
            end += 1;
        }
        let codes = (0..end).rev().map(|at| self.code_behind(text, at));
        Some(codes.fold(0, Self::before))
    }
}

/// Gives the bytes codes that begin with `code` of `length` bits: halves of the most even weight get 0 and 1 next.
fn split(bytes: &[u8], sums: &[u32], code: u32, length: u32, codes: &mut [u32]) {
    if let [byte] = bytes {
        codes[usize::from(*byte)] = length << CODE_BITS | code << (CODE_BITS - length);
        return;
    }
    let (first, last) = (sums[0], sums[bytes.len()]);
    let half = first + (last - first) / 2;
    let mut middle = sums[..bytes.len()].partition_point(|&sum| sum <= half).clamp(1, bytes.len() - 1);
    if middle > 1 && half.abs_diff(sums[middle - 1]) < half.abs_diff(sums[middle]) {
        middle -= 1;
    }
    if length + bytes.len().ilog2() + 2 >= CODE_BITS {
        // So rare that even the evenest split of what is left may just fit.
        middle = bytes.len() / 2;
    }
    split(&bytes[..middle], &sums[..=middle], code << 1, length + 1, codes);
    split(&bytes[middle..], &sums[middle..], (code << 1) | 1, length + 1, codes);
}

#[cfg(test)]
mod tests {
    use super::super::text::Text;
    use super::*;

    /// Numbers that are the same in each run.
    fn numbers(mut seed: u64) -> impl FnMut() -> usize {
        move || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as usize
        }
    }

    /// With the codes made for it.
    fn with_order(bytes: &[u8], test: impl FnOnce(CyclicText, &Order)) {
        let n = bytes.len();
        let mut text = Text::new(n);
        text.room().copy_from_slice(bytes);
        let circle = text.circle(n, 0);
        let (mut order, mut pairs) = (Order::new(), vec![0; 1 << 16]);
        // One block's contexts must be gone with the next.
        let other = vec![b'x'; 5000];
        let mut before = Text::new(other.len());
        before.room().copy_from_slice(&other);
        for text in [before.circle(other.len(), 0), circle] {
            pairs.fill(0);
            order.count(text, pairs.first_chunk_mut().unwrap());
            order.build();
        }
        for at in 0..n {
            assert!(pairs[circle.pair(at)] > 0);
        }
        assert_eq!(pairs.iter().map(|&count| count as usize).sum::<usize>(), n);
        test(circle, &order);
    }

    /// The window of the code from `position` on.
    fn window(text: CyclicText, order: &Order, position: usize) -> u64 {
        let behind = |k: usize| order.code_behind(text, text.wrap((position + k + text.n - 1) % text.n));
        let mut length = 0;
        let mut bits = 0;
        while bits < u64::BITS && length < text.n {
            bits += Order::code_length(behind(length));
            length += 1;
        }
        (0..length).rev().fold(0, |window, k| Order::before(window, behind(k)))
    }

    #[test]
    fn comparing_codes_is_comparing_text_where_two_bytes_before_are_the_same() {
        let mut next = numbers(1);
        for (letters, highest) in [(3, 0x7F), (40, 0x7F), (3, 0xFF), (200, 0xFF)] {
            // Falling frequencies, so that contexts differ; as rows, so that there are long equal stretches.
            let row: Vec<u8> = (0..300)
                .map(|_| ((next() % letters) * (next() % 2) * highest / letters) as u8)
                .collect();
            let bytes: Vec<u8> = (0..30_000)
                .map(|at| {
                    if next().is_multiple_of(50) {
                        (next() % highest) as u8
                    } else {
                        row[at % 300]
                    }
                })
                .collect();
            with_order(&bytes, |text, order| {
                assert!(!order.pairs.is_empty());
                let rotation = |at: usize| [&bytes[at..], &bytes[..at]].concat();
                let (mut compared, mut differ) = (0, 0);
                while compared < 300 {
                    let (a, b) = (2 + next() % 29_000, 2 + next() % 29_000);
                    // A row apart is where much is equal.
                    let b = if next().is_multiple_of(2) { a % 300 + 300 * (b / 300) } else { b };
                    if bytes[a - 2..a] == bytes[b - 2..b] {
                        compared += 1;
                        let (x, y) = (
                            window(text, order, a) >> (u64::BITS - WINDOW_BITS),
                            window(text, order, b) >> (u64::BITS - WINDOW_BITS),
                        );
                        if x != y {
                            differ += 1;
                            assert_eq!(x < y, rotation(a) < rotation(b), "{a} {b}");
                        } else {
                            let same = order.known_bytes(text, a - 2, WINDOW_BITS, text.n);
                            assert_eq!(rotation(a - 2)[..same], rotation(b - 2)[..same]);
                        }
                    }
                }
                assert!(differ > 0);
            });
        }
    }

    #[test]
    fn codes_of_the_most_uneven_weights_fit_and_keep_the_order_of_their_bytes() {
        let fibonacci = |at: usize| (2..at.min(40)).fold((1u32, 1u32), |(a, b), _| (b, a + b)).1;
        let double = |at: usize| 1u32 << at.min(23);
        for len in [2, 3, 20, 24, 25, 26, 27, 40, 100, 255, 256] {
            let weights: [&dyn Fn(usize) -> u32; 6] = [
                &|at| fibonacci(at),
                &|at| fibonacci(len - at),
                &|at| double(at),
                &|at| double(len - at),
                &|at| if at == len / 3 { 1 << 30 } else { 1 },
                &|at| double(if at % 2 == 0 { at } else { len - at }),
            ];
            for weight in weights {
                let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
                let mut sums = vec![0u32];
                sums.extend((0..len).scan(0u32, |sum, at| {
                    *sum = sum.saturating_add(weight(at));
                    Some(*sum)
                }));
                let mut codes = [0; 256];
                split(&bytes, &sums, 0, 0, &mut codes);
                // The end of one code's numbers is the beginning of the next one's: none begins another, and all are used.
                let mut next = 0;
                for code in &codes[..len] {
                    let length = Order::code_length(*code);
                    assert!(length <= CODE_BITS, "{length} bits, {len} bytes");
                    assert_eq!(code & ((1 << CODE_BITS) - 1), next);
                    next += 1 << (CODE_BITS - length);
                }
                assert_eq!(next, 1 << CODE_BITS);
            }
        }
    }

    /// Found by fuzzing: such bytes need no code, and to see how many they are took more time than to sort them.
    #[test]
    fn bytes_that_follow_from_those_before_are_looked_at_no_farther_than_asked() {
        let bytes: Vec<u8> = (0..23 * 800).map(|at| b'a' + (at % 23) as u8).collect();
        with_order(&bytes, |text, order| {
            assert_eq!(order.known_bytes(text, 100, 44, 1001), 1001);
            assert_eq!(order.known_bytes(text, 100, 44, usize::MAX), bytes.len());
            assert_eq!(order.window_at_start(text), None);
        });
    }
}
