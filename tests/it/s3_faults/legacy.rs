//! The legacy format, whose names are shared by all runs of an event.

use super::{Fixture, denied};
use crate::support::fault_proxy::{Fault, FaultProxy, Operation, Rule};
use crate::support::invariants::event;
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::s3::Bucket;
use serde_json::{Value, json};

const DUMP: &str = ".sql.bz.enc";

fn order(fixture: &Fixture, bucket: &Bucket) -> Value {
    let mut event = event(&fixture.server, "app", bucket);
    event["format"] = json!("legacy");
    event["scheduled_time"] = json!("2026-11-24T02:00:00Z");
    event
}

fn run_behind(fixture: &Fixture, rules: impl IntoIterator<Item = Rule>) -> CommandOutput {
    let bucket = fixture.s3.bucket();
    let proxy = FaultProxy::before(&bucket, rules);
    let order = order(fixture, &bucket);
    Pgseal::backup(&order).envs(proxy.env()).envs(fixture.server.env()).run()
}

/// README's policy lets no run look at a dump; its list has the ETag, by which alone it can be known.
#[test]
fn a_lost_answer_to_the_last_call_is_success_by_the_listed_etag() {
    let said = run_behind(
        &Fixture::new(),
        [
            Rule::on(Operation::HeadObject).key(DUMP).then(denied()),
            Rule::on(Operation::CompleteUpload).times(1).then(Fault::LoseAnswer),
        ],
    );
    said.complete();
}

/// The later one failed, and a retry of its event as well.
#[test]
fn of_two_deliveries_at_once_the_later_one_waits_though_it_may_not_look() {
    let fixture = Fixture::new();
    let bucket = fixture.s3.bucket();
    let proxy = FaultProxy::before(&bucket, [Rule::on(Operation::HeadObject).key(DUMP).then(denied())]);
    let order = order(&fixture, &bucket);
    let runs = [(); 2].map(|()| Pgseal::backup(&order).envs(proxy.env()).envs(fixture.server.env()).spawn());
    let said = runs.map(|run| CommandOutput::from(run.wait_with_output().expect("pgseal ends")));
    let mut statuses = said
        .each_ref()
        .map(|said| (said.code, said.receipt()["status"].clone().to_string()));
    statuses.sort();
    assert_eq!(
        statuses,
        [(0, "\"already_complete\"".to_owned()), (0, "\"complete\"".to_owned())],
        "{}\n{}",
        said[0].stderr,
        said[1].stderr
    );
}

/// "No backup was made. Run again": every later run of the event stopped at what it had left.
#[test]
fn what_ends_a_run_behind_its_dump_names_the_dump_that_stays() {
    let said = run_behind(&Fixture::new(), [Rule::on(Operation::PutObject).key(".key.txt.enc").then(denied())]);
    let receipt = said.failed("s3_denied", 4);
    let error = &receipt["backups"][0]["error"];
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains(DUMP) && message.contains("is left"), "{error}");
    assert!(error["hint"].as_str().expect("a hint").contains("remove them"), "{error}");
}

/// Names of the legacy format are shared by all runs of an event: a dump of the same size was once taken for the run's own,
/// and the backup could not be opened.
#[test]
fn a_dump_of_the_legacy_format_is_never_taken_from_another_run() {
    let fixture = Fixture::new();
    let bucket = fixture.s3.bucket();
    let mut event = event(&fixture.server, "app", &bucket);
    event["format"] = json!("legacy");
    event["scheduled_time"] = json!("2026-11-24T02:00:00Z");
    let backup = || Pgseal::backup(&event).envs(bucket.env()).envs(fixture.server.env()).run();
    backup().complete();
    // What stays when a run dies before its manifest, and somebody then deletes its key.
    for key in bucket.keys().iter().filter(|key| !key.ends_with(".sql.bz.enc")) {
        bucket.delete(key);
    }
    // Before the dump, as a check finds it: hours later it would end the same way.
    for (left, ending) in [("dump", ".sql.bz.enc"), ("key", ".key.txt.enc")] {
        let check = Pgseal::new(&["check", "--event", &event.to_string()])
            .envs(bucket.env())
            .envs(fixture.server.env());
        for said in [backup(), check.run()] {
            assert!(
                said.code == 4 && said.stdout.contains("stem_taken") && said.stdout.contains(ending),
                "{left}: {}",
                said.stdout
            );
        }
        let keys = bucket.keys();
        assert_eq!(keys.len(), 1, "{keys:?}");
        bucket.delete(&keys[0]);
        if left == "dump" {
            bucket.put(&keys[0].replace(".sql.bz.enc", ".key.txt.enc"), vec![7; 256]);
        }
    }
    assert!(
        !bucket.keys().iter().any(|key| key.ends_with(".manifest.jsonl")),
        "{:?}",
        bucket.keys()
    );
    assert_eq!(bucket.open_uploads(), []);
}
