//! Policies, ready to be copied.

use super::warned;
use crate::format::ToJson;
use crate::human::{Answer, Screen};
use crate::policy::Policies;

impl Answer for Policies {
    fn json(&self) -> String {
        self.to_json()
    }

    fn draw(&self, screen: &mut Screen) {
        for (title, policy) in [
            ("For the role of the function or task", &self.writer),
            ("For those who list, verify and restore", &self.reader),
            (
                "For `pgseal check` to look at the bucket's settings; backups need none of it",
                &self.check,
            ),
        ] {
            screen.heading(title);
            // What was read from JSON can be written as such.
            screen.verbatim(&serde_json::to_string_pretty(policy).unwrap_or_default());
            screen.blank();
        }
        warned(screen, &self.notes);
    }
}
