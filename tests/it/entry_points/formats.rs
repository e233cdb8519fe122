//! Formats, compressions, recipients and roles, each opened by stock tools.

use super::Fixture;
use crate::support::s3::Bucket;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// A private key in a folder of its own, made by `openssl` as the README says.
pub struct KeyPair {
    folder: tempfile::TempDir,
    public: String,
}

impl KeyPair {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        shell(folder.path(), "openssl genrsa -out private_key.pem 2048");
        let public = shell(folder.path(), "openssl rsa -in private_key.pem -pubout");
        Self { folder, public }
    }

    /// Backs the database `app` up for this key with these fields in the event, and gives the dump, opened.
    pub fn dump_of(&self, fixture: &Fixture, fields: Value) -> String {
        let mut event = fixture.event();
        event["public_key"] = json!(self.public);
        event
            .as_object_mut()
            .expect("an object")
            .extend(fields.as_object().expect("fields").clone());
        fixture.complete(&fixture.backup(&event));
        self.open(&fixture.bucket, &event)
    }

    fn open(&self, bucket: &Bucket, event: &Value) -> String {
        let (name, tool) = match event["compression"].as_str().map(|text| text.split(':').next().unwrap_or(text)) {
            None | Some("bzip2") => ("*.sql.bz2.enc", "bzip2 -d"),
            Some("zstd") => ("*.sql.zst.enc", "zstd -d"),
            Some(_) => ("*.sql.enc", "cat"),
        };
        self.open_stream(bucket, &format!("!(*.globals){}", name.trim_start_matches('*')), tool)
    }

    /// One encrypted stream of the only backup in the bucket.
    fn open_stream(&self, bucket: &Bucket, name: &str, tool: &str) -> String {
        let objects = tempfile::tempdir_in(self.folder.path()).expect("a temporary folder");
        bucket.download(objects.path());
        let commands = format!(
            "shopt -s extglob
            fp=$(openssl pkey -in ../private_key.pem -pubout -outform DER | openssl dgst -sha256 -r | cut -c1-16)
            openssl pkeyutl -decrypt -inkey ../private_key.pem -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 \
                -in *.key.$fp.enc -out key.txt
            openssl enc -d -aes-256-cbc -pbkdf2 -iter 10000 -md sha256 -pass file:key.txt -in {name} | {tool}"
        );
        shell(objects.path(), &commands)
    }
}

fn shell(folder: &Path, commands: &str) -> String {
    // Globs are read a line at a time, so that `shopt` counts for the lines after it.
    std::fs::write(folder.join("commands"), commands).expect("the commands are written");
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "commands"])
        .current_dir(folder)
        .output()
        .expect("bash starts");
    assert!(output.status.success(), "{}\n{commands}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

const LAST_LINE: &str = "-- PostgreSQL database dump complete";

#[test]
fn every_compression_opens_with_its_own_tool() {
    for compression in ["bzip2", "bzip2:1", "zstd", "zstd:19", "none"] {
        let fixture = Fixture::new();
        let dump = KeyPair::new().dump_of(&fixture, json!({"compression": compression}));
        assert!(
            dump.contains("CREATE TABLE \"public\".\"plain\"") && dump.contains(LAST_LINE),
            "{compression}: {dump}"
        );
    }
}

#[test]
fn each_of_several_recipients_opens_it_alone() {
    let fixture = Fixture::new();
    let pairs = [KeyPair::new(), KeyPair::new(), KeyPair::new()];
    let mut event = fixture.event();
    event["public_key"] = json!(pairs.each_ref().map(|pair| &pair.public));
    let receipt = fixture.complete(&fixture.backup(&event));
    assert_eq!(receipt["backups"][0]["recipients"].as_array().map(Vec::len), Some(3));
    for pair in &pairs {
        assert!(pair.open(&fixture.bucket, &event).contains(LAST_LINE));
    }
}

#[test]
fn a_recipient_given_twice_is_one() {
    let fixture = Fixture::new();
    let pair = KeyPair::new();
    let mut event = fixture.event();
    event["public_key"] = json!([pair.public, pair.public.trim_end()]);
    let receipt = fixture.complete(&fixture.backup(&event));
    assert_eq!(receipt["backups"][0]["recipients"].as_array().map(Vec::len), Some(1));
}

#[test]
fn the_roles_come_along_without_their_passwords() {
    let fixture = Fixture::new();
    let pair = KeyPair::new();
    pair.dump_of(&fixture, json!({"globals": true}));
    let roles = pair.open_stream(&fixture.bucket, "*.globals.sql.bz2.enc", "bzip2 -d");
    assert!(roles.contains("CREATE ROLE \"dumper\""), "{roles}");
    assert!(!roles.contains("SCRAM-SHA-256"), "{roles}");
}

#[test]
fn the_old_format_is_what_the_old_image_wrote() {
    let fixture = Fixture::new();
    let pair = KeyPair::new();
    let mut event = fixture.event();
    event["public_key"] = json!(pair.public);
    event["format"] = json!("legacy");
    event["scheduled_time"] = json!("2026-11-24T02:00:00Z");
    let receipt = fixture.backup(&event).complete().to_string();
    assert!(!receipt.contains("legacy format"), "{receipt}");
    let stem = "backups/app_2026-11-24T02:00:00Z";
    let keys = fixture.bucket.keys();
    for key in [format!("{stem}.key.txt.enc"), format!("{stem}.sql.bz.enc")] {
        assert!(keys.contains(&key), "no {key} in {keys:?}");
    }
    fixture.bucket.download(pair.folder.path());
    let commands = "openssl pkeyutl -decrypt -inkey private_key.pem -pkeyopt rsa_padding_mode:pkcs1 -in *.key.txt.enc -out key.txt
        test $(wc -c <key.txt) = 175
        openssl enc -d -aes-256-cbc -md sha256 -pass file:key.txt -in *.sql.bz.enc 2>/dev/null | bzip2 -d";
    assert!(shell(pair.folder.path(), commands).contains(LAST_LINE));
}

/// It has no inventory, in which the new format keeps them, and said nothing.
#[test]
fn settings_that_the_old_format_does_not_keep_are_told() {
    let fixture = Fixture::new();
    fixture.server.psql(
        "app",
        "alter database app set datestyle = 'ISO, DMY'; alter database app set app.region = 'eu'",
    );
    let mut event = fixture.event();
    event["public_key"] = json!(KeyPair::new().public);
    event["format"] = json!("legacy");
    let receipt = fixture.backup(&event).complete().to_string().to_lowercase();
    assert!(receipt.contains("legacy format does not keep"), "{receipt}");
    // Those of PostgreSQL stand in its manifest.
    assert!(receipt.contains("by hand: app.region\""), "{receipt}");
}
