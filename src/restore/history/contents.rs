//! What one night's backup says of its tables: read from its manifest, one key object and the inventory, never the dump.

use crate::cancel::Cancel;
use crate::envelope::manifest::{Role, Timestamp};
use crate::envelope::private_key::PrivateKey;
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::format::Sha256;
use crate::format::inventory::{Inventory, TableRows};
use crate::format::order::SelectionRecord;
use crate::format::table_name::TableName;
use crate::format::unhex;
use crate::restore::find::ChosenBackup;
use crate::restore::unsealed::UnsealedBackup;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Mebibytes of inventories that are read at once: one of 10,000 tables has 2.
pub(crate) const MEBIBYTES_AT_ONCE: u32 = 64;

/// A table's rows in one night.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableState {
    /// As [`TableName`] shows it now, whichever release wrote it.
    pub name: Arc<str>,
    pub rows: u64,
    pub bytes: u64,
    /// `change_hint` of the inventory.
    pub hint: Option<[u8; 16]>,
}

/// Of a backup that its key opened: all of it is proven by the data key.
#[derive(Clone, Debug)]
pub(crate) struct NightContents {
    pub stem: String,
    pub database: String,
    pub scheduled_time: Timestamp,
    pub source: String,
    /// What was asked for. Whether roles were asked for as well makes no difference to tables, and is left out. `None`: the
    /// backup is of before 0.2, and does not say.
    pub selection: Option<SelectionRecord>,
    /// Of all objects.
    pub bytes: u64,
    pub plain_bytes: u64,
    pub plain_sha256: Sha256,
    pub rows: u64,
    pub server_version: String,
    /// Whom the backup was written for, by a digest: the hints are keyed by them. A rewrap changes who opens it, and not this.
    pub recipients: Option<Sha256>,
    /// By name.
    pub tables: Vec<TableState>,
}

impl NightContents {
    pub(crate) fn is_partial(&self) -> bool {
        self.selection.as_ref().is_some_and(SelectionRecord::is_partial)
    }

    pub(crate) fn table(&self, name: &str) -> Option<&TableState> {
        let place = self.tables.binary_search_by(|table| (*table.name).cmp(name)).ok()?;
        self.tables.get(place)
    }

    /// Keeps one copy of each name for all nights.
    pub(super) fn share_names(&mut self, known: &mut HashSet<Arc<str>>) {
        for table in &mut self.tables {
            match known.get(&table.name) {
                Some(name) => table.name = Arc::clone(name),
                None => drop(known.insert(Arc::clone(&table.name))),
            }
        }
    }
}

/// By the data key, with what the inventory says beside its tables. `memory` has a permit for each mebibyte.
pub(crate) async fn open_contents(
    backup: &ChosenBackup,
    key: &PrivateKey,
    signer: Option<&Verifier>,
    memory: &Semaphore,
    cancel: &Cancel,
) -> Result<(NightContents, Inventory)> {
    let opened = UnsealedBackup::open(backup, key, signer).await?;
    let size = opened.object(Role::Inventory)?.size;
    let permits = u32::try_from(size >> 20).unwrap_or(u32::MAX).clamp(1, MEBIBYTES_AT_ONCE);
    let _permit = memory.acquire_many(permits).await;
    let none = || Error::new(Code::Bug, "an inventory that is named is not there");
    let mut inventory = opened.contents(cancel).await?.ok_or_else(none)?;
    let manifest = &opened.manifest;
    let selection = inventory.selection.clone().map(|mut selection| {
        selection.globals = false;
        selection
    });
    let contents = NightContents {
        stem: backup.stem.clone(),
        database: manifest.database.clone(),
        scheduled_time: manifest.scheduled_time,
        source: manifest.source_text(),
        selection,
        bytes: manifest.objects.iter().map(|object| object.size).sum(),
        plain_bytes: manifest.plain_bytes,
        plain_sha256: inventory.plain_sha256,
        rows: manifest.rows,
        server_version: manifest.server_version.clone(),
        recipients: inventory.hint_recipients,
        tables: states(std::mem::take(&mut inventory.tables)),
    };
    Ok((contents, inventory))
}

pub(super) fn states(tables: Vec<TableRows>) -> Vec<TableState> {
    let name = |text: &str| TableName::parse(text).map_or_else(|| text.into(), |name| name.to_string().into());
    let state = |table: TableRows| TableState {
        name: name(&table.name),
        rows: table.rows,
        bytes: table.bytes,
        hint: table.change_hint.as_deref().and_then(unhex::<16>),
    };
    let mut states: Vec<TableState> = tables.into_iter().map(state).collect();
    states.sort_by(|a, b| a.name.cmp(&b.name));
    // pg_dump names the rows of some partitions by their root: sections of one table. A hint is a sum of rows.
    states.dedup_by(|next, first| {
        let is_same = next.name == first.name;
        if is_same {
            first.rows += next.rows;
            first.bytes += next.bytes;
            let hints = first.hint.zip(next.hint);
            first.hint = hints.map(|(one, other)| u128::from_be_bytes(one).wrapping_add(u128::from_be_bytes(other)).to_be_bytes());
        }
        is_same
    });
    states
}
