//! What can be wrong with a bzip2 file.

/// A defect of the input; an error of the sink is never one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The first four bytes are no stream's header.
    #[error("not bzip2: the stream does not start with BZh1 to BZh9")]
    NotBzip2,
    /// The end of the input within a stream, or an input of no byte.
    #[error("the bzip2 data ends too early")]
    Truncated,
    /// What follows a stream is no other one. All text before it was given out.
    #[error("bytes after the end of the last bzip2 stream")]
    TrailingGarbage,
    /// Neither of the two magic numbers.
    #[error("neither a block nor the end of the stream where one of them must start")]
    NoBlock,
    /// The flag of a way of coding that was given up in 1999.
    #[error("a randomised block, as bzip2 before 0.9.5 wrote it: not supported")]
    Randomised,
    /// What, in words.
    #[error("a block's header is damaged: {0}")]
    Header(&'static str),
    /// No symbol has the code that is next.
    #[error("a Huffman code that the block's tables do not have")]
    BadCode,
    /// More bytes under the run-length code than the level's, or more bits than any block can have.
    #[error("a block is longer than its level allows")]
    TooLong,
    /// `origPtr` of the original.
    #[error("a block's start row is outside of it")]
    Origin,
    /// Four equal bytes without their count.
    #[error("a block ends inside a run")]
    OpenRun,
    /// The checksums of a block's text differ.
    #[error("a block's checksum is {computed:08x}, the file says {stored:08x}")]
    BlockCrc {
        /// What the file says.
        stored: u32,
        /// What its text has.
        computed: u32,
    },
    /// The checksums over all blocks of a stream differ.
    #[error("a stream's checksum is {computed:08x}, the file says {stored:08x}")]
    StreamCrc {
        /// What the file says.
        stored: u32,
        /// What its blocks have.
        computed: u32,
    },
}
