//! What whoever deploys says about events: which fields they may set, and what stands where they set none.

use crate::error::{Code, Error, Result};
use crate::event::{Env, Event, FIELDS, unknown_field};

const EVENT_FIELDS: &str = "PGSEAL_EVENT_FIELDS";
const EVENT_DEFAULTS: &str = "PGSEAL_EVENT_DEFAULTS";

/// The deployment's defaults: fields as an event has them, ranking below the event and above the single variables.
pub fn defaults(env: &Env) -> Result<Event> {
    let Some(text) = env.get(EVENT_DEFAULTS) else {
        return Ok(Event::default());
    };
    Event::parse(text).map_err(|mut error| {
        error.message = match &error.field {
            Some(_) => format!("{EVENT_DEFAULTS}: {}", error.message),
            None => error.message.replacen("the event", EVENT_DEFAULTS, 1),
        };
        error
    })
}

/// Refuses an event with a field that the deployment keeps for itself.
pub fn admit(event: &Event, env: &Env) -> Result<()> {
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

/// Names the defaults where a value of theirs, not of the event, cannot be used.
pub fn name_defaults(mut error: Error, event: &Event, defaults: &Event) -> Error {
    let has = |event: &Event| error.field.as_deref().is_some_and(|field| event.fields().any(|name| name == field));
    if has(event) || !has(defaults) || error.message.contains(EVENT_DEFAULTS) {
        return error;
    }
    error.message = format!("{} (given by {EVENT_DEFAULTS})", error.message);
    error
}
