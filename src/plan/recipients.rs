//! Who may open a backup: what an event asks for, within what the environment allows.

use super::deployment;
use crate::envelope::key_text::is_private_key;
use crate::envelope::recipient::{MAX_RECIPIENTS, Recipient};
use crate::error::{Code, Error, Result};
use crate::event::EventFields;
use crate::variables::Env;

/// What the variable begins with where it names Parameter Store.
const STORE: &str = "ssm:";

/// Where the public keys are in Parameter Store, if the variable says so.
pub(crate) fn parameter_path(env: &Env) -> Option<&str> {
    env.get("OPENSSL_PUBLIC_KEY")?.trim().strip_prefix(STORE)
}

/// Anyone who may write a parameter could make themselves a recipient: the fingerprints say whose keys may be there. What the
/// image says of the path it must say of them, too, or a variable of the task would say it.
fn must_be_pinned(path: &str, env: &Env) -> Result<()> {
    const FINGERPRINTS: &str = "PGSEAL_ALLOWED_FINGERPRINTS";
    let refused = |reason: &str| Error::field(Code::BadEvent, "public_key", format!("(OPENSSL_PUBLIC_KEY) {reason}"));
    if !path.starts_with('/') || path.chars().any(char::is_whitespace) {
        return Err(refused("must name a path in Parameter Store as ssm:/path"));
    }
    if env.get(FINGERPRINTS).is_none() {
        return Err(refused(
            "names Parameter Store: set PGSEAL_ALLOWED_FINGERPRINTS to the fingerprints of the keys that may be there",
        ));
    }
    if env.is_pinned("OPENSSL_PUBLIC_KEY") && !env.is_pinned(FINGERPRINTS) {
        return Err(refused(
            "is pinned by the image and names Parameter Store: the image must pin PGSEAL_ALLOWED_FINGERPRINTS, too",
        ));
    }
    Ok(())
}

fn stored(env: &Env) -> Result<Vec<String>> {
    let unread = || {
        let error = Error::field(
            Code::BadEvent,
            "public_key",
            "(OPENSSL_PUBLIC_KEY) names Parameter Store, which this command does not read",
        );
        error.advise("Set OPENSSL_PUBLIC_KEY to one of the keys themselves for it.")
    };
    env.stored_keys().map(<[String]>::to_vec).ok_or_else(unread)
}

/// Those of the event, as far as the environment allows them.
pub(super) fn recipients(asked: &EventFields<'_>, env: &Env) -> Result<Vec<Recipient>> {
    let variable = env.get("OPENSSL_PUBLIC_KEY");
    if variable.is_some_and(is_private_key) {
        return Err(Error::field(
            Code::PrivateKeyGiven,
            "public_key",
            "(OPENSSL_PUBLIC_KEY) holds a private key; it was not used",
        ));
    }
    // A variable that a template leaves empty would be a pin that pins nothing.
    if variable.is_none() && env.is_set("OPENSSL_PUBLIC_KEY") && (asked.in_event("public_key") || asked.in_defaults("public_key")) {
        return Err(Error::field(
            Code::BadEvent,
            "public_key",
            "(OPENSSL_PUBLIC_KEY) is set and empty: name the recipients that an event may choose among, or do not set it",
        ));
    }
    let path = parameter_path(env);
    path.map(|path| must_be_pinned(path, env)).transpose()?;
    let of_variable = match (variable, path) {
        (None, _) => None,
        // Of no use to an event that has its own.
        (_, Some(_)) if asked.in_event("public_key") || asked.in_defaults("public_key") => None,
        (_, Some(_)) => Some(parsed(&stored(env)?)?),
        (Some(variable), None) => Some(parsed(&key_texts(variable)?)?),
    };
    let of_defaults = asked.of_defaults().texts("public_key")?.map(|texts| parsed(&texts)).transpose()?;
    let mut chosen = if asked.in_event("public_key") {
        parsed(&asked.texts("public_key")?.unwrap_or_default())?
    } else {
        of_defaults.clone().or_else(|| of_variable.clone()).unwrap_or_default()
    };
    let allows = deployment::may_allow_keys(env, of_defaults.is_some());
    // What is in Parameter Store is held against the fingerprints itself.
    let of_variable = of_variable.filter(|_| path.is_none() && allows("OPENSSL_PUBLIC_KEY"));
    let of_defaults = of_defaults.filter(|_| allows(deployment::EVENT_DEFAULTS));
    let of_environment: Vec<Recipient> = of_variable.into_iter().chain(of_defaults).flatten().collect();
    let pins = env
        .get("PGSEAL_ALLOWED_FINGERPRINTS")
        .filter(|_| allows("PGSEAL_ALLOWED_FINGERPRINTS"));
    let pins = pins.map(fingerprints).transpose()?;
    // Where the environment says anything of recipients, what is not among those is refused: also where none is left.
    if pins.is_some() || !of_environment.is_empty() || variable.is_some() {
        let pinned = |recipient: &Recipient| pins.as_ref().is_some_and(|pins| pins.contains(&recipient.fingerprint));
        let allowed = |recipient: &Recipient| pinned(recipient) || of_environment.contains(recipient);
        if let Some(stranger) = chosen.iter().find(|recipient| !allowed(recipient)) {
            let message = format!(
                "has a recipient that the environment does not allow (fingerprint {})",
                stranger.fingerprint
            );
            return Err(Error::field(Code::KeyNotAllowed, "public_key", message));
        }
    }
    let mut seen = std::collections::HashSet::new();
    chosen.retain(|recipient| seen.insert(recipient.fingerprint.clone()));
    match chosen.len() {
        0 => Err(Error::field(
            Code::NoPublicKey,
            "public_key",
            "is missing: set it in the event, or OPENSSL_PUBLIC_KEY in the environment",
        )),
        1..=MAX_RECIPIENTS => Ok(chosen),
        _ => Err(Error::field(
            Code::BadPublicKey,
            "public_key",
            format!("has over {MAX_RECIPIENTS} recipients"),
        )),
    }
}

