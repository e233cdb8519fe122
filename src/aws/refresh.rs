//! Credentials and a clock that S3 no longer takes, though nothing here said so: once more, with new ones.
//!
//! The SDK keeps credentials until the time that came with them, and corrects the clock by the answers' `Date`. A session that
//! was revoked, or a clock that is wrong by less than the SDK looks for, it takes for a refusal. Here the second try of every
//! call fetches new credentials, and has learnt the right time from the first.

use aws_sdk_s3::config::interceptors::FinalizerInterceptorContextMut;
use aws_sdk_s3::config::interceptors::InterceptorContext;
use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_s3::config::{Builder, ConfigBag, IdentityCache, Intercept, ResolveCachedIdentity, RuntimeComponents, SharedIdentityCache};
use aws_sdk_s3::error::BoxError;
use aws_smithy_runtime_api::client::identity::{IdentityFuture, SharedIdentityResolver};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_types::retry::ErrorKind;
use std::sync::{Arc, RwLock};
use std::time::Duration;

/// Tries of one call that are refused for their time.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// Codes that mean: not now, rather than: not you.
pub(crate) const EXPIRED: &[&str] = &["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"];
pub(crate) const SKEWED: &[&str] = &["RequestTimeTooSkewed"];

/// Makes every call of this client try again.
pub(crate) fn refreshing(config: Builder) -> Builder {
    let refresh = Arc::new(Refresh {
        credentials: RwLock::new(IdentityCache::lazy().build()),
    });
    config
        .identity_cache(Cache(refresh.clone()))
        .interceptor(RefreshInterceptor(refresh))
        .retry_classifier(RetryAfterRefresh)
}

#[derive(Debug)]
struct Refresh {
    credentials: RwLock<SharedIdentityCache>,
}

impl Refresh {
    fn current(&self) -> SharedIdentityCache {
        self.credentials.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// What is cached is forgotten: anyone who asks next asks the role.
    fn forget(&self) {
        *self.credentials.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = IdentityCache::lazy().build();
    }
}

#[derive(Debug)]
struct Cache(Arc<Refresh>);

impl ResolveCachedIdentity for Cache {
    fn resolve_cached_identity<'a>(
        &'a self,
        resolver: SharedIdentityResolver,
        components: &'a RuntimeComponents,
        config: &'a ConfigBag,
    ) -> IdentityFuture<'a> {
        let cache = self.0.current();
        IdentityFuture::new(async move { cache.resolve_cached_identity(resolver, components, config).await })
    }
}

/// Left on an answer after which the call is to be made again.
#[derive(Clone, Copy)]
struct StaleCredentials;

/// Counts the tries, which a classifier cannot see, and forgets the credentials.
#[derive(Debug)]
struct RefreshInterceptor(Arc<Refresh>);

impl Intercept for RefreshInterceptor {
    fn name(&self) -> &'static str {
        "refresh"
    }

    fn modify_before_attempt_completion(
        &self,
        context: &mut FinalizerInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let tries = config.load::<RequestAttempts>().map_or(1, RequestAttempts::attempts);
        if let Some(answer) = context.response_mut()
            && tries < TRIES
            && let Some(expired) = staleness(answer)
        {
            if expired {
                self.0.forget();
            }
            answer.add_extension(StaleCredentials);
        }
        Ok(())
    }
}

/// Whether an answer means expired credentials (`true`) or a wrong clock (`false`), if either. HeadObject's has no body, and
/// a bare 400 is what S3 answers it to credentials that have expired.
fn staleness(answer: &HttpResponse) -> Option<bool> {
    let status = answer.status().as_u16();
    if status != 400 && status != 403 {
        return None;
    }
    let body = answer.body().bytes().unwrap_or_default();
    if body.is_empty() {
        return (status == 400).then_some(true);
    }
    let code = error_code(body)?;
    match (EXPIRED.contains(&code), SKEWED.contains(&code)) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

/// The code in S3's error document.
fn error_code(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    rest.split_once('<').map(|(code, _)| code)
}

#[derive(Debug)]
struct RetryAfterRefresh;

impl ClassifyRetry for RetryAfterRefresh {
    fn name(&self) -> &'static str {
        "stale credentials or clock"
    }

    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response().and_then(|answer| answer.extension::<StaleCredentials>()) {
            Some(StaleCredentials) => RetryAction::retryable_error_with_explicit_delay(ErrorKind::ServerError, PAUSE),
            None => RetryAction::NoActionIndicated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::primitives::SdkBody;

    #[test]
    fn only_what_time_changes_is_tried_again() {
        let document = |code: &str| format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>no</Message></Error>");
        let of = |status: u16, body: String| staleness(&HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body)));
        assert_eq!(of(400, document("ExpiredToken")), Some(true));
        assert_eq!(of(403, document("RequestTimeTooSkewed")), Some(false));
        assert_eq!(of(400, String::new()), Some(true));
        for (status, body) in [
            (403, document("AccessDenied")),
            (403, String::new()),
            (400, document("BadDigest")),
            (500, document("ExpiredToken")),
            (200, String::new()),
            (400, "<html>".into()),
        ] {
            assert_eq!(of(status, body.clone()), None, "{status} {body}");
        }
    }
}
