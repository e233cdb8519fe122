//! Code: words, numbers and symbols, and where they end a statement.

use super::{DumpLexer, Lexed, LexerState, MAX_TOKENS, NumberState, QuotedText, StatementKind, Token, Traits};

const RUNS_ON: &str = "a number that runs on as a word";

impl DumpLexer {
    /// Reads at least one byte, or changes the state.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> (usize, Lexed) {
        let read = match &mut self.state {
            LexerState::Code => return self.read_code(bytes[0]),
            LexerState::Word => self.read_word(bytes),
            LexerState::Number(number) => {
                let number = *number;
                self.read_number(bytes[0], number)
            }
            LexerState::Parameter => self.read_parameter(bytes[0]),
            LexerState::Tag(_) => self.read_tag(bytes[0]),
            LexerState::Dash if bytes[0] == b'-' => self.become_one(LexerState::LineComment),
            LexerState::Dash => self.symbol_before(b'-'),
            LexerState::Slash if bytes[0] == b'*' => self.become_one(LexerState::BlockComment { depth: 1, before: 0 }),
            LexerState::Slash => self.symbol_before(b'/'),
            LexerState::Colon if bytes[0] == b':' => {
                self.symbol_before(b':');
                1
            }
            LexerState::Colon => {
                self.symbol_before(b':');
                let begins_name = is_word(bytes[0]) || matches!(bytes[0], b'\'' | b'"' | b'{');
                return (0, if begins_name { Lexed::Variable } else { Lexed::Sql });
            }
            LexerState::Return => {
                if bytes[0] != b'\n' {
                    self.fail("a carriage return inside a line");
                }
                self.become_one(LexerState::Code) - 1
            }
            LexerState::Unicode => self.read_unicode(bytes[0]),
            _ => self.read_quoted(bytes),
        };
        (read, Lexed::Sql)
    }

    fn become_one(&mut self, state: LexerState) -> usize {
        self.state = state;
        1
    }

    fn read_code(&mut self, byte: u8) -> (usize, Lexed) {
        self.from = self.position;
        match byte {
            b' ' | b'\t' | b'\n' | 0x0b | 0x0c => {}
            b'\r' => self.state = LexerState::Return,
            b'\'' => self.state = LexerState::Text(QuotedText::Plain { odd: false }),
            b'"' => self.state = LexerState::Name,
            b'$' => self.state = LexerState::Tag(vec![b'$']),
            b'-' => self.state = LexerState::Dash,
            b'/' => self.state = LexerState::Slash,
            b':' => self.state = LexerState::Colon,
            b'\\' => {
                self.state = LexerState::Command;
                return (0, Lexed::Command);
            }
            b';' if self.parentheses == 0 && self.begins == 0 => return (1, self.end_statement()),
            b'0'..=b'9' => self.state = LexerState::Number(NumberState::Digits),
            _ if is_word(byte) => {
                self.length = 0;
                self.state = LexerState::Word;
                return (0, Lexed::Sql);
            }
            _ => {
                match byte {
                    b'(' => self.parentheses += 1,
                    b')' => self.parentheses = self.parentheses.saturating_sub(1),
                    _ => {}
                }
                self.push(StatementKind::Symbol(byte), self.position + 1);
                self.statement.after_inner_end = byte == b';';
            }
        }
        (1, Lexed::Sql)
    }

    fn end_statement(&mut self) -> Lexed {
        self.statement.rows = self.statement.copies && self.statement.reads;
        self.state = if self.statement.rows {
            LexerState::Opening
        } else {
            LexerState::Code
        };
        self.ended = true;
        Lexed::End
    }

    /// A symbol that stood alone after all; the byte behind it is not read yet.
    fn symbol_before(&mut self, byte: u8) -> usize {
        self.push(StatementKind::Symbol(byte), self.from + 1);
        self.state = LexerState::Code;
        0
    }

    fn read_word(&mut self, bytes: &[u8]) -> usize {
        let end = bytes.iter().position(|byte| !(is_word(*byte) || *byte == b'$'));
        let part = &bytes[..end.unwrap_or(bytes.len())];
        for byte in part {
            if let Some(place) = self.word.get_mut(self.length) {
                *place = byte.to_ascii_uppercase();
            }
            self.length += 1;
        }
        self.statement.beyond_ascii |= !part.is_ascii();
        let Some(end) = end else { return bytes.len() };
        // A letter in front of quotes belongs to them.
        let letter = if self.length == 1 { self.word[0] } else { 0 };
        self.state = match (letter, bytes[end]) {
            (b'E', b'\'') => LexerState::Text(QuotedText::Escapes { escaped: false }),
            (b'B' | b'X', b'\'') => LexerState::Text(QuotedText::Bits),
            (b'N', b'\'') => LexerState::Text(QuotedText::Plain { odd: false }),
            (b'U', b'&') => LexerState::Unicode,
            _ => {
                self.end_word(self.position + end);
                return end;
            }
        };
        end + 1
    }

    fn read_unicode(&mut self, byte: u8) -> usize {
        match byte {
            b'\'' => self.become_one(LexerState::Text(QuotedText::Unicode)),
            b'"' => self.become_one(LexerState::Name),
            _ => {
                self.end_word(self.position - 1);
                self.push(StatementKind::Symbol(b'&'), self.position);
                0
            }
        }
    }

    fn end_word(&mut self, to: usize) {
        let word = self.word;
        let word = word.get(..self.length).unwrap_or_default();
        self.state = LexerState::Code;
        if self.count == 0 {
            self.statement.copies = word == b"COPY";
            self.statement.inserts = word == b"INSERT";
            self.statement.creates = word == b"CREATE";
        } else if self.count == 1 {
            self.statement.or = word == b"OR";
        }
        if word == b"COPY" && self.statement.after_inner_end {
            self.fail("a COPY inside another statement");
        }
        self.count_word(word);
        let after_from = self.statement.after_from;
        self.push(StatementKind::Word, to);
        if self.statement.copies && self.parentheses == 0 {
            self.statement.after_from = word == b"FROM";
            self.statement.reads = after_from && word == b"STDIN";
            if after_from && word == b"STDOUT" {
                self.fail("rows from elsewhere than stdin");
            }
        }
    }

    /// As psql follows a function's `BEGIN ATOMIC … END`: from 14 on, and by these words alone.
    fn count_word(&mut self, word: &[u8]) {
        let Traits { words, shape, .. } = &mut self.statement;
        if let (Some(place), b"CREATE" | b"FUNCTION" | b"PROCEDURE" | b"OR" | b"REPLACE") = (shape.get_mut(*words as usize), word) {
            *place = word[0];
        }
        *words = words.saturating_add(1);
        let makes_function = matches!(shape, [b'C', b'F' | b'P', ..] | [b'C', b'O', b'R', b'F' | b'P']);
        if makes_function && self.parentheses == 0 {
            match word {
                b"BEGIN" => self.begins += 1,
                b"CASE" if self.begins > 0 => self.begins += 1,
                b"END" => self.begins = self.begins.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn read_number(&mut self, byte: u8, number: NumberState) -> usize {
        let next = match (number, byte) {
            (NumberState::Digits, b'0'..=b'9' | b'.') => NumberState::Digits,
            (NumberState::Digits, b'e' | b'E') => NumberState::Exponent,
            (NumberState::Exponent, b'+' | b'-') => NumberState::Sign,
            (NumberState::Exponent | NumberState::Sign | NumberState::ExponentDigits, b'0'..=b'9') => NumberState::ExponentDigits,
            _ => {
                // Majors differ in where such a number ends, and so in what begins behind it.
                if matches!(number, NumberState::Exponent | NumberState::Sign) || is_word(byte) || byte == b'$' {
                    self.fail(RUNS_ON);
                }
                return self.end_token(StatementKind::Number);
            }
        };
        self.become_one(LexerState::Number(next))
    }

    fn read_parameter(&mut self, byte: u8) -> usize {
        if byte.is_ascii_digit() {
            return 1;
        }
        if is_word(byte) || byte == b'$' {
            self.fail(RUNS_ON);
        }
        self.end_token(StatementKind::Number)
    }

    /// The token ends before this byte.
    pub(super) fn end_token(&mut self, kind: StatementKind) -> usize {
        self.push(kind, self.position);
        self.state = LexerState::Code;
        0
    }

    pub(super) fn push(&mut self, kind: StatementKind, to: usize) {
        // Statements begin with words, and so does what CREATE makes: psql counts words alone, and must count as we do.
        let must_be_word = match self.count {
            0 => true,
            1 => self.statement.creates,
            2 | 3 => self.statement.creates && self.statement.or,
            _ => false,
        };
        if must_be_word && kind != StatementKind::Word {
            self.fail("a statement that does not begin with a word");
        }
        if self.statement.reads {
            self.fail("a COPY with more behind FROM stdin");
        }
        self.statement.after_from = false;
        self.statement.after_inner_end = false;
        if self.tokens.len() < MAX_TOKENS && (!self.statement.inserts || self.count == 0) {
            let from = self.from;
            self.tokens.push(Token { kind, from, to });
        }
        self.count += 1;
    }
}

/// Of which words are made, but for `$`, which no word begins with.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}
