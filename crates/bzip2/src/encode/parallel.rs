//! A whole stream, its blocks encoded by several workers and written in order.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{BlockInfo, Encoder, Isa, Splitter, StreamWriter};
use crate::Level;

/// Blocks for each worker: one in its hands, one waiting or done.
const WINDOW_PER_WORKER: usize = 2;

/// A block, and what it became.
struct Job {
    block: Vec<u8>,
    crc: u32,
    packed: Vec<u8>,
    info: BlockInfo,
}

/// Takes a text piece by piece and writes its bzip2 stream to the sink, on the caller's thread: the same bytes whatever the
/// number of workers and the length of the pieces.
pub struct ParallelEncoder<W> {
    splitter: Splitter,
    output: Output<W>,
    broken: bool,
}

struct Output<W> {
    pool: EncoderPool,
    /// Taking the oldest gives both the order and the window.
    window: VecDeque<Receiver<Job>>,
    spare: Vec<Job>,
    /// Until it was written.
    header: Option<[u8; 4]>,
    stream: StreamWriter,
    sink: W,
}

impl<W: Write> ParallelEncoder<W> {
    /// `workers` threads, at least one, each with up to 15 MB at level 9.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn new(level: Level, workers: usize, sink: W) -> io::Result<Self> {
        Self::with_isa(level, workers, Isa::detect(), sink)
    }

    /// For tests and measurements: with fewer instructions than the processor has.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_isa(level: Level, workers: usize, isa: Isa, sink: W) -> io::Result<Self> {
        let pool = EncoderPool::new(level, workers.max(1), isa)?;
        Ok(Self {
            splitter: Splitter::with_isa(level, isa),
            output: Output {
                pool,
                window: VecDeque::new(),
                spare: Vec::new(),
                header: Some(level.header()),
                stream: StreamWriter::default(),
                sink,
            },
            broken: false,
        })
    }

    /// Takes all of `bytes`; waits while each worker has its blocks.
    ///
    /// # Errors
    /// What the sink says. The encoder is of no more use then.
    pub fn feed(&mut self, bytes: &[u8]) -> io::Result<()> {
        if std::mem::replace(&mut self.broken, true) {
            return Err(lost());
        }
        self.splitter.feed(bytes, |block, raw| self.output.dispatch(block, raw.crc))?;
        self.broken = false;
        Ok(())
    }

    /// The end of the text; gives the sink back, not flushed.
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    pub fn finish(mut self) -> io::Result<W> {
        if self.broken {
            return Err(lost());
        }
        self.splitter.finish(|block, raw| self.output.dispatch(block, raw.crc))?;
        while !self.output.window.is_empty() {
            self.output.write_oldest()?;
        }
        self.output.begin()?;
        let Output { stream, mut sink, .. } = self.output;
        sink.write_all(&stream.finish())?;
        Ok(sink)
    }
}

impl<W: Write> Output<W> {
    /// Takes the block and leaves another buffer in its place.
    fn dispatch(&mut self, block: &mut Vec<u8>, crc: u32) -> io::Result<()> {
        while self.window.len() >= WINDOW_PER_WORKER * self.pool.threads.len() {
            self.write_oldest()?;
        }
        let mut job = self.spare.pop().unwrap_or_else(|| Job {
            block: Vec::with_capacity(block.capacity()),
            crc,
            packed: Vec::new(),
            info: BlockInfo { crc, bits: 0 },
        });
        std::mem::swap(&mut job.block, block);
        job.crc = crc;
        self.window.push_back(self.pool.encode(job));
        Ok(())
    }

    fn begin(&mut self) -> io::Result<()> {
        self.header.take().map_or(Ok(()), |header| self.sink.write_all(&header))
    }

