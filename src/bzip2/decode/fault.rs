//! What can be wrong with a bzip2 file.

/// A defect of the input; a fault of the sink is never one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("not bzip2: the stream does not start with BZh1 to BZh9")]
    NotBzip2,
    #[error("the bzip2 data ends too early")]
    Truncated,
    #[error("bytes after the end of the last bzip2 stream")]
    TrailingGarbage,
    #[error("neither a block nor the end of the stream where one of them must start")]
    NoBlock,
    #[error("a randomised block, as bzip2 before 0.9.5 wrote it: not supported")]
    Randomised,
    #[error("a block's header is damaged: {0}")]
    Header(&'static str),
    #[error("a Huffman code that the block's tables do not have")]
    BadCode,
    #[error("a block is longer than its level allows")]
    TooLong,
    #[error("a block's start row is outside of it")]
    Origin,
    #[error("a block ends inside a run")]
    OpenRun,
    #[error("a block's checksum is {computed:08x}, the file says {stored:08x}")]
    BlockCrc { stored: u32, computed: u32 },
    #[error("a stream's checksum is {computed:08x}, the file says {stored:08x}")]
    StreamCrc { stored: u32, computed: u32 },
}
