//! What is found before the dump: no login is made, nothing is written. ministack knows regions.

use super::{Fixture, denied};
use crate::support::aws::Ministack;
use crate::support::fault_proxy::{Canned, Fault, FaultProxy, Operation, Rule};
use crate::support::invariants::event;
use crate::support::pgseal::Pgseal;
use crate::support::ports::nobody_listens;
use crate::support::postgres::Server;
use crate::support::s3::Bucket;
use serde_json::{Value, json};

/// A server that writes down who comes.
fn watched() -> Server {
    Server::builder().setting("log_connections", "on").start()
}

fn nobody_came(server: &Server) {
    assert!(!server.log().contains("user=dumper"), "{}", server.log());
}

fn error(receipt: &Value) -> &Value {
    &receipt["backups"][0]["error"]
}

#[test]
fn a_missing_bucket() {
    let (server, bucket) = (watched(), Ministack::shared().bucket());
    let mut event = event(&server, "postgres", &bucket);
    event["bucket"] = json!("no-such-bucket-here");
    let receipt = Pgseal::backup(&event)
        .envs(bucket.env())
        .envs(server.env())
        .run()
        .failed("s3_no_bucket", 4);
    assert!(
        error(&receipt)["message"]
            .as_str()
            .is_some_and(|message| message.contains("no-such-bucket-here")),
        "{receipt}"
    );
    nobody_came(&server);
}

#[test]
fn a_bucket_in_another_region() {
    let server = watched();
    let bucket = Bucket::create(Ministack::shared().env(), "eu-west-1");
    let event = event(&server, "postgres", &bucket);
    let receipt = Pgseal::backup(&event)
        .envs(bucket.env())
        .envs(server.env())
        .run()
        .failed("s3_wrong_region", 4);
    assert!(
        error(&receipt)["hint"].as_str().is_some_and(|hint| hint.contains("eu-west-1")),
        "{receipt}"
    );
    nobody_came(&server);
    assert_eq!(bucket.keys(), [""; 0]);

    let mut right = event;
    right["bucket_region"] = json!("eu-west-1");
    Pgseal::backup(&right).envs(bucket.env()).envs(server.env()).run().complete();
}

#[test]
fn a_redirect_is_not_followed_but_told() {
    let server = watched();
    let s3 = crate::support::s3::EmbeddedS3::start();
    let bucket = s3.bucket();
    let redirect = Canned::error(301, "PermanentRedirect").header("x-amz-bucket-region", "ap-south-2");
    let proxy = FaultProxy::before(&bucket, [Rule::on(Operation::HeadBucket).then(Fault::Answer(redirect))]);
    let event = event(&server, "postgres", &bucket);
    let receipt = Pgseal::backup(&event)
        .envs(proxy.env())
        .envs(server.env())
        .run()
        .failed("s3_wrong_region", 4);
    assert!(
        error(&receipt)["hint"].as_str().is_some_and(|hint| hint.contains("ap-south-2")),
        "{receipt}"
    );
    nobody_came(&server);
}

#[test]
fn a_role_that_may_not_write_is_found_by_the_first_small_object() {
    let fixture = Fixture::new();
    let rules = [
        Rule::on(Operation::PutObject).then(denied()),
        Rule::on(Operation::CreateUpload).then(denied()),
    ];
    let (run, _) = fixture.fails("nothing may be written", rules, "s3_denied");
    assert_eq!(run.proxy.count(Operation::CreateUpload), 0, "{:?}", run.proxy.seen());
    assert_eq!(run.bucket.keys(), [""; 0]);
}

#[test]
fn an_endpoint_where_nobody_listens() {
    let server = watched();
    let bucket = Ministack::shared().bucket();
    let event = event(&server, "postgres", &bucket);
    let run = Pgseal::backup(&event)
        .envs(bucket.env())
        .env("AWS_ENDPOINT_URL_S3", format!("http://127.0.0.1:{}", nobody_listens()));
    run.envs(server.env()).run().failed("s3_unavailable", 4);
    nobody_came(&server);
}
