//! What depends on something that was not made.

use super::*;

/// What passes of a dump, and what was not restored.
fn restored(dump: &str) -> (String, Vec<String>) {
    let options = FilterOptions {
        superuser_only: true,
        ..FilterOptions::default()
    };
    let passed = |piece| try_filtered(dump.as_bytes(), &options, piece).unwrap();
    let whole = passed(usize::MAX);
    for piece in [1, 5] {
        assert_eq!(passed(piece).below, whole.below);
    }
    let lost = whole.changes.not_restored.into_iter().map(|lost| lost.what);
    let below = String::from_utf8(whole.below).unwrap();
    (below.replace(" /**/ ", ""), lost.collect())
}

const LOST: &str =
    "CREATE FUNCTION s.lost(integer) RETURNS integer LANGUAGE internal AS 'int4abs';\nCREATE TYPE s.base (INPUT = s.i, OUTPUT = s.o);\n";

#[test]
fn a_clause_that_needs_something_lost_is_cut_and_the_rows_stay() {
    for (made, kept) in [
        (
            "CREATE TABLE s.t (a integer DEFAULT s.lost(1) NOT NULL, b text);",
            "CREATE TABLE s.t (a integer NOT NULL, b text);",
        ),
        (
            "CREATE TABLE s.t (a integer, b integer GENERATED ALWAYS AS (s.lost(a)) STORED);",
            "CREATE TABLE s.t (a integer, b integer );",
        ),
        (
            "CREATE TABLE s.t (a integer, CONSTRAINT c CHECK ((s.lost(a) > 0)));",
            "CREATE TABLE s.t (a integer);",
        ),
        (
            "CREATE DOMAIN s.d AS integer CONSTRAINT c CHECK ((s.lost(VALUE) > 0));",
            "CREATE DOMAIN s.d AS integer;",
        ),
    ] {
        let (passed, lost) = restored(&format!("{LOST}{made}\n"));
        let dense = |text: &str| text.split_whitespace().collect::<String>();
        assert!(dense(&passed).ends_with(&dense(kept)), "{passed}");
        assert_eq!(lost.len(), 3, "{lost:?}");
    }
}

#[test]
fn a_table_of_a_lost_type_goes_with_its_rows_and_all_that_is_about_it() {
    let dump = "CREATE TABLE s.t (a s.base, b text);\nALTER TABLE s.t OWNER TO x;\nCOMMENT ON TABLE s.t IS 'x';\n\
                COPY s.t (a, b) FROM stdin;\n1\tx\nDROP TABLE s.u;\tx\n\\.\n\nCREATE INDEX i ON s.t USING btree (b);\nSELECT 1;\n";
    let (passed, lost) = restored(&format!("{LOST}{dump}"));
    assert_eq!(passed.trim(), "SELECT 1;", "{lost:?}");
    assert!(lost.iter().any(|lost| lost.starts_with("TABLE s.t")), "{lost:?}");
}

#[test]
fn a_name_of_another_kind_is_not_lost() {
    for made in [
        "CREATE TABLE s.lost (a integer);",
        "CREATE VIEW s.v AS\n SELECT s.lost.a\n   FROM s.lost;",
        "CREATE FUNCTION s.base() RETURNS integer LANGUAGE sql AS 'SELECT 1';",
        "CREATE FUNCTION s.other() RETURNS text LANGUAGE sql AS 'SELECT s.lost(1)';",
        "COMMENT ON TABLE s.t IS 's.lost(1)';",
        "CREATE VIEW s.w AS\n SELECT z.lost(1) AS lost;",
    ] {
        let (passed, lost) = restored(&format!("{LOST}{made}\n"));
        assert!(passed.trim().ends_with(made), "{made}: {passed} {lost:?}");
        assert_eq!(lost.len(), 2, "{lost:?}");
    }
}

#[test]
fn a_function_that_has_another_of_its_name_is_there_for_what_refers_to_it() {
    let dump = "CREATE FUNCTION s.lost(text) RETURNS integer LANGUAGE sql AS 'SELECT 1';\nCREATE VIEW s.v AS\n SELECT s.lost('x'::text) AS lost;\n";
    let (passed, lost) = restored(&format!("{LOST}{dump}"));
    assert_eq!(passed.trim(), dump.trim(), "{lost:?}");
}
