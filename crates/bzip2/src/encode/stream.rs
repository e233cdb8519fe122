//! One stream from the blocks: a block starts at any bit, so each is shifted to where the one before ended.

use crate::{BLOCK_MAGIC, END_MAGIC, combine_crc};

/// What the stream must know of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockInfo {
    /// Of the raw bytes.
    pub crc: u32,
    /// Length of the block's bit string.
    pub bits: u64,
}

/// Joins blocks, in their order, to one stream. Before the first the caller writes the [header](crate::Level::header).
#[derive(Default)]
pub struct StreamWriter {
    crc: u32,
    /// The bits behind the last whole byte, right-aligned, and how many.
    last: u8,
    used: u32,
}

impl StreamWriter {
    /// Turns one block as [`Encoder::encode`](super::Encoder::encode) wrote it, alone in its buffer, into the next bytes of
    /// the stream, in place.
    pub fn join(&mut self, block: &mut Vec<u8>, info: BlockInfo) {
        debug_assert!(block.len() as u64 == info.bits.div_ceil(8) && block.starts_with(&BLOCK_MAGIC.to_be_bytes()[2..]));
        self.crc = combine_crc(self.crc, info.crc);
        self.shift(block, info.bits);
    }

    /// Of what was joined, the bits that do not fill a byte and wait for more: with the bytes given out they say at which bit
    /// the next block will begin.
    pub fn waiting_bits(&self) -> u32 {
        self.used
    }

    /// The last bytes of the stream: its end mark and checksum.
    pub fn finish(mut self) -> Vec<u8> {
        let mut end = Vec::with_capacity(11);
        end.extend_from_slice(&END_MAGIC.to_be_bytes()[2..]);
        end.extend_from_slice(&self.crc.to_be_bytes());
        self.shift(&mut end, 48 + 32);
        if self.used > 0 {
            end.push(self.last << (8 - self.used));
        }
        end
    }

    /// Puts the bits left over before the `count` of `bytes`, and keeps those behind the last whole byte.
    fn shift(&mut self, bytes: &mut Vec<u8>, count: u64) {
        let total = u64::from(self.used) + count;
        if self.used > 0 {
            let mut window = u64::from(self.last);
            let (words, rest) = bytes.as_chunks_mut::<4>();
            for word in words {
                window = (window << 32) | u64::from(u32::from_be_bytes(*word));
                *word = ((window >> self.used) as u32).to_be_bytes();
            }
            for byte in rest {
                window = (window << 8) | u64::from(*byte);
                *byte = (window >> self.used) as u8;
            }
            bytes.push((window << (8 - self.used)) as u8);
        }
        bytes.truncate(total.div_ceil(8) as usize);
        self.used = (total % 8) as u32;
        self.last = if self.used > 0 {
            bytes.pop().unwrap_or(0) >> (8 - self.used)
        } else {
            0
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bits of a file, one by one.
    fn bits(bytes: &[u8], count: usize) -> impl Iterator<Item = bool> {
        (0..count).map(|bit| bytes[bit / 8] << (bit % 8) & 0x80 != 0)
    }

    #[test]
    fn blocks_of_any_number_of_bits_are_joined_bit_by_bit() {
        let (mut writer, mut stream, mut expected) = (StreamWriter::default(), Vec::new(), Vec::new());
        for number in 0..300usize {
            let length = 49 + number * 7 % 103;
            let mut block = BLOCK_MAGIC.to_be_bytes()[2..].to_vec();
            block.extend((6..length.div_ceil(8)).map(|byte| (byte * 37 + number * 11) as u8));
            // As the encoder has it: what fills the last byte is zero.
            *block.last_mut().unwrap() &= (0xFF00u32 >> ((length - 1) % 8 + 1)) as u8;
            expected.extend(bits(&block, length));
            let info = BlockInfo {
                crc: number as u32,
                bits: length as u64,
            };
            writer.join(&mut block, info);
            stream.extend(block);
        }
        let crc = (0..300).fold(0, combine_crc);
        expected.extend(bits(&END_MAGIC.to_be_bytes()[2..], 48));
        expected.extend(bits(&crc.to_be_bytes(), 32));
        stream.extend(writer.finish());
        assert_eq!(stream.len(), expected.len().div_ceil(8));
        let padding = std::iter::repeat_n(false, stream.len() * 8 - expected.len());
        assert!(bits(&stream, stream.len() * 8).eq(expected.iter().copied().chain(padding)));
    }
}
