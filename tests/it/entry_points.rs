//! The entry points of the program: how an event gets in, and what comes out on which stream.

mod cancel;
mod check;
mod formats;
mod future;
mod many;
mod orders;
mod parameters;
mod plan;
mod records;
mod rights;
mod selection;
mod storage;

use crate::support::invariants::{RECIPIENT, backup_stands, event};
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::postgres::Server;
use crate::support::s3::{Bucket, EmbeddedS3};
use serde_json::{Value, json};

/// A server with a small database `app`, and a bucket.
struct Fixture {
    server: Server,
    _s3: EmbeddedS3,
    bucket: Bucket,
}

impl Fixture {
    fn new() -> Self {
        let server = Server::start();
        server.create_app("create table plain (id int); insert into plain select generate_series(1, 100)");
        let s3 = EmbeddedS3::start();
        let bucket = s3.bucket();
        Self { server, _s3: s3, bucket }
    }

    fn event(&self) -> Value {
        event(&self.server, "app", &self.bucket)
    }

    /// With these arguments, and all that a deployment would set around an event.
    fn prepared(&self, arguments: &[&str]) -> Pgseal {
        Pgseal::new(arguments).envs(self.bucket.env()).envs(self.server.env())
    }

    fn backup(&self, event: &Value) -> CommandOutput {
        self.prepared(&["backup", "--event", &event.to_string()]).run()
    }

    fn complete(&self, said: &CommandOutput) -> Value {
        let receipt = said.complete();
        backup_stands(&self.bucket, &receipt);
        receipt
    }
}

#[test]
fn one_shot_takes_backup_event() {
    let fixture = Fixture::new();
    let receipt = fixture.complete(&fixture.prepared(&[]).env("BACKUP_EVENT", fixture.event().to_string()).run());
    assert_eq!(receipt["backups"][0]["rows"], 100);
}

/// What a task definition of the legacy image sets, and `POSTGRES_AUTH` since this server has no IAM.
fn old_variables(fixture: &Fixture) -> Vec<(&'static str, String)> {
    vec![
        ("POSTGRES_DATABASE", "app".to_owned()),
        ("POSTGRES_HOST", "localhost".to_owned()),
        ("POSTGRES_PORT", fixture.server.port().to_string()),
        ("POSTGRES_USER", "dumper".to_owned()),
        ("POSTGRES_AUTH", "password".to_owned()),
        ("S3_BUCKET", fixture.bucket.name.clone()),
        ("S3_PREFIX", "old/place".to_owned()),
        ("OPENSSL_PUBLIC_KEY", RECIPIENT.to_owned()),
    ]
}

#[test]
fn the_old_images_variables_alone_do_a_backup() {
    let fixture = Fixture::new();
    let receipt = fixture.complete(&fixture.prepared(&[]).envs(old_variables(&fixture)).run());
    let stem = receipt["backups"][0]["stem"].as_str().expect("a stem");
    assert!(stem.starts_with("old/place/app_"), "{stem}");
}

#[test]
fn the_old_readmes_spelling_of_the_rate_limit_counts() {
    let fixture = Fixture::new();
    fixture.server.psql(
        "app",
        "create table wide as select repeat('x', 1000) as x from generate_series(1, 1000)",
    );
    let run = |rate: &str| fixture.prepared(&[]).envs(old_variables(&fixture)).env("RATE_LMIT", rate).run();
    let receipt = fixture.complete(&run("1M"));
    assert!(receipt["backups"][0]["throttled_ms"].as_u64() > Some(0), "{receipt}");
    assert_eq!(run("10 parsecs").failed("bad_event", 2)["error"]["field"], "rate_limit");
}

#[test]
fn nothing_asked_is_answered_by_the_usage() {
    let said = Pgseal::new(&[]).run();
    assert_eq!((said.code, said.stdout.as_str()), (2, ""));
    assert!(
        said.stderr.contains("Usage: pgseal") && said.stderr.contains("BACKUP_EVENT"),
        "{}",
        said.stderr
    );
}

