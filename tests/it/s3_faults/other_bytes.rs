//! A server that checks nothing, or loses what it checked: other bytes than were sent stand under our name, or are answered for.

use super::cut::{parts, store};
use super::slow::upload;
use super::{EmbeddedS3, Fixture};
use crate::support::fault_proxy::{Canned, Fault, FaultProxy, Operation, Rule};
use crate::support::invariants::event;
use crate::support::pgseal::Pgseal;
use crate::support::s3::block_on;
use pgseal::error::Code;
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

/// Of servers that repeat no checksum: the ETag of each part is its MD5 there, and nobody looked.
#[test]
fn a_part_that_is_answered_with_the_md5_of_other_bytes_is_sent_again() {
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let other = || Canned::new(200, "").header("ETag", "\"0123456789abcdef0123456789abcdef\"");
    // Of two parts, each sent at most twice.
    for (times, is_stored) in [(1, true), (4, false)] {
        let rule = Rule::on(Operation::UploadPart)
            .key("dump")
            .times(times)
            .then(Fault::Answer(other()));
        let proxy = FaultProxy::before(&bucket, [rule]);
        let store = store(&bucket.name, &proxy);
        let key = PutRequest {
            key: format!("key{times}"),
            body: vec![4; 10].into(),
            is_dump: false,
        };
        block_on(store.put(key)).expect("by its answer ETags are MD5 here");
        let sent = upload(store, "dump", vec![parts().remove(0), parts().remove(1)]);
        assert_eq!(
            sent.map_err(|error| error.code).err(),
            (!is_stored).then_some(Code::S3Integrity),
            "{times}"
        );
        bucket.delete("dump");
    }
    assert_eq!(bucket.open_uploads(), []);
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
