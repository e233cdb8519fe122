//! `check`: everything short of the dump, as a report that a machine can read. Writes nothing.

mod beside;
mod report;

pub(crate) use report::{Check, CheckReport, CheckStatus};

use crate::aws::endpoints_in_clear;
use crate::aws::manifest_signer::ManifestSigner;
use crate::backup::{BackupContext, Estimate};
use crate::cancel::Cancel;
use crate::envelope::data_key::DataKey;
use crate::envelope::recipient;
use crate::error::Result;
use crate::format::names::DatabaseName;
use crate::plan::{Plan, RegionName, RetentionClass};
use crate::rds::Server;
use crate::rds::databases::ListedDatabase;
use crate::rds::preflight::{ServerFacts, facts, locked_of_any_kind};
use crate::rds::{Session, properties, selection, timeouts};
use crate::store::{BucketProbe, ConditionalSupport, S3};
use crate::variables::Env;
use serde_json::{Value, json};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;

/// Anyone who waits at a terminal for longer than this is told for what.
const PATIENCE: Duration = Duration::from_secs(3);

async fn told_when_slow<T>(patience: Duration, work: impl Future<Output = T>, tell: impl FnOnce()) -> T {
    let mut work = pin!(work);
    match tokio::time::timeout(patience, work.as_mut()).await {
        Ok(done) => done,
        Err(_) => {
            tell();
            work.await
        }
    }
}

/// Looks at all that can be looked at, and goes on after a failure wherever that makes sense.
pub(crate) async fn run_checks(plan: &Plan, env: &Env, deadline: Option<OffsetDateTime>, cancel: &Cancel) -> CheckReport {
    let mut report = CheckReport::empty(plan.memory(0).ok());
    report.record("event", None, Ok(describe(plan)));
    let tested = cancel.run_until_cancelled(recipient::tested(&plan.recipients)).await;
    report.record("recipients", None, tested.and_then(|()| recipients(plan)));
    if let Some(key) = &plan.signing_key {
        let signing = cancel.run_until_cancelled(ManifestSigner::tried(key)).await;
        report.record(
            "signing",
            None,
            signing.map(|signing| json!({"fingerprint": signing.signer.fingerprint})),
        );
    }
    let store = match S3::open(&plan.destination, env).await {
        Ok(store) => Arc::new(store),
        Err(error) => {
            report.record("bucket", None, Err(error));
            return report;
        }
    };
    let waiting_for_s3 = || tracing::info!(bucket = plan.destination.bucket.name.as_str(), "waiting for S3");
    let is_bucket_there = told_when_slow(PATIENCE, look_at_bucket(&store, plan, cancel, &mut report), waiting_for_s3).await;
    let finding = cancel.run_until_cancelled(Server::find(&plan.source));
    let server = match told_when_slow(PATIENCE, finding, || tracing::info!("waiting for RDS")).await {
        Ok(server) => server,
        Err(error) => {
            report.record("server", None, Err(error));
            return report;
        }
    };
    report.record(
        "server",
        None,
        Ok(json!({"host": server.host.as_str(), "port": server.port, "tls": server.tls.mode.as_str()})),
    );
    if server.tls.mode.verifies() {
        beside::authorities(&server.tls.roots, &mut report);
    }
    let context = BackupContext {
        plan,
        env,
        server,
        store,
        deadline,
        cancel,
    };
    let listing = told_when_slow(PATIENCE, context.databases(), || tracing::info!("waiting for the database server"));
    let list = match listing.await {
        Ok(list) => list,
        Err(error) => {
            report.record("databases", None, Err(error));
            return report;
        }
    };
    let chosen: Vec<&DatabaseName> = list.databases.iter().filter_map(ListedDatabase::chosen).collect();
    let names: Vec<&str> = chosen.iter().map(|name| name.as_str()).collect();
    let detail = json!({"names": names, "stems": stems(&context, &chosen), "warnings": list.warnings});
    report.record("databases", None, Ok(detail));
    let (mut bytes, mut seconds, mut storage) = (0, 0, 0.0);
    for listed in list.databases {
        match listed {
            ListedDatabase::Chosen(name) => {
                if is_bucket_there {
                    let found = context.look_under_name(&name).await;
                    report.record("name", Some(&name), found.map(|finished| json!({"already_complete": finished})));
                }
                if let Some(estimate) = check_database(&context, &name, &mut report).await {
                    bytes += estimate.dump_bytes;
                    seconds += estimate.seconds;
                    storage += estimate.storage.usd_per_month;
                }
            }
            ListedDatabase::Skipped { name, reason } => report.checks.push(Check {
                name: "database",
                status: CheckStatus::Skipped,
                database: Some(name),
                detail: Some(json!({"reason": reason})),
                error: None,
            }),
            ListedDatabase::Failed { name, error, .. } => {
                report.note_of("database", Some(name), Err(error));
            }
        }
    }
    report.estimate = json!({"dump_bytes": bytes, "seconds": seconds, "storage_usd_per_month": storage});
    report
}

