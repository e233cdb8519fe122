//! A password, or a drill's private key, in Secrets Manager.

use crate::aws::{self, RetryNotice, ServiceError};
use crate::error::{Code, Error, Result};
use crate::plan::SecretArn;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// The secret's text is the password, or JSON with a field `password`, as RDS itself keeps it.
pub(crate) async fn password(secret: &SecretArn) -> Result<SecretString> {
    let text = text(secret).await?;
    let text = text.expose_secret();
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(fields)) => {
            let password = fields.get("password").and_then(Value::as_str);
            password
                .map(SecretString::from)
                .ok_or_else(|| unusable("is JSON without a text `password`"))
        }
        _ => Ok(SecretString::from(text)),
    }
}

/// The secret's text as it is.
pub(crate) async fn text(secret: &SecretArn) -> Result<SecretString> {
    let config = aws::config(&secret.region).await?;
    let config = aws_sdk_secretsmanager::config::Builder::from(&config).interceptor(RetryNotice::new("Secrets Manager"));
    let client = aws_sdk_secretsmanager::Client::from_conf(config.build());
    let answer = client.get_secret_value().secret_id(&secret.arn).send().await;
    let answer = answer.map_err(|error| ServiceError::from_sdk(&error).into_error("secretsmanager:GetSecretValue", &secret.arn))?;
    answer
        .secret_string()
        .map(SecretString::from)
        .ok_or_else(|| unusable("has no text"))
}

fn unusable(reason: &str) -> Error {
    Error::field(Code::BadEvent, "password_secret", format!("cannot be used: the secret {reason}"))
}
