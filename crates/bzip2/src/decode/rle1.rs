//! The run-length code under the sort: after four equal bytes one byte says how many more.

use super::fault::Fault;

const RUN: usize = 4;

/// Expands a block piece by piece, so that no more memory is needed than the caller likes: a block
/// of 900 kB may stand for 46 MB.
pub struct Expander<'a> {
    packed: &'a [u8],
}

impl<'a> Expander<'a> {
    /// Of a block as [`BlockDecoder`](super::BlockDecoder) gives it, or a [`Splitter`](crate::encode::Splitter).
    pub fn new(packed: &'a [u8]) -> Self {
        Self { packed }
    }

    /// Appends text until `out` has at least `len` bytes, at most 258 more, or the block ends.
    /// False if nothing is left.
    ///
    /// # Errors
    /// [`Fault::OpenRun`].
    pub fn fill(&mut self, out: &mut Vec<u8>, len: usize) -> Result<bool, Fault> {
        while out.len() < len && !self.packed.is_empty() {
            // Long enough for a step forward, whatever is found.
            let window = &self.packed[..self.packed.len().min((len - out.len()).saturating_add(2 * RUN))];
            match run_start(window) {
                Some(start) => {
                    let (head, tail) = self.packed.split_at(start + RUN);
                    let (&more, rest) = tail.split_first().ok_or(Fault::OpenRun)?;
                    out.extend_from_slice(head);
                    out.resize(out.len() + usize::from(more), head[start]);
                    self.packed = rest;
                }
                // A run may start in the last three bytes of a window that is not all.
                None => {
                    let open = if window.len() == self.packed.len() { 0 } else { RUN - 1 };
                    let (head, rest) = self.packed.split_at(window.len() - open);
                    out.extend_from_slice(head);
                    self.packed = rest;
                }
            }
        }
        Ok(!self.packed.is_empty())
    }
}

/// Where the first four equal bytes are. Eight places at once: where a byte equals each of the
/// next three, a word of differences has a zero byte.
#[inline]
fn run_start(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<{ 8 + RUN - 1 }>()) {
        let [here, next, second, third] = std::array::from_fn(|k| word(&chunk[k..]));
        let unequal = (here ^ next) | (next ^ second) | (second ^ third);
        // The lowest byte marked is a true zero; those above it need not be.
        let zeros = unequal.wrapping_sub(ONES) & !unequal & TOPS;
        if zeros != 0 {
            return Some(at + zeros.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    bytes[at..]
        .windows(RUN)
        .position(|four| four.iter().all(|&byte| byte == four[0]))
        .map(|k| at + k)
}

#[inline(always)]
fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(*bytes.first_chunk().unwrap_or(&[0; 8]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One byte at a time.
    fn plainly(packed: &[u8]) -> Option<Vec<u8>> {
        let (mut out, mut run) = (Vec::new(), 0);
        for &byte in packed {
            if run == RUN {
                out.extend(std::iter::repeat_n(*out.last().unwrap(), byte.into()));
                run = 0;
            } else {
                run = if run > 0 && out.last() == Some(&byte) { run + 1 } else { 1 };
                out.push(byte);
            }
        }
        (run < RUN).then_some(out)
    }

    fn by_pieces(packed: &[u8], len: usize) -> Option<Vec<u8>> {
        let (mut expander, mut all) = (Expander::new(packed), Vec::new());
        loop {
            let mut piece = Vec::new();
            let more = expander.fill(&mut piece, len).ok()?;
            assert!(piece.len() < len + 259 && (piece.len() >= len || !more));
            all.extend(piece);
            if !more {
                return Some(all);
            }
        }
    }

    #[test]
    fn gives_what_one_byte_at_a_time_gives_for_every_piece_length() {
        let mut random = 9u32;
        let mut whole = 0;
        for _ in 0..3000 {
            let mut next = || {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                random >> 16
            };
            let (len, alphabet) = (next() % 150, next() % 3 + 1);
            let packed: Vec<u8> = (0..len).map(|_| (next() % alphabet) as u8).collect();
            let expected = plainly(&packed);
            whole += usize::from(expected.is_some());
            for piece in [1, 2, 3, 4, 5, 31, 32, 33, 64, 10_000] {
                assert_eq!(by_pieces(&packed, piece), expected, "{packed:?}");
            }
        }
        assert!(whole > 500 && whole < 2900, "both kinds: {whole}");
    }

    #[test]
    fn a_block_of_runs_comes_in_pieces() {
        let packed = [7, 7, 7, 7, 255].repeat(180_000);
        let mut expander = Expander::new(&packed);
        let (mut piece, mut total) = (Vec::new(), 0);
        while expander.fill(&mut piece, 65_536).unwrap() {
            assert!(piece.len() < 65_536 + 259);
            total += piece.len();
            piece.clear();
        }
        assert_eq!(total + piece.len(), 180_000 * 259);
    }

    #[test]
    fn a_run_without_its_number_is_a_fault() {
        let mut out = Vec::new();
        assert_eq!(Expander::new(b"abbbb").fill(&mut out, 100), Err(Fault::OpenRun));
        assert_eq!(Expander::new(b"abbbb\x00").fill(&mut out, 100), Ok(false));
    }
}
