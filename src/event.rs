//! What may be asked: the JSON as it was sent, and the environment behind it.
//!
//! This is the raw level: names are known, types are right, nothing is resolved. [`crate::plan`] does that.
//! No message from here holds a value of the event.

use crate::error::{Code, Error, Result};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

/// EventBridge and asynchronous Lambda calls end at 256 KiB; so do we, through every door.
pub const MAX_BYTES: usize = 256 * 1024;

/// Every field that an event may have, in the order of the documentation.
pub const FIELDS: &[&str] = &[
    "action",
    "database",
    "host",
    "instance",
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
    "lock_timeout",
    "storage_class",
    "kms_key_id",
    "tags",
    "object_lock",
    "bucket_owner",
    "scheduled_time",
];

/// The environment as it stood at the start. An empty variable counts as unset: that is how templates pass "none".
#[derive(Clone, Default)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// One event: a JSON object of known fields.
#[derive(Clone, Default)]
pub struct Event(Map<String, Value>);

impl Event {
    /// Reads an event, or an EventBridge envelope around one.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > MAX_BYTES {
            return Err(Error::new(
                Code::BadEvent,
                format!("the event has {} bytes; {MAX_BYTES} is the limit", text.len()),
            ));
        }
        if text.trim().is_empty() {
            return Err(Error::new(Code::BadEvent, "the event is empty; it must be a JSON object"));
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let value = Unique
            .deserialize(&mut json)
            .and_then(|value| json.end().map(|()| value))
            .map_err(not_json)?;
        Self::from_value(value)
    }

    fn from_value(value: Value) -> Result<Self> {
        if reads_private_key(&value) {
            return Err(Error::new(Code::PrivateKeyGiven, "the event holds a private key; it was not used"));
        }
        let Value::Object(mut object) = value else {
            return Err(Error::new(Code::BadEvent, "the event must be a JSON object"));
        };
        if object.contains_key("source") && object.contains_key("detail-type") {
            object = opened(object)?;
        }
        object.retain(|_, value| !value.is_null());
        match object.keys().find(|name| !FIELDS.contains(&name.as_str())) {
            Some(unknown) => Err(unknown_field(unknown)),
            None => Ok(Self(object)),
        }
    }
}

impl Event {
    /// The same order for one database alone. Its time is handed on only where it has one of its own: a stored event with a
    /// time that someone else fixed would make one backup and find it ever after.
    pub fn narrowed(&self, database: &str) -> Value {
        let mut fields = self.0.clone();
        fields.insert("action".into(), "backup".into());
        fields.insert("database".into(), database.into());
        Value::Object(fields)
    }
}

/// The event inside an EventBridge envelope; its time is the scheduled time unless the event names one.
fn opened(mut envelope: Map<String, Value>) -> Result<Map<String, Value>> {
    let Some(Value::Object(mut detail)) = envelope.remove("detail") else {
        return Err(Error::field(
            Code::BadEvent,
            "detail",
            "of the EventBridge envelope must be a JSON object: the event",
        ));
    };
    if let (Some(time), false) = (envelope.remove("time"), detail.contains_key("scheduled_time")) {
        detail.insert("scheduled_time".into(), time);
    }
    Ok(detail)
}

fn unknown_field(name: &str) -> Error {
    let likeness = |field: &str| strsim::jaro_winkler(field, &name.to_lowercase());
    let nearest = FIELDS.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    Error::field(
        Code::BadEvent,
        &shown,
        format!("is not a known field; did you mean `{}`?", nearest.unwrap_or(&"database")),
    )
}

/// serde_json's messages name line and column, and could quote a value: keep its kind and place only.
fn not_json(error: serde_json::Error) -> Error {
    let place = format!("line {}, column {}", error.line(), error.column());
    let said = error.to_string();
    match said.split_once("duplicate field ").and_then(|(_, rest)| rest.split('`').nth(1)) {
        Some(name) => Error::field(Code::BadEvent, name, format!("is given twice ({place})")),
        None if said.contains("recursion limit") => Error::new(Code::BadEvent, format!("the event is nested too deeply ({place})")),
        None => Error::new(Code::BadEvent, format!("the event is not JSON ({place})")),
    }
}

fn reads_private_key(value: &Value) -> bool {
    match value {
        Value::String(text) => crate::envelope::recipient::is_private_key(text),
        Value::Array(items) => items.iter().any(reads_private_key),
        Value::Object(fields) => {
            let named = |name: &String| crate::envelope::recipient::is_private_key(name);
            let json_web_key = fields.contains_key("kty") && fields.contains_key("d");
            json_web_key || fields.keys().any(named) || fields.values().any(reads_private_key)
        }
        _ => false,
    }
}

/// What is asked for: a field of the event, else the variables behind it, in order.
pub struct Asked<'a> {
    event: &'a Event,
    env: &'a Env,
}

