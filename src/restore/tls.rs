//! How the server that a backup is restored to is verified. libpq's own default (`sslmode=prefer`) tells the password, and
//! then the dump, to anyone who answers.
//!
//! What stands here goes into psql's environment, which ranks below the connection string and the service file: anyone who
//! names an `sslmode`, `sslrootcert` or `require_auth` there has it.

use super::conninfo::Conninfo;
use crate::process::client_tools::ClientTools;
use crate::rds::tls::RDS_BUNDLE;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where systems keep the authorities that they trust, as one file.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The first psql that can be held to proofs of a password instead of the password.
pub(super) const SCRAM_ONLY_SINCE: u32 = 16;

/// What libpq is told beside what its user said.
#[derive(Clone, Default)]
pub(super) struct TargetTls {
    pub variables: Vec<(&'static str, &'static str)>,
    /// PEM, where `PGSSLROOTCERT` must name it.
    pub roots: Option<Arc<[u8]>>,
    /// Of a password that may not be kept.
    pub warning: Option<String>,
}

impl TargetTls {
    /// `environment`: libpq's variables, as psql gets them.
    pub(crate) fn new(conninfo: &Conninfo, environment: &[(OsString, OsString)], client: &ClientTools, has_password: bool) -> Self {
        let variable = |name: &str| {
            let named = environment.iter().find(|(known, value)| known == name && !value.is_empty());
            named.and_then(|(_, value)| value.to_str())
        };
        let said = |keyword: &str, name: &str| conninfo.get(keyword).or_else(|| variable(name)).filter(|text| !text.is_empty());
        let host = said("hostaddr", "PGHOSTADDR").or_else(|| said("host", "PGHOST"));
        let service = said("service", "PGSERVICE");
        if service.is_none() && host.is_none_or(is_socket) {
            return Self::default();
        }
        let mut tls = Self::default();
        // What a service file says is not known here, and outranks what is set here.
        let mode = said("sslmode", "PGSSLMODE");
        if mode.is_none() {
            tls.variables.push(("PGSSLMODE", "verify-full"));
        }
        if matches!(mode, None | Some("verify-full" | "verify-ca")) {
            if said("sslrootcert", "PGSSLROOTCERT").is_none() {
                tls.roots = Some(roots(variable("HOME").map(Path::new)).into());
            }
            return tls;
        }
        // Anyone who answers unverified may ask for proof of the password, but not for the password.
        if said("require_auth", "PGREQUIREAUTH").is_none() {
            tls.variables.push(("PGREQUIREAUTH", "none,scram-sha-256"));
        }
        let is_deaf = client.major < SCRAM_ONLY_SINCE;
        if is_deaf && has_password && mode == Some("require") && said("channel_binding", "PGCHANNELBINDING").is_none() {
            tls.variables.push(("PGCHANNELBINDING", "require"));
        } else if is_deaf && has_password {
            let warning = format!(
                "the target is not verified, and psql {} cannot be held to SCRAM: anyone who answers could ask for the password itself; \
                 install psql 16 or newer, or leave sslmode out",
                client.version
            );
            tracing::warn!("{warning}");
            tls.warning = Some(warning);
        }
        tls
    }
}

/// What to do where libpq would not go on, in its own words.
pub(super) fn advice(words: &str) -> Option<&'static str> {
    const CERTIFICATE: [&str; 6] = [
        "SSL support is not compiled in",
        "certificate verify failed",
        "server certificate for",
        "does not support SSL",
        "host name must be specified for a verified SSL connection",
        "root certificate file",
    ];
    if CERTIFICATE.iter().any(|sign| words.contains(sign)) {
        return Some(
            "The target is verified in full: by Amazon's and the system's authorities, under the name that --to gives. Name another \
             authority there (sslrootcert=FILE); or say sslmode=require or sslmode=disable, if nobody can intercept the connection.",
        );
    }
    let is_method = words.contains("authentication method requirement") || words.contains("channel binding");
    is_method.then_some(
        "A target that is not verified gets the password by SCRAM only: leave sslmode out of --to, set password_encryption to \
         scram-sha-256 and the password anew, or say require_auth=… there.",
    )
}

/// All of a list of hosts: an empty one is the default socket.
fn is_socket(hosts: &str) -> bool {
    hosts.split(',').all(|host| host.is_empty() || host.starts_with(['/', '@']))
}

/// Amazon's for RDS, the system's, and what libpq's user keeps for it.
fn roots(home: Option<&Path>) -> Vec<u8> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let system = named
        .into_iter()
        .chain(SYSTEM_ROOTS.map(PathBuf::from))
        .find_map(|path| std::fs::read(path).ok());
    let own = home.and_then(|home| std::fs::read(home.join(".postgresql/root.crt")).ok());
    let mut pem = RDS_BUNDLE.to_vec();
    for more in [system, own].into_iter().flatten() {
        pem.push(b'\n');
        pem.extend(more);
    }
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(text: &str, environment: &[(&str, &str)], major: u32) -> TargetTls {
        let client = ClientTools {
            folder: PathBuf::new(),
            major,
            version: major.to_string(),
        };
        let environment: Vec<_> = environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
        TargetTls::new(&Conninfo::parse(text).unwrap(), &environment, &client, true)
    }

    #[test]
    fn a_server_is_verified_in_full_unless_its_user_says_otherwise() {
        const FULL: &[(&str, &str)] = &[("PGSSLMODE", "verify-full")];
        const SCRAM: &[(&str, &str)] = &[("PGREQUIREAUTH", "none,scram-sha-256")];
        for (text, environment, variables, has_roots) in [
            ("postgresql://u@db.example.com/app", &[][..], FULL, true),
            ("host=127.0.0.1", &[], FULL, true),
            ("hostaddr=10.0.0.1 host=/tmp", &[], FULL, true),
            ("host=/tmp,db.example.com", &[], FULL, true),
            ("dbname=app", &[("PGHOST", "db.example.com")], FULL, true),
            ("service=prod", &[], FULL, true),
            ("host=h sslrootcert=/ca.pem", &[], FULL, false),
            ("host=h", &[("PGSSLROOTCERT", "/ca.pem")], FULL, false),
            ("host=h sslmode=verify-ca", &[], &[], true),
            ("host=h sslmode=disable", &[], SCRAM, false),
            ("host=h", &[("PGSSLMODE", "require")], SCRAM, false),
            ("host=h sslmode=prefer require_auth=md5", &[], &[], false),
            ("host=/tmp", &[], &[], false),
            ("dbname=app", &[], &[], false),
            ("dbname=app", &[("PGHOST", "/tmp")], &[], false),
            ("host=@abstract", &[], &[], false),
        ] {
            let tls = tls(text, environment, 18);
            assert_eq!(tls.variables, variables, "{text}");
            assert_eq!(tls.roots.is_some(), has_roots, "{text}");
        }
        let old = tls("host=h sslmode=require", &[], 15).variables;
        assert!(old.contains(&("PGCHANNELBINDING", "require")), "{old:?}");
    }
}
