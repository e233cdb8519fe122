//! The independent witness of our own bzip2 encoder: the crate `bzip2`, a translation of the reference implementation, which
//! shares no line with it. A block that it cannot read is not sent.

use super::pool::CompressJob;
use bzip2::{Decompress, Status};
use pgseal_bzip2::Level;
use pgseal_bzip2::decode::Expander;
use pgseal_bzip2::encode::{BlockInfo, StreamWriter};

/// Text compared at once.
const PIECE: usize = 64 << 10;

/// What is needed for one block at a time: at most 5.2 MB at level 9.
pub(crate) struct Witness {
    stream: Vec<u8>,
    told: Vec<u8>,
    meant: Vec<u8>,
}

impl Witness {
    pub(crate) fn new() -> Self {
        Self {
            stream: Vec::new(),
            told: vec![0; PIECE],
            meant: Vec::with_capacity(2 * PIECE),
        }
    }

    /// Reads the block as a stream of its own and compares every byte of its text with what was to be compressed. The
    /// checksum at the stream's end is that of the raw bytes, made when they came: the witness compares it as well.
    pub(crate) fn check(&mut self, job: &CompressJob, info: BlockInfo, level: Level) -> Result<(), String> {
        if job.output.len() as u64 != info.bits.div_ceil(8) {
            return Err("it has another length".to_owned());
        }
        if info.crc != job.raw.crc {
            return Err("it has another checksum".to_owned());
        }
        self.stream.clear();
        self.stream.extend_from_slice(&job.output);
        let mut writer = StreamWriter::default();
        writer.join(&mut self.stream, info);
        self.stream.splice(..0, level.header());
        self.stream.extend_from_slice(&writer.finish());

        let mut decoder = Decompress::new(false);
        let mut text = Expander::new(&job.input);
        self.meant.clear();
        loop {
            let (read, written) = (decoder.total_in() as usize, decoder.total_out());
            let status = decoder
                .decompress(&self.stream[read..], &mut self.told)
                .map_err(|error| error.to_string())?;
            let length = (decoder.total_out() - written) as usize;
            text.fill(&mut self.meant, length).map_err(|fault| fault.to_string())?;
            if self.meant.get(..length) != Some(&self.told[..length]) {
                return Err("it came back as something else".to_owned());
            }
            self.meant.drain(..length);
            let is_whole = decoder.total_in() as usize == self.stream.len();
            match status {
                Status::StreamEnd if !is_whole => return Err("it ended early".to_owned()),
                Status::StreamEnd => break,
                // Nothing is left to read and nothing more comes out.
                _ if length == 0 && is_whole => return Err("it has no end".to_owned()),
                _ => {}
            }
        }
        let more = text.fill(&mut self.meant, 1).map_err(|fault| fault.to_string())?;
        if more || !self.meant.is_empty() {
            return Err("it came back cut".to_owned());
        }
        Ok(())
    }
}
