//! An output file: under a name of its own until it is complete, and gone if it never is.

use std::fs::{self, File, FileTimes, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::failure::Failure;

/// The unfinished file, for the thread that ends the program. It is created, given its final name and removed under this lock.
static UNFINISHED: Mutex<Option<PathBuf>> = Mutex::new(None);

fn unfinished() -> MutexGuard<'static, Option<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the unfinished file, if there is one. The lock must be held to the end of the program.
#[must_use]
pub(crate) fn remove_unfinished() -> impl Sized {
    let mut unfinished = unfinished();
    if let Some(temporary) = unfinished.take() {
        let _ = fs::remove_file(temporary);
    }
    unfinished
}

pub(crate) struct Output {
    file: File,
    temporary: PathBuf,
    name: PathBuf,
    replace: bool,
}

impl Output {
    /// Refuses a name that is taken, unless it may be replaced.
    pub(crate) fn create(name: PathBuf, replace: bool) -> Result<Self, Failure> {
        match fs::symlink_metadata(&name) {
            Ok(existing) if existing.is_dir() => return Err(taken(&name)),
            Ok(_) if !replace => return Err(taken(&name)),
            _ => {}
        }
        let mut unfinished = unfinished();
        for number in 0.. {
            // Of a fixed length: the final one may be as long as names can be.
            let temporary = name.with_file_name(format!(".pgseal-bzip2.{}.{number}", std::process::id()));
            // For nobody else's eyes until it gets the input's mode.
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary) {
                Ok(file) => {
                    *unfinished = Some(temporary.clone());
                    return Ok(Self {
                        file,
                        temporary,
                        name,
                        replace,
                    });
                }
                // Left by a process that was killed.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Failure::Write(error)),
            }
        }
        unreachable!("some number is free")
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file the input's owner, mode and times, and its final name. `durable`: it is on the disk before.
    pub(crate) fn publish(self, input: &Metadata, durable: bool) -> Result<(), Failure> {
        self.keep_attributes(input).map_err(Failure::Write)?;
        if durable {
            self.file.sync_all().map_err(Failure::Write)?;
        }
        let mut unfinished = unfinished();
        let named = if self.replace {
            fs::rename(&self.temporary, &self.name)
        } else {
            name_without_replacing(&self.temporary, &self.name)
        };
        named.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => taken(&self.name),
            _ => Failure::Write(error),
        })?;
        *unfinished = None;
        drop(unfinished);
        if durable {
            let folder = self.name.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))
                .and_then(|folder| folder.sync_all())
                .map_err(Failure::Write)?;
        }
        Ok(())
    }

    fn keep_attributes(&self, input: &Metadata) -> io::Result<()> {
        // Only root may give a file away; for others its owner's rights stay their own.
        let same_owner = fchown(&self.file, Some(input.uid()), Some(input.gid())).is_ok();
        let mode = if same_owner { input.mode() & 0o7777 } else { input.mode() & 0o777 };
        self.file.set_permissions(Permissions::from_mode(mode))?;
        let times = FileTimes::new().set_accessed(input.accessed()?).set_modified(input.modified()?);
        self.file.set_times(times)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let mut unfinished = unfinished();
        if unfinished.take().is_some() {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// A link is the one way to give a name that must not be taken.
fn name_without_replacing(temporary: &Path, name: &Path) -> io::Result<()> {
    match fs::hard_link(temporary, name) {
        Ok(()) => fs::remove_file(temporary),
        // A file system without links: the name is claimed by an empty file, which is then replaced.
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {
            OpenOptions::new().write(true).create_new(true).open(name)?;
            fs::rename(temporary, name)
        }
        Err(error) => Err(error),
    }
}

fn taken(name: &Path) -> Failure {
    Failure::Refused(format!("the output file {} already exists", name.display()))
}
