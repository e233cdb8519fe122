//! What may be asked: the JSON as it was sent, and the environment behind it.
//!
//! This is the raw level: names are known, types are right, nothing is resolved. [`crate::plan`] does that.
//! No message from here holds a value of the event.

mod fields;

pub(crate) use fields::{EventFields, missing};

use crate::error::{Code, Error, Faults, Result};
use crate::format::unique_names::UniqueNames;
use serde::de::DeserializeSeed;
use serde_json::{Map, Value};

/// EventBridge and asynchronous Lambda calls end at 256 KiB; so do we, at every entry point.
pub const MAX_BYTES: usize = 256 * 1024;

/// What an event is.
const AN_OBJECT: &str =
    "Give one JSON object, {…}, of the fields in docs/REFERENCE.md: names and texts in double quotes, no comma after the last field.";

/// The usual mistake of a shell.
const IN_QUOTES: &str = "Give one JSON object, {…}: names and texts in double quotes, no comma after the last field. In a shell put all \
                         of it in single quotes, or name a file.";

/// Every field that an event may have, in the order of the documentation.
pub(crate) const FIELDS: &[&str] = &[
    "action",
    "database",
    "exclude_databases",
    "host",
    "instance",
    "discover",
    "port",
    "user",
    "auth",
    "password_secret",
    "region",
    "bucket",
    "prefix",
    "bucket_region",
    "public_key",
    "rate_limit",
    "compression",
    "workers",
    "format",
    "tables",
    "exclude_tables",
    "exclude_table_data",
    "schemas",
    "exclude_schemas",
    "globals",
    "statistics",
    "lock_timeout",
    "lock_guard",
    "storage_class",
    "encryption",
    "kms_key_id",
    "acl",
    "tags",
    "object_lock",
    "retention",
    "timezone",
    "bucket_owner",
    "scheduled_time",
];

/// More unknown fields than are told: then it is no event.
const MAX_FAULTS: usize = 10;
/// How like a field an unknown name must be to be taken for it (Jaro-Winkler).
const NEAR: f64 = 0.8;

/// One event: a JSON object. Nothing is done for one with unknown fields: [`Event::unknown_fields`].
#[derive(Clone, Default)]
pub struct Event {
    fields: Map<String, Value>,
    unknown: Vec<String>,
    /// The scheduled time is an envelope's own: anyone who sent the event did not set it.
    has_time_of_envelope: bool,
}

impl Event {
    /// Reads an event, or an EventBridge envelope around one.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > MAX_BYTES {
            let message = format!("the event has {} bytes; {MAX_BYTES} is the limit", text.len());
            return Err(Error::new(Code::BadEvent, message).advise("Name fewer databases or tables, or use patterns."));
        }
        // What some editors put before a text: no part of JSON (RFC 8259, 8.1), and nothing that a person sees.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim().is_empty() {
            return Err(Error::new(Code::BadEvent, "the event is empty; it must be a JSON object").advise(AN_OBJECT));
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let value = UniqueNames
            .deserialize(&mut json)
            .and_then(|value| json.end().map(|()| value))
            .map_err(not_json)?;
        Self::from_value(value)
    }

    fn from_value(value: Value) -> Result<Self> {
        if reads_private_key(&value) {
            return Err(match field_with_private_key(&value) {
                Some(field) => Error::field(Code::PrivateKeyGiven, field, "holds a private key; it was not used"),
                None => Error::new(Code::PrivateKeyGiven, "the event holds a private key; it was not used"),
            });
        }
        let Value::Object(mut object) = value else {
            return Err(Error::new(Code::BadEvent, "the event must be a JSON object").advise(AN_OBJECT));
        };
        let mut has_time_of_envelope = false;
        if object.contains_key("source") && object.contains_key("detail-type") {
            (object, has_time_of_envelope) = opened(object)?;
        }
        object.retain(|_, value| !value.is_null());
        let (mut fields, unknown): (Map<_, _>, Map<_, _>) = object.into_iter().partition(|(name, _)| FIELDS.contains(&name.as_str()));
        let names = unknown.keys().take(MAX_FAULTS).cloned().collect();
        // So that the other faults are those that stay when the name is corrected, and not that the field meant is missing.
        for (name, value) in unknown {
            if let Some(meant) = nearest_field(&name) {
                fields.entry(meant).or_insert(value);
            }
        }
        Ok(Self {
            fields,
            unknown: names,
            has_time_of_envelope,
        })
    }

    /// Refuses an event with fields that are none. Apart from reading, so that they are told together with its other faults.
    pub(crate) fn unknown_fields(&self) -> Result<()> {
        let mut faults = Faults::default();
        for name in &self.unknown {
            faults.add(unknown_field(name));
        }
        faults.settle(Some(()))
    }
}

