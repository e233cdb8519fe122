//! Rows of `COPY`: only searched for their end, a line `\.`, at whose end psql takes a carriage return too.

use super::{DumpLexer, Lexed, LexerState};
use memchr::memchr;

impl DumpLexer {
    /// To the end of the line of `COPY`. psql reads what else stands there behind the rows.
    pub(super) fn read_opening(&mut self, bytes: &[u8]) -> (usize, Lexed) {
        let end = memchr(b'\n', bytes);
        let read = end.map_or(bytes.len(), |end| end + 1);
        if bytes[..read].iter().any(|byte| !byte.is_ascii_whitespace()) {
            self.fail("something behind a COPY in its line");
        }
        if end.is_some() {
            self.state = LexerState::RowStart(0);
        }
        (read, Lexed::Opening)
    }

    pub(super) fn read_rows(&mut self, bytes: &[u8]) -> (usize, Lexed) {
        if let LexerState::RowStart(mut seen) = self.state {
            let mut is_end = true;
            for (at, byte) in bytes.iter().enumerate() {
                seen = match (seen, byte) {
                    (0, b'\\') => 1,
                    (1, b'.') => 2,
                    (2, b'\r') => 3,
                    (2 | 3, b'\n') => {
                        self.state = LexerState::Code;
                        self.ended = true;
                        return (at + 1, Lexed::RowsEnd);
                    }
                    _ => {
                        is_end = false;
                        break;
                    }
                };
            }
            if is_end {
                self.state = LexerState::RowStart(seen);
                return (bytes.len(), Lexed::Mark);
            }
        }
        let (read, is_start) = match self.end_of_rows.find(bytes) {
            Some(at) => (at + 1, true),
            None if bytes.len() > 1 && bytes.ends_with(b"\n\\") => (bytes.len() - 1, true),
            None => (bytes.len(), bytes.ends_with(b"\n")),
        };
        self.state = if is_start { LexerState::RowStart(0) } else { LexerState::Row };
        (read, Lexed::Rows)
    }
}
