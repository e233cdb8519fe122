//! The Lambda entry point: the runtime loop, one event after the other in the same process.

use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::format::ToJson;
use crate::handler::{HandlerContext, Response, handle};
use crate::panics;
use crate::receipt::Receipt;
use crate::variables::Env;
use bytes::Bytes;
use lambda_runtime::layers::TracingLayer;
use lambda_runtime::tower::Layer;
use lambda_runtime::tower::util::MapRequestLayer;
use lambda_runtime::{Diagnostic, LambdaEvent, LambdaInvocation, Runtime, Service, service_fn};
use serde_json::Value;
use std::cell::Cell;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;

/// What it takes to kill `pg_dump`, abort the upload and answer; of a short time-out a sixth must do.
const RESERVE: Duration = Duration::from_secs(10);

/// A failure as Lambda, alarms and Step Functions see it: `errorType` is `pgseal.CODE`, the message holds what failed.
struct LambdaError {
    error_type: String,
    receipt: String,
}

impl From<LambdaError> for Diagnostic {
    fn from(failure: LambdaError) -> Self {
        Diagnostic {
            error_type: failure.error_type,
            error_message: failure.receipt,
        }
    }
}

// The runtime logs a handler's error by Debug: it is what the receipt says, and no more.
impl std::fmt::Debug for LambdaError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.receipt)
    }
}

/// Whether an event is being worked on: from its arrival until its answer is posted.
#[derive(Clone, Default)]
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl<S> Layer<S> for Busy {
    type Service = BusyService<S>;

    fn layer(&self, service: S) -> BusyService<S> {
        let busy = self.clone();
        BusyService { service, busy }
    }
}

/// The runtime's own service, handler and posting, with a mark on while it works.
struct BusyService<S> {
    service: S,
    busy: Busy,
}

impl<S: Service<LambdaInvocation>> Service<LambdaInvocation> for BusyService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = BusyFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, invocation: LambdaInvocation) -> Self::Future {
        self.busy.0.store(true, Ordering::Release);
        let (future, busy) = (Box::pin(self.service.call(invocation)), self.busy.clone());
        BusyFuture { future, busy }
    }
}

struct BusyFuture<F> {
    future: Pin<Box<F>>,
    busy: Busy,
}

impl<F: Future> Future for BusyFuture<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.future.as_mut().poll(context)
    }
}

impl<F> Drop for BusyFuture<F> {
    fn drop(&mut self) {
        self.busy.0.store(false, Ordering::Release);
    }
}

/// What `work` gives, or `None` at a signal that finds no event in work.
async fn until_idle_and_terminated<T>(work: impl Future<Output = T>, busy: &Busy, terminated: &Cancel) -> Option<T> {
    let (mut work, mut signal) = (pin!(work), pin!(terminated.cancelled()));
    std::future::poll_fn(|context| {
        if let Poll::Ready(ended) = work.as_mut().poll(context) {
            return Poll::Ready(Some(ended));
        }
        // An answer that was posted a moment ago has woken this task, so that the mark is looked at again.
        let is_terminated = terminated.reason().is_some() || signal.as_mut().poll(context).is_ready();
        match is_terminated && !busy.get() {
            true => Poll::Ready(None),
            false => Poll::Pending,
        }
    })
    .await
}

/// Answers events until the platform ends the process: by taking its side away, or by a signal.
pub async fn serve(env: &Env, terminated: &Cancel) -> Result<()> {
    let answered = AtomicBool::new(false);
    // The library would answer by itself, and log, what its JSON reader does not take, and of a name given twice it would
    // drop one: it reads `null`, and the event as it came goes past it. There is one at a time.
    let body = Cell::new(Bytes::new());
    let take_body = |mut invocation: LambdaInvocation| {
        body.set(std::mem::replace(&mut invocation.body, Bytes::from_static(b"null")));
        invocation
    };
    let service = service_fn(async |event: LambdaEvent<()>| {
        let answer = handle_event(&body.take(), event.context.deadline(), env, terminated).await;
        answered.store(true, Ordering::Relaxed);
        answer
    });
    let busy = Busy::default();
    let runtime = Runtime::new(service)
        .layer(TracingLayer::new())
        .layer(MapRequestLayer::new(take_body))
        .layer(busy.clone());
    let ended = panics::caught(async {
        let ended = runtime.run().await;
        ended.map_err(|error| Error::new(Code::AwsFailed, format!("the Lambda runtime API gave no event: {error}")))
    });
    let Some(ended) = until_idle_and_terminated(ended, &busy, terminated).await else {
        return Ok(());
    };
    match ended {
        // The handler's panics are caught in it: this is the library's, which asks for these headers without a check.
        Err(error) if error.code == Code::Bug => Err(Error::new(
            Code::AwsFailed,
            "the Lambda runtime API gave an event without the headers Lambda-Runtime-Aws-Request-Id and Lambda-Runtime-Deadline-Ms",
        )),
        // The platform takes its side away when it has no more events: `sam local` does so after each.
        Err(error) if answered.into_inner() => {
            tracing::debug!("{}", error.message);
            Ok(())
        }
        ended => ended,
    }
}

