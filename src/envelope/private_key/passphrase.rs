//! Where the passphrase of an encrypted private key comes from. Never from the command line: others see it there.

use crate::error::{Code, Error, Result};
use crate::observe::output;
use rpassword::{Config, ConfigBuilder};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use zeroize::Zeroizing;

/// What `openssl` keeps of a line, in bytes (APP_PASS_LEN less the closing NUL).
const MAX_LINE: usize = 1023;

/// The passphrase for the key at `path`: from `file` (a descriptor as `/dev/fd/N`), else typed on the terminal.
pub(crate) fn ask(path: &str, file: Option<&Path>) -> Result<Zeroizing<Vec<u8>>> {
    match file {
        Some(file) => from_file(file),
        None => from_terminal(path, ConfigBuilder::new().build()),
    }
}

/// What is said of a wrong one.
pub(crate) const WRONG: &str = "is not opened by this passphrase";
/// As `ssh` has it.
const TRIES: u32 = 3;

/// Opens with what is typed at a terminal; one who mistypes it is asked again. What comes from a file stays the same.
pub(crate) fn tried<T>(file: Option<&Path>, open: impl Fn() -> Result<T>) -> Result<T> {
    let mut tries = if file.is_some() { TRIES } else { 1 };
    loop {
        match open() {
            Err(error) if error.message.contains(WRONG) && tries < TRIES => {
                tries += 1;
                output::tell("That passphrase does not open it. Once more.\n");
                output::flush();
            }
            outcome => return outcome,
        }
    }
}

/// One for a new key at `path`: typed twice, since nobody can read what is typed.
pub(crate) fn new(path: &str, file: Option<&Path>) -> Result<Zeroizing<Vec<u8>>> {
    if let Some(file) = file {
        return from_file(file);
    }
    for _ in 0..TRIES {
        let typed = from_terminal(path, ConfigBuilder::new().build())?;
        if typed.is_empty() {
            output::tell("It is empty. Type one, or end this with Ctrl-C and say --no-passphrase.\n");
        } else if from_terminal(&format!("{path}, again"), ConfigBuilder::new().build())? == typed {
            return Ok(typed);
        } else {
            output::tell("The two differ. Once more.\n");
        }
        output::flush();
    }
    Err(unavailable("no passphrase was given twice in the same way".to_owned()).advise("Run again, or give --passphrase-file FILE."))
}

/// The line that `openssl … -pass file:` takes: the first, with a CR where there is one, up to a NUL, at most 1023 bytes.
pub(crate) fn first_line(file: &[u8]) -> &[u8] {
    let kept = &file[..file.len().min(MAX_LINE)];
    let end = kept.iter().position(|byte| matches!(byte, b'\n' | 0)).unwrap_or(kept.len());
    &kept[..end]
}

