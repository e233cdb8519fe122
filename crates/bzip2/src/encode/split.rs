//! Cutting the stream into blocks where the format asks for it.

use super::runs;
use super::simd::Isa;
use crate::{Crc32, Level};

/// What is known of a block's raw bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawBlock {
    /// Their checksum.
    pub crc: u32,
    /// How many they are.
    pub len: u64,
}

/// Cuts a stream into blocks. A block is as long as the level says after the first run-length coding, whatever it was
/// before (at most 51 times that), so that coding is done here. A run never counts across a cut: the decoder begins each
/// block anew.
pub struct Splitter {
    isa: Isa,
    limit: usize,
    /// What was not coded yet: after each call a run at most.
    raw: Vec<u8>,
    block: Vec<u8>,
    /// Of the raw bytes of the block.
    crc: Crc32,
    len: u64,
}

impl Splitter {
    /// For blocks of this level, with the best code for this processor.
    pub fn new(level: Level) -> Self {
        Self::with_isa(level, Isa::detect())
    }

    /// For tests and measurements: with fewer instructions than the processor has.
    pub fn with_isa(level: Level, isa: Isa) -> Self {
        Self {
            isa,
            limit: level.block_len(),
            raw: Vec::new(),
            block: Vec::with_capacity(level.block_len()),
            crc: Crc32::new(),
            len: 0,
        }
    }

    /// Takes more of the stream and hands on what is full, with what is known of its raw bytes. `emit` may swap the buffer
    /// for another; its errors are given back.
    ///
    /// # Errors
    /// Those of `emit`.
    pub fn feed<E>(&mut self, raw: &[u8], mut emit: impl FnMut(&mut Vec<u8>, RawBlock) -> Result<(), E>) -> Result<(), E> {
        self.raw.extend_from_slice(raw);
        let whole = self.raw.len() - runs::open(&self.raw);
        self.code(whole, &mut emit)
    }

    /// Hands on what is left at the end of the stream: no block, one or two.
    ///
    /// # Errors
    /// Those of `emit`.
    pub fn finish<E>(&mut self, mut emit: impl FnMut(&mut Vec<u8>, RawBlock) -> Result<(), E>) -> Result<(), E> {
        self.code(self.raw.len(), &mut emit)?;
        if self.block.is_empty() { Ok(()) } else { self.cut(&mut emit) }
    }

    /// Codes so many of the raw bytes.
    fn code<E>(&mut self, upto: usize, emit: &mut impl FnMut(&mut Vec<u8>, RawBlock) -> Result<(), E>) -> Result<(), E> {
        let mut from = 0;
        loop {
            let raw = &self.raw[from..upto];
            let coded = runs::encode(self.isa, raw, self.limit, &mut self.block);
            self.crc.update(&raw[..coded]);
            self.len += coded as u64;
            from += coded;
            if from == upto {
                break;
            }
            self.cut(emit)?;
        }
        self.raw.drain(..upto);
        Ok(())
    }

    fn cut<E>(&mut self, emit: &mut impl FnMut(&mut Vec<u8>, RawBlock) -> Result<(), E>) -> Result<(), E> {
        let raw = RawBlock {
            crc: std::mem::replace(&mut self.crc, Crc32::new()).value(),
            len: std::mem::take(&mut self.len),
        };
        emit(&mut self.block, raw)?;
        self.block.clear();
        Ok(())
    }
}
