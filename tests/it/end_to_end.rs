//! A backup and its restore: a database with something of everything in it is backed up by the program and opened by nothing but
//! the README's commands. Whatever the program says of a backup is compared with what a stock tool or the server says.

mod any_size;
mod claims;

use crate::support::aws::Ministack;
use crate::support::pgseal::Pgseal;
use crate::support::postgres::Server;
use crate::support::restore::{RESTORED, assert_same, block, restore_into, run_alone};
use crate::support::s3::{Bucket, EmbeddedS3};
use claims::{objects, the_inventory_counts_as_the_server_does, the_manifest_tells_the_truth, the_receipt_is_shaped_as_documented};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const DATABASE: &str = "app";

/// MiB of the rich database's largest table; 1024 is the full form.
fn bulk_mib() -> u32 {
    std::env::var("TESTBED_BULK_MB").map_or(24, |text| text.parse().expect("TESTBED_BULK_MB is a number"))
}

/// A server with the rich database in it, which `dumper` may read whole.
fn rich_server(bulk_mib: u32) -> Server {
    let server = Server::start();
    server.psql("postgres", &format!("create database {DATABASE}"));
    fill(&server, DATABASE, bulk_mib);
    server
}

fn fill(server: &Server, database: &str, bulk_mib: u32) {
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/rich.sql");
    let mut psql = server.psql_command(database);
    let output = psql
        .args(["-v", &format!("bulk_mb={bulk_mib}"), "-f", fixture])
        .output()
        .expect("psql starts");
    assert!(output.status.success(), "{fixture}: {}", String::from_utf8_lossy(&output.stderr));
    // What the README has its readers do for their own user.
    server.psql(database, &block("role-large-objects").replace(" TO backup", " TO dumper"));
}

struct KeyPair {
    private: String,
    public: String,
}

impl KeyPair {
    fn new() -> Self {
        let openssl = |arguments: &[&str], input: &str| {
            let mut command = Command::new("openssl");
            command
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null());
            let mut child = command.spawn().expect("openssl starts");
            std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), input.as_bytes()).expect("openssl reads");
            String::from_utf8(child.wait_with_output().expect("openssl ends").stdout).expect("PEM")
        };
        let private = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "");
        let public = openssl(&["pkey", "-pubout"], &private);
        Self { private, public }
    }
}

/// One backup of the rich database, with these fields more in its event.
fn back_up(server: &Server, database: &str, bucket: &Bucket, more: Value) -> Value {
    let mut event = server.event(database);
    event["bucket"] = json!(bucket.name);
    event["rate_limit"] = json!("0");
    for (field, value) in more.as_object().expect("fields") {
        event[field] = value.clone();
    }
    let receipt = Pgseal::backup(&event).envs(server.env()).envs(bucket.env()).run().complete();
    receipt["backups"][0].clone()
}

/// A folder as the README has it: the objects of one backup, and the private key beside them.
fn fetched(bucket: &Bucket, keys: &KeyPair) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    bucket.download(folder.path());
    fs::write(folder.path().join("private_key.pem"), &keys.private).expect("the key is written");
    folder
}

/// Runs the README's check and says whether all is well by its own words: OK for the manifest and for every object.
fn checks_out(folder: &Path) -> bool {
    if !run_alone("unwrap", folder).success {
        return false;
    }
    let said = String::from_utf8(run_alone("check", folder).stdout).expect("text");
    let objects = names(folder).iter().filter(|name| name.ends_with(".enc")).count();
    said.matches("manifest: OK\n").count() == 1 && said.matches(": OK\n").count() == objects + 1 && objects >= 3
}

/// The files of a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

fn file(folder: &Path, suffix: &str) -> Vec<u8> {
    let names = names(folder);
    let name = names
        .iter()
        .find(|name| name.ends_with(suffix))
        .unwrap_or_else(|| panic!("no {suffix} among {names:?}"));
    fs::read(folder.join(name)).expect("the file")
}

