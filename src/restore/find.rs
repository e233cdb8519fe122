//! Which backup is meant, and what stands there under its name.

use super::latest;
use crate::cancel::Cancel;
use crate::envelope::manifest::{MAX_MANIFEST, ManifestObject, UnverifiedManifest, base_name};
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::format::object_names::{compact, is_of_sealed, manifest_revision, stem_of};
use crate::store::{Archive, Location, PinnedObject, missing};
use crate::variables::Env;

/// One backup in its folder. Nothing of it is believed yet.
pub struct ChosenBackup {
    pub folder: Location,
    pub archive: Archive,
    pub stem: String,
    pub kind: BackupKind,
}

pub enum BackupKind {
    /// Of this program: one manifest, and one more for each change of its recipients.
    Sealed {
        /// The newest first; at least one.
        manifests: Vec<UnverifiedManifest>,
        /// Revisions that are not valid, or may not be read.
        unreadable: Vec<Error>,
    },
    /// Of the legacy image, with nothing that could be checked: the names of its key file and its dump.
    Legacy { key: String, dump: String },
}

impl ChosenBackup {
    /// Takes `folder/STEM`, the name of any of its objects, `folder/latest[:DATABASE]`, or a folder that holds one backup only.
    pub async fn find(text: &str, signer: Option<&Verifier>, env: &Env, cancel: &Cancel) -> Result<Self> {
        let location = Location::parse(text)?;
        let is_bare = !text.contains('/') && latest::asked(text).is_some();
        Self::of_location(location, signer, env, cancel)
            .await
            .map_err(|error| match is_bare && error.code == Code::NoBackup {
                true => error.advise(format!("This looks in the current folder. In S3 it is s3://BUCKET/PREFIX/{text}.")),
                false => error,
            })
    }

    async fn of_location(location: Location, signer: Option<&Verifier>, env: &Env, cancel: &Cancel) -> Result<Self> {
        if let Some((folder, name)) = location.split()
            && let Some(database) = latest::asked(&name)
        {
            let archive = cancel.run_until_cancelled(Archive::open(&folder, env)).await?;
            let stem = latest::newest(&folder, &archive, database, signer, cancel).await?;
            return cancel.run_until_cancelled(Self::at(folder, archive, &stem)).await;
        }
        cancel.run_until_cancelled(Self::named(location, env)).await
    }

    async fn named(location: Location, env: &Env) -> Result<Self> {
        if let Some((folder, name)) = location.split()
            && let Some(stem) = stem_of(&name)
        {
            let archive = Archive::open(&folder, env).await?;
            return Self::at(folder, archive, stem).await;
        }
        let archive = Archive::open(&location, env).await?;
        let names: Vec<String> = archive.list("").await?.into_iter().map(|listed| listed.name).collect();
        let mut stems: Vec<&str> = names.iter().filter_map(|name| Some(manifest_revision(name)?.0)).collect();
        stems.dedup();
        match stems.as_slice() {
            [stem] => {
                let stem = (*stem).to_owned();
                Self::at(location, archive, &stem).await
            }
            [] => match legacy_pair(&names) {
                Some((key, dump)) => {
                    must_be_alone(&sealed_among(&names))?;
                    Ok(Self {
                        stem: stem_of(&dump).unwrap_or(&dump).to_owned(),
                        folder: location,
                        archive,
                        kind: BackupKind::Legacy { key, dump },
                    })
                }
                None => Err(no_backup(&location, &near(&location, env).await)),
            },
            several => {
                let newest = several.iter().rev().take(3).copied().collect::<Vec<_>>().join(", ");
                Err(Error::new(
                    Code::NoBackup,
                    format!("there are {} backups in {location}: name one, such as {newest}", several.len()),
                )
                .advise("Put the backup's stem behind the folder: FOLDER/STEM."))
            }
        }
    }

    /// The backup of this stem in an archive that is open already; `folder` is its name in messages.
    pub async fn at(folder: Location, archive: Archive, stem: &str) -> Result<Self> {
        // Of a set in the legacy format any name may be given; its manifest, which proves it, stands under the compact stem.
        let sealed = compact(stem);
        let mut names = names_of(&archive, &sealed).await?;
        let mut revisions: Vec<(u32, &String)> = names
            .iter()
            .filter_map(|name| {
                manifest_revision(name)
                    .filter(|(of, _)| *of == sealed)
                    .map(|(_, revision)| (revision, name))
            })
            .collect();
        revisions.sort_by_key(|(revision, _)| std::cmp::Reverse(*revision));
        let (mut manifests, mut unreadable) = (Vec::new(), Vec::new());
        for (_, name) in &revisions {
            let bytes = archive.read(name, MAX_MANIFEST).await;
            match bytes.and_then(|bytes| UnverifiedManifest::parse(name, &bytes)) {
                Ok(found) => manifests.push(found),
                Err(error) if ends_the_search(error.code) => return Err(error),
                Err(error) => unreadable.push(error),
            }
        }
        let (stem, kind) = match (manifests.is_empty(), unreadable) {
            (false, unreadable) => (sealed, BackupKind::Sealed { manifests, unreadable }),
            (true, unreadable) if !unreadable.is_empty() => return Err(unreadable[0].clone()),
            (true, _) => {
                let of_sealed = sealed_among(&names);
                if stem != sealed {
                    names.extend(names_of(&archive, stem).await?);
                }
                let (key, dump) = legacy_pair(&names).ok_or_else(|| nothing(&folder, stem, &names))?;
                must_be_alone(&of_sealed)?;
                (stem.to_owned(), BackupKind::Legacy { key, dump })
            }
        };
        Ok(Self {
            folder,
            archive,
            stem,
            kind,
        })
    }

