//! S3's answers, through the real SDK and our own store: whatever a server says, nothing counts as stored without an answer
//! that says so, and no upload stays open without an attempt to abort it.
//!
//! Input: a byte for what is done, then the answers in the order of the requests: status, headers, kind of body, and text up
//! to a NUL. Where they end, the server has only errors left.

#![no_main]

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use pgseal::cancel::Cancel;
use pgseal::error::{Code, Result};
use pgseal::format::names::Prefix;
use pgseal::format::parts::Part;
use pgseal::format::parts::{PartDigest, UploadedObject};
use pgseal::format::sha256;
use pgseal::plan::{BucketAccess, BucketName, Destination, RegionName};
use pgseal::store::{KeyProbe, ObjectMatch, PutOutcome, PutRequest, S3, StoredObject, Upload};
use pgseal_fuzz::Input;
use pgseal_fuzz::server::{Answer, Kind, Server};
use std::sync::{Arc, LazyLock};
use tokio::runtime::{Builder, Runtime};

const KEY: &str = "backups/app_20261124T020000Z.3f9a12bc.sql.bz2.enc";
const PART: &[u8] = b"thirty-two bytes of sealed dump!";

/// Its clock jumps: what waits between two tries costs no time.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
});
static SERVER: LazyLock<Server> = LazyLock::new(Server::default);
static STORE: LazyLock<Arc<S3>> = LazyLock::new(|| {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("id", "secret", None, None, "fuzz"))
        .endpoint_url("http://s3.invalid")
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        .http_client(SERVER.client());
    let destination = Destination {
        bucket: BucketAccess {
            name: BucketName::new("acme").expect("a bucket"),
            region: RegionName::new("bucket_region", "eu-central-1").expect("a region"),
            owner: None,
        },
        prefix: Prefix::new("backups").expect("a prefix"),
        storage_class: None,
        kms_key_id: None,
        tags: None,
        retention: None,
        object_lock: None,
        encryption: None,
        acl: None,
    };
    Arc::new(S3::with_config(config, destination))
});

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let what = input.byte();
    SERVER.answer_with(
        input.rest(),
        (1 + usize::from(what % 4)) * PART.len(),
        &BASE64_STANDARD.encode(sha256(PART)),
    );
    RUNTIME.block_on(async {
        match what % 8 {
            0..4 => upload(1 + u32::from(what % 4)).await,
            4 => put().await,
            5 => holds().await,
            6 => drop(STORE.check_bucket().await),
            _ => head().await,
        }
    });
});

fn part(number: u32) -> Part {
    Part {
        number,
        bytes: Bytes::from_static(PART),
        sha256: sha256(PART),
    }
}

async fn upload(count: u32) {
    let size = PART.len() as u64;
    let sealed = UploadedObject {
        size: size * u64::from(count),
        sha256: sha256(&PART.repeat(count as usize)),
        parts: vec![
            PartDigest {
                size,
                sha256: sha256(PART)
            };
            count as usize
        ],
        ends: vec![[0; 16]; count as usize],
    };
    let cancel = Cancel::new().expect("a descriptor");
    let mut upload = Upload::new(STORE.clone(), KEY.into(), true);
    let stored = send(&mut upload, &sealed, &cancel).await;
    let ended = upload.abort().await;
    let log = SERVER.log();
    match stored {
        Ok(stored) => {
            is_stored(&log, &stored, &sealed);
            assert!(ended.is_ok() && !log.iter().any(|answer| answer.kind == Kind::Abort));
        }
        Err(error) => {
            assert_ne!(error.code, Code::Bug);
            let opened = log.iter().any(|answer| answer.kind == Kind::Part || answer.kind == Kind::Complete);
            assert!(
                !opened || log.iter().any(|answer| answer.kind == Kind::Abort),
                "an upload stays open"
            );
        }
    }
}

async fn send(upload: &mut Upload, sealed: &UploadedObject, cancel: &Cancel) -> Result<StoredObject> {
    let count = sealed.parts.len() as u32;
    let (sender, mut receiver) = tokio::sync::mpsc::channel(4);
    for number in 1..count {
        sender.try_send(part(number)).expect("room");
    }
    drop(sender);
    upload.receive(&mut receiver, 2, cancel).await?;
    upload.commit(sealed, part(count), cancel).await
}

