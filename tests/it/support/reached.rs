//! Which codes of the closed list any run of any test was seen to end with: a note in the target folder, which
//! `codes::every_code_was_reached` reads when all others are done.

use super::pgseal::Said;
use pgseal::error::Code;
use std::fs::{self, OpenOptions};
use std::io::Write;

const NOTE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/codes-reached");

/// Notes the codes that a run said: in a receipt or report, or in the line of a command at the shell.
pub fn note(said: &Said) {
    for code in Code::ALL {
        let name = code.name();
        let in_receipt = said.stdout.contains(&format!("\"code\":\"{name}\"")) || said.stdout.contains(&format!("\"code\": \"{name}\""));
        let at_shell = said.stderr.lines().any(|line| line.starts_with(&format!("pgseal: {name}")));
        if in_receipt || at_shell {
            note_name(name);
        }
    }
}

/// The same of an answer that reached the test by another way.
pub fn note_name(name: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(NOTE).expect("the target folder");
    // One write, so that lines of tests side by side do not mix.
    file.write_all(format!("{name}\n").as_bytes()).expect("the note is written");
}

/// Those of the list that no run was seen to end with.
pub fn unreached() -> Vec<&'static str> {
    let note = fs::read_to_string(NOTE).unwrap_or_default();
    let names = Code::ALL.iter().map(|code| code.name());
    names.filter(|name| !note.lines().any(|line| line == *name)).collect()
}
