//! What gives back what [`super::forward`] sent: fetch → check → decrypt → decompress → inventory → sink.

use super::decompress::Decompress;
use super::decrypt::PartDecryptor;
use super::fetch::{PartRange, PlainChunk, fetch};
use super::length_check::{LengthCheck, LengthLimit};
use super::{DumpStats, RowCounter, Stage, broken};
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::format::compression::Compression;
use crate::observe::progress::Progress;
use crate::store::{Archive, PinnedObject};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::sync::oneshot;

/// What one restore pipeline is to do with its bytes.
pub struct RestorePipeline {
    pub opener: PartDecryptor,
    pub compression: Compression,
    pub workers: usize,
    /// Keeps the statements by which restored tables can be read back.
    pub keeps_heads: bool,
    /// The bytes that must arrive at the sink, as far as that is known.
    pub plain_bytes: LengthLimit,
}

/// Brings one object back. The sink is made on the pipeline's own thread, since a child process ends with the thread that
/// started it; it is finished only if all of the object was right, and dropped otherwise.
pub async fn back<S, F>(
    archive: &Archive,
    pinned: &PinnedObject,
    way: RestorePipeline,
    sink: F,
    progress: &Arc<Progress>,
    cancel: &Cancel,
) -> Result<(DumpStats, S::Done)>
where
    F: FnOnce() -> Result<S> + Send + 'static,
    S: Stage,
    S::Done: Send + 'static,
{
    let RestorePipeline {
        opener,
        compression,
        workers,
        keeps_heads,
        plain_bytes,
    } = way;
    let all = vec![PartRange::all(&opener)];
    let progress = progress.clone();
    let pipeline = move |pieces: &mut Receiver<PlainChunk>| {
        let mut counted = RowCounter::new(LengthCheck::new(plain_bytes, sink()?));
        if keeps_heads {
            counted = counted.keeping_heads();
        }
        let mut pipeline = Decompress::new(compression, workers, Watched { counted, progress })?;
        while let Some(bytes) = next(pieces)? {
            pipeline.put(&bytes)?;
        }
        pipeline.finish()
    };
    drive(archive, pinned, opener, all, pipeline, cancel).await
}

/// The parts come by tasks, and what is made of them by a thread of its own. Behind each of the ranges there is an end.
pub(super) async fn drive<T: Send + 'static>(
    archive: &Archive,
    pinned: &PinnedObject,
    opener: PartDecryptor,
    ranges: Vec<PartRange>,
    pipeline: impl FnOnce(&mut Receiver<PlainChunk>) -> Result<T> + Send + 'static,
    cancel: &Cancel,
) -> Result<T> {
    let cancel = cancel.child()?;
    // Each end of the channel is kept until its side's reason stands: the other side must not take a closed channel for one.
    let (sender, mut pieces) = channel(1);
    let (ended, outcome) = oneshot::channel();
    let on_thread = cancel.clone();
    let work = move || {
        let done = pipeline(&mut pieces);
        if let Err(error) = &done {
            // Nobody needs to read on.
            on_thread.cancel(error.clone());
        }
        // Nobody waits any more only if this whole run was dropped.
        let _ = ended.send(done);
    };
    std::thread::Builder::new()
        .name("restore".to_owned())
        .spawn(work)
        .map_err(|error| Error::new(Code::Bug, format!("no thread for the pipeline back: {error}")))?;
    let opener = Arc::new(opener);
    let fetched = async {
        for range in ranges {
            fetch(archive, pinned, opener.clone(), range, &sender, &cancel).await?;
        }
        Ok::<(), Error>(())
    };
    let fetched = fetched.await;
    if let Err(error) = &fetched {
        cancel.cancel(error.clone());
    }
    drop(sender);
    let arrived = outcome
        .await
        .unwrap_or_else(|_| Err(Error::new(Code::Bug, "the pipeline back panicked")));
    // The first reason stands: what broke the other side only follows from it.
    match cancel.reason() {
        Some(reason) => Err(reason.clone()),
        None => fetched.and(arrived),
    }
}

/// Tells how far it is: plain bytes and rows, as they are behind the decoder, of which the manifest says how many there are.
pub(super) struct Watched<S> {
    pub counted: RowCounter<S>,
    pub progress: Arc<Progress>,
}

impl<S: Stage> Stage for Watched<S> {
    type Done = (DumpStats, S::Done);

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.counted.put(bytes)?;
        self.progress.passed(bytes.len() as u64, self.counted.rows());
        Ok(())
    }

    fn finish(self) -> Result<Self::Done> {
        self.counted.finish()
    }
}

/// The next bytes; `None` is the end, which was said.
pub(super) fn next(pieces: &mut Receiver<PlainChunk>) -> Result<Option<Bytes>> {
    match pieces.blocking_recv() {
        Some(PlainChunk::Bytes(bytes)) => Ok(Some(bytes)),
        Some(PlainChunk::End) => Ok(None),
        None => Err(broken("the reading")),
    }
}
