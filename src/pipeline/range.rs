//! Ranges of a dump alone: the parts that hold them are found by the index, checked and decrypted like all others, and what is
//! before, between and behind the ranges is dropped.

use super::back::{Watched, drive, next};
use super::decompress::Decompress;
use super::decrypt::{BLOCK, ExpectedPart, PartDecryptor};
use super::fetch::{PartRange, PlainChunk};
use super::part_index::HEADER;
use super::{DumpStats, RowCounter, Stage};
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::format::compression::Compression;
use crate::format::inventory::PartIndexEntry;
use crate::format::unhex;
use crate::observe::progress::Progress;
use crate::store::{Archive, PinnedObject};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::mpsc::Receiver;

/// Parts that follow each other, and the ranges of the plain dump that are taken from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartsRead {
    parts: PartRange,
    /// Of the first block that is read, in what these parts decrypt to.
    bit: u64,
    windows: Vec<Window>,
    /// Where the last window ends in the plain dump.
    end: u64,
}

/// So many plain bytes behind so many that are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    skip: u64,
    take: u64,
}

/// What is to be read for these ranges, which are in order. `None` where the index does not tell: then all is read.
pub(crate) fn parts_of(ranges: &[Range<u64>], index: &[PartIndexEntry], parts: &[ExpectedPart]) -> Option<Vec<PartsRead>> {
    let mut reads: Vec<PartsRead> = Vec::new();
    for range in ranges.iter().filter(|range| range.start < range.end) {
        let next = parts_of_one(range, index, parts)?;
        match reads.last_mut().filter(|last| next.parts.parts.start < last.parts.parts.end) {
            // No part is read twice.
            Some(last) => {
                last.windows.push(Window {
                    skip: range.start.checked_sub(last.end)?,
                    take: range.end - range.start,
                });
                last.parts.parts.end = last.parts.parts.end.max(next.parts.parts.end);
                last.end = range.end;
            }
            None => reads.push(next),
        }
    }
    Some(reads)
}

fn parts_of_one(plain: &Range<u64>, index: &[PartIndexEntry], parts: &[ExpectedPart]) -> Option<PartsRead> {
    let first = index.iter().rev().find(|entry| entry.plain_offset <= plain.start)?;
    let from = (first.part as usize).checked_sub(1)?;
    let offset = parts.get(from)?.offset;
    // The last block that is needed ends before the next one begins that is not.
    let behind = index
        .iter()
        .find(|entry| entry.plain_offset >= plain.end && entry.part > first.part);
    let to = behind.map_or(parts.len(), |entry| entry.part as usize).min(parts.len());
    let before = match from {
        0 => None,
        _ => Some(unhex::<BLOCK>(&first.vector)?),
    };
    Some(PartsRead {
        parts: PartRange { parts: from..to, before },
        bit: first.bit_offset.checked_sub(8 * offset.saturating_sub(HEADER))?,
        windows: vec![Window {
            skip: plain.start - first.plain_offset,
            take: plain.end - plain.start,
        }],
        end: plain.end,
    })
}

/// What one pipeline over ranges is to do.
pub(crate) struct RangePipeline {
    pub opener: PartDecryptor,
    pub compression: Compression,
    pub workers: usize,
    pub reads: Vec<PartsRead>,
}

/// Brings the ranges into a sink, one behind the other, with what is counted of them. The sink is finished only if all came.
pub(crate) async fn ranges<S, F>(
    archive: &Archive,
    pinned: &PinnedObject,
    way: RangePipeline,
    sink: F,
    progress: &Arc<Progress>,
    cancel: &Cancel,
) -> Result<(DumpStats, S::Done)>
where
    F: FnOnce() -> Result<S> + Send + 'static,
    S: Stage,
    S::Done: Send + 'static,
{
    let RangePipeline {
        opener,
        compression,
        workers,
        reads,
    } = way;
    let progress = progress.clone();
    let parts = reads.iter().map(|read| read.parts.clone()).collect();
    let pipeline = move |pieces: &mut Receiver<PlainChunk>| {
        let mut below = Watched {
            counted: RowCounter::new(sink()?),
            progress,
        };
        for read in reads {
            let windows = Windows {
                windows: read.windows.into(),
                below: &mut below,
            };
            let mut pipeline = Decompress::within(compression, (read.bit % 8) as u8, workers, windows)?;
            let mut to_drop = read.bit / 8;
            while let Some(bytes) = next(pieces)? {
                let dropped = to_drop.min(bytes.len() as u64);
                to_drop -= dropped;
                pipeline.put(&bytes[dropped as usize..])?;
            }
            pipeline.finish_within()?;
        }
        below.finish()
    };
    drive(archive, pinned, opener, parts, pipeline, cancel).await
}

/// Of what passes only what stands in the windows.
struct Windows<'a, S> {
    windows: VecDeque<Window>,
    below: &'a mut S,
}

