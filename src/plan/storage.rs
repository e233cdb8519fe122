//! How S3 is to keep the objects: what an event may ask for, parsed.

use super::Encryption;
use crate::error::{Code, Error, Result};
use serde_json::{Map, Value};

/// S3's own encryption. A key belongs to KMS, and alone asks for it.
pub fn encryption(asked: Option<String>, has_key: bool) -> Result<Option<Encryption>> {
    let refused = |reason: &str| Error::field(Code::BadEvent, "encryption", reason);
    match (asked.as_deref(), has_key) {
        (None, has_key) => Ok(has_key.then_some(Encryption::Kms)),
        (Some("AES256"), true) => Err(refused("is AES256, which takes no `kms_key_id`")),
        (Some("AES256"), false) => Ok(Some(Encryption::Aes256)),
        (Some("aws:kms"), _) => Ok(Some(Encryption::Kms)),
        (Some("aws:kms:dsse"), _) => Ok(Some(Encryption::KmsDsse)),
        (Some(_), _) => Err(refused("must be AES256, aws:kms or aws:kms:dsse")),
    }
}

/// S3's canned ACLs, without those that show an object to strangers.
const ACLS: &[&str] = &["bucket-owner-full-control", "bucket-owner-read", "private"];

pub fn acl(text: String) -> Result<String> {
    if ACLS.contains(&text.as_str()) {
        return Ok(text);
    }
    Err(Error::field(
        Code::BadEvent,
        "acl",
        format!("must be one of {}: no backup is shown to anybody else", ACLS.join(", ")),
    ))
}

/// What the dump's object may be stored as.
const STORAGE_CLASSES: &[&str] = &[
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "GLACIER_IR",
];

pub fn storage_class(text: String) -> Result<String> {
    if STORAGE_CLASSES.contains(&text.as_str()) {
        return Ok(text);
    }
    Err(Error::field(
        Code::BadEvent,
        "storage_class",
        format!("must be one of {}", STORAGE_CLASSES.join(", ")),
    ))
}

/// Object tags, in the form of the `x-amz-tagging` header.
pub fn tags(object: &Map<String, Value>) -> Result<String> {
    let refused = |reason: &str| Error::field(Code::BadEvent, "tags", reason);
    if object.len() > 10 {
        return Err(refused("must be at most 10, as S3 takes no more"));
    }
    let encode = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let pair = |(name, value): (&String, &Value)| {
        let value = value.as_str().ok_or_else(|| refused("must each be a text"))?;
        if name.is_empty() || name.chars().count() > 128 || value.chars().count() > 256 {
            return Err(refused("must have names of 1 to 128 characters and values of at most 256"));
        }
        if name.to_ascii_lowercase().starts_with("aws:") {
            return Err(refused("must not have names that start with `aws:`: S3 keeps them for itself"));
        }
        Ok(format!("{}={}", encode(name), encode(value)))
    };
    Ok(object.iter().map(pair).collect::<Result<Vec<_>>>()?.join("&"))
}

/// S3 Object Lock: nobody deletes or changes the object for so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectLock {
    pub compliance: bool,
    pub days: u32,
}

pub fn object_lock(object: &Map<String, Value>) -> Result<ObjectLock> {
    let refused = |reason: &str| Error::field(Code::BadEvent, "object_lock", reason);
    if object.keys().any(|name| name != "mode" && name != "days") {
        return Err(refused("has the fields `mode` and `days` only"));
    }
    let compliance = match object.get("mode").and_then(Value::as_str) {
        Some("COMPLIANCE") => true,
        Some("GOVERNANCE") => false,
        _ => return Err(refused("needs a `mode`: GOVERNANCE or COMPLIANCE")),
    };
    let days = object
        .get("days")
        .and_then(Value::as_u64)
        .filter(|days| (1..=36_500).contains(days));
    let days = days.ok_or_else(|| refused("needs `days`: a whole number from 1 to 36500"))? as u32;
    Ok(ObjectLock { compliance, days })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_asks_for_kms_and_contradicts_anything_else() {
        let asked = |text: &str, has_key| encryption(Some(text.to_owned()), has_key);
        assert_eq!(encryption(None, false).unwrap(), None);
        assert_eq!(encryption(None, true).unwrap(), Some(Encryption::Kms));
        assert_eq!(asked("AES256", false).unwrap(), Some(Encryption::Aes256));
        assert_eq!(asked("aws:kms", false).unwrap(), Some(Encryption::Kms));
        assert_eq!(asked("aws:kms:dsse", true).unwrap(), Some(Encryption::KmsDsse));
        for (text, has_key) in [("AES256", true), ("", false), ("aes256", false), ("kms", true)] {
            assert!(asked(text, has_key).is_err(), "{text}");
        }
    }
}
