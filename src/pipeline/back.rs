//! What gives back what [`super::forward`] sent: fetch → check → decrypt → decompress → inventory → sink.

use super::decompress::Decompress;
use super::decrypt::PartDecryptor;
use super::fetch::{PlainChunk, fetch};
use super::length_check::{LengthCheck, LengthLimit};
use super::{DumpStats, RowCounter, Stage, broken};
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::format::compression::Compression;
use crate::observe::progress::Progress;
use crate::store::{Archive, PinnedObject};
use std::sync::Arc;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::sync::oneshot;

/// What one restore pipeline is to do with its bytes.
pub struct RestorePipeline {
    pub opener: PartDecryptor,
    pub compression: Compression,
    pub workers: usize,
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
    let cancel = cancel.child()?;
    let RestorePipeline {
        opener,
        compression,
        workers,
        plain_bytes,
    } = way;
    // Each end of the channel is kept until its side's reason stands: the other side must not take a closed channel for one.
    let (sender, mut pieces) = channel(1);
    let (ended, outcome) = oneshot::channel();
    let (progress, on_thread) = (progress.clone(), cancel.clone());
    let work = move || {
        let pipeline = |pieces: &mut Receiver<PlainChunk>| {
            let counted = RowCounter::new(LengthCheck::new(plain_bytes, sink()?));
            drive(Decompress::new(compression, workers, Watched { counted, progress })?, pieces)
        };
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
    let fetched = fetch(archive, pinned, Arc::new(opener), &sender, &cancel).await;
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
struct Watched<S> {
    counted: RowCounter<S>,
    progress: Arc<Progress>,
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

fn drive<S: Stage>(mut pipeline: Decompress<Watched<S>>, pieces: &mut Receiver<PlainChunk>) -> Result<(DumpStats, S::Done)> {
    loop {
        match pieces.blocking_recv() {
            Some(PlainChunk::Bytes(bytes)) => pipeline.put(&bytes)?,
            Some(PlainChunk::End) => return pipeline.finish(),
            None => return Err(broken("the reading")),
        }
    }
}
