//! One block, from its magic number to its last bit.

use super::bits::BitReader;
use super::entropy::{self, Coding, Path};
use super::fault::Fault;
use super::huffman::{MAX_CODE_LEN, Table};
use super::mtf::Tokens;
use super::rle1::Expander;
use super::unbwt::Inverse;
use crate::{BLOCK_MAGIC, Crc32, GROUP_LEN, Level, MAX_ALPHABET, MAX_BLOCK_LEN, MAX_TABLES};

/// No block is longer, in bits: header, byte map, selectors of six bits, six tables of codes whose
/// lengths go up and down once a symbol, and a code of 20 bits for each byte. A table that takes
/// more detours than that is refused.
pub(super) const MAX_BLOCK_BITS: usize = 48
    + 32
    + 1
    + 24
    + 16
    + 256
    + 3
    + 15
    + 6 * MAX_SELECTORS
    + 6 * (5 + MAX_ALPHABET * (2 * MAX_CODE_LEN + 1))
    + MAX_CODE_LEN * (MAX_BLOCK_LEN + 1);

/// What 15 bits can say; more than [`USEFUL_SELECTORS`] are read over, as bzip2 since 1.0.7 does.
const MAX_SELECTORS: usize = (1 << 15) - 1;
const USEFUL_SELECTORS: usize = MAX_BLOCK_LEN / GROUP_LEN + 2;

/// Text up to this length is handed over as such: that of most blocks.
const PLAIN_LEN: usize = 1 << 20;

/// Longer text is expanded for its checksum in pieces of this, which stay in the second-level cache.
const PIECE: usize = 64 << 10;

/// What was decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// The bit after the block's last.
    pub end: usize,
    /// The stored checksum of the text, which was compared.
    pub crc: u32,
    /// Bytes after the run-length code, at most the level's.
    pub packed_len: usize,
}

/// How a block's text is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    /// Under the run-length code.
    Packed,
}

/// The memory for one block at a time, 10 MB at most; used again and again by its thread.
pub struct BlockDecoder {
    path: Path,
    tables: Vec<Box<Table>>,
    selectors: Vec<u8>,
    tokens: Tokens,
    inverse: Inverse,
    packed: Vec<u8>,
}

impl BlockDecoder {
    #[expect(clippy::new_without_default, reason = "megabytes are asked for by name")]
    /// With the best code for this processor.
    pub fn new() -> Self {
        Self::with(Path::Best)
    }

    /// Without vector code, for tests and measurements.
    pub fn scalar() -> Self {
        Self::with(Path::Scalar)
    }

    fn with(path: Path) -> Self {
        Self {
            path,
            tables: (0..MAX_TABLES).map(|_| Table::new()).collect(),
            selectors: Vec::with_capacity(USEFUL_SELECTORS),
            tokens: Tokens::new(),
            inverse: Inverse::new(),
            packed: Vec::new(),
        }
    }

    /// Decodes the block whose magic number starts at number `bit` of `bytes` and compares the checksum of its text. Gives
    /// the text under the first run-length code: expanded ([`Expander`]) it may be 51 times as long.
    ///
    /// # Errors
    /// What is wrong with the block.
    pub fn decode_block(&mut self, bytes: &[u8], bit: usize, level: Level) -> Result<(Block, &[u8]), Fault> {
        let packed = self.decode_packed(bytes, bit, bytes.len() * 8, level)?;
        let mut expander = Expander::new(&self.packed);
        packed.checked(rest_of_text(&mut expander, Crc32::new(), &mut Vec::new())?)?;
        Ok((packed.block, &self.packed))
    }

    /// The same with an end of the input, in bits, and with bounded memory: replaces `out` by the
    /// text, or if that is long by what [`Expander`] makes the text of.
    pub(super) fn decode(&mut self, bytes: &[u8], bit: usize, end: usize, out: &mut Vec<u8>) -> Result<(Block, Form), Fault> {
        let packed = self.decode_packed(bytes, bit, end, Level::MAX)?;
        out.clear();
        let mut expander = Expander::new(&self.packed);
        let more = expander.fill(out, PLAIN_LEN)?;
        let mut crc = Crc32::new();
        crc.update(out);
        if !more {
            packed.checked(crc.value())?;
            return Ok((packed.block, Form::Plain));
        }
        packed.checked(rest_of_text(&mut expander, crc, out)?)?;
        std::mem::swap(out, &mut self.packed);
        Ok((packed.block, Form::Packed))
    }

