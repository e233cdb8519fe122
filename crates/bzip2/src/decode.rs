//! bzip2 back to text, several blocks at a time.
//!
//! In the order in which a bit meets them: `scan` finds where blocks may start, `pool` decodes
//! them, `parallel` takes those that a true block's end vouches for. In a block: `bits`,
//! `huffman`, `mtf` (on `front`), `unbwt`, `rle1`; `block` joins them.

mod bits;
mod block;
mod entropy;
mod fault;
mod front;
mod huffman;
mod input;
mod mtf;
mod parallel;
mod pool;
mod rle1;
mod scan;
mod unbwt;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod within_tests;

pub use block::{Block, BlockDecoder};
pub use fault::Fault;
pub use parallel::{DecodeError, ParallelDecoder};
pub use rle1::Expander;
