//! `--event`: where it is read from.

use super::shown::may_be_shown;
use crate::cancel::Cancel;
use crate::envelope::key_text::is_private_key;
use crate::error::{Code, Error, Result};
use crate::event::{Event, MAX_BYTES};
use crate::variables::Env;
use clap::Args;
use std::io::Read;
use std::path::Path;

#[derive(Args)]
pub struct EventArgument {
    /// The event: inline JSON, a file, `-` for standard input, or s3://bucket/key
    #[arg(long, value_name = "EVENT", allow_hyphen_values = true)]
    pub event: Option<String>,
}

impl EventArgument {
    pub(super) async fn read(&self, env: &Env, cancel: &Cancel) -> Result<Event> {
        let unreadable = |what: &str, error: &dyn std::fmt::Display| not_an_event(&format!("{what} cannot be read: {error}"));
        match self.event.as_deref() {
            None => match env.get("BACKUP_EVENT") {
                Some(text) => Event::parse(text),
                None if describes_a_backup(env) => Ok(Event::default()),
                None => Err(not_an_event("no event is given")),
            },
            Some(text) if text.trim().is_empty() => Err(not_an_event("it is empty")),
            Some("-") => bounded(std::io::stdin())
                .map_err(|error| unreadable("standard input", &error))
                .and_then(|text| Event::parse(&text)),
            Some(text) if text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '[']) => Event::parse(text),
            Some(url) if url.starts_with("s3://") => Event::parse(&cancel.run_until_cancelled(from_s3(url, env)).await?),
            Some(path) => {
                let name = shown_path(path);
                let file = std::fs::File::open(Path::new(path)).map_err(|error| unreadable(&name, &error))?;
                let text = bounded(file).map_err(|error| unreadable(&name, &error))?;
                if text.trim_start().starts_with("-----BEGIN") && !is_private_key(&text) {
                    return Err(not_an_event(&format!("{name} holds a key or a certificate, and no event")));
                }
                Event::parse(&text).map_err(|mut error| {
                    if error.field.is_none() && error.code == Code::BadEvent {
                        error.message = format!("--event: {name}: {}", error.message);
                    }
                    error
                })
            }
        }
    }
}

fn not_an_event(reason: &str) -> Error {
    Error::new(Code::BadUsage, format!("--event: {reason}"))
        .advise("Give --event the event itself (JSON, in braces), the name of a file, `-` for standard input, or s3://bucket/key.")
}

/// Whether the variables alone name what is to be backed up.
pub(super) fn describes_a_backup(env: &Env) -> bool {
    let names = [
        "POSTGRES_DATABASE",
        "POSTGRES_HOST",
        "POSTGRES_INSTANCE",
        "S3_BUCKET",
        "PGSEAL_EVENT_DEFAULTS",
    ];
    names.iter().any(|name| env.get(name).is_some())
}

/// What was meant as a file's name may be anything.
fn shown_path(text: &str) -> String {
    match may_be_shown(text) {
        true => format!("the file {text}"),
        false => "the file".to_owned(),
    }
}

/// One byte more than an event may have is enough to refuse it.
fn bounded(source: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    source.take(MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

async fn from_s3(url: &str, env: &Env) -> Result<String> {
    let (bucket, key) = crate::store::split_url(url).unwrap_or_default();
    if bucket.is_empty() || key.is_empty() {
        return Err(not_an_event("the URL names no bucket or no key"));
    }
    crate::store::read_text(env, bucket, key, MAX_BYTES).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_event_that_cannot_be_read_is_named_with_what_is_possible() {
        let cancel = Cancel::new().unwrap();
        for (text, told) in [
            ("", "empty"),
            (" ", "empty"),
            ("/nowhere/event.json", "/nowhere/event.json"),
            ("s3://", "no bucket"),
        ] {
            let event = EventArgument {
                event: Some(text.to_owned()),
            };
            let error = event.read(&Env::default(), &cancel).await.err().unwrap();
            assert_eq!(error.code, Code::BadUsage, "{text}");
            assert!(error.message.contains(told), "{error}");
            assert!(error.hint().contains("standard input") && error.hint().contains("s3://"), "{text}");
        }
        assert_eq!(shown_path("-----BEGIN PRIVATE KEY-----"), "the file");
    }
}
