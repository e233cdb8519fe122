//! Mistakes on the command line: clap's own words, with what it cannot know of our commands.

use super::Cli;
use super::shown::may_be_shown;
use crate::error::{Code, Error};
use crate::event::FIELDS;
use crate::format::ToJson;
use crate::handler::Response;
use crate::plan::Action;
use crate::receipt::{Receipt, Refusal};
use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// A mistake, as it is told on stderr and as the document that a program reads.
pub struct Misuse {
    pub text: String,
    pub error: Error,
    /// `Usage: …`, of a command line that was read.
    pub usage: String,
    /// For a program, in the command's own shape. None if a dump or a script would stand there.
    pub document: Option<String>,
}

/// Commands whose output is content.
const SILENT: &[&str] = &["decrypt", "rows", "completions", "man"];
/// How like a word an option must be to be meant (Jaro-Winkler).
const NEAR: f64 = 0.8;
const WITH_EVENT: &[&str] = &["backup", "check", "plan", "policy"];

impl Misuse {
    /// `None`: help was asked for, which is no mistake.
    pub fn new(usage: &clap::Error, words: &[String]) -> Option<Self> {
        if !usage.use_stderr() {
            return None;
        }
        let command = command_of(words);
        let mut text = usage.render().to_string();
        for (_, value) in usage.context() {
            if let ContextValue::String(word) = value
                && !may_be_shown(word)
            {
                text = text.replace(word.as_str(), "…");
            }
        }
        let (message, tips, usage_line) = taken_apart(&text);
        let mut hint = match (tips.is_empty(), command) {
            (false, _) => tips.join("; "),
            (true, "") => "Try `pgseal --help`.".to_owned(),
            (true, command) => format!("Try `pgseal help {command}`."),
        };
        if let (ErrorKind::UnknownArgument, Some(ContextValue::String(word))) = (usage.kind(), usage.get(ContextKind::InvalidArg)) {
            let shown = if may_be_shown(word) { word } else { "'{…}'" };
            if words.iter().any(|word| word.starts_with('{') && !word.ends_with('}')) {
                hint = "The shell has cut the event at its spaces: put all of it in single quotes.".to_owned();
            } else if let Some(field) = field_of(word).filter(|_| WITH_EVENT.contains(&command)) {
                hint = format!("`{field}` is a field of the event: set it there, or its variable (docs/REFERENCE.md).");
            } else if WITH_EVENT.contains(&command) && !word.starts_with('-') {
                hint = format!("An event is named with its option: pgseal {command} --event {shown}");
            } else if word == "--event" || word == "-e" {
                let command = if WITH_EVENT.contains(&command) { command } else { "backup" };
                hint = format!("An event goes to a command: pgseal {command} --event EVENT");
            }
        }
        let below: String = [hint.as_str(), usage_line]
            .iter()
            .filter(|line| !line.is_empty())
            .map(|line| format!("  {line}\n"))
            .collect();
        Some(Self::of_error(
            Error::new(Code::BadUsage, &message).advise(&hint),
            (format!("{message}\n{below}"), usage_line.to_owned()),
            command,
        ))
    }

    /// Of a command line that is not even read.
    pub fn refused(error: Error, words: &[String]) -> Self {
        let text = format!("{}\n  {}\n", error.message, error.hint());
        Self::of_error(error, (text, String::new()), command_of(words))
    }

    fn of_error(error: Error, (text, usage): (String, String), command: &str) -> Self {
        let document = match command {
            _ if SILENT.contains(&command) => None,
            "backup" => Some(Receipt::refused(error.clone()).to_json()),
            "check" => Some(Response::refused(Some(Action::Check), error.clone()).to_json()),
            "plan" => Some(Response::refused(Some(Action::Plan), error.clone()).to_json()),
            _ => Some(Refusal::new(error.clone()).to_json()),
        };
        Self {
            text,
            error,
            usage,
            document,
        }
    }
}

/// The field of an event that somebody gives as an option.
fn field_of(word: &str) -> Option<&'static str> {
    let name = word.strip_prefix("--")?.split('=').next()?.replace('-', "_");
    FIELDS.iter().copied().find(|field| *field == name)
}

/// Whether an option that clap suggests is not similar at all: `--bucket` is not nearly `--quiet`.
fn is_far(message: &str, tip: &str) -> bool {
    let quoted = |text: &str| text.split('\'').nth(1).map(|word| word.trim_start_matches('-').to_owned());
    match (tip.contains("similar"), quoted(message), quoted(tip)) {
        (true, Some(word), Some(similar)) => strsim::jaro_winkler(&word, &similar) < NEAR,
        _ => false,
    }
}

