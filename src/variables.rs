//! Every environment variable that the program reads, in one table: the reader, the refusals and README.md go by it.
//!
//! A name that is not in it cannot be read ([`Env::get`] says so in every build that is tested), and a `PGSEAL_` name that is
//! not in it, or a value that is no text, is refused: a pin with a spelling mistake must not be no pin.

mod endpoints;
mod env;
pub(crate) mod pins;

pub use env::Env;

use crate::error::{Code, Error, Result};
use std::path::PathBuf;

/// What a variable is to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariableKind {
    /// Stands behind this field of the event; of two for one field the first in the table counts.
    Field(&'static str),
    /// For anyone who deploys: an event has no such field.
    Setting,
    /// The same, and what it protects is gone without it: refused where it is set and empty.
    Pin,
    /// Set by the platform, not by a person.
    Platform,
    /// What the terminal can show: nothing that is done depends on it, so no value of it is refused.
    Terminal,
    /// Set by our tests; no released program has it.
    #[cfg(debug_assertions)]
    Tests,
}

#[cfg(debug_assertions)]
use VariableKind::Tests;
use VariableKind::{Field, Pin, Platform, Setting, Terminal};

pub const ALL: &[(&str, VariableKind)] = &[
    ("POSTGRES_DATABASE", Field("database")),
    ("POSTGRES_HOST", Field("host")),
    ("POSTGRES_INSTANCE", Field("instance")),
    ("POSTGRES_PORT", Field("port")),
    ("POSTGRES_USER", Field("user")),
    ("POSTGRES_AUTH", Field("auth")),
    ("REGION", Field("region")),
    ("AWS_REGION", Field("region")),
    // For `list` and the other commands without an event.
    ("AWS_DEFAULT_REGION", Platform),
    ("S3_BUCKET", Field("bucket")),
    ("S3_PREFIX", Field("prefix")),
    ("S3_REGION", Field("bucket_region")),
    ("S3_BUCKET_OWNER", Field("bucket_owner")),
    // Its emptiness is told by `plan::resolve`, which knows whether the event has a key.
    ("OPENSSL_PUBLIC_KEY", Field("public_key")),
    ("RATE_LIMIT", Field("rate_limit")),
    ("RATE_LMIT", Field("rate_limit")),
    ("COMPRESSION", Field("compression")),
    ("WORKERS", Field("workers")),
    ("FORMAT", Field("format")),
    ("LOCK_TIMEOUT", Field("lock_timeout")),
    ("LOCK_GUARD", Field("lock_guard")),
    ("RETENTION", Field("retention")),
    ("RETENTION_TIMEZONE", Field("timezone")),
    ("RETENTION_DAYS", Setting),
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
    ("PGSEAL_LOG", Setting),
    ("PGSEAL_PLAN_LOCATION", Setting),
    ("PGSEAL_TOLERATED_FAILURES", Setting),
    // Of Step Functions, for one task: nobody else's.
    ("PGSEAL_TASK_TOKEN", Platform),
    ("AWS_ENDPOINT_URL", Setting),
    ("AWS_ENDPOINT_URL_S3", Setting),
    ("AWS_CA_BUNDLE", Setting),
    ("PATH", Platform),
    ("AWS_LAMBDA_RUNTIME_API", Platform),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", Platform),
    ("AWS_LAMBDA_LOG_FORMAT", Platform),
    ("AWS_LAMBDA_LOG_LEVEL", Platform),
    ("NO_COLOR", Terminal),
    ("TERM", Terminal),
    ("LC_ALL", Terminal),
    ("LC_CTYPE", Terminal),
    ("LANG", Terminal),
    #[cfg(debug_assertions)]
    ("TESTBED_KEYS", Tests),
];

