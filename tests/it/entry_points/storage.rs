//! What an event asks of S3's storage arrives there: looked up at an independent server.

use crate::support::aws::Ministack;
use crate::support::fault_proxy::{FaultProxy, Operation};
use crate::support::invariants::{RECIPIENT, backup_stands, event, key_pair};
use crate::support::pgseal::Pgseal;
use crate::support::postgres::Server;
use crate::support::s3::{EmbeddedS3, block_on};
use serde_json::json;

#[test]
fn the_storage_class_and_the_tags_are_on_the_objects() {
    let server = Server::start();
    // More than a part, so that the upload in parts carries them too.
    server.create_app("create table wide as select repeat('x', 1000) as x from generate_series(1, 20000)");
    let bucket = Ministack::shared().bucket();
    let mut event = event(&server, "app", &bucket);
    event["compression"] = json!("none");
    event["storage_class"] = json!("STANDARD_IA");
    event["tags"] = json!({"team": "data & base", "cost=centre": "ü 1+1"});
    let proxy = FaultProxy::before(&bucket, []);
    let receipt = Pgseal::backup(&event).envs(proxy.env()).envs(server.env()).run().complete();
    backup_stands(&bucket, &receipt);

    for object in receipt["backups"][0]["objects"].as_array().expect("a list of objects") {
        let (key, is_dump) = (object["key"].as_str().expect("a key"), object["role"] == "dump");
        let head = block_on(bucket.client().head_object().bucket(&bucket.name).key(key).send()).expect("the object");
        let class = head.storage_class().map_or("STANDARD", |class| class.as_str());
        // Only the dump is large; what stands beside it is read more often than S3's classes of rare use allow cheaply.
        assert_eq!(class, if is_dump { "STANDARD_IA" } else { "STANDARD" }, "{key}");
        if !is_dump {
            let tagging = block_on(bucket.client().get_object_tagging().bucket(&bucket.name).key(key).send()).expect("the tags");
            let mut tags: Vec<_> = tagging.tag_set().iter().map(|tag| (tag.key(), tag.value())).collect();
            tags.sort();
            assert_eq!(tags, [("cost=centre", "ü 1+1"), ("team", "data & base")], "{key}");
        }
    }
    // This server forgets the tags of an upload in parts: that they were sent, in the words that it understood above,
    // is read off the request.
    let seen = proxy.seen();
    let sent = |operation| {
        seen.iter()
            .find(|seen| seen.operation == operation)
            .and_then(|seen| seen.header("x-amz-tagging"))
    };
    assert!(sent(Operation::CreateUpload).is_some());
    assert_eq!(sent(Operation::CreateUpload), sent(Operation::PutObject));
}

/// Bucket policies deny writes without these headers; the multipart upload has them at its start.
#[test]
fn the_encryption_and_the_acl_that_a_policy_demands_are_on_each_write() {
    let server = Server::start();
    server.create_app("create table wide as select repeat('x', 1000) as x from generate_series(1, 9000)");
    let s3 = EmbeddedS3::start();
    const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let cases = [
        (json!({"encryption": "AES256", "acl": "bucket-owner-full-control"}), "AES256", None),
        (json!({"encryption": "aws:kms"}), "aws:kms", None),
        (json!({"encryption": "aws:kms:dsse", "kms_key_id": KEY}), "aws:kms:dsse", Some(KEY)),
        (json!({"kms_key_id": KEY}), "aws:kms", Some(KEY)),
    ];
    for (fields, algorithm, key) in cases {
        let bucket = s3.bucket();
        let mut event = event(&server, "app", &bucket);
        event["compression"] = json!("none");
        for (name, value) in fields.as_object().expect("fields") {
            event[name] = value.clone();
        }
        let proxy = FaultProxy::before(&bucket, []);
        Pgseal::backup(&event).envs(proxy.env()).envs(server.env()).run().complete();
        let seen = proxy.seen();
        let writes = [Operation::PutObject, Operation::CreateUpload];
        let writes: Vec<_> = seen.iter().filter(|seen| writes.contains(&seen.operation)).collect();
        assert!(writes.len() >= 5, "{seen:?}");
        for write in writes {
            assert_eq!(write.header("x-amz-server-side-encryption"), Some(algorithm), "{write:?}");
            assert_eq!(write.header("x-amz-server-side-encryption-aws-kms-key-id"), key, "{write:?}");
            assert_eq!(write.header("x-amz-acl"), fields["acl"].as_str(), "{write:?}");
        }
    }
}

