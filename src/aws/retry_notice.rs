//! Says that a call is being tried again, once it has taken long, and that one has no answer: a person who waits then knows
//! for what.

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{BeforeSerializationInterceptorContextRef, FinalizerInterceptorContextRef};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;

/// What takes less is not worth a line; nor is a second line within it.
const PATIENCE: Duration = Duration::from_secs(3);
/// Without any answer to one try.
const SILENCE: Duration = Duration::from_secs(10);
/// The one call that carries megabytes: it may take long, and the progress says how far it is.
const UPLOAD: &str = "UploadPart";

/// Of one service's client.
#[derive(Debug)]
pub(crate) struct RetryNotice {
    service: &'static str,
    said: Arc<LastSaid>,
}

/// When anything was last said of a service.
#[derive(Debug, Default)]
struct LastSaid(Mutex<Option<Instant>>);

/// Speaks unless it is dropped before.
#[derive(Debug)]
struct SilenceNotice(AbortHandle);

#[derive(Debug)]
struct CallBegun(Instant);

/// What the last try came to.
#[derive(Debug)]
struct LastFailure(String);

impl Storable for LastFailure {
    type Storer = StoreReplace<Self>;
}

impl Storable for CallBegun {
    type Storer = StoreReplace<Self>;
}

impl Storable for SilenceNotice {
    type Storer = StoreReplace<Self>;
}

impl Drop for SilenceNotice {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl RetryNotice {
    pub(crate) fn new(service: &'static str) -> Self {
        Self {
            service,
            said: Arc::default(),
        }
    }

    /// Of one try, from now on.
    fn wait(&self) -> SilenceNotice {
        let (service, said) = (self.service, Arc::clone(&self.said));
        let waiting = tokio::spawn(async move {
            tokio::time::sleep(SILENCE).await;
            if said.is_due(SILENCE, Instant::now()) {
                let seconds = SILENCE.as_secs();
                tracing::warn!("{service} has not answered for {seconds} s: still waiting");
            }
        });
        SilenceNotice(waiting.abort_handle())
    }
}

impl LastSaid {
    /// Whether a call of `waited` so far is told now: many calls may wait at once.
    fn is_due(&self, waited: Duration, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = waited >= PATIENCE && last.is_none_or(|last| now.duration_since(last) >= PATIENCE);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

impl Intercept for RetryNotice {
    fn name(&self) -> &'static str {
        "retry notice"
    }

    fn read_before_execution(&self, _: &BeforeSerializationInterceptorContextRef<'_>, config: &mut ConfigBag) -> Result<(), BoxError> {
        config.interceptor_state().store_put(CallBegun(Instant::now()));
        Ok(())
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let tries = config.load::<RequestAttempts>().map_or(1, RequestAttempts::attempts);
        let now = Instant::now();
        let waited = config
            .load::<CallBegun>()
            .map_or(Duration::ZERO, |begun| now.duration_since(begun.0));
        if config.load::<Metadata>().is_none_or(|call| call.name() != UPLOAD) {
            config.interceptor_state().store_put(self.wait());
        }
        if tries > 1 && self.said.is_due(waited, now) {
            let (service, seconds) = (self.service, waited.as_secs());
            let cause = config
                .load::<LastFailure>()
                .map(|last| format!(" ({})", last.0))
                .unwrap_or_default();
            tracing::warn!(
                "{service} has given no usable answer for {seconds} s{cause}: trying again ({tries} of {})",
                super::MOST_TRIES
            );
        }
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        config.interceptor_state().unset::<SilenceNotice>();
        if let Some(Err(error)) = context.output_or_error() {
            let cause = match context.response() {
                Some(response) => format!("HTTP {}", response.status().as_u16()),
                None => innermost(error),
            };
            config.interceptor_state().store_put(LastFailure(cause));
        }
        Ok(())
    }
}

/// Such as `Connection refused (os error 111)`: what is around it says only that a call failed.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_try_without_an_answer_is_told_unless_it_ends_before() {
        let notice = RetryNotice::new("S3");
        let is_said = || notice.said.0.lock().unwrap().is_some();
        let answered = notice.wait();
        tokio::time::sleep(SILENCE / 2).await;
        drop(answered);
        tokio::time::sleep(SILENCE).await;
        assert!(!is_said());
        let _silent = notice.wait();
        tokio::time::sleep(SILENCE * 2).await;
        assert!(is_said());
    }

    #[test]
    fn the_innermost_cause_is_told() {
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let around = std::io::Error::other(std::io::Error::other(refused));
        assert_eq!(innermost(&around), "connection refused");
    }

    #[test]
    fn what_waits_long_is_told_and_not_by_every_call_at_once() {
        let (notice, now) = (LastSaid::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        assert!(!notice.is_due(Duration::from_secs(2), at(2)));
        assert!(notice.is_due(Duration::from_secs(3), at(3)));
        assert!(!notice.is_due(Duration::from_secs(9), at(5)));
        assert!(notice.is_due(Duration::from_secs(10), at(6)));
    }
}
