//! Whether an answer to PutObject is S3's own. Anyone who stands in its place, such as a firewall with a page of its own, can
//! answer 200 with some ETag while nothing is stored.

use super::s3::{named, no_etag};
use crate::error::{Code, Error, Result};
use crate::format::hex;
use aws_sdk_s3::operation::put_object::PutObjectOutput;
use md5::{Digest, Md5};
use std::sync::atomic::{AtomicBool, Ordering};

/// What this server's ETags are, as far as its answers have shown: where one was the MD5 of what was sent, the next is too, since
/// all objects of a backup are written alike. With KMS, and on some other servers, none is.
#[derive(Debug, Default)]
pub(super) struct EtagKind {
    is_md5: AtomicBool,
}

impl EtagKind {
    /// Whether an ETag is the MD5 of these bytes; remembered if so.
    pub(super) fn is_md5_of(&self, etag: &str, body: &[u8]) -> bool {
        let is_md5 = bare(etag).eq_ignore_ascii_case(&hex(&Md5::digest(body)));
        if is_md5 {
            self.is_md5.store(true, Ordering::Relaxed);
        }
        is_md5
    }

    /// Whether an ETag shows other bytes than these: it looks like an MD5, is not theirs, and this server's are.
    pub(super) fn shows_other_bytes(&self, etag: &str, body: &[u8]) -> bool {
        let bare = bare(etag);
        let looks_like_md5 = bare.len() == 32 && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
        looks_like_md5 && !self.is_md5_of(etag, body) && self.is_md5.load(Ordering::Relaxed)
    }
}

fn bare(etag: &str) -> &str {
    etag.trim_start_matches("W/").trim_matches('"')
}

/// The ETag of what was stored, from an answer that knows what was sent: it repeats our checksum or, of a server that keeps
/// none, its ETag is the body's MD5.
pub(super) fn etag(answer: &PutObjectOutput, checksum: &str, body: &[u8], arn: &str, kind: &EtagKind) -> Result<String> {
    let action = "s3:PutObject";
    let Some(etag) = named(answer.e_tag()) else {
        return Err(no_etag(action, arn));
    };
    let is_md5 = kind.is_md5_of(etag, body);
    match answer.checksum_sha256() {
        Some(told) if told == checksum => Ok(etag.to_owned()),
        Some(_) => Err(Error::new(
            Code::S3Integrity,
            format!("{action} on {arn}: S3 received other bytes than were sent"),
        )),
        None if is_md5 => Ok(etag.to_owned()),
        None => Err(Error::new(
            Code::S3Unavailable,
            format!("{action} on {arn}: the answer is not S3's: it shows in no way what was sent"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_that_knows_what_was_sent_is_one() {
        let answer = |tag: Option<&str>, sum: Option<&str>| {
            let answer = PutObjectOutput::builder().set_e_tag(tag.map(str::to_owned));
            let answer = answer.set_checksum_sha256(sum.map(str::to_owned)).build();
            etag(&answer, "ours", b"body", "arn:aws:s3:::b/k", &EtagKind::default()).map_err(|error| error.code)
        };
        let md5 = format!("\"{}\"", hex(&Md5::digest(b"body")));
        // With KMS the ETag is no MD5.
        assert_eq!(answer(Some("\"any\""), Some("ours")), Ok("\"any\"".to_owned()));
        for tag in [md5.clone(), format!("W/{md5}"), md5.to_uppercase()] {
            assert_eq!(answer(Some(&tag), None), Ok(tag));
        }
        assert_eq!(answer(Some(&md5), Some("other")), Err(Code::S3Integrity));
        for tag in [Some("\"abc\""), Some("W/\"3f-qS1mTp0b\""), Some(""), None] {
            assert_eq!(answer(tag, None), Err(Code::S3Unavailable), "{tag:?}");
        }
    }
    /// Of a server that checks nothing, other bytes under our name passed for ours, since their size was the same.
    #[test]
    fn an_etag_shows_other_bytes_once_it_is_known_to_be_md5() {
        let (kind, md5) = (EtagKind::default(), |bytes: &[u8]| hex(&Md5::digest(bytes)));
        // With KMS it looks the same, and is something else.
        assert!(!kind.shows_other_bytes(&md5(b"other"), b"body"));
        assert!(kind.is_md5_of(&format!("\"{}\"", md5(b"first")), b"first"));
        assert!(kind.shows_other_bytes(&md5(b"other"), b"body"));
        assert!(!kind.shows_other_bytes(&md5(b"body"), b"body") && !kind.shows_other_bytes("\"opaque-tag\"", b"body"));
    }
}
