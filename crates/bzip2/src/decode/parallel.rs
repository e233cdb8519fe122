//! A whole file, its blocks decoded by several workers and given out in order.
//!
//! Whatever follows a magic number is a candidate and may be decoded early. It is a block only if
//! the one before ended exactly there. A candidate gets the bytes up to the next magic number; if
//! it is a true block and that number was chance, it is decoded again with all the bytes a block
//! can have. So each byte is decoded at most twice and the memory is bounded, whatever the input.

use std::collections::VecDeque;
use std::io::{self, Write};

use crossbeam_channel::{Receiver, TryRecvError};

use super::block::{Block, Form, MAX_BLOCK_BITS};
use super::fault::Fault;
use super::input::Input;
use super::pool::{Answer, DecoderPool};
use super::rle1::Expander;
use super::scan::{self, Magic};
use crate::{Level, combine_crc};

/// Candidates at work or done and waiting for their turn, for each worker.
const WINDOW_PER_WORKER: usize = 2;

/// The sink is written in pieces of this, and the input taken.
pub(super) const PIECE: usize = 64 << 10;

/// Why there is no more text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The input is wrong.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The sink refused.
    #[error(transparent)]
    Sink(io::Error),
    /// A worker thread was lost, or the decoder used after an error.
    #[error("the bzip2 decoder broke off")]
    Broken,
}

/// The sink's errors as they came, a fault as [`io::ErrorKind::InvalidData`] around the [`Fault`].
impl From<DecodeError> for io::Error {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Fault(fault) => Self::new(io::ErrorKind::InvalidData, fault),
            DecodeError::Sink(error) => error,
            DecodeError::Broken => Self::other(error),
        }
    }
}

/// Takes a bzip2 file piece by piece and writes its text to the sink, on the caller's thread.
pub struct ParallelDecoder<W> {
    pool: DecoderPool,
    sink: W,
    input: Input,
    /// Where the next thing must start: a block or an end mark in a stream, else a stream.
    at: u64,
    stream: Option<Stream>,
    streams: u64,
    /// How far candidates were looked for.
    scanned: u64,
    /// A candidate whose end was not found yet.
    open: Option<u64>,
    /// Those given to the pool, by their place in the file.
    window: VecDeque<Candidate>,
    window_len: usize,
    /// Memory to be used again.
    spare_bytes: Vec<Vec<u8>>,
    spare_texts: Vec<Vec<u8>>,
    piece: Vec<u8>,
    broken: bool,
}

struct Stream {
    level: Level,
    /// `None` where blocks before these were not read: it is of all.
    crc: Option<u32>,
}

struct Candidate {
    start: u64,
    /// Where its bytes were cut.
    end: u64,
    /// None while more input is waited for.
    answer: Option<Receiver<Answer>>,
}

/// What one step of the reader came to.
enum Step {
    Moved,
    /// More input is needed, or the head of the window is not ready and there is no hurry.
    Waits,
    Done,
}

