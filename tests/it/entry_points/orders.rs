//! Success means this very order: whatever else stands under a backup's name is an error that says what differs, and
//! nothing is written beside it.

use super::Fixture;
use crate::support::fault_proxy::{Canned, Fault, FaultProxy, Operation, Rule};
use crate::support::invariants::{RECIPIENT, backup_stands, event};
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::ports::nobody_listens;
use crate::support::postgres::Server;
use crate::support::s3::block_on;
use aws_sdk_s3::types::ChecksumAlgorithm;
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const TIME: &str = "2026-11-24T02:00:00Z";
const MANIFEST: &str = "backups/app_20261124T020000Z.manifest.jsonl";

impl Fixture {
    fn scheduled(&self) -> Value {
        let mut event = self.event();
        event["scheduled_time"] = json!(TIME);
        event
    }

    /// Asserts that this is refused in these words, and that nothing was written.
    fn is_taken(&self, name: &str, said: &CommandOutput, keys: &[String], words: &str) {
        eprintln!("-- {name}"); // shown where the test fails
        let error = said.failed("stem_taken", 4)["backups"][0]["error"].clone();
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.contains(words) && message.contains(MANIFEST), "{name}: {message}");
        assert_eq!(self.bucket.keys(), keys, "{name}: something was written");
    }

    /// What fails in a backup within seconds fails in a check too.
    fn is_checked(&self, said: &CommandOutput) {
        assert!(said.code == 4 && said.stdout.contains("\"code\":\"stem_taken\""), "{}", said.stdout);
    }

    fn is_found(&self, name: &str, said: &CommandOutput) -> Value {
        let receipt = said.receipt();
        assert_eq!(
            (said.code, &receipt["status"]),
            (0, &json!("already_complete")),
            "{name}: {receipt}"
        );
        backup_stands(&self.bucket, &receipt);
        receipt
    }

    /// Sets the time at which S3 says that the manifest was written.
    fn written_at(&self, time: SystemTime) {
        let file = std::fs::File::options().write(true).open(self._s3.file(&self.bucket, MANIFEST));
        file.expect("the manifest").set_modified(time).expect("its time is set");
    }
}

pub(super) fn with(event: &Value, fields: Value) -> Value {
    let mut event = event.clone();
    event
        .as_object_mut()
        .expect("an object")
        .extend(fields.as_object().expect("fields").clone());
    event
}

fn new_recipient() -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let commands = "openssl genrsa -out key.pem 2048 2>/dev/null && openssl pkey -in key.pem -pubout";
    let output = Command::new("bash").args(["-c", commands]).current_dir(folder.path()).output();
    String::from_utf8(output.expect("bash starts").stdout).expect("PEM")
}

/// One backup stands; then come other orders under its name. Of each the program once said `already_complete`.
#[test]
fn another_order_under_the_same_name_is_never_a_success() {
    let fixture = Fixture::new();
    let other = Server::start();
    other.create_app("create table elsewhere (id int)");
    let (first, stranger) = (fixture.scheduled(), new_recipient());
    let made = fixture.complete(&fixture.backup(&first));
    let keys = fixture.bucket.keys();
    let mut moved = event(&other, "app", &fixture.bucket);
    moved["scheduled_time"] = json!(TIME);
    for (name, order, words) in [
        (
            "a port where nobody listens",
            with(&first, json!({"port": nobody_listens()})),
            "another source",
        ),
        ("one table", with(&first, json!({"tables": ["plain"]})), "another selection"),
        (
            "without rows",
            with(&first, json!({"exclude_table_data": "*"})),
            "it is of the whole database",
        ),
        ("one schema", with(&first, json!({"schemas": "public"})), "another selection"),
        ("with the roles", with(&first, json!({"globals": true})), "another selection"),
        ("another key", with(&first, json!({"public_key": stranger})), "lacks the recipients"),
        (
            "one key more",
            with(&first, json!({"public_key": [RECIPIENT, stranger]})),
            "lacks the recipients",
        ),
        (
            "the legacy format",
            with(&first, json!({"format": "legacy"})),
            "its format is pgseal/1",
        ),
    ] {
        fixture.is_taken(name, &fixture.backup(&order), &keys, words);
    }
    let said = Pgseal::backup(&moved).envs(fixture.bucket.env()).envs(other.env()).run();
    fixture.is_taken("another server", &said, &keys, "another source");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let signer = folder.path().join("signer.key");
    let make = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"];
    assert!(
        Command::new("openssl")
            .args(make)
            .arg(&signer)
            .status()
            .expect("openssl starts")
            .success()
    );
    let run = fixture.prepared(&["backup", "--event", &first.to_string()]);
    let said = run.env("PGSEAL_SIGNING_KEY", signer.to_str().expect("UTF-8")).run();
    fixture.is_taken("unsigned where we sign", &said, &keys, "not signed");

    let checked = fixture.prepared(&["check", "--event", &with(&first, json!({"tables": ["plain"]})).to_string()]);
    fixture.is_checked(&checked.run());

    // The same order, said in other words, is found, with all that is known of it.
    let found = fixture.is_found(
        "the same",
        &fixture.backup(&with(&first, json!({"rate_limit": "1G", "tables": []}))),
    );
    let (made, found) = (&made["backups"][0], &found["backups"][0]);
    for field in ["run", "rows", "tables", "started_at", "finished_at", "recipients", "dumped_bytes"] {
        assert_eq!(made[field], found[field], "{field}");
    }
    let sealed = |receipt: &Value| -> Vec<Value> {
        let objects = receipt["objects"].as_array().expect("objects").clone();
        objects.into_iter().filter(|object| object["role"] != "card").collect()
    };
    assert_eq!(sealed(made), sealed(found), "{made}\n{found}");
    assert!(found["warnings"].to_string().contains("48 hours"), "{found}");
}

