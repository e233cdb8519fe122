//! Into a database, and a drill, by the program as a user runs it.

use super::{Fixture, openssl, text};
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::restore::assert_same;
use crate::support::wait::until;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

/// With the server's own programs and its superuser.
pub(super) fn into(fixture: &Fixture, arguments: &[&str]) -> CommandOutput {
    with_login(fixture, arguments).run()
}

pub(super) fn with_login(fixture: &Fixture, arguments: &[&str]) -> Pgseal {
    let psql = fixture.server.psql_command("postgres");
    let set = psql
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value?.to_str()?.to_owned())));
    Pgseal::new(arguments)
        .envs(set)
        .env("PGSEAL_PG_BIN", fixture.server.bin())
        .envs(fixture.bucket.env())
}

#[test]
fn into_an_empty_database_that_is_then_the_same() {
    let fixture = Fixture::new(json!({}));
    let arguments = [
        "restore",
        &fixture.at_s3(),
        "--key",
        &fixture.key(),
        "--to",
        "dbname=copy",
        "--create",
        "--single-transaction",
    ];
    let said = into(&fixture, &arguments);
    let report = said.receipt();
    assert_eq!((said.code, &report["status"]), (0, &json!("restored")), "{report}{}", said.stderr);
    assert_eq!((&report["rows"], &report["opens"]), (&json!(5000), &json!(true)));
    assert_same(&fixture.server, "app", "copy");

    // Not twice into the same.
    let again = into(
        &fixture,
        &["restore", &fixture.at_s3(), "--key", &fixture.key(), "--to", "dbname=copy"],
    );
    again.failed("restore_failed", 7);
    assert!(
        again.stderr.contains("restore_failed: the target is not empty") && again.stderr.contains("table public.plain"),
        "{}",
        again.stderr
    );
}

#[test]
fn a_tampered_last_part_leaves_nothing_of_a_single_transaction() {
    let fixture = Fixture::new(json!({}));
    let dump = fixture.fetched().join(fixture.name_of("dump"));
    let mut bytes = std::fs::read(&dump).expect("the dump");
    *bytes.last_mut().expect("a byte") ^= 1;
    std::fs::write(&dump, bytes).expect("written");
    let fetched = fixture.fetched();
    let arguments = [
        "restore",
        text(&fetched),
        "--key",
        &fixture.key(),
        "--to",
        "dbname=copy",
        "--create",
        "--single-transaction",
    ];
    let said = into(&fixture, &arguments);
    assert_eq!(said.code, 7, "{}", said.stderr);
    assert!(
        said.stderr.contains("nothing of it was kept, nor the database that --create made"),
        "{}",
        said.stderr
    );
    let copies = "select count(*) from pg_database where datname = 'copy'";
    assert_eq!(fixture.server.psql("postgres", copies), "0");

    // Else what came by then is left, and told: it may be all that somebody has.
    let said = into(&fixture, &arguments[..arguments.len() - 1]);
    assert!(
        said.stderr
            .contains("the database copy, made by --create, may hold a part of the backup now"),
        "{}",
        said.stderr
    );
    assert_eq!(fixture.server.psql("postgres", copies), "1");
}

#[test]
fn owners_and_grants_of_roles_that_are_not_there_can_be_left_out() {
    let fixture = Fixture::new(json!({}));
    fixture.server.psql(
        "app",
        "create role keeper; alter table plain owner to keeper; grant select on plain to keeper",
    );
    let mut order = crate::support::invariants::event(&fixture.server, "app", &fixture.bucket);
    order["public_key"] = json!(String::from_utf8(openssl(&["pkey", "-pubout", "-in", &fixture.key()])).expect("PEM"));
    order["scheduled_time"] = json!("2026-11-24T02:00:00Z");
    Pgseal::backup(&order)
        .envs(fixture.bucket.env())
        .envs(fixture.server.env())
        .run()
        .complete();
    fixture
        .server
        .psql("app", "alter table plain owner to postgres; drop owned by keeper; drop role keeper");
    let backup = format!("s3://{}/backups/app_20261124T020000Z", fixture.bucket.name);
    let arguments = ["restore", &backup, "--key", &fixture.key(), "--to", "dbname=copy", "--create"];
    let stopped = into(&fixture, &arguments);
    assert!(stopped.code == 7 && stopped.stderr.contains("keeper"), "{}", stopped.stderr);
    let said = into(&fixture, &[&arguments[..], &["--no-owner", "--no-privileges"]].concat());
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(fixture.server.psql("copy", "select count(*) from plain"), "5000");
}

