//! One drill under way, phase by phase.

mod statistics;

use super::{DrillOptions, full_disk};
use crate::cancel::Cancel;
use crate::envelope::manifest::Role;
use crate::error::{Code, Error, Result};
use crate::format::database_properties::DatabaseProperties;
use crate::format::inventory::Inventory;
use crate::observe::progress::{Activity, Progress, Reporter};
use crate::pipeline::DumpStats;
use crate::process::client_tools::ClientTools;
use crate::restore::collations;
use crate::restore::compare::{Comparison, LoadedDump, compare};
use crate::restore::contents::{WrittenTables, compare_or_note};
use crate::restore::create::{CreateOptions, CreateOutcome, try_create};
use crate::restore::dump_sink::DumpSessions;
use crate::restore::failed_rows;
use crate::restore::filter::{DumpHead, ExtensionMembers, Filter, FilterChanges, FilterOptions, Filtered, UnfinishedChanges};
use crate::restore::find::ChosenBackup;
use crate::restore::properties::{self, PropertyChoice};
use crate::restore::psql::trial_reports::TrialReports;
use crate::restore::psql::{self, PsqlTarget, ReportText, is_without_words};
use crate::restore::report::{self, DrillReport};
use crate::restore::scratch_database;
use crate::restore::scratch_server::{self, ScratchOptions, ScratchServer};
use crate::restore::steps::{blocking, globals, server_major, unknown_extensions};
use crate::restore::target_database::existing;
use crate::restore::unsealed::UnsealedBackup;
use crate::restore::value_settings::{self, ValueSettings};
use crate::restore::verify::check_against_inventory;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Of the database in the throw-away server.
const DATABASE: &str = "drill";

pub(super) struct DrillRun<'a> {
    opened: UnsealedBackup<'a>,
    contents: Inventory,
    filter: FilterOptions,
    workers: usize,
    sessions: DumpSessions,
    report: &'a mut DrillReport,
    cancel: &'a Cancel,
}

/// A server with the drill's database in it, by the two who work there.
struct DrillServer {
    server: ScratchServer,
    superuser: PsqlTarget,
    /// The owner of the database, who is no superuser.
    restorer: PsqlTarget,
    /// What is not as in the source, such as the locale.
    fallback: Vec<ReportText>,
}

/// All phases. What each finds out is in the report, whatever comes after it.
pub(super) async fn run(backup: &ChosenBackup, ask: DrillOptions<'_>, report: &mut DrillReport, cancel: &Cancel) -> Result<Comparison> {
    let (folders, path, unconfined) = (ask.client_folders.clone(), ask.path.clone(), ask.unconfined);
    let mut run = DrillRun::prove(backup, ask, report, cancel).await?;
    let there = run.start(&folders, path.as_deref(), unconfined).await?;
    let knows_roles = run.make_roles(&there).await?;
    let wanted = run.choose(knows_roles);
    let tried = TrialReports::new()?;
    let (changes, heads) = match run.load(&there, &tried).await {
        Ok(loaded) => loaded,
        Err(error) => return Err(run.explain(error, there).await),
    };
    run.make_statistics(&there, &changes).await?;
    run.compare(there, (changes, heads), tried, wanted).await
}

impl<'a> DrillRun<'a> {
    async fn prove(backup: &'a ChosenBackup, ask: DrillOptions<'_>, report: &'a mut DrillReport, cancel: &'a Cancel) -> Result<Self> {
        report.begin(report::OPEN);
        let opened = UnsealedBackup::open(backup, &ask.key, ask.signer).await?;
        // From here on the data key of this one backup is all that there is to steal.
        drop(ask.key);
        report.describe(&opened);
        report.warnings.extend(opened.warnings().into_iter().map(ReportText::ours));
        let contents = opened.contents(cancel).await?.ok_or_else(|| {
            let message = format!(
                "{} is in the format `legacy`, which has no inventory: a drill has nothing to compare with",
                backup.stem
            );
            Error::new(Code::BadUsage, message)
                .advise("Restore it into a database of your own (`pgseal restore --create`), and look there.")
        })?;
        report.end(None);
        Ok(Self {
            opened,
            contents,
            filter: ask.filter,
            workers: ask.workers,
            sessions: DumpSessions::of(ask.jobs, false),
            report,
            cancel,
        })
    }

