//! `fleet status`: what is in S3, for people.

use super::{Fleet, nightly};
use crate::support::pgseal::Pgseal;
use crate::support::s3::EmbeddedS3;
use serde_json::{Value, json};

#[test]
fn a_status_tells_the_newest_backup_of_each_database_and_what_is_missing() {
    let (s3, fleet) = (EmbeddedS3::start(), Fleet::start(&["orders"]));
    let bucket = s3.bucket();
    fleet.servers[0].psql("postgres", "create database app");
    let place = format!("s3://{}/backups", bucket.name);
    let status = |arguments: &[&str]| {
        let said = Pgseal::new(&[&["fleet", "status", &place][..], arguments].concat())
            .envs(bucket.env())
            .run();
        (said.code, said.receipt())
    };
    assert_eq!(status(&[]).0, 7);
    let mut event = nightly("backup");
    let fields = event.as_object_mut().expect("an object");
    fields.remove("discover");
    fields.remove("scheduled_time");
    fields.insert("host".to_owned(), json!("127.0.0.1"));
    fields.insert("port".to_owned(), json!(fleet.servers[0].port()));
    assert_eq!(fleet.run(&bucket, &event).run().receipt()["status"], "complete");
    let (code, told) = status(&[]);
    let databases = told["databases"].as_array().expect("databases");
    let named: Vec<(&str, &str)> = databases
        .iter()
        .map(|found| (found["group"].as_str().unwrap_or("?"), found["database"].as_str().unwrap_or("?")))
        .collect();
    assert_eq!((code, named), (0, vec![("127.0.0.1", "app"), ("127.0.0.1", "postgres")]), "{told}");
    assert!(
        databases[0]["newest"]["age_seconds"].as_i64().is_some_and(|age| age < 3600),
        "{told}"
    );
    // A drill's result is that of the run that it opened.
    let stem = databases[0]["newest"]["stem"].as_str().expect("a stem");
    let manifest = String::from_utf8(bucket.get(&format!("backups/127.0.0.1/{stem}.manifest.jsonl"))).expect("UTF-8");
    let run: Value = serde_json::from_str(manifest.lines().next().expect("a line")).expect("JSON");
    let report = json!({"outcome": "failed", "finished_at": "2026-11-25T06:00:00Z", "backup": {"run": run["run"]}});
    bucket.put(
        &format!("drills/{stem}.drill-20261125T060000000Z.json"),
        report.to_string().as_bytes(),
    );
    let reports = format!("s3://{}/drills", bucket.name);
    let (code, told) = status(&["--reports", &reports]);
    assert_eq!((code, &told["databases"][0]["drill"]["outcome"]), (7, &json!("failed")), "{told}");
    let reason = format!("its last drill failed: see {reports}/{stem}.drill-20261125T060000000Z.json");
    assert_eq!(told["databases"][0]["missing"], json!([reason]), "{told}");
    assert_eq!(told["error"]["code"], "restore_failed", "{told}");
    // Something of a later run, and no manifest; and something of the newest is gone.
    bucket.put("backups/127.0.0.1/app_20991124T020000Z.1a2b3c4d.sql.bz2.enc", b"x");
    let key = bucket
        .keys()
        .into_iter()
        .find(|key| key.contains("/postgres_") && key.contains(".key."))
        .expect("a key");
    bucket.delete(&key);
    let folder = tempfile::tempdir().expect("a folder");
    let page = folder.path().join("status.html");
    let (code, told) = status(&["--html", page.to_str().expect("UTF-8")]);
    assert_eq!(code, 7);
    let missing = |at: usize| told["databases"][at]["missing"].to_string();
    assert!(missing(0).contains("app_20991124T020000Z was interrupted"), "{told}");
    assert!(
        missing(1).contains("is incomplete") && missing(1).contains("no complete backup"),
        "{told}"
    );
    let html = std::fs::read_to_string(&page).expect("the page");
    assert!(
        html.contains("2 of 2 databases have a problem") && html.contains("interrupted"),
        "{html}"
    );
    assert_eq!(status(&["--html", page.to_str().expect("UTF-8")]).1["error"]["code"], "bad_usage");
    assert_eq!(status(&["--max-age", "0m"]).0, 7);
}