/// Requests to another machine over http:// show their session token to the network.
#[test]
fn an_endpoint_in_clear_on_another_machine_is_warned_of() {
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let place = format!("s3://{}/backups", bucket.name);
    let own = bucket.env().get("AWS_ENDPOINT_URL_S3").expect("an address").to_owned();
    let port = own.rsplit(':').next().expect("a port").trim_end_matches('/').to_owned();
    // This machine, by an address that does not say so.
    let other = format!("http://[::ffff:127.0.0.1]:{port}");
    for (endpoint, warned) in [(&own, false), (&other, true)] {
        let said = Pgseal::new(&["list", &place])
            .envs(bucket.env())
            .env("AWS_ENDPOINT_URL_S3", endpoint)
            .run();
        let told = said.stderr.matches("AWS_ENDPOINT_URL_S3 is http:// to another machine").count();
        assert_eq!(told, usize::from(warned), "{endpoint}: {}", said.stderr);
    }
}

/// A bucket name that somebody else registered again gets no backup, and gives none.
#[test]
fn the_owner_of_the_bucket_is_checked_on_the_way_out_and_home() {
    let server = Server::start();
    server.create_app("create table wide as select repeat('x', 1000) as x from generate_series(1, 9000)");
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (private, public) = key_pair(folder.path());
    let mut event = event(&server, "app", &bucket);
    event["compression"] = json!("none");
    event["public_key"] = json!(public);
    bucket.put("event.json", event.to_string().as_bytes());
    let proxy = FaultProxy::before(&bucket, []);
    let owner = |run: Pgseal| run.envs(proxy.env()).env("S3_BUCKET_OWNER", "111122223333");
    let stored = format!("s3://{}/event.json", bucket.name);
    owner(Pgseal::new(&["check", "--event", &stored]).envs(server.env()))
        .run()
        .receipt();
    owner(Pgseal::backup(&event)).envs(server.env()).run().complete();
    let place = format!("s3://{}/backups", bucket.name);
    let listed = owner(Pgseal::new(&["list", &place])).run();
    assert_eq!(listed.code, 0, "{}{}", listed.stdout, listed.stderr);
    let stem = bucket
        .keys()
        .iter()
        .find_map(|key| Some(key.strip_suffix(".manifest.jsonl")?.to_owned()));
    let stem = format!("s3://{}/{}", bucket.name, stem.expect("a manifest"));
    let key = private.to_str().expect("UTF-8");
    let other = folder.path().join("other.pem");
    std::fs::write(&other, &*RECIPIENT).expect("a file");
    server.psql("postgres", "create database back");
    let reports = format!("s3://{}/reports", bucket.name);
    for arguments in [
        &["verify", &stem, "--deep"][..],
        &["decrypt", &stem, "--key", key],
        &["restore", &stem, "--key", key, "--to", &server.url("back")],
        &["drill", &stem, "--key", key, "--report", &reports],
        &["rewrap", &stem, "--key", key, "--recipient", other.to_str().expect("UTF-8")],
    ] {
        let said = owner(Pgseal::new(arguments)).envs(server.env()).run();
        assert_eq!(said.code, 0, "{arguments:?}: {}", said.stderr);
    }
    let seen = proxy.seen();
    assert!(seen.iter().any(|seen| seen.operation == Operation::GetObject), "{seen:?}");
    let without: Vec<_> = seen
        .iter()
        .filter(|seen| seen.header("x-amz-expected-bucket-owner") != Some("111122223333"))
        .collect();
    assert!(without.is_empty(), "{without:?}");
    let mut refused = Pgseal::new(&["list", &place])
        .envs(bucket.env())
        .env("S3_BUCKET_OWNER", "acme")
        .run();
    refused.stderr.push_str(&refused.stdout);
    assert!(
        refused.code == 2 && refused.stderr.contains("S3_BUCKET_OWNER"),
        "{}",
        refused.stderr
    );
}

