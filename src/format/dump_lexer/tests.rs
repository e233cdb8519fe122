//! Statements, rows and commands of dumps that were made up for it.

use super::*;
use proptest::prelude::*;

/// Statements, psql's commands and the kinds of rows in the order in which they come, and the fault if there is one.
fn lexed(text: &[u8], piece: usize) -> (Vec<(Lexed, String)>, Option<&'static str>) {
    let mut lexer = DumpLexer::default();
    let mut parts: Vec<(Lexed, String)> = Vec::new();
    let mut bytes = Vec::new();
    for mut chunk in text.chunks(piece) {
        while !chunk.is_empty() {
            let (read, kind) = lexer.read(chunk);
            bytes.extend_from_slice(&chunk[..read]);
            chunk = &chunk[read..];
            let is_line_end = bytes.ends_with(b"\n");
            let is_whole = matches!(kind, Lexed::End | Lexed::RowsEnd) || matches!(kind, Lexed::Command | Lexed::Opening if is_line_end);
            if is_whole {
                parts.push((kind, String::from_utf8_lossy(&bytes).into_owned()));
                bytes.clear();
            }
        }
    }
    if !bytes.is_empty() {
        parts.push((Lexed::Sql, String::from_utf8_lossy(&bytes).into_owned()));
    }
    (parts, lexer.fault())
}

fn whole(text: &str) -> (Vec<(Lexed, String)>, Option<&'static str>) {
    let whole = lexed(text.as_bytes(), usize::MAX);
    for piece in [1, 2, 3, 7] {
        assert_eq!(lexed(text.as_bytes(), piece), whole, "{text:?} in pieces of {piece}");
    }
    whole
}

/// What psql runs by itself.
fn commands(text: &str) -> Vec<String> {
    let (parts, fault) = whole(text);
    assert_eq!(fault, None, "{text:?}");
    parts
        .into_iter()
        .filter(|(kind, _)| *kind == Lexed::Command)
        .map(|(_, text)| text)
        .collect()
}

fn statements(text: &str) -> usize {
    let (parts, fault) = whole(text);
    assert_eq!(fault, None, "{text:?}");
    parts.iter().filter(|(kind, _)| *kind == Lexed::End).count()
}

#[test]
fn backslashes_in_code_are_commands() {
    for text in [
        "\\! id\n",
        "SELECT 1 \\! id\n;",
        "SELECT 1;\\! id\n",
        "SELECT '\\'; \\! id\n",
        "SELECT U&'\\'; \\! id\n",
        "SELECT 1 -- x\n\\! id\n",
        "SELECT name'\\'; \\! id\n",
        "SELECT E'\\\\'; \\! id\n",
        "SELECT \"\\\" \\! id\n",
        "SELECT B'0\\'  \\! id\n",
        "/* \\q */ \\! id\n",
        "SELECT (1 \\! id\n)",
        "SELECT 1\\; COPY t FROM stdin;\n",
        "COPY t FROM stdin;\n\\.\n\\! id\n",
        "COPY t FROM stdin;\n\\.\r\n\\! id\n",
        "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2 \\! id\n)",
        "SELECT a$b$ \\! id\n",
        "SELECT $a$ $b$ $$ $a$ \\! id\n",
    ] {
        assert_eq!(commands(text).len(), 1, "{text:?}");
    }
}

#[test]
fn backslashes_elsewhere_are_none() {
    for text in [
        "SELECT '\\! id';\n",
        "SELECT E'\\'\\! id';\n",
        "SELECT N'\\! id', U&'\\! id', X'\\! id';\n",
        "SELECT \"\\! id\", U&\"\\! id\";\n",
        "SELECT $$\\! id$$, $a$ $b$\\! id$a$;\n",
        "-- \\! id\n",
        "/* /* */ \\! id\n */",
        "COPY t (a) FROM stdin;\n\\! id\n\\N\n\\.x\n\\\\.\n\\.\n",
    ] {
        assert_eq!(commands(text), <[&str; 0]>::default(), "{text:?}");
    }
}

#[test]
fn a_carriage_return_ends_a_comment() {
    let (parts, fault) = whole("-- x\r\\! id\n");
    assert!(fault.is_some() && parts.iter().any(|(kind, _)| *kind == Lexed::Command));
    assert_eq!(
        commands("-- x\r\nSELECT 1;\r\nCOPY t FROM stdin;\r\n1\r\n\\.\r\n"),
        <[&str; 0]>::default()
    );
}

#[test]
fn statements_end_where_psql_says() {
    for (text, ends) in [
        ("SELECT 1; SELECT 2;", 2),
        ("CREATE RULE r AS ON INSERT TO t DO INSTEAD (SELECT 1; SELECT 2);", 1),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END;",
            1,
        ),
        ("CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT 1; END; SELECT 1;", 2),
        ("CREATE FUNCTION f(begin int) RETURNS int AS 'x'; SELECT 1;", 2),
        ("CREATE TABLE t (begin int); BEGIN; COMMIT; SELECT 1 AS begin;", 4),
        (
            "CREATE VIEW v AS SELECT t.begin FROM t; CREATE TRIGGER b EXECUTE FUNCTION begin();",
            2,
        ),
        ("SELECT ')', $$($$, \"(\"; -- (\n/* ( */ SELECT 1;", 2),
        ("SELECT 1e+20, 1.5, .5, 12, a[1:2], 'x'::text, 1 - -1;", 1),
    ] {
        assert_eq!(statements(text), ends, "{text}");
    }
}

