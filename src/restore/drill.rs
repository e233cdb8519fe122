//! A backup that was never restored is a hope. A drill restores it into a throw-away server, counts, and leaves a report.

use super::backup::Backup;
use super::compare::{Comparison, compare};
use super::create::{Created, Creation, try_create};
use super::filter::FilterOptions;
use super::into::{blocking, dump, globals};
use super::opened::Opened;
use super::properties::{self, Wanted};
use super::psql::{self, Access};
use super::report::{self, Phase, Report};
use super::throwaway::{self, Throwaway};
use super::verify::agrees;
use crate::cancel::Cancel;
use crate::envelope::contents::Contents;
use crate::envelope::manifest::{Role, Timestamp};
use crate::envelope::private_key::PrivateKey;
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::format::database_properties::DatabaseProperties;
use crate::observe::progress::{Progress, Reporter};
use std::path::PathBuf;
use std::time::Instant;
use time::OffsetDateTime;

/// Of the database in the throw-away server.
const DATABASE: &str = "drill";

pub struct Ask<'a> {
    pub key: &'a PrivateKey,
    pub signer: Option<&'a Verifier>,
    /// What is to be left out of the dump.
    pub filter: FilterOptions,
    pub workers: usize,
    /// Folders to look for PostgreSQL in, before the usual ones.
    pub client_folders: Vec<PathBuf>,
    pub path: Option<String>,
}

/// Never fails without a report: what stopped it stands there.
pub async fn drill(backup: &Backup, ask: &Ask<'_>, cancel: &Cancel) -> Report {
    let (started, begun) = (OffsetDateTime::now_utc(), Instant::now());
    let mut report = Report {
        format: Report::FORMAT,
        outcome: report::Outcome::Failed,
        program: format!("pgseal {}", env!("CARGO_PKG_VERSION")),
        started_at: Timestamp(started),
        finished_at: Timestamp(started),
        duration_ms: 0,
        backup: report::Backup {
            stem: backup.stem.clone(),
            key_fingerprint: ask.key.fingerprint().to_owned(),
            ..report::Backup::default()
        },
        restored: report::Restored::default(),
        phases: Vec::new(),
        error: None,
        comparison: None,
        left_out: Vec::new(),
        not_restored: Vec::new(),
        warnings: Vec::new(),
    };
    match run(backup, ask, &mut report, cancel).await {
        Ok(comparison) => report.comparison = Some(comparison),
        Err(error) => report.error = Some(error),
    }
    report.outcome = Report::outcome(report.error.as_ref(), report.comparison.as_ref());
    report.finished_at = Timestamp(OffsetDateTime::now_utc());
    report.duration_ms = begun.elapsed().as_millis() as u64;
    report
}

async fn run(backup: &Backup, ask: &Ask<'_>, report: &mut Report, cancel: &Cancel) -> Result<Comparison> {
    let begun = Instant::now();
    let opened = Opened::open(backup, ask.key, ask.signer).await?;
    describe(&opened, report);
    report.warnings.extend(opened.warnings());
    let contents = opened.contents(cancel).await?;
    let contents = contents.ok_or_else(|| {
        Error::new(
            Code::NoBackup,
            format!("{} has no inventory to compare with: it is of the old format", backup.stem),
        )
    })?;
    phase(report, "open and prove the backup", begun, None);

    let begun = Instant::now();
    let server = start(&opened, &contents.properties, ask, cancel).await?;
    let access = server.access().database(DATABASE);
    report.restored.psql_version = access.client.version.clone();
    let (target, stop) = (access.clone(), cancel.clone());
    let creation = Creation::from_properties(&contents.properties);
    let (version, fallback) = blocking(move || {
        let fallback = make(&target, &creation, &stop)?;
        Ok((target.query("SHOW server_version", &stop)?, fallback))
    })
    .await?;
    report.restored.server_version = version;
    report.warnings.extend(fallback.clone());
    phase(report, "start a PostgreSQL", begun, None);

    let has_globals = opened.manifest.object(Role::Globals).is_some();
    if has_globals {
        let begun = Instant::now();
        let (changes, said) = globals(&opened, &access, true, ask.workers, cancel).await?;
        report.warnings.extend(said);
        report.left_out.extend(changes.left_out);
        report.not_restored.extend(changes.not_restored);
        phase(report, "restore the roles", begun, None);
    } else {
        report.restored.without = vec!["owners".to_owned(), "privileges".to_owned()];
    }

    let begun = Instant::now();
    let bytes = load(&opened, &contents, &access, !has_globals, ask, report, cancel)
        .await
        .map_err(|error| in_another_locale(error, fallback.as_deref()))?;
    let wanted = Wanted {
        owner: has_globals,
        privileges: has_globals,
        roles: has_globals,
    };
    let (target, stop, properties) = (access.clone(), cancel.clone(), contents.properties.clone());
    let said = blocking(move || properties::apply(&properties, wanted, &target, &stop)).await?;
    report.warnings.extend(said);
    phase(report, "restore the dump", begun, Some(bytes));

    let begun = Instant::now();
    let stop = cancel.clone();
    let comparison = blocking(move || {
        let comparison = compare(&contents, &access, &stop);
        drop(server);
        comparison
    })
    .await?;
    phase(report, "count and compare", begun, None);
    Ok(comparison)
}

