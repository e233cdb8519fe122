//! The bzip2 reader: any input ends, in bounded memory, and to the same text or fault as in another implementation,
//! however it comes in pieces.
//!
//! Since nearly every change of a file breaks a checksum, those are mended first, so that what the checksums would hide is
//! compared too.

#![no_main]

use bzip2::read::MultiBzDecoder;
use libfuzzer_sys::fuzz_target;
use pgseal_bzip2::decode::{DecodeError, Fault, ParallelDecoder};
use std::io::{Error, Read, Write};

/// Text that is longer is given up: a few bytes of bzip2 can hold gigabytes.
const LIMIT: usize = 4 << 20;
/// What stands before the checksums of a block and of a stream.
const BLOCK_MAGIC: u64 = 0x3141_5926_5359;
const END_MAGIC: u64 = 0x1772_4538_5090;
/// Mended checksums of one input.
const MENDED: usize = 6;

/// Keeps as much as the limit, then refuses.
#[derive(Default)]
struct Sink(Vec<u8>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > LIMIT {
            return Err(Error::other("enough"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Text(Vec<u8>),
    Fault(Fault),
    Long,
}

fuzz_target!(|data: &[u8]| {
    let mut file = data.to_vec();
    let mut outcome = decoded(&file, 1, usize::MAX);
    for _ in 0..MENDED {
        if !mend(&mut file, &outcome) {
            break;
        }
        outcome = decoded(&file, 1, usize::MAX);
    }
    let piece = 1 + file.last().map_or(0, |byte| usize::from(*byte));
    assert_eq!(outcome, decoded(&file, 2, piece), "in pieces of {piece}");
    agrees(&file, &outcome);
});

fn decoded(file: &[u8], workers: usize, piece: usize) -> Outcome {
    let mut decoder = ParallelDecoder::new(workers, Sink::default()).expect("threads");
    let fed = file.chunks(piece).try_for_each(|piece| decoder.feed(piece));
    match fed.and_then(|()| decoder.finish()) {
        Ok(sink) => Outcome::Text(sink.0),
        Err(DecodeError::Fault(fault)) => Outcome::Fault(fault),
        Err(DecodeError::Sink(_)) => Outcome::Long,
        Err(other) => panic!("a worker was lost: {other}"),
    }
}

/// Writes the right checksum where the wrong one stands.
fn mend(file: &mut [u8], outcome: &Outcome) -> bool {
    let (magic, stored, computed) = match *outcome {
        Outcome::Fault(Fault::BlockCrc { stored, computed }) => (BLOCK_MAGIC, stored, computed),
        Outcome::Fault(Fault::StreamCrc { stored, computed }) => (END_MAGIC, stored, computed),
        _ => return false,
    };
    let mut mended = false;
    for bit in 0..(file.len() * 8).saturating_sub(79) {
        if bits(file, bit, 48) == magic && bits(file, bit + 48, 32) == u64::from(stored) {
            for place in 0..32 {
                let (byte, mask) = ((bit + 48 + place) / 8, 0x80 >> ((bit + 48 + place) % 8));
                file[byte] = if computed >> (31 - place) & 1 == 1 {
                    file[byte] | mask
                } else {
                    file[byte] & !mask
                };
            }
            mended = true;
        }
    }
    mended
}

fn bits(file: &[u8], from: usize, count: usize) -> u64 {
    let mut window = [0; 16];
    let rest = &file[from / 8..];
    let len = rest.len().min(16);
    window[..len].copy_from_slice(&rest[..len]);
    (u128::from_be_bytes(window) << (from % 8) >> (128 - count)) as u64
}

/// The other implementation takes the same files, and reads the same.
fn agrees(file: &[u8], outcome: &Outcome) {
    let mut text = Vec::new();
    let read = MultiBzDecoder::new(file).take(LIMIT as u64 + 1).read_to_end(&mut text);
    match outcome {
        Outcome::Long => {}
        Outcome::Text(ours) => {
            assert!(read.is_ok(), "only we take it: {read:?}");
            assert!(*ours == text, "another text");
        }
        Outcome::Fault(fault) if is_ours_alone(fault) => {}
        Outcome::Fault(fault) => assert!(file.is_empty() || read.is_err() || text.len() > LIMIT, "only we refuse it: {fault}"),
    }
}

/// What no compressor of this century writes, and the other implementation reads all the same.
fn is_ours_alone(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Randomised | Fault::Header("a Huffman table has too many short codes" | "code lengths that go round in circles")
    )
}
