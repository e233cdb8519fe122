//! Databases that others made go round and come back equal: PostgreSQL's own regression database, and an application's.

pub mod comparable;

use crate::support::invariants::sealed_into;
use crate::support::pgseal::Pgseal;
use crate::support::postgres::Server;
use crate::support::restore::{dump, dump_with};
use crate::support::s3::EmbeddedS3;
use comparable::assert_equal;
use serde_json::json;
use std::path::PathBuf;
use std::process::Command;

/// What `testbed/regression.sh` leaves in the cache.
fn made(name: &str) -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").expect("HOME")).join(".cache/pgseal");
    let cache = std::env::var_os("TESTBED_CACHE").map_or_else(home, PathBuf::from);
    let path = cache.join("regression").join(name);
    assert!(path.exists(), "no {}: run testbed/regression.sh install", path.display());
    path
}

/// A server with this database, made from the file of its name.
fn server_with(database: &str) -> Server {
    let server = Server::start();
    server.psql("postgres", &format!("create database {database}"));
    let mut psql = server.psql_command(database);
    let output = psql.arg("-f").arg(made(&format!("{database}.sql"))).output().expect("psql starts");
    assert!(output.status.success(), "{database}: {}", String::from_utf8_lossy(&output.stderr));
    server
}

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output().expect("openssl starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Over one connection, and over several.
const JOBS: [&str; 3] = ["1", "2", "8"];

/// Backs the database up into S3 and restores it from there as `copy1` and the like, by these jobs. Says how many tables and rows
/// went round.
fn there_and_back(server: &Server, database: &str) -> (u64, u64) {
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = folder.path().join("private_key.pem").display().to_string();
    openssl(&["genrsa", "-out", &key, "2048"]);

    // By a superuser: tables with row security let nobody else read them whole.
    let mut event = sealed_into(server.event_as(database, "owner"), &bucket);
    event["public_key"] = json!(String::from_utf8(openssl(&["pkey", "-pubout", "-in", &key])).expect("PEM"));
    event["compression"] = json!("zstd");
    let receipt = Pgseal::backup(&event).envs(server.env()).envs(bucket.env()).run().complete();
    let stem = receipt["backups"][0]["stem"].as_str().expect("a stem");

    let psql = server.psql_command("postgres");
    let login = psql.get_envs().filter_map(|(name, value)| Some((name.to_str()?, value?.to_str()?)));
    let from = format!("s3://{}/{stem}", bucket.name);
    let login: Vec<_> = login.collect();
    let restored = JOBS.map(|jobs| {
        let to = format!("dbname=copy{jobs}");
        let said = Pgseal::new(&[
            "restore",
            &from,
            "--key",
            &key,
            "--to",
            &to,
            "--create",
            "--jobs",
            jobs,
            "--no-analyze",
        ])
        .envs(login.iter().copied())
        .env("PGSEAL_PG_BIN", server.bin())
        .envs(bucket.env())
        .run();
        assert_eq!(said.code, 0, "{jobs} jobs: {}\n{}", said.stdout, said.stderr);
        let report = said.receipt();
        assert_eq!((&report["status"], &report["opens"]), (&json!("restored"), &json!(true)));
        let number = |field: &str| report[field].as_u64().expect("a number");
        (number("tables"), number("rows"))
    });
    assert!(restored.iter().all(|counts| *counts == restored[0]), "{restored:?}");
    restored[0]
}

/// What stands in the cache is the dump of the database in which PostgreSQL's tests ran: so both the database that was
/// backed up and the one that came back are compared with that one, too.
#[test]
fn the_regression_database_of_postgresql_comes_back() {
    let original = std::fs::read(made("regression.sql")).expect("the dump");
    let server = server_with("regression");
    let (tables, rows) = there_and_back(&server, "regression");
    assert!(tables > 400 && rows > 300_000, "only {tables} tables with {rows} rows");
    assert_equal(&original, &dump_with(&server, "regression", &[]));
    for jobs in JOBS {
        assert_equal(&original, &dump_with(&server, &format!("copy{jobs}"), &[]));
    }
}

#[test]
fn the_database_of_an_application_comes_back() {
    let server = server_with("zabbix");
    let (tables, rows) = there_and_back(&server, "zabbix");
    assert!(tables > 150 && rows > 50_000, "only {tables} tables with {rows} rows");
    let original = dump(&server, "zabbix");
    for jobs in JOBS {
        assert_equal(&original, &dump(&server, &format!("copy{jobs}")));
    }
}
