//! Pins that lie in the image: who may set the variables of a task, as `ecs:RunTask` does, cannot change a file of it.

use super::Env;
use crate::error::{Code, Error, Result};
use crate::format::unique_names::UniqueNames;
use crate::variables;
use serde::de::DeserializeSeed;
use serde_json::{Map, Value};
use std::io::{ErrorKind, Read};
use std::path::Path;

/// Far more than all variables together.
const MAX_BYTES: usize = 256 * 1024;

/// A JSON object of variables: a text is the variable's value, and `null` says that it must not be set; a name that is
/// forbidden may end with `*`. The place is no setting, since a setting could be set.
pub(crate) const FILE: &str = "/etc/pgseal/pins.json";

impl Env {
    /// With what the file pins. A file that cannot be used is a fault of the environment, told by the first check.
    pub(crate) fn pinned_by(mut self, file: &Path) -> Self {
        self.fault = match read(file) {
            Ok(None) => None,
            Ok(Some(pins)) => self.pin(pins).err(),
            Err(error) => Some(error),
        };
        self
    }

    fn pin(&mut self, pins: Map<String, Value>) -> Result<()> {
        for (name, value) in pins {
            match value {
                Value::String(value) => self.pin_value(name, value)?,
                Value::Null => self.forbid(&name)?,
                _ => return Err(bad(&name, "must be text, or null where it must not be set")),
            }
        }
        Ok(())
    }

    fn pin_value(&mut self, name: String, value: String) -> Result<()> {
        if !variables::can_be_pinned(&name) {
            return Err(bad(&name, "is no variable that can be pinned to a value"));
        }
        if value.trim().is_empty() {
            return Err(bad(&name, "is empty"));
        }
        let differs = self.get(&name).is_some_and(|set| set != value);
        if differs || self.unreadable.contains(&name) {
            return Err(bad(&name, "is pinned, and the environment sets it to something else"));
        }
        self.values.insert(name.clone(), value);
        self.pinned.insert(name);
        Ok(())
    }

    fn forbid(&self, name: &str) -> Result<()> {
        let is_meant = |set: &str| match name.strip_suffix('*') {
            Some(beginning) => set.starts_with(beginning),
            None => set == name,
        };
        // A misspelt name forbids nothing, and anyone who wrote it would not know.
        if !variables::can_be_forbidden(is_meant) {
            return Err(bad(name, "is no variable that this program, AWS's SDK or libpq reads"));
        }
        // Without it everything is allowed: nobody means that by a pin.
        if let Some(pin) = variables::protecting().find(|pin| is_meant(pin)) {
            return Err(bad(pin, "is null, which would take away what it protects: give it a value"));
        }
        let values = self.values.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name);
        match values.chain(&self.unreadable).find(|set| is_meant(set)) {
            Some(set) => Err(bad(set, "must not be set")),
            None => Ok(()),
        }
    }
}

fn bad(name: &str, reason: &str) -> Error {
    let error = Error::field(Code::BadEvent, name, format!("{reason} ({FILE} in the image)"));
    error.advise("Leave the variable to the image, or have an image made with other pins.")
}

/// What is there in the way to a file that cannot be found: a link to nothing, or what is no folder. `None`: there is no such
/// path at all.
fn obstacle(file: &Path) -> Option<std::path::Display<'_>> {
    let there = file.ancestors().find(|path| std::fs::symlink_metadata(path).is_ok())?;
    let is_fine = there != file && there.is_dir();
    (!is_fine).then(|| there.display())
}

