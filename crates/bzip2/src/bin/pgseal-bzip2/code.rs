//! From an input to an output, in bounded memory.

use std::fs::File;
use std::io::{self, Read, Write};

use pgseal_bzip2::decode::{DecodeError, Fault, ParallelDecoder};
use pgseal_bzip2::encode::ParallelEncoder;

use crate::failure::{Failure, say};
use crate::options::{Action, Options};

/// The input is read in pieces of this.
const READ: usize = 128 << 10;

/// Compresses or decompresses.
pub(crate) fn transfer(options: &Options, workers: usize, input: &File, output: &File) -> Result<(), Failure> {
    match options.action {
        Action::Compress => compress(options, workers, input, output),
        Action::Decompress | Action::Test => decompress(options, workers, input, output),
    }
}

/// Decompresses, and writes nothing.
pub(crate) fn test(options: &Options, workers: usize, input: &File) -> Result<(), Failure> {
    decompress(options, workers, input, io::sink())
}

fn compress(options: &Options, workers: usize, input: &File, output: &File) -> Result<(), Failure> {
    let mut encoder = ParallelEncoder::with_isa(options.level, workers, options.isa, output).map_err(Failure::System)?;
    each_piece(input, |piece| encoder.feed(piece).map_err(Failure::Write))?;
    encoder.finish().map_err(Failure::Write)?;
    Ok(())
}

fn decompress(options: &Options, workers: usize, input: &File, output: impl Write) -> Result<(), Failure> {
    let mut decoder = ParallelDecoder::new(workers, output).map_err(Failure::System)?;
    let result = each_piece(input, |piece| decoder.feed(piece).map_err(Failure::from)).and_then(|()| Ok(decoder.finish().map(drop)?));
    match result {
        // As bzip2 has it: the text before it is whole.
        Err(Failure::Corrupt(Fault::TrailingGarbage)) => {
            if !options.quiet {
                say(&format!("warning: {}: ignored", Fault::TrailingGarbage));
            }
            Ok(())
        }
        result => result,
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Fault(fault) => Self::Corrupt(fault),
            DecodeError::Sink(error) => Self::Write(error),
            error => Self::System(error.into()),
        }
    }
}

fn each_piece(mut input: &File, mut take: impl FnMut(&[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut buffer = vec![0; READ];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => take(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::Read(error)),
        }
    }
}
