//! Rules, and dumps that they are applied to.

use super::*;
use crate::format::inventory::{Inventory, TableRows};
use crate::pipeline::BufferSink;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;

const HEAD: &str = "SET client_encoding = 'UTF8';\nCREATE TABLE \"public\".\"c\" (\n    \"id\" integer NOT NULL,\n    \"email\" text,\n    \
    \"name\" character varying(20) DEFAULT 'x'::text NOT NULL,\n    \"up\" text GENERATED ALWAYS AS (upper(\"email\")) STORED,\n    \
    CONSTRAINT \"k\" CHECK (((\"email\" IS NOT NULL) OR (\"id\" > 0)))\n);\n\n";

fn rules(json: &str) -> MaskRules {
    MaskRules::parse(json.as_bytes(), Path::new("rules.json")).unwrap()
}

fn in_pieces(rules: &MaskRules, dump: &[u8], piece: usize) -> Result<(Vec<MaskedTable>, Vec<u8>)> {
    let mut stage = MaskStage::new(Some(rules.clone()), BufferSink::default());
    for part in dump.chunks(piece) {
        stage.put(part)?;
    }
    stage.finish()
}

/// The same whatever pieces the dump comes in.
fn masked(rules: &MaskRules, dump: &str) -> Result<(Vec<MaskedTable>, String)> {
    let whole = in_pieces(rules, dump.as_bytes(), usize::MAX);
    for piece in [1, 2, 3, 7, 64] {
        let pieces = in_pieces(rules, dump.as_bytes(), piece);
        match (&whole, &pieces) {
            (Ok(whole), Ok(pieces)) => assert_eq!(whole, pieces, "in pieces of {piece}"),
            (Err(whole), Err(pieces)) => assert_eq!(whole.message, pieces.message, "in pieces of {piece}"),
            _ => panic!("in pieces of {piece}: {pieces:?}"),
        }
    }
    whole.map(|(tables, bytes)| (tables, String::from_utf8(bytes).unwrap()))
}

fn fault(json: &str, dump: &str) -> String {
    let error = masked(&rules(json), dump).unwrap_err();
    assert_eq!(error.code, Code::BadUsage, "{error}");
    error.message
}

fn rows(text: &str) -> Vec<Vec<String>> {
    let copied = text.split("FROM stdin;\n").nth(1).unwrap().lines().take_while(|row| *row != "\\.");
    copied.map(|row| row.split('\t').map(str::to_owned).collect()).collect()
}

#[test]
fn only_masked_columns_change_and_null_stays_null() {
    let rows_of_c = "1\ta@x.org\tAnn\n2\t\\N\tBob\\tO\\\\\n3\ta@x.org\t\n";
    let dump = format!(
        "{HEAD}COPY \"public\".\"c\" (\"id\", \"email\", \"name\") FROM stdin;\n{rows_of_c}\\.\n\nCOPY \"public\".\"d\" (\"email\") FROM stdin;\na@x.org\n\\N\n\\.\n\nSELECT 1;\n"
    );
    let rules = rules(r#"{"tables": {"public.c": {"email": "hash", "name": {"constant": "a\tb\\"}}}}"#);
    let (tables, text) = masked(&rules, &dump).unwrap();
    let found = rows(&text);
    assert_eq!(found[0][1].len(), 32);
    assert_eq!((&found[0][1], &found[1][1]), (&found[2][1], &"\\N".to_owned()));
    assert!(found.iter().all(|row| row[2] == "a\\tb\\\\"), "{found:?}");
    assert_eq!(found.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), ["1", "2", "3"]);
    // All else, to the byte.
    assert!(text.starts_with(HEAD) && text.ends_with("FROM stdin;\na@x.org\n\\N\n\\.\n\nSELECT 1;\n"));
    let values: Vec<(&str, &str, u64)> = tables[0].columns.iter().map(|c| (c.column.as_str(), c.mask, c.values)).collect();
    assert_eq!((tables.len(), tables[0].rows), (1, 3));
    assert_eq!(values, [("email", "hash", 2), ("name", "constant", 3)]);
}

