//! Of a backup only chosen tables and schemas, with all that belongs to them, into a database: what is read is the dump's
//! beginning, where the definitions are, the sections of the tables, and the end, where indexes and constraints are.

use super::filter::UnfinishedChanges;
use super::filter::{ChosenObjects, ChosenStatements, DumpOutline, Filter, Filtered, ObjectName, OutlineReader};
use super::mask::{MaskStage, MaskedTable};
use super::psql::{PsqlTarget, ReportText};
use super::selected::{must_be_as_in, section};
use super::steps::DumpOptions;
use super::table_sections::{ChosenTables, chosen_tables};
use super::target_database;
use super::unsealed::UnsealedBackup;
use super::verify::check_against_inventory;
use crate::cancel::Cancel;
use crate::envelope::manifest::Role;
use crate::error::{Code, Error, Result};
use crate::format::dump_statement::shown;
use crate::format::inventory::{Inventory, TableRows};
use crate::format::table_name::TableName;
use crate::observe::progress::Progress;
use crate::pipeline::{DumpStats, PartsRead, Stage};
use crate::rds::preflight::some_of;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// What is kept of a dump's beginning, so that it need not be read twice.
const KEPT: usize = 64 << 20;
/// Between two sections there are comments; what is longer is read, whatever it is.
const COMMENTS: u64 = 4 << 10;

/// As a user names it.
pub(crate) struct PartNames<'a> {
    pub tables: &'a [String],
    pub schemas: &'a [String],
}

/// A part of a backup's dump, found in it.
pub(crate) struct ChosenPart<'a> {
    contents: &'a Inventory,
    objects: ChosenObjects,
    /// Those of the inventory that belong to it, in the dump's order.
    tables: Vec<&'a TableRows>,
    beginning: Option<Vec<u8>>,
    /// `None`: all of the dump is read.
    reads: Option<Vec<PartsRead>>,
}

impl<'a> ChosenPart<'a> {
    pub(crate) async fn find(
        opened: &UnsealedBackup<'_>,
        contents: &'a Inventory,
        names: &PartNames<'_>,
        workers: usize,
        cancel: &Cancel,
    ) -> Result<Self> {
        let sections: Option<Vec<Range<u64>>> = contents.tables.iter().map(section).collect();
        let begins = sections
            .as_ref()
            .map(|sections| sections.first().map_or(contents.plain_bytes, |first| first.start));
        let begins = begins.filter(|begins| *begins <= contents.plain_bytes);
        let (outline, beginning) = outline(opened, contents, begins, workers, cancel).await?;
        let objects = chosen(&outline, names)?;
        must_be_comparable(contents, &objects)?;
        must_have_own_rows(contents, &objects, &outline)?;
        let is_chosen = |table: &&TableRows| object_name(&table.name).is_some_and(|name| objects.has(&name));
        let tables: Vec<&TableRows> = contents.tables.iter().filter(is_chosen).collect();
        let reads = match (&beginning, begins, sections) {
            (Some(_), Some(begins), Some(all)) => opened.parts_of(&ranges(begins, &all, &tables, contents.plain_bytes), contents)?,
            _ => None,
        };
        Ok(Self {
            contents,
            objects,
            tables,
            beginning: beginning.filter(|_| reads.is_some()),
            reads,
        })
    }