    /// A server with a database like the source's in it, which belongs to a role that is no superuser.
    async fn start(&mut self, folders: &[PathBuf], path: Option<&str>, unconfined: bool) -> Result<DrillServer> {
        self.report.begin(report::START_SERVER);
        // What stops a drill here is no fault of the backup.
        self.report.is_of_the_place = true;
        let programs = find_programs(&self.opened, folders, path)?;
        let server = start_server(programs, &self.contents.properties, unconfined, self.cancel).await?;
        self.report.confinement = Some(server.confinement());
        self.report.warnings.extend(server.abandoned().map(ReportText::ours));
        let (superuser, restorer) = (server.access().database(DATABASE), server.restorer().database(DATABASE));
        self.report.restored.psql_version = restorer.client.version.clone();
        let (target, stop, properties) = (superuser.clone(), self.cancel.clone(), self.contents.properties.clone());
        let (server, version, fallback) = blocking(move || {
            let fallback = make(&target, &CreateOptions::from_properties(&properties), &stop)?;
            let collations = collations::make(&properties, &target, &stop)?;
            let fallback: Vec<ReportText> = fallback.into_iter().chain(collations.map(ReportText::ours)).collect();
            server.hand_over(DATABASE, &stop)?;
            Ok((server, target.query("SHOW server_version", &stop)?, fallback))
        })
        .await?;
        self.report.restored.server_version = version;
        self.report.warnings.extend(fallback.clone());
        self.report.is_of_the_place = false;
        self.report.end(None);
        Ok(DrillServer {
            server,
            superuser,
            restorer,
            fallback,
        })
    }

    /// Whether the backup knows whom its owners and privileges are of: those of earlier releases do not.
    async fn make_roles(&mut self, there: &DrillServer) -> Result<bool> {
        self.report.begin(report::RESTORE_ROLES);
        if self.has_globals() {
            let (changes, said) = globals(&self.opened, &there.superuser, true, self.workers, self.cancel).await?;
            self.report.warnings.extend(said);
            self.report.left_out.extend(changes.left_out);
            self.report.not_restored.extend(changes.not_restored);
        }
        let (target, stop, properties) = (there.superuser.clone(), self.cancel.clone(), self.contents.properties.clone());
        let said = blocking(move || scratch_database::make_roles(&properties, &target, &stop)).await?;
        self.report.warnings.extend(said);
        self.report.end(None);
        Ok(self.has_globals() || self.contents.properties.encoding.is_some())
    }

    fn has_globals(&self) -> bool {
        self.opened.manifest.object(Role::Globals).is_some()
    }

    /// What is left out, and what of the database's own properties is therefore applied.
    fn choose(&mut self, knows_roles: bool) -> PropertyChoice {
        self.filter.no_owner |= !knows_roles;
        self.filter.no_privileges |= !knows_roles;
        let unknown = unknown_extensions(&self.filter, &self.contents);
        self.report.warnings.extend(unknown.map(ReportText::ours));
        let wishes = [(self.filter.no_owner, "owners"), (self.filter.no_privileges, "privileges")];
        let left = wishes.into_iter().filter(|(left, _)| *left);
        self.report.restored.without = left.map(|(_, what)| what.to_owned()).collect();
        PropertyChoice {
            owner: !self.filter.no_owner,
            privileges: !self.filter.no_privileges,
            roles: true,
        }
    }

    /// Streams the dump into the server, as a role that is no superuser; gives what was changed in it, some of it for the
    /// superuser to do at the end, and the `COPY` statements of the tables.
    async fn load(&mut self, there: &DrillServer, tried: &TrialReports) -> Result<(FilterChanges, Vec<Vec<u8>>)> {
        self.report.begin(report::RESTORE_DUMP);
        let values = ValueSettings::read(&self.contents.properties, &there.restorer, self.cancel).await?;
        self.report.warnings.extend(values.warnings().map(ReportText::ours));
        let schemas = {
            let (restorer, stop) = (values.target.clone(), self.cancel.clone());
            blocking(move || Ok(existing(&restorer, &stop)?.schemas)).await?
        };
        let options = FilterOptions {
            mark: tried.mark().to_owned(),
            // A folder outside of the server's own would stay behind.
            no_tablespaces: true,
            settings_newer_than: Some(server_major(&values.target, self.cancel).await?),
            existing_schemas: schemas.clone(),
            makes_schemas: self.contents.is_of_chosen(),
            set_aside: true,
            superuser_only: true,
            members: ExtensionMembers::new(&self.contents.extensions),
            ..self.filter.clone()
        };
        let (counted, filtered) = match self.bring(there, tried, &values, options, schemas).await {
            Ok(brought) => brought,
            Err((error, mut changes)) => {
                changes.not_restored.extend(tried.take_not_restored());
                let error = changes.likely_cause(values.likely_cause(error));
                self.report.left_out.extend(changes.left_out);
                self.report.not_restored.extend(changes.not_restored);
                return Err(error);
            }
        };
        self.report.warnings.extend(filtered.below);
        let mut changes = filtered.changes;
        self.report.warnings.extend(changes.warnings().map(ReportText::ours));
        self.report.left_out.append(&mut changes.left_out);
        self.report.not_restored.append(&mut changes.not_restored);
        self.report.not_restored.extend(tried.take_not_restored());
        check_against_inventory(&counted, &self.contents)?;
        self.report.end(Some(counted.plain_bytes));
        Ok((changes, counted.heads))
    }

