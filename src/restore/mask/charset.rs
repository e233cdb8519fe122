//! How long the characters of a dump are, as far as a mask must know.

use crate::format::dump_statement::Statement;

/// The encoding of a dump. pg_dump writes in one that the server itself can have, in which no byte of a character beyond ASCII
/// looks like a letter, a tab or a backslash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Charset {
    #[default]
    Utf8,
    /// One byte each.
    Single,
    /// Two bytes each beyond ASCII.
    Double,
    EucJp,
    EucTw,
    /// Its characters cannot be told apart byte by byte.
    Other,
}

impl Charset {
    /// By `SET client_encoding = …`.
    pub(super) fn set_by(statement: &Statement<'_>) -> Option<Self> {
        let is_names = statement.has(0, "SET NAMES");
        let is_set = statement.is(0, "SET") && statement.is(1, "client_encoding");
        if !is_names && !is_set {
            return None;
        }
        let at = if is_names { 2 } else { 3 };
        // What is no plain name is in doubt.
        let value = statement.literal(at).or_else(|| statement.name(at)).unwrap_or_default();
        Some(Self::of_name(&value))
    }

    fn of_name(name: &[u8]) -> Self {
        let letters = name.iter().filter(|byte| byte.is_ascii_alphanumeric());
        let name: Vec<u8> = letters.map(u8::to_ascii_uppercase).collect();
        match name.as_slice() {
            b"UTF8" | b"UNICODE" => Self::Utf8,
            b"EUCCN" | b"EUCKR" => Self::Double,
            b"EUCJP" | b"EUCJIS2004" => Self::EucJp,
            b"EUCTW" => Self::EucTw,
            b"SQLASCII" => Self::Single,
            name if name.starts_with(b"LATIN") || name.starts_with(b"WIN") || name.starts_with(b"ISO") || name.starts_with(b"KOI8") => {
                Self::Single
            }
            _ => Self::Other,
        }
    }

    /// Bytes of the character that begins with this one, which is beyond ASCII.
    pub(super) fn length(self, first: u8) -> usize {
        match (self, first) {
            (Self::Utf8, 0xC2..=0xDF) | (Self::Double, _) => 2,
            (Self::Utf8, 0xE0..=0xEF) | (Self::EucJp, 0x8F) => 3,
            (Self::Utf8, 0xF0..=0xF4) | (Self::EucTw, 0x8E) => 4,
            (Self::EucJp | Self::EucTw, _) => 2,
            _ => 1,
        }
    }
}
