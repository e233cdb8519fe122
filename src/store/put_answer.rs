//! Whether an answer to PutObject is S3's own. Anyone who stands in its place, such as a firewall with a page of its own, can
//! answer 200 with some ETag while nothing is stored.

use super::etag_kind::{EtagKind, EtagVerdict};
use super::s3::{named, no_etag};
use crate::error::{Code, Error, Result};
use aws_sdk_s3::operation::put_object::PutObjectOutput;

/// The ETag of what was stored, from an answer that knows what was sent: it repeats our checksum or, of a server that keeps
/// none, its ETag is the body's MD5.
pub(super) fn etag(answer: &PutObjectOutput, checksum: &str, body: &[u8], arn: &str, kind: &EtagKind) -> Result<String> {
    let action = "s3:PutObject";
    let Some(etag) = named(answer.e_tag()) else {
        return Err(no_etag(action, arn));
    };
    let is_md5 = kind.judge(etag, body) == EtagVerdict::Ours;
    match answer.checksum_sha256() {
        Some(told) if told == checksum => {
            kind.record_echo();
            Ok(etag.to_owned())
        }
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
    use crate::format::hex;
    use md5::{Digest, Md5};

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
}
