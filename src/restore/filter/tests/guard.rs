//! What psql would take for more than SQL never passes.

use super::*;

#[test]
fn rows_pass_and_the_two_commands_of_pg_dump_do_not() {
    let rows = concat!(
        "COPY public.\"a FROM stdin\" (x) FROM stdin;\n",
        "GRANT a TO b;\n'\n$$\n\\\\.\n\\.x\n\n/*\n\\.\n",
        "COPY e (x) FROM stdin;\n\\.\n",
        "COPY (SELECT 1) TO PROGRAM 'x';\n",
    );
    let input = format!("--\n\n\\restrict Ab1\n\n{rows}\n\\unrestrict Ab1\n\n");
    assert_eq!(whole(&input, all()), format!("--\n\n\n{rows}\n\n"));
    // Behind the rows the statements go on.
    assert_eq!(whole(&format!("{rows}GRANT a TO b;\n"), all()), format!("{rows}\n"));
}

#[test]
fn any_other_command_of_psql_is_tampering() {
    for input in [
        "\\! id\n",
        "SELECT 1;\\! id\n",
        "SELECT 1 \\gexec\n",
        "\\restrict `id`\n\\unrestrict `id`\n",
        "\\restrict\n",
        "\\restrict a b\n\\unrestrict a\n",
        "\\restrict a\n\\unrestrict `id>f; echo a`\n",
        "\\restrict a\n\\restrict a\n\\unrestrict a\n",
        "\\restrict a\n\\unrestrict a\n\\unrestrict a\n",
        "\\restrict a\n\\unrestrict a\nSELECT 1;\n",
        "\\restrict a\nSELECT 1;\n",
        "SELECT 1;\n\\restrict a\n\\unrestrict a\n",
        "SELECT 1 \\restrict a\n;\n\\unrestrict a\n",
        "\\unrestrict a\n",
        "\\connect x\n",
        "\\restrict a",
        "-- x\r\\! id\n",
        "COPY t FROM stdin; \\! id\n1\n\\.\n",
        "COPY t FROM stdin;\n1\n\\.\r\n\\! id\n",
        "COPY t FROM stdin;\n1\0\n\\.\n\\! id\n",
        "SELECT 1\0;\n",
        "SET client_encoding = 'SJIS';\n",
        "SET client_encoding TO 'utf8''; x';\nSELECT 'é';\n",
        "set session names 'big5';\n",
        "SET standard_conforming_strings = off;\nSELECT 'a\\';\n",
    ] {
        for piece in [1, 2, 3, 100] {
            for options in [FilterOptions::default(), all()] {
                let error = try_filtered(input.as_bytes(), &options, piece).unwrap_err();
                assert_eq!(error.code, Code::Tampered, "{input:?}");
            }
        }
    }
}

/// What stood before and behind a cut became a comment, whose end psql alone saw: a restore ran a command of the dump.
#[test]
fn what_a_cut_leaves_is_read_as_it_was() {
    let options = options(|options| (options.no_tablespaces, options.superuser_only) = (true, true));
    let mut seen = 0;
    let command = "'\n\\! id\n\\q\n'";
    for (before, cut, behind) in [
        ("CREATE TABLE x (a int) -", "TABLESPACE y", "-"),
        ("CREATE TABLE x (a int) /", "TABLESPACE y", "*"),
        ("CREATE TABLE x (a int) 'a'", "TABLESPACE y", "\n"),
        ("CREATE TABLE x (a int) E'a'", "TABLESPACE y", "\n"),
        ("CREATE TABLE x (a int) $", "TABLESPACE y", "$"),
        ("CREATE FUNCTION l() RETURNS int LANGUAGE sql -", "LEAKPROOF", "-"),
        (
            "CREATE FUNCTION s.lost() RETURNS int LANGUAGE internal AS 'x';\nCREATE TABLE x (a int -",
            "GENERATED(s.lost())NOT NULL",
            "-",
        ),
    ] {
        let input = format!("{before}{cut}{behind}{command};\n");
        let Ok(done) = try_filtered(input.as_bytes(), &options, usize::MAX) else {
            continue;
        };
        let kept = format!("{before} /**/ {behind}{command};\n");
        let kept = kept.split_inclusive(";\n").last().unwrap();
        assert!(
            done.below.ends_with(kept.as_bytes()),
            "{input}: {}",
            String::from_utf8_lossy(&done.below)
        );
        let again = filtered(&done.below, &FilterOptions::default(), usize::MAX);
        assert_eq!(again, done.below, "{input}");
        seen += 1;
    }
    assert!(seen >= 5, "{seen}");
}

