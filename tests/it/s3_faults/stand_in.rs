//! Somebody answers in S3's place and stores nothing: a firewall with a page of its own, a portal, a cache. And lists that
//! never end.

use super::{Fixture, Run};
use crate::support::fault_proxy::{Canned, Fault, FaultProxy, Operation, Rule};
use crate::support::invariants::{backup_stands, event};
use crate::support::pgseal::Pgseal;
use serde_json::json;

/// A 200 with an ETag, as web servers give to each page.
fn page() -> Canned {
    Canned::new(200, "<html><head><title>Welcome</title></head><body>Please log in</body></html>")
        .header("Content-Type", "text/html; charset=utf-8")
        .header("ETag", "W/\"3f-qS1mTp0b\"")
}

/// One PutObject each: the rows are left out, so that the dump is small.
const ROLES: [(&str, &str); 4] = [
    (".key.", "s3_unavailable"),
    (".inventory.", "s3_unavailable"),
    (".sql.", "s3_unavailable"),
    (".manifest.jsonl", "commit_failed"),
];

fn run(fixture: &Fixture, rule: Rule) -> Run {
    let bucket = fixture.s3.bucket();
    let proxy = FaultProxy::before(&bucket, [rule]);
    let mut event = event(&fixture.server, "app", &bucket);
    event["exclude_table_data"] = json!(["wide"]);
    let said = Pgseal::backup(&event).envs(proxy.env()).envs(fixture.server.env()).run();
    Run { bucket, proxy, said }
}

/// Each was `complete`, with nothing under its name.
#[test]
fn a_page_in_place_of_s3_is_no_success() {
    let fixture = Fixture::new();
    std::thread::scope(|scope| {
        for (role, code) in ROLES {
            let fixture = &fixture;
            scope.spawn(move || {
                let rule = Rule::on(Operation::PutObject).key(role).then(Fault::Answer(page()));
                let run = run(fixture, rule);
                run.said.failed(code, 4);
                let keys = run.bucket.keys();
                assert!(!keys.iter().any(|key| key.ends_with(".manifest.jsonl")), "{role}: {keys:?}");
            });
        }
    });
    let rule = Rule::on(Operation::PutObject).key(".RECOVER.md").then(Fault::Answer(page()));
    let receipt = run(&fixture, rule).said.complete();
    let warnings = receipt["backups"][0]["warnings"].to_string();
    assert!(warnings.contains("recovery instructions"), "{warnings}");
}

#[test]
fn a_page_in_between_costs_one_try() {
    let fixture = Fixture::new();
    for (role, _) in ROLES {
        // Nothing was stored; and it was, and the answer is another's all the same.
        for (fault, puts) in [(Fault::Answer(page()), 6), (Fault::ReplaceAnswer(page()), 5)] {
            let run = run(&fixture, Rule::on(Operation::PutObject).key(role).times(1).then(fault));
            backup_stands(&run.bucket, &run.said.complete());
            assert_eq!(run.proxy.count(Operation::PutObject), puts, "{role}: {:?}", run.proxy.seen());
        }
    }
}

/// Such a part was missed at the end, hours later.
#[test]
fn a_page_in_place_of_a_part_is_found_at_once() {
    let fixture = Fixture::new();
    let part = || Rule::on(Operation::UploadPart);
    let run = fixture.survives("one page", [part().times(1).then(Fault::Answer(page()))]);
    assert_eq!(run.proxy.count(Operation::UploadPart), 4);
    let (run, _) = fixture.fails("pages for ever", [part().then(Fault::Answer(page()))], "s3_unavailable");
    assert_eq!(run.proxy.count(Operation::CompleteUpload), 0);
}

/// It was asked for again and again, for ever.
#[test]
fn a_list_that_leads_nowhere_ends() {
    let fixture = Fixture::new();
    let list = |more: &str| {
        let body =
            format!("<?xml version=\"1.0\"?><ListBucketResult><Name>b</Name><IsTruncated>true</IsTruncated>{more}</ListBucketResult>");
        Rule::on(Operation::ListObjects).then(Fault::Answer(Canned::new(200, body)))
    };
    let same = "<NextContinuationToken>same</NextContinuationToken>";
    for (name, more, pages) in [("the same token", same, 2), ("no token", "", 1)] {
        let (run, error) = fixture.fails(name, [list(more)], "s3_unavailable");
        assert_eq!(run.proxy.count(Operation::ListObjects), pages, "{name}");
        assert!(error["message"].to_string().contains("come to an end"), "{error}");
        // The restore reads them too; half a list would be no answer.
        let proxy = FaultProxy::before(&run.bucket, [list(more)]);
        let place = format!("s3://{}/backups", run.bucket.name);
        let said = Pgseal::new(&["list", &place]).envs(proxy.env()).run();
        assert!(
            said.code == 4 && said.stderr.contains("come to an end"),
            "{}{}",
            said.stdout,
            said.stderr
        );
        assert_eq!(proxy.count(Operation::ListObjects), pages, "{name}");
    }
}
