//! `plan`: which databases one event means, each as an event of its own that can be sent to a function or task of its own.

use crate::backup::{BackupContext, Estimate, Route, TaskSize};
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::format::names::DatabaseName;
use crate::plan::{DatabaseTarget, Databases, Plan};
use crate::rds::databases::ListedDatabase;
use crate::rds::discovery::ServerKind;
use crate::rds::preflight::facts;
use crate::rds::{Session, selection};
use crate::variables::Env;
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

/// What an event means, database by database.
#[derive(Debug, Serialize)]
pub(crate) struct BackupPlan {
    pub status: &'static str,
    /// None where they are in files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<PlannedBackup>>,
    #[serde(flatten)]
    pub files: Option<PlanFiles>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Where the items are, if there may be more than an answer holds.
#[derive(Debug, Serialize)]
pub(crate) struct PlanFiles {
    /// JSON lines, one for each group that has items.
    pub index: PlanFile,
    pub groups: usize,
    pub databases: usize,
    /// Servers and databases that tags, or PostgreSQL itself, leave out: the log names them.
    pub skipped: usize,
    pub scheduled_time: String,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct PlanFile {
    pub bucket: String,
    pub key: String,
}

/// One backup to come. A database that cannot be looked at keeps its event: what stands in the way may be gone by then.
#[derive(Debug, Serialize)]
pub(crate) struct PlannedBackup {
    /// The server: what is done to one at a time.
    pub group: String,
    /// Of a server that `discover` found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<ServerKind>,
    /// None of a server that could not be asked for its databases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// `skipped`: PostgreSQL itself forbids to dump it, or a tag of the server leaves it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'static str>,
    /// Where it can run: by the estimate, else as if it were small.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<TaskSize>,
    /// The whole order, with one database; and with a time where the event has one: sent twice, that one is done once. None
    /// for a name that no event can hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The plan could not be made. Not so where `"*"` finds one that cannot be looked at or backed up: that is what the plan
    /// is asked for, and the backup will say it again as a failure.
    #[serde(skip)]
    pub fails: bool,
}

impl PlannedBackup {
    /// Of a server, or of a database of it.
    pub(crate) fn empty(group: &str, database: Option<&str>) -> Self {
        Self {
            group: group.to_owned(),
            kind: None,
            database: database.map(str::to_owned),
            status: None,
            route: None,
            size: None,
            event: None,
            estimate: None,
            error: None,
            reason: None,
            fails: false,
        }
    }

    pub(crate) fn skipped(group: &str, database: Option<&str>, reason: &str) -> Self {
        Self {
            status: Some("skipped"),
            reason: Some(reason.to_owned()),
            ..Self::empty(group, database)
        }
    }

    /// For people: the database, or the server that nobody could ask.
    pub(crate) fn name(&self) -> &str {
        self.database.as_deref().unwrap_or(&self.group)
    }
}

impl BackupPlan {
    pub(crate) fn new(items: Vec<PlannedBackup>, warnings: Vec<String>, error: Option<Error>) -> Self {
        let mut plan = Self {
            status: "planned",
            items: Some(items),
            files: None,
            error,
            warnings,
        };
        if plan.failure().is_some() {
            plan.status = "failed";
        }
        plan
    }

    /// Of an event that cannot be planned.
    pub(crate) fn refused(error: Error) -> Self {
        Self::new(Vec::new(), Vec::new(), Some(error))
    }

    pub(crate) fn items(&self) -> &[PlannedBackup] {
        self.items.as_deref().unwrap_or_default()
    }

    pub(crate) fn failure(&self) -> Option<&Error> {
        let failing = self.items().iter().filter(|planned| planned.fails);
        self.error
            .as_ref()
            .or_else(|| failing.into_iter().find_map(|planned| planned.error.as_ref()))
    }
}

/// How far a plan looks.
#[derive(Clone, Copy, Default)]
pub(crate) struct PlanLimits<'a> {
    /// Of the event's databases only these.
    pub only: Option<&'a [String]>,
    /// And not these.
    pub excluded: &'a [String],
    /// Then it looks at nothing more, so that what it knows is told before the platform ends it.
    pub until: Option<Instant>,
}

impl PlanLimits<'_> {
    async fn in_time<T>(&self, looking: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(until) = self.until else { return looking.await };
        let late = |_| Error::new(Code::Deadline, "the plan had no time left to look at it");
        timeout_at(until, looking).await.map_err(late)?
    }
}