    /// The bytes themselves. An error comes with what had been changed up to there.
    async fn bring(
        &mut self,
        there: &DrillServer,
        tried: &TrialReports,
        values: &ValueSettings,
        options: FilterOptions,
        schemas: BTreeSet<Vec<u8>>,
    ) -> Result<(DumpStats, Filtered<Vec<ReportText>>), (Error, FilterChanges)> {
        let progress = Progress::of_restore(self.contents.plain_bytes, self.contents.rows);
        let _reporter = Reporter::start(Activity::Restoring, progress.clone(), &self.opened.backup.stem);
        let (restorer, superuser, stop) = (values.target.clone(), there.superuser.clone(), self.cancel.clone());
        let (restorer_name, excluded) = (there.server.restorer_name().to_owned(), options.exclude_extensions.clone());
        let unfinished = UnfinishedChanges::default();
        let (recorded, told) = (unfinished.clone(), tried.clone());
        let (made_beside, sessions) = (Arc::<OnceLock<Option<String>>>::default(), self.sessions);
        let of_extensions = made_beside.clone();
        let sink = move || {
            let psql = sessions.start(&restorer, Some(&told), &stop)?;
            let prepare = move |head: &DumpHead| {
                let prepared = scratch_database::prepare(head, &excluded, &superuser, &restorer_name, &schemas, &stop)?;
                let _ = of_extensions.set(scratch_database::schemas_beside(head, &prepared));
                Ok(prepared)
            };
            Ok(Filter::with_head(options, Box::new(prepare), psql).recording(&recorded))
        };
        let brought = self
            .opened
            .fetch_object(Role::Dump, self.workers, sink, &progress, self.cancel)
            .await;
        let beside = made_beside.get().cloned().flatten();
        self.report.warnings.extend(beside.map(ReportText::ours));
        brought.map_err(|error| (error, unfinished.take_changes()))
    }

    /// Why the dump did not go in, as far as it shows once the server is gone.
    async fn explain(self, error: Error, there: DrillServer) -> Error {
        let is_partial = self.opened.manifest.is_partial();
        let has_roles = self.has_globals() || is_partial;
        let DrillServer {
            server,
            restorer,
            fallback,
            ..
        } = there;
        if is_among_rows(&error) && full_disk::may_be_told_by(&error) && server.is_out_of_space() {
            self.report.is_of_the_place = true;
            return full_disk::named_in(error);
        }
        let error = failed_rows::tell(error, server, DATABASE, self.contents, restorer, self.cancel).await;
        let error = in_another_locale(without_roles(error, has_roles), &fallback);
        match is_partial && error.code == Code::RestoreFailed {
            true => error.or_advise(
                "This backup holds a part of its database: what the part needs and lacks is in the inventory's warnings (`pgseal decrypt --what inventory`).",
            ),
            false => error,
        }
    }

