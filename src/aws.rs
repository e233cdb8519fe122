//! What every AWS service shares: configuration for a region, and how a failed call is told.

pub(crate) mod manifest_signer;
pub(crate) mod parameters;
mod refresh;
mod retry_notice;
pub(crate) mod task_token;
mod trust;

pub(crate) use refresh::{EXPIRED, SKEWED, refreshing};
pub(crate) use retry_notice::RetryNotice;
pub use trust::{endpoints_in_clear, read_system_roots_ahead};

use crate::error::{Code, Error, Result};
use crate::plan::RegionName;
use crate::variables::Env;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::sync::OnceLock;
use std::time::Duration;

/// From the start of a request to its answer, where it carries next to nothing.
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// One call with all its tries, where it carries next to nothing: a network that is dead is told in minutes.
pub(crate) const CALL_LIMIT: Duration = Duration::from_secs(300);

/// Of one call, the first one included.
const MOST_TRIES: u32 = 8;

/// The profile that a command line names, before what AWS_PROFILE says.
static PROFILE: OnceLock<String> = OnceLock::new();

/// For every call from here on. A second name changes nothing.
pub fn use_profile(name: &str) {
    let _ = PROFILE.set(name.to_owned());
}

/// The region of the profile at hand, for who names none.
pub(crate) async fn region_of_profile() -> Option<String> {
    let mut profile = aws_config::profile::ProfileFileRegionProvider::builder();
    if let Some(name) = PROFILE.get() {
        profile = profile.profile_name(name);
    }
    use aws_config::meta::region::ProvideRegion;
    profile.build().region().await.map(|region| region.to_string())
}

/// Where the function or task itself runs.
pub(crate) fn own_region(env: &Env) -> Option<Result<RegionName>> {
    let region = env.get("AWS_REGION").or(env.get("REGION")).or(env.get("AWS_DEFAULT_REGION"))?;
    Some(RegionName::new("region", region))
}

/// Credentials by the SDK's own chain, which refreshes them; endpoints and authorities by the SDK's own variables.
pub(crate) async fn config(region: &RegionName) -> Result<SdkConfig> {
    static TELL_ONCE: std::sync::Once = std::sync::Once::new();
    TELL_ONCE.call_once(|| {
        for variable in endpoints_in_clear() {
            tracing::warn!("{variable} is http:// to another machine: requests and session tokens are sent unencrypted");
        }
    });
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
    if let Some(client) = trust::http_client()? {
        loader = loader.http_client(client);
    }
    if let Some(name) = PROFILE.get() {
        // Named on the command line it goes before everything else, keys in variables included, as with AWS's own command.
        let profile = ProfileFileCredentialsProvider::builder().profile_name(name).build();
        loader = loader.profile_name(name).credentials_provider(profile);
    }
    let shared = loader
        .region(Region::new(region.as_str().to_owned()))
        // Full jitter, at most 20 s between two tries: about a minute and a half in all.
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(MOST_TRIES)
                .with_max_backoff(Duration::from_secs(20)),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(5))
                // Not a read time-out: the client keeps connections apart by that, one pool for each number.
                .operation_attempt_timeout(ANSWER_LIMIT)
                .operation_timeout(CALL_LIMIT)
                .build(),
        )
        .load()
        .await;
    Ok(shared)
}

/// What is known of a failed call, whichever service it was.
pub(crate) struct ServiceError {
    pub status: Option<u16>,
    /// The service's own code, such as `AccessDenied`.
    pub code: String,
    pub message: String,
    /// The bucket's region, where S3 told it.
    pub region: Option<String>,
    /// There were no credentials to sign with.
    pub no_credentials: bool,
}

impl ServiceError {
    pub(crate) fn from_sdk<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let response = error.raw_response();
        let meta = error.as_service_error().map(ProvideErrorMetadata::meta);
        let whole = error_chain(error);
        Self {
            status: response.map(|response| response.status().as_u16()),
            code: meta.and_then(|meta| meta.code()).unwrap_or_default().to_owned(),
            message: match meta {
                // The SDK's own words for such an answer are for developers.
                Some(meta) => meta.message().unwrap_or_default().to_owned(),
                None => whole.clone(),
            },
            region: response
                .and_then(|response| response.headers().get("x-amz-bucket-region"))
                .map(str::to_owned),
            no_credentials: whole.contains("credential") && response.is_none(),
        }
    }

    /// The call in one sentence: `s3:PutObject on arn:…: AccessDenied (403): message`.
    pub(crate) fn sentence(&self, action: &str, resource: &str) -> String {
        if self.no_credentials {
            let says = |part: &str| self.message.contains(part);
            let is_unknown = says("was not defined") || says("No profiles were defined") || says("provider was not enabled");
            return match PROFILE.get() {
                Some(name) if is_unknown => format!(
                    "{action} on {resource}: there is no profile {name} in ~/.aws/config or ~/.aws/credentials, or it has no credentials"
                ),
                Some(name) => format!("{action} on {resource}: the profile {name} gives no credentials: {}", self.message),
                None => format!("{action} on {resource}: no AWS credentials were found"),
            };
        }
        let status = self.status.map(|status| format!(" ({status})")).unwrap_or_default();
        let code = if self.code.is_empty() { "no usable answer" } else { &self.code };
        let reason = match self.message.is_empty() {
            true => String::new(),
            false => format!(": {}", self.message),
        };
        format!("{action} on {resource}: {code}{status}{reason}")
    }

    /// For the services beside S3.
    pub(crate) fn into_error(self, action: &str, resource: &str) -> Error {
        let error = Error::new(Code::AwsFailed, self.sentence(action, resource));
        if self.no_credentials { error.advise(NO_CREDENTIALS) } else { error }
    }
}

const NO_CREDENTIALS: &str = "In a shell name a profile (--profile or AWS_PROFILE, after `aws sso login` or `aws configure`), or set \
                              AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; give a function or task a role.";

/// An error and its causes; the SDK's own `Display` says only the outermost.
fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !said.contains(&text) {
            said.push(text);
        }
        next = error.source();
    }
    said.join(": ")
}
