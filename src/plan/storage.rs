//! How S3 is to keep the objects: what an event may ask for, parsed.

use super::retention::{self, RetentionClass};
use crate::error::{Code, Error, Result};
use serde_json::{Map, Value};
use std::fmt::Display;

/// S3's own encryption, on top of ours: the header that some bucket policies demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    Aes256,
    Kms,
    KmsDsse,
}

/// S3's own encryption. A key belongs to KMS, and alone asks for it.
pub(crate) fn encryption(asked: Option<String>, has_key: bool) -> Result<Option<Encryption>> {
    let refused = |reason: &str| refused("encryption", reason);
    match (asked.as_deref(), has_key) {
        (None, has_key) => Ok(has_key.then_some(Encryption::Kms)),
        (Some("AES256"), true) => Err(refused("is AES256, which takes no `kms_key_id`")),
        (Some("AES256"), false) => Ok(Some(Encryption::Aes256)),
        (Some("aws:kms"), _) => Ok(Some(Encryption::Kms)),
        (Some("aws:kms:dsse"), _) => Ok(Some(Encryption::KmsDsse)),
        (Some(_), _) => Err(refused("must be AES256, aws:kms or aws:kms:dsse")),
    }
}

/// A canned ACL, which some bucket policies demand of other accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CannedAcl(&'static str);

impl CannedAcl {
    /// S3's, without those that show an object to strangers.
    const ALL: &[&str] = &["bucket-owner-full-control", "bucket-owner-read", "private"];

