//! Names and where they end up: databases, prefixes, object keys.

use crate::error::{Code, Error, Result};
use crate::format::backup_format::Format;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use time::OffsetDateTime;
use time::macros::format_description;

/// S3's limit for a key, in bytes.
const MAX_KEY: usize = 1024;
/// PostgreSQL's limit for a name, in bytes (NAMEDATALEN - 1).
const MAX_NAME: usize = 63;

/// What stands as itself in an object's name; everything else of a database's name is percent-encoded, so that
/// encoding is reversible and two names never collide.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');

/// A database's name, taken literally: no shell and no connection string ever sees it.
///
/// - not empty, at most 63 bytes, no NUL, control or bidirectional-override characters;
/// - no leading slash and no `..` between slashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DatabaseName(String);

impl DatabaseName {
    pub fn new(name: &str) -> Result<Self> {
        if name.is_empty() {
            return Err(Error::field(Code::BadEvent, "database", "must not be empty"));
        }
        printable("database", name)?;
        if name.len() > MAX_NAME {
            return Err(bad("database", "is longer than PostgreSQL's 63 bytes"));
        }
        if name.starts_with('/') || name.split('/').any(|segment| segment == "..") {
            return Err(bad("database", "must not climb out of its folder: no leading `/`, no `..`"));
        }
        Ok(Self(name.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As it stands in object names.
    pub fn encoded(&self) -> String {
        utf8_percent_encode(&self.0, ENCODED).to_string()
    }
}

/// What stands for the server in a prefix.
const HOST: &str = "{host}";
/// The longest first label that a host's name can have, in bytes.
const MAX_LABEL: usize = 63;

/// The folder of the backups in the bucket: literal text, no slash at its ends, possibly empty.
///
/// - no empty, `.` or `..` segment, no control or bidirectional-override character;
/// - `{host}` in it stands for the server, so that servers do not meet under one name; no other `{`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    pub fn new(text: &str) -> Result<Self> {
        printable("prefix", text)?;
        if text.replace(HOST, "").contains('{') {
            return Err(bad("prefix", "may hold no other placeholder than {host}, the server's name"));
        }
        let inner = text.strip_suffix('/').unwrap_or(text);
        if !inner.is_empty() && inner.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(bad(
                "prefix",
                "must not hold a leading or doubled `/`, nor `.` or `..` between slashes",
            ));
        }
        if text == "/" {
            return Err(bad("prefix", "must not be a slash; leave it empty for the bucket's root"));
        }
        Ok(Self(inner.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is another one for each server.
    pub fn names_host(&self) -> bool {
        self.0.contains(HOST)
    }

    /// The folder of one server: the first label of its name, or its address, in place of `{host}`.
    pub(crate) fn for_host(&self, label: &str) -> Self {
        self.filled(&utf8_percent_encode(label, ENCODED).to_string())
    }

    /// As long as it can become, for a server that is still to be looked up.
    pub(crate) fn of_longest_host(&self) -> Self {
        self.filled(&"x".repeat(MAX_LABEL))
    }

    fn filled(&self, label: &str) -> Self {
        Self(self.0.replace(HOST, label))
    }

    fn join(&self, name: &str) -> String {
        if self.0.is_empty() {
            name.to_owned()
        } else {
            format!("{}/{name}", self.0)
        }
    }
}

/// `{prefix}/{database}_{YYYYMMDDTHHMMSSZ}`: what one backup's objects have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stem {
    prefix: Prefix,
    database: String,
    time: OffsetDateTime,
}

impl Stem {
    /// Fails with `bad_name` where the longest key of the backup would pass 1024 bytes.
    pub fn new(prefix: &Prefix, database: &DatabaseName, time: OffsetDateTime) -> Result<Self> {
        if prefix.names_host() {
            return Err(Error::new(Code::Bug, "a name was made of a prefix whose {host} was not filled in"));
        }
        let stem = Self {
            prefix: prefix.clone(),
            database: database.encoded(),
            time: time.to_offset(time::UtcOffset::UTC),
        };
        let longest = stem.object("00000000", "key.0123456789abcdef.enc").len();
        if longest > MAX_KEY {
            return Err(bad(
                "prefix",
                &format!("is too long: an object's key would have {longest} bytes, S3 ends at {MAX_KEY}"),
            ));
        }
        Ok(stem)
    }

    pub fn manifest(&self) -> String {
        format!("{self}.manifest.jsonl")
    }

    /// The manifest of a later revision: new recipients for the same dump, and nothing overwritten.
    pub fn manifest_revision(&self, revision: u32) -> String {
        format!("{self}.manifest.{revision}.jsonl")
    }

    /// The first or a later one: the number of the first does not stand in its name.
    pub(crate) fn manifest_of(&self, revision: u32) -> String {
        match revision {
            1 => self.manifest(),
            later => self.manifest_revision(later),
        }
    }

    /// Which revision's manifest a key is, if it is one of this backup.
    pub(crate) fn revision_of(&self, key: &str) -> Option<u32> {
        let rest = key.strip_prefix(&format!("{self}.manifest."))?;
        if rest == "jsonl" {
            return Some(1);
        }
        revision_number(rest.strip_suffix(".jsonl")?)
    }

    /// `STEM.RUN.rest`.
    pub fn object(&self, run: &str, rest: &str) -> String {
        format!("{self}.{run}.{rest}")
    }

    /// A name of the legacy image: `{prefix}/{database}_{YYYY-MM-DDTHH:MM:SSZ}.rest`.
    pub fn legacy_object(&self, rest: &str) -> String {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
        self.prefix
            .join(&format!("{}_{}.{rest}", self.database, formatted(self.time, format)))
    }

    /// What the keys of a backup's objects begin with: one of these. In the legacy format the dump and its key file have the
    /// legacy image's names; what that image never wrote (roles, key objects of later recipients) has ours.
    pub(crate) fn beginnings(&self, format: Format) -> Vec<String> {
        let ours = format!("{self}.");
        match format {
            Format::Legacy => vec![self.legacy_object(""), ours],
            Format::Pgseal1 => vec![ours],
        }
    }
}

impl std::fmt::Display for Stem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        f.write_str(&self.prefix.join(&format!("{}_{}", self.database, formatted(self.time, format))))
    }
}