impl Event {
    /// The names of the fields that it sets; what an envelope says of itself is none of them.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        let is_set = |name: &&str| *name != "scheduled_time" || !self.has_time_of_envelope;
        self.fields.keys().map(String::as_str).filter(is_set)
    }

    /// A field's text as it stands, before anything is looked at.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.as_str()
    }

    /// The same order for one database alone. Its time is handed on only where it has one of its own: a stored event with a
    /// time that someone else fixed would make one backup and find it ever after.
    pub fn for_database(&self, database: &str) -> Value {
        let mut fields = self.fields.clone();
        fields.insert("action".into(), "backup".into());
        fields.insert("database".into(), database.into());
        fields.remove("exclude_databases");
        Value::Object(fields)
    }
}

impl Event {
    /// The same order for one of the servers that it means.
    pub(crate) fn for_server(&self, host: &str, port: u16) -> Self {
        let mut event = self.clone();
        event.fields.retain(|name, _| !matches!(name.as_str(), "discover" | "instance"));
        event.fields.insert("host".into(), host.into());
        event.fields.insert("port".into(), port.into());
        event
    }

    /// About every server and database: what is asked of a fleet names none.
    pub(crate) fn for_all(&self) -> Self {
        let mut event = self.clone();
        for (name, all) in [("discover", Value::Object(Map::new())), ("database", "*".into())] {
            event.fields.entry(name).or_insert(all);
        }
        event
    }
}

/// The event inside an EventBridge envelope; its time is the scheduled time unless the event names one, which is said, too.
fn opened(mut envelope: Map<String, Value>) -> Result<(Map<String, Value>, bool)> {
    let Some(Value::Object(mut detail)) = envelope.remove("detail") else {
        return Err(Error::field(
            Code::BadEvent,
            "detail",
            "of the EventBridge envelope must be a JSON object: the event",
        ));
    };
    let is_named = detail.get("scheduled_time").is_some_and(|time| !time.is_null());
    let time = envelope.remove("time").filter(|_| !is_named);
    let has_time = time.is_some();
    if let Some(time) = time {
        detail.insert("scheduled_time".into(), time);
    }
    Ok((detail, has_time))
}

/// The field that an unknown name is nearly.
fn nearest_field(name: &str) -> Option<&'static str> {
    let likeness = |field: &str| strsim::jaro_winkler(field, &name.to_lowercase());
    let nearest = FIELDS.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    nearest.copied().filter(|field| likeness(field) >= NEAR)
}

/// A name that is no field, with the nearest that is one.
pub(crate) fn unknown_field(name: &str) -> Error {
    let meant = nearest_field(name);
    let meant = meant.map(|field| format!("; did you mean `{field}`?")).unwrap_or_default();
    let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    Error::field(Code::BadEvent, &shown, format!("is not a known field{meant}"))
        .advise("Correct the field's name, or leave it out; docs/REFERENCE.md has a table of all fields.")
}

/// serde_json's messages name line and column, and could quote a value: keep its kind and place only.
fn not_json(error: serde_json::Error) -> Error {
    let place = format!("line {}, column {}", error.line(), error.column());
    let said = error.to_string();
    match said.split_once("duplicate field ").and_then(|(_, rest)| rest.split('`').nth(1)) {
        Some(name) => Error::field(Code::BadEvent, name, format!("is given twice ({place})")),
        None if said.contains("recursion limit") => {
            Error::new(Code::BadEvent, format!("the event is nested too deeply ({place})")).advise(AN_OBJECT)
        }
        None => Error::new(Code::BadEvent, format!("the event is not JSON ({place})")).advise(IN_QUOTES),
    }
}

fn reads_private_key(value: &Value) -> bool {
    match value {
        Value::String(text) => crate::envelope::key_text::is_private_key(text),
        Value::Array(items) => items.iter().any(reads_private_key),
        Value::Object(fields) => {
            let named = |name: &String| crate::envelope::key_text::is_private_key(name);
            let json_web_key = fields.contains_key("kty") && fields.contains_key("d");
            json_web_key || fields.keys().any(named) || fields.values().any(reads_private_key)
        }
        _ => false,
    }
}