/// Line 1 of the manifest.
fn manifest(folder: &Path) -> Value {
    let lines = String::from_utf8(file(folder, ".manifest.jsonl")).expect("UTF-8");
    serde_json::from_str(lines.lines().next().expect("a line")).expect("JSON")
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().try_into().expect("32 bytes")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The rich database over an S3 server that computes composite checksums: restored and equal, for each of two recipients.
#[test]
fn the_rich_database_comes_back_by_the_readmes_commands() {
    let server = rich_server(bulk_mib());
    let bucket = Ministack::shared().bucket();
    let pairs = [KeyPair::new(), KeyPair::new()];
    let backup = back_up(
        &server,
        DATABASE,
        &bucket,
        json!({"public_key": [pairs[0].public, pairs[1].public]}),
    );
    assert_eq!(bucket.open_uploads(), []);

    for keys in &pairs {
        let folder = fetched(&bucket, keys);
        assert!(checks_out(folder.path()), "{:?}", run_alone("check", folder.path()).stderr);
        restore_into(&server, "restore-bzip2", folder.path()).fine();
        assert_same(&server, DATABASE, RESTORED);
        server.psql("postgres", &format!("drop database {RESTORED}"));
    }

    let folder = fetched(&bucket, &pairs[0]);
    the_receipt_is_shaped_as_documented(&backup);
    the_manifest_tells_the_truth(folder.path(), &bucket, &backup);
    the_inventory_counts_as_the_server_does(folder.path(), &server, &backup);
}

#[test]
fn every_compression_comes_back() {
    let server = rich_server(2);
    let s3 = EmbeddedS3::start();
    let keys = KeyPair::new();
    for (compression, restore) in [
        ("bzip2:1", "restore-bzip2"),
        ("zstd", "restore-zstd"),
        ("zstd:12", "restore-zstd"),
        ("none", "restore-none"),
    ] {
        let bucket = s3.bucket();
        back_up(
            &server,
            DATABASE,
            &bucket,
            json!({"public_key": keys.public, "compression": compression}),
        );
        let folder = fetched(&bucket, &keys);
        assert!(checks_out(folder.path()), "{compression}");
        restore_into(&server, restore, folder.path()).fine();
        assert_same(&server, DATABASE, RESTORED);
        server.psql("postgres", &format!("drop database {RESTORED}"));
    }
}

#[test]
fn the_legacy_format_comes_back_and_has_its_manifest() {
    let server = rich_server(2);
    let s3 = EmbeddedS3::start();
    let (bucket, keys) = (s3.bucket(), KeyPair::new());
    back_up(
        &server,
        DATABASE,
        &bucket,
        json!({"public_key": keys.public, "format": "legacy", "scheduled_time": "2026-11-24T02:00:00Z"}),
    );
    for object in [
        "backups/app_2026-11-24T02:00:00Z.key.txt.enc",
        "backups/app_2026-11-24T02:00:00Z.sql.bz.enc",
    ] {
        assert!(bucket.keys().iter().any(|key| key == object), "{:?}", bucket.keys());
    }
    let folder = fetched(&bucket, &keys);
    restore_into(&server, "restore-legacy", folder.path()).fine();
    assert_same(&server, DATABASE, RESTORED);

    let key_file = String::from_utf8(fs::read(folder.path().join("key.txt")).expect("key.txt")).expect("base64");
    let lines: Vec<usize> = key_file.lines().map(str::len).collect();
    assert_eq!(lines, [64, 64, 44], "the legacy image's key file");
    let manifest = manifest(folder.path());
    for object in objects(&manifest) {
        let bytes = bucket.get(object["key"].as_str().expect("a key"));
        assert_eq!(object["sha256"], hex(&sha256(&bytes)));
    }
}

/// The roles are an object beside the dump, which must not get in the way of the README's patterns.
#[test]
fn the_roles_come_along_when_asked_for() {
    let (server, other) = (Server::start(), Server::start());
    server.psql("postgres", &format!("create role \"a reader\"; create database {DATABASE}"));
    server.psql(DATABASE, "create table t as select 1 as n; grant select on t to \"a reader\"");
    let s3 = EmbeddedS3::start();
    let (bucket, keys) = (s3.bucket(), KeyPair::new());
    back_up(&server, DATABASE, &bucket, json!({"public_key": keys.public, "globals": true}));
    let folder = fetched(&bucket, &keys);
    assert!(checks_out(folder.path()));
    restore_into(&other, "restore-globals", folder.path()).fine();
    assert_eq!(
        other.psql("postgres", "select rolpassword is null from pg_authid where rolname = 'a reader'"),
        "t"
    );
    restore_into(&other, "restore-bzip2", folder.path()).fine();
    assert_eq!(other.psql(RESTORED, "select has_table_privilege('a reader', 't', 'select')"), "t");
}

/// Without them the restore stopped half way; where they were not asked for, the inventory names them.
#[test]
fn the_roles_are_made_from_the_inventory() {
    let (server, other) = (Server::start(), Server::start());
    server.psql("postgres", &format!("create role \"a reader\"; create database {DATABASE}"));
    server.psql(
        DATABASE,
        "create table t as select 1 as n; grant select on t to \"a reader\", pg_monitor",
    );
    let s3 = EmbeddedS3::start();
    let (bucket, keys) = (s3.bucket(), KeyPair::new());
    back_up(&server, DATABASE, &bucket, json!({"public_key": keys.public}));
    let folder = fetched(&bucket, &keys);
    assert!(checks_out(folder.path()));
    // Twice: those that are there stay as they are.
    for _ in 0..2 {
        restore_into(&other, "restore-roles", folder.path()).fine();
    }
    restore_into(&other, "restore-bzip2", folder.path()).fine();
    assert_eq!(other.psql(RESTORED, "select has_table_privilege('a reader', 't', 'select')"), "t");
}

/// The README's check has teeth: a changed, cut or longer object, a renamed one, an edited manifest, a set of another backup.
#[test]
fn the_readmes_check_finds_whatever_was_changed() {
    let server = Server::start();
    server.psql("postgres", &format!("create database {DATABASE}"));
    server.psql(DATABASE, "create table t as select generate_series(1, 1000) as n");
    let s3 = EmbeddedS3::start();
    let (bucket, keys) = (s3.bucket(), KeyPair::new());
    back_up(&server, DATABASE, &bucket, json!({"public_key": keys.public}));
    let folder = fetched(&bucket, &keys);
    let is_sealed = |name: &String| !name.ends_with(".pem") && !name.ends_with(".RECOVER.md");
    let sealed: Vec<String> = names(folder.path()).into_iter().filter(is_sealed).collect();
    assert_eq!(sealed.len(), 4, "{sealed:?}");
    assert!(checks_out(folder.path()));

    type Change = fn(&mut Vec<u8>);
    let changes: [(&str, Change); 5] = [
        ("first byte", |bytes| bytes[0] ^= 1),
        ("middle byte", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x20
        }),
        ("last byte", |bytes| *bytes.last_mut().expect("not empty") ^= 1),
        ("cut", |bytes| bytes.truncate(bytes.len() - 1)),
        ("longer", |bytes| bytes.push(b'\n')),
    ];
    for name in &sealed {
        let path = folder.path().join(name);
        let whole = fs::read(&path).expect("the object");
        for (change, apply) in changes {
            let mut bytes = whole.clone();
            apply(&mut bytes);
            fs::write(&path, bytes).expect("written");
            assert!(!checks_out(folder.path()), "{name}: {change} was not noticed");
        }
        fs::write(&path, whole).expect("written");
    }
    let dump = sealed.iter().find(|name| name.ends_with(".sql.bz2.enc")).expect("a dump");
    let inventory = sealed
        .iter()
        .find(|name| name.ends_with(".inventory.json.enc"))
        .expect("an inventory");
    swap(folder.path(), dump, inventory);
    assert!(!checks_out(folder.path()), "swapped objects were not noticed");
    swap(folder.path(), dump, inventory);
    assert!(checks_out(folder.path()));
}

