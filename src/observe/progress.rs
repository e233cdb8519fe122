//! How far a dump is, on its way out or back: a bar at a terminal, a line every ten seconds in logs.

use super::output::{Stderr, stderr_has_cursor};
use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

const EVERY: Duration = Duration::from_secs(10);
const REDRAW: Duration = Duration::from_millis(200);

/// Counters that the pipeline moves and a reporter reads.
pub struct Progress {
    bytes: AtomicU64,
    rows: AtomicU64,
    expected: u64,
    /// Behind these rows a server still builds indexes, which no byte tells of; 0: unknown, or nothing is built.
    expected_rows: u64,
    started: Instant,
}

impl Progress {
    /// `expected`: how many plain bytes the dump has, or about how many it will have; 0: unknown.
    pub fn new(expected: u64) -> Arc<Self> {
        Self::of_restore(expected, 0)
    }

    /// The same into a server.
    pub fn of_restore(expected: u64, expected_rows: u64) -> Arc<Self> {
        Arc::new(Self {
            expected_rows,
            bytes: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            expected,
            started: Instant::now(),
        })
    }

    /// So many more plain bytes have passed, and so many rows in all.
    pub(crate) fn passed(&self, bytes: u64, rows: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.rows.store(rows, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Bytes per second since the start.
    fn rate(&self) -> u64 {
        (self.bytes() as f64 / self.started.elapsed().as_secs_f64().max(0.001)) as u64
    }

    fn is_past_the_rows(&self) -> bool {
        self.expected_rows > 0 && self.rows() >= self.expected_rows
    }

    /// By the estimate; `None` while nothing is known, once the estimate is passed, and behind the rows of a restore.
    fn remaining(&self) -> Option<Duration> {
        if self.is_past_the_rows() {
            return None;
        }
        let left = self.expected.checked_sub(self.bytes()).filter(|left| *left > 0)?;
        (self.rate() > 0).then(|| Duration::from_secs(left / self.rate()))
    }

    fn sentence(&self) -> String {
        let of_rows = if self.expected_rows > 0 { " for the rows" } else { "" };
        let rest = match self.remaining() {
            Some(left) => format!("about {} left{of_rows}, ", HumanDuration(left)),
            None if self.is_past_the_rows() => return format!("now indexes and constraints, {}", HumanBytes(self.bytes())),
            None => String::new(),
        };
        // What is cut at the terminal's edge matters least.
        format!(
            "{rest}{}, {}/s, {} rows",
            HumanBytes(self.bytes()),
            HumanBytes(self.rate()),
            HumanCount(self.rows())
        )
    }
}

/// What is done with the bytes, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    Dumping,
    Restoring,
    Verifying,
    Decrypting,
}

impl Activity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Dumping => "dumping",
            Self::Restoring => "restoring",
            Self::Verifying => "verifying",
            Self::Decrypting => "decrypting",
        }
    }
}

/// The bar that is drawn now.
static DRAWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Says something while no bar stands there: a line amid a bar would leave a copy of it behind.
pub(super) fn without_bar(say: impl FnOnce()) {
    match DRAWN.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
        Some(bar) => bar.suspend(say),
        None => say(),
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
    pub(crate) fn start(activity: Activity, progress: Arc<Progress>, name: &str) -> Self {
        if stderr_has_cursor() {
            Self::bar(activity, progress, name)
        } else {
            Self::lines(activity, progress, name)
        }
    }

    fn lines(activity: Activity, progress: Arc<Progress>, name: &str) -> Self {
        let database = name.to_owned();
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
                    "{}",
                    activity.as_str()
                );
            }
        });
        Self(task, None)
    }

    fn bar(activity: Activity, progress: Arc<Progress>, name: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(progress.expected.max(1)), ProgressDrawTarget::term_like(Box::new(Terminal)));
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:16} {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(format!("{} {name}", activity.as_str()));
        *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
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
            *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = None;
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_the_rows_of_a_restore_no_time_is_promised() {
        let progress = Progress::of_restore(1000, 3);
        progress.passed(900, 2);
        assert!(progress.sentence().contains("left for the rows"), "{}", progress.sentence());
        progress.passed(50, 3);
        assert!(
            progress.sentence().starts_with("now indexes and constraints"),
            "{}",
            progress.sentence()
        );
    }

    #[test]
    fn an_estimate_that_was_passed_promises_nothing() {
        let progress = Progress::new(100);
        assert_eq!(progress.remaining(), None);
        progress.passed(150, 3);
        assert_eq!((progress.remaining(), progress.bytes(), progress.rows()), (None, 150, 3));
    }
}
