//! The pipeline of a byte, one stage a file, there and back. [`forward`] and [`fn@back`] are the only places where the stages are
//! joined.
//!
//! Everything here computes and runs on threads; uploads wait for the network and are tasks. They touch at one bounded
//! channel, so backpressure is unbroken: S3 slow → uploads in flight full → channel full → `Multipart` blocks → the
//! window of `Compress` fills → nothing is read → the pipe fills → `pg_dump` waits.

mod back;
mod compress;
mod count_rows;
mod decompress;
mod decrypt;
mod encrypt;
mod fetch;
mod hashes;
mod length_check;
mod multipart;
mod part_index;
pub(crate) mod pg_dump;
mod range;
pub mod throttle;

pub use back::{RestorePipeline, back};
pub(crate) use compress::Compress;
pub use count_rows::{DumpStats, RowCounter};
pub use decrypt::{ExpectedPart, PartDecryptor};
pub use encrypt::Encrypt;
pub use length_check::{LengthLimit, RAISE};
pub use multipart::Multipart;
pub(crate) use range::{PartsRead, RangePipeline, parts_of, ranges};
pub(crate) use throttle::Throttled;

use crate::cancel::Cancel;
use crate::envelope::secret::CipherKey;
use crate::error::{Code, Error, Result, from_io};
use crate::format::compression::Compression;
use crate::format::inventory::PartIndexEntry;
use crate::format::parts::{Part, PartSizeSchedule, UploadedObject};
use crate::format::row_digest::RowKeys;
use crate::observe::progress::Progress;
use crate::plan::RateSchedule;
use part_index::BlockStarts;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use throttle::Throttle;
use tokio::sync::mpsc::Sender;

/// Bytes read from `pg_dump` at once.
const READ: usize = 128 << 10;

/// A stage takes bytes and hands its own to the stage that it owns. It is ended by value, so that closing in the wrong
/// order, or forgetting to, cannot be written.
pub trait Stage {
    /// What is known when all has passed, the stages below included.
    type Done;

    fn put(&mut self, bytes: &[u8]) -> Result<()>;

    fn finish(self) -> Result<Self::Done>;
}

/// What one pipeline is to do with its bytes.
pub struct PipelineOptions {
    pub rate_limit: RateSchedule,
    pub compression: Compression,
    pub workers: usize,
    /// Of so many bzip2 blocks one is decoded again; at 1 all.
    pub checked_blocks: usize,
    pub key: CipherKey,
    pub salt: [u8; 8],
    pub part_sizes: PartSizeSchedule,
    /// Parts on the wire at once.
    pub in_flight: usize,
    /// Of the digests of tables; without them there are none.
    pub row_keys: Option<Arc<RowKeys>>,
}

/// What is known of a stream that came to its proven end.
pub struct StreamSummary {
    pub counted: DumpStats,
    pub compressed_bytes: u64,
    pub part_index: Vec<PartIndexEntry>,
    pub sealed: UploadedObject,
    pub throttled: Duration,
}

/// Read → throttle → inventory → compress → encrypt → parts. Returns only if the source came to its proven end, gives it
/// back, and with it the last part, which is held back until the commit.
pub fn forward<R: Read>(
    source: R,
    options: PipelineOptions,
    parts: Sender<Part>,
    progress: &Progress,
    cancel: &Cancel,
) -> Result<(StreamSummary, Part, R)> {
    let multipart = Multipart::new(options.part_sizes, options.in_flight, parts, cancel.clone());
    let encrypt = Encrypt::new(&options.key, options.salt, multipart)?;
    let starts = BlockStarts::new(options.part_sizes);
    let compress = Compress::new(options.compression, options.workers, options.checked_blocks, starts, encrypt)?;
    let mut inventory = RowCounter::new(compress).digesting(options.row_keys);
    let mut source = Throttle::new(source, options.rate_limit, cancel.clone());

    let mut buffer = vec![0; READ];
    loop {
        let read = source.read(&mut buffer).map_err(|error| from_io(error, Code::DumpFailed))?;
        if read == 0 {
            break;
        }
        inventory.put(&buffer[..read])?;
        progress.passed(read as u64, inventory.rows());
    }
    let Throttled { inner, waited } = source.finish();
    let (counted, compressed) = inventory.finish()?;
    let (sealed, last) = compressed.below;
    let arrived = StreamSummary {
        counted,
        compressed_bytes: compressed.bytes,
        part_index: compressed.starts.index(options.compression, &sealed, &options.key.iv),
        sealed,
        throttled: waited,
    };
    Ok((arrived, last, inner))
}

/// A sink for what is small.
#[derive(Default)]
pub struct BufferSink(Vec<u8>);

impl Stage for BufferSink {
    type Done = Vec<u8>;

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self) -> Result<Vec<u8>> {
        Ok(self.0)
    }
}

/// A sink that keeps nothing: all that counts is that the bytes came.
pub struct Discard;

impl Stage for Discard {
    type Done = ();

    fn put(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn finish(self) -> Result<()> {
        Ok(())
    }
}

/// Encrypts a small object that is whole in memory, with the same framing as the dump.
pub fn seal_small(plain: &[u8], key: &CipherKey, salt: [u8; 8]) -> Result<Vec<u8>> {
    let mut encrypt = Encrypt::new(key, salt, BufferSink::default())?;
    encrypt.put(plain)?;
    encrypt.finish()
}

/// A worker or the receiving side went away without a reason of its own.
fn broken(what: &str) -> Error {
    Error::new(Code::Bug, format!("{what} ended before the dump did"))
}
