//! A file that is there whole or not at all: however the program ends, nothing is left of one that was not finished; and none
//! is ever replaced.

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, linkat, renameat_with};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub(crate) struct NewFile {
    file: File,
    path: PathBuf,
    /// Its name until it is whole, where the file system has no files without a name.
    partial: Option<PathBuf>,
}

impl NewFile {
    /// To be written; seen under its name only once it is kept.
    pub(crate) fn create(path: &Path, mode: u32) -> io::Result<Self> {
        match rustix::fs::open(
            folder_of(path),
            OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::from_raw_mode(mode),
        ) {
            Ok(file) => {
                let file = File::from(file);
                // Without /proc it could not get its name: better found out now than after an hour.
                if std::fs::metadata(place_of(&file)).is_err() {
                    return Self::create_named(path, mode);
                }
                let path = path.to_owned();
                Ok(Self { file, path, partial: None })
            }
            // NFS and others (open(2), O_TMPFILE: EISDIR is a system that does not know the flag).
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Self::create_named(path, mode),
            Err(error) => Err(error.into()),
        }
    }

    /// Under another name first. What a killed run left under such a name stands in nobody's way.
    fn create_named(path: &Path, mode: u32) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(mode);
        for number in 0..u32::MAX {
            let partial = folder_of(path).join(format!(".pgseal-{number}.partial"));
            match options.open(&partial) {
                Ok(file) => {
                    return Ok(Self {
                        file,
                        path: path.to_owned(),
                        partial: Some(partial),
                    });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    /// Gives it its name, unless another file has that by now: then `AlreadyExists`, and that one stays.
    pub(crate) fn publish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        match &self.partial {
            None => linkat(CWD, place_of(&self.file), CWD, &self.path, AtFlags::SYMLINK_FOLLOW)?,
            Some(partial) => match std::fs::hard_link(partial, &self.path) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
                // FAT and others have no hard links.
                Err(_) => {
                    renameat_with(CWD, partial, CWD, &self.path, RenameFlags::NOREPLACE)?;
                    self.partial = None;
                }
            },
        }
        // The name, too, shall outlive a power failure; not every file system can do that.
        let _ = File::open(folder_of(&self.path)).and_then(|folder| folder.sync_all());
        Ok(())
    }
}

impl NewFile {
    /// Gives it its name in place of a file that has it: anyone who opens that name sees the one or the other, whole.
    pub(crate) fn replace(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        if self.partial.is_none() {
            let partial = folder_of(&self.path).join(format!(".pgseal-{}.partial", std::process::id()));
            linkat(CWD, place_of(&self.file), CWD, &partial, AtFlags::SYMLINK_FOLLOW)?;
            self.partial = Some(partial);
        }
        if let Some(partial) = &self.partial {
            std::fs::rename(partial, &self.path)?;
            self.partial = None;
        }
        let _ = File::open(folder_of(&self.path)).and_then(|folder| folder.sync_all());
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(partial) = &self.partial {
            let _ = std::fs::remove_file(partial);
        }
    }
}

/// Where the kernel shows the open file, with a name or without.
fn place_of(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// Both ways to make one.
    const WAYS: [fn(&Path, u32) -> io::Result<NewFile>; 2] = [NewFile::create, NewFile::create_named];

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        for way in WAYS {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("dump.sql");
            std::fs::write(&path, "old").unwrap();
            let mut file = way(&path, 0o600).unwrap();
            file.write_all(b"new").unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"old");
            file.replace().unwrap();
            assert_eq!(
                (std::fs::read(&path).unwrap(), names(folder.path())),
                (b"new".to_vec(), vec!["dump.sql".to_owned()])
            );
        }
    }

    #[test]
    fn it_is_there_whole_or_not_at_all() {
        for way in WAYS {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("app.sql");
            let mut given_up = way(&path, 0o600).unwrap();
            given_up.write_all(b"half").unwrap();
            assert!(!path.exists());
            drop(given_up);
            assert_eq!(names(folder.path()), [""; 0]);

            let mut kept = way(&path, 0o600).unwrap();
            kept.write_all(b"whole").unwrap();
            kept.publish().unwrap();
            assert_eq!(
                (std::fs::read(&path).unwrap(), names(folder.path())),
                (b"whole".to_vec(), vec!["app.sql".to_owned()])
            );
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_that_appears_meanwhile_is_not_replaced() {
        for way in WAYS {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("app.sql");
            let ours = way(&path, 0o600).unwrap();
            std::fs::write(&path, "theirs").unwrap();
            assert_eq!(ours.publish().unwrap_err().kind(), ErrorKind::AlreadyExists);
            assert_eq!(
                (std::fs::read(&path).unwrap(), names(folder.path())),
                (b"theirs".to_vec(), vec!["app.sql".to_owned()])
            );
        }
    }

    #[test]
    fn what_a_killed_run_left_blocks_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.sql");
        let (killed, other) = (
            NewFile::create_named(&path, 0o600).unwrap(),
            NewFile::create_named(&path, 0o600).unwrap(),
        );
        std::mem::forget(killed);
        other.publish().unwrap();
        assert_eq!(names(folder.path()), [".pgseal-0.partial", "app.sql"]);
    }
}
