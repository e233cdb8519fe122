//! What may depend on something that was not made is for the server to decide.

use super::*;

/// What passes of a dump, and what was not restored.
fn passed(dump: &str, set: impl Fn(&mut FilterOptions)) -> (String, Vec<String>) {
    let options = options(|options| {
        options.superuser_only = true;
        set(options);
    });
    let passed = |piece| try_filtered(dump.as_bytes(), &options, piece).unwrap();
    let whole = passed(usize::MAX);
    for piece in [1, 5] {
        assert_eq!(passed(piece).below, whole.below);
    }
    // psql finds nothing in it that it would run or fill in.
    let (mut lexer, mut rest) = (DumpLexer::default(), &*whole.below);
    while !rest.is_empty() {
        let (read, lexed) = lexer.read(rest);
        assert!(!matches!(lexed, Lexed::Command | Lexed::Variable) && lexer.fault().is_none());
        rest = &rest[read..];
    }
    let lost = whole.changes.not_restored.into_iter().map(|lost| lost.what);
    (String::from_utf8(whole.below).unwrap(), lost.collect())
}

/// What passes in place of a statement behind those that are lost.
fn behind(lost: &str, statement: &str) -> String {
    passed(&format!("{lost}{statement}\n"), |_| {}).0.trim().to_owned()
}

fn is_tried(passed: &str, statement: &str) -> bool {
    passed.starts_with("DO LANGUAGE plpgsql $bt") && untried(passed) == statement
}

const LOST: &str =
    "CREATE FUNCTION s.lost(integer) RETURNS integer LANGUAGE internal AS 'int4abs';\nCREATE TYPE s.base (INPUT = s.i, OUTPUT = s.o);\n";

#[test]
fn as_long_as_nothing_is_lost_everything_passes_as_it_is() {
    let dump = "CREATE TABLE s.t (a integer DEFAULT s.f(1), CHECK (s.f(a) > 0));\nCREATE VIEW s.v AS SELECT s.f(1);\n\
                ALTER TABLE ONLY s.t ADD CONSTRAINT k PRIMARY KEY (a);\nCOMMENT ON VIEW s.v IS 'x';\nALTER FUNCTION s.f(integer) DEPENDS ON EXTENSION x;\n\
                CREATE AGGREGATE s.a(integer) (SFUNC = s.f, STYPE = integer);\n";
    assert_eq!(passed(dump, |_| {}), (dump.to_owned(), Vec::new()));
}

#[test]
fn what_mentions_something_lost_is_tried_and_nothing_else_is() {
    for statement in [
        "CREATE VIEW s.v AS\n SELECT s.lost(1) AS a;",
        "CREATE VIEW s.v AS\n SELECT z.lost AS a FROM z;",
        "CREATE INDEX i ON s.t USING btree (\"s\".\"lost\"(a));",
        "CREATE INDEX i ON s.t USING gin (to_tsvector('s.lost'::regconfig, a));",
        "CREATE FUNCTION s.g() RETURNS integer LANGUAGE sql AS $_$ SELECT s.lost(1); $_$;",
        "ALTER TABLE ONLY s.t ADD CONSTRAINT c CHECK ((s.lost(a) > 0)) NOT VALID;",
        "ALTER TABLE ONLY s.t ADD CONSTRAINT lost PRIMARY KEY (a);",
        "ALTER TABLE ONLY s.u ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES s.lost(a);",
        "CREATE TRIGGER z AFTER INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION s.g('s.lost');",
        "CREATE TYPE s.r AS RANGE (subtype = s.base, multirange_type_name = s.mr);",
        "COMMENT ON FUNCTION s.lost(text) IS 'x';",
        "CREATE SEQUENCE s.lost;",
        "CREATE FOREIGN TABLE s.f (a s.base) SERVER x;",
    ] {
        let passed = behind(LOST, statement);
        assert!(is_tried(&passed, statement), "{statement}: {passed}");
    }
    for statement in [
        "CREATE VIEW s.v AS\n SELECT s.lost2(1) AS a;",
        "ALTER TABLE ONLY s.t ADD CONSTRAINT k PRIMARY KEY (a);",
        "COMMENT ON TABLE s.t IS 'what is missing';",
        "CREATE TABLE s.t (a integer CHECK (a > 0));",
        "SELECT pg_catalog.setval('s.lost', 1, true);",
        "INSERT INTO s.t VALUES ('lost');",
        "COPY s.t (lost) FROM stdin;\n1\n\\.",
        "DO $$ BEGIN PERFORM s.lost(1); END $$;",
        "DROP VIEW s.lost;",
    ] {
        assert_eq!(behind(LOST, statement), statement);
    }
}

