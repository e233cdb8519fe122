//! Files of authorities that a variable names. Who may set variables only must not choose an authority by the text of one:
//! `/proc/self/environ` holds them all.

use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// All CAs of the world have 300 KB.
const MAX_BYTES: u64 = 16 << 20;
/// What the kernel makes up, or hands on from another process.
const MADE_UP: [&str; 3] = ["/proc", "/dev", "/sys"];

/// The content of a file that lies on a disk.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    must_lie_on_disk(path)?;
    let opened = std::fs::OpenOptions::new()
        .read(true)
        // A pipe would be waited for.
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
        .open(path)?;
    if !opened.metadata()?.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "it is no file"));
    }
    let mut bytes = Vec::new();
    opened.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    must_be_small(bytes.len() as u64)?;
    Ok(bytes)
}

/// That others may read, who wait for a pipe and have no limit: a file of some size, or a folder.
pub(crate) fn must_be_readable(path: &Path) -> Result<()> {
    must_lie_on_disk(path)?;
    let metadata = path.metadata()?;
    if metadata.is_dir() {
        return Ok(());
    }
    if !metadata.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "it is no file"));
    }
    must_be_small(metadata.len())
}

fn must_be_small(bytes: u64) -> Result<()> {
    match bytes > MAX_BYTES {
        true => Err(Error::new(ErrorKind::InvalidInput, "it is too large to be one of certificates")),
        false => Ok(()),
    }
}

/// Neither by its name nor by what its links lead to.
fn must_lie_on_disk(path: &Path) -> Result<()> {
    let real = path.canonicalize()?;
    let absolute = std::path::absolute(path)?;
    match MADE_UP
        .iter()
        .find(|folder| real.starts_with(folder) || absolute.starts_with(folder))
    {
        Some(folder) => Err(Error::new(
            ErrorKind::InvalidInput,
            format!("it is below {folder}, where anybody who sets a variable could write a certificate"),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The SDK waited forever for the other end of a pipe, and read whatever it got.
    #[test]
    fn what_others_read_is_a_file_of_some_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        rustix::fs::mknodat(rustix::fs::CWD, path("pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        std::fs::File::create(path("large")).unwrap().set_len(MAX_BYTES + 1).unwrap();
        std::fs::write(path("small"), "x").unwrap();
        assert!(must_be_readable(&path("pipe")).is_err() && must_be_readable(&path("large")).is_err());
        assert!(must_be_readable(&path("small")).is_ok() && must_be_readable(folder.path()).is_ok());
    }

    /// A variable with a certificate in it was an authority of its sender's own.
    #[test]
    fn no_authority_is_read_from_the_environment_or_a_device() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link.pem");
        std::os::unix::fs::symlink("/proc/self/environ", &link).unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, "x").unwrap();
        for path in [
            "/proc/self/environ",
            "/dev/null",
            "/dev/stdin",
            "/../proc/self/cmdline",
            "/tmp/../proc/self/environ",
        ]
        .map(Path::new)
        .into_iter()
        .chain([&*link, folder.path()])
        {
            assert!(read(path).is_err(), "{}", path.display());
        }
        assert_eq!(read(&file).unwrap(), b"x");
    }
}
