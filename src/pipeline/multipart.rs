//! From bytes to numbered parts: the seam between threads and tasks, one bounded channel.

use super::hashes::Hashes;
use super::{Stage, broken};
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::format::parts::{Part, PartDigest, PartSizeSchedule, UploadedObject};
use bytes::Bytes;
use tokio::sync::mpsc::Sender;

/// Cuts, hashes and sends. The last part never passes the channel: it is handed out by [`Stage::finish`], and its being
/// sent is the commit's business.
pub struct Multipart {
    part_sizes: PartSizeSchedule,
    sender: Sender<Part>,
    cancel: Cancel,
    buffer: Vec<u8>,
    room: usize,
    hashes: Hashes,
    parts: Vec<PartDigest>,
    ends: Vec<[u8; 16]>,
    /// Buffers that the pipeline may hold at once: one being filled, one in the channel, the rest on the wire.
    buffers: usize,
    /// Buffers of parts that S3 has come back here: fresh ones for each part would scatter over the heap.
    returned: std::sync::mpsc::Receiver<Vec<u8>>,
    back: std::sync::mpsc::Sender<Vec<u8>>,
}

/// A part's bytes while they are on their way, in every copy that a retry may need; the last one gives the buffer back.
struct PooledPart {
    buffer: Vec<u8>,
    back: std::sync::mpsc::Sender<Vec<u8>>,
}

impl AsRef<[u8]> for PooledPart {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for PooledPart {
    fn drop(&mut self) {
        // The pipeline may have ended before its last parts: then nobody needs the buffer.
        let _ = self.back.send(std::mem::take(&mut self.buffer));
    }
}

impl Multipart {
    pub fn new(part_sizes: PartSizeSchedule, in_flight: usize, sender: Sender<Part>, cancel: Cancel) -> Self {
        let (back, returned) = std::sync::mpsc::channel();
        Self {
            back,
            returned,
            part_sizes,
            sender,
            cancel,
            buffer: Vec::new(),
            room: 0,
            hashes: Hashes::new(),
            parts: Vec::new(),
            ends: Vec::new(),
            buffers: in_flight + 2,
        }
    }

    /// Takes all buffers once the dump is known to need several, and touches them: memory that is not there is missed
    /// now, not after hours, and nothing grows before the dump outgrows its estimate.
    fn reserve(&self) {
        for _ in 1..self.buffers {
            // We hold the receiving side ourselves.
            let _ = self.back.send(vec![1; self.part_sizes.usual() as usize]);
        }
    }

    fn begin(&mut self) -> Result<()> {
        let number = self.parts.len() as u32 + 1;
        let size = self.part_sizes.size(number).ok_or_else(|| {
            let error = Error::new(
                Code::DumpFailed,
                format!(
                    "the dump is larger than the {} bytes that its parts can hold",
                    self.part_sizes.capacity()
                ),
            );
            error.advise("The database grew beyond its estimate; run again: the parts follow the new estimate.")
        })?;
        self.room = size as usize;
        let large_enough = |buffer: &Vec<u8>| buffer.capacity() >= self.room;
        self.buffer = self
            .returned
            .try_iter()
            .find(large_enough)
            .unwrap_or_else(|| Vec::with_capacity(self.fresh(number)));
        self.buffer.clear();
        Ok(())
    }

    /// Room of a new buffer: it serves the parts after this one, too, but a dump of one part needs no more than that.
    fn fresh(&self, number: u32) -> usize {
        match number {
            1 => self.room,
            _ => self.room.max(self.part_sizes.usual() as usize),
        }
    }

    fn cut(&mut self, sha256: [u8; 32]) -> Part {
        let bytes = Bytes::from_owner(PooledPart {
            buffer: std::mem::take(&mut self.buffer),
            back: self.back.clone(),
        });
        let size = bytes.len() as u64;
        self.parts.push(PartDigest { size, sha256 });
        self.ends.push(bytes.last_chunk().copied().unwrap_or_default());
        Part {
            number: self.parts.len() as u32,
            bytes,
            sha256,
        }
    }
}

impl Stage for Multipart {
    type Done = (UploadedObject, Part);

    fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.buffer.len() == self.room {
                if self.room > 0 {
                    let sha256 = self.hashes.cut();
                    let part = self.cut(sha256);
                    if part.number == 1 {
                        self.reserve();
                    }
                    // The receiver goes away only when it failed or was told to: the reason is then the cancel's.
                    self.sender
                        .blocking_send(part)
                        .map_err(|_| self.cancel.reason().cloned().unwrap_or_else(|| broken("the upload")))?;
                }
                self.begin()?;
            }
            let take = bytes.len().min(self.room - self.buffer.len());
            let (now, later) = bytes.split_at(take);
            self.buffer.extend_from_slice(now);
            self.hashes.update(now);
            bytes = later;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(UploadedObject, Part)> {
        let (sha256, whole) = self.hashes.finish();
        let last = self.cut(sha256);
        let size = self.parts.iter().map(|part| part.size).sum();
        Ok((
            UploadedObject {
                size,
                sha256: whole,
                parts: self.parts,
                ends: self.ends,
            },
            last,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Puts `total` bytes in pieces of `piece`, and gives the parts sent, what was sealed, and the last part.
    fn through(total: usize, piece: usize) -> (Vec<Part>, UploadedObject, Part) {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1000);
        let mut multipart = Multipart::new(PartSizeSchedule::default(), 2, sender, Cancel::new().unwrap());
        let bytes: Vec<u8> = (0..total).map(|n| (n % 251) as u8).collect();
        bytes.chunks(piece).for_each(|chunk| multipart.put(chunk).unwrap());
        let (sealed, last) = multipart.finish().unwrap();
        let mut sent = Vec::new();
        while let Ok(part) = receiver.try_recv() {
            sent.push(part);
        }
        (sent, sealed, last)
    }

    #[test]
    fn the_last_part_is_held_back_even_where_it_is_full() {
        let part = 8 << 20;
        for (total, sent) in [(1, 0), (part - 1, 0), (part, 0), (part + 1, 1), (2 * part, 1), (2 * part + 5, 2)] {
            let (parts, sealed, last) = through(total, 100_003);
            assert_eq!((parts.len(), sealed.size), (sent, total as u64));
            assert_eq!(last.number as usize, sent + 1);
            assert_eq!(sealed.parts.len(), sent + 1);
            let mut whole: Vec<u8> = parts.iter().flat_map(|part| part.bytes.to_vec()).collect();
            whole.extend_from_slice(&last.bytes);
            assert_eq!(crate::format::sha256(&whole), sealed.sha256);
        }
    }

    #[test]
    fn buffers_come_back_and_none_is_added() {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let mut multipart = Multipart::new(PartSizeSchedule::default(), 2, sender, Cancel::new().unwrap());
        let mut places = std::collections::HashSet::new();
        let part = vec![1; 8 << 20];
        multipart.put(&part).unwrap();
        for _ in 0..12 {
            multipart.put(&part).unwrap();
            let sent = receiver.try_recv().unwrap();
            assert!(sent.bytes == part);
            places.insert(sent.bytes.as_ptr());
        }
        assert!(places.len() <= 4, "{} buffers", places.len());
    }

    /// Old buffers go before new ones come: in flight, in the channel and being filled is all there ever is.
    #[test]
    fn parts_that_grow_hold_no_more_than_the_formula_says() {
        const KIB: usize = 1 << 10;
        let in_flight = 2;
        let part_sizes = PartSizeSchedule::short(8 << 20, 12 << 20, 3);
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let mut multipart = Multipart::new(part_sizes, in_flight, sender, Cancel::new().unwrap());
        let (mut wire, mut largest) = (VecDeque::new(), 0);
        let piece = vec![1; 64 * KIB];
        for _ in 0..6_500 {
            multipart.put(&piece).unwrap();
            largest = largest.max(multipart.room);
            if let Ok(part) = receiver.try_recv() {
                wire.push_back(part.bytes);
                if wire.len() > in_flight {
                    wire.pop_front();
                }
                let waiting: Vec<Vec<u8>> = multipart.returned.try_iter().collect();
                let sent: usize = wire.iter().map(Bytes::len).sum();
                let idle: usize = waiting.iter().map(Vec::capacity).sum();
                let held = sent + idle + multipart.buffer.capacity();
                assert!(held <= (in_flight + 2) * largest, "{held} bytes are held, with parts of {largest}");
                waiting.into_iter().for_each(|buffer| multipart.back.send(buffer).unwrap());
            }
        }
        assert!(
            multipart.parts.len() > 40 && largest > 9 << 20,
            "{} parts, {largest}",
            multipart.parts.len()
        );
    }

    #[test]
    fn a_receiver_that_is_gone_stops_the_road_with_the_reason() {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        drop(receiver);
        let cancel = Cancel::new().unwrap();
        cancel.cancel(Error::new(Code::S3Denied, "no"));
        let mut multipart = Multipart::new(PartSizeSchedule::default(), 2, sender, cancel);
        let error = multipart.put(&vec![0; 9 << 20]).unwrap_err();
        assert_eq!(error.code, Code::S3Denied);
    }
}