#[test]
fn an_unknown_command_is_refused_with_the_usage() {
    let said = Pgseal::new(&["bakcup"]).run();
    said.failed("bad_usage", 2);
    assert!(said.stderr.contains("backup"), "{}", said.stderr);
    let document = Pgseal::new(&["bakcup", "--json"]).run();
    assert_eq!(document.receipt()["error"]["code"], "bad_usage", "{}", document.stdout);
}

#[test]
fn the_event_is_read_from_a_file() {
    let fixture = Fixture::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("event.json"), fixture.event().to_string()).expect("the event is written");
    let run = fixture.prepared(&["backup", "--event", "event.json"]).current_dir(folder.path());
    fixture.complete(&run.run());
}

#[test]
fn the_event_is_read_from_standard_input() {
    let fixture = Fixture::new();
    fixture.complete(
        &fixture
            .prepared(&["backup", "--event", "-"])
            .stdin(fixture.event().to_string())
            .run(),
    );
}

#[test]
fn the_event_is_read_from_s3() {
    let fixture = Fixture::new();
    fixture.bucket.put("events/nightly.json", fixture.event().to_string());
    let address = format!("s3://{}/events/nightly.json", fixture.bucket.name);
    fixture.complete(&fixture.prepared(&["backup", "--event", &address]).run());
}

#[test]
fn an_event_that_is_not_there_is_said() {
    let fixture = Fixture::new();
    let address = format!("s3://{}/events/none.json", fixture.bucket.name);
    for place in ["no/such/file.json", &address] {
        let said = fixture.prepared(&["backup", "--event", place]).run();
        assert_ne!(said.code, 0, "{place}");
        assert_eq!(said.receipt()["status"], "failed", "{place}");
        assert!(said.receipt()["error"]["message"].to_string().contains(place), "{}", said.stdout);
    }
    assert_eq!(fixture.bucket.keys(), [""; 0]);
}

#[test]
fn an_eventbridge_envelope_names_the_time() {
    let fixture = Fixture::new();
    let envelope = json!({
        "version": "0", "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa", "detail-type": "Scheduled backup",
        "source": "acme.backups", "account": "123456789012", "time": "2026-11-24T02:00:00Z", "region": "eu-central-1",
        "resources": [], "detail": fixture.event(),
    });
    let receipt = fixture.complete(&fixture.prepared(&[]).env("BACKUP_EVENT", envelope.to_string()).run());
    assert_eq!(receipt["backups"][0]["stem"], "backups/app_20261124T020000Z");
}

#[test]
fn a_second_delivery_finds_it_done() {
    let fixture = Fixture::new();
    let mut event = fixture.event();
    event["scheduled_time"] = json!("2026-11-24T02:00:00Z");
    fixture.complete(&fixture.backup(&event));
    let before = fixture.bucket.keys();
    // What is complete needs no database: the second of these it does not even let in.
    let again = || fixture.prepared(&["backup", "--event", &event.to_string()]);
    for run in [again(), again().env("PGPASSWORD", "wrong")] {
        let said = run.run();
        assert_eq!(
            (said.code, &said.receipt()["status"]),
            (0, &json!("already_complete")),
            "{}",
            said.stderr
        );
    }
    assert_eq!(fixture.bucket.keys(), before);
}

#[test]
fn of_two_deliveries_at_once_one_commits() {
    let fixture = Fixture::new();
    let mut event = fixture.event();
    event["scheduled_time"] = json!("2026-11-24T02:00:00Z");
    let text = event.to_string();
    let runs = [(); 2].map(|()| fixture.prepared(&["backup", "--event", &text]).spawn());
    let said = runs.map(|run| CommandOutput::from(run.wait_with_output().expect("pgseal ends")));
    let mut statuses = said
        .each_ref()
        .map(|said| (said.code, said.receipt()["status"].as_str().unwrap_or("none").to_owned()));
    statuses.sort();
    assert_eq!(
        statuses,
        [(0, "already_complete".to_owned()), (0, "complete".to_owned())],
        "{}\n{}",
        said[0].stderr,
        said[1].stderr
    );
    let manifests = fixture.bucket.keys().iter().filter(|key| key.ends_with(".manifest.jsonl")).count();
    assert_eq!(manifests, 1);
    assert_eq!(fixture.bucket.open_uploads(), []);
}
