//! The answers as a person at a terminal reads them: one file for each command.

mod backup;
mod check;
mod clean;
mod diff;
mod drill;
mod fleet;
mod history;
mod list;
mod plan;
mod policy;
mod restore;
mod verify;

pub(super) use drill::DrillAnswer;

use crate::error::Error;
use crate::handler::Response;
use crate::human::{Answer, Mark, Page, Screen, ScreenText};

impl Answer for Response {
    fn json(&self) -> String {
        self.to_json()
    }

    fn draw(&self, screen: &mut Screen) {
        match self {
            Self::Receipt(receipt) => receipt.draw(screen),
            Self::Report(report) => report.draw(screen),
            Self::Fleet(fleet) => fleet.draw(screen),
            Self::Summary(summary) => summary.draw(screen),
        }
    }
}

/// Of a command that came to no answer, as text for a terminal.
pub fn failure(page: Page, error: &Error) -> ScreenText {
    let mut screen = Screen::new(page);
    failed(&mut screen, "", error);
    screen.finish()
}

/// Something failed: what, and below it what to do.
fn failed(screen: &mut Screen, about: &str, error: &Error) {
    let mut all = std::iter::once(error).chain(&error.also).peekable();
    while let Some(error) = all.next() {
        // An option's or a field's own name says it already.
        let of = match about.is_empty() || error.message.starts_with("--") {
            true => String::new(),
            false => format!("{about}: "),
        };
        screen.mark(Mark::Bad, format!("{of}{} ({})", error.message, error.code.name()));
        // What is to be done about several is said once, below the last of them.
        if all.peek().is_none_or(|next| next.hint() != error.hint()) {
            screen.advice(error.hint());
        }
    }
}

fn warned<W: std::fmt::Display>(screen: &mut Screen, warnings: impl IntoIterator<Item = W>) {
    for warning in warnings {
        screen.mark(Mark::Warning, warning);
    }
}

/// Who signed, where that is known.
fn signed(origin: &crate::restore::provenance::Origin) -> String {
    match &origin.signed_by {
        None => "nobody".to_owned(),
        Some(signer) if origin.pinned => format!("{signer} (the signer you named)"),
        Some(signer) => format!("{signer} (not checked: give --signer FILE to check it)"),
    }
}

#[cfg(test)]
mod tests;