/// The bucket, and whether this S3 has what nothing is overwritten by.
async fn look_at_bucket(store: &S3, plan: &Plan, cancel: &Cancel, report: &mut CheckReport) -> bool {
    let clear = endpoints_in_clear();
    if !clear.is_empty() {
        let detail = json!({"variables": clear, "warning": "http:// to another machine: requests and session tokens are sent unencrypted"});
        report.add("endpoints", CheckStatus::Warning, detail);
    }
    match cancel.run_until_cancelled(store.check_bucket()).await {
        Ok(BucketProbe::Found) => {
            let bucket = &plan.destination.bucket;
            let detail = json!({"bucket": bucket.name.as_str(), "region": bucket.region.as_str()});
            report.record("bucket", None, Ok(detail));
        }
        // A backup needs no such right.
        Ok(BucketProbe::Forbidden(reason)) => report.add("bucket", CheckStatus::NotChecked, json!({"reason": reason})),
        Err(error) => {
            report.record("bucket", None, Err(error));
            return false;
        }
    }
    match cancel.run_until_cancelled(store.support()).await {
        Ok(ConditionalSupport::Supported) => {
            report.record("conditional_writes", None, Ok(json!({"if_none_match": true, "checksums": true})))
        }
        Err(error) => report.record("conditional_writes", None, Err(error)),
        Ok(ConditionalSupport::NotChecked(reason)) => report.add("conditional_writes", CheckStatus::NotChecked, json!({"reason": reason})),
    };
    beside::bucket_settings(store, plan, cancel, report).await;
    true
}

/// What the backups would be named, now that the server is known.
fn stems(context: &BackupContext<'_>, names: &[&DatabaseName]) -> Vec<String> {
    let stems = names.iter().filter_map(|name| context.plan.stem(name, &context.server.host).ok());
    stems.map(|stem| stem.to_string()).collect()
}

async fn check_database(context: &BackupContext<'_>, name: &DatabaseName, report: &mut CheckReport) -> Option<Estimate> {
    let looking = async {
        let session = Session::open(&context.server, name, context.cancel).await?;
        let facts = facts(&session, &context.plan.selection).await?;
        Ok((session, facts))
    };
    let (session, facts) = match context.server.in_time(looking).await {
        Ok((session, facts)) => {
            report.record("database", Some(name), Ok(json!(facts)));
            if context.plan.globals
                && let Some(warning) = timeouts::warning(&facts)
            {
                report.add(
                    "globals",
                    CheckStatus::Warning,
                    json!({"database": name.as_str(), "warning": warning}),
                );
            }
            (session, facts)
        }
        Err(error) => {
            report.record("database", Some(name), Err(error));
            return None;
        }
    };
    warn_of_locks(context, name, &session, report).await;
    let client = context.find_client(facts.major()).await;
    let major = client.as_ref().map_or(facts.major(), |client| client.major);
    report.record(
        "pg_dump",
        Some(name),
        client.map(|client| json!({"version": client.version, "folder": client.folder})),
    );
    let looking = async {
        let selected = selection::resolve(&session, name, &context.plan.selection, major).await?;
        let mut properties = properties::ask(&session, &context.plan.selection).await?;
        properties.ask_for_dumped(&session, &selected).await?;
        let mut warnings = selected.warnings;
        warnings.extend(properties.warnings);
        let told = json!({"partial": context.plan.selection.is_partial(), "matches": selected.matches, "warnings": warnings});
        Ok((told, selected.dump_bytes))
    };
    let selected = context.server.in_time(looking).await;
    let part = selected.as_ref().ok().and_then(|(_, bytes)| *bytes);
    report.record("selection", Some(name), selected.map(|(told, _)| told));
    estimate(context, name, &facts, part, report)
}

