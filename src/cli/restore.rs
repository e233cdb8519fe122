//! The commands of the restore pipeline.

use super::CommandOutput;
use super::filter::FilterArguments;
use super::key_arguments::{KeyArguments, LegacyArguments, Trust, must_exist, read_file, verifier};
use crate::aws::manifest_signer::ManifestSigner;
use crate::cancel::Cancel;
use crate::envelope::private_key::{PrivateKey, passphrase};
use crate::envelope::recipient::{self, Recipient};
use crate::envelope::test_keys;
use crate::error::{Code, Error, Result};
use crate::observe::logs::ANSWER;
use crate::plan::SigningKey;
use crate::plan::values::secret_arn;
use crate::rds::secret;
use crate::restore::conninfo::Conninfo;
use crate::restore::dump_sink::DumpSessions;
use crate::restore::find::ChosenBackup;
use crate::restore::list::UnreadableEntry;
use crate::restore::list::filter::{self, ListFilter, age};
use crate::restore::mask::MaskRules;
use crate::restore::{clean, list, load, rewrap, verify};
use crate::variables::Env;
use clap::Args;
use secrecy::ExposeSecret;
use std::path::{Path, PathBuf};
use time::{Duration, OffsetDateTime};

/// Which backup.
#[derive(Args)]
pub(crate) struct BackupArgument {
    /// s3://bucket/prefix/STEM, s3://bucket/prefix/latest:DATABASE, or a directory with the downloaded objects: directory[/STEM]
    #[arg(value_name = "BACKUP")]
    pub(super) backup: String,
}

#[derive(Args)]
pub struct Verify {
    #[command(flatten)]
    backup: BackupArgument,
    /// The RSA private key of one of the backup's recipients: a PEM file, or the ARN of a secret in Secrets Manager; without
    /// it only what is not encrypted is compared
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A file, or /dev/fd/N, whose first line is the key's passphrase; asked at the terminal otherwise
    #[arg(long, value_name = "FILE", requires = "key")]
    passphrase_file: Option<PathBuf>,
    /// Reads every byte even without a key
    #[arg(long)]
    deep: bool,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Args)]
pub struct Restore {
    #[command(flatten)]
    backup: BackupArgument,
    #[command(flatten)]
    key: KeyArguments,
    /// The database, empty: a connection string of libpq, as `host=… dbname=…` or postgresql://…
    #[arg(long, value_name = "CONNINFO")]
    to: String,
    /// Makes the database first
    #[arg(long)]
    create: bool,
    /// All or nothing: leaves nothing of a restore that failed
    #[arg(long)]
    single_transaction: bool,
    /// So many connections to the target: the rows of tables, keys and indexes go in beside each other
    #[arg(long, short, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Restores the roles first, where the backup has them
    #[arg(long)]
    globals: bool,
    /// Reads all rows back and holds them against the backup, as a drill does
    #[arg(long)]
    compare: bool,
    /// Only this table, with its partitions, sequences, indexes and constraints; may be given several times
    #[arg(long = "table", value_name = "TABLE")]
    tables: Vec<String>,
    /// Only what is in this schema; may be given several times
    #[arg(long = "schema", value_name = "SCHEMA")]
    schemas: Vec<String>,
    /// Masks columns on the way, for staging: a file of rules as JSON, see docs/RESTORE.md
    #[arg(long, value_name = "FILE")]
    mask: Option<PathBuf>,
    /// Leaves ANALYZE to you; else it follows the rows, unless the backup holds the planner's statistics
    #[arg(long)]
    no_analyze: bool,
    #[command(flatten)]
    filter: FilterArguments,
    #[command(flatten)]
    legacy: LegacyArguments,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Args)]
pub struct Drill {
    #[command(flatten)]
    pub(super) backup: BackupArgument,
    #[command(flatten)]
    pub(super) key: KeyArguments,
    /// Where the report is left, as JSON and as HTML: a directory, or s3://bucket/prefix
    #[arg(long, value_name = "LOCATION", default_value = ".")]
    pub(super) report: String,
    /// So many connections to the throw-away server: the rows of tables, keys and indexes go in beside each other
    #[arg(long, short, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(super) jobs: u16,
    #[command(flatten)]
    pub(super) filter: FilterArguments,
    /// Goes on where neither Landlock nor other users keep the backup's code from this machine
    #[arg(long)]
    pub(super) unconfined: bool,
    #[command(flatten)]
    pub(super) trust: Trust,
}

