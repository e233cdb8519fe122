//! A plan in S3, for the maps of a state machine: an object of JSON lines for each server, and an index of them.
//!
//! ```text
//! LOCATION/20261124T020000Z/1a2b3c4d/_groups.jsonl   {"group": …, "bucket": …, "key": …, "items": 3, "asked": …}
//! LOCATION/20261124T020000Z/1a2b3c4d/_left_out.jsonl {"group": …, "database": …}
//! LOCATION/20261124T020000Z/1a2b3c4d/orders.jsonl    an item of the plan in each line
//! ```

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
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;

/// No server is called so: an identifier of RDS begins with a letter.
const INDEX: &str = "_groups.jsonl";
const LEFT_OUT: &str = "_left_out.jsonl";
/// Of one file: more than a hundred thousand items.
const MAX_FILE: u64 = 256 << 20;

#[derive(Serialize, Deserialize)]
struct GroupLine {
    group: String,
    bucket: String,
    key: String,
    items: usize,
    /// A digest of the servers and databases that the plan was asked for.
    asked: String,
}

/// What a plan leaves out on purpose: a server, or a database of it.
#[derive(Serialize, Deserialize)]
struct LeftOutLine {
    group: String,
    kind: Option<ServerKind>,
    /// As of a group.
    asked: String,
    /// A tag of the server narrows what is asked for: without it there may be more.
    by_tag: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,
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

/// Of several plans, the oldest first.
#[derive(Default)]
struct KnownItems {
    /// Each with what its plan was asked for.
    items: BTreeMap<ItemKey, (String, WrittenItem)>,
    /// Servers all of whose databases are known, and what was asked for.
    answered: BTreeSet<(Server, String)>,
}

impl KnownItems {
    fn add(&mut self, left_out: &[LeftOutLine], groups: Vec<(GroupLine, Vec<WrittenItem>)>) {
        for line in left_out {
            self.leave_out(line);
        }
        for (group, items) in groups {
            // One server's: no two of a plan have one name.
            let kind = items.first().and_then(|item| item.kind);
            let of: (Server, String) = ((group.group, kind), group.asked);
            // A tag narrowed what was asked for: without it there may be more.
            let is_narrowed = left_out.iter().any(|line| line.by_tag && line.server() == of.0);
            if items.iter().any(|item| item.database.is_some()) {
                // All its databases as they are now: one that is not among them has been dropped since.
                self.items.retain(|(server, _, _), (asked, _)| *server != of.0 || *asked != of.1);
                match is_narrowed {
                    true => self.answered.remove(&of),
                    false => self.answered.insert(of.clone()),
                };
            }
            let counts = items
                .into_iter()
                .filter(|item| item.database.is_some() || !self.answered.contains(&of));
            self.items.extend(counts.map(|item| (item.key(), (of.1.clone(), item))));
        }
    }

    fn leave_out(&mut self, left_out: &LeftOutLine) {
        let is_it = |(server, _, database): &ItemKey| {
            *server == left_out.server() && (left_out.database.is_none() || *database == left_out.database)
        };
        self.items.retain(|key, (asked, _)| !is_it(key) || *asked != left_out.asked);
        if left_out.database.is_none() {
            self.answered.remove(&(left_out.server(), left_out.asked.clone()));
        }
    }

    fn all(self) -> Vec<WrittenItem> {
        self.items.into_values().map(|(_, item)| item).collect()
    }
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

/// Two servers may have one name, an instance and a cluster.
type Server = (String, Option<ServerKind>);

/// Server, host and port, database.
type ItemKey = (Server, String, Option<String>);

impl LeftOutLine {
    fn server(&self) -> Server {
        (self.group.clone(), self.kind)
    }
}

impl WrittenItem {
    fn key(&self) -> ItemKey {
        let of_event = |field: &str| self.event.as_ref().map(|event| event[field].to_string()).unwrap_or_default();
        (
            (self.group.clone(), self.kind),
            format!("{}:{}", of_event("host"), of_event("port")),
            self.database.clone(),
        )
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn group(asked: &str) -> GroupLine {
        GroupLine {
            group: "orders".to_owned(),
            bucket: "b".to_owned(),
            key: "k".to_owned(),
            items: 1,
            asked: asked.to_owned(),
        }
    }

    fn item(database: Option<&str>) -> WrittenItem {
        WrittenItem {
            group: "orders".to_owned(),
            kind: None,
            database: database.map(str::to_owned),
            event: None,
            error: None,
        }
    }

    fn left_out(database: Option<&str>, asked: &str, by_tag: bool) -> LeftOutLine {
        LeftOutLine {
            group: "orders".to_owned(),
            kind: None,
            asked: asked.to_owned(),
            by_tag,
            database: database.map(str::to_owned),
        }
    }

    /// What was asked, what it left out, and what it found.
    type MadePlan<'a> = (&'a str, Vec<LeftOutLine>, &'a [Option<&'a str>]);

