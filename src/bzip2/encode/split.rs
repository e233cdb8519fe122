//! Cutting the stream into blocks where the format asks for it.

use super::runs;
use super::simd::Isa;
use crate::bzip2::Level;

/// Cuts a stream into blocks of raw bytes: each has at most the level's number of bytes, raw as well as after
/// run-length coding. bzip2 has the second limit alone; the first gives all buffers one size, and data with many long
/// runs comes out smaller for it. A run never counts across a cut: the decoder begins each block anew.
pub struct Splitter {
    isa: Isa,
    limit: usize,
    block: Vec<u8>,
    /// What did not fit into the block, and begins the next.
    over: Vec<u8>,
}

impl Splitter {
    pub fn new(level: Level) -> Self {
        Self {
            isa: Isa::detect(),
            limit: level.block_len(),
            block: Vec::with_capacity(level.block_len()),
            over: Vec::new(),
        }
    }

    /// Takes more of the stream and hands on what is full. `emit` may swap the buffer for another.
    pub fn feed<E>(&mut self, mut raw: &[u8], mut emit: impl FnMut(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        while !raw.is_empty() {
            let (now, later) = raw.split_at(raw.len().min(self.limit - self.block.len()));
            self.block.extend_from_slice(now);
            raw = later;
            if self.block.len() == self.limit {
                self.cut(&mut emit)?;
            }
        }
        Ok(())
    }

    /// Hands on what is left at the end of the stream: no block, one or two.
    pub fn rest<E>(&mut self, mut emit: impl FnMut(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        while !self.block.is_empty() {
            self.cut(&mut emit)?;
        }
        Ok(())
    }

    fn cut<E>(&mut self, emit: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let fitting = runs::fitting(self.isa, &self.block, self.limit);
        self.over.clear();
        self.over.extend_from_slice(&self.block[fitting..]);
        self.block.truncate(fitting);
        emit(&mut self.block)?;
        self.block.clear();
        self.block.extend_from_slice(&self.over);
        Ok(())
    }
}
