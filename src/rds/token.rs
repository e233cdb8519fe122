//! IAM login: a presigned URL in place of a password.
//! <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html>

use crate::error::{Code, Error, Result};
use crate::plan::{Host, RegionName};
use aws_config::{Region, SdkConfig};
use aws_sdk_rds::auth_token::{AuthTokenGenerator, Config};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::SecretString;

/// Unreserved characters of RFC 3986 stand as themselves; the SDK puts the user's name in as it is given.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A token for one connection: valid for 15 minutes, signed for the endpoint that is dialled.
pub(crate) async fn generate_token(config: &SdkConfig, region: &RegionName, host: &Host, port: u16, user: &str) -> Result<SecretString> {
    let request = Config::builder()
        .hostname(host.as_str())
        .port(port.into())
        .username(utf8_percent_encode(user, ENCODED).to_string())
        .region(Region::new(region.as_str().to_owned()))
        .expires_in(900)
        .build()
        .map_err(|_| Error::new(Code::Bug, "the token's request is incomplete"))?;
    // The token prints itself in Debug, and so might an error: neither leaves this function unwrapped.
    let token = AuthTokenGenerator::new(request).auth_token(config).await.map_err(|error| {
        tracing::debug!("no token: {error}");
        Error::new(Code::AwsFailed, "no IAM token could be signed: there are no AWS credentials")
            .advise("Give the task or function a role; it must allow rds-db:connect.")
    })?;
    Ok(SecretString::from(token.as_str()))
}
