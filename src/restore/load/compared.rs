//! `--compare`: what a restore brought, held against the inventory table by table, as a drill does.

use super::{Load, LoadedDump};
use crate::error::{Code, Error, Result};
use crate::format::inventory::Inventory;
use crate::rds::preflight::some_of;
use crate::restore::compare::{self, Comparison};
use crate::restore::contents::{WrittenTables, compare_or_note};
use crate::restore::psql::PsqlTarget;
use crate::restore::steps::{blocking, server_major};
use crate::restore::unsealed::UnsealedBackup;
use std::sync::Arc;

impl Load<'_> {
    /// Before anything is made.
    pub(super) fn must_be_comparable(&self, contents: Option<&Inventory>) -> Result<()> {
        let ask = self.ask;
        if !ask.compare {
            return Ok(());
        }
        if !ask.tables.is_empty() || !ask.schemas.is_empty() {
            let error = Error::new(
                Code::BadUsage,
                "--compare: the inventory is of the whole backup, and only a part is restored",
            );
            return Err(error.advise("Leave out --compare: the rows of the part are counted in any case."));
        }
        if contents.is_none() {
            return Err(Error::new(Code::BadUsage, "--compare: this backup has no inventory to compare with").advise("Leave it out."));
        }
        Ok(())
    }

    /// The answer, if all is equal.
    pub(super) async fn compared(
        &self,
        contents: &Inventory,
        opened: &UnsealedBackup<'_>,
        access: &PsqlTarget,
        filled: &mut LoadedDump,
    ) -> Result<Comparison> {
        let major = server_major(access, self.cancel).await?;
        let written = WrittenTables {
            heads: std::mem::take(&mut filled.counted.heads),
            keys: Arc::new(opened.row_keys()),
            masked: filled.masked.iter().map(|masked| masked.table.clone()).collect(),
        };
        let (contents, target, stop) = (contents.clone(), access.clone(), self.cancel.clone());
        let (left_out, made) = (filled.rows_left_out.clone(), filled.tables_made.clone());
        let values = filled.values.clone();
        let beside_others = contents.is_of_chosen();
        let comparison = blocking(move || {
            let loaded = compare::LoadedDump {
                left_out: &left_out,
                made: &made,
                beside_others,
            };
            let mut comparison = compare::compare(&contents, loaded, &target, &stop)?;
            compare_or_note(&mut comparison, &contents, &written, (&values, major), &stop)?;
            Ok(comparison)
        })
        .await?;
        if comparison.is_equal() {
            return Ok(comparison);
        }
        let message = format!(
            "the restored database is not what was backed up: {}",
            some_of(&comparison.differences)
        );
        Err(Error::new(Code::RestoreFailed, message).advise("Did anybody write to it since? Else restore again, into another database."))
    }
}
