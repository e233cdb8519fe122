//! The command line.

use std::ffi::OsString;
use std::num::NonZero;

use lexopt::prelude::*;
use pgseal_bzip2::Level;
use pgseal_bzip2::encode::Isa;

pub(crate) const HELP: &str = "\
Compresses files to FILE.bz2, or decompresses FILE.bz2 to FILE; every bzip2 reads what it writes.

pgseal-bzip2 [OPTIONS] [FILE...]        no FILE, or -: standard input to standard output

  -z, --compress      compress (the default)
  -d, --decompress    decompress
  -t, --test          decompress, and write nothing
  -c, --stdout        write to standard output; input files stay
  -k, --keep          keep input files, which are otherwise removed once their output is complete
  -f, --force         replace output files; also take input that is a symbolic link or has other links
  -1 to -9            blocks of 100 kB to 900 kB (-9 is the default; --fast is -1, --best is -9)
  -p, --threads N     threads that work at the same time (default: one a processor)
  -q, --quiet         no warnings
      --scalar        without vector code, for measurements
  -h, --help          this text
  -V, --version       the version

Ends with 0 if all went well, 1 if something could not be read or written or a file was refused, 2 if a file is corrupt.
";

/// More would be a slip of the hand: each takes some 15 MB.
const MOST_WORKERS: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Compress,
    Decompress,
    Test,
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) action: Action,
    pub(crate) to_stdout: bool,
    pub(crate) keep: bool,
    pub(crate) force: bool,
    pub(crate) quiet: bool,
    pub(crate) level: Level,
    pub(crate) workers: usize,
    pub(crate) isa: Isa,
    /// At least one; `-` is standard input.
    pub(crate) files: Vec<OsString>,
}

#[derive(Debug)]
pub(crate) enum Request {
    Work(Options),
    Help,
    Version,
}

pub(crate) fn parse(mut arguments: lexopt::Parser) -> Result<Request, lexopt::Error> {
    let mut options = Options {
        action: Action::Compress,
        to_stdout: false,
        keep: false,
        force: false,
        quiet: false,
        level: Level::MAX,
        workers: std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST_WORKERS),
        isa: Isa::detect(),
        files: Vec::new(),
    };
    while let Some(argument) = arguments.next()? {
        match argument {
            Short('z') | Long("compress") => options.action = Action::Compress,
            Short('d') | Long("decompress") => options.action = Action::Decompress,
            Short('t') | Long("test") => options.action = Action::Test,
            Short('c') | Long("stdout") => options.to_stdout = true,
            Short('k') | Long("keep") => options.keep = true,
            Short('f') | Long("force") => options.force = true,
            Short('q') | Long("quiet") => options.quiet = true,
            Long("fast") => options.level = level(1)?,
            Long("best") => options.level = level(9)?,
            Short(digit @ '1'..='9') => options.level = level(digit as u8 - b'0')?,
            Short('p') | Long("threads") => {
                options.workers = arguments.value()?.parse_with(|number| match number.parse() {
                    Ok(workers) if (1..=MOST_WORKERS).contains(&workers) => Ok(workers),
                    _ => Err(format!("the number of threads is 1 to {MOST_WORKERS}")),
                })?;
            }
            Long("scalar") => options.isa = Isa::Scalar,
            Short('h') | Long("help") => return Ok(Request::Help),
            Short('V') | Long("version") => return Ok(Request::Version),
            Value(file) => options.files.push(file),
            _ => return Err(argument.unexpected()),
        }
    }
    if options.files.is_empty() {
        options.files.push("-".into());
    }
    Ok(Request::Work(options))
}

fn level(number: u8) -> Result<Level, lexopt::Error> {
    Level::new(number).ok_or_else(|| format!("there is no level {number}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Options, String> {
        match parse(lexopt::Parser::from_args(arguments)) {
            Ok(Request::Work(options)) => Ok(options),
            Ok(other) => Err(format!("{other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn letters_stand_together_and_the_last_action_counts() {
        let options = parsed(&["-zkc5", "-p3", "a", "-d", "--", "-b"]).unwrap();
        assert!(options.keep && options.to_stdout && !options.force);
        assert_eq!((options.action, options.level), (Action::Decompress, Level::new(5).unwrap()));
        assert_eq!((options.workers, options.files), (3, vec!["a".into(), "-b".into()]));
        assert_eq!(parsed(&["--threads=7", "--fast"]).unwrap().workers, 7);
        assert_eq!(parsed(&[]).unwrap().files, ["-"]);
    }

    #[test]
    fn what_is_no_option_is_refused() {
        for wrong in ["-0", "-x", "--levl", "-p", "-p0", "-pmany", "-p1025", "--keep=yes"] {
            assert!(parsed(&[wrong]).is_err(), "{wrong}");
        }
    }
}