/// The field, of the event or of one in an envelope. Any other name could be the key itself.
fn field_with_private_key(event: &Value) -> Option<&str> {
    let fields = event.as_object()?;
    let of_envelope = fields.get("detail").and_then(field_with_private_key);
    let is_it = |name: &&str| fields.get(*name).is_some_and(reads_private_key);
    of_envelope.or_else(|| FIELDS.iter().copied().find(is_it))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Error {
        let read = Event::parse(text).and_then(|event| event.unknown_fields());
        read.expect_err("refused")
    }

    #[test]
    fn an_unknown_field_names_the_nearest() {
        let error = refused(r#"{"databse": "app"}"#);
        assert_eq!(error.field.as_deref(), Some("databse"));
        assert!(error.message.contains("`database`"), "{error}");
    }

    /// Of three faults the first user learned of one at a time.
    #[test]
    fn the_other_faults_are_told_beside_an_unknown_field_and_not_that_what_it_means_is_missing() {
        let text = r#"{"databse": "app", "host": "db", "bukcet": "UPPER", "port": 0, "note": "x"}"#;
        let place = crate::plan::RuntimeLimits {
            now: time::OffsetDateTime::UNIX_EPOCH,
            cpus: 1,
            memory: None,
        };
        let outcome = crate::plan::Plan::resolve(&Event::parse(text).unwrap(), &crate::variables::Env::default(), place);
        let error = outcome.expect_err("refused");
        let fields = std::iter::once(&error)
            .chain(&error.also)
            .map(|error| error.field.as_deref().unwrap_or_default());
        let fields: Vec<&str> = fields.collect();
        for told in ["databse", "bukcet", "note", "port", "bucket", "user"] {
            assert!(fields.contains(&told), "{told}: {fields:?}");
        }
        assert!(!fields.contains(&"database"), "{fields:?}");
    }

    #[test]
    fn no_value_is_echoed() {
        for text in [r#"{"database": hunter2}"#, r#"{"database": "hunter2"#, r#"["hunter2"]"#, "hunter2"] {
            assert!(!refused(text).to_string().contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn the_field_with_a_private_key_is_named() {
        let key = "-----BEGIN PRIVATE KEY-----";
        for (event, field) in [
            (format!(r#"{{"public_key": ["x", "{key}"]}}"#), Some("public_key")),
            (
                format!(r#"{{"source": "me", "detail-type": "b", "detail": {{"tags": {{"a": "{key}"}}}}}}"#),
                Some("tags"),
            ),
            (format!(r#"{{"{key}": "{key}"}}"#), None),
            (format!(r#"["{key}"]"#), None),
        ] {
            let error = refused(&event);
            assert_eq!((error.code, error.field.as_deref()), (Code::PrivateKeyGiven, field), "{error}");
        }
    }

    #[test]
    fn an_event_that_is_not_json_is_not_advised_to_correct_a_field() {
        for text in ["", "{", "[]", "database=app", r#"{"database": "app",}"#] {
            assert!(refused(text).hint().starts_with("Give one JSON object"), "{text}");
        }
    }

    #[test]
    fn a_name_given_twice_is_refused() {
        assert_eq!(refused(r#"{"bucket": "a", "bucket": "b"}"#).field.as_deref(), Some("bucket"));
    }

    #[test]
    fn a_mark_that_an_editor_put_before_it_is_no_part_of_it() {
        let event = Event::parse("\u{feff}{\"database\": \"app\"}").unwrap();
        assert_eq!(event.fields().collect::<Vec<_>>(), ["database"]);
        assert!(Event::parse("\u{feff}").is_err());
    }

    #[test]
    fn an_envelope_gives_its_time() {
        let event = Event::parse(r#"{"source": "me", "detail-type": "backup", "time": "2026-11-24T02:00:00Z", "detail": {"bucket": "b"}}"#)
            .unwrap();
        let env = crate::variables::Env::default();
        let none = Event::default();
        let asked = EventFields::new(&event, &none, &env);
        assert_eq!(asked.text("scheduled_time").unwrap().as_deref(), Some("2026-11-24T02:00:00Z"));
    }
}
