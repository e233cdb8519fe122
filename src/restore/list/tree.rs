//! A place and the folders below it: where each server, account or region has a folder of its own.

use crate::error::{Error, Result};
use crate::observe::logs::ANSWER;
use crate::store::{Archive, Location, ObjectEntry};
use crate::variables::Env;
use futures_util::{StreamExt, stream};

/// Folders that are looked at at once.
pub(in crate::restore) const AT_ONCE: usize = 16;
/// Far below `backups/ACCOUNT/REGION/SERVER`: a bound for links that go round in a directory.
const DEEPEST: usize = 12;

pub(in crate::restore) struct Folder {
    /// Below the place; empty for the place itself.
    pub name: String,
    pub location: Location,
    pub archive: Archive,
    pub listed: Vec<ObjectEntry>,
}

/// The place itself, and every folder below it, level by level.
pub(in crate::restore) async fn folders(root: &Location, env: &Env) -> Result<Vec<Folder>> {
    let mut found = Vec::new();
    let mut level = vec![(String::new(), root.clone())];
    for depth in 0.. {
        let looking = level.into_iter().map(|(name, location)| async move {
            let archive = Archive::open(&location, env).await?;
            let (listed, below) = (archive.list("").await?, archive.folders().await?);
            let folder = Folder {
                name,
                location,
                archive,
                listed,
            };
            Ok::<_, Error>((folder, below))
        });
        let looked: Vec<Result<(Folder, Vec<String>)>> = stream::iter(looking).buffered(AT_ONCE).collect().await;
        level = Vec::new();
        for looked in looked {
            let (folder, below) = looked?;
            for child in below {
                let child = child.trim_end_matches('/');
                let name = match folder.name.as_str() {
                    "" => child.to_owned(),
                    parent => format!("{parent}/{child}"),
                };
                level.push((name, folder.location.join(child)));
            }
            found.push(folder);
        }
        if level.is_empty() {
            break;
        }
        if depth == DEEPEST {
            let (name, _) = &level[0];
            tracing::warn!(target: ANSWER, "folders more than {DEEPEST} levels below {root} are not looked at, such as {name}");
            break;
        }
    }
    Ok(found)
}
