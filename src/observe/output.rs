//! The only place that writes to standard output and standard error.
//!
//! Whether a backup exists does not depend on whether somebody reads about it. So what goes to stderr is handed to a
//! thread, and whatever becomes of it there (closed, full, a pipe that nobody empties) changes nothing and holds nobody up;
//! `print!` and its relatives, which panic instead, are denied to the rest of the program by the lints in Cargo.toml. The
//! answer on stdout is another matter: there a fault is an error of its own.
//!
//! Names and messages may come from a bucket or a server that somebody else writes to. So everything that is text leaves
//! through [`visible`]: nothing in it moves a cursor, sets a title or turns the direction of what a person reads.

use super::progress;
use crate::error::{Code, Error, Result};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat, makedev};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

/// Lines that may wait to be written; more are dropped. A pipe that is read at all is far faster than our logs.
const WAITING: usize = 4096;

/// How long the end of the program waits for the last lines.
const FLUSH: Duration = Duration::from_secs(1);

enum StderrLine {
    Text(Vec<u8>),
    /// To be answered once all before it is written.
    Flush(SyncSender<()>),
}

static LINES: OnceLock<Option<SyncSender<StderrLine>>> = OnceLock::new();

/// The way to the thread; none if there is no thread to be had, which also changes nothing.
fn lines() -> Option<&'static SyncSender<StderrLine>> {
    let start = || {
        let (sender, receiver) = sync_channel::<StderrLine>(WAITING);
        let write = move || {
            for line in receiver {
                match line {
                    StderrLine::Text(text) => drop(io::stderr().write_all(&text)),
                    StderrLine::Flush(done) => drop(done.try_send(())),
                }
            }
        };
        let thread = std::thread::Builder::new().name("stderr".to_owned()).spawn(write);
        thread.ok().map(|_| sender)
    };
    LINES.get_or_init(start).as_ref()
}

/// Arguments of this process that hold a login: whatever is said, none of them is repeated.
static UNSAID: OnceLock<Vec<String>> = OnceLock::new();

/// Words that are never to be said, for the life of the process.
pub fn never_say(words: Vec<String>) {
    let _ = UNSAID.set(as_said(&words));
}

/// As they are, as JSON has them, and both as they are shown: the longest first, or a piece of one would stay.
fn as_said(words: &[String]) -> Vec<String> {
    let quoted = |word: &String| {
        let text = serde_json::json!(word).to_string();
        // Without its own quotes, and no other.
        text.get(1..text.len() - 1).unwrap_or_default().to_owned()
    };
    let forms = words.iter().cloned().chain(words.iter().map(quoted));
    let mut all: Vec<String> = forms.flat_map(|form| [visible(&form).into_owned(), form]).collect();
    all.sort_by_key(|form| std::cmp::Reverse(form.len()));
    all.dedup();
    all
}

fn without_logins(text: Cow<'_, str>) -> Cow<'_, str> {
    without(UNSAID.get().map_or(&[], Vec::as_slice), text)
}

fn without<'a>(words: &[String], text: Cow<'a, str>) -> Cow<'a, str> {
    let found = words.iter().filter(|word| text.contains(word.as_str())).collect::<Vec<_>>();
    match found.is_empty() {
        true => text,
        false => Cow::Owned(
            found
                .into_iter()
                .fold(text.into_owned(), |text, word| text.replace(word.as_str(), "…")),
        ),
    }
}

/// Says something on stderr, if anybody can hear it.
pub fn tell(text: &str) {
    Stderr.send(without_logins(visible(text)).as_bytes());
}

/// The text of a screen, in which nothing hidden is but its own colours.
pub(crate) fn tell_screen(text: &str) {
    Stderr.send(without_logins(format!("{text}\n").into()).as_bytes());
}

/// Whether a character is not seen, but changes how those around it are: controls (ESC, C1), marks that turn the direction
/// of text, fillers of no width, tags.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text with each hidden character as JSON writes it (`\u001b`), so that a JSON document stays one and says the same;
/// line ends and tabs stay.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let is_shown = |c: char| matches!(c, '\n' | '\t') || !is_hidden(c);
    if text.chars().all(is_shown) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_shown(c) {
            safe.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(safe, "\\u{unit:04x}");
        }
    }
    Cow::Owned(safe)
}

/// Waits a moment for what was said to be written.
pub fn flush() {
    let (done, written) = sync_channel(1);
    if lines().is_some_and(|lines| lines.try_send(StderrLine::Flush(done)).is_ok()) {
        // Anyone who does not read in time misses it.
        let _ = written.recv_timeout(FLUSH);
    }
}

/// Standard error as a writer that never fails and never waits: for the progress bar, whose controls are our own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stderr;

/// The same for logs, which quote what others wrote.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct VisibleStderr;