    pub(crate) fn new(text: &str) -> Result<Self> {
        one_of(Self::ALL, text).map(Self).ok_or_else(|| {
            let names = Self::ALL.join(", ");
            refused("acl", format!("must be one of {names}: no backup is shown to anybody else"))
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0
    }
}

/// What the dump's object is stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageClass(&'static str);

impl StorageClass {
    const ALL: &[&str] = &[
        "STANDARD",
        "REDUCED_REDUNDANCY",
        "STANDARD_IA",
        "ONEZONE_IA",
        "INTELLIGENT_TIERING",
        "GLACIER",
        "DEEP_ARCHIVE",
        "GLACIER_IR",
    ];

    pub(crate) fn new(text: &str) -> Result<Self> {
        let names = || Self::ALL.join(", ");
        let name = one_of(Self::ALL, text).map(Self);
        name.ok_or_else(|| refused("storage_class", format!("must be one of {}", names())))
    }

    /// Of an object with one for each class of retention: what it has none for stays with the bucket's.
    pub(crate) fn by_class(classes: &Map<String, Value>, retention: Option<RetentionClass>) -> Result<Option<Self>> {
        if classes.keys().any(|name| RetentionClass::named(name).is_none()) {
            return Err(refused(
                "storage_class",
                "by class is an object of daily, weekly, monthly and yearly",
            ));
        }
        let texts = classes.iter().map(|(name, class)| match class.as_str() {
            Some(class) => Ok((name.as_str(), Self::new(class)?)),
            None => Err(refused("storage_class", "must have texts for its classes")),
        });
        let texts = texts.collect::<Result<Vec<_>>>()?;
        let class = retention.ok_or_else(|| refused("storage_class", "by class needs `retention`, which says the class"))?;
        Ok(texts.into_iter().find(|(name, _)| *name == class.as_str()).map(|(_, class)| class))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0
    }
}

fn one_of(names: &[&'static str], text: &str) -> Option<&'static str> {
    names.iter().copied().find(|name| *name == text)
}

fn refused(field: &str, reason: impl Display) -> Error {
    Error::field(Code::BadEvent, field, reason)
}

/// A KMS key by its id, ARN or alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmsKeyId(String);

impl KmsKeyId {
    pub(crate) fn new(text: String) -> Result<Self> {
        if (1..=2048).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(Self(text));
        }
        Err(refused("kms_key_id", "must be the id, ARN or alias of a KMS key"))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Of S3.
const MAX_TAGS: usize = 10;

/// Object tags, in the form of the `x-amz-tagging` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagging(String);

impl Tagging {
    /// `None` where there are none.
    pub(crate) fn new(object: &Map<String, Value>, has_retention: bool) -> Result<Option<Self>> {
        let most = if has_retention { MAX_TAGS - 2 } else { MAX_TAGS };
        if object.len() > most {
            return Err(refused(
                "tags",
                format!("must be at most {most}: S3 takes {MAX_TAGS}, and two are `retention`'s"),
            ));
        }
        let encode = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let pair = |(name, value): (&String, &Value)| {
            let value = value
                .as_str()
                .ok_or_else(|| refused("tags", "must each have a text as its value, in double quotes"))?;
            if name.is_empty() || name.chars().count() > 128 || value.chars().count() > 256 {
                return Err(refused("tags", "must have names of 1 to 128 characters and values of at most 256"));
            }
            if retention::TAGS.contains(&name.as_str()) && has_retention {
                return Err(refused("tags", format!("must not have `{name}` beside `retention`, which sets it")));
            }
            if name.to_ascii_lowercase().starts_with("aws:") {
                return Err(refused(
                    "tags",
                    "must not have names that start with `aws:`: S3 keeps them for itself",
                ));
            }
            Ok(format!("{}={}", encode(name), encode(value)))
        };
        let pairs = object.iter().map(pair).collect::<Result<Vec<_>>>()?;
        Ok((!pairs.is_empty()).then(|| Self(pairs.join("&"))))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// S3 Object Lock: nobody deletes or changes the object for so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectLock {
    pub compliance: bool,
    pub days: u32,
}

/// Without `days` those of the retention class.
pub(crate) fn object_lock(object: &Map<String, Value>, days_of_class: Option<u32>) -> Result<ObjectLock> {
    let refused = |reason: &str| refused("object_lock", reason);
    if object.keys().any(|name| name != "mode" && name != "days") {
        return Err(refused("has the fields `mode` and `days` only"));
    }
    let compliance = match object.get("mode").and_then(Value::as_str) {
        Some("COMPLIANCE") => true,
        Some("GOVERNANCE") => false,
        _ => return Err(refused("needs a `mode`: GOVERNANCE or COMPLIANCE")),
    };
    let days = match (object.get("days"), days_of_class) {
        (None | Some(Value::Null), Some(days)) => Some(days),
        (days, _) => days
            .and_then(Value::as_u64)
            .filter(|days| (1..=36_500).contains(days))
            .map(|days| days as u32),
    };
    let days = days.ok_or_else(|| refused("needs `days`: a whole number from 1 to 36500, or a `retention` that gives them"))?;
    Ok(ObjectLock { compliance, days })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_of_storage_may_go_by_the_class_of_retention() {
        let by_class =
            |text: &str, retention| StorageClass::by_class(serde_json::from_str::<Value>(text).unwrap().as_object().unwrap(), retention);
        let classes = r#"{"monthly": "GLACIER_IR", "yearly": "DEEP_ARCHIVE"}"#;
        let class = |retention| by_class(classes, Some(retention)).unwrap().map(|class| class.as_str().to_owned());
        assert_eq!(class(RetentionClass::Yearly).as_deref(), Some("DEEP_ARCHIVE"));
        assert_eq!(class(RetentionClass::Daily), None);
        for (text, retention) in [
            (classes, None),
            (r#"{"hourly": "GLACIER_IR"}"#, Some(RetentionClass::Daily)),
            (r#"{"yearly": "COLD"}"#, Some(RetentionClass::Daily)),
            (r#"{"yearly": 7}"#, Some(RetentionClass::Daily)),
        ] {
            let error = by_class(text, retention).unwrap_err();
            assert_eq!(
                (error.code, error.field.as_deref()),
                (Code::BadEvent, Some("storage_class")),
                "{text}"
            );
        }
    }

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