/// Makes the database like the source's. A server that lacks the locale has a near one: that is said.
fn make(target: &Access, creation: &Creation, cancel: &Cancel) -> Result<Option<String>> {
    let Created::LocaleRefused(words) = try_create(target, creation, cancel)? else {
        return Ok(None);
    };
    let mut last = words.clone();
    for near in creation.nearest() {
        match try_create(target, &near, cancel)? {
            Created::Yes => {
                return Ok(Some(format!(
                    "the server of this drill lacks the source's locale ({creation}): the database is in {near} instead, and sorts otherwise ({words})"
                )));
            }
            Created::LocaleRefused(words) => last = words,
        }
    }
    Err(Error::new(
        Code::RestoreFailed,
        format!("no database in the source's encoding ({creation}) can be made here: {last}"),
    ))
}

/// Bounds of partitions, checks and unique expressions over text hold in the source's order of letters.
fn in_another_locale(mut error: Error, fallback: Option<&str>) -> Error {
    if let Some(fallback) = fallback.filter(|_| error.code == Code::RestoreFailed) {
        error.message = format!("{}; it may be the locale: {fallback}", error.message);
        return error.advise("Install the source's locale where drills run; the image `drill` makes it by itself.");
    }
    error
}

async fn start(opened: &Opened<'_>, properties: &DatabaseProperties, ask: &Ask<'_>, cancel: &Cancel) -> Result<Throwaway> {
    let major = opened
        .manifest
        .server_version
        .split('.')
        .next()
        .and_then(|major| major.parse().ok());
    let major = major.ok_or_else(|| Error::new(Code::Tampered, "the manifest names no version of a server"))?;
    let server = throwaway::find(&ask.client_folders, ask.path.as_deref(), major)?;
    let psql = psql::find(&ask.client_folders, ask.path.as_deref(), &opened.manifest.pg_dump_version)?;
    let stop = cancel.clone();
    let locales: Vec<String> = Creation::from_properties(properties).libc_locales().map(str::to_owned).collect();
    blocking(move || Throwaway::start(&server, psql, &locales, &std::env::temp_dir(), &stop)).await
}

/// Streams the dump into the server; gives its plain bytes.
async fn load(
    opened: &Opened<'_>,
    contents: &Contents,
    access: &Access,
    plainly: bool,
    ask: &Ask<'_>,
    report: &mut Report,
    cancel: &Cancel,
) -> Result<u64> {
    let said = super::into::schemas_of_tables(contents, access, cancel).await?;
    report.warnings.extend(said);
    let there = {
        let (target, stop) = (access.clone(), cancel.clone());
        blocking(move || super::empty::existing(&target, &stop)).await?
    };
    let options = FilterOptions {
        no_owner: plainly || ask.filter.no_owner,
        no_privileges: plainly || ask.filter.no_privileges,
        // A folder outside of the server's own would stay behind.
        no_tablespaces: true,
        settings_newer_than: Some(super::into::server_major(access, cancel).await?),
        existing_schemas: there.schemas,
        ..ask.filter.clone()
    };
    let progress = Progress::new(contents.plain_bytes);
    let _reporter = Reporter::start(progress.clone(), &opened.backup.stem);
    let (counted, filtered) = dump(opened, access, options, false, ask.workers, &progress, cancel).await?;
    report.warnings.extend(filtered.below);
    report.left_out.extend(filtered.changes.left_out);
    report.not_restored.extend(filtered.changes.not_restored);
    agrees(&counted, contents)?;
    Ok(counted.plain_bytes)
}

fn describe(opened: &Opened<'_>, report: &mut Report) {
    let manifest = &opened.manifest;
    report.backup = report::Backup {
        run: manifest.run.clone(),
        database: manifest.database.clone(),
        manifest_sha256: opened.manifest_sha256.clone(),
        origin: opened.origin.clone(),
        source: manifest.source_text().to_owned(),
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

fn phase(report: &mut Report, name: &str, begun: Instant, bytes: Option<u64>) {
    report.phases.push(Phase {
        name: name.to_owned(),
        duration_ms: begun.elapsed().as_millis() as u64,
        bytes,
    });
}
