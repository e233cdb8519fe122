//! What libpq understands of a conninfo before and after it went through ours.

use super::{cancel, psql};
use crate::support::postgres::Server;
use pgseal::restore::conninfo::Conninfo;
use pgseal::restore::psql::PsqlTarget;
use std::process::Command;

const SEEN: &str = "SELECT current_database() || '/' || current_user || '/' || current_setting('application_name')";

/// libpq's own reading.
fn by_psql(conninfo: &str) -> String {
    let mut command = Command::new(psql().program("psql"));
    command
        .args(["-XAtq", "-d", conninfo, "-c", SEEN])
        .env_clear()
        .env("PGAPPNAME", "pgseal");
    let output = command.output().expect("psql starts");
    assert!(output.status.success(), "{conninfo}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").trim_end_matches('\n').to_owned()
}

fn by_us(conninfo: &str) -> String {
    let access = PsqlTarget::new(psql(), Conninfo::parse(conninfo).expect(conninfo), []);
    access.execute(&format!("{SEEN};"), &cancel()).expect(conninfo)
}

#[test]
fn odd_values_mean_the_same_to_libpq_and_to_us() {
    let server = Server::start();
    let odd = "a b'c\\d%=@/é?";
    server.psql("postgres", "create database \"a b'c\\d%=@/é?\"");
    let (port, password) = (server.port(), server.password());
    let encoded = "a%20b%27c%5cd%25%3d%40%2F%C3%A9%3F";
    let socket = server.conninfo("x");
    let folder = socket
        .strip_prefix("host=")
        .and_then(|rest| rest.split(' ').next())
        .expect("a folder");
    let quoted = odd.replace('\\', "\\\\").replace('\'', "\\'");
    for conninfo in [
        format!("host={folder} port={port} user=postgres dbname='{quoted}' application_name='it\\'s  '"),
        format!("  host = {folder}\tport\n=\n{port} user=postgres dbname=a\\ b\\'c\\\\d%=@/é? application_name=x'y\\ z"),
        format!("postgresql://owner:{password}@127.0.0.1:{port}/{encoded}?application_name=x%26y%20%3D&sslmode=disable"),
        format!("postgresql://localhost:{port}/{encoded}?user=owner&password={password}&sslmode=disable"),
        format!("postgres://owner@127.0.0.1:1,127.0.0.1:{port}/{encoded}?password={password}&sslmode=disable"),
        format!(
            "postgresql:///postgres?host={}&port={port}&user=postgres",
            folder.replace('/', "%2f")
        ),
        format!("host=127.0.0.1 port={port} user=owner dbname=x dbname=postgres password='{password}' sslmode=disable"),
    ] {
        assert_eq!(by_us(&conninfo), by_psql(&conninfo), "{conninfo}");
    }
}

#[test]
fn a_password_of_the_environment_serves_too() {
    let server = Server::start();
    let target = Conninfo::parse(&format!(
        "host=127.0.0.1 port={} user=owner dbname=postgres sslmode=disable",
        server.port()
    ))
    .expect("a conninfo");
    let variables = [
        ("PGPASSWORD".into(), server.password().into()),
        ("AWS_SECRET_ACCESS_KEY".into(), "s".into()),
    ];
    let access = PsqlTarget::new(psql(), target.clone(), variables);
    // What the child has in its environment, by its own word.
    let seen = access.execute("\\! tr '\\0' '\\n' < /proc/$PPID/environ\nSELECT current_user;", &cancel());
    let seen = seen.expect("a login");
    assert!(seen.ends_with("owner") && seen.contains("PGPASSFILE=/proc/self/fd/3"), "{seen}");
    assert!(!seen.contains(server.password()) && !seen.contains("AWS_"), "{seen}");
    let error = PsqlTarget::new(psql(), target, [])
        .execute("SELECT 1;", &cancel())
        .expect_err("no password");
    assert!(error.message.contains("no password supplied"), "{error}");
}