#[test]
fn more_recipients_than_ours_are_as_good_and_a_part_is_marked() {
    let fixture = Fixture::new();
    let both = with(
        &fixture.scheduled(),
        json!({"public_key": [RECIPIENT, new_recipient()], "exclude_tables": "none_such*"}),
    );
    let made = fixture.complete(&fixture.backup(&both));
    assert_eq!(made["backups"][0]["partial"], true, "{made}");
    let found = fixture.is_found("one of two", &fixture.backup(&with(&both, json!({"public_key": RECIPIENT}))));
    assert_eq!(found["backups"][0]["partial"], true, "{found}");
    let manifest = String::from_utf8(fixture.bucket.get(MANIFEST)).expect("UTF-8");
    assert!(
        manifest.contains("\"partial\":true") && !manifest.contains("none_such"),
        "{manifest}"
    );
    let card = fixture.bucket.get("backups/app_20261124T020000Z.RECOVER.md");
    let card = String::from_utf8(card).expect("UTF-8");
    assert!(
        card.contains("This dump is partial") && card.contains("without some tables"),
        "{card}"
    );
    assert!(!card.contains("none_such"), "{card}");
}

/// An empty object for each night of the coming year once silenced all of them.
#[test]
fn what_was_planted_under_the_name_is_no_backup() {
    let fixture = Fixture::new();
    let order = fixture.scheduled();
    fixture.complete(&fixture.backup(&order));
    let good = fixture.bucket.get(MANIFEST);
    let (line, proof) = good.split_at(good.iter().position(|byte| *byte == b'\n').expect("two lines") + 1);
    let edited = |change: &dyn Fn(&mut Value)| {
        let mut manifest: Value = serde_json::from_slice(line).expect("JSON");
        change(&mut manifest);
        [manifest.to_string().as_bytes(), b"\n", proof].concat()
    };
    let older = edited(&|manifest| {
        for field in ["source", "selection", "partial"] {
            manifest.as_object_mut().expect("an object").remove(field);
        }
    });
    let elsewhere = edited(&|manifest| {
        for object in manifest["objects"].as_array_mut().expect("a list") {
            let key = object["key"].as_str().expect("a key").replacen("backups/", "staging/", 1);
            object["key"] = json!(key);
        }
    });
    let of_two = edited(&|manifest| manifest["objects"][0]["key"] = json!("staging/app_20261124T020000Z.00000000.sql.bz2.enc"));
    let not_there = edited(&|manifest| manifest["objects"][0]["key"] = json!("backups/app_20261124T020000Z.00000000.sql.bz2.enc"));
    let keys = fixture.bucket.keys();
    for (name, planted, words) in [
        ("one byte", b"x".to_vec(), "no manifest"),
        ("empty", Vec::new(), "no manifest"),
        ("too large", vec![b'x'; (4 << 20) + 1], "has 4194305 bytes"),
        ("of an older version", older, "before 0.2"),
        ("copied from another folder", elsewhere, "another folder"),
        ("of two folders", of_two, "different folders"),
        ("of objects that are not there", not_there, "is missing"),
    ] {
        fixture.bucket.put(MANIFEST, planted);
        fixture.is_taken(name, &fixture.backup(&order), &keys, words);
    }
    fixture.bucket.put(MANIFEST, good.clone());
    let scheduled = OffsetDateTime::parse(TIME, &Rfc3339).expect("a time");
    let scheduled = SystemTime::UNIX_EPOCH + Duration::from_secs(scheduled.unix_timestamp() as u64);
    fixture.written_at(scheduled - Duration::from_secs(301));
    fixture.is_taken("before its time", &fixture.backup(&order), &keys, "it was planted");
    fixture.written_at(scheduled - Duration::from_secs(299));
    fixture.is_found("as clocks differ", &fixture.backup(&order));

    // A later manifest beside it.
    let second = "backups/app_20261124T020000Z.manifest.2.jsonl";
    fixture.bucket.put(second, "x");
    let receipt = fixture.is_found("garbage beside it", &fixture.backup(&order));
    assert!(receipt["backups"][0]["warnings"].to_string().contains(second), "{receipt}");
    fixture.bucket.put(
        second,
        edited(&|manifest| {
            manifest["generation"] = json!(2);
            manifest["run"] = json!("00000000");
        }),
    );
    fixture.is_taken(
        "another dump beside it",
        &fixture.backup(&order),
        &fixture.bucket.keys(),
        "different dumps",
    );
    fixture.bucket.put(second, edited(&|manifest| manifest["generation"] = json!(2)));
    fixture.is_found("the same dump for others", &fixture.backup(&order));
    // The first generation was retired.
    fixture.bucket.delete(MANIFEST);
    let receipt = fixture.is_found("only a later one", &fixture.backup(&order));
    assert!(receipt["backups"][0]["objects"].to_string().contains(second), "{receipt}");
}

