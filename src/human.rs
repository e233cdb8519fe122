//! What a person at a terminal sees: lines, marks, tables, sizes and times in human units.

mod screen;
mod table;
pub(crate) mod units;

pub use screen::{Mark, Page, Screen, ScreenText};
pub(crate) use table::{Column, Table};

/// What a command says: JSON for programs, a screen for people.
pub trait Answer {
    /// One document.
    fn json(&self) -> String;
    fn draw(&self, screen: &mut Screen);
}

/// Text that is the same for both, such as a version.
pub struct Verbatim(pub String);

impl Answer for Verbatim {
    fn json(&self) -> String {
        self.0.clone()
    }

    fn draw(&self, screen: &mut Screen) {
        screen.verbatim(&self.0);
    }
}
