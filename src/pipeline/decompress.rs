//! The restore of `compress`.

use super::Stage;
use super::compress::level as level_of;
use crate::error::{Code, Error, Result, from_io};
use crate::format::compression::Compression;
use pgseal_bzip2::decode::ParallelDecoder;
use std::io::Write;

/// Decompresses what passes.
pub(crate) enum Decompress<S: Stage> {
    Bzip2(Box<ParallelDecoder<StageSink<S>>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, StageSink<S>>>),
    None(S),
}

/// A stage as what the decoders write to.
pub(crate) struct StageSink<S>(S);

impl<S: Stage> Write for StageSink<S> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.put(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<S: Stage> Decompress<S> {
    pub(crate) fn new(compression: Compression, workers: usize, below: S) -> Result<Self> {
        Ok(match compression {
            Compression::Bzip2(_) => {
                let decoder = ParallelDecoder::new(workers, StageSink(below));
                Self::Bzip2(Box::new(decoder.map_err(no_thread)?))
            }
            Compression::Zstd(_) => {
                let mut decoder = zstd::stream::write::Decoder::new(StageSink(below)).map_err(broken)?;
                // A frame of ours has at most 2 MiB; what asks for a larger window is none.
                decoder.window_log_max(27).map_err(broken)?;
                Self::Zstd(Box::new(decoder))
            }
            Compression::None => Self::None(below),
        })
    }
}

impl<S: Stage> Decompress<S> {
    /// What begins with a block of bzip2, at this bit of its first byte, or with a frame of zstd.
    pub(crate) fn within(compression: Compression, bit: u8, workers: usize, below: S) -> Result<Self> {
        let Compression::Bzip2(level) = compression else {
            return Self::new(compression, workers, below);
        };
        let decoder = ParallelDecoder::within(level_of(level)?, bit, workers, StageSink(below));
        Ok(Self::Bzip2(Box::new(decoder.map_err(no_thread)?)))
    }

    /// Behind the last bytes, which may end within a block: whether all came that was wanted is for the stages below to say.
    pub(crate) fn finish_within(self) -> Result<S::Done> {
        match self {
            Self::Bzip2(decoder) => decoder.finish_within().map_err(|error| broken(error.into()))?.0.finish(),
            Self::Zstd(mut decoder) => {
                decoder.flush().map_err(broken)?;
                decoder.into_inner().0.finish()
            }
            Self::None(below) => below.finish(),
        }
    }
}

impl<S: Stage> Stage for Decompress<S> {
    type Done = S::Done;

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Bzip2(decoder) => decoder.feed(bytes).map_err(|error| broken(error.into())),
            Self::Zstd(decoder) => decoder.write_all(bytes).map_err(broken),
            Self::None(below) => below.put(bytes),
        }
    }

    fn finish(self) -> Result<S::Done> {
        match self {
            Self::Bzip2(decoder) => decoder.finish().map_err(|error| broken(error.into()))?.0.finish(),
            Self::Zstd(mut decoder) => {
                decoder.flush().map_err(broken)?;
                decoder.into_inner().0.finish()
            }
            Self::None(below) => below.finish(),
        }
    }
}

fn no_thread(error: std::io::Error) -> Error {
    Error::new(Code::Bug, format!("no thread for a worker: {error}"))
}

/// Either the stages below failed, or the bytes are none that a compressor made.
fn broken(error: std::io::Error) -> Error {
    from_io(error, Code::Tampered)
}
