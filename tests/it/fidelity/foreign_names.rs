//! Names of roles are shared by all databases of a server, in whatever encoding their makers wrote.

use super::{Fixture, some_tells};
use crate::support::postgres::Server;
use serde_json::json;

/// A server with a database in each of these encodings, and a role whose name is no UTF-8.
fn fixture() -> Fixture {
    let fixture = Fixture::new(Server::start());
    let server = &fixture.server;
    server.psql("postgres", "create role app_owner; create role reader");
    for (name, encoding) in [("bytes", "SQL_ASCII"), ("japan", "EUC_JP"), ("letters", "UTF8")] {
        let clause = format!("encoding '{encoding}' lc_collate 'C' lc_ctype 'C' template template0 owner app_owner");
        server.psql("postgres", &format!("create database {name} {clause}"));
        server.psql(name, "create table t (i int); insert into t values (1)");
        let sql =
            "revoke connect on database # from public; grant connect on database # to dumper; alter database # set timezone = 'Asia/Tokyo'";
        server.psql("postgres", &sql.replace('#', name));
    }
    strange(server, "create role %I");
    fixture
}

/// Runs SQL with a name that is no UTF-8, in a database that takes any bytes.
fn strange(server: &Server, sql: &str) {
    let sql = sql.replace('\'', "''");
    let run = format!("set client_encoding = 'SQL_ASCII'; do $$ begin execute format('{sql}', E'r\\351\\217'); end $$");
    server.psql("bytes", &run);
}

const STATE: &str = "select pg_get_userbyid(datdba), (select count(*) from unnest(datacl)), (select setconfig from pg_db_role_setting where setdatabase = d.oid)
    from pg_database d where datname = current_database()";

/// The restore had read all names of roles, and failed after the dump was in: without owner and settings.
#[test]
fn a_foreign_role_whose_name_is_no_utf8_spoils_no_restore() {
    let fixture = fixture();
    for name in ["bytes", "japan", "letters"] {
        let (entry, place) = fixture.backup(name, json!({}));
        assert_eq!(entry["warnings"], json!([]), "{name}");
        let copy = format!("{name}_copy");
        let report = fixture.restored(&fixture.server, &place, &copy, &["--create"]);
        assert_eq!(report["warnings"], json!([]), "{name}");
        assert_eq!(fixture.server.psql(name, STATE), fixture.server.psql(&copy, STATE), "{name}");
    }
}

/// The list of privileges came out empty, and everybody lost CONNECT without a word.
#[test]
fn privileges_by_an_owner_that_is_no_text_are_unknown_and_told() {
    let fixture = fixture();
    for name in ["bytes", "japan"] {
        strange(&fixture.server, &format!("alter database {name} owner to %I"));
        let (entry, place) = fixture.backup(name, json!({}));
        assert!(some_tells(&entry["warnings"], &["owner", "privileges"]), "{name}: {entry}");
        let inventory = fixture.inventory(&place);
        assert_eq!(
            (&inventory["privileges"], &inventory["owner"]),
            (&json!(null), &json!(null)),
            "{name}"
        );
        assert_eq!(inventory["settings"]["TimeZone"], "Asia/Tokyo", "{name}: {inventory}");
        let report = fixture.restored(
            &fixture.server,
            &place,
            &format!("{name}_copy"),
            &["--create", "--no-owner", "--no-privileges"],
        );
        assert!(
            some_tells(&report["warnings"], &["owner", "privileges", "by hand"]),
            "{name}: {report}"
        );
    }
}

/// Its bytes were read as UTF-8, in which they are another letter.
#[test]
fn a_comment_is_read_in_the_encoding_of_its_database() {
    let fixture = fixture();
    fixture.server.psql("japan", "comment on database japan is '日本 ÅÄ'");
    strange(&fixture.server, "alter role %I in database japan set work_mem = '8MB'");
    let (entry, place) = fixture.backup("japan", json!({}));
    assert!(some_tells(&entry["warnings"], &["settings of roles"]), "{entry}");
    assert_eq!(fixture.inventory(&place)["comment"], "日本 ÅÄ");
}
