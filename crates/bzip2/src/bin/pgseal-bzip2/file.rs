//! One file: which it may be, what its output is called, and when it goes.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::code;
use crate::failure::{Failure, say};
use crate::options::{Action, Options};
use crate::output::Output;
use crate::standard_output;

/// Compressed names and what becomes of them, as bzip2 has it.
const SUFFIXES: [(&str, &str); 4] = [(".bz2", ""), (".bz", ""), (".tbz2", ".tar"), (".tbz", ".tar")];

/// A worker for less than a block would have nothing to do. Of compressed data this is a guess.
const BYTES_PER_WORKER: u64 = 100_000;

pub(crate) fn process(options: &Options, path: &Path) -> Result<(), Failure> {
    let to_stdout = options.to_stdout || options.action == Action::Test;
    if !to_stdout {
        allowed(options, &fs::symlink_metadata(path).map_err(Failure::Read)?)?;
    }
    let input = File::open(path).map_err(Failure::Read)?;
    let metadata = input.metadata().map_err(Failure::Read)?;
    if metadata.is_dir() {
        return Err(Failure::refused("is a directory"));
    }
    let workers = match metadata.is_file() {
        true => options.workers.min((metadata.len() / BYTES_PER_WORKER + 1) as usize),
        false => options.workers,
    };
    if options.action == Action::Test {
        return code::test(options, workers, &input);
    }
    if to_stdout {
        return code::transfer(options, workers, &input, &standard_output(options)?);
    }
    let output = Output::create(output_name(options, path)?, options.force)?;
    code::transfer(options, workers, &input, output.file())?;
    output.publish(&metadata, !options.keep)?;
    if !options.keep {
        fs::remove_file(path).map_err(|error| Failure::Refused(format!("cannot be removed: {error}")))?;
    }
    Ok(())
}

/// What is removed afterwards must be all there is of it.
fn allowed(options: &Options, input: &Metadata) -> Result<(), Failure> {
    match input {
        _ if options.force => Ok(()),
        input if !input.is_file() => Err(Failure::refused("is not a regular file")),
        input if input.nlink() > 1 => Err(Failure::Refused(format!("has {} other links", input.nlink() - 1))),
        _ => Ok(()),
    }
}

fn output_name(options: &Options, path: &Path) -> Result<PathBuf, Failure> {
    let name = path.file_name().ok_or_else(|| Failure::refused("has no name"))?.as_bytes();
    let known = SUFFIXES
        .iter()
        .find_map(|(from, to)| Some((name.strip_suffix(from.as_bytes())?, from, to)));
    let output = match (options.action, known) {
        (Action::Compress, Some((_, suffix, _))) => return Err(Failure::Refused(format!("has the suffix {suffix} already"))),
        (Action::Compress, None) => [name, b".bz2"].concat(),
        (_, Some((stem, _, suffix))) if !stem.is_empty() => [stem, suffix.as_bytes()].concat(),
        _ => {
            let output = [name, b".out"].concat();
            if !options.quiet {
                say(&format!(
                    "warning: {}: has no suffix of a compressed file: it becomes {}",
                    path.display(),
                    OsStr::from_bytes(&output).display()
                ));
            }
            output
        }
    };
    Ok(path.with_file_name(OsString::from_vec(output)))
}
