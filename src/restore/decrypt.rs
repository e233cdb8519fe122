//! The dump, decrypted: to standard output, or to a file that is there whole or not at all.

use super::find::{BackupKind, ChosenBackup};
use super::legacy;
use super::selected::SelectedTables;
use super::table_sections::{CopyHead, SectionSink};
use super::unsealed::UnsealedBackup;
use super::verify::check_against_inventory;
use crate::cancel::Cancel;
use crate::envelope::manifest::Role;
use crate::envelope::private_key::PrivateKey;
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::observe::output;
use crate::observe::progress::{Activity, Progress, Reporter};
use crate::pipeline::{DumpStats, Stage};
use crate::store::NewFile;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// What is to be decrypted, and how.
pub(crate) struct DecryptOptions<'a> {
    pub key: &'a PrivateKey,
    pub signer: Option<&'a Verifier>,
    pub role: Role,
    /// Of the dump only their rows; none: all of it.
    pub tables: &'a [String],
    /// `None`: standard output.
    pub output: Option<&'a Path>,
    /// Replaces a file that is there.
    pub force: bool,
    pub legacy: legacy::Consent,
    pub workers: usize,
}

impl DecryptOptions<'_> {
    /// A bar would stand among what is decrypted.
    fn is_for_terminal(&self) -> bool {
        self.output.is_none() && output::stdout_is_terminal()
    }
}

/// Standard output may have got some of the dump when this fails: of what was checked, and nothing behind it.
pub(crate) async fn decrypt(backup: &ChosenBackup, ask: &DecryptOptions<'_>, cancel: &Cancel) -> Result<DumpStats> {
    if !ask.tables.is_empty() {
        let (counted, written) = selected(ask)?.fetch(backup, || DecryptOutput::open(ask), cancel).await?;
        written.publish()?;
        return Ok(counted);
    }
    if let BackupKind::Legacy { key, dump } = &backup.kind {
        ask.legacy.must_be_given(&backup.stem, ask.signer)?;
        if ask.role != Role::Dump {
            let error = Error::field(Code::BadUsage, "what", "must be dump here: the legacy image wrote nothing else");
            return Err(error.advise("Leave out --what. Roles and an inventory are in backups of this program."));
        }
        let sink = DecryptOutput::open(ask)?;
        let progress = Progress::new(0);
        let _reporter = (!ask.is_for_terminal()).then(|| Reporter::start(Activity::Decrypting, progress.clone(), &backup.stem));
        let limit = ask.legacy.length();
        let (counted, written) =
            legacy::fetch_object(backup, key, dump, ask.key, ask.workers, limit, || Ok(sink), &progress, cancel).await?;
        written.publish()?;
        return Ok(counted);
    }
    let opened = UnsealedBackup::open(backup, ask.key, ask.signer).await?;
    ask.legacy.must_hold(opened.manifest.plain_bytes)?;
    if opened.manifest.is_partial() {
        tracing::warn!("{}: this backup holds only a part of the database that it was made of", backup.stem);
    }
    let sink = DecryptOutput::open(ask)?;
    let contents = if ask.role == Role::Dump {
        opened.contents(cancel).await?
    } else {
        None
    };
    let progress = Progress::new(opened.manifest.plain_bytes);
    let _reporter = (!ask.is_for_terminal()).then(|| Reporter::start(Activity::Decrypting, progress.clone(), &backup.stem));
    let (counted, written) = opened.fetch_object(ask.role, ask.workers, || Ok(sink), &progress, cancel).await?;
    if let Some(contents) = &contents {
        check_against_inventory(&counted, contents)?;
    }
    written.publish()?;
    Ok(counted)
}

fn selected<'a>(ask: &DecryptOptions<'a>) -> Result<SelectedTables<'a>> {
    if ask.role != Role::Dump {
        return Err(Error::new(Code::BadUsage, "--table: only the dump has tables").advise("Leave out --what."));
    }
    Ok(SelectedTables {
        key: ask.key,
        signer: ask.signer,
        tables: ask.tables,
        legacy: ask.legacy,
        workers: ask.workers,
        to_terminal: ask.is_for_terminal(),
    })
}

/// Where plaintext goes.
enum DecryptOutput {
    /// And what it is, in words.
    Stdout(File, &'static str),
    File(NewFile, PathBuf, WriteMode),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WriteMode {
    New,
    Replace,
}

impl DecryptOutput {
    fn open(ask: &DecryptOptions<'_>) -> Result<Self> {
        let Some(path) = ask.output else {
            let what = in_words(ask.role);
            return output::for_content()
                .map(|stdout| Self::Stdout(stdout, what))
                .map_err(|error| not_taken(what, &error));
        };
        // A link that points nowhere has the name, too.
        let there = path.symlink_metadata().ok();
        match &there {
            Some(facts) if ask.force && facts.is_file() => {}
            Some(_) if ask.force => return Err(refused(path, "is no file that could be replaced")),
            Some(_) => return Err(exists(path)),
            None => {}
        }
        let mode = if there.is_some() { WriteMode::Replace } else { WriteMode::New };
        if path.file_name().is_none() {
            return Err(refused(path, "is no name of a file"));
        }
        let file = NewFile::create(path, 0o600).map_err(|error| refused(path, &format!("cannot be written: {error}")))?;
        Ok(Self::File(file, path.to_owned(), mode))
    }

    fn publish(self) -> Result<()> {
        match self {
            Self::Stdout(..) => Ok(()),
            Self::File(file, path, WriteMode::Replace) => file.replace().map_err(|error| unwritten(&path, &error)),
            Self::File(file, path, WriteMode::New) => file.publish().map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => exists(&path),
                _ => unwritten(&path, &error),
            }),
        }
    }
}

impl Stage for DecryptOutput {
    type Done = Self;

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Stdout(stdout, what) => stdout.write_all(bytes).map_err(|error| not_taken(what, &error)),
            Self::File(file, path, _) => file.write_all(bytes).map_err(|error| unwritten(path, &error)),
        }
    }

    fn finish(self) -> Result<Self> {
        Ok(self)
    }
}

/// A section is as it is in the dump: psql takes it behind the dump's settings.
impl SectionSink for DecryptOutput {
    fn begin_section(&mut self, head: &CopyHead) -> Result<()> {
        self.put(&head.sql)?;
        self.put(b"\n")
    }

    fn end_section(&mut self, mark: &[u8]) -> Result<()> {
        self.put(mark)
    }
}

fn in_words(role: Role) -> &'static str {
    match role {
        Role::Globals => "the roles",
        Role::Inventory => "the inventory",
        _ => "the dump",
    }
}

fn refused(path: &Path, reason: &str) -> Error {
    Error::field(Code::BadEvent, "output", format!("names {}, which {reason}", path.display()))
        .advise("Name a file in a folder that exists and that this user may write to.")
}

fn exists(path: &Path) -> Error {
    refused(path, "exists already; nothing is overwritten").advise("Name another file with -o, or replace this one with --force.")
}

fn not_taken(what: &str, error: &std::io::Error) -> Error {
    Error::new(Code::OutputFailed, format!("{what} cannot be written to stdout: {error}"))
        .advise("Make room, or keep the reader of the pipe alive; or name a file with -o.")
}

fn unwritten(path: &Path, error: &std::io::Error) -> Error {
    Error::new(Code::RestoreFailed, format!("{} cannot be written: {error}", path.display())).advise("Make room.")
}
