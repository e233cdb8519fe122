//! Whether what stands in S3 is what was sent, byte by byte.

use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};

/// Whether a body is these bytes. One that tells no length may be without an end: it is read no further than they go.
pub(super) async fn has_bytes(mut body: ByteStream, bytes: &[u8]) -> Result<bool, ByteStreamError> {
    let (mut read, mut is_same) = (0, true);
    while let Some(piece) = body.try_next().await? {
        is_same &= bytes.get(read..read + piece.len()).is_some_and(|ours| ours == &*piece);
        read += piece.len();
        if read > bytes.len() {
            return Ok(false);
        }
    }
    Ok(is_same && read == bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::primitives::SdkBody;
    use bytes::Bytes;
    use http_body::{Body, Frame};
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// It tells no length, and has no end.
    struct Endless;

    impl Body for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"ours")))))
        }
    }

    #[tokio::test]
    async fn a_body_without_an_end_is_read_no_further_than_ours() {
        let endless = ByteStream::new(SdkBody::from_body_1_x(Endless));
        assert!(!has_bytes(endless, b"oursours").await.unwrap());
        for (held, is_same) in [("oursours", true), ("ours", false), ("oursOURS", false), ("oursours!", false)] {
            let body = ByteStream::from_static(held.as_bytes());
            assert_eq!(has_bytes(body, b"oursours").await.unwrap(), is_same, "{held}");
        }
    }
}
