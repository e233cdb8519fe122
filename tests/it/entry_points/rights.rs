//! The rights that `policy` names are those that the calls need: none is missing, and none is there for nothing.

use super::Fixture;
use crate::support::aws::Ministack;
use crate::support::fault_proxy::{Canned, Fault, FaultProxy, Operation, Rule, Seen};
use crate::support::invariants::key_pair;
use crate::support::pgseal::Pgseal;
use crate::support::s3::block_on;
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What IAM asks for at this call (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>).
fn actions(call: &Seen) -> Vec<&'static str> {
    let asks = |name: &str| call.query().split('&').any(|pair| pair.split('=').next() == Some(name));
    let settings = [
        ("versioning", "s3:GetBucketVersioning"),
        ("object-lock", "s3:GetBucketObjectLockConfiguration"),
        ("lifecycle", "s3:GetLifecycleConfiguration"),
        ("encryption", "s3:GetEncryptionConfiguration"),
        ("policy", "s3:GetBucketPolicy"),
    ];
    if let Some((_, action)) = settings.iter().find(|(name, _)| call.key.is_empty() && asks(name)) {
        return vec![action];
    }
    match call.operation {
        Operation::HeadBucket | Operation::ListObjects => vec!["s3:ListBucket"],
        Operation::ListUploads => vec!["s3:ListBucketMultipartUploads"],
        Operation::HeadObject | Operation::GetObject if asks("versionId") => vec!["s3:GetObjectVersion"],
        Operation::HeadObject | Operation::GetObject => vec!["s3:GetObject"],
        Operation::AbortUpload => vec!["s3:AbortMultipartUpload"],
        Operation::UploadPart | Operation::CompleteUpload => vec!["s3:PutObject"],
        Operation::PutObject | Operation::CreateUpload => {
            let by_header = [
                ("x-amz-tagging", "s3:PutObjectTagging"),
                ("x-amz-object-lock-mode", "s3:PutObjectRetention"),
                ("x-amz-acl", "s3:PutObjectAcl"),
            ];
            let asked = by_header.iter().filter(|(header, _)| call.header(header).is_some());
            std::iter::once("s3:PutObject").chain(asked.map(|(_, action)| *action)).collect()
        }
        Operation::Other => panic!("no action is known for {call:?}"),
    }
}

fn needed(calls: &[Seen]) -> BTreeSet<String> {
    calls.iter().flat_map(actions).map(str::to_owned).collect()
}

/// The actions on S3 in one of the policies for this event.
fn allowed(fixture: &Fixture, event: &Value, policy: &str) -> BTreeSet<String> {
    let said = fixture.prepared(&["policy", "--json", "--event", &event.to_string()]).run();
    let answer = said.receipt();
    let statements = answer[policy]["Statement"]
        .as_array()
        .unwrap_or_else(|| panic!("{policy}: {answer}"));
    let of_statement = |statement: &Value| match &statement["Action"] {
        Value::Array(actions) => actions.clone(),
        one => vec![one.clone()],
    };
    let actions = statements.iter().flat_map(of_statement);
    let named = actions.map(|action| action.as_str().expect("text").to_owned());
    named.filter(|action| action.starts_with("s3:")).collect()
}

#[test]
fn a_writer_may_do_what_its_runs_do_and_no_more() {
    let fixture = Fixture::new();
    // More than a part: less than one is no upload in parts.
    let wide = "create table wide as select repeat('x', 1000) as x from generate_series(1, 12000)";
    fixture.server.psql("app", wide);
    for more in [
        json!({}),
        json!({"retention": "daily"}),
        json!({"acl": "bucket-owner-full-control", "tags": {"team": "data"}}),
    ] {
        let mut event = fixture.event();
        event["compression"] = json!("none");
        for (name, value) in more.as_object().expect("fields") {
            event[name] = value.clone();
        }
        let mut calls = Vec::new();
        let mut run = |hour: u32, rules: Vec<Rule>, exit: i32| {
            event["scheduled_time"] = json!(format!("2026-11-24T{hour:02}:00:00Z"));
            let proxy = FaultProxy::before(&fixture.bucket, rules);
            let said = fixture.prepared(&["backup", "--event", &event.to_string()]).envs(proxy.env()).run();
            assert_eq!(said.code, exit, "{}{}", said.stdout, said.stderr);
            calls.extend(proxy.seen());
        };
        let hour = |case: u32| case + 3 * u32::try_from(more.as_object().map_or(0, serde_json::Map::len)).expect("few");
        run(hour(0), vec![], 0);
        run(hour(0), vec![], 0);
        // A create whose answer is lost is looked for; one whose parts are refused is aborted.
        run(hour(1), vec![Rule::on(Operation::CreateUpload).times(1).then(Fault::LoseAnswer)], 0);
        run(
            hour(2),
            vec![Rule::on(Operation::UploadPart).then(Fault::Answer(Canned::error(403, "AccessDenied")))],
            4,
        );
        assert_eq!(needed(&calls), allowed(&fixture, &event, "writer"), "{more}");
    }
}

#[test]
fn a_reader_may_do_what_reading_does_and_no_more() {
    let fixture = Fixture::new();
    let bucket = Ministack::shared().bucket();
    let on = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let versioning = bucket.client().put_bucket_versioning().bucket(&bucket.name);
    block_on(versioning.versioning_configuration(on).send()).expect("versioning");
    let folder = tempfile::tempdir().expect("a folder");
    let (key, public) = key_pair(folder.path());
    let mut event = fixture.event();
    event["bucket"] = json!(bucket.name);
    event["public_key"] = json!(public);
    let made = Pgseal::backup(&event)
        .envs(bucket.env())
        .envs(fixture.server.env())
        .run()
        .complete();
    let place = format!("s3://{}/{}", bucket.name, made["backups"][0]["stem"].as_str().expect("a stem"));
    let proxy = FaultProxy::before(&bucket, []);
    let (key, reports) = (key.to_str().expect("UTF-8"), folder.path().to_str().expect("UTF-8"));
    let latest = format!("s3://{}/backups/latest", bucket.name);
    for arguments in [
        vec!["list", &latest[..latest.len() - "/latest".len()]],
        vec!["verify", &place, "--key", key],
        vec!["decrypt", &latest, "--key", key],
        vec!["drill", &place, "--key", key, "--report", reports],
    ] {
        let said = Pgseal::new(&arguments).envs(proxy.env()).envs(fixture.server.env()).run();
        assert_eq!(said.code, 0, "{arguments:?}: {}{}", said.stdout, said.stderr);
    }
    assert_eq!(needed(&proxy.seen()), allowed(&fixture, &event, "reader"));

    // And what `check` looks at, beside the writer's.
    let proxy = FaultProxy::before(&bucket, []);
    Pgseal::new(&["check", "--event", &event.to_string()])
        .envs(proxy.env())
        .envs(fixture.server.env())
        .run();
    let mut more = needed(&proxy.seen());
    more.retain(|action| !allowed(&fixture, &event, "writer").contains(action));
    assert_eq!(more, allowed(&fixture, &event, "check"));
}
