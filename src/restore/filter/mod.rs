//! Leaves out of a dump what does not fit where it goes: owners and privileges of roles that do not exist there,
//! settings that an older server does not know, and `pg_dump`'s own transactions inside a single one.
//!
//! Everything else passes byte for byte, in bounded memory.

mod lexer;
mod statement;

use crate::error::Result;
use crate::pipeline::Stage;
use lexer::Lexer;
use statement::Fate;

/// What is held of a statement that may yet have to be left out: more than any `ALTER … OWNER TO` that PostgreSQL can
/// write (a function of 100 arguments with quoted names of 63 bytes). A longer one passes.
const LIMIT: usize = 64 << 10;

/// What to leave out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Without {
    /// `ALTER … OWNER TO …` and `SET SESSION AUTHORIZATION …`.
    pub owner: bool,
    /// `GRANT`, `REVOKE` and `ALTER DEFAULT PRIVILEGES`.
    pub privileges: bool,
    /// `BEGIN` and `COMMIT`, which `pg_dump` writes around large objects: inside `psql --single-transaction` its `COMMIT`
    /// would end the one transaction half way.
    pub transactions: bool,
    /// Settings that a server of this major does not know, such as the `transaction_timeout` (17) of a newer `pg_dump`.
    pub settings_newer_than: Option<u32>,
}

/// A stage over a plain dump.
pub struct Filter<S> {
    without: Without,
    lexer: Lexer,
    held: Vec<u8>,
    below: S,
}

impl<S: Stage> Filter<S> {
    pub fn new(without: Without, below: S) -> Self {
        Self {
            without,
            lexer: Lexer::new(without),
            held: Vec::new(),
            below,
        }
    }

    fn release(&mut self) -> Result<()> {
        if !self.held.is_empty() {
            self.below.put(&self.held)?;
            self.held.clear();
        }
        Ok(())
    }
}

