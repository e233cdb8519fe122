//! Extensions that are left out or missing, and what they have of their own: tables, schemas, and words about them.

use super::*;
use crate::format::inventory::Extension;

/// As pg_dump writes a database with pg_cron, with an extension in a schema of its own, and with one in `public`.
const DUMP: &str = "CREATE EXTENSION IF NOT EXISTS pg_cron WITH SCHEMA pg_catalog;\n\
    CREATE SCHEMA ext;\nCREATE EXTENSION IF NOT EXISTS parts WITH SCHEMA ext;\n\
    CREATE SCHEMA app;\nCREATE TABLE app.t (a integer);\n\
    ALTER TABLE app.t ALTER COLUMN a ADD GENERATED ALWAYS AS IDENTITY (\n    SEQUENCE NAME app.t_a_seq\n);\n\
    COPY app.t (a) FROM stdin;\n1\n\\.\nCOPY cron.job (jobid) FROM stdin;\n5\n\\.\nCOPY ext.config (x) FROM stdin;\n7\n\\.\n\
    SELECT pg_catalog.setval('cron.jobid_seq', 5, true);\nSELECT pg_catalog.setval('app.t_a_seq', 1, true);\n\
    GRANT USAGE ON SCHEMA cron TO app_user;\nGRANT ALL ON FUNCTION cron.schedule(text) TO app_user;\n\
    GRANT SELECT ON TABLE cron.job TO app_user;\nGRANT SELECT ON TABLE app.t TO app_user;\nGRANT USAGE ON SCHEMA app TO app_user;\n\
    GRANT SELECT ON TABLE pg_catalog.pg_authid TO app_user;\n";

/// By the source's catalog.
fn members() -> ExtensionMembers {
    let relation = |schema: &str, name: &str| [schema.to_owned(), name.to_owned()];
    let object = |kind: &str, schema: &str, name: &str| vec![kind.to_owned(), schema.to_owned(), name.to_owned()];
    ExtensionMembers::new(&[
        Extension {
            name: "pg_cron".to_owned(),
            schemas: vec!["cron".to_owned()],
            relations: vec![relation("cron", "job"), relation("cron", "jobid_seq")],
            objects: vec![object("function", "cron", "schedule")],
            ..Extension::default()
        },
        Extension {
            name: "parts".to_owned(),
            relations: vec![relation("ext", "config")],
            ..Extension::default()
        },
    ])
}

fn without(name: &str) -> FilterOptions {
    options(|options| {
        options.exclude_extensions.insert(name.as_bytes().to_vec());
        options.members = members();
    })
}

/// Every one of these ended the restore: the extension that would have made the table was left out.
#[test]
fn what_a_left_out_extension_has_goes_with_it() {
    for piece in [1, 7, usize::MAX] {
        let Filtered { changes, below } = try_filtered(DUMP.as_bytes(), &without("pg_cron"), piece).unwrap();
        let below = String::from_utf8(below).unwrap();
        assert!(!below.contains("cron") && !below.contains("\n5\n"), "{below}");
        for kept in [
            "1\n\\.\n",
            "COPY ext.config (x) FROM stdin;\n7\n\\.\n",
            "setval('app.t_a_seq'",
            "TABLE app.t TO",
            "SCHEMA app TO",
            "pg_authid",
        ] {
            assert!(below.contains(kept), "{kept} in {below}");
        }
        assert_eq!(changes.rows_left_out, [[b"cron".to_vec(), b"job".to_vec()]]);
        let told: Vec<&str> = changes.left_out.iter().map(|left| left.what).collect();
        assert_eq!(told, ["extensions", "rows of left-out extensions", "what left-out extensions have"]);
    }
    let Filtered { changes, below } = try_filtered(DUMP.as_bytes(), &without("parts"), 9).unwrap();
    let below = String::from_utf8(below).unwrap();
    assert!(
        below.contains("COPY cron.job (jobid) FROM stdin;\n5\n") && !below.contains("ext.config"),
        "{below}"
    );
    assert_eq!(changes.rows_left_out, [[b"ext".to_vec(), b"config".to_vec()]]);
    // A user's own table beside those of the extension keeps its rows.
    let own = "CREATE TABLE cron.archive (a integer);\nCOPY cron.archive (a) FROM stdin;\n9\n\\.\n";
    assert_eq!(whole(own, without("pg_cron")), format!("CREATE SCHEMA cron;\n{own}"));
    // It is there already, whatever was wished: then its tables are, too.
    let mut there = without("pg_cron");
    there.existing_extensions.insert(b"pg_cron".to_vec());
    assert!(whole(DUMP, there).contains("COPY cron.job (jobid) FROM stdin;\n5\n"));
}

