//! A program that says a few lines and ends, such as `--version`.

use super::reader::ChildReader;
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

/// More than any of these programs says.
const TEXT_LIMIT: usize = 64 << 10;
/// More than any of these programs takes, on a busy machine too.
pub(crate) const SHORT_RUN_LIMIT: Duration = Duration::from_secs(15);

pub(crate) struct ShortRun {
    pub status: Option<ExitStatus>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs it to its end, as long as that comes within the limit; it hears a cancel as a dump does.
pub(crate) fn short_run(command: Command, limit: Duration, cancel: &Cancel) -> Result<ShortRun> {
    let end = Instant::now() + limit;
    let mut process = ChildReader::start(command, Vec::new(), limit, cancel)?;
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match process.read(&mut buffer)? {
            0 => break,
            read => bytes.extend_from_slice(&buffer[..read]),
        }
        if bytes.len() > TEXT_LIMIT || Instant::now() > end {
            return Err(Error::new(Code::DumpFailed, "it went on and on"));
        }
    }
    Ok(ShortRun {
        status: process.status(),
        stdout: String::from_utf8_lossy(&bytes).into_owned(),
        stderr: process.stderr_text(),
    })
}
