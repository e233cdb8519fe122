//! Texts that a drill's report may hold. It may be read by people who must not see rows, and a server quotes rows: what it said
//! gets in here, or not at all.

use super::sqlstates;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt::{self, Display};

/// Words of ours, names that the dump makes, a SQLSTATE of the closed list, or what was said before there were rows.
///
/// What stands in the source can be one, and no text that came from elsewhere:
///
/// ```
/// let told: pgseal::restore::psql::ReportText = "its provider is not there".into();
/// assert_eq!(told.as_str(), "its provider is not there");
/// ```
///
/// ```compile_fail
/// let said = String::from("Key (ssn)=(078-05-1120) already exists.");
/// let told: pgseal::restore::psql::ReportText = said.into();
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ReportText(Cow<'static, str>);

impl ReportText {
    /// With names that the dump makes, or with other texts of this kind: never with what a server said.
    pub(in crate::restore) fn ours(text: String) -> Self {
        Self(text.into())
    }

    /// Such as `PostgreSQL said: SQLSTATE 53100 (a full disk)`. Code chooses the letters: others than those of the list are not
    /// told.
    pub(super) fn of_state(before: &'static str, code: &str) -> Self {
        let state = sqlstates::in_words(code);
        Self(if before.is_empty() { state } else { format!("{before}: {state}") }.into())
    }

    /// Said when no code that can have read rows had run, or to who restores into a server of their own.
    pub(super) fn before_rows(said: String) -> Self {
        Self(said.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Each line that is not empty.
    pub(super) fn lines(&self) -> impl Iterator<Item = Self> {
        let lines = self.0.lines().filter(|line| !line.trim().is_empty());
        lines.map(|line| Self(line.to_owned().into()))
    }

    pub(in crate::restore) fn map(self, change: impl FnOnce(String) -> String) -> Self {
        Self(change(self.0.into_owned()).into())
    }
}

/// What stands in our source is ours.
impl From<&'static str> for ReportText {
    fn from(text: &'static str) -> Self {
        Self(text.into())
    }
}

impl From<ReportText> for String {
    fn from(text: ReportText) -> Self {
        text.0.into_owned()
    }
}

impl Display for ReportText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
