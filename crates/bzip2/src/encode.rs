//! The block encoder: raw bytes to the bit string of one bzip2 block.
//!
//! [`Splitter`] makes runs of four and more four and a count (`runs`) and cuts the stream into blocks, an [`Encoder`] a
//! worker encodes them in any order, and a [`StreamWriter`] joins the results to one stream. The stages of a block, as in
//! bzip2's `compress.c`: the Burrows-Wheeler transform (`bwt`), ranks of a move-to-front list (`ranks`), Huffman codes
//! with up to six tables (`tables`).

mod bits;
mod bwt;
mod huffman;
mod parallel;
mod ranks;
mod runs;
mod simd;
mod split;
mod stream;
mod tables;
#[cfg(test)]
mod tests;

pub use parallel::ParallelEncoder;
pub use simd::Isa;
pub use split::{RawBlock, Splitter};
pub use stream::{BlockInfo, StreamWriter};

use crate::{BLOCK_MAGIC, Level};
use bits::BitWriter;
use bwt::{Text, Workspace};

/// One worker's encoder; all its memory is allocated here: some 10 MB at level 9, 12 if every other byte is larger than its neighbours.
pub struct Encoder {
    isa: Isa,
    block: usize,
    text: Text,
    work: Workspace,
    fit: tables::TableFitter,
}

impl Encoder {
    /// For blocks of this level, with the best code for this processor.
    pub fn new(level: Level) -> Self {
        Self::with_isa(level, Isa::detect())
    }

    /// For tests and measurements: with fewer instructions than the processor has.
    pub fn with_isa(level: Level, isa: Isa) -> Self {
        Self {
            isa,
            block: level.block_len(),
            text: Text::new(level.block_len()),
            work: Workspace::new(level.block_len()),
            fit: tables::TableFitter::default(),
        }
    }

    /// Appends the bit string of one block to `out`, from the first bit of a byte on. The block and the checksum of its raw
    /// bytes are as a [`Splitter`] gives them.
    ///
    /// # Panics
    /// If the block is empty or longer than the level's.
    pub fn encode(&mut self, block: &[u8], crc: u32, out: &mut Vec<u8>) -> BlockInfo {
        let n = block.len();
        assert!(n > 0 && n <= self.block, "a block of {n} bytes");
        self.text.room()[..n].copy_from_slice(block);
        let bwt = self.work.transform(self.isa, &mut self.text, n);
        let count = ranks::encode(self.isa, &bwt.used, bwt.last_column, bwt.symbols);
        let symbols = &bwt.symbols[..count];

        let mut bits = BitWriter::new(out);
        bits.put(BLOCK_MAGIC >> 24, 24);
        bits.put(BLOCK_MAGIC & 0xFF_FFFF, 24);
        bits.put(u64::from(crc), 32);
        // Not randomised: an old bzip2's way round slow sorts.
        bits.put(0, 1);
        bits.put(u64::from(bwt.origin), 24);
        ranks::write_used(&bwt.used, &mut bits);
        self.fit.write(self.isa, symbols, ranks::alphabet(&bwt.used), &mut bits);
        BlockInfo { crc, bits: bits.finish() }
    }
}

/// A whole stream at once.
pub fn encode_all(level: Level, raw: &[u8]) -> Vec<u8> {
    encode_all_with(level, Isa::detect(), raw)
}

/// As [`encode_all`], with the instructions given.
pub fn encode_all_with(level: Level, isa: Isa, raw: &[u8]) -> Vec<u8> {
    let mut out = level.header().to_vec();
    let mut encoder = Encoder::with_isa(level, isa);
    let mut stream = StreamWriter::default();
    let mut splitter = Splitter::with_isa(level, isa);
    let mut packed = Vec::new();
    let mut block = |block: &mut Vec<u8>, raw: RawBlock| -> Result<(), std::convert::Infallible> {
        packed.clear();
        let info = encoder.encode(block, raw.crc, &mut packed);
        stream.join(&mut packed, info);
        out.extend_from_slice(&packed);
        Ok(())
    };
    let Ok(()) = splitter.feed(raw, &mut block);
    let Ok(()) = splitter.finish(&mut block);
    out.extend(stream.finish());
    out
}