/// Random bytes of the same size stood in for the dump: `already_complete`.
#[test]
fn an_object_that_was_replaced_by_another_of_its_size_is_no_success() {
    let fixture = Fixture::new();
    let order = fixture.scheduled();
    let made = fixture.complete(&fixture.backup(&order));
    let keys = fixture.bucket.keys();
    for object in made["backups"][0]["objects"].as_array().expect("objects") {
        let (role, key) = (object["role"].as_str().expect("a role"), object["key"].as_str().expect("a key"));
        if matches!(role, "manifest" | "card") {
            continue;
        }
        let good = fixture.bucket.get(key);
        let other = vec![7; good.len()];
        // S3 tells the checksum that anyone who wrote it gave along.
        let put = fixture.bucket.client().put_object().bucket(&fixture.bucket.name).key(key);
        let put = put.checksum_algorithm(ChecksumAlgorithm::Sha256).body(other.clone().into());
        block_on(put.send()).expect("it is replaced");
        fixture.is_taken(role, &fixture.backup(&order), &keys, key);
        // Or it tells none, and when it was written.
        let file = fixture._s3.file(&fixture.bucket, key);
        fixture.bucket.delete(key);
        fixture.bucket.put(key, other);
        let late = std::fs::File::options().write(true).open(file).expect("the object");
        late.set_modified(SystemTime::now() + Duration::from_secs(60))
            .expect("its time is set");
        fixture.is_taken(role, &fixture.backup(&order), &keys, key);
        fixture.bucket.delete(key);
        let put = fixture.bucket.client().put_object().bucket(&fixture.bucket.name).key(key);
        block_on(put.checksum_algorithm(ChecksumAlgorithm::Sha256).body(good.into()).send()).expect("it is back");
    }
    fixture.is_found("all as it was", &fixture.backup(&order));
}

/// What may not be read is no success, and the missing permission is named.
#[test]
fn a_manifest_that_may_not_be_read_is_no_success() {
    let fixture = Fixture::new();
    let order = fixture.scheduled();
    fixture.complete(&fixture.backup(&order));
    let keys = fixture.bucket.keys();
    let denied = |operation| Rule::on(operation).then(Fault::Answer(Canned::error(403, "AccessDenied")));
    let run = |rules: Vec<Rule>| {
        let proxy = FaultProxy::before(&fixture.bucket, rules);
        let run = Pgseal::backup(&order).envs(proxy.env()).envs(fixture.server.env());
        run.run()
    };
    let receipt = run(vec![denied(Operation::GetObject)]).failed("s3_denied", 4);
    assert!(receipt.to_string().contains("s3:GetObject"), "{receipt}");
    assert_eq!(fixture.bucket.keys(), keys);
    // Neither listed nor read: found at the commit, where it may be our own.
    let receipt = run(vec![denied(Operation::GetObject), denied(Operation::ListObjects)]).failed("commit_unknown", 4);
    assert!(receipt.to_string().contains("s3:GetObject"), "{receipt}");
    // Read, though not listed: each object is looked at by itself, and one that is gone makes it no success.
    fixture.is_found("not listed", &run(vec![denied(Operation::ListObjects)]));
    let dump = keys.iter().find(|key| key.contains(".sql.")).expect("a dump");
    fixture.bucket.delete(dump);
    let receipt = run(vec![denied(Operation::ListObjects)]).failed("stem_taken", 4);
    assert!(receipt.to_string().contains("missing"), "{receipt}");
}

