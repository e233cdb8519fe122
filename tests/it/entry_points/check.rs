//! `check`: everything short of the dump, as one JSON value, and nothing written.

use super::Fixture;
use crate::support::aws::Ministack;
use crate::support::fault_proxy::{Canned, Fault, FaultProxy, Operation, Request, Rule};
use crate::support::pgseal::Pgseal;
use crate::support::s3::{Bucket, block_on};
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketVersioningStatus, ExpirationStatus, LifecycleExpiration,
    LifecycleRule, LifecycleRuleAndOperator, LifecycleRuleFilter, Tag, VersioningConfiguration,
};
use serde_json::{Value, json};

fn named<'a>(report: &'a Value, name: &str) -> Option<&'a Value> {
    report["checks"].as_array()?.iter().find(|check| check["name"] == name)
}

/// The embedded S3 server knows no settings of a bucket.
fn is_fine(check: &Value) -> bool {
    let is_of_bucket = check["name"].as_str().is_some_and(|name| name.starts_with("bucket_"));
    check["status"] == if is_of_bucket { "not_checked" } else { "ok" }
}

#[test]
fn a_good_set_up_is_ok_and_nothing_is_written() {
    let fixture = Fixture::new();
    let said = fixture.prepared(&["check", "--event", &fixture.event().to_string()]).run();
    let report = said.receipt();
    assert_eq!((said.code, &report["status"]), (0, &json!("ok")), "{report}\n{}", said.stderr);
    let checks = report["checks"].as_array().expect("a list of checks");
    assert!(checks.len() >= 4 && checks.iter().all(is_fine), "{report}");
    assert!(report["estimate"].is_object() && report["memory"].is_object(), "{report}");
    assert_eq!(fixture.bucket.keys(), [""; 0]);
    assert_eq!(fixture.bucket.open_uploads(), []);
}

#[test]
fn it_says_where_the_dump_could_run_and_for_how_much() {
    let fixture = Fixture::new();
    let report = fixture
        .prepared(&["check", "--event", &fixture.event().to_string()])
        .run()
        .receipt();
    let places = &report["estimates"][0]["estimate"]["places"];
    for place in ["lambda", "fargate"] {
        assert!(places[place]["cpus"].is_u64() && places[place]["usd"].is_f64(), "{report}");
    }
}

#[test]
fn to_check_all_blocks_takes_a_decoder_for_each_worker() {
    let fixture = Fixture::new();
    let mut event = fixture.event();
    event["workers"] = json!(3);
    let decoders = |setting: &str| {
        let check = fixture
            .prepared(&["check", "--event", &event.to_string()])
            .env("PGSEAL_CHECK_BLOCKS", setting);
        check.run().receipt()["memory"]["check"].as_u64().expect("a number of bytes")
    };
    assert_eq!(decoders("all"), 3 * decoders("share"));
    // And so checked it is a backup as any other.
    fixture.complete(
        &fixture
            .prepared(&["backup", "--event", &event.to_string()])
            .env("PGSEAL_CHECK_BLOCKS", "all")
            .run(),
    );
}

#[test]
fn an_event_may_ask_for_the_check() {
    let fixture = Fixture::new();
    let mut event = fixture.event();
    event["action"] = json!("check");
    let said = fixture.prepared(&[]).env("BACKUP_EVENT", event.to_string()).run();
    assert_eq!(
        (said.code, &said.receipt()["status"]),
        (0, &json!("ok")),
        "{}\n{}",
        said.stdout,
        said.stderr
    );
    assert_eq!(fixture.bucket.keys(), [""; 0]);
}

#[test]
fn what_fails_is_said_with_its_code() {
    let fixture = Fixture::new();
    let mut event = fixture.event();
    event["bucket"] = json!("no-such-bucket-anywhere");
    let said = fixture.prepared(&["check", "--event", &event.to_string()]).run();
    let report = said.receipt();
    assert_eq!((said.code, &report["status"]), (4, &json!("failed")), "{report}\n{}", said.stderr);
    let failed: Vec<_> = report["checks"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|check| check["status"] == "failed")
        .collect();
    assert!(failed.iter().any(|check| check["error"]["code"] == "s3_no_bucket"), "{report}");
    assert!(named(&report, "bucket").is_some(), "{report}");
}

