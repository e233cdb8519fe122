//! Where blocks may start: the magic numbers, at any bit.

use crate::{BLOCK_MAGIC, END_MAGIC};

const MAGIC_BITS: usize = 48;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Magic {
    Block,
    End,
}

/// The first magic number at bit `from` or later that lies whole in `bytes`, and its bit. Without
/// one the search may go on at [`resume`] once there are more bytes.
pub(super) fn find(bytes: &[u8], from: usize) -> Option<(usize, Magic)> {
    let first = from / 8;
    // A number that starts in byte p fills the bytes p+1 to p+5, whatever its bit. So of four
    // neighbouring pairs of bytes one is within it, and one pair in four need be looked at.
    for (index, four) in bytes.get(first + 4..)?.chunks(4).enumerate() {
        let &[high, low, ..] = four else { break };
        let pair = usize::from(high) << 8 | usize::from(low);
        if PAIRS[pair / 64] >> (pair % 64) & 1 == 1 {
            let start = first + 4 * index;
            let found = (8 * start..8 * (start + 4))
                .filter(|&bit| bit >= from)
                .find_map(|bit| Some((bit, at(bytes, bit)?)));
            if found.is_some() {
                return found;
            }
        }
    }
    None
}

/// The bit at which a search goes on that found none in `len` bytes from bit `from` on.
pub(super) fn resume(len: usize, from: usize) -> usize {
    from.max((8 * len).saturating_sub(MAGIC_BITS - 1))
}

/// The magic number at this very bit.
pub(super) fn at(bytes: &[u8], bit: usize) -> Option<Magic> {
    if bit + MAGIC_BITS > bytes.len() * 8 {
        return None;
    }
    let mut word = [0; 8];
    let rest = &bytes[bit / 8..];
    let len = rest.len().min(8);
    word[..len].copy_from_slice(&rest[..len]);
    match u64::from_be_bytes(word) << (bit % 8) >> (64 - MAGIC_BITS) {
        BLOCK_MAGIC => Some(Magic::Block),
        END_MAGIC => Some(Magic::End),
        _ => None,
    }
}

/// A bit for each pair of bytes that occurs inside a magic number at one of the eight offsets.
static PAIRS: [u64; 1024] = pairs();

const fn pairs() -> [u64; 1024] {
    let mut set = [0; 1024];
    let magics = [BLOCK_MAGIC, END_MAGIC];
    let mut case = 0;
    while case < 2 * 8 {
        let (magic, offset) = (magics[case / 8], case % 8);
        let bytes = (magic << (16 - offset)).to_be_bytes();
        let mut byte = 1;
        while byte <= 4 {
            let pair = (bytes[byte] as usize) << 8 | bytes[byte + 1] as usize;
            set[pair / 64] |= 1 << (pair % 64);
            byte += 1;
        }
        case += 1;
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `magic` at `bit` of `len` bytes, the others as given.
    fn planted(len: usize, bit: usize, magic: u64, fill: u8) -> Vec<u8> {
        let mut bytes = vec![fill; len];
        for k in 0..48 {
            let (byte, mask) = ((bit + k) / 8, 0x80 >> ((bit + k) % 8));
            bytes[byte] &= !mask;
            if magic >> (47 - k) & 1 == 1 {
                bytes[byte] |= mask;
            }
        }
        bytes
    }

    #[test]
    fn finds_both_numbers_at_every_bit_from_every_start() {
        for (magic, kind) in [(BLOCK_MAGIC, Magic::Block), (END_MAGIC, Magic::End)] {
            for fill in [0, 255, 0x31, 0x59, 0x17, 0x90] {
                for bit in 0..=20 * 8 - 48 {
                    let bytes = planted(20, bit, magic, fill);
                    for from in 0..=bit {
                        assert_eq!(find(&bytes, from), Some((bit, kind)));
                    }
                    assert_eq!(find(&bytes, bit + 1), None);
                }
            }
        }
    }

    #[test]
    fn a_number_that_comes_in_two_pieces_is_found_after_the_second() {
        for bit in 0..=20 * 8 - 48 {
            let bytes = planted(20, bit, BLOCK_MAGIC, 0);
            for len in 0..(bit + 48).div_ceil(8) {
                assert_eq!(find(&bytes[..len], 0), None);
                assert_eq!(find(&bytes, resume(len, 0)), Some((bit, Magic::Block)));
            }
        }
    }

    #[test]
    fn two_numbers_in_a_row_are_found_one_after_the_other() {
        let mut bytes = planted(20, 5, BLOCK_MAGIC, 0);
        for (byte, more) in bytes.iter_mut().zip(planted(20, 53, END_MAGIC, 0)) {
            *byte |= more;
        }
        assert_eq!(find(&bytes, 0), Some((5, Magic::Block)));
        assert_eq!(find(&bytes, 6), Some((53, Magic::End)));
    }
}
