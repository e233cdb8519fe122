//! `explain CODE`: what an error means and what to do, from docs/ERRORS.md.

use crate::error::{Code, Error, Result};
use crate::format::ToJson;
use crate::human::{Answer, Screen};
use serde::Serialize;
use serde_json::{Value, json};

/// A table row for each code; a test holds it against the codes.
const ERRORS: &str = include_str!("../../docs/ERRORS.md");
/// How like a known code an unknown one must be to be taken for it (Jaro-Winkler).
const NEAR: f64 = 0.8;

#[derive(Debug, Serialize)]
pub(super) struct Explanation {
    code: &'static str,
    exit: u8,
    /// What happened.
    meaning: String,
    /// What to do.
    hint: String,
}

/// `pgseal.CODE`, as Lambda and Step Functions say it, will do.
pub(super) fn explain(text: &str) -> Result<Explanation> {
    let name = text
        .trim()
        .trim_start_matches("pgseal.")
        .to_ascii_lowercase()
        .replace(['-', ' '], "_");
    let Some(code) = Code::ALL.iter().find(|code| code.name() == name) else {
        let likeness = |code: &&Code| strsim::jaro_winkler(code.name(), &name);
        let nearest = Code::ALL.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let meant = nearest.filter(|code| likeness(code) >= NEAR);
        let meant = meant.map(|code| format!("; did you mean `{}`?", code.name())).unwrap_or_default();
        let of_exit: Vec<&str> = Code::ALL
            .iter()
            .filter(|code| code.exit().to_string() == name)
            .map(|code| code.name())
            .collect();
        if !of_exit.is_empty() {
            let error = Error::new(Code::BadUsage, format!("{name} is an exit status: a code's name is needed"));
            return Err(error.advise(format!(
                "Of this exit status are {}: the error names one of them.",
                of_exit.join(", ")
            )));
        }
        let error = Error::new(Code::BadUsage, format!("there is no code of this name{meant}"));
        return Err(error.advise("`pgseal codes` lists all of them; docs/ERRORS.md explains them."));
    };
    let row = ERRORS
        .lines()
        .find(|line| line.starts_with(&format!("| `{name}` |")))
        .unwrap_or_default();
    let cell = |at: usize| {
        row.split(" | ")
            .nth(at)
            .unwrap_or_default()
            .trim_end_matches(" |")
            .trim()
            .to_owned()
    };
    Ok(Explanation {
        code: code.name(),
        exit: code.exit(),
        meaning: cell(2),
        hint: cell(3),
    })
}

impl Answer for Explanation {
    fn json(&self) -> String {
        self.to_json()
    }

    fn draw(&self, screen: &mut Screen) {
        screen.heading(format!("{} (exit {})", self.code, self.exit));
        screen.line(&self.meaning);
        screen.advice(&self.hint);
    }
}

/// `codes`: all of them.
pub(super) struct CodeList;

impl Answer for CodeList {
    fn json(&self) -> String {
        let all = Code::ALL.iter();
        let all: Vec<Value> = all
            .map(|code| json!({"code": code, "exit": code.exit(), "hint": code.hint()}))
            .collect();
        Value::from(all).to_string()
    }

    fn draw(&self, screen: &mut Screen) {
        for code in Code::ALL {
            screen.line(format!("{:>3}  {}", code.exit(), code.name()));
            screen.advice(code.hint());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained_and_a_near_one_is_found() {
        for code in Code::ALL {
            let found = explain(code.name()).unwrap();
            assert!(found.meaning.len() > 10 && found.hint.len() > 5, "{found:?}");
        }
        assert_eq!(explain("pgseal.s3_denied").unwrap().exit, 4);
        let told = |name: &str| explain(name).unwrap_err().message;
        assert!(told("s3_denid").contains("`s3_denied`") && !told("hello").contains("mean"));
        assert_eq!(explain("db-auth").unwrap().code, "db_auth");
        let of_exit = explain("7").unwrap_err();
        assert!(
            of_exit.hint().contains("wrong_key") && !of_exit.hint().contains("db_auth"),
            "{}",
            of_exit.hint()
        );
    }
}
