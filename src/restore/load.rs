//! Into a database: checked, decrypted and decompressed bytes stream into psql, which stops at the first error.

mod compared;
mod masking;
mod statistics;
mod target;

use super::chosen_part::{ChosenPart, PartNames};
use super::collations;
use super::conninfo::Conninfo;
use super::create::{another_locale, older_target};
use super::dump_sink::DumpSessions;
use super::filter::{ExtensionMembers, Filter, FilterOptions, LeftOut};
use super::find::{BackupKind, ChosenBackup};
use super::legacy;
use super::mask::{MaskRules, MaskStage, MaskedTable};
use super::psql::{self, PsqlTarget};
use super::roles::Roles;
use super::steps::{blocking, dump, globals, server_major, unknown_extensions};
use super::summary::RestoreSummary;
use super::target_database;
use super::unsealed::UnsealedBackup;
use super::value_settings::ValueSettings;
use super::verify::check_against_inventory;
use crate::cancel::Cancel;
use crate::envelope::manifest::Role;
use crate::envelope::private_key::PrivateKey;
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::format::database_properties::DatabaseProperties;
use crate::format::inventory::Inventory;
use crate::format::sql;
use crate::format::table_name::TableName;
use crate::observe::progress::{Activity, Progress, Reporter};
use crate::pipeline::DumpStats;
use statistics::WantedStatistics;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;
use target::LoadTarget;

pub(crate) struct LoadOptions<'a> {
    pub key: &'a PrivateKey,
    pub signer: Option<&'a Verifier>,
    pub to: Conninfo,
    /// Makes the database first.
    pub create: bool,
    pub sessions: DumpSessions,
    /// Of the dump only these tables, and these schemas; without either all of it.
    pub tables: &'a [String],
    pub schemas: &'a [String],
    /// Counts and reads what came back, and holds it against the inventory.
    pub compare: bool,
    /// What is to be left out of the dump.
    pub filter: FilterOptions,
    /// The roles first.
    pub globals: bool,
    /// A backup of the legacy image, of which nothing can be checked, may go into a database.
    pub legacy: legacy::Consent,
    /// Columns that get other values.
    pub mask: Option<MaskRules>,
    /// The planner's statistics are made when the rows are in.
    pub analyze: bool,
    pub workers: usize,
    /// Folders to look for psql in, before the usual ones.
    pub client_folders: Vec<PathBuf>,
    pub path: Option<String>,
}

const UNKNOWN_PROPERTIES: &str = "this backup does not know encoding, locale, comment and privileges of its database, nor all of \
     its settings: the new one has the server's own";
const UNKNOWN_VALUES: &str = "this backup does not know under which settings its rows were written: they were read under DateStyle, \
     TimeZone and lc_monetary of the target; compare amounts of type money and dates with the source";

pub(crate) async fn restore(backup: &ChosenBackup, ask: &LoadOptions<'_>, cancel: &Cancel) -> Result<RestoreSummary> {
    let begun = Instant::now();
    let load = Load {
        backup,
        ask,
        cancel,
        begun,
    };
    match &backup.kind {
        BackupKind::Legacy { key, dump } => load.unauthenticated(key, dump).await,
        BackupKind::Sealed { .. } => load.sealed().await,
    }
}

/// One restore under way.
struct Load<'a> {
    backup: &'a ChosenBackup,
    ask: &'a LoadOptions<'a>,
    cancel: &'a Cancel,
    begun: Instant,
}

/// What a backup says of itself before its dump is touched.
struct LoadSource<'a> {
    opened: &'a UnsealedBackup<'a>,
    contents: Option<&'a Inventory>,
    is_chosen: bool,
    properties: DatabaseProperties,
}

