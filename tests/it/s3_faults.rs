//! What goes wrong at S3, where more must hold than the fault table (`fault_table/s3.rs`) checks of every call.

mod before;
mod complete;
mod credentials;
mod cut;
mod legacy;
mod other_bytes;
mod slow_bodies;
mod stand_in;
mod trust;

use crate::support::fault_proxy::{Canned, Fault, FaultProxy, Operation, Rule};
use crate::support::invariants::{backup_stands, clients_of, event, no_secret};
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::postgres::Server;
use crate::support::s3::{Bucket, EmbeddedS3};
use serde_json::{Value, json};

/// A database whose dump goes out in three parts, and an S3 server.
struct Fixture {
    server: Server,
    s3: EmbeddedS3,
}

/// One run behind a proxy with these rules.
struct Run {
    bucket: Bucket,
    proxy: FaultProxy,
    said: CommandOutput,
}

impl Fixture {
    fn new() -> Self {
        let server = Server::start();
        server.create_app("create table wide as select i, repeat('x', 1000) as x from generate_series(1, 20000) as i");
        Self {
            server,
            s3: EmbeddedS3::start(),
        }
    }

    fn run(&self, rules: impl IntoIterator<Item = Rule>) -> Run {
        let bucket = self.s3.bucket();
        let proxy = FaultProxy::before(&bucket, rules);
        let mut event = event(&self.server, "app", &bucket);
        event["compression"] = json!("none"); // so that the parts are the dump's own size
        let said = Pgseal::backup(&event).envs(proxy.env()).envs(self.server.env()).run();
        Run { bucket, proxy, said }
    }

    /// Runs, and asserts that the backup is whole all the same.
    fn survives(&self, name: &str, rules: impl IntoIterator<Item = Rule>) -> Run {
        eprintln!("-- {name}"); // shown where the test fails
        let run = self.run(rules);
        backup_stands(&run.bucket, &run.said.complete());
        run
    }

    /// Runs into the promised failure, after which no object of the dump stands. Gives the error too.
    fn fails(&self, name: &str, rules: impl IntoIterator<Item = Rule>, code: &str) -> (Run, Value) {
        let (run, error) = self.fails_late(name, rules, code);
        let dumps: Vec<_> = run.bucket.keys().into_iter().filter(|key| key.contains(".sql.")).collect();
        assert_eq!(dumps, [""; 0]);
        assert_eq!(run.bucket.open_uploads(), []);
        (run, error)
    }

    /// The same where the dump may stay: invisible, since it has no manifest.
    fn fails_late(&self, name: &str, rules: impl IntoIterator<Item = Rule>, code: &str) -> (Run, Value) {
        eprintln!("-- {name}");
        let run = self.run(rules);
        let receipt = run.said.failed(code, 4);
        assert!(
            !run.bucket.keys().iter().any(|key| key.ends_with(".manifest.jsonl")),
            "{:?}",
            run.bucket.keys()
        );
        assert_eq!(clients_of(&self.server), [""; 0], "a child outlived the run");
        no_secret(&run.said, &[self.server.password()]);
        let error = receipt["backups"][0]["error"].clone();
        (run, error)
    }
}

fn denied() -> Fault {
    Fault::Answer(Canned::error(403, "AccessDenied"))
}

/// The calls of a backup that write, with the part of the key that tells one PutObject from another.
const WRITES: [(Operation, &str); 7] = [
    (Operation::PutObject, ".key."),
    (Operation::CreateUpload, ""),
    (Operation::UploadPart, ""),
    (Operation::PutObject, ".inventory."),
    (Operation::CompleteUpload, ""),
    (Operation::PutObject, ".manifest.jsonl"),
    (Operation::PutObject, ".RECOVER.md"),
];

#[test]
fn without_a_fault_each_call_is_made_once() {
    let fixture = Fixture::new();
    let run = fixture.survives("no fault", []);
    let counts = [
        (Operation::CreateUpload, 1),
        (Operation::UploadPart, 3),
        (Operation::CompleteUpload, 1),
        (Operation::AbortUpload, 0),
        (Operation::PutObject, 4),
        (Operation::HeadObject, 0),
        (Operation::GetObject, 0),
    ];
    for (operation, count) in counts {
        assert_eq!(run.proxy.count(operation), count, "{operation:?} in {:?}", run.proxy.seen());
    }
}

#[test]
fn a_part_that_breaks_off_is_sent_again_whole() {
    let fixture = Fixture::new();
    for bytes in [0, 1, 100_000, 8 * 1024 * 1024 - 1] {
        let rule = Rule::on(Operation::UploadPart).after(1).times(1).then(Fault::ResetInBody(bytes));
        let run = fixture.survives(&format!("reset after {bytes} bytes"), [rule]);
        assert_eq!(run.proxy.count(Operation::UploadPart), 4);
    }
}

