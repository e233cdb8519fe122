//! What is in a dump, read off the stream as it passes: rows and bytes of each table.
//!
//! A plain dump is SQL with `COPY … FROM stdin` blocks between. The SQL is lexed, so that nothing inside a string, a
//! function's body, a quoted name or a comment can pass for a `COPY`; the blocks are only searched for line ends.

use super::Stage;
use crate::error::{Code, Error, Result};
use crate::format::digest;
use crate::format::dump_commands::DumpCommands;
use crate::format::dump_lexer::{DumpLexer, Lexed};
use crate::format::dump_statement::Statement;
use crate::format::inventory::TableRows;
use crate::format::row_digest::{RowDigests, RowKeys};
use crate::format::table_name::TableName;
use aws_lc_rs::digest::{Context, SHA256};
use std::sync::Arc;

/// What is kept of a statement: more than any `COPY` head that PostgreSQL can write (1,600 columns of 63 bytes, quoted).
const HEADER_LIMIT: usize = 256 << 10;

/// Everything counted, and what lay below.
#[derive(Debug)]
pub struct DumpStats {
    pub tables: Vec<TableRows>,
    pub rows: u64,
    pub large_objects: u64,
    pub plain_bytes: u64,
    pub plain_sha256: [u8; 32],
    /// The `COPY` statements of the tables, where a drill wants them: by them a restored table is read back.
    pub heads: Vec<Vec<u8>>,
    /// What the text ended inside of, if it did not end between two statements.
    pub ends_inside: Option<&'static str>,
    /// The first thing in it that psql would take for a command, or might, and that is none of `pg_dump`'s own: restores
    /// refuse it.
    pub refused: Option<String>,
}

impl DumpStats {
    /// A second proof of a dump beside its closing line: anyone who cut rows, a string or a function's body short left it open.
    pub(crate) fn must_end_between_statements(&self) -> Result<()> {
        match self.ends_inside {
            None => Ok(()),
            Some(inside) => Err(Error::new(Code::DumpIncomplete, format!("the dump ends inside {inside}"))),
        }
    }
}

/// Counts and hashes what passes.
pub struct RowCounter<S> {
    counter: CountedTable,
    hash: Context,
    bytes: u64,
    below: S,
}

impl<S: Stage> RowCounter<S> {
    pub fn new(below: S) -> Self {
        Self {
            counter: CountedTable::default(),
            hash: Context::new(&SHA256),
            bytes: 0,
            below,
        }
    }

    /// Makes the digests of the tables, too.
    pub(crate) fn digesting(mut self, keys: Option<Arc<RowKeys>>) -> Self {
        self.counter.digests = keys.map(RowDigests::new);
        self
    }

    /// Keeps the `COPY` statements.
    pub(crate) fn keeping_heads(mut self) -> Self {
        self.counter.keeps_heads = true;
        self
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> u64 {
        self.counter.rows
    }
}

impl<S: Stage> Stage for RowCounter<S> {
    type Done = (DumpStats, S::Done);

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.counter.read(bytes);
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.below.put(bytes)
    }

    fn finish(self) -> Result<Self::Done> {
        let counted = DumpStats {
            ends_inside: self.counter.lexer.open(),
            refused: self.counter.refused(),
            rows: self.counter.rows,
            tables: self.counter.tables,
            heads: self.counter.heads,
            large_objects: self.counter.large_objects,
            plain_bytes: self.bytes,
            plain_sha256: digest(self.hash.finish()),
        };
        Ok((counted, self.below.finish()?))
    }
}

/// The lexer, and what is counted by it.
#[derive(Default)]
struct CountedTable {
    lexer: DumpLexer,
    /// The statement at hand, if it may be one that counts.
    statement: Vec<u8>,
    commands: DumpCommands,
    has_statements: bool,
    refused: Option<String>,
    /// The beginning of rows, or of their end.
    mark: Vec<u8>,
    digests: Option<RowDigests>,
    keeps_heads: bool,
    /// Bytes that were read.
    position: u64,
    tables: Vec<TableRows>,
    heads: Vec<Vec<u8>>,
    rows: u64,
    large_objects: u64,
}

