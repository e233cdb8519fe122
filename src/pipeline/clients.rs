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

/// Looks in `first`, then `/usr/lib/postgresql/*/bin`, then `PATH`.
pub fn installed(first: &[PathBuf], path: Option<&str>) -> Vec<Client> {
    let packaged = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"));
    let on_path = path.map(|path| std::env::split_paths(path).collect::<Vec<_>>()).unwrap_or_default();
    let mut clients: Vec<Client> = Vec::new();
    for folder in first.iter().cloned().chain(packaged).chain(on_path) {
        if let Some(client) = ask(&folder)
            && !clients.contains(&client)
        {
            clients.push(client);
        }
    }
    clients
}

/// `pg_dump` takes servers up to its own major, and what it writes restores best into its own or newer.
pub fn choose(mut clients: Vec<Client>, server_major: u32) -> Result<Client> {
    if clients.is_empty() {
        return Err(Error::new(
            Code::PgDumpMissing,
            "no pg_dump was found in PGSEAL_PG_BIN, /usr/lib/postgresql/*/bin or PATH",
        ));
    }
    // Stable: of two with the same major, the one that was looked for first.
    clients.sort_by_key(|client| client.major);
    let newest = clients.last().map(|client| client.version.clone()).unwrap_or_default();
    clients.into_iter().find(|client| client.major >= server_major).ok_or_else(|| {
        Error::new(
            Code::VersionMismatch,
            format!("the server is PostgreSQL {server_major}; the newest installed pg_dump is {newest}"),
        )
    })
}

fn ask(folder: &Path) -> Option<Client> {
    let program = folder.join("pg_dump");
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

    #[test]
    fn the_smallest_that_is_not_older() {
        let all = || vec![client(18), client(15), client(17)];
        for (server, chosen) in [(10, 15), (15, 15), (16, 17), (17, 17), (18, 18)] {
            assert_eq!(choose(all(), server).unwrap().major, chosen);
        }
        assert_eq!(choose(all(), 19).unwrap_err().code, Code::VersionMismatch);
        assert_eq!(choose(vec![], 15).unwrap_err().code, Code::PgDumpMissing);
    }
}
