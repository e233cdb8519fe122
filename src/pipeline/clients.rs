//! Which `pg_dump` to run: the smallest major that is not older than the server, among those installed.

use crate::error::{Code, Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One installed `pg_dump` and its neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    pub folder: PathBuf,
    pub major: u32,
    /// Such as `18.1`.
    pub version: String,
}

impl Client {
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Where to look: folders named by the user, then `/usr/lib/postgresql/*/bin`, then `PATH`.
pub fn find(first: &[PathBuf], path: Option<&str>, server_major: u32) -> Result<Client> {
    let folders = folders("pg_dump", first, path);
    choose(folders, |folder| ask("pg_dump", folder), server_major)
}

/// Every installed one of another of PostgreSQL's programs, such as `psql`, in the same order.
pub fn installed(program: &str, first: &[PathBuf], path: Option<&str>) -> Vec<Client> {
    folders(program, first, path)
        .filter_map(|(folder, _)| ask(program, &folder))
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
    ask: impl Fn(&Path) -> Option<Client>,
    server_major: u32,
) -> Result<Client> {
    let mut best: Option<Client> = None;
    let mut too_old = None;
    for (folder, told) in folders {
        let known_major = told.filter(|major| *major < server_major);
        let asked = if known_major.is_some() { None } else { ask(&folder) };
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
    best.ok_or_else(|| match too_old {
        Some(newest) => Error::new(
            Code::VersionMismatch,
            format!("the server is PostgreSQL {server_major}; the newest installed pg_dump is {newest}"),
        ),
        None => Error::new(
            Code::PgDumpMissing,
            "no pg_dump was found in PGSEAL_PG_BIN, /usr/lib/postgresql/*/bin or PATH",
        ),
    })
}

fn ask(program: &str, folder: &Path) -> Option<Client> {
    let program = folder.join(program);
    if !program.is_file() {
        return None;
    }
    let output = Command::new(program)
        .arg("--version")
        .env_clear()
        .env("LC_ALL", "C")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    // `pg_dump (PostgreSQL) 17.6 (Debian 17.6-0+deb13u1)`
    let version = text.split_once("(PostgreSQL) ")?.1.split_whitespace().next()?.to_owned();
    let major = version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    Some(Client {
        folder: folder.to_owned(),
        major,
        version,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(major: u32) -> Client {
        Client {
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
            let major = folder.to_str()?.trim_start_matches('/').parse().ok()?;
            asked.borrow_mut().push(major);
            Some(client(major))
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
}
