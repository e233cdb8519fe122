//! Into a database: checked, decrypted and decompressed bytes stream into psql, which stops at the first error.

use super::collations;
use super::conninfo::Conninfo;
use super::create::{another_locale, create, drop_database, maintenance, older_target};
use super::filter::{ExtensionMembers, Filter, FilterOptions, LeftOut};
use super::find::{BackupKind, ChosenBackup};
use super::legacy;
use super::properties::{self, PropertyChoice};
use super::psql::{self, PsqlMode, PsqlTarget};
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
use crate::observe::progress::{Activity, Progress, Reporter};
use crate::pipeline::DumpStats;
use std::path::PathBuf;
use std::time::Instant;

pub(crate) struct LoadOptions<'a> {
    pub key: &'a PrivateKey,
    pub signer: Option<&'a Verifier>,
    pub to: Conninfo,
    /// Makes the database first.
    pub create: bool,
    /// All or nothing.
    pub single_transaction: bool,
    /// What is to be left out of the dump.
    pub filter: FilterOptions,
    /// The roles first.
    pub globals: bool,
    /// A backup of the legacy image, of which nothing can be checked, may go into a database.
    pub legacy: legacy::Consent,
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
    contents: Option<Inventory>,
    properties: DatabaseProperties,
}

impl Load<'_> {
    async fn sealed(&self) -> Result<RestoreSummary> {
        let ask = self.ask;
        let opened = UnsealedBackup::open(self.backup, ask.key, ask.signer).await?;
        let manifest = &opened.manifest;
        ask.legacy.must_hold(manifest.plain_bytes)?;
        let contents = opened.contents(self.cancel).await?;
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
        let part = contents.as_ref().filter(|_| manifest.is_partial());
        let part = part.map(|contents| contents.tables.iter().map(|table| table.name.clone()).collect());
        let roles = if ask.globals {
            Roles::NotNeeded
        } else {
            Roles::needed_by(manifest, &ask.filter)
        };
        let access = self.prepared(access, &manifest.database, &properties, part, roles).await?;
        let source = LoadSource {
            opened: &opened,
            contents,
            properties,
        };
        let filled = match self.fill(&source, &access).await {
            Ok(filled) => filled,
            Err(error) => return Err(self.left_behind(error, &access, manifest.is_partial()).await),
        };
        // From here on all rows are there for good: nothing of it may be dropped.
        self.finish(source, &access, filled).await.map_err(|mut error| {
            error.message = format!(
                "{}; what the dump holds is in {} all the same",
                error.message,
                access.conninfo.describe()
            );
            error.advise("The rows are in; what belongs to the database itself (owner, settings, privileges) may be missing.")
        })
    }

    fn target(&self, pg_dump_version: &str) -> Result<PsqlTarget> {
        let client = psql::find_for_others(&self.ask.client_folders, self.ask.path.as_deref(), pg_dump_version)?;
        Ok(PsqlTarget::new(client, self.ask.to.clone(), std::env::vars_os()))
    }

    /// What is left of a restore whose dump did not go in: nothing where it was one transaction, else a part that may be all
    /// that somebody has.
    async fn left_behind(&self, mut error: Error, access: &PsqlTarget, is_part: bool) -> Error {
        let name = access.conninfo.dbname().unwrap_or("that --to names").to_owned();
        let left = match (self.ask.single_transaction, self.ask.create) {
            (true, false) => "nothing of it was kept".to_owned(),
            (true, true) => {
                // By then a cancel may have come: what was made for this goes all the same.
                let (access, made) = (access.clone(), name.clone());
                let dropped = blocking(move || drop_database(&access, &made, &Cancel::new()?)).await;
                match dropped {
                    Ok(()) => "nothing of it was kept, nor the database that --create made".to_owned(),
                    Err(_) => format!("the database {name}, made by --create, is left empty: drop it before the next try"),
                }
            }
            (false, true) => {
                format!("the database {name}, made by --create, may hold a part of the backup now: drop it before the next try")
            }
            (false, false) if is_part => format!(
                "the database {name} holds some of this part now: drop the tables that this restore made there, and nothing else, before the next try"
            ),
            (false, false) => format!("the database {name} may hold a part of the backup now: empty it before the next try"),
        };
        error.message = format!("{}; {left}", error.message);
        if matches!(error.code, Code::Terminated | Code::Deadline) {
            error = error.advise("Restore again into an empty database; --single-transaction keeps all of a restore or nothing.");
        }
        error
    }

    /// All that the backup's objects hold, up to the end of the dump.
    async fn fill(&self, source: &LoadSource<'_>, access: &PsqlTarget) -> Result<LoadedDump> {
        let (ask, cancel) = (self.ask, self.cancel);
        let LoadSource {
            opened,
            contents,
            properties,
        } = source;
        let contents = contents.as_ref();
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
                Roles::needed_by(&opened.manifest, &ask.filter),
            );
            blocking(move || roles.check_against(&source, &target, &stop)).await?;
        }
        let options = self.options(contents, access).await?;
        let values = ValueSettings::read(properties, access, cancel).await?;
        for warning in values.warnings() {
            tracing::warn!("{warning}");
            warnings.push(warning);
        }
        let progress = Progress::of_restore(opened.manifest.plain_bytes, opened.manifest.rows);
        let _reporter = Reporter::start(Activity::Restoring, progress.clone(), &opened.backup.stem);
        let single = ask.single_transaction;
        let loading = dump(opened, &values.target, options, single, ask.workers, &progress, cancel).await;
        let (counted, filtered) = loading.map_err(|error| values.likely_cause(error))?;
        warnings.extend(filtered.below.into_iter().map(String::from));
        warnings.extend(filtered.changes.warnings());
        left_out.extend(filtered.changes.left_out);
        Ok(LoadedDump {
            counted,
            lc_monetary: values.lc_monetary,
            left_out,
            warnings,
        })
    }

    /// What comes when the rows are in: the comparison with the inventory, and what belongs to the database itself.
    async fn finish(&self, source: LoadSource<'_>, access: &PsqlTarget, filled: LoadedDump) -> Result<RestoreSummary> {
        let LoadedDump {
            counted,
            lc_monetary,
            left_out,
            mut warnings,
        } = filled;
        if let Some(contents) = &source.contents {
            check_against_inventory(&counted, contents)?;
        }
        let properties = source.properties.with_money_in(lc_monetary.as_deref());
        warnings.extend(self.database_level(&properties, access).await?);
        if let Some(locale) = lc_monetary.filter(|_| !self.ask.create) {
            warnings.push(other_amounts(&locale, access));
        }
        if source.opened.manifest.is_partial() {
            warnings.push("this backup holds only a part of the database that it was made of".to_owned());
        }
        let mut restored = RestoreSummary::new(self.backup, Some(source.opened), access, &counted, warnings, self.begun);
        restored.left_out = left_out;
        Ok(restored)
    }

    /// Of the legacy image: only on demand, since a changed dump would run as SQL.
    async fn unauthenticated(&self, key: &str, dump: &str) -> Result<RestoreSummary> {
        let (backup, ask, cancel) = (self.backup, self.ask, self.cancel);
        ask.legacy.must_be_given(&backup.stem, ask.signer)?;
        let access = self.target("")?;
        legacy::all_there(backup, &[key, dump]).await?;
        let unknown = DatabaseProperties::default();
        let access = self.prepared(access, "restored", &unknown, None, Roles::NotNeeded).await?;
        let options = match self.options(None, &access).await {
            Ok(options) => options,
            Err(error) => return Err(self.left_behind(error, &access, false).await),
        };
        let progress = Progress::new(0);
        let _reporter = Reporter::start(Activity::Restoring, progress.clone(), &backup.stem);
        let (target, stop, single) = (access.clone(), cancel.clone(), ask.single_transaction);
        let sink = move || Ok(Filter::new(options, target.restore(PsqlMode::all(single), &stop)?));
        let limit = ask.legacy.length();
        let brought = legacy::fetch_object(backup, key, dump, ask.key, ask.workers, limit, sink, &progress, cancel).await;
        let (counted, filtered) = match brought {
            Ok(brought) => brought,
            Err(error) => return Err(self.left_behind(error, &access, false).await),
        };
        let mut warnings: Vec<String> = filtered.below.into_iter().map(String::from).collect();
        warnings.push(UNKNOWN_VALUES.to_owned());
        if ask.create {
            warnings.push(UNKNOWN_PROPERTIES.to_owned());
        }
        let mut restored = RestoreSummary::new(backup, None, &access, &counted, warnings, self.begun);
        restored.left_out = filtered.changes.left_out;
        Ok(restored)
    }

    /// The target, made or found empty; its name is the backup's where none was given. `part`: the tables of a backup that is
    /// not of a whole database.
    async fn prepared(
        &self,
        access: PsqlTarget,
        database: &str,
        properties: &DatabaseProperties,
        part: Option<Vec<String>>,
        roles: Roles,
    ) -> Result<PsqlTarget> {
        let (is_new, cancel, properties) = (self.ask.create, self.cancel.clone(), properties.clone());
        if !is_new && !access.names_database() {
            let error = Error::field(Code::BadUsage, "to", "names no database");
            return Err(error.advise("Add dbname=… to --to: an empty database; or --create to have it made."));
        }
        let access = match access.conninfo.dbname() {
            // Which one a service or a variable means libpq alone knows: made would be another.
            None if is_new && access.names_database() => {
                let error = Error::field(Code::BadUsage, "to", "names its database by a service or by PGDATABASE");
                return Err(error.advise("Say dbname=… in --to as well: that is the one that --create makes."));
            }
            None if is_new => access.database(database),
            _ => access,
        };
        blocking(move || {
            if !is_new {
                target_database::must_be_no_template(&access, &cancel)?;
                match part {
                    Some(tables) => target_database::must_have_none_of(&tables, &access, &cancel)?,
                    None => target_database::must_be_empty(&access, &cancel)?,
                }
            }
            let server = if is_new { maintenance(&access, &cancel)? } else { access.clone() };
            roles
                .asked_elsewhere(is_new, &properties)
                .check_against(&properties, &server, &cancel)?;
            if is_new {
                create(&access, &properties, &cancel)?;
            }
            Ok(access)
        })
        .await
    }

    /// What no dump holds: applied to a database of our making, and only spoken of where somebody else made it.
    async fn database_level(&self, properties: &DatabaseProperties, access: &PsqlTarget) -> Result<Vec<String>> {
        let (ask, cancel) = (self.ask, self.cancel);
        if !ask.create {
            let mut warnings = Vec::new();
            let place = match properties.encoding {
                Some(_) => "inventory (pgseal decrypt --what inventory)",
                None => "manifest",
            };
            if properties.has_settings() {
                warnings.push(format!(
                "settings, comment and privileges of the source's database itself were not applied: they come with --create, and are in \
                 the {place}"
            ));
            }
            return Ok(warnings);
        }
        let unknown = properties.encoding.is_none().then(|| UNKNOWN_PROPERTIES.to_owned());
        let wanted = PropertyChoice {
            owner: !ask.filter.no_owner,
            privileges: !ask.filter.no_privileges,
            roles: true,
        };
        let (properties, access, cancel) = (properties.clone(), access.clone(), cancel.clone());
        let said = blocking(move || properties::apply(&properties, wanted, &access, &cancel)).await?;
        Ok(unknown.into_iter().chain(said.into_iter().map(String::from)).collect())
    }

    /// What is wished, and what the target makes necessary.
    async fn options(&self, contents: Option<&Inventory>, access: &PsqlTarget) -> Result<FilterOptions> {
        let (ask, cancel) = (self.ask, self.cancel);
        let (target, stop) = (access.clone(), cancel.clone());
        let existing = blocking(move || target_database::existing(&target, &stop)).await?;
        Ok(FilterOptions {
            // Large objects bring a transaction of their own, whose end would end ours half way.
            no_transactions: ask.single_transaction,
            settings_newer_than: Some(server_major(access, cancel).await?),
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
    /// Without which amounts would look otherwise, see [`ValueSettings`].
    lc_monetary: Option<String>,
    left_out: Vec<LeftOut>,
    warnings: Vec<String>,
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
