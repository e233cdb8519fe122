//! Every environment variable that the program reads, in one table: the reader, the refusals and README.md go by it.
//!
//! A name that is not in it cannot be read ([`Env::get`] says so in every build that is tested), and a `PGSEAL_` name that is
//! not in it, or a value that is no text, is refused: a pin with a spelling mistake must not be no pin.

use crate::error::{Code, Error, Result};
use crate::event::Env;
use std::path::PathBuf;

/// What a variable is to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Stands behind a field of the event.
    Field,
    /// For whoever deploys: an event has no such field.
    Setting,
    /// The same, and what it protects is gone without it: refused where it is set and empty.
    Pin,
    /// Set by the platform, not by a person.
    Platform,
}

use Kind::{Field, Pin, Platform, Setting};

pub const ALL: &[(&str, Kind)] = &[
    ("POSTGRES_DATABASE", Field),
    ("POSTGRES_HOST", Field),
    ("POSTGRES_INSTANCE", Field),
    ("POSTGRES_PORT", Field),
    ("POSTGRES_USER", Field),
    ("POSTGRES_AUTH", Field),
    ("REGION", Field),
    ("AWS_REGION", Field),
    ("S3_BUCKET", Field),
    ("S3_PREFIX", Field),
    ("S3_REGION", Field),
    ("S3_BUCKET_OWNER", Field),
    // Its emptiness is told by `plan::resolve`, which knows whether the event has a key.
    ("OPENSSL_PUBLIC_KEY", Field),
    ("RATE_LIMIT", Field),
    ("RATE_LMIT", Field),
    ("COMPRESSION", Field),
    ("WORKERS", Field),
    ("FORMAT", Field),
    ("LOCK_TIMEOUT", Field),
    ("BACKUP_EVENT", Setting),
    ("PGSEAL_EVENT_FIELDS", Pin),
    ("PGSEAL_EVENT_DEFAULTS", Setting),
    ("PGSEAL_ALLOWED_HOSTS", Pin),
    ("PGSEAL_ALLOWED_FINGERPRINTS", Pin),
    ("PGSSLROOTCERT", Setting),
    ("PGSSLMODE", Setting),
    ("PGPASSWORD", Setting),
    ("PGPASSFILE", Setting),
    ("PGSEAL_STALL_TIMEOUT", Setting),
    ("PGSEAL_LOGIN_TIMEOUT", Setting),
    ("PGSEAL_DEADLINE_CHECK", Setting),
    ("PGSEAL_CHECK_BLOCKS", Setting),
    ("PGSEAL_PG_BIN", Setting),
    ("PGSEAL_SIGNING_KEY", Pin),
    ("PGSEAL_SIGNING_PASSPHRASE_FILE", Setting),
    ("PGSEAL_TEST_KEYS", Setting),
    ("PGSEAL_LOG", Setting),
    ("AWS_ENDPOINT_URL", Setting),
    ("AWS_ENDPOINT_URL_S3", Setting),
    ("AWS_CA_BUNDLE", Setting),
    ("PATH", Platform),
    ("AWS_LAMBDA_RUNTIME_API", Platform),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", Platform),
    ("AWS_LAMBDA_LOG_FORMAT", Platform),
    ("AWS_LAMBDA_LOG_LEVEL", Platform),
];

/// Names of ours begin so.
const OURS: &str = "PGSEAL_";

/// What `PGSEAL_LOG` may say; `fatal` is Lambda's word for the last of ours.
pub const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "fatal"];

/// How like a known name an unknown one must be to be taken for it (Jaro-Winkler).
const NEAR: f64 = 0.85;

pub fn is_known(name: &str) -> bool {
    ALL.iter().any(|(known, _)| *known == name)
}

/// Refuses a name of ours that we do not know, a value of a variable that we read which is not UTF-8, and an empty pin.
pub fn check(env: &Env) -> Result<()> {
    if let Some(name) = env.names().find(|name| is_ours(name) && !is_known(name)) {
        return Err(unknown(name));
    }
    let read = |name: &&str| is_known(name) || is_ours(name);
    if let Some(name) = env.unreadable().find(read) {
        return Err(Error::field(Code::BadEvent, name, "(an environment variable) is not UTF-8"));
    }
    let is_empty = |name: &str| env.is_set(name) && env.get(name).unwrap_or_default().trim_matches([' ', '\t', ',']).is_empty();
    if let Some((name, _)) = ALL.iter().find(|(name, kind)| *kind == Pin && is_empty(name)) {
        return Err(Error::field(
            Code::BadEvent,
            name,
            "(an environment variable) is set and empty: give it a value, or do not set it",
        ));
    }
    let level = env.get("PGSEAL_LOG").map(str::trim).filter(|level| !level.is_empty());
    if level.is_some_and(|level| !LEVELS.contains(&&*level.to_ascii_lowercase())) {
        let levels = LEVELS.join(", ");
        return Err(Error::field(
            Code::BadEvent,
            "PGSEAL_LOG",
            format!("(an environment variable) must be one of {levels}"),
        ));
    }
    let folders = env.get("PGSEAL_PG_BIN").into_iter().flat_map(std::env::split_paths);
    let is_named = |folder: &PathBuf| !folder.as_os_str().as_encoded_bytes().trim_ascii().is_empty();
    match folders.filter(is_named).find(|folder| !folder.is_dir()) {
        Some(folder) => {
            let reason = format!("(an environment variable) names {}, which is no folder", folder.display());
            Err(Error::field(Code::BadEvent, "PGSEAL_PG_BIN", reason))
        }
        None => Ok(()),
    }
}