/// What may come back for a commit with the status of a success and is none.
fn bad_answers() -> [(&'static str, Canned); 4] {
    let half = "<?xml version=\"1.0\"?><CompleteMultipartUploadResult><Loc";
    [
        ("an error in a 200", Canned::new(200, Canned::error(200, "InternalError").body)),
        ("an empty 200", Canned::new(200, "")),
        ("HTML", Canned::new(200, "<html><body>It works!</body></html>")),
        ("half an answer", Canned::new(200, half)),
    ]
}

#[test]
fn a_commit_that_was_carried_out_stands_however_badly_it_is_answered() {
    let fixture = Fixture::new();
    for (name, canned) in bad_answers() {
        let rule = Rule::on(Operation::CompleteUpload).times(1).then(Fault::ReplaceAnswer(canned));
        fixture.survives(name, [rule]);
    }
    let rule = Rule::on(Operation::CompleteUpload).times(1).then(Fault::CutAnswer { missing: 40 });
    fixture.survives("an answer that ends early", [rule]);
}

#[test]
fn a_commit_that_was_not_carried_out_is_repeated_whatever_was_answered() {
    let fixture = Fixture::new();
    let mut wrong = Vec::new();
    for (name, canned) in bad_answers() {
        let run = fixture.run([Rule::on(Operation::CompleteUpload).times(1).then(Fault::Answer(canned))]);
        let calls = run.proxy.count(Operation::CompleteUpload);
        if run.said.code == 0 {
            backup_stands(&run.bucket, &run.said.complete());
        } else {
            wrong.push(format!("{name}: {calls} calls of Complete; {}", run.said.stdout));
        }
    }
    assert!(wrong.is_empty(), "not retried:\n{}", wrong.join("\n"));
}

#[test]
fn a_commit_that_is_never_carried_out_fails() {
    let fixture = Fixture::new();
    let rule = Rule::on(Operation::CompleteUpload).then(Fault::Answer(Canned::new(200, "")));
    let (run, _) = fixture.fails("an empty 200, always", [rule], "s3_unavailable");
    assert!(run.proxy.count(Operation::AbortUpload) >= 1);
}

#[test]
fn a_refusal_names_what_was_refused() {
    let fixture = Fixture::new();
    for (operation, key) in &WRITES[..5] {
        let name = format!("denied at {operation:?} {key}");
        let (run, error) = fixture.fails(&name, [Rule::on(*operation).key(key).then(denied())], "s3_denied");
        let message = error["message"].as_str().expect("a message");
        assert!(
            message.contains("s3:PutObject") && message.contains(&format!("arn:aws:s3:::{}/backups/app_", run.bucket.name)),
            "{message}"
        );
    }
}

/// Anyone who answers an abort with a text is not S3.
#[test]
fn an_abort_that_is_refused_is_told() {
    let fixture = Fixture::new();
    let text = |text: &str| Fault::Answer(Canned::new(200, text));
    for fault in [denied(), text("please log in"), text("<!-- gateway --><html>x</html>")] {
        let rules = [
            Rule::on(Operation::UploadPart).then(denied()),
            Rule::on(Operation::AbortUpload).then(fault),
        ];
        let (run, error) = fixture.fails_late("denied, and the abort too", rules, "s3_denied");
        assert!(
            error["message"].as_str().is_some_and(|message| message.contains("stays open")),
            "{error}"
        );
        assert_eq!(run.bucket.open_uploads().len(), 1);
    }
}

/// It stood in the log alone, of a run that succeeded.
#[test]
fn an_upload_that_may_stay_open_is_told_in_the_receipt() {
    let fixture = Fixture::new();
    let rules = [
        Rule::on(Operation::ListUploads).then(denied()),
        Rule::on(Operation::CreateUpload).times(1).then(Fault::LoseAnswer),
    ];
    let run = fixture.run(rules);
    let warnings = run.said.complete()["backups"][0]["warnings"].to_string();
    assert!(
        warnings.contains("an upload may stay open") && warnings.contains("s3:ListBucketMultipartUploads"),
        "{warnings}"
    );
    assert_eq!(run.bucket.open_uploads().len(), 1);
}

#[test]
fn without_the_manifest_there_is_no_backup() {
    let fixture = Fixture::new();
    let rule = Rule::on(Operation::PutObject).key(".manifest.jsonl").then(denied());
    let (run, error) = fixture.fails_late("the manifest denied", [rule], "commit_failed");
    let run_id = run
        .bucket
        .keys()
        .iter()
        .find_map(|key| Some(key.strip_suffix(".sql.enc")?.rsplit('.').next()?.to_owned()));
    let run_id = run_id.expect("the data stays");
    assert!(
        error["message"].as_str().is_some_and(|message| message.contains(&run_id)),
        "{error}"
    );
    assert_eq!(run.bucket.open_uploads(), []);
}

#[test]
fn a_role_that_may_not_look_can_back_up_all_the_same() {
    let fixture = Fixture::new();
    let rules = [
        Rule::on(Operation::HeadBucket).then(denied()),
        Rule::on(Operation::HeadObject).then(denied()),
    ];
    fixture.survives("only s3:PutObject", rules);
}