impl<S: Stage> Stage for Filter<S> {
    type Done = S::Done;

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        if self.without == Without::default() {
            return self.below.put(bytes);
        }
        // What passes is handed on in pieces as long as possible: `passing..at`.
        let (mut passing, mut at) = (0, 0);
        while at < bytes.len() {
            let (read, mut fate) = self.lexer.read(&bytes[at..]);
            let next = at + read;
            if fate == Fate::Hold && self.held.len() + read > LIMIT {
                fate = self.lexer.pass();
            }
            match fate {
                Fate::Pass if self.held.is_empty() => {}
                Fate::Pass => {
                    self.release()?;
                    passing = at;
                }
                Fate::Hold | Fate::Drop => {
                    if passing < at {
                        self.below.put(&bytes[passing..at])?;
                    }
                    passing = next;
                    match fate {
                        Fate::Hold => self.held.extend_from_slice(&bytes[at..next]),
                        _ => self.held.clear(),
                    }
                }
            }
            at = next;
        }
        if passing < bytes.len() {
            self.below.put(&bytes[passing..])?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<S::Done> {
        self.release()?;
        self.below.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Memory;
    use proptest::prelude::*;

    const ALL: Without = Without {
        owner: true,
        privileges: true,
        transactions: true,
        settings_newer_than: Some(15),
    };

    fn filtered(input: &[u8], without: Without, piece: usize) -> Vec<u8> {
        let mut filter = Filter::new(without, Memory::default());
        input.chunks(piece).for_each(|chunk| filter.put(chunk).unwrap());
        filter.finish().unwrap()
    }

    /// The output, which must be the same for all pieces.
    fn whole(input: &str, without: Without) -> String {
        let whole = filtered(input.as_bytes(), without, usize::MAX);
        for piece in [1, 2, 3, 7, 64] {
            assert_eq!(filtered(input.as_bytes(), without, piece), whole, "in pieces of {piece}");
        }
        String::from_utf8(whole).unwrap()
    }

    /// Each line is a statement; those that begin with `×` must go, and nothing else.
    fn leaves_out(marked: &str, without: Without) {
        let input = marked.replace('×', "");
        let kept: String = marked
            .split_inclusive('\n')
            .map(|line| if line.starts_with('×') { "\n" } else { line })
            .collect();
        assert_eq!(whole(&input, without), kept);
    }

    #[test]
    fn owners() {
        let without = Without {
            owner: true,
            ..Without::default()
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
        let without = Without {
            owner: true,
            ..Without::default()
        };
        let input = "-- kept; one\n/* kept /* nested; */ ; */\nALTER TABLE /* ; */ t -- x; y\n OWNER /**/ TO u--\n;\nSELECT 1;\n";
        assert_eq!(whole(input, without), "-- kept; one\n/* kept /* nested; */ ; */\n\nSELECT 1;\n");
    }

    #[test]
    fn privileges() {
        let without = Without {
            privileges: true,
            ..Without::default()
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
        let without = Without {
            transactions: true,
            ..Without::default()
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
        let of = |major| Without {
            settings_newer_than: Some(major),
            ..Without::default()
        };
        leaves_out("×SET transaction_timeout = 0;\nSET default_table_access_method = heap;\n", of(16));
        leaves_out("×SET transaction_timeout = 0;\n×SET default_table_access_method = heap;\n", of(11));
        leaves_out("SET transaction_timeout = 0;\nSET lock_timeout = 0;\n", of(17));
    }

    #[test]
    fn rows_and_psql_lines_pass() {
        let input = concat!(
            "\\restrict GRANT'x;\n",
            "COPY public.\"a FROM stdin\" (x) FROM stdin;\n",
            "GRANT a TO b;\n'\n$$\n\\\\.\n\\.x\n\n/*\n\\.\n",
            "COPY e (x) FROM stdin;\n\\.\n",
            "COPY (SELECT 1) TO stdout;\n",
            "\\unrestrict x\n",
        );
        assert_eq!(whole(input, ALL), input);
        // Behind the rows the statements go on.
        assert_eq!(whole(&format!("{input}GRANT a TO b;\n"), ALL), format!("{input}\n"));
    }

    #[test]
    fn strings_are_known_by_their_kind() {
        for passing in [
            "SELECT 'it''s\\';\n",
            "SELECT E'it''s \\'; GRANT a TO b; ';\n",
            "SELECT e'\\\\';\n",
            "SELECT name'x\\';\n",
            "SELECT $1, a$b, $c;\n",
            "DO $a$ $b$ ; GRANT $a ; $a$;\n",
            "SELECT \"a;\"\";b\";\n",
            "SELECT 1 - -2 / 3;\n",
        ] {
            let input = format!("{passing}GRANT a TO b;\nSELECT 2;\n");
            assert_eq!(whole(&input, ALL), format!("{passing}\nSELECT 2;\n"), "{passing}");
        }
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
        for statement in ["SELECT pg_catalog.lowrite(0, '\\x", "ALTER TABLE t ADD CHECK (a <> '", "GRANT '"] {
            let mut filter = Filter::new(ALL, Longest(0));
            filter.put(statement.as_bytes()).unwrap();
            for _ in 0..1000 {
                filter.put(&[b'0'; 1000]).unwrap();
            }
            assert!(filter.held.len() <= LIMIT && filter.held.capacity() <= 2 * LIMIT, "{statement}");
            assert!(filter.finish().unwrap() <= LIMIT);
        }
    }

    #[test]
    fn a_statement_that_does_not_end_passes() {
        assert_eq!(whole("ALTER TABLE t OWNER TO", ALL), "ALTER TABLE t OWNER TO");
        assert_eq!(whole("/", ALL), "/");
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

    fn in_pieces(input: &[u8], without: Without, cuts: &[usize]) -> Vec<u8> {
        let mut filter = Filter::new(without, Memory::default());
        let mut rest = input;
        for cut in cuts {
            let (piece, other) = rest.split_at((*cut).min(rest.len()));
            filter.put(piece).unwrap();
            rest = other;
        }
        filter.put(rest).unwrap();
        filter.finish().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn without_a_wish_everything_passes(input in sql(), cuts in prop::collection::vec(0usize..9, 0..30)) {
            prop_assert_eq!(in_pieces(&input, Without::default(), &cuts), input);
        }

        #[test]
        fn pieces_make_no_difference(input in sql(), cuts in prop::collection::vec(0usize..9, 0..30)) {
            prop_assert_eq!(in_pieces(&input, ALL, &cuts), in_pieces(&input, ALL, &[]));
        }

        /// The lexer at work, and nothing to leave out: no server is older than 1.
        #[test]
        fn what_is_not_left_out_is_the_input(input in sql(), cuts in prop::collection::vec(0usize..9, 0..30)) {
            let lexing = Without { settings_newer_than: Some(u32::MAX), ..Without::default() };
            prop_assert_eq!(in_pieces(&input, lexing, &cuts), input);
        }
    }
}
