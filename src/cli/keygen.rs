//! `keygen`: a pair of keys in two new files, and the fingerprint in forms that can be compared on paper and aloud.

use crate::envelope::key_pair::NewKeyPair;
use crate::envelope::private_key::passphrase;
use crate::error::{Code, Error, Result};
use crate::format::{ToJson, unhex};
use crate::human::{Answer, Mark, Screen};
use crate::store::NewFile;
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct Keygen {
    /// The private key: a new file, which must never be put into AWS
    #[arg(long, value_name = "FILE", default_value = "private_key.pem")]
    private: PathBuf,
    /// The public key: a new file, for `public_key` of events
    #[arg(long, value_name = "FILE", default_value = "public_key.pem")]
    public: PathBuf,
    /// A file, or /dev/fd/N, whose first line is to be the private key's passphrase; asked at the terminal otherwise
    #[arg(long, value_name = "FILE", conflicts_with = "no_passphrase")]
    passphrase_file: Option<PathBuf>,
    /// Leaves the private key unencrypted: anyone who reads the file can read the backups
    #[arg(long)]
    no_passphrase: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct KeygenAnswer {
    status: &'static str,
    private_key: String,
    public_key: String,
    fingerprint: String,
    /// The first half of the fingerprint, as BIP 39 spells it in English.
    words: String,
    encrypted: bool,
}

pub(super) fn keygen(arguments: &Keygen) -> Result<KeygenAnswer> {
    for path in [&arguments.private, &arguments.public] {
        if path.exists() {
            return Err(exists(path));
        }
    }
    let passphrase = match arguments.no_passphrase {
        true => None,
        false => Some(passphrase::new(
            &arguments.private.display().to_string(),
            arguments.passphrase_file.as_deref(),
        )?),
    };
    let pair = NewKeyPair::generate(passphrase.as_ref().map(|passphrase| passphrase.as_slice()))?;
    let private = write(&arguments.private, 0o600, pair.private_pem.as_bytes())?;
    let public = write(&arguments.public, 0o644, pair.public_pem.as_bytes())?;
    // Once both can be there, and the private one first: a public key without it would lose every backup.
    private.publish().map_err(|error| failed(&arguments.private, &error))?;
    public.publish().map_err(|error| {
        // Nobody has its public half: it opens nothing.
        let _ = std::fs::remove_file(&arguments.private);
        failed(&arguments.public, &error)
    })?;
    Ok(KeygenAnswer {
        status: "generated",
        private_key: arguments.private.display().to_string(),
        public_key: arguments.public.display().to_string(),
        words: words(&pair.recipient.fingerprint),
        fingerprint: pair.recipient.fingerprint,
        encrypted: passphrase.is_some(),
    })
}

fn exists(path: &Path) -> Error {
    Error::new(Code::BadUsage, format!("{} exists already; nothing is overwritten", path.display()))
        .advise("Name other files with --private and --public. A key that backups were made for must never be lost.")
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(path),
        _ => Error::new(Code::BadUsage, format!("{} cannot be written: {error}", path.display()))
            .advise("Name a file in a folder that exists and that this user may write to."),
    }
}

/// Under its own name only once it is published.
fn write(path: &Path, mode: u32, content: &[u8]) -> Result<NewFile> {
    let mut file = NewFile::create(path, mode).map_err(|error| failed(path, &error))?;
    std::io::Write::write_all(&mut file, content).map_err(|error| failed(path, &error))?;
    Ok(file)
}

/// Twelve words for 128 bits.
fn words(fingerprint: &str) -> String {
    let bytes: Option<[u8; 32]> = unhex(fingerprint);
    let mnemonic = bytes.and_then(|bytes| bip39::Mnemonic::from_entropy(&bytes[..16]).ok());
    mnemonic.map(|words| words.to_string()).unwrap_or_default()
}

impl Answer for KeygenAnswer {
    fn json(&self) -> String {
        self.to_json()
    }

    fn draw(&self, screen: &mut Screen) {
        screen.mark(Mark::Good, "a new pair of RSA keys, 3,072 bits");
        let how = if self.encrypted {
            "encrypted with your passphrase"
        } else {
            "NOT encrypted"
        };
        screen.facts(&[
            ("private key", format!("{} ({how})", self.private_key)),
            ("public key", format!("{}, for `public_key` of events", self.public_key)),
            ("fingerprint", self.fingerprint.clone()),
            ("in words", self.words.clone()),
        ]);
        if let Ok(code) = qrcode::QrCode::new(&self.fingerprint) {
            screen.blank();
            screen.verbatim(&code.render::<qrcode::render::unicode::Dense1x2>().build());
        }
        screen.blank();
        screen.line(
            "Keep the private key in two places outside of AWS, and its passphrase apart from it: without them nobody can open a backup, not even you.",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(folder: &Path, private: &str, public: &str) -> Keygen {
        Keygen {
            private: folder.join(private),
            public: folder.join(public),
            passphrase_file: None,
            no_passphrase: true,
        }
    }

    /// A private key was left behind, whose public half nobody had.
    #[test]
    fn both_keys_are_there_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let names = || std::fs::read_dir(folder.path()).unwrap().count();
        for (private, public) in [("a.pem", "missing/b.pem"), ("missing/a.pem", "b.pem"), ("same.pem", "same.pem")] {
            let error = keygen(&arguments(folder.path(), private, public)).unwrap_err();
            assert_eq!(error.code, Code::BadUsage, "{private}, {public}: {error}");
            assert_eq!(names(), 0, "{private}, {public}");
        }
        keygen(&arguments(folder.path(), "a.pem", "b.pem")).unwrap();
        assert_eq!(names(), 2);
        // And a pair that is there stays.
        let before = std::fs::read(folder.path().join("a.pem")).unwrap();
        for (private, public) in [("a.pem", "c.pem"), ("c.pem", "b.pem")] {
            keygen(&arguments(folder.path(), private, public)).unwrap_err();
        }
        assert_eq!((names(), std::fs::read(folder.path().join("a.pem")).unwrap()), (2, before));
    }
}
