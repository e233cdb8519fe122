//! Public keys in Parameter Store, one parameter each: several of them are more than a function's variables hold, which end at
//! 4 KB all together.

use super::{RetryNotice, ServiceError, config};
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::plan::parameter_path;
use crate::variables::Env;
use std::borrow::Cow;

/// More than any list of recipients.
const MOST: usize = 64;

/// The environment, with the keys below the path that OPENSSL_PUBLIC_KEY names, if it names one and the event has no keys of its
/// own. What is not as it must be for that is told when the event is resolved, without a call.
pub(crate) async fn with_recipients<'a>(env: &'a Env, event: &Event, cancel: &Cancel) -> Result<Cow<'a, Env>> {
    let is_pinned = env.get("PGSEAL_ALLOWED_FINGERPRINTS").is_some();
    let path = parameter_path(env).filter(|path| path.starts_with('/') && is_pinned);
    let Some(path) = path.filter(|_| event.fields().all(|field| field != "public_key")) else {
        return Ok(Cow::Borrowed(env));
    };
    let keys = cancel.run_until_cancelled(below(path, env)).await?;
    Ok(Cow::Owned(env.with_stored_keys(keys)))
}

/// In the order of their names.
async fn below(path: &str, env: &Env) -> Result<Vec<String>> {
    let region = super::own_region(env).ok_or_else(|| {
        Error::field(
            Code::BadEvent,
            "region",
            "is needed to read OPENSSL_PUBLIC_KEY from Parameter Store",
        )
    })??;
    let config = config(&region).await?;
    let config = aws_sdk_ssm::config::Builder::from(&config).interceptor(RetryNotice::new("Parameter Store"));
    let client = aws_sdk_ssm::Client::from_conf(config.build());
    let (action, resource) = ("ssm:GetParametersByPath", format!("parameter{path}"));
    let mut pages = client.get_parameters_by_path().path(path).recursive(false).into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| ServiceError::from_sdk(&error).into_error(action, &resource))?;
        let parameters = page.parameters.into_iter().flatten();
        found.extend(parameters.filter_map(|parameter| Some((parameter.name?, parameter.value?))));
        if found.len() > MOST {
            return Err(Error::field(
                Code::BadPublicKey,
                "public_key",
                format!("(OPENSSL_PUBLIC_KEY): more than {MOST} parameters are below {path}"),
            ));
        }
    }
    if found.is_empty() {
        return Err(Error::field(
            Code::NoPublicKey,
            "public_key",
            format!("(OPENSSL_PUBLIC_KEY): no parameter is right below {path} in {}", region.as_str()),
        ));
    }
    found.sort();
    Ok(found.into_iter().map(|(_, value)| value).collect())
}