/// By the place of a thing nobody can tell whose it is: all indexes of partitioned tables once stayed invalid like this.
#[test]
fn what_no_extension_has_is_never_left_out_with_one() {
    let dump = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements WITH SCHEMA public;\n\
        CREATE EXTENSION IF NOT EXISTS orafce WITH SCHEMA public;\nALTER TABLE ONLY public.p ADD CONSTRAINT p_pkey PRIMARY KEY (id);\n\
        ALTER INDEX public.p_pkey ATTACH PARTITION public.p1_pkey;\nCOMMENT ON INDEX public.p_pkey IS 'x';\n\
        COPY utl_file.utl_file_dir (dir) FROM stdin;\n/tmp\n\\.\nGRANT USAGE ON SCHEMA utl_file TO x;\nALTER TABLE public.renamed OWNER TO x;\n";
    let mut options = without("pg_stat_statements");
    options.members = ExtensionMembers::new(&[Extension {
        name: "pg_stat_statements".to_owned(),
        relations: vec![["public".to_owned(), "pg_stat_statements".to_owned()]],
        ..Extension::default()
    }]);
    let expected = dump.split_once('\n').unwrap().1;
    assert_eq!(whole(dump, options).trim_start(), expected);
}

/// A drill lacks the extension without having wished so; of those that are there, the server tells which tables they have.
#[test]
fn the_rows_of_a_missing_extensions_tables_are_left_out_of_a_drill() {
    let prepare: Prepare = Box::new(|head: &DumpHead| {
        let rights = ServerRights {
            tables: [vec![b"ext".to_vec(), b"config".to_vec()]].into(),
            ..ServerRights::default()
        };
        Ok(PreparedTarget {
            extensions: vec![head.extensions[1].name.clone()],
            missing: vec![(b"pg_cron".to_vec(), "it is not here".into())],
            rights: Some(rights),
            ..PreparedTarget::default()
        })
    });
    let superuser_only = options(|options| (options.superuser_only, options.members) = (true, members()));
    let mut filter = Filter::with_head(superuser_only, prepare, BufferSink::default());
    let archive = "CREATE TABLE app.archive (a bigint DEFAULT nextval('cron.jobid_seq'::regclass));\n";
    format!("{DUMP}{archive}")
        .as_bytes()
        .chunks(11)
        .for_each(|piece| filter.put(piece).unwrap());
    let Filtered { changes, below } = filter.finish().unwrap();
    let below = String::from_utf8(below).unwrap();
    assert!(
        below.contains("COPY ext.config (x) FROM stdin;\n7\n") && !below.contains("COPY cron"),
        "{below}"
    );
    assert_eq!(changes.rows_left_out, [[b"cron".to_vec(), b"job".to_vec()]]);
    // Nothing is said about them; where a default names one, the server decides.
    assert!(!below.contains("SCHEMA cron") && !below.contains("TABLE cron.job"), "{below}");
    assert!(
        below.contains("$CREATE TABLE app.archive"),
        "a default by a sequence of its: {below}"
    );
    assert!(
        below.contains("\nGRANT SELECT ON TABLE app.t") && below.contains("\nGRANT USAGE ON SCHEMA app"),
        "{below}"
    );
}

/// The comment stayed, and ended the restore.
#[test]
fn what_is_said_about_a_policy_that_is_left_out_goes_with_it() {
    let dump = "CREATE POLICY p ON s.t TO app_user USING (true);\nCREATE POLICY q ON s.t USING (true);\n\
                COMMENT ON POLICY p ON s.t IS 'x';\nCOMMENT ON POLICY q ON s.t IS 'x';\nCOMMENT ON TABLE s.t IS 'x';\n";
    for superuser_only in [false, true] {
        let no_policies = options(|options| (options.no_policies, options.superuser_only) = (true, superuser_only));
        assert_eq!(whole(dump, no_policies).trim(), "COMMENT ON TABLE s.t IS 'x';");
        let no_privileges = options(|options| (options.no_privileges, options.superuser_only) = (true, superuser_only));
        let below = whole(dump, no_privileges);
        assert!(!below.contains("POLICY p") && below.matches("POLICY q").count() == 2, "{below}");
    }
}

#[test]
fn an_index_is_told_with_its_table() {
    let options = options(|options| options.superuser_only = true);
    let lost = "CREATE FUNCTION s.lost(integer) RETURNS integer LANGUAGE internal AS 'int4abs';\n";
    let index = |schema: &str| format!("CREATE UNIQUE INDEX once ON {schema}.t USING btree (s.lost(a));\n");
    let below = whole(&format!("{lost}{}{}", index("a"), index("b")), options);
    for text in ["UNIQUE INDEX once ON a.t", "UNIQUE INDEX once ON b.t"] {
        assert!(below.contains(&crate::format::hex(text.as_bytes())), "{text} in {below}");
    }
}

