//! One statement of a dump, taken apart.

use super::dump_lexer::{StatementKind, Token};

/// Its bytes, from the end of the statement before, and its tokens.
#[derive(Clone, Copy)]
pub(crate) struct Statement<'a> {
    bytes: &'a [u8],
    tokens: &'a [Token],
}

impl<'a> Statement<'a> {
    pub(crate) fn new(bytes: &'a [u8], tokens: &'a [Token]) -> Self {
        Self { bytes, tokens }
    }

    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Where its first token begins.
    pub(crate) fn start(&self) -> usize {
        self.tokens.first().map_or(0, |token| token.from)
    }

    /// Of this many tokens, from this one on.
    pub(crate) fn span(&self, from: usize, to: usize) -> std::ops::Range<usize> {
        match self.tokens.get(from..to) {
            Some([first, .., last]) => first.from..last.to,
            Some([only]) => only.from..only.to,
            _ => 0..0,
        }
    }

    pub(crate) fn bytes(&self, from: usize, to: usize) -> &'a [u8] {
        self.bytes.get(self.span(from, to)).unwrap_or_default()
    }

    /// From its first token on.
    pub(crate) fn all_bytes(&self) -> &'a [u8] {
        self.bytes.get(self.start()..).unwrap_or_default()
    }

    /// For people, in one line; names that need no quotes have none, whether or not the dump puts all into them. What stands
    /// in strings is not shown: it may be a password, or of the rows.
    pub(crate) fn text(&self, from: usize, to: usize) -> String {
        let (mut text, mut end) = (String::new(), None);
        for token in self.tokens.get(from..to).unwrap_or_default() {
            if end.is_some_and(|end| end < token.from) {
                text.push(' ');
            }
            let bytes = match token.kind {
                StatementKind::Text => b"'...'",
                _ => self.bytes.get(token.from..token.to).unwrap_or_default(),
            };
            let inner = bytes.strip_prefix(b"\"").and_then(|bytes| bytes.strip_suffix(b"\""));
            let is_plain = |name: &&[u8]| {
                name.first().is_some_and(|first| first.is_ascii_lowercase() || *first == b'_')
                    && name
                        .iter()
                        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_')
            };
            text.push_str(&shown(inner.filter(is_plain).unwrap_or(bytes)));
            end = Some(token.to);
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn kind(&self, at: usize) -> Option<StatementKind> {
        self.tokens.get(at).map(|token| token.kind)
    }

    /// Whether this word stands there.
    pub(crate) fn is(&self, at: usize, word: &str) -> bool {
        self.kind(at) == Some(StatementKind::Word) && self.bytes(at, at + 1).eq_ignore_ascii_case(word.as_bytes())
    }

    pub(crate) fn is_any(&self, at: usize, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(at, word))
    }

    /// Whether these words stand from there on.
    pub(crate) fn has(&self, at: usize, words: &str) -> bool {
        words.split(' ').enumerate().all(|(place, word)| self.is(at + place, word))
    }

    /// `SELECT * FROM pg_catalog.pg_restore_relation_stats(…)` and its kin, of pg_dump 18 and newer.
    pub(crate) fn sets_statistics(&self) -> bool {
        let call = [
            "pg_restore_relation_stats",
            "pg_restore_attribute_stats",
            "pg_restore_extended_stats",
        ];
        self.is(0, "SELECT") && self.is_symbol(1, b'*') && self.has(2, "FROM pg_catalog") && self.is_any(5, &call)
    }

    pub(crate) fn is_symbol(&self, at: usize, symbol: u8) -> bool {
        self.kind(at) == Some(StatementKind::Symbol(symbol))
    }

    pub(crate) fn is_text(&self, at: usize) -> bool {
        self.kind(at) == Some(StatementKind::Text)
    }

    pub(crate) fn is_number(&self, at: usize) -> bool {
        self.kind(at) == Some(StatementKind::Number)
    }

    /// A name in or without quotes, as PostgreSQL means it; of `U&"…"` what is written.
    pub(crate) fn name(&self, at: usize) -> Option<Vec<u8>> {
        let bytes = self.bytes(at, at + 1);
        match self.kind(at)? {
            StatementKind::Word => Some(bytes.to_ascii_lowercase()),
            StatementKind::Name => {
                let inner = bytes.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
                Some(undoubled(inner, b'"'))
            }
            _ => None,
        }
    }

    /// `schema.name` and the like: its parts, and where it ends.
    pub(crate) fn qualified(&self, mut at: usize) -> Option<(Vec<Vec<u8>>, usize)> {
        let mut parts = vec![self.name(at)?];
        at += 1;
        while self.is_symbol(at, b'.') {
            parts.push(self.name(at + 1)?);
            at += 2;
        }
        Some((parts, at))
    }

    /// The text of a plain string.
    pub(crate) fn literal(&self, at: usize) -> Option<Vec<u8>> {
        let bytes = self.bytes(at, at + 1);
        let inner = self.is_text(at).then(|| bytes.strip_prefix(b"'")?.strip_suffix(b"'")).flatten()?;
        Some(undoubled(inner, b'\''))
    }

    /// Where a word stands outside of parentheses, from there on.
    pub(crate) fn find(&self, from: usize, word: &str) -> Option<usize> {
        let mut depth = 0u32;
        for at in from..self.len() {
            match self.kind(at) {
                Some(StatementKind::Symbol(b'(')) => depth += 1,
                Some(StatementKind::Symbol(b')')) => depth = depth.saturating_sub(1),
                _ if depth == 0 && self.is(at, word) => return Some(at),
                _ => {}
            }
        }
        None
    }

    /// The same, in parentheses or not.
    pub(crate) fn find_word(&self, from: usize, word: &str) -> Option<usize> {
        (from..self.len()).find(|at| self.is(*at, word))
    }

    pub(crate) fn find_symbol(&self, from: usize, symbol: u8) -> Option<usize> {
        (from..self.len()).find(|at| self.is_symbol(*at, symbol))
    }

    /// Behind the parenthesis that closes the one which opens there.
    pub(crate) fn behind_parentheses(&self, from: usize) -> Option<usize> {
        let mut depth = 0u32;
        for at in from..self.len() {
            match self.kind(at) {
                Some(StatementKind::Symbol(b'(')) => depth += 1,
                Some(StatementKind::Symbol(b')')) => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return (at > from).then_some(at + 1);
            }
        }
        None
    }
}

/// Bytes of a dump, which may be in any encoding, as a text of their own: two names never become one.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

fn undoubled(inner: &[u8], quote: u8) -> Vec<u8> {
    let mut name = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        name.push(*byte);
        if *byte == quote {
            bytes.next();
        }
    }
    name
}
