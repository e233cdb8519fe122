//! What went wrong with a file, and what the program ends with then.

use std::fmt;
use std::io::{self, Write};

use pgseal_bzip2::decode::Fault;

pub(crate) enum Failure {
    /// The files are not as they must be; nothing was done.
    Refused(String),
    Read(io::Error),
    Write(io::Error),
    /// Threads and the like.
    System(io::Error),
    Corrupt(Fault),
}

impl Failure {
    pub(crate) fn refused(why: &str) -> Self {
        Self::Refused(why.to_owned())
    }

    /// As bzip2 has it: 1 for the environment, 2 for a corrupt file.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Corrupt(_) => 2,
            _ => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => f.write_str(why),
            Self::Read(error) => write!(f, "cannot be read: {error}"),
            Self::Write(error) => write!(f, "the output cannot be written: {error}"),
            Self::System(error) => error.fmt(f),
            Self::Corrupt(fault) => fault.fmt(f),
        }
    }
}

/// A line on standard error. Where that is closed, the exit code has to do.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "pgseal-bzip2: {text}");
}
