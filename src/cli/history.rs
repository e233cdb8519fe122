//! `history` and `diff`: what became of tables, by inventories alone.

use super::CommandOutput;
use super::fleet::{must_be_new, write_page};
use super::key_arguments::{KeyArguments, must_exist, verifier};
use super::restore::since;
use crate::cancel::Cancel;
use crate::error::Result;
use crate::restore::diff;
use crate::restore::find::ChosenBackup;
use crate::restore::history::losses::DropLimit;
use crate::restore::history::nights::NightFilter;
use crate::restore::history::{self, FoundNights, HistoryOptions};
use crate::variables::Env;
use clap::Args;
use std::path::PathBuf;
use time::OffsetDateTime;

#[derive(Args)]
pub struct HistoryArguments {
    /// s3://bucket/prefix, or a directory
    #[arg(value_name = "LOCATION")]
    location: String,
    #[command(flatten)]
    key: KeyArguments,
    /// Only this table: orders, public.orders or '"Odd Name"'
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// The database, where the place has backups of several
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// The server, where several have a database of this name: what the `source` in `list --json` begins with
    #[arg(long, value_name = "DIGEST")]
    source: Option<String>,
    /// The share of its rows that a table may lose from one night to the next
    #[arg(long, value_name = "SHARE", value_parser = DropLimit::parse, default_value = "10%")]
    drop: DropLimit,
    /// Only nights since then: 2026-11-24, 2026-11-24T02:00:00Z, or 7d for seven days ago
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<OffsetDateTime>,
    /// Only the N newest
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// The public key of the required signer: only what they signed counts
    #[arg(long, value_name = "FILE")]
    signer: Option<PathBuf>,
    /// Leaves a page of HTML there, too: a new file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Replaces that file, if there is one
    #[arg(long, requires = "html")]
    force: bool,
}

#[derive(Args)]
pub struct DiffArguments {
    /// The earlier one: s3://bucket/prefix/STEM, s3://bucket/prefix/latest:DATABASE, or a directory: directory[/STEM]
    #[arg(value_name = "BACKUP")]
    before: String,
    /// The later one
    #[arg(value_name = "BACKUP")]
    after: String,
    #[command(flatten)]
    key: KeyArguments,
    /// The public key of the required signer: an unsigned or otherwise signed backup is refused
    #[arg(long, value_name = "FILE")]
    signer: Option<PathBuf>,
}

pub(super) async fn history(arguments: &HistoryArguments, env: &Env, cancel: &Cancel) -> Result<CommandOutput> {
    must_be_new(arguments.html.as_deref(), arguments.force)?;
    let signer = verifier(arguments.signer.as_deref())?;
    must_exist(&arguments.key.key)?;
    let filter = NightFilter {
        database: arguments.database.clone(),
        source: arguments.source.clone(),
        since: arguments.since,
        limit: arguments.limit,
    };
    let found = FoundNights::find(&arguments.location, &filter, signer.as_ref(), env, cancel).await?;
    // Nobody types a passphrase for backups that are not there.
    let key = cancel.run_until_cancelled(arguments.key.open()).await?;
    let ask = HistoryOptions {
        key: &key,
        signer: signer.as_ref(),
        table: arguments.table.clone(),
        drop: arguments.drop,
    };
    let told = history::history(found, &ask, cancel).await?;
    if let Some(path) = &arguments.html {
        write_page(path, arguments.force, &told.to_html())?;
    }
    let exit = told.error.as_ref().map_or(0, |error| error.code.exit());
    Ok(CommandOutput::new(told, exit))
}

pub(super) async fn diff(arguments: &DiffArguments, env: &Env, cancel: &Cancel) -> Result<CommandOutput> {
    let signer = verifier(arguments.signer.as_deref())?;
    must_exist(&arguments.key.key)?;
    let before = ChosenBackup::find(&arguments.before, signer.as_ref(), env, cancel).await?;
    let (after, key) = arguments.key.with_backup(&arguments.after, signer.as_ref(), env, cancel).await?;
    Ok(CommandOutput::new(
        diff::diff(&before, &after, &key, signer.as_ref(), cancel).await?,
        0,
    ))
}
