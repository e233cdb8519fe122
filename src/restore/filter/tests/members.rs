//! Access methods, collations and names in strings of an extension that is not there.

use super::*;
use crate::format::inventory::Extension;

const EXTENSION: &str = "CREATE EXTENSION IF NOT EXISTS methods WITH SCHEMA public;\n";

fn members() -> ExtensionMembers {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    ExtensionMembers::new(&[Extension {
        name: "methods".to_owned(),
        objects: vec![
            words(&["access method", "xheap"]),
            words(&["access method", "xbl"]),
            words(&["operator class", "public", "int4_ops", "xbl"]),
            words(&["operator class", "public", "gist_int4_ops", "gist"]),
            words(&["operator class", "public", "back_ops", "btree"]),
            words(&["collation", "public", "xcoll"]),
            words(&["collation", "pg_catalog", "ours"]),
            words(&["text search configuration", "public", "xcfg"]),
            words(&["of a later release", "public", "x"]),
        ],
        ..Extension::default()
    }])
}

/// What passes in a drill without the extension, and what was not restored.
fn drilled(dump: &str, set: impl Fn(&mut FilterOptions)) -> (String, Vec<String>) {
    let prepare: Prepare = Box::new(|head: &DumpHead| {
        Ok(PreparedTarget {
            missing: vec![(head.extensions[0].name.clone(), "it is not here".into())],
            rights: Some(ServerRights {
                known: [b"there".to_vec()].into(),
                ..ServerRights::default()
            }),
            ..PreparedTarget::default()
        })
    });
    let options = options(|options| {
        (options.superuser_only, options.members) = (true, members());
        set(options);
    });
    let mut filter = Filter::with_head(options, prepare, BufferSink::default());
    let dump = format!("{EXTENSION}{dump}");
    dump.as_bytes().chunks(11).for_each(|piece| filter.put(piece).unwrap());
    let Filtered { changes, below } = filter.finish().unwrap();
    let lost = changes.not_restored.into_iter().map(|lost| lost.what);
    (String::from_utf8(below).unwrap(), lost.collect())
}

/// The statement that passes as it is or in a block, alone.
fn is_tried(statement: &str) -> bool {
    let (below, _) = drilled(&format!("{statement}\n"), |_| {});
    let below = below.trim();
    assert_eq!(untried(below).trim(), statement, "{below}");
    below.starts_with("DO LANGUAGE plpgsql $bt")
}

const METHODS: &str = "SET default_table_access_method = xheap;\nCREATE TABLE public.t (a integer);\n\
    SET default_table_access_method = heap;\nCREATE TABLE public.u (a integer);\nSET default_table_access_method = \"xheap\";\n";

/// `SET default_table_access_method = xheap` failed the drill: an invalid value.
#[test]
fn a_table_of_a_missing_access_method_is_made_with_heap() {
    let expected = "SET default_table_access_method = heap;\nCREATE TABLE public.t (a integer);\n\
        SET default_table_access_method = heap;\nCREATE TABLE public.u (a integer);\nSET default_table_access_method = heap;\n";
    let lines = |text: &str| {
        text.lines()
            .filter(|line| !line.is_empty())
            .fold(String::new(), |all, line| all + line + "\n")
    };
    let (below, lost) = drilled(METHODS, |_| {});
    assert_eq!(
        (lines(&below), &lost[..]),
        (
            expected.to_owned(),
            &["EXTENSION methods".to_owned(), "ACCESS METHOD xheap".to_owned()][..]
        )
    );
    // A wish, in a restore.
    let wished = options(|options| {
        options.exclude_extensions.insert(b"methods".to_vec());
        options.members = members();
    });
    let Filtered { changes, below } = try_filtered(METHODS.as_bytes(), &wished, 9).unwrap();
    assert_eq!(lines(&String::from_utf8(below).unwrap()), expected);
    assert_eq!(changes.left_out[0].names, ["ACCESS METHOD xheap"]);
    // A server that knows no such setting gets none.
    let (below, _) = drilled(METHODS, |options| options.settings_newer_than = Some(11));
    assert!(!below.contains("SET"), "{below}");
    // By a superuser's statement in the dump itself, which is told there.
    let made = format!("CREATE ACCESS METHOD xheap TYPE TABLE HANDLER heap_tableam_handler;\n{METHODS}");
    let own = options(|options| options.superuser_only = true);
    let Filtered { changes, below } = try_filtered(made.as_bytes(), &own, 9).unwrap();
    assert_eq!(lines(&String::from_utf8(below).unwrap()), expected);
    assert_eq!(changes.not_restored.len(), 1);
    // Any other method is the server's.
    assert_eq!(whole(METHODS, options(|_| {})), METHODS);
}

