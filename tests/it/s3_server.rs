//! The small S3 server that other tests lean on (`examples/s3_server`): uploads in parts, which it keeps by itself.

use crate::support::s3::{Bucket, EmbeddedS3, block_on};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

/// What S3 takes as a part that is not the last.
const PART: usize = 5 << 20;

/// Begins an upload and sends these parts, numbered from 1.
fn send(bucket: &Bucket, key: &str, parts: &[Vec<u8>]) -> (String, Vec<CompletedPart>) {
    let client = bucket.client();
    let created = block_on(client.create_multipart_upload().bucket(&bucket.name).key(key).send()).expect("an upload");
    let id = created.upload_id.expect("its id");
    let send = |(number, bytes): (i32, &Vec<u8>)| {
        let body = ByteStream::from(bytes.clone());
        let part = client
            .upload_part()
            .bucket(&bucket.name)
            .key(key)
            .upload_id(&id)
            .part_number(number);
        let sent = block_on(part.body(body).send()).expect("the part is taken");
        CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build()
    };
    let sent = (1..).zip(parts).map(send).collect();
    (id, sent)
}

/// Completes it by these parts: the object's ETag, or the code of the refusal.
fn complete(bucket: &Bucket, key: &str, id: &str, parts: Vec<CompletedPart>) -> Result<String, String> {
    let list = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let request = bucket
        .client()
        .complete_multipart_upload()
        .bucket(&bucket.name)
        .key(key)
        .upload_id(id);
    let answer = block_on(request.multipart_upload(list).send());
    let code = |error: &dyn ProvideErrorMetadata| error.code().unwrap_or("no code").to_owned();
    answer.map(|done| done.e_tag.expect("its ETag")).map_err(|error| code(&error))
}

#[test]
fn an_object_is_its_parts_and_keeps_its_etag() {
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let parts = [vec![1; PART], vec![2; PART], vec![3; 7]];
    let (id, sent) = send(&bucket, "a/b", &parts);
    assert_eq!(bucket.keys(), Vec::<String>::new());
    let e_tag = complete(&bucket, "a/b", &id, sent).unwrap();
    assert!(bucket.get("a/b") == parts.concat());
    let head = block_on(bucket.client().head_object().bucket(&bucket.name).key("a/b").send()).unwrap();
    assert_eq!(head.e_tag, Some(e_tag));
    assert_eq!(bucket.open_uploads(), []);
    assert_eq!(complete(&bucket, "a/b", &id, Vec::new()).unwrap_err(), "NoSuchUpload");
}

#[test]
fn a_list_without_parts_or_with_one_doubled_is_refused() {
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let (id, sent) = send(&bucket, "k", &[vec![1; PART]]);
    assert_eq!(complete(&bucket, "k", &id, Vec::new()).unwrap_err(), "MalformedXML");
    let doubled = [sent.clone(), sent.clone()].concat();
    assert_eq!(complete(&bucket, "k", &id, doubled).unwrap_err(), "InvalidPartOrder");
    assert_eq!(bucket.keys(), Vec::<String>::new());
    complete(&bucket, "k", &id, sent).unwrap();
}

#[test]
fn no_key_leads_out_of_its_bucket() {
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    for key in ["../out", "/out", "a/../../out"] {
        let (id, sent) = send(&bucket, key, &[vec![1; 3]]);
        assert_eq!(complete(&bucket, key, &id, sent).unwrap_err(), "InvalidArgument", "{key}");
    }
    assert!(!s3.path("out", "").exists());
}

/// As deploy/bucket-policy.json has it: every backup of the tests is made under this policy.
#[test]
fn nothing_is_written_without_a_condition_but_by_the_owner() {
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let writer = bucket.client_of_program();
    let put = || {
        writer
            .put_object()
            .bucket(&bucket.name)
            .key("a")
            .body(ByteStream::from_static(b"x"))
    };
    let error = block_on(put().send()).expect_err("no condition");
    assert_eq!(error.code(), Some("AccessDenied"), "{error:?}");
    block_on(put().if_none_match("*").send()).expect("a new object");
    let error = block_on(put().if_none_match("*").send()).expect_err("it is there");
    assert_eq!(error.code(), Some("PreconditionFailed"), "{error:?}");
    let (id, sent) = send(&bucket, "b", &[vec![1; 7]]);
    let list = CompletedMultipartUpload::builder().set_parts(Some(sent)).build();
    let complete = || {
        writer
            .complete_multipart_upload()
            .bucket(&bucket.name)
            .key("b")
            .upload_id(&id)
            .multipart_upload(list.clone())
    };
    let error = block_on(complete().send()).expect_err("no condition");
    assert_eq!(error.code(), Some("AccessDenied"), "{error:?}");
    block_on(complete().if_none_match("*").send()).expect("a new object");
    assert_eq!(bucket.keys(), ["a", "b"]);
}
