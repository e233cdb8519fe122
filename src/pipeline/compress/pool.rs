//! The workers, each with an encoder, and what they have in hand.

use super::witness::Witness;
use super::{CountedSink, Stage, broken};
use crate::error::{Code, Error, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use pgseal_bzip2::Level;
use pgseal_bzip2::encode::{BlockInfo, Encoder, RawBlock};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use zstd::zstd_safe::{CParameter, Strategy};

/// Blocks on the pipeline for each worker: one in its hands, one waiting or done.
const WINDOW: usize = 2;

/// The workers and what they have in hand. Taking the oldest result gives both the order and the window.
pub(crate) struct Pool {
    jobs: Sender<(CompressJob, Sender<Result<CompressJob>>)>,
    workers: Vec<JoinHandle<()>>,
    in_work: VecDeque<Receiver<Result<CompressJob>>>,
    /// Buffers that are free again.
    spare: Vec<CompressJob>,
    block: usize,
    dispatched: u64,
}

impl Pool {
    /// Each worker makes its own codec, on its own thread.
    pub(crate) fn start<C>(workers: usize, block: usize, checks: Option<WitnessPool>, codec: C) -> Result<Self>
    where
        C: Fn() -> Result<Box<dyn Codec>> + Clone + Send + 'static,
    {
        let (jobs, queue) = bounded::<(CompressJob, Sender<Result<CompressJob>>)>(workers);
        let checks = checks.map(Arc::new);
        let mut pool = Self {
            jobs,
            workers: Vec::new(),
            in_work: VecDeque::new(),
            spare: Vec::new(),
            block,
            dispatched: 0,
        };
        for number in 0..workers {
            let (queue, checks, codec) = (queue.clone(), checks.clone(), codec.clone());
            let work = move || {
                let mut codec = codec();
                for (mut job, done) in queue {
                    let encoded = codec
                        .as_mut()
                        .map_err(|error| error.clone())
                        .and_then(|codec| codec.encode(&mut job));
                    let checked = encoded.and_then(|()| checks.as_ref().map_or(Ok(()), |checks| checks.check(number, &job)));
                    // A stage that failed elsewhere waits for no result any more.
                    let _ = done.send(checked.map(|()| job));
                }
            };
            let worker = std::thread::Builder::new().name(format!("compress-{number}")).spawn(work);
            pool.workers
                .push(worker.map_err(|error| Error::new(Code::Bug, format!("no thread for a worker: {error}")))?);
        }
        Ok(pool)
    }

    /// Takes the block and leaves another buffer in its place.
    pub(crate) fn dispatch<S: Stage>(&mut self, block: &mut Vec<u8>, raw: RawBlock, out: &mut CountedSink<S>) -> Result<()> {
        while self.in_work.len() >= WINDOW * self.workers.len() {
            self.take_oldest(out)?;
        }
        let mut job = self.spare.pop().unwrap_or_else(|| CompressJob {
            number: 0,
            raw,
            input: Vec::with_capacity(self.block),
            output: Vec::new(),
            info: None,
        });
        std::mem::swap(&mut job.input, block);
        job.number = self.dispatched;
        job.raw = raw;
        self.dispatched += 1;
        let (done, result) = bounded(1);
        self.jobs.send((job, done)).map_err(|_| broken("a worker"))?;
        self.in_work.push_back(result);
        Ok(())
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.in_work.is_empty()
    }

    pub(crate) fn take_oldest<S: Stage>(&mut self, out: &mut CountedSink<S>) -> Result<()> {
        let Some(result) = self.in_work.pop_front() else { return Ok(()) };
        let mut job = result.recv().map_err(|_| broken("a worker"))??;
        out.collect(&mut job)?;
        self.spare.push(job);
        Ok(())
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

pub(crate) struct CompressJob {
    pub number: u64,
    /// The block; of bzip2 as its splitter made it.
    pub input: Vec<u8>,
    pub raw: RawBlock,
    pub output: Vec<u8>,
    /// Of a bzip2 block.
    pub info: Option<BlockInfo>,
}

/// One worker's encoder.
pub(crate) trait Codec {
    /// Replaces the job's output.
    fn encode(&mut self, job: &mut CompressJob) -> Result<()>;
}

pub(crate) struct Bzip2(pub Encoder);

impl Codec for Bzip2 {
    fn encode(&mut self, job: &mut CompressJob) -> Result<()> {
        job.output.clear();
        // Random bytes grow by half a per cent.
        job.output.reserve(job.input.len() + job.input.len() / 100 + 1024);
        job.info = Some(self.0.encode(&job.input, job.raw.crc, &mut job.output));
        Ok(())
    }
}

pub(crate) struct Zstd(zstd::bulk::Compressor<'static>);

impl Zstd {
    pub(crate) fn new(level: i32) -> Result<Self> {
        let mut compressor = zstd::bulk::Compressor::new(level).map_err(failed)?;
        compressor.include_checksum(true).map_err(failed)?;
        if level == zstd::DEFAULT_COMPRESSION_LEVEL {
            // Rows repeat long strings: one hash of seven bytes finds them where the level's two hashes of five and eight
            // take a third more time, and the result is smaller.
            for parameter in [
                CParameter::Strategy(Strategy::ZSTD_fast),
                CParameter::MinMatch(7),
                CParameter::HashLog(17),
            ] {
                compressor.set_parameter(parameter).map_err(failed)?;
            }
        }
        Ok(Self(compressor))
    }
}

impl Codec for Zstd {
    fn encode(&mut self, job: &mut CompressJob) -> Result<()> {
        job.output.clear();
        job.output.reserve(zstd::zstd_safe::compress_bound(job.input.len()));
        self.0.compress_to_buffer(&job.input, &mut job.output).map_err(failed)?;
        Ok(())
    }
}

/// Has a share of the blocks decoded again by another implementation, so that a fault of the encoder or of the memory stops
/// the backup. There are no more witnesses than that share needs.
pub(crate) struct WitnessPool {
    level: Level,
    every: u64,
    witnesses: Vec<Mutex<Witness>>,
}

impl WitnessPool {
    pub(crate) fn new(level: Level, workers: usize, every: usize) -> Self {
        let every = every.max(1);
        Self {
            level,
            every: every as u64,
            witnesses: (0..workers.div_ceil(every)).map(|_| Mutex::new(Witness::new())).collect(),
        }
    }

    fn check(&self, worker: usize, job: &CompressJob) -> Result<()> {
        let Some(info) = job.info.filter(|_| job.number.is_multiple_of(self.every)) else {
            return Ok(());
        };
        let witness = &self.witnesses[worker % self.witnesses.len()];
        // It starts each block anew, whatever became of the one before.
        let mut witness = witness.lock().unwrap_or_else(PoisonError::into_inner);
        let Err(wrong) = witness.check(job, info, self.level) else {
            return Ok(());
        };
        Err(Error::new(
            Code::Bug,
            format!("block {} of the dump was compressed wrongly: decoded again, {wrong}", job.number),
        ))
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::new(Code::Bug, format!("a block could not be compressed: {error}"))
}