#[test]
fn a_drill_restores_counts_and_leaves_a_report() {
    let fixture = Fixture::new(json!({"globals": true}));
    let (fetched, reports) = (fixture.fetched(), fixture.folder.path().join("of/drills"));
    let said = into(
        &fixture,
        &["drill", text(&fetched), "--key", &fixture.key(), "--report", text(&reports)],
    );
    let report = said.receipt();
    assert_eq!((said.code, &report["outcome"]), (0, &json!("passed")), "{report}\n{}", said.stderr);
    assert_eq!(report["comparison"]["rows"], json!({"expected": 5000, "found": 5000}));
    let mut names: Vec<_> = std::fs::read_dir(&reports)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    names.sort();
    let [html, json] = names.as_slice() else { panic!("{names:?}") };
    assert!(std::fs::read_to_string(html).expect("a page").contains("This backup restores"));
    let left: Value = serde_json::from_str(&std::fs::read_to_string(json).expect("a report")).expect("JSON");
    assert_eq!(left["backup"]["manifest_sha256"], report["backup"]["manifest_sha256"]);

    // And into a bucket, as a scheduled drill leaves it.
    let place = format!("s3://{}/drills", fixture.bucket.name);
    let said = into(&fixture, &["drill", &fixture.at_s3(), "--key", &fixture.key(), "--report", &place]);
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, said.stderr);
    assert_eq!(fixture.bucket.keys().iter().filter(|key| key.starts_with("drills/")).count(), 2);

    // Whether it can be kept is known before hours of a drill.
    let said = into(
        &fixture,
        &[
            "drill",
            &fixture.at_s3(),
            "--key",
            &fixture.key(),
            "--report",
            "s3://no-such-bucket/drills",
        ],
    );
    said.failed("s3_no_bucket", 4);
    assert!(said.stderr.contains("no-such-bucket"), "{}", said.stderr);
}

/// The report said neither with which options the drill was run, nor what lay about: only standard error did, and of a folder
/// that was a minute old.
#[test]
fn a_report_has_the_options_and_what_a_killed_drill_left() {
    let fixture = Fixture::new(json!({}));
    let parent = fixture.folder.path().join("tmp");
    for folder in [&parent, &parent.join("pgseal-drill-00")] {
        std::fs::create_dir(folder).expect("a folder");
    }
    for folder in [fixture.folder.path(), &parent] {
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).expect("permissions");
    }
    std::fs::write(parent.join("pgseal-drill-00/log"), "").expect("written");
    let (fetched, key) = (fixture.fetched(), fixture.key());
    let report_here = ["--report", text(fixture.folder.path())];
    let options = [
        "--no-comments",
        "--exclude-extension",
        "hstore",
        "--search-path",
        "public, pg_catalog",
    ];
    let arguments = [&["drill", text(&fetched), "--key", &key], &report_here[..], &options].concat();
    let said = Pgseal::new(&arguments)
        .env("PGSEAL_PG_BIN", fixture.server.bin())
        .env("TMPDIR", &parent)
        .run();
    let report = said.receipt();
    assert_eq!((said.code, &report["outcome"]), (0, &json!("passed")), "{report}\n{}", said.stderr);
    let asked = &report["options"];
    assert_eq!(
        (
            &asked["no_comments"],
            &asked["no_owner"],
            &asked["search_path"],
            &asked["exclude_extensions"]
        ),
        (&json!(true), &json!(false), &json!("public, pg_catalog"), &json!(["hstore"]))
    );
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("killed") && warnings.contains("pgseal-drill-00"), "{warnings}");
}

