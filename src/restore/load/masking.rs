//! What a restore with masks does otherwise than one without.

use super::Load;
use crate::error::{Code, Error, Result};
use crate::format::inventory::Inventory;
use crate::pipeline::DumpStats;
use crate::restore::dump_sink::DumpSessions;
use crate::restore::filter::FilterOptions;
use crate::restore::steps::DumpOptions;

impl Load<'_> {
    /// Before anything is made for it.
    pub(super) fn rules_must_fit(&self, inventory: Option<&Inventory>) -> Result<()> {
        match (&self.ask.mask, inventory) {
            (None, _) => Ok(()),
            (Some(rules), Some(inventory)) => rules.must_fit(inventory),
            // Only at the end of such a dump it is known whether each rule met its rows.
            (Some(_), None) if self.ask.sessions != DumpSessions::OneTransaction => Err(Error::new(
                Code::BadUsage,
                "--mask: this backup does not say which tables it holds, so that a rule may turn out to be for none",
            )
            .advise("Add --single-transaction: then nothing is kept unless every rule was applied.")),
            (Some(_), None) => Ok(()),
        }
    }

    pub(super) fn dump_options(&self, filter: FilterOptions) -> DumpOptions {
        DumpOptions {
            filter,
            mask: self.ask.mask.clone(),
            sessions: self.ask.sessions,
            workers: self.ask.workers,
        }
    }

    /// A constraint may not hold for what masked columns have now.
    pub(super) fn likely_mask(&self, mut error: Error) -> Error {
        if let Some(rules) = self.ask.mask.as_ref().filter(|_| error.code == Code::RestoreFailed) {
            error.message = format!(
                "{}; the masks may be the cause, if the type, a key or a check does not take what these columns have now: {}",
                error.message,
                rules.columns()
            );
        }
        error
    }

    pub(super) fn unmasked(&self, counted: &DumpStats) -> Option<String> {
        let has_any = self.ask.mask.is_some() && counted.large_objects > 0;
        has_any.then(|| format!("{} large objects came as they are: no mask is for them", counted.large_objects))
    }
}
