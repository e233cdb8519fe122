//! The Lambda entry point: the runtime loop, one event after the other in the same process.

mod runtime_api;

use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::handler::{HandlerContext, Response, handle};
use crate::panics;
use crate::receipt::Receipt;
use crate::variables::Env;
use runtime_api::{CallFailure, RuntimeApi};
use serde::Serialize;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use tracing::Instrument;

/// What it takes to kill `pg_dump`, abort the upload and answer; of a short time-out half must do.
const RESERVE: Duration = Duration::from_secs(10);
/// Far more than the 15 minutes that AWS lets a function run.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A failure as Lambda, alarms and Step Functions see it: `errorType` is `pgseal.CODE`, the message holds what failed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LambdaError {
    error_type: String,
    #[serde(rename = "errorMessage")]
    receipt: String,
}

/// Answers events until the platform ends the process: by taking its side away, or by a signal.
pub async fn serve(env: &Env, terminated: &Cancel) -> Result<()> {
    let api = RuntimeApi::at(env.get("AWS_LAMBDA_RUNTIME_API").unwrap_or_default())?;
    let mut answered = false;
    loop {
        // A signal ends what waits for an event; one that came is answered first, by a handler that hears the signal itself.
        let next = tokio::select! {
            biased;
            _ = terminated.cancelled() => return Ok(()),
            next = api.next() => next,
        };
        let outcome = match next {
            Ok(invocation) => {
                // Whatever the level of the log: every line of it names its request.
                let span = tracing::error_span!(
                    "Lambda runtime invoke",
                    requestId = invocation.request_id,
                    xrayTraceId = invocation.trace_id
                );
                let answering = async {
                    let answer = handle_event(&invocation.body, invocation.deadline, env, terminated).await;
                    let handed_over = api.answer(&invocation, answer).await;
                    handed_over.inspect_err(|error| tracing::error!(code = error.code.name(), "{}", error.message))
                };
                // Nobody has heard what came of this event: no ordinary end.
                answering.instrument(span).await.map_err(CallFailure::from)
            }
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(()) => answered = true,
            // The platform takes its side away when it has no more events: `sam local` does so after each.
            Err(CallFailure { error, is_gone: true }) if answered => {
                tracing::debug!("{}", error.message);
                return Ok(());
            }
            Err(CallFailure { error, .. }) => return Err(error),
        }
    }
}

async fn handle_event(body: &[u8], platform: Option<SystemTime>, env: &Env, terminated: &Cancel) -> Result<String, LambdaError> {
    let cancel = match terminated.child() {
        Ok(cancel) => cancel,
        Err(error) => return into_answer(Response::Receipt(Receipt::refused(error))),
    };
    // Whatever of this event is still at work when it is answered, even by a panic, ends with it.
    let _ends = cancel.cancel_on_drop();
    let deadline = platform.and_then(deadline);
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
async fn answered(handler: impl Future<Output = Response>) -> Result<String, LambdaError> {
    let answer = panics::caught::<_, Error>(async { Ok(handler.await) }).await;
    into_answer(answer.unwrap_or_else(|bug| Response::Receipt(Receipt::refused(bug))))
}

fn into_answer(answer: Response) -> Result<String, LambdaError> {
    match answer.failure() {
        None => Ok(answer.to_json()),
        Some(error) => {
            let error_type = error.error_type();
            Err(LambdaError {
                error_type,
                receipt: answer.failures_to_json(),
            })
        }
    }
}

/// Our own deadline: the platform's less a reserve. One in the past, or further off than any function lives, is an emulator's way
/// to say that there is none.
fn deadline(platform: SystemTime) -> Option<OffsetDateTime> {
    let left = platform.duration_since(SystemTime::now()).ok().filter(|left| *left <= LONGEST)?;
    let reserve = RESERVE.min(left / 2);
    Some(OffsetDateTime::from(platform - reserve))
}

/// Cancels at the deadline, unless dropped before.
fn watch(deadline: OffsetDateTime, cancel: Cancel) -> DeadlineWatch {
    DeadlineWatch(tokio::spawn(async move {
        let left = (deadline - OffsetDateTime::now_utc()).max(time::Duration::ZERO).unsigned_abs();
        tokio::time::sleep(left).await;
        cancel.cancel(Error::new(Code::Deadline, "the function's time is nearly over"));
    }))
}

struct DeadlineWatch(tokio::task::JoinHandle<()>);

impl Drop for DeadlineWatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

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

    #[test]
    fn a_deadline_in_the_past_or_beyond_all_sense_is_none() {
        let far = [Duration::ZERO, Duration::from_millis(u64::MAX), Duration::from_secs(1 << 40)];
        for since in far {
            assert_eq!(deadline(SystemTime::UNIX_EPOCH + since), None);
        }
    }

    #[test]
    fn the_reserve_is_taken_from_the_end() {
        let now = SystemTime::now();
        let early = deadline(now + Duration::from_secs(900)).unwrap();
        assert!(SystemTime::from(early) <= now + Duration::from_secs(890));
        let short = deadline(now + Duration::from_secs(16)).unwrap();
        let reserve = (now + Duration::from_secs(16)).duration_since(short.into()).unwrap();
        // An abort that hangs, and its grace.
        assert!(reserve > Duration::from_secs(7) && reserve <= Duration::from_secs(8), "{reserve:?}");
    }
}
