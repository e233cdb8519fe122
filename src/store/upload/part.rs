//! One part on its way.

use crate::error::{Code, Error, Result};
use crate::format::parts::Part;
use crate::store::S3;
use crate::store::etag_kind::{EtagKind, EtagVerdict};
use crate::store::s3::{named, no_etag, stalled, too_slow, wait_for};
use crate::store::s3_error::S3ErrorKind;
use crate::store::transfer::{StalledTransfer, Transfer};
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedPart};
use base64::{Engine, prelude::BASE64_STANDARD};
use std::time::Instant;

/// One part, from memory, with its checksum: a retry sends the same bytes.
pub(super) async fn send(s3: &S3, key: &str, id: &str, part: Part, kind: &EtagKind) -> Result<CompletedPart> {
    let limit = s3.patience.all_tries(part.bytes.len() as u64);
    let tries = tokio::time::timeout(limit, try_to_send(s3, key, id, &part, kind)).await;
    tries.unwrap_or_else(|_| Err(too_slow("s3:PutObject (UploadPart)", &s3.arn(key))))
}

async fn try_to_send(s3: &S3, key: &str, id: &str, part: &Part, kind: &EtagKind) -> Result<CompletedPart> {
    let (arn, action) = (s3.arn(key), "s3:PutObject (UploadPart)");
    let conflict_ends = Instant::now() + s3.patience.conflict;
    let (mut tries, mut stalls) = (0, 0);
    loop {
        tries += 1;
        let meaning = match send_once(s3, key, id, part, kind).await {
            Ok(Ok(completed)) => return Ok(completed),
            Ok(Err(meaning)) => meaning,
            Err(StalledTransfer) => {
                stalls += 1;
                if stalls >= s3.patience.stalls {
                    return Err(stalled(action, &arn));
                }
                wait_for(stalls).await;
                continue;
            }
        };
        match meaning {
            S3ErrorKind::Corrupted(_) | S3ErrorKind::Senseless(_) if tries < 2 => {}
            S3ErrorKind::Busy if Instant::now() < conflict_ends => wait_for(tries).await,
            S3ErrorKind::NotFound => return Err(S3ErrorKind::NoUpload.into_error(action, &arn)),
            S3ErrorKind::Unsupported(error) => return Err(s3.unsupported(error).await),
            other => return Err(other.into_error(action, &arn)),
        }
    }
}

/// The part as it stands in the upload, or what S3 said instead.
async fn send_once(
    s3: &S3,
    key: &str,
    id: &str,
    part: &Part,
    kind: &EtagKind,
) -> Result<Result<CompletedPart, S3ErrorKind>, StalledTransfer> {
    let (arn, action) = (s3.arn(key), "s3:PutObject (UploadPart)");
    let checksum = BASE64_STANDARD.encode(part.sha256);
    let transfer = Transfer::new(s3.patience, part.bytes.len());
    let request = s3
        .client
        .upload_part()
        .bucket(s3.destination.bucket.name.as_str())
        .key(key)
        .upload_id(id)
        .part_number(part.number as i32)
        .checksum_algorithm(ChecksumAlgorithm::Sha256)
        .checksum_sha256(&checksum)
        .body(transfer.body(part.bytes.clone()));
    let request = request.customize().disable_payload_signing();
    let call = request.interceptor(transfer.clone()).config_override(transfer.timeouts()).send();
    let completed = |etag: &str| {
        let part = CompletedPart::builder().part_number(part.number as i32).e_tag(etag);
        part.checksum_sha256(&checksum).build()
    };
    Ok(match transfer.watch(call).await? {
        Ok(answer) => match (named(answer.e_tag()), answer.checksum_sha256()) {
            (_, Some(told)) if told != checksum => Err(S3ErrorKind::Corrupted(Error::new(
                Code::S3Integrity,
                format!("S3 received other bytes of part {} than were sent", part.number),
            ))),
            (Some(etag), Some(_)) => {
                kind.record_echo();
                Ok(completed(etag))
            }
            (Some(etag), None) => match kind.judge(etag, &part.bytes) {
                EtagVerdict::Ours => Ok(completed(etag)),
                EtagVerdict::Others => Err(S3ErrorKind::Corrupted(other_bytes(part.number))),
                // A page of somebody who stands in S3's place: the part is nowhere, and Complete would miss it hours later.
                EtagVerdict::Nothing if transfer.is_answered_with_text() => Err(S3ErrorKind::Senseless(Error::new(
                    Code::S3Unavailable,
                    format!("{action} on {arn}: the answer is not S3's: it has a text, and shows in no way what was sent"),
                ))),
                EtagVerdict::Nothing => {
                    kind.remember(part.number.to_string(), etag);
                    Ok(completed(etag))
                }
            },
            // What arrived, if anything did, cannot be told: once more, like bytes that were refused.
            (None, _) => Err(S3ErrorKind::Corrupted(no_etag(action, &arn))),
        },
        // A success that cannot be read, such as a page.
        Err(error) if error.raw_response().is_some_and(|answer| answer.status().is_success()) => {
            let meaning = S3ErrorKind::from_sdk(&error, action, &arn);
            Err(S3ErrorKind::Senseless(meaning.into_error(action, &arn)))
        }
        Err(error) => Err(S3ErrorKind::from_sdk(&error, action, &arn)),
    })
}

/// By an ETag that is the MD5 of other bytes.
pub(super) fn other_bytes(part: impl std::fmt::Display) -> Error {
    Error::new(
        Code::S3Integrity,
        format!("S3 received other bytes of part {part} than were sent, by their ETag"),
    )
}
