//! Mistakes on the command line: clap's own words, with what it cannot know of our commands.

use crate::error::{Code, Error};
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// A mistake, as it is told on stderr and as the document that a program reads.
pub struct Misuse {
    pub text: String,
    pub error: Error,
    /// Nothing goes to stdout: a dump or a script would stand there.
    pub is_silent: bool,
}

/// Commands whose output is content.
const SILENT: &[&str] = &["decrypt", "completions", "man"];
const WITH_EVENT: &[&str] = &["backup", "check", "plan", "policy"];

impl Misuse {
    /// `None`: help was asked for, which is no mistake.
    pub fn new(usage: &clap::Error, words: &[String]) -> Option<Self> {
        if !usage.use_stderr() {
            return None;
        }
        let mut text = usage.render().to_string();
        let command = words.iter().skip(1).find(|word| !word.starts_with('-')).map_or("", String::as_str);
        let mut tip = String::from("Try `pgseal --help`, or `pgseal help COMMAND`.");
        if let (ErrorKind::UnknownArgument, Some(ContextValue::String(word))) = (usage.kind(), usage.get(ContextKind::InvalidArg)) {
            // What was meant as an event may hold anything.
            let is_shown = word.len() <= 128 && !word.trim_start().starts_with('{') && !word.contains("-----BEGIN");
            if !is_shown {
                text = text.replace(word.as_str(), "…");
            }
            let shown = if is_shown { word } else { "'{…}'" };
            if WITH_EVENT.contains(&command) && !word.starts_with('-') {
                tip = format!("An event is named with its option: pgseal {command} --event {shown}");
            } else if word == "--event" || word == "-e" {
                let command = if WITH_EVENT.contains(&command) { command } else { "backup" };
                tip = format!("An event goes to a command: pgseal {command} --event EVENT");
            }
            text.push_str(&format!("  {tip}\n"));
        }
        let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Some(Self {
            error: Error::new(Code::BadUsage, first).advise(tip),
            is_silent: SILENT.contains(&command),
            text,
        })
    }
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
    fn a_dump_is_never_preceded_by_a_document() {
        assert!(misuse(&["decrypt"]).is_silent && !misuse(&["verify"]).is_silent);
    }
}
