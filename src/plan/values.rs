//! The smaller values of a plan, each with its rule.

use crate::error::{Code, Error, Result};
use std::path::PathBuf;
use std::time::Duration;

/// How long a lock may be waited for: a number with `ms`, `s`, `min` or `h`, 1 ms to 24 h.
pub fn lock_timeout(text: &str) -> Result<Duration> {
    let refused = || {
        Error::field(
            Code::BadEvent,
            "lock_timeout",
            "must be a number with its unit, 1ms to 24h, such as 60s",
        )
    };
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

/// An AWS region's name, such as `eu-central-1`.
pub fn region(field: &str, text: String) -> Result<String> {
    let parts: Vec<&str> = text.split('-').collect();
    let word = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    let number = |part: &str| !part.is_empty() && part.len() <= 2 && part.bytes().all(|b| b.is_ascii_digit());
    match parts.as_slice() {
        [words @ .., last] if (2..=4).contains(&words.len()) && words.iter().all(word) && number(last) => Ok(text),
        _ => Err(Error::field(
            Code::BadEvent,
            field,
            "must be the name of an AWS region, such as eu-central-1",
        )),
    }
}

/// A bucket's name (or the ARN or alias of an access point).
pub fn bucket(text: String) -> Result<String> {
    let name = (3..=63).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-')
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && text.bytes().last().is_some_and(|b| b.is_ascii_alphanumeric())
        && !text.contains("..");
    if name || is_access_point(&text) {
        return Ok(text);
    }
    Err(Error::field(
        Code::BadEvent,
        "bucket",
        "must be an S3 bucket's name (3 to 63 of a-z, 0-9, `.` and `-`) or an access point's ARN",
    ))
}

/// An ARN that S3 takes in a bucket's place, its resource parted by `:` or by `/`: an access point, also of several regions
/// (then without a region), of Object Lambda, or on Outposts.
pub fn is_access_point(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, service, region, account, resource] = parts.as_slice() else {
        return false;
    };
    let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    let resource: Vec<&str> = resource.split([':', '/']).collect();
    let names_one = match resource.as_slice() {
        ["accesspoint", name] => word(name),
        ["outpost", outpost, "accesspoint", name] => word(outpost) && word(name),
        _ => false,
    };
    let service = matches!(*service, "s3" | "s3-object-lambda" | "s3-outposts");
    let account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    partition.starts_with("aws") && word(partition) && service && (region.is_empty() || word(region)) && account && names_one
}

/// An identifier of an RDS instance or Aurora cluster.
pub fn instance(text: String) -> Result<String> {
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
            let region = region("password_secret", (*region_name).to_owned())?;
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
    pub region: String,
    pub arn: String,
}

/// What signs a manifest: an EC key on P-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SigningKey {
    /// A private key's PEM file.
    File { path: PathBuf, passphrase_file: Option<PathBuf> },
    /// The ARN of a key or alias in KMS.
    Kms { key: String, region: String },
}

impl SigningKey {
    /// An ARN of KMS, or else a file.
    pub fn parse(text: &str, passphrase_file: Option<&str>) -> Result<Self> {
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
                    region: region("PGSEAL_SIGNING_KEY", (*region_name).to_owned())?,
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

/// Who must own the bucket, for the restore too.
pub const OWNER_VARIABLE: &str = "S3_BUCKET_OWNER";

/// A twelve-digit AWS account.
pub fn account(field: &str, text: String) -> Result<String> {
    if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(text);
    }
    Err(Error::field(Code::BadEvent, field, "must be a twelve-digit AWS account number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_timeouts() {
        for (text, ms) in [("60s", 60_000), ("1ms", 1), ("5min", 300_000), ("24h", 86_400_000), ("2 s", 2_000)] {
            assert_eq!(lock_timeout(text).unwrap(), Duration::from_millis(ms), "{text}");
        }
        for text in ["", "60", "0s", "25h", "-1s", "1.5s", "s", "forever", "99999999999999999999s"] {
            assert!(lock_timeout(text).is_err(), "{text}");
        }
    }

    /// One spelling was refused, though S3 takes both.
    #[test]
    fn an_access_point_stands_for_a_bucket_in_both_spellings() {
        for arn in [
            "arn:aws:s3:eu-west-1:111122223333:accesspoint/backups",
            "arn:aws:s3:eu-west-1:111122223333:accesspoint:backups",
            "arn:aws-cn:s3:cn-north-1:111122223333:accesspoint:backups",
            "arn:aws:s3::111122223333:accesspoint/mfzwi23gnjvgw.mrap",
            "arn:aws:s3-outposts:us-west-2:111122223333:outpost/op-01ac5d28a6a232904/accesspoint/backups",
            "arn:aws:s3-outposts:us-west-2:111122223333:outpost:op-01ac5d28a6a232904:accesspoint:backups",
        ] {
            assert_eq!(bucket(arn.to_owned()).unwrap(), arn);
        }
        for text in [
            "arn:aws:s3:eu-west-1:111122223333:accesspoint",
            "arn:aws:s3:eu-west-1:111122223333:accesspoint/",
            "arn:aws:s3:eu-west-1:111122223333:accesspoint/a/b",
            "arn:aws:s3:eu-west-1:1111:accesspoint/backups",
            "arn:aws:s3:::backups",
            "arn:aws:sqs:eu-west-1:111122223333:accesspoint/backups",
            "arn:aws:s3:eu west 1:111122223333:accesspoint/backups",
        ] {
            assert!(bucket(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn regions() {
        for name in [
            "eu-central-1",
            "us-gov-west-1",
            "cn-north-1",
            "us-iso-east-1",
            "us-isob-east-1",
            "ap-southeast-10",
        ] {
            assert!(region("region", name.to_owned()).is_ok(), "{name}");
        }
        for name in [
            "",
            "eu",
            "eu-central",
            "eu_central_1",
            "EU-CENTRAL-1",
            "eu-central-1 ",
            "eu-central-1.evil.org",
        ] {
            assert!(region("region", name.to_owned()).is_err(), "{name}");
        }
    }
}
