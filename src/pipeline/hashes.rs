//! SHA-256 (FIPS 180-4) of an object and of its parts, which S3 and the manifest want both, in one pass over the bytes.
//!
//! The rounds of one hash wait for each other, so a processor with instructions for them does those of a second hash in
//! the same time; and as both see the same blocks, what is derived from a block is derived once. Elsewhere two hashes of
//! the library take their turns.

#[cfg(target_arch = "x86_64")]
mod sha_ni;

use crate::format::digest;
use aws_lc_rs::digest::{Context, SHA256};
#[cfg(target_arch = "x86_64")]
use sha_ni::ShaNi;

/// Bytes of a block.
#[cfg(any(target_arch = "x86_64", test))]
pub(crate) const BLOCK: usize = 64;

/// The two hashes of a stream that is cut into parts.
pub(crate) enum Hashes {
    #[cfg(target_arch = "x86_64")]
    Together(PairedHashes),
    Apart {
        whole: Context,
        part: Context,
    },
}

impl Hashes {
    pub(crate) fn new() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(processor) = ShaNi::detect() {
            return Self::Together(PairedHashes::new(processor));
        }
        Self::apart()
    }

    fn apart() -> Self {
        Self::Apart {
            whole: Context::new(&SHA256),
            part: Context::new(&SHA256),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Together(together) => together.update(bytes),
            Self::Apart { whole, part } => {
                whole.update(bytes);
                part.update(bytes);
            }
        }
    }

    /// The hash of what came since the last cut.
    ///
    /// # Panics
    /// If that is not a number of whole blocks.
    pub(crate) fn cut(&mut self) -> [u8; 32] {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Together(together) => together.cut(),
            Self::Apart { part, .. } => digest(std::mem::replace(part, Context::new(&SHA256)).finish()),
        }
    }

    /// The hash of what came since the last cut, and of all.
    pub(crate) fn finish(&self) -> ([u8; 32], [u8; 32]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Together(together) => together.finish(),
            Self::Apart { whole, part } => (digest(part.clone().finish()), digest(whole.clone().finish())),
        }
    }
}

/// The eight words of a hash (FIPS 180-4, 5.3.3).
#[cfg(target_arch = "x86_64")]
type State = [u32; 8];

#[cfg(target_arch = "x86_64")]
const START: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Both hashes, which go on block by block in step.
#[cfg(target_arch = "x86_64")]
pub(crate) struct PairedHashes {
    processor: ShaNi,
    whole: State,
    part: State,
    /// Less than a block.
    rest: Vec<u8>,
    /// Bytes in whole blocks so far, and those of them before the last cut.
    length: u64,
    cut: u64,
}

#[cfg(target_arch = "x86_64")]
impl PairedHashes {
    fn new(processor: ShaNi) -> Self {
        Self {
            processor,
            whole: START,
            part: START,
            rest: Vec::with_capacity(BLOCK),
            length: 0,
            cut: 0,
        }
    }

    fn update(&mut self, mut bytes: &[u8]) {
        if !self.rest.is_empty() {
            let (first, others) = bytes.split_at(bytes.len().min(BLOCK - self.rest.len()));
            self.rest.extend_from_slice(first);
            bytes = others;
            if let Some(block) = self.rest.first_chunk() {
                self.processor.blocks([&mut self.whole, &mut self.part], &[*block]);
                self.length += BLOCK as u64;
                self.rest.clear();
            }
        }
        let (blocks, rest) = bytes.as_chunks();
        self.processor.blocks([&mut self.whole, &mut self.part], blocks);
        self.length += (blocks.len() * BLOCK) as u64;
        self.rest.extend_from_slice(rest);
    }

    fn cut(&mut self) -> [u8; 32] {
        assert!(self.rest.is_empty(), "a cut within a block");
        let part = self.end(self.part, self.length - self.cut);
        self.part = START;
        self.cut = self.length;
        part
    }

    fn finish(&self) -> ([u8; 32], [u8; 32]) {
        let length = self.length + self.rest.len() as u64;
        (self.end(self.part, length - self.cut), self.end(self.whole, length))
    }

    /// The hash of `length` bytes: what is left of them, a bit, zeros and the length in bits (FIPS 180-4, 5.1.1).
    fn end(&self, mut state: State, length: u64) -> [u8; 32] {
        let mut end = self.rest.clone();
        end.push(0x80);
        end.resize((end.len() + 8).next_multiple_of(BLOCK) - 8, 0);
        end.extend_from_slice(&(8 * length).to_be_bytes());
        self.processor.blocks([&mut state, &mut START.clone()], end.as_chunks().0);
        let mut bytes = [0; 32];
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(state) {
            *bytes = word.to_be_bytes();
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::sha256;
    use proptest::prelude::*;

    /// Each kind there is on this processor.
    fn kinds() -> Vec<Hashes> {
        vec![Hashes::new(), Hashes::apart()]
    }

    fn stream(length: usize) -> Vec<u8> {
        (0..length as u32)
            .flat_map(|n| n.wrapping_mul(0x9E37_79B9).to_be_bytes())
            .take(length)
            .collect()
    }

    proptest! {
        #[test]
        fn hashes_are_those_of_the_parts_and_of_the_whole(
            cuts in prop::collection::vec(0usize..40, 0..5), end in 0usize..300, step in 1usize..500,
        ) {
            let parts: Vec<usize> = cuts.iter().map(|blocks| blocks * BLOCK).chain([end]).collect();
            let bytes = stream(parts.iter().sum());
            for mut hashes in kinds() {
                let mut rest = &bytes[..];
                let (mut told, mut wanted) = (Vec::new(), Vec::new());
                for (number, &length) in parts.iter().enumerate() {
                    let (part, others) = rest.split_at(length);
                    rest = others;
                    part.chunks(step).for_each(|piece| hashes.update(piece));
                    wanted.push(sha256(part));
                    if number + 1 < parts.len() {
                        told.push(hashes.cut());
                    }
                }
                let (part, whole) = hashes.finish();
                told.push(part);
                prop_assert_eq!(&told, &wanted);
                prop_assert_eq!(whole, sha256(&bytes));
            }
        }
    }

    #[test]
    fn every_length_around_the_padding_is_right() {
        let bytes = stream(260);
        for length in 0..bytes.len() {
            for mut hashes in kinds() {
                hashes.update(&bytes[..length]);
                assert_eq!(hashes.finish(), (sha256(&bytes[..length]), sha256(&bytes[..length])), "{length}");
            }
        }
    }
}
