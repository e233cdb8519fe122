//! A plan in S3, for the maps of a state machine: an object of JSON lines for each server, and an index of them.
//!
//! ```text
//! LOCATION/20261124T020000Z/1a2b3c4d/_groups.jsonl   {"group": …, "bucket": …, "key": …, "items": 3, "asked": …}
//! LOCATION/20261124T020000Z/1a2b3c4d/_left_out.jsonl {"group": …, "database": …}
//! LOCATION/20261124T020000Z/1a2b3c4d/orders.jsonl    an item of the plan in each line
//! ```

use super::known_items::KnownItems;
use crate::error::{Code, Error, Result};
use crate::format::names::DatabaseName;
use crate::format::{hex, sha256};
use crate::plan::{DatabaseTarget, Databases, OWNER_VARIABLE, Plan};
use crate::plan_events::{PlanFile, PlanFiles, PlannedBackup};
use crate::random;
use crate::rds::databases::LEFT_OUT as LEFT_OUT_BY_TAG;
use crate::rds::discovery::ServerKind;
use crate::store::{Archive, Location, PutOutcome};
use crate::variables::Env;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// No server is called so: an identifier of RDS begins with a letter.
const INDEX: &str = "_groups.jsonl";
const LEFT_OUT: &str = "_left_out.jsonl";
/// Of one file: more than a hundred thousand items.
const MAX_FILE: u64 = 256 << 20;

#[derive(Serialize, Deserialize)]
pub(super) struct GroupLine {
    pub group: String,
    pub bucket: String,
    pub key: String,
    pub items: usize,
    /// A digest of the servers and databases that the plan was asked for.
    pub asked: String,
}

/// What a plan leaves out on purpose: a server, or a database of it.
#[derive(Serialize, Deserialize)]
pub(super) struct LeftOutLine {
    pub group: String,
    pub kind: Option<ServerKind>,
    /// As of a group.
    pub asked: String,
    /// A tag of the server narrows what is asked for: without it there may be more.
    pub by_tag: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
}

/// An item as it is read again.
#[derive(Debug, Deserialize)]
pub(super) struct WrittenItem {
    pub group: String,
    pub kind: Option<ServerKind>,
    pub database: Option<String>,
    pub event: Option<Value>,
    pub error: Option<WrittenError>,
}

#[derive(Debug, Deserialize)]
pub(super) struct WrittenError {
    pub code: String,
}

/// What a tag or PostgreSQL itself leaves out is no work for anybody: it has no line.
pub(super) async fn write(location: &str, plan: &Plan, items: Vec<PlannedBackup>, env: &Env) -> Result<PlanFiles> {
    let mut groups: BTreeMap<&str, Vec<&PlannedBackup>> = BTreeMap::new();
    for item in items.iter().filter(|item| item.status.is_none()) {
        groups.entry(&item.group).or_default().push(item);
    }
    let asked = digest_of(plan);
    let left_out = items.iter().filter(|item| item.status.is_some()).map(|item| LeftOutLine {
        group: item.group.clone(),
        kind: item.kind,
        asked: asked.clone(),
        by_tag: item.reason.as_deref() == Some(LEFT_OUT_BY_TAG),
        database: item.database.clone(),
    });
    let left_out: Vec<LeftOutLine> = left_out.collect();
    let folder = of_time(location, plan.scheduled_time)?.join(&hex(&random::bytes::<4>()?));
    let Location::S3 { bucket, path } = &folder else {
        return Err(no_bucket());
    };
    let archive = open(&folder, env).await?;
    let mut index = String::new();
    for (group, items) in &groups {
        let name = file_name(group);
        put(&archive, &name, lines(items)).await?;
        let line = GroupLine {
            group: (*group).to_owned(),
            bucket: bucket.clone(),
            key: format!("{path}/{name}"),
            items: items.len(),
            asked: asked.clone(),
        };
        index.push_str(&line_of(&line));
    }
    put(&archive, LEFT_OUT, left_out.iter().map(line_of).collect()).await?;
    // Last: what it names is there.
    put(&archive, INDEX, index).await?;
    Ok(PlanFiles {
        index: PlanFile {
            bucket: bucket.clone(),
            key: format!("{path}/{INDEX}"),
        },
        groups: groups.len(),
        databases: groups.values().map(Vec::len).sum(),
        skipped: left_out.len(),
        scheduled_time: crate::envelope::manifest::Timestamp(plan.scheduled_time).to_string(),
    })
}

