//! What is in a dump, read off the stream as it passes: rows and bytes of each table.
//!
//! A plain dump is SQL with `COPY … FROM stdin` blocks between. The SQL is lexed, so that nothing inside a string, a
//! function's body, a quoted name or a comment can pass for a `COPY`; the blocks are only searched for line ends.

use super::Stage;
use crate::envelope::digest;
use crate::error::{Code, Error, Result};
use crate::format::table_name::TableName;
use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

/// What is kept of a statement: more than any `COPY` head that PostgreSQL can write (1,600 columns of 63 bytes, quoted).
const HEAD: usize = 256 << 10;

/// A table whose rows are in the dump.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// `schema.table`, as [`TableName`] shows it.
    pub name: String,
    pub rows: u64,
    /// Of its rows in COPY's text format, line ends included.
    pub bytes: u64,
}

/// Everything counted, and what lay below.
#[derive(Debug)]
pub struct Counted {
    pub tables: Vec<Table>,
    pub rows: u64,
    pub large_objects: u64,
    pub plain_bytes: u64,
    pub plain_sha256: [u8; 32],
    /// What the text ended inside of, if it did not end between two statements.
    pub ends_inside: Option<&'static str>,
}

impl Counted {
    /// A second proof of a dump beside its closing line: whoever cut rows, a string or a function's body short left it open.
    pub fn must_end_between_statements(&self) -> Result<()> {
        match self.ends_inside {
            None => Ok(()),
            Some(inside) => Err(Error::new(Code::DumpIncomplete, format!("the dump ends inside {inside}"))),
        }
    }
}

/// Counts and hashes what passes.
pub struct Inventory<S> {
    lexer: Lexer,
    hash: Context,
    bytes: u64,
    below: S,
}

impl<S: Stage> Inventory<S> {
    pub fn new(below: S) -> Self {
        Self {
            lexer: Lexer::default(),
            hash: Context::new(&SHA256),
            bytes: 0,
            below,
        }
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.lexer.rows
    }
}

impl<S: Stage> Stage for Inventory<S> {
    type Done = (Counted, S::Done);

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.lexer.read(bytes);
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.below.put(bytes)
    }

    fn finish(self) -> Result<Self::Done> {
        let counted = Counted {
            ends_inside: self.lexer.open(),
            rows: self.lexer.rows,
            tables: self.lexer.tables,
            large_objects: self.lexer.large_objects,
            plain_bytes: self.bytes,
            plain_sha256: digest(self.hash.finish()),
        };
        Ok((counted, self.below.finish()?))
    }
}

/// Where in the text we are.
#[derive(Default)]
enum State {
    /// Between and in statements.
    #[default]
    Sql,
    /// `'…'`; in `E'…'` a backslash takes the next byte with it.
    Text { escapes: bool, escaped: bool },
    /// `"…"`.
    Name,
    /// `-- …` or a psql command (`\restrict KEY`), to the end of the line.
    Line,
    /// After a `$` that may open a dollar quote: the tag so far.
    Tag(Vec<u8>),
    /// `$tag$ … $tag$`: the closing tag, and how much of it has just been seen.
    Dollar { close: Vec<u8>, seen: usize },
    /// After `COPY … FROM stdin;`, before its line end.
    Opening,
    /// Rows. The first two bytes of the current line decide whether it is the end: `\.`.
    Rows { line: Vec<u8> },
}

#[derive(Default)]
struct Lexer {
    state: State,
    statement: Vec<u8>,
    tables: Vec<Table>,
    rows: u64,
    large_objects: u64,
}