fn read(file: &Path) -> Result<Option<Map<String, Value>>> {
    let refused = |reason: &dyn std::fmt::Display| {
        let error = Error::new(Code::BadEvent, format!("{FILE}: {reason}"));
        error.advise("Have an image made whose pins can be read, or one without that path.")
    };
    let mut text = String::new();
    let opened = match std::fs::File::open(file) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return match obstacle(file) {
                None => Ok(None),
                Some(obstacle) => Err(refused(&format_args!("{obstacle} leads nowhere ({error})"))),
            };
        }
        opened => opened.map_err(|error| refused(&error))?,
    };
    let mut limited = opened.take(MAX_BYTES as u64 + 1);
    limited.read_to_string(&mut text).map_err(|error| refused(&error))?;
    if text.len() > MAX_BYTES {
        return Err(refused(&format_args!("over {MAX_BYTES} bytes")));
    }
    let mut json = serde_json::Deserializer::from_str(&text);
    let value = UniqueNames.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    match value.map_err(|error| {
        refused(&format_args!(
            "line {}, column {}: not JSON with each name once",
            error.line(),
            error.column()
        ))
    })? {
        Value::Object(pins) => Ok(Some(pins)),
        _ => Err(refused(&"must be a JSON object")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pins: &str, environment: &[(&str, &str)]) -> Env {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pins.json");
        std::fs::write(&file, pins).unwrap();
        environment.iter().copied().collect::<Env>().pinned_by(&file)
    }

    #[test]
    fn a_pin_is_a_value_that_the_environment_may_repeat_and_not_change() {
        let pins = r#"{"S3_BUCKET": "acme", "PGSEAL_EVENT_FIELDS": "action", "AWS_ENDPOINT_URL*": null, "AWS_CA_BUNDLE": null}"#;
        for environment in [&[] as &[_], &[("S3_BUCKET", "acme")], &[("S3_BUCKET", ""), ("AWS_CA_BUNDLE", "")]] {
            let env = with(pins, environment);
            variables::check(&env).unwrap();
            assert_eq!(env.get("S3_BUCKET"), Some("acme"));
            assert!(env.is_pinned("S3_BUCKET") && !env.is_pinned("S3_PREFIX"));
        }
        for (name, value) in [
            ("S3_BUCKET", "mallory"),
            ("PGSEAL_EVENT_FIELDS", "action,bucket"),
            ("AWS_ENDPOINT_URL", "http://mallory"),
            ("AWS_ENDPOINT_URL_STS", "x"),
        ] {
            let error = variables::check(&with(pins, &[(name, value)])).unwrap_err();
            assert_eq!((error.code, error.field.as_deref()), (Code::BadEvent, Some(name)), "{error}");
            assert!(error.message.contains(FILE) && !error.message.contains(value), "{error}");
        }
    }

    /// It forbade a name that nobody reads, and the variable that was meant stayed open.
    #[test]
    fn a_null_that_protects_nothing_is_refused_and_named() {
        for (pins, name) in [
            (r#"{"AWS_ENPOINT_URL*": null}"#, "AWS_ENPOINT_URL*"),
            (r#"{"S3_BUCKTE": null}"#, "S3_BUCKTE"),
            (r#"{"aws_ca_bundle": null}"#, "aws_ca_bundle"),
            (r#"{"PGSEAL_ALLOWED_FINGERPRINTS": null}"#, "PGSEAL_ALLOWED_FINGERPRINTS"),
            (r#"{"S3_BUCKET_OWNER": null}"#, "S3_BUCKET_OWNER"),
            (r#"{"PG*": null}"#, "PGSEAL_EVENT_FIELDS"),
            (r#"{"": null}"#, ""),
        ] {
            let error = variables::check(&with(pins, &[])).unwrap_err();
            assert_eq!((error.code, error.field.as_deref()), (Code::BadEvent, Some(name)), "{error}");
        }
        for fine in [
            "AWS_ENDPOINT_URL*",
            "AWS_ENDPOINT_URL_STS",
            "https_proxy",
            "SSL_CERT_FILE",
            "PGPASSWORD",
            "BACKUP_EVENT",
        ] {
            variables::check(&with(&format!("{{\"{fine}\": null}}"), &[])).unwrap();
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_is_refused_and_a_missing_one_is_none() {
        for pins in [
            "",
            "[]",
            "{",
            r#"{"S3_BUCKET": 1}"#,
            r#"{"S3_BUCKET": " "}"#,
            r#"{"S3_BUCKET": "a", "S3_BUCKET": "b"}"#,
            r#"{"S3_BUCKTE": "acme"}"#,
            r#"{"PATH": "/bin"}"#,
            r#"{"BACKUP_EVENT": "{}"}"#,
            r#"{"PGPASSWORD": "secret"}"#,
            r#"{"AWS_ENDPOINT_URL": "https://s3.example"}"#,
        ] {
            let error = variables::check(&with(pins, &[])).unwrap_err();
            assert!(error.code == Code::BadEvent && error.message.contains(FILE), "{pins}: {error}");
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        for link in ["dangling", "dangling_folder"] {
            std::os::unix::fs::symlink("/nowhere/at/all", folder.path().join(link)).unwrap();
        }
        for (file, fine) in [
            ("missing.json", true),
            ("missing/pins.json", true),
            ("", false),
            ("dangling", false),
            ("dangling_folder/pins.json", false),
            ("file/pins.json", false),
        ] {
            let env = Env::default().pinned_by(&folder.path().join(file));
            assert_eq!(variables::check(&env).is_ok(), fine, "{file}");
        }
    }
}
