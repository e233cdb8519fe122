//! Where statements, rows and psql's own commands begin and end in a plain dump.
//!
//! By psql's rules, not by the server's, since psql decides what reaches the server and what it runs itself: a `;` ends
//! nothing inside parentheses or a function's `BEGIN … END`, a backslash in code is a command, a comment ends at a carriage
//! return too. Where versions of psql, or psql and the server, could read the same bytes differently, there is a [fault]:
//! nothing that `pg_dump` writes has one.
//!
//! [fault]: DumpLexer::fault

mod code;
mod quoted;
mod rows;
#[cfg(test)]
mod tests;

use memchr::memmem::Finder;

/// What is kept of a statement's tokens: more than any statement has that somebody decides about.
const MAX_TOKENS: usize = 64 << 10;

/// What is open where the end of rows is missing.
pub(crate) const ROWS: &str = "the rows of a table";

/// What some bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lexed {
    /// Of a statement, or of what stands before one.
    Sql,
    /// The same, up to and with the `;` that ends it.
    End,
    /// The same, up to and with a `:` that psql would take for the beginning of a variable's name; a space behind it
    /// means nothing to the server, and ends that.
    Variable,
    /// Between `COPY … FROM stdin;` and its rows.
    Opening,
    /// Rows of `COPY`.
    Rows,
    /// The beginning of rows or of their end: what comes next tells.
    Mark,
    /// Up to and with the line that ends rows.
    RowsEnd,
    /// A command of psql's, to the end of its line.
    Command,
}

/// A word, quoted name, string, number or symbol of a statement, by where it stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub kind: StatementKind,
    pub from: usize,
    pub to: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatementKind {
    Word,
    /// In double quotes.
    Name,
    Number,
    /// In single quotes or in dollar quotes.
    Text,
    Symbol(u8),
}

#[derive(Debug)]
enum LexerState {
    Code,
    Word,
    Number(NumberState),
    /// After `$` and digits.
    Parameter,
    /// After a `$` that may open a dollar quote: the tag so far.
    Tag(Vec<u8>),
    /// One byte that means something else together with the next.
    Dash,
    Slash,
    Colon,
    Return,
    /// After `U&`.
    Unicode,
    Text(QuotedText),
    /// After a `'` that closes, unless another one follows.
    TextClosed(QuotedText),
    Name,
    NameClosed,
    /// `$tag$ … $tag$`: the closing tag, and how much of it has just been seen.
    Body {
        close: Vec<u8>,
        seen: usize,
    },
    LineComment,
    BlockComment {
        depth: u64,
        before: u8,
    },
    Command,
    Opening,
    /// At the beginning of a row: how much of the end's line has been seen.
    RowStart(u8),
    Row,
}

/// How far into `12.5e+3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NumberState {
    Digits,
    Exponent,
    Sign,
    ExponentDigits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum QuotedText {
    /// `'…'`. `odd`: an odd number of backslashes came last, so that `standard_conforming_strings` decides about a `'`.
    Plain { odd: bool },
    /// `E'…'`; a backslash takes the next byte with it.
    Escapes { escaped: bool },
    /// `U&'…'`.
    Unicode,
    /// `B'…'` and `X'…'`, in which nothing is doubled.
    Bits,
}

/// Reads a dump in pieces of any size. Offsets of tokens count from the end of the statement before.
#[derive(Debug)]
pub struct DumpLexer {
    state: LexerState,
    position: usize,
    from: usize,
    tokens: Vec<Token>,
    count: usize,
    statement: Traits,
    /// The beginning of a word, in capitals; longer than any that is looked for.
    word: [u8; 12],
    length: usize,
    /// psql's own, which no end of a statement resets.
    parentheses: u64,
    begins: u64,
    ended: bool,
    fault: Option<&'static str>,
    end_of_rows: Finder<'static>,
}

/// What is known of the statement at hand.
#[derive(Clone, Copy, Debug, Default)]
struct Traits {
    copies: bool,
    inserts: bool,
    creates: bool,
    or: bool,
    /// `FROM stdin` was the last that came.
    reads: bool,
    after_from: bool,
    after_inner_end: bool,
    rows: bool,
    /// psql's count of words, and the first letters of those of `CREATE OR REPLACE FUNCTION` by their place.
    words: u32,
    shape: [u8; 4],
    depends_on_strings: bool,
    beyond_ascii: bool,
}