#[test]
fn what_was_tried_may_not_be_there_for_what_comes_behind_it() {
    for (first, second) in [
        ("CREATE VIEW s.v AS SELECT s.lost(1);", "CREATE VIEW s.w AS SELECT * FROM s.v;"),
        (
            "CREATE OPERATOR s.=== (FUNCTION = s.lost, LEFTARG = integer);",
            "CREATE VIEW s.w AS SELECT 1 OPERATOR(s.===) 2;",
        ),
        (
            "ALTER TABLE s.t ADD CONSTRAINT \"It's c\" CHECK (s.lost(a) > 0);",
            "COMMENT ON CONSTRAINT \"It's c\" ON s.t IS 'x';",
        ),
        (
            "CREATE TABLE s.t (a integer, CONSTRAINT c CHECK (s.lost(a) > 0));",
            "COMMENT ON CONSTRAINT c ON s.t IS 'x';",
        ),
        (
            "CREATE DOMAIN s.d AS integer CONSTRAINT c CHECK (s.lost(VALUE) > 0);",
            "COMMENT ON CONSTRAINT c ON DOMAIN s.d IS 'x';",
        ),
        (
            "CREATE TYPE s.r AS RANGE (subtype_diff = s.lost, multirange_type_name = s.mr);",
            "CREATE FUNCTION s.g(s.mr) RETURNS integer LANGUAGE sql AS '1';",
        ),
        (
            "CREATE OPERATOR CLASS s.o DEFAULT FOR TYPE json USING btree AS FUNCTION 1 s.f(json, json);\nCREATE TABLE s.t (j json);",
            "CREATE INDEX i ON s.t USING btree (j);",
        ),
        (
            "CREATE CAST (integer AS s.mood) WITHOUT FUNCTION;",
            "CREATE VIEW s.v AS SELECT (a)::s.mood AS a FROM s.t;",
        ),
        (
            "CREATE TABLE s.p (a integer) PARTITION BY LIST (s.lost(a));",
            "ALTER TABLE ONLY s.p ATTACH PARTITION s.q FOR VALUES IN (1);",
        ),
    ] {
        let passed = behind(LOST, &format!("{first}\n{second}"));
        let last = passed.lines().last().unwrap();
        assert!(is_tried(last, second), "{second}: {passed}");
    }
}

#[test]
fn a_table_is_tried_as_it_is_then_without_the_clauses_that_may_fail_and_then_with_each() {
    for (made, kept, again) in [
        (
            "CREATE TABLE s.t (a integer DEFAULT s.lost(1) NOT NULL, b text);",
            "CREATE TABLE s.t (a integer  NOT NULL,\n    b text);",
            &["ALTER TABLE s.t ALTER COLUMN a SET DEFAULT s.lost(1)"][..],
        ),
        (
            "CREATE TABLE s.t (a integer DEFAULT s.lost(1), CONSTRAINT c CHECK ((s.lost(a) > 0)));",
            "CREATE TABLE s.t (a integer );",
            &[
                "ALTER TABLE s.t ALTER COLUMN a SET DEFAULT s.lost(1)",
                "ALTER TABLE s.t ADD CONSTRAINT c CHECK ((s.lost(a) > 0))",
            ],
        ),
        (
            "CREATE TABLE s.t (a integer, g integer GENERATED ALWAYS AS (s.lost(a)) STORED NOT NULL, CONSTRAINT c CHECK (g > 0), CHECK (age > 0));",
            "CREATE TABLE s.t (a integer,\n    g integer ,\n    CHECK (age > 0));",
            &[
                "ALTER TABLE s.t DROP COLUMN g, ADD COLUMN g integer GENERATED ALWAYS AS (s.lost(a)) STORED NOT NULL",
                "IF true AND made_0 THEN BEGIN EXECUTE",
                "ALTER TABLE s.t ADD CONSTRAINT c CHECK (g > 0)",
            ],
        ),
        (
            "CREATE TABLE s.t OF s.pair (a DEFAULT s.lost(3), CONSTRAINT c CHECK (s.lost(b) > 0));",
            "CREATE TABLE s.t OF s.pair (a );",
            &[
                "ALTER TABLE s.t ALTER COLUMN a SET DEFAULT s.lost(3)",
                "ALTER TABLE s.t ADD CONSTRAINT c",
            ],
        ),
        (
            "CREATE TABLE s.t OF s.pair (CONSTRAINT c CHECK (s.lost(b) > 0));",
            "CREATE TABLE s.t OF s.pair ;",
            &["ALTER TABLE s.t ADD CONSTRAINT c CHECK (s.lost(b) > 0)"],
        ),
        (
            "CREATE TABLE s.t (a integer)\nINHERITS (s.lost);",
            "CREATE TABLE s.t (LIKE s.lost, a integer)\n;",
            &["INHERITS of TABLE s.t"],
        ),
        (
            "CREATE DOMAIN s.d AS integer DEFAULT s.lost(1) NOT NULL CONSTRAINT c CHECK ((s.lost(VALUE) > 0));",
            "CREATE DOMAIN s.d AS integer  NOT NULL ;",
            &[
                "ALTER DOMAIN s.d SET DEFAULT s.lost(1)",
                "ALTER DOMAIN s.d ADD CONSTRAINT c CHECK ((s.lost(VALUE) > 0))",
            ],
        ),
    ] {
        let passed = behind(LOST, made);
        assert!(is_tried(&passed, made), "{passed}");
        let place = |text: &str| {
            // What is told is in hexadecimal.
            let found = passed.find(text).or_else(|| passed.find(&crate::format::hex(text.as_bytes())));
            found.unwrap_or_else(|| panic!("{text} in {passed}"))
        };
        let mut last = place(kept);
        for again in again {
            assert!(place(again) > last || *again == "INHERITS of TABLE s.t", "{again} in {passed}");
            last = last.max(place(again));
        }
    }
}

