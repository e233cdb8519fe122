//! What a restore can know before the first row, it says before the first row.

use super::sealed::{Order, dump, write};
use super::{Fixture, text};
use crate::support::pgseal::{CommandOutput, Pgseal};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub(super) fn into(fixture: &Fixture, bin: &Path, arguments: &[&str]) -> CommandOutput {
    let psql = fixture.server.psql_command("postgres");
    let set = psql
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value?.to_str()?.to_owned())));
    Pgseal::new(arguments)
        .envs(set)
        .env("PGSEAL_PG_BIN", bin)
        .envs(fixture.bucket.env())
        .run()
}

fn restore(fixture: &Fixture, to: &str, more: &[&str]) -> CommandOutput {
    let (backup, key) = (fixture.at_s3(), fixture.key());
    let arguments = ["restore", &backup, "--key", &key, "--to", to];
    into(fixture, fixture.server.bin(), &[&arguments, more].concat())
}

fn refused(said: &CommandOutput, words: &[&str]) {
    said.failed("restore_failed", 7);
    for word in words {
        assert!(said.stderr.contains(word), "{word}: {}", said.stderr);
    }
}

/// Grants come behind the rows: a role that they lack was found after hours.
#[test]
fn a_role_that_the_target_lacks_is_named_before_a_database_is_made() {
    let fixture = Fixture::new(json!({}));
    fixture.server.psql(
        "app",
        "create role reader; create role \"Mr O'Hara\"; grant select on plain to reader, \"Mr O'Hara\"",
    );
    let backup = super::drills::backup(&fixture, json!({}));
    fixture
        .server
        .psql("app", "drop owned by reader, \"Mr O'Hara\"; drop role reader, \"Mr O'Hara\"");
    let key = fixture.key();
    let arguments = ["restore", &backup, "--key", &key, "--to", "dbname=copy", "--create"];
    let said = into(&fixture, fixture.server.bin(), &arguments);
    refused(
        &said,
        &["restore_failed", "reader", "Mr O'Hara", "--globals", "--no-owner --no-privileges"],
    );
    let copies = "select count(*) from pg_database where datname = 'copy'";
    assert_eq!(fixture.server.psql("postgres", copies), "0");
    // One that is there and empty is left so.
    fixture.server.psql("postgres", "create database empty");
    let arguments = ["restore", &backup, "--key", &key, "--to", "dbname=empty"];
    refused(&into(&fixture, fixture.server.bin(), &arguments), &["reader"]);
    assert_eq!(
        fixture
            .server
            .psql("empty", "select count(*) from pg_class where relname = 'plain'"),
        "0"
    );
    let without = [&arguments[..], &["--no-owner", "--no-privileges"]].concat();
    assert_eq!(into(&fixture, fixture.server.bin(), &without).code, 0);
}

#[test]
fn a_template_is_not_restored_into() {
    let fixture = Fixture::new(json!({}));
    fixture.server.psql("postgres", "create database service is_template true");
    for name in ["template1", "service"] {
        let said = restore(&fixture, &format!("dbname={name}"), &[]);
        refused(&said, &["restore_failed", name, "is a template", "--create"]);
    }
}

#[test]
fn another_encoding_is_named_before_the_rows_and_in_the_answer() {
    let fixture = Fixture::new(json!({}));
    fixture.server.psql(
        "postgres",
        "create database latin encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0",
    );
    let said = restore(&fixture, "dbname=latin", &[]);
    let report: Value = said.receipt();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("encoding is UTF8, the target's LATIN1"), "{report}");
    assert!(said.stderr.contains("encoding is UTF8, the target's LATIN1"), "{}", said.stderr);
}

#[test]
fn what_cannot_be_reached_says_what_helps() {
    let fixture = Fixture::new(json!({}));
    refused(&restore(&fixture, "dbname=not_yet", &[]), &["not_yet", "Add --create"]);
    refused(
        &restore(&fixture, "dbname=postgres user=nobody_here", &[]),
        &["nobody_here", "user="],
    );
}

#[test]
fn a_backup_that_is_not_whole_is_told_before_a_database_is_made() {
    let fixture = Fixture::new(json!({}));
    std::fs::remove_file(fixture.fetched().join(fixture.name_of("dump"))).expect("removed");
    let (folder, key) = (fixture.fetched(), fixture.key());
    let arguments = ["restore", text(&folder), "--key", &key, "--to", "dbname=copy", "--create"];
    let said = into(&fixture, fixture.server.bin(), &arguments);
    assert_eq!(said.code, 7, "{}", said.stderr);
    assert!(
        said.stderr.contains("no_backup") || said.stderr.contains("tampered"),
        "{}",
        said.stderr
    );
    let made = "select count(*) from pg_database where datname = 'copy'";
    assert_eq!(fixture.server.psql("postgres", made), "0");
}

