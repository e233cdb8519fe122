//! An answer that was cut is none. The SDK reads XML as far as it goes and takes a missing end for nothing: a list would be
//! shorter, an ETag, a checksum or an upload's id cut in the middle. Nor is a page for people one, such as a firewall's, which
//! the SDK takes for an answer where it expects no text.

use aws_sdk_s3::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::Metadata;

/// Makes a failure of each success whose XML does not end, or that is a page.
#[derive(Debug)]
pub(super) struct Whole;

impl Intercept for Whole {
    fn name(&self) -> &'static str {
        "whole"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        let is_abort = config.load::<Metadata>().is_some_and(|call| call.name() == "AbortMultipartUpload");
        // The body of an object is not in memory, and is held against its hash.
        match response.body().bytes() {
            Some(body) if response.status().is_success() && is_abort && !body.trim_ascii().is_empty() => {
                Err("the answer has a text, and S3's to an abort has none".into())
            }
            Some(body) if response.status().is_success() && is_page(body) => Err("the answer is a page (HTML), which is not S3's".into()),
            Some(body) if response.status().is_success() && !ends(body) => Err("the answer was cut: its XML does not end".into()),
            _ => Ok(()),
        }
    }
}

fn is_page(body: &[u8]) -> bool {
    let mut text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    // Declarations and comments come before it.
    while let Some(end) = end_of_prolog(text).filter(|_| !begins(text, b"<!doctype")) {
        let Some(rest) = after(text, end) else { return false };
        text = rest.trim_ascii_start();
    }
    begins(text, b"<!doctype html") || begins(text, b"<html")
}

fn begins(text: &[u8], with: &[u8]) -> bool {
    text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
}

/// What ends a declaration or a comment, if a text begins with one.
fn end_of_prolog(text: &[u8]) -> Option<&'static [u8]> {
    match text {
        [b'<', b'!', b'-', b'-', ..] => Some(b"-->"),
        [b'<', b'?' | b'!', ..] => Some(b">"),
        _ => None,
    }
}

fn after<'a>(text: &'a [u8], end: &[u8]) -> Option<&'a [u8]> {
    let at = text.windows(end.len()).position(|window| window == end)?;
    Some(&text[at + end.len()..])
}

/// Whether a text, if it is XML, ends with the end of its root element.
fn ends(body: &[u8]) -> bool {
    let text = body.trim_ascii();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if !text.starts_with(b"<") {
        return true;
    }
    let mut rest = text;
    // Declarations and comments come before the root.
    while let Some(end) = end_of_prolog(rest) {
        let Some(beyond) = after(rest, end) else { return false };
        rest = beyond.trim_ascii_start();
    }
    let Some(root) = rest.strip_prefix(b"<") else { return false };
    let is_of_name = |byte: &u8| !byte.is_ascii_whitespace() && !matches!(byte, b'>' | b'/');
    let name = &root[..root.iter().take_while(|byte| is_of_name(byte)).count()];
    let last = text.windows(2).rposition(|window| window == b"</");
    match (last, text.strip_suffix(b">")) {
        (Some(at), Some(open)) => open[at + 2..].trim_ascii_end() == name,
        // A root with nothing in it.
        (None, Some(open)) => open.ends_with(b"/") && rest.iter().filter(|byte| **byte == b'<').count() == 1,
        (_, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer to an abort has no text: a page in its place was taken for a success.
    #[test]
    fn a_page_is_told_from_an_answer() {
        for page in [
            "<html><body>Welcome</body></html>",
            "\u{feff}\n<!DOCTYPE HTML>\n<html>",
            "<HTML>",
            "<!-- gateway --><html>x</html>",
            "<?xml version=\"1.0\"?>\n<!-- > -->\n<!doctype html><html/>",
        ] {
            assert!(is_page(page.as_bytes()), "{page}");
        }
        for answer in [
            "",
            "<?xml version=\"1.0\"?><Result/>",
            "<Result>html</Result>",
            "<!-- <html> --><R/>",
            "<!--",
        ] {
            assert!(!is_page(answer.as_bytes()), "{answer}");
        }
    }

    #[test]
    fn xml_that_does_not_end_is_told_at_every_byte() {
        let whole = "<?xml version=\"1.0\"?>\n<!-- <a> -->\n<Result xmlns=\"http://x/\"><ETag>&quot;ab-2&quot;</ETag><Empty/></Result >\n";
        assert!(ends(whole.as_bytes()));
        let most = whole.trim_end().len();
        for cut in 1..most {
            assert!(!ends(&whole.as_bytes()[..cut]), "{}", &whole[..cut]);
        }
        assert!(ends(b"<Result/>") && ends(b"<?xml version=\"1.0\"?><Result xmlns='x' />") && ends(b"\xef\xbb\xbf<R></R>"));
        assert!(!ends(b"<Result") && !ends(b"<Result>") && !ends(b"<a><b/>") && !ends(b"<?xml version=\"1.0\"?>"));
        // No XML at all: white space that keeps a connection open, a policy.
        assert!(ends(b"") && ends(b" \n") && ends(b"{\"a\": 1"));
    }
}