impl<W: Write> ParallelDecoder<W> {
    /// `workers` threads, at least one, each with up to 17 MB at level 9.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn new(workers: usize, sink: W) -> io::Result<Self> {
        let workers = workers.max(1);
        Ok(Self {
            pool: DecoderPool::new(workers)?,
            sink,
            input: Input::default(),
            at: 0,
            stream: None,
            streams: 0,
            scanned: 0,
            open: None,
            window: VecDeque::new(),
            window_len: workers * WINDOW_PER_WORKER,
            spare_bytes: Vec::new(),
            spare_texts: Vec::new(),
            piece: Vec::new(),
            broken: false,
        })
    }

    /// The same within a stream: the input begins with a block, at the bit `bit` of its first byte (0 to 7). The checksum of each
    /// block is compared; that of the stream, which is of all its blocks, cannot be.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn within(level: Level, bit: u8, workers: usize, sink: W) -> io::Result<Self> {
        let mut decoder = Self::new(workers, sink)?;
        decoder.at = u64::from(bit % 8);
        decoder.stream = Some(Stream { level, crc: None });
        Ok(decoder)
    }

    /// Takes all of `bytes`; waits while the window is full.
    ///
    /// # Errors
    /// The first of the input or the sink, after all text before it was written. The decoder is of no more use then.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.guard(|this| {
            for piece in bytes.chunks(PIECE) {
                this.input.bytes.extend_from_slice(piece);
                this.advance(false)?;
            }
            Ok(())
        })
    }

    /// The end of the input; gives the sink back, not flushed, if all of it was right.
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    pub fn finish(mut self) -> Result<W, DecodeError> {
        self.guard(|this| this.advance(true))?;
        Ok(self.sink)
    }

    /// The end of the input, which may be anywhere in the stream: gives the sink back once all blocks that are whole are
    /// written. Whether they are all that was wanted is for the sink to say.
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    pub fn finish_within(mut self) -> Result<W, DecodeError> {
        match self.guard(|this| this.advance(true)) {
            Ok(()) | Err(DecodeError::Fault(Fault::Truncated)) => Ok(self.sink),
            Err(error) => Err(error),
        }
    }

    fn guard(&mut self, work: impl FnOnce(&mut Self) -> Result<(), DecodeError>) -> Result<(), DecodeError> {
        if std::mem::replace(&mut self.broken, true) {
            return Err(DecodeError::Broken);
        }
        work(self)?;
        self.broken = false;
        Ok(())
    }

    fn advance(&mut self, last: bool) -> Result<(), DecodeError> {
        loop {
            self.hand_out(last);
            match self.step(last)? {
                Step::Moved => self.input.forget(self.at),
                Step::Waits | Step::Done => return Ok(()),
            }
        }
    }

    /// Gives the pool what it has room for.
    fn hand_out(&mut self, last: bool) {
        // What lies behind can no longer be a block.
        self.scanned = self.scanned.max(self.at);
        self.open = self.open.filter(|&open| open >= self.at);
        while self.window.len() < self.window_len {
            let from = self.input.local(self.scanned);
            let found = scan::find(&self.input.bytes, from);
            let limit = self.open.map(|open| open + MAX_BLOCK_BITS as u64);
            if let Some((bit, magic)) = found {
                let bit = self.input.global(bit);
                if let Some(open) = self.open.take() {
                    let end = bit.min(limit.unwrap_or(bit));
                    self.send(open, end);
                }
                self.open = (magic == Magic::Block).then_some(bit);
                self.scanned = bit + 1;
            } else {
                self.scanned = self.input.global(scan::resume(self.input.bytes.len(), from));
                if let (Some(open), Some(limit)) = (self.open, limit)
                    && (last || self.input.end() >= limit)
                {
                    self.open = None;
                    self.send(open, limit.min(self.input.end()));
                }
                return;
            }
        }
    }

    fn send(&mut self, start: u64, end: u64) {
        let answer = Some(self.job(start, end));
        self.window.push_back(Candidate { start, end, answer });
    }

    fn job(&mut self, start: u64, end: u64) -> Receiver<Answer> {
        let (from, to) = (self.input.local(start), self.input.local(end));
        let mut bytes = self.spare_bytes.pop().unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(&self.input.bytes[from / 8..to.div_ceil(8)]);
        self.pool
            .decode(bytes, from % 8, to - from / 8 * 8, self.spare_texts.pop().unwrap_or_default())
    }

    fn step(&mut self, last: bool) -> Result<Step, DecodeError> {
        let Some(stream) = &self.stream else {
            return self.start_stream(last);
        };
        let at = self.input.local(self.at);
        match scan::at(&self.input.bytes, at) {
            Some(Magic::Block) => self.take_block(last),
            Some(Magic::End) => {
                let crc = stream.crc;
                self.end_stream(crc, last)
            }
            None if self.input.end().saturating_sub(self.at) >= 48 => Err(Fault::NoBlock.into()),
            None => wait(last, Fault::Truncated),
        }
    }

    fn start_stream(&mut self, last: bool) -> Result<Step, DecodeError> {
        let rest = &self.input.bytes[self.input.local(self.at) / 8..];
        let Some(&header) = rest.first_chunk::<4>() else {
            let fault = match (rest.is_empty(), self.streams) {
                (true, 1..) if last => return Ok(Step::Done),
                (_, 0) => Fault::Truncated,
                _ => Fault::TrailingGarbage,
            };
            return wait(last, fault);
        };
        let fault = if self.streams == 0 {
            Fault::NotBzip2
        } else {
            Fault::TrailingGarbage
        };
        let level = Level::from_header(header).ok_or(fault)?;
        self.stream = Some(Stream { level, crc: Some(0) });
        self.at += 32;
        Ok(Step::Moved)
    }

    fn end_stream(&mut self, computed: Option<u32>, last: bool) -> Result<Step, DecodeError> {
        const LEN: u64 = 48 + 32;
        if self.input.end().saturating_sub(self.at) < LEN {
            return wait(last, Fault::Truncated);
        }
        let mut reader = super::bits::BitReader::new(&self.input.bytes, self.input.local(self.at + 48));
        let stored = reader.take(32) as u32;
        if let Some(computed) = computed.filter(|computed| *computed != stored) {
            return Err(Fault::StreamCrc { stored, computed }.into());
        }
        self.stream = None;
        self.streams += 1;
        self.at = (self.at + LEN).next_multiple_of(8);
        Ok(Step::Moved)
    }

    fn take_block(&mut self, last: bool) -> Result<Step, DecodeError> {
        while let Some(chance) = self.window.pop_front_if(|candidate| candidate.start < self.at) {
            // Its memory comes back if it is done already.
            if let Some(Ok(answer)) = chance.answer.map(|answer| answer.try_recv()) {
                self.recycle(answer.bytes, answer.text);
            }
        }
        let hurry = last || self.window.len() == self.window_len;
        let Some(candidate) = self.window.front().filter(|candidate| candidate.start == self.at) else {
            // The window was full of candidates that were none.
            return if self.scanned <= self.at {
                Ok(Step::Moved)
            } else {
                wait(last, Fault::Truncated)
            };
        };
        let (start, limit) = (self.at, self.at + MAX_BLOCK_BITS as u64);
        let Some(answer) = &candidate.answer else {
            return if last || self.input.end() >= limit {
                self.decode_head_again(start, limit)
            } else {
                Ok(Step::Waits)
            };
        };
        let answer = match answer.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) if hurry => answer.recv().map_err(|_| DecodeError::Broken)?,
            Err(TryRecvError::Empty) => return Ok(Step::Waits),
            Err(TryRecvError::Disconnected) => return Err(DecodeError::Broken),
        };
        let cut = candidate.end;
        match answer.block {
            Ok((block, form)) => {
                self.accept(block)?;
                self.write(&answer.text, form)?;
                self.at = (start & !7) + block.end as u64;
                self.window.pop_front();
            }
            Err(Fault::Truncated) if cut == limit => return Err(Fault::TooLong.into()),
            Err(Fault::Truncated) if !(last && cut == self.input.end()) => self.window[0].answer = None,
            Err(fault) => return Err(fault.into()),
        }
        self.recycle(answer.bytes, answer.text);
        Ok(Step::Moved)
    }

    /// The head of the window was cut at a magic number by chance: with all a block can have.
    fn decode_head_again(&mut self, start: u64, limit: u64) -> Result<Step, DecodeError> {
        let end = limit.min(self.input.end());
        let answer = Some(self.job(start, end));
        self.window[0] = Candidate { start, end, answer };
        Ok(Step::Moved)
    }

    fn accept(&mut self, block: Block) -> Result<(), DecodeError> {
        let Some(stream) = &mut self.stream else {
            return Err(DecodeError::Broken);
        };
        if block.packed_len > stream.level.block_len() {
            return Err(Fault::TooLong.into());
        }
        stream.crc = stream.crc.map(|crc| combine_crc(crc, block.crc));
        Ok(())
    }

    fn write(&mut self, text: &[u8], form: Form) -> Result<(), DecodeError> {
        if form == Form::Plain {
            return self.sink.write_all(text).map_err(DecodeError::Sink);
        }
        let mut expander = Expander::new(text);
        loop {
            self.piece.clear();
            let more = expander.fill(&mut self.piece, PIECE)?;
            self.sink.write_all(&self.piece).map_err(DecodeError::Sink)?;
            if !more {
                return Ok(());
            }
        }
    }

    fn recycle(&mut self, bytes: Vec<u8>, text: Vec<u8>) {
        if self.spare_texts.len() < self.window_len {
            self.spare_bytes.push(bytes);
            self.spare_texts.push(text);
        }
    }
}

fn wait(last: bool, fault: Fault) -> Result<Step, DecodeError> {
    if last { Err(fault.into()) } else { Ok(Step::Waits) }
}
