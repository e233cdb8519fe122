//! A server that checks nothing, or loses what it checked: other bytes than were sent stand under our name, or are answered for.

use super::cut::{parts, store};
use super::slow_bodies::upload;
use super::{EmbeddedS3, Fixture, denied};
use crate::support::fault_proxy::{Canned, Fault, FaultProxy, Operation, Rule};
use crate::support::invariants::event;
use crate::support::pgseal::Pgseal;
use crate::support::s3::block_on;
use md5::{Digest, Md5};
use pgseal::error::Code;
use pgseal::format::hex;
use pgseal::store::PutRequest;

/// Their size was the same, and decided.
#[test]
fn a_dump_of_one_piece_whose_name_holds_other_bytes_is_no_success() {
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let proxy = FaultProxy::before(&bucket, []);
    let last = || parts().split_off(1);
    bucket.put("dump", vec![3; 100]);
    let error = upload(store(&bucket.name, &proxy), "dump", last()).expect_err("other bytes");
    assert_eq!(error.code, Code::S3Integrity, "{error}");
    // Ours, of a try whose answer was lost.
    bucket.put("same", last().remove(0).bytes.to_vec());
    upload(store(&bucket.name, &proxy), "same", last()).expect("our own bytes");
}

/// Of servers that repeat no checksum: the ETag of each part is its MD5 there, and nobody looked. At the first part nothing is
/// known of them yet.
#[test]
fn a_part_that_is_answered_with_the_md5_of_other_bytes_is_found() {
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let answer = |etag: &str| Fault::Answer(Canned::new(200, "").header("ETag", format!("\"{etag}\"")));
    let (other, second) = ("0123456789abcdef0123456789abcdef", hex(&Md5::digest([2; 100])));
    let first = hex(&Md5::digest(vec![1; 5 << 20]));
    for (one, two) in [(other, &*second), (&*first, other)] {
        let (one, two) = (answer(one), answer(two));
        let proxy = FaultProxy::with(&bucket, move |request| {
            let answer = if request.length() > 100 { &one } else { &two };
            request.is(Operation::UploadPart, "dump").then(|| answer.clone())
        });
        let error = upload(store(&bucket.name, &proxy), "dump", parts()).expect_err("other bytes");
        assert_eq!(error.code, Code::S3Integrity, "{error}");
        assert_eq!(proxy.count(Operation::CompleteUpload), 0);
    }
    assert_eq!(bucket.open_uploads(), []);
}

/// What objects have is no word about parts: this server's objects have MD5, and its parts something else of that length.
#[test]
fn etags_of_parts_may_be_of_another_kind() {
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let canned = |etag: &str| Fault::Answer(Canned::new(200, "").header("ETag", etag));
    let result = "<CompleteMultipartUploadResult><ETag>\"ab-2\"</ETag></CompleteMultipartUploadResult>";
    let rules = [
        Rule::on(Operation::UploadPart).then(canned("\"0123456789abcdef0123456789abcdef\"")),
        Rule::on(Operation::PutObject).then(canned(&format!("\"{}\"", hex(&Md5::digest([4; 10]))))),
        Rule::on(Operation::CompleteUpload).then(Fault::Answer(Canned::new(200, result))),
        Rule::on(Operation::HeadObject).then(denied()),
        Rule::on(Operation::ListObjects).then(denied()),
    ];
    let proxy = FaultProxy::before(&bucket, rules);
    let store = store(&bucket.name, &proxy);
    let put = PutRequest {
        key: "key".to_owned(),
        body: vec![4; 10].into(),
        is_dump: false,
    };
    block_on(store.put(put)).expect("by its answer ETags of objects are MD5 here");
    upload(store, "dump", parts()).expect("of parts that says nothing");
}