/// Clap's text as ours are: what is wrong in one line, what to do, and the usage.
fn taken_apart(text: &str) -> (String, Vec<&str>, &str) {
    let is_about_it = |line: &&str| !line.starts_with("Usage:") && !line.starts_with("For more information");
    let (mut message, mut tips) = (Vec::new(), Vec::new());
    for line in text.lines().take_while(is_about_it).map(str::trim).filter(|line| !line.is_empty()) {
        match line.strip_prefix("tip: ") {
            // How a word that begins with dashes is passed as a value helps nobody who mistyped an option.
            Some(tip) if tip.starts_with("to pass '-") || is_far(&message.join(" "), tip) => {}
            Some(tip) => tips.push(tip),
            None => message.push(line.trim_start_matches("error: ")),
        }
    }
    let usage = text.lines().find(|line| line.starts_with("Usage:")).unwrap_or_default();
    (message.join(" "), tips, usage)
}

/// The first word that is one, behind options of all commands and their values.
fn command_of(words: &[String]) -> &str {
    let commands: Vec<String> = Cli::command()
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    let is_value = |at: usize| at > 0 && ["--region", "--profile"].contains(&words[at - 1].as_str());
    let found = (1..words.len()).find(|at| !is_value(*at) && commands.contains(&words[*at]));
    found.map_or("", |at| words[at].as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    fn misuse(line: &[&str]) -> Misuse {
        let words: Vec<String> = std::iter::once("pgseal").chain(line.iter().copied()).map(str::to_owned).collect();
        let usage = Cli::try_parse_from(&words).err().expect("a mistake");
        Misuse::new(&usage, &words).expect("no help")
    }

    #[test]
    fn an_event_without_its_option_is_told_how_to_be_given() {
        for (line, tip) in [
            (&["check", "ev.json"][..], "pgseal check --event ev.json"),
            (&["backup", "-e", "ev.json"], "pgseal backup --event EVENT"),
            (&["--event", "ev.json"], "pgseal backup --event EVENT"),
        ] {
            let misuse = misuse(line);
            assert!(
                misuse.error.hint().contains(tip) && misuse.text.contains(tip),
                "{line:?}: {}",
                misuse.text
            );
        }
    }

    /// Clap's own paragraphs were a third form of errors.
    #[test]
    fn a_mistake_has_the_form_of_every_error() {
        for (line, message, hint) in [
            (&["list", "x", "--limt", "3"][..], "unexpected argument '--limt' found", "'--limit'"),
            (
                &["verify"],
                "the following required arguments were not provided: <BACKUP>",
                "pgseal help verify",
            ),
            (&["completions", "bsh"], "[possible values: bash", "'bash'"),
            (
                &["backup", "--event", "{database:", "app}"],
                "unexpected argument 'app}' found",
                "single quotes",
            ),
        ] {
            let misuse = misuse(line);
            assert!(
                misuse.error.message.contains(message) && !misuse.error.message.contains("error:"),
                "{line:?}: {}",
                misuse.error.message
            );
            assert!(misuse.error.hint().contains(hint), "{line:?}: {}", misuse.error.hint());
            let lines: Vec<&str> = misuse.text.lines().collect();
            assert!(
                (2..=3).contains(&lines.len()) && lines[1..].iter().all(|line| line.starts_with("  ")),
                "{}",
                misuse.text
            );
        }
    }

    #[test]
    fn no_event_is_printed_because_its_option_was_forgotten() {
        let misuse = misuse(&["backup", r#"{"public_key": "secret"}"#]);
        assert!(
            !misuse.text.contains("secret") && !misuse.error.to_string().contains("secret"),
            "{}",
            misuse.text
        );
    }

    #[test]
    fn a_dump_is_never_preceded_by_a_document_and_others_have_their_shape() {
        let document = |line: &[&str]| misuse(line).document;
        for line in [
            &["decrypt"][..],
            &["--region", "eu-west-1", "decrypt", "--bogus"],
            &["--profile", "x", "completions", "foo"],
        ] {
            assert_eq!(document(line), None, "{line:?}");
        }
        for (line, field) in [
            (&["verify"][..], "error"),
            (&["check", "--bogus"], "checks"),
            (&["--profile", "man", "backup", "--bogus"], "backups"),
            (&["plan", "x"], "items"),
        ] {
            let document: serde_json::Value = serde_json::from_str(&document(line).expect("a document")).expect("JSON");
            assert!(!document[field].is_null() && document["error"]["code"] == "bad_usage", "{document}");
        }
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_said_again() {
        for line in [
            &["restore", "x", "--key", "k", "postgresql://u:hunter2@h/db"][..],
            &["restore", "x", "--key", "k", "--to=host=h", "password=hunter2"],
            &["backup", "postgres://u:hunter2@h/db"],
            &[r#"{"password":"hunter2"}"#],
            &["list", "x", "--limit", r#"{"password":"hunter2"}"#],
        ] {
            let misuse = misuse(line);
            let said = format!("{}{:?}{}", misuse.text, misuse.document, misuse.error.hint());
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}
