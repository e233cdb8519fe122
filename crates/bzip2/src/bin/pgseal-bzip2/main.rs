//! bzip2's command line over the library's encoder and decoder.

mod code;
mod failure;
mod file;
mod options;
mod output;
mod signals;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;

use failure::{Failure, say};
use options::{Action, HELP, Options, Request};

fn main() -> ExitCode {
    let options = match options::parse(lexopt::Parser::from_env()) {
        Ok(Request::Work(options)) => options,
        Ok(Request::Help) => return print(HELP),
        Ok(Request::Version) => return print(concat!("pgseal-bzip2 ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(error) => {
            say(&format!("{error}; `pgseal-bzip2 --help` lists the options"));
            return ExitCode::from(1);
        }
    };
    if let Err(error) = signals::watch() {
        say(&format!("no signals can be waited for: {error}"));
        return ExitCode::from(1);
    }
    let mut worst = 0;
    for name in &options.files {
        let result = if name == OsStr::new("-") {
            between_streams(&options)
        } else {
            file::process(&options, Path::new(name))
        };
        if let Err(failure) = result {
            say(&format!("{}: {failure}", name.display()));
            worst = worst.max(failure.exit_code());
        }
    }
    ExitCode::from(worst)
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(1),
    }
}

fn between_streams(options: &Options) -> Result<(), Failure> {
    if options.action != Action::Compress && io::stdin().is_terminal() {
        return Err(Failure::refused("compressed data is not read from a terminal"));
    }
    let input = io::stdin().as_fd().try_clone_to_owned().map_err(Failure::Read)?;
    let input = File::from(input);
    if options.action == Action::Test {
        return code::test(options, options.workers, &input);
    }
    code::transfer(options, options.workers, &input, &standard_output(options)?)
}

/// Not [`io::stdout`], which looks for line ends in what it is given.
fn standard_output(options: &Options) -> Result<File, Failure> {
    if options.action == Action::Compress && io::stdout().is_terminal() {
        return Err(Failure::refused("compressed data is not written to a terminal"));
    }
    let output = io::stdout().as_fd().try_clone_to_owned().map_err(Failure::Write)?;
    Ok(File::from(output))
}
