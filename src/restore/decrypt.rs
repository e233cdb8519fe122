//! The dump, in clear: to standard output, or to a file that is there whole or not at all.

use super::backup::{Backup, Kind};
use super::legacy;
use super::opened::Opened;
use super::verify::agrees;
use crate::cancel::Cancel;
use crate::envelope::manifest::Role;
use crate::envelope::private_key::PrivateKey;
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::observe::progress::{Progress, Reporter};
use crate::pipeline::{Counted, Stage};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What is to be deciphered, and how.
pub struct Ask<'a> {
    pub key: &'a PrivateKey,
    pub signer: Option<&'a Verifier>,
    pub role: Role,
    /// `None`: standard output.
    pub output: Option<&'a Path>,
    pub legacy: legacy::Consent,
    pub workers: usize,
}

/// Standard output may have got some of the dump when this fails: of what was checked, and nothing behind it.
pub async fn decrypt(backup: &Backup, ask: &Ask<'_>, cancel: &Cancel) -> Result<Counted> {
    if let Kind::Legacy { key, dump } = &backup.kind {
        ask.legacy.must_be_given(&backup.stem, ask.signer)?;
        if ask.role != Role::Dump {
            return Err(Error::new(Code::NoBackup, "the old image wrote a dump and nothing else"));
        }
        let sink = Output::open(ask.output)?;
        let progress = Progress::new(0);
        let _reporter = Reporter::start(progress.clone(), &backup.stem);
        let limit = ask.legacy.length();
        let (counted, written) = legacy::bring(backup, key, dump, ask.key, ask.workers, limit, || Ok(sink), &progress, cancel).await?;
        written.keep()?;
        return Ok(counted);
    }
    let opened = Opened::open(backup, ask.key, ask.signer).await?;
    ask.legacy.must_hold(opened.manifest.plain_bytes)?;
    let sink = Output::open(ask.output)?;
    let contents = if ask.role == Role::Dump {
        opened.contents(cancel).await?
    } else {
        None
    };
    let progress = Progress::new(opened.manifest.plain_bytes);
    let _reporter = Reporter::start(progress.clone(), &backup.stem);
    let (counted, written) = opened.bring(ask.role, ask.workers, || Ok(sink), &progress, cancel).await?;
    if let Some(contents) = &contents {
        agrees(&counted, contents)?;
    }
    written.keep()?;
    Ok(counted)
}

/// Where plaintext goes.
enum Output {
    Stdout(std::io::Stdout),
    File(Partial),
}

/// A file under another name until it is whole; removed if it never is.
struct Partial {
    file: File,
    partial: PathBuf,
    path: PathBuf,
    kept: bool,
}

impl Output {
    fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self::Stdout(std::io::stdout()));
        };
        let refused = |reason: String| Err(Error::field(Code::BadEvent, "output", format!("{}: {reason}", path.display())));
        if path.exists() {
            return refused("exists already; nothing is overwritten".into());
        }
        let Some(name) = path.file_name() else {
            return refused("is no name of a file".into());
        };
        let partial = path.with_file_name(format!(".{}.partial", name.to_string_lossy()));
        let mut options = OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.write(true).create_new(true).open(&partial) {
            Ok(file) => Ok(Self::File(Partial {
                file,
                partial,
                path: path.to_owned(),
                kept: false,
            })),
            Err(error) => refused(format!("cannot be written: {error}")),
        }
    }

    fn keep(self) -> Result<()> {
        match self {
            Self::Stdout(mut stdout) => stdout.flush().map_err(not_taken),
            Self::File(mut partial) => {
                partial.file.sync_all().map_err(unwritten)?;
                std::fs::rename(&partial.partial, &partial.path).map_err(unwritten)?;
                partial.kept = true;
                Ok(())
            }
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.kept {
            // Half a dump under a dump's name is what we promise never to leave.
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}

impl Stage for Output {
    type Done = Self;

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.write_all(bytes).map_err(not_taken),
            Self::File(partial) => partial.file.write_all(bytes).map_err(unwritten),
        }
    }

    fn finish(self) -> Result<Self> {
        Ok(self)
    }
}

fn not_taken(error: std::io::Error) -> Error {
    Error::new(Code::OutputFailed, format!("the dump cannot be written to stdout: {error}"))
        .advise("Make room, or keep the reader of the pipe alive.")
}

fn unwritten(error: std::io::Error) -> Error {
    Error::new(Code::RestoreFailed, format!("the output cannot be written: {error}"))
        .advise("Make room, or keep the reader of the pipe alive.")
}
