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
    ExtensionMembers::new(&[
        Extension {
            name: "pg_cron".to_owned(),
            schemas: vec!["cron".to_owned()],
            relations: vec![relation("cron", "job"), relation("cron", "jobid_seq")],
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
    assert_eq!(whole(own, without("pg_cron")), own);
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
            missing: vec![(b"pg_cron".to_vec(), "it is not here".to_owned())],
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
