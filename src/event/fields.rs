//! One field at a time, of the right type, from wherever it is given first.

use super::Event;
use crate::error::{Code, Error, Result};
use crate::variables::{self, Env};
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// What is asked for: a field of the event, else of the deployment's defaults, else the variables that
/// stand behind it, in the order of their table.
pub(crate) struct EventFields<'a> {
    event: Option<&'a Event>,
    defaults: Option<&'a Event>,
    env: Option<&'a Env>,
}

impl<'a> EventFields<'a> {
    pub(crate) fn new(event: &'a Event, defaults: &'a Event, env: &'a Env) -> Self {
        Self {
            event: Some(event),
            defaults: Some(defaults),
            env: Some(env),
        }
    }

    pub(crate) fn in_event(&self, field: &str) -> bool {
        self.event.is_some_and(|event| event.fields.contains_key(field))
    }

    pub(crate) fn in_defaults(&self, field: &str) -> bool {
        self.defaults.is_some_and(|defaults| defaults.fields.contains_key(field))
    }

    /// Without what ranks below the first that names one of these fields, which exclude each other: what is named there is
    /// not contradicted by another below.
    pub(crate) fn of_one_rank(&self, fields: &[&str]) -> Self {
        let in_event = fields.iter().any(|field| self.in_event(field));
        let in_defaults = fields.iter().any(|field| self.in_defaults(field));
        Self {
            event: self.event,
            defaults: self.defaults.filter(|_| !in_event),
            env: self.env.filter(|_| !in_event && !in_defaults),
        }
    }

    /// The defaults alone.
    pub(crate) fn of_defaults(&self) -> Self {
        Self {
            event: None,
            defaults: self.defaults,
            env: None,
        }
    }

    fn value(&self, field: &str) -> Option<&'a Value> {
        debug_assert!(super::FIELDS.contains(&field), "{field} is not in the table of src/event.rs");
        let of = |event: Option<&'a Event>| event.and_then(|event| event.fields.get(field));
        of(self.event).or_else(|| of(self.defaults))
    }

    fn variable(&self, field: &str) -> Option<&'a str> {
        variables::of_field(field).find_map(|name| self.env?.get(name))
    }

    /// A text. An empty one in the event is kept: whether that has a meaning is the field's own rule.
    pub(crate) fn text(&self, field: &str) -> Result<Option<String>> {
        match self.value(field) {
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong_type(field, "text in double quotes")),
            None => Ok(self.variable(field).map(str::to_owned)),
        }
    }

    /// A text, or a JSON number taken as one.
    pub(crate) fn text_or_number(&self, field: &str) -> Result<Option<String>> {
        match self.value(field) {
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            _ => self.text(field),
        }
    }

    /// A text that must be there and not be empty.
    pub(crate) fn required(&self, field: &str) -> Result<String> {
        match self.text(field)? {
            Some(text) if text.is_empty() => Err(Error::field(Code::BadEvent, field, "must not be empty")),
            Some(text) => Ok(text),
            None => Err(missing(&[field])),
        }
    }

    /// One text or a list of texts.
    pub(crate) fn texts(&self, field: &str) -> Result<Option<Vec<String>>> {
        match self.value(field) {
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
            None => Ok(self.variable(field).map(|text| vec![text.to_owned()])),
        }
    }

    /// A whole number, as JSON number or as text (variables are text, and so are many templates' numbers).
    pub(crate) fn number(&self, field: &str, range: RangeInclusive<u64>) -> Result<Option<u64>> {
        let number = match self.value(field) {
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
            None => match self.variable(field) {
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

    pub(crate) fn flag(&self, field: &str) -> Result<bool> {
        match self.value(field) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(wrong_type(field, "true or false")),
        }
    }

    /// The items of a list; `None` of anything else.
    pub(crate) fn list(&self, field: &str) -> Option<&'a [Value]> {
        self.value(field)?.as_array().map(Vec::as_slice)
    }

    /// An object, where a text is possible as well.
    pub(crate) fn members(&self, field: &str) -> Option<&'a Map<String, Value>> {
        self.value(field).and_then(Value::as_object)
    }

    pub(crate) fn object(&self, field: &str) -> Result<Option<&'a Map<String, Value>>> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(wrong_type(field, "a JSON object")),
        }
    }
}

/// None of these fields is given, of which one is needed: the first is named.
pub(crate) fn missing(fields: &[&str]) -> Error {
    let variables: Vec<&str> = fields.iter().flat_map(|field| variables::of_field(field)).collect();
    let message = match variables.as_slice() {
        [] => "is missing: set it in the event".to_owned(),
        names => format!("is missing: set it in the event, or {} in the environment", names.join(" or ")),
    };
    Error::field(Code::BadEvent, fields.first().unwrap_or(&""), message)
}

fn wrong_type(field: &str, wanted: &str) -> Error {
    Error::field(Code::BadEvent, field, format!("must be {wanted}"))
}