    /// Every name under the stem, and under the legacy image's spelling of it.
    pub(crate) async fn names(&self, old_stem: Option<&str>) -> Result<Vec<String>> {
        let mut names = names_of(&self.archive, &self.stem).await?;
        if let Some(old) = old_stem.filter(|old| *old != self.stem) {
            names.extend(names_of(&self.archive, old).await?);
        }
        Ok(names)
    }

    /// What the manifest promises must be there, in the promised size.
    pub(crate) async fn pin(&self, object: &ManifestObject) -> Result<PinnedObject> {
        let name = base_name(&object.key);
        let pinned = self.archive.pin(name).await?.ok_or_else(|| missing(name))?;
        if pinned.size != object.size {
            return Err(Error::new(
                Code::Tampered,
                format!("{name} has {} bytes, {} were sealed", pinned.size, object.size),
            ));
        }
        Ok(pinned)
    }
}

/// The newest backups whose names begin like the one that is not there.
pub(super) async fn near(location: &Location, env: &Env) -> Vec<String> {
    let Some((folder, beginning)) = location.split() else {
        return Vec::new();
    };
    let Ok(archive) = Archive::open(&folder, env).await else {
        return Vec::new();
    };
    let listed = archive.list(&beginning).await.unwrap_or_default();
    let mut stems: Vec<String> = listed
        .iter()
        .filter_map(|listed| Some(manifest_revision(&listed.name)?.0.to_owned()))
        .collect();
    stems.sort_unstable();
    stems.dedup();
    stems.into_iter().rev().take(3).collect()
}

fn no_backup(location: &Location, near: &[String]) -> Error {
    let error = Error::new(Code::NoBackup, format!("there is no backup in {location}"));
    match near {
        [] => error.advise(format!(
            "`pgseal list {location}` shows what is there: what has no manifest is no backup."
        )),
        near => error.advise(format!("Did you mean {}?", near.join(" or "))),
    }
}

async fn names_of(archive: &Archive, stem: &str) -> Result<Vec<String>> {
    let listed = archive.list(&format!("{stem}.")).await?;
    Ok(listed.into_iter().map(|listed| listed.name).collect())
}

/// What no other manifest would change: the way to the store, or who waits. Anything else may be the doing of anyone who put
/// that manifest there, and must not stand in the way of a genuine one.
pub(super) fn ends_the_search(code: Code) -> bool {
    matches!(
        code,
        Code::S3Unavailable | Code::S3NoBucket | Code::S3WrongRegion | Code::AwsFailed | Code::Terminated | Code::Deadline | Code::Bug
    )
}

/// Of the key file and of the dump, in either spelling.
pub(crate) const LEGACY_ENDINGS: [[&str; 2]; 2] = [[".key.txt.enc", "key.bin.enc"], [".sql.bz.enc", "backup.sql.gz.enc"]];

/// The one key file and the one dump of an old backup, by the legacy image's names or by those in its README.
pub(crate) fn legacy_pair(names: &[String]) -> Option<(String, String)> {
    let one = |endings: [&str; 2]| {
        let mut fitting = names.iter().filter(|name| endings.iter().any(|ending| name.ends_with(ending)));
        fitting.next().filter(|_| fitting.next().is_none()).cloned()
    };
    let [key, dump] = LEGACY_ENDINGS;
    Some((one(key)?, one(dump)?))
}

/// Objects of a sealed backup, or under such a backup's name: what the legacy image never wrote.
fn sealed_among(names: &[String]) -> Vec<String> {
    names.iter().filter(|name| is_of_sealed(name)).cloned().collect()
}

/// Anyone who may write to the bucket could take a sealed backup's manifest away, or keep it back, and put a backup of the old
/// kind in its place, of which nothing is proven.
fn must_be_alone(sealed: &[String]) -> Result<()> {
    let Some(name) = sealed.first() else { return Ok(()) };
    Err(Error::new(
        Code::Tampered,
        format!("{name} beside these objects of the legacy image is of a sealed backup whose manifest is not here"),
    )
    .advise(
        "Fetch the manifest too; where it is gone, somebody took it away. What the legacy image wrote is opened from a folder of its own.",
    ))
}

fn nothing(folder: &Location, stem: &str, names: &[String]) -> Error {
    match names.len() {
        0 => Error::new(Code::NoBackup, format!("there is no backup {stem} in {folder}"))
            .advise(format!("`pgseal list {folder}` shows those that are there.")),
        count => Error::new(
            Code::NoBackup,
            format!("{stem} in {folder} has {count} objects but no manifest: its run did not come to its end"),
        )
        .advise(
            "Without a manifest it is no backup; take another one (`pgseal list`). If you fetched the objects, fetch the manifest too.",
        ),
    }
}
