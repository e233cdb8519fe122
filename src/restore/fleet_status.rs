//! What a fleet's backups come to, by what is in S3 alone: of each database on each server the newest complete backup, and what
//! is missing.

mod databases;
mod drills;
mod page;

use super::list::folder;
use super::list::tree::{self, AT_ONCE};
use crate::cancel::Cancel;
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::format::object_names::stem_of;
use crate::human::units::{counted, short};
use crate::observe::logs::ANSWER;
use crate::store::Location;
use crate::variables::Env;
use drills::{DrillStatus, Drills};
use futures_util::{StreamExt, stream};
use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

pub(crate) struct FleetStatusOptions {
    /// A newest backup that is older is missing.
    pub max_age: Duration,
    /// Where drills leave their reports, if not beside the backups.
    pub reports: Option<Location>,
    /// Only what they signed counts.
    pub signer: Option<Verifier>,
}

#[derive(Debug, Serialize)]
pub(crate) struct FleetStatus {
    /// `complete`, or `failed` if somebody should look.
    pub status: &'static str,
    pub location: String,
    pub checked_at: String,
    pub max_age_seconds: i64,
    /// By server and name.
    pub databases: Vec<DatabaseStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

#[derive(Debug, Serialize)]
pub(crate) struct DatabaseStatus {
    /// The folder, below the location: of a server, where the prefix has its name.
    pub group: String,
    pub database: String,
    /// The digest of its server, or `source unknown`: two servers may share a folder.
    pub source: String,
    /// The newest that is all there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<NewestBackup>,
    /// Manifests, of whatever age.
    pub backups: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// The newest of any of its backups.
    pub drill: Option<DrillStatus>,
    /// Why somebody should look, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// That is its last drill alone.
    #[serde(skip)]
    pub is_drill_alone: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct NewestBackup {
    pub stem: String,
    pub scheduled_time: String,
    pub age_seconds: i64,
    /// Of the objects that its manifest names.
    pub bytes: u64,
    pub plain_bytes: u64,
    pub rows: u64,
    pub tables: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

impl FleetStatus {
    /// By its folder, and by its digest where two share one.
    pub(crate) fn server(&self, status: &DatabaseStatus) -> String {
        let key = (&status.group, &status.database);
        // They are sorted by it.
        let first = self.databases.partition_point(|other| (&other.group, &other.database) < key);
        let next = self.databases.get(first + 1);
        match next.is_some_and(|other| (&other.group, &other.database) == key) {
            false => status.group.clone(),
            true => format!("{} (source {})", status.group, short(&status.source))
                .trim_start()
                .to_owned(),
        }
    }
}

pub(crate) async fn fleet_status(text: &str, ask: &FleetStatusOptions, env: &Env, cancel: &Cancel) -> Result<FleetStatus> {
    let root = Location::parse(text)?;
    let now = OffsetDateTime::now_utc();
    let looking = async {
        let folders = tree::folders(&root, env).await?;
        // Where writers of backups may not write, if one is named: then reports beside the backups count for nothing.
        let mut elsewhere = Drills::default();
        if let Some(place) = &ask.reports {
            for folder in tree::folders(place, env).await? {
                elsewhere.add(&folder).await?;
            }
            if elsewhere.is_empty() {
                tracing::warn!(target: ANSWER, "there is no report of a drill in {place}, nor in the folders below it");
            }
        }
        let elsewhere = ask.reports.as_ref().map(|_| &elsewhere);
        let with_backups = folders
            .into_iter()
            .filter(|folder| folder.listed.iter().any(|object| stem_of(&object.name).is_some()));
        let reading = with_backups.map(|found| async move {
            let mut beside = Drills::default();
            if elsewhere.is_none() {
                beside.add(&found).await?;
            }
            let listing = folder::read(&found.location, &found.archive, found.listed, ask.signer.as_ref()).await?;
            let drills = elsewhere.unwrap_or(&beside);
            Ok::<_, Error>(databases::databases(&found.name, &listing, drills, ask, now))
        });
        let mut reading = stream::iter(reading).buffered(AT_ONCE);
        let mut found = Vec::new();
        while let Some(read) = reading.next().await {
            found.extend(read?);
        }
        Ok(found)
    };
    let mut databases = cancel.run_until_cancelled(looking).await?;
    databases.sort_by(|a, b| (&a.group, &a.database, &a.source).cmp(&(&b.group, &b.database, &b.source)));
    let error = failure(&root, &databases);
    Ok(FleetStatus {
        status: if error.is_some() { "failed" } else { "complete" },
        location: root.to_string(),
        checked_at: rfc3339(now),
        max_age_seconds: ask.max_age.whole_seconds(),
        databases,
        error,
    })
}

fn failure(root: &Location, databases: &[DatabaseStatus]) -> Option<Error> {
    if databases.is_empty() {
        let message = format!("there is no backup in {root}, nor in the folders below it");
        return Some(Error::new(Code::NoBackup, message));
    }
    let bad = databases.iter().filter(|status| !status.missing.is_empty());
    let all = counted(databases.len() as u64, "database");
    let (count, verb) = match bad.clone().count() {
        0 => return None,
        1 => (1, "has"),
        count => (count, "have"),
    };
    let message = format!("{count} of {all} {verb} a problem");
    Some(match bad.clone().all(|status| status.is_drill_alone) {
        true => Error::new(Code::RestoreFailed, message).advise("The report of the drill says why; `pgseal drill` runs it again."),
        false => Error::new(Code::NoBackup, message).advise("Look for the runs since then: the schedule, and the log of the last one."),
    })
}

fn rfc3339(time: OffsetDateTime) -> String {
    time.replace_nanosecond(0).unwrap_or(time).format(&Rfc3339).unwrap_or_default()
}