    /// Counts and reads what came back, and then gives owners and properties.
    async fn compare(
        mut self,
        there: DrillServer,
        (changes, heads): (FilterChanges, Vec<Vec<u8>>),
        tried: TrialReports,
        wanted: PropertyChoice,
    ) -> Result<Comparison> {
        self.report.begin(report::COMPARE);
        let (back, stop) = (there.server.settings_back(DATABASE), self.cancel.clone());
        blocking(move || back(&stop)).await?;
        let values = ValueSettings::read(&self.contents.properties, &there.restorer, self.cancel).await?;
        let major = server_major(&there.restorer, self.cancel).await?;
        let keys = Arc::new(self.opened.row_keys());
        let written = WrittenTables {
            heads,
            keys,
            masked: BTreeSet::new(),
        };
        let (stop, told, contents) = (self.cancel.clone(), tried.clone(), std::mem::take(&mut self.contents));
        let DrillServer {
            server,
            superuser,
            restorer,
            ..
        } = there;
        let (comparison, said) = blocking(move || {
            // By the owner of the database: to plan a query runs what stands in the dump's constraints and indexes.
            let loaded = LoadedDump::alone(&changes.rows_left_out, &changes.tables_made);
            let mut comparison = compare(&contents, loaded, &restorer.after_load(), &stop)?;
            compare_or_note(&mut comparison, &contents, &written, (&values, major), &stop)?;
            let superuser = superuser.after_load();
            let mut said = scratch_database::set_owners(&changes.aside, &superuser, &told, &stop)?;
            said.extend(properties::apply(&contents.properties, wanted, &superuser, &stop)?);
            drop(server);
            Ok((comparison, said))
        })
        .await?;
        self.report.warnings.extend(said);
        self.report.not_restored.extend(tried.take_not_restored());
        self.report.end(None);
        Ok(comparison)
    }
}

/// Makes the database like the source's. A server that lacks the locale has a near one: that is said.
fn make(target: &PsqlTarget, creation: &CreateOptions, cancel: &Cancel) -> Result<Option<ReportText>> {
    let CreateOutcome::LocaleRefused(words) = try_create(target, creation, cancel)? else {
        return Ok(None);
    };
    let mut last = words.clone();
    for near in creation.nearest() {
        match try_create(target, &near, cancel)? {
            CreateOutcome::Yes => {
                return Ok(Some(ReportText::ours(format!(
                    "the server of this drill lacks the source's locale ({creation}): the database is in {near} instead, and sorts otherwise ({words})"
                ))));
            }
            CreateOutcome::LocaleRefused(words) => last = words,
        }
    }
    Err(Error::new(
        Code::RestoreFailed,
        format!("no database in the source's encoding ({creation}) can be made here: {last}"),
    ))
}

fn is_among_rows(error: &Error) -> bool {
    error.code == Code::RestoreFailed && is_without_words(error)
}

/// Rows may name roles (`regrole`, `aclitem`) that own nothing: only the globals have these.
fn without_roles(error: Error, has_all: bool) -> Error {
    const NO_OBJECT: &str = "SQLSTATE 42704";
    match !has_all && is_without_words(&error) && error.message.contains(NO_OBJECT) {
        true => error.advise(
            "Where rows hold names of roles (types regrole and aclitem), a restore needs these roles: have the event say `\"globals\": true`.",
        ),
        false => error,
    }
}

/// Bounds of partitions, checks and unique expressions over text hold in the source's order of letters.
fn in_another_locale(mut error: Error, fallback: &[ReportText]) -> Error {
    if !fallback.is_empty() && error.code == Code::RestoreFailed {
        let told: Vec<&str> = fallback.iter().map(ReportText::as_str).collect();
        error.message = format!("{}; it may be the locale: {}", error.message, told.join("; "));
        return error.advise("Install the source's locale where drills run; the image `drill` makes it by itself.");
    }
    error
}

/// Of the server and of psql.
fn find_programs(opened: &UnsealedBackup<'_>, folders: &[PathBuf], path: Option<&str>) -> Result<(ClientTools, ClientTools)> {
    let version = &opened.manifest.server_version;
    let major = version.split('.').next().and_then(|major| major.parse().ok());
    let major = major.ok_or_else(|| Error::new(Code::Tampered, "the manifest names no version of a server"))?;
    let server = scratch_server::find(folders, path, major)?;
    Ok((server, psql::find(folders, path, &opened.manifest.pg_dump_version)?))
}

async fn start_server(
    programs: (ClientTools, ClientTools),
    properties: &DatabaseProperties,
    unconfined: bool,
    cancel: &Cancel,
) -> Result<ScratchServer> {
    let stop = cancel.clone();
    let locales: Vec<String> = CreateOptions::from_properties(properties)
        .libc_locales()
        .chain(value_settings::locales(properties))
        .chain(collations::locales(properties))
        .map(str::to_owned)
        .collect();
    blocking(move || {
        let (server, psql) = programs;
        let options = ScratchOptions {
            locales: &locales,
            parent: &std::env::temp_dir(),
            unconfined,
        };
        ScratchServer::start(&server, psql, &options, &stop)
    })
    .await
}
