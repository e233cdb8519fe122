//! Symbols to tokens, each a byte and how often it stands in a row.

use super::fault::Fault;
use super::front::{FRONT_LEN, Front};
use super::huffman::{END, Group, WIDE};
use crate::{GROUP_LEN, MAX_BLOCK_LEN};

/// The number of times in the upper 24 bits, the byte in the lower 8. Zero times may occur.
pub(super) type Token = u32;

/// A block in the order of its sort, as tokens, and how often each byte occurs.
pub(super) struct Tokens {
    tokens: Vec<Token>,
    len: usize,
    counts: [u32; 256],
    text_len: usize,
}

impl Tokens {
    pub(super) fn new() -> Self {
        // One for the run before the first byte, and what one group may add before it is checked.
        Self {
            tokens: vec![0; MAX_BLOCK_LEN + 2 * GROUP_LEN],
            len: 0,
            counts: [0; 256],
            text_len: 0,
        }
    }

    pub(super) fn as_slice(&self) -> &[Token] {
        &self.tokens[..self.len]
    }

    pub(super) fn counts(&self) -> &[u32; 256] {
        &self.counts
    }

    /// The sum of the counts, at most [`MAX_BLOCK_LEN`].
    pub(super) fn text_len(&self) -> usize {
        self.text_len
    }
}

/// The state between groups. The block's tokens are complete once a group says so.
pub(super) struct MoveToFront<F> {
    front: F,
    /// The list in rows of [`FRONT_LEN`], the first in `front` instead.
    rows: [u128; 256 / FRONT_LEN],
    /// How often the current byte occurred so far.
    run: u32,
    /// The weight of the next run symbol, as a shift: they are digits, the lowest first.
    digit: u32,
    /// Tokens that are done; the current one is the next.
    done: usize,
    /// Text so far, the current run included.
    total: u32,
}

impl<F: Front> MoveToFront<F> {
    pub(super) fn new(used: &[u8], tokens: &mut Tokens) -> Self {
        let mut list = [0; 256];
        list[..used.len()].copy_from_slice(used);
        let mut rows = [0; 256 / FRONT_LEN];
        let mut front = [0; FRONT_LEN];
        for (row, bytes) in rows.iter_mut().zip(list.as_chunks::<FRONT_LEN>().0) {
            *row = u128::from_le_bytes(*bytes);
        }
        front.copy_from_slice(&list[..FRONT_LEN]);
        tokens.counts = [0; 256];
        tokens.tokens[0] = list[0].into();
        Self {
            front: F::load(front),
            rows,
            run: 0,
            digit: 0,
            done: 0,
            total: 0,
        }
    }

    /// True at the end of the block.
    #[inline(always)]
    pub(super) fn group(&mut self, group: &Group, tokens: &mut Tokens) -> Result<bool, Fault> {
        let first = self.done;
        let Some(window) = tokens.tokens.get_mut(first..).and_then(|rest| rest.first_chunk_mut::<64>()) else {
            return Err(Fault::TooLong);
        };
        let (mut front, mut run, mut digit, mut total) = (self.front, self.run, self.digit, self.total);
        let (mut done, mut ended) = (0, false);
        for (place, &symbol) in group.symbols[..group.len.min(GROUP_LEN)].iter().enumerate() {
            if usize::from(symbol) <= FRONT_LEN && symbol != END {
                front = front.to_front(symbol);
            } else if symbol == END {
                ended = true;
                break;
            } else {
                let symbol = if symbol == WIDE {
                    group.wide[place].into()
                } else {
                    usize::from(symbol)
                };
                front = self.fetch(front, symbol - 1);
            }
            // No branches: runs and others alternate as the data likes. All ones for a run symbol.
            let is_run = u32::from(symbol < 2).wrapping_neg();
            let more = (1 + (u32::from(symbol) & is_run)) << (digit & is_run);
            total += more;
            run = (run & is_run) + more;
            // Digits above 2^22 are refused below; the bound keeps the sum of fifty in 32 bits.
            digit = (digit + 1).min(22) & is_run;
            done += (1 + is_run as i32) as usize;
            window[done & 63] = run << 8 | u32::from(front.head());
        }
        if total as usize > MAX_BLOCK_LEN {
            return Err(Fault::TooLong);
        }
        let complete = if ended { done + 1 } else { done };
        for token in &window[..complete & 63] {
            tokens.counts[(token & 255) as usize] += token >> 8;
        }
        (self.front, self.run, self.digit, self.total) = (front, run, digit, total);
        self.done += done;
        if ended {
            tokens.len = self.done + 1;
            tokens.text_len = total as usize;
        }
        Ok(ended)
    }

