//! How old the authorities are that a server is trusted by: Amazon adds new ones years before it uses them.

use super::tls::RDS_BUNDLE;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use time::{Date, Duration, OffsetDateTime};
use x509_cert::Certificate;
use x509_cert::der::Decode;

const TOO_OLD: Duration = Duration::days(2 * 365);

pub(crate) struct Authorities {
    pub certificates: usize,
    /// When the embedded ones were taken from Amazon; nothing says so of others.
    pub made: Option<Date>,
    /// When the last of them is no longer valid.
    last_expires: Option<OffsetDateTime>,
}

impl Authorities {
    pub(crate) fn new(pem: &[u8]) -> Self {
        let all: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect();
        let expires = |der: &CertificateDer<'_>| {
            let certificate = Certificate::from_der(der).ok()?;
            let end = certificate.tbs_certificate().validity().not_after.to_unix_duration();
            OffsetDateTime::from_unix_timestamp(end.as_secs() as i64).ok()
        };
        Self {
            certificates: all.len(),
            made: (pem == RDS_BUNDLE).then(made).flatten(),
            last_expires: all.iter().filter_map(expires).max(),
        }
    }

    pub(crate) fn warning(&self, now: OffsetDateTime) -> Option<String> {
        if self.last_expires.is_some_and(|last| last < now) {
            return Some("every authority in PGSSLROOTCERT has expired".to_owned());
        }
        let made = self.made.filter(|made| now.date() - *made > TOO_OLD)?;
        Some(format!(
            "the authorities of RDS in this program are of {made}: build a newer version, before Amazon uses an authority that is not among them"
        ))
    }
}

/// The page beside the bundle says it, and is written with it.
fn made() -> Option<Date> {
    let (_, rest) = include_str!("rds-ca-bundle.md").split_once("`make ca-bundle` on ")?;
    let day = time::macros::format_description!("[year]-[month]-[day]");
    Date::parse(rest.get(..10)?, day).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_authorities_say_when_they_are_too_old() {
        let embedded = Authorities::new(RDS_BUNDLE);
        let made = embedded.made.expect("a day").midnight().assume_utc();
        assert!(embedded.certificates > 100);
        assert_eq!(embedded.warning(made + Duration::days(700)), None);
        assert!(embedded.warning(made + Duration::days(800)).unwrap().contains("newer version"));
    }

    #[test]
    fn other_authorities_are_told_once_they_have_all_expired() {
        let one: Vec<u8> = RDS_BUNDLE
            .split_inclusive(|byte| *byte == b'\n')
            .take_while(|line| !line.starts_with(b"-----END"))
            .flatten()
            .copied()
            .collect();
        let one = [one, b"-----END CERTIFICATE-----\n".to_vec()].concat();
        let found = Authorities::new(&one);
        assert_eq!((found.certificates, found.made), (1, None));
        let last = found.last_expires.expect("a time");
        assert_eq!(found.warning(last - Duration::days(1)), None);
        assert!(found.warning(last + Duration::days(1)).is_some());
    }
}
