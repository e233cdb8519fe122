//! A plan in S3, for the maps of a state machine: an object of JSON lines for each server, and an index of them.
//!
//! ```text
//! LOCATION/20261124T020000Z/1a2b3c4d/groups.jsonl    {"group": …, "bucket": …, "key": …, "items": 3}
//! LOCATION/20261124T020000Z/1a2b3c4d/orders.jsonl    an item of the plan in each line
//! ```

use crate::error::{Code, Error, Result};
use crate::format::hex;
use crate::plan::{OWNER_VARIABLE, Plan};
use crate::plan_events::{PlanFile, PlanFiles, PlannedBackup};
use crate::random;
use crate::store::{Archive, Location, PutOutcome};
use crate::variables::Env;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use time::OffsetDateTime;

const INDEX: &str = "groups.jsonl";
/// Of one file: more than a hundred thousand items.
const MAX_FILE: u64 = 256 << 20;

#[derive(Serialize, Deserialize)]
struct GroupLine {
    group: String,
    bucket: String,
    key: String,
    items: usize,
}

/// An item as it is read again.
#[derive(Debug, Deserialize)]
pub(super) struct WrittenItem {
    pub group: String,
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
    let folder = of_time(location, plan.scheduled_time)?.join(&hex(&random::bytes::<4>()?));
    let Location::S3 { bucket, path } = &folder else {
        return Err(no_bucket());
    };
    let archive = open(&folder, env).await?;
    let mut index = String::new();
    for (group, items) in &groups {
        let name = format!("{group}.jsonl");
        put(&archive, &name, lines(items)).await?;
        let line = GroupLine {
            group: (*group).to_owned(),
            bucket: bucket.clone(),
            key: format!("{path}/{name}"),
            items: items.len(),
        };
        index.push_str(&line_of(&line));
    }
    // Last: what it names is there.
    put(&archive, INDEX, index).await?;
    Ok(PlanFiles {
        index: PlanFile {
            bucket: bucket.clone(),
            key: format!("{path}/{INDEX}"),
        },
        groups: groups.len(),
        databases: groups.values().map(Vec::len).sum(),
        scheduled_time: crate::envelope::manifest::Timestamp(plan.scheduled_time).to_string(),
    })
}

/// Every item that was planned for this time, by however many plans.
pub(super) async fn read(location: &str, time: OffsetDateTime, env: &Env) -> Result<Vec<WrittenItem>> {
    let folder = of_time(location, time)?;
    let mut items: BTreeMap<(String, Option<String>), WrittenItem> = BTreeMap::new();
    for run in open(&folder, env).await?.folders().await? {
        let archive = open(&folder.join(run.trim_end_matches('/')), env).await?;
        for group in parsed::<GroupLine>(INDEX, &archive.read(INDEX, MAX_FILE).await?)? {
            let name = format!("{}.jsonl", group.group);
            for item in parsed::<WrittenItem>(&name, &archive.read(&name, MAX_FILE).await?)? {
                items.insert((item.group.clone(), item.database.clone()), item);
            }
        }
    }
    match items.is_empty() {
        false => Ok(items.into_values().collect()),
        true => Err(Error::new(Code::NoBackup, format!("no plan of this time has items in {folder}"))
            .advise("Plan first, with the same `scheduled_time` and PGSEAL_PLAN_LOCATION.")),
    }
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
