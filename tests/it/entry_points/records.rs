//! What programs read of the log: receipts, metrics, each failure and each warning once.

use super::Fixture;
use crate::support::docker::{linter, root};
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::restore::block;
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

fn lines(said: &CommandOutput) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
    said.stderr.lines().map(parse).collect()
}

fn metrics(lines: &[Value]) -> Vec<&Value> {
    lines.iter().filter(|line| line.get("_aws").is_some()).collect()
}

/// By AWS's schema; and every metric and dimension that a line names is a member of it, of the right kind.
fn fit_the_format(metrics: &[&Value]) {
    const LOOK: &str = r#"
import json, sys, jsonschema
with open("tests/it/fixtures/emf.schema.json") as file:
    schema = json.load(file)
lines = json.load(sys.stdin)
assert lines
for line in lines:
    jsonschema.validate(line, schema)
    for directive in line["_aws"]["CloudWatchMetrics"]:
        for metric in directive["Metrics"]:
            assert isinstance(line[metric["Name"]], (int, float)), metric
        for name in {name for names in directive["Dimensions"] for name in names}:
            value = line[name]
            assert isinstance(value, str) and value.strip() and value.isascii() and len(value) <= 1024 and not value.startswith(":"), name
"#;
    let mut python = Command::new(linter("python"))
        .args(["-c", LOOK])
        .current_dir(root())
        .stdin(Stdio::piped())
        .spawn()
        .expect("Python");
    let input = python.stdin.take().expect("a pipe");
    serde_json::to_writer(&input, metrics).expect("written");
    (&input).flush().expect("written");
    drop(input);
    assert!(python.wait().expect("it ends").success(), "{metrics:?}");
}

#[test]
fn a_backup_leaves_its_receipt_and_its_metrics_in_the_log() {
    let fixture = Fixture::new();
    let mut event = fixture.event();
    event["database"] = json!(["app", "gone"]);
    let said = fixture.backup(&event);
    said.failed("no_database", 3);
    let lines = lines(&said);
    let receipts: Vec<_> = lines.iter().filter(|line| line["message"] == "receipt").collect();
    assert_eq!(receipts.len(), 1, "{}", said.stderr);
    assert_eq!(receipts[0]["receipt"], said.receipt());
    let metrics = metrics(&lines);
    assert_eq!(metrics.len(), 2, "{}", said.stderr);
    fit_the_format(&metrics);
    let of = |database: &str| *metrics.iter().find(|line| line["Database"] == database).expect("a line");
    assert_eq!((&of("app")["Complete"], &of("app")["Rows"]), (&json!(1.0), &json!(100.0)));
    assert_eq!((&of("gone")["Complete"], of("gone").get("Rows")), (&json!(0.0), None));
    assert_eq!(of("app")["Server"], "localhost");
    // So that `filter level = "ERROR" | stats count()` counts failures.
    let errors: Vec<_> = lines.iter().filter(|line| line["level"] == "ERROR").collect();
    assert_eq!(errors.len(), 1, "{}", said.stderr);

    // A second delivery does not count anything twice.
    let mut event = fixture.event();
    event["scheduled_time"] = json!("2026-11-24T02:00:00Z");
    fixture.complete(&fixture.backup(&event));
    let again = fixture.backup(&event);
    assert_eq!(again.receipt()["status"], "already_complete", "{}", again.stdout);
    let lines = self::lines(&again);
    let metrics = self::metrics(&lines);
    assert_eq!(metrics.len(), 1);
    assert_eq!((&metrics[0]["Complete"], metrics[0].get("StoredBytes")), (&json!(1.0), None));
    fit_the_format(&metrics);
}

/// Nobody sees a receipt on Lambda.
#[test]
fn each_warning_of_a_receipt_is_in_the_log_once() {
    let fixture = Fixture::new();
    fixture.server.psql("app", "create unlogged table fast (id int)");
    let mut event = fixture.event();
    event["rate_limit"] = json!("1M");
    event["exclude_databases"] = json!(["other"]);
    event["statistics"] = json!(true);
    let said = fixture.backup(&event);
    let receipt = fixture.complete(&said);
    let lines = lines(&said);
    let warnings = [&receipt["warnings"], &receipt["backups"][0]["warnings"]];
    let warnings: Vec<&Value> = warnings
        .into_iter()
        .flat_map(|list| list.as_array().into_iter().flatten())
        .collect();
    assert!(!warnings.is_empty(), "{receipt}");
    for warning in warnings {
        let told = lines.iter().filter(|line| line["level"] == "WARN" && line["message"] == *warning);
        assert_eq!(told.count(), 1, "{warning}:\n{}", said.stderr);
    }
}