/// What others read in this process or a child of it, and an image may forbid: AWS's SDK (the `*` stands for its services),
/// its HTTP client, libpq and the dynamic linker.
const FOREIGN: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_KMS",
    "AWS_ENDPOINT_URL_RDS",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_ENDPOINT_URL_SFN",
    "AWS_ENDPOINT_URL_SSM",
    "AWS_ENDPOINT_URL_SSO",
    "AWS_ENDPOINT_URL_SSO_OIDC",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_MAX_ATTEMPTS",
    "AWS_RETRY_MODE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "OPENSSL_CONF",
    "PGHOST",
    "PGPORT",
    "PGUSER",
    "PGDATABASE",
    "PGOPTIONS",
    "PGSERVICE",
    "PGSERVICEFILE",
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "HOME",
    "TMPDIR",
];

/// Names of ours begin so.
const OURS: &str = "PGSEAL_";

/// What `PGSEAL_LOG` may say; `fatal` is Lambda's word for the last of ours.
pub(crate) const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "fatal"];

/// How like a known name an unknown one must be to be taken for it (Jaro-Winkler).
const NEAR: f64 = 0.85;

/// The variables that stand behind a field, in order.
pub(crate) fn of_field(field: &str) -> impl Iterator<Item = &'static str> {
    let behind = ALL.iter().filter(move |(_, kind)| matches!(kind, Field(of) if *of == field));
    behind.map(|(name, _)| *name)
}

pub(crate) fn is_known(name: &str) -> bool {
    ALL.iter().any(|(known, _)| *known == name)
}

/// Whether a file of the image may give it a value: not where the SDK reads the process's own environment, not the event
/// itself, and no password, since an image is read by many.
pub(crate) fn can_be_pinned(name: &str) -> bool {
    let is_open = |name: &str| matches!(name, "BACKUP_EVENT" | "PGPASSWORD") || (name.starts_with("AWS_") && name != "AWS_REGION");
    let is_setting = |kind: &VariableKind| matches!(kind, Field(_) | Setting | Pin);
    ALL.iter().any(|(known, kind)| *known == name && is_setting(kind)) && !is_open(name)
}

/// Whether an image that forbids what is meant forbids anything.
pub(crate) fn can_be_forbidden(is_meant: impl Fn(&str) -> bool) -> bool {
    ALL.iter().map(|(name, _)| name).chain(FOREIGN).any(|name| is_meant(name))
}

/// Those without which nothing holds that they protect.
pub(crate) fn protecting() -> impl Iterator<Item = &'static str> {
    ALL.iter().filter(|(name, kind)| protects(name, kind)).map(|(name, _)| *name)
}

fn protects(name: &str, kind: &VariableKind) -> bool {
    *kind == Pin || name == "S3_BUCKET_OWNER"
}

