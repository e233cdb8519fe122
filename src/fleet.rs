//! All servers of an account and region, for AWS's Step Functions: the plan of their backups, and what came of it.

mod files;
mod known_items;
#[cfg(test)]
mod scale;
mod summary;

pub(crate) use summary::{FleetSummary, summarize};

use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::observe::logs::ANSWER;
use crate::plan::{Discovery, Plan, RuntimeLimits};
use crate::plan_events::{BackupPlan, PlanLimits, PlannedBackup, plan_backups};
use crate::rds::discovery::{DiscoveredServer, ServerState, servers};
use crate::variables::Env;
use futures_util::{StreamExt, stream};
use time::OffsetDateTime;
use tokio::time::Instant;

/// Servers that are asked at once: each gets one connection.
const AT_ONCE: usize = 64;
/// Of the time that a plan has: a server that does not answer must not take the others with it.
const SHARE_OF_LOOKING: f64 = 0.8;
const SHOWN_WARNINGS: usize = 100;
/// Bytes.
const LONGEST_WARNING: usize = 500;

/// Where a plan's items go as files: for a state machine, whose states hold no more than 256 KiB.
const PLAN_LOCATION: &str = "PGSEAL_PLAN_LOCATION";

/// An event that means many servers, and where it is worked at.
pub(crate) struct FleetEvent<'a> {
    pub event: &'a Event,
    pub plan: &'a Plan,
    pub place: RuntimeLimits,
    pub deadline: Option<OffsetDateTime>,
}

/// Looks at every database of every server that is meant. One that cannot be asked is an item that fails.
pub(crate) async fn plan_fleet(fleet: &FleetEvent<'_>, asked: &Discovery, env: &Env, cancel: &Cancel) -> BackupPlan {
    let planned = async {
        let found = Box::pin(items(fleet, asked, env, cancel)).await?;
        let Some(location) = env.get(PLAN_LOCATION) else {
            return Ok(BackupPlan::new(found.0, found.1, None));
        };
        let (items, mut warnings) = found;
        let left_out = items.iter().filter(|item| item.status.is_some());
        for item in left_out {
            tracing::warn!(
                target: ANSWER,
                database = item.database,
                "{} is skipped: {}",
                item.group,
                item.reason.as_deref().unwrap_or_default()
            );
        }
        let files = cancel.run_until_cancelled(files::write(location, fleet.plan, items, env)).await?;
        warnings.iter().for_each(|warning| tracing::warn!(target: ANSWER, "{warning}"));
        shorten(&mut warnings);
        let mut answer = BackupPlan::new(Vec::new(), warnings, None);
        (answer.items, answer.files) = (None, Some(files));
        Ok(answer)
    };
    planned.await.unwrap_or_else(BackupPlan::refused)
}

/// Of every server, in the order of their names, with what their users should know.
async fn items(fleet: &FleetEvent<'_>, asked: &Discovery, env: &Env, cancel: &Cancel) -> Result<(Vec<PlannedBackup>, Vec<String>)> {
    let region = fleet.plan.source.region.as_ref();
    let region = region.ok_or_else(|| Error::new(Code::Bug, "a fleet without a region"))?;
    let found = cancel.run_until_cancelled(servers(region, asked)).await?;
    // An event of RDS may be of a server that is not meant.
    if found.is_empty() && !asked.only.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    if found.is_empty() {
        let error = Error::new(Code::InstanceNotFound, format!("`discover` finds no server in {}", region.as_str()));
        return Err(error.advise("Check the tags, the names and the engine in `discover`, and the region."));
    }
    let until = fleet.deadline.map(until);
    let asking = found.into_iter().map(|server| server_items(fleet, server, until, env, cancel));
    let answers: Vec<BackupPlan> = stream::iter(asking).buffered(AT_ONCE).collect().await;
    cancel.check()?;
    let mut warnings: Vec<String> = answers.iter().flat_map(|answer| answer.warnings.clone()).collect();
    let mut items: Vec<PlannedBackup> = answers.into_iter().filter_map(|answer| answer.items).flatten().collect();
    warnings.extend(files::same_names(fleet.plan, &mut items));
    // Of servers that are named it is meant so. Else anyone who may tag could end all backups unheard.
    let may_be_nothing = asked.names_servers() || !asked.only.is_empty();
    if let (false, Some(first)) = (may_be_nothing, items.first())
        && items.iter().all(|item| item.status.is_some())
    {
        let (group, reason) = (&first.group, first.reason.as_deref().unwrap_or_default());
        let message = format!("every server that `discover` finds is left out: the first one ({group}), since {reason}");
        return Err(Error::new(Code::InstanceNotFound, message).advise("Look at the tags `pgseal:…` of the servers."));
    }
    Ok((items, warnings))
}

