//! The ETag of an object in parts, as far as it can be foretold.

use crate::format::{hex, unhex_any_case};
use aws_sdk_s3::types::CompletedPart;
use md5::{Digest, Md5};

/// The ETag of an object in parts, where ETags are MD5: of the parts' MD5, and their number. Whether they are shows in the
/// last part's: with KMS, and on some other servers, they are not, and then nothing can be foretold.
pub(super) fn foretold_etag(parts: &[CompletedPart], last: &[u8]) -> Option<String> {
    let bare = |part: &CompletedPart| part.e_tag().map(|etag| etag.trim_matches('"').to_owned());
    let is_md5 = parts.last().and_then(bare)? == hex(&Md5::digest(last));
    if !is_md5 {
        return None;
    }
    let mut sums = Md5::new();
    for part in parts {
        sums.update(unhex_any_case(&bare(part)?)?);
    }
    Some(format!("{}-{}", hex(&sums.finalize()), parts.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(etag: &str) -> CompletedPart {
        CompletedPart::builder().e_tag(etag).build()
    }

    #[test]
    fn an_etag_is_foretold_where_the_parts_have_md5() {
        let md5 = |bytes: &[u8]| hex(&Md5::digest(bytes));
        let parts = [part(&format!("\"{}\"", md5(b"first"))), part(&md5(b"last"))];
        let sums = [Md5::digest(b"first").to_vec(), Md5::digest(b"last").to_vec()].concat();
        assert_eq!(foretold_etag(&parts, b"last"), Some(format!("{}-2", md5(&sums))));
        // With KMS it looks the same, and is something else.
        let kms = [part(&md5(b"first")), part(&md5(b"whatever"))];
        assert_eq!(foretold_etag(&kms, b"last"), None);
        assert_eq!(foretold_etag(&[part("short"), part(&md5(b"last"))], b"last"), None);
        assert_eq!(foretold_etag(&[], b"last"), None);
    }
}
