//! What a fleet's backups come to, by what is in S3 alone: of each database on each server the newest complete backup, and what
//! is missing.

mod page;

use super::list::filter::in_words;
use crate::cancel::Cancel;
use crate::envelope::manifest::{MAX_MANIFEST, UnverifiedManifest, base_name};
use crate::error::{Code, Error, Result};
use crate::format::object_names::{is_report, manifest_revision, stem_of};
use crate::store::{Archive, Location, ObjectEntry};
use crate::variables::Env;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

/// Folders that are looked at at once.
const AT_ONCE: usize = 16;
/// `backups/ACCOUNT/REGION/SERVER`, and one more.
const DEEPEST: usize = 5;
/// A report is a page of JSON, and longer only if much differs.
const MAX_REPORT: u64 = 16 << 20;

pub(crate) struct FleetStatusOptions {
    /// A newest backup that is older is missing.
    pub max_age: Duration,
    /// Where drills leave their reports, if not beside the backups.
    pub reports: Option<Location>,
}

#[derive(Debug, Serialize)]
pub(crate) struct FleetStatus {
    /// `complete`: nothing is missing.
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
    /// The newest that is all there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<NewestBackup>,
    /// Manifests, of whatever age.
    pub backups: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillStatus>,
    /// Why somebody should look, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
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

/// The newest drill of this database.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DrillStatus {
    /// `passed`, `failed` or `not_finished`.
    pub outcome: String,
    pub finished_at: String,
    pub report: String,
}

pub(crate) async fn fleet_status(text: &str, ask: &FleetStatusOptions, env: &Env, cancel: &Cancel) -> Result<FleetStatus> {
    let root = Location::parse(text)?;
    let now = OffsetDateTime::now_utc();
    let looking = async {
        let folders = folders(&root, env).await?;
        let mut drills = HashMap::new();
        if let Some(place) = &ask.reports {
            add_drills(&Archive::open(place, env).await?, place, &mut drills).await?;
        }
        let looking = folders.iter().map(|folder| look(folder, ask, now, env));
        let found: Vec<Result<FolderStatus>> = stream::iter(looking).buffered(AT_ONCE).collect().await;
        let mut databases = Vec::new();
        let found = found.into_iter().collect::<Result<Vec<_>>>()?;
        for folder in &found {
            drills.extend(folder.drills.clone());
        }
        for folder in found {
            databases.extend(folder.databases.into_iter().map(|mut found| {
                // The newest drill of any of its backups.
                let drilled = found.runs.iter().filter_map(|run| drills.get(run));
                found.status.drill = drilled.max_by(|a, b| a.finished_at.cmp(&b.finished_at)).cloned();
                if let Some(drill) = found.status.drill.as_ref().filter(|drill| drill.outcome != "passed") {
                    found
                        .status
                        .missing
                        .push(format!("its last drill {}", drill.outcome.replace('_', " ")));
                }
                found.status
            }));
        }
        Ok(databases)
    };
    let mut databases = cancel.run_until_cancelled(looking).await?;
    databases.sort_by(|a, b| (&a.group, &a.database).cmp(&(&b.group, &b.database)));
    let missing = databases.iter().filter(|status| !status.missing.is_empty()).count();
    let error = match (databases.is_empty(), missing) {
        (true, _) => Some(Error::new(
            Code::NoBackup,
            format!("there is no backup in {root}, nor in the folders below it"),
        )),
        (false, 0) => None,
        (false, missing) => Some(
            Error::new(
                Code::NoBackup,
                format!("of {missing} of {} databases something is missing", databases.len()),
            )
            .advise("Look for the runs since then: the schedule, and the log of the last one."),
        ),
    };
    Ok(FleetStatus {
        status: if error.is_some() { "failed" } else { "complete" },
        location: root.to_string(),
        checked_at: rfc3339(now),
        max_age_seconds: ask.max_age.whole_seconds(),
        databases,
        error,
    })
}

/// A folder with backups in it, and its name below the root.
struct Folder {
    name: String,
    location: Location,
    listed: Vec<ObjectEntry>,
}

/// All of them, level by level.
async fn folders(root: &Location, env: &Env) -> Result<Vec<Folder>> {
    let mut found = Vec::new();
    let mut level = vec![(String::new(), root.clone())];
    for _ in 0..=DEEPEST {
        let looking = level.into_iter().map(|(name, location)| async move {
            let archive = Archive::open(&location, env).await?;
            let (listed, below) = (archive.list("").await?, archive.folders().await?);
            Ok::<_, Error>((Folder { name, location, listed }, below))
        });
        let looked: Vec<Result<(Folder, Vec<String>)>> = stream::iter(looking).buffered(AT_ONCE).collect().await;
        level = Vec::new();
        for looked in looked {
            let (folder, below) = looked?;
            for child in below {
                let child = child.trim_end_matches('/');
                let name = if folder.name.is_empty() {
                    child.to_owned()
                } else {
                    format!("{}/{child}", folder.name)
                };
                level.push((name, folder.location.join(child)));
            }
            if folder.listed.iter().any(|object| stem_of(&object.name).is_some()) {
                found.push(folder);
            }
        }
        if level.is_empty() {
            break;
        }
    }
    Ok(found)
}

struct FolderStatus {
    databases: Vec<FoundDatabase>,
    drills: HashMap<String, DrillStatus>,
}

struct FoundDatabase {
    status: DatabaseStatus,
    /// Of the manifests that were read.
    runs: Vec<String>,
}

