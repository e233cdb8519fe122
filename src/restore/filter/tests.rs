use super::*;
use crate::pipeline::Memory;
use proptest::prelude::*;

fn all() -> FilterOptions {
    FilterOptions {
        no_owner: true,
        no_privileges: true,
        no_transactions: true,
        settings_newer_than: Some(15),
        ..FilterOptions::default()
    }
}

fn try_filtered(input: &[u8], options: &FilterOptions, piece: usize) -> Result<Filtered<Vec<u8>>> {
    let mut filter = Filter::new(options.clone(), Memory::default());
    input.chunks(piece).try_for_each(|chunk| filter.put(chunk))?;
    filter.finish()
}

fn filtered(input: &[u8], options: &FilterOptions, piece: usize) -> Vec<u8> {
    try_filtered(input, options, piece).unwrap().below
}

/// The output, which must be the same for all pieces.
fn whole(input: &str, without: FilterOptions) -> String {
    let whole = filtered(input.as_bytes(), &without, usize::MAX);
    for piece in [1, 2, 3, 7, 64] {
        assert_eq!(filtered(input.as_bytes(), &without, piece), whole, "in pieces of {piece}");
    }
    String::from_utf8(whole).unwrap()
}

/// Each line is a statement; those that begin with `×` must go, and nothing else.
fn leaves_out(marked: &str, without: FilterOptions) {
    let input = marked.replace('×', "");
    let kept: String = marked
        .split_inclusive('\n')
        .map(|line| if line.starts_with('×') { "\n" } else { line })
        .collect();
    assert_eq!(whole(&input, without), kept);
}

#[test]
fn owners() {
    let without = FilterOptions {
        no_owner: true,
        ..FilterOptions::default()
    };
    leaves_out(
        concat!(
            "×ALTER TABLE public.t OWNER TO postgres;\n",
            "×ALTER FUNCTION s.\"f;\"(a integer, \"b\"\"c\" text) OWNER TO \"odd \"\"; role\";\n",
            "×alter schema s owner to u;\n",
            "×ALTER SCHEMA public OWNER TO pg_database_owner;\n",
            "×SET SESSION AUTHORIZATION 'u1';\n",
            "GRANT SELECT ON TABLE public.t TO u1;\n",
            "×RESET SESSION AUTHORIZATION;\n",
            "ALTER TABLE ONLY public.t ADD CONSTRAINT \"x OWNER TO y\" PRIMARY KEY (id);\n",
            "ALTER TABLE ONLY public.t ALTER COLUMN c SET DEFAULT 'OWNER TO x';\n",
            "ALTER DEFAULT PRIVILEGES FOR ROLE a GRANT ALL ON TABLES TO b;\n",
            "COMMENT ON TABLE t IS 'ALTER TABLE t OWNER TO x;';\n",
            "SET search_path = '';\n",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE;\n",
            "BEGIN;\n",
        ),
        without,
    );
}

#[test]
fn comments_inside_a_statement_belong_to_it() {
    let without = FilterOptions {
        no_owner: true,
        ..FilterOptions::default()
    };
    let input = "-- kept; one\n/* kept /* nested; */ ; */\nALTER TABLE /* ; */ t -- x; y\n OWNER /**/ TO u--\n;\nSELECT 1;\n";
    assert_eq!(whole(input, without), "-- kept; one\n/* kept /* nested; */ ; */\n\nSELECT 1;\n");
}

#[test]
fn privileges() {
    let without = FilterOptions {
        no_privileges: true,
        ..FilterOptions::default()
    };
    leaves_out(
        concat!(
            "×GRANT SELECT ON TABLE public.t TO PUBLIC;\n",
            "×REVOKE ALL ON SCHEMA public FROM \"a;b\";\n",
            "×ALTER DEFAULT PRIVILEGES FOR ROLE a IN SCHEMA s GRANT SELECT ON TABLES TO b;\n",
            "ALTER TABLE public.t OWNER TO postgres;\n",
            "SET SESSION AUTHORIZATION 'u1';\n",
            "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $_$ GRANT a TO b; $_$;\n",
            "GRANTED;\n",
        ),
        without,
    );
}

#[test]
fn transactions_of_pg_dump() {
    let without = FilterOptions {
        no_transactions: true,
        ..FilterOptions::default()
    };
    leaves_out(
        concat!(
            "×BEGIN;\n",
            "SELECT pg_catalog.lo_open('1', 131072);\n",
            "×COMMIT;\n",
            "CREATE FUNCTION f() RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;\n",
            "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN; COMMIT; END $$;\n",
        ),
        without,
    );
}