/// A grant on a function or a wrapper of an extension ended every restore without it; and what a user had in a schema of an
/// extension lost its privileges, so that a function that was closed to all was open.
#[test]
fn privileges_go_with_exactly_what_an_extension_has() {
    let of_extension = "GRANT ALL ON FUNCTION cron.schedule(text) TO app_user;\nGRANT USAGE ON FOREIGN DATA WRAPPER remote TO app_user;\n\
        GRANT ALL ON FUNCTION cron.unschedule(job bigint) TO app_user;\nGRANT USAGE ON LANGUAGE plv8 TO app_user;\nGRANT ALL ON TYPE cron.kind TO app_user;\n";
    let of_user = "CREATE FUNCTION cron.own() RETURNS integer\n    LANGUAGE sql\n    AS 'SELECT 1';\n\
        REVOKE ALL ON FUNCTION cron.own() FROM PUBLIC;\nGRANT SELECT ON TABLE cron.archive TO app_user;\nCOMMENT ON TABLE cron.archive IS 'x';\n\
        CREATE FUNCTION cron.unschedule(integer) RETURNS integer\n    LANGUAGE sql\n    AS 'SELECT 1';\n\
        GRANT ALL ON FUNCTION cron.unschedule(integer) TO app_user;\n";
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut options = without("pg_cron");
    options.members = ExtensionMembers::new(&[Extension {
        name: "pg_cron".to_owned(),
        schemas: vec!["cron".to_owned()],
        objects: vec![
            words(&["function", "cron", "schedule"]),
            words(&["function", "cron", "unschedule", "job bigint"]),
            words(&["wrapper", "remote"]),
            words(&["language", "plv8"]),
            words(&["type", "cron", "kind"]),
        ],
        ..Extension::default()
    }]);
    // Whose schema is there: else it is made for what the user has in it.
    options.existing_schemas.insert(b"cron".to_vec());
    let below = whole(&format!("{of_user}{of_extension}"), options);
    assert_eq!(below.trim(), of_user.trim());
}

/// An operator stands behind its schema's dot and is no name: views and constraints that use one failed every drill.
#[test]
fn operators_and_nameless_functions_of_a_missing_extension_are_tried() {
    let prepare: Prepare = Box::new(|head: &DumpHead| {
        Ok(PreparedTarget {
            missing: vec![(head.extensions[0].name.clone(), "it is not here".into())],
            rights: Some(ServerRights::default()),
            ..PreparedTarget::default()
        })
    });
    let options = options(|options| {
        options.superuser_only = true;
        options.members = ExtensionMembers::new(&[Extension {
            name: "pg_trgm".to_owned(),
            objects: vec![vec!["function".to_owned(), "pg_catalog".to_owned(), "file_read".to_owned()]],
            ..Extension::default()
        }]);
    });
    let mut filter = Filter::with_head(options, prepare, BufferSink::default());
    let dump = "CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;\n\
        CREATE VIEW s.near AS\n SELECT t.x\n   FROM s.t\n  WHERE (t.x OPERATOR(public.%) 'abd'::text);\n\
        CREATE VIEW s.file AS\n SELECT file_read('x'::text) AS r;\n\
        CREATE VIEW s.plain AS\n SELECT (t.a OPERATOR(pg_catalog.+) 1) AS b\n   FROM s.t;\n";
    filter.put(dump.as_bytes()).unwrap();
    let below = String::from_utf8(filter.finish().unwrap().below).unwrap();
    for tried in ["$CREATE VIEW s.near", "$CREATE VIEW s.file", "\nCREATE VIEW s.plain"] {
        assert!(below.contains(tried), "{tried} in {below}");
    }
}

/// A transform for a type that is built in takes its owner, and failed the drill.
#[test]
fn a_transform_is_up_to_the_server() {
    let options = options(|options| options.superuser_only = true);
    let below = whole(
        "CREATE TRANSFORM FOR integer LANGUAGE sql (FROM SQL WITH FUNCTION pg_catalog.f(internal));\n",
        options,
    );
    assert!(below.contains("$CREATE TRANSFORM"), "{below}");
}

/// A table without rows of its own, such as a partitioned one or a view, had no schema to go to.
#[test]
fn a_dump_of_chosen_tables_brings_their_schemas() {
    let dump = "CREATE TABLE \"S\".p (a integer)\nPARTITION BY RANGE (a);\nCREATE VIEW \"S\".v AS\n SELECT 1;\n\
        CREATE SEQUENCE t.q;\nCREATE TABLE there.x (a integer);\nCREATE INDEX i ON u.x USING btree (a);\n";
    let options = options(|options| {
        options.makes_schemas = true;
        options.existing_schemas.insert(b"there".to_vec());
    });
    let Filtered { changes, below } = try_filtered(dump.as_bytes(), &options, usize::MAX).unwrap();
    let below = String::from_utf8(below).unwrap();
    assert_eq!(changes.schemas_made, ["S", "t"]);
    assert!(below.starts_with("CREATE SCHEMA \"S\";\nCREATE TABLE"), "{below}");
    assert!(
        below.contains("CREATE SCHEMA t;\nCREATE SEQUENCE") || below.contains("CREATE SCHEMA t;\n\nCREATE SEQUENCE"),
        "{below}"
    );
    assert_eq!(below.matches("CREATE SCHEMA").count(), 2, "{below}");
}

