//! Answers to the call that makes an object of its parts: a success is believed where it proves itself.

use super::EmbeddedS3;
use super::cut::{parts, store};
use super::denied;
use super::slow_bodies::upload;
use crate::support::fault_proxy::{Canned, Fault, FaultProxy, Operation, Rule};
use crate::support::s3::block_on;
use pgseal::error::Code;

/// Each can be read, and none shows what was made.
const UNPROVEN: [(&str, &str); 4] = [
    ("another number of parts", "<ETag>\"00000000000000000000000000000000-1\"</ETag>"),
    ("no checksum", "<ETag>\"00000000000000000000000000000000-2\"</ETag>"),
    ("an opaque ETag", "<ETag>\"abc\"</ETag>"),
    (
        "another object",
        "<Key>other</Key><ETag>\"00000000000000000000000000000000-2\"</ETag>",
    ),
];

fn canned(content: &str) -> Canned {
    Canned::new(
        200,
        format!("<CompleteMultipartUploadResult>{content}</CompleteMultipartUploadResult>"),
    )
}

fn complete() -> Rule {
    Rule::on(Operation::CompleteUpload)
}

/// They were a backup that was complete, and its dump was nowhere.
#[test]
fn a_success_that_proves_nothing_is_looked_at() {
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    for (name, content) in UNPROVEN {
        for (fault, calls) in [(Fault::ReplaceAnswer(canned(content)), 1), (Fault::Answer(canned(content)), 2)] {
            let proxy = FaultProxy::before(&bucket, [complete().times(1).then(fault)]);
            let stored = upload(store(&bucket.name, &proxy), "dump", parts()).unwrap_or_else(|error| panic!("{name}: {error}"));
            let head = block_on(bucket.client().head_object().bucket(&bucket.name).key("dump").send()).expect("the object");
            assert_eq!(Some(&*stored.etag), head.e_tag(), "{name}");
            assert_eq!(proxy.count(Operation::CompleteUpload), calls, "{name}");
            bucket.delete("dump");
        }
    }
}

#[test]
fn a_success_that_is_none_for_ever_is_a_failure() {
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    std::thread::scope(|scope| {
        for (name, content) in UNPROVEN {
            let (s3, bucket) = (&s3, &bucket);
            scope.spawn(move || {
                let proxy = FaultProxy::before(bucket, [complete().then(Fault::Answer(canned(content)))]);
                let key = name.replace(' ', "-");
                let error = upload(store(&bucket.name, &proxy), &key, parts()).expect_err(name);
                assert_eq!(error.code, Code::S3Unavailable, "{name}: {error}");
                assert!(!s3.file(bucket, &key).exists(), "{name}");
            });
        }
    });
    assert_eq!(bucket.open_uploads(), []);
}

/// Of a server that repeats no checksum to a role that may not look, that is all there is to know.
#[test]
fn where_nobody_may_look_a_server_is_believed_that_never_repeats_a_checksum() {
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let unseen = || [Operation::HeadObject, Operation::ListObjects].map(|operation| Rule::on(operation).then(denied()));
    let part = Canned::new(200, "").header("ETag", "\"opaque\"");
    let part = Rule::on(Operation::UploadPart).then(Fault::Answer(part));
    for ((name, content), is_believed) in UNPROVEN.into_iter().zip([false, true, true, false]) {
        let rules = unseen()
            .into_iter()
            .chain([part.clone(), complete().then(Fault::Answer(canned(content)))]);
        let proxy = FaultProxy::before(&bucket, rules);
        let stored = upload(store(&bucket.name, &proxy), "dump", parts());
        let expected = if is_believed { None } else { Some(Code::CommitUnknown) };
        assert_eq!(stored.map_err(|error| error.code).err(), expected, "{name}");
    }
    // This one repeated that of each part.
    let proxy = FaultProxy::before(
        &bucket,
        unseen().into_iter().chain([complete().then(Fault::Answer(canned(UNPROVEN[1].1)))]),
    );
    let error = upload(store(&bucket.name, &proxy), "dump", parts()).expect_err("nothing proves it");
    assert_eq!(error.code, Code::CommitUnknown, "{error}");
}