/// The rest of the time is for the plan's files.
fn until(deadline: OffsetDateTime) -> Instant {
    let left = (deadline - OffsetDateTime::now_utc()).max(time::Duration::ZERO).unsigned_abs();
    Instant::now() + left.mul_f64(SHARE_OF_LOOKING)
}

/// A state of Step Functions holds 256 KiB, which the answer shares with others; the log has them all.
fn shorten(warnings: &mut Vec<String>) {
    let count = warnings.len();
    warnings.truncate(SHOWN_WARNINGS);
    for warning in warnings.iter_mut() {
        warning.truncate(warning.floor_char_boundary(LONGEST_WARNING));
    }
    if count > SHOWN_WARNINGS {
        warnings.push(format!("and {} more: see the log", count - SHOWN_WARNINGS));
    }
}

/// Of one server. What its tags leave out is left out of the event's own choice, and nothing is added to that.
async fn server_items(fleet: &FleetEvent<'_>, server: DiscoveredServer, until: Option<Instant>, env: &Env, cancel: &Cancel) -> BackupPlan {
    let (group, kind) = (server.name.as_str(), Some(server.kind));
    let single = |item: PlannedBackup| BackupPlan::new(vec![PlannedBackup { kind, ..item }], Vec::new(), None);
    let failed = |error: Error| PlannedBackup {
        error: Some(error),
        ..PlannedBackup::empty(group, None)
    };
    let (host, port, narrowing) = match server.state {
        ServerState::LeftOut(reason) => return single(PlannedBackup::skipped(group, None, &reason)),
        ServerState::Failed(error) => return single(failed(error)),
        ServerState::Ready { host, port, narrowing } => (host, port, narrowing),
    };
    let limits = PlanLimits {
        only: narrowing.databases.as_deref(),
        excluded: &narrowing.excluded,
        until,
    };
    let event = fleet.event.for_server(&host, port);
    let plan = match Plan::resolve(&event, env, fleet.place) {
        Ok(plan) => plan,
        Err(error) => return single(failed(error)),
    };
    let mut answer = Box::pin(plan_backups(&event, &plan, limits, env, cancel)).await;
    let mut items = answer.items.take().unwrap_or_default();
    items.extend(answer.error.take().map(failed));
    // A server's name, not its host's: that is what people know, and what is done one at a time.
    items
        .iter_mut()
        .for_each(|item| (item.group, item.kind, item.fails) = (group.to_owned(), kind, false));
    let warnings = answer.warnings.into_iter().map(|warning| format!("{group}: {warning}")).collect();
    BackupPlan::new(items, warnings, None)
}

/// An error where an event of a fleet stands in the place of one of a backup.
pub(crate) fn must_be_planned(plan: &Plan) -> Result<()> {
    match &plan.source.target {
        crate::plan::DatabaseTarget::Discovered(_) => Err(Error::field(
            Code::BadEvent,
            "discover",
            "is for `action` plan: a backup and a check are of one server",
        )
        .advise("Send each item's event of `pgseal plan`, or start the state machine of deploy/fleet.yaml, which does.")),
        _ => Ok(()),
    }
}