    /// A byte from behind the front: the last of each row before it moves into the next one.
    #[inline(never)]
    fn fetch(&mut self, front: F, rank: usize) -> F {
        let (row, place) = (rank / FRONT_LEN % self.rows.len(), (rank % FRONT_LEN) as u32);
        let byte = self.rows[row] >> (8 * place) & 255;
        let first = u128::from_le_bytes(front.bytes());
        let mut carry = first >> 120;
        for row in &mut self.rows[1..row] {
            let last = *row >> 120;
            *row = *row << 8 | carry;
            carry = last;
        }
        let above = (!0u128 << (8 * place)) << 8;
        let row = &mut self.rows[row];
        *row = *row & above | (*row << 8) & !above | carry;
        F::load((first << 8 | byte).to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::super::front::Scalar;
    use super::*;

    /// Symbols as the format means them, one at a time.
    fn plainly(used: &[u8], symbols: &[u16]) -> Vec<u8> {
        let (mut list, mut text, mut weight) = (used.to_vec(), Vec::new(), 1);
        for &symbol in symbols {
            if symbol < 2 {
                text.extend(std::iter::repeat_n(list[0], weight << symbol));
                weight *= 2;
            } else {
                let byte = list.remove(usize::from(symbol) - 1);
                list.insert(0, byte);
                text.push(byte);
                weight = 1;
            }
        }
        text
    }

    fn by_groups<F: Front>(used: &[u8], symbols: &[u16]) -> Vec<u8> {
        let mut tokens = Tokens::new();
        let mut mtf = MoveToFront::<F>::new(used, &mut tokens);
        let mut all: Vec<(u8, u16)> = symbols.iter().map(|&s| (s.min(WIDE.into()) as u8, s)).collect();
        all.push((END, 0));
        let mut ended = false;
        for chunk in all.chunks(GROUP_LEN) {
            let mut group = Group::new();
            for (place, &(byte, symbol)) in chunk.iter().enumerate() {
                (group.symbols[place], group.wide[place]) = (byte, symbol);
            }
            group.len = chunk.len();
            assert!(!ended);
            ended = mtf.group(&group, &mut tokens).unwrap();
        }
        assert!(ended);
        let text: Vec<u8> = tokens
            .as_slice()
            .iter()
            .flat_map(|token| std::iter::repeat_n(*token as u8, (token >> 8) as usize))
            .collect();
        assert_eq!(text.len(), tokens.text_len());
        for byte in 0..=255 {
            assert_eq!(
                text.iter().filter(|&&b| b == byte).count(),
                tokens.counts()[usize::from(byte)] as usize
            );
        }
        text
    }

    #[test]
    fn gives_the_text_that_the_plain_reading_gives() {
        let mut random = 3u32;
        let mut next = |below: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) % below.max(1)
        };
        for alphabet in [1u32, 2, 15, 16, 17, 18, 32, 33, 100, 253, 254, 255, 256] {
            let used: Vec<u8> = (0..alphabet).map(|i| (i * 255 / alphabet.max(2)) as u8).collect();
            for len in [0, 1, 49, 50, 51, 3000] {
                let mut digits = 0;
                let mut symbols = Vec::new();
                while symbols.len() < len {
                    // At most eight digits in a row, 510 times; a block of one byte value is one run.
                    let symbol = if digits < 8 && (next(2) == 0 || alphabet == 1) {
                        next(2)
                    } else {
                        next(alphabet - 1) + 2
                    };
                    if symbol > alphabet {
                        break;
                    }
                    digits = if symbol < 2 { digits + 1 } else { 0 };
                    symbols.push(symbol as u16);
                }
                let expected = plainly(&used, &symbols);
                assert_eq!(by_groups::<Scalar>(&used, &symbols), expected);
                #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
                assert_eq!(by_groups::<super::super::front::vector::Vector>(&used, &symbols), expected);
            }
        }
    }

    #[test]
    fn refuses_a_run_that_no_block_can_hold() {
        for digits in [20, 21, 22, 49, 50] {
            let mut tokens = Tokens::new();
            let mut mtf = MoveToFront::<Scalar>::new(b"a", &mut tokens);
            let mut group = Group::new();
            group.symbols[..50].fill(END);
            group.symbols[..digits].fill(1);
            group.len = (digits + 1).min(50);
            assert_eq!(mtf.group(&group, &mut tokens), Err(Fault::TooLong));
        }
    }
}
