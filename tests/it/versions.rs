//! Servers of every major that is supported, each backed up, opened with stock tools and restored.

use crate::support::invariants::{no_secret, nothing_left, sealed_into};
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::postgres::{Server, client_folder, debian_major};
use crate::support::s3::{Bucket, EmbeddedS3};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Rows in several tables, with what a text format can get wrong: NULL beside the empty text, tabs, backslashes.
const SAMPLE: &str = r#"
create table plain (id int primary key, note text);
insert into plain select i, case i % 4 when 0 then null when 1 then '' when 2 then E'a\tb\\c\nd' else 'ü' end
    from generate_series(1, 5000) i;
create schema "Mixed Case";
create table "Mixed Case"."odd ""name""" (at timestamptz, data bytea);
insert into "Mixed Case"."odd ""name""" select now(), decode(md5(i::text), 'hex') from generate_series(1, 321) i;
create table empty (id serial, amount numeric);
create view counted as select count(*) from plain;
"#;

/// What must be the same on both sides: the rows of each table, and a hash of them all.
const FINGERPRINT: &str = r#"
select count(*), md5(string_agg(p::text, ',' order by id)) from plain p;
select count(*), md5(string_agg(encode(data, 'hex'), ',' order by data)) from "Mixed Case"."odd ""name""";
select count(*) from empty;
select * from counted;
"#;

#[test]
fn every_server_from_10_to_18_is_backed_up_and_restored() {
    let s3 = EmbeddedS3::start();
    let keys = KeyPair::new();
    // The newest takes what any pg_dump wrote; an old server refuses settings that it does not know.
    let target = Server::builder().major(18).start();
    for major in 10..=18 {
        let server = with_sample(major);
        let bucket = s3.bucket();
        let receipt = backed_up(&server, &bucket, &keys);
        let backup = &receipt["backups"][0];
        assert_eq!(major_of(&backup["server_version"]), major, "{backup}");
        assert_eq!(major_of(&backup["pg_dump_version"]), best_client(major), "{backup}");
        assert_eq!(backup["rows"], 5321, "{backup}");
        assert_eq!(backup["tables"], 3, "{backup}");

        let database = format!("from_{major}");
        target.psql("postgres", &format!("create database {database}"));
        restore(&bucket, &keys, &target, &database);
        assert_eq!(
            target.psql(&database, FINGERPRINT),
            server.psql("app", FINGERPRINT),
            "restored from {major}"
        );
    }
}

fn with_sample(major: u32) -> Server {
    let server = Server::builder().major(major).start();
    server.create_app(SAMPLE);
    for schema in ["public", "\"Mixed Case\""] {
        server.let_dumper_read("app", schema);
    }
    server
}

fn backed_up(server: &Server, bucket: &Bucket, keys: &KeyPair) -> Value {
    let mut event = sealed_into(server.event("app"), bucket);
    event["public_key"] = json!(keys.public());
    let said = Pgseal::backup(&event).envs(bucket.env()).envs(server.env()).run();
    no_secret(&said, &[server.password()]);
    said.complete()
}

fn major_of(version: &Value) -> u32 {
    let text = version.as_str().expect("a version");
    text.split(['.', ' '])
        .next()
        .and_then(|major| major.parse().ok())
        .unwrap_or_else(|| panic!("no version: {text}"))
}

/// The smallest major among the installed clients that is not older than the server.
fn best_client(server: u32) -> u32 {
    let installed = [debian_major(), 16, 17, 18];
    installed
        .into_iter()
        .filter(|client| *client >= server)
        .min()
        .expect("a client for every server")
}

struct KeyPair(TempDir);

impl KeyPair {
    fn new() -> Self {
        let folder = TempDir::with_prefix("pgseal-keys-").expect("a temporary folder");
        shell(folder.path(), "openssl genrsa -out private.pem 2048");
        shell(folder.path(), "openssl pkey -in private.pem -pubout -out public.pem");
        Self(folder)
    }

    fn public(&self) -> String {
        std::fs::read_to_string(self.0.path().join("public.pem")).expect("the public key")
    }
}

/// The stock commands of the format's page, one after the other.
const OPEN: &str = r#"
openssl pkeyutl -decrypt -inkey "$KEYS/private.pem" -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 \
    -in ./*.key.*.enc -out key.txt
S=$(head -n1 key.txt)
MK=$(printf 'pgseal/1 manifest mac\001' | openssl dgst -sha256 -hmac "$S" -r | cut -c1-64)
head -n1 ./*.manifest.jsonl | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$MK" -r | cut -c1-64 >mac
grep -q "hmac-sha256:$(cat mac)" <(tail -n +2 ./*.manifest.jsonl)
grep -q "$(openssl dgst -sha256 -r ./*.sql.bz2.enc | cut -c1-64)" <(head -n1 ./*.manifest.jsonl)
openssl enc -d -aes-256-cbc -pbkdf2 -iter 10000 -md sha256 -pass file:key.txt -in ./*.sql.bz2.enc | bzip2 -d >dump.sql
"#;

fn restore(bucket: &Bucket, keys: &KeyPair, target: &Server, database: &str) {
    let folder = TempDir::with_prefix("pgseal-restore-").expect("a temporary folder");
    bucket.download(folder.path());
    shell(folder.path(), &format!("KEYS='{}'\n{OPEN}", keys.0.path().display()));
    let mut psql = target.psql_command(database);
    psql.arg("--single-transaction").arg("-f").arg(folder.path().join("dump.sql"));
    let output = psql.output().expect("psql ends");
    assert!(output.status.success(), "restore: {}", String::from_utf8_lossy(&output.stderr));
}

fn shell(folder: &Path, script: &str) {
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(folder)
        .output();
    let output = output.expect("bash starts");
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn only_older_clients_are_a_version_mismatch() {
    let server = Server::builder().major(18).start();
    let bucket = crate::support::aws::Ministack::shared().bucket();
    let offered = client_folder(16);
    let said = without_installed_clients(&server, &bucket, Some(&offered));
    let receipt = said.failed("version_mismatch", 5);
    let message = receipt["backups"][0]["error"]["message"].as_str().expect("a message");
    assert!(message.contains("18") && message.contains("16"), "names both versions: {message}");
    nothing_left(&server, &bucket, &said, &[]);
}

#[test]
fn no_client_at_all_is_said() {
    let server = Server::start();
    let bucket = crate::support::aws::Ministack::shared().bucket();
    let said = without_installed_clients(&server, &bucket, None);
    said.failed("pg_dump_missing", 5);
    nothing_left(&server, &bucket, &said, &[]);
}

/// A backup where the machine's own clients are hidden from pgseal: in a mount namespace of its own, Debian's folder
/// lies under an empty one and `PATH` leads nowhere.
fn without_installed_clients(server: &Server, bucket: &Bucket, offered: Option<&Path>) -> CommandOutput {
    const HIDE: &str = r#"mount -t tmpfs none /usr/lib/postgresql && PATH=/nonexistent exec "$0" "$@""#;
    let empty = TempDir::with_prefix("pgseal-empty-").expect("a temporary folder");
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--map-root-user",
        "sh",
        "-c",
        HIDE,
        env!("CARGO_BIN_EXE_pgseal"),
        "backup",
        "--event",
    ]);
    command.arg(sealed_into(server.event("postgres"), bucket).to_string());
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
        .envs(bucket.env())
        .envs(server.env())
        .env("PGSEAL_PG_BIN", offered.unwrap_or(empty.path()));
    CommandOutput::from(command.stdin(Stdio::null()).output().expect("unshare, of util-linux, starts"))
}