#[test]
fn an_unreadable_table_is_named_without_a_dump() {
    let fixture = Fixture::new();
    fixture
        .server
        .psql("app", "create table hidden (); create role nobody_special login password 'x'");
    fixture.server.psql(
        "app",
        &format!("alter role nobody_special password '{}'", fixture.server.password()),
    );
    let mut event = fixture.event();
    event["user"] = json!("nobody_special");
    let said = fixture.prepared(&["check", "--event", &event.to_string()]).run();
    assert_eq!(said.code, 3, "{}\n{}", said.stdout, said.stderr);
    assert!(
        said.stdout.contains("db_privilege") && said.stdout.contains("hidden"),
        "{}",
        said.stdout
    );
}

/// An S3 of another make that lacks a header was `s3_unavailable` in the backup, and fine to the check.
#[test]
fn an_s3_without_conditional_writes_or_checksums_is_told_before_the_dump() {
    let fixture = Fixture::new();
    let unknown = || Some(Fault::Answer(Canned::error(501, "NotImplemented")));
    let lacks = |header: &'static str| move |request: &Request| request.has_header(header).then(unknown).flatten();
    for (header, named) in [("if-none-match", "If-None-Match"), ("x-amz-checksum-", "x-amz-checksum-")] {
        let proxy = FaultProxy::with(&fixture.bucket, lacks(header));
        let run = |command: &str| {
            let run = Pgseal::new(&[command, "--event", &fixture.event().to_string()]);
            run.envs(proxy.env()).envs(fixture.server.env()).run()
        };
        let said = run("check");
        let report = said.receipt();
        assert_eq!((said.code, &report["status"]), (4, &json!("failed")), "{report}");
        let error = &named_check(&report)["error"];
        assert_eq!(error["code"], "s3_unsupported", "{report}");
        assert!(error["message"].as_str().is_some_and(|message| message.contains(named)), "{report}");

        let receipt = run("backup").failed("s3_unsupported", 4);
        assert!(receipt["backups"][0]["error"]["message"].to_string().contains(named), "{receipt}");
        assert_eq!(proxy.count(Operation::CreateUpload), 0);
        assert_eq!(fixture.bucket.keys(), [""; 0]);
    }
}

fn named_check(report: &Value) -> &Value {
    named(report, "conditional_writes").unwrap_or_else(|| panic!("no conditional_writes in {report}"))
}

#[test]
fn what_cannot_be_told_of_conditional_writes_fails_no_check() {
    let fixture = Fixture::new();
    for fault in [Canned::error(403, "AccessDenied"), Canned::error(400, "InvalidRequest")] {
        let proxy = FaultProxy::before(&fixture.bucket, [Rule::on(Operation::CompleteUpload).then(Fault::Answer(fault))]);
        let run = Pgseal::new(&["check", "--event", &fixture.event().to_string()]);
        let said = run.envs(proxy.env()).envs(fixture.server.env()).run();
        let report = said.receipt();
        assert_eq!((said.code, &report["status"]), (0, &json!("ok")), "{report}");
        assert_eq!(named_check(&report)["status"], "not_checked", "{report}");
    }
}

/// The bucket may not be looked at by HeadBucket, whose refusal has no words, and all else that `check` asked was advice.
#[test]
fn credentials_that_nobody_knows_fail_the_check() {
    let fixture = Fixture::new();
    let event = fixture.event().to_string();
    let fails = |run: Pgseal, code: &str| {
        let said = run.run();
        let report = said.receipt();
        assert_eq!((said.code, &report["status"]), (4, &json!("failed")), "{report}");
        let error = &named(&report, "conditional_writes").expect("the check")["error"];
        let message = error["message"].as_str().expect("a message");
        assert!(error["code"] == "s3_denied" && message.contains(code), "{report}");
        assert!(
            error["hint"].as_str().is_some_and(|hint| hint.contains("AWS_SECRET_ACCESS_KEY")),
            "{report}"
        );
    };
    let check = || fixture.prepared(&["check", "--event", &event]);
    fails(check().env("AWS_SECRET_ACCESS_KEY", "another"), "SignatureDoesNotMatch");
    for code in ["InvalidAccessKeyId", "InvalidToken"] {
        let proxy = FaultProxy::with(&fixture.bucket, move |_: &Request| Some(Fault::Answer(Canned::error(403, code))));
        fails(check().envs(proxy.env()), code);
    }
}

