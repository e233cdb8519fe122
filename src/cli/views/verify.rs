//! How far a backup was proven.

use super::{failed, signed, warned};
use crate::format::ToJson;
use crate::human::units::{counted, sized};
use crate::human::{Answer, Mark, Screen};
use crate::restore::verify::VerifyReport;

impl Answer for VerifyReport {
    fn json(&self) -> String {
        self.to_json()
    }

    fn draw(&self, screen: &mut Screen) {
        let part = if self.partial { " (of a part of the database)" } else { "" };
        match &self.error {
            Some(error) => failed(screen, &self.stem, error),
            None if self.opens => screen.mark(
                Mark::Good,
                format!(
                    "{}: verified{part}: your key opens it, and all of it is as the manifest and the inventory say",
                    self.stem
                ),
            ),
            None if self.hashes_match => {
                screen.mark(
                    Mark::Good,
                    format!("{}: every byte has the hash that its manifest names{part}", self.stem),
                );
                screen.advice("Only the private key proves that the manifest is genuine: give --key.");
            }
            None => {
                screen.mark(
                    Mark::Good,
                    format!("{}: all objects are there in the sizes that its manifest names{part}", self.stem),
                );
                screen.advice("Only sizes and the store's own checksums were compared: --deep reads every byte, --key proves it.");
            }
        }
        let contents = match (self.rows, self.tables, self.plain_bytes) {
            (Some(rows), Some(tables), Some(bytes)) => {
                format!("{} in {}, {} of SQL", counted(rows, "row"), counted(tables, "table"), sized(bytes))
            }
            _ => String::new(),
        };
        let compared = match self.objects.len() as u64 {
            0 => String::new(),
            count => format!(
                "{}, {}",
                counted(count, "object"),
                sized(self.objects.iter().map(|object| object.size).sum())
            ),
        };
        // Where it failed nobody looked at a signature, unless one was found.
        let signature = match &self.error {
            Some(_) if self.origin.signed_by.is_none() => String::new(),
            _ => signed(&self.origin),
        };
        screen.facts(&[("contents", contents), ("signed by", signature), ("compared", compared)]);
        if !self.strangers.is_empty() {
            let objects = counted(self.strangers.len() as u64, "object");
            screen.mark(
                Mark::Warning,
                format!(
                    "{objects} named like this backup, which its manifest does not mention: {}. Do not use them",
                    self.strangers.join(", ")
                ),
            );
        }
        if !self.unsigned.is_empty() {
            screen.mark(
                Mark::Warning,
                format!(
                    "of before this backup was signed, and not needed any more: {}",
                    self.unsigned.join(", ")
                ),
            );
        }
        warned(screen, &self.warnings);
    }
}
