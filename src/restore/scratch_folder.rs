//! The folder of one drill: what its server writes, and nothing of anybody else's.
//!
//! ```text
//! pgseal-drill-1a2b3c4d5e6f/   ours; the drill's group may pass, nobody else
//!   data/                      the server's alone
//!   socket/                    the server's; psql may pass
//!   locales/                   made before the server starts, read by it
//!   log                        ours: the server has it open and cannot open it; locked as long as one of the two lives
//! ```

use crate::error::{Code, Error, Result};
use crate::format::hex;
use crate::process::accounts::{Account, Accounts, give, give_tree};
use crate::random;
use crate::rds::preflight::some_of;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

const PREFIX: &str = "pgseal-drill-";
const PASS: &str = "Name a folder in TMPDIR that other users may pass, such as /tmp, or let them (chmod o+x).";
const LOG: &str = "log";
/// Its name until it is locked.
const MADE: &str = "log.new";
const SOCKET: &str = ".s.PGSQL.5432";
/// Of a socket's path, in bytes (sun_path of unix(7), less its NUL).
const SOCKET_PATH: usize = 107;
/// Of the log, for a message.
const LOG_END: u64 = 4096;

pub(super) struct ScratchFolder {
    path: PathBuf,
    /// Read through this descriptor alone: its name is asked for once.
    log: File,
    /// What earlier drills left, which were killed: in words, for who has to remove it.
    pub(super) abandoned: Option<String>,
}

impl ScratchFolder {
    pub(super) fn new(parent: &Path, accounts: &Accounts) -> Result<Self> {
        let unusable = |error: &dyn std::fmt::Display| {
            let message = format!("throw-away PostgreSQL: no folder in {}: {error}", parent.display());
            Error::new(Code::RestoreFailed, message)
        };
        let parent = parent.canonicalize().map_err(|error| unusable(&error))?;
        if accounts.are_used() {
            must_let_others_pass(&parent).map_err(|error| unusable(&error).advise(PASS))?;
        }
        let left = abandoned(&parent);
        let abandoned = (!left.is_empty()).then(|| {
            format!(
                "drills that were killed left their folders, with restored data in them, in {}: {}; remove them",
                parent.display(),
                some_of(&left)
            )
        });
        if let Some(warning) = &abandoned {
            tracing::warn!("{warning}");
        }
        let name: [u8; 6] = random::bytes()?;
        let path = parent.join(format!("{PREFIX}{}", hex(&name)));
        if path.join("socket").join(SOCKET).as_os_str().len() > SOCKET_PATH {
            return Err(unusable(&"it is too long a path for a socket").advise("Name a shorter folder in TMPDIR."));
        }
        // Fails where anything of that name exists.
        let make = |path: &Path, mode| {
            std::fs::DirBuilder::new().mode(mode).create(path)?;
            // Whatever our umask would take away from the users of the drill.
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        };
        make(&path, 0o700).map_err(|error| unusable(&error))?;
        let guard = RemoveOnDrop(path);
        let filled = || -> std::io::Result<File> {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            // Before anybody else comes into the folder.
            let log = File::from(openat(CWD, guard.0.join(MADE), flags, Mode::RUSR | Mode::WUSR)?);
            // Held as long as this process or its server lives, and from before it has its name: so the next drill knows what
            // is nobody's any more, however young it is.
            flock(&log, FlockOperation::NonBlockingLockExclusive)?;
            std::fs::rename(guard.0.join(MADE), guard.0.join(LOG))?;
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
        Ok(Self {
            path: guard.disarm(),
            log,
            abandoned,
        })
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
        drop(RemoveOnDrop(std::mem::take(&mut self.path)));
    }
}

/// By root, the server is another user, and nobody but root comes through a folder of root's alone.
fn must_let_others_pass(parent: &Path) -> Result<(), String> {
    for folder in parent.ancestors() {
        let mode = std::fs::metadata(folder).map_err(|error| error.to_string())?.permissions().mode();
        if mode & 0o001 == 0 {
            return Err(format!(
                "the server and psql run as other users, who cannot pass {} (mode {:o})",
                folder.display(),
                mode & 0o7777
            ));
        }
    }
    Ok(())
}

/// Folders of ours whose drill and server are gone: nobody holds their log any more. No link is followed, and nothing of
/// another user's is opened. One that is just being made has no log yet.
fn abandoned(parent: &Path) -> Vec<String> {
    let is_abandoned = |folder: &Path| -> Option<()> {
        let is_ours = |facts: &std::fs::Metadata| facts.uid() == rustix::process::geteuid().as_raw();
        std::fs::symlink_metadata(folder)
            .ok()
            .filter(|facts| facts.is_dir() && is_ours(facts))?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let log = File::from(openat(CWD, folder.join(LOG), flags, Mode::empty()).ok()?);
        log.metadata().ok().filter(|facts| facts.is_file() && is_ours(facts))?;
        flock(&log, FlockOperation::NonBlockingLockShared).is_ok().then_some(())
    };
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut left: Vec<String> = names
        .filter(|name| name.starts_with(PREFIX) && is_abandoned(&parent.join(name)).is_some())
        .collect();
    left.sort();
    left
}

/// A folder that goes with this. The standard library follows no link when it removes one, no matter who changes it meanwhile.
struct RemoveOnDrop(PathBuf);

impl RemoveOnDrop {
    fn disarm(mut self) -> PathBuf {
        std::mem::take(&mut self.0)
    }
}

impl Drop for RemoveOnDrop {
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

    /// What a killed drill left was found by nobody.
    #[test]
    fn a_folder_of_a_killed_drill_is_named_by_the_next_one() {
        let parent = tempfile::tempdir().unwrap();
        let running = ScratchFolder::new(parent.path(), &Accounts::default()).unwrap();
        assert_eq!(running.abandoned, None);
        let left = parent.path().join("pgseal-drill-00");
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join("log"), "").unwrap();
        symlink(&left, parent.path().join("pgseal-drill-link")).unwrap();
        std::fs::create_dir(parent.path().join("pgseal-drill-being-made")).unwrap();
        assert_eq!(abandoned(parent.path()), ["pgseal-drill-00"]);
        let next = ScratchFolder::new(parent.path(), &Accounts::default()).unwrap();
        assert!(next.abandoned.as_ref().is_some_and(|warning| warning.contains("pgseal-drill-00")));
        drop(next);
        let path = running.path.clone();
        // Killed: nothing was removed, and nobody holds the log.
        let ScratchFolder { log, .. } = &running;
        flock(log, FlockOperation::Unlock).unwrap();
        assert_eq!(abandoned(parent.path()).len(), 2);
        drop(running);
        assert!(!path.exists());
    }

    #[test]
    fn a_closed_folder_is_told_where_the_server_is_another_user() {
        let parent = tempfile::tempdir().unwrap();
        std::fs::set_permissions(parent.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let told = must_let_others_pass(parent.path()).unwrap_err();
        assert!(
            told.contains("mode 700") && told.contains(&*parent.path().to_string_lossy()),
            "{told}"
        );
        assert_eq!(must_let_others_pass(Path::new("/")), Ok(()));
    }

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