/// Backups of one database in one folder, by what stands before the time in their names.
#[derive(Default)]
struct OneDatabase<'a> {
    /// Stems, and the manifests of each.
    manifests: BTreeMap<&'a str, Vec<&'a str>>,
    /// Stems of which there are objects and no manifest.
    interrupted: Vec<&'a str>,
}

async fn look(folder: &Folder, ask: &FleetStatusOptions, now: OffsetDateTime, env: &Env) -> Result<FolderStatus> {
    let archive = Archive::open(&folder.location, env).await?;
    let mut drills = HashMap::new();
    add_drills(&archive, &folder.location, &mut drills).await?;
    let sizes: HashMap<&str, u64> = folder.listed.iter().map(|object| (object.name.as_str(), object.size)).collect();
    let mut all: BTreeMap<&str, OneDatabase<'_>> = BTreeMap::new();
    for name in folder
        .listed
        .iter()
        .map(|object| object.name.as_str())
        .filter(|name| !is_report(name))
    {
        let Some(stem) = stem_of(name) else { continue };
        let database = all.entry(stem.rsplit_once('_').map_or(stem, |(database, _)| database)).or_default();
        match manifest_revision(name) {
            Some((stem, _)) => database.manifests.entry(stem).or_default().push(name),
            None => database.interrupted.push(stem),
        }
    }
    let mut databases = Vec::new();
    for (name, mut found) in all {
        found.interrupted.retain(|stem| !found.manifests.contains_key(*stem));
        databases.push(status(folder, &archive, name, &found, &sizes, ask, now).await?);
    }
    Ok(FolderStatus { databases, drills })
}

async fn status(
    folder: &Folder,
    archive: &Archive,
    name: &str,
    found: &OneDatabase<'_>,
    sizes: &HashMap<&str, u64>,
    ask: &FleetStatusOptions,
    now: OffsetDateTime,
) -> Result<FoundDatabase> {
    let mut status = DatabaseStatus {
        group: folder.name.clone(),
        // In keys it is encoded; a manifest has it as it is.
        database: name.to_owned(),
        newest: None,
        backups: found.manifests.len(),
        drill: None,
        missing: Vec::new(),
    };
    let mut runs = Vec::new();
    // By the time in their names, the newest first.
    'stems: for (stem, manifests) in found.manifests.iter().rev() {
        for manifest in manifests.iter().rev() {
            let read = archive.read(manifest, MAX_MANIFEST).await;
            let parsed = match read.and_then(|bytes| UnverifiedManifest::parse(manifest, &bytes)) {
                Ok(parsed) => parsed,
                Err(error) if super::find::ends_the_search(error.code) => return Err(error),
                Err(error) => {
                    status.missing.push(format!("{manifest} cannot be read ({})", error.code.name()));
                    continue;
                }
            };
            let manifest = parsed.unproven();
            status.database.clone_from(&manifest.database);
            runs.push(manifest.run.clone());
            let is_there = |key: &str, size: u64| sizes.get(base_name(key)) == Some(&size);
            if !manifest.objects.iter().all(|object| is_there(&object.key, object.size)) {
                status.missing.push(format!("{stem} is incomplete"));
                break;
            }
            let time = manifest.scheduled_time.0;
            status.newest = Some(NewestBackup {
                stem: (*stem).to_owned(),
                scheduled_time: manifest.scheduled_time.to_string(),
                age_seconds: (now - time).whole_seconds(),
                bytes: manifest.objects.iter().map(|object| object.size).sum(),
                plain_bytes: manifest.plain_bytes,
                rows: manifest.rows,
                tables: manifest.tables,
                partial: manifest.is_partial(),
            });
            if now - time > ask.max_age {
                status
                    .missing
                    .push(format!("its newest backup is older than {}", in_words(ask.max_age)));
            }
            break 'stems;
        }
    }
    let newest = status.newest.as_ref().map(|newest| newest.stem.as_str());
    if newest.is_none() {
        status.missing.push("it has no complete backup".to_owned());
    }
    let later = found.interrupted.iter().filter(|stem| newest.is_none_or(|newest| **stem > newest));
    if let Some(stem) = later.max() {
        status.missing.push(format!("the run of {stem} was interrupted, or still goes on"));
    }
    Ok(FoundDatabase { status, runs })
}

#[derive(Deserialize)]
struct Report {
    outcome: String,
    finished_at: String,
    backup: ReportedRun,
}

#[derive(Deserialize)]
struct ReportedRun {
    #[serde(default)]
    run: String,
}

/// By the run of the backup that was drilled: its stem may be that of another server's backup, too.
async fn add_drills(archive: &Archive, place: &Location, drills: &mut HashMap<String, DrillStatus>) -> Result<()> {
    for report in archive
        .list("")
        .await?
        .iter()
        .filter(|object| is_report(&object.name) && object.name.ends_with(".json"))
    {
        let read = archive.read(&report.name, MAX_REPORT).await?;
        // What is no report is nobody's result.
        let Ok(parsed) = serde_json::from_slice::<Report>(&read) else {
            continue;
        };
        let is_newer = drills
            .get(&parsed.backup.run)
            .is_none_or(|known: &DrillStatus| known.finished_at < parsed.finished_at);
        if is_newer && !parsed.backup.run.is_empty() {
            drills.insert(
                parsed.backup.run,
                DrillStatus {
                    outcome: parsed.outcome,
                    finished_at: parsed.finished_at,
                    report: place.join(&report.name).to_string(),
                },
            );
        }
    }
    Ok(())
}

fn rfc3339(time: OffsetDateTime) -> String {
    time.replace_nanosecond(0).unwrap_or(time).format(&Rfc3339).unwrap_or_default()
}
