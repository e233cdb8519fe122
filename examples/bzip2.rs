//! bzip2 from standard input to standard output, by the library's own coders: for measurements and trials.
//!
//! ```text
//! cargo run --release --example bzip2 -- [--scalar] < FILE > FILE.bz2         one thread; --scalar: without vector code
//! cargo run --release --example bzip2 -- --workers N < FILE > FILE.bz2        as a backup does it, a share of it checked
//! cargo run --release --example bzip2 -- -d [--workers N] < FILE.bz2 > FILE   N threads that decode, one if not given
//! ```

use pgseal::bzip2::Level;
use pgseal::bzip2::decode::ParallelDecoder;
use pgseal::bzip2::encode::{Encoder, Isa, Splitter, StreamWriter};
use pgseal::error::{Code, from_io};
use pgseal::pipeline::{Compress, Stage};
use pgseal::plan::{CHECKED, Compression};
use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

const USAGE: &str = "usage: bzip2 [--scalar | --workers N] | bzip2 -d [--workers N]";

fn main() -> Result<(), Box<dyn Error>> {
    pgseal::heap::share();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // Not `io::stdout()`, which looks for line ends in what it is given.
    let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    match arguments[..] {
        [] => compress(Isa::detect(), output)?,
        ["--scalar"] => compress(Isa::Scalar, output)?,
        ["--workers", number] => compress_by(number.parse().map_err(|_| USAGE)?, output)?,
        ["-d"] => decompress(1, output)?,
        ["-d", "--workers", number] => decompress(number.parse().map_err(|_| USAGE)?, output)?,
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

fn compress(isa: Isa, mut output: File) -> io::Result<()> {
    let level = Level::MAX;
    let (mut splitter, mut encoder, mut stream) = (
        Splitter::with_isa(level, isa),
        Encoder::with_isa(level, isa),
        StreamWriter::default(),
    );
    let mut packed = Vec::new();
    output.write_all(&level.header())?;
    let mut block = |block: &mut Vec<u8>, crc: u32| {
        packed.clear();
        let info = encoder.encode(block, crc, &mut packed);
        stream.join(&mut packed, info);
        output.write_all(&packed)
    };
    each_piece(|piece| splitter.feed(piece, &mut block))?;
    splitter.rest(&mut block)?;
    output.write_all(&stream.finish())
}

fn compress_by(workers: usize, output: File) -> Result<(), Box<dyn Error>> {
    let mut compress = Compress::new(Compression::parse("bzip2")?, workers, CHECKED, Output(output))?;
    each_piece(|piece| compress.put(piece).map_err(io::Error::other))?;
    compress.finish()?;
    Ok(())
}

struct Output(File);

impl Stage for Output {
    type Done = ();

    fn put(&mut self, bytes: &[u8]) -> pgseal::error::Result<()> {
        self.0.write_all(bytes).map_err(|error| from_io(error, Code::Bug))
    }

    fn finish(self) -> pgseal::error::Result<()> {
        Ok(())
    }
}

fn decompress(workers: usize, output: File) -> io::Result<()> {
    let mut decoder = ParallelDecoder::new(workers, output)?;
    each_piece(|piece| Ok(decoder.feed(piece)?))?;
    decoder.finish()?;
    Ok(())
}

fn each_piece(mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut input = io::stdin().lock();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match input.read(&mut buffer)? {
            0 => return Ok(()),
            length => take(&buffer[..length])?,
        }
    }
}
