//! What alarms and dashboards go by: one line a database in CloudWatch's embedded metric format, in the log
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
//!
//! Each distinct set of dimensions is a metric that costs money: there are two, the server and the database on it.

use crate::format::names::DatabaseName;
use crate::observe::logs::record;
use crate::receipt::{BackupSummary, Receipt, ReceiptEntry, Status};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

const NAMESPACE: &str = "pgseal";

/// Names and units, in the order of a line. Templates and dashboards use no others.
pub const METRICS: &[(&str, &str)] = &[
    ("Complete", "Count"),
    ("DumpedBytes", "Bytes"),
    ("StoredBytes", "Bytes"),
    ("CompressionRatio", "None"),
    ("Duration", "Seconds"),
    ("Throttled", "Seconds"),
    ("Rows", "Count"),
    ("Warnings", "Count"),
    ("DrillPassed", "Count"),
    ("DrillDuration", "Seconds"),
    ("FleetDatabases", "Count"),
    ("FleetComplete", "Count"),
    ("FleetFailed", "Count"),
];

/// The receipt and its metrics, for programs that read the log. Warnings and failures have lines of their own.
pub(crate) fn record_receipt(receipt: &Receipt, server: Option<&str>) {
    record!(json!({"receipt": receipt}), "receipt");
    let Some(server) = server else { return };
    for line in of_receipt(receipt, server, OffsetDateTime::now_utc()) {
        record!(line);
    }
}

/// `server` is the folder that the backup lies in, which `backups/{host}` makes the server's name.
pub(crate) fn record_drill(server: &str, database: Option<&str>, has_passed: bool, duration_ms: u64) {
    let values = [
        ("DrillPassed", f64::from(u8::from(has_passed))),
        ("DrillDuration", seconds(duration_ms)),
    ];
    record!(line(&dimension(server), database, &values, OffsetDateTime::now_utc()));
}

/// Of all databases of one time: one line without dimensions.
pub(crate) fn record_fleet(databases: usize, complete: usize) {
    let values = [
        ("FleetDatabases", databases as f64),
        ("FleetComplete", complete as f64),
        ("FleetFailed", (databases - complete) as f64),
    ];
    record!(of_fleet(&values, OffsetDateTime::now_utc()));
}

fn of_fleet(values: &[(&'static str, f64)], now: OffsetDateTime) -> Value {
    let mut line = line("", None, values, now);
    line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] = json!([[]]);
    if let Some(line) = line.as_object_mut() {
        line.remove("Server");
    }
    line
}

fn of_receipt(receipt: &Receipt, server: &str, now: OffsetDateTime) -> Vec<Value> {
    let server = &dimension(server);
    // PostgreSQL forbids to dump it: nobody is to be woken for it.
    let tried = receipt.backups.iter().filter(|entry| entry.status != Status::Skipped);
    let of_entry = |entry: &ReceiptEntry| {
        let mut line = line(server, Some(&entry.database), &values(entry, now), now);
        // No metric, so that a search of the log finds it.
        if entry.made.as_ref().is_some_and(|made| made.partial) {
            line["Partial"] = true.into();
        }
        line
    };
    let mut lines: Vec<Value> = tried.map(of_entry).collect();
    if receipt.backups.is_empty() && receipt.error.is_some() {
        lines.push(line(server, None, &[("Complete", 0.0)], now));
    }
    lines
}

/// How old a backup that is found may be to be told as this event's: one that always has the same time makes no new ones, and the
/// alarm on missing backups must hear of that.
const OF_THIS_EVENT: time::Duration = time::Duration::days(1);

fn values(entry: &ReceiptEntry, now: OffsetDateTime) -> Vec<(&'static str, f64)> {
    let made = entry.made.as_ref();
    let is_recent = |made: &BackupSummary| entry.status == Status::Complete || now - made.finished_at.0 <= OF_THIS_EVENT;
    let mut values = vec![("Complete", f64::from(u8::from(made.is_some_and(is_recent))))];
    // What an earlier delivery made was counted then.
    if let (Status::Complete, Some(made)) = (entry.status, made) {
        values.extend(of_new(made));
    }
    values.extend(made.map(|made| ("Warnings", made.warnings.len() as f64)));
    values
}

fn of_new(made: &BackupSummary) -> impl Iterator<Item = (&'static str, f64)> {
    let stored: u64 = made.objects.iter().map(|object| object.size).sum();
    [
        ("DumpedBytes", made.dumped_bytes as f64),
        ("StoredBytes", stored as f64),
        ("CompressionRatio", made.dumped_bytes as f64 / stored.max(1) as f64),
        ("Duration", seconds(made.duration_ms)),
        ("Throttled", seconds(made.throttled_ms.unwrap_or_default())),
        ("Rows", made.rows as f64),
    ]
    .into_iter()
}

fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}