#[derive(Args)]
pub struct Rewrap {
    #[command(flatten)]
    backup: BackupArgument,
    #[command(flatten)]
    key: KeyArguments,
    /// The RSA public key of a new recipient: a PEM file; may be given several times
    #[arg(long = "recipient", value_name = "FILE", required = true)]
    recipients: Vec<PathBuf>,
    /// Keeps the present recipients beside the new ones
    #[arg(long)]
    keep: bool,
    /// The public key of the required signer; with PGSEAL_SIGNING_KEY, that key unless another one is named here
    #[arg(long, value_name = "FILE")]
    signer: Option<PathBuf>,
    /// Signs a backup that nobody has signed yet: you know that it is genuine
    #[arg(long, conflicts_with = "signer")]
    adopt_unsigned: bool,
}

#[derive(Args)]
pub struct List {
    /// s3://bucket/prefix, or a directory; add /STEM to list only that backup
    #[arg(value_name = "LOCATION")]
    location: String,
    /// Only backups of this database
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Only backups since then: 2026-11-24, 2026-11-24T02:00:00Z, or 7d for seven days ago
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<OffsetDateTime>,
    /// Show only the N newest
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Also in the folders below it, such as one for each server
    #[arg(long)]
    recursive: bool,
    /// Fails (exit 7) unless each database has a complete backup that is no older, such as 26h: a check for cron
    #[arg(long, value_name = "AGE", value_parser = age)]
    max_age: Option<Duration>,
    /// The public key of the required signer: says of each backup whether they signed it (`pinned`)
    #[arg(long, value_name = "FILE")]
    signer: Option<PathBuf>,
}

#[derive(Args)]
pub struct Clean {
    /// s3://bucket/prefix, or a directory
    #[arg(value_name = "LOCATION")]
    location: String,
    /// Removes them
    #[arg(long)]
    delete: bool,
    /// Only what is older. Give more than your longest backup takes: of one that is still running this would delete the key
    #[arg(long, value_name = "AGE", value_parser = age, default_value = "7d")]
    older_than: Duration,
    /// Deletes what is not even a day old, too
    #[arg(long)]
    force: bool,
}

pub(super) fn since(text: &str) -> Result<OffsetDateTime, String> {
    filter::since(text, OffsetDateTime::now_utc())
}

pub(crate) async fn verify(arguments: &Verify, env: &Env, cancel: &Cancel) -> Result<CommandOutput> {
    let signer = arguments.trust.signer()?;
    if let Some(key) = &arguments.key {
        must_exist(key)?;
    }
    let backup = ChosenBackup::find(&arguments.backup.backup, signer.as_ref(), env, cancel).await?;
    let key = match &arguments.key {
        Some(key) => Some(
            cancel
                .run_until_cancelled(private_key(key, arguments.passphrase_file.as_deref()))
                .await?,
        ),
        None => None,
    };
    let ask = verify::VerifyOptions {
        key: key.as_ref(),
        signer: signer.as_ref(),
        deep: arguments.deep,
        workers: arguments.trust.workers(),
    };
    let report = verify::verify(&backup, &ask, cancel).await;
    let exit = report.error.as_ref().map_or(0, |error| error.code.exit());
    Ok(CommandOutput::new(report, exit))
}

pub(crate) async fn restore(arguments: &Restore, env: &Env, cancel: &Cancel) -> Result<CommandOutput> {
    let to = Conninfo::parse(&arguments.to)?;
    if to.password().is_some() {
        tracing::warn!("--to holds a password, which others on this machine can read there: better PGPASSWORD or PGPASSFILE");
    }
    if arguments.single_transaction && arguments.jobs > 1 {
        let error = Error::field(
            Code::BadUsage,
            "jobs",
            "and --single-transaction exclude each other: a transaction has one connection",
        );
        return Err(error.advise("Take --jobs with --create: the database then gets its name only when all of it is in."));
    }
    let mask = arguments.mask.as_deref().map(MaskRules::read).transpose()?;
    let signer = arguments.trust.signer()?;
    let (backup, key) = arguments
        .key
        .with_backup(&arguments.backup.backup, signer.as_ref(), env, cancel)
        .await?;
    let ask = load::LoadOptions {
        key: &key,
        signer: signer.as_ref(),
        to,
        create: arguments.create,
        sessions: DumpSessions::of(arguments.jobs.into(), arguments.single_transaction),
        tables: &arguments.tables,
        schemas: &arguments.schemas,
        compare: arguments.compare,
        filter: arguments.filter.options(),
        globals: arguments.globals,
        legacy: arguments.legacy.consent(),
        mask,
        analyze: !arguments.no_analyze,
        workers: arguments.trust.workers(),
        client_folders: env.client_folders(),
        path: env.get("PATH").map(str::to_owned),
    };
    let restored = load::restore(&backup, &ask, cancel).await?;
    Ok(CommandOutput::new(restored, 0))
}

