//! One try of one login: name, TCP, TLS, startup and authentication, within one limit.

use super::diagnose::{self, LoginRefusal};
use super::guard::{GuardedStream, GuardedTls};
use super::{Server, Tls};
use crate::error::{Code, Error};
use crate::plan::TlsMode;
use secrecy::{ExposeSecret, SecretString};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::{AbortHandle, spawn};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Before the kernel asks whether the other side is still there, between two questions, and how often.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(30), Duration::from_secs(10), 3);
/// How long sent bytes may stay unconfirmed.
const USER_TIMEOUT: Duration = Duration::from_secs(60);

/// What libpq is told of the same: there is no variable for these, but a service file may hold them.
/// `tcp_user_timeout` is known from libpq 12 on.
pub(crate) const SERVICE: &str = "\
[pgseal]
keepalives=1
keepalives_idle=30
keepalives_interval=10
keepalives_count=3
tcp_user_timeout=60000
";

/// A connection and the task that drives it.
pub(super) struct Connection {
    pub client: Client,
    pub driver: AbortHandle,
}

/// Logs in, or gives up after the limit for one try.
pub(super) async fn log_in(server: &Server, database: &str, password: &SecretString) -> Result<Connection, LoginRefusal> {
    let limit = server.limits.login;
    let trying = connect(server, database, password, Instant::now() + limit);
    match tokio::time::timeout(limit, trying).await {
        Ok(outcome) => outcome.map_err(|refusal| refusal.advised(server)),
        Err(_) => Err(silent(server, "there was no answer to the login").into()),
    }
}

pub(super) fn silent(server: &Server, what: &str) -> Error {
    Error::new(
        Code::DbUnreachable,
        format!("{}:{}: {what} in time", server.host.as_str(), server.port),
    )
}

async fn connect(server: &Server, database: &str, password: &SecretString, end: Instant) -> Result<Connection, LoginRefusal> {
    let host = server.host.as_str();
    let unreachable = |error: io::Error| Error::new(Code::DbUnreachable, format!("{host}:{}: {error}", server.port));
    let stream = dial(host, server.port, end).await.map_err(unreachable)?;
    let mut config = tokio_postgres::Config::new();
    // Nothing else: RDS Proxy and pgbouncer refuse `options`. What a session needs is set by SQL, see `session`.
    config
        .user(&server.user)
        .password(password.expose_secret())
        .dbname(database)
        .application_name("pgseal");
    let refusal = |error: tokio_postgres::Error| diagnose::of_connection(&error, host, server.port);
    let Tls { mode, client, .. } = &server.tls;
    let guard = (*mode != TlsMode::VerifyFull).then(|| server.offers_binding.clone());
    match client {
        None => {
            let stream = match guard {
                Some(guard) => GuardedStream::new(stream, guard),
                None => GuardedStream::open(stream),
            };
            let connecting = config.ssl_mode(SslMode::Disable).connect_raw(stream, NoTls);
            let (client, connection) = connecting.await.map_err(refusal)?;
            let driver = spawn(connection).abort_handle();
            Ok(Connection { client, driver })
        }
        Some(client_config) => {
            let tls = guarded_tls(client_config, host, guard);
            let connecting = config.ssl_mode(SslMode::Require).connect_raw(stream, tls);
            let (client, connection) = connecting.await.map_err(refusal)?;
            let driver = spawn(connection).abort_handle();
            Ok(Connection { client, driver })
        }
    }
}

type RustlsConnect = <MakeRustlsConnect as MakeTlsConnect<TcpStream>>::TlsConnect;

fn guarded_tls(config: &Arc<rustls::ClientConfig>, host: &str, guard: Option<Arc<AtomicBool>>) -> GuardedTls<RustlsConnect> {
    let mut make = MakeRustlsConnect::new(rustls::ClientConfig::clone(config));
    let Ok(connector) = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut make, host);
    GuardedTls { connector, guard }
}

/// Each address of the name in turn, each with its share of what time is left.
async fn dial(host: &str, port: u16, end: Instant) -> io::Result<TcpStream> {
    let addresses: Vec<_> = lookup_host((host, port)).await?.collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (tried, address) in addresses.iter().enumerate() {
        let share = end.saturating_duration_since(Instant::now()) / (addresses.len() - tried) as u32;
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                keep_alive(&stream)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, "the connection timed out"),
        }
    }
    Err(last)
}

/// A peer that is gone is noticed in a minute, also where a NAT or load balancer forgot the connection.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl, set_tcp_user_timeout};
    let (idle, interval, count) = KEEPALIVE;
    set_socket_keepalive(stream, true)?;
    set_tcp_keepidle(stream, idle)?;
    set_tcp_keepintvl(stream, interval)?;
    set_tcp_keepcnt(stream, count)?;
    set_tcp_user_timeout(stream, USER_TIMEOUT.as_millis() as u32)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libpq_is_told_the_same_as_our_own_connection() {
        let (idle, interval, count) = KEEPALIVE;
        for line in [
            format!("keepalives_idle={}", idle.as_secs()),
            format!("keepalives_interval={}", interval.as_secs()),
            format!("keepalives_count={count}"),
            format!("tcp_user_timeout={}", USER_TIMEOUT.as_millis()),
        ] {
            assert!(SERVICE.lines().any(|told| told == line), "{line}");
        }
    }
}
