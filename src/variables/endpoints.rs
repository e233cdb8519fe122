//! Endpoints of AWS services, which the SDK reads by itself: it tells of one that it cannot use only when a call fails.

use super::Env;
use crate::error::{Code, Error, Result};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Of all services, and of those that this program calls. S3's come first: it is called by every command.
const ENDPOINTS: [&str; 6] = [
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_KMS",
    "AWS_ENDPOINT_URL_RDS",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_ENDPOINT_URL_STS",
];
const OF_S3: [&str; 2] = [ENDPOINTS[0], ENDPOINTS[1]];

/// What S3 has only behind endpoints of AWS's own.
const VARIANTS: [&str; 2] = ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"];

/// Refuses an endpoint that no request can be sent to. An empty one is none: the SDK takes it for an address.
pub(super) fn check(env: &Env) -> Result<()> {
    let is_true = |name: &str| env.values.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") {
        return Ok(());
    }
    let refused = |name: &str, reason: &str| Err(Error::field(Code::BadEvent, name, format!("(an environment variable) {reason}")));
    for name in ENDPOINTS {
        if env.values.get(name).is_some_and(|url| !is_endpoint(url)) {
            return refused(
                name,
                "must be a URL without a query, such as https://s3.example.com:9000; where there is none, do not set it",
            );
        }
    }
    let variant = VARIANTS.into_iter().find(|name| is_true(name));
    match (variant, OF_S3.into_iter().find(|name| env.is_set(name))) {
        (Some(variant), Some(endpoint)) => refused(
            variant,
            &format!("cannot be true where {endpoint} is set: it chooses an endpoint of AWS's own"),
        ),
        _ => Ok(()),
    }
}

/// What the SDK takes: a scheme, a host that can be one, and a port if there is one.
fn is_endpoint(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    let is_http = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let authority = rest.split(['/', '#']).next().unwrap_or_default();
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, ""),
    };
    let is_port = port.is_empty() || port.parse::<u16>().is_ok();
    let has_number = host
        .rsplit('.')
        .next()
        .is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    let is_host = match host.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']').is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok()),
        None => !has_number || host.parse::<Ipv4Addr>().is_ok(),
    };
    is_http && is_port && is_host && !url.contains('?') && HttpRequest::empty().set_uri(url).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variables;

    fn refused(pairs: &[(&str, &str)]) -> Option<Error> {
        variables::check(&pairs.iter().copied().collect()).err()
    }

    #[test]
    fn an_endpoint_that_no_request_can_be_sent_to_is_refused_and_named() {
        let bad = [
            "",
            " ",
            "minio",
            "localhost:9000",
            "ftp://minio",
            "http://",
            "https://:9000",
            " http://minio",
            "http://minio ",
            "http://minio:99999",
            "http://minio:x",
            "http://a b",
            "http://minio/a b",
            "http://bü.example",
            "http://minio?x=1",
            "http://127.0.0.999",
            "http://[::1",
            "http://[minio]:9000",
        ];
        for (name, url) in ENDPOINTS.into_iter().flat_map(|name| bad.map(|url| (name, url))) {
            let error = refused(&[(name, url)]).unwrap_or_else(|| panic!("{name}={url:?}"));
            assert_eq!((error.code, error.field.as_deref()), (Code::BadEvent, Some(name)), "{url:?}");
            assert!(url.len() < 8 || !error.message.contains(url), "{error}");
            assert!(refused(&[(name, url), ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "True")]).is_none());
        }
        for url in [
            "http://minio:9000",
            "HTTPS://s3.example.com/path/",
            "http://127.0.0.1:9000",
            "http://[::1]:9000",
            "http://[::1]",
            "http://minio1:",
            "http://user:secret@minio:9000",
        ] {
            assert!(refused(&[("AWS_ENDPOINT_URL_S3", url)]).is_none(), "{url}");
        }
    }

    #[test]
    fn an_endpoint_of_ones_own_beside_one_of_awss_own_is_refused() {
        for (variant, endpoint) in VARIANTS.into_iter().flat_map(|variant| OF_S3.map(|name| (variant, name))) {
            let error = refused(&[(variant, "true"), (endpoint, "http://minio")]).expect(variant);
            assert!(
                error.field.as_deref() == Some(variant) && error.message.contains(endpoint),
                "{error}"
            );
            assert!(refused(&[(variant, "false"), (endpoint, "http://minio")]).is_none());
            assert!(refused(&[(variant, "true")]).is_none());
        }
    }
}
