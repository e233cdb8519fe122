//! Names of the legacy format are shared by all attempts, and nothing is overwritten: what an earlier one left without its manifest
//! stops every later one, and what another one is about to make is its success.

use super::BackupContext;
use super::already_complete::{ExistingBackup, ThisOrder};
use super::attempt::AttemptEnd;
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::format::names::Stem;
use crate::receipt::CompletedBackup;
use crate::store::{KeyProbe, OF_ANOTHER_RUN, S3};
use std::time::Duration;

const DUMP: &str = "sql.bz.enc";
const KEY: &str = "key.txt.enc";

/// The manifest of a run that goes on comes soon after its dump.
const LOOKS: u32 = 4;
const BETWEEN_LOOKS: Duration = Duration::from_secs(5);

/// An error that names what is left under the names of a backup to be, so that it is told in seconds and not after hours.
pub(super) async fn must_be_free(store: &S3, stem: &Stem, cancel: &Cancel) -> Result<()> {
    let mut left = Vec::new();
    for key in [DUMP, KEY].map(|ending| stem.legacy_object(ending)) {
        if let KeyProbe::Found { .. } = cancel.run_until_cancelled(store.look(&key)).await? {
            left.push(key);
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    let message = format!(
        "there is no manifest, and another run of this event has left {}",
        left.join(" and ")
    );
    Err(Error::new(Code::StemTaken, message).advise(OF_ANOTHER_RUN))
}

/// The dump was complete when this ended the run: it stays, and the next run of the same event stops at it.
pub(super) fn with_dump_left(stem: &Stem, mut error: Error) -> Error {
    error.message = format!("{}; {} is left, and is no backup", error.message, stem.legacy_object(DUMP));
    error.advise(OF_ANOTHER_RUN)
}

/// How an attempt ends that met objects of another one: as that one does, if it completes in the next seconds.
pub(super) async fn settled(context: &BackupContext<'_>, order: &ThisOrder, error: Error) -> AttemptEnd {
    match completed_soon(context, order).await {
        Ok(Some(found)) => AttemptEnd::AlreadyComplete(found),
        Ok(None) | Err(_) => AttemptEnd::Failed(error),
    }
}

async fn completed_soon(context: &BackupContext<'_>, order: &ThisOrder) -> Result<Option<Box<CompletedBackup>>> {
    for _ in 0..LOOKS {
        context.cancel.pause(BETWEEN_LOOKS).await?;
        if let ExistingBackup::Complete(found) = context.cancel.run_until_cancelled(order.find(&context.store)).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