/// In small letters too: whoever writes so means ours.
fn is_ours(name: &str) -> bool {
    name.to_ascii_uppercase().starts_with(OURS)
}

fn unknown(name: &str) -> Error {
    let own = |name: &str| name.to_uppercase().replacen(OURS, "", 1);
    let ours = ALL.iter().map(|(known, _)| *known).filter(|known| known.starts_with(OURS));
    let nearest = ours
        .map(|known| (strsim::jaro_winkler(&own(known), &own(name)), known))
        .max_by(|one, other| one.0.total_cmp(&other.0));
    let meant = nearest.filter(|(likeness, _)| *likeness >= NEAR);
    let meant = meant.map(|(_, known)| format!("; did you mean {known}?")).unwrap_or_default();
    let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    Error::field(
        Code::BadEvent,
        &shown,
        format!("is no environment variable that this program knows{meant}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::os::unix::ffi::OsStringExt;

    fn refused(pairs: &[(&str, &str)]) -> Option<String> {
        check(&pairs.iter().copied().collect()).err().map(|error| {
            assert_eq!(error.code, Code::BadEvent);
            error.message
        })
    }

    #[test]
    fn a_misspelt_pin_is_not_no_pin() {
        let told = refused(&[("PGSEAL_ALLOWED_FINGERPRINT", "ab")]).unwrap();
        assert!(
            told.contains("`PGSEAL_ALLOWED_FINGERPRINT`") && told.contains("PGSEAL_ALLOWED_FINGERPRINTS?"),
            "{told}"
        );
        // Empty, in other letters, and unlike any: refused all the same.
        assert!(refused(&[("PGSEAL_ALOWED_HOSTS", "")]).unwrap().contains("PGSEAL_ALLOWED_HOSTS?"));
        assert!(refused(&[("PGSEAL_allowed_hosts", "x")]).is_some());
        assert!(refused(&[("pgseal_allowed_hosts", "x")]).unwrap().contains("PGSEAL_ALLOWED_HOSTS?"));
        assert!(!refused(&[("PGSEAL_ZZZ", "x")]).unwrap().contains("did you mean"));
        assert_eq!(refused(&[("PGSEAL_LOG", "info"), ("PGDATABASE", "x"), ("OTHER", "")]), None);
    }

    #[test]
    fn an_empty_pin_is_refused_and_an_empty_setting_is_none() {
        for (name, kind) in ALL {
            let values: &[&str] = if *kind == Pin { &["", " ", ",", " , "] } else { &["", " "] };
            for value in values {
                let told = refused(&[(name, *value)]);
                assert_eq!(told.is_some(), *kind == Pin, "{name}={value:?}: {told:?}");
                assert!(told.is_none_or(|told| told.contains(name)));
            }
        }
    }

    #[test]
    fn a_level_or_a_folder_that_there_is_not_is_refused() {
        for (name, value) in [
            ("PGSEAL_LOG", "verbose"),
            ("PGSEAL_PG_BIN", "/nowhere/at/all"),
            ("PGSEAL_PG_BIN", "/usr:/nowhere"),
        ] {
            assert!(refused(&[(name, value)]).unwrap().contains(name), "{name}={value}");
        }
        assert_eq!(refused(&[("PGSEAL_LOG", "WARN"), ("PGSEAL_PG_BIN", "/usr:/")]), None);
    }

    #[test]
    fn a_value_that_is_not_utf_8_is_refused_wherever_it_would_be_read() {
        let env = |name: &str| Env::of([(name.into(), std::ffi::OsString::from_vec(vec![b'a', 0xff]))]);
        for (name, _) in ALL {
            assert!(check(&env(name)).unwrap_err().message.contains(name), "{name}");
        }
        assert!(check(&env("PGSEAL_OTHER")).is_err());
        assert!(check(&env("SOMEBODY_ELSES")).is_ok());
        let name = std::ffi::OsString::from_vec(b"PGSEAL_ALLOWED_HOSTS\xff".to_vec());
        assert!(check(&Env::of([(name, "x".into())])).is_err());
    }

    #[test]
    fn no_name_of_ours_in_the_source_is_missing_in_the_table() {
        let mut named = BTreeSet::new();
        let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("variables.rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    let letter = |c: char| c.is_ascii_uppercase() || c == '_';
                    named.extend(text.split("PGSEAL_").skip(1).map(|rest| {
                        let end = rest.find(|c| !letter(c)).unwrap_or(rest.len());
                        format!("PGSEAL_{}", &rest[..end])
                    }));
                }
            }
        }
        assert!(named.len() > 8, "{named:?}");
        named.remove("PGSEAL_");
        let missing: Vec<_> = named.iter().filter(|name| !is_known(name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