    fn write_oldest(&mut self) -> io::Result<()> {
        let Some(result) = self.window.pop_front() else { return Ok(()) };
        let mut job = result.recv().map_err(|_| lost())?;
        self.stream.join(&mut job.packed, job.info);
        self.begin()?;
        self.sink.write_all(&job.packed)?;
        self.spare.push(job);
        Ok(())
    }
}

fn lost() -> io::Error {
    io::Error::other("the bzip2 encoder broke off")
}

/// Named threads, each with an encoder, joined when this is dropped.
struct EncoderPool {
    /// None once no more is wanted.
    jobs: Option<Sender<(Job, Sender<Job>)>>,
    threads: Vec<JoinHandle<()>>,
}

impl EncoderPool {
    fn new(level: Level, workers: usize, isa: Isa) -> io::Result<Self> {
        // What waits is bounded by the window.
        let (jobs, todo) = crossbeam_channel::unbounded::<(Job, Sender<Job>)>();
        let mut pool = Self {
            jobs: Some(jobs),
            threads: Vec::new(),
        };
        for number in 0..workers {
            let todo = todo.clone();
            let work = move || {
                let mut encoder = Encoder::with_isa(level, isa);
                for (mut job, done) in todo {
                    job.packed.clear();
                    // Random bytes grow by half a per cent.
                    job.packed.reserve(job.block.len() + job.block.len() / 100 + 1024);
                    job.info = encoder.encode(&job.block, job.crc, &mut job.packed);
                    // Nobody waits for it after an error of the sink.
                    let _ = done.send(job);
                }
            };
            pool.threads.push(Builder::new().name(format!("bzip2-{number}")).spawn(work)?);
        }
        Ok(pool)
    }

    /// The receiver gives the job back, or nothing if the worker was lost.
    fn encode(&self, job: Job) -> Receiver<Job> {
        let (done, result) = bounded(1);
        if let Some(jobs) = &self.jobs {
            // Fails only if all workers are lost; then the receiver says so.
            let _ = jobs.send((job, done));
        }
        result
    }
}

impl Drop for EncoderPool {
    fn drop(&mut self) {
        // Without a sender the queue ends, and the workers with it.
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A worker's panic was already seen as a missing result.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::encode_all;

    fn rows(count: usize) -> Vec<u8> {
        (0..count)
            .flat_map(|id: usize| format!("{id}\t{}\n", id.wrapping_mul(0x9E37_79B9)).into_bytes())
            .collect()
    }

    #[test]
    fn the_stream_is_the_same_whatever_the_workers_and_the_pieces() {
        let text = rows(60_000);
        let level = Level::new(1).unwrap();
        let whole = encode_all(level, &text);
        for (workers, piece) in [(0, usize::MAX), (1, 1000), (3, 70_001), (8, usize::MAX)] {
            let mut encoder = ParallelEncoder::new(level, workers, Vec::new()).unwrap();
            for piece in text.chunks(piece) {
                encoder.feed(piece).unwrap();
            }
            assert!(encoder.finish().unwrap() == whole, "{workers} workers, pieces of {piece}");
        }
        let nothing = ParallelEncoder::new(level, 2, Vec::new()).unwrap().finish().unwrap();
        assert_eq!(nothing, encode_all(level, b""));
    }

    /// Takes so many bytes, then none.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = self.0.checked_sub(bytes.len());
            self.0 = room.ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_sink_is_said_and_the_encoder_is_of_no_use_then() {
        let mut encoder = ParallelEncoder::new(Level::new(1).unwrap(), 2, Full(1000)).unwrap();
        let text = rows(60_000);
        let error = encoder.feed(&text).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(encoder.feed(b"").is_err() && encoder.finish().is_err());
    }

    #[test]
    fn an_encoder_given_up_leaves_no_thread() {
        let mut encoder = ParallelEncoder::new(Level::new(1).unwrap(), 2, io::sink()).unwrap();
        encoder.feed(&rows(60_000)).unwrap();
        // Returns only when the threads have ended.
        drop(encoder);
    }
}
