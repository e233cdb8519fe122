//! bzip2 by several threads: an encoder and a decoder of their own for the format that bzip2 1.0.8 reads and writes.
//!
//! [`ParallelEncoder`](encode::ParallelEncoder) and [`ParallelDecoder`](decode::ParallelDecoder) take a stream piece by
//! piece, have its blocks worked on by threads of their own, and write the result in order, on the caller's thread and in
//! bounded memory. A program with threads of its own uses their parts, a block at a time:
//! [`Splitter`](encode::Splitter), [`Encoder`](encode::Encoder) and [`StreamWriter`](encode::StreamWriter), or
//! [`BlockDecoder`](decode::BlockDecoder). Lengths are in bytes, places within a stream in bits.
//!
//! ```
//! use pgseal_bzip2::Level;
//! use pgseal_bzip2::decode::ParallelDecoder;
//! use pgseal_bzip2::encode::ParallelEncoder;
//!
//! # fn main() -> std::io::Result<()> {
//! let text = b"to be or not to be, ".repeat(100_000);
//! let mut encoder = ParallelEncoder::new(Level::MAX, 2, Vec::new())?;
//! for piece in text.chunks(64 << 10) {
//!     encoder.feed(piece)?;
//! }
//! let packed = encoder.finish()?;
//! assert!(packed.starts_with(b"BZh9") && packed.len() < 1000);
//!
//! let mut decoder = ParallelDecoder::new(2, Vec::new())?;
//! decoder.feed(&packed)?;
//! assert!(decoder.finish()? == text);
//! # Ok(())
//! # }
//! ```
//!
//! # The format
//!
//! A file is one or more streams. A stream is a header `BZh1` to `BZh9`, its blocks, each starting
//! at any bit with a 48-bit magic number, and an end mark with a checksum over all blocks; the next
//! stream starts at the next byte. There is no specification by the author; the source of
//! bzip2 1.0.8 rules, and <https://github.com/dsnet/compress/blob/master/doc/bzip2-format.pdf>
//! describes it.

// Of the library alone, since all of a test's helpers are `pub`: what no other crate uses is `pub(crate)`, so that the compiler
// sees what nobody uses.
#![deny(unreachable_pub)]
#![warn(missing_docs)]

pub mod decode;
pub mod encode;

use crc_fast::{CrcAlgorithm, Digest};

/// The 48 bits before a block: the digits of pi.
pub(crate) const BLOCK_MAGIC: u64 = 0x3141_5926_5359;

/// The 48 bits before a stream's checksum: the digits of its square root, 1.77245385090.
pub(crate) const END_MAGIC: u64 = 0x1772_4538_5090;

/// A block before its sort is at most this long: level 9 times 100,000 bytes.
pub(crate) const MAX_BLOCK_LEN: usize = 900_000;

/// Symbols are coded in groups of this many, each by one of up to six Huffman tables.
pub(crate) const GROUP_LEN: usize = 50;

/// Huffman tables of a block at most; the least is two.
pub(crate) const MAX_TABLES: usize = 6;

/// 256 ranks, less rank 0, which is written as runs, and with the two digits of the runs and the end of the block.
pub(crate) const MAX_ALPHABET: usize = 258;

/// The digits of a run of rank 0: 1 and 2 to the base of two, the lowest first.
pub(crate) const RUN_A: u16 = 0;
pub(crate) const RUN_B: u16 = 1;

/// The digit of a stream's header, 1 to 9: its blocks hold at most that many times 100,000 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(u8);

impl Level {
    /// What `bzip2 -9` writes, and without an option too.
    pub const MAX: Self = Self(9);

    /// None unless it is 1 to 9.
    pub fn new(level: u8) -> Option<Self> {
        (1..=9).contains(&level).then_some(Self(level))
    }

    /// The four bytes a stream starts with; None if they are no such thing.
    pub fn from_header(header: [u8; 4]) -> Option<Self> {
        match header {
            [b'B', b'Z', b'h', digit] => Self::new(digit.wrapping_sub(b'0')),
            _ => None,
        }
    }

    /// The same of this level.
    pub fn header(self) -> [u8; 4] {
        [b'B', b'Z', b'h', b'0' + self.0]
    }

    /// The longest block, in bytes after the run-length code.
    pub fn block_len(self) -> usize {
        usize::from(self.0) * 100_000
    }
}

/// The checksum of one piece.
#[cfg(test)]
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc32::new();
    crc.update(bytes);
    crc.value()
}

/// CRC-32/BZIP2, the polynomial of Ethernet with the most significant bit first, over several pieces.
pub(crate) struct Crc32(Digest);

impl Crc32 {
    pub(crate) fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc32Bzip2))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn value(&self) -> u32 {
        // The library gives every width in 64 bits.
        self.0.finalize() as u32
    }
}

/// The checksum of a stream after one more block.
pub(crate) fn combine_crc(stream: u32, block: u32) -> u32 {
    stream.rotate_left(1) ^ block
}

/// Its example runs as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
