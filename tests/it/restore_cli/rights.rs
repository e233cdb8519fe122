//! A reader who may not read everything, and a store that says other things than S3 does.

use super::sealed::{Made, Order, dump};
use crate::support::fault_proxy::{Canned, Fault, FaultProxy, Operation, Rule};
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::s3::{Bucket, EmbeddedS3};
use serde_json::{Value, json};
use std::path::Path;

struct Stored {
    _s3: EmbeddedS3,
    bucket: Bucket,
    made: Made,
}

impl Stored {
    /// Its dump is of several parts by its manifest.
    fn new() -> Self {
        let s3 = EmbeddedS3::start();
        let bucket = s3.bucket();
        let order = Order {
            part: Some(1024),
            ..Order::default()
        };
        let made = order.seal(&dump(300));
        for (name, body) in &made.objects {
            bucket.put(&format!("backups/{name}"), body.to_vec());
        }
        Self { _s3: s3, bucket, made }
    }

    fn run(&self, rules: impl IntoIterator<Item = Rule>, command: &str, more: &[&str]) -> CommandOutput {
        let proxy = FaultProxy::before(&self.bucket, rules);
        let place = match command {
            "list" => format!("s3://{}/backups", self.bucket.name),
            _ => format!("s3://{}/backups/{}", self.bucket.name, self.made.stem),
        };
        let said = Pgseal::new(&[&[command, &place], more].concat()).envs(proxy.env()).run();
        assert!(proxy.broken() > 0, "no rule had anything to do: {}", said.stderr);
        said
    }

    /// What HeadObject says of the dump.
    fn head(&self, name: &'static str, value: &str) -> Rule {
        let body = "x".repeat(self.made.objects[&self.made.dump].len());
        let canned = Canned::new(200, body).header("ETag", "\"0123\"").header(name, value);
        // Without its own ETag: the server compares it.
        let canned = Canned {
            headers: canned.headers.into_iter().filter(|(name, _)| *name != "ETag").collect(),
            ..canned
        };
        Rule::on(Operation::HeadObject)
            .key(".sql.enc")
            .times(9)
            .then(Fault::ReplaceAnswer(canned))
    }
}

fn key() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors/keys/recipient-a.pem")
        .display()
        .to_string()
}

fn denied(operation: Operation, part: &'static str) -> Rule {
    let answer = Canned::error(403, "AccessDenied");
    Rule::on(operation).key(part).times(9).then(Fault::Answer(answer))
}