/// Of a statement that was too long to be held it was forgotten, and psql read the rows as code.
#[test]
fn the_rows_of_a_copy_that_does_not_pass_do_not_pass_either() {
    let options = options(|options| options.superuser_only = true);
    let input = |blanks| {
        format!(
            "CREATE TYPE s.base (INPUT = s.i, OUTPUT = s.o);\nCREATE TABLE s.t (a s.base);\n\
             COPY s.t (a){}FROM stdin;\n1\n\\! id\n\\.\nSELECT 1;\n",
            " ".repeat(blanks)
        )
    };
    let passed = filtered(input(1).as_bytes(), &options, usize::MAX);
    assert_eq!(String::from_utf8(passed).unwrap().trim(), "SELECT 1;");
    let refused = try_filtered(input(HELD_STATEMENT_LIMIT + 10).as_bytes(), &options, usize::MAX).unwrap_err();
    assert_eq!(refused.code, Code::Tampered);
}

/// They ended the one transaction of a restore half way, and nothing of it was said to be kept.
#[test]
fn transactions_other_than_those_of_pg_dump_are_tampering() {
    let blanks = " ".repeat(HELD_STATEMENT_LIMIT + 10);
    for statement in [
        "END",
        "COMMIT WORK",
        "COMMIT AND CHAIN",
        "ROLLBACK",
        "ABORT",
        "START TRANSACTION",
        "SAVEPOINT a",
        "PREPARE TRANSACTION 'a'",
    ] {
        for input in [format!("{statement};\n"), format!("{statement}{blanks};\n")] {
            for options in [FilterOptions::default(), all()] {
                let refused = try_filtered(input.as_bytes(), &options, usize::MAX).unwrap_err();
                assert_eq!(refused.code, Code::Tampered, "{statement}");
            }
        }
    }
    // psql takes all of it back at its end, and succeeds.
    let open = try_filtered(b"BEGIN;\nSELECT 1;\n", &FilterOptions::default(), usize::MAX);
    assert_eq!(open.unwrap_err().code, Code::Tampered);
    let input = "BEGIN;\nSELECT 1;\nCOMMIT;\n";
    assert_eq!(whole(input, FilterOptions::default()), input);
}

#[test]
fn a_zero_byte_is_refused_before_anybody_reads_a_name() {
    let prepare: Prepare = Box::new(|_| panic!("nothing is prepared"));
    let mut filter = Filter::with_head(FilterOptions::default(), prepare, BufferSink::default());
    let refused = filter.put(b"CREATE EXTENSION \"a\0\";\nCREATE TABLE t ();\n");
    assert_eq!(refused.unwrap_err().code, Code::Tampered);
}

/// A dump may consist of nothing else: a report had the size of the dump, several times.
#[test]
fn what_is_told_is_bounded() {
    let options = options(|options| options.superuser_only = true);
    let statement = |number: usize| format!("CREATE EVENT TRIGGER e{number} ON ddl_command_start EXECUTE FUNCTION public.f();\n");
    let long = format!(
        "CREATE EVENT TRIGGER \"{}\" ON ddl_command_start EXECUTE FUNCTION public.f();\n",
        "é".repeat(5000)
    );
    let dump: String = std::iter::once(long).chain((0..12_000).map(statement)).collect();
    let told = try_filtered(dump.as_bytes(), &options, usize::MAX).unwrap().changes.not_restored;
    assert_eq!(told.len(), 10_001);
    assert!(told[0].what.ends_with('…') && told[0].what.capacity() < 2000);
    assert_eq!(told[10_000].what, "2001 more objects");
}

/// Nothing of a statement passes before it is known that it holds no command.
#[test]
fn nothing_of_a_refused_statement_passes() {
    struct Seen<'a>(&'a mut Vec<u8>);
    impl Stage for Seen<'_> {
        type Done = ();

        fn put(&mut self, bytes: &[u8]) -> Result<()> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }

        fn finish(self) -> Result<()> {
            Ok(())
        }
    }
    let mut seen = Vec::new();
    let mut filter = Filter::new(FilterOptions::default(), Seen(&mut seen));
    let input = b"SELECT 1;\nSELECT 2 \\! id\n";
    assert!(input.chunks(1).try_for_each(|piece| filter.put(piece)).is_err());
    drop(filter);
    assert_eq!(String::from_utf8_lossy(&seen), "SELECT 1;");
}

