//! The folder of one drill: what its server writes, and nothing of anybody else's.
//!
//! ```text
//! pgseal-drill-1a2b3c4d5e6f/   ours; the drill's group may pass, nobody else
//!   data/                      the server's alone
//!   socket/                    the server's; psql may pass
//!   locales/                   made before the server starts, read by it
//!   log                        ours: the server has it open and cannot open it
//! ```

use super::accounts::{Account, Accounts, give, give_tree};
use crate::envelope::hex;
use crate::error::{Code, Error, Result};
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

const SOCKET: &str = ".s.PGSQL.5432";
/// Of a socket's path, in bytes (sun_path of unix(7), less its NUL).
const SOCKET_PATH: usize = 107;
/// Of the log, for a message.
const LOG_END: u64 = 4096;

pub(super) struct ScratchFolder {
    path: PathBuf,
    /// Read through this descriptor alone: its name is asked for once.
    log: File,
}

impl ScratchFolder {
    pub(super) fn new(parent: &Path, accounts: &Accounts) -> Result<Self> {
        let unusable = |error: &dyn std::fmt::Display| {
            let message = format!("throw-away PostgreSQL: no folder in {}: {error}", parent.display());
            Error::new(Code::RestoreFailed, message)
        };
        let parent = parent.canonicalize().map_err(|error| unusable(&error))?;
        let mut name = [0; 6];
        aws_lc_rs::rand::fill(&mut name).map_err(|error| unusable(&error))?;
        let path = parent.join(format!("pgseal-drill-{}", hex(&name)));
        if path.join("socket").join(SOCKET).as_os_str().len() > SOCKET_PATH {
            return Err(unusable(&"it is too long a path for a socket").advise("Name a shorter folder in TMPDIR."));
        }
        // Fails where anything of that name exists.
        let make = |path: &Path, mode| std::fs::DirBuilder::new().mode(mode).create(path);
        make(&path, 0o700).map_err(|error| unusable(&error))?;
        let guard = Removed(path);
        let filled = || -> std::io::Result<File> {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            // Before anybody else comes into the folder.
            let log = File::from(openat(CWD, guard.0.join("log"), flags, Mode::RUSR | Mode::WUSR)?);
            for (folder, mode, owner) in [
                ("data", 0o700, accounts.maker),
                ("locales", 0o755, accounts.maker),
                ("socket", 0o710, accounts.server),
            ] {
                make(&guard.0.join(folder), mode)?;
                give_tree(&guard.0.join(folder), owner)?;
            }
            if let Some(Account { group, .. }) = accounts.server {
                let folder = File::open(&guard.0)?;
                give(&folder, Some(Account { user: 0, group }))?;
                rustix::fs::fchmod(&folder, Mode::RWXU | Mode::XGRP)?;
            }
            Ok(log)
        };
        let log = filled().map_err(|error| unusable(&error))?;
        Ok(Self { path: guard.keep(), log })
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.path.join("socket")
    }

    pub(super) fn locales(&self) -> PathBuf {
        self.path.join("locales")
    }

    /// For the server to write to.
    pub(super) fn log(&self) -> std::io::Result<File> {
        self.log.try_clone()
    }

    pub(super) fn log_end(&self) -> String {
        let length = self.log.metadata().map_or(0, |log| log.len());
        let from = length.saturating_sub(LOG_END);
        let mut end = vec![0; (length - from) as usize];
        let read = self.log.read_at(&mut end, from).unwrap_or(0);
        let text = String::from_utf8_lossy(&end[..read]).into_owned();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(4)..].join(" · ")
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        drop(Removed(std::mem::take(&mut self.path)));
    }
}

/// A folder that goes with this. The standard library follows no link when it removes one, whoever changes it meanwhile.
struct Removed(PathBuf);

impl Removed {
    fn keep(mut self) -> PathBuf {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Removed {
    fn drop(&mut self) {
        if self.0.as_os_str().is_empty() {
            return;
        }
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!("{} could not be removed: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_folder_whose_socket_would_be_out_of_reach_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let long = parent.path().join("x".repeat(100));
        std::fs::create_dir(&long).unwrap();
        let error = ScratchFolder::new(&long, &Accounts::default()).err().unwrap();
        assert!(error.hint().contains("TMPDIR"), "{error}");
        assert_eq!(std::fs::read_dir(&long).unwrap().count(), 0);
    }

    #[test]
    fn links_that_the_server_puts_in_place_lead_nowhere() {
        let (parent, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let theirs = other.path().join("theirs");
        std::fs::write(&theirs, "untouched").unwrap();
        let folder = ScratchFolder::new(parent.path(), &Accounts::default()).unwrap();
        folder.log().unwrap().write_all(b"first\n\nlast words\n").unwrap();
        std::fs::remove_file(folder.path.join("log")).unwrap();
        symlink(&theirs, folder.path.join("log")).unwrap();
        symlink(other.path(), folder.data().join("link")).unwrap();
        folder.log().unwrap().write_all(b"more\n").unwrap();
        assert_eq!(folder.log_end(), "first · last words · more");
        drop(folder);
        assert_eq!(std::fs::read(&theirs).unwrap(), b"untouched");
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn nobody_else_comes_in() {
        let parent = tempfile::tempdir().unwrap();
        let accounts = Accounts::choose().unwrap();
        let folder = ScratchFolder::new(parent.path(), &accounts).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let expected = if accounts.are_used() { 0o710 } else { 0o700 };
        assert_eq!((mode(&folder.path), mode(&folder.data())), (expected, 0o700));
        assert_eq!(mode(&folder.path.join("log")), 0o600);
    }
}
