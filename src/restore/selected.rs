//! The rows of chosen tables: by the index where the backup has one, of which only the parts that hold them are read; else by
//! reading all.

use super::chosen_part::partitions;
use super::find::{BackupKind, ChosenBackup};
use super::legacy;
use super::table_sections::{ChosenTables, SectionSink, TableSections, chosen_tables, must_be_found};
use super::unsealed::UnsealedBackup;
use super::verify::check_against_inventory;
use crate::cancel::Cancel;
use crate::envelope::manifest::Role;
use crate::envelope::private_key::PrivateKey;
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::format::inventory::{Inventory, TableRows};
use crate::observe::progress::{Activity, Progress, Reporter};
use crate::pipeline::{DumpStats, PartsRead, RangePipeline, Stage, parts_of, ranges};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// How a backup is opened, and which of its tables are meant.
pub(crate) struct SelectedTables<'a> {
    pub key: &'a PrivateKey,
    pub signer: Option<&'a Verifier>,
    pub tables: &'a [String],
    pub legacy: legacy::Consent,
    pub workers: usize,
    /// What comes goes to this terminal, where a bar would stand among it.
    pub to_terminal: bool,
}

impl SelectedTables<'_> {
    /// Brings their sections into the sink, which is made once the names are known to be right. What it gets was proven, and all
    /// of it came if this ends well.
    pub(crate) async fn fetch<S>(
        &self,
        backup: &ChosenBackup,
        sink: impl FnOnce() -> Result<S>,
        cancel: &Cancel,
    ) -> Result<(DumpStats, S::Done)>
    where
        S: SectionSink + Send + 'static,
        S::Done: Send + 'static,
    {
        if let BackupKind::Legacy { key, dump } = &backup.kind {
            self.legacy.must_be_given(&backup.stem, self.signer)?;
            let chosen = chosen_tables(self.tables, None)?;
            let sections = TableSections::new(chosen.clone(), sink()?);
            let progress = Progress::new(0);
            let _reporter = (!self.to_terminal).then(|| Reporter::start(Activity::Decrypting, progress.clone(), &backup.stem));
            let (limit, workers) = (self.legacy.length(), self.workers);
            let (counted, (found, done)) =
                legacy::fetch_object(backup, key, dump, self.key, workers, limit, || Ok(sections), &progress, cancel).await?;
            must_be_found(&chosen, &found, &counted)?;
            return Ok((counted, done));
        }
        let opened = UnsealedBackup::open(backup, self.key, self.signer).await?;
        if opened.manifest.is_partial() {
            tracing::warn!("{}: this backup holds only a part of the database that it was made of", backup.stem);
        }
        let Some(contents) = opened.contents(cancel).await? else {
            return self.by_reading_all(&opened, None, sink, cancel).await;
        };
        let chosen = self.numbers(&opened, &contents, cancel).await?;
        let tables: Vec<&TableRows> = chosen.iter().filter_map(|number| contents.tables.get(*number)).collect();
        let sections: Option<Vec<Range<u64>>> = tables.iter().map(|table| section(table)).collect();
        let reads = match sections {
            Some(sections) => opened.parts_of(&sections, &contents)?,
            None => None,
        };
        let Some(reads) = reads else {
            return self.by_reading_all(&opened, Some((&contents, chosen)), sink, cancel).await;
        };
        let progress = Progress::new(tables.iter().filter_map(|table| table.length).sum());
        let _reporter = (!self.to_terminal).then(|| Reporter::start(Activity::Decrypting, progress.clone(), &backup.stem));
        let sections = TableSections::new(ChosenTables::All, sink()?);
        let (counted, (_, done)) = opened.fetch_ranges(reads, self.workers, || Ok(sections), &progress, cancel).await?;
        must_be_as_in(&tables, &counted)?;
        Ok((counted, done))
    }

    /// In the inventory. Each name must have rows, its own or those of its partitions.
    async fn numbers(&self, opened: &UnsealedBackup<'_>, contents: &Inventory, cancel: &Cancel) -> Result<Vec<usize>> {
        let mut numbers = BTreeSet::new();
        for table in self.tables {
            match chosen_tables(std::slice::from_ref(table), Some(&contents.tables)) {
                Ok(ChosenTables::Numbers(own)) => numbers.extend(own),
                Ok(ChosenTables::All | ChosenTables::Names(_)) => {}
                Err(error) => {
                    let parts = partitions(opened, contents, table, self.workers, cancel).await?;
                    if parts.is_empty() {
                        return Err(error);
                    }
                    numbers.extend(parts);
                }
            }
        }
        Ok(numbers.into_iter().collect())
    }

    async fn by_reading_all<S>(
        &self,
        opened: &UnsealedBackup<'_>,
        contents: Option<(&Inventory, Vec<usize>)>,
        sink: impl FnOnce() -> Result<S>,
        cancel: &Cancel,
    ) -> Result<(DumpStats, S::Done)>
    where
        S: SectionSink + Send + 'static,
        S::Done: Send + 'static,
    {
        self.legacy.must_hold(opened.manifest.plain_bytes)?;
        let (contents, chosen) = match contents {
            Some((contents, numbers)) => (Some(contents), ChosenTables::Numbers(numbers)),
            None => (None, chosen_tables(self.tables, None)?),
        };
        let sections = TableSections::new(chosen.clone(), sink()?);
        let progress = Progress::new(opened.manifest.plain_bytes);
        let _reporter = (!self.to_terminal).then(|| Reporter::start(Activity::Decrypting, progress.clone(), &opened.backup.stem));
        let read = opened.fetch_object(Role::Dump, self.workers, || Ok(sections), &progress, cancel);
        let (counted, (found, done)) = read.await?;
        must_be_found(&chosen, &found, &counted)?;
        if let Some(contents) = contents {
            check_against_inventory(&counted, contents)?;
        }
        Ok((counted, done))
    }
}

