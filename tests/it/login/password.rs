//! Logins by password: from the environment, a passfile, Secrets Manager.

use crate::support::aws::{Ministack, REGION};
use crate::support::invariants::{backup_stands, no_secret, nothing_left, sealed_into};
use crate::support::pgseal::Pgseal;
use crate::support::postgres::Server;
use crate::support::s3::Bucket;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

/// A database for logins by password, and its event.
fn by_password() -> (Server, Bucket, Value) {
    let server = Server::builder().tls(&["localhost"]).start();
    server.create_app("create table kept (id int)");
    let bucket = Ministack::shared().bucket();
    let event = sealed_into(server.event("app"), &bucket);
    (server, bucket, event)
}

#[test]
fn a_password_comes_from_the_environment() {
    let (server, bucket, event) = by_password();
    let run = |password: &str| {
        Pgseal::backup(&event)
            .envs(bucket.env())
            .envs(server.env())
            .env("PGPASSWORD", password)
            .run()
    };
    let said = run("wr0ng-passw0rd");
    said.failed("db_auth", 3);
    // Once a checklist for IAM, with no word of the password.
    assert!(
        said.stdout.contains("PGPASSWORD") && !said.stdout.contains("rds_iam"),
        "{}",
        said.stdout
    );
    nothing_left(&server, &bucket, &said, &["wr0ng-passw0rd"]);

    let said = run(server.password());
    backup_stands(&bucket, &said.complete());
    no_secret(&said, &[server.password()]);
}

#[test]
fn no_password_at_all_is_a_bad_event() {
    let (server, bucket, event) = by_password();
    let said = Pgseal::backup(&event).envs(bucket.env()).envs(server.env_without_password()).run();
    assert_eq!(said.failed("bad_event", 2)["error"]["field"], "password_secret");
    nothing_left(&server, &bucket, &said, &[]);
}

/// Passwords with the characters that a passfile escapes.
#[test]
fn a_password_comes_from_a_passfile() {
    let (server, bucket, event) = by_password();
    let folder = TempDir::with_prefix("pgseal-pass-").expect("a temporary folder");
    let passfile = folder.path().join("pass:file");
    let passwords = [
        ("co:l:on", r"co\:l\:on"),
        (r"back\slash\", r"back\\slash\\"),
        ("ü ñ#'\"", "ü ñ#'\""),
    ];
    for (count, (password, escaped)) in passwords.into_iter().enumerate() {
        server.psql("postgres", &format!("alter role dumper password $p${password}$p$"));
        let others = format!("# a comment\nother.example:*:*:*:no\n*:{}:*:somebody:no\n", server.port());
        let lines = format!("{others}localhost:*:app:dumper:{escaped}\n*:*:*:*:no\n");
        std::fs::write(&passfile, lines).expect("the passfile is written");
        std::fs::set_permissions(&passfile, PermissionsExt::from_mode(0o600)).expect("the passfile is closed");
        let mut event = event.clone();
        event["prefix"] = json!(format!("backups/{count}"));
        let run = Pgseal::backup(&event).envs(bucket.env()).envs(server.env_without_password());
        let said = run.env("PGPASSFILE", passfile.as_os_str()).run();
        said.complete();
        no_secret(&said, &[password, escaped]);
    }
}

#[test]
fn a_password_comes_from_secrets_manager() {
    let (server, bucket, event) = by_password();
    let aws = Ministack::shared();
    let user_and_password = json!({"username": "dumper", "password": server.password()}).to_string();
    for (count, text) in [user_and_password.as_str(), server.password()].into_iter().enumerate() {
        let mut event = event.clone();
        event["region"] = json!(REGION);
        event["password_secret"] = json!(aws.secret(text));
        event["prefix"] = json!(format!("backups/{count}"));
        let said = Pgseal::backup(&event).envs(aws.env()).envs(server.env_without_password()).run();
        backup_stands(&bucket, &said.complete());
        no_secret(&said, &[server.password()]);
    }
    let mut event = event.clone();
    event["region"] = json!(REGION);
    event["password_secret"] = json!(format!("arn:aws:secretsmanager:{REGION}:000000000000:secret:missing-abcdef"));
    let said = Pgseal::backup(&event).envs(aws.env()).envs(server.env_without_password()).run();
    said.failed("aws_failed", 4);
}
