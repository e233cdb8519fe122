//! Slow is not broken, and what stands still is cut. With limits of seconds in place of minutes, the same code.

use crate::support::aws::REGION;
use crate::support::fault_proxy::{Fault, FaultProxy, Operation, Rule};
use crate::support::s3::{ACCESS_KEY, Bucket, EmbeddedS3, SECRET_KEY, block_on};
use crate::support::slow_link::{Manner, SlowLink};
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Builder, Credentials, Region};
use pgseal::cancel::Cancel;
use pgseal::error::Code;
use pgseal::format::parts::{Part, PartDigest, UploadedObject};
use pgseal::format::sha256;
use pgseal::plan::{BucketName, Destination};
use pgseal::store::{PutOutcome, PutRequest, S3, StoredObject, TransferTimeouts, Upload};
use pgseal::variables::Env;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// More than the sockets of both ends hold.
const SIZE: usize = 24 << 20;
const LIMIT: Duration = Duration::from_secs(5);

fn config(endpoint: String) -> Builder {
    aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "tests"))
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .force_path_style(true)
}

fn store(bucket: &Bucket, link: &SlowLink) -> S3 {
    let config = config(format!("http://{}", link.address))
        // As the program's, which was once all that a body had.
        .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(LIMIT).build())
        .retry_config(RetryConfig::standard().with_max_attempts(2));
    let patience = TransferTimeouts {
        answer: LIMIT,
        stall: LIMIT,
        slowest: 1_000_000,
        stalls: 2,
        ..TransferTimeouts::default()
    };
    let destination =
        Destination::reading(BucketName::of_location(&bucket.name), &Env::from_iter([("AWS_REGION", REGION)])).expect("a bucket");
    S3::with_config(config, destination).patient(patience)
}

fn bytes() -> bytes::Bytes {
    (0..SIZE).map(|n| (n % 251) as u8).collect::<Vec<_>>().into()
}

/// At 110 kB/s no part ever came through: a minute was all that it had, its body included.
#[test]
fn a_slow_link_is_waited_for_in_parts_and_in_one_piece() {
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let manner = Manner {
        bytes_per_second: 3_000_000,
        stands_still: None,
    };
    let link = SlowLink::before(&bucket, manner);
    let store = Arc::new(store(&bucket, &link));
    let put = PutRequest {
        key: "whole".to_owned(),
        body: bytes(),
        is_dump: true,
    };
    let began = Instant::now();
    let written = block_on(store.put(put)).expect("it is stored");
    assert!(matches!(written, PutOutcome::Stored { .. }), "{written:?}");
    // Else it proves nothing.
    assert!(began.elapsed() > LIMIT, "the link was not slow");

    let parts: Vec<_> = [1, 2]
        .map(|number| Part {
            number,
            bytes: bytes(),
            sha256: sha256(&bytes()),
        })
        .into();
    upload(store, "parts", parts).expect("it is stored");
    assert_eq!(bucket.get("whole"), bytes());
    assert_eq!(bucket.get("parts").len(), 2 * SIZE);
    assert_eq!(bucket.open_uploads(), []);
}

pub(super) fn upload(store: Arc<S3>, key: &str, parts: Vec<Part>) -> pgseal::error::Result<StoredObject> {
    let facts: Vec<_> = parts
        .iter()
        .map(|part| PartDigest {
            size: part.bytes.len() as u64,
            sha256: part.sha256,
        })
        .collect();
    let sealed = UploadedObject {
        ends: Vec::new(),
        size: facts.iter().map(|part| part.size).sum(),
        sha256: [0; 32],
        parts: facts,
    };
    block_on(async {
        let cancel = Cancel::new()?;
        let mut upload = Upload::new(store, key.to_owned(), true);
        let (sender, mut receiver) = tokio::sync::mpsc::channel(parts.len());
        let mut parts = parts;
        let last = parts.pop().expect("a last part");
        for part in parts {
            assert!(sender.send(part).await.is_ok());
        }
        drop(sender);
        let sent = upload.receive(&mut receiver, 2, &cancel).await;
        let committed = match sent {
            Ok(()) => upload.commit(&sealed, last, &cancel).await,
            Err(error) => Err(error),
        };
        if committed.is_err() {
            upload.abort().await?;
        }
        committed
    })
}

