//! What passes whatever it says: strings, quoted names, bodies in dollar quotes, comments.

use super::code::is_word;
use super::{DumpLexer, Kind, State, Text};
use memchr::{memchr, memchr2};

/// Of a dollar quote's tag: longer than any that `pg_dump` makes of a body.
const MAX_TAG: usize = 1 << 10;

impl DumpLexer {
    pub(super) fn read_quoted(&mut self, bytes: &[u8]) -> usize {
        let (read, state) = match std::mem::replace(&mut self.state, State::Code) {
            State::Text(text) => read_text(bytes, text),
            State::TextClosed(text) if bytes[0] == b'\'' && text != Text::Bits => (1, State::Text(reopened(text))),
            State::TextClosed(_) => return self.end_token(Kind::Text),
            State::Name => match memchr(b'"', bytes) {
                Some(end) => (end + 1, State::NameClosed),
                None => (bytes.len(), State::Name),
            },
            State::NameClosed if bytes[0] == b'"' => (1, State::Name),
            State::NameClosed => return self.end_token(Kind::Name),
            State::Body { close, seen } => match read_body(bytes, close, seen) {
                (read, Some(state)) => (read, state),
                (read, None) => {
                    self.statement.beyond_ascii |= !bytes[..read].is_ascii();
                    self.push(Kind::Text, self.position + read);
                    return read;
                }
            },
            State::LineComment => {
                // What ends it stays: a carriage return may end a line for psql that does not for others.
                let end = memchr2(b'\n', b'\r', bytes);
                let state = if end.is_some() { State::Code } else { State::LineComment };
                self.state = state;
                return end.unwrap_or(bytes.len());
            }
            State::BlockComment { depth, before } => {
                if bytes[0] >= 0x80 {
                    self.fail("a letter beyond ASCII in a comment of more lines");
                }
                self.state = read_comment(bytes[0], depth, before);
                return 1;
            }
            other => (0, other),
        };
        if let (State::TextClosed(Text::Plain { odd: true }), true) = (&state, read > 0) {
            self.statement.depends_on_strings = true;
        }
        self.statement.beyond_ascii |= !bytes[..read].is_ascii();
        self.state = state;
        read
    }

    pub(super) fn read_tag(&mut self, byte: u8) -> usize {
        let State::Tag(tag) = &mut self.state else { return 0 };
        let is_first = tag.len() == 1;
        match byte {
            b'$' => {
                tag.push(b'$');
                let close = std::mem::take(tag);
                self.statement.beyond_ascii |= !close.is_ascii();
                self.state = State::Body { close, seen: 0 };
            }
            b'0'..=b'9' if is_first => self.state = State::Parameter,
            _ if is_word(byte) && tag.len() < MAX_TAG => tag.push(byte),
            _ => {
                self.fail("a dollar sign that opens no quote");
                return self.end_token(Kind::Symbol(b'$'));
            }
        }
        1
    }
}

/// A doubled quote is one of the text.
fn reopened(text: Text) -> Text {
    match text {
        Text::Plain { .. } => Text::Plain { odd: false },
        other => other,
    }
}

fn read_text(bytes: &[u8], text: Text) -> (usize, State) {
    match text {
        Text::Escapes { escaped: true } => (1, State::Text(Text::Escapes { escaped: false })),
        Text::Escapes { .. } => match memchr2(b'\'', b'\\', bytes) {
            Some(at) if bytes[at] == b'\\' => (at + 1, State::Text(Text::Escapes { escaped: true })),
            Some(at) => (at + 1, State::TextClosed(text)),
            None => (bytes.len(), State::Text(text)),
        },
        Text::Plain { odd } => {
            let end = memchr(b'\'', bytes);
            let inside = &bytes[..end.unwrap_or(bytes.len())];
            let last = inside.iter().rev().take_while(|byte| **byte == b'\\').count();
            let text = Text::Plain {
                odd: (last % 2 == 1) ^ (odd && last == inside.len()),
            };
            match end {
                Some(end) => (end + 1, State::TextClosed(text)),
                None => (bytes.len(), State::Text(text)),
            }
        }
        Text::Unicode | Text::Bits => match memchr(b'\'', bytes) {
            Some(end) => (end + 1, State::TextClosed(text)),
            None => (bytes.len(), State::Text(text)),
        },
    }
}

/// `None`: the closing tag is whole.
fn read_body(bytes: &[u8], close: Vec<u8>, seen: usize) -> (usize, Option<State>) {
    if seen == 0 {
        return match memchr(b'$', bytes) {
            Some(at) => (at + 1, Some(State::Body { close, seen: 1 })),
            None => (bytes.len(), Some(State::Body { close, seen: 0 })),
        };
    }
    let seen = match bytes[0] {
        byte if byte == close[seen] => seen + 1,
        // The tag holds no `$` inside: only its first byte can begin it anew.
        b'$' => 1,
        _ => 0,
    };
    (1, (seen < close.len()).then_some(State::Body { close, seen }))
}

/// `/* … */`, which nest.
fn read_comment(byte: u8, depth: u64, before: u8) -> State {
    match (before, byte) {
        (b'*', b'/') if depth == 1 => State::Code,
        (b'*', b'/') => State::BlockComment {
            depth: depth - 1,
            before: 0,
        },
        (b'/', b'*') => State::BlockComment {
            depth: depth + 1,
            before: 0,
        },
        (_, byte) => State::BlockComment { depth, before: byte },
    }
}
