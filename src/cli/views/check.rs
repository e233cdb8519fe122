//! The report of a check: a line for each thing that was looked at.

use super::{failed, warned};
use crate::check::{Check, CheckReport, CheckStatus};
use crate::format::ToJson;
use crate::human::units::{counted, lasting, short, sized};
use crate::human::{Answer, Mark, Screen};
use crate::store::MAY_NOT;
use serde_json::Value;

/// What the event says: nobody has tried it when these are told.
const FACTS: &[&str] = &["event", "server", "databases"];

impl Answer for CheckReport {
    fn json(&self) -> String {
        self.to_json()
    }

    fn draw(&self, screen: &mut Screen) {
        let mut not_checked: Vec<(String, Vec<String>)> = Vec::new();
        for check in &self.checks {
            match not_checked_reason(check) {
                Some(reason) => {
                    let name = check.name.replace('_', " ");
                    match not_checked.iter_mut().find(|(known, _)| *known == reason) {
                        Some((_, names)) => names.push(name),
                        None => not_checked.push((reason, vec![name])),
                    }
                }
                None => draw_check(check, screen),
            }
        }
        for (reason, names) in not_checked {
            screen.mark(Mark::Skipped, format!("not checked: {}: {reason}", names.join(", ")));
        }
        screen.blank();
        let errors = self.checks.iter().filter_map(|check| check.error.as_ref());
        let failures: u64 = errors.map(|error| 1 + error.also.len() as u64).sum();
        if failures > 0 {
            screen.line(format!("Not ready: {}.", counted(failures, "fault")));
            return;
        }
        let number = |name: &str| self.estimate[name].as_u64().unwrap_or_default();
        let memory = self
            .estimates
            .iter()
            .filter_map(|estimate| estimate["estimate"]["memory"]["peak"].as_u64());
        screen.line(format!(
            "Ready: about {} of SQL, at least {}, at most {} of memory; ${:.2} a month for S3.",
            sized(number("dump_bytes")),
            lasting(number("seconds").max(1) * 1000),
            sized(memory.max().unwrap_or_default()),
            self.estimate["storage_usd_per_month"].as_f64().unwrap_or_default()
        ));
    }
}

/// Several may have the same one: a role that lacks one right often lacks its neighbours.
fn not_checked_reason(check: &Check) -> Option<String> {
    let detail = check.detail.as_ref().filter(|_| check.status == CheckStatus::NotChecked)?;
    let reason = text(&detail["reason"]);
    Some(match () {
        () if reason.starts_with(MAY_NOT) => "the role may not look; `pgseal policy` prints the rights that it needs".to_owned(),
        () if reason.contains("NotImplemented") => "this S3 server has no such calls".to_owned(),
        () => reason,
    })
}

fn draw_check(check: &Check, screen: &mut Screen) {
    let of = check.database.as_ref().map(|database| format!("{database}: ")).unwrap_or_default();
    if let Some(error) = &check.error {
        let about = format!("{of}{}", check.name.replace('_', " "));
        return failed(screen, &about, error);
    }
    let nothing = Value::Null;
    let detail = check.detail.as_ref().unwrap_or(&nothing);
    match check.status {
        CheckStatus::Warning => {
            let of = detail["database"]
                .as_str()
                .map(|database| format!("{database}: "))
                .unwrap_or_default();
            screen.mark(Mark::Warning, format!("{of}{}", text(&detail["warning"])));
            return;
        }
        CheckStatus::Skipped => return screen.mark(Mark::Skipped, format!("{of}skipped: {}", text(&detail["reason"]))),
        CheckStatus::NotChecked | CheckStatus::Ok | CheckStatus::Failed => {
            let mark = if FACTS.contains(&check.name) { Mark::Fact } else { Mark::Good };
            screen.mark(mark, format!("{of}{}", sentence(check.name, detail)));
        }
    }
    warned(screen, detail["warnings"].as_array().into_iter().flatten().map(text));
}

