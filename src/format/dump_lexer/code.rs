//! Code: words, numbers and symbols, and where they end a statement.

use super::{DumpLexer, Kind, Lexed, MAX_TOKENS, Number, State, Text, Token, Traits};

const RUNS_ON: &str = "a number that runs on as a word";

impl DumpLexer {
    /// Reads at least one byte, or changes the state.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> (usize, Lexed) {
        let read = match &mut self.state {
            State::Code => return self.read_code(bytes[0]),
            State::Word => self.read_word(bytes),
            State::Number(number) => {
                let number = *number;
                self.read_number(bytes[0], number)
            }
            State::Parameter => self.read_parameter(bytes[0]),
            State::Tag(_) => self.read_tag(bytes[0]),
            State::Dash if bytes[0] == b'-' => self.become_one(State::LineComment),
            State::Dash => self.symbol_before(b'-'),
            State::Slash if bytes[0] == b'*' => self.become_one(State::BlockComment { depth: 1, before: 0 }),
            State::Slash => self.symbol_before(b'/'),
            State::Colon if bytes[0] == b':' => {
                self.symbol_before(b':');
                1
            }
            State::Colon => {
                self.symbol_before(b':');
                let begins_name = is_word(bytes[0]) || matches!(bytes[0], b'\'' | b'"' | b'{');
                return (0, if begins_name { Lexed::Variable } else { Lexed::Sql });
            }
            State::Return => {
                if bytes[0] != b'\n' {
                    self.fail("a carriage return inside a line");
                }
                self.become_one(State::Code) - 1
            }
            State::Unicode => self.read_unicode(bytes[0]),
            _ => self.read_quoted(bytes),
        };
        (read, Lexed::Sql)
    }

    fn become_one(&mut self, state: State) -> usize {
        self.state = state;
        1
    }

    fn read_code(&mut self, byte: u8) -> (usize, Lexed) {
        self.from = self.position;
        match byte {
            b' ' | b'\t' | b'\n' | 0x0b | 0x0c => {}
            b'\r' => self.state = State::Return,
            b'\'' => self.state = State::Text(Text::Plain { odd: false }),
            b'"' => self.state = State::Name,
            b'$' => self.state = State::Tag(vec![b'$']),
            b'-' => self.state = State::Dash,
            b'/' => self.state = State::Slash,
            b':' => self.state = State::Colon,
            b'\\' => {
                self.state = State::Command;
                return (0, Lexed::Command);
            }
            b';' if self.parentheses == 0 && self.begins == 0 => return (1, self.end_statement()),
            b'0'..=b'9' => self.state = State::Number(Number::Digits),
            _ if is_word(byte) => {
                self.length = 0;
                self.state = State::Word;
                return (0, Lexed::Sql);
            }
            _ => {
                match byte {
                    b'(' => self.parentheses += 1,
                    b')' => self.parentheses = self.parentheses.saturating_sub(1),
                    _ => {}
                }
                self.push(Kind::Symbol(byte), self.position + 1);
                self.statement.after_inner_end = byte == b';';
            }
        }
        (1, Lexed::Sql)
    }

    fn end_statement(&mut self) -> Lexed {
        self.statement.rows = self.statement.copies && self.statement.reads;
        self.state = if self.statement.rows { State::Opening } else { State::Code };
        self.ended = true;
        Lexed::End
    }

    /// A symbol that stood alone after all; the byte behind it is not read yet.
    fn symbol_before(&mut self, byte: u8) -> usize {
        self.push(Kind::Symbol(byte), self.from + 1);
        self.state = State::Code;
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
            (b'E', b'\'') => State::Text(Text::Escapes { escaped: false }),
            (b'B' | b'X', b'\'') => State::Text(Text::Bits),
            (b'N', b'\'') => State::Text(Text::Plain { odd: false }),
            (b'U', b'&') => State::Unicode,
            _ => {
                self.end_word(self.position + end);
                return end;
            }
        };
        end + 1
    }

    fn read_unicode(&mut self, byte: u8) -> usize {
        match byte {
            b'\'' => self.become_one(State::Text(Text::Unicode)),
            b'"' => self.become_one(State::Name),
            _ => {
                self.end_word(self.position - 1);
                self.push(Kind::Symbol(b'&'), self.position);
                0
            }
        }
    }

    fn end_word(&mut self, to: usize) {
        let word = self.word;
        let word = word.get(..self.length).unwrap_or_default();
        self.state = State::Code;
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
        self.push(Kind::Word, to);
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

    fn read_number(&mut self, byte: u8, number: Number) -> usize {
        let next = match (number, byte) {
            (Number::Digits, b'0'..=b'9' | b'.') => Number::Digits,
            (Number::Digits, b'e' | b'E') => Number::Exponent,
            (Number::Exponent, b'+' | b'-') => Number::Sign,
            (Number::Exponent | Number::Sign | Number::ExponentDigits, b'0'..=b'9') => Number::ExponentDigits,
            _ => {
                // Majors differ in where such a number ends, and so in what begins behind it.
                if matches!(number, Number::Exponent | Number::Sign) || is_word(byte) || byte == b'$' {
                    self.fail(RUNS_ON);
                }
                return self.end_token(Kind::Number);
            }
        };
        self.become_one(State::Number(next))
    }

    fn read_parameter(&mut self, byte: u8) -> usize {
        if byte.is_ascii_digit() {
            return 1;
        }
        if is_word(byte) || byte == b'$' {
            self.fail(RUNS_ON);
        }
        self.end_token(Kind::Number)
    }

    /// The token ends before this byte.
    pub(super) fn end_token(&mut self, kind: Kind) -> usize {
        self.push(kind, self.position);
        self.state = State::Code;
        0
    }

    pub(super) fn push(&mut self, kind: Kind, to: usize) {
        // Statements begin with words, and so does what CREATE makes: psql counts words alone, and must count as we do.
        let must_be_word = match self.count {
            0 => true,
            1 => self.statement.creates,
            2 | 3 => self.statement.creates && self.statement.or,
            _ => false,
        };
        if must_be_word && kind != Kind::Word {
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