fn parsed(texts: &[String]) -> Result<Vec<Recipient>> {
    if texts.iter().all(|text| text.trim().is_empty()) {
        return Err(Error::field(Code::NoPublicKey, "public_key", "is empty"));
    }
    let one = |(at, text): (usize, &String)| Recipient::parse(text).map_err(|error| of_several(error, at + 1, texts.len()));
    texts.iter().enumerate().map(one).collect()
}

/// Which of them it is.
fn of_several(mut error: Error, number: usize, count: usize) -> Error {
    if count > 1
        && let Some(reason) = error.message.strip_prefix("`public_key` ")
    {
        error.message = format!("`public_key` number {number} of {count} {reason}");
    }
    error
}

/// A variable holds one key, or a JSON list of keys.
fn key_texts(text: &str) -> Result<Vec<String>> {
    if !text.trim_start().starts_with('[') {
        return Ok(vec![text.to_owned()]);
    }
    serde_json::from_str(text)
        .map_err(|_| Error::field(Code::BadPublicKey, "public_key", "(OPENSSL_PUBLIC_KEY) is not a JSON list of texts"))
}

fn fingerprints(list: &str) -> Result<Vec<String>> {
    let one = |text: &str| {
        let text = text.trim().replace(':', "").to_ascii_lowercase();
        let fits = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let refused = || {
            Error::new(
                Code::BadEvent,
                "PGSEAL_ALLOWED_FINGERPRINTS must be SHA-256 fingerprints (64 hex digits) separated by commas",
            )
        };
        fits.then_some(text).ok_or_else(refused)
    };
    list.split(',').filter(|entry| !entry.trim().is_empty()).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_recipients_the_wrong_one_is_named() {
        let texts = |texts: &[&str]| parsed(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        let event: serde_json::Value = serde_json::from_str(include_str!("../../events/accepted/minimal.json")).unwrap();
        let good = event["public_key"].as_str().unwrap();
        let error = texts(&[good, "nothing"]).unwrap_err();
        assert!(error.message.starts_with("`public_key` number 2 of 2 is neither"), "{error}");
        let path = texts(&["keys/public_key.pem"]).unwrap_err();
        assert!(path.message.contains("name of a file") && !path.message.contains("keys/"), "{path}");
        assert!(texts(&["nothing"]).unwrap_err().message.starts_with("`public_key` is neither"));
    }
}
