//! A bucket and how it is reached: the one place that reads its name, region and owner from an event or from the environment.

use crate::error::{Code, Error, Result};
use crate::variables::Env;
use std::fmt::{Display, Formatter};

/// Who must own the bucket, for the restore too.
pub const OWNER_VARIABLE: &str = "S3_BUCKET_OWNER";
/// Where a restore finds the bucket's region, in this order.
const REGION_VARIABLES: [&str; 4] = ["S3_REGION", "REGION", "AWS_REGION", "AWS_DEFAULT_REGION"];

/// A bucket, as every call of S3 needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketAccess {
    pub name: BucketName,
    pub region: RegionName,
    /// Said in each call: S3 then refuses a bucket of somebody else's.
    pub owner: Option<AccountId>,
}

impl BucketAccess {
    /// To read from, in the region and of the owner that the environment names.
    pub(crate) fn reading(name: BucketName, env: &Env) -> Result<Self> {
        let (variable, region) = region_variable(env).ok_or_else(|| {
            Error::new(Code::BadUsage, "the bucket's region is not known")
                .advise("Name it with --region, in AWS_REGION, or in the profile (`aws configure`).")
        })?;
        Ok(Self {
            name,
            region: RegionName::new(variable, region)?,
            owner: env
                .get(OWNER_VARIABLE)
                .map(|owner| AccountId::new(OWNER_VARIABLE, owner))
                .transpose()?,
        })
    }
}

/// The region that the environment names, and where.
pub(crate) fn region_variable(env: &Env) -> Option<(&'static str, &str)> {
    REGION_VARIABLES.iter().find_map(|variable| Some((*variable, env.get(variable)?)))
}

/// The name of a bucket, or the ARN of an access point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketName(String);

impl BucketName {
    /// Of an event.
    pub fn new(text: &str) -> Result<Self> {
        let name = (3..=63).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-')
            && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
            && text.bytes().last().is_some_and(|b| b.is_ascii_alphanumeric())
            && !text.contains("..");
        if name || is_access_point(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::field(
            Code::BadEvent,
            "bucket",
            "must be an S3 bucket's name (3 to 63 of a-z, 0-9, `.` and `-`) or an access point's ARN",
        ))
    }

    /// Of a place that is read: older buckets, and those of other stores, have names by other rules.
    pub fn of_location(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_access_point(&self) -> bool {
        self.0.starts_with("arn:")
    }
}

/// The name of an AWS region, such as `eu-central-1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionName(String);

impl RegionName {
    /// Of an event: it becomes part of a host's name.
    pub fn new(field: &str, text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('-').collect();
        let word = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
        let number = |part: &str| !part.is_empty() && part.len() <= 2 && part.bytes().all(|b| b.is_ascii_digit());
        match parts.as_slice() {
            [words @ .., last] if (2..=4).contains(&words.len()) && words.iter().all(word) && number(last) => Ok(Self(text.to_owned())),
            _ => Err(Error::field(
                Code::BadEvent,
                field,
                "must be the name of an AWS region, such as eu-central-1",
            )),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A twelve-digit AWS account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountId(String);

impl AccountId {
    pub(crate) fn new(field: &str, text: &str) -> Result<Self> {
        if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::field(Code::BadEvent, field, "must be a twelve-digit AWS account number"))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for BucketName {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Display for RegionName {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// An ARN that S3 takes in a bucket's place, its resource separated by `:` or by `/`: an access point, also of several regions
/// (then without a region), of Object Lambda, or on Outposts.
pub(crate) fn is_access_point(text: &str) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(BucketName::new(arn).unwrap().as_str(), arn);
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
            assert!(BucketName::new(text).is_err(), "{text}");
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
            assert!(RegionName::new("region", name).is_ok(), "{name}");
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
            assert!(RegionName::new("region", name).is_err(), "{name}");
        }
    }
}