    /// What is still to be done after plans.
    fn told(plans: Vec<MadePlan<'_>>) -> Vec<Option<String>> {
        let mut known = KnownItems::default();
        for (asked, left_out, found) in plans {
            let items = found.iter().copied().map(item).collect();
            known.add(
                &left_out,
                if found.is_empty() {
                    Vec::new()
                } else {
                    vec![(group(asked), items)]
                },
            );
        }
        known.all().into_iter().map(|item| item.database).collect()
    }

    /// A run that was tried again could never succeed, whichever of the two could not ask the server.
    #[test]
    fn a_server_that_could_not_be_asked_is_no_failure_once_its_databases_are_known() {
        let app = || Some("app".to_owned());
        let (asleep, awake): (&[Option<&str>], &[Option<&str>]) = (&[None], &[Some("app")]);
        assert_eq!(told(vec![("all", vec![], asleep), ("all", vec![], awake)]), [app()]);
        assert_eq!(told(vec![("all", vec![], awake), ("all", vec![], asleep)]), [app()]);
        // By another event, which may mean fewer of its databases, the rest is not known.
        assert_eq!(told(vec![("some", vec![], awake), ("all", vec![], asleep)]), [None, app()]);
        // A tag that narrows counts for as long as it is there.
        let narrowed = || vec![left_out(Some("two"), "all", true)];
        assert_eq!(told(vec![("all", narrowed(), asleep), ("all", narrowed(), awake)]), [app()]);
        assert_eq!(told(vec![("all", narrowed(), awake), ("all", vec![], asleep)]), [None, app()]);
    }

    /// The summary of a fleet whose cluster was gone said `complete`, by the databases of the instance of its name.
    #[test]
    fn a_server_does_not_answer_for_another_of_its_name() {
        let of = |kind, database| WrittenItem {
            kind: Some(kind),
            ..item(database)
        };
        let plans = || [vec![of(ServerKind::Instance, Some("app"))], vec![of(ServerKind::Cluster, None)]];
        for is_turned in [false, true] {
            let mut plans = plans();
            if is_turned {
                plans.reverse();
            }
            let mut known = KnownItems::default();
            for items in plans {
                known.add(&[], vec![(group("all"), items)]);
            }
            assert_eq!(known.all().len(), 2, "turned: {is_turned}");
        }
    }

    /// It failed the summaries of its time for good.
    #[test]
    fn a_database_that_a_later_plan_of_the_same_event_finds_no_more_is_no_failure() {
        let (before, after): (&[Option<&str>], &[Option<&str>]) = (&[Some("app"), Some("old")], &[Some("app")]);
        assert_eq!(told(vec![("all", vec![], before), ("all", vec![], after)]).len(), 1);
        assert_eq!(told(vec![("all", vec![], before), ("some", vec![], after)]).len(), 2);
        // The later one could not ask: nothing is known of it.
        assert_eq!(told(vec![("all", vec![], before), ("all", vec![], &[None])]).len(), 2);
    }

    #[test]
    fn what_a_later_plan_of_the_same_event_leaves_out_is_no_failure() {
        let all: &[Option<&str>] = &[Some("app"), Some("old"), None];
        let told_after = |lines: Vec<LeftOutLine>, found: &[Option<&str>]| told(vec![("all", vec![], all), ("all", lines, found)]);
        assert_eq!(told_after(vec![left_out(Some("old"), "all", false)], &[]).len(), 1);
        assert_eq!(told_after(vec![left_out(None, "all", false)], &[]).len(), 0);
        // Another event's plan says nothing of these.
        assert_eq!(told_after(vec![left_out(None, "some", false)], &[]).len(), 2);
        // Asked again without the tag that left all of it out, it does not answer: then nothing is known of it.
        let plans = vec![
            ("all", vec![], &[Some("app")][..]),
            ("all", vec![left_out(None, "all", false)], &[]),
            ("all", vec![], &[None]),
        ];
        assert_eq!(told(plans), [None]);
    }
}
