//! How far a dump is: a bar at a terminal, a line every ten seconds in logs.

use super::output::{Stderr, stderr_is_terminal};
use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

const EVERY: Duration = Duration::from_secs(10);
const REDRAW: Duration = Duration::from_millis(200);

/// Counters that the pipeline moves and a reporter reads.
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

    pub(crate) fn dumped(&self, bytes: u64, rows: u64) {
        self.dumped.fetch_add(bytes, Ordering::Relaxed);
        self.rows.store(rows, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self) -> u64 {
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

/// The terminal behind stderr, for the bar: a terminal that is gone, or stopped by its user, stops no dump.
#[derive(Debug)]
struct Terminal;

impl Terminal {
    fn send(text: impl std::fmt::Display) -> std::io::Result<()> {
        // In one piece: a line of the log never stands in the midst of it.
        Stderr.write_all(text.to_string().as_bytes())
    }

    fn moved(n: usize, to: char) -> std::io::Result<()> {
        if n == 0 { Ok(()) } else { Self::send(format_args!("\x1b[{n}{to}")) }
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        rustix::termios::tcgetwinsize(std::io::stderr()).map_or(80, |size| size.ws_col.max(20))
    }

    fn move_cursor_up(&self, n: usize) -> std::io::Result<()> {
        Self::moved(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> std::io::Result<()> {
        Self::moved(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> std::io::Result<()> {
        Self::moved(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> std::io::Result<()> {
        Self::moved(n, 'D')
    }

    fn write_line(&self, text: &str) -> std::io::Result<()> {
        Self::send(format_args!("{text}\n"))
    }

    fn write_str(&self, text: &str) -> std::io::Result<()> {
        Self::send(text)
    }

    fn clear_line(&self) -> std::io::Result<()> {
        Self::send("\r\x1b[2K")
    }

    fn flush(&self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Tells the progress until it is dropped.
pub(crate) struct Reporter(JoinHandle<()>, Option<ProgressBar>);

impl Reporter {
    pub(crate) fn start(progress: Arc<Progress>, database: &str) -> Self {
        if stderr_is_terminal() {
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
        let bar = ProgressBar::with_draw_target(Some(progress.expected.max(1)), ProgressDrawTarget::term_like(Box::new(Terminal)));
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
