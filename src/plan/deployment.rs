//! What anyone who deploys says about events: which fields they may set, and what stands where they set none.

use crate::error::{Code, Error, Result};
use crate::event::{Event, FIELDS, unknown_field};
use crate::variables::{self, VariableKind};
use crate::variables::{Env, pins};

const EVENT_FIELDS: &str = "PGSEAL_EVENT_FIELDS";
pub(crate) const EVENT_DEFAULTS: &str = "PGSEAL_EVENT_DEFAULTS";

/// The deployment's defaults: fields as an event has them, ranking below the event and above the single variables.
pub(crate) fn defaults(env: &Env) -> Result<Event> {
    let Some(text) = env.get(EVENT_DEFAULTS) else {
        return Ok(Event::default());
    };
    let named = |error: &mut Error| {
        error.message = match &error.field {
            Some(_) => format!("{EVENT_DEFAULTS}: {}", error.message),
            None => error.message.replacen("the event", EVENT_DEFAULTS, 1),
        };
    };
    let defaults = Event::parse(text).and_then(|event| event.unknown_fields().map(|()| event));
    defaults.map_err(|mut error| {
        named(&mut error);
        error.also.iter_mut().for_each(named);
        error
    })
}

/// Refuses an event with a field that the deployment keeps for itself.
pub(crate) fn admit(event: &Event, env: &Env) -> Result<()> {
    let Some(list) = env.get(EVENT_FIELDS) else { return Ok(()) };
    let allowed: Vec<&str> = list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if let Some(unknown) = allowed.iter().find(|name| !FIELDS.contains(name)) {
        let mut error = unknown_field(unknown);
        error.message = format!("{EVENT_FIELDS}: {}", error.message);
        return Err(error);
    }
    match event.fields().find(|field| !allowed.contains(field)) {
        Some(field) => Err(Error::field(
            Code::BadEvent,
            field,
            format!(
                "is not among the fields that {EVENT_FIELDS} lets an event set: {}",
                allowed.join(", ")
            ),
        )),
        None => Ok(()),
    }
}

/// Refuses whatever would rank above a variable that the image pins: its field in the event or in the defaults, and another
/// variable of the field that comes first. Keys may still be chosen: [`may_allow_keys`].
pub(crate) fn keep_pins(event: &Event, defaults: &Event, env: &Env) -> Result<()> {
    for (at, (variable, kind)) in variables::ALL.iter().enumerate() {
        let VariableKind::Field(field) = kind else { continue };
        if !env.is_pinned(variable) || *field == "public_key" {
            continue;
        }
        // Each says which server, and the higher rank counts.
        let names: &[&str] = match *field {
            "host" | "instance" => &["host", "instance"],
            _ => &[field],
        };
        if let Some(given) = event.fields().chain(defaults.fields()).find(|name| names.contains(name)) {
            let reason = format!("cannot be set: {} in the image pins {variable}", pins::FILE);
            return Err(Error::field(Code::BadEvent, given, reason));
        }
        let above = variables::ALL[..at]
            .iter()
            .find(|(name, other)| other == kind && env.get(name).is_some() && !env.is_pinned(name));
        if let Some((name, _)) = above {
            let reason = format!(
                "(an environment variable) cannot be set: {} in the image pins {variable}",
                pins::FILE
            );
            return Err(Error::field(Code::BadEvent, name, reason));
        }
    }
    Ok(())
}

/// Which variables say what keys there may be: all of them, unless the image says it with one; then its own alone.
pub(crate) fn may_allow_keys(env: &Env, in_defaults: bool) -> impl Fn(&str) -> bool {
    let says = ["OPENSSL_PUBLIC_KEY", "PGSEAL_ALLOWED_FINGERPRINTS"];
    let is_of_image = says.iter().any(|name| env.is_pinned(name)) || (in_defaults && env.is_pinned(EVENT_DEFAULTS));
    move |name| !is_of_image || env.is_pinned(name)
}

/// Names the defaults where a value of theirs, not of the event, cannot be used.
pub(crate) fn name_defaults(mut error: Error, event: &Event, defaults: &Event) -> Error {
    let has = |event: &Event| error.field.as_deref().is_some_and(|field| event.fields().any(|name| name == field));
    if has(event) || !has(defaults) || error.message.contains(EVENT_DEFAULTS) {
        return error;
    }
    error.message = format!("{} (given by {EVENT_DEFAULTS})", error.message);
    error
}
