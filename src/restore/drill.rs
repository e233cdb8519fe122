//! A backup that was never restored is a hope. A drill restores it into a throw-away server, counts, and leaves a report.

use super::collations;
use super::compare::{Comparison, LoadedDump, compare};
use super::create::{CreateOptions, CreateOutcome, try_create};
use super::failed_rows;
use super::filter::{DumpHead, ExtensionMembers, Filter, FilterChanges, FilterOptions, UnfinishedChanges};
use super::find::ChosenBackup;
use super::properties::{self, PropertyChoice};
use super::psql::trial_reports::TrialReports;
use super::psql::{self, PsqlMode, PsqlTarget, ReportText, is_without_words};
use super::report::{self, DrillPhase, DrillReport};
use super::scratch_database;
use super::scratch_server::{self, ScratchOptions, ScratchServer};
use super::steps::{blocking, globals, server_major, unknown_extensions};
use super::target_database::existing;
use super::unsealed::UnsealedBackup;
use super::value_settings::{self, ValueSettings};
use super::verify::check_against_inventory;
use crate::cancel::Cancel;
use crate::envelope::manifest::{Role, Timestamp};
use crate::envelope::private_key::PrivateKey;
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::format::database_properties::DatabaseProperties;
use crate::format::inventory::Inventory;
use crate::observe::progress::{Progress, Reporter};
use crate::process::client_tools::ClientTools;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use time::OffsetDateTime;

/// Of the database in the throw-away server.
const DATABASE: &str = "drill";

pub(crate) struct DrillOptions<'a> {
    /// Given away: it is gone from memory before any other process is started.
    pub key: PrivateKey,
    pub signer: Option<&'a Verifier>,
    /// Goes on where nothing confines what the backup's code does.
    pub unconfined: bool,
    /// What is to be left out of the dump.
    pub filter: FilterOptions,
    pub workers: usize,
    /// Folders to look for PostgreSQL in, before the usual ones.
    pub client_folders: Vec<PathBuf>,
    pub path: Option<String>,
}

/// Never fails without a report: what stopped it stands there.
pub(crate) async fn drill(backup: &ChosenBackup, ask: DrillOptions<'_>, cancel: &Cancel) -> DrillReport {
    let (started, begun) = (OffsetDateTime::now_utc(), Instant::now());
    let mut report = DrillReport {
        format: DrillReport::FORMAT,
        outcome: report::DrillOutcome::Failed,
        program: format!("pgseal {}", env!("CARGO_PKG_VERSION")),
        started_at: Timestamp(started),
        finished_at: Timestamp(started),
        duration_ms: 0,
        options: report::ReportedOptions::new(&ask.filter, ask.unconfined),
        backup: report::ReportedBackup {
            stem: backup.stem.clone(),
            key_fingerprint: ask.key.fingerprint().to_owned(),
            ..report::ReportedBackup::default()
        },
        restored: report::ReportedRestore::default(),
        confinement: None,
        phases: Vec::new(),
        error: None,
        comparison: None,
        left_out: Vec::new(),
        not_restored: Vec::new(),
        warnings: Vec::new(),
    };
    match run_drill(backup, ask, &mut report, cancel).await {
        Ok(comparison) => report.comparison = Some(comparison),
        Err(error) => report.error = Some(error),
    }
    report.outcome = DrillReport::outcome(report.error.as_ref(), report.comparison.as_ref());
    report.finished_at = Timestamp(OffsetDateTime::now_utc());
    report.duration_ms = begun.elapsed().as_millis() as u64;
    report
}