/// A lock may be gone by the time of the backup: a warning, and none where it cannot be looked at.
async fn warn_of_locks(context: &BackupContext<'_>, name: &DatabaseName, session: &Session<'_>, report: &mut CheckReport) {
    let Ok(locked) = context.server.in_time(locked_of_any_kind(session)).await else {
        return;
    };
    if locked.is_empty() {
        return;
    }
    let warning = format!(
        "locked exclusively now: {locked}; a backup waits {} s (`lock_timeout`) for each that it dumps, and then fails",
        context.plan.lock_timeout.as_secs_f64()
    );
    report.add(
        "locks",
        CheckStatus::Warning,
        json!({"database": name.as_str(), "warning": warning}),
    );
}

/// A data key is wrapped for each of them, as a backup does it, and thrown away.
fn recipients(plan: &Plan) -> Result<Value> {
    let seal = DataKey::new(plan.format)?;
    for recipient in &plan.recipients {
        seal.wrap(recipient)?;
    }
    Ok(plan.recipients.iter().map(|recipient| recipient.fingerprint.clone()).collect())
}

fn estimate(
    context: &BackupContext<'_>,
    name: &DatabaseName,
    facts: &ServerFacts,
    part: Option<u64>,
    report: &mut CheckReport,
) -> Option<Estimate> {
    match Estimate::new(context.plan, facts, part) {
        Ok(estimate) => {
            report.estimates.push(json!({"database": name.as_str(), "estimate": estimate}));
            if let Some(warning) = estimate.warning(context.plan) {
                report.add(
                    "estimate",
                    CheckStatus::Warning,
                    json!({"database": name.as_str(), "warning": warning}),
                );
            }
            if let Err(error) = estimate.check_deadline(context.plan, context.deadline) {
                report.record("deadline", Some(name), Err(error));
            }
            Some(estimate)
        }
        Err(error) => {
            report.record("memory", Some(name), Err(error));
            None
        }
    }
}

/// The plan as a person would check it: no key, no password.
pub(crate) fn describe(plan: &Plan) -> Value {
    json!({
        "action": format!("{:?}", plan.action).to_lowercase(),
        "databases": match &plan.databases {
            crate::plan::Databases::All => json!("*"),
            crate::plan::Databases::Named(names) => json!(names.iter().map(|name| name.as_str()).collect::<Vec<_>>()),
        },
        "stems": match &plan.databases {
            crate::plan::Databases::All => json!([]),
            crate::plan::Databases::Named(names) => {
                json!(names.iter().filter_map(|name| plan.known_stem(name)).map(|stem| stem.to_string()).collect::<Vec<_>>())
            }
        },
        "user": plan.source.user,
        "region": plan.source.region.as_ref().map(RegionName::as_str),
        "bucket": plan.destination.bucket.name.as_str(),
        "prefix": plan.destination.prefix.as_str(),
        "bucket_region": plan.destination.bucket.region.as_str(),
        "recipients": plan.recipients.iter().map(|key| json!({"fingerprint": key.fingerprint, "bits": key.bits})).collect::<Vec<_>>(),
        "rate_limit_bytes_per_second": plan.rate_limit.rest().bytes_per_second(),
        "rate_limit_times": plan.rate_limit.to_json(),
        "retention": plan.destination.retention.map(RetentionClass::as_str),
        "compression": plan.compression.to_string(),
        "workers": plan.workers,
        "format": plan.format.as_str(),
        "globals": plan.globals,
        "lock_timeout_ms": plan.lock_timeout.as_millis() as u64,
        "scheduled_time": crate::envelope::manifest::Timestamp(plan.scheduled_time).to_string(),
        "partial": plan.selection.is_partial(),
        "warnings": plan.warnings.iter().chain(&plan.lateness).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn a_wait_is_told_only_where_it_is_long() {
        let told = Cell::new(false);
        let patience = Duration::from_secs(3600);
        assert_eq!(told_when_slow(patience, async { 7 }, || told.set(true)).await, 7);
        assert!(!told.get());
        let until_told = async {
            while !told.get() {
                tokio::task::yield_now().await;
            }
            8
        };
        assert_eq!(told_when_slow(Duration::ZERO, until_told, || told.set(true)).await, 8);
    }
}
