//! Every code of the closed list is reached by some test, and the few that no other test has are reached here.

use crate::support::aws::Ministack;
use crate::support::pgseal::Pgseal;
use pgseal::error::Code;
use serde_json::json;
use std::fs;
use std::path::Path;

/// What the tests and the refused events say, all in one.
fn expectations(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            expectations(&path, text);
        } else if path.extension().is_some_and(|ending| ending == "rs" || ending == "json") && !path.ends_with("codes.rs") {
            text.push_str(&fs::read_to_string(&path).expect("UTF-8"));
        }
    }
}

#[test]
fn every_code_is_expected_by_a_test() {
    // What should never happen can be made to happen by nobody; the tests below have these.
    let here = ["bug", "no_backup", "instance_not_found"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    expectations(&root.join("tests/it"), &mut text);
    expectations(&root.join("events/refused"), &mut text);
    let unseen: Vec<_> = Code::ALL
        .iter()
        .map(|code| code.name())
        .filter(|name| !here.contains(name))
        .collect();
    let unseen: Vec<_> = unseen
        .into_iter()
        .filter(|name| {
            ["\"", " ", ".", ":"]
                .iter()
                .all(|before| !text.contains(&format!("{before}{name}")))
        })
        .collect();
    assert!(unseen.is_empty(), "no test expects {unseen:?}");
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