impl Lexer {
    fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Rows { .. } => self.read_rows(bytes),
                _ => match self.pass_over(bytes) {
                    0 => {
                        self.read_sql(bytes[0]);
                        &bytes[1..]
                    }
                    passed => &bytes[passed..],
                },
            };
        }
    }

    /// How many bytes come first that mean nothing of their own where we are: `--inserts` gives rows that are statements.
    fn pass_over(&mut self, bytes: &[u8]) -> usize {
        let meaning = match &self.state {
            State::Sql => bytes.iter().position(|byte| b"'\"-\\$;".contains(byte)),
            State::Text { escaped: true, .. } => Some(0),
            State::Text { escapes: true, .. } => memchr::memchr2(b'\'', b'\\', bytes),
            State::Text { .. } => memchr::memchr(b'\'', bytes),
            State::Name => memchr::memchr(b'"', bytes),
            State::Line => memchr::memchr(b'\n', bytes),
            State::Dollar { seen: 0, .. } => memchr::memchr(b'$', bytes),
            _ => Some(0),
        };
        let passed = meaning.unwrap_or(bytes.len());
        if matches!(self.state, State::Sql | State::Name) {
            let room = HEAD - self.statement.len();
            self.statement.extend_from_slice(&bytes[..passed.min(room)]);
        }
        passed
    }

    /// One line or what there is of it; gives the rest.
    fn read_rows<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let State::Rows { line } = &mut self.state else { return bytes };
        let (part, ended) = match memchr::memchr(b'\n', bytes) {
            Some(end) => (&bytes[..=end], true),
            None => (bytes, false),
        };
        line.extend(part.iter().take(3usize.saturating_sub(line.len())));
        let end_of_data = ended && line == b"\\.\n";
        let Some(table) = self.tables.last_mut() else { return &[] };
        if end_of_data {
            // Its first bytes may have come alone, and were then taken for a row's.
            table.bytes -= 3 - part.len() as u64;
            self.state = State::Sql;
        } else {
            table.bytes += part.len() as u64;
            if ended {
                table.rows += 1;
                self.rows += 1;
                line.clear();
            }
        }
        &bytes[part.len()..]
    }

    /// What is open where the text ends.
    fn open(&self) -> Option<&'static str> {
        match &self.state {
            State::Sql | State::Line if self.statement.trim_ascii().is_empty() => None,
            State::Sql | State::Line | State::Tag(_) => Some("a statement"),
            State::Text { .. } => Some("a string"),
            State::Name => Some("a quoted name"),
            State::Dollar { .. } => Some("a dollar-quoted string"),
            State::Opening | State::Rows { .. } => Some("the rows of a table"),
        }
    }

    fn read_sql(&mut self, byte: u8) {
        let state = std::mem::take(&mut self.state);
        self.state = match state {
            State::Sql => self.read_plain(byte),
            State::Text { escapes, escaped: true } => State::Text { escapes, escaped: false },
            State::Text { escapes: true, .. } if byte == b'\\' => State::Text {
                escapes: true,
                escaped: true,
            },
            State::Text { escapes, .. } if byte != b'\'' => State::Text { escapes, escaped: false },
            // A doubled quote closes and opens again, which comes to the same.
            State::Text { .. } => State::Sql,
            State::Name => {
                self.keep(byte);
                if byte == b'"' { State::Sql } else { State::Name }
            }
            State::Line if byte != b'\n' => State::Line,
            State::Line => {
                self.keep(byte);
                State::Sql
            }
            State::Tag(tag) => self.read_tag(tag, byte),
            State::Dollar { close, seen } => {
                let seen = match byte {
                    _ if byte == close[seen] => seen + 1,
                    // The tag holds no `$` inside: only its first byte can begin it anew.
                    b'$' => 1,
                    _ => 0,
                };
                if seen == close.len() {
                    State::Sql
                } else {
                    State::Dollar { close, seen }
                }
            }
            State::Opening if byte != b'\n' => State::Opening,
            State::Opening => State::Rows {
                line: Vec::with_capacity(3),
            },
            State::Rows { line } => State::Rows { line },
        };
    }

    fn read_plain(&mut self, byte: u8) -> State {
        match byte {
            b'\'' => {
                let before = self.statement.split_last().map(|(last, rest)| (*last, rest.last().copied()));
                let escapes = matches!(before, Some((b'E' | b'e', earlier)) if !earlier.is_some_and(is_word));
                self.keep(b'\'');
                State::Text { escapes, escaped: false }
            }
            b'"' => {
                self.keep(byte);
                State::Name
            }
            b'-' if self.statement.last() == Some(&b'-') => {
                self.statement.pop();
                State::Line
            }
            b'\\' if self.statement.iter().all(u8::is_ascii_whitespace) => State::Line,
            b'$' if !self.statement.last().copied().is_some_and(is_word) => State::Tag(vec![b'$']),
            b';' => self.end_statement(),
            _ => {
                self.keep(byte);
                State::Sql
            }
        }
    }

    fn read_tag(&mut self, mut tag: Vec<u8>, byte: u8) -> State {
        if byte == b'$' {
            tag.push(byte);
            return State::Dollar { close: tag, seen: 0 };
        }
        if is_word(byte) && !(tag.len() == 1 && byte.is_ascii_digit()) {
            tag.push(byte);
            return State::Tag(tag);
        }
        // A parameter such as $1, or a lone dollar.
        tag.into_iter().for_each(|byte| self.keep(byte));
        self.read_plain(byte)
    }

    fn keep(&mut self, byte: u8) {
        if self.statement.len() < HEAD {
            self.statement.push(byte);
        }
    }

    fn end_statement(&mut self) -> State {
        let statement = std::mem::take(&mut self.statement);
        let text = statement.trim_ascii();
        if text.starts_with(b"SELECT pg_catalog.lo_open(") {
            self.large_objects += 1;
        }
        match copied_table(text) {
            Some(name) => {
                self.tables.push(Table { name, rows: 0, bytes: 0 });
                State::Opening
            }
            None => State::Sql,
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// The table of `COPY schema.table (columns) FROM stdin`.
fn copied_table(statement: &[u8]) -> Option<String> {
    let rest = statement.strip_prefix(b"COPY ")?;
    statement.ends_with(b" FROM stdin").then_some(())?;
    let (name, end) = TableName::from_sql(rest)?;
    (rest.get(end) == Some(&b' ')).then(|| name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tables(text: &str, piece: usize) -> Vec<(String, u64, u64)> {
        let mut lexer = Lexer::default();
        text.as_bytes().chunks(piece).for_each(|chunk| lexer.read(chunk));
        assert!(matches!(lexer.state, State::Sql));
        lexer
            .tables
            .into_iter()
            .map(|table| (table.name, table.rows, table.bytes))
            .collect()
    }

    fn whole(text: &str) -> Vec<(String, u64, u64)> {
        let whole = tables(text, usize::MAX);
        for piece in [1, 2, 3, 5, 64] {
            assert_eq!(tables(text, piece), whole, "in pieces of {piece}");
        }
        whole
    }

    fn one(name: &str, rows: u64, bytes: u64) -> (String, u64, u64) {
        (name.to_owned(), rows, bytes)
    }

    #[test]
    fn rows_and_bytes_of_each_table() {
        let text = "SET x = 1;\n\nCOPY public.a (id, t) FROM stdin;\n1\tx\n2\t\\N\n\\.\n\n\nCOPY public.empty (id) FROM stdin;\n\\.\n\nCOPY public.none  FROM stdin;\n\n\n\\.\n";
        assert_eq!(
            whole(text),
            [one("public.a", 2, 9), one("public.empty", 0, 0), one("public.none", 2, 2)]
        );
    }

    #[test]
    fn rows_that_look_like_ends_or_sql() {
        let text = "COPY t (a) FROM stdin;\n\\\\.\n\\.x\nCOPY u (a) FROM stdin;\n'\n$$\n\\.\nSELECT 1;\n";
        assert_eq!(whole(text), [one("t", 5, 4 + 4 + 23 + 2 + 3)]);
    }

    #[test]
    fn quoted_names_are_kept_as_written() {
        let text = "COPY \"Odd schema\".\"a \"\"b\"\"; (c) FROM stdin\" (\"x y\") FROM stdin;\n1\n\\.\n";
        assert_eq!(whole(text), [one("\"Odd schema\".\"a \"\"b\"\"; (c) FROM stdin\"", 1, 2)]);
    }

    #[test]
    fn nothing_inside_text_functions_and_comments_counts() {
        let text = concat!(
            "\\restrict a'b$$\n",
            "-- COPY x (a) FROM stdin;\n",
            "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $_$\nCOPY y (a) FROM stdin;\n$1 $x$ ' \" $$ $_\n$_$;\n",
            "COMMENT ON TABLE t IS 'it''s\nCOPY z (a) FROM stdin;\n';\n",
            "COMMENT ON TABLE t IS E'back\\\\slash \\' COPY z (a) FROM stdin;\n';\n",
            "SELECT $1, a$b FROM t;\n",
            "SELECT 5 - -3 AS \"--\";\n",
            "COPY real (a) FROM stdin;\n1\n\\.\n",
        );
        assert_eq!(whole(text), [one("real", 1, 2)]);
    }

    #[test]
    fn names_are_the_same_with_and_without_quotes() {
        let plain = "COPY public.t (id) FROM stdin;\n1\n\\.\nCOPY s.\"N x\" (id) FROM stdin;\n\\.\n";
        let quoted = "COPY \"public\".\"t\" (\"id\") FROM stdin;\n1\n\\.\nCOPY \"s\".\"N x\" (\"id\") FROM stdin;\n\\.\n";
        assert_eq!(whole(quoted), whole(plain));
        assert_eq!(whole(quoted), [one("public.t", 1, 2), one("s.\"N x\"", 0, 0)]);
    }

    #[test]
    fn names_that_are_no_utf8_stay_apart() {
        let mut lexer = Lexer::default();
        lexer.read(b"COPY \"public\".\"n\xe9\" (\"i\") FROM stdin;\n1\n\\.\nCOPY \"public\".\"n\xe8\" (\"i\") FROM stdin;\n\\.\n");
        let names: Vec<&str> = lexer.tables.iter().map(|table| &*table.name).collect();
        assert_eq!(names, ["public.E\"n\\xe9\"", "public.E\"n\\xe8\""]);
    }

    #[test]
    fn a_dump_that_ends_inside_something_is_seen() {
        for (text, inside) in [
            ("SET x = 1;\n", None),
            (
                "COPY t (a) FROM stdin;\n1\n\\.\n\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n\n",
                None,
            ),
            ("-- x", None),
            ("\\unrestrict abc", None),
            ("COPY t (a) FROM stdin;", Some("the rows of a table")),
            ("COPY t (a) FROM stdin;\n1\n", Some("the rows of a table")),
            (
                "COPY t (a) FROM stdin;\n1\n-- PostgreSQL database dump complete\n--\n",
                Some("the rows of a table"),
            ),
            ("SELECT 'a;\n", Some("a string")),
            ("SELECT E'a\\';\n", Some("a string")),
            (
                "CREATE FUNCTION f() AS $_$ x;\n-- PostgreSQL database dump complete\n--\n",
                Some("a dollar-quoted string"),
            ),
            ("ALTER TABLE \"a", Some("a quoted name")),
            ("ALTER TABLE t", Some("a statement")),
            ("ALTER TABLE t\n-- PostgreSQL database dump complete\n--\n", Some("a statement")),
        ] {
            let mut inventory = Inventory::new(super::super::Memory::default());
            inventory.put(text.as_bytes()).unwrap();
            let (counted, _) = inventory.finish().unwrap();
            match (counted.must_end_between_statements(), inside) {
                (Ok(()), None) => {}
                (Err(error), Some(inside)) => {
                    assert!(error.code == Code::DumpIncomplete && error.message.ends_with(inside), "{error}");
                }
                (end, _) => panic!("{text:?}: {end:?}"),
            }
        }
    }

    #[test]
    fn large_objects_are_counted() {
        let text = "SELECT pg_catalog.lo_open('16400', 131072);\nSELECT pg_catalog.lowrite(0, '\\x00');\nSELECT pg_catalog.lo_close(0);\n";
        let mut lexer = Lexer::default();
        lexer.read(text.as_bytes());
        assert_eq!(lexer.large_objects, 1);
    }

    proptest! {
        #[test]
        fn pieces_of_sql_make_no_difference(text in "(['\"$;\\\\\n -]|E'|--|\\$a\\$|[ab1_]{1,4}){0,60}", cut in 1usize..20) {
            let read = |piece| {
                let mut lexer = Lexer::default();
                text.as_bytes().chunks(piece).for_each(|chunk| lexer.read(chunk));
                (std::mem::discriminant(&lexer.state), lexer.statement)
            };
            prop_assert_eq!(read(cut), read(text.len().max(1)));
        }

        #[test]
        fn pieces_make_no_difference(rows in proptest::collection::vec("[a-z\\\\.'$\"-]{0,6}", 0..20), cut in 1usize..40) {
            let rows: Vec<String> = rows.into_iter().filter(|row| row != "\\.").collect();
            let text = format!("COPY t (a) FROM stdin;\n{}\\.\nSELECT 1;\n", rows.iter().map(|row| format!("{row}\n")).collect::<String>());
            let bytes = rows.iter().map(|row| row.len() as u64 + 1).sum();
            prop_assert_eq!(tables(&text, cut), vec![one("t", rows.len() as u64, bytes)]);
        }
    }
}
