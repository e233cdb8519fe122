//! Names of tables: as a dump writes them, and as the inventory keeps them.
//!
//! A dump made with `--quote-all-identifiers` says `"public"."t"`; the inventory says `public.t`, each part in quotes
//! only where it is no plain word. A part whose bytes are not UTF-8 (in a SQL_ASCII database a name may have any) is
//! written `E"n\xe9"`, with `\\` for a backslash: no other part can look so, and its bytes can be read back.

use std::fmt::{self, Display, Write};

/// The parts of a name, from the schema to the table, in the bytes of the dump.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableName(Vec<Vec<u8>>);

impl TableName {
    pub(crate) fn new(parts: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self(parts.into_iter().collect())
    }

    /// Reads a name at the beginning of a piece of SQL, up to the first byte that does not belong to it.
    pub(crate) fn from_sql(sql: &[u8]) -> Option<(Self, usize)> {
        let (mut parts, mut at) = (Vec::new(), 0);
        loop {
            let (part, read) = match sql.get(at)? {
                b'"' => quoted(&sql[at + 1..], None).map(|(part, read)| (part, read + 1))?,
                _ => plain(&sql[at..])?,
            };
            parts.push(part);
            at += read;
            if sql.get(at) != Some(&b'.') {
                return Some((Self(parts), at));
            }
            at += 1;
        }
    }

    /// Reads what [`Display`] wrote, and what earlier releases did: `pg_dump`'s own spelling.
    pub fn parse(text: &str) -> Option<Self> {
        let (mut parts, mut rest) = (Vec::new(), text.as_bytes());
        loop {
            let (part, read) = match rest {
                [b'"', inner @ ..] => quoted(inner, None).map(|(part, read)| (part, read + 1))?,
                [b'E', b'"', inner @ ..] => quoted(inner, Some(b'\\')).map(|(part, read)| (part, read + 2))?,
                _ => plain(rest)?,
            };
            parts.push(part);
            match &rest[read..] {
                [] => return Some(Self(parts)),
                [b'.', more @ ..] => rest = more,
                _ => return None,
            }
        }
    }

    /// With every part in quotes, in its own bytes.
    pub(crate) fn to_sql(&self) -> Vec<u8> {
        let mut sql = Vec::new();
        for part in &self.0 {
            if !sql.is_empty() {
                sql.push(b'.');
            }
            sql.push(b'"');
            for byte in part {
                sql.extend(std::iter::repeat_n(*byte, if *byte == b'"' { 2 } else { 1 }));
            }
            sql.push(b'"');
        }
        sql
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// The same name with each part as `translate` gives it.
    pub(crate) fn map(&self, translate: impl Fn(&[u8]) -> Vec<u8>) -> Self {
        Self(self.0.iter().map(|part| translate(part)).collect())
    }
}

impl Display for TableName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, part) in self.0.iter().enumerate() {
            if place > 0 {
                formatter.write_char('.')?;
            }
            match std::str::from_utf8(part) {
                Ok(text) if is_plain(part) => formatter.write_str(text)?,
                Ok(text) => write!(formatter, "\"{}\"", text.replace('"', "\"\""))?,
                Err(_) => write_bytes(formatter, part)?,
            }
        }
        Ok(())
    }
}

fn write_bytes(formatter: &mut fmt::Formatter<'_>, part: &[u8]) -> fmt::Result {
    formatter.write_str("E\"")?;
    for chunk in part.utf8_chunks() {
        formatter.write_str(&chunk.valid().replace('\\', "\\\\").replace('"', "\"\""))?;
        for byte in chunk.invalid() {
            write!(formatter, "\\x{byte:02x}")?;
        }
    }
    formatter.write_char('"')
}

/// What needs no quotes wherever it stands; keywords do not count, since each major has others.
fn is_plain(part: &[u8]) -> bool {
    let begins = part.first().is_some_and(|byte| byte.is_ascii_lowercase() || *byte == b'_');
    begins
        && part
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_')
}

/// A word, up to what cannot belong to one, and its length. Earlier releases leave letters beyond ASCII without quotes.
fn plain(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let belongs = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || *byte >= 0x80;
    let end = text.iter().position(|byte| !belongs(byte)).unwrap_or(text.len());
    (end > 0).then(|| (text[..end].to_vec(), end))
}

