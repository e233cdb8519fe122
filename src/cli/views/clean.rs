//! What was removed, or would be.

use super::failed;
use crate::format::ToJson;
use crate::human::units::{counted, sized};
use crate::human::{Answer, Mark, Screen};
use crate::restore::clean::CleanReport;

impl Answer for CleanReport {
    fn json(&self) -> String {
        self.to_json()
    }

    fn draw(&self, screen: &mut Screen) {
        let verb = if self.status == "would_delete" { "would remove" } else { "removed" };
        for entry in &self.leftovers {
            let objects = counted(entry.objects.len() as u64, "object");
            screen.mark(Mark::Good, format!("{verb} {}: {objects}, {}", entry.stem, sized(entry.bytes)));
        }
        for entry in &self.kept {
            screen.mark(
                Mark::Skipped,
                format!(
                    "{}: kept: newer than --older-than, so that its run may still be going on",
                    entry.stem
                ),
            );
        }
        if let Some(error) = &self.error {
            failed(screen, "", error);
        }
        if self.leftovers.is_empty() && self.error.is_none() {
            screen.line(format!("Nothing to remove in {}.", self.location));
        } else if self.status == "would_delete" {
            screen.blank();
            screen.line("Nothing was removed yet: add --delete.");
        }
    }
}