/// Nothing but its access method told that such an index needs the extension, and the load failed.
#[test]
fn an_index_by_a_missing_access_method_or_its_default_class_is_tried() {
    for (statement, expected) in [
        ("CREATE INDEX i ON s.t USING xbl (i);", true),
        ("CREATE INDEX i ON s.t USING gist (i);", true),
        ("ALTER TABLE ONLY s.t ADD CONSTRAINT x EXCLUDE USING gist (k WITH =);", true),
        ("CREATE INDEX i ON s.t USING btree (i);", false),
        ("CREATE INDEX i ON s.t USING gin (i);", false),
    ] {
        assert_eq!(is_tried(statement), expected, "{statement}");
    }
}

/// Strings were passed over, and these statements failed the drill.
#[test]
fn names_in_a_string_that_is_cast_to_a_type_of_names_count() {
    for (statement, expected) in [
        ("CREATE INDEX i ON s.t USING gin (to_tsvector('public.xcfg'::regconfig, b));", true),
        (
            "CREATE INDEX i ON s.t USING gin (to_tsvector('\"public\".\"xcfg\"'::\"regconfig\", b));",
            true,
        ),
        (
            "CREATE VIEW s.v AS\n SELECT 'public.xf(integer)'::pg_catalog.regprocedure AS f;",
            true,
        ),
        ("CREATE VIEW s.v AS\n SELECT 'public.there(public.xtype)'::regprocedure AS f;", true),
        ("CREATE VIEW s.v AS\n SELECT 'public.%%%(text,text)'::regoperator AS o;", true),
        ("CREATE VIEW s.v AS\n SELECT 'public.%%%'::regoper AS o;", true),
        ("CREATE VIEW s.v AS\n SELECT '{public.xtype}'::regtype[] AS o;", true),
        ("CREATE VIEW s.v AS\n SELECT 'public.\"X''Type\"'::regtype AS o;", true),
        (
            "CREATE VIEW s.v AS\n SELECT 'public.x'::regclass, 'public.y'::regcollation, 'public.z'::regdictionary;",
            true,
        ),
        ("CREATE VIEW s.v AS\n SELECT 'public.there(integer)'::regprocedure AS f;", false),
        ("CREATE VIEW public.v AS\n SELECT 'public.v'::regclass AS c;", false),
        ("CREATE VIEW s.v AS\n SELECT 's.own'::regclass AS c;", false),
        ("CREATE VIEW s.v AS\n SELECT 'public.xf(integer)'::text AS f;", false),
    ] {
        assert_eq!(is_tried(statement), expected, "{statement}");
    }
    let table = "CREATE TABLE s.t (\n    b text,\n    f text DEFAULT ('public.xf(integer)'::regprocedure)::text,\n    \
        v tsvector GENERATED ALWAYS AS (to_tsvector('public.xcfg'::regconfig, b)) STORED\n);\n";
    let (below, _) = drilled(table, |_| {});
    assert!(
        below.contains("$CREATE TABLE s.t (b text,\n    f text ,\n    v tsvector );"),
        "{below}"
    );
}

/// A column with a collation that is not there had its table with it.
#[test]
fn a_collation_that_is_not_there_is_cut_like_a_default() {
    for (made, kept, again, what) in [
        (
            "CREATE TABLE s.t (a text COLLATE public.xcoll DEFAULT 'x'::text NOT NULL, c text COLLATE pg_catalog.\"C\");",
            "$CREATE TABLE s.t (a text  DEFAULT 'x'::text NOT NULL,\n    c text COLLATE pg_catalog.\"C\");",
            "ALTER TABLE s.t ALTER COLUMN a TYPE text COLLATE public.xcoll",
            "COLLATE of a of TABLE s.t",
        ),
        (
            "CREATE TABLE s.t (a character varying(20) COLLATE pg_catalog.ours);",
            "$CREATE TABLE s.t (a character varying(20) );",
            "ALTER TABLE s.t ALTER COLUMN a TYPE character varying(20) COLLATE pg_catalog.ours",
            "COLLATE of a of TABLE s.t",
        ),
        (
            "CREATE DOMAIN s.d AS text COLLATE public.xcoll NOT NULL;",
            "$CREATE DOMAIN s.d AS text  NOT NULL;",
            "what it needs was not restored",
            "COLLATE of DOMAIN s.d",
        ),
        (
            "CREATE TYPE s.c AS (\n\ta integer,\n\tb text COLLATE public.xcoll\n);",
            "$CREATE TYPE s.c AS (a integer, b text);",
            "ALTER TYPE s.c ALTER ATTRIBUTE b TYPE text COLLATE public.xcoll",
            "COLLATE of b of TYPE s.c",
        ),
        (
            "CREATE TYPE s.r AS RANGE (\n    subtype = text,\n    multirange_type_name = s.mr,\n    collation = public.xcoll\n);",
            "$CREATE TYPE s.r AS RANGE (subtype = text, multirange_type_name = s.mr);",
            "what it needs was not restored",
            "COLLATION of TYPE s.r",
        ),
        (
            "CREATE TYPE s.r AS RANGE (\n    subtype = integer,\n    multirange_type_name = s.mr,\n    subtype_opclass = public.back_ops\n);",
            "$CREATE TYPE s.r AS RANGE (subtype = integer, multirange_type_name = s.mr);",
            "what it needs was not restored",
            "SUBTYPE_OPCLASS of TYPE s.r",
        ),
    ] {
        let (below, lost) = drilled(&format!("{made}\n"), |_| {});
        assert_eq!(untried(below.trim()).trim(), made);
        for text in [kept, again, &crate::format::hex(what.as_bytes())] {
            assert!(below.contains(text), "{text} in {below}");
        }
        assert_eq!(lost, ["EXTENSION methods"]);
    }
    assert!(!is_tried("CREATE TABLE s.t (a text COLLATE pg_catalog.\"C\");"));
    // Of a schema that is lost with its extension: the type and its rows stay.
    let members = ExtensionMembers::new(&[Extension {
        name: "methods".to_owned(),
        schemas: vec!["mk".to_owned()],
        ..Extension::default()
    }]);
    let composite = "CREATE TYPE s.c AS (\n\tb text COLLATE mk.xcoll\n);\n";
    let (below, _) = drilled(composite, |options| options.members = members.clone());
    assert!(below.contains("$CREATE TYPE s.c AS (b text);"), "{below}");
}