/// Passwords in the options of user mappings stood in the answer and in the report of a drill.
#[test]
fn no_string_of_a_dump_is_told() {
    let dump = "CREATE USER MAPPING FOR reader SERVER s OPTIONS (\n    password 'Sup3rS3cret',\n    \"user\" 'u'\n);\n\
        CREATE FUNCTION s.lost(x text DEFAULT 'Sup3rS3cret'::text) RETURNS integer LANGUAGE internal AS 'int4abs';\n\
        ALTER TABLE ONLY s.t ALTER COLUMN a SET DEFAULT s.lost('Sup3rS3cret'::text);\n\
        ALTER PUBLICATION p ADD TABLES IN SCHEMA s WHERE ((a)::text = 'Sup3rS3cret'::text);\n";
    for superuser_only in [false, true] {
        let options = options(|options| (options.no_privileges, options.superuser_only) = (true, superuser_only));
        let changes = try_filtered(dump.as_bytes(), &options, usize::MAX).unwrap().changes;
        let told = format!("{:?} {:?}", changes.left_out, changes.not_restored);
        assert!(!told.contains("Sup3r"), "{told}");
        assert!(told.contains("reader SERVER s\""), "{told}");
    }
}

/// Whatever speaks of the schema of an extension that is left out ended the restore; what a user had in it was lost.
#[test]
fn a_schema_of_a_left_out_extension_is_made_for_what_a_user_has_in_it() {
    let of_schema = "ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA cron GRANT SELECT ON TABLES TO app_user;\n\
        ALTER PUBLICATION p ADD TABLES IN SCHEMA cron;\nGRANT USAGE ON SCHEMA cron TO app_user;\n";
    assert_eq!(whole(of_schema, without("pg_cron")).trim(), "");
    let own = "CREATE TABLE cron.archive (a integer);\nCOPY cron.archive (a) FROM stdin;\n9\n\\.\n";
    let Filtered { changes, below } = try_filtered(format!("{own}{of_schema}").as_bytes(), &without("pg_cron"), usize::MAX).unwrap();
    assert_eq!(changes.schemas_made, ["cron"]);
    for first in [
        "CREATE OPERATOR cron.+ (\n    FUNCTION = s.f,\n    LEFTARG = integer\n);\n",
        "CREATE TEXT SEARCH CONFIGURATION cron.c (\n    PARSER = pg_catalog.\"default\" );\n",
    ] {
        assert!(whole(first, without("pg_cron")).starts_with("CREATE SCHEMA cron;\n"), "{first}");
    }
    assert_eq!(String::from_utf8(below).unwrap(), format!("CREATE SCHEMA cron;\n{own}{of_schema}"));

    let mut drill = without("pg_cron");
    drill.superuser_only = true;
    let prepare: Prepare = Box::new(|head: &DumpHead| {
        Ok(PreparedTarget {
            missing: vec![(head.extensions[0].name.clone(), "it is not here".into())],
            rights: Some(ServerRights::default()),
            ..PreparedTarget::default()
        })
    });
    let mut filter = Filter::with_head(drill, prepare, BufferSink::default());
    let extension = "CREATE EXTENSION IF NOT EXISTS pg_cron WITH SCHEMA pg_catalog;\n";
    filter.put(format!("{extension}{own}").as_bytes()).unwrap();
    let below = String::from_utf8(filter.finish().unwrap().below).unwrap();
    assert!(below.contains("CREATE SCHEMA cron;") && below.contains("\n9\n"), "{below}");
}

/// A part of a database holds no `CREATE EXTENSION`: the value of an extension's sequence ended the drill.
#[test]
fn what_a_left_out_extension_has_goes_with_it_in_a_part_too() {
    let dump = "COPY cron.job (jobid) FROM stdin;\n5\n\\.\nSELECT pg_catalog.setval('cron.jobid_seq', 5, true);\n\
        GRANT SELECT ON TABLE cron.job TO app_user;\nCOMMENT ON TABLE cron.job IS 'x';\n";
    for superuser_only in [false, true] {
        let mut options = without("pg_cron");
        options.superuser_only = superuser_only;
        assert_eq!(whole(dump, options).trim(), "", "{superuser_only}");
    }
}
