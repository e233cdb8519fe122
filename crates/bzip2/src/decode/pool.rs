//! Threads that decode blocks.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::block::{Block, BlockDecoder, Form};
use super::fault::Fault;

/// A block that may be one.
struct Job {
    bytes: Vec<u8>,
    bit: usize,
    end: usize,
    /// Spare memory for the text.
    text: Vec<u8>,
    reply: Sender<Answer>,
}

/// What became of it.
pub(super) struct Answer {
    pub block: Result<(Block, Form), Fault>,
    /// The block's text in this form, if it is one.
    pub text: Vec<u8>,
    /// The bytes, to be used again.
    pub bytes: Vec<u8>,
}

/// Named threads, joined when this is dropped.
pub(super) struct DecoderPool {
    jobs: Option<Sender<Job>>,
    /// Jobs that wait are no longer worth doing.
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl DecoderPool {
    pub(super) fn new(workers: usize) -> io::Result<Self> {
        let (jobs, todo) = unbounded::<Job>();
        let mut pool = Self {
            jobs: Some(jobs),
            stop: Arc::default(),
            threads: Vec::new(),
        };
        for number in 0..workers.max(1) {
            let (todo, stop) = (todo.clone(), pool.stop.clone());
            pool.threads
                .push(Builder::new().name(format!("bunzip2-{number}")).spawn(move || work(&todo, &stop))?);
        }
        Ok(pool)
    }

    /// The caller bounds how many jobs there are. The receiver gives one answer, or none if the
    /// worker was lost.
    pub(super) fn decode(&self, bytes: Vec<u8>, bit: usize, end: usize, text: Vec<u8>) -> Receiver<Answer> {
        let (reply, answer) = bounded(1);
        if let Some(jobs) = &self.jobs {
            // Fails only if all workers are lost; then the receiver says so.
            let _ = jobs.send(Job {
                bytes,
                bit,
                end,
                text,
                reply,
            });
        }
        answer
    }
}

impl Drop for DecoderPool {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A worker's panic was already seen as a missing answer.
            let _ = thread.join();
        }
    }
}

fn work(todo: &Receiver<Job>, stop: &AtomicBool) {
    let mut decoder = BlockDecoder::new();
    for Job {
        bytes,
        bit,
        end,
        mut text,
        reply,
    } in todo
    {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let block = decoder.decode(&bytes, bit, end, &mut text);
        // Nobody waits for a block that turned out to be none.
        let _ = reply.send(Answer { block, text, bytes });
    }
}