/// An alarm on missing backups must not go off because somebody wants less in the log.
#[test]
fn no_level_leaves_receipts_and_metrics_out() {
    let fixture = Fixture::new();
    let event = fixture.event().to_string();
    let said = fixture.prepared(&["backup", "--event", &event]).env("PGSEAL_LOG", "error").run();
    fixture.complete(&said);
    let lines = lines(&said);
    assert_eq!(lines.len(), 2, "{}", said.stderr);
    assert_eq!((metrics(&lines).len(), &lines[0]["message"]), (1, &json!("receipt")));
    // Anyone who asks for quiet reads no log.
    let said = fixture.prepared(&["backup", "--quiet", "--event", &event]).run();
    assert_eq!(said.stderr, "");
}

/// What stood in place of a host went into the metric of the refusal.
#[test]
fn a_refused_event_is_a_failure_of_its_server_and_repeats_no_secret() {
    let told = |host: &str| {
        let run = Pgseal::new(&["backup", "--event", "{\"databse\": \"app\"}"]).env("POSTGRES_HOST", host);
        let said = run.run();
        said.failed("bad_event", 2);
        assert!(
            !said.stderr.contains("hunter2") && !said.stdout.contains("hunter2"),
            "{}",
            said.stderr
        );
        metrics(&lines(&said)).iter().map(|line| line["Server"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(told("orders.cxa1b2c3d4e5.eu-west-1.rds.amazonaws.com"), [json!("orders")]);
    assert_eq!(told("postgresql://u:hunter2@h/db"), [] as [Value; 0]);
}

#[test]
fn what_fails_before_any_database_is_known_is_a_failure_of_the_server() {
    let fixture = Fixture::new();
    let mut event = fixture.event();
    event["database"] = json!("*");
    event["bucket"] = json!("no-such-bucket-anywhere");
    let said = fixture.backup(&event);
    said.failed("s3_no_bucket", 4);
    let lines = lines(&said);
    let metrics = metrics(&lines);
    assert_eq!(metrics.len(), 1, "{}", said.stderr);
    assert_eq!((&metrics[0]["Complete"], metrics[0].get("Database")), (&json!(0.0), None));
    fit_the_format(&metrics);
}

/// `a.0.b` of a line, as CloudWatch Logs Insights names what lies deeper.
fn member<'a>(line: &'a Value, name: &str) -> Option<&'a Value> {
    name.split('.').try_fold(line, |value, part| match part.parse::<usize>() {
        Ok(at) => value.get(at),
        Err(_) => value.get(part),
    })
}

/// The lines that a query keeps, by its `filter`; every field that it names stands in one of them.
fn found<'a>(query: &str, lines: &'a [Value]) -> Vec<&'a Value> {
    let steps: Vec<&str> = query.split('|').map(str::trim).collect();
    let filter = steps.iter().find_map(|step| step.strip_prefix("filter ")).expect("a filter");
    let (name, value) = filter.split_once(" = ").expect("one comparison");
    let value: Value = serde_json::from_str(value).expect("a text in quotes");
    let kept: Vec<&Value> = lines.iter().filter(|line| member(line, name) == Some(&value)).collect();
    let fields = steps.iter().find_map(|step| step.strip_prefix("fields ")).expect("fields");
    for name in fields.split(", ").filter(|name| !name.starts_with('@')) {
        assert!(
            kept.iter().any(|line| member(line, name).is_some()),
            "{name} is in no line of {query}"
        );
    }
    kept
}

/// A query with a misspelt field finds nothing, and looks like a quiet night.
#[test]
fn the_queries_of_the_runbook_find_what_they_are_for() {
    let fixture = Fixture::new();
    let mut event = fixture.event();
    event["database"] = json!(["gone", "app"]);
    event["exclude_databases"] = json!(["other"]);
    let said = fixture.backup(&event);
    let mut lines = lines(&said);
    // As on Lambda, which gives the id.
    let id = "8f5e0a3c-2b1d-4f6e-9a7b-0c1d2e3f4a5b";
    lines.iter_mut().for_each(|line| line["requestId"] = json!(id));
    lines.push(json!({"timestamp": "2026-11-24T02:00:00Z", "level": "WARN", "database": "app", "message": "of another event"}));
    assert_eq!(found(&block("query failures"), &lines).len(), 1);
    assert_eq!(found(&block("query receipts"), &lines).len(), 1);
    assert!(found(&block("query warnings"), &lines).len() > 1, "{}", said.stderr);
    assert_eq!(found(&block("query run"), &lines).len(), lines.len() - 1);
}