fn formatted(time: OffsetDateTime, format: &[time::format_description::BorrowedFormatItem<'_>]) -> String {
    // These formats name only parts that every time has.
    time.format(format).expect("year to second exist")
}

fn printable(field: &str, text: &str) -> Result<()> {
    let bidi = |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = |c: char| matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}');
    if text.chars().any(|c| c.is_control() || bidi(c) || breaks(c)) {
        return Err(bad(field, "must not hold control or text-direction characters"));
    }
    Ok(())
}

fn bad(field: &str, reason: &str) -> Error {
    Error::field(Code::BadName, field, reason)
}

/// More than recipients ever change. A bound, since anyone who may write to the bucket chooses such names.
pub(crate) const MAX_REVISION: u32 = 999_999;

/// The number in the name of a later revision's objects.
pub(crate) fn revision_number(digits: &str) -> Option<u32> {
    let is_plain = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    let revision = digits.parse().ok().filter(|_| is_plain)?;
    (2..=MAX_REVISION).contains(&revision).then_some(revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::macros::datetime;

    fn stem(database: &str) -> Result<Stem> {
        Stem::new(
            &Prefix::new("backups/")?,
            &DatabaseName::new(database)?,
            datetime!(2026-11-24 03:00:00 +01:00),
        )
    }

    #[test]
    fn names_follow_the_format_page() {
        let stem = stem("app").unwrap();
        assert_eq!(stem.manifest(), "backups/app_20261124T020000Z.manifest.jsonl");
        assert_eq!(
            stem.object("3f9a12bc", "sql.bz2.enc"),
            "backups/app_20261124T020000Z.3f9a12bc.sql.bz2.enc"
        );
        assert_eq!(stem.legacy_object("sql.bz.enc"), "backups/app_2026-11-24T02:00:00Z.sql.bz.enc");
    }

    #[test]
    fn a_prefix_names_the_server() {
        let allowed = crate::plan::AllowedHosts::parse(Some("*"));
        let of = |prefix: &str, host: &str| {
            let host = allowed.admit(host).unwrap();
            Prefix::new(prefix).unwrap().for_host(host.label()).as_str().to_owned()
        };
        for (prefix, host, expected) in [
            ("backups/{host}", "Orders.cxa1.eu-west-1.rds.amazonaws.com", "backups/orders"),
            ("backups/{host}/", "localhost", "backups/localhost"),
            ("{host}", "10.0.0.1", "10.0.0.1"),
            ("a/{host}-{host}/b", "fe80::1", "a/fe80%3A%3A1-fe80%3A%3A1/b"),
            ("backups", "localhost", "backups"),
        ] {
            assert_eq!(of(prefix, host), expected);
        }
        for prefix in ["{database}", "backups/{Host}", "a{", "{host", "{{host}}", "${host}{x}"] {
            let error = Prefix::new(prefix).unwrap_err();
            assert!(error.code == Code::BadName && error.message.contains("{host}"), "{prefix}: {error}");
        }
    }

    #[test]
    fn a_key_tells_its_generation() {
        let stem = stem("app").unwrap();
        for (key, revision) in [
            (stem.manifest(), Some(1)),
            (stem.manifest_revision(2), Some(2)),
            (stem.manifest_revision(17), Some(17)),
            (stem.manifest_revision(1), None),
            (format!("{stem}.manifest.02.jsonl"), None),
            (format!("{stem}.manifest.+2.jsonl"), None),
            (format!("{stem}.manifest.2.jsonl.bak"), None),
            (format!("x/{}", stem.manifest()), None),
        ] {
            assert_eq!(stem.revision_of(&key), revision, "{key}");
        }
    }

    #[test]
    fn literal_names_are_taken() {
        for name in [
            "$(id)",
            "a'b\"c",
            "postgresql://u:p@h/d?x=1",
            "host=evil dbname=x",
            "-d",
            "Ünï 数",
            "a%2Fb",
            "...",
        ] {
            stem(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    #[test]
    fn what_could_leave_the_prefix_is_refused() {
        for name in ["../x", "a/../b", "..", "/etc", "a\0b", "a\nb", "a\u{202e}b"] {
            assert_eq!(DatabaseName::new(name).unwrap_err().code, Code::BadName, "{name:?}");
        }
        for prefix in ["../x", "/x", "a//b", "a/./b", "/", "a\tb", "s3://b/x"] {
            assert_eq!(Prefix::new(prefix).unwrap_err().code, Code::BadName, "{prefix:?}");
        }
        let long = Prefix::new(&"p".repeat(1000)).unwrap();
        let name = DatabaseName::new("app").unwrap();
        assert_eq!(
            Stem::new(&long, &name, datetime!(2026-11-24 0:00 UTC)).unwrap_err().code,
            Code::BadName
        );
    }

    proptest! {
        #[test]
        fn encoding_is_reversible_and_stays_one_segment(name in "[^\\p{C}]{1,15}") {
            if let Ok(database) = DatabaseName::new(&name) {
                let encoded = database.encoded();
                prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-%".contains(&b)));
                let back = percent_encoding::percent_decode_str(&encoded).decode_utf8().unwrap();
                prop_assert_eq!(back.as_ref(), name);
            }
        }
    }
}
