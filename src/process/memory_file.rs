//! A file for a child that is in no folder: a password, roots, a connection's settings.

use crate::error::{Code, Error, Result};
use rustix::fs::{MemfdFlags, Mode, fchmod, memfd_create};
use std::io::Write;
use std::os::fd::OwnedFd;

/// A file that exists in memory only, readable by its owner as libpq demands of a password file.
pub(crate) fn memory_file(name: &str, content: &[u8]) -> Result<OwnedFd> {
    let failed = |error: &dyn std::fmt::Display| Error::new(Code::Bug, format!("no memory file: {error}"));
    let descriptor = memfd_create(name, MemfdFlags::CLOEXEC).map_err(|error| failed(&error))?;
    fchmod(&descriptor, Mode::RUSR | Mode::WUSR).map_err(|error| failed(&error))?;
    let mut file = std::fs::File::from(descriptor);
    file.write_all(content).map_err(|error| failed(&error))?;
    Ok(file.into())
}
