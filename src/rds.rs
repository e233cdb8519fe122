//! The database's side: finding it, logging in, and looking before the dump starts.

pub(crate) mod authorities;
pub(crate) mod databases;
pub(crate) mod diagnose;
pub(crate) mod discovery;
pub(crate) mod dump_failure;
mod extensions;
mod guard;
mod instance;
pub(crate) mod lock_guard;
pub(crate) mod lock_wait;
mod login;
pub mod passfile;
pub(crate) mod preflight;
pub mod properties;
mod readable;
pub(crate) mod secret;
pub mod selection;
pub mod session;
pub(crate) mod timeouts;
pub(crate) mod tls;
mod token;

pub(crate) use login::SERVICE;
pub(crate) use passfile::passfile;
pub(crate) use session::Session;
pub(crate) use tls::Tls;

use crate::aws;
use crate::error::{Code, Error, Result};
use crate::plan::{Auth, DatabaseTarget, Host, Limits, PasswordSource, RegionName, Source};
use aws_config::SdkConfig;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Tries of one login, before the first byte of a dump only.
pub(crate) const TRIES: u32 = 3;

/// A server that is found, allowed, and can be logged in to.
pub struct Server {
    pub host: Host,
    pub port: u16,
    pub user: String,
    pub tls: Tls,
    pub limits: Limits,
    /// The server has offered a login that is bound to its certificate: then libpq must take it too.
    pub offers_binding: Arc<AtomicBool>,
    credentials: Credentials,
}

enum Credentials {
    /// A token is valid for 15 minutes and is looked at on connecting only: each connection gets its own.
    Iam {
        region: RegionName,
        config: Box<SdkConfig>,
    },
    Password(SecretString),
    Passfile(SecretString),
}

impl Server {
    /// Looks up what the plan names: the instance's endpoint, the password, the CA bundle.
    pub async fn find(source: &Source) -> Result<Self> {
        let tls = Tls::new(source.tls_mode, source.root_certificates.as_deref())?;
        let (host, port) = match (&source.target, &source.region) {
            (DatabaseTarget::Host(host), _) => (host.clone(), source.port.unwrap_or(5432)),
            (DatabaseTarget::Instance(id), Some(region)) => {
                let endpoint = instance::endpoint(&aws::config(region).await?, id).await?;
                (source.allowed_hosts.admit(&endpoint.host)?, source.port.unwrap_or(endpoint.port))
            }
            (DatabaseTarget::Discovered(_), _) => return Err(Error::new(Code::Bug, "many servers where one is needed")),
            (DatabaseTarget::Instance(_), None) => return Err(Error::new(Code::Bug, "an instance without a region")),
        };
        let credentials = match &source.auth {
            Auth::Iam { region } => Credentials::Iam {
                region: region.clone(),
                config: Box::new(aws::config(region).await?),
            },
            Auth::Password(PasswordSource::Variable(password)) => Credentials::Password(password.clone()),
            Auth::Password(PasswordSource::Secret(secret)) => Credentials::Password(secret::password(secret).await?),
            Auth::Password(PasswordSource::Passfile(path)) => Credentials::Passfile(passfile::read(path)?),
        };
        Ok(Self {
            host,
            port,
            user: source.user.clone(),
            tls,
            limits: source.limits,
            offers_binding: Arc::default(),
            credentials,
        })
    }

    /// Logs in by tokens, not by a password.
    fn is_iam(&self) -> bool {
        matches!(self.credentials, Credentials::Iam { .. })
    }

    /// What logs in next: a fresh token, or the password.
    pub(crate) async fn password(&self, database: &str) -> Result<SecretString> {
        match &self.credentials {
            Credentials::Iam { region, config } => token::generate_token(config, region, &self.host, self.port, &self.user).await,
            Credentials::Password(password) => Ok(password.clone()),
            Credentials::Passfile(text) => passfile::find(text.expose_secret(), self.host.as_str(), self.port, database, &self.user),
        }
    }

    /// Runs what is done before a dump, no longer than the limit for all of it. Each database is a backup of its own, with this
    /// limit of its own; the list for `"*"` comes before all of them, and a slow one takes no time from theirs.
    pub(crate) async fn in_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let silent = |_| Err(login::silent(self, "what is asked before a dump was not all answered"));
        tokio::time::timeout(self.limits.all, work).await.unwrap_or_else(silent)
    }
}

/// Failures that may be gone a moment later.
pub(crate) fn is_transient(code: Code) -> bool {
    matches!(code, Code::DbUnreachable | Code::DbBusy)
}

/// Before the next try: a fifteenth of what a try may take, then twice that.
pub(crate) fn pause(limits: Limits, tries: u32) -> Duration {
    limits.login / 15 * (1 << tries.saturating_sub(1).min(5))
}