/// A psql that refuses whatever has these words in its input.
fn stubborn_psql(fixture: &Fixture, words: &str) -> PathBuf {
    let folder = fixture.folder.path().join("bin");
    std::fs::create_dir(&folder).expect("a folder");
    let psql = folder.join("psql");
    let own = fixture.server.bin().join("psql");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--version*) exec {0} \"$@\";; esac\ninput=$(cat)\n\
         case \"$input\" in *'{words}'*) echo 'psql: error: no' >&2; exit 3;; esac\nprintf '%s\\n' \"$input\" | {0} \"$@\"\n",
        own.display()
    );
    std::fs::write(&psql, script).expect("written");
    std::fs::set_permissions(&psql, PermissionsExt::from_mode(0o755)).expect("it can be run");
    folder
}

#[test]
fn a_legacy_restore_that_fails_before_the_dump_says_that_its_new_database_is_left() {
    let fixture = Fixture::new(json!({}));
    let made = Order::legacy().seal(&dump(50));
    let folder = fixture.folder.path().join("legacy");
    std::fs::create_dir(&folder).expect("a folder");
    let mut objects = made.objects;
    objects.retain(|name, _| name.ends_with(".key.txt.enc") || name.ends_with(".sql.bz.enc"));
    write(&objects, &folder);
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/keys/recipient-a.pem");
    let bin = stubborn_psql(&fixture, "SHOW server_version_num");
    let arguments = [
        "restore",
        text(&folder),
        "--key",
        key,
        "--unauthenticated",
        "--create",
        "--to",
        "dbname=copy",
    ];
    refused(
        &into(&fixture, &bin, &arguments),
        &["the database copy, made by --create, may hold a part"],
    );
    // Longer than is allowed: no fault of the backup's.
    let more = [&arguments[..7], &["dbname=short", "--max-output", "100"]].concat();
    let said = into(&fixture, fixture.server.bin(), &more);
    assert_eq!(said.code, 2, "{}", said.stderr);
    for word in ["bad_usage", "Give a larger --max-output"] {
        assert!(said.stderr.contains(word), "{word}: {}", said.stderr);
    }
}

#[test]
fn a_place_without_a_backup_names_the_folders_in_it() {
    let fixture = Fixture::new(json!({}));
    let list = |place: &str| {
        let said = fixture.run(&["list", place]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        (said.receipt(), said.stderr)
    };
    let (answer, stderr) = list(&format!("s3://{}", fixture.bucket.name));
    assert_eq!(answer["folders"], json!(["backups/"]), "{answer}");
    assert!(
        stderr.contains("places of their own (1)") && stderr.contains("backups/"),
        "{stderr}"
    );
    let (answer, _) = list(text(fixture.folder.path()));
    assert_eq!(answer["folders"], json!(["fetched/"]), "{answer}");
    let (answer, _) = list(&format!("s3://{}/backups", fixture.bucket.name));
    assert_eq!(answer["folders"], Value::Null, "{answer}");
}

/// pg_dumpall, unlike pg_dump, ended by them, and `check` did not say so.
#[test]
fn a_timeout_of_the_login_is_told_by_check_and_does_not_end_the_roles() {
    let fixture = Fixture::new(json!({}));
    fixture.server.psql("postgres", "alter database app set statement_timeout = '1s'");
    let mut order = crate::support::invariants::event(&fixture.server, "app", &fixture.bucket);
    order["globals"] = json!(true);
    // The fixture's backup has its own name.
    order["scheduled_time"] = json!("2026-11-24T02:00:00Z");
    let run = |command: &str| {
        let text = order.to_string();
        Pgseal::new(&[command, "--event", &text])
            .envs(fixture.bucket.env())
            .envs(fixture.server.env())
            .run()
    };
    let checked = run("check").receipt();
    let found = checked["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .find(|check| check["name"] == "globals");
    let found = found.unwrap_or_else(|| panic!("{checked}"));
    assert_eq!(
        (&found["status"], &checked["status"]),
        (&json!("warning"), &json!("ok")),
        "{checked}"
    );
    assert!(
        found["detail"]["warning"].as_str().expect("text").contains("statement_timeout"),
        "{found}"
    );
    run("backup").complete();
}

/// `--create` made a database of the source's name, where the service or the variable said another.
#[test]
fn the_database_that_a_service_or_a_variable_names_is_not_guessed() {
    let fixture = Fixture::new(json!({}));
    let (place, key) = (fixture.fetched(), fixture.key());
    let place = text(&place);
    let run = |to: &str| {
        let psql = fixture.server.psql_command("postgres");
        let set = psql
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value?.to_str()?.to_owned())));
        Pgseal::new(&["restore", place, "--key", &key, "--to", to, "--create"])
            .envs(set)
            .env("PGSEAL_PG_BIN", fixture.server.bin())
            .env("PGDATABASE", "named")
            .run()
    };
    let said = run("user=postgres");
    assert!(said.code == 2 && said.stderr.contains("dbname="), "{}{}", said.stdout, said.stderr);
    assert_eq!(
        fixture.server.psql(
            "postgres",
            "select count(*) from pg_database where datname in ('named', 'restored')"
        ),
        "0"
    );
}