#[test]
fn settings_of_newer_servers() {
    let of = |major| FilterOptions {
        settings_newer_than: Some(major),
        ..FilterOptions::default()
    };
    leaves_out("×SET transaction_timeout = 0;\nSET default_table_access_method = heap;\n", of(16));
    leaves_out("×SET transaction_timeout = 0;\n×SET default_table_access_method = heap;\n", of(11));
    leaves_out("SET transaction_timeout = 0;\nSET lock_timeout = 0;\n", of(17));
}

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

const STRINGS: &str = "\nSET standard_conforming_strings = on;\n";
const LETTERS: &str = "\nSET client_encoding = 'UTF8';\n";

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
        assert!(filter.held.capacity() <= 3 * LIMIT, "{statement}");
        assert!(filter.finish().unwrap().below <= LIMIT + 1000);
    }
}

#[test]
fn a_long_statement_comes_with_its_settings_and_goes_whole() {
    let long = "x".repeat(LIMIT);
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

fn options(set: impl Fn(&mut FilterOptions)) -> FilterOptions {
    let mut options = FilterOptions::default();
    set(&mut options);
    options
}

#[test]
fn comments_policies_extensions_and_roles_by_name() {
    leaves_out(
        "×COMMENT ON TABLE t IS 'x; y';\nSELECT 1;\n",
        options(|options| options.no_comments = true),
    );
    leaves_out(
        "×CREATE POLICY p ON public.t TO a USING (true);\n×ALTER TABLE ONLY public.t ENABLE ROW LEVEL SECURITY;\n\
         ALTER TABLE ONLY public.t FORCE ROW LEVEL SECURITY;\n",
        options(|options| options.no_policies = true),
    );
    leaves_out(
        "×CREATE POLICY p ON public.t AS RESTRICTIVE FOR SELECT TO \"a\", b USING ((x = 1));\n\
         CREATE POLICY q ON public.t USING ((x = 1));\nCREATE POLICY r ON public.\"to\" TO PUBLIC USING ((x = 1));\n\
         ×CREATE USER MAPPING FOR app SERVER s OPTIONS (user 'x');\nCREATE USER MAPPING FOR PUBLIC SERVER s;\n",
        options(|options| options.no_privileges = true),
    );
    let without = options(|options| {
        options.exclude_extensions = [b"aws_s3".to_vec(), b"uuid-ossp".to_vec()].into();
        options.existing_extensions = [b"hstore".to_vec()].into();
        options.existing_schemas = [b"ext".to_vec()].into();
    });
    leaves_out(
        "×CREATE SCHEMA ext;\nCREATE SCHEMA other;\n×CREATE EXTENSION IF NOT EXISTS aws_s3 WITH SCHEMA public;\n\
         ×CREATE EXTENSION \"uuid-ossp\";\n×COMMENT ON EXTENSION aws_s3 IS 'x';\n×CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA ext;\n\
         ×COMMENT ON EXTENSION hstore IS 'x';\nCREATE EXTENSION IF NOT EXISTS ltree WITH SCHEMA ext;\nCOMMENT ON EXTENSION ltree IS 'x';\n",
        without,
    );
}

#[test]
fn tablespaces_go_without_their_tables() {
    let without = options(|options| options.no_tablespaces = true);
    let input = "SET default_tablespace = fast;\nSET default_tablespace = '';\nCREATE TABLE t (tablespace integer) TABLESPACE \"Fast\";\n\
        ALTER TABLE ONLY t ADD CONSTRAINT k PRIMARY KEY (tablespace) USING INDEX TABLESPACE fast;\n\
        CREATE MATERIALIZED VIEW m TABLESPACE fast AS SELECT x.tablespace FROM x;\nCREATE MATERIALIZED VIEW n AS SELECT tablespace a FROM x;\n";
    let expected = "\nSET default_tablespace = '';\nCREATE TABLE t (tablespace integer) ;\n\
        ALTER TABLE ONLY t ADD CONSTRAINT k PRIMARY KEY (tablespace) ;\n\
        CREATE MATERIALIZED VIEW m  AS SELECT x.tablespace FROM x;\nCREATE MATERIALIZED VIEW n AS SELECT tablespace a FROM x;\n";
    assert_eq!(whole(input, without.clone()), expected);
    let changes = try_filtered(input.as_bytes(), &without, 9).unwrap().changes;
    let left = &changes.left_out[0];
    assert_eq!(
        (left.what, left.count, &*left.names),
        ("tablespaces", 4, &["fast".to_owned(), "Fast".to_owned()][..])
    );
}

#[test]
fn the_search_path_is_replaced_once() {
    let without = options(|options| options.search_path = Some("public, it's".to_owned()));
    let input = "SELECT pg_catalog.set_config('search_path', '', false);\nSELECT pg_catalog.set_config('search_path', 'x', false);\n";
    let expected =
        "SELECT pg_catalog.set_config('search_path', E'public, it''s', false);\nSELECT pg_catalog.set_config('search_path', 'x', false);\n";
    assert_eq!(whole(input, without), expected);
}

#[test]
fn ownership_is_kept_aside_in_its_order_and_nothing_else() {
    let without = options(|options| options.set_aside = true);
    let aside = "ALTER TABLE public.t OWNER TO a;\nGRANT SELECT ON TABLE public.t TO b;\nALTER FUNCTION public.f(integer) OWNER TO a;\n\
        ALTER OPERATOR public.=== (integer, integer) OWNER TO a;\nALTER OPERATOR CLASS public.c USING btree OWNER TO a;\n\
        ALTER LARGE OBJECT 4711 OWNER TO a;\nALTER DEFAULT PRIVILEGES FOR ROLE a GRANT ALL ON TABLES TO b;\nCOMMENT ON EXTENSION x IS 'y';\n";
    let passing = "ALTER TABLE public.t ADD CHECK (evil()), OWNER TO a;\nALTER TABLE t OWNER TO a, ADD CHECK (evil());\n\
        ALTER DATABASE x OWNER TO a;\nALTER VIEW v ALTER c SET DEFAULT evil(), OWNER TO a;\n";
    let input = format!("{aside}{passing}");
    let filtered = try_filtered(input.as_bytes(), &without, 7).unwrap();
    let expected = format!("SET client_encoding = 'UTF8';\n{aside}");
    assert_eq!(String::from_utf8(filtered.changes.aside).unwrap(), expected);
    assert_eq!(String::from_utf8(filtered.below).unwrap().trim_start(), passing);
}

#[test]
fn what_only_superusers_make_is_left_out_and_told() {
    let without = options(|options| options.superuser_only = true);
    let lost = "×CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION public.f();\n×ALTER EVENT TRIGGER e OWNER TO a;\n\
        ×COMMENT ON EVENT TRIGGER e IS 'x';\n×CREATE TYPE public.box;\n×CREATE TYPE public.box ( INPUT = public.i );\n\
        ×ALTER TYPE public.box OWNER TO a;\nCREATE TYPE public.mood AS ENUM ( 'a' );\nCREATE TYPE public.pair AS ( a integer );\n\
        ×CREATE FUNCTION public.c(integer) RETURNS integer LANGUAGE c AS '$libdir/x', 'y';\n×COMMENT ON FUNCTION public.c(integer) IS 'x';\n\
        ×CREATE FUNCTION public.d() RETURNS integer AS 'x' LANGUAGE internal;\nCREATE FUNCTION public.c2() RETURNS integer LANGUAGE sql AS 'c';\n\
        ×CREATE OR REPLACE PROCEDURAL LANGUAGE plx;\n×CREATE FOREIGN DATA WRAPPER w;\n×CREATE ACCESS METHOD m TYPE INDEX HANDLER h;\n\
        ×CREATE OPERATOR FAMILY public.o USING btree;\n×CREATE OPERATOR CLASS public.o FOR TYPE integer USING btree AS STORAGE integer;\n\
        ×CREATE CAST (integer AS public.mood) WITHOUT FUNCTION;\nCREATE CAST (text AS public.mood) WITH INOUT;\n\
        ×CREATE TEXT SEARCH PARSER public.p ( START = s );\nCREATE TEXT SEARCH DICTIONARY public.d ( TEMPLATE = simple );\n\
        ×CREATE PUBLICATION p FOR ALL TABLES WITH (publish = 'insert');\n×ALTER PUBLICATION p OWNER TO a;\n\
        CREATE PUBLICATION q WITH (publish = 'insert');\n×ALTER PUBLICATION q ADD TABLES IN SCHEMA s;\nALTER PUBLICATION q ADD TABLE ONLY s.t;\n\
        ×CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (connect = false);\n×SECURITY LABEL FOR x ON TABLE t IS 'y';\n";
    leaves_out(lost, without.clone());
    let input = "CREATE FUNCTION public.f(a integer) RETURNS boolean LANGUAGE sql LEAKPROOF SUPPORT pg_catalog.s AS 'LEAKPROOF';\n";
    let expected = "CREATE FUNCTION public.f(a integer) RETURNS boolean LANGUAGE sql   AS 'LEAKPROOF';\n";
    assert_eq!(whole(input, without.clone()), expected);
    let told = try_filtered(input.as_bytes(), &without, 9).unwrap().changes.not_restored;
    assert_eq!(told[0].what, "LEAKPROOF of FUNCTION public.f(a integer)");
}

#[test]
fn the_head_is_prepared_before_anything_passes() {
    let head = "--\n\\restrict x\nSET client_encoding = 'UTF8';\nSELECT pg_catalog.set_config('search_path', '', false);\nCREATE SCHEMA ext;\n\
        ALTER SCHEMA ext OWNER TO a;\nCREATE OR REPLACE TRUSTED PROCEDURAL LANGUAGE l;\nALTER PROCEDURAL LANGUAGE l OWNER TO a;\n\
        CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA ext;\nCOMMENT ON EXTENSION hstore IS 'x';\n\
        CREATE EXTENSION IF NOT EXISTS aws_s3 WITH SCHEMA public;\n";
    let rest = "CREATE FUNCTION evil() RETURNS int LANGUAGE sql AS 'x';\nCREATE EXTENSION late;\n\\unrestrict x\n";
    let input = format!("{head}{rest}");
    for piece in [1, 5, 10_000] {
        let (sender, receiver) = std::sync::mpsc::channel();
        let prepare: Prepare = Box::new(move |head: &Head| {
            sender.send(head.clone()).unwrap();
            Ok(Prepared {
                schemas: head.schemas.clone(),
                extensions: vec![head.extensions[0].name.clone()],
                missing: vec![(b"aws_s3".to_vec(), "it is not here".to_owned())],
            })
        });
        let mut filter = Filter::with_head(FilterOptions::default(), prepare, Memory::default());
        input.as_bytes().chunks(piece).for_each(|piece| filter.put(piece).unwrap());
        let Filtered { changes, below } = filter.finish().unwrap();
        let head = receiver.recv().unwrap();
        assert_eq!(head.schemas, [b"ext"]);
        assert_eq!(
            (head.extensions.len(), head.extensions[0].schema.as_deref()),
            (2, Some(&b"ext"[..]))
        );
        let below = String::from_utf8(below).unwrap();
        assert!(
            !below.contains("CREATE SCHEMA") && !below.contains("hstore") && !below.contains("aws_s3"),
            "{below}"
        );
        assert!(
            below.contains("CREATE EXTENSION late;") && below.contains("ALTER SCHEMA ext"),
            "{below}"
        );
        assert_eq!(changes.not_restored[0].what, "EXTENSION aws_s3");
    }
}

/// Texts in which everything that the lexer knows is likely.
fn sql() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "'",
        "''",
        "E'",
        "\\",
        "\"",
        "$$",
        "$a$",
        "$",
        "--",
        "/*",
        "*/",
        "-",
        "/",
        "*",
        "\n",
        " ",
        ";",
        ";\n",
        "COPY ",
        " FROM stdin",
        "\\.\n",
        "\\.",
        "ALTER ",
        "TABLE ",
        " OWNER TO ",
        "GRANT ",
        "REVOKE ",
        "DEFAULT ",
        "PRIVILEGES ",
        "SET ",
        "SESSION ",
        "AUTHORIZATION ",
        "BEGIN",
        "COMMIT",
        "\\restrict x",
        "x",
        "1",
        "é",
        "transaction_timeout ",
    ]);
    let piece = prop_oneof![
        9 => word.prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// The output or the code of the refusal.
fn in_pieces(input: &[u8], options: FilterOptions, cuts: &[usize]) -> Result<Vec<u8>, Code> {
    let mut filter = Filter::new(options, Memory::default());
    let mut rest = input;
    for cut in cuts {
        let (piece, other) = rest.split_at((*cut).min(rest.len()));
        filter.put(piece).map_err(|error| error.code)?;
        rest = other;
    }
    filter.put(rest).map_err(|error| error.code)?;
    filter.finish().map(|filtered| filtered.below).map_err(|error| error.code)
}

/// Without the settings that the filter adds.
fn plain(output: &[u8]) -> String {
    let output = String::from_utf8_lossy(output).replace(STRINGS, "");
    output.replace(LETTERS, "")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn pieces_make_no_difference(input in sql(), cuts in prop::collection::vec(0usize..9, 0..30)) {
        let all = FilterOptions { set_aside: true, superuser_only: true, no_comments: true, ..all() };
        prop_assert_eq!(in_pieces(&input, all.clone(), &cuts), in_pieces(&input, all, &[]));
    }

    #[test]
    fn what_is_neither_refused_nor_left_out_is_the_input(input in sql(), cuts in prop::collection::vec(0usize..9, 0..30)) {
        if let Ok(output) = in_pieces(&input, FilterOptions::default(), &cuts) {
            prop_assert_eq!(plain(&output), plain(&input));
        }
    }
}
