//! Where statements begin and end in a plain dump, as PostgreSQL and psql see it.
//! <https://www.postgresql.org/docs/current/sql-syntax-lexical.html>
//!
//! Statements are split at every `;` of their code. Inside a function's `BEGIN ATOMIC … END` or the parentheses of a rule
//! this gives pieces instead of statements; none of what may stand there is ever left out, so the pieces pass.

use super::statement::{Fate, Statement, is_word};
use super::{LIMIT, Without};
use memchr::{memchr, memchr2, memmem};

/// The end of rows, from the end of the line before.
const END_OF_ROWS: &[u8; 4] = b"\n\\.\n";

enum State {
    /// Between and in statements; what stood just before: a word's bytes, or 0 after anything that parts words.
    Code {
        before: u8,
        earlier: u8,
    },
    /// `'…'`; in `E'…'` a backslash takes the next byte with it.
    Text {
        escapes: bool,
        escaped: bool,
    },
    /// After a `'` that closes, unless another one follows.
    TextClosed {
        escapes: bool,
    },
    Name,
    /// After a `"` that closes, unless another one follows.
    NameClosed,
    /// `-- …` or a psql command (`\restrict KEY`), to the end of the line.
    Line,
    /// `/* … */`, which nest.
    Comment {
        depth: u64,
        before: u8,
    },
    /// After a `$` that may open a dollar quote: the tag so far.
    Tag(Vec<u8>),
    /// `$tag$ … $tag$`: the closing tag, and how much of it has just been seen.
    Dollar {
        close: Vec<u8>,
        seen: usize,
    },
    /// After `COPY … FROM stdin;`, before its line end.
    Opening,
    /// Rows, and how much of `END_OF_ROWS` has just been seen.
    Rows {
        seen: usize,
    },
}

const PARTED: State = State::Code { before: 0, earlier: 0 };

pub(super) struct Lexer {
    state: State,
    statement: Statement,
}

impl Lexer {
    pub(super) fn new(without: Without) -> Self {
        Self {
            state: PARTED,
            statement: Statement::new(without),
        }
    }

    /// Reads at least one byte; gives how many, and what is to become of them and of what was held before.
    pub(super) fn read(&mut self, bytes: &[u8]) -> (usize, Fate) {
        let state = std::mem::replace(&mut self.state, PARTED);
        let (read, state) = match state {
            State::Code { before, earlier } => return self.read_code(bytes[0], before, earlier),
            State::Text { escaped: true, escapes } => (1, State::Text { escapes, escaped: false }),
            State::Text { escapes, .. } => read_text(bytes, escapes),
            State::TextClosed { escapes } if bytes[0] == b'\'' => (1, State::Text { escapes, escaped: false }),
            State::NameClosed if bytes[0] == b'"' => (1, State::Name),
            State::TextClosed { .. } | State::NameClosed => return self.read_code(bytes[0], 0, 0),
            State::Name => to(b'"', bytes, State::Name, State::NameClosed),
            State::Line => to(b'\n', bytes, State::Line, PARTED),
            State::Comment { depth, before } => read_comment(bytes, depth, before),
            State::Tag(tag) => return self.read_tag(bytes[0], tag),
            State::Dollar { close, seen } => read_dollar(bytes, close, seen),
            State::Opening => to(b'\n', bytes, State::Opening, State::Rows { seen: 1 }),
            State::Rows { seen } => read_rows(bytes, seen),
        };
        self.state = state;
        (read, self.statement.fate())
    }

    /// The statement at hand passes: it has become too long to be held.
    pub(super) fn pass(&mut self) -> Fate {
        self.statement.pass()
    }

    fn read_code(&mut self, byte: u8, before: u8, earlier: u8) -> (usize, Fate) {
        self.state = match byte {
            b'\'' => {
                self.statement.text();
                let escapes = matches!(before, b'E' | b'e') && !is_word(earlier);
                State::Text { escapes, escaped: false }
            }
            b'"' => {
                self.statement.name();
                State::Name
            }
            b'-' if before == b'-' => {
                self.comment();
                State::Line
            }
            b'*' if before == b'/' => {
                self.comment();
                State::Comment { depth: 1, before: 0 }
            }
            b'\\' if !self.statement.begun() => State::Line,
            b'$' if !is_word(before) => {
                self.statement.code(byte);
                State::Tag(vec![b'$'])
            }
            b';' => {
                let end = self.statement.end();
                self.state = if end.rows { State::Opening } else { PARTED };
                return (1, end.fate);
            }
            _ if byte.is_ascii_whitespace() => {
                self.statement.gap();
                PARTED
            }
            _ => {
                self.statement.code(byte);
                State::Code {
                    before: byte,
                    earlier: before,
                }
            }
        };
        (1, self.statement.fate())
    }

