//! What passes of a dump, by what is wished.

mod dependents;
mod extensions;
mod guard;
mod members;
mod pieces;

use super::*;
use crate::pipeline::BufferSink;

const STRINGS: &str = "\nSET standard_conforming_strings = on;\n";
const LETTERS: &str = "\nSET client_encoding = 'UTF8';\n";

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
    let mut filter = Filter::new(options.clone(), BufferSink::default());
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
    assert_eq!(untried(&whole(&input, without)), kept);
}

/// Statements in place of the blocks that try them.
fn untried(passed: &str) -> String {
    let (mut text, mut rest) = (String::new(), passed);
    while let Some((before, block)) = rest.split_once("DO LANGUAGE plpgsql $b") {
        let (tag, block) = block.split_once('$').unwrap();
        let (block, behind) = block.split_once(&format!(" $b{tag}$;")).unwrap();
        let (_, statement) = block.split_once(&format!("EXECUTE ${tag}$")).unwrap();
        text.push_str(before);
        text.push_str(statement.split_once(&format!(" ${tag}$")).unwrap().0);
        rest = behind;
    }
    text + rest
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
            "COMMIT;\n",
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

/// On RDS before 15 it belongs to `rdsadmin`, which nobody may act as: every restore stopped there.
#[test]
fn whose_the_schema_public_is_costs_no_restore() {
    let input = "ALTER SCHEMA public OWNER TO rdsadmin;\n";
    let passed = whole(input, FilterOptions::default());
    assert!(
        passed.starts_with("DO $pgseal$ BEGIN ALTER SCHEMA public OWNER TO \"rdsadmin\"; EXCEPTION"),
        "{passed}"
    );
    let quoted = "ALTER SCHEMA \"public\" OWNER TO \"rdsadmin\";\n";
    assert_eq!(whole(quoted, FilterOptions::default()), passed);
    for other in [
        "ALTER SCHEMA public OWNER TO \"a$pgseal$b\";\n",
        "ALTER SCHEMA other OWNER TO rdsadmin;\n",
        "ALTER TABLE public.t OWNER TO rdsadmin;\n",
    ] {
        assert_eq!(whole(other, FilterOptions::default()), other);
    }
    assert_eq!(whole(input, options(|options| options.no_owner = true)), "\n");
    assert_eq!(whole(input, options(|options| options.set_aside = true)), "\n");
}

#[test]
fn tablespaces_go_without_their_tables() {
    let without = options(|options| options.no_tablespaces = true);
    let input = "SET default_tablespace = fast;\nSET default_tablespace = '';\nCREATE TABLE t (tablespace integer) TABLESPACE \"Fast\";\n\
        ALTER TABLE ONLY t ADD CONSTRAINT k PRIMARY KEY (tablespace) USING INDEX TABLESPACE fast;\n\
        CREATE MATERIALIZED VIEW m TABLESPACE fast AS SELECT x.tablespace FROM x;\nCREATE MATERIALIZED VIEW n AS SELECT tablespace a FROM x;\n";
    let expected = "\nSET default_tablespace = '';\nCREATE TABLE t (tablespace integer)  /**/ ;\n\
        ALTER TABLE ONLY t ADD CONSTRAINT k PRIMARY KEY (tablespace)  /**/ ;\n\
        CREATE MATERIALIZED VIEW m  /**/  AS SELECT x.tablespace FROM x;\nCREATE MATERIALIZED VIEW n AS SELECT tablespace a FROM x;\n";
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
    let expected = "CREATE FUNCTION public.f(a integer) RETURNS boolean LANGUAGE sql  /**/   /**/  AS 'LEAKPROOF';\n";
    assert_eq!(whole(input, without.clone()), expected);
    let told = try_filtered(input.as_bytes(), &without, 9).unwrap().changes.not_restored;
    assert_eq!(told[0].what, "LEAKPROOF of FUNCTION public.f(a integer)");
}

/// Each of these once failed the drill of an honest database.
#[test]
fn what_the_server_keeps_from_ordinary_roles_is_left_out_and_told() {
    let without = options(|options| {
        options.superuser_only = true;
        options.rights = Some(ServerRights {
            languages: ["sql", "plpgsql"].map(|name| name.as_bytes().to_vec()).into(),
            settings: ["log_min_messages", "session_preload_libraries"]
                .map(|name| name.as_bytes().to_vec())
                .into(),
            tables: [["ext", "jobs"].map(|part| part.as_bytes().to_vec()).to_vec()].into(),
            wrappers: ["postgres_fdw", "file_fdw"].map(|name| name.as_bytes().to_vec()).into(),
            ..ServerRights::default()
        });
    });
    let lost = "×CREATE FUNCTION public.p() RETURNS trigger LANGUAGE plperlu AS 'x';\n×ALTER FUNCTION public.p() OWNER TO a;\n\
        CREATE TRIGGER t BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.p();\n\
        CREATE TRIGGER u BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.q();\n\
        CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw;\nCREATE SERVER files FOREIGN DATA WRAPPER file_fdw;\n\
        CREATE FOREIGN TABLE public.g (a text) SERVER other;\nCOMMENT ON COLUMN public.g.a IS 'x';\n\
        ×CREATE FOREIGN TABLE public.f (a text) SERVER files OPTIONS (filename '/x');\n×ALTER FOREIGN TABLE public.f OWNER TO a;\n\
        ×ALTER FOREIGN TABLE ONLY public.f ALTER COLUMN a SET STATISTICS 1;\n×COMMENT ON COLUMN public.f.a IS 'x';\n\
        ×CREATE POLICY p ON ext.jobs USING (true);\n×COMMENT ON POLICY p ON ext.jobs IS 'x';\n×ALTER TABLE ext.jobs ENABLE ROW LEVEL SECURITY;\n\
        ×ALTER TABLE ONLY ext.jobs FORCE ROW LEVEL SECURITY;\nCREATE POLICY p ON public.t USING (true);\nALTER TABLE public.t ENABLE ROW LEVEL SECURITY;\n";
    leaves_out(lost, without.clone());
    let input = "CREATE FUNCTION public.f() RETURNS integer LANGUAGE sql\n    SET search_path TO 'a', 'b'\n    SET session_preload_libraries TO 'x', 'y'\n    \
        SET log_min_messages TO 'panic'\n    SET \"my.Var\" TO 'x'\n    AS 'UPDATE t SET log_min_messages = 1';\n";
    let expected = "CREATE FUNCTION public.f() RETURNS integer LANGUAGE sql\n    SET search_path TO 'a', 'b'\n     /**/ \n     /**/ \n     /**/ \n    \
        AS 'UPDATE t SET log_min_messages = 1';\n";
    assert_eq!(whole(input, without.clone()), expected);
    let told = try_filtered(input.as_bytes(), &without, 9).unwrap().changes.not_restored;
    let told: Vec<&str> = told.iter().map(|lost| &*lost.what).collect();
    assert_eq!(
        told,
        [
            "SET session_preload_libraries of FUNCTION public.f()",
            "SET log_min_messages of FUNCTION public.f()",
            "SET my.var of FUNCTION public.f()"
        ]
    );
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
        let prepare: Prepare = Box::new(move |head: &DumpHead| {
            sender.send(head.clone()).unwrap();
            Ok(PreparedTarget {
                schemas: head.schemas.clone(),
                extensions: vec![head.extensions[0].name.clone()],
                missing: vec![(b"aws_s3".to_vec(), "it is not here".into())],
                rights: None,
            })
        });
        let mut filter = Filter::with_head(FilterOptions::default(), prepare, BufferSink::default());
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
