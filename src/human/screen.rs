//! One answer for a person. Names and messages may come from a bucket or a server that somebody else writes to: all text
//! enters a screen through [`visible`], and colours are added behind it. So no screen has a control that is not ours.

use super::Table;
use crate::error::Result;
use crate::observe::output::{self, visible};
use crate::variables::Env;
use std::fmt::Display;
use textwrap::{Options, WordSplitter, wrap};
use unicode_width::UnicodeWidthStr;

/// What the terminal can show.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Columns.
    pub width: usize,
    pub colour: bool,
    /// Marks beyond ASCII.
    pub unicode: bool,
}

impl Page {
    /// Of the terminal behind stdout; 80 columns without one.
    pub fn for_stdout(env: &Env) -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .iter()
            .find_map(|name| env.get(name))
            .unwrap_or_default();
        Self {
            width: Self::terminal_width(),
            colour: env.get("NO_COLOR").is_none() && env.get("TERM") != Some("dumb"),
            unicode: locale.to_ascii_lowercase().replace('-', "").contains("utf8"),
        }
    }

    pub(crate) fn terminal_width() -> usize {
        let width = rustix::termios::tcgetwinsize(std::io::stdout()).map_or(0, |size| usize::from(size.ws_col));
        if width < 20 { 80 } else { width }
    }

    #[cfg(test)]
    pub(crate) fn plain(width: usize) -> Self {
        Self {
            width,
            colour: false,
            unicode: true,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Good,
    Warning,
    Bad,
    /// What was said, and not tried.
    Fact,
    /// Neither: not looked at, or left out on purpose.
    Skipped,
}

impl Mark {
    fn sign(self, page: Page) -> &'static str {
        match (self, page.unicode) {
            (Self::Good, true) => "✓",
            (Self::Good, false) => "+",
            (Self::Warning, _) => "!",
            (Self::Bad, true) => "✗",
            (Self::Bad, false) => "x",
            (Self::Fact, true) => "·",
            (Self::Fact, false) => ".",
            (Self::Skipped, _) => "-",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Self::Good => "\x1b[32m",
            Self::Warning => "\x1b[33m",
            Self::Bad => "\x1b[31m",
            Self::Fact | Self::Skipped => "\x1b[2m",
        }
    }
}

const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// Made by [`Screen`] alone, so that nothing hidden is in it.
#[derive(Debug)]
pub struct ScreenText(String);

impl ScreenText {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// To standard error.
    pub fn tell(&self) {
        output::tell_screen(&self.0);
    }

    /// To standard output, as [`output::answer`].
    pub fn write(&self) -> Result<()> {
        match self.0.is_empty() {
            true => Ok(()),
            false => output::write_answer(&self.0),
        }
    }
}

pub struct Screen {
    page: Page,
    text: String,
}

impl Screen {
    pub fn new(page: Page) -> Self {
        Self { page, text: String::new() }
    }

    /// One sentence, wrapped at the terminal's edge.
    pub fn line(&mut self, text: impl Display) {
        self.wrapped("", "", &text.to_string());
    }

    pub fn blank(&mut self) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    pub fn heading(&mut self, text: impl Display) {
        let shown = one_line(&text.to_string());
        let line = self.styled(BOLD, &shown);
        self.push(&line);
    }

    /// A sentence behind its mark.
    pub fn mark(&mut self, mark: Mark, text: impl Display) {
        let sign = mark.sign(self.page);
        let lines = self.lines(&format!("{sign} "), "  ", &text.to_string());
        for (place, line) in lines.iter().enumerate() {
            match line.strip_prefix(sign).filter(|_| place == 0) {
                Some(rest) => self.push(&format!("{}{rest}", self.styled(mark.colour(), sign))),
                None => self.push(line),
            }
        }
    }

    /// What to do about the line above.
    pub fn advice(&mut self, text: impl Display) {
        let arrow = if self.page.unicode { "  → " } else { "  > " };
        self.wrapped(arrow, "    ", &text.to_string());
    }