    /// A comment has begun, with a byte that passed for code.
    fn comment(&mut self) {
        self.statement.gap();
        if self.statement.is_one_byte() {
            self.statement.unbegin();
        }
    }

    fn read_tag(&mut self, byte: u8, mut tag: Vec<u8>) -> (usize, Fate) {
        let is_more = byte != b'$' && is_word(byte) && !(tag.len() == 1 && byte.is_ascii_digit());
        if byte == b'$' || (is_more && tag.len() < LIMIT) {
            tag.push(byte);
            self.state = if is_more {
                State::Tag(tag)
            } else {
                State::Dollar { close: tag, seen: 0 }
            };
            return (1, self.statement.fate());
        }
        // A parameter such as $1, or a lone dollar: no statement that is left out holds one.
        let before = tag.last().copied().unwrap_or_default();
        self.read_code(byte, before, b'$')
    }
}

/// Up to and with this byte.
fn to(byte: u8, bytes: &[u8], inside: State, behind: State) -> (usize, State) {
    match memchr(byte, bytes) {
        Some(end) => (end + 1, behind),
        None => (bytes.len(), inside),
    }
}

fn read_text(bytes: &[u8], escapes: bool) -> (usize, State) {
    let inside = State::Text { escapes, escaped: false };
    if !escapes {
        return to(b'\'', bytes, inside, State::TextClosed { escapes });
    }
    match memchr2(b'\'', b'\\', bytes) {
        Some(at) if bytes[at] == b'\\' => (at + 1, State::Text { escapes, escaped: true }),
        Some(at) => (at + 1, State::TextClosed { escapes }),
        None => (bytes.len(), inside),
    }
}

fn read_comment(bytes: &[u8], depth: u64, before: u8) -> (usize, State) {
    let state = match (before, bytes[0]) {
        (b'*', b'/') if depth == 1 => PARTED,
        (b'*', b'/') => State::Comment {
            depth: depth - 1,
            before: 0,
        },
        (b'/', b'*') => State::Comment {
            depth: depth + 1,
            before: 0,
        },
        (_, byte) => State::Comment { depth, before: byte },
    };
    (1, state)
}

fn read_dollar(bytes: &[u8], close: Vec<u8>, seen: usize) -> (usize, State) {
    if seen == 0 {
        return match memchr(b'$', bytes) {
            Some(at) => (at + 1, State::Dollar { close, seen: 1 }),
            None => (bytes.len(), State::Dollar { close, seen: 0 }),
        };
    }
    let seen = match bytes[0] {
        byte if byte == close[seen] => seen + 1,
        // The tag holds no `$` inside: only its first byte can begin it anew.
        b'$' => 1,
        _ => 0,
    };
    if seen == close.len() {
        (1, PARTED)
    } else {
        (1, State::Dollar { close, seen })
    }
}

fn read_rows(bytes: &[u8], seen: usize) -> (usize, State) {
    if seen > 0 {
        let seen = after(seen, bytes[0]);
        return (1, if seen == END_OF_ROWS.len() { PARTED } else { State::Rows { seen } });
    }
    match memmem::find(bytes, END_OF_ROWS) {
        Some(at) => (at + END_OF_ROWS.len(), PARTED),
        None => {
            let end = &bytes[bytes.len().saturating_sub(END_OF_ROWS.len() - 1)..];
            let seen = end.iter().fold(0, |seen, byte| after(seen, *byte));
            (bytes.len(), State::Rows { seen })
        }
    }
}

/// How much of `END_OF_ROWS` is seen after one more byte. Only its line ends can begin it anew.
fn after(seen: usize, byte: u8) -> usize {
    match byte {
        _ if byte == END_OF_ROWS[seen] => seen + 1,
        b'\n' => 1,
        _ => 0,
    }
}