impl CountedTable {
    fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (read, lexed) = self.lexer.read(bytes);
            let (part, rest) = bytes.split_at(read);
            bytes = rest;
            self.position += read as u64;
            match lexed {
                Lexed::Rows => self.count(part),
                Lexed::Mark => self.mark.extend_from_slice(part),
                Lexed::RowsEnd => self.end_rows(),
                Lexed::Opening => {}
                Lexed::Command => self.command(part),
                Lexed::Sql | Lexed::Variable => self.buffer_head(part),
                Lexed::End => {
                    self.buffer_head(part);
                    self.end_statement();
                }
            }
        }
    }

    fn command(&mut self, part: &[u8]) {
        let inside = self.lexer.has_begun();
        if self.refused.is_none() {
            self.refused = self.commands.read(part, inside, self.has_statements).err();
        }
        if inside { self.buffer_head(part) } else { self.statement.clear() }
    }

    fn refused(&self) -> Option<String> {
        let at_end = || self.commands.finish().err().or_else(|| self.lexer.fault().map(str::to_owned));
        self.refused.clone().or_else(at_end)
    }

    fn count(&mut self, part: &[u8]) {
        let rows = match &mut self.digests {
            Some(digests) => digests.put(&self.mark) + digests.put(part),
            None => memchr::memchr_iter(b'\n', part).count() as u64,
        };
        self.rows += rows;
        if let Some(table) = self.tables.last_mut() {
            table.rows += rows;
            table.bytes += (part.len() + self.mark.len()) as u64;
        }
        self.mark.clear();
    }

    fn end_rows(&mut self) {
        self.mark.clear();
        let digests = self.digests.as_mut().map(RowDigests::take);
        if let Some(table) = self.tables.last_mut() {
            [table.digest, table.change_hint] = digests.map_or([None, None], |digests| digests.map(Some));
            table.length = table.offset.map(|offset| self.position - offset);
        }
    }

    /// `--inserts` gives rows that are statements: nothing of them is kept.
    fn buffer_head(&mut self, part: &[u8]) {
        if !self.lexer.is_insert() {
            let room = HEADER_LIMIT - self.statement.len();
            self.statement.extend_from_slice(&part[..part.len().min(room)]);
        }
    }

    fn end_statement(&mut self) {
        let statement = Statement::new(&self.statement, self.lexer.tokens());
        if statement.has(0, "SELECT pg_catalog") && statement.is(3, "lo_open") {
            self.large_objects += 1;
        }
        if self.lexer.rows_follow() {
            let name = TableName::from_sql(&self.statement[statement.span(1, 2).start..]);
            let name = name.map_or_else(String::new, |(name, _)| name.to_string());
            if self.keeps_heads {
                self.heads.push(statement.all_bytes().to_vec());
            }
            self.tables.push(TableRows {
                name,
                // The statement alone: not what stands before it.
                offset: Some(self.position - statement.all_bytes().len() as u64),
                ..TableRows::default()
            });
        }
        self.has_statements = true;
        self.statement.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tables(text: &str, piece: usize) -> Vec<(String, u64, u64)> {
        let mut counter = CountedTable::default();
        text.as_bytes().chunks(piece).for_each(|chunk| counter.read(chunk));
        assert!(counter.lexer.open().is_none());
        counter
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
        let mut counter = CountedTable::default();
        counter.read(b"COPY \"public\".\"n\xe9\" (\"i\") FROM stdin;\n1\n\\.\nCOPY \"public\".\"n\xe8\" (\"i\") FROM stdin;\n\\.\n");
        let names: Vec<&str> = counter.tables.iter().map(|table| &*table.name).collect();
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
            let mut inventory = RowCounter::new(super::super::BufferSink::default());
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

    /// Anyone who can name an object could once put a command into an old `pg_dump`'s comments: told when it is written, not years
    /// later.
    #[test]
    fn a_command_that_is_not_pg_dumps_own_is_seen() {
        for (text, refused) in [
            (
                "--\n\\restrict a1\n\nSET x = 1;\nCOPY t (a) FROM stdin;\n\\! id\n\\.\n\n\\unrestrict a1\n\n",
                None,
            ),
            ("-- Name: x\n\\! id\n; Type: TABLE\n", Some("\\! id")),
            ("SELECT 1;\n\\restrict a1\n\\unrestrict a1\n", Some("\\restrict a1")),
            ("\\restrict a1\nSELECT 1\n\\gexec\n", Some("\\gexec")),
            ("\\restrict a1\n\\unrestrict `id`\n", Some("\\unrestrict `id`")),
            ("SELECT 1;\n\\! id", Some("\\! id")),
        ] {
            for piece in [1, 3, 64] {
                let mut inventory = RowCounter::new(super::super::BufferSink::default());
                text.as_bytes().chunks(piece).for_each(|chunk| inventory.put(chunk).unwrap());
                let (counted, _) = inventory.finish().unwrap();
                assert_eq!(counted.refused.is_some(), refused.is_some(), "{text:?}: {:?}", counted.refused);
                let named = refused.unwrap_or_default();
                assert!(piece < 64 || counted.refused.unwrap_or_default().starts_with(named), "{text:?}");
            }
        }
    }

    #[test]
    fn large_objects_are_counted() {
        let text = "SELECT pg_catalog.lo_open('16400', 131072);\nSELECT pg_catalog.lowrite(0, '\\x00');\nSELECT pg_catalog.lo_close(0);\n";
        let mut counter = CountedTable::default();
        counter.read(text.as_bytes());
        assert_eq!(counter.large_objects, 1);
    }

    proptest! {
        #[test]
        fn pieces_of_sql_make_no_difference(text in "(['\"$;\\\\\n -]|E'|--|\\$a\\$|[ab1_]{1,4}){0,60}", cut in 1usize..20) {
            let read = |piece| {
                let mut counter = CountedTable::default();
                text.as_bytes().chunks(piece).for_each(|chunk| counter.read(chunk));
                (counter.lexer.open(), counter.statement, counter.rows)
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
