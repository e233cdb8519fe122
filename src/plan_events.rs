//! `plan`: which databases one event means, each as an event of its own that can be sent to a function or task of its own.

use crate::backup::{BackupContext, Estimate};
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::format::names::DatabaseName;
use crate::plan::{Databases, Plan};
use crate::rds::databases::ListedDatabase;
use crate::rds::preflight::facts;
use crate::rds::{Session, selection};
use crate::variables::Env;
use serde::Serialize;
use serde_json::Value;

/// What an event means, database by database.
#[derive(Debug, Serialize)]
pub(crate) struct BackupPlan {
    pub status: &'static str,
    pub backups: Vec<PlannedBackup>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One backup to come. A database that cannot be looked at keeps its event: what stands in the way may be gone by then.
#[derive(Debug, Serialize)]
pub(crate) struct PlannedBackup {
    pub database: String,
    /// `skipped`: PostgreSQL itself forbids to dump it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'static str>,
    /// The whole order, with one database; and with a time where the event has one: sent twice, that one is done once. None
    /// for a name that no event can hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The plan could not be made. Not so where `"*"` finds one that cannot be looked at or backed up: that is what the plan
    /// is asked for, and the backup will say it again as a failure.
    #[serde(skip)]
    fails: bool,
}

impl BackupPlan {
    /// Of an event that cannot be planned.
    pub(crate) fn refused(error: Error) -> Self {
        Self {
            status: "failed",
            backups: Vec::new(),
            error: Some(error),
            warnings: Vec::new(),
        }
    }

    pub(crate) fn failure(&self) -> Option<&Error> {
        self.error.as_ref().or_else(|| {
            self.backups
                .iter()
                .filter(|planned| planned.fails)
                .find_map(|planned| planned.error.as_ref())
        })
    }
}

/// Looks at every database that the plan means; writes nothing.
pub(crate) async fn plan_backups(event: &Event, plan: &Plan, env: &Env, cancel: &Cancel) -> BackupPlan {
    let mut answer = BackupPlan {
        status: "planned",
        backups: Vec::new(),
        error: None,
        warnings: Vec::new(),
    };
    let opened = async {
        let context = BackupContext::open(plan, env, None, cancel).await?;
        let list = context.databases().await?;
        Ok((context, list))
    };
    match opened.await {
        Ok((context, list)) => {
            answer.warnings = list.warnings;
            for listed in list.databases {
                answer.backups.push(planned(event, &context, listed).await);
            }
        }
        Err(error) => answer.error = Some(error),
    }
    if answer.failure().is_some() {
        answer.status = "failed";
    }
    answer
}

async fn planned(event: &Event, context: &BackupContext<'_>, listed: ListedDatabase) -> PlannedBackup {
    let order = |name: &DatabaseName| Some(event.for_database(name.as_str()));
    let nothing = PlannedBackup {
        database: String::new(),
        status: None,
        event: None,
        estimate: None,
        error: None,
        reason: None,
        fails: false,
    };
    match listed {
        ListedDatabase::Chosen(name) => {
            let (estimate, error) = match estimate(context, &name).await {
                Ok(estimate) => (Some(estimate), None),
                Err(error) => (None, Some(error)),
            };
            PlannedBackup {
                database: name.as_str().to_owned(),
                event: order(&name),
                estimate,
                fails: error
                    .as_ref()
                    .is_some_and(|error| context.plan.databases != Databases::All || is_of_all(error)),
                error,
                ..nothing
            }
        }
        ListedDatabase::Skipped { name, reason } => PlannedBackup {
            database: name,
            status: Some("skipped"),
            reason: Some(reason),
            ..nothing
        },
        ListedDatabase::Failed { name, database, error } => PlannedBackup {
            database: name,
            event: database.as_ref().and_then(order),
            error: Some(error),
            ..nothing
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