fn line(server: &str, database: Option<&str>, values: &[(&'static str, f64)], now: OffsetDateTime) -> Value {
    let units = METRICS.iter().filter(|(name, _)| values.iter().any(|(value, _)| value == name));
    let units: Vec<Value> = units.map(|(name, unit)| json!({"Name": name, "Unit": unit})).collect();
    let dimensions = match database {
        Some(_) => json!([["Server"], ["Server", "Database"]]),
        None => json!([["Server"]]),
    };
    let mut line = Map::new();
    line.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": (now.unix_timestamp_nanos() / 1_000_000) as i64,
            "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": units}],
        }),
    );
    line.insert("Server".to_owned(), server.into());
    line.extend(database.map(|database| ("Database".to_owned(), dimension(database).into())));
    line.extend(values.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    Value::Object(line)
}

/// A dimension's value is ASCII, and does not begin with a colon: a name as it stands in keys.
fn dimension(database: &str) -> String {
    match DatabaseName::new(database) {
        Ok(name) => name.encoded(),
        Err(_) => "unnamable".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Code, Error};
    use crate::receipt::tests::summary;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-24 02:00 UTC);

    fn metrics(line: &Value) -> Vec<(&str, f64)> {
        let named = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
        let one = |metric: &Value| {
            let (name, _) = METRICS
                .iter()
                .find(|(name, unit)| metric["Name"] == *name && metric["Unit"] == *unit)
                .unwrap();
            (*name, line[*name].as_f64().unwrap())
        };
        named.iter().map(one).collect()
    }

    #[test]
    fn a_database_has_one_line_and_what_was_not_made_now_is_not_counted_twice() {
        let stem = || "backups/orders/app_20261124T020000Z".to_owned();
        let receipt = Receipt::new(
            vec![
                ReceiptEntry::complete("app", stem(), summary()),
                ReceiptEntry::already_complete("billing", stem(), summary()),
                ReceiptEntry::failed("stöck", None, Error::new(Code::DbBusy, "too many connections")),
                ReceiptEntry::skipped("old", "it takes no connections"),
            ],
            Vec::new(),
        );
        let lines = of_receipt(&receipt, "orders", NOW);
        assert_eq!(lines.len(), 3, "{lines:?}");
        let made = metrics(&lines[0]);
        let names: Vec<&str> = made.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, METRICS.iter().map(|(name, _)| *name).take(8).collect::<Vec<_>>());
        assert_eq!((made[0].1, made[1].1, made[4].1), (1.0, 25_400_000.0, 65.0));
        assert_eq!(
            metrics(&lines[1]).iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            ["Complete", "Warnings"]
        );
        assert_eq!(metrics(&lines[2]), [("Complete", 0.0)]);
        assert!(lines[2]["Database"].as_str().unwrap().is_ascii(), "{}", lines[2]);
        for line in &lines {
            assert_eq!(line["Server"], "orders");
            assert_eq!(line["_aws"]["Timestamp"], 1_795_485_600_000_i64);
        }
    }

    /// An event with a fixed time was told as a new backup, night after night, and no alarm was raised.
    #[test]
    fn a_backup_of_the_day_before_yesterday_is_no_new_one() {
        let complete = |days| {
            let entry = ReceiptEntry::already_complete("app", "backups/app".to_owned(), summary());
            let lines = of_receipt(&Receipt::new(vec![entry], Vec::new()), "::1", NOW + time::Duration::days(days));
            assert_eq!(lines[0]["Server"], "%3A%3A1");
            lines[0]["Complete"].clone()
        };
        assert_eq!((complete(0), complete(2)), (json!(1.0), json!(0.0)));
    }

    #[test]
    fn what_failed_before_any_database_was_known_is_a_failure_of_the_server() {
        let receipt = Receipt::refused(Error::new(Code::DbUnreachable, "the name does not resolve"));
        let lines = of_receipt(&receipt, "orders", NOW);
        assert_eq!(lines.len(), 1);
        assert_eq!(metrics(&lines[0]), [("Complete", 0.0)]);
        assert_eq!(lines[0]["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["Server"]]));
    }
}
