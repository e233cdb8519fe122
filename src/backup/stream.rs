//! The seam of one stream: the pipeline on its thread, the upload as a task, ended together whichever fails first.

use super::attempt::Attempt;
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::format::parts::Part;
use crate::observe::progress::{Activity, Progress, Reporter};
use crate::pipeline::pg_dump::{DumpScope, PgDumpCommand, application_name};
use crate::pipeline::{PipelineOptions, StreamSummary, forward};
use crate::rds::dump_failure::{DumpFailure, explain};
use crate::rds::{TRIES, is_transient, lock_guard, lock_wait, pause};
use crate::store::Upload;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{Sender, channel};
use tokio::sync::oneshot;

/// A stream that came to its proven end: its salt, what is known of it, and the part that is still held back.
pub(super) struct SentStream {
    pub salt: [u8; 8],
    pub arrived: StreamSummary,
    pub last: Part,
    /// What `pg_dump` said on stderr though it succeeded.
    pub warnings: Vec<String>,
}

/// Sends all of a stream but its last part. A server that is busy or out of reach is tried again, with a new token, as
/// long as no byte has come.
pub(super) async fn send(attempt: &Attempt<'_>, upload: &mut Upload, scope: &DumpScope<'_>) -> Result<SentStream> {
    let mut tries = 0;
    loop {
        tries += 1;
        let progress = Progress::new(attempt.estimate.dump_bytes);
        match try_send(attempt, upload, scope, &progress).await {
            Err(error) if tries < TRIES && is_transient(error.code) && progress.bytes() == 0 => {
                tracing::warn!(code = error.code.name(), tries, "{}", error.message);
                attempt.context.cancel.pause(pause(attempt.context.server.limits, tries)).await?;
            }
            Err(mut error) => {
                if error.code == Code::Deadline {
                    error.message = format!("{}; {} bytes of the dump were read by then", error.message, progress.bytes());
                }
                let failure = DumpFailure {
                    database: attempt.database,
                    selection: &attempt.context.plan.selection,
                    facts: &attempt.facts,
                    has_begun: progress.bytes() > 0,
                    error,
                };
                return Err(explain(&attempt.context.server, failure, attempt.context.cancel).await);
            }
            other => return other,
        }
    }
}

async fn try_send(attempt: &Attempt<'_>, upload: &mut Upload, scope: &DumpScope<'_>, progress: &Arc<Progress>) -> Result<SentStream> {
    let context = attempt.context;
    let cancel = context.cancel.child()?;
    let _ends = cancel.cancel_on_drop();
    let password = cancel
        .run_until_cancelled(context.server.password(attempt.database.as_str()))
        .await?;
    let dump = PgDumpCommand::new(&attempt.client, &context.server, scope, &attempt.seal.run, password)?;
    let (salt, key) = attempt.seal.cipher_key()?;
    let memory = &attempt.estimate.memory;
    let options = PipelineOptions {
        rate_limit: context.plan.rate_limit.clone(),
        compression: context.plan.compression,
        workers: memory.workers.max(1) as usize,
        checked_blocks: context.plan.checked_blocks,
        key,
        salt,
        part_sizes: memory.part_sizes,
        in_flight: memory.in_flight as usize,
        row_keys: match scope {
            DumpScope::Database { .. } => attempt.seal.row_keys(&context.plan.fingerprints()).map(Arc::new),
            DumpScope::Globals { .. } => None,
        },
    };
    let _reporter = Reporter::start(Activity::Dumping, progress.clone(), attempt.database.as_str());

    let (parts, mut received) = channel(1);
    let uploading = async {
        let outcome = upload.receive(&mut received, memory.in_flight as usize, &cancel).await;
        if let Err(error) = &outcome {
            cancel.cancel(error.clone());
        }
        // The pipeline may wait for room in the channel: now it learns that there will be none.
        received.close();
        outcome
    };
    let driving = drive(dump, context.plan.stall_timeout, options, parts, progress.clone(), cancel.clone());
    let mut working = pin!(async { tokio::join!(uploading, driving) });
    let application_name = application_name(&attempt.seal.run);
    let waiting = lock_wait::outlast(
        &context.server,
        attempt.database,
        &application_name,
        context.plan.lock_timeout,
        || progress.bytes(),
        &cancel,
    );
    let blocks: Mutex<Vec<String>> = Mutex::default();
    let warn = |told| blocks.lock().unwrap_or_else(PoisonError::into_inner).push(told);
    let guarding = async {
        match context.plan.lock_guard {
            Some(guard) => lock_guard::watch(&context.server, attempt.database, &application_name, guard, warn, &cancel).await,
            None => std::future::pending().await,
        }
    };
    let (uploaded, arrived) = tokio::select! {
        biased;
        done = &mut working => done,
        error = waiting => {
            cancel.cancel(error);
            working.await
        }
        error = guarding => {
            cancel.cancel(error);
            working.await
        }
    };
    uploaded?;
    let (arrived, last, mut warnings) = arrived?;
    warnings.extend(blocks.into_inner().unwrap_or_else(PoisonError::into_inner));
    Ok(SentStream {
        salt,
        arrived,
        last,
        warnings,
    })
}

/// Runs the pipeline on a thread of its own, the one that `pg_dump` is tied to, until both have ended.
async fn drive(
    dump: PgDumpCommand,
    stall: Duration,
    options: PipelineOptions,
    parts: Sender<Part>,
    progress: Arc<Progress>,
    cancel: Cancel,
) -> Result<(StreamSummary, Part, Vec<String>)> {
    let (ended, outcome) = oneshot::channel();
    let work = move || {
        let arrived = dump.start(stall, &cancel).and_then(|dump| {
            let (arrived, last, dump) = forward(dump, options, parts, &progress, &cancel)?;
            arrived.counted.must_end_between_statements()?;
            Ok((arrived, last, dump.warnings()))
        });
        // Nobody waits any more only if this whole attempt was dropped.
        let _ = ended.send(arrived);
    };
    std::thread::Builder::new()
        .name("pipeline".to_owned())
        .spawn(work)
        .map_err(|error| Error::new(Code::Bug, format!("no thread for the pipeline: {error}")))?;
    outcome
        .await
        .unwrap_or_else(|_| Err(Error::new(Code::Bug, "the pipeline panicked")))
}
