//! Answers that end too early and look whole: a proxy that lost the rest, and tells the length of what it has.

use super::slow_bodies::upload;
use crate::support::aws::REGION;
use crate::support::fault_proxy::{Canned, Fault, FaultProxy, Operation, Rule};
use crate::support::s3::{ACCESS_KEY, EmbeddedS3, SECRET_KEY, block_on};
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use pgseal::error::Code;
use pgseal::format::parts::Part;
use pgseal::format::sha256;
use pgseal::plan::{BucketName, Destination};
use pgseal::store::S3;
use pgseal::variables::Env;
use std::sync::Arc;

pub(super) fn store(bucket: &str, proxy: &FaultProxy) -> Arc<S3> {
    let env = proxy.env();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "tests"))
        .region(Region::new(REGION))
        .endpoint_url(env.get("AWS_ENDPOINT_URL_S3").or(env.get("AWS_ENDPOINT_URL")).expect("an endpoint"))
        .force_path_style(true);
    let destination = Destination::reading(BucketName::of_location(bucket), &Env::from_iter([("AWS_REGION", REGION)])).expect("a bucket");
    Arc::new(S3::with_config(config, destination))
}

pub(super) fn parts() -> Vec<Part> {
    let part = |number, bytes: Vec<u8>| Part {
        number,
        sha256: sha256(&bytes),
        bytes: bytes.into(),
    };
    vec![part(1, vec![1; 5 << 20]), part(2, vec![2; 100])]
}

/// Inside its ETag: a success with half an ETag in the receipt. Inside its checksum: `s3_integrity`, of an object that was right.
#[test]
fn a_commit_whose_answer_is_cut_in_an_etag_or_a_checksum_is_looked_at() {
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    for (element, least) in [("ETag", 34), ("ChecksumSHA256", 44)] {
        for after in 0.. {
            let rule = Rule::on(Operation::CompleteUpload)
                .times(1)
                .then(Fault::EndAnswer { element, after });
            let proxy = FaultProxy::before(&bucket, [rule]);
            let stored = upload(store(&bucket.name, &proxy), "dump", parts());
            let stored = stored.unwrap_or_else(|error| panic!("{element} {after}: {error}"));
            let head = block_on(bucket.client().head_object().bucket(&bucket.name).key("dump").send()).expect("the object");
            assert_eq!(Some(&*stored.etag), head.e_tag(), "{element} {after}");
            bucket.delete("dump");
            assert_eq!(proxy.count(Operation::CompleteUpload), 1, "{element} {after}");
            if proxy.count(Operation::HeadObject) == 0 {
                // Else nothing was cut.
                assert!(after >= least, "{element} {after}");
                break;
            }
        }
    }
    assert_eq!(bucket.open_uploads(), []);
}

#[test]
fn a_commit_that_is_answered_with_another_checksum_is_decided_by_the_object() {
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let other = "<CompleteMultipartUploadResult><ETag>\"0123456789abcdef0123456789abcdef-2\"</ETag>\
                 <ChecksumSHA256>47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=-2</ChecksumSHA256></CompleteMultipartUploadResult>";
    let answer = || Rule::on(Operation::CompleteUpload).then(Fault::ReplaceAnswer(Canned::new(200, other)));
    let proxy = FaultProxy::before(&bucket, [answer()]);
    let stored = upload(store(&bucket.name, &proxy), "right", parts()).expect("it is the right one");
    assert!(!stored.etag.contains("0123456789abcdef"), "{}", stored.etag);
    // Where nothing stands behind the answer it is refused, in its words.
    let proxy = FaultProxy::before(
        &bucket,
        [Rule::on(Operation::CompleteUpload).then(Fault::Answer(Canned::new(200, other)))],
    );
    let error = upload(store(&bucket.name, &proxy), "none", parts()).expect_err("nothing stands there");
    assert_eq!(error.code, Code::S3Integrity, "{error}");
    assert_eq!(bucket.open_uploads(), []);
}

/// Half an upload's id was taken for one: the parts went to nowhere, and the upload stayed open.
#[test]
fn an_upload_whose_id_is_cut_is_no_upload() {
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let end = "</UploadId></InitiateMultipartUploadResult>".len();
    for missing in [end + 4, end, end - 12] {
        let pick = Rule::on(Operation::CreateUpload).times(1).then(Fault::ShortAnswer { missing });
        let proxy = FaultProxy::before(&bucket, [pick]);
        upload(store(&bucket.name, &proxy), "dump", parts()).unwrap_or_else(|error| panic!("{missing}: {error}"));
        assert_eq!(proxy.count(Operation::CreateUpload), 2, "{missing}");
        bucket.delete("dump");
        assert_eq!(bucket.open_uploads(), [], "{missing}");
    }
}
