//! The database itself: its encoding, locale, settings, rights and names.

use super::{Fixture, some_tells};
use crate::support::postgres::{Server, debian_major};
use crate::support::restore::dump_with;
use pgseal::format::database_properties::CONVERTIBLE;
use serde_json::json;
use std::process::Command;

/// A psql that speaks the database's own encoding and may answer in it.
fn query(server: &Server, database: &str, sql: &str) -> Vec<u8> {
    let mut psql = server.psql_command(database);
    let output = psql.env_remove("PGCLIENTENCODING").args(["-c", sql]).output().expect("psql starts");
    assert!(output.status.success(), "{database}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

const PROPERTIES: &str = "select pg_encoding_to_char(encoding), datcollate, datctype, datlocprovider, daticulocale from pg_database
    where datname = current_database()";

struct Case {
    name: &'static str,
    clause: &'static str,
    sql: &'static str,
    /// A text that the application reads again afterwards.
    read: &'static str,
    /// Tables of the inventory.
    tables: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        name: "ascii",
        clause: "encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C' template template0",
        sql: r"do $$ begin
                   execute format('create table %I (t text)', E'n\xe9'); execute format('create table %I (t text)', E'n\xe8');
                   execute format('insert into %I values (%L)', E'n\xe9', E'caf\xe9 \xff');
               end $$;
               create table utf (t text); insert into utf values ('größe'), ('plain')",
        read: "select sum(length(t)) from utf",
        tables: &["public.E\"n\\xe8\"", "public.E\"n\\xe9\"", "public.utf"],
    },
    Case {
        name: "latin",
        clause: "encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0",
        sql: r#"create table "né" (t text); create table "nè" (t text); insert into "né" values ('größe'), (E'\x81')"#,
        read: r#"select sum(length(t)) from pg_class c, lateral (select 'x' as t) x where relname ~ '^n.$'"#,
        tables: &["public.\"nè\"", "public.\"né\""],
    },
    Case {
        // 81 has no character in it: a dump in UTF-8 would fail for good.
        name: "windows",
        clause: "encoding 'WIN1252' lc_collate 'C' lc_ctype 'C' template template0",
        sql: r#"create table "größe" (t text); insert into "größe" values ('5 €'), (E'\x81')"#,
        read: "select count(*) from pg_class where relkind = 'r' and length(relname) = 5 and relname like 'gr%'",
        tables: &["public.\"größe\""],
    },
    Case {
        name: "japanese",
        clause: "encoding 'EUC_JP' lc_collate 'C' lc_ctype 'C' template template0",
        sql: r#"create table "日本" (t text); insert into "日本" values ('東京')"#,
        read: "select 1",
        tables: &["public.\"日本\""],
    },
    Case {
        // ß sorts with ss in ICU's order and behind z in the order of bytes: the check holds in the former alone.
        name: "icu",
        clause: "encoding 'UTF8' locale_provider icu icu_locale 'de' lc_collate 'C' lc_ctype 'C' template template0",
        sql: "create table words (w text check (w < 'z')); insert into words values ('ßa'), ('Äpfel')",
        read: "select count(*) from words where w < 'z'",
        tables: &["public.words"],
    },
    Case {
        name: "quoted",
        clause: "encoding 'UTF8' lc_collate 'C.UTF-8' lc_ctype 'C.UTF-8' template template0",
        sql: r#"create schema "Mixed Case"; create table "Mixed Case"."a ""b""; (c) FROM stdin" ("select" int, "x y" text);
                insert into "Mixed Case"."a ""b""; (c) FROM stdin" values (1, 'COPY'); create table "order" (id int)"#,
        read: "select 1",
        tables: &["\"Mixed Case\".\"a \"\"b\"\"; (c) FROM stdin\"", "public.order"],
    },
];

#[test]
fn databases_of_each_encoding_and_locale_come_back_as_they_were() {
    let fixture = Fixture::new(Server::start());
    let server = &fixture.server;
    for case in CASES {
        let Case { name, clause, sql, .. } = case;
        server.psql("postgres", &format!("create database {name} {clause}"));
        server.psql(name, sql);
        let (entry, place) = fixture.backup(name, json!({}));
        assert_eq!(entry["warnings"], json!([]), "{name}");
        let inventory = fixture.inventory(&place);
        let mut tables: Vec<&str> = inventory["tables"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|table| table["name"].as_str())
            .collect();
        tables.sort_unstable();
        assert_eq!(tables, case.tables, "{name}");

        let copy = format!("{name}_copy");
        let report = fixture.restored(server, &place, &copy, &["--create"]);
        assert_eq!(report["warnings"], json!([]), "{name}");
        assert_eq!(query(server, name, PROPERTIES), query(server, &copy, PROPERTIES), "{name}");
        assert_eq!(query(server, name, case.read), query(server, &copy, case.read), "{name}");
        assert!(
            dump_with(server, name, &[]) == dump_with(server, &copy, &[]),
            "{name} and its copy differ"
        );

        let (said, report) = fixture.drill(&place);
        assert_eq!((said.code, &report["outcome"]), (0, &json!("passed")), "{name}: {report}");
        assert_eq!(report["warnings"], json!([]), "{name}");
    }
}

/// Without a superuser: `dumper` sees what everybody sees.
#[test]
fn what_belongs_to_the_database_itself_comes_back() {
    let fixture = Fixture::new(Server::start());
    let server = &fixture.server;
    server.psql(
        "postgres",
        "create role app_owner; create role app_reader; create role helper; create database app owner app_owner;
         alter database app set search_path = app, \"$user\", \"Odd, name\"; alter database app set timezone = 'Asia/Tokyo';
         alter database app set my.note = 'it''s; \\! id'; alter role app_reader in database app set statement_timeout = '5s';
         comment on database app is 'orders'' home'; alter database app connection limit 50;
         revoke connect on database app from public; grant connect on database app to dumper;
         set session authorization app_owner; grant create on database app to helper with grant option;
         set session authorization helper; grant create on database app to app_reader",
    );
    server.psql(
        "app",
        "create schema app authorization app_owner; create table app.t (a int); grant select on app.t to app_reader",
    );
    let (_, place) = fixture.backup("app", json!({"globals": true}));
    let inventory = fixture.inventory(&place);
    assert_eq!(inventory["owner"], "app_owner");
    assert_eq!(inventory["settings"]["my.note"], "it's; \\! id");
    assert_eq!(inventory["role_settings"]["app_reader"]["statement_timeout"], "5s");
    // Those of the dump: others stand with what they may do at the database, or with their settings.
    assert_eq!(inventory["roles"], json!(["app_owner", "app_reader", "postgres"]));
    assert!(
        inventory["system_identifier"].as_str().is_some_and(|id| id.parse::<u64>().is_ok()),
        "{inventory}"
    );
    assert!(inventory["database_oid"].as_u64() > Some(16383), "{inventory}");
    assert!(inventory["plain_lengths"]["globals"].as_u64() > Some(100), "{inventory}");
    assert_eq!(inventory["plain_lengths"]["dump"], inventory["plain_bytes"]);

    let state = "select pg_get_userbyid(datdba), datconnlimit, shobj_description(oid, 'pg_database'),
        (select array_agg(a::text order by 1) from unnest(datacl) a), (select array_agg(x order by 1) from
        (select coalesce(rolname, '') || setconfig::text as x from pg_db_role_setting left join pg_roles r on r.oid = setrole where setdatabase = d.oid) x)
        from pg_database d where datname = current_database()";
    let report = fixture.restored(server, &place, "copy", &["--create"]);
    assert_eq!(report["warnings"], json!([]));
    assert_eq!(server.psql("app", state), server.psql("copy", state));
    assert!(server.psql("copy", "show search_path").contains("\"Odd, name\""));

    // Into a database that somebody else made nothing of it is forced; it is said.
    server.psql("postgres", "create database plain");
    let report = fixture.restored(server, &place, "plain", &[]);
    assert!(some_tells(&report["warnings"], &["not applied", "--create"]), "{report}");
    assert_eq!(server.psql("plain", "show timezone"), server.psql("postgres", "show timezone"));

    // Where the roles are missing, each loss is named.
    let other = Server::start();
    let report = fixture.restored(&other, &place, "app", &["--create", "--no-owner", "--no-privileges"]);
    assert!(some_tells(&report["warnings"], &["app_reader", "no such role"]), "{report}");
    let report = fixture.restored(&other, &place, "again", &["--create", "--globals"]);
    assert!(!some_tells(&report["warnings"], &["no such role"]), "{report}");
    assert_eq!(server.psql("app", state), other.psql("again", state));

    let (said, report) = fixture.drill(&place);
    assert_eq!((said.code, &report["outcome"]), (0, &json!("passed")), "{report}");
}

/// The sources of locales are of Debian's package `locales`; a server finds what localedef made of them by `LOCPATH`.
pub(super) fn locale(folder: &std::path::Path, source: &str, name: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).expect("its permissions");
    let made = Command::new("localedef")
        .args(["--no-archive", "-i", source, "-f", "UTF-8"])
        .arg(folder.join(name))
        .output();
    let made = made.expect("localedef starts");
    assert!(
        folder.join(name).join("LC_COLLATE").is_file(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
}

#[test]
fn a_locale_that_is_missing_is_made_or_named() {
    let folder = tempfile::tempdir().expect("a folder");
    locale(folder.path(), "de_DE", "de_DE.UTF-8");
    locale(folder.path(), "de_DE", "xx_XX.UTF-8");
    let fixture = Fixture::new(
        Server::builder()
            .environment("LOCPATH", &folder.path().display().to_string())
            .start(),
    );
    let server = &fixture.server;
    let make = |name: &str, locale: &str, sql: &str| {
        let clause = format!("encoding 'UTF8' lc_collate '{locale}' lc_ctype '{locale}' template template0");
        server.psql("postgres", &format!("create database {name} {clause}"));
        server.psql(name, sql);
        fixture.backup(name, json!({})).1
    };
    // In the order of bytes this range is empty.
    let range = "create table t (w text) partition by range (w); create table a partition of t for values from ('a') to ('Z'); insert into t values ('b')";
    let german = make("german", "de_DE.UTF-8", range);
    fixture.restored(server, &german, "copy", &["--create"]);

    // A server that lacks it cannot make the database; a drill makes the locale itself.
    let other = Server::start();
    let said = fixture.restore(&other, &german, "copy", &["--create"]);
    assert_eq!(said.code, 7, "{}", said.stderr);
    for word in ["restore_failed", "locale", "de_DE.UTF-8", "createdb --template=template0"] {
        assert!(said.stderr.contains(word), "{word}: {}", said.stderr);
    }
    let (said, report) = fixture.drill(&german);
    assert_eq!((said.code, &report["outcome"]), (0, &json!("passed")), "{report}");
    assert_eq!(report["warnings"], json!([]), "{report}");

    // Of this one there are no sources: the drill says that it used another, and that it may be the reason.
    let harmless = make("harmless", "xx_XX.UTF-8", "create table t (w text); insert into t values ('a')");
    let (said, report) = fixture.drill(&harmless);
    assert_eq!((said.code, &report["outcome"]), (0, &json!("passed")), "{report}");
    assert!(some_tells(&report["warnings"], &["xx_XX.UTF-8", "C.UTF-8"]), "{report}");
    let broken = make("broken", "xx_XX.UTF-8", range);
    let (said, report) = fixture.drill(&broken);
    assert_eq!(said.code, 7, "{report}");
    let message = report["error"]["message"].as_str().expect("a message");
    assert!(message.contains("locale") && message.contains("xx_XX.UTF-8"), "{message}");
}

#[test]
fn a_name_that_a_newer_major_reserves_is_restored_there() {
    let fixture = Fixture::new(Server::start());
    fixture
        .server
        .create_app("create table audit (id int, system_user text); insert into audit values (1, 'root')");
    let (_, place) = fixture.backup("app", json!({}));
    let target = Server::builder().major(18).start();
    fixture.restored(&target, &place, "app", &["--create", "--no-owner", "--no-privileges"]);
    assert_eq!(target.psql("app", "select \"system_user\" from audit"), "root");
}

#[test]
fn globals_need_no_other_database_and_no_name_is_a_connection_string() {
    let fixture = Fixture::new(Server::start());
    let server = &fixture.server;
    for closed in ["postgres", "template1"] {
        server.psql("postgres", &format!("revoke connect on database {closed} from public"));
    }
    for name in ["app", "it's \\ host=evil port=1"] {
        server.psql("postgres", &format!("create database \"{name}\""));
        let (entry, place) = fixture.backup(name, json!({"globals": true}));
        assert!(
            entry["objects"]
                .as_array()
                .expect("objects")
                .iter()
                .any(|object| object["role"] == "globals")
        );
        let arguments = ["decrypt", &place, "--key", &fixture.key(), "--what", "globals"];
        let globals = crate::support::pgseal::Pgseal::new(&arguments).envs(fixture.bucket.env()).run();
        assert!(
            globals.stdout.contains("CREATE ROLE \"dumper\""),
            "{}{}",
            globals.stdout,
            globals.stderr
        );
    }
}

#[test]
fn options_of_user_mappings_that_are_hidden_are_told() {
    let fixture = Fixture::new(Server::start());
    fixture.server.psql("postgres", "create role app_reader");
    fixture.server.create_app(
        "create extension postgres_fdw; create server far foreign data wrapper postgres_fdw options (host 'x');
         create user mapping for app_reader server far options (user 'u', password 's3cret')",
    );
    let (entry, place) = fixture.backup("app", json!({}));
    let words = ["user mappings", "app_reader at far"];
    assert!(some_tells(&entry["warnings"], &words), "{entry}");
    assert!(some_tells(&fixture.inventory(&place)["warnings"], &words));
    let checked = fixture.run("check", "app", json!({})).receipt();
    let selection = checked["checks"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|check| check["name"] == "selection");
    assert!(
        some_tells(&selection.expect("the check")["detail"]["warnings"], &words),
        "{checked}"
    );
    // A superuser sees them, and so does the dump.
    let (entry, _) = fixture.backup("app", json!({"user": "owner"}));
    assert_eq!(entry["warnings"], json!([]));
}

#[test]
fn encodings_that_are_dumped_in_utf8_are_those_whose_every_byte_converts() {
    let server = Server::start();
    server.psql(
        "postgres",
        "create function converts(encoding text) returns bool language plpgsql as $$ begin
             for i in 128..255 loop
                 if convert(convert(set_byte('\\x00'::bytea, 0, i), encoding, 'UTF8'), 'UTF8', encoding) <> set_byte('\\x00'::bytea, 0, i) then
                     return false;
                 end if;
             end loop;
             return true;
         exception when others then return false; end $$",
    );
    let single_bytes = "select pg_encoding_to_char(i) from generate_series(1, 41) i where pg_encoding_to_char(i) <> ''
        and pg_encoding_max_length(i) = 1 and converts(pg_encoding_to_char(i))";
    let mut convertible: Vec<String> = server.psql("postgres", single_bytes).lines().map(str::to_owned).collect();
    convertible.push("UTF8".to_owned());
    convertible.sort_unstable();
    let mut ours: Vec<&str> = CONVERTIBLE.to_vec();
    ours.sort_unstable();
    assert_eq!(ours, convertible);
}

/// Older servers have other columns, and newer ones other providers.
#[test]
fn each_major_tells_its_properties_and_takes_them_again() {
    for major in [10, 16, 17, 18] {
        let fixture = Fixture::new(Server::builder().major(major).start());
        let server = &fixture.server;
        let clause = match major {
            17 | 18 => "locale_provider builtin builtin_locale 'C.UTF-8' lc_collate 'C' lc_ctype 'C'",
            _ => "lc_collate 'C' lc_ctype 'C'",
        };
        server.psql(
            "postgres",
            &format!("create database app encoding 'UTF8' {clause} template template0"),
        );
        server.psql(
            "app",
            "create table t (i int); insert into t values (1); comment on database app is 'x'",
        );
        server.let_dumper_read("app", "public");
        let (entry, place) = fixture.backup("app", json!({}));
        assert_eq!(entry["warnings"], json!([]), "{major}");
        let inventory = fixture.inventory(&place);
        let provider = if major >= 17 { "builtin" } else { "libc" };
        assert_eq!(
            (&inventory["locale_provider"], &inventory["comment"]),
            (&json!(provider), &json!("x")),
            "{major}"
        );
        let report = fixture.restored(server, &place, "copy", &["--create"]);
        assert_eq!(report["warnings"], json!([]), "{major}");
        let shown = "select shobj_description(oid, 'pg_database'), datcollate from pg_database where datname = current_database()";
        assert_eq!(server.psql("copy", shown), server.psql("app", shown));
    }
    assert!(debian_major() >= 15, "the other tests need ICU as a provider");
}