/// Without s3:ListBucket S3 answers 403 to a look at what is missing. A vanished dump was once `already_complete`, with a
/// warning.
#[test]
fn an_object_that_may_not_be_looked_at_is_no_success() {
    let fixture = Fixture::new();
    let order = fixture.scheduled();
    fixture.complete(&fixture.backup(&order));
    let dump = fixture.bucket.keys().into_iter().find(|key| key.contains(".sql.")).expect("a dump");
    fixture.bucket.delete(&dump);
    let keys = fixture.bucket.keys();
    let denied = |operation| Rule::on(operation).then(Fault::Answer(Canned::error(403, "AccessDenied")));
    let rules = [denied(Operation::HeadObject), denied(Operation::ListObjects)];
    let proxy = FaultProxy::before(&fixture.bucket, rules);
    let run = Pgseal::backup(&order).envs(proxy.env()).envs(fixture.server.env());
    let receipt = run.run().failed("s3_denied", 4).to_string();
    assert!(receipt.contains("s3:ListBucket") && receipt.contains(&*dump), "{receipt}");
    assert_eq!(fixture.bucket.keys(), keys);
}

/// One empty list ended a backup.
#[test]
fn a_list_that_is_empty_is_asked_for_again() {
    let fixture = Fixture::new();
    let order = fixture.scheduled();
    let empty = Rule::on(Operation::ListObjects).times(1).then(Fault::Answer(Canned::new(200, "")));
    let proxy = FaultProxy::before(&fixture.bucket, [empty]);
    Pgseal::backup(&order).envs(proxy.env()).envs(fixture.server.env()).run().complete();
}

/// Terraform's entries share one bucket and one prefix, and every RDS instance has a `postgres`.
#[test]
fn two_servers_with_one_prefix_are_two_backups_or_one_failure() {
    let fixture = Fixture::new();
    let run = |host: &str, prefix: &str| {
        let order = with(&fixture.scheduled(), json!({"host": host, "prefix": prefix}));
        let run = fixture.prepared(&["backup", "--event", &order.to_string()]);
        run.env("PGSEAL_ALLOWED_HOSTS", "localhost,127.0.0.1").run()
    };
    for host in ["localhost", "127.0.0.1"] {
        let receipt = fixture.complete(&run(host, "backups/{host}"));
        assert_eq!(receipt["backups"][0]["stem"], format!("backups/{host}/app_20261124T020000Z"));
    }
    run("localhost", "backups").complete();
    run("127.0.0.1", "backups").failed("stem_taken", 4);
    let checked = fixture
        .prepared(&[
            "check",
            "--event",
            &with(&fixture.scheduled(), json!({"prefix": "{host}"})).to_string(),
        ])
        .run();
    assert!(checked.stdout.contains("\"localhost/app_20261124T020000Z\""), "{}", checked.stdout);
}

/// The first generation was retired, and only a list showed the second: the same event committed twice, and neither opened.
#[test]
fn a_later_generation_is_found_without_a_list() {
    let fixture = Fixture::new();
    let order = fixture.scheduled();
    fixture.complete(&fixture.backup(&order));
    let good = String::from_utf8(fixture.bucket.get(MANIFEST)).expect("UTF-8");
    let (line, proof) = good.split_once('\n').expect("two lines");
    let mut manifest: Value = serde_json::from_str(line).expect("JSON");
    manifest["generation"] = json!(2);
    let later = MANIFEST.replace(".jsonl", ".2.jsonl");
    fixture.bucket.put(&later, format!("{manifest}\n{proof}"));
    fixture.bucket.delete(MANIFEST);
    let keys = fixture.bucket.keys();
    let denied = Rule::on(Operation::ListObjects).then(Fault::Answer(Canned::error(403, "AccessDenied")));
    let proxy = FaultProxy::before(&fixture.bucket, [denied]);
    let run = Pgseal::backup(&order).envs(proxy.env()).envs(fixture.server.env());
    fixture.is_found("the second generation", &run.run());
    assert_eq!(fixture.bucket.keys(), keys);
}
