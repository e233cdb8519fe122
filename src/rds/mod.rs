//! The database's side: finding it, logging in, and looking before the dump starts.

pub mod diagnose;
mod instance;
pub mod passfile;
pub mod preflight;
pub mod secret;
mod tls;
mod token;

pub use passfile::passfile;
pub use tls::Tls;

use crate::aws;
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::plan::{Auth, DatabaseName, Host, PasswordSource, Source, Target};
use aws_config::SdkConfig;
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;
use tokio_postgres::Client;

/// Tries of one login, before the first byte of a dump only.
pub const TRIES: u32 = 3;

/// A server that is found, allowed, and can be logged in to.
pub struct Server {
    pub host: Host,
    pub port: u16,
    pub user: String,
    pub tls: Tls,
    credentials: Credentials,
}

enum Credentials {
    /// A token is valid for 15 minutes and is looked at on connecting only: each connection gets its own.
    Iam {
        region: String,
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
            (Target::Host(host), _) => (host.clone(), source.port.unwrap_or(5432)),
            (Target::Instance(id), Some(region)) => {
                let endpoint = instance::endpoint(&aws::config(region).await?, id).await?;
                (source.allowed_hosts.admit(&endpoint.host)?, source.port.unwrap_or(endpoint.port))
            }
            (Target::Instance(_), None) => return Err(Error::new(Code::Bug, "an instance without a region")),
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
            credentials,
        })
    }

    /// What logs in next: a fresh token, or the password.
    pub async fn password(&self, database: &str) -> Result<SecretString> {
        match &self.credentials {
            Credentials::Iam { region, config } => token::mint(config, region, &self.host, self.port, &self.user).await,
            Credentials::Password(password) => Ok(password.clone()),
            Credentials::Passfile(text) => passfile::find(text.expose_secret(), self.host.as_str(), self.port, database, &self.user),
        }
    }

    /// One connection for SQL of our own. A server that is busy or out of reach is tried again, with a new token.
    pub async fn connect(&self, database: &DatabaseName, cancel: &Cancel) -> Result<Client> {
        let mut tries = 0;
        loop {
            tries += 1;
            match cancel.race(self.connect_once(database.as_str())).await {
                Err(error) if tries < TRIES && is_transient(error.code) => {
                    tracing::warn!(code = error.code.name(), tries, "{}", error.message);
                    cancel.pause(pause(tries)).await?;
                }
                other => return other,
            }
        }
    }

    async fn connect_once(&self, database: &str) -> Result<Client> {
        let password = self.password(database).await?;
        let mut config = tokio_postgres::Config::new();
        config
            .host(self.host.as_str())
            .port(self.port)
            .user(&self.user)
            .password(password.expose_secret())
            .dbname(database)
            .application_name("pgseal")
            .options("-c statement_timeout=120s -c lock_timeout=10s")
            .connect_timeout(Duration::from_secs(10))
            .keepalives_idle(Duration::from_secs(30));
        self.tls
            .connect(&mut config)
            .await
            .map_err(|error| diagnose::of_connection(&error, self.host.as_str(), self.port))
    }
}

/// Failures that may be gone a moment later.
pub fn is_transient(code: Code) -> bool {
    matches!(code, Code::DbUnreachable | Code::DbBusy)
}

/// Before the next try.
pub fn pause(tries: u32) -> Duration {
    Duration::from_millis(500 << tries.min(5))
}