    /// `name  value`, the values below each other.
    pub fn facts(&mut self, facts: &[(&str, String)]) {
        let widest = facts.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
        for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
            let first = format!("  {name}{}  ", " ".repeat(widest - name.width()));
            self.wrapped(&first, &" ".repeat(widest + 4), value);
        }
    }

    pub(crate) fn table(&mut self, table: &Table) {
        let mut lines = table.lines(self.page, one_line).into_iter();
        if let Some(heading) = lines.next() {
            let heading = self.styled(BOLD, &heading);
            self.push(&heading);
        }
        lines.for_each(|line| self.push(&line));
    }

    /// As it is, line by line: to be copied.
    pub fn verbatim(&mut self, text: &str) {
        self.text.push_str(&visible(text));
        self.text.push('\n');
    }

    pub fn finish(self) -> ScreenText {
        // What is copied from a terminal has ordinary ones.
        ScreenText(self.text.trim_end().replace('\u{a0}', " "))
    }

    fn wrapped(&mut self, first: &str, rest: &str, text: &str) {
        for line in self.lines(first, rest, text) {
            self.push(&line);
        }
    }

    /// A name that is too long for a line is not cut: it must still be one word where it is copied from.
    fn lines(&self, first: &str, rest: &str, text: &str) -> Vec<String> {
        let options = Options::new(self.page.width)
            .initial_indent(first)
            .subsequent_indent(rest)
            .break_words(false)
            .word_splitter(WordSplitter::NoHyphenation);
        let shown = one_line(text);
        wrap(&shown, options).into_iter().map(|line| line.trim_end().to_owned()).collect()
    }

    fn styled(&self, style: &str, text: &str) -> String {
        match self.page.colour {
            true => format!("{style}{text}{PLAIN}"),
            false => text.to_owned(),
        }
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}

fn one_line(text: &str) -> String {
    // Spaces that do not break stay.
    let words = text.split(|c: char| c.is_ascii_whitespace()).filter(|word| !word.is_empty());
    visible(&words.collect::<Vec<_>>().join(" ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hidden_comes_through_any_way_in() {
        let hidden = "a\u{1b}[31mb\u{202e}c\u{9b}d\r\n e";
        let mut screen = Screen::new(Page {
            width: 200,
            colour: false,
            unicode: true,
        });
        screen.line(hidden);
        screen.heading(hidden);
        screen.mark(Mark::Bad, hidden);
        screen.advice(hidden);
        screen.facts(&[("name", hidden.to_owned())]);
        screen.verbatim(hidden);
        let mut table = Table::new(&[crate::human::Column::text("X", 0)]);
        table.row([hidden.to_owned()]);
        screen.table(&table);
        let text = screen.finish();
        assert!(
            text.as_str().chars().all(|c| c == '\n' || !crate::observe::output::is_hidden(c)),
            "{text:?}"
        );
        assert_eq!(text.as_str().matches("a\\u001b[31mb\\u202ec\\u009bd").count(), 7, "{text:?}");
    }

    #[test]
    fn sentences_are_wrapped_below_their_mark_and_names_are_not_cut() {
        let mut screen = Screen::new(Page::plain(24));
        screen.mark(Mark::Warning, "no versioning in the bucket s3://a-very-long-name-of-a-bucket");
        screen.advice("switch it on");
        assert_eq!(
            screen.finish().as_str(),
            "! no versioning in the\n  bucket\n  s3://a-very-long-name-of-a-bucket\n  → switch it on"
        );
    }

    #[test]
    fn colours_are_of_the_mark_alone() {
        let mut screen = Screen::new(Page {
            width: 80,
            colour: true,
            unicode: false,
        });
        screen.mark(Mark::Good, "bucket");
        assert_eq!(screen.finish().as_str(), "\x1b[32m+\x1b[0m bucket");
    }
}
