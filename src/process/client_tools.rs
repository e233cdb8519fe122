//! Which `pg_dump` to run: the smallest major that is not older than the server, among those installed.

use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::process::short_run::{SHORT_RUN_LIMIT, short_run};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// One installed `pg_dump` and its neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTools {
    pub folder: PathBuf,
    pub major: u32,
    /// Such as `18.1`.
    pub version: String,
}

impl ClientTools {
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Where to look: folders named by the user, then `/usr/lib/postgresql/*/bin`, then `PATH`.
/// One that does not say its version within the limit counts as missing.
pub fn find(first: &[PathBuf], path: Option<&str>, server_major: u32, limit: Duration, cancel: &Cancel) -> Result<ClientTools> {
    let folders = folders("pg_dump", first, path);
    let chosen = choose(folders, |folder| ask("pg_dump", folder, limit, cancel), server_major);
    // After a cancel nobody was asked properly.
    cancel.check()?;
    chosen
}

/// Every installed one of another of PostgreSQL's programs, such as `psql`, in the same order.
pub fn installed(program: &str, first: &[PathBuf], path: Option<&str>) -> Vec<ClientTools> {
    let Ok(cancel) = Cancel::new() else { return Vec::new() };
    folders(program, first, path)
        .filter_map(|(folder, _)| ask(program, &folder, SHORT_RUN_LIMIT, &cancel).ok()?)
        .collect()
}

fn folders(program: &str, first: &[PathBuf], path: Option<&str>) -> impl Iterator<Item = (PathBuf, Option<u32>)> {
    let on_path = path.map(|path| std::env::split_paths(path).collect::<Vec<_>>()).unwrap_or_default();
    let unknown = |folder| (folder, None);
    let named = first.iter().cloned().map(unknown);
    named.chain(packaged(program)).chain(on_path.into_iter().map(unknown))
}

/// Debian's folders, whose names tell the major: in ascending order.
fn packaged(program: &str) -> Vec<(PathBuf, Option<u32>)> {
    let entries = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = entries
        .filter_map(|entry| Some((entry.path().join("bin"), entry.file_name().to_str()?.parse().ok())))
        .filter(|(folder, _)| folder.join(program).is_file())
        .collect();
    folders.sort_by_key(|(_, major)| *major);
    folders
}

/// `pg_dump` takes servers up to its own major, and what it writes restores best into its own or newer. Each question
/// starts a process: one whose folder tells that it is too old is not asked, and an exact match ends the search.
fn choose(
    folders: impl Iterator<Item = (PathBuf, Option<u32>)>,
    ask: impl Fn(&Path) -> Result<Option<ClientTools>>,
    server_major: u32,
) -> Result<ClientTools> {
    let mut best: Option<ClientTools> = None;
    let mut too_old = None;
    let mut mute = None;
    for (folder, told) in folders {
        let known_major = told.filter(|major| *major < server_major);
        let asked = match known_major {
            Some(_) => Ok(None),
            None => ask(&folder),
        };
        let asked = asked.unwrap_or_else(|error| {
            mute.get_or_insert(error.message);
            None
        });
        match asked {
            Some(client) if client.major == server_major => return Ok(client),
            Some(client) if client.major > server_major => {
                if best.as_ref().is_none_or(|best| client.major < best.major) {
                    best = Some(client);
                }
            }
            older => too_old = too_old.max(known_major).max(older.map(|client| client.major)),
        }
    }
    best.ok_or_else(|| match (mute, too_old) {
        (Some(why), _) => Error::new(Code::PgDumpMissing, why),
        (None, Some(newest)) => Error::new(
            Code::VersionMismatch,
            format!("the server is PostgreSQL {server_major}; the newest installed pg_dump is {newest}"),
        ),
        (None, None) => Error::new(
            Code::PgDumpMissing,
            "no pg_dump was found in PGSEAL_PG_BIN, /usr/lib/postgresql/*/bin or PATH",
        ),
    })
}

/// `None` where there is no such program; an error where it does not say its version, such as for want of descriptors.
fn ask(program: &str, folder: &Path, limit: Duration, cancel: &Cancel) -> Result<Option<ClientTools>> {
    let path = folder.join(program);
    if !path.is_file() {
        return Ok(None);
    }
    let mute = |why: &str| {
        let message = format!("{} --version: {why}", path.display());
        tracing::warn!("{message}");
        Error::new(Code::PgDumpMissing, message)
    };
    let mut command = Command::new(&path);
    command.arg("--version").env_clear().env("LC_ALL", "C");
    let said = short_run(command, limit, cancel).map_err(|error| mute(&error.message))?;
    let (version, major) = version_of(&said.stdout).ok_or_else(|| {
        // Such as a library that is missing.
        let first = said.stderr.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let first: String = first.chars().take(200).collect();
        let why = "it does not answer as PostgreSQL's does";
        mute(&if first.is_empty() {
            why.to_owned()
        } else {
            format!("{why}: {first}")
        })
    })?;
    Ok(Some(ClientTools {
        folder: folder.to_owned(),
        major,
        version,
    }))
}

/// From `pg_dump (PostgreSQL) 17.6 (Debian 17.6-0+deb13u1)`.
fn version_of(text: &str) -> Option<(String, u32)> {
    let version = text.split_once("(PostgreSQL) ")?.1.split_whitespace().next()?;
    let major = version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    Some((version.to_owned(), major))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(major: u32) -> ClientTools {
        ClientTools {
            folder: format!("/{major}").into(),
            major,
            version: format!("{major}.1"),
        }
    }

    /// Chooses among folders that are named like their majors; gives the choice and who was asked.
    fn choice(majors: &[u32], told: bool, server: u32) -> (Result<u32>, Vec<u32>) {
        let asked = std::cell::RefCell::new(Vec::new());
        let folders = majors
            .iter()
            .map(|major| (PathBuf::from(format!("/{major}")), told.then_some(*major)));
        let ask = |folder: &Path| {
            let major = folder.to_str().unwrap().trim_start_matches('/').parse().unwrap();
            asked.borrow_mut().push(major);
            Ok(Some(client(major)))
        };
        let chosen = choose(folders, ask, server).map(|client| client.major);
        (chosen, asked.into_inner())
    }

    #[test]
    fn the_smallest_that_is_not_older() {
        for (server, chosen) in [(10, 15), (15, 15), (16, 17), (17, 17), (18, 18)] {
            assert_eq!(choice(&[18, 15, 17], false, server).0.unwrap(), chosen);
        }
        assert_eq!(choice(&[18, 15, 17], false, 19).0.unwrap_err().code, Code::VersionMismatch);
        assert_eq!(choice(&[15], true, 19).0.unwrap_err().code, Code::VersionMismatch);
        assert_eq!(choice(&[], false, 15).0.unwrap_err().code, Code::PgDumpMissing);
    }

    #[test]
    fn nobody_is_asked_in_vain() {
        assert_eq!(choice(&[14, 15, 16, 17, 18], true, 16).1, [16]);
    }

    fn script(folder: &Path, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.join("pg_dump");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_pg_dump_that_does_not_say_its_version_holds_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let cancel = Cancel::new().unwrap();
        let short = Duration::from_millis(50);
        for text in ["exec sleep 1000", "exec yes"] {
            script(folder.path(), text);
            assert!(ask("pg_dump", folder.path(), short, &cancel).is_err(), "{text}");
        }
        cancel.cancel(Error::new(Code::Terminated, "stop"));
        script(folder.path(), "exec sleep 1000");
        let error = find(&[folder.path().to_owned()], None, 99, SHORT_RUN_LIMIT, &cancel).unwrap_err();
        assert_eq!(error.code, Code::Terminated);
    }

    #[test]
    fn one_that_cannot_be_started_is_told_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        script(folder.path(), "echo no");
        std::fs::write(folder.path().join("pg_dump"), "#!/nowhere/sh\n").unwrap();
        let error = find(&[folder.path().to_owned()], None, 99, SHORT_RUN_LIMIT, &Cancel::new().unwrap()).unwrap_err();
        assert_eq!(error.code, Code::PgDumpMissing);
        assert!(
            error.message.contains("cannot be started: No such file or directory"),
            "{}",
            error.message
        );
    }

    #[test]
    fn a_version_is_read() {
        let folder = tempfile::tempdir().unwrap();
        script(folder.path(), "echo 'pg_dump (PostgreSQL) 17.6 (Debian 17.6-0+deb13u1)'");
        let client = ask("pg_dump", folder.path(), SHORT_RUN_LIMIT, &Cancel::new().unwrap())
            .unwrap()
            .unwrap();
        assert_eq!((client.major, client.version.as_str()), (17, "17.6"));
    }
}