/// Refuses a name of ours that we do not know, what the image forbids, a value of a variable that we read which is not UTF-8,
/// an empty pin, and a value that cannot be one.
pub(crate) fn check(env: &Env) -> Result<()> {
    if let Some(error) = env.fault() {
        return Err(error.clone());
    }
    if let Some(name) = env.names().find(|name| is_ours(name) && !is_known(name)) {
        return Err(unknown(name));
    }
    let is_of_terminal = |name: &str| ALL.iter().any(|(known, kind)| *known == name && *kind == Terminal);
    let read = |name: &&str| (is_known(name) && !is_of_terminal(name)) || is_ours(name);
    if let Some(name) = env.unreadable().find(read) {
        return Err(Error::field(Code::BadEvent, name, "(an environment variable) is not UTF-8"));
    }
    let is_empty = |name: &str| env.is_set(name) && env.get(name).unwrap_or_default().trim_matches([' ', '\t', ',']).is_empty();
    if let Some((name, _)) = ALL.iter().find(|(name, kind)| protects(name, kind) && is_empty(name)) {
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
    endpoints::check(env)?;
    let is_named = |folder: &PathBuf| !folder.as_os_str().as_encoded_bytes().trim_ascii().is_empty();
    match env.client_folders().into_iter().filter(is_named).find(|folder| !folder.is_dir()) {
        Some(folder) => {
            let reason = format!("(an environment variable) names {}, which is no folder", folder.display());
            Err(Error::field(Code::BadEvent, "PGSEAL_PG_BIN", reason))
        }
        None => Ok(()),
    }
}

/// In small letters too: anyone who writes so means ours.
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
    .advise("Correct the variable's name, or unset it; docs/REFERENCE.md has a table of all variables.")
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
            // The SDK reads an endpoint by itself, and does not take an empty one for none.
            let protects = *kind == Pin || *name == "S3_BUCKET_OWNER" || name.starts_with("AWS_ENDPOINT_URL");
            let values: &[&str] = if protects { &["", " ", ",", " , "] } else { &["", " "] };
            for value in values {
                let told = refused(&[(name, *value)]);
                assert_eq!(told.is_some(), protects, "{name}={value:?}: {told:?}");
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
        let env = |name: &str| Env::from_pairs([(name.into(), std::ffi::OsString::from_vec(vec![b'a', 0xff]))]);
        for (name, _) in ALL.iter().filter(|(_, kind)| *kind != Terminal) {
            assert!(check(&env(name)).unwrap_err().message.contains(name), "{name}");
        }
        assert!(check(&env("PGSEAL_OTHER")).is_err());
        assert!(check(&env("SOMEBODY_ELSES")).is_ok() && check(&env("LANG")).is_ok());
        let name = std::ffi::OsString::from_vec(b"PGSEAL_ALLOWED_HOSTS\xff".to_vec());
        assert!(check(&Env::from_pairs([(name, "x".into())])).is_err());
    }

    /// The names with this beginning in the texts of these places, but for this file, whose tests have misspelt ones.
    fn named(beginning: &str, places: &[&str]) -> BTreeSet<String> {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut open: Vec<PathBuf> = places.iter().map(|place| root.join(place)).collect();
        let mut named = BTreeSet::new();
        while let Some(path) = open.pop() {
            if let Ok(entries) = std::fs::read_dir(&path) {
                open.extend(entries.flatten().map(|entry| entry.path()));
            } else if let (false, Ok(text)) = (path.ends_with("src/variables.rs"), std::fs::read_to_string(&path)) {
                let letter = |c: char| c.is_ascii_uppercase() || c == '_';
                named.extend(text.split(beginning).skip(1).map(|rest| {
                    let end = rest.find(|c| !letter(c)).unwrap_or(rest.len());
                    format!("{beginning}{}", &rest[..end])
                }));
            }
        }
        named.remove(beginning);
        named
    }

    #[test]
    fn no_name_of_ours_anywhere_is_missing_in_the_table() {
        let scripts = [
            "Makefile",
            "Dockerfile",
            "bench",
            "demo",
            "examples",
            "fuzz/fuzz_targets",
            "fuzz/run.sh",
            "scripts",
            "testbed",
        ];
        let deployments = ["README.md", "docs", "deploy", "template.yaml", "events"];
        let named = named(OURS, &[&["src", "tests/it", "tests/model"][..], &scripts, &deployments].concat());
        assert!(named.len() > 8, "{named:?}");
        let missing: Vec<_> = named.iter().filter(|name| !is_known(name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    /// What tests, demo and benchmarks are told is theirs: of it the program knows one name, and no released program does.
    #[test]
    fn the_program_reads_nothing_that_is_meant_for_its_tests() {
        let named = named(concat!("TESTBED", "_"), &["src"]);
        assert_eq!(named.iter().map(String::as_str).collect::<Vec<_>>(), ["TESTBED_KEYS"]);
        assert_eq!(is_known("TESTBED_KEYS"), cfg!(debug_assertions));
    }

    #[test]
    fn every_field_with_a_variable_is_a_field_of_the_event() {
        let fields = ALL
            .iter()
            .filter_map(|(_, kind)| if let Field(field) = kind { Some(*field) } else { None });
        let unknown: Vec<_> = fields.filter(|field| !crate::event::FIELDS.contains(field)).collect();
        assert_eq!(unknown, [""; 0]);
    }
}