#[test]
fn a_table_of_a_lost_type_goes_with_its_rows_and_what_is_said_about_it() {
    for table in [
        "CREATE TABLE s.t (a s.base, b text);",
        "CREATE TABLE s.t (a s.base[], b text);",
        "CREATE TABLE s.t (b text)\nINHERITS (s.parent);",
        "CREATE TABLE s.t OF s.comp;",
        "CREATE TABLE s.t (a s.dom);",
    ] {
        let before = "CREATE TABLE s.parent (x s.base);\nCREATE TYPE s.comp AS (\n\tx s.base\n);\nCREATE DOMAIN s.dom AS s.base;\n";
        let dump = format!(
            "{LOST}{before}{table}\nALTER TABLE s.t OWNER TO x;\nCOMMENT ON TABLE s.t IS 'x';\nCOPY s.t (a, b) FROM stdin;\n1\tx\n\
             DROP TABLE s.u;\tx\n\\.\n\nSELECT pg_catalog.setval('s.t_id', 1);\n"
        );
        let (passed, lost) = passed(&dump, |_| {});
        assert_eq!(passed.trim(), "SELECT pg_catalog.setval('s.t_id', 1);", "{lost:?}");
        assert!(lost.iter().any(|lost| lost == "TABLE s.t"), "{lost:?}");
    }
}

/// What the rows say is another thing where nobody computes a column.
#[test]
fn what_a_column_that_nobody_computes_breaks_is_told_if_the_server_says_so() {
    let table = "CREATE TABLE s.t (a integer, g integer GENERATED ALWAYS AS (s.lost(a)) STORED);\n";
    for (statement, of_it) in [
        ("ALTER TABLE ONLY s.t ADD CONSTRAINT k PRIMARY KEY (g);", true),
        ("CREATE UNIQUE INDEX i ON s.t USING btree (COALESCE(g, 0));", true),
        ("ALTER TABLE ONLY s.u ADD CONSTRAINT f FOREIGN KEY (x) REFERENCES s.t(g);", true),
        ("ALTER TABLE ONLY s.t ADD CONSTRAINT k PRIMARY KEY (a);", false),
        ("ALTER TABLE ONLY s.u ADD CONSTRAINT k PRIMARY KEY (g);", false),
    ] {
        let passed = behind(LOST, &format!("{table}{statement}"));
        let last = passed.lines().last().unwrap();
        let asks = last.contains("WHEN integrity_constraint_violation THEN IF EXISTS (") && last.contains("attgenerated");
        assert_eq!((asks, untried(last) == statement), (of_it, true), "{last}");
    }
}