/// `pg_dump` has written `FUNCTION` since 11, and the servers before it take `PROCEDURE` alone.
#[test]
fn operators_and_triggers_go_into_older_servers() {
    let dump = "CREATE OPERATOR s.=== (\n    FUNCTION = s.function,\n    LEFTARG = integer,\n    RIGHTARG = integer\n);\n\
        CREATE TRIGGER t BEFORE INSERT ON s.function FOR EACH ROW EXECUTE FUNCTION s.f('EXECUTE FUNCTION');\n\
        CREATE CONSTRAINT TRIGGER c AFTER INSERT ON s.t NOT DEFERRABLE FOR EACH ROW WHEN ((new.a > 0)) EXECUTE FUNCTION s.f();\n\
        CREATE EVENT TRIGGER e ON ddl_command_start\n   EXECUTE FUNCTION s.f();\n\
        CREATE OPERATOR CLASS s.o\n    FOR TYPE integer USING btree AS\n    FUNCTION 1 (integer, integer) s.f(integer,integer);\n\
        CREATE FUNCTION s.f() RETURNS trigger LANGUAGE plpgsql AS 'EXECUTE FUNCTION';\n";
    let of = |major| options(|options| options.settings_newer_than = Some(major));
    let older = dump
        .replace("FUNCTION = ", "PROCEDURE = ")
        .replace("EXECUTE FUNCTION s.", "EXECUTE PROCEDURE s.");
    assert_eq!(whole(dump, of(10)), older);
    assert_eq!(whole(dump, of(11)), dump);
    // In a block, too.
    let lost = "CREATE FUNCTION s.function(integer, integer) RETURNS boolean LANGUAGE internal AS 'int4eq';\n";
    let drill = options(|options| (options.superuser_only, options.settings_newer_than) = (true, Some(10)));
    let below = whole(&format!("{lost}{dump}"), drill);
    assert!(below.contains("$CREATE OPERATOR s.=== (\n    PROCEDURE = s.function,"), "{below}");
}

/// Such names were looked for in the extension's own schema alone, and uses without a name nowhere.
#[test]
fn what_a_missing_extension_has_elsewhere_or_for_types_of_others_is_tried() {
    let with = |words: &[&[&str]]| {
        let owned = |words: &&[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let members = ExtensionMembers::new(&[Extension {
            name: "methods".to_owned(),
            objects: words.iter().map(owned).collect(),
            ..Extension::default()
        }]);
        move |statement: &str| {
            let set = |options: &mut FilterOptions| options.members = members.clone();
            let (below, _) = drilled(&format!("{statement}\n"), set);
            untried(below.trim()).trim() != below.trim()
        }
    };
    let elsewhere = with(&[
        &["function", "s", "f", "integer"],
        &["operator", "s", "%%"],
        &["function", "pg_catalog", "g"],
    ]);
    for (statement, expected) in [
        ("CREATE VIEW r.v AS\n SELECT s.f(1) AS x;", true),
        ("CREATE VIEW r.v AS\n SELECT (1 OPERATOR(s.%%) 2) AS x;", true),
        ("CREATE VIEW r.v AS\n SELECT r.h(1) AS x;", false),
    ] {
        assert_eq!(elsewhere(statement), expected, "{statement}");
    }
    for member in [&["cast", "integer", "interval"][..], &["default operator class", "json", "btree"]] {
        let unnamed = with(&[member]);
        for statement in [
            "CREATE VIEW r.v AS\n SELECT DISTINCT a FROM r.t;",
            "CREATE INDEX i ON r.t USING btree (a);",
            "ALTER TABLE ONLY r.t ADD CONSTRAINT p PRIMARY KEY (a);",
        ] {
            assert!(unnamed(statement), "{member:?}: {statement}");
        }
    }
}