/// What is in quotes, read behind the first of them, and its length with the last.
fn quoted(text: &[u8], escape: Option<u8>) -> Option<(Vec<u8>, usize)> {
    let (mut part, mut at) = (Vec::new(), 0);
    loop {
        let byte = *text.get(at)?;
        at += 1;
        match byte {
            b'"' if text.get(at) == Some(&b'"') => {
                part.push(b'"');
                at += 1;
            }
            b'"' => return Some((part, at)),
            _ if Some(byte) == escape => match *text.get(at)? {
                b'x' => {
                    let digits = std::str::from_utf8(text.get(at + 1..at + 3)?).ok()?;
                    part.push(u8::from_str_radix(digits, 16).ok()?);
                    at += 3;
                }
                b'\\' => {
                    part.push(b'\\');
                    at += 1;
                }
                _ => return None,
            },
            _ => part.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(parts: &[&[u8]]) -> TableName {
        TableName::new(parts.iter().map(|part| part.to_vec()))
    }

    #[test]
    fn a_dumps_name_and_the_inventorys() {
        for (sql, shown) in [
            (&b"\"public\".\"t\" (\"a\")"[..], "public.t"),
            (b"public.t (a)", "public.t"),
            (b"t", "t"),
            (
                b"\"Odd schema\".\"a \"\"b\"\"; (c) FROM stdin\" (",
                "\"Odd schema\".\"a \"\"b\"\"; (c) FROM stdin\"",
            ),
            (b"\"public\".\"select\"", "public.select"),
            ("\"s\".\"gr\u{f6}\u{df}e\" (".as_bytes(), "s.\"gr\u{f6}\u{df}e\""),
            (b"\"s\".\"n\xe9\" (", "s.E\"n\\xe9\""),
            (b"\"s\".\"n\xe9\\x\"", "s.E\"n\\xe9\\\\x\""),
            (b"\"s\".\"n\\xe9\"", "s.\"n\\xe9\""),
            (b"\"9\".\"\"", "\"9\".\"\""),
        ] {
            let (name, _) = TableName::from_sql(sql).unwrap();
            assert_eq!(name.to_string(), shown);
            assert_eq!(TableName::parse(shown), Some(name));
        }
        assert_eq!(TableName::from_sql(b"\"public\".\"t\" (x)").unwrap().1, 12);
        for none in ["", "a.", ".a", "\"a", "a b", "E\"\\y\"", "a.\"b\"c"] {
            assert_eq!(TableName::parse(none), None, "{none}");
        }
    }

    #[test]
    fn earlier_spellings_are_the_same_names() {
        for (earlier, now) in [
            ("public.\"order\"", "public.order"),
            ("public.gr\u{f6}\u{df}e", "public.\"gr\u{f6}\u{df}e\""),
        ] {
            assert_eq!(TableName::parse(earlier), TableName::parse(now));
        }
    }

    proptest! {
        #[test]
        fn names_are_distinct_and_can_be_read_back(parts in prop::collection::vec(prop::collection::vec(
            prop::sample::select(b"aE_\"\\x.e9\xe9\xc3\xa9 ".to_vec()), 0..8), 1..3)) {
            let name = TableName::new(parts.iter().cloned());
            prop_assert_eq!(TableName::parse(&name.to_string()), Some(name));
        }

        #[test]
        fn sql_and_back(parts in prop::collection::vec("[a-z\"\\\\. ]{1,6}", 1..3)) {
            let sql = parts.iter().map(|part| format!("\"{}\"", part.replace('"', "\"\""))).collect::<Vec<_>>().join(".");
            let read = TableName::from_sql(format!("{sql} (x)").as_bytes());
            let name = TableName::new(parts.iter().map(|part| part.clone().into_bytes()));
            prop_assert_eq!(name.to_sql(), sql.as_bytes());
            prop_assert_eq!(read, Some((name, sql.len())));
        }
    }

    #[test]
    fn parts_can_be_translated() {
        let shown = name(&[b"s", b"n\xe9"]).map(|part| if part == b"n\xe9" { "n\u{e9}".into() } else { part.to_vec() });
        assert_eq!(shown.to_string(), "s.\"n\u{e9}\"");
    }
}