#[test]
fn what_is_said_about_what_was_tried_fails_without_a_word() {
    let view = "CREATE VIEW s.v AS SELECT s.lost(1);\n";
    let owner = "ALTER VIEW s.v OWNER TO x;";
    for statement in [
        "COMMENT ON VIEW s.v IS 'x';",
        owner,
        "ALTER FUNCTION s.g() DEPENDS ON EXTENSION lost;",
    ] {
        let passed = behind(LOST, &format!("{view}{statement}"));
        let last = passed.lines().last().unwrap();
        assert!(is_tried(last, statement) && !last.contains("RAISE"), "{last}");
    }
    let (passed, _) = passed(&format!("{LOST}{view}{owner}\n"), |options| options.set_aside = true);
    assert!(!passed.contains("OWNER"), "{passed}");
    let options = options(|options| (options.superuser_only, options.set_aside) = (true, true));
    let filtered = try_filtered(format!("{LOST}{view}{owner}\n").as_bytes(), &options, 9).unwrap();
    let aside = String::from_utf8(filtered.changes.aside).unwrap();
    assert!(
        is_tried(aside.lines().last().unwrap(), owner) && !aside.contains("RAISE"),
        "{aside}"
    );
}

#[test]
fn rows_of_materialized_views_are_asked_for_on_trial() {
    let refresh = "REFRESH MATERIALIZED VIEW s.m;";
    let passed = behind("", refresh);
    assert!(is_tried(&passed, refresh), "{passed}");
    assert!(
        passed.contains(&crate::format::hex(b"the rows of MATERIALIZED VIEW s.m")) && passed.contains("WITH RECURSIVE reached"),
        "{passed}"
    );
    assert!(!passed.contains("undefined_function"), "{passed}");
    let passed = behind(LOST, &format!("CREATE MATERIALIZED VIEW s.m AS SELECT s.lost(1);\n{refresh}"));
    assert!(passed.lines().last().unwrap().contains("undefined_function"), "{passed}");
}

#[test]
fn what_depends_on_an_extension_that_is_not_there_is_tried() {
    let dump = "CREATE EXTENSION IF NOT EXISTS prefix WITH SCHEMA public;\nCREATE TABLE public.prefix (code text);\n\
                CREATE VIEW public.v AS SELECT prefix.code FROM public.prefix;\nCREATE VIEW public.w AS SELECT public.starts('x');\n\
                CREATE VIEW public.x AS SELECT public.known('x');\nCREATE TABLE gone.t (a integer);\nCOPY gone.t (a) FROM stdin;\n1\n\\.\n";
    let prepare: Prepare = Box::new(|_: &DumpHead| {
        Ok(PreparedTarget {
            missing: [b"prefix".to_vec(), b"gone".to_vec()]
                .map(|name| (name, crate::restore::psql::ReportText::from("it is not here")))
                .into(),
            rights: Some(ServerRights {
                known: [b"known".to_vec()].into(),
                refused: [b"secret".to_vec()].into(),
                ..ServerRights::default()
            }),
            ..PreparedTarget::default()
        })
    });
    let options = options(|options| options.superuser_only = true);
    let mut filter = Filter::with_head(options, prepare, BufferSink::default());
    let secret = "CREATE INDEX i ON public.prefix USING btree (public.known(code));\nCREATE INDEX j ON s.t USING btree (s.secret(code));\n";
    filter.put(format!("{dump}{secret}").as_bytes()).unwrap();
    let Filtered { changes, below } = filter.finish().unwrap();
    let below = String::from_utf8(below).unwrap();
    let statements: Vec<&str> = below.lines().filter(|line| line.len() > 3).collect();
    let tried: Vec<bool> = statements.iter().map(|line| line.starts_with("DO ")).collect();
    assert_eq!(tried, [false, true, true, false, true, true], "{statements:#?}");
    let lost: Vec<&str> = changes.not_restored.iter().map(|lost| &*lost.what).collect();
    assert_eq!(lost, ["EXTENSION prefix", "EXTENSION gone", "TABLE gone.t"]);
}

#[test]
fn what_the_server_may_refuse_to_an_owner_is_tried() {
    for statement in [
        "CREATE CAST (public.hstore AS integer) WITH FUNCTION public.h2i(public.hstore);",
        "CREATE USER MAPPING FOR x SERVER s OPTIONS (password_required 'false');",
        "CREATE USER MAPPING FOR x SERVER s OPTIONS (\"sslcert\" '/x');",
    ] {
        assert!(is_tried(&behind("", statement), statement), "{statement}");
    }
    for statement in [
        "CREATE USER MAPPING FOR x SERVER s OPTIONS (user 'x', password 'password_required');",
        "CREATE AGGREGATE s.a(numeric) (SFUNC = numeric_add, STYPE = numeric);",
    ] {
        assert_eq!(behind("", statement), statement);
    }
    for statement in [
        "CREATE AGGREGATE s.a(numeric) (\n SFUNC = f,\n STYPE = internal\n);",
        "CREATE AGGREGATE s.a(x) (STYPE = x, MSTYPE = \"internal\");",
    ] {
        assert_eq!(behind("", statement), "");
    }
}

