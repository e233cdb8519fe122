//! What passes whatever it says: strings, quoted names, bodies in dollar quotes, comments.

use super::code::is_word;
use super::{DumpLexer, LexerState, QuotedText, StatementKind};
use memchr::{memchr, memchr2};

/// Of a dollar quote's tag: longer than any that `pg_dump` makes of a body.
const MAX_TAG: usize = 1 << 10;

impl DumpLexer {
    pub(super) fn read_quoted(&mut self, bytes: &[u8]) -> usize {
        let (read, state) = match std::mem::replace(&mut self.state, LexerState::Code) {
            LexerState::Text(text) => read_text(bytes, text),
            LexerState::TextClosed(text) if bytes[0] == b'\'' && text != QuotedText::Bits => (1, LexerState::Text(reopened(text))),
            LexerState::TextClosed(_) => return self.end_token(StatementKind::Text),
            LexerState::Name => match memchr(b'"', bytes) {
                Some(end) => (end + 1, LexerState::NameClosed),
                None => (bytes.len(), LexerState::Name),
            },
            LexerState::NameClosed if bytes[0] == b'"' => (1, LexerState::Name),
            LexerState::NameClosed => return self.end_token(StatementKind::Name),
            LexerState::Body { close, seen } => match read_body(bytes, close, seen) {
                (read, Some(state)) => (read, state),
                (read, None) => {
                    self.statement.beyond_ascii |= !bytes[..read].is_ascii();
                    self.push(StatementKind::Text, self.position + read);
                    return read;
                }
            },
            LexerState::LineComment => {
                // What ends it stays: a carriage return may end a line for psql that does not for others.
                let end = memchr2(b'\n', b'\r', bytes);
                let state = if end.is_some() { LexerState::Code } else { LexerState::LineComment };
                self.state = state;
                return end.unwrap_or(bytes.len());
            }
            LexerState::BlockComment { depth, before } => {
                if bytes[0] >= 0x80 {
                    self.fail("a letter beyond ASCII in a comment of more lines");
                }
                self.state = read_comment(bytes[0], depth, before);
                return 1;
            }
            other => (0, other),
        };
        if let (LexerState::TextClosed(QuotedText::Plain { odd: true }), true) = (&state, read > 0) {
            self.statement.depends_on_strings = true;
        }
        self.statement.beyond_ascii |= !bytes[..read].is_ascii();
        self.state = state;
        read
    }

    pub(super) fn read_tag(&mut self, byte: u8) -> usize {
        let LexerState::Tag(tag) = &mut self.state else { return 0 };
        let is_first = tag.len() == 1;
        match byte {
            b'$' => {
                tag.push(b'$');
                let close = std::mem::take(tag);
                self.statement.beyond_ascii |= !close.is_ascii();
                self.state = LexerState::Body { close, seen: 0 };
            }
            b'0'..=b'9' if is_first => self.state = LexerState::Parameter,
            _ if is_word(byte) && tag.len() < MAX_TAG => tag.push(byte),
            _ => {
                self.fail("a dollar sign that opens no quote");
                return self.end_token(StatementKind::Symbol(b'$'));
            }
        }
        1
    }
}

/// A doubled quote is one of the text.
fn reopened(text: QuotedText) -> QuotedText {
    match text {
        QuotedText::Plain { .. } => QuotedText::Plain { odd: false },
        other => other,
    }
}

fn read_text(bytes: &[u8], text: QuotedText) -> (usize, LexerState) {
    match text {
        QuotedText::Escapes { escaped: true } => (1, LexerState::Text(QuotedText::Escapes { escaped: false })),
        QuotedText::Escapes { .. } => match memchr2(b'\'', b'\\', bytes) {
            Some(at) if bytes[at] == b'\\' => (at + 1, LexerState::Text(QuotedText::Escapes { escaped: true })),
            Some(at) => (at + 1, LexerState::TextClosed(text)),
            None => (bytes.len(), LexerState::Text(text)),
        },
        QuotedText::Plain { odd } => {
            let end = memchr(b'\'', bytes);
            let inside = &bytes[..end.unwrap_or(bytes.len())];
            let last = inside.iter().rev().take_while(|byte| **byte == b'\\').count();
            let text = QuotedText::Plain {
                odd: (last % 2 == 1) ^ (odd && last == inside.len()),
            };
            match end {
                Some(end) => (end + 1, LexerState::TextClosed(text)),
                None => (bytes.len(), LexerState::Text(text)),
            }
        }
        QuotedText::Unicode | QuotedText::Bits => match memchr(b'\'', bytes) {
            Some(end) => (end + 1, LexerState::TextClosed(text)),
            None => (bytes.len(), LexerState::Text(text)),
        },
    }
}

/// `None`: the closing tag is whole.
fn read_body(bytes: &[u8], close: Vec<u8>, seen: usize) -> (usize, Option<LexerState>) {
    if seen == 0 {
        return match memchr(b'$', bytes) {
            Some(at) => (at + 1, Some(LexerState::Body { close, seen: 1 })),
            None => (bytes.len(), Some(LexerState::Body { close, seen: 0 })),
        };
    }
    let seen = match bytes[0] {
        byte if byte == close[seen] => seen + 1,
        // The tag holds no `$` inside: only its first byte can begin it anew.
        b'$' => 1,
        _ => 0,
    };
    (1, (seen < close.len()).then_some(LexerState::Body { close, seen }))
}

/// `/* … */`, which nest.
fn read_comment(byte: u8, depth: u64, before: u8) -> LexerState {
    match (before, byte) {
        (b'*', b'/') if depth == 1 => LexerState::Code,
        (b'*', b'/') => LexerState::BlockComment {
            depth: depth - 1,
            before: 0,
        },
        (b'/', b'*') => LexerState::BlockComment {
            depth: depth + 1,
            before: 0,
        },
        (_, byte) => LexerState::BlockComment { depth, before: byte },
    }
}