/// One bit of the first write of all is turned on its way, and the answer has the MD5 of what arrived: nothing was known of this
/// server's ETags by then, the role may not read, and the size was right.
#[test]
fn a_first_object_that_arrives_as_other_bytes_is_no_success() {
    let fixture = Fixture::new();
    let bucket = fixture.s3.bucket();
    let (client, name) = (bucket.client().clone(), bucket.name.clone());
    let mut is_spoilt = false;
    let proxy = FaultProxy::with(&bucket, move |request| {
        if request.is(Operation::GetObject, ".key.") || request.is(Operation::HeadObject, ".key.") {
            return Some(denied());
        }
        if !request.is(Operation::PutObject, ".key.") || std::mem::replace(&mut is_spoilt, true) {
            return None;
        }
        let other = vec![7; request.length()];
        let etag = format!("\"{}\"", hex(&Md5::digest(&other)));
        let put = client.put_object().bucket(&name).key(request.key()).body(other.into());
        block_on(put.send()).expect("it is put");
        Some(Fault::Answer(Canned::new(200, "").header("ETag", etag)))
    });
    let event = event(&fixture.server, "app", &bucket);
    let said = Pgseal::backup(&event).envs(proxy.env()).envs(fixture.server.env()).run();
    let receipt = said.failed("s3_integrity", 4);
    assert!(receipt.to_string().contains(".key."), "{receipt}");
    let keys = bucket.keys();
    assert!(!keys.iter().any(|key| key.ends_with(".manifest.jsonl")), "{keys:?}");
}

/// No other run writes under such a name: it was taken for one of another run, which costs nothing but a night.
#[test]
fn a_key_of_this_run_with_other_bytes_is_no_success() {
    let fixture = Fixture::new();
    let bucket = fixture.s3.bucket();
    let (client, name) = (bucket.client().clone(), bucket.name.clone());
    let proxy = FaultProxy::with(&bucket, move |request| {
        if request.is(Operation::PutObject, ".key.") {
            let put = client.put_object().bucket(&name).key(request.key());
            block_on(put.body(vec![7; request.length()].into()).send()).expect("it is put");
        }
        None
    });
    let event = event(&fixture.server, "app", &bucket);
    let said = Pgseal::backup(&event).envs(proxy.env()).envs(fixture.server.env()).run();
    said.failed("s3_integrity", 4);
}

/// A size that a look tells is no proof where reading says that nothing is there.
#[test]
fn an_object_that_is_there_to_look_at_and_not_to_read_is_no_success() {
    let fixture = Fixture::new();
    let bucket = fixture.s3.bucket();
    let proxy = FaultProxy::with(&bucket, |request| {
        let is = |operation| request.is(operation, ".key.");
        if is(Operation::PutObject) {
            Some(Fault::Answer(Canned::error(412, "PreconditionFailed")))
        } else if is(Operation::HeadObject) {
            Some(Fault::Answer(Canned::new(200, "x".repeat(256)).header("ETag", "\"0123\"")))
        } else if is(Operation::GetObject) {
            Some(Fault::Answer(Canned::error(404, "NoSuchKey")))
        } else {
            None
        }
    });
    let event = event(&fixture.server, "app", &bucket);
    let said = Pgseal::backup(&event).envs(proxy.env()).envs(fixture.server.env()).run();
    said.failed("s3_unavailable", 4);
}

/// It was taken for a backup of another run, found complete.
#[test]
fn a_manifest_of_this_run_with_other_bytes_is_no_success() {
    let fixture = Fixture::new();
    let bucket = fixture.s3.bucket();
    let mut puts = 0;
    let folder = fixture.s3.path(&bucket.name, "");
    let proxy = FaultProxy::with(&bucket, move |request| {
        if !request.is(Operation::PutObject, ".manifest.jsonl") {
            return None;
        }
        puts += 1;
        if puts == 1 {
            return Some(Fault::LoseAnswer);
        }
        spoil_manifest(&folder);
        None
    });
    let event = event(&fixture.server, "app", &bucket);
    let said = Pgseal::backup(&event).envs(proxy.env()).envs(fixture.server.env()).run();
    said.failed("s3_integrity", 4);
}

/// One digit of its proof: it can still be read.
fn spoil_manifest(folder: &std::path::Path) {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of the server").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(".manifest.jsonl") {
                let text = std::fs::read_to_string(&path).expect("a manifest");
                let (line, proof) = text.split_once('\n').expect("two lines");
                let at = proof.find("hmac-sha256:").expect("a MAC") + 12;
                let digit = if proof[at..].starts_with('0') { "1" } else { "0" };
                let proof = format!("{}{digit}{}", &proof[..at], &proof[at + 1..]);
                std::fs::write(&path, format!("{line}\n{proof}")).expect("its own file");
            }
        }
    }
}
