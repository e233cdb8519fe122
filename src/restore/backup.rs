//! Which backup is meant, and what stands there under its name.

use super::names::{compact, manifest_of, stem_of};
use crate::envelope::manifest::{Found, MAX_MANIFEST, Object, base_name};
use crate::error::{Code, Error, Result};
use crate::event::Env;
use crate::store::{Archive, Location, Pinned, missing};

/// One backup in its folder. Nothing of it is believed yet.
pub struct Backup {
    pub folder: Location,
    pub archive: Archive,
    pub stem: String,
    pub kind: Kind,
}

pub enum Kind {
    /// Of this program: one manifest, and one more for each change of its recipients.
    Sealed {
        /// The newest first; at least one.
        manifests: Vec<Found>,
        /// Generations that are none.
        unreadable: Vec<Error>,
    },
    /// Of the old image, with nothing that could be checked: the names of its key file and its dump.
    Legacy { key: String, dump: String },
}

impl Backup {
    /// Takes `folder/STEM`, the name of any of its objects, or a folder that holds one backup only.
    pub async fn find(text: &str, env: &Env) -> Result<Self> {
        let location = Location::parse(text)?;
        if let Some((folder, name)) = location.split()
            && let Some(stem) = stem_of(&name)
        {
            let archive = Archive::open(&folder, env).await?;
            return Self::at(folder, archive, stem).await;
        }
        let archive = Archive::open(&location, env).await?;
        let names: Vec<String> = archive.list("").await?.into_iter().map(|listed| listed.name).collect();
        let mut stems: Vec<&str> = names.iter().filter_map(|name| Some(manifest_of(name)?.0)).collect();
        stems.dedup();
        match stems.as_slice() {
            [stem] => {
                let stem = (*stem).to_owned();
                Self::at(location, archive, &stem).await
            }
            [] => match legacy_pair(&names) {
                Some((key, dump)) => Ok(Self {
                    stem: stem_of(&dump).unwrap_or(&dump).to_owned(),
                    folder: location,
                    archive,
                    kind: Kind::Legacy { key, dump },
                }),
                None => Err(Error::new(Code::NoBackup, format!("there is no backup in {location}"))),
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
        let mut generations: Vec<(u32, &String)> = names
            .iter()
            .filter_map(|name| {
                manifest_of(name)
                    .filter(|(of, _)| *of == sealed)
                    .map(|(_, generation)| (generation, name))
            })
            .collect();
        generations.sort_by_key(|(generation, _)| std::cmp::Reverse(*generation));
        let (mut manifests, mut unreadable) = (Vec::new(), Vec::new());
        for (_, name) in &generations {
            let bytes = archive.read(name, MAX_MANIFEST).await;
            match bytes.and_then(|bytes| Found::parse(name, &bytes)) {
                Ok(found) => manifests.push(found),
                Err(error) if error.code == Code::Tampered => unreadable.push(error),
                Err(error) => return Err(error),
            }
        }
        let (stem, kind) = match (manifests.is_empty(), unreadable) {
            (false, unreadable) => (sealed, Kind::Sealed { manifests, unreadable }),
            (true, unreadable) if !unreadable.is_empty() => return Err(unreadable[0].clone()),
            (true, _) => {
                if stem != sealed {
                    names.extend(names_of(&archive, stem).await?);
                }
                let (key, dump) = legacy_pair(&names).ok_or_else(|| nothing(&folder, stem, &names))?;
                (stem.to_owned(), Kind::Legacy { key, dump })
            }
        };
        Ok(Self {
            folder,
            archive,
            stem,
            kind,
        })
    }

    /// What the manifest promises must be there, in the promised size.
    pub async fn pin(&self, object: &Object) -> Result<Pinned> {
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

async fn names_of(archive: &Archive, stem: &str) -> Result<Vec<String>> {
    let listed = archive.list(&format!("{stem}.")).await?;
    Ok(listed.into_iter().map(|listed| listed.name).collect())
}

/// The one key file and the one dump of an old backup, by the old image's names or by those in its README.
pub fn legacy_pair(names: &[String]) -> Option<(String, String)> {
    let one = |endings: [&str; 2]| {
        let mut fitting = names.iter().filter(|name| endings.iter().any(|ending| name.ends_with(ending)));
        fitting.next().filter(|_| fitting.next().is_none()).cloned()
    };
    Some((one([".key.txt.enc", "key.bin.enc"])?, one([".sql.bz.enc", "backup.sql.gz.enc"])?))
}

fn nothing(folder: &Location, stem: &str, names: &[String]) -> Error {
    match names.len() {
        0 => Error::new(Code::NoBackup, format!("there is no backup {stem} in {folder}")),
        count => Error::new(
            Code::NoBackup,
            format!("{stem} in {folder} has {count} objects but no manifest: its run did not come to its end"),
        )
        .advise(
            "Without a manifest it is no backup; take another one (`pgseal list`). If you fetched the objects, fetch the manifest too.",
        ),
    }
}