impl Stderr {
    fn send(self, bytes: &[u8]) {
        match lines() {
            // A full queue drops the line: its reader is the one who sleeps.
            Some(lines) => drop(lines.try_send(StderrLine::Text(bytes.to_vec()))),
            None => drop(io::stderr().write_all(bytes)),
        }
    }
}

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for VisibleStderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        progress::without_bar(|| Stderr.send(without_logins(visible(&line)).as_bytes()));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a person can answer.
pub(crate) fn stdin_is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Whether a person reads stdout.
pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether a person reads stderr.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// A dumb terminal (`TERM=dumb`, such as an editor's) shows each line that was to be drawn over.
static IS_DUMB: AtomicBool = AtomicBool::new(false);

pub(super) fn set_terminal(kind: Option<&str>) {
    IS_DUMB.store(matches!(kind, None | Some("dumb")), Ordering::Relaxed);
}

/// Whether stderr is a terminal whose lines can be drawn anew.
pub(crate) fn stderr_has_cursor() -> bool {
    stderr_is_terminal() && !IS_DUMB.load(Ordering::Relaxed)
}

/// Standard output, to write to. The library's own takes one that was opened for reading only (`EBADF`) for one that took
/// everything.
fn stdout() -> io::Result<File> {
    io::stdout().as_fd().try_clone_to_owned().map(File::from)
}

/// Standard output for content that is lost where it does not get through. Where it was closed (`>&-`) the library has put
/// /dev/null in its place, for reading and writing; so such a one is refused. A shell's `>/dev/null`, for writing only, is not.
pub(crate) fn for_content() -> io::Result<File> {
    let stdout = stdout()?;
    let facts = fstat(&stdout)?;
    let is_null = FileType::from_raw_mode(facts.st_mode) == FileType::CharacterDevice && facts.st_rdev == makedev(1, 3);
    if is_null && fcntl_getfl(&stdout)? & OFlags::ACCMODE == OFlags::RDWR {
        return Err(io::Error::other("it is closed, or /dev/null opened for reading and writing"));
    }
    Ok(stdout)
}

/// Writes the answer, with its newline, to stdout. A fault is `output_failed`: what was done stands all the same. A stdout that
/// was closed cannot be told from the /dev/null that many a scheduler gives to who needs no answer: there it is no fault.
pub fn answer(text: &str) -> Result<()> {
    write_answer(&visible(text))
}

/// Of text in which nothing is hidden.
pub(crate) fn write_answer(text: &str) -> Result<()> {
    if stderr_is_terminal() {
        // What is still to be drawn there would be drawn over the answer.
        flush();
    }
    let line = format!("{}\n", without_logins(Cow::Borrowed(text)));
    stdout().and_then(|mut stdout| stdout.write_all(line.as_bytes())).map_err(|error| {
        Error::new(
            Code::OutputFailed,
            format!("the answer could not be written to standard output: {error}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_shown_and_json_stays_json() {
        for (text, shown) in [
            ("app\n\t\u{e9}\u{4e2d}", "app\n\t\u{e9}\u{4e2d}"),
            ("\u{1b}[2J\u{1b}]0;x\u{7}", "\\u001b[2J\\u001b]0;x\\u0007"),
            ("a\u{202e}b\u{9b}2J\r", "a\\u202eb\\u009b2J\\u000d"),
            ("\u{e0041}", "\\udb40\\udc41"),
        ] {
            assert_eq!(visible(text), shown);
        }
        let hidden = "ESC \u{1b} CSI \u{9b} bidi \u{202e} tag \u{e0041}";
        let document = serde_json::json!({"name": hidden}).to_string();
        let again: serde_json::Value = serde_json::from_str(&visible(&document)).unwrap();
        assert_eq!(again["name"], hidden);
        assert!(!visible(&document).chars().any(is_hidden));
    }

    #[test]
    fn an_argument_with_a_login_is_not_repeated() {
        let words = as_said(&["host=h password='a\"b'".to_owned()]);
        for text in ["x host=h password='a\"b' y", r#"{"m":"x host=h password='a\"b' y"}"#] {
            let said = without(&words, Cow::Borrowed(text));
            assert!(said.contains("x … y") && !said.contains("password"), "{said}");
        }
        assert!(matches!(without(&words, Cow::Borrowed("host=h")), Cow::Borrowed("host=h")));
        // A quote at its end, or something hidden in it, made what was said no JSON, or showed it.
        for login in ["host=h password=\"x\"", "host=h password=\u{7f}x\u{200b}"] {
            let document = serde_json::json!({"message": format!("the file {login} is not there")}).to_string();
            let said = without(&as_said(&[login.to_owned()]), visible(&document));
            let again: serde_json::Value = serde_json::from_str(&said).unwrap();
            assert_eq!(again["message"], "the file … is not there", "{said}");
        }
    }

    #[test]
    fn more_lines_than_may_wait_hold_nobody_up() {
        for _ in 0..3 * WAITING {
            assert_eq!(Stderr.write(b"").unwrap(), 0);
        }
        flush();
    }
}
