//! What of a command line may be said again: a mistake there may be a secret in the wrong place.

use crate::envelope::key_text::is_private_key;
use crate::error::{Code, Error};
use crate::observe::output::is_hidden;

const LONGEST: usize = 128;
/// No word that a person mistypes is longer without a dot, a slash or a dash: a key or token is.
const LONGEST_TOKEN: usize = 40;

/// In front of a password: in a connection string, and in JSON.
const PASSWORDS: [&str; 3] = ["password=", "passwd=", "password\":"];

/// Whether a word may be shown: not if it could be an event, a key, a token, or a connection string with a password.
pub(super) fn may_be_shown(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let is_token = |part: &str| {
        part.len() > LONGEST_TOKEN
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_'))
    };
    let has_login = lower.split_once("://").is_some_and(|(_, rest)| rest.contains('@'));
    word.len() <= LONGEST
        && !word.chars().any(char::is_control)
        && !word.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '['])
        && !lower.contains("-----begin")
        && !["password", "passphrase=", "secret", "token="]
            .iter()
            .any(|sign| lower.contains(sign))
        && !has_login
        && !is_token(word)
}

/// Arguments, and values of options, that hold a login: a connection string or a URL with a password.
pub fn with_logins(words: &[String]) -> Vec<String> {
    let has_login = |word: &&str| {
        let decoded = percent_encoding::percent_decode_str(word).decode_utf8_lossy().to_ascii_lowercase();
        let joined: String = decoded.chars().filter(|c| !c.is_whitespace() && !is_hidden(*c)).collect();
        // In front of the host: of a URL, with or without its scheme. The keys of S3 have an @, too, behind the bucket.
        let in_front = match joined.strip_prefix("s3://") {
            Some(place) => place.split('/').next().map(|bucket| format!("s3://{bucket}")).unwrap_or_default(),
            None => joined.clone(),
        };
        let before_host = in_front.split_once('@').map(|(before, _)| before);
        let is_url = in_front.contains("://") || in_front.starts_with("//") || before_host.is_some_and(|before| before.contains(':'));
        let is_said = PASSWORDS.iter().any(|sign| joined.contains(sign));
        (before_host.is_some() && is_url) || is_said
    };
    let value = |word: &'_ String| option_value(word).to_owned();
    let values = words.iter().skip(1).map(value).collect::<Vec<_>>();
    let is_event = |word: &&str| word.starts_with(['{', '[']) && !PASSWORDS[2..].iter().any(|sign| word.contains(sign));
    let found = values.iter().map(String::as_str).filter(|word| !is_event(word) && has_login(word));
    // As others write it who leave out what a terminal would not show.
    let shown = |word: &str| word.chars().filter(|c| !c.is_control()).collect::<String>();
    let mut all: Vec<String> = found.flat_map(|word| [word.to_owned(), shown(word)]).collect();
    all.dedup();
    all
}

/// What stands behind `--option=`, or the word itself.
fn option_value(word: &str) -> &str {
    let option = word.strip_prefix("--").and_then(|option| option.split_once('='));
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    option.filter(|(name, _)| is_name(name)).map_or(word, |(_, value)| value)
}

/// A private key as an argument: others on the machine can read it there, and so can the history of the shell. Nothing of it is
/// said, whatever the option is. An event is refused by its own rules, which name the field.
pub fn refuse_private_keys(words: &[String]) -> Option<Error> {
    let value = |word: &str| option_value(word).trim_start_matches('\u{feff}').trim().to_owned();
    let mut held = words.iter().skip(1).map(|word| value(word));
    let is_key = |value: String| !value.starts_with(['{', '[']) && is_private_key(&value);
    held.any(is_key).then(|| {
        Error::new(Code::PrivateKeyGiven, "the command line holds a private key; it was not used").advise(
            "Name the file that holds it. Others on this machine can read a command line: if they may have, treat the key as leaked.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        for word in [
            "ev.json",
            "chekc",
            "--limt",
            "s3://bucket/backups",
            "~/keys/private_key.pem",
            "app_20261124T020000Z",
        ] {
            assert!(may_be_shown(word), "{word}");
        }
        for word in [
            "postgresql://u:hunter2@h/db",
            "password=hunter2",
            "s3://demo:hunter2@bucket/backups",
            r#"{"database":"x"}"#,
            "-----BEGIN PRIVATE KEY-----",
            "a\nb",
            "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ",
        ] {
            assert!(!may_be_shown(word), "{word}");
        }
    }

    #[test]
    fn an_argument_with_a_login_is_known() {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        for (line, expected) in [
            (
                &["pgseal", "restore", "x", "--to", "host=h password=p dbname=d"][..],
                &["host=h password=p dbname=d"][..],
            ),
            (&["pgseal", "restore", "--to=postgresql://u:p@h/d"], &["postgresql://u:p@h/d"]),
            (&["pgseal", "verify", "x", "--key", "postgres://u:p@h/d"], &["postgres://u:p@h/d"]),
            (
                &["pgseal", "verify", "x", "--key", "host=h password  =  p"],
                &["host=h password  =  p"],
            ),
            (
                &["pgseal", "verify", "x", "--key", "postgresql://h/d?pass%77ord=p"],
                &["postgresql://h/d?pass%77ord=p"],
            ),
            (
                &["pgseal", "verify", "postgresql://TOKEN@h/d", "u:pw@h/d"],
                &["postgresql://TOKEN@h/d", "u:pw@h/d"],
            ),
            (&["pgseal", "list", "s3://bucket/a@b/latest:app", "arn:aws:s3:::x"], &[]),
            (&["pgseal", "backup", "--event", r#"{"x": "password="}"#], &[]),
            (&["pgseal", "list", "s3://bucket/backups", "--key", "password.txt"], &[]),
            (&["pgseal", "verify", "x", "--key", "s3://u:pw@bucket/x"], &["s3://u:pw@bucket/x"]),
            (
                &["pgseal", "verify", "x", "--key", r#"{"password":"hunter2"}"#],
                &[r#"{"password":"hunter2"}"#],
            ),
            (
                &["pgseal", "restore", "--workers", "postgresql://u:p@h\u{1}"],
                &["postgresql://u:p@h\u{1}", "postgresql://u:p@h"],
            ),
        ] {
            assert_eq!(with_logins(&words(line)), words(expected), "{line:?}");
        }
    }

    #[test]
    fn a_private_key_is_refused_in_whatever_option_it_stands() {
        let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ\n-----END PRIVATE KEY-----\n";
        let refused = |words: &[&str]| {
            let words: Vec<String> = std::iter::once(&"pgseal").chain(words).map(|word| (*word).to_owned()).collect();
            refuse_private_keys(&words)
        };
        for words in [
            &["verify", "x", "--key", key][..],
            &["verify", "x", &format!("--signer={key}")],
            &["drill", "x", "--report", &format!(" {key}")],
            &[key],
        ] {
            let error = refused(words).expect("refused");
            assert!(error.code == Code::PrivateKeyGiven && !error.to_string().contains("MII"), "{error}");
        }
        assert!(refused(&["verify", "x", "--key", "private_key.pem"]).is_none());
        assert!(refused(&["backup", "--event", &format!("{{\"public_key\": {key:?}}}")]).is_none());
    }
}
