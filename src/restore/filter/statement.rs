//! One statement as its words come: is it to be left out?

use super::Without;

/// What is to become of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Pass,
    /// Not known yet: they are kept until it is.
    Hold,
    Drop,
}

/// The words that decide; any other word is `OTHER`.
const KEYWORDS: &[&str] = &[
    "ALTER",
    "AUTHORIZATION",
    "BEGIN",
    "COMMIT",
    "COPY",
    "DEFAULT",
    "DEFAULT_TABLE_ACCESS_METHOD",
    "FROM",
    "GRANT",
    "OWNER",
    "PRIVILEGES",
    "RESET",
    "REVOKE",
    "SESSION",
    "SET",
    "STDIN",
    "TO",
    "TRANSACTION_TIMEOUT",
];
const OTHER: &str = "word";
const NAME: &str = "\"name\"";
const SYMBOL: &str = ".";
/// The longest keyword and one more byte, to tell a longer word from it.
const WORD: usize = 28;

/// Settings that `pg_dump` writes, and the major of the first server that knows them.
const SETTINGS: &[(&str, u32)] = &[("TRANSACTION_TIMEOUT", 17), ("DEFAULT_TABLE_ACCESS_METHOD", 12)];

/// How a statement ended.
pub(super) struct End {
    pub(super) fate: Fate,
    /// It is a `COPY … FROM stdin`: rows follow.
    pub(super) rows: bool,
}

pub(super) struct Statement {
    without: Without,
    /// Bytes of code, a quoted text or name as one.
    length: u64,
    word: Vec<u8>,
    /// The first three words and symbols, and the last three.
    first: Vec<&'static str>,
    last: [&'static str; 3],
    fate: Fate,
}

impl Statement {
    pub(super) fn new(without: Without) -> Self {
        Self {
            without,
            length: 0,
            word: Vec::with_capacity(WORD),
            first: Vec::with_capacity(3),
            last: [""; 3],
            fate: Fate::Hold,
        }
    }

    pub(super) fn begun(&self) -> bool {
        self.length > 0
    }

    pub(super) fn is_one_byte(&self) -> bool {
        self.length == 1
    }

    /// Of what belongs to it so far; between statements everything passes.
    pub(super) fn fate(&self) -> Fate {
        if self.begun() { self.fate } else { Fate::Pass }
    }

    /// A byte of its code: not in quotes, not in a comment.
    pub(super) fn code(&mut self, byte: u8) {
        self.length += 1;
        if !self.listens() {
            return;
        }
        if is_word(byte) {
            if self.word.len() < WORD {
                self.word.push(byte.to_ascii_uppercase());
            }
            return;
        }
        self.gap();
        // These two may begin a comment; no statement that is left out holds them otherwise.
        if !matches!(byte, b'-' | b'/') && !byte.is_ascii_whitespace() {
            self.token(SYMBOL);
        }
    }

    /// A quoted name.
    pub(super) fn name(&mut self) {
        self.quoted(NAME);
    }

    /// A string.
    pub(super) fn text(&mut self) {
        self.quoted(SYMBOL);
    }

    /// A comment: it parts words.
    pub(super) fn gap(&mut self) {
        if self.word.is_empty() {
            return;
        }
        let keyword = KEYWORDS.iter().find(|keyword| keyword.as_bytes() == self.word);
        self.word.clear();
        self.token(keyword.copied().unwrap_or(OTHER));
    }

    /// It was no statement after all, but the first byte of a comment.
    pub(super) fn unbegin(&mut self) {
        *self = Self::new(self.without);
    }

    /// Passes, whatever else it may say.
    pub(super) fn pass(&mut self) -> Fate {
        self.fate = Fate::Pass;
        self.fate
    }

    /// At its `;`.
    pub(super) fn end(&mut self) -> End {
        self.gap();
        let fate = match (self.fate, self.first.as_slice(), self.last) {
            (Fate::Hold, ["ALTER", ..], ["OWNER", "TO", _]) => Fate::Drop,
            (Fate::Hold, ["BEGIN" | "COMMIT"], _) => Fate::Drop,
            (Fate::Hold, ..) => Fate::Pass,
            (fate, ..) => fate,
        };
        let rows = self.first.first() == Some(&"COPY") && self.last[1..] == ["FROM", "STDIN"];
        *self = Self::new(self.without);
        End { fate, rows }
    }

    fn quoted(&mut self, token: &'static str) {
        self.length += 1;
        if self.listens() {
            self.gap();
            self.token(token);
        }
    }

    /// Whether further words can make a difference.
    fn listens(&self) -> bool {
        self.fate == Fate::Hold || self.first.first() == Some(&"COPY")
    }

    fn token(&mut self, token: &'static str) {
        if self.first.len() < 3 {
            self.first.push(token);
        }
        self.last = [self.last[1], self.last[2], token];
        if self.fate == Fate::Hold {
            self.fate = self.judge();
        }
    }

    /// By its first words.
    fn judge(&self) -> Fate {
        let drop_if = |wish: bool| if wish { Fate::Drop } else { Fate::Pass };
        let hold_if = |wish: bool| if wish { Fate::Hold } else { Fate::Pass };
        let Without {
            owner,
            privileges,
            transactions,
            settings_newer_than,
        } = self.without;
        let is_newer = |setting: &str| {
            settings_newer_than.is_some_and(|major| SETTINGS.iter().any(|(known, since)| *known == setting && *since > major))
        };
        match self.first[..] {
            ["GRANT" | "REVOKE", ..] | ["ALTER", "DEFAULT", "PRIVILEGES"] => drop_if(privileges),
            ["ALTER"] => hold_if(owner || privileges),
            ["ALTER", "DEFAULT"] => hold_if(privileges),
            ["ALTER", ..] => hold_if(owner),
            ["SET" | "RESET", "SESSION", "AUTHORIZATION"] => drop_if(owner),
            ["SET" | "RESET"] | ["SET" | "RESET", "SESSION"] => Fate::Hold,
            ["SET", setting, ..] => drop_if(is_newer(setting)),
            ["BEGIN" | "COMMIT"] => hold_if(transactions),
            _ => Fate::Pass,
        }
    }
}

/// Of which names, keywords and numbers are made.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}
