//! TLS to the server: Amazon's CAs built in, verified in full unless a password's owner asks for less.

use crate::error::{Code, Error, Result};
use crate::plan::TlsMode;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

/// All CAs of RDS in all regions; where it is from stands in `rds-ca-bundle.md`.
pub(crate) const RDS_BUNDLE: &[u8] = include_bytes!("rds-ca-bundle.pem");

/// How the server is verified, the same for our own connections and for libpq's.
pub struct Tls {
    pub mode: TlsMode,
    /// The trusted CAs as PEM: handed to `pg_dump` in memory.
    pub roots: Cow<'static, [u8]>,
    pub(super) client: Option<Arc<ClientConfig>>,
}

impl Tls {
    pub(crate) fn new(mode: TlsMode, root_certificates: Option<&Path>) -> Result<Self> {
        let roots: Cow<'static, [u8]> = match root_certificates {
            None => Cow::Borrowed(RDS_BUNDLE),
            Some(path) => Cow::Owned(
                crate::ca_file::read(path)
                    .map_err(|error| Error::field(Code::BadEvent, "PGSSLROOTCERT", format!("cannot be read: {error}")))?,
            ),
        };
        let client = match mode {
            TlsMode::Disable => None,
            mode => Some(Arc::new(client_config(mode, &roots)?)),
        };
        Ok(Self { mode, roots, client })
    }
}

fn client_config(mode: TlsMode, pem: &[u8]) -> Result<ClientConfig> {
    let no_roots = |why: String| Error::new(Code::DbTls, format!("the CA bundle (PGSSLROOTCERT) cannot be used: {why}"));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| no_roots(error.to_string()))?;
        roots.add(certificate).map_err(|error| no_roots(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(no_roots("it holds no certificate".to_owned()));
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let bug = |error: &dyn std::fmt::Display| Error::new(Code::Bug, format!("TLS cannot be set up: {error}"));
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| bug(&error))?;
    if mode == TlsMode::VerifyFull {
        return Ok(builder.with_root_certificates(roots).with_no_client_auth());
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| bug(&error))?;
    let lenient = LenientVerifier {
        verifier,
        provider,
        authority: mode == TlsMode::VerifyCa,
    };
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(lenient))
        .with_no_client_auth())
}

/// libpq's `verify-ca` (any name) and `require` (any certificate): for password logins only, and only where the
/// environment asks for it.
#[derive(Debug)]
struct LenientVerifier {
    verifier: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
    authority: bool,
}

impl ServerCertVerifier for LenientVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if !self.authority {
            return Ok(ServerCertVerified::assertion());
        }
        match self.verifier.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })) => {
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_certificate_of_the_embedded_bundle_is_usable() {
        let count = CertificateDer::pem_slice_iter(RDS_BUNDLE).filter(Result::is_ok).count();
        assert!(count >= 90, "{count} certificates");
        Tls::new(TlsMode::VerifyFull, None).unwrap();
    }
}