/// Longer lines are not looked through.
#[test]
fn a_long_name_is_told_in_short() {
    let arguments = vec!["a_rather_long_name s.base"; 2000].join(", ");
    let statement = format!("CREATE FUNCTION s.g({arguments}) RETURNS integer LANGUAGE sql AS '1';");
    let passed = behind(LOST, &statement);
    assert!(is_tried(&passed, &statement) && passed.len() < statement.len() + 4000);
}

#[test]
fn what_is_cut_in_any_case_is_cut_from_what_is_tried() {
    let index = "CREATE INDEX i ON s.t USING btree (s.lost(a)) TABLESPACE fast;\n";
    let (passed, _) = passed(&format!("{LOST}{index}"), |options| options.no_tablespaces = true);
    assert!(passed.contains("EXECUTE $t") && !passed.contains("TABLESPACE"), "{passed}");
}

/// psql reads on behind a dollar quote as soon as its tag comes.
#[test]
fn nothing_of_a_statement_ends_the_quote_that_it_is_in() {
    let statement = "CREATE VIEW s.\"lost $bt$ $$ \\! id :x\" AS SELECT $a$ $bt0$ $a$, 'x\\', $$\n\\! id\n$$;";
    let passed = behind(LOST, statement);
    let passed = passed.trim_start_matches("SET standard_conforming_strings = on;").trim();
    assert!(is_tried(passed, statement), "{passed}");
    let tag = passed.split('$').nth(1).unwrap().trim_start_matches('b').to_owned();
    assert!(tag.len() == 33 && !statement.contains(&tag), "{tag}");
}

/// Two tables of an EUC_JP database had one name: what was said about the one was dropped for the other.
#[test]
fn names_that_are_no_utf8_stay_apart() {
    let dump = b"SET client_encoding = 'EUC_JP';\nCREATE FOREIGN DATA WRAPPER w;\nCREATE SERVER x FOREIGN DATA WRAPPER w;\n\
        CREATE TYPE s.\"\xc5\xec\" (INPUT = s.i, OUTPUT = s.o);\nCOMMENT ON TYPE s.\"\xc5\xec\" IS 'gone';\nCOMMENT ON TYPE s.\"\xc0\xbe\" IS 'kept';\n";
    let options = FilterOptions {
        superuser_only: true,
        ..FilterOptions::default()
    };
    let below = try_filtered(dump, &options, usize::MAX).unwrap().below;
    let has = |word: &[u8]| below.windows(word.len()).any(|window| window == word);
    assert!(has(b"'kept'") && !has(b"'gone'"));
}

/// A primary key was dropped without a word: with a dot inside, two names were one.
#[test]
fn a_dot_in_a_name_parts_nothing() {
    let dump =
        b"CREATE TYPE \"a.b\".c (INPUT = s.i, OUTPUT = s.o);\nCOMMENT ON TYPE \"a.b\".c IS 'gone';\nCOMMENT ON TYPE a.\"b.c\" IS 'kept';\n";
    let options = FilterOptions {
        superuser_only: true,
        ..FilterOptions::default()
    };
    let below = try_filtered(dump, &options, usize::MAX).unwrap().below;
    let below = String::from_utf8(below).unwrap();
    assert!(below.contains("'kept'") && !below.contains("'gone'"), "{below}");
}

/// Rows that violate a key were taken for those of a column that nobody computes, which another table of that name had.
#[test]
fn only_the_very_table_of_a_column_that_nobody_computes_may_violate_a_key() {
    let dump = "CREATE FUNCTION s.lost(integer) RETURNS integer LANGUAGE internal AS 'int4abs';\n\
        CREATE TABLE s.pay (id integer GENERATED ALWAYS AS (s.lost(1)) STORED);\n";
    let options = FilterOptions {
        superuser_only: true,
        ..FilterOptions::default()
    };
    for (table, may_violate) in [("s.pay", true), ("public.pay", false)] {
        let dump = format!("{dump}ALTER TABLE ONLY {table} ADD CONSTRAINT k PRIMARY KEY (id);\n");
        let below = try_filtered(dump.as_bytes(), &options, usize::MAX).unwrap().below;
        let below = String::from_utf8(below).unwrap();
        assert_eq!(below.contains("integrity_constraint_violation"), may_violate, "{below}");
    }
}