/// What the bucket does for backups was nobody's business, until somebody deleted them.
#[test]
fn a_bucket_that_protects_nothing_is_told_and_one_that_does_is_good() {
    let fixture = Fixture::new();
    let bucket = Ministack::shared().bucket();
    let mut event = fixture.event();
    event["bucket"] = json!(bucket.name);
    event["retention"] = json!("daily");
    let check = || {
        let run = Pgseal::new(&["check", "--event", &event.to_string()]);
        let said = run.envs(bucket.env()).envs(fixture.server.env()).run();
        let report = said.receipt();
        // A backup is worth less so, and is made all the same.
        assert_eq!((said.code, &report["status"]), (0, &json!("ok")), "{report}\n{}", said.stderr);
        report
    };
    let settings = ["bucket_versioning", "bucket_lock", "bucket_lifecycle", "bucket_policy"];
    let report = check();
    for name in settings {
        let check = named(&report, name).unwrap_or_else(|| panic!("{name}: {report}"));
        assert!(check["status"] == "warning" && check["detail"]["warning"].is_string(), "{check}");
    }
    // What S3 would refuse is no matter of worth.
    let mut locked = event.clone();
    locked["object_lock"] = json!({"mode": "GOVERNANCE"});
    let run = Pgseal::new(&["check", "--event", &locked.to_string()]);
    let said = run.envs(bucket.env()).envs(fixture.server.env()).run();
    let failed = said.receipt();
    assert_eq!(
        named(&failed, "bucket_lock").expect("told")["error"]["code"],
        "s3_denied",
        "{failed}"
    );
    assert_eq!(said.code, 4, "{failed}");
    protect(&bucket);
    let report = check();
    for name in ["bucket_versioning", "bucket_lifecycle", "bucket_policy"] {
        assert_eq!(named(&report, name).expect("told")["status"], "ok", "{report}");
    }
    // This server speaks no TLS: nobody trusts anybody.
    assert!(named(&report, "authorities").is_none(), "{report}");
}

fn protect(bucket: &Bucket) {
    let client = bucket.client();
    let on = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    block_on(
        client
            .put_bucket_versioning()
            .bucket(&bucket.name)
            .versioning_configuration(on)
            .send(),
    )
    .expect("versioning");
    let policy = include_str!("../../../deploy/bucket-policy.json").replace("acme-backups", &bucket.name);
    block_on(client.put_bucket_policy().bucket(&bucket.name).policy(policy).send()).expect("a policy");
    let rule = |id: &str, filter| LifecycleRule::builder().id(id).status(ExpirationStatus::Enabled).filter(filter);
    let everything = LifecycleRuleFilter::builder().prefix("backups/").build();
    let abort = AbortIncompleteMultipartUpload::builder().days_after_initiation(14).build();
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build().expect("a tag");
    let daily = LifecycleRuleFilter::builder().tag(tag("retention", "daily")).build();
    let both = LifecycleRuleAndOperator::builder()
        .tags(tag("retention", "daily"))
        .tags(tag("role", "manifest"));
    let manifests = LifecycleRuleFilter::builder().and(both.build()).build();
    let after = |days| LifecycleExpiration::builder().days(days).build();
    let rules = BucketLifecycleConfiguration::builder()
        .rules(
            rule("abort", everything)
                .abort_incomplete_multipart_upload(abort)
                .build()
                .expect("a rule"),
        )
        .rules(rule("manifests", manifests).expiration(after(14)).build().expect("a rule"))
        .rules(rule("daily", daily).expiration(after(16)).build().expect("a rule"))
        .build()
        .expect("rules");
    let put = client
        .put_bucket_lifecycle_configuration()
        .bucket(&bucket.name)
        .lifecycle_configuration(rules);
    block_on(put.send()).expect("rules");
}