impl Default for DumpLexer {
    fn default() -> Self {
        Self {
            state: LexerState::Code,
            position: 0,
            from: 0,
            tokens: Vec::new(),
            count: 0,
            statement: Traits::default(),
            word: [0; 12],
            length: 0,
            parentheses: 0,
            begins: 0,
            ended: false,
            fault: None,
            end_of_rows: Finder::new(b"\n\\."),
        }
    }
}

impl DumpLexer {
    /// Reads some bytes, at least one unless a [`Lexed::Variable`] comes; gives how many, and what they are.
    pub fn read(&mut self, bytes: &[u8]) -> (usize, Lexed) {
        if self.ended {
            self.reset();
        }
        match self.state {
            LexerState::Opening => self.read_opening(bytes),
            LexerState::RowStart(_) | LexerState::Row => self.read_rows(bytes),
            LexerState::Command => self.read_command(bytes),
            _ => self.read_sql(bytes),
        }
    }

    /// Of the statement that has just ended, or so far of the one at hand; of a very long one only the first.
    pub(crate) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// A statement has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.count > 0
    }

    /// The statement that has just ended is a `COPY … FROM stdin`.
    pub(crate) fn rows_follow(&self) -> bool {
        self.statement.rows
    }

    /// It is an `INSERT`, of which no more tokens are kept.
    pub(crate) fn is_insert(&self) -> bool {
        self.statement.inserts
    }

    /// In the statement at hand a string ends in another place where `standard_conforming_strings` is off.
    pub(crate) fn depends_on_strings(&self) -> bool {
        self.statement.depends_on_strings
    }

    /// The statement at hand has letters beyond ASCII, of which psql may take two for one in another `client_encoding`.
    pub(crate) fn is_beyond_ascii(&self) -> bool {
        self.statement.beyond_ascii
    }

    /// The first thing seen that no `pg_dump` writes, and that others may read differently.
    pub fn fault(&self) -> Option<&'static str> {
        self.fault
    }

    /// Forgets what came since the last statement, if it was comments; `false` where a statement may have begun.
    pub(crate) fn forget_comments(&mut self) -> bool {
        let is_between = matches!(
            self.state,
            LexerState::Code | LexerState::LineComment | LexerState::BlockComment { .. }
        );
        let may = is_between && self.count == 0;
        if may {
            self.position = 0;
        }
        may
    }

    /// What is open where the text ends.
    pub(crate) fn open(&self) -> Option<&'static str> {
        match self.state {
            LexerState::Text(_) => Some("a string"),
            LexerState::Name => Some("a quoted name"),
            LexerState::Body { .. } => Some("a dollar-quoted string"),
            LexerState::BlockComment { .. } => Some("a comment"),
            LexerState::Opening | LexerState::RowStart(_) | LexerState::Row => Some(ROWS),
            LexerState::Code | LexerState::LineComment | LexerState::Command | LexerState::Return if self.count == 0 || self.ended => None,
            _ => Some("a statement"),
        }
    }

    fn reset(&mut self) {
        self.ended = false;
        self.position = 0;
        self.tokens.clear();
        self.count = 0;
        self.statement = Traits::default();
    }

    fn fail(&mut self, fault: &'static str) {
        self.fault.get_or_insert(fault);
    }

    /// To the end of its line. Between statements nothing before it belongs to the next one.
    fn read_command(&mut self, bytes: &[u8]) -> (usize, Lexed) {
        let read = match memchr::memchr(b'\n', bytes) {
            Some(end) => {
                self.state = LexerState::Code;
                end + 1
            }
            None => bytes.len(),
        };
        self.position = if self.count == 0 { 0 } else { self.position + read };
        (read, Lexed::Command)
    }

    fn read_sql(&mut self, bytes: &[u8]) -> (usize, Lexed) {
        let mut at = 0;
        while at < bytes.len() {
            let (read, lexed) = self.advance(&bytes[at..]);
            at += read;
            self.position += read;
            match lexed {
                Lexed::Sql => {}
                // Its own bytes come next.
                Lexed::Command if at == 0 => return self.read_command(bytes),
                Lexed::Command => return (at, Lexed::Sql),
                _ => return (at, lexed),
            }
        }
        (at, Lexed::Sql)
    }
}
