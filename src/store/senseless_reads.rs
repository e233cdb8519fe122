//! Answers to a read that belong to a write: another one is under way (409), or a condition that was not set does not hold
//! (412). A server that answers so is asked again, as after a fault of its own.

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_s3::config::interceptors::FinalizerInterceptorContextMut;
use aws_sdk_s3::config::interceptors::InterceptorContext;
use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_s3::config::{Builder, ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_smithy_types::config_bag::{Storable, StoreReplace};

/// Makes every read of this client try again.
pub(super) fn retrying(config: Builder) -> Builder {
    config.interceptor(Mark).retry_classifier(RetryMarked)
}

/// Of a call without a body and without a condition.
#[derive(Clone, Debug)]
struct IsRead(bool);

impl Storable for IsRead {
    type Storer = StoreReplace<Self>;
}

/// Left on an answer after which the call is to be made again.
#[derive(Clone, Copy)]
struct SenselessAnswer;

#[derive(Debug)]
struct Mark;

impl Intercept for Mark {
    fn name(&self) -> &'static str {
        "senseless reads"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let is_read = matches!(request.method(), "GET" | "HEAD") && request.headers().get("if-match").is_none();
        config.interceptor_state().store_put(IsRead(is_read));
        Ok(())
    }

    fn modify_before_attempt_completion(
        &self,
        context: &mut FinalizerInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let is_read = config.load::<IsRead>().is_some_and(|read| read.0);
        if let Some(answer) = context.response_mut()
            && is_read
            && matches!(answer.status().as_u16(), 409 | 412)
        {
            answer.add_extension(SenselessAnswer);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct RetryMarked;

impl ClassifyRetry for RetryMarked {
    fn name(&self) -> &'static str {
        "senseless reads"
    }

    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response().and_then(|answer| answer.extension::<SenselessAnswer>()) {
            Some(SenselessAnswer) => RetryAction::server_error(),
            None => RetryAction::NoActionIndicated,
        }
    }
}
