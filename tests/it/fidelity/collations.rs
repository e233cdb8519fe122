//! Collations of the source's operating system: no dump makes them, and another system need not have them.

use super::databases::locale;
use super::{Fixture, some_tells};
use crate::support::postgres::Server;
use serde_json::{Value, json};

/// What initdb takes from a system that has the locales, and all kinds of what may use it.
const USES: &str = "create collation pg_catalog.\"de_DE.utf8\" (locale = 'de_DE.utf8'); create collation pg_catalog.\"de_DE\" (locale = 'de_DE.utf8');
    create collation pg_catalog.\"fr_FR.utf8\" (locale = 'fr_FR.utf8'); create collation pg_catalog.\"fr_FR\" (locale = 'fr_FR.utf8');
    create table t (a text collate \"de_DE.utf8\", b text); insert into t values ('b', 'x'), ('Z', 'y');
    create index by_b on t (b collate \"fr_FR.utf8\"); create view v as select b collate \"fr_FR\" as c from t;
    create table keyed (k text) partition by range (k collate \"de_DE\"); create table keyed_1 partition of keyed for values from ('a') to ('Z');
    insert into keyed values ('b'); create collation mine (locale = 'es_ES.utf8'); create table u (a text collate mine); insert into u values ('x')";

fn backup(fixture: &Fixture, name: &str, sql: &str) -> String {
    fixture
        .server
        .psql("postgres", &format!("create database {name} encoding 'UTF8' template template0"));
    fixture.server.psql(name, sql);
    fixture.server.let_dumper_read(name, "public");
    fixture.backup(name, json!({})).1
}

/// Each failed the drill, which named an extension as the cause; and a restore was told nothing before its rows.
#[test]
fn collations_of_the_source_s_system_are_made_for_a_drill_and_told_elsewhere() {
    let folder = tempfile::tempdir().expect("a folder");
    for language in ["de_DE", "fr_FR", "es_ES"] {
        locale(folder.path(), language, &format!("{language}.utf8"));
    }
    locale(folder.path(), "de_DE", "xx_XX.utf8");
    let with_locales = |major: u32| {
        let builder = Server::builder().major(major);
        builder.environment("LOCPATH", &folder.path().display().to_string()).start()
    };
    for major in [10, 15] {
        let fixture = Fixture::new(with_locales(major));
        let place = backup(&fixture, "uses", USES);
        let collation = |name: Option<&str>, locale: &str| match name {
            Some(name) => json!({"name": name, "collate": locale, "ctype": locale}),
            None => json!({"collate": locale, "ctype": locale}),
        };
        let mut sealed = fixture.inventory(&place)["system_collations"].as_array().expect("a list").clone();
        sealed.sort_by_key(Value::to_string);
        let mut expected = vec![
            collation(None, "es_ES.utf8"),
            collation(Some("de_DE"), "de_DE.utf8"),
            collation(Some("de_DE.utf8"), "de_DE.utf8"),
            collation(Some("fr_FR"), "fr_FR.utf8"),
            collation(Some("fr_FR.utf8"), "fr_FR.utf8"),
        ];
        expected.sort_by_key(Value::to_string);
        assert_eq!(sealed, expected);
        let by_hand = fixture.recovery_instructions(&place);
        assert!(by_hand.contains("jq .system_collations") && !by_hand.contains("fr_FR"), "{by_hand}");
        let (said, report) = fixture.drill(&place);
        assert_eq!((said.code, &report["outcome"]), (0, &json!("passed")), "{major}: {report}");
        assert_eq!(
            (&report["warnings"], report.get("not_restored")),
            (&json!([]), None),
            "{major}: {report}"
        );

        // A server without them says so before the rows, and what helps.
        let said = fixture.restore(&fixture.server, &place, "copy", &["--create"]);
        assert_eq!(said.code, 7, "{}", said.stderr);
        for word in ["lacks collations", "de_DE.utf8", "pg_import_system_collations"] {
            assert!(said.stderr.contains(word), "{word}: {}", said.stderr);
        }
        assert!(!said.stderr.contains("extension"), "{}", said.stderr);
    }

    // Of this locale there are no sources: another one is taken, and named where it matters.
    let fixture = Fixture::new(with_locales(15));
    let other = "create collation pg_catalog.\"xx_XX.utf8\" (locale = 'xx_XX.utf8'); create table t (a text collate \"xx_XX.utf8\");
        insert into t values ('a')";
    let (said, report) = fixture.drill(&backup(&fixture, "harmless", other));
    assert_eq!((said.code, &report["outcome"]), (0, &json!("passed")), "{report}");
    assert!(some_tells(&report["warnings"], &["xx_XX.utf8", "C.UTF-8"]), "{report}");
    let range = "create collation pg_catalog.\"xx_XX.utf8\" (locale = 'xx_XX.utf8');
        create table t (w text) partition by range (w collate \"xx_XX.utf8\"); create table a partition of t for values from ('a') to ('Z');
        insert into t values ('b')";
    let (said, report) = fixture.drill(&backup(&fixture, "broken", range));
    let message = report["error"]["message"].as_str().unwrap_or_default();
    assert!(said.code == 7 && message.contains("xx_XX.utf8"), "{report}");

    // Nothing of the system: nothing is sealed.
    let place = backup(
        &fixture,
        "plain",
        "create table t (a text, b text collate \"C\"); insert into t values ('a')",
    );
    assert_eq!(fixture.inventory(&place).get("system_collations"), None);
    assert!(!fixture.recovery_instructions(&place).contains("system_collations"));
}
