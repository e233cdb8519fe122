//! The smaller values of a plan, each with its rule.

use super::bucket::RegionName;
use crate::envelope::key_text::is_private_key;
use crate::error::{Code, Error, Result};
use crate::variables::Env;
use std::path::PathBuf;
use std::time::Duration;

/// A number with `ms`, `s`, `min` or `h`, 1 ms to 24 h.
pub(crate) fn duration(field: &str, text: &str) -> Result<Duration> {
    let refused = || Error::field(Code::BadEvent, field, "must be a number with its unit, 1ms to 24h, such as 60s");
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(refused)?;
    let number: u64 = text[..split].parse().map_err(|_| refused())?;
    let unit = match text[split..].trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "min" | "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(refused()),
    };
    number
        .checked_mul(unit)
        .filter(|ms| (1..=86_400_000).contains(ms))
        .map(Duration::from_millis)
        .ok_or_else(refused)
}

/// An identifier of an RDS instance or Aurora cluster.
pub(crate) fn instance(text: String) -> Result<String> {
    let fits = (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    if fits {
        return Ok(text);
    }
    Err(Error::field(
        Code::BadEvent,
        "instance",
        "must be an RDS instance or cluster identifier: letters, digits and dashes",
    ))
}

/// The ARN of a secret.
pub fn secret_arn(text: String) -> Result<SecretArn> {
    let parts: Vec<&str> = text.splitn(7, ':').collect();
    match parts.as_slice() {
        ["arn", partition, "secretsmanager", region_name, account, "secret", name]
            if partition.starts_with("aws") && account.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty() =>
        {
            let region = RegionName::new("password_secret", region_name)?;
            Ok(SecretArn { region, arn: text })
        }
        _ => Err(Error::field(
            Code::BadEvent,
            "password_secret",
            "must be the ARN of a Secrets Manager secret",
        )),
    }
}

/// Where a password is kept, and in which region that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretArn {
    pub region: RegionName,
    pub arn: String,
}

/// What signs a manifest: an EC key on P-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SigningKey {
    /// A private key's PEM file.
    File { path: PathBuf, passphrase_file: Option<PathBuf> },
    /// The ARN of a key or alias in KMS.
    Kms { key: String, region: RegionName },
}

impl SigningKey {
    /// The one that the environment names, if any. A passphrase without a key is half of an order to sign.
    pub(crate) fn from_env(env: &Env) -> Result<Option<Self>> {
        let passphrase_file = env.get("PGSEAL_SIGNING_PASSPHRASE_FILE");
        match env.get("PGSEAL_SIGNING_KEY") {
            Some(key) => Self::parse(key, passphrase_file).map(Some),
            None if passphrase_file.is_some() => {
                let told = "is set and PGSEAL_SIGNING_KEY is not: nothing would be signed";
                let error = Error::field(Code::BadEvent, "PGSEAL_SIGNING_PASSPHRASE_FILE", told);
                Err(error.advise("Set PGSEAL_SIGNING_KEY to the key that it opens; where no backup is to be signed, unset both."))
            }
            None => Ok(None),
        }
    }

    /// An ARN of KMS, or else a file.
    fn parse(text: &str, passphrase_file: Option<&str>) -> Result<Self> {
        if is_private_key(text) {
            let error = Error::field(Code::PrivateKeyGiven, "PGSEAL_SIGNING_KEY", "holds a private key; it was not used");
            return Err(error.advise("Name the file that holds it, or a key in KMS. Treat this one as leaked: variables are read by many."));
        }
        if !text.starts_with("arn:") {
            return Ok(Self::File {
                path: text.into(),
                passphrase_file: passphrase_file.map(PathBuf::from),
            });
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        match parts.as_slice() {
            [_, partition, "kms", region_name, _, name]
                if partition.starts_with("aws") && (name.starts_with("key/") || name.starts_with("alias/")) =>
            {
                Ok(Self::Kms {
                    key: text.to_owned(),
                    region: RegionName::new("PGSEAL_SIGNING_KEY", region_name)?,
                })
            }
            _ => Err(Error::field(
                Code::BadEvent,
                "PGSEAL_SIGNING_KEY",
                "must be the ARN of a KMS key or alias, or a file",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_timeouts() {
        for (text, ms) in [("60s", 60_000), ("1ms", 1), ("5min", 300_000), ("24h", 86_400_000), ("2 s", 2_000)] {
            assert_eq!(duration("lock_timeout", text).unwrap(), Duration::from_millis(ms), "{text}");
        }
        for text in ["", "60", "0s", "25h", "-1s", "1.5s", "s", "forever", "99999999999999999999s"] {
            assert!(duration("lock_timeout", text).is_err(), "{text}");
        }
    }
}
