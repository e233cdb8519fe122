//! Parts from the store, several at once and in order, each checked and decrypted before anyone sees a byte of it.

use super::decrypt::{BLOCK, PartDecryptor};
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::store::{Archive, PinnedObject};
use bytes::Bytes;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::mpsc::Sender;
use tokio_util::task::AbortOnDropHandle;

/// Parts that are read at once, and parts that are checked and decrypted at once.
const AT_ONCE: usize = 2;
/// Of larger parts it is one: a part is in memory whole, since nothing of it is released before all of it was checked.
const LARGE: u64 = 64 << 20;

/// What comes down the seam between tasks and threads. Its end is said: a channel that merely closes is a failure, so that
/// nothing which broke off can pass for whole.
pub(crate) enum PlainChunk {
    Bytes(Bytes),
    End,
}

/// Of an object some parts that follow each other, or all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartRange {
    pub parts: Range<usize>,
    /// The last block of the part before them, if there is one.
    pub before: Option<[u8; BLOCK]>,
}

impl PartRange {
    pub(crate) fn all(opener: &PartDecryptor) -> Self {
        Self {
            parts: 0..opener.parts.len(),
            before: None,
        }
    }
}

/// Reads, checks, decrypts and hands on each of these parts; then says that this was the end.
pub(crate) async fn fetch(
    archive: &Archive,
    pinned: &PinnedObject,
    opener: Arc<PartDecryptor>,
    range: PartRange,
    pieces: &Sender<PlainChunk>,
    cancel: &Cancel,
) -> Result<()> {
    let PartRange { parts, mut before } = range;
    let mut index = parts.start;
    let at_once = if opener.parts.iter().any(|part| part.size > LARGE) {
        1
    } else {
        AT_ONCE
    };
    let mut to_read = opener.parts.get(parts).unwrap_or_default().to_vec().into_iter();
    let mut reading = VecDeque::new();
    let mut opening = VecDeque::new();
    loop {
        while reading.len() < at_once
            && let Some(part) = to_read.next()
        {
            let (archive, pinned) = (archive.clone(), pinned.clone());
            let read = async move { archive.range(&pinned, part.offset..part.offset + part.size).await };
            reading.push_back(AbortOnDropHandle::new(tokio::spawn(read)));
        }
        let Some(next) = reading.pop_front() else { break };
        let bytes: Bytes = cancel.run_until_cancelled(async { next.await.map_err(ended)? }).await?;
        let vector = before;
        before = bytes.last_chunk::<BLOCK>().copied();
        let opener = opener.clone();
        opening.push_back(AbortOnDropHandle::new(tokio::task::spawn_blocking(move || {
            opener.open(index, vector, bytes)
        })));
        index += 1;
        if opening.len() == at_once {
            release(&mut opening, pieces, cancel).await?;
        }
    }
    while !opening.is_empty() {
        release(&mut opening, pieces, cancel).await?;
    }
    send(pieces, PlainChunk::End, cancel).await
}

/// The oldest part, once it is known to be good; all before it were.
async fn release(opening: &mut VecDeque<AbortOnDropHandle<Result<Bytes>>>, pieces: &Sender<PlainChunk>, cancel: &Cancel) -> Result<()> {
    let Some(oldest) = opening.pop_front() else { return Ok(()) };
    let plain = oldest.await.map_err(ended)??;
    send(pieces, PlainChunk::Bytes(plain), cancel).await
}

async fn send(pieces: &Sender<PlainChunk>, piece: PlainChunk, cancel: &Cancel) -> Result<()> {
    cancel
        .run_until_cancelled(async {
            // The pipeline ends early only with an error of its own, which its caller sees.
            pieces
                .send(piece)
                .await
                .map_err(|_| Error::new(Code::Bug, "the pipeline back ended before its bytes did"))
        })
        .await
}

fn ended(error: tokio::task::JoinError) -> Error {
    Error::new(Code::Bug, format!("a task of the pipeline back ended: {error}"))
}
