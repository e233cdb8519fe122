//! To whom a target's password is told: servers that are not who they say, and one that is.

use super::{cancel, newest_psql, psql};
use crate::support::postgres::Server;
use pgseal::error::{Code, Error};
use pgseal::restore::conninfo::Conninfo;
use pgseal::restore::psql::PsqlTarget;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// Speaks no TLS, asks anyone who comes for the password itself, and keeps what it hears.
struct Fake {
    port: u16,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Fake {
    fn start() -> Self {
        const NO_TLS: &[u8] = b"N";
        /// AuthenticationCleartextPassword.
        const CLEAR: &[u8] = &[b'R', 0, 0, 0, 8, 0, 0, 0, 3];
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let keep = heard.clone();
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = client.read(&mut bytes) {
                    let message = &bytes[..count];
                    keep.lock().expect("no panic").extend_from_slice(message);
                    let is_startup = message.len() > 8 && message[4..8] == [0, 3, 0, 0];
                    let answer = if is_startup { CLEAR } else { NO_TLS };
                    if client.write_all(answer).is_err() {
                        break;
                    }
                }
            }
        });
        Self { port, heard }
    }

    fn heard(&self, text: &str) -> bool {
        let heard = self.heard.lock().expect("no panic");
        heard.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

fn asked(conninfo: &str, environment: &[(&str, &str)]) -> Result<String, Error> {
    let environment = environment
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let target = Conninfo::parse(conninfo).expect("a conninfo");
    // Debian's speaks TLS, the newest knows `require_auth`.
    let is_scram = conninfo.contains("sslmode=disable") || conninfo.contains("sslmode=prefer");
    let client = if is_scram { newest_psql() } else { psql() };
    PsqlTarget::new(client, target, environment).execute("SELECT 1;", &cancel())
}

/// libpq's own default told it to anyone who answered; what must be verified ends before a login, what need not be at SCRAM.
#[test]
fn a_server_that_nobody_verified_never_gets_the_password_itself() {
    const PASSWORD: &str = "R3store-me";
    let fake = Fake::start();
    let port = fake.port;
    for (more, environment, words) in [
        ("", &[][..], "SSL"),
        ("sslmode=verify-ca", &[], "SSL"),
        ("", &[("PGSSLMODE", "")], "SSL"),
        ("sslmode=disable", &[], "authentication method requirement"),
        ("sslmode=prefer", &[], "authentication method requirement"),
    ] {
        let conninfo = format!("host=127.0.0.1 port={port} user=owner dbname=app password={PASSWORD} {more}");
        let error = asked(&conninfo, environment).expect_err("no login");
        assert_eq!(error.code, Code::RestoreFailed);
        assert!(
            error.message.contains(words) && error.hint().contains("--to"),
            "{more}: {error} {}",
            error.hint()
        );
    }
    assert!(!fake.heard(PASSWORD), "the password was told");
    // Anyone who asks for it has it.
    let conninfo = format!("host=127.0.0.1 port={port} user=owner password={PASSWORD} sslmode=disable require_auth=password");
    asked(&conninfo, &[]).expect_err("no server");
    assert!(fake.heard(PASSWORD), "the fake server hears nothing at all");
}

#[test]
fn a_server_of_another_authority_or_name_is_refused_unless_its_authority_is_named() {
    let server = Server::builder().tls(&["localhost"]).start();
    let to = |host: &str, more: &str| {
        format!(
            "host={host} port={} user=owner dbname=postgres password={} {more}",
            server.port(),
            server.password()
        )
    };
    let authority = server.ca().pem().display().to_string();
    let error = asked(&to("localhost", ""), &[]).expect_err("an authority that nobody trusts");
    assert!(
        error.message.contains("certificate verify failed") && error.hint().contains("sslrootcert"),
        "{error}"
    );
    let named = format!("sslrootcert={authority}");
    assert_eq!(asked(&to("localhost", &named), &[]).expect("a login"), "1");
    assert_eq!(asked(&to("localhost", ""), &[("PGSSLROOTCERT", &authority)]).expect("a login"), "1");
    assert!(asked(&to("127.0.0.1", &named), &[]).is_err(), "another name");
    // Where its user says that nobody stands between.
    assert_eq!(asked(&to("127.0.0.1", "sslmode=require"), &[]).expect("a login"), "1");
}
