//! Where reading may begin within a dump: for each part of the upload the first block that begins in it. A part is what is
//! proven, so that no more than one is of use.

use crate::format::compression::Compression;
use crate::format::hex;
use crate::format::inventory::PartIndexEntry;
use crate::format::parts::{PartSizeSchedule, UploadedObject};

/// Of `Salted__` and the salt, before the first encrypted byte.
pub(crate) const HEADER: u64 = 16;

/// The first blocks of the parts, noted while the blocks pass: of each only where it begins.
#[derive(Debug)]
pub(crate) struct BlockStarts {
    part_sizes: PartSizeSchedule,
    /// The part in which the last block began, and where it ends in the object.
    part: u32,
    end: u64,
    /// Plain bytes of all blocks so far.
    plain: u64,
    found: Vec<BlockStart>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BlockStart {
    part: u32,
    plain_offset: u64,
    bit_offset: u64,
}

impl BlockStarts {
    pub(crate) fn new(part_sizes: PartSizeSchedule) -> Self {
        Self {
            part_sizes,
            part: 0,
            end: 0,
            plain: 0,
            found: Vec::new(),
        }
    }

    /// A block of so many plain bytes begins at this bit of the compressed dump.
    pub(crate) fn note(&mut self, bit_offset: u64, plain_bytes: u64) {
        let at = HEADER + bit_offset / 8;
        let before = self.part;
        while at >= self.end {
            self.part += 1;
            // Beyond the last part there is no upload.
            self.end = self.part_sizes.size(self.part).map_or(u64::MAX, |size| self.end + size);
        }
        if self.part != before {
            self.found.push(BlockStart {
                part: self.part,
                plain_offset: self.plain,
                bit_offset,
            });
        }
        self.plain += plain_bytes;
    }

    /// The index of what was uploaded. Where nothing is compressed, reading may begin at any part.
    pub(crate) fn index(self, compression: Compression, sealed: &UploadedObject, vector: &[u8; 16]) -> Vec<PartIndexEntry> {
        let found = match compression {
            Compression::None => uncompressed(sealed),
            Compression::Bzip2(_) | Compression::Zstd(_) => self.found,
        };
        let before = |part: u32| match part {
            1 => Some(vector),
            _ => sealed.ends.get(part as usize - 2),
        };
        let entry = |start: BlockStart| {
            Some(PartIndexEntry {
                part: start.part,
                plain_offset: start.plain_offset,
                bit_offset: start.bit_offset,
                vector: hex(before(start.part)?),
            })
        };
        found.into_iter().filter_map(entry).collect()
    }
}

fn uncompressed(sealed: &UploadedObject) -> Vec<BlockStart> {
    let mut offset = 0u64;
    let mut found = Vec::new();
    for (part, digest) in (1..).zip(&sealed.parts) {
        let plain_offset = offset.saturating_sub(HEADER);
        found.push(BlockStart {
            part,
            plain_offset,
            bit_offset: plain_offset * 8,
        });
        offset += digest.size;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::parts::{PartDigest, SMALLEST};

    fn sealed(parts: u64) -> UploadedObject {
        UploadedObject {
            size: parts * SMALLEST,
            sha256: [0; 32],
            parts: (0..parts)
                .map(|_| PartDigest {
                    size: SMALLEST,
                    sha256: [0; 32],
                })
                .collect(),
            ends: (1..=parts).map(|part| [part as u8; 16]).collect(),
        }
    }

    #[test]
    fn of_each_part_the_first_block_that_begins_in_it_is_noted() {
        let mut starts = BlockStarts::new(PartSizeSchedule::default());
        let part = SMALLEST * 8;
        let header = HEADER * 8;
        // The third begins with the last byte of the first part, the fourth with the first of the second; none in the third.
        for (bit, plain) in [
            (32, 10),
            (700, 10),
            (part - header - 3, 10),
            (part - header, 10),
            (3 * part + 5, 10),
        ] {
            starts.note(bit, plain);
        }
        let index = starts.index(Compression::Bzip2(9), &sealed(4), &[9; 16]);
        let told: Vec<_> = index
            .iter()
            .map(|entry| (entry.part, entry.plain_offset, &entry.vector[..2]))
            .collect();
        assert_eq!(told, [(1, 0, "09"), (2, 30, "01"), (4, 40, "03")]);
    }

    #[test]
    fn without_compression_reading_may_begin_at_each_part() {
        let index = BlockStarts::new(PartSizeSchedule::default()).index(Compression::None, &sealed(2), &[9; 16]);
        let told: Vec<_> = index
            .iter()
            .map(|entry| (entry.part, entry.plain_offset, entry.bit_offset))
            .collect();
        assert_eq!(told, [(1, 0, 0), (2, SMALLEST - HEADER, (SMALLEST - HEADER) * 8)]);
    }
}
