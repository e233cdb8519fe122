//! What came of a fleet's backups of one time: which of those that were planned are there.

use super::PLAN_LOCATION;
use super::files::{self, WrittenItem};
use crate::aws::manifest_signer::ManifestSigner;
use crate::backup;
use crate::cancel::Cancel;
use crate::envelope::manifest::Timestamp;
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::format::names::DatabaseName;
use crate::plan::Plan;
use crate::store::S3;
use crate::variables::Env;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use serde_json::Value;

const AT_ONCE: usize = 32;
/// More are counted.
const SHOWN: usize = 100;
/// Percents of the databases.
const TOLERATED: &str = "PGSEAL_TOLERATED_FAILURES";

#[derive(Debug, Serialize)]
pub(crate) struct FleetSummary {
    /// `complete`: no more are missing than is tolerated.
    pub status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_time: Option<String>,
    pub databases: usize,
    pub complete: usize,
    pub failed: usize,
    /// The first hundred.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<FleetFailure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

/// Of a database that has no backup of this time.
#[derive(Debug, Serialize)]
pub(crate) struct FleetFailure {
    pub group: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// What stands in the way now, or what the plan knew; what the backup came to is in its own log and in the execution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl FleetSummary {
    pub(crate) fn refused(error: Error) -> Self {
        Self {
            status: "failed",
            scheduled_time: None,
            databases: 0,
            complete: 0,
            failed: 0,
            failures: Vec::new(),
            error: Some(error),
        }
    }
}

/// By the backups that are there, which are the truth: nothing is asked of the executions.
pub(crate) async fn summarize(plan: &Plan, env: &Env, cancel: &Cancel) -> FleetSummary {
    let looked = async {
        let tolerated = tolerated(env)?;
        let location = env.get(PLAN_LOCATION).ok_or_else(|| {
            Error::field(
                Code::BadEvent,
                PLAN_LOCATION,
                "is missing: it names the place of the plan that is summed up",
            )
        })?;
        let items = files::read(location, plan.scheduled_time, env).await?;
        let store = S3::open(&plan.destination, env).await?;
        let signer = match &plan.signing_key {
            Some(key) => Some(ManifestSigner::open(key).await?.verifier()?),
            None => None,
        };
        let looking = items.into_iter().map(|item| look(plan, &store, signer.as_ref(), item));
        let found: Vec<Result<Option<FleetFailure>>> = stream::iter(looking).buffered(AT_ONCE).collect().await;
        let total = found.len();
        let failures: Vec<FleetFailure> = found.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        Ok((tolerated, total, failures))
    };
    match cancel.run_until_cancelled(looked).await {
        Ok((tolerated, total, failures)) => sum_up(plan, tolerated, total, failures),
        Err(error) => FleetSummary::refused(error),
    }
}

fn sum_up(plan: &Plan, tolerated: f64, total: usize, mut failures: Vec<FleetFailure>) -> FleetSummary {
    let (failed, time) = (failures.len(), Timestamp(plan.scheduled_time).to_string());
    failures.truncate(SHOWN);
    let share = failed as f64 * 100.0 / total.max(1) as f64;
    let error = (share > tolerated).then(|| {
        Error::new(
            Code::NoBackup,
            format!("{failed} of {total} databases have no backup of {time}, and {tolerated} % are tolerated"),
        )
        .advise("The failures are named here; the log of each backup, and its execution of the state machine, say why.")
    });
    FleetSummary {
        status: if error.is_some() { "failed" } else { "complete" },
        scheduled_time: Some(time),
        databases: total,
        complete: total - failed,
        failed,
        failures,
        error,
    }
}

/// `None` if there is a backup of this very order, by what another run of it would find.
async fn look(plan: &Plan, store: &S3, signer: Option<&Verifier>, item: WrittenItem) -> Result<Option<FleetFailure>> {
    let found = match (&item.event, &item.database) {
        (Some(event), Some(database)) => exists(plan, store, signer, event, database).await,
        _ => Ok(false),
    };
    let code = match found {
        Ok(true) => return Ok(None),
        Ok(false) => item.error.map(|error| error.code),
        // Of one database: another backup has its name, or it may not be read.
        Err(error) if matches!(error.code, Code::StemTaken | Code::S3Denied | Code::HostNotAllowed | Code::BadName) => {
            Some(error.code.name().to_owned())
        }
        Err(error) => return Err(error),
    };
    Ok(Some(FleetFailure {
        group: item.group,
        database: item.database,
        code,
    }))
}

async fn exists(plan: &Plan, store: &S3, signer: Option<&Verifier>, event: &Value, database: &str) -> Result<bool> {
    let host = event["host"].as_str().unwrap_or_default();
    let host = plan.source.allowed_hosts.admit(host)?;
    // A plan writes it into each event.
    let port = event["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or_default();
    backup::is_made(plan, (&host, port), &DatabaseName::new(database)?, store, signer).await
}

fn tolerated(env: &Env) -> Result<f64> {
    let Some(text) = env.get(TOLERATED) else { return Ok(0.0) };
    let percent = text
        .trim_end_matches('%')
        .trim()
        .parse()
        .ok()
        .filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| {
        Error::field(
            Code::BadEvent,
            TOLERATED,
            "(an environment variable) must be percents from 0 to 100, such as 5",
        )
    })
}