#[test]
fn a_transfer_that_stands_still_is_cut_and_made_again() {
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let manner = |first| Manner {
        bytes_per_second: 50_000_000,
        stands_still: Some((first, 1 << 20)),
    };
    let put = || PutRequest {
        key: "whole".to_owned(),
        body: bytes(),
        is_dump: true,
    };
    let dead = SlowLink::before(&bucket, manner(usize::MAX));
    let error = block_on(store(&bucket, &dead).put(put())).expect_err("nothing moves");
    assert_eq!((error.code, dead.connections()), (Code::S3Unavailable, 2), "{error}");
    assert_eq!(bucket.keys(), [""; 0]);

    let recovered = SlowLink::before(&bucket, manner(1));
    let written = block_on(store(&bucket, &recovered).put(put())).expect("it is stored");
    assert!(matches!(written, PutOutcome::Stored { .. }), "{written:?}");
    assert_eq!(recovered.connections(), 2);
    assert_eq!(bucket.get("whole"), bytes());
}

/// A byte now and then was no stall, and the whole had no limit.
#[test]
fn what_drips_is_given_up() {
    const OBJECT: &str = "HTTP/1.1 200 OK\r\nETag: \"0123456789abcdef0123456789abcdef\"\r\nContent-Length: 100000\r\n\r\n";
    const LIST: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: 100000\r\n\r\n";
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let rules = [
        Rule::on(Operation::GetObject).then(Fault::Drip(OBJECT)),
        Rule::on(Operation::ListObjects).then(Fault::Drip(LIST)),
    ];
    let proxy = FaultProxy::before(&bucket, rules);
    let destination =
        Destination::reading(BucketName::of_location(&bucket.name), &Env::from_iter([("AWS_REGION", REGION)])).expect("a bucket");
    let endpoint = proxy.env().get("AWS_ENDPOINT_URL_S3").expect("an endpoint").to_owned();
    let config = config(endpoint).retry_config(RetryConfig::standard());
    let store = S3::with_config(config, destination).patient(TransferTimeouts {
        call: Duration::from_secs(2),
        ..TransferTimeouts::default()
    });
    block_on(async {
        let fetched = store.fetch("manifest", 1 << 20).await.expect_err("it never ends");
        assert_eq!(fetched.code, Code::S3Unavailable, "{fetched}");
        let compared = store.compare_object("manifest", &bytes().slice(..200_000)).await;
        assert_eq!(compared, pgseal::store::ObjectMatch::Unknown);
        let listed = store.list_under("backups/").await.expect_err("it never ends");
        assert_eq!(listed.code, Code::S3Unavailable, "{listed}");
    });
}

/// The client keeps connections apart by their read time-outs, and these grew with the bodies: each size had a connection of
/// its own, with a TLS handshake of its own, for as long as the process lived.
#[test]
fn bodies_of_any_size_share_a_connection() {
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let manner = Manner {
        bytes_per_second: 50_000_000,
        stands_still: None,
    };
    let link = SlowLink::before(&bucket, manner);
    let store = Arc::new(store(&bucket, &link));
    block_on(async {
        for size in [1, 1000, 300_000] {
            let put = PutRequest {
                key: size.to_string(),
                body: bytes().slice(..size),
                is_dump: false,
            };
            store.put(put).await.expect("it is stored");
            let held = store.compare_object(&size.to_string(), &bytes().slice(..size)).await;
            assert!(matches!(held, pgseal::store::ObjectMatch::Same { .. }), "{held:?}");
        }
    });
    assert_eq!(link.connections(), 1);
}