/// Looks at every database that the plan means; writes nothing.
pub(crate) async fn plan_backups(event: &Event, plan: &Plan, limits: PlanLimits<'_>, env: &Env, cancel: &Cancel) -> BackupPlan {
    let opened = async {
        let context = BackupContext::open(plan, env, None, cancel).await?;
        let mut list = context.databases().await?;
        list.narrow(limits.only, limits.excluded, plan.databases == Databases::All);
        Ok((context, list))
    };
    match limits.in_time(opened).await {
        Ok((context, list)) => {
            let mut items = Vec::with_capacity(list.databases.len());
            for listed in list.databases {
                items.push(planned(event, &context, listed, limits).await);
            }
            BackupPlan::new(items, list.warnings, None)
        }
        Err(error) => BackupPlan::refused(error),
    }
}

async fn planned(event: &Event, context: &BackupContext<'_>, listed: ListedDatabase, limits: PlanLimits<'_>) -> PlannedBackup {
    let group = match &context.plan.source.target {
        DatabaseTarget::Instance(name) => name,
        DatabaseTarget::Host(_) | DatabaseTarget::Discovered(_) => context.server.host.label(),
    };
    match listed {
        ListedDatabase::Chosen(name) => {
            let planned = PlannedBackup {
                route: Some(Route::Lambda),
                event: Some(event.for_database(name.as_str())),
                ..PlannedBackup::empty(group, Some(name.as_str()))
            };
            match limits.in_time(estimate(context, &name)).await {
                Ok(estimate) => {
                    let (route, size) = estimate.route(context.env);
                    PlannedBackup {
                        route: Some(route),
                        size,
                        estimate: Some(estimate),
                        ..planned
                    }
                }
                Err(error) => PlannedBackup {
                    fails: context.plan.databases != Databases::All || is_of_all(&error),
                    error: Some(error),
                    ..planned
                },
            }
        }
        ListedDatabase::Skipped { name, reason } => PlannedBackup::skipped(group, Some(&name), reason),
        ListedDatabase::Failed { name, database, error } => PlannedBackup {
            route: database.as_ref().map(|_| Route::Lambda),
            event: database.map(|database| event.for_database(database.as_str())),
            error: Some(error),
            ..PlannedBackup::empty(group, Some(&name))
        },
    }
}

/// Whether what stands in the way of one database does so for each: the end of this run, the network, our own side.
fn is_of_all(error: &Error) -> bool {
    matches!(
        error.code,
        Code::Terminated | Code::Deadline | Code::DbUnreachable | Code::DbTls | Code::AwsFailed | Code::Bug
    )
}

async fn estimate(context: &BackupContext<'_>, name: &DatabaseName) -> Result<Estimate> {
    let selection = &context.plan.selection;
    let looking = async {
        let session = Session::open(&context.server, name, context.cancel).await?;
        let facts = facts(&session, selection).await?;
        // What a pattern that matches nothing comes to is the backup's to tell.
        let part = selection::resolve(&session, name, selection, facts.major()).await;
        Ok((facts, part.ok().and_then(|part| part.dump_bytes)))
    };
    let (facts, part) = context.server.in_time(looking).await?;
    Estimate::new(context.plan, &facts, part)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slow server took the plan of all others with it into the platform's deadline.
    #[tokio::test(start_paused = true)]
    async fn what_is_not_looked_at_in_time_is_an_item_that_fails() {
        let limits = PlanLimits {
            until: Some(Instant::now() + std::time::Duration::from_secs(60)),
            ..PlanLimits::default()
        };
        let never = std::future::pending::<Result<()>>();
        assert_eq!(limits.in_time(never).await.unwrap_err().code, Code::Deadline);
        assert!(limits.in_time(async { Ok(()) }).await.is_ok());
        assert!(PlanLimits::default().in_time(async { Ok(()) }).await.is_ok());
    }
}