#[test]
fn a_drill_that_fails_says_so_in_its_report_too() {
    let fixture = Fixture::new(json!({}));
    let dump = fixture.fetched().join(fixture.name_of("dump"));
    let mut bytes = std::fs::read(&dump).expect("the dump");
    bytes[100] ^= 1;
    std::fs::write(&dump, bytes).expect("written");
    let fetched = fixture.fetched();
    let said = into(
        &fixture,
        &[
            "drill",
            text(&fetched),
            "--key",
            &fixture.key(),
            "--report",
            text(fixture.folder.path()),
        ],
    );
    let report = said.receipt();
    assert_eq!((said.code, &report["outcome"]), (7, &json!("failed")), "{report}");
    assert_eq!(report["error"]["code"], "tampered", "{report}");
}

/// Without a name libpq takes the one of the user: a whole backup went into the superuser's own database.
#[test]
fn a_database_that_nobody_named_is_not_restored_into() {
    let fixture = Fixture::new(json!({}));
    let to = fixture.server.conninfo("x").replace(" dbname='x'", "");
    let restore = |more: &[&str]| Pgseal::new(&[&["restore", &fixture.at_s3(), "--key", &fixture.key(), "--to", &to], more].concat());
    let said = restore(&[])
        .env("PGSEAL_PG_BIN", fixture.server.bin())
        .envs(fixture.bucket.env())
        .run();
    said.failed("bad_usage", 2);
    assert!(said.stderr.contains("bad_usage: --to names no database"), "{}", said.stderr);
}

/// A database was made first, and what was asked for could not be.
#[test]
fn globals_that_are_not_in_the_backup_are_told_before_a_database_is_made() {
    let fixture = Fixture::new(json!({}));
    let arguments = [
        "restore",
        &fixture.at_s3(),
        "--key",
        &fixture.key(),
        "--to",
        "dbname=copy",
        "--create",
        "--globals",
    ];
    let said = into(&fixture, &arguments);
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(
        said.stderr.contains("bad_usage: --globals are not in this backup"),
        "{}",
        said.stderr
    );
    let made = fixture
        .server
        .psql("postgres", "select count(*) from pg_database where datname = 'copy'");
    assert_eq!(made, "0");
}

/// It was found out after the drill, which may take hours, and as a commit that failed.
#[test]
fn a_folder_that_takes_no_report_is_told_before_the_drill() {
    let fixture = Fixture::new(json!({}));
    // A place that not even root can make a folder in.
    let said = into(
        &fixture,
        &["drill", &fixture.at_s3(), "--key", &fixture.key(), "--report", "/proc/reports"],
    );
    said.failed("bad_usage", 2);
    assert!(
        said.stderr
            .contains("bad_usage: --report names /proc/reports, which cannot be written to"),
        "{}",
        said.stderr
    );
}

