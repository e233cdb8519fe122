//! Every code of the closed list is reached by a run of the program, and the few that no other test has are reached here.

use crate::support::aws::Ministack;
use crate::support::pgseal::{Pgseal, Said, program};
use crate::support::reached::unreached;
use pgseal::error::Code;
use serde_json::json;
use std::process::Command;

/// What the runs of all tests were seen to say, so it comes after them: `make test` clears the note before and runs this
/// last.
#[test]
#[ignore = "judges what all other tests left"]
fn every_code_was_reached() {
    assert_eq!(unreached(), Vec::<&str>::new(), "no test's run ended with these");
}

#[test]
fn an_instance_that_is_not_there() {
    let aws = Ministack::shared();
    let event = json!({
        "database": "app", "instance": "nobody-here", "user": "backup", "region": "eu-central-1",
        "bucket": aws.bucket().name, "public_key": crate::support::invariants::RECIPIENT,
    });
    let said = Pgseal::backup(&event).envs(aws.env()).run();
    said.failed("instance_not_found", 3);
}

#[test]
fn a_place_without_a_backup() {
    let bucket = Ministack::shared().bucket();
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/keys/recipient-a.pem");
    let place = format!("s3://{}/backups/app_20261124T020000Z", bucket.name);
    let said = Pgseal::new(&["verify", &place, "--key", key]).envs(bucket.env()).run();
    assert_eq!(said.code, 7, "{}{}", said.stdout, said.stderr);
    assert!(said.stderr.contains("no_backup"), "{}{}", said.stdout, said.stderr);
}

/// What should never happen is said as such: here a system that does not even give the descriptors to start with.
#[test]
fn a_system_without_descriptors() {
    let starved = Command::new("prlimit")
        .arg("--nofile=5")
        .arg(program())
        .arg("check")
        .env_clear()
        .output();
    let said = Said::from(starved.expect("prlimit starts"));
    assert_eq!(said.code, i32::from(Code::Bug.exit()), "{}{}", said.stdout, said.stderr);
    assert!(said.stderr.starts_with("pgseal: bug: "), "{}{}", said.stdout, said.stderr);
}
