//! How far a dump is: a bar at a terminal, a line every ten seconds in logs.

use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

const EVERY: Duration = Duration::from_secs(10);
const REDRAW: Duration = Duration::from_millis(200);

/// Counters that the road moves and a reporter reads.
pub struct Progress {
    dumped: AtomicU64,
    rows: AtomicU64,
    expected: u64,
    started: Instant,
}

impl Progress {
    /// `expected`: about how many bytes the dump will have.
    pub fn new(expected: u64) -> Arc<Self> {
        Arc::new(Self {
            dumped: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            expected,
            started: Instant::now(),
        })
    }

    pub fn dumped(&self, bytes: u64, rows: u64) {
        self.dumped.fetch_add(bytes, Ordering::Relaxed);
        self.rows.store(rows, Ordering::Relaxed);
    }

    pub fn bytes(&self) -> u64 {
        self.dumped.load(Ordering::Relaxed)
    }

    fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Bytes per second since the start.
    fn rate(&self) -> u64 {
        (self.bytes() as f64 / self.started.elapsed().as_secs_f64().max(0.001)) as u64
    }

    /// By the estimate; `None` while nothing is known, or once the estimate is passed.
    fn remaining(&self) -> Option<Duration> {
        let left = self.expected.checked_sub(self.bytes()).filter(|left| *left > 0)?;
        (self.rate() > 0).then(|| Duration::from_secs(left / self.rate()))
    }

    fn sentence(&self) -> String {
        let rest = self
            .remaining()
            .map(|left| format!(", about {} left", HumanDuration(left)))
            .unwrap_or_default();
        format!(
            "{}, {} rows, {}/s{rest}",
            HumanBytes(self.bytes()),
            HumanCount(self.rows()),
            HumanBytes(self.rate())
        )
    }
}

/// Tells the progress until it is dropped.
pub struct Reporter(JoinHandle<()>, Option<ProgressBar>);

impl Reporter {
    pub fn start(progress: Arc<Progress>, database: &str) -> Self {
        if std::io::stderr().is_terminal() {
            Self::bar(progress, database)
        } else {
            Self::lines(progress, database)
        }
    }

    fn lines(progress: Arc<Progress>, database: &str) -> Self {
        let database = database.to_owned();
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            ticks.tick().await;
            loop {
                ticks.tick().await;
                let left = progress.remaining().map(|left| left.as_secs());
                tracing::info!(
                    database,
                    bytes = progress.bytes(),
                    rows = progress.rows(),
                    bytes_per_second = progress.rate(),
                    seconds_left = left,
                    "dumping"
                );
            }
        });
        Self(task, None)
    }

    fn bar(progress: Arc<Progress>, database: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(progress.expected.max(1)), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{prefix} {wide_bar} {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(database.to_owned());
        let drawn = bar.clone();
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(REDRAW);
            loop {
                ticks.tick().await;
                drawn.set_position(progress.bytes().min(progress.expected));
                drawn.set_message(progress.sentence());
            }
        });
        Self(task, Some(bar))
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.0.abort();
        if let Some(bar) = &self.1 {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_that_was_passed_promises_nothing() {
        let progress = Progress::new(100);
        assert_eq!(progress.remaining(), None);
        progress.dumped(150, 3);
        assert_eq!((progress.remaining(), progress.bytes(), progress.rows()), (None, 150, 3));
    }
}