async fn handle_event(body: &[u8], platform: SystemTime, env: &Env, terminated: &Cancel) -> Result<Value, LambdaError> {
    let cancel = match terminated.child() {
        Ok(cancel) => cancel,
        Err(error) => return into_answer(Response::Receipt(Receipt::refused(error))),
    };
    // Whatever of this event is still at work when it is answered, even by a panic, ends with it.
    let _ends = cancel.cancel_on_drop();
    let deadline = deadline(platform);
    let _watch = deadline.map(|deadline| watch(deadline, cancel.clone()));
    let world = HandlerContext {
        env,
        deadline,
        cancel: &cancel,
    };
    let not_text = |_| Error::new(Code::BadEvent, "the event is not UTF-8");
    let event = std::str::from_utf8(body).map_err(not_text).and_then(Event::parse);
    answered(Box::pin(handle(event, None, &world))).await
}

/// The answer that the handler gives, be it that it panicked.
async fn answered(handler: impl Future<Output = Response>) -> Result<Value, LambdaError> {
    let answer = panics::caught::<_, Error>(async { Ok(handler.await) }).await;
    into_answer(answer.unwrap_or_else(|bug| Response::Receipt(Receipt::refused(bug))))
}

fn into_answer(answer: Response) -> Result<Value, LambdaError> {
    match answer.failure() {
        None => Ok(serde_json::from_str(&answer.to_json()).unwrap_or_default()),
        Some(error) => {
            let error_type = error.error_type();
            let receipt = match answer {
                Response::Receipt(receipt) => receipt.only_failures().to_json(),
                report => report.to_json(),
            };
            Err(LambdaError { error_type, receipt })
        }
    }
}

/// Our own deadline: the platform's less a reserve. One in the past is an emulator's way to say that there is none.
fn deadline(platform: SystemTime) -> Option<OffsetDateTime> {
    let left = platform.duration_since(SystemTime::now()).ok()?;
    let reserve = RESERVE.min(left / 6);
    Some(OffsetDateTime::from(platform - reserve))
}

/// Cancels at the deadline, unless dropped before.
fn watch(deadline: OffsetDateTime, cancel: Cancel) -> SignalTask {
    SignalTask(tokio::spawn(async move {
        let left = (deadline - OffsetDateTime::now_utc()).max(time::Duration::ZERO).unsigned_abs();
        tokio::time::sleep(left).await;
        cancel.cancel(Error::new(
            Code::Deadline,
            "the function's time is nearly over; the dump was stopped and its upload aborted",
        ));
    }))
}

struct SignalTask(tokio::task::JoinHandle<()>);

impl Drop for SignalTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_the_handler_is_an_error_of_ours() {
        let failure = answered(async { panic!("on purpose") }).await.unwrap_err();
        assert_eq!(failure.error_type, "pgseal.bug");
        let receipt: Value = serde_json::from_str(&failure.receipt).unwrap();
        assert_eq!(
            (&receipt["status"], &receipt["error"]["code"]),
            (&"failed".into(), &"bug".into()),
            "{receipt}"
        );
        assert!(!failure.receipt.contains("on purpose"), "{receipt}");
    }

    #[tokio::test]
    async fn a_signal_ends_an_idle_runtime_and_waits_for_a_busy_one() {
        let terminated = Cancel::new().unwrap();
        let idle = Busy::default();
        let silent = std::future::pending::<()>();
        let signal = async { terminated.cancel(Error::new(Code::Terminated, "stopped by SIGTERM")) };
        let (ended, ()) = tokio::join!(until_idle_and_terminated(silent, &idle, &terminated), signal);
        assert_eq!(ended, None);
        let busy = Busy::default();
        let event = BusyFuture {
            future: Box::pin(tokio::task::yield_now()),
            busy: busy.clone(),
        };
        busy.0.store(true, Ordering::Release);
        let work = async {
            event.await;
            std::future::pending::<()>().await;
        };
        assert_eq!(until_idle_and_terminated(work, &busy, &terminated).await, None);
        assert!(!busy.get());
        assert_eq!(until_idle_and_terminated(async { 7 }, &busy, &terminated).await, Some(7));
    }

    #[test]
    fn a_deadline_in_the_past_is_none() {
        assert_eq!(deadline(SystemTime::UNIX_EPOCH), None);
    }

    #[test]
    fn the_reserve_is_taken_from_the_end() {
        let now = SystemTime::now();
        let early = deadline(now + Duration::from_secs(900)).unwrap();
        assert!(SystemTime::from(early) <= now + Duration::from_secs(890));
        let short = deadline(now + Duration::from_secs(6)).unwrap();
        assert!(SystemTime::from(short) > now + Duration::from_secs(4));
    }
}