/// Every item that was planned for this time, by however many plans. A plan that was cut off has no index, and counts for nothing:
/// nobody worked by it. Between plans of the same event a server that could not be asked is no failure where another one has
/// all its databases; nor is what a later one leaves out. Of another event's items a plan says nothing.
pub(super) async fn read(location: &str, time: OffsetDateTime, env: &Env) -> Result<Vec<WrittenItem>> {
    let folder = of_time(location, time)?;
    let mut plans = Vec::new();
    for run in open(&folder, env).await?.folders().await? {
        let archive = open(&folder.join(run.trim_end_matches('/')), env).await?;
        if let Some(index) = archive.list(INDEX).await?.into_iter().find(|object| object.name == INDEX) {
            plans.push((index.modified, archive));
        }
    }
    if plans.is_empty() {
        let error = Error::new(Code::NoBackup, format!("there is no plan of this time in {folder}"));
        return Err(error.advise("Plan first, with the same `scheduled_time` and PGSEAL_PLAN_LOCATION."));
    }
    // The oldest first.
    plans.sort_by_key(|(written, _)| *written);
    let mut known = KnownItems::default();
    for (_, archive) in plans {
        let left_out = parsed::<LeftOutLine>(LEFT_OUT, &archive.read(LEFT_OUT, MAX_FILE).await?)?;
        let mut groups = Vec::new();
        for group in parsed::<GroupLine>(INDEX, &archive.read(INDEX, MAX_FILE).await?)? {
            let name = file_name(&group.group);
            let items = parsed::<WrittenItem>(&name, &archive.read(&name, MAX_FILE).await?)?;
            if items.len() != group.items {
                let message = format!("{name} has {} items, and the plan's index says {}", items.len(), group.items);
                return Err(Error::new(Code::Tampered, message).advise("Plan again, and find out who writes to the place of the plans."));
            }
            groups.push((group, items));
        }
        known.add(&left_out, groups);
    }
    Ok(known.all())
}

fn digest_of(plan: &Plan) -> String {
    let named = match &plan.databases {
        Databases::All => vec!["*"],
        Databases::Named(names) => names.iter().map(DatabaseName::as_str).collect(),
    };
    let servers = match &plan.source.target {
        DatabaseTarget::Discovered(discovery) => format!("{discovery:?}"),
        DatabaseTarget::Host(_) | DatabaseTarget::Instance(_) => String::new(),
    };
    let text = serde_json::json!([named, plan.exclude_databases, servers]).to_string();
    hex(&sha256(text.as_bytes())[..4])
}

fn file_name(group: &str) -> String {
    format!("{group}.jsonl")
}

/// Two backups of one name are refused one of them as `stem_taken`: that is said before, with both.
pub(super) fn same_names(plan: &Plan, items: &mut [PlannedBackup]) -> Vec<String> {
    let mut known: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, item) in items.iter().enumerate() {
        let stem = item.event.as_ref().zip(item.database.as_deref()).and_then(|(event, database)| {
            let host = plan.source.allowed_hosts.admit(event["host"].as_str()?).ok()?;
            plan.stem(&DatabaseName::new(database).ok()?, &host).ok()
        });
        if let Some(stem) = stem {
            known.entry(stem.to_string()).or_default().push(at);
        }
    }
    let mut warnings = Vec::new();
    for (stem, of) in known {
        let address = |at: &usize| {
            items[*at]
                .event
                .as_ref()
                .map(|event| (event["host"].clone(), event["port"].clone()))
        };
        // One server by two names is backed up once.
        if of.iter().all(|at| address(at) == address(&of[0])) {
            continue;
        }
        let servers: Vec<String> = of.iter().map(|at| items[*at].group.clone()).collect();
        let message = format!("{stem} would be the name of backups of several servers: {}", servers.join(", "));
        for at in of {
            let error = Error::new(Code::StemTaken, message.clone());
            items[at].error.get_or_insert_with(|| {
                error.advise("Only the first one is made. Rename a server, or leave one to a deployment with a prefix of its own.")
            });
        }
        warnings.push(message);
    }
    warnings
}

/// The plans are in a bucket of this account, wherever the backups are: the owner of theirs is not its.
async fn open(folder: &Location, env: &Env) -> Result<Archive> {
    let is_of_backups = matches!(folder, Location::S3 { bucket, .. } if env.get("S3_BUCKET") == Some(bucket.as_str()));
    match is_of_backups {
        true => Archive::open(folder, env).await,
        false => Archive::open(folder, &env.with(OWNER_VARIABLE, "")).await,
    }
}

fn of_time(location: &str, time: OffsetDateTime) -> Result<Location> {
    match Location::parse(location) {
        Ok(place @ Location::S3 { .. }) => Ok(place.join(&compact(time))),
        _ => Err(no_bucket()),
    }
}

/// As in the names of backups.
fn compact(time: OffsetDateTime) -> String {
    let shape = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    // Of a year that the shape cannot write there is none.
    time.to_offset(time::UtcOffset::UTC).format(shape).unwrap_or_default()
}

fn no_bucket() -> Error {
    Error::field(Code::BadEvent, super::PLAN_LOCATION, "must be s3://bucket/prefix")
}

async fn put(archive: &Archive, name: &str, text: String) -> Result<()> {
    match archive.put_new(name, Bytes::from(text)).await? {
        PutOutcome::Exists => Err(Error::new(Code::StemTaken, format!("{name} of the plan is there already"))),
        _ => Ok(()),
    }
}

fn lines(items: &[&PlannedBackup]) -> String {
    items.iter().map(line_of).collect()
}

fn line_of(value: &impl Serialize) -> String {
    // Texts and numbers, with texts as keys.
    serde_json::to_string(value).map(|line| line + "\n").unwrap_or_default()
}

fn parsed<T: for<'a> Deserialize<'a>>(name: &str, bytes: &[u8]) -> Result<Vec<T>> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).map_err(|_| Error::new(Code::Tampered, format!("{name} is no file of a plan"))))
        .collect()
}
