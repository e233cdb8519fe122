//! `check`: everything short of the dump, as a report that a machine can read. Writes nothing.

use crate::backup::{Estimate, Job};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::event::Env;
use crate::pipeline::clients;
use crate::plan::{DatabaseName, Memory, Plan};
use crate::rds::Server;
use crate::rds::preflight::{Facts, preflight};
use crate::store::S3;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Each thing that was looked at, and what it came to.
#[derive(Debug, Serialize)]
pub struct Report {
    pub status: &'static str,
    pub checks: Vec<Check>,
    /// The formula, before any database is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// For each database.
    pub estimates: Vec<Value>,
    /// Of all databases together.
    pub estimate: Value,
}

#[derive(Debug, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

impl Report {
    pub fn failure(&self) -> Option<&Error> {
        self.checks.iter().find_map(|check| check.error.as_ref())
    }

    pub fn to_json(&self) -> String {
        // Every field is a text, number or list: this cannot fail.
        serde_json::to_string(self).unwrap_or_else(|_| "{\"status\":\"failed\"}".to_owned())
    }

    fn note(&mut self, name: &'static str, database: Option<&DatabaseName>, outcome: Result<Value>) -> bool {
        let database = database.map(|name| name.as_str().to_owned());
        let (status, detail, error) = match outcome {
            Ok(detail) => ("ok", Some(detail), None),
            Err(error) => ("failed", None, Some(error)),
        };
        if error.is_some() {
            self.status = "failed";
        }
        self.checks.push(Check {
            name,
            status,
            database,
            detail,
            error,
        });
        self.status != "failed" || status == "ok"
    }
}

/// Looks at all that can be looked at, and goes on after a failure wherever that makes sense.
pub async fn run(plan: &Plan, env: &Env, cancel: &Cancel) -> Report {
    let memory = plan.memory(0).ok();
    let mut report = Report {
        status: "ok",
        checks: Vec::new(),
        memory,
        estimates: Vec::new(),
        estimate: Value::Null,
    };
    report.note("event", None, Ok(describe(plan)));
    let store = Arc::new(S3::open(&plan.destination, env).await);
    let bucket = cancel.race(store.check_bucket()).await;
    let is_bucket_there = bucket.is_ok();
    report.note(
        "bucket",
        None,
        bucket.map(|()| json!({"bucket": plan.destination.bucket, "region": plan.destination.region})),
    );
    let server = match cancel.race(Server::find(&plan.source)).await {
        Ok(server) => server,
        Err(error) => {
            report.note("server", None, Err(error));
            return report;
        }
    };
    report.note(
        "server",
        None,
        Ok(json!({"host": server.host.as_str(), "port": server.port, "tls": server.tls.mode.as_str()})),
    );
    let job = Job {
        plan,
        env,
        server,
        store,
        deadline: None,
        cancel,
    };
    let names = match job.databases().await {
        Ok((names, warnings)) => {
            report.note(
                "databases",
                None,
                Ok(json!({
                    "names": names.iter().map(DatabaseName::as_str).collect::<Vec<_>>(),
                    "stems": stems(&job, &names),
                    "warnings": warnings,
                })),
            );
            names
        }
        Err(error) => {
            report.note("databases", None, Err(error));
            return report;
        }
    };
    let (mut bytes, mut seconds) = (0, 0);
    for name in &names {
        if is_bucket_there {
            let found = job.look_under_name(name).await;
            report.note("name", Some(name), found.map(|finished| json!({"already_complete": finished})));
        }
        if let Some(estimate) = one(&job, name, &mut report).await {
            bytes += estimate.dump_bytes;
            seconds += estimate.seconds;
        }
    }
    report.estimate = json!({"dump_bytes": bytes, "seconds": seconds});
    report
}

/// What the backups would be named, now that the server is known.
fn stems(job: &Job<'_>, names: &[DatabaseName]) -> Vec<String> {
    let stems = names.iter().filter_map(|name| job.plan.stem(name, &job.server.host).ok());
    stems.map(|stem| stem.to_string()).collect()
}

async fn one(job: &Job<'_>, name: &DatabaseName, report: &mut Report) -> Option<Estimate> {
    let facts = preflight(&job.server, name, &job.plan.selection, job.cancel).await;
    let facts = match facts {
        Ok(facts) => {
            report.note("database", Some(name), Ok(json!(facts)));
            facts
        }
        Err(error) => {
            report.note("database", Some(name), Err(error));
            return None;
        }
    };
    let client = clients::find(&job.plan.client_folders, job.env.get("PATH"), facts.major());
    report.note(
        "pg_dump",
        Some(name),
        client.map(|client| json!({"version": client.version, "folder": client.folder})),
    );
    estimate(job.plan, name, &facts, report)
}

fn estimate(plan: &Plan, name: &DatabaseName, facts: &Facts, report: &mut Report) -> Option<Estimate> {
    match Estimate::of(plan, facts) {
        Ok(estimate) => {
            report.estimates.push(json!({"database": name.as_str(), "estimate": estimate}));
            Some(estimate)
        }
        Err(error) => {
            report.note("memory", Some(name), Err(error));
            None
        }
    }
}

/// The plan as a person would check it: no key, no password.
pub fn describe(plan: &Plan) -> Value {
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
        "region": plan.source.region,
        "bucket": plan.destination.bucket,
        "prefix": plan.destination.prefix.as_str(),
        "bucket_region": plan.destination.region,
        "recipients": plan.recipients.iter().map(|key| json!({"fingerprint": key.fingerprint, "bits": key.bits})).collect::<Vec<_>>(),
        "rate_limit_bytes_per_second": plan.rate_limit.bytes_per_second(),
        "compression": plan.compression.to_string(),
        "workers": plan.workers,
        "format": plan.format.as_str(),
        "globals": plan.globals,
        "lock_timeout_ms": plan.lock_timeout.as_millis() as u64,
        "scheduled_time": crate::envelope::manifest::Timestamp(plan.scheduled_time).to_string(),
        "partial": plan.selection.is_partial(),
        "warnings": plan.warnings,
    })
}
