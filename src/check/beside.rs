//! What a backup needs nothing of, and is worth less without: the bucket's settings, and how old the authorities are that the
//! server is trusted by.

use super::{CheckReport, CheckStatus};
use crate::cancel::Cancel;
use crate::error::{Code, Error};
use crate::plan::{Plan, RetentionClass};
use crate::rds::authorities::Authorities;
use crate::store::{BucketSetting, ExpectedRules, S3};
use serde_json::json;
use time::OffsetDateTime;

pub(super) async fn bucket_settings(store: &S3, plan: &Plan, cancel: &Cancel, report: &mut CheckReport) {
    let prefix = plan.destination.prefix.as_str();
    let prefix = match prefix.split_once("{host}") {
        Some((before, _)) => before.to_owned(),
        None if prefix.is_empty() => String::new(),
        // As keys have it: rules and policies name a folder with its slash.
        None => format!("{prefix}/"),
    };
    let rules = ExpectedRules {
        prefix: &prefix,
        retention: plan
            .retention_classes
            .iter()
            .map(|class| (RetentionClass::as_str(*class), plan.retention_days.of(*class)))
            .collect(),
    };
    let asking = async { Ok(store.bucket_settings(&rules).await) };
    // After a cancel nothing more is said than what is said already.
    let Ok(settings) = cancel.run_until_cancelled(asking).await else {
        return;
    };
    for (name, setting) in settings {
        match setting {
            // S3 refuses every write then.
            BucketSetting::Lacking(reason) if name == "bucket_lock" && plan.destination.object_lock.is_some() => {
                let error = Error::field(Code::S3Denied, "object_lock", format!("asks for what the bucket has not: {reason}"));
                let error = error.advise("Turn Object Lock on for the bucket, or leave `object_lock` out.");
                report.record(name, None, Err(error));
            }
            BucketSetting::Good(detail) => report.add(name, CheckStatus::Ok, detail),
            BucketSetting::Lacking(warning) => report.add(name, CheckStatus::Warning, json!({"warning": warning})),
            BucketSetting::NotSeen(reason) => report.add(name, CheckStatus::NotChecked, json!({"reason": reason})),
        }
    }
}

pub(super) fn authorities(roots: &[u8], report: &mut CheckReport) {
    let found = Authorities::new(roots);
    let detail = json!({"certificates": found.certificates, "made": found.made.map(|day| day.to_string()), "warning": found.warning(OffsetDateTime::now_utc())});
    let status = match detail["warning"].is_null() {
        true => CheckStatus::Ok,
        false => CheckStatus::Warning,
    };
    report.add("authorities", status, detail);
}