/// It was a leftover of a run that died, which somebody may delete; and the exit was 0.
#[test]
fn a_manifest_that_may_not_be_read_is_unreadable_and_no_leftover() {
    let stored = Stored::new();
    for operation in [Operation::GetObject, Operation::HeadObject] {
        let said = stored.run([denied(operation, ".manifest.jsonl")], "list", &[]);
        let listing = said.receipt();
        assert_eq!(
            (said.code, &listing["backups"], &listing["leftovers"]),
            (4, &json!([]), &json!([])),
            "{listing}"
        );
        let entry = &listing["unreadable"][0];
        assert_eq!(
            (&entry["stem"], &entry["error"]["code"]),
            (&json!(stored.made.stem), &json!("s3_denied")),
            "{listing}"
        );
        assert_eq!(
            entry["objects"].as_array().map(Vec::len),
            Some(stored.made.objects.len()),
            "{listing}"
        );
        assert!(
            entry["error"].to_string().contains("s3:GetObject") && said.stderr.contains("s3:GetObject"),
            "{listing}"
        );
        // One that is to be opened is no less of an error.
        let said = stored.run([denied(operation, ".manifest.jsonl")], "decrypt", &["--key", &key()]);
        assert_eq!((said.code, said.stdout.as_str()), (4, ""), "{}", said.stderr);
        assert!(
            said.stderr.contains("s3_denied") && said.stderr.contains("kms:Decrypt"),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn the_right_that_is_missing_is_named() {
    let stored = Stored::new();
    let said = stored.run(
        [stored.head("x-amz-version-id", "v1"), denied(Operation::GetObject, ".sql.enc")],
        "verify",
        &["--deep"],
    );
    assert_eq!(said.code, 4, "{}", said.stdout);
    let error = &said.receipt()["error"];
    assert!(error["message"].to_string().contains("s3:GetObjectVersion on"), "{error}");
    assert!(error["hint"].to_string().contains("versioned"), "{error}");
    let answer = Canned::new(
        403,
        "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>not authorized to perform: kms:Decrypt on resource: arn:aws:kms:x</Message></Error>",
    );
    let rule = Rule::on(Operation::GetObject).key(".sql.enc").times(9).then(Fault::Answer(answer));
    let error = &stored.run([rule], "verify", &["--deep"]).receipt()["error"];
    assert!(error["hint"].to_string().contains("Allow kms:Decrypt"), "{error}");
}

/// A composite checksum that is spelled otherwise, or is of other parts (after a copy), was called tampered.
#[test]
fn a_checksum_that_says_nothing_decides_nothing() {
    let stored = Stored::new();
    let other = "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=";
    for spelled in [other.to_owned(), format!("{other}-3"), "sha256:?".to_owned()] {
        let said = stored.run([stored.head("x-amz-checksum-sha256", &spelled)], "verify", &[]);
        let report = said.receipt();
        assert_eq!(
            (said.code, &report["status"]),
            (0, &json!("sizes_match")),
            "{report}{}",
            said.stderr
        );
        let dump = report["objects"]
            .as_array()
            .expect("objects")
            .iter()
            .find(|object| object["role"] == "dump");
        assert_eq!(dump.expect("the dump")["compared"], "sha256", "{report}");
    }
    let mut body = stored.made.objects[&stored.made.dump].to_vec();
    body[2000] ^= 1;
    stored.bucket.put(&format!("backups/{}", stored.made.dump), body);
    let report = stored.run([stored.head("x-amz-checksum-sha256", other)], "verify", &[]).receipt();
    assert_eq!(report["error"]["code"], "tampered", "{report}");
    assert!(report["error"]["message"].to_string().contains("part 2"), "{report}");
}

/// A part of a manifest that nothing proves was read whole, up to 5 GiB of it.
#[test]
fn without_a_key_a_large_part_is_read_in_pieces() {
    const PIECE: u64 = 8 << 20;
    let s3 = EmbeddedS3::start();
    let order = Order {
        part: Some(32 << 20),
        ..Order::default()
    };
    let (bucket, made) = (s3.bucket(), order.seal(&vec![b'\n'; 20 << 20]));
    assert_eq!(made.parts, [0], "one part");
    for (name, body) in &made.objects {
        bucket.put(&format!("backups/{name}"), body.to_vec());
    }
    let proxy = FaultProxy::before(&bucket, []);
    let place = format!("s3://{}/backups/{}", bucket.name, made.stem);
    let said = Pgseal::new(&["verify", &place, "--deep"]).envs(proxy.env()).run();
    assert_eq!((said.code, &said.receipt()["hashes_match"]), (0, &json!(true)), "{}", said.stdout);
    let length = |range: &str| {
        let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
        Some(to.parse::<u64>().ok()? + 1 - from.parse::<u64>().ok()?)
    };
    let seen = proxy.seen();
    let ranges: Vec<u64> = seen.iter().filter_map(|seen| length(seen.header("range")?)).collect();
    assert!(
        ranges.iter().sum::<u64>() > 20 << 20 && ranges.iter().all(|length| *length <= PIECE),
        "{ranges:?}"
    );
}

/// The SDK warned of every object in parts that it cannot check their checksum.
#[test]
fn objects_in_parts_are_read_without_a_warning() {
    let stored = Stored::new();
    let body = String::from_utf8(stored.made.objects[&stored.made.manifest].to_vec()).expect("UTF-8");
    let range = format!("bytes 0-{}/{0}", body.len() - 1);
    let canned = Canned::new(206, body)
        .header("Content-Range", range)
        .header("x-amz-checksum-sha256", "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=-3");
    let rule = Rule::on(Operation::GetObject)
        .key(".manifest.jsonl")
        .then(Fault::ReplaceAnswer(canned));
    let said = stored.run([rule], "verify", &["--key", &key()]);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    let warned: Vec<&str> = said
        .stderr
        .lines()
        .filter(|line| line.contains("WARN") && line.contains("checksum"))
        .collect();
    assert_eq!(warned, [""; 0]);
    assert_ne!(said.receipt()["objects"], Value::Null);
}