/// The last answer says that the object stands, and each part was taken as it was sent.
fn is_stored(log: &[Answer], stored: &StoredObject, sealed: &UploadedObject) {
    let last = log.last().expect("a success without an answer");
    match last.kind {
        Kind::Head => {
            // A second look asks for its checksum, which nobody need know.
            let mut seen = log
                .iter()
                .rev()
                .take_while(|answer| answer.kind == Kind::Head)
                .filter(|answer| answer.is_success());
            let size = sealed.size.to_string();
            assert!(
                seen.any(|answer| answer.header("content-length") == Some(&size) && answer.names_etag()),
                "{log:?}"
            );
        }
        Kind::Complete => {
            assert!(
                last.is_whole() && last.says("CompleteMultipartUploadResult") && last.says("ETag"),
                "{last:?}"
            );
            assert!(last.says(&stored.etag) || last.says("&") || last.says("CDATA"), "{last:?}");
        }
        Kind::Put => {
            let checksum = BASE64_STANDARD.encode(sha256(PART));
            assert!(last.is_success() && last.names_etag() && sealed.parts.len() == 1);
            assert_eq!(last.header("x-amz-checksum-sha256"), Some(&*checksum));
        }
        other => panic!("a success after {other:?}"),
    }
    if sealed.parts.len() == 1 {
        return;
    }
    assert!(log[0].kind == Kind::Create && log[0].is_whole() && log[0].says("UploadId"));
    for number in 1..=sealed.parts.len() as u32 {
        let taken = |answer: &&Answer| answer.kind == Kind::Part && answer.part == Some(number) && answer.is_success();
        let answer = log.iter().rfind(taken).expect("each part was taken");
        let checksum = BASE64_STANDARD.encode(sha256(PART));
        assert!(answer.names_etag());
        assert!(answer.header("x-amz-checksum-sha256").is_none_or(|told| told == checksum));
    }
}

async fn put() {
    let put = PutRequest {
        key: KEY.into(),
        body: Bytes::from_static(PART),
        is_dump: false,
    };
    let written = STORE.put(put).await;
    let log = SERVER.log();
    let last = log.last().expect("an answer");
    match written {
        // By an answer that knows what was sent. No ETag of this server is an MD5 of it.
        Ok(PutOutcome::Stored { etag }) => {
            let checksum = BASE64_STANDARD.encode(sha256(PART));
            assert!(last.is_success() && last.names_etag() && last.header("etag") == Some(&etag));
            assert_eq!(last.header("x-amz-checksum-sha256"), Some(&*checksum));
        }
        // Said outright, or seen by a look after a conflict or an answer of somebody else.
        Ok(PutOutcome::Exists) => {
            let unclear = |answer: &Answer| {
                let is_conflict = answer.status == 409 || answer.says("ConditionalRequestConflict");
                is_conflict || answer.kind == Kind::Put && answer.is_success()
            };
            // What it says of the look behind it (nothing there, or no answer) does not take that back.
            let is_taken = |answer: &Answer| answer.kind == Kind::Put && (answer.status == 412 || answer.says("PreconditionFailed"));
            assert!(log.iter().any(is_taken) || log.iter().any(unclear) && last.is_success());
        }
        Err(error) => assert_ne!(error.code, Code::Bug),
    }
}

async fn holds() {
    let held = STORE.compare_object(KEY, &Bytes::from_static(PART)).await;
    let log = SERVER.log();
    let last = log.last().expect("an answer");
    match held {
        ObjectMatch::Same { etag } => assert!(last.is_whole() && last.header("etag") == Some(&etag) && last.body == PART),
        ObjectMatch::Other => assert!(last.is_whole() && last.names_etag() && last.body != PART),
        ObjectMatch::Missing => assert!(!last.is_success()),
        ObjectMatch::Unknown => {}
    }
}

async fn head() {
    if let Ok(KeyProbe::Found { size, .. }) = STORE.look(KEY).await {
        let log = SERVER.log();
        let last = log.last().expect("an answer");
        let told = last.header("content-length").and_then(|told| told.trim().parse().ok());
        assert!(last.is_success() && last.names_etag() && size == told.unwrap_or(0));
    }
}
