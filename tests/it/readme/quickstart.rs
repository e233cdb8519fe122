//! README.md's five minutes, on a real server and a real bucket.

use crate::support::postgres::Server;
use crate::support::restore::block;
use crate::support::s3::EmbeddedS3;
use serde_json::json;
use std::process::Command;

/// What a reader types at the questions stands here as options, and names of theirs in the place of ours.
#[test]
fn from_nothing_to_a_restored_database_in_five_minutes() {
    let server = Server::start();
    server.create_app("create table orders as select generate_series(1, 500) as n");
    let (s3, folder) = (EmbeddedS3::start(), tempfile::tempdir().expect("a temporary folder"));
    let bucket = s3.bucket();
    let event = server.event("app");
    let host = event["host"].as_str().expect("a host");
    let init = format!(
        "pgseal init --database app --host {host} --user dumper --bucket {} --database-region eu-central-1 --public-key public_key.pem --no-check",
        bucket.name
    );
    let place = format!("s3://{}/backups", bucket.name);
    let script = [block("quickstart"), block("quickstart-back")]
        .concat()
        .replace("pgseal keygen ", "pgseal keygen --no-passphrase ")
        .replace("pgseal init ", &format!("{init} "))
        .replace("s3://acme-backups/backups", &place)
        .replace("shop", "app");
    let psql = server.psql_command("postgres");
    let of_psql = psql
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    let run = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &format!("pgseal() {{ \"$PGSEAL\" \"$@\"; }}\n{script}")])
        .current_dir(folder.path())
        .envs(of_psql)
        .envs(server.env())
        .envs(bucket.env())
        .env("PGSEAL", env!("CARGO_BIN_EXE_pgseal"))
        .env("PGSEAL_PG_BIN", server.bin())
        .env(
            "PGSEAL_EVENT_DEFAULTS",
            json!({"auth": "password", "port": event["port"]}).to_string(),
        )
        .output()
        .expect("bash starts");
    let said = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{script}\n{said}");
    assert_eq!(server.psql("app_restored", "select count(*) from orders"), "500", "{said}");
    for status in ["generated", "initialized", "\"ok\"", "complete", "verified", "restored"] {
        assert!(said.contains(status), "{status}: {said}");
    }
}

/// The line of the guide that says that a night is missing says so.
#[test]
fn a_missing_night_is_a_line_of_mail() {
    let line = block("cron").lines().last().expect("its second line").to_owned();
    assert!(
        line.contains("--max-age 26h") && line.contains("||") && line.contains("mail"),
        "{line}"
    );
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let place = format!("s3://{}/backups", bucket.name);
    let said = crate::support::pgseal::Pgseal::new(&["list", &place, "--max-age", "26h", "--quiet"])
        .envs(bucket.env())
        .run();
    assert_eq!(said.code, 7, "{}{}", said.stdout, said.stderr);
    assert_eq!(said.receipt()["error"]["code"], "no_backup", "{}", said.stdout);
}
