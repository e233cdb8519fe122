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