#[test]
fn hashes_of_each_kind_keep_joins_over_tables() {
    let dump = "COPY a.t (u, v, w, x) FROM stdin;\n42\t42\t42\t42\n\\.\nCOPY b.t (w, x, y) FROM stdin;\n42\t42\tz\n43\t42\tz\n\\.\n";
    let rules = rules(
        r#"{"tables": {
            "a.t": {"u": "hash", "v": {"hash": {"as": "integer"}}, "w": {"hash": {"as": "bigint"}}, "x": {"hash": {"as": "uuid"}}},
            "b.t": {"w": {"hash": {"as": "bigint"}}, "x": {"hash": {"as": "uuid"}}, "y": {"hash": {"length": 8}}}}}"#,
    );
    let (_, text) = masked(&rules, dump).unwrap();
    let first = rows(&text)[0].clone();
    let second = rows(text.split_once("COPY b").unwrap().1);
    assert_eq!((&first[2], &first[3]), (&second[0][0], &second[0][1]));
    assert_ne!(second[0][0], second[1][0]);
    assert!(first[1].parse::<i32>().unwrap() > 0 && first[2].parse::<i64>().unwrap() > 0);
    let parts: Vec<usize> = first[3].split('-').map(str::len).collect();
    assert_eq!((parts, second[0][2].len()), (vec![8, 4, 4, 4, 12], 8));
    assert_eq!(first[3].as_bytes()[14], b'8');
}

/// As docs/RESTORE.md says: `printf %s a@x.org | openssl dgst -sha256 -hmac KEY`.
#[test]
fn a_key_file_gives_the_same_hash_in_each_restore() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mask.key"), "0123456789abcdef\n").unwrap();
    let json = br#"{"key_file": "mask.key", "tables": {"a.t": {"u": {"hash": {"length": 64}}}}}"#;
    let rules = MaskRules::parse(json, &folder.path().join("rules.json")).unwrap();
    let (_, text) = masked(&rules, "COPY a.t (u) FROM stdin;\na@x.org\n\\.\n").unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"0123456789abcdef");
    let expected = crate::format::hex(aws_lc_rs::hmac::sign(&key, b"a@x.org").as_ref());
    assert_eq!(rows(&text)[0][0], expected);
    assert!(!format!("{rules:?}").contains("0123456789abcdef"));

    std::fs::write(folder.path().join("mask.key"), "short\n").unwrap();
    let error = MaskRules::parse(json, &folder.path().join("rules.json")).unwrap_err();
    assert!(error.message.contains("less than 16 bytes"), "{error}");
}