#[test]
fn strings_are_known_by_their_kind() {
    for (passing, settings) in [
        ("SELECT 'it''s\\';\n", STRINGS),
        ("SELECT E'it''s \\'; GRANT a TO b; ';\n", ""),
        ("SELECT e'\\\\';\n", ""),
        ("SELECT name'x\\';\n", STRINGS),
        ("SELECT $1, a$b;\n", ""),
        ("DO $a$ $b$ ; GRANT $a ; $a$;\n", ""),
        ("SELECT \"a;\"\";b\";\n", ""),
        ("SELECT 1 - -2 / 3;\n", ""),
        ("COMMENT ON TABLE größe IS 'x';\n", LETTERS),
        ("INSERT INTO t VALUES ('größe');\n", LETTERS),
    ] {
        let input = format!("{passing}GRANT a TO b;\nSELECT 2;\n");
        assert_eq!(whole(&input, all()), format!("{settings}{passing}\nSELECT 2;\n"), "{passing}");
    }
    // In the encoding and with the strings that the dump has.
    let input = "SET client_encoding = 'LATIN1';\nSET standard_conforming_strings = off;\nSELECT 'a\\\\é';\n";
    let output = whole(input, FilterOptions::default());
    assert!(
        output.ends_with("off;\n\nSET client_encoding = 'latin1';\nSELECT 'a\\\\é';\n"),
        "{output}"
    );
}

#[test]
fn variables_of_psql_are_kept_apart_from_their_colon() {
    let input = "SELECT :VERSION, :'DBNAME', a[1:b], x::int, ':y';\n";
    let expected = "SELECT : VERSION, : 'DBNAME', a[1: b], x::int, ':y';\n";
    assert_eq!(whole(input, FilterOptions::default()), expected);
    let options = FilterOptions {
        set_aside: true,
        ..FilterOptions::default()
    };
    let filtered = try_filtered(b"GRANT :a TO :b;\n", &options, 1).unwrap();
    assert!(filtered.changes.aside.ends_with(b"GRANT : a TO : b;\n"));
}

#[test]
fn a_long_statement_is_not_held() {
    struct Longest(usize);
    impl Stage for Longest {
        type Done = usize;

        fn put(&mut self, bytes: &[u8]) -> Result<()> {
            self.0 = self.0.max(bytes.len());
            Ok(())
        }

        fn finish(self) -> Result<usize> {
            Ok(self.0)
        }
    }
    for (statement, end) in [
        ("SELECT pg_catalog.lowrite(0, '\\x", "');"),
        ("ALTER TABLE t ADD CHECK (a <> '", "');"),
        ("GRANT ('", "');"),
        ("/* '", "*/"),
    ] {
        let mut filter = Filter::new(all(), Longest(0));
        filter.put(statement.as_bytes()).unwrap();
        for _ in 0..3000 {
            filter.put(&[b'0'; 1000]).unwrap();
        }
        filter.put(end.as_bytes()).unwrap();
        assert!(filter.held.capacity() <= 3 * HELD_STATEMENT_LIMIT, "{statement}");
        assert!(filter.finish().unwrap().below <= HELD_STATEMENT_LIMIT + 1000);
    }
}

#[test]
fn a_long_statement_comes_with_its_settings_and_goes_whole() {
    let long = "x".repeat(HELD_STATEMENT_LIMIT);
    let input = format!("SELECT 1;\nSELECT '{long}', 'é\\';\nGRANT \"{long}\" TO b;\nSELECT 2;\n");
    let expected = format!(
        "SELECT 1;\n\nSET standard_conforming_strings = on;\nSET client_encoding = 'UTF8';\nSELECT '{long}', 'é\\';\n\nSELECT 2;\n"
    );
    assert_eq!(filtered(input.as_bytes(), &all(), 10_000), expected.as_bytes());
    let off = format!("SET standard_conforming_strings = off;\nSELECT '{long}', 'a\\';\n");
    assert!(try_filtered(off.as_bytes(), &all(), 10_000).is_err());
}

#[test]
fn a_statement_that_does_not_end_is_not_run() {
    for input in ["ALTER TABLE t OWNER TO", "SELECT 1", "/", "SELECT '"] {
        assert!(try_filtered(input.as_bytes(), &all(), 1).is_err(), "{input}");
    }
    assert_eq!(whole("-- x", all()), "-- x");
}