fn swap(folder: &Path, one: &str, other: &str) {
    let aside = folder.join("aside");
    fs::rename(folder.join(one), &aside).expect("renamed");
    fs::rename(folder.join(other), folder.join(one)).expect("renamed");
    fs::rename(&aside, folder.join(other)).expect("renamed");
}

/// A name is a name, whatever it looks like: no shell, no connection string, no path, and two names never meet in one key.
#[test]
fn databases_of_any_name_come_back() {
    let server = Server::start();
    let keys = KeyPair::new();
    let s3 = EmbeddedS3::start();
    let awkward = [
        "host=evil.example dbname=x",
        "postgresql://evil.example/x",
        "$(touch pwned) `id`; \"quoted\" 'too'",
        "Größe 🐘",
        "--help",
        "a%20b",
        "a b",
    ];
    for name in awkward {
        server.psql("postgres", &format!("create database \"{}\"", name.replace('"', "\"\"")));
        let quoted = name.replace('\'', "''");
        server.psql(name, &format!("create table t as select '{quoted}'::text as of_database"));
    }
    let bucket = s3.bucket();
    let mut event = server.event(DATABASE);
    event["database"] = json!(awkward);
    event["bucket"] = json!(bucket.name);
    event["public_key"] = json!(keys.public);
    let receipt = Pgseal::backup(&event).envs(server.env()).envs(bucket.env()).run().complete();
    let backups = receipt["backups"].as_array().expect("backups");
    assert_eq!(backups.len(), awkward.len());

    let mut stems = BTreeSet::new();
    for backup in backups {
        let stem = backup["stem"].as_str().expect("a stem");
        let encoded = stem.strip_prefix("backups/").expect("below the prefix");
        assert!(
            encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-%".contains(&byte)),
            "{stem}"
        );
        assert!(stems.insert(encoded.to_owned()), "two databases share {stem}");

        let folder = tempfile::tempdir().expect("a temporary folder");
        for key in bucket.keys().iter().filter(|key| key.starts_with(&format!("{stem}."))) {
            fs::write(folder.path().join(key.rsplit('/').next().expect("a name")), bucket.get(key)).expect("written");
        }
        fs::write(folder.path().join("private_key.pem"), &keys.private).expect("written");
        assert!(checks_out(folder.path()), "{stem}");
        restore_into(&server, "restore-bzip2", folder.path()).fine();
        assert_eq!(
            server.psql(RESTORED, "select of_database from t"),
            backup["database"].as_str().expect("a name")
        );
        server.psql("postgres", &format!("drop database {RESTORED}"));
    }
}