#[test]
fn a_shape_keeps_the_form_and_no_letter_or_digit() {
    let values = ["+49 (30) 123-45", "SW1A 1AA", "Zoë Łuk", "a\\tb\\\\n", "", "--"];
    let dump = format!(
        "SET client_encoding = 'UTF8';\nCOPY a.t (u) FROM stdin;\n{}\n\\.\n",
        values.join("\n")
    );
    let (_, text) = masked(&rules(r#"{"tables": {"a.t": {"u": "shape"}}}"#), &dump).unwrap();
    let kind = |c: char| match c {
        c if c.is_ascii_digit() => '9',
        c if c.is_uppercase() => 'A',
        c if c.is_alphabetic() => 'a',
        c => c,
    };
    for (value, row) in values.iter().zip(rows(&text)) {
        let form = |text: &str| text.chars().map(kind).collect::<String>();
        assert_eq!(form(value), form(&row[0]));
        assert!(row[0].is_ascii());
        let is_kept = |(old, new): (char, char)| old == new && old.is_alphanumeric();
        let escapes = value.contains('\\');
        assert!(escapes || !value.chars().zip(row[0].chars()).any(is_kept), "{value} {}", row[0]);
    }
    assert!(text.contains("\\t") && text.contains("\\\\"), "{text}");
}

#[test]
fn a_shape_in_encodings_of_other_lengths() {
    for (encoding, value, length) in [
        ("EUC_JP", &b"\x8f\xb0\xa1\xb0\xa1a"[..], 3),
        ("EUC_TW", b"\x8e\xa2\xa1\xa1\xa4\xa1", 2),
        ("EUC_KR", b"\xb0\xa1\xb0\xa2", 2),
        ("LATIN1", b"Zo\xeb", 3),
        ("SQL_ASCII", b"\xff\xfe", 2),
        ("UTF8", b"\xff\xc3", 2),
        ("UTF8", b"\xc3\\\\", 3),
    ] {
        let head = format!("SET client_encoding = '{encoding}';\nCOPY a.t (u) FROM stdin;\n");
        let dump = [head.as_bytes(), value, b"\n\\.\n"].concat();
        let rules = rules(r#"{"tables": {"a.t": {"u": "shape"}}}"#);
        let (_, whole) = in_pieces(&rules, &dump, usize::MAX).unwrap();
        assert_eq!(in_pieces(&rules, &dump, 1).unwrap().1, whole);
        let text = String::from_utf8(whole).unwrap();
        assert_eq!(rows(&text)[0][0].len(), length, "{encoding}");
    }
    let dump = "SET client_encoding = 'SJIS';\nCOPY a.t (u) FROM stdin;\n\\.\n";
    assert!(fault(r#"{"tables": {"a.t": {"u": "shape"}}}"#, dump).contains("a.t.u cannot have its shape kept"));
    let dump = "SET client_encoding = 'LATIN1';\nCOPY a.t (u) FROM stdin;\n\\.\n";
    assert!(fault(r#"{"tables": {"a.t": {"u": {"constant": "é"}}}}"#, dump).contains("letters beyond ASCII"));
}

#[test]
fn long_fields_pass_in_bounded_pieces() {
    let long = "aB3é\\n".repeat(200_000);
    let dump = format!("COPY a.t (u, v, w) FROM stdin;\n{long}\t{long}\t{long}\n\\.\n");
    let rules = rules(r#"{"tables": {"a.t": {"v": "shape", "u": "hash"}}}"#);
    let (_, whole) = in_pieces(&rules, dump.as_bytes(), usize::MAX).unwrap();
    for piece in [1000, 65_536, 1 << 20] {
        assert!(
            in_pieces(&rules, dump.as_bytes(), piece).unwrap().1 == whole,
            "in pieces of {piece}"
        );
    }
    let text = String::from_utf8(whole).unwrap();
    let row = &rows(&text)[0];
    assert_eq!((row[1].chars().count(), &row[2]), (long.chars().count(), &long));
}

#[test]
fn rules_that_cannot_be_understood_are_refused_by_name() {
    for (json, named) in [
        ("[]", "the rules must be an object"),
        ("{", "are no JSON"),
        (r#"{"tables": {}}"#, "name no table"),
        (r#"{"table": {"a.t": {"u": "null"}}}"#, "`table`"),
        (r#"{"tables": {"t": {"u": "null"}}}"#, "`t` is no name of a table"),
        (r#"{"tables": {"a.Odd name": {"u": "null"}}}"#, "`a.Odd name` is no name"),
        (r#"{"tables": {"a.t": {}}}"#, "a.t has no columns"),
        (r#"{"tables": {"a.t": {"u": "nul"}}}"#, "a.t.u is no mask"),
        (r#"{"tables": {"a.t": {"u": null}}}"#, "a.t.u is no mask"),
        (r#"{"tables": {"a.t": {"u": {"null": {}}}}}"#, "a.t.u has options"),
        (r#"{"tables": {"a.t": {"u": {"constant": 1}}}}"#, "a.t.u needs its constant"),
        (r#"{"tables": {"a.t": {"u": "constant"}}}"#, "a.t.u needs its constant"),
        (r#"{"tables": {"a.t": {"u": {"constant": "x", "hash": {}}}}}"#, "a.t.u is no mask"),
        (r#"{"tables": {"a.t": {"u": {"constant": "\u0000"}}}}"#, "zero byte"),
        (r#"{"tables": {"a.t": {"u": {"hash": {"as": "int"}}}}}"#, "unknown `as`"),
        (r#"{"tables": {"a.t": {"u": {"hash": {"length": 7}}}}}"#, "from 8 to 64"),
        (
            r#"{"tables": {"a.t": {"u": {"hash": {"as": "uuid", "length": 8}}}}}"#,
            "only a hash as text",
        ),
        (r#"{"tables": {"a.t": {"u": {"hash": {"salt": "x"}}}}}"#, "`salt`"),
        (r#"{"tables": {"a.t": {"u": {"shape": {"as": "x"}}}}}"#, "`as`"),
        (r#"{"tables": {"a.t": {"u": "null", "u": "hash"}}}"#, "duplicate field `u`"),
        (
            r#"{"tables": {"a.t": {"u": "null"}, "a.\"t\"": {"u": "hash"}}}"#,
            "stands there twice",
        ),
        (
            r#"{"tables": {"a.t": {"u": "null"}}, "partitioned": {"a.t": {"u": "null"}}}"#,
            "under `partitioned`",
        ),
        (
            r#"{"key_file": "/no/such/file", "tables": {"a.t": {"u": "null"}}}"#,
            "/no/such/file cannot be read",
        ),
    ] {
        let error = MaskRules::parse(json.as_bytes(), Path::new("rules.json")).unwrap_err();
        assert!(error.code == Code::BadUsage && error.message.contains(named), "{json}: {error}");
        assert!(error.message.starts_with("--mask: "), "{error}");
    }
}

#[test]
fn rules_for_tables_without_rows_are_refused_before_anything_is_restored() {
    let inventory = Inventory {
        tables: ["public.c", "s.\"Odd name\""]
            .map(|name| TableRows {
                name: name.to_owned(),
                ..TableRows::default()
            })
            .to_vec(),
        ..Inventory::default()
    };
    for (json, named) in [
        (
            r#"{"tables": {"public.c": {"u": "null"}, "s.\"Odd name\"": {"u": "null"}}, "partitioned": {"p.q": {"x": "null"}}}"#,
            None,
        ),
        (r#"{"tables": {"public.d": {"u": "null"}}}"#, Some("public.d has no rows")),
        (
            r#"{"partitioned": {"public.c": {"u": "null"}}}"#,
            Some("public.c has rows of its own"),
        ),
    ] {
        let fits = rules(json).must_fit(&inventory);
        match named {
            None => fits.unwrap(),
            Some(named) => assert!(fits.unwrap_err().message.contains(named), "{json}"),
        }
    }
}

#[test]
fn masks_that_cannot_hold_end_the_restore_before_the_rows() {
    let of_c = |rule: &str| format!(r#"{{"tables": {{"public.c": {{{rule}}}}}}}"#);
    for (rule, named) in [
        (r#""name": "null""#, "public.c.name is NOT NULL"),
        (r#""id": "null""#, "public.c.id is NOT NULL"),
        (r#""up": "hash""#, "public.c.up is computed"),
        (r#""mail": "hash""#, "public.c has no column mail"),
        (r#""EMAIL": "hash""#, "public.c has no column \"EMAIL\""),
    ] {
        assert!(fault(&of_c(rule), HEAD).contains(named), "{rule}");
    }
    let named = "CREATE TABLE public.c (\n    email text,\n    CONSTRAINT k NOT NULL email\n);\n";
    assert!(fault(&of_c(r#""email": "null""#), named).contains("is NOT NULL"));
    // What has a column that is not listed in its definition is looked at when its rows come.
    let copy = "COPY public.c (id) FROM stdin;\n1\n\\.\n";
    assert!(fault(&of_c(r#""email": "null""#), copy).contains("has no column email"));
    let without = "COPY public.c FROM stdin;\n1\n\\.\n";
    assert!(fault(&of_c(r#""email": "null""#), without).contains("another form"));
    let csv = "COPY public.c (email) FROM stdin WITH (FORMAT csv);\n1\n\\.\n";
    assert!(fault(&of_c(r#""email": "null""#), csv).contains("has no rows in this dump"));
}

#[test]
fn a_rule_that_met_no_rows_is_a_failure() {
    let json = r#"{"tables": {"public.c": {"email": "hash"}}}"#;
    assert!(fault(json, HEAD).contains("public.c has no rows in this dump"));
    // Without rows a table has its COPY all the same.
    let empty = format!("{HEAD}COPY public.c (id, email, name) FROM stdin;\n\\.\n");
    let (tables, _) = masked(&rules(json), &empty).unwrap();
    assert_eq!(tables[0].rows, 0);
    let inserts = format!("{HEAD}INSERT INTO public.c VALUES (1, 'a', 'b');\n");
    assert!(masked(&rules(json), &inserts).unwrap_err().message.contains("INSERT"));
}

#[test]
fn rows_that_no_pg_dump_writes_are_not_guessed_at() {
    let json = r#"{"tables": {"a.t": {"v": "hash"}}}"#;
    for (row, named) in [
        ("1\\\t2\tx\n", "backslash"),
        ("1\t2\\\n", "backslash"),
        ("1\r\n", "carriage return"),
        ("1\n", "too few fields"),
    ] {
        let error = masked(&rules(json), &format!("COPY a.t (u, v) FROM stdin;\n{row}\\.\n")).unwrap_err();
        assert!(
            error.code == Code::RestoreFailed && error.message.contains(named),
            "{row:?}: {error}"
        );
        assert!(error.message.contains("a.t"), "{error}");
    }
    // Two of them are one.
    masked(&rules(json), "COPY a.t (u, v) FROM stdin;\n1\\\\\t2\\\\\n\\\\.\t\\\\\n\\.\n").unwrap();
}

const PARTITIONS: &str = "CREATE TABLE s.p (\n    id integer,\n    who text\n)\nPARTITION BY RANGE (id);\n\
    CREATE TABLE s.p1 (\n    id integer,\n    who text\n);\nCREATE TABLE s.q PARTITION OF s.p FOR VALUES FROM (10) TO (20)\nPARTITION BY RANGE (id);\n\
    CREATE TABLE s.q1 (\n    who text,\n    id integer\n);\nALTER TABLE ONLY s.p ATTACH PARTITION s.p1 FOR VALUES FROM (0) TO (10);\n\
    ALTER TABLE ONLY s.q ATTACH PARTITION s.q1 FOR VALUES FROM (10) TO (15);\n\
    COPY s.p1 (id, who) FROM stdin;\n1\tAnn\n\\.\nCOPY s.q1 (who, id) FROM stdin;\nBob\t11\n\\.\n";

#[test]
fn a_rule_for_a_partitioned_table_is_for_all_its_partitions() {
    let (tables, text) = masked(&rules(r#"{"partitioned": {"s.p": {"who": {"constant": "x"}}}}"#), PARTITIONS).unwrap();
    assert_eq!(
        tables.iter().map(|table| table.table.as_str()).collect::<Vec<_>>(),
        ["s.p1", "s.q1"]
    );
    assert!(text.contains("\n1\tx\n") && text.contains("\nx\t11\n"), "{text}");
    for (json, named) in [
        (
            r#"{"partitioned": {"s.p1": {"who": "null"}}}"#,
            "s.p1 stands under `partitioned`, and is no partitioned table",
        ),
        (r#"{"partitioned": {"s.x": {"who": "null"}}}"#, "s.x stands under `partitioned`"),
        (
            r#"{"partitioned": {"s.p": {"who": "null"}}, "tables": {"s.q1": {"who": "null"}}}"#,
            "s.q1 has two rules for who",
        ),
        (r#"{"tables": {"s.p": {"who": "null"}}}"#, "s.p has no rows in this dump"),
    ] {
        assert!(fault(json, PARTITIONS).contains(named), "{json}");
    }
    let none = "CREATE TABLE s.p (\n    who text\n)\nPARTITION BY LIST (who);\nCOPY s.x (a) FROM stdin;\n\\.\n";
    assert!(fault(r#"{"partitioned": {"s.p": {"who": "null"}}}"#, none).contains("has no partitions"));
    let late = format!("{PARTITIONS}ALTER TABLE ONLY s.p ATTACH PARTITION s.z DEFAULT;\n").replace("s.z", "s.q1");
    assert!(fault(r#"{"partitioned": {"s.p": {"id": "null"}}}"#, &late).contains("only behind its rows"));
}

#[test]
fn what_inherits_a_masked_column_needs_a_rule_of_its_own() {
    let dump = "CREATE TABLE s.a (\n    who text\n);\nCREATE TABLE s.b (\n    more text\n)\nINHERITS (s.a);\n\
        COPY s.a (who) FROM stdin;\nAnn\n\\.\nCOPY s.b (who, more) FROM stdin;\nBob\tx\n\\.\n";
    let refused = fault(r#"{"tables": {"s.a": {"who": "null"}}}"#, dump);
    assert!(refused.contains("s.b inherits who from s.a"), "{refused}");
    let (tables, text) = masked(&rules(r#"{"tables": {"s.a": {"who": "null"}, "s.b": {"who": "keep"}}}"#), dump).unwrap();
    assert!(tables.len() == 1 && text.contains("\\N\n\\.") && text.contains("Bob\tx"), "{text}");
}

/// Nothing in a string, a comment or a row passes for a statement.
#[test]
fn what_only_looks_like_rows_is_left_alone() {
    let dump = "-- COPY a.t (u) FROM stdin;\nCREATE FUNCTION f() RETURNS void AS $$\nCOPY a.t (u) FROM stdin;\nx\n\\.\n$$;\n\
        COPY a.x (u) FROM stdin;\nCOPY a.t (u) FROM stdin;\n\\.\nCOPY a.t (u) FROM stdin;\nx\n\\.\n";
    let (tables, text) = masked(&rules(r#"{"tables": {"a.t": {"u": "null"}}}"#), dump).unwrap();
    assert_eq!((tables.len(), tables[0].rows), (1, 1));
    assert_eq!(text, format!("{}\\N\n\\.\n", &dump[..dump.len() - 5]));
}

proptest! {
    #[test]
    fn no_original_is_left_and_equal_values_stay_equal(values in prop::collection::vec("[a-zA-Z0-9é .\\\\-]{0,12}", 1..20)) {
        let escaped: Vec<String> = values.iter().map(|value| value.replace('\\', "\\\\")).collect();
        let lines: String = escaped.iter().map(|value| format!("{value}\t{value}\t{value}\n")).collect();
        let dump = format!("COPY a.t (u, v, w) FROM stdin;\n{lines}\\.\n");
        let rules = rules(r#"{"tables": {"a.t": {"u": "hash", "w": "shape"}}}"#);
        let (_, text) = masked(&rules, &dump).unwrap();
        let found = rows(&text);
        prop_assert_eq!(found.len(), values.len());
        for (row, value) in found.iter().zip(&escaped) {
            prop_assert_eq!(&row[1], value);
            prop_assert_ne!(&row[0], value);
            prop_assert!(&row[2] != value || !value.chars().any(char::is_alphanumeric));
        }
        let distinct = |column: usize| found.iter().map(|row| &row[column]).collect::<BTreeSet<_>>().len();
        prop_assert_eq!(distinct(0), distinct(1));
    }
}
