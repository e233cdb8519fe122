//! Signals: a cancel like any other, and a second line of defence behind it.
//!
//! They are waited for on a thread of their own, so that nothing that hangs, not even a wait of the main thread in the
//! system, can keep the program from hearing them.

use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::observe::{output, progress};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What is promised is ten seconds. A commit in flight is settled within six of them.
const EXIT_LIMIT: Duration = Duration::from_secs(9);

/// How long the last words may take.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Each stops the program; as process 1 it would otherwise do nothing. SIGHUP is the end of a session at a terminal.
const SIGNALS: [(SignalKind, &str); 4] = [
    (SignalKind::terminate(), "SIGTERM"),
    (SignalKind::interrupt(), "SIGINT"),
    (SignalKind::hangup(), "SIGHUP"),
    (SignalKind::quit(), "SIGQUIT"),
];

/// The answer of this process: given once, by the program or, where that hangs, in its place.
#[derive(Debug, Default)]
pub struct AnswerOnce(AtomicU16);

const OPEN: u16 = 0;
const WRITING: u16 = 1;
/// With the exit status in the low byte.
const WRITTEN: u16 = 1 << 8;

impl AnswerOnce {
    /// Runs `write`, which gives the exit status, unless somebody has answered already.
    pub fn give(&self, write: impl FnOnce() -> u8) -> Option<u8> {
        self.0.compare_exchange(OPEN, WRITING, Ordering::AcqRel, Ordering::Acquire).ok()?;
        let exit = write();
        self.0.store(WRITTEN | u16::from(exit), Ordering::Release);
        Some(exit)
    }

    /// The exit status of the answer that was given; none while there is none.
    fn exit(&self) -> Option<u8> {
        let state = self.0.load(Ordering::Acquire);
        (state & WRITTEN != 0).then_some(state as u8)
    }
}

/// What goes to standard output where an error is the whole answer; `None` if nothing does.
pub type FailureDocument = fn(Error) -> Option<String>;

/// Cancels at the first of the signals. A program that is then not gone in time is ended, with a `document` that says so; what
/// it left behind has no manifest, so it is no backup.
pub fn watch(cancel: &Cancel, answer: &Arc<AnswerOnce>, document: FailureDocument) -> Result<()> {
    let failed = |error: std::io::Error| Error::new(Code::Bug, format!("no handler for signals: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    // Registered before this returns: from here on no signal is lost.
    let entered = runtime.enter();
    let mut signals = Vec::with_capacity(SIGNALS.len());
    for (kind, name) in SIGNALS {
        signals.push((signal(kind).map_err(failed)?, name));
    }
    drop(entered);
    let (cancel, answer) = (cancel.clone(), answer.clone());
    let wait = move || {
        runtime.block_on(async {
            let name = first(&mut signals).await;
            cancel.cancel(Error::new(Code::Terminated, format!("stopped by {name}")));
            tokio::time::sleep(EXIT_LIMIT).await;
            let overdue = Error::new(
                Code::Terminated,
                format!(
                    "stopped by {name}; something hung for {} s after it and was left behind",
                    EXIT_LIMIT.as_secs()
                ),
            );
            end(&answer, overdue, document);
        });
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map_err(failed)?;
    Ok(())
}

async fn first(signals: &mut [(Signal, &'static str)]) -> &'static str {
    std::future::poll_fn(|context| {
        let mut come = signals
            .iter_mut()
            .filter_map(|(signal, name)| signal.poll_recv(context).is_ready().then_some(*name));
        come.next().map_or(std::task::Poll::Pending, std::task::Poll::Ready)
    })
    .await
}

/// Ends the process. Anyone who should read the receipt may hang as well, so it is written beside, for a moment.
fn end(answer: &Arc<AnswerOnce>, error: Error, document: FailureDocument) -> ! {
    let (said, done) = std::sync::mpsc::sync_channel(1);
    let (answer_there, exit) = (answer.clone(), error.code.exit());
    let say = move || {
        answer_there.give(|| {
            progress::end();
            output::tell(&format!("pgseal: {error}\n  {}\n", error.hint()));
            match document(error).map(|text| output::answer(&text)) {
                Some(Err(unsaid)) => unsaid.code.exit(),
                _ => exit,
            }
        });
        let _ = said.try_send(());
    };
    if std::thread::Builder::new().name("last-words".to_owned()).spawn(say).is_ok() {
        let _ = done.recv_timeout(LAST_WORDS);
    }
    // An answer that is still being written now will not be read.
    let exit = answer.exit().unwrap_or(Code::OutputFailed.exit());
    std::process::exit(exit.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_answer_and_its_exit_status_stands() {
        let answer = AnswerOnce::default();
        assert_eq!(answer.exit(), None);
        let meanwhile = answer.give(|| {
            assert_eq!(answer.exit(), None);
            assert_eq!(answer.give(|| 6), None);
            74
        });
        assert_eq!((meanwhile, answer.exit(), answer.give(|| 0)), (Some(74), Some(74), None));
    }
}
