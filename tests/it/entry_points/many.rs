//! Several databases in one event: every one is tried.

use super::Fixture;
use serde_json::{Value, json};

fn statuses(receipt: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let backups = receipt["backups"].as_array().expect("a list of backups");
    let mut pairs: Vec<_> = backups
        .iter()
        .map(|backup| (text(&backup["database"]), text(&backup["status"])))
        .collect();
    pairs.sort();
    pairs
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(name, status)| ((*name).to_owned(), (*status).to_owned()))
        .collect()
}

#[test]
fn a_star_means_all_but_what_is_left_out_on_purpose() {
    let fixture = Fixture::new();
    let sql = |text: &str| fixture.server.psql("postgres", text);
    sql("create database \"Größe & 'Co'\"");
    sql("create database closed with allow_connections false");
    sql("create database foreign_one");
    sql("revoke connect on database foreign_one from public");
    let mut event = fixture.event();
    event["database"] = json!("*");
    event["exclude_databases"] = json!(["foreign_one"]);
    let receipt = fixture.complete(&fixture.backup(&event));
    assert_eq!(
        statuses(&receipt),
        pairs(&[
            ("Größe & 'Co'", "complete"),
            ("app", "complete"),
            ("closed", "skipped"),
            ("postgres", "complete")
        ])
    );
    let encoded = "backups/Gr%C3%B6%C3%9Fe%20%26%20%27Co%27_";
    assert!(
        fixture.bucket.keys().iter().any(|key| key.starts_with(encoded)),
        "{:?}",
        fixture.bucket.keys()
    );
}

#[test]
fn one_that_fails_fails_the_whole_and_stops_no_other() {
    let fixture = Fixture::new();
    let mut event = fixture.event();
    event["database"] = json!(["missing", "app", "postgres"]);
    let said = fixture.backup(&event);
    let receipt = said.failed("no_database", 3);
    assert_eq!(receipt["status"], "failed");
    assert_eq!(
        statuses(&receipt),
        pairs(&[("app", "complete"), ("missing", "failed"), ("postgres", "complete")])
    );
    let manifests: Vec<_> = fixture
        .bucket
        .keys()
        .into_iter()
        .filter(|key| key.ends_with(".manifest.jsonl"))
        .collect();
    assert_eq!(manifests.len(), 2, "{manifests:?}");
}

/// They were passed over without a word.
#[test]
fn names_left_out_beside_names_are_told() {
    let fixture = Fixture::new();
    let mut event = fixture.event();
    event["exclude_databases"] = json!(["scratch"]);
    let receipt = fixture.complete(&fixture.backup(&event));
    let warnings = receipt["warnings"].to_string();
    assert!(warnings.contains("exclude_databases"), "{receipt}");
}
