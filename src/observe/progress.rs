//! How far a dump is, on its way out or back: a bar at a terminal, a line every ten seconds in logs.

use super::output::{Stderr, stderr_has_cursor, visible};
use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use unicode_width::UnicodeWidthStr;

const EVERY: Duration = Duration::from_secs(10);
/// So long without a byte is worth a word.
const SILENCE: Duration = Duration::from_secs(5);
const REDRAW: Duration = Duration::from_millis(200);
/// Columns of the bar.
const BAR: usize = 16;

/// Counters that the pipeline moves and a reporter reads.
pub struct Progress {
    bytes: AtomicU64,
    rows: AtomicU64,
    expected: u64,
    /// Behind these rows a server still builds indexes, which no byte tells of; 0: unknown, or nothing is built.
    expected_rows: u64,
    started: Instant,
    /// When bytes last passed, in milliseconds since the start.
    moved: AtomicU64,
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
            moved: AtomicU64::new(0),
        })
    }

    /// So many more plain bytes have passed, and so many rows in all.
    pub(crate) fn passed(&self, bytes: u64, rows: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.rows.store(rows, Ordering::Relaxed);
        self.moved.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    fn silence(&self) -> Duration {
        let moved = Duration::from_millis(self.moved.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(moved)
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

    /// What there is to say, the most important first.
    fn fields(&self) -> Vec<String> {
        if self.is_past_the_rows() {
            return vec!["now indexes and constraints".to_owned(), HumanBytes(self.bytes()).to_string()];
        }
        let of_rows = if self.expected_rows > 0 { " for the rows" } else { "" };
        let left = match self.silence() {
            // Whatever it waits for, the average says nothing of it.
            silence if silence >= SILENCE => Some(format!("nothing for {}", HumanDuration(silence))),
            _ => self.remaining().map(|left| match left.as_secs() {
                0 if self.expected_rows == 0 && self.bytes() / 9 * 10 >= self.expected => "almost done".to_owned(),
                0 => format!("less than a second left{of_rows}"),
                _ => format!("about {} left{of_rows}", HumanDuration(left)),
            }),
        };
        let numbers = [
            HumanBytes(self.bytes()).to_string(),
            format!("{}/s", HumanBytes(self.rate())),
            format!("{} rows", HumanCount(self.rows())),
        ];
        left.into_iter().chain(numbers).collect()
    }

    fn line(&self, name: &str, width: usize) -> String {
        fitted(format!("{name} {}", self.bar()), &self.fields(), width)
    }

    /// Full at the end alone.
    fn bar(&self) -> String {
        let done = match self.expected {
            0 => 0,
            expected => (self.bytes().min(expected) as u128 * BAR as u128 / u128::from(expected)) as usize,
        };
        format!("{}{}", "█".repeat(done), "░".repeat(BAR - done))
    }
}

/// At most `width` columns: a field that does not fit is left out whole, so that nobody reads a part of a number for all of it.
fn fitted(head: String, fields: &[String], width: usize) -> String {
    let mut line = head;
    for (place, field) in fields.iter().enumerate() {
        let longer = format!("{line}{} {field}", if place > 0 { "," } else { "" });
        if longer.width() > width {
            break;
        }
        line = longer;
    }
    line
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

/// Tells the progress until it is dropped; whether by a bar.
pub(crate) struct Reporter(JoinHandle<()>, bool);

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
        Self(task, false)
    }

    fn bar(activity: Activity, progress: Arc<Progress>, name: &str) -> Self {
        // All of the line is ours, drawn at once: a bar that the library draws moves before the numbers behind it.
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::term_like(Box::new(Terminal)));
        if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
            bar.set_style(style);
        }
        let name = visible(&format!("{} {name}", activity.as_str())).into_owned();
        *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        let drawn = bar.clone();
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(REDRAW);
            loop {
                ticks.tick().await;
                drawn.set_message(progress.line(&name, usize::from(Terminal.width())));
            }
        });
        Self(task, true)
    }
}

/// Takes the bar away for good: behind it comes the answer, or why there is none.
pub fn end() {
    if let Some(bar) = DRAWN.lock().unwrap_or_else(PoisonError::into_inner).take() {
        bar.finish_and_clear();
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.0.abort();
        if self.1 {
            end();
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
        assert!(
            progress.line("app", 200).contains("left for the rows"),
            "{}",
            progress.line("app", 200)
        );
        progress.passed(50, 3);
        let line = progress.line("app", 200);
        assert!(line.contains(" now indexes and constraints, ") && !line.contains("left"), "{line}");
    }

    /// At 80 columns a line ended with a part of a number.
    #[test]
    fn a_field_that_does_not_fit_is_left_out_whole() {
        let fields = ["about 2 minutes left", "4.77 MiB", "1,234,567 rows"].map(str::to_owned);
        for (width, line) in [
            (80, "app ████ about 2 minutes left, 4.77 MiB, 1,234,567 rows"),
            (55, "app ████ about 2 minutes left, 4.77 MiB, 1,234,567 rows"),
            (54, "app ████ about 2 minutes left, 4.77 MiB"),
            (38, "app ████ about 2 minutes left"),
            (10, "app ████"),
        ] {
            assert_eq!(fitted("app ████".to_owned(), &fields, width), line, "{width}");
        }
    }

    /// It stood there full with 0 bytes behind it.
    #[test]
    fn the_bar_is_as_full_as_its_numbers_say() {
        let full = |progress: &Progress| progress.line("x", 200).matches('█').count();
        let progress = Progress::new(100);
        assert_eq!(full(&progress), 0);
        progress.passed(50, 1);
        assert_eq!(full(&progress), BAR / 2);
        progress.passed(80, 1);
        assert_eq!(full(&progress), BAR);
        assert_eq!(full(&Progress::new(0)), 0);
    }

    #[test]
    fn an_estimate_that_was_passed_promises_nothing() {
        let progress = Progress::new(100);
        assert_eq!(progress.remaining(), None);
        progress.passed(150, 3);
        assert_eq!((progress.remaining(), progress.bytes(), progress.rows()), (None, 150, 3));
    }
}