impl<'a> Asked<'a> {
    pub fn new(event: &'a Event, env: &'a Env) -> Self {
        Self { event, env }
    }

    pub fn in_event(&self, field: &str) -> bool {
        self.event.0.contains_key(field)
    }

    fn variable(&self, variables: &[&str]) -> Option<&'a str> {
        variables.iter().find_map(|name| self.env.get(name))
    }

    /// A text. An empty one in the event is kept: whether that has a meaning is the field's own rule.
    pub fn text(&self, field: &str, variables: &[&str]) -> Result<Option<String>> {
        match self.event.0.get(field) {
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong_type(field, "text")),
            None => Ok(self.variable(variables).map(str::to_owned)),
        }
    }

    /// A text, or a JSON number taken as one.
    pub fn text_or_number(&self, field: &str, variables: &[&str]) -> Result<Option<String>> {
        match self.event.0.get(field) {
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            _ => self.text(field, variables),
        }
    }

    /// A text that must be there and not be empty.
    pub fn required(&self, field: &str, variables: &[&str]) -> Result<String> {
        match self.text(field, variables)? {
            Some(text) if text.is_empty() => Err(Error::field(Code::BadEvent, field, "must not be empty")),
            Some(text) => Ok(text),
            None => Err(missing(field, variables)),
        }
    }

    /// One text or a list of texts.
    pub fn texts(&self, field: &str, variables: &[&str]) -> Result<Option<Vec<String>>> {
        match self.event.0.get(field) {
            Some(Value::String(text)) => Ok(Some(vec![text.clone()])),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| {
                    item.as_str()
                        .map(str::to_owned)
                        .ok_or_else(|| wrong_type(field, "text or a list of texts"))
                })
                .collect::<Result<_>>()
                .map(Some),
            Some(_) => Err(wrong_type(field, "text or a list of texts")),
            None => Ok(self.variable(variables).map(|text| vec![text.to_owned()])),
        }
    }

    /// A whole number, as JSON number or as text (variables are text, and so are many templates' numbers).
    pub fn number(&self, field: &str, variables: &[&str], range: RangeInclusive<u64>) -> Result<Option<u64>> {
        let number = match self.event.0.get(field) {
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
            None => match self.variable(variables) {
                Some(text) => text.parse().ok(),
                None => return Ok(None),
            },
        };
        number.filter(|number| range.contains(number)).map(Some).ok_or_else(|| {
            Error::field(
                Code::BadEvent,
                field,
                format!("must be a whole number from {} to {}", range.start(), range.end()),
            )
        })
    }

    pub fn flag(&self, field: &str) -> Result<bool> {
        match self.event.0.get(field) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(wrong_type(field, "true or false")),
        }
    }

    pub fn object(&self, field: &str) -> Result<Option<&'a Map<String, Value>>> {
        match self.event.0.get(field) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(wrong_type(field, "a JSON object")),
        }
    }
}

pub fn missing(field: &str, variables: &[&str]) -> Error {
    let message = match variables {
        [] => "is missing: set it in the event".to_owned(),
        names => format!("is missing: set it in the event, or {} in the environment", names.join(" or ")),
    };
    Error::field(Code::BadEvent, field, message)
}

fn wrong_type(field: &str, wanted: &str) -> Error {
    Error::field(Code::BadEvent, field, format!("must be {wanted}"))
}

/// Reads JSON as [`Value`] does, but refuses a name that stands twice in one object: which one counts must not
/// depend on the reader.
struct Unique;

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Unique)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(serde::de::Error::custom(format_args!("duplicate field `{name}`")));
            }
            object.insert(name, entries.next_value_seed(Unique)?);
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Error {
        Event::parse(text).err().expect("refused")
    }

    #[test]
    fn an_unknown_field_names_the_nearest() {
        let error = refused(r#"{"databse": "app"}"#);
        assert_eq!(error.field.as_deref(), Some("databse"));
        assert!(error.message.contains("`database`"), "{error}");
    }

    #[test]
    fn no_value_is_echoed() {
        for text in [r#"{"database": hunter2}"#, r#"{"database": "hunter2"#, r#"["hunter2"]"#, "hunter2"] {
            assert!(!refused(text).to_string().contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_name_given_twice_is_refused() {
        assert_eq!(refused(r#"{"bucket": "a", "bucket": "b"}"#).field.as_deref(), Some("bucket"));
    }

    #[test]
    fn an_envelope_gives_its_time() {
        let event = Event::parse(r#"{"source": "me", "detail-type": "backup", "time": "2026-11-24T02:00:00Z", "detail": {"bucket": "b"}}"#)
            .unwrap();
        let env = Env::default();
        let asked = Asked::new(&event, &env);
        assert_eq!(asked.text("scheduled_time", &[]).unwrap().as_deref(), Some("2026-11-24T02:00:00Z"));
    }
}
