//! All servers of an account and region, for AWS's Step Functions: the plan of their backups, and what came of it.

mod files;
#[cfg(test)]
mod scale;
mod summary;

pub(crate) use summary::{FleetSummary, summarize};

use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::plan::{Databases, Discovery, Plan, RuntimeLimits};
use crate::plan_events::{BackupPlan, PlannedBackup, plan_backups};
use crate::rds::discovery::{DiscoveredServer, ServerState, servers};
use crate::variables::Env;
use futures_util::{StreamExt, stream};

/// Servers that are asked at once: each gets one connection.
const AT_ONCE: usize = 16;

/// Where a plan's items go as files: for a state machine, whose states hold no more than 256 KiB.
const PLAN_LOCATION: &str = "PGSEAL_PLAN_LOCATION";

/// Looks at every database of every server that is meant. One that cannot be asked is an item that fails.
pub(crate) async fn plan_fleet(
    event: &Event,
    plan: &Plan,
    discovery: &Discovery,
    place: RuntimeLimits,
    env: &Env,
    cancel: &Cancel,
) -> BackupPlan {
    let planned = async {
        let region = plan
            .source
            .region
            .as_ref()
            .ok_or_else(|| Error::new(Code::Bug, "a fleet without a region"))?;
        let found = cancel.run_until_cancelled(servers(region, discovery)).await?;
        if found.is_empty() {
            let error = Error::new(Code::InstanceNotFound, format!("`discover` finds no server in {}", region.as_str()));
            return Err(error.advise("Check the tags, the names and the engine in `discover`, and the region."));
        }
        let asking = found
            .into_iter()
            .map(|server| server_items(event, plan, server, place, env, cancel));
        let answers: Vec<BackupPlan> = stream::iter(asking).buffered(AT_ONCE).collect().await;
        cancel.check()?;
        let warnings = answers.iter().flat_map(|answer| answer.warnings.clone()).collect();
        let items: Vec<PlannedBackup> = answers.into_iter().filter_map(|answer| answer.items).flatten().collect();
        Ok((items, warnings))
    };
    match planned.await {
        Ok((items, warnings)) => match env.get(PLAN_LOCATION) {
            None => BackupPlan::new(items, warnings, None),
            Some(location) => {
                let mut answer = BackupPlan::new(Vec::new(), warnings, None);
                answer.items = None;
                match cancel.run_until_cancelled(files::write(location, plan, items, env)).await {
                    Ok(files) => answer.files = Some(files),
                    Err(error) => return BackupPlan::refused(error),
                }
                answer
            }
        },
        Err(error) => BackupPlan::refused(error),
    }
}

/// Of one server. What its tags leave out is left out of the event's own choice, and nothing is added to that.
async fn server_items(
    event: &Event,
    plan: &Plan,
    server: DiscoveredServer,
    place: RuntimeLimits,
    env: &Env,
    cancel: &Cancel,
) -> BackupPlan {
    let group = server.name.as_str();
    let failed = |error: Error| PlannedBackup {
        error: Some(error),
        ..PlannedBackup::empty(group, None)
    };
    let items = match server.state {
        ServerState::LeftOut(reason) => vec![PlannedBackup::skipped(group, None, &reason)],
        ServerState::Failed(error) => vec![failed(error)],
        ServerState::Ready { host, port, narrowing } => {
            let databases = match (&plan.databases, narrowing.databases) {
                (_, None) => None,
                (Databases::All, Some(named)) => Some(named),
                (Databases::Named(asked), Some(named)) => Some(common(asked.iter().map(|name| name.as_str()), &named)),
            };
            if databases.as_ref().is_some_and(Vec::is_empty) {
                let reason = "its tag leaves no database of those that are asked for";
                return BackupPlan::new(vec![PlannedBackup::skipped(group, None, reason)], Vec::new(), None);
            }
            let excluded: Vec<String> = plan.exclude_databases.iter().cloned().chain(narrowing.excluded).collect();
            let databases = databases.map(|named| named.into_iter().filter(|name| !excluded.contains(name)).collect());
            let event = event.for_server(&host, port, databases, &excluded);
            match Plan::resolve(&event, env, place) {
                Ok(plan) => {
                    let mut answer = Box::pin(plan_backups(&event, &plan, env, cancel)).await;
                    let mut items = answer.items.take().unwrap_or_default();
                    items.extend(answer.error.take().map(failed));
                    // A server's name, not its host's: that is what people know, and what is done one at a time.
                    items
                        .iter_mut()
                        .for_each(|item| (item.group, item.fails) = (group.to_owned(), false));
                    let warnings = answer.warnings.into_iter().map(|warning| format!("{group}: {warning}")).collect();
                    return BackupPlan::new(items, warnings, None);
                }
                Err(error) => vec![failed(error)],
            }
        }
    };
    BackupPlan::new(items, Vec::new(), None)
}

fn common<'a>(asked: impl Iterator<Item = &'a str>, named: &[String]) -> Vec<String> {
    asked
        .filter(|name| named.iter().any(|other| other == name))
        .map(str::to_owned)
        .collect()
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