/// Where a table's section is in the plain dump; unknown in backups by earlier releases.
pub(crate) fn section(table: &TableRows) -> Option<Range<u64>> {
    let from = table.offset?;
    Some(from..from.checked_add(table.length?)?)
}

/// What came of the chosen tables, against the inventory.
pub(crate) fn must_be_as_in(tables: &[&TableRows], counted: &DumpStats) -> Result<()> {
    let same = |(one, other): (&TableRows, &&TableRows)| (one.rows, one.bytes) == (other.rows, other.bytes);
    counted.must_end_between_statements()?;
    if counted.tables.len() == tables.len() && counted.tables.iter().zip(tables).all(same) {
        return Ok(());
    }
    Err(Error::new(
        Code::Tampered,
        "the rows of the chosen tables are not what the inventory says",
    ))
}

impl UnsealedBackup<'_> {
    /// What must be read of the dump for these ranges of it; `None` where no index tells.
    pub(crate) fn parts_of(&self, sections: &[Range<u64>], contents: &Inventory) -> Result<Option<Vec<PartsRead>>> {
        let opener = self.opener(self.object(Role::Dump)?)?;
        Ok(parts_of(sections, &contents.part_index, &opener.parts))
    }

    /// Brings ranges of the dump into a sink, one behind the other.
    pub(crate) async fn fetch_ranges<S, F>(
        &self,
        reads: Vec<PartsRead>,
        workers: usize,
        sink: F,
        progress: &Arc<Progress>,
        cancel: &Cancel,
    ) -> Result<(DumpStats, S::Done)>
    where
        F: FnOnce() -> Result<S> + Send + 'static,
        S: Stage,
        S::Done: Send + 'static,
    {
        let object = self.object(Role::Dump)?;
        let pinned = self.backup.pin(object).await?;
        let way = RangePipeline {
            opener: self.opener(object)?,
            compression: self.manifest.compression()?,
            workers,
            reads,
        };
        ranges(&self.backup.archive, &pinned, way, sink, progress, cancel).await
    }
}
