//! Compression by several workers, in order. bzip2 becomes one stream, the same bytes whatever the number of workers; a
//! share of its blocks is decoded again, by another implementation, before it goes on. Each block of zstd is a frame, and the tools read one after the
//! other as one.

mod pool;
#[cfg(test)]
mod tests;
mod witness;

use super::part_index::BlockStarts;
use super::{Stage, broken};
use crate::error::{Code, Error, Result};
use crate::format::compression::Compression;
use crate::plan::block_bytes;
use pgseal_bzip2::Level;
use pgseal_bzip2::encode::{Encoder, RawBlock, Splitter, StreamWriter};
use pool::{Bzip2, Codec, CompressJob, Pool, WitnessPool, Zstd};

/// What is known when the last block has passed.
pub(crate) struct Compressed<D> {
    pub bytes: u64,
    pub starts: BlockStarts,
    pub below: D,
}

/// Cuts into blocks, has them compressed, and passes the results on in order.
pub(crate) struct Compress<S> {
    /// None if nothing is compressed.
    work: Option<(BlockCutter, Pool)>,
    out: CountedSink<S>,
}

impl<S: Stage> Compress<S> {
    /// Of the bzip2 blocks one in `every` is decoded again, at 1 each.
    pub(crate) fn new(compression: Compression, workers: usize, every: usize, starts: BlockStarts, below: S) -> Result<Self> {
        let block = block_bytes(compression);
        match compression {
            Compression::Bzip2(level) => {
                let codec = move || Ok(Box::new(Bzip2(Encoder::new(self::level(level)?))) as _);
                Self::bzip2(level, workers, every, codec, CountedSink::new(starts, below))
            }
            Compression::Zstd(level) => {
                let pool = Pool::start(workers, block, None, move || Ok(Box::new(Zstd::new(level)?) as _))?;
                let cutter = BlockCutter::Length(Vec::with_capacity(block), block);
                Ok(Self {
                    work: Some((cutter, pool)),
                    out: CountedSink::new(starts, below),
                })
            }
            Compression::None => Ok(Self {
                work: None,
                out: CountedSink::new(starts, below),
            }),
        }
    }

    fn bzip2<C>(level: u32, workers: usize, every: usize, codec: C, mut out: CountedSink<S>) -> Result<Self>
    where
        C: Fn() -> Result<Box<dyn Codec>> + Clone + Send + 'static,
    {
        let level = self::level(level)?;
        let pool = Pool::start(workers, level.block_len(), Some(WitnessPool::new(level, workers, every)), codec)?;
        out.stream = Some(StreamWriter::default());
        out.pass(&level.header())?;
        Ok(Self {
            work: Some((BlockCutter::Bzip2(Box::new(Splitter::new(level))), pool)),
            out,
        })
    }
}

impl<S: Stage> Stage for Compress<S> {
    type Done = Compressed<S::Done>;

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let out = &mut self.out;
        match &mut self.work {
            Some((cutter, pool)) => cutter.feed(bytes, |block, raw| pool.dispatch(block, raw, out)),
            None => out.pass(bytes),
        }
    }

    fn finish(self) -> Result<Compressed<S::Done>> {
        let mut out = self.out;
        if let Some((mut cutter, mut pool)) = self.work {
            cutter.rest(|block, raw| pool.dispatch(block, raw, &mut out))?;
            // Nothing at all is still one (empty) frame: an empty file is none that the tools take. bzip2 has its header.
            if out.bytes == 0 && pool.is_idle() {
                pool.dispatch(&mut Vec::new(), RawBlock::default(), &mut out)?;
            }
            while !pool.is_idle() {
                pool.take_oldest(&mut out)?;
            }
        }
        if let Some(stream) = out.stream.take() {
            out.pass(&stream.finish())?;
        }
        Ok(Compressed {
            bytes: out.bytes,
            starts: out.starts,
            below: out.below.finish()?,
        })
    }
}

/// The way on: what is compressed, counted.
struct CountedSink<S> {
    stream: Option<StreamWriter>,
    bytes: u64,
    starts: BlockStarts,
    below: S,
}

impl<S: Stage> CountedSink<S> {
    fn new(starts: BlockStarts, below: S) -> Self {
        Self {
            stream: None,
            bytes: 0,
            starts,
            below,
        }
    }

    fn collect(&mut self, job: &mut CompressJob) -> Result<()> {
        let waiting = self.stream.as_ref().map_or(0, StreamWriter::waiting_bits);
        self.starts.note(8 * self.bytes + u64::from(waiting), job.raw.len);
        if let (Some(stream), Some(info)) = (&mut self.stream, job.info) {
            stream.join(&mut job.output, info);
        }
        self.pass(&job.output)
    }

    fn pass(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        self.below.put(bytes)
    }
}

enum BlockCutter {
    Bzip2(Box<Splitter>),
    /// Always at the same length.
    Length(Vec<u8>, usize),
}

impl BlockCutter {
    fn feed(&mut self, mut bytes: &[u8], mut emit: impl FnMut(&mut Vec<u8>, RawBlock) -> Result<()>) -> Result<()> {
        let (block, length) = match self {
            Self::Bzip2(splitter) => return splitter.feed(bytes, emit),
            Self::Length(block, length) => (block, *length),
        };
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(length - block.len()));
            block.extend_from_slice(now);
            bytes = later;
            if block.len() == length {
                emit(block, uncoded(block))?;
                block.clear();
            }
        }
        Ok(())
    }

    fn rest(&mut self, mut emit: impl FnMut(&mut Vec<u8>, RawBlock) -> Result<()>) -> Result<()> {
        match self {
            Self::Bzip2(splitter) => splitter.finish(emit),
            Self::Length(block, _) if block.is_empty() => Ok(()),
            Self::Length(block, _) => emit(block, uncoded(block)),
        }
    }
}

/// Of these blocks only the length counts: a checksum is what bzip2 needs.
fn uncoded(block: &[u8]) -> RawBlock {
    RawBlock {
        len: block.len() as u64,
        ..RawBlock::default()
    }
}

pub(super) fn level(level: u32) -> Result<Level> {
    u8::try_from(level)
        .ok()
        .and_then(Level::new)
        .ok_or_else(|| Error::new(Code::Bug, format!("bzip2 has no level {level}")))
}