async fn run_drill(backup: &ChosenBackup, ask: DrillOptions<'_>, report: &mut DrillReport, cancel: &Cancel) -> Result<Comparison> {
    let begun = Instant::now();
    let DrillOptions {
        key,
        signer,
        unconfined,
        filter,
        workers,
        client_folders,
        path,
    } = ask;
    let opened = UnsealedBackup::open(backup, &key, signer).await?;
    // From here on the data key of this one backup is all that there is to steal.
    drop(key);
    describe(&opened, report);
    report.warnings.extend(opened.warnings().into_iter().map(ReportText::ours));
    let contents = opened.contents(cancel).await?;
    let contents = contents.ok_or_else(|| {
        let message = format!(
            "{} is in the format `legacy`, which has no inventory: a drill has nothing to compare with",
            backup.stem
        );
        Error::new(Code::BadUsage, message).advise("Restore it into a database of your own (`pgseal restore --create`), and look there.")
    })?;
    phase(report, "open and prove the backup", begun, None);

    let begun = Instant::now();
    let programs = find_programs(&opened, &client_folders, path.as_deref())?;
    let server = start(programs, &contents.properties, unconfined, cancel).await?;
    report.confinement = Some(server.confinement());
    report.warnings.extend(server.abandoned().map(ReportText::ours));
    let (superuser, restorer) = (server.access().database(DATABASE), server.restorer().database(DATABASE));
    let restorer_name = server.restorer_name().to_owned();
    report.restored.psql_version = restorer.client.version.clone();
    let (target, stop, properties) = (superuser.clone(), cancel.clone(), contents.properties.clone());
    let creation = CreateOptions::from_properties(&contents.properties);
    let (server, version, fallback) = blocking(move || {
        let fallback = make(&target, &creation, &stop)?;
        let collations = collations::make(&properties, &target, &stop)?;
        let collations = collations.map(ReportText::ours);
        let fallback: Vec<ReportText> = fallback.into_iter().chain(collations).collect();
        server.hand_over(DATABASE, &stop)?;
        Ok((server, target.query("SHOW server_version", &stop)?, fallback))
    })
    .await?;
    report.restored.server_version = version;
    report.warnings.extend(fallback.clone());
    phase(report, "start a PostgreSQL", begun, None);

    let begun = Instant::now();
    let has_globals = opened.manifest.object(Role::Globals).is_some();
    if has_globals {
        let (changes, said) = globals(&opened, &superuser, true, workers, cancel).await?;
        report.warnings.extend(said);
        report.left_out.extend(changes.left_out);
        report.not_restored.extend(changes.not_restored);
    }
    let (target, stop, properties) = (superuser.clone(), cancel.clone(), contents.properties.clone());
    let said = blocking(move || scratch_database::make_roles(&properties, &target, &stop)).await?;
    report.warnings.extend(said);
    phase(report, "restore the roles", begun, None);

    // Backups of earlier releases do not know whom their owners and privileges are of.
    let knows_roles = has_globals || contents.properties.encoding.is_some();
    let filter = FilterOptions {
        no_owner: !knows_roles || filter.no_owner,
        no_privileges: !knows_roles || filter.no_privileges,
        ..filter
    };
    report.warnings.extend(unknown_extensions(&filter, &contents).map(ReportText::ours));
    let wishes = [(filter.no_owner, "owners"), (filter.no_privileges, "privileges")];
    report.restored.without = wishes
        .into_iter()
        .filter(|(left, _)| *left)
        .map(|(_, what)| what.to_owned())
        .collect();
    let wanted = PropertyChoice {
        owner: !filter.no_owner,
        privileges: !filter.no_privileges,
        roles: true,
    };

    let begun = Instant::now();
    let tried = TrialReports::new()?;
    let target = DrillTarget {
        tried: tried.clone(),
        superuser: superuser.clone(),
        restorer: restorer.clone(),
        restorer_name,
    };
    let (bytes, changes) = match load(&opened, &contents, target, filter, workers, report, cancel).await {
        Ok(loaded) => loaded,
        Err(error) => {
            let error = failed_rows::tell(error, server, DATABASE, contents, restorer, cancel).await;
            return Err(in_another_locale(
                without_roles(error, has_globals || opened.manifest.is_partial()),
                &fallback,
            ));
        }
    };
    phase(report, "restore the dump", begun, Some(bytes));

    let begun = Instant::now();
    let (stop, told) = (cancel.clone(), tried.clone());
    let (comparison, said) = blocking(move || {
        server.take_settings_back(DATABASE, &stop)?;
        // By the owner of the database: to plan a query runs what stands in the dump's constraints and indexes.
        let loaded = LoadedDump {
            left_out: &changes.rows_left_out,
            made: &changes.tables_made,
        };
        let comparison = compare(&contents, loaded, &restorer.after_load(), &stop)?;
        let superuser = superuser.after_load();
        let mut said = scratch_database::set_owners(&changes.aside, &superuser, &told, &stop)?;
        said.extend(properties::apply(&contents.properties, wanted, &superuser, &stop)?);
        drop(server);
        Ok((comparison, said))
    })
    .await?;
    report.warnings.extend(said);
    report.not_restored.extend(tried.take_not_restored());
    phase(report, "count and compare", begun, None);
    Ok(comparison)
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

async fn start(
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

/// A drill's database, by the two who work at it.
struct DrillTarget {
    tried: TrialReports,
    superuser: PsqlTarget,
    restorer: PsqlTarget,
    restorer_name: String,
}

/// Streams the dump into the server, as a role that is no superuser; gives its plain bytes, and what was changed in it, some of
/// it for the superuser to do at the end.
async fn load(
    opened: &UnsealedBackup<'_>,
    contents: &Inventory,
    target: DrillTarget,
    filter: FilterOptions,
    workers: usize,
    report: &mut DrillReport,
    cancel: &Cancel,
) -> Result<(u64, FilterChanges)> {
    let DrillTarget {
        tried,
        superuser,
        restorer,
        restorer_name,
    } = target;
    let values = ValueSettings::of(&contents.properties, &restorer, cancel).await?;
    report.warnings.extend(values.warnings().map(ReportText::ours));
    let restorer = values.target.clone();
    let schemas = {
        let (restorer, stop) = (restorer.clone(), cancel.clone());
        blocking(move || Ok(existing(&restorer, &stop)?.schemas)).await?
    };
    let options = FilterOptions {
        mark: tried.mark().to_owned(),
        // A folder outside of the server's own would stay behind.
        no_tablespaces: true,
        settings_newer_than: Some(server_major(&restorer, cancel).await?),
        existing_schemas: schemas.clone(),
        makes_schemas: contents.is_of_chosen(),
        set_aside: true,
        superuser_only: true,
        members: ExtensionMembers::new(&contents.extensions),
        ..filter
    };
    let progress = Progress::new(contents.plain_bytes);
    let _reporter = Reporter::start(progress.clone(), &opened.backup.stem);
    let (stop, excluded) = (cancel.clone(), options.exclude_extensions.clone());
    let unfinished = UnfinishedChanges::default();
    let (recorded, told) = (unfinished.clone(), tried.clone());
    let made_beside: Arc<OnceLock<Option<String>>> = Arc::default();
    let of_extensions = made_beside.clone();
    let sink = move || {
        let psql = restorer.restore(PsqlMode::all(false), &stop)?.telling(&told);
        let prepare = move |head: &DumpHead| {
            let prepared = scratch_database::prepare(head, &excluded, &superuser, &restorer_name, &schemas, &stop)?;
            let _ = of_extensions.set(scratch_database::schemas_beside(head, &prepared));
            Ok(prepared)
        };
        Ok(Filter::with_head(options, Box::new(prepare), psql).recording(&recorded))
    };
    let brought = opened.fetch_object(Role::Dump, workers, sink, &progress, cancel).await;
    report.warnings.extend(made_beside.get().cloned().flatten().map(ReportText::ours));
    let (counted, filtered) = brought.map_err(|error| {
        let error = values.likely_cause(error);
        let mut changes = unfinished.take_changes();
        changes.not_restored.extend(tried.take_not_restored());
        let error = changes.likely_cause(error);
        report.left_out.extend(changes.left_out);
        report.not_restored.extend(changes.not_restored);
        error
    })?;
    report.warnings.extend(filtered.below);
    let mut changes = filtered.changes;
    report.warnings.extend(changes.warnings().map(ReportText::ours));
    report.left_out.append(&mut changes.left_out);
    report.not_restored.append(&mut changes.not_restored);
    report.not_restored.extend(tried.take_not_restored());
    check_against_inventory(&counted, contents)?;
    Ok((counted.plain_bytes, changes))
}

fn describe(opened: &UnsealedBackup<'_>, report: &mut DrillReport) {
    let manifest = &opened.manifest;
    report.backup = report::ReportedBackup {
        run: manifest.run.clone(),
        database: manifest.database.clone(),
        manifest_sha256: opened.manifest_sha256.to_string(),
        origin: opened.origin.clone(),
        source: manifest.source_text(),
        partial: manifest.is_partial(),
        dumped_at: manifest.started_at.to_string(),
        plain_bytes: manifest.plain_bytes,
        sealed_bytes: manifest.objects.iter().map(|object| object.size).sum(),
        compression: manifest.compression.clone(),
        server_version: manifest.server_version.clone(),
        pg_dump_version: manifest.pg_dump_version.clone(),
        program: manifest.program.clone(),
        ..std::mem::take(&mut report.backup)
    };
}

fn phase(report: &mut DrillReport, name: &str, begun: Instant, bytes: Option<u64>) {
    report.phases.push(DrillPhase {
        name: name.to_owned(),
        duration_ms: begun.elapsed().as_millis() as u64,
        bytes,
    });
}
