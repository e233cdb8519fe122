//! Every code of the closed list is expected of a run by some test, and the few that no other test has are reached here.

use crate::support::aws::Ministack;
use crate::support::pgseal::{CommandOutput, Pgseal, program};
use pgseal::error::Code;
use serde_json::json;
use std::path::Path;
use std::process::Command;

/// A code that no test expects would be one that nobody knows to be reachable.
#[test]
fn every_code_is_expected_by_a_test() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it"));
    let is_expected = |code: &Code| {
        let (name, variant) = (code.name(), format!("Code::{code:?}"));
        // In a receipt or report, as an `errorType` of Lambda, in the line of a command at the shell.
        let forms = [
            format!("\"{name}\""),
            format!("pgseal.{name}\""),
            format!("pgseal: {name}"),
            format!("{variant}.name()"),
        ];
        sources.iter().any(|text| forms.iter().any(|form| text.contains(form.as_str())))
    };
    let unexpected: Vec<&str> = Code::ALL.iter().filter(|code| !is_expected(code)).map(|code| code.name()).collect();
    assert_eq!(unexpected, Vec::<&str>::new(), "no test expects these");
}

/// Of the tests, without their support.
fn sources(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the tests").flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("support") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(std::fs::read_to_string(&path).expect("UTF-8"));
        }
    }
    found
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
    let said = CommandOutput::from(starved.expect("prlimit starts"));
    assert_eq!(said.code, i32::from(Code::Bug.exit()), "{}{}", said.stdout, said.stderr);
    assert!(said.stderr.starts_with("pgseal: bug: "), "{}{}", said.stdout, said.stderr);
}