    /// Leaves the text in `self.packed`.
    fn decode_packed(&mut self, bytes: &[u8], bit: usize, end: usize, level: Level) -> Result<UncheckedBlock, Fault> {
        let mut reader = BitReader::new(bytes, bit);
        let found = self.read(&mut reader, end);
        if reader.position() > end {
            return Err(Fault::Truncated);
        }
        let Header { crc, origin } = found?;
        let packed_len = self.tokens.text_len();
        if packed_len > level.block_len() {
            return Err(Fault::TooLong);
        }
        if origin >= packed_len {
            return Err(Fault::Origin);
        }
        self.inverse
            .invert(self.tokens.as_slice(), self.tokens.counts(), origin, &mut self.packed);
        Ok(UncheckedBlock {
            block: Block {
                end: reader.position(),
                crc,
                packed_len,
            },
        })
    }

    fn read(&mut self, reader: &mut BitReader<'_>, end: usize) -> Result<Header, Fault> {
        if reader.take(48) != BLOCK_MAGIC {
            return Err(Fault::NoBlock);
        }
        let crc = reader.take(32) as u32;
        if reader.take(1) == 1 {
            return Err(Fault::Randomised);
        }
        let origin = reader.take(24) as usize;
        let used = read_used(reader);
        if used.is_empty() {
            return Err(Fault::Header("no byte is used"));
        }
        let tables = reader.take(3) as usize;
        if !(2..=MAX_TABLES).contains(&tables) {
            return Err(Fault::Header("not two to six Huffman tables"));
        }
        self.read_selectors(reader, tables, end)?;
        let tables = &mut self.tables[..tables];
        for table in tables.iter_mut() {
            read_table(reader, used.len() + 2, table)?;
        }
        let coding = Coding {
            used: &used,
            tables,
            selectors: &self.selectors,
            end,
        };
        entropy::decode(self.path, &coding, reader, &mut self.tokens)?;
        Ok(Header { crc, origin })
    }

    fn read_selectors(&mut self, reader: &mut BitReader<'_>, tables: usize, end: usize) -> Result<(), Fault> {
        let count = reader.take(15) as usize;
        if count == 0 {
            return Err(Fault::Header("no selector"));
        }
        self.selectors.clear();
        // A move-to-front list of four-bit numbers, the head lowest.
        let mut list = 0x54_3210u32;
        for _ in 0..count {
            reader.refill();
            let rank = reader.peek().leading_ones();
            if rank as usize >= tables {
                return Err(Fault::Header("a selector of no table"));
            }
            reader.skip(rank + 1);
            let table = list >> (4 * rank) & 15;
            let above = !0 << (4 * rank) << 4;
            list = list & above | (list << 4) & !above | table;
            if self.selectors.len() < USEFUL_SELECTORS {
                self.selectors.push(table as u8);
            }
        }
        if reader.position() > end { Err(Fault::Truncated) } else { Ok(()) }
    }
}

/// The checksum of the text to its end, of which only a piece at a time is there.
fn rest_of_text(expander: &mut Expander, mut crc: Crc32, piece: &mut Vec<u8>) -> Result<u32, Fault> {
    let mut more = true;
    while more {
        piece.clear();
        more = expander.fill(piece, PIECE)?;
        crc.update(piece);
    }
    Ok(crc.value())
}

/// A block whose checksum was not compared yet.
struct UncheckedBlock {
    block: Block,
}

impl UncheckedBlock {
    fn checked(&self, computed: u32) -> Result<(), Fault> {
        let stored = self.block.crc;
        if computed == stored {
            Ok(())
        } else {
            Err(Fault::BlockCrc { stored, computed })
        }
    }
}

struct Header {
    crc: u32,
    /// The row of the text itself among its sorted rotations.
    origin: usize,
}

/// The bytes that occur, rising: a bit for each sixteen of them, then sixteen bits for each such.
fn read_used(reader: &mut BitReader<'_>) -> Vec<u8> {
    let ranges = reader.take(16);
    let mut used = Vec::with_capacity(256);
    for range in (0..16u8).filter(|range| ranges << range & 0x8000 != 0) {
        let bits = reader.take(16);
        used.extend((0..16).filter(|byte| bits << byte & 0x8000 != 0).map(|byte| range << 4 | byte));
    }
    used
}

/// The length of the first code, and for each the steps from the one before.
fn read_table(reader: &mut BitReader<'_>, alphabet: usize, table: &mut Table) -> Result<(), Fault> {
    let mut lens = [0u8; MAX_ALPHABET];
    let mut len = reader.take(5) as usize;
    for place in &mut lens[..alphabet] {
        let mut steps = 0;
        loop {
            if !(1..=MAX_CODE_LEN).contains(&len) {
                return Err(Fault::Header("a code length outside of 1 to 20"));
            }
            if reader.take(1) == 0 {
                break;
            }
            steps += 1;
            if steps > MAX_CODE_LEN {
                return Err(Fault::Header("code lengths that go round in circles"));
            }
            len = if reader.take(1) == 0 { len + 1 } else { len - 1 };
        }
        *place = len as u8;
    }
    table.build(&lens[..alphabet])
}