#[test]
fn what_versions_read_differently_is_a_fault() {
    for text in [
        "COPY t FROM stdin; SELECT 1;\n",
        "COPY t FROM stdin (FORMAT csv);\n",
        "COPY t FROM stdin CSV;\n",
        "COPY t FROM stdout;\n",
        "CREATE FUNCTION begin() RETURNS int AS 'x'; COPY t FROM stdin;\n",
        "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; COPY t FROM stdin;\n",
        "(SELECT 1);",
        "CREATE 'x' FUNCTION begin;",
        "CREATE OR 1 FUNCTION begin;",
        "SELECT 1begin;",
        "SELECT 1e$a$ $a$;",
        "SELECT 1e--5\n;",
        "SELECT $1a$ $;",
        "SELECT 1 \r SELECT 2;",
        "/* \u{e9} */ SELECT 1;",
        "SELECT $ $;",
    ] {
        assert!(whole(text).1.is_some(), "{text:?}");
    }
}

#[test]
fn names_that_look_like_stdin_are_tables() {
    for text in [
        "COPY public.stdin (stdin) FROM stdin;\n1\n\\.\n",
        "COPY \"from\" (\"stdin\") FROM stdin;\n1\n\\.\n",
        "copy t from /* x */ stdin -- y\n;\n1\n\\.\n",
    ] {
        let (parts, fault) = whole(text);
        assert!(
            fault.is_none() && parts.last().is_some_and(|(kind, _)| *kind == Lexed::RowsEnd),
            "{text}"
        );
    }
    assert_eq!(
        statements("COPY t FROM PROGRAM 'x'; COPY t TO 'y'; COPY (SELECT 1 FROM stdin) TO 'z';"),
        3
    );
}

#[test]
fn strings_that_depend_on_a_setting_are_known() {
    for (text, depends) in [
        ("SELECT 'a\\';", true),
        ("SELECT N'a\\';", true),
        ("SELECT 'a\\\\\\''';", true),
        ("SELECT 'a\\\\', '\\x00';", false),
        ("SELECT E'a\\'', U&'\\', \"\\\", $$\\'$$;", false),
        ("SELECT X'1\\';", false),
        ("SELECT X'1''\\';", true),
    ] {
        for piece in [1, 3, 100] {
            let mut lexer = DumpLexer::default();
            text.as_bytes().chunks(piece).for_each(|mut chunk| {
                while !chunk.is_empty() {
                    chunk = &chunk[lexer.read(chunk).0..];
                }
            });
            assert_eq!(lexer.depends_on_strings(), depends, "{text}");
        }
    }
}

#[test]
fn variables_of_psql_are_seen() {
    for (text, seen) in [
        ("SELECT :VERSION;", 1),
        ("SELECT :'DBNAME', :\"USER\", :{?X};", 3),
        ("SELECT a[1:b], x::int, :::y;", 2),
        ("SELECT ':x', \":x\", a := 1, a[1: 2];", 0),
    ] {
        let mut lexer = DumpLexer::default();
        let (mut bytes, mut count) = (text.as_bytes(), 0);
        while !bytes.is_empty() {
            let (read, kind) = lexer.read(bytes);
            count += usize::from(kind == Lexed::Variable);
            bytes = &bytes[read..];
        }
        assert_eq!(count, seen, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn pieces_make_no_difference_to_the_lexer(
        text in "(['\"$;:()\\\\\r\n -]|E'|U&'|--|/\\*|\\*/|\\$a\\$|begin |end;|create function |copy t from stdin;\n|\\\\\\.\n|[ab1_]{1,4}|é){0,60}",
        cut in 1usize..9,
    ) {
        let squeezed = |piece| {
            let mut lexer = DumpLexer::default();
            let (mut ends, mut tokens, mut rows) = (0, 0, 0);
            for mut chunk in text.as_bytes().chunks(piece) {
                while !chunk.is_empty() {
                    let (read, kind) = lexer.read(chunk);
                    chunk = &chunk[read..];
                    match kind {
                        Lexed::End => (ends, tokens) = (ends + 1, tokens + lexer.tokens().iter().map(|token| token.to).sum::<usize>()),
                        Lexed::RowsEnd => rows += 1,
                        _ => {}
                    }
                }
            }
            (ends, tokens, rows, lexer.fault(), lexer.open(), lexer.depends_on_strings(), lexer.is_beyond_ascii())
        };
        prop_assert_eq!(squeezed(cut), squeezed(text.len().max(1)));
    }
}