impl Load<'_> {
    async fn sealed(&self) -> Result<RestoreSummary> {
        let ask = self.ask;
        let opened = UnsealedBackup::open(self.backup, ask.key, ask.signer).await?;
        let manifest = &opened.manifest;
        ask.legacy.must_hold(manifest.plain_bytes)?;
        let contents = opened.contents(self.cancel).await?;
        self.rules_must_fit(contents.as_ref())?;
        let access = self.target(&manifest.pg_dump_version)?;
        let properties = match &contents {
            Some(contents) => contents.properties.clone(),
            None => manifest.value_settings.clone().map(Into::into).unwrap_or_default(),
        };
        if ask.globals && manifest.object(Role::Globals).is_none() {
            let error = Error::field(Code::BadUsage, "globals", "are not in this backup: it was made without them");
            return Err(error.advise("Leave out --globals: grants are then restored for roles that exist. A role that is missing is made by hand: CREATE ROLE, in psql."));
        }
        // Before anything is made for it.
        opened.must_have(Role::Dump).await?;
        if ask.globals {
            opened.must_have(Role::Globals).await?;
        }
        self.must_be_comparable(contents.as_ref())?;
        let part = self.chosen(&opened, contents.as_ref()).await?;
        let is_chosen = part.is_some();
        let in_part = contents.as_ref().filter(|_| manifest.is_partial());
        let of_inventory = |contents: &Inventory| contents.tables.iter().map(|table| table.name.clone()).collect();
        let names = part.as_ref().map(ChosenPart::names).or_else(|| in_part.map(of_inventory));
        let roles = if ask.globals {
            Roles::NotNeeded
        } else {
            Roles::needed_by(manifest, &ask.filter).by_part(is_chosen)
        };
        let LoadTarget { access, name } = self.prepared(access, &manifest.database, &properties, names, roles).await?;
        let source = LoadSource {
            opened: &opened,
            contents: contents.as_ref(),
            is_chosen,
            properties,
        };
        let filled = match self.fill(&source, part, &access).await {
            Ok(filled) => filled,
            Err(error) => return Err(self.left_behind(error, &access, is_chosen || manifest.is_partial()).await),
        };
        // From here on all rows are there for good: nothing of it may be dropped.
        self.finish(source, (&access, name), filled).await.map_err(|mut error| {
            error.message = format!(
                "{}; what the dump holds is in {} all the same",
                error.message,
                access.conninfo.describe()
            );
            error.advise("The rows are in; what belongs to the database itself (owner, settings, privileges) may be missing.")
        })
    }

    /// What of the dump is to be restored, if that is not all.
    async fn chosen<'c>(&self, opened: &UnsealedBackup<'_>, contents: Option<&'c Inventory>) -> Result<Option<ChosenPart<'c>>> {
        let names = PartNames {
            tables: self.ask.tables,
            schemas: self.ask.schemas,
        };
        if names.tables.is_empty() && names.schemas.is_empty() {
            return Ok(None);
        }
        let contents = contents.ok_or_else(no_part)?;
        ChosenPart::find(opened, contents, &names, self.ask.workers, self.cancel)
            .await
            .map(Some)
    }

    fn target(&self, pg_dump_version: &str) -> Result<PsqlTarget> {
        let client = psql::find_for_others(&self.ask.client_folders, self.ask.path.as_deref(), pg_dump_version)?;
        Ok(PsqlTarget::new(client, self.ask.to.clone(), std::env::vars_os()))
    }

    /// All that the backup's objects hold, up to the end of the dump.
    async fn fill(&self, source: &LoadSource<'_>, part: Option<ChosenPart<'_>>, access: &PsqlTarget) -> Result<LoadedDump> {
        let (ask, cancel) = (self.ask, self.cancel);
        let LoadSource {
            opened,
            contents,
            is_chosen,
            properties,
        } = source;
        let contents = *contents;
        let mut warnings = opened.warnings();
        let major = server_major(access, cancel).await?;
        let mut told = Vec::from_iter(older_target(&opened.manifest.server_version, major));
        if !ask.create {
            let (target, stop, source) = (access.clone(), cancel.clone(), properties.clone());
            told.extend(blocking(move || another_locale(&source, &target, &stop)).await?);
        }
        let (target, stop, source) = (access.clone(), cancel.clone(), properties.clone());
        told.extend(blocking(move || collations::lacking(&source, &target, &stop)).await?);
        // Before the rows: hours later they may not be wanted any more.
        told.iter().for_each(|warning| tracing::warn!("{warning}"));
        warnings.extend(told);
        warnings.extend(contents.and_then(|contents| unknown_extensions(&ask.filter, contents)));
        let mut left_out = Vec::new();
        if ask.globals {
            let (changes, said) = globals(opened, access, false, ask.workers, cancel).await?;
            warnings.extend(said.into_iter().map(String::from));
            left_out.extend(changes.left_out);
            // Not every role could be made.
            let (target, stop, source, roles) = (
                access.clone(),
                cancel.clone(),
                properties.clone(),
                Roles::needed_by(&opened.manifest, &ask.filter).by_part(*is_chosen),
            );
            blocking(move || roles.check_against(&source, &target, &stop)).await?;
        }
        let mut options = self.options(contents, access).await?;
        options.makes_schemas |= part.as_ref().is_some_and(ChosenPart::is_of_tables);
        let values = ValueSettings::read(properties, access, cancel).await?;
        for warning in values.warnings() {
            tracing::warn!("{warning}");
            warnings.push(warning);
        }
        let progress = Progress::of_restore(opened.manifest.plain_bytes, opened.manifest.rows);
        let _reporter = Reporter::start(Activity::Restoring, progress.clone(), &opened.backup.stem);
        let how = self.dump_options(options);
        let loading = match part {
            None => dump(opened, &values.target, how, &progress, cancel)
                .await
                .map(|(counted, (masked, filtered))| (counted, masked, filtered, Vec::new())),
            Some(part) => part.load(opened, &values.target, how, &progress, cancel).await,
        };
        let (counted, masked, filtered, not_restored) = loading.map_err(|error| self.likely_mask(values.likely_cause(error)))?;
        warnings.extend(not_restored);
        warnings.extend(filtered.below.into_iter().map(String::from));
        warnings.extend(self.unmasked(&counted));
        let statistics = self.wanted_statistics(&filtered.changes, *is_chosen || opened.manifest.is_partial());
        warnings.extend(filtered.changes.warnings());
        left_out.extend(filtered.changes.left_out);
        Ok(LoadedDump {
            values,
            rows_left_out: filtered.changes.rows_left_out,
            tables_made: filtered.changes.tables_made,
            counted,
            masked,
            statistics,
            left_out,
            warnings,
        })
    }

    /// What comes when the rows are in: the comparison with the inventory, and what belongs to the database itself.
    async fn finish(
        &self,
        source: LoadSource<'_>,
        (access, name): (&PsqlTarget, Option<String>),
        mut filled: LoadedDump,
    ) -> Result<RestoreSummary> {
        let comparison = match source.contents.filter(|_| self.ask.compare) {
            Some(contents) => Some(self.compared(contents, source.opened, access, &mut filled).await?),
            None => None,
        };
        let LoadedDump {
            counted,
            values,
            masked,
            statistics,
            left_out,
            mut warnings,
            ..
        } = filled;
        let lc_monetary = values.lc_monetary;
        if let Some(contents) = source.contents.filter(|_| !source.is_chosen) {
            check_against_inventory(&counted, contents)?;
        }
        let properties = source.properties.with_money_in(lc_monetary.as_deref());
        warnings.extend(self.database_level(&properties, access).await?);
        let access = &self.renamed(access, name).await?;
        if let Some(locale) = lc_monetary.filter(|_| !self.ask.create) {
            warnings.push(other_amounts(&locale, access));
        }
        if source.opened.manifest.is_partial() {
            warnings.push("this backup holds only a part of the database that it was made of".to_owned());
        }
        let statistics = self.make_statistics(statistics, access, &mut warnings).await?;
        let mut restored = RestoreSummary::new(self.backup, Some(source.opened), access, &counted, warnings, self.begun);
        (restored.left_out, restored.masked, restored.statistics) = (left_out, masked, statistics);
        restored.partial |= source.is_chosen;
        restored.comparison = comparison;
        Ok(restored)
    }

    /// Of the legacy image: only on demand, since a changed dump would run as SQL.
    async fn unauthenticated(&self, key: &str, dump: &str) -> Result<RestoreSummary> {
        let (backup, ask, cancel) = (self.backup, self.ask, self.cancel);
        ask.legacy.must_be_given(&backup.stem, ask.signer)?;
        if !ask.tables.is_empty() || !ask.schemas.is_empty() {
            return Err(no_part());
        }
        self.must_be_comparable(None)?;
        self.rules_must_fit(None)?;
        let access = self.target("")?;
        legacy::all_there(backup, &[key, dump]).await?;
        let unknown = DatabaseProperties::default();
        let LoadTarget { access, name } = self.prepared(access, "restored", &unknown, None, Roles::NotNeeded).await?;
        let options = match self.options(None, &access).await {
            Ok(options) => options,
            Err(error) => return Err(self.left_behind(error, &access, false).await),
        };
        let progress = Progress::new(0);
        let _reporter = Reporter::start(Activity::Restoring, progress.clone(), &backup.stem);
        let (target, stop, options) = (access.clone(), cancel.clone(), self.dump_options(options));
        let sink = move || {
            let psql = options.sessions.start(&target, None, &stop)?;
            Ok(MaskStage::new(options.mask, Filter::new(options.filter, psql)))
        };
        let limit = ask.legacy.length();
        let brought = legacy::fetch_object(backup, key, dump, ask.key, ask.workers, limit, sink, &progress, cancel).await;
        let (counted, (masked, filtered)) = match brought {
            Ok(brought) => brought,
            Err(error) => return Err(self.left_behind(self.likely_mask(error), &access, false).await),
        };
        let access = self.renamed(&access, name).await?;
        let mut warnings: Vec<String> = filtered.below.into_iter().map(String::from).collect();
        warnings.push(UNKNOWN_VALUES.to_owned());
        if ask.create {
            warnings.push(UNKNOWN_PROPERTIES.to_owned());
        }
        warnings.extend(self.unmasked(&counted));
        let statistics = self.wanted_statistics(&filtered.changes, false);
        let statistics = self.make_statistics(statistics, &access, &mut warnings).await?;
        let mut restored = RestoreSummary::new(backup, None, &access, &counted, warnings, self.begun);
        (restored.left_out, restored.masked, restored.statistics) = (filtered.changes.left_out, masked, statistics);
        Ok(restored)
    }

    /// What is wished, and what the target makes necessary.
    async fn options(&self, contents: Option<&Inventory>, access: &PsqlTarget) -> Result<FilterOptions> {
        let (ask, cancel) = (self.ask, self.cancel);
        let (target, stop) = (access.clone(), cancel.clone());
        let existing = blocking(move || target_database::existing(&target, &stop)).await?;
        Ok(FilterOptions {
            // Large objects bring a transaction of their own, whose end would end ours half way.
            no_transactions: ask.sessions == DumpSessions::OneTransaction,
            settings_newer_than: Some(server_major(access, cancel).await?),
            no_statistics: ask.mask.is_some(),
            existing_schemas: existing.schemas,
            schemas_of_others: existing.schemas_of_others,
            makes_schemas: contents.is_some_and(Inventory::is_of_chosen),
            existing_extensions: existing.extensions,
            members: contents
                .map(|contents| ExtensionMembers::new(&contents.extensions))
                .unwrap_or_default(),
            ..ask.filter.clone()
        })
    }
}

/// What came of a dump that is in.
struct LoadedDump {
    counted: DumpStats,
    values: ValueSettings,
    /// As [`compare::LoadedDump`](super::compare::LoadedDump) has them.
    rows_left_out: Vec<Vec<Vec<u8>>>,
    tables_made: BTreeSet<TableName>,
    masked: Vec<MaskedTable>,
    statistics: WantedStatistics,
    left_out: Vec<LeftOut>,
    warnings: Vec<String>,
}

/// Which tables there are, an inventory says.
fn no_part() -> Error {
    Error::new(
        Code::BadUsage,
        "--table and --schema: this backup has no inventory, by which parts of it are found",
    )
    .advise("`pgseal decrypt --table` gives the rows of one table of it.")
}

/// Of a database that is somebody else's to set.
fn other_amounts(locale: &str, access: &PsqlTarget) -> String {
    format!(
        "amounts of type money went in right, and this database may show and read them in another locale, a hundred times as high or as \
         low: ALTER DATABASE {} SET lc_monetary TO {}",
        sql::identifier(access.conninfo.dbname().unwrap_or_default()),
        sql::literal(locale)
    )
}