/// Lifecycle rules go by the tags; the manifest goes first. A lock without days is as long as the class.
#[test]
fn the_retention_class_is_on_each_object_and_gives_the_lock_its_days() {
    let server = Server::start();
    server.create_app("create table wide as select repeat('x', 1000) as x from generate_series(1, 9000)");
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let mut event = event(&server, "app", &bucket);
    event["compression"] = json!("none");
    // A Sunday in Berlin, and still Saturday in UTC.
    event["scheduled_time"] = json!("2026-11-28T23:30:00Z");
    event["retention"] = json!("gfs");
    event["timezone"] = json!("Europe/Berlin");
    event["tags"] = json!({"team": "data"});
    event["object_lock"] = json!({"mode": "GOVERNANCE"});
    let proxy = FaultProxy::before(&bucket, []);
    Pgseal::backup(&event).envs(proxy.env()).envs(server.env()).run().complete();
    let seen = proxy.seen();
    let writes = [Operation::PutObject, Operation::CreateUpload];
    let writes: Vec<_> = seen.iter().filter(|seen| writes.contains(&seen.operation)).collect();
    assert!(writes.len() >= 5, "{seen:?}");
    for write in writes {
        let role = if write.key.ends_with(".manifest.jsonl") {
            "&role=manifest"
        } else {
            ""
        };
        assert_eq!(
            write.header("x-amz-tagging"),
            Some(format!("team=data&retention=weekly{role}").as_str()),
            "{write:?}"
        );
        assert_eq!(write.header("x-amz-object-lock-mode"), Some("GOVERNANCE"), "{write:?}");
        let until = write.header("x-amz-object-lock-retain-until-date").expect("a date");
        let until = time::OffsetDateTime::parse(until, &time::format_description::well_known::Rfc3339).expect("RFC 3339");
        let days = (until - time::OffsetDateTime::now_utc()).whole_days();
        assert!((58..=59).contains(&days), "{until}");
    }
}

/// The manifests that `rewrap` wrote had no tags: rules that go by tags removed the dump below them.
#[test]
fn a_rewrapped_backup_is_kept_as_long_as_before() {
    let server = Server::start();
    server.create_app("create table plain (id int)");
    let bucket = Ministack::shared().bucket();
    let folder = tempfile::tempdir().expect("a folder");
    let (private, public) = key_pair(folder.path());
    let mut event = event(&server, "app", &bucket);
    event["public_key"] = json!(public);
    event["retention"] = json!("weekly");
    event["tags"] = json!({"team": "data & base"});
    event["scheduled_time"] = json!("2026-11-24T02:00:00Z");
    Pgseal::backup(&event).envs(bucket.env()).envs(server.env()).run().complete();
    let recipient = folder.path().join("new.pem");
    std::fs::write(&recipient, &*RECIPIENT).expect("written");
    let place = format!("s3://{}/backups/app_20261124T020000Z", bucket.name);
    let paths = [&private, &recipient].map(|path| path.to_str().expect("UTF-8"));
    let said = Pgseal::new(&["rewrap", &place, "--key", paths[0], "--recipient", paths[1]])
        .envs(bucket.env())
        .run();
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    let written = said.receipt()["written"].as_array().expect("a list").clone();
    assert!(written.len() >= 3, "{}", said.stdout);
    for name in written {
        let key = format!("backups/{}", name.as_str().expect("a name"));
        let tagging = block_on(bucket.client().get_object_tagging().bucket(&bucket.name).key(&key).send()).expect("the tags");
        let mut tags: Vec<_> = tagging.tag_set().iter().map(|tag| (tag.key(), tag.value())).collect();
        tags.sort();
        let mut expected = vec![("retention", "weekly"), ("team", "data & base")];
        if key.ends_with(".jsonl") {
            expected.insert(1, ("role", "manifest"));
        }
        assert_eq!(tags, expected, "{key}");
    }
}
