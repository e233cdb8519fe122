//! Recipients in Parameter Store, looked up at an independent server.

use super::Fixture;
use crate::support::aws::{Ministack, REGION};
use crate::support::invariants::{RECIPIENT, key_pair};
use crate::support::pgseal::CommandOutput;
use crate::support::s3::block_on;
use aws_sdk_ssm::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_ssm::types::ParameterType;
use serde_json::{Value, json};

fn store(aws: &Ministack) -> aws_sdk_ssm::Client {
    let config = aws_sdk_ssm::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
        .region(Region::new(REGION))
        .endpoint_url(aws.endpoint())
        .build();
    aws_sdk_ssm::Client::from_conf(config)
}

fn put(aws: &Ministack, name: &str, value: &str) {
    let put = store(aws).put_parameter().name(name).value(value).r#type(ParameterType::String);
    block_on(put.send()).expect("the parameter is put");
}

#[test]
fn recipients_in_parameter_store_are_those_whose_fingerprints_are_pinned() {
    let fixture = Fixture::new();
    let aws = Ministack::shared();
    let folder = tempfile::tempdir().expect("a folder");
    let (_, other) = key_pair(folder.path());
    let mut event = fixture.event();
    event["public_key"] = json!([&*RECIPIENT, other]);
    let fingerprints = fixture.complete(&fixture.backup(&event))["backups"][0]["recipients"].clone();
    let fingerprints: Vec<&str> = fingerprints.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    event.as_object_mut().expect("an object").remove("public_key");
    let path = format!("/{}/recipients", fixture.bucket.name);
    let run = |path: &str, pinned: &[&str], hour: u32| -> CommandOutput {
        let mut event = event.clone();
        event["scheduled_time"] = json!(format!("2026-11-24T{hour:02}:00:00Z"));
        let run = fixture
            .prepared(&["backup", "--event", &event.to_string()])
            .envs(aws.env())
            .envs(fixture.bucket.env());
        let run = run.env("OPENSSL_PUBLIC_KEY", format!("ssm:{path}"));
        match pinned {
            [] => run.run(),
            pinned => run.env("PGSEAL_ALLOWED_FINGERPRINTS", pinned.join(",")).run(),
        }
    };
    run(&path, &fingerprints, 0).failed("no_public_key", 2);
    put(aws, &format!("{path}/b"), &other);
    put(aws, &format!("{path}/a"), &RECIPIENT);
    // Deeper ones are of something else.
    put(aws, &format!("{path}/old/c"), "no key");
    let receipt = fixture.complete(&run(&path, &fingerprints, 1));
    assert_eq!(receipt["backups"][0]["recipients"], json!(fingerprints));
    // Anyone who may write a parameter is not thereby a recipient.
    run(&path, &fingerprints[..1], 2).failed("key_not_allowed", 2);
    let said = run(&path, &[], 3).failed("bad_event", 2);
    assert!(
        said["error"]["message"]
            .as_str()
            .is_some_and(|told| told.contains("PGSEAL_ALLOWED_FINGERPRINTS")),
        "{said}"
    );
    run("recipients", &fingerprints, 4).failed("bad_event", 2);
    // Nor does an event that brings a key of its own get around them.
    let mut own = event.clone();
    own["public_key"] = json!(other);
    let own = fixture
        .prepared(&["backup", "--event", &own.to_string()])
        .env("OPENSSL_PUBLIC_KEY", format!("ssm:{path}"));
    own.run().failed("bad_event", 2);
}

#[test]
fn a_policy_says_that_it_cannot_be_told_without_the_keys() {
    let fixture = Fixture::new();
    let mut event = fixture.event();
    event.as_object_mut().expect("an object").remove("public_key");
    let said = fixture
        .prepared(&["policy", "--event", &event.to_string()])
        .env("OPENSSL_PUBLIC_KEY", "ssm:/pgseal/recipients")
        .env("PGSEAL_ALLOWED_FINGERPRINTS", "ab".repeat(32))
        .run();
    let said = said.failed("bad_event", 2);
    assert!(
        said["error"]["hint"].as_str().is_some_and(|hint| hint.contains("one of the keys")),
        "{said}"
    );
}
