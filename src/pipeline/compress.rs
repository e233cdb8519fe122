//! Compression by several workers, in order: each block becomes a whole bzip2 stream or zstd frame, and the tools read
//! one after the other as one.

use super::{Stage, broken};
use crate::error::{Code, Error, Result};
use crate::plan::{Compression, block_bytes};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::VecDeque;
use std::io::Write;
use std::thread::JoinHandle;

/// Blocks on the road for each worker: one in its hands, one waiting or done.
const WINDOW: usize = 2;

/// What is known when the last block has passed.
pub struct Compressed<D> {
    pub bytes: u64,
    pub below: D,
}

/// Cuts into blocks, has them compressed, and passes the results on in order: taking the oldest result gives both the
/// order and the window.
pub struct Compress<S> {
    pool: Option<Pool>,
    block: usize,
    current: Vec<u8>,
    in_work: VecDeque<Receiver<Result<Job>>>,
    /// Buffers that are free again.
    spare: Vec<Job>,
    bytes: u64,
    below: S,
}

#[derive(Default)]
struct Job {
    input: Vec<u8>,
    output: Vec<u8>,
}

struct Pool {
    jobs: Sender<(Job, Sender<Result<Job>>)>,
    workers: Vec<JoinHandle<()>>,
}

impl<S: Stage> Compress<S> {
    pub fn new(compression: Compression, workers: usize, below: S) -> Result<Self> {
        let pool = if compression == Compression::None {
            None
        } else {
            Some(Pool::start(compression, workers)?)
        };
        let block = block_bytes(compression);
        Ok(Self {
            pool,
            block,
            current: Vec::new(),
            in_work: VecDeque::new(),
            spare: Vec::new(),
            bytes: 0,
            below,
        })
    }

    fn dispatch(&mut self) -> Result<()> {
        let Some(pool) = &self.pool else { return Ok(()) };
        let (jobs, window) = (pool.jobs.clone(), WINDOW * pool.workers.len());
        while self.in_work.len() >= window {
            self.take_oldest()?;
        }
        let mut job = self.spare.pop().unwrap_or_default();
        std::mem::swap(&mut job.input, &mut self.current);
        self.current.clear();
        let (done, result) = bounded(1);
        jobs.send((job, done)).map_err(|_| broken("a worker"))?;
        self.in_work.push_back(result);
        Ok(())
    }

    fn take_oldest(&mut self) -> Result<()> {
        let Some(result) = self.in_work.pop_front() else { return Ok(()) };
        let job = result.recv().map_err(|_| broken("a worker"))??;
        self.bytes += job.output.len() as u64;
        self.below.put(&job.output)?;
        self.spare.push(job);
        Ok(())
    }
}

impl<S: Stage> Stage for Compress<S> {
    type Done = Compressed<S::Done>;

    fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        if self.pool.is_none() {
            self.bytes += bytes.len() as u64;
            return self.below.put(bytes);
        }
        while !bytes.is_empty() {
            let take = bytes.len().min(self.block - self.current.len());
            self.current.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            if self.current.len() == self.block {
                self.dispatch()?;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Compressed<S::Done>> {
        // Nothing at all is still one (empty) stream: an empty file is none that `bzip2 -d` takes.
        if !self.current.is_empty() || (self.bytes == 0 && self.in_work.is_empty()) {
            self.dispatch()?;
        }
        while !self.in_work.is_empty() {
            self.take_oldest()?;
        }
        Ok(Compressed {
            bytes: self.bytes,
            below: self.below.finish()?,
        })
    }
}

impl Pool {
    fn start(compression: Compression, workers: usize) -> Result<Self> {
        let (jobs, queue) = bounded::<(Job, Sender<Result<Job>>)>(workers);
        let start = |number: usize| {
            let queue = queue.clone();
            std::thread::Builder::new().name(format!("compress-{number}")).spawn(move || {
                let mut encoder = Encoder::new(compression);
                for (mut job, done) in queue {
                    let result = encoder
                        .as_mut()
                        .map_err(|error| error.clone())
                        .and_then(|encoder| encoder.run(&mut job))
                        .map(|()| job);
                    // A stage that failed elsewhere waits for no result any more.
                    let _ = done.send(result);
                }
            })
        };
        let workers = (0..workers).map(start).collect::<std::io::Result<_>>();
        let workers = workers.map_err(|error| Error::new(Code::Bug, format!("no thread for a worker: {error}")))?;
        Ok(Self { jobs, workers })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Without a sender the queue ends, and the workers with it.
        self.jobs = bounded(0).0;
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

enum Encoder {
    Bzip2(::bzip2::Compression),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Encoder {
    fn new(compression: Compression) -> Result<Self> {
        match compression {
            Compression::Bzip2(level) => Ok(Self::Bzip2(::bzip2::Compression::new(level))),
            Compression::Zstd(level) => zstd::bulk::Compressor::new(level)
                .and_then(|mut compressor| compressor.include_checksum(true).map(|()| Self::Zstd(compressor)))
                .map_err(failed),
            Compression::None => Err(Error::new(Code::Bug, "no encoder for no compression")),
        }
    }

    fn run(&mut self, job: &mut Job) -> Result<()> {
        job.output.clear();
        match self {
            Self::Bzip2(level) => {
                let mut encoder = ::bzip2::write::BzEncoder::new(std::mem::take(&mut job.output), *level);
                encoder.write_all(&job.input).map_err(failed)?;
                job.output = encoder.finish().map_err(failed)?;
            }
            Self::Zstd(compressor) => {
                job.output.reserve(zstd::zstd_safe::compress_bound(job.input.len()));
                compressor.compress_to_buffer(&job.input, &mut job.output).map_err(failed)?;
            }
        }
        Ok(())
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::new(Code::Bug, format!("a block could not be compressed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Memory;
    use std::io::Read;

    fn compressed(compression: Compression, workers: usize, plain: &[u8]) -> Vec<u8> {
        let mut stage = Compress::new(compression, workers, Memory::default()).unwrap();
        plain.chunks(70_001).for_each(|chunk| stage.put(chunk).unwrap());
        let done = stage.finish().unwrap();
        assert_eq!(done.bytes, done.below.len() as u64);
        done.below
    }

    fn plain(length: usize) -> Vec<u8> {
        (0..length).map(|n| if n % 7 == 0 { b'\n' } else { (n / 3 % 97) as u8 }).collect()
    }

    #[test]
    fn blocks_come_back_in_order_whatever_the_number_of_workers() {
        for workers in [1, 2, 5] {
            for length in [0, 1, 99_999, 100_000, 100_001, 1_234_567] {
                let plain = plain(length);
                let packed = compressed(Compression::Bzip2(1), workers, &plain);
                let mut back = Vec::new();
                ::bzip2::read::MultiBzDecoder::new(packed.as_slice())
                    .read_to_end(&mut back)
                    .unwrap();
                assert!(back == plain, "{workers} workers, {length} bytes");
            }
        }
    }

    #[test]
    fn zstd_frames_make_one_stream() {
        let plain = plain(5 << 20);
        let packed = compressed(Compression::Zstd(1), 3, &plain);
        assert!(zstd::decode_all(packed.as_slice()).unwrap() == plain);
        assert!(
            zstd::decode_all(compressed(Compression::Zstd(3), 2, b"").as_slice())
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn none_changes_nothing() {
        let plain = plain(300_000);
        assert!(compressed(Compression::None, 2, &plain) == plain);
    }

    #[test]
    fn a_failure_below_ends_the_workers_too() {
        struct Broken;
        impl Stage for Broken {
            type Done = ();
            fn put(&mut self, _: &[u8]) -> Result<()> {
                Err(Error::new(Code::S3Denied, "no"))
            }
            fn finish(self) -> Result<()> {
                Ok(())
            }
        }
        let mut stage = Compress::new(Compression::Bzip2(1), 2, Broken).unwrap();
        let error = (0..100).find_map(|_| stage.put(&plain(100_000)).err()).unwrap();
        assert_eq!(error.code, Code::S3Denied);
    }
}
