//! Dumps that want psql to run something: what the lexer calls a command is what each psql runs, and none comes through
//! the filter, not even to a psql that cannot refuse commands by itself.

use super::{access, cancel};
use crate::support::postgres::{Server, clients_path};
use pgseal::error::{Code, Error};
use pgseal::format::dump_lexer::{DumpLexer, Lexed};
use pgseal::pipeline::Stage;
use pgseal::process::client_tools::{self, ClientTools};
use pgseal::restore::filter::{Filter, FilterOptions};
use pgseal::restore::psql::{PsqlMode, PsqlTarget};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// One psql of each version that is installed.
fn psqls() -> Vec<ClientTools> {
    let folders: Vec<_> = std::env::split_paths(&clients_path()).collect();
    let mut found = client_tools::installed("psql", &folders, None);
    found.sort_by(|one, other| one.version.cmp(&other.version));
    found.dedup_by(|one, other| one.version == other.version);
    found
}

/// What a psql without any guard prints, going on after errors.
fn unguarded(psql: &ClientTools, server: &Server, database: &str, dump: &[u8]) -> String {
    let mut child = Command::new(psql.program("psql"))
        .args(["--no-psqlrc", "--quiet", "--file=-", "--dbname", &server.conninfo(database)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("psql starts");
    // It may end before it has read all.
    let _ = child.stdin.take().expect("a pipe").write_all(dump);
    let output = child.wait_with_output().expect("psql ends");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A small generator, the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

const FRAGMENTS: &[&str] = &[
    "SELECT ",
    "1",
    "'",
    "''",
    "E'",
    "U&'",
    "B'",
    "N'",
    "name'",
    "U&\"",
    "\"",
    "$$",
    "$a$",
    "a$b$",
    "--",
    "-",
    "/*",
    "*/",
    "/",
    "*",
    "+",
    "(",
    ")",
    ";\nSELECT ",
    "\n",
    "\n",
    " ",
    "\r\n",
    ", ",
    "::",
    " 1.5 ",
    ";\nCREATE FUNCTION f() RETURNS int ",
    " $1 ",
    ";\nCREATE OR REPLACE PROCEDURE p() ",
    ";\nCREATE TABLE x ",
    " BEGIN ATOMIC ",
    " begin ",
    " END ",
    " CASE ",
    "SELECT 'a\\'",
    "'\\\\'",
    "E'\\''",
    "E'\\\\'",
    "\"\\\"",
    "$$\\$$",
    ";\nCOPY t FROM stdin;\n",
    "\\.\nSELECT ",
    "\\.\r\nSELECT ",
    ";\nCOPY (SELECT 1) TO '/dev/null';\nSELECT ",
    "é",
    "x",
];

/// Texts in which everything that the lexers know is likely. Each `#` marks where something of psql's stands.
fn text(random: &mut Random) -> String {
    let mut text = "SELECT ".to_owned();
    let mut number = 0;
    for _ in 0..60 {
        match random.below(5) {
            0 => {
                number += 1;
                text.push_str(&format!("\\echo #{number}\n"));
            }
            _ => text.push_str(FRAGMENTS[random.below(FRAGMENTS.len())]),
        }
    }
    text
}

/// The numbers that psql must echo, up to where the lexer says that there is something wrong.
fn expected(text: &str) -> (Vec<String>, bool) {
    let mut lexer = DumpLexer::default();
    let (mut bytes, mut echoed, mut command) = (text.as_bytes(), Vec::new(), Vec::new());
    while !bytes.is_empty() {
        let (read, lexed) = lexer.read(bytes);
        if lexer.fault().is_some() {
            return (echoed, false);
        }
        if lexed == Lexed::Command {
            command.extend_from_slice(&bytes[..read]);
            if command.ends_with(b"\n") {
                let line = String::from_utf8_lossy(&command).into_owned();
                match line.strip_prefix("\\echo #") {
                    Some(number) => echoed.push(number.trim_end().to_owned()),
                    None => return (echoed, false),
                }
                command.clear();
            }
        }
        bytes = &bytes[read..];
    }
    (echoed, true)
}

#[test]
fn what_the_lexer_calls_a_command_is_what_psql_runs() {
    let server = Server::start();
    server.psql("postgres", "create table t (a text)");
    let psqls = psqls();
    assert!(psqls.len() >= 2, "{psqls:?}");
    let mut compared = 0;
    for seed in 1..=100 {
        let text = text(&mut Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed)));
        let (numbers, is_whole) = expected(&text);
        compared += numbers.len();
        let psql = &psqls[seed as usize % psqls.len()];
        let printed = unguarded(psql, &server, "postgres", text.as_bytes());
        let echoed: Vec<&str> = printed.lines().filter_map(|line| line.strip_prefix('#')).collect();
        if is_whole {
            assert_eq!(echoed, numbers, "psql {} in {text:?}", psql.version);
        } else {
            assert!(
                echoed.iter().zip(&numbers).all(|(one, other)| one == other) && echoed.len() >= numbers.len(),
                "psql {}: {echoed:?} instead of {numbers:?} in {text:?}",
                psql.version
            );
        }
    }
    assert!(compared > 100, "{compared}");
}

/// Through the filter, into a psql that is told not to refuse anything by itself.
fn guarded(target: &PsqlTarget, dump: &[u8]) -> Result<Vec<String>, Error> {
    let mut filter = Filter::new(FilterOptions::default(), target.restore(PsqlMode::all(false), &cancel())?);
    filter.put(dump)?;
    Ok(filter.finish()?.below.into_iter().map(String::from).collect())
}

/// Dumps whose psql commands hide behind what their own code changes, each with `!` where a program is run.
fn attacks() -> Vec<(&'static str, Vec<u8>)> {
    let evil =
        "CREATE FUNCTION pg_temp.evil(name text, value text) RETURNS text LANGUAGE sql AS 'SELECT set_config(name, value, false)';\n";
    let strings = format!("{evil}SELECT pg_temp.evil('standard_conforming_strings', 'off');\nSELECT 'a\\'; SELECT '\n\\! touch FILE\n';\n");
    let letters = |encoding: &str| {
        let head = format!("{evil}SELECT pg_temp.evil('client_encoding', '{encoding}');\nSELECT '");
        [head.as_bytes(), b"\x81', '\n\\! touch FILE\n';\n"].concat()
    };
    vec![
        ("another reading of strings", strings.into_bytes()),
        ("SJIS", letters("SJIS")),
        ("GBK", letters("GBK")),
        ("BIG5", letters("BIG5")),
        ("a carriage return", b"-- x\r\\! touch FILE\n".to_vec()),
        ("behind a COPY", b"COPY t FROM stdin; \\! touch FILE\nx\n\\.\n".to_vec()),
        (
            "behind rows of DOS",
            b"COPY t FROM stdin;\nx\n\\.\r\n\\! touch FILE\n\\.\n".to_vec(),
        ),
        (
            "rows that are none",
            b"SELECT (1; COPY t FROM stdin;\n\\! touch FILE\n\\.\n);\n".to_vec(),
        ),
        ("rows from stdout", b"COPY t FROM stdout;\n'\n\\.\n\\! touch FILE\n-- '\n".to_vec()),
        ("a number", b"SELECT 1$a$, $a$;\n\\! touch FILE\n-- $a$\n".to_vec()),
        (
            "a mark of UTF-8",
            b"\xef\xbb\xbfCOPY t FROM stdin;\n'\n\\.\n\\! touch FILE\n-- '\n".to_vec(),
        ),
        ("a nested comment", b"/* /* */ ' */\n\\! touch FILE\n-- '\n".to_vec()),
        (
            "rows with a zero byte",
            b"COPY t FROM stdin;\nx\0\n\\.\n'\n\\.\n\\! touch FILE\n-- '\n".to_vec(),
        ),
        ("a command", b"SELECT 1;\n\\! touch FILE\n".to_vec()),
        ("its own restrict", b"\\restrict a\n\\unrestrict `touch FILE; echo a`\n".to_vec()),
    ]
}

fn named(dump: &[u8], file: &Path) -> Vec<u8> {
    let mut named = Vec::new();
    let mut rest = dump;
    while let Some(at) = memchr::memmem::find(rest, b"FILE") {
        named.extend_from_slice(&rest[..at]);
        named.extend_from_slice(file.to_str().expect("a path").as_bytes());
        rest = &rest[at + 4..];
    }
    named.extend_from_slice(rest);
    named
}

#[test]
fn no_command_hides_from_the_filter() {
    let server = Server::start();
    server.psql("postgres", "create table t (a text)");
    let folder = tempfile::tempdir().expect("a folder");
    let psqls = psqls();
    let mut proven = 0;
    for (index, (name, dump)) in attacks().into_iter().enumerate() {
        let psql = &psqls[index % psqls.len()];
        let file = folder.path().join(format!("{index}"));
        let dump = named(&dump, &file);
        unguarded(psql, &server, "postgres", &dump);
        proven += u32::from(file.exists());
        let _ = std::fs::remove_file(&file);

        let mut target = access(&server, "postgres");
        target.client = psql.clone();
        // It is not asked to refuse anything.
        target.client.version = "14.1".to_owned();
        match guarded(&target, &dump) {
            Err(error) => assert!(matches!(error.code, Code::Tampered | Code::RestoreFailed), "{name}: {error}"),
            Ok(_) => assert!(index < 4, "{name} was neither refused nor made harmless"),
        }
        assert!(!file.exists(), "{name}: psql {} ran a program", psql.version);
    }
    // They are no straw men.
    assert!(proven >= 9, "{proven}");
}

/// psql puts its variables into code: one whose value holds a command would run it.
#[test]
fn no_variable_of_psql_gets_into_code() {
    let server = Server::start();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ran");
    let database = format!("d \\! touch {}", file.display());
    server.psql("postgres", &format!("create database \"{database}\""));
    let target = access(&server, "postgres").database(&database);
    let error = guarded(&target, b"SELECT :DBNAME\n;\n").expect_err("a colon that means nothing");
    assert!(
        error.code == Code::RestoreFailed && error.message.contains("syntax error"),
        "{error}"
    );
    assert!(!file.exists());
    // And honest ones arrive as they are.
    guarded(&target, b"CREATE TABLE a AS SELECT (ARRAY[1, 2, 3])[1:2] AS x, 'a:b'::text AS y;\n").expect("a slice");
    assert_eq!(
        target
            .execute("SELECT x[2] OPERATOR(pg_catalog.||) y FROM public.a", &cancel())
            .expect("a row"),
        "2a:b"
    );
}