impl<S: Stage> Stage for Windows<'_, S> {
    type Done = ();

    fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        while let Some(window) = self.windows.front_mut() {
            let skipped = window.skip.min(bytes.len() as u64);
            let taken = window.take.min(bytes.len() as u64 - skipped);
            let (now, later) = bytes.split_at((skipped + taken) as usize);
            window.skip -= skipped;
            window.take -= taken;
            bytes = later;
            if taken > 0 {
                self.below.put(&now[skipped as usize..])?;
            }
            if window.take > 0 {
                break;
            }
            self.windows.pop_front();
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        match self.windows.is_empty() {
            true => Ok(()),
            false => Err(Error::new(
                Code::Tampered,
                "the dump's parts do not hold what the index in its inventory says",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::BufferSink;
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    fn entry(part: u32, plain_offset: u64, bit_offset: u64) -> PartIndexEntry {
        PartIndexEntry {
            part,
            plain_offset,
            bit_offset,
            vector: format!("{part:032x}"),
        }
    }

    /// The parts to read, the bit of the first block in them, and what to skip and take of its text for each window.
    type Found = (Range<usize>, u64, Vec<(u64, u64)>);

    fn found_one(range: Range<u64>) -> Vec<Found> {
        found(std::slice::from_ref(&range))
    }

    /// Five parts of 100 bytes; in the third no block begins.
    fn found(ranges: &[Range<u64>]) -> Vec<Found> {
        let index = [
            entry(1, 0, 32),
            entry(2, 1000, 8 * 90 + 3),
            entry(4, 3000, 8 * 300),
            entry(5, 4000, 8 * 384),
        ];
        let parts: Vec<ExpectedPart> = (0..5)
            .map(|part| ExpectedPart {
                offset: part * 100,
                size: 100,
                sha256: None,
            })
            .collect();
        let windows = |read: &PartsRead| read.windows.iter().map(|window| (window.skip, window.take)).collect();
        let reads = parts_of(ranges, &index, &parts).unwrap();
        reads
            .iter()
            .map(|read| (read.parts.parts.clone(), read.bit, windows(read)))
            .collect()
    }

    #[test]
    fn the_parts_of_a_range_are_those_from_its_first_block_to_the_next_that_is_not_needed() {
        assert_eq!(found_one(0..10), [(0..2, 32, vec![(0, 10)])]);
        assert_eq!(found_one(1000..2000), [(1..4, 8 * 6 + 3, vec![(0, 1000)])]);
        assert_eq!(found_one(3500..4000), [(3..5, 8 * 16, vec![(500, 500)])]);
        assert_eq!(found_one(4500..4600), [(4..5, 0, vec![(500, 100)])]);
        assert_eq!(found_one(5..5), []);
    }

    #[test]
    fn no_part_is_read_twice() {
        assert_eq!(
            found(&[0..10, 20..30, 4100..4200]),
            [(0..2, 32, vec![(0, 10), (10, 10)]), (4..5, 0, vec![(100, 100)])]
        );
        assert_eq!(found(&[900..1100, 3900..4100]), [(0..5, 32, vec![(900, 200), (2800, 200)])]);
    }

    #[test]
    fn only_what_stands_in_the_windows_passes() {
        let plain: Vec<u8> = (0..100).collect();
        for piece in [1, 7, 100] {
            let mut below = BufferSink::default();
            let windows = [
                Window { skip: 5, take: 10 },
                Window { skip: 0, take: 1 },
                Window { skip: 20, take: 3 },
            ];
            let mut stage = Windows {
                windows: windows.into(),
                below: &mut below,
            };
            plain.chunks(piece).for_each(|piece| stage.put(piece).unwrap());
            stage.finish().unwrap();
            let expected: Vec<u8> = (5..16).chain(36..39).collect();
            assert_eq!(below.finish().unwrap(), expected, "in pieces of {piece}");
        }
        let mut below = BufferSink::default();
        let mut stage = Windows {
            windows: [Window { skip: 90, take: 11 }].into(),
            below: &mut below,
        };
        stage.put(&plain).unwrap();
        assert_eq!(stage.finish().unwrap_err().code, Code::Tampered);
    }

    proptest! {
        /// Whatever an index says, which somebody with the data key may have made up: parts that there are, each range whole.
        #[test]
        fn no_index_leads_out_of_the_parts(
            entries in vec((any::<u32>(), any::<u64>(), any::<u64>()), 0..6),
            small in vec((0u32..7, 0u64..6_000, 0u64..6_000), 0..6),
            mut bounds in vec(0u64..6_000, 0..8),
        ) {
            bounds.sort_unstable();
            let ranges: Vec<Range<u64>> = bounds.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
            let parts: Vec<ExpectedPart> = (0..5).map(|part| ExpectedPart { offset: part * 100, size: 100, sha256: None }).collect();
            for entries in [entries, small] {
                let index: Vec<PartIndexEntry> = entries.into_iter().map(|(part, plain, bit)| entry(part, plain, bit)).collect();
                let Some(reads) = parts_of(&ranges, &index, &parts) else { continue };
                prop_assert!(reads.iter().all(|read| read.parts.parts.end <= parts.len()));
                let taken: u64 = reads.iter().flat_map(|read| &read.windows).map(|window| window.take).sum();
                prop_assert_eq!(taken, ranges.iter().map(|range| range.end - range.start).sum::<u64>());
            }
        }
    }
}
