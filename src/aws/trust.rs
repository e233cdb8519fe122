//! Which authorities the AWS endpoints are trusted by: `AWS_CA_BUNDLE`, as in the AWS CLI, else the system's.

use crate::ca_file;
use crate::error::{Code, Error, Result};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::ffi::OsString;
use std::path::Path;

const VARIABLE: &str = "AWS_CA_BUNDLE";

/// The client of every AWS service where the variable is set; `None` leaves the SDK its own.
pub(crate) fn http_client() -> Result<Option<SharedHttpClient>> {
    let set = |name: &str| std::env::var_os(name).filter(|path| !path.is_empty());
    // Where the SDK's own store of authorities lies.
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        let unusable = |error| Error::field(Code::BadEvent, name, format!("(an environment variable) cannot be used: {error}"));
        match set(name).map(|path| ca_file::must_be_readable(Path::new(&path))) {
            Some(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => return Err(unusable(error)),
            _ => {}
        }
    }
    match set(VARIABLE) {
        None => Ok(None),
        Some(path) => client_trusting(&read_bundle(Path::new(&path))?).map(Some),
    }
}

/// Reads the system's authorities before the first request needs them: the SDK keeps them for the life of the process, and
/// takes some milliseconds to read them.
pub fn read_system_roots_ahead() {
    if std::env::var_os(VARIABLE).is_some_and(|path| !path.is_empty()) {
        return;
    }
    let read = || {
        let _ = ConnectorBuilder::default()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .build();
    };
    // Without a thread, the first request reads them.
    drop(crate::background::start("roots", read));
}

/// The bundle, looked through: the SDK panics where a certificate of it cannot be read.
fn read_bundle(path: &Path) -> Result<Vec<u8>> {
    let refused = |reason: String| {
        let error = Error::field(Code::BadEvent, VARIABLE, format!("(the environment variable) {reason}"));
        error.advise("Set AWS_CA_BUNDLE to a PEM file with the certificates of the authorities, or unset it.")
    };
    let pem = ca_file::read(path).map_err(|error| refused(format!("names a file that cannot be read: {error}")))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| refused(format!("names a file that is not PEM: {error}")))?;
        let unusable = |error| refused(format!("names a file with a certificate that cannot be used: {error}"));
        roots.add(certificate).map_err(unusable)?;
    }
    if roots.is_empty() {
        return Err(refused("names a file without a certificate".to_owned()));
    }
    Ok(pem)
}

/// As the SDK makes its own client, proxies included, with these authorities alone.
fn client_trusting(pem: &[u8]) -> Result<SharedHttpClient> {
    let store = TrustStore::empty().with_pem_certificate(pem);
    let context = TlsContext::builder().with_trust_store(store).build();
    let context = context.map_err(|error| Error::new(Code::Bug, format!("no TLS with {VARIABLE}: {error}")))?;
    Ok(Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = ConnectorBuilder::default()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(context.clone());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.build()
    }))
}

/// Variables that send requests, which may hold a session token, over the network unencrypted.
pub fn endpoints_in_clear() -> Vec<String> {
    let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    in_clear(std::env::vars_os().filter_map(text))
}

fn in_clear(variables: impl Iterator<Item = (String, String)>) -> Vec<String> {
    let is_clear = |(name, url): &(String, String)| {
        let url = url.trim().to_ascii_lowercase();
        name.starts_with("AWS_ENDPOINT_URL") && url.strip_prefix("http://").is_some_and(|rest| !is_loopback(rest))
    };
    variables.filter(is_clear).map(|(name, _)| name).collect()
}

/// Of an address without its scheme.
fn is_loopback(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // Before an `@` stands a user, whatever it looks like.
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    let address = host.parse::<std::net::IpAddr>();
    address.map_or(host == "localhost" || host.ends_with(".localhost"), |address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_that_cannot_be_used_names_the_variable() {
        let folder = tempfile::tempdir().unwrap();
        let bundle = |text: &str| {
            let path = folder.path().join("ca.pem");
            std::fs::write(&path, text).unwrap();
            read_bundle(&path)
        };
        let cut = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        let refused = [
            bundle(""),
            bundle("no certificate"),
            bundle(cut),
            bundle("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"),
            read_bundle(&folder.path().join("missing.pem")),
        ];
        for error in refused.map(|bundle| bundle.expect_err("refused")) {
            assert_eq!(error.code, Code::BadEvent);
            assert!(error.message.contains("AWS_CA_BUNDLE"), "{error}");
        }
        assert!(bundle(include_str!("../rds/rds-ca-bundle.pem")).is_ok());
    }

    #[test]
    fn an_endpoint_in_clear_is_told_unless_it_is_this_machine() {
        let told = |url: &str| !in_clear([("AWS_ENDPOINT_URL_S3".to_owned(), url.to_owned())].into_iter()).is_empty();
        for url in [
            "http://minio:9000",
            "http://10.0.0.1",
            "http://[2001:db8::1]:9000/x",
            "http://localhost.example.com",
            "HTTP://minio:9000",
            "http://localhost:x@minio:9000",
        ] {
            assert!(told(url), "{url}");
        }
        for url in [
            "https://minio:9000",
            "http://localhost:9000",
            "http://127.0.0.1:9000/",
            "http://[::1]:9000",
            "http://x.localhost/",
            "http://LOCALHOST:9000",
            "",
        ] {
            assert!(!told(url), "{url}");
        }
    }
}