    /// Names of tables and the like, which the target must not have.
    pub(crate) fn names(&self) -> Vec<String> {
        let of_schemas = self.tables.iter().map(|table| table.name.clone());
        let relations = self.objects.relations.iter().map(|name| table_name(name).to_string());
        of_schemas.chain(relations).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whether single tables are chosen, whose schemas the dump's part does not make.
    pub(crate) fn is_of_tables(&self) -> bool {
        !self.objects.relations.is_empty()
    }

    /// Into psql, through masks and filter.
    pub(crate) async fn load(
        self,
        opened: &UnsealedBackup<'_>,
        access: &PsqlTarget,
        how: DumpOptions,
        progress: &Arc<Progress>,
        cancel: &Cancel,
    ) -> Result<LoadedPart> {
        let unfinished = UnfinishedChanges::default();
        let (target, stop, recorded) = (access.clone(), cancel.clone(), unfinished.clone());
        let (objects, beginning, workers) = (self.objects, self.beginning, how.workers);
        let sink = move || {
            let existing = target_database::relations_and_functions(&target, &stop)?;
            let objects = ChosenObjects {
                there: existing.relations,
                functions: existing.functions,
                ..objects
            };
            let psql = how.sessions.start(&target, None, &stop)?;
            let filter = Filter::new(how.filter, psql).recording(&recorded);
            let mut statements = MaskStage::new(how.mask, ChosenStatements::new(objects, filter));
            statements.put(&beginning.unwrap_or_default())?;
            Ok(statements)
        };
        let is_all = self.reads.is_none();
        let brought = match self.reads {
            Some(reads) => opened.fetch_ranges(reads, workers, sink, progress, cancel).await,
            None => opened.fetch_object(Role::Dump, workers, sink, progress, cancel).await,
        };
        let (mut counted, (masked, (refused, filtered))) = brought.map_err(|error| unfinished.take_changes().likely_cause(error))?;
        if is_all {
            check_against_inventory(&counted, self.contents)?;
            counted.tables = self.tables.iter().map(|table| (*table).clone()).collect();
            counted.rows = counted.tables.iter().map(|table| table.rows).sum();
        } else {
            must_be_as_in(&self.tables, &counted)?;
        }
        let told = refused.into_iter().map(|(what, reason)| format!("not restored: {what}: {reason}"));
        Ok((counted, masked, filtered, told.collect()))
    }
}

/// Definitions, and the bytes that they were read from if these are few. `begins`: where the first section does.
async fn outline(
    opened: &UnsealedBackup<'_>,
    contents: &Inventory,
    begins: Option<u64>,
    workers: usize,
    cancel: &Cancel,
) -> Result<(DumpOutline, Option<Vec<u8>>)> {
    let reads = match begins {
        Some(begins) => opened.parts_of(std::slice::from_ref(&(0..begins)), contents)?,
        None => None,
    };
    let progress = Progress::new(0);
    match reads {
        Some(reads) => {
            let reader = || Ok(OutlineReader::new(KEPT));
            Ok(opened.fetch_ranges(reads, workers, reader, &progress, cancel).await?.1)
        }
        None => {
            let reader = || Ok(OutlineReader::new(0));
            Ok(opened.fetch_object(Role::Dump, workers, reader, &progress, cancel).await?.1)
        }
    }
}

/// The numbers in the inventory of tables whose rows belong to one that has none of its own, as a partitioned table has not; empty
/// if there are none. The definitions are found by the index: without one, a mistyped name would have all of a dump read.
pub(crate) async fn partitions(
    opened: &UnsealedBackup<'_>,
    contents: &Inventory,
    table: &String,
    workers: usize,
    cancel: &Cancel,
) -> Result<Vec<usize>> {
    let begins = contents.tables.iter().filter_map(|table| table.offset).min();
    let Some(begins) = begins.filter(|_| !contents.part_index.is_empty()) else {
        return Ok(Vec::new());
    };
    let (outline, _) = outline(opened, contents, Some(begins), workers, cancel).await?;
    let names = PartNames {
        tables: std::slice::from_ref(table),
        schemas: &[],
    };
    // What the inventory said of the name is told better than this.
    let Ok(objects) = chosen(&outline, &names) else {
        return Ok(Vec::new());
    };
    let is_chosen = |table: &TableRows| object_name(&table.name).is_some_and(|name| objects.has(&name));
    let numbers = (0..contents.tables.len()).filter(|number| is_chosen(&contents.tables[*number]));
    Ok(numbers.collect())
}

/// What was counted, what was masked, what became of the rest, and what could not be restored beside it.
pub(crate) type LoadedPart = (DumpStats, Vec<MaskedTable>, Filtered<Vec<ReportText>>, Vec<String>);

/// The sections of these tables, what stands between sections and is more than comments, and the end of the dump.
fn ranges(begins: u64, all: &[Range<u64>], tables: &[&TableRows], plain_bytes: u64) -> Vec<Range<u64>> {
    let wanted: BTreeSet<u64> = tables.iter().filter_map(|table| table.offset).collect();
    let (mut found, mut at) = (Vec::new(), begins);
    for section in all {
        if section.start > at && section.start - at > COMMENTS {
            found.push(at..section.start);
        }
        if wanted.contains(&section.start) {
            found.push(section.clone());
        }
        at = section.end;
    }
    found.push(at..plain_bytes);
    found
}

fn chosen(outline: &DumpOutline, names: &PartNames<'_>) -> Result<ChosenObjects> {
    let relations: Vec<&ObjectName> = outline.relations.iter().collect();
    let known = |name: &&ObjectName| TableRows {
        name: table_name(name).to_string(),
        ..TableRows::default()
    };
    let known: Vec<TableRows> = relations.iter().map(known).collect();
    let numbers = match chosen_tables(names.tables, Some(&known))? {
        ChosenTables::Numbers(numbers) => numbers,
        ChosenTables::All | ChosenTables::Names(_) => Vec::new(),
    };
    let tables = numbers
        .into_iter()
        .filter_map(|number| relations.get(number))
        .map(|name| (*name).clone());
    let of_relations = outline.relations.iter().filter_map(|name| name.first().cloned());
    let schemas: BTreeSet<Vec<u8>> = outline.schemas.iter().cloned().chain(of_relations).collect();
    let schema = |name: &String| {
        let own = TableName::parse(name).and_then(|name| name.parts().next().map(<[u8]>::to_vec));
        own.filter(|own| schemas.contains(own)).ok_or_else(|| {
            let shown: Vec<String> = schemas.iter().map(|name| shown(name)).collect();
            Error::new(Code::BadUsage, format!("--schema: the backup has no schema {name}")).advise(format!("It has {}.", some_of(&shown)))
        })
    };
    Ok(ChosenObjects {
        relations: outline.with_belongings(tables),
        schemas: names.schemas.iter().map(schema).collect::<Result<_>>()?,
        ..ChosenObjects::default()
    })
}

/// The rows of some partitions, such as those by the hash of an enum, are in a dump only among those of the table at the top:
/// alone they would come back empty.
fn must_have_own_rows(contents: &Inventory, objects: &ChosenObjects, outline: &DumpOutline) -> Result<()> {
    let sections: BTreeSet<ObjectName> = contents.tables.iter().filter_map(|table| object_name(&table.name)).collect();
    let chosen = outline
        .relations
        .iter()
        .filter(|name| objects.has(name) && !sections.contains(*name));
    for name in chosen {
        let mut above = outline.above(name).into_iter().filter(|parent| !objects.has(parent));
        if let Some(parent) = above.find(|parent| sections.contains(parent)) {
            let (own, parent) = (table_name(name), table_name(&parent));
            let error = Error::new(
                Code::BadUsage,
                format!("{own} has no rows of its own in the dump: they are among those of {parent}"),
            );
            return Err(error.advise(format!("Restore that: --table {parent}.")));
        }
    }
    Ok(())
}

/// The inventory has its names in UTF-8, the dump in its own encoding: where they differ, rows could be missed.
fn must_be_comparable(contents: &Inventory, objects: &ChosenObjects) -> Result<()> {
    let encoding = contents.properties.dump_encoding.as_deref().unwrap_or("UTF8");
    let parts = objects.relations.iter().flatten().chain(&objects.schemas);
    if matches!(encoding, "UTF8" | "SQL_ASCII") || parts.into_iter().all(|part| part.is_ascii()) {
        return Ok(());
    }
    let message = format!("a chosen name is not ASCII, and the dump is in {encoding}: it cannot be told apart in this backup");
    Err(Error::new(Code::BadUsage, message)
        .advise("Restore all of the backup into a new database (--create), and take the table from there."))
}

fn table_name(name: &ObjectName) -> TableName {
    match name.as_slice() {
        [schema, own] => TableName::new([schema.clone(), own.clone()]),
        _ => TableName::new([Vec::new(), name.concat()]),
    }
}

fn object_name(text: &str) -> Option<ObjectName> {
    Some(TableName::parse(text)?.parts().map(<[u8]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_are_the_sections_what_is_between_them_and_the_end() {
        let table = |offset, length| TableRows {
            offset: Some(offset),
            length: Some(length),
            ..TableRows::default()
        };
        let tables = [table(1_000, 500), table(1_600, 100), table(9_000, 1_000)];
        let all: Vec<Range<u64>> = tables.iter().filter_map(section).collect();
        assert_eq!(
            ranges(900, &all, &[&tables[1]], 11_000),
            [1_600..1_700, 1_700..9_000, 10_000..11_000]
        );
        assert_eq!(ranges(900, &all[..2], &[&tables[0]], 2_000), [1_000..1_500, 1_700..2_000]);
        assert!(ranges(2_000, &[], &[], 2_000).into_iter().eq(std::iter::once(2_000..2_000)));
    }
}
