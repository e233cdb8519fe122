//! No password in plain text or as MD5 where the server is not verified: anyone who answers there would have it.
//!
//! tokio-postgres answers whatever way of authentication the server asks for. So the server's messages are read here
//! first, up to the end of the login: one that asks for more than SCRAM ends the connection before the client sees it.

use crate::error::{Code, Error};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// Longer than any message of authentication that SCRAM has.
const LONGEST: usize = 8 << 10;

/// A stream from the server, watched until the login is done.
pub(crate) struct GuardedStream<S> {
    stream: S,
    watch: Option<LoginWatch>,
}

/// Follows the messages of a login.
struct LoginWatch {
    message: Vec<u8>,
    /// Of a message that is no authentication, so many bytes are still to come.
    skip: usize,
    offers_binding: Arc<AtomicBool>,
}

impl<S> GuardedStream<S> {
    /// `offers_binding` is set once the server offers SCRAM with channel binding.
    pub(crate) fn new(stream: S, offers_binding: Arc<AtomicBool>) -> Self {
        let (message, skip) = (Vec::new(), 0);
        Self {
            stream,
            watch: Some(LoginWatch {
                message,
                skip,
                offers_binding,
            }),
        }
    }

    /// Passes everything.
    pub(crate) fn open(stream: S) -> Self {
        Self { stream, watch: None }
    }
}

impl LoginWatch {
    /// Whether the login is done, or the refusal.
    fn read(&mut self, mut bytes: &[u8]) -> Result<bool, Error> {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            while let Some((first, rest)) = bytes.split_first() {
                self.message.push(*first);
                bytes = rest;
                let Some(length) = length(&self.message)? else { continue };
                let whole = length + 1;
                if self.message[0] != b'R' {
                    self.skip = whole - self.message.len();
                    self.message.clear();
                    break;
                }
                if whole > LONGEST {
                    return Err(refused("a message of authentication without an end"));
                }
                if self.message.len() == whole {
                    let done = self.judge()?;
                    self.message.clear();
                    if done {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }

    /// <https://www.postgresql.org/docs/current/protocol-message-formats.html>: Authentication…
    fn judge(&self) -> Result<bool, Error> {
        let kind = self
            .message
            .get(5..9)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u32::from_be_bytes);
        match kind {
            Some(0) => Ok(true),
            Some(10) => {
                let mut mechanisms = self.message[9..].split(|byte| *byte == 0);
                if mechanisms.any(|name| name == b"SCRAM-SHA-256-PLUS") {
                    self.offers_binding.store(true, Ordering::Relaxed);
                }
                Ok(false)
            }
            Some(11 | 12) => Ok(false),
            Some(3) => Err(refused("the password in plain text")),
            Some(5) => Err(refused("the password as MD5")),
            _ => Err(refused("another way of authentication than SCRAM")),
        }
    }
}

/// The length that stands behind a message's type; it counts itself.
fn length(message: &[u8]) -> Result<Option<usize>, Error> {
    let Some(bytes) = message.get(1..5) else { return Ok(None) };
    let length = bytes.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
    if length < 4 {
        return Err(refused("a message without sense"));
    }
    Ok(Some(length))
}

fn refused(what: &str) -> Error {
    Error::new(
        Code::DbAuth,
        format!("the server asks for {what}: without PGSSLMODE=verify-full the login is by SCRAM alone, and nothing was sent"),
    )
    .advise("Use PGSSLMODE=verify-full (the default), or have the server keep this user's password as scram-sha-256 and ask for it so.")
}

impl<S: AsyncRead + Unpin> AsyncRead for GuardedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if let Some(watch) = &mut self.watch
            && watch.read(&buffer.filled()[before..]).map_err(io::Error::other)?
        {
            self.watch = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GuardedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: TlsStream + Unpin> TlsStream for GuardedStream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

/// A TLS connector whose streams are guarded: what the server says inside of TLS is what counts.
pub(crate) struct GuardedTls<C> {
    pub connector: C,
    pub guard: Option<Arc<AtomicBool>>,
}

impl<S, C> TlsConnect<S> for GuardedTls<C>
where
    C: TlsConnect<S>,
    C::Future: Send + 'static,
{
    type Stream = GuardedStream<C::Stream>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, Self::Error>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        let connecting = self.connector.connect(stream);
        Box::pin(async move {
            let stream = connecting.await?;
            Ok(match self.guard {
                Some(offers_binding) => GuardedStream::new(stream, offers_binding),
                None => GuardedStream::open(stream),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u32 + 4).to_be_bytes();
        [&[kind], &length[..], body].concat()
    }

    /// What the client would see of these bytes, in pieces of this size.
    async fn seen(bytes: &[u8], piece: usize) -> (Result<Vec<u8>, Code>, bool) {
        let (binding, mut all, mut seen) = (Arc::new(AtomicBool::new(false)), bytes, Vec::new());
        let mut guarded = GuardedStream::new(&mut all, binding.clone());
        let outcome = loop {
            let mut part = vec![0; piece];
            match guarded.read(&mut part).await {
                Ok(0) => break Ok(seen),
                Ok(read) => seen.extend_from_slice(&part[..read]),
                Err(error) => break Err(crate::error::from_io(error, Code::Bug).code),
            }
        };
        (outcome, binding.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_login_by_scram_passes_and_tells_whether_it_can_be_bound() {
        let plus = message(b'R', b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
        let plain = message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
        let rest = [
            message(b'N', b"a notice with R and \0\0\0\x03"),
            message(b'R', b"\0\0\0\x0br=nonce"),
            message(b'R', b"\0\0\0\x0cv=proof"),
            message(b'R', b"\0\0\0\0"),
            // From here on an R would be nonsense, and nobody's password is asked for any more.
            message(b'R', b"\0\0\0\x03"),
        ]
        .concat();
        for (offer, binds) in [(plus, true), (plain, false)] {
            let login = [offer, rest.clone()].concat();
            for piece in [1, 3, 7, 4096] {
                assert_eq!(seen(&login, piece).await, (Ok(login.clone()), binds));
            }
        }
    }

    #[tokio::test]
    async fn a_server_that_asks_for_the_password_itself_is_left() {
        for body in [&b"\0\0\0\x03"[..], b"\0\0\0\x05salt", b"\0\0\0\x07", b"\0\0\0\x02", b"", b"\0"] {
            let asks = [message(b'N', b"hello"), message(b'R', body)].concat();
            for piece in [1, 2, 5, 4096] {
                assert_eq!(seen(&asks, piece).await.0, Err(Code::DbAuth), "{body:?}");
            }
        }
        assert_eq!(seen(b"R\0\0\0\0", 9).await.0, Err(Code::DbAuth));
        assert_eq!(seen(b"R\x7f\xff\xff\xff", 9).await.0, Err(Code::DbAuth));
    }
}