/// They were `bad_event`, with advice about fields and variables of an event.
#[test]
fn a_mistake_in_an_argument_is_bad_usage() {
    let fixture = Fixture::new(json!({}));
    let (s3, key) = (fixture.at_s3(), fixture.key());
    let folder = text(fixture.folder.path());
    let not_a_key = fixture.folder.path().join("words.pem").display().to_string();
    std::fs::write(&not_a_key, "only words\n").expect("written");
    let encrypted = fixture.folder.path().join("encrypted.pem").display().to_string();
    openssl(&["rsa", "-aes256", "-passout", "pass:right", "-in", &key, "-out", &encrypted]);
    let no_event = format!("s3://{}/events/none.json", fixture.bucket.name);
    for arguments in [
        ["decrypt", &s3, "--key", &key, "-o", folder],
        ["restore", &s3, "--key", &key, "--to", "host='x"],
        ["verify", &s3, "--key", "arn:aws:secretsmanager:nowhere", "--signer", folder],
        ["verify", &s3, "--key", &key, "--signer", "/nonexistent"],
        ["backup", "--event", "/nonexistent", "", "", ""],
        // These were wrong_key, bad_public_key and s3_no_bucket.
        ["verify", &s3, "--key", "/nonexistent", "", ""],
        ["verify", &s3, "--key", &not_a_key, "", ""],
        ["verify", &s3, "--key", &encrypted, "--passphrase-file", &not_a_key],
        ["verify", &s3, "--key", &encrypted, "--passphrase-file", "/nonexistent"],
        ["rewrap", &s3, "--key", &key, "--recipient", "/nonexistent"],
        ["backup", "--event", &no_event, "", "", ""],
    ] {
        let arguments: Vec<&str> = arguments.into_iter().filter(|argument| !argument.is_empty()).collect();
        let said = into(&fixture, &arguments);
        assert_eq!(said.code, 2, "{arguments:?}: {}", said.stderr);
        assert!(
            format!("{}{}", said.stdout, said.stderr).contains("bad_usage"),
            "{arguments:?}: {}{}",
            said.stdout,
            said.stderr
        );
    }
}

/// What its tables need had to be there, and then the target was not empty.
#[test]
fn a_part_goes_where_the_rest_is_already() {
    let fixture = Fixture::new(json!({"tables": ["plain"]}));
    fixture.server.psql("postgres", "create database rest");
    fixture.server.psql(
        "rest",
        "create table customers (id int primary key); create type mood as enum ('sad')",
    );
    let restore = || {
        into(
            &fixture,
            &["restore", &fixture.at_s3(), "--key", &fixture.key(), "--to", "dbname=rest"],
        )
    };
    let said = restore();
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    let again = restore();
    assert!(
        again
            .stderr
            .contains("the target has tables of this part already: table public.plain"),
        "{}",
        again.stderr
    );
}

/// What fails after the commit is no reason to drop what was restored: a database of hours went with a late signal.
#[test]
fn a_database_whose_rows_are_in_is_not_dropped_for_what_comes_afterwards() {
    let fixture = Fixture::new(json!({}));
    let (folder, note) = (fixture.folder.path().join("bin"), fixture.folder.path().join("properties"));
    std::fs::create_dir(&folder).expect("a folder");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--version*|*--single-transaction*) exec {0} \"$@\";; esac\ninput=$(cat)\n\
         case \"$input\" in *'ON DATABASE'*) echo >'{1}'; exec sleep 1000;; esac\nprintf '%s\\n' \"$input\" | {0} \"$@\"\n",
        fixture.server.bin().join("psql").display(),
        note.display()
    );
    let psql = folder.join("psql");
    std::fs::write(&psql, script).expect("written");
    std::fs::set_permissions(&psql, PermissionsExt::from_mode(0o755)).expect("it can be run");
    fixture.server.psql("postgres", "revoke temporary on database app from public");
    let backup = super::drills::backup(&fixture, json!({}));
    let to = fixture.server.conninfo("copy");
    let arguments = [
        "restore",
        &backup,
        "--key",
        &fixture.key(),
        "--to",
        &to,
        "--create",
        "--single-transaction",
    ];
    let child = Pgseal::new(&arguments).env("PGSEAL_PG_BIN", &folder).spawn();
    until("the database's own privileges are restored", || note.exists());
    kill_process(Pid::from_child(&child), Signal::TERM).expect("pgseal runs");
    let said = CommandOutput::from(child.wait_with_output().expect("pgseal ends"));
    assert_eq!(said.code, 6, "{}{}", said.stdout, said.stderr);
    assert!(said.stderr.contains("all the same"), "{}", said.stderr);
    assert_eq!(fixture.server.psql("copy", "select count(*) from plain"), "5000");
}
