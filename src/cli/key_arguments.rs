//! With which key a backup is opened, and who is trusted.

use super::restore::private_key;
use crate::cancel::Cancel;
use crate::envelope::private_key::PrivateKey;
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::plan::RateLimit;
use crate::restore::find::ChosenBackup;
use crate::restore::legacy::Consent;
use crate::variables::Env;
use clap::Args;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(crate) struct KeyArguments {
    /// The RSA private key of one of the backup's present recipients: a PEM file, or the ARN of a secret in Secrets Manager
    #[arg(long, value_name = "KEY")]
    pub(super) key: String,
    /// A file, or /dev/fd/N, whose first line is the key's passphrase; asked at the terminal otherwise
    #[arg(long, value_name = "FILE")]
    pub(super) passphrase_file: Option<PathBuf>,
}

/// For backups of the legacy image.
#[derive(Args)]
pub(crate) struct LegacyArguments {
    /// Opens a backup of the legacy image, which cannot be proved unchanged
    #[arg(long)]
    pub(super) unauthenticated: bool,
    /// Ends with an error when the dump is longer, such as 50G: a backup of the legacy image does not say how long it is
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(super) max_output: Option<u64>,
}

impl LegacyArguments {
    pub(super) fn consent(&self) -> Consent {
        Consent {
            unauthenticated: self.unauthenticated,
            max_output: self.max_output,
        }
    }
}

/// In the syntax of `rate_limit`.
fn bytes(text: &str) -> Result<u64, String> {
    let number = RateLimit::parse(text).ok().and_then(RateLimit::bytes_per_second);
    number.ok_or_else(|| "a number above 0 and one of k, m, g, t is needed, such as 50G".to_owned())
}

#[derive(Args)]
pub(crate) struct Trust {
    /// The public key of the required signer: an unsigned or otherwise signed backup is refused
    #[arg(long, value_name = "FILE")]
    pub(super) signer: Option<PathBuf>,
    /// Threads that decrypt and decompress
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

impl KeyArguments {
    pub(super) async fn open(&self) -> Result<PrivateKey> {
        private_key(&self.key, self.passphrase_file.as_deref()).await
    }

    /// The backup, and the key for it: nobody types a passphrase for a backup that is not there.
    pub(super) async fn with_backup(
        &self,
        backup: &str,
        signer: Option<&Verifier>,
        env: &Env,
        cancel: &Cancel,
    ) -> Result<(ChosenBackup, PrivateKey)> {
        must_exist(&self.key)?;
        let backup = ChosenBackup::find(backup, signer, env, cancel).await?;
        Ok((backup, cancel.run_until_cancelled(self.open()).await?))
    }
}

/// A key's file that is not there, or not for us, is told before anything is asked of S3.
pub(super) fn must_exist(place: &str) -> Result<()> {
    match place.starts_with("arn:") {
        true => Ok(()),
        false => PrivateKey::must_exist(Path::new(place)),
    }
}

impl Trust {
    pub(super) fn signer(&self) -> Result<Option<Verifier>> {
        verifier(self.signer.as_deref())
    }

    pub(super) fn workers(&self) -> usize {
        self.workers.unwrap_or_else(crate::handler::cpus).clamp(1, 256)
    }
}

pub(super) fn verifier(path: Option<&Path>) -> Result<Option<Verifier>> {
    let Some(path) = path else { return Ok(None) };
    Verifier::parse(&read_file("--signer", path)?).map(Some)
}

/// A file that an option names.
pub(super) fn read_file(option: &str, path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        Error::new(Code::BadUsage, format!("{option}: {} cannot be read: {error}", path.display()))
            .advise("Correct the file's name, and see that this user may read it.")
    })
}