fn from_file(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    // Who gives the passphrase itself must not read it in a log.
    let name = path.to_string_lossy();
    let name = if name.contains(['/', '.']) {
        format!(" {name}")
    } else {
        String::new()
    };
    let unreadable = |error: std::io::Error| {
        unavailable(format!("the passphrase file{name} cannot be read: {error}"))
            .advise("Give a file, or a descriptor as /dev/fd/N, whose first line is the passphrase.")
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut bytes = Zeroizing::new([0; MAX_LINE]);
    let mut filled = 0;
    // No further than the line: what waits behind it in a pipe may never end.
    while filled < bytes.len() && !bytes[..filled].contains(&b'\n') {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    let line = first_line(&bytes[..filled]);
    if line.is_empty() {
        return Err(
            unavailable(format!("the passphrase file {} has an empty first line", path.display()))
                .advise("Its first line must be the passphrase."),
        );
    }
    Ok(Zeroizing::new(line.to_vec()))
}

fn from_terminal(path: &str, terminal: Config) -> Result<Zeroizing<Vec<u8>>> {
    match rpassword::prompt_password_with_config(format!("Passphrase of {path}: "), terminal) {
        Ok(line) => Ok(Zeroizing::new(line.into_bytes())),
        Err(error) if error.kind() == ErrorKind::Interrupted => {
            Err(Error::new(Code::Terminated, "the question for the passphrase was interrupted"))
        }
        Err(_) => Err(
            unavailable("the private key is encrypted, and there is no terminal to ask for its passphrase".to_owned())
                .advise("Give --passphrase-file FILE, or a descriptor as --passphrase-file /dev/fd/N."),
        ),
    }
}

fn unavailable(message: String) -> Error {
    Error::new(Code::BadUsage, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn terminal(input: &[u8]) -> Config {
        ConfigBuilder::new().input_data(input).output_discard().build()
    }

    #[test]
    fn the_first_line_is_the_one_that_openssl_takes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let long = [b"x".repeat(1500), b"\nsecond\n".to_vec()].concat();
        let nul: &[u8] = b"before\0after\n";
        for file in [b"only".as_slice(), b"one\ntwo\n", b"cr\r\ntwo\r\n", b" spaces \n", &long, nul] {
            std::fs::write(&path, file).unwrap();
            let enc = |pass: &str| {
                let source = folder.path().join("plain");
                std::fs::write(&source, "plain").unwrap();
                let output = Command::new("openssl")
                    .args([
                        "enc",
                        "-aes-256-cbc",
                        "-md",
                        "sha256",
                        "-S",
                        "0102030405060708",
                        "-pass",
                        pass,
                        "-in",
                    ])
                    .arg(&source)
                    .output()
                    .unwrap();
                assert!(output.status.success());
                output.stdout
            };
            let line = std::str::from_utf8(first_line(file)).unwrap();
            assert_eq!(enc(&format!("file:{}", path.display())), enc(&format!("pass:{line}")), "{line:?}");
        }
    }

    #[test]
    fn a_file_gives_its_first_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        std::fs::write(&path, "correct horse\nbattery\n").unwrap();
        assert_eq!(*ask("key.pem", Some(&path)).unwrap(), b"correct horse");
    }

    #[test]
    fn a_descriptor_is_read_no_further_than_its_first_line() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&writer, b"from a pipe\n").unwrap();
        use std::os::fd::AsRawFd;
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        // The writing end is still open: a reader that wants the end would wait forever.
        assert_eq!(*ask("key.pem", Some(Path::new(&path))).unwrap(), b"from a pipe");
        drop(writer);
    }

    #[test]
    fn a_missing_and_an_empty_file_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let missing = ask("key.pem", Some(&folder.path().join("missing"))).unwrap_err();
        assert!(missing.message.contains("cannot be read"), "{missing}");
        std::fs::write(folder.path().join("empty"), "\nsecond\n").unwrap();
        let empty = ask("key.pem", Some(&folder.path().join("empty"))).unwrap_err();
        assert!(empty.message.contains("empty first line"), "{empty}");
        assert_eq!((missing.code, empty.code), (Code::BadUsage, Code::BadUsage));
    }

    #[test]
    fn the_terminal_gives_a_line() {
        assert_eq!(*from_terminal("key.pem", terminal(b"typed\n")).unwrap(), b"typed");
    }

    #[test]
    fn who_mistypes_is_asked_again_and_a_file_is_not() {
        let tries = |file: Option<&Path>, right: u32| {
            let count = std::cell::Cell::new(0);
            let open = || {
                count.set(count.get() + 1);
                match count.get() == right {
                    true => Ok(()),
                    false => Err(Error::new(Code::WrongKey, WRONG)),
                }
            };
            (tried(file, open).is_ok(), count.get())
        };
        assert_eq!(tries(None, 2), (true, 2));
        assert_eq!(tries(None, 9), (false, 3));
        assert_eq!(tries(Some(Path::new("file")), 2), (false, 1));
    }

    #[test]
    fn without_a_terminal_the_option_is_named() {
        let nowhere = ConfigBuilder::new().input_file_path("/nonexistent/tty").output_discard().build();
        let error = from_terminal("key.pem", nowhere).unwrap_err();
        assert_eq!(error.code, Code::BadUsage);
        assert!(error.hint().contains("--passphrase-file"), "{}", error.hint());
    }
}
