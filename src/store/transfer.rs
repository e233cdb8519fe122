//! The body of a write on its way: slow is not broken, and what stands still is cut.
//!
//! The SDK's time-out of one try runs from the start of a request to its answer, the body included: with one number for all sizes a
//! slow link could never send a large part. And its protection against stalls sees nothing of a body that is handed over in
//! one piece. So the body goes out in small pieces, and the time since the last one is watched here.

use aws_sdk_s3::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// Bytes handed to the connection at once.
const PIECE: usize = 64 << 10;
/// What the connection and the system may hold of a body that has left us: by default Linux lets a socket's buffer grow to
/// 4 MiB.
const BUFFERED: u64 = 5 << 20;

/// How long a transfer is waited for.
#[derive(Clone, Copy, Debug)]
pub struct TransferTimeouts {
    /// From the last byte to the answer.
    pub answer: Duration,
    /// Without a byte moving. It is more than a third of the system's buffer takes at the slowest rate, since a socket takes
    /// more only then.
    pub stall: Duration,
    /// Bytes a second of the slowest link that may work.
    pub slowest: u64,
    /// Transfers of one body that stand still, until it is given up.
    pub stalls: u32,
    /// How long a write that conflicts with another (409) is tried again.
    pub conflict: Duration,
    /// A call that carries little, with all its tries and the whole of its answer.
    pub call: Duration,
}

impl Default for TransferTimeouts {
    fn default() -> Self {
        Self {
            answer: crate::aws::ANSWER_LIMIT,
            stall: Duration::from_secs(60),
            slowest: 80_000,
            stalls: 3,
            conflict: Duration::from_secs(60),
            call: crate::aws::CALL_LIMIT,
        }
    }
}

impl TransferTimeouts {
    /// What a body of this size may take, once it moves all the time.
    pub(crate) fn whole(&self, size: u64) -> Duration {
        self.answer + Duration::from_secs_f64(size as f64 / self.slowest as f64)
    }

    /// All tries of one write together, whatever each of them came to: a server that fails slowly is told in minutes.
    pub(crate) fn all_tries(&self, size: u64) -> Duration {
        self.call + self.whole(size) * self.stalls
    }

    /// After the last piece was handed over: the system's buffers drain first.
    fn after_last(&self, size: u64) -> Duration {
        self.whole(size.min(BUFFERED))
    }
}

/// Nothing moved for too long; the transfer was cut.
#[derive(Debug)]
pub(crate) struct StalledTransfer;

/// One body, and when it last moved: in whichever of the client's own retries.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    patience: TransferTimeouts,
    size: u64,
    moved: Arc<Mutex<ProgressMark>>,
    has_text: Arc<AtomicBool>,
}

#[derive(Debug)]
struct ProgressMark {
    at: Instant,
    left: u64,
}

impl Transfer {
    pub(crate) fn new(patience: TransferTimeouts, size: usize) -> Self {
        let size = size as u64;
        let moved = ProgressMark {
            at: Instant::now(),
            left: size,
        };
        Self {
            patience,
            size,
            moved: Arc::new(Mutex::new(moved)),
            has_text: Arc::default(),
        }
    }

    /// Whether the answer had a body: S3's to a write of bytes has none.
    pub(crate) fn is_answered_with_text(&self) -> bool {
        self.has_text.load(Ordering::Relaxed)
    }

    /// The body: a retry sends the same bytes.
    pub(crate) fn body(&self, bytes: Bytes) -> ByteStream {
        let moved = self.moved.clone();
        ByteStream::new(SdkBody::retryable(move || {
            SdkBody::from_body_1_x(BodyChunks {
                bytes: bytes.clone(),
                moved: moved.clone(),
            })
        }))
    }

    /// Time-outs of a request with this body.
    pub(crate) fn timeouts(&self) -> Builder {
        let limits = TimeoutConfig::builder()
            // Later than the watch, which ends all tries: of a network that is dead there are few. As a read time-out it would
            // open a connection for each size of a body.
            .operation_attempt_timeout(self.patience.whole(self.size) + self.patience.stall)
            // Of all tries: each of them is watched.
            .disable_operation_timeout()
            .build();
        Builder::new().timeout_config(limits)
    }

    /// Runs the call that sends the body, and cuts it where nothing moves.
    pub(crate) async fn watch<T>(&self, call: impl Future<Output = T>) -> Result<T, StalledTransfer> {
        tokio::pin!(call);
        loop {
            let due = self.due();
            tokio::select! {
                biased;
                done = &mut call => return Ok(done),
                () = tokio::time::sleep_until(due) => {}
            }
            if self.due() <= Instant::now() {
                return Err(StalledTransfer);
            }
        }
    }

    fn due(&self) -> Instant {
        let moved = self.moved.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        moved.at
            + match moved.left {
                0 => self.patience.after_last(self.size),
                _ => self.patience.stall,
            }
    }
}

fn record_progress(moved: &Mutex<ProgressMark>, left: u64) {
    let mut moved = moved.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    *moved = ProgressMark { at: Instant::now(), left };
}

/// A try begins or ends: between two of them nothing moves, and nothing is wrong.
impl Intercept for Transfer {
    fn name(&self) -> &'static str {
        "transfer"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        record_progress(&self.moved, self.size);
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response().body().bytes().unwrap_or_default();
        self.has_text.store(!body.trim_ascii().is_empty(), Ordering::Relaxed);
        Ok(())
    }

    fn read_after_attempt(&self, _: &FinalizerInterceptorContextRef<'_>, _: &RuntimeComponents, _: &mut ConfigBag) -> Result<(), BoxError> {
        record_progress(&self.moved, self.size);
        Ok(())
    }
}

struct BodyChunks {
    bytes: Bytes,
    moved: Arc<Mutex<ProgressMark>>,
}

impl Body for BodyChunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let take = self.bytes.len().min(PIECE);
        let piece = self.bytes.split_to(take);
        record_progress(&self.moved, self.bytes.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_part_of_any_size_has_time_at_100_kb_a_second() {
        let patience = TransferTimeouts::default();
        for size in [1, 8 * MIB, 500 * MIB, 5 << 30] {
            assert!(patience.whole(size).as_secs() >= size / 100_000 + 30, "{size}");
        }
        // A third of a socket's buffer, at that rate.
        assert!(patience.stall.as_secs() > 2 * BUFFERED / 3 / 100_000);
        assert!(patience.after_last(5 << 30).as_secs() > BUFFERED / 100_000 + 30);
        // What is dead is told in minutes.
        assert!(patience.after_last(5 << 30) * patience.stalls < Duration::from_secs(8 * 60));
    }

    #[tokio::test(start_paused = true)]
    async fn what_moves_is_waited_for_and_what_stands_still_is_cut() {
        let patience = TransferTimeouts::default();
        let transfer = Transfer::new(patience, 10 * PIECE);
        let slow = async {
            let mut pieces = Box::pin(BodyChunks {
                bytes: Bytes::from(vec![0; 10 * PIECE]),
                moved: transfer.moved.clone(),
            });
            while std::future::poll_fn(|context| pieces.as_mut().poll_frame(context)).await.is_some() {
                tokio::time::sleep(patience.stall - Duration::from_secs(1)).await;
            }
        };
        let began = Instant::now();
        assert!(transfer.watch(slow).await.is_ok());
        assert!(began.elapsed() > 9 * (patience.stall - Duration::from_secs(1)));

        let still = Transfer::new(patience, 10 * PIECE);
        let began = Instant::now();
        assert!(still.watch(std::future::pending::<()>()).await.is_err());
        assert_eq!(began.elapsed().as_secs(), patience.stall.as_secs());
    }
}