/// What is good about it.
fn sentence(name: &str, detail: &Value) -> String {
    match name {
        "event" => format!(
            "event: {} as {} to s3://{}/{}, {}, {}{}{}",
            listed(&detail["databases"]),
            text(&detail["user"]),
            text(&detail["bucket"]),
            text(&detail["prefix"]),
            text(&detail["compression"]),
            match detail["rate_limit_bytes_per_second"].as_u64() {
                Some(rate) => format!("at most {}/s", sized(rate)),
                None => "no limit on the rate".to_owned(),
            },
            match detail["rate_limit_times"].as_array().map_or(0, Vec::len) {
                0 => String::new(),
                times => format!(" ({} with another rate)", counted(times as u64, "time of the day")),
            },
            match detail["retention"].as_str() {
                Some(class) => format!(", kept as {class}"),
                None => String::new(),
            }
        ),
        "recipients" => {
            let keys = detail
                .as_array()
                .into_iter()
                .flatten()
                .map(|key| short(key.as_str().unwrap_or_default()).to_owned());
            format!("opens with the private key of {}", keys.collect::<Vec<_>>().join(", "))
        }
        "signing" => format!("signed by {}", short(detail["fingerprint"].as_str().unwrap_or_default())),
        "bucket" => format!("bucket {} in {}", text(&detail["bucket"]), text(&detail["region"])),
        "bucket_versioning" => "the bucket keeps versions".to_owned(),
        "bucket_lock" => match detail["default_days"].as_u64() {
            Some(days) => format!(
                "Object Lock: {} by default, {}",
                counted(days, "day"),
                text(&detail["default_mode"])
            ),
            None => "Object Lock is on, without a default".to_owned(),
        },
        "bucket_lifecycle" => format!(
            "{} of the bucket",
            counted(detail["rules"].as_u64().unwrap_or_default(), "lifecycle rule")
        ),
        "bucket_encryption" => format!("the bucket encrypts by {}, on top of the seal", text(&detail["algorithm"])),
        "bucket_policy" => "the bucket's policy denies to overwrite".to_owned(),
        "authorities" => format!(
            "trusts {}{}",
            counted(detail["certificates"].as_u64().unwrap_or_default(), "authority"),
            detail["made"].as_str().map(|made| format!(", of {made}")).unwrap_or_default()
        ),
        "conditional_writes" => "S3 refuses to overwrite, and compares checksums".to_owned(),
        "server" => format!(
            "server {}, port {}, TLS {}",
            text(&detail["host"]),
            text(&detail["port"]),
            match text(&detail["tls"]).as_str() {
                "disable" => "off".to_owned(),
                mode => mode.to_owned(),
            }
        ),
        "databases" => format!("databases: {}", listed(&detail["names"])),
        "name" if detail["already_complete"] == true => "this backup is already complete".to_owned(),
        "name" => "the backup's name is free".to_owned(),
        "database" => format!(
            "PostgreSQL {}, {}, {} on disk{}",
            text(&detail["server_version"]),
            counted(detail["tables"].as_u64().unwrap_or_default(), "table"),
            sized(detail["database_bytes"].as_u64().unwrap_or_default()),
            if detail["replica"] == true { ", a replica" } else { "" }
        ),
        "pg_dump" => format!("pg_dump {} in {}", text(&detail["version"]), text(&detail["folder"])),
        "selection" if detail["partial"] == true => "may read all of the chosen part".to_owned(),
        "selection" => "the user may read everything".to_owned(),
        other => other.replace('_', " "),
    }
}

/// Strings without their quotes, everything else as JSON has it.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn listed(value: &Value) -> String {
    match value {
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::String(all) if all == "*" => "every database".to_owned(),
        other => text(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Code, Error};
    use crate::human::Page;
    use serde_json::json;

    fn screen(report: &CheckReport) -> String {
        let mut screen = Screen::new(Page::plain(100));
        report.draw(&mut screen);
        screen.finish().as_str().to_owned()
    }

    /// Three faults of one event were told and counted as one.
    #[test]
    fn every_fault_is_counted() {
        let fault = |field: &str| Error::field(Code::BadEvent, field, "is wrong");
        let mut error = fault("bucket");
        error.also = vec![fault("host"), fault("user")];
        let mut report = CheckReport::refused(error);
        report.record("server", None, Err(Error::new(Code::DbTls, "the server speaks no TLS")));
        let text = screen(&report);
        assert!(text.contains("Not ready: 4 faults."), "{text}");
        for field in ["bucket", "host", "user"] {
            assert!(text.contains(field), "{text}");
        }
    }

    /// One right that was missing was five lines.
    #[test]
    fn what_was_not_looked_at_for_one_reason_is_one_line() {
        let mut report = CheckReport::empty(None);
        for name in ["bucket_versioning", "bucket_lock"] {
            report.add(name, CheckStatus::NotChecked, json!({"reason": format!("{MAY_NOT} s3:{name}")}));
        }
        let text = screen(&report);
        assert_eq!(text.matches("not checked").count(), 1, "{text}");
        assert!(
            text.contains("bucket versioning, bucket lock") && text.contains("pgseal policy"),
            "{text}"
        );
    }

    /// A server that nobody had reached stood there as good.
    #[test]
    fn what_the_event_says_has_another_mark_than_what_was_tried() {
        let mut report = CheckReport::empty(None);
        report.record("server", None, Ok(json!({"host": "db", "port": 5432, "tls": "verify-full"})));
        report.record("recipients", None, Ok(json!(["45d2ebf9c13a70e2"])));
        let text = screen(&report);
        let marks: Vec<_> = text.lines().filter_map(|line| line.trim_start().chars().next()).take(2).collect();
        assert!(marks[0] != '✓' && marks[1] == '✓', "{text}");
    }
}