pub(crate) async fn rewrap(arguments: &Rewrap, env: &Env, cancel: &Cancel) -> Result<CommandOutput> {
    let read = |path: &PathBuf| {
        let text = String::from_utf8_lossy(&read_file("--recipient", path)?).into_owned();
        let known = Recipient::parse(&text).and_then(|recipient| Ok((test_keys::admit(std::slice::from_ref(&recipient), env)?, recipient)));
        let (warnings, recipient) = known.map_err(|error| of_option(error, path))?;
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(recipient)
    };
    let recipients = arguments.recipients.iter().map(read).collect::<Result<Vec<_>>>()?;
    cancel.run_until_cancelled(recipient::tested(&recipients)).await?;
    let signing = match SigningKey::from_env(env)? {
        Some(key) => Some(cancel.run_until_cancelled(ManifestSigner::tried(&key)).await?),
        None => None,
    };
    let signer = verifier(arguments.signer.as_deref())?;
    let (backup, key) = arguments
        .key
        .with_backup(&arguments.backup.backup, signer.as_ref(), env, cancel)
        .await?;
    let ask = rewrap::RewrapOptions {
        key: &key,
        signer: signer.as_ref(),
        recipients,
        keep: arguments.keep,
        signing,
        adopt_unsigned: arguments.adopt_unsigned,
    };
    let rewrapped = rewrap::rewrap(&backup, &ask, cancel).await?;
    Ok(CommandOutput::new(rewrapped, 0))
}

pub(crate) async fn list(arguments: &List, env: &Env, cancel: &Cancel) -> Result<CommandOutput> {
    let signer = verifier(arguments.signer.as_deref())?;
    let filter = ListFilter {
        database: arguments.database.clone(),
        since: arguments.since,
        limit: arguments.limit,
        recursive: arguments.recursive,
        max_age: arguments.max_age,
    };
    let listing = list::list(&arguments.location, &filter, signer.as_ref(), env, cancel).await?;
    if let Some(UnreadableEntry { stem, error, .. }) = listing.unreadable.first() {
        tracing::error!(
            target: ANSWER,
            code = error.code.name(),
            "{stem} cannot be read: {}. {}",
            error.message,
            error.hint()
        );
    }
    if let Some(error) = &listing.error {
        tracing::error!(target: ANSWER, code = error.code.name(), "{}. {}", error.message, error.hint());
    }
    let exit = listing.failure().map_or(0, |error| error.code.exit());
    Ok(CommandOutput::new(listing, exit))
}

pub(crate) async fn clean(arguments: &Clean, env: &Env, cancel: &Cancel) -> Result<CommandOutput> {
    if arguments.delete && arguments.older_than < Duration::days(1) && !arguments.force {
        let error = Error::new(
            Code::BadUsage,
            "--older-than: less than a day: a backup that is still running would lose its key",
        );
        return Err(error.advise("Give more than your longest backup takes, or add --force if nothing is running."));
    }
    let ask = clean::CleanOptions {
        delete: arguments.delete,
        older_than: arguments.older_than,
    };
    let report = clean::clean(&arguments.location, &ask, env, cancel).await?;
    let exit = report.error.as_ref().map_or(0, |error| error.code.exit());
    Ok(CommandOutput::new(report, exit))
}

/// Where an event has a field, this command has an option and a file.
fn of_option(mut error: Error, path: &Path) -> Error {
    error.message = format!("--recipient: {} {}", path.display(), error.without_field());
    error.field = None;
    match error.code {
        Code::PrivateKeyGiven => error.advise(format!(
            "Give its public half: `openssl pkey -in {} -pubout -out public_key.pem`. It was not used; if it ever left this machine, treat it as leaked.",
            path.display()
        )),
        _ => error,
    }
}

/// From a file, or from a secret: a drill on ECS has no file of its own.
pub(super) async fn private_key(place: &str, passphrase_file: Option<&Path>) -> Result<PrivateKey> {
    if !place.starts_with("arn:") {
        return PrivateKey::open(Path::new(place), passphrase_file);
    }
    let secret = secret_arn(place.to_owned()).map_err(|error| Error::field(Code::BadEvent, "key", error.without_field()))?;
    let text = secret::text(&secret).await?;
    PrivateKey::parse(text.expose_secret().as_bytes(), || passphrase::ask(place, passphrase_file))
}
