//! Bits, the most significant first, out of a slice.

/// A reader that gives zeros behind the end of its bytes and leaves it to the caller to compare
/// [`BitReader::position`] with the end: one comparison a group of codes instead of one a code.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// The byte the next refill starts at; may lie behind the end.
    next: usize,
    /// The bits read ahead, from the top down.
    ahead: u64,
    /// How many of them count. Below these, `ahead` holds zeros or the true bits that follow.
    count: u32,
}

impl<'a> BitReader<'a> {
    /// The bits from number `bit` on.
    pub(super) fn new(bytes: &'a [u8], bit: usize) -> Self {
        let mut reader = Self {
            bytes,
            next: bit / 8,
            ahead: 0,
            count: 0,
        };
        reader.refill();
        reader.skip((bit % 8) as u32);
        reader
    }

    /// Where the next bit to be taken stands.
    pub(super) fn position(&self) -> usize {
        self.next * 8 - self.count as usize
    }

    /// At least 56 bits ahead.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        let word = match self.bytes.get(self.next..).and_then(|rest| rest.first_chunk::<8>()) {
            Some(chunk) => u64::from_be_bytes(*chunk),
            None => self.last_word(),
        };
        self.ahead |= word >> self.count;
        self.next += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
    }

    /// The bits ahead, the next one at the top; those past the 56th only by luck.
    #[inline(always)]
    pub(super) fn peek(&self) -> u64 {
        self.ahead
    }

    /// At most as many as are ahead since the last refill.
    #[inline(always)]
    pub(super) fn skip(&mut self, bits: u32) {
        self.ahead <<= bits;
        self.count -= bits;
    }

    /// The next 1 to 48 bits as a number.
    pub(super) fn take(&mut self, bits: u32) -> u64 {
        debug_assert!((1..=48).contains(&bits));
        self.refill();
        let value = self.ahead >> (64 - bits);
        self.skip(bits);
        value
    }

    #[cold]
    fn last_word(&self) -> u64 {
        let mut word = [0; 8];
        if let Some(rest) = self.bytes.get(self.next..) {
            word[..rest.len()].copy_from_slice(rest);
        }
        u64::from_be_bytes(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_a_string_of_digits_says_at_every_offset() {
        let bytes: Vec<u8> = (0..40u32).map(|i| (i * 89 + 7) as u8).collect();
        let digits: String = bytes.iter().map(|b| format!("{b:08b}")).collect();
        for start in 0..64 {
            for step in 1..=48 {
                let mut reader = BitReader::new(&bytes, start);
                let mut at = start;
                while at + step <= digits.len() {
                    assert_eq!(reader.position(), at);
                    assert_eq!(reader.take(step as u32), u64::from_str_radix(&digits[at..at + step], 2).unwrap());
                    at += step;
                }
            }
        }
    }

    #[test]
    fn gives_zeros_behind_the_end_and_still_counts() {
        let mut reader = BitReader::new(&[0xff], 4);
        assert_eq!(reader.take(8), 0xf0);
        assert_eq!(reader.position(), 12);
        for _ in 0..100 {
            assert_eq!(reader.take(48), 0);
        }
        assert_eq!(reader.position(), 12 + 4800);
        assert_eq!(BitReader::new(&[], 0).take(48), 0);
    }
}
