//! `rows`: rows of one table, without a server.

use super::CommandOutput;
use super::key_arguments::{KeyArguments, LegacyArguments, Trust};
use super::restore::BackupArgument;
use crate::cancel::Cancel;
use crate::error::Result;
use crate::restore::rows::{RowFormat, RowsOptions, rows};
use crate::variables::Env;
use clap::{Args, ValueEnum};

#[derive(Args)]
pub struct Rows {
    #[command(flatten)]
    backup: BackupArgument,
    #[command(flatten)]
    key: KeyArguments,
    /// The table: orders, public.orders, or in double quotes as in SQL
    #[arg(long, value_name = "TABLE")]
    table: String,
    /// Only rows whose column has this value; may be given several times
    #[arg(long = "where", value_name = "COLUMN=VALUE", value_parser = condition)]
    conditions: Vec<(String, String)>,
    /// So many rows at most: what is behind them is not read
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// As what the rows are printed
    #[arg(long = "as", value_enum, default_value_t = PrintedFormat::Copy)]
    format: PrintedFormat,
    #[command(flatten)]
    legacy: LegacyArguments,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Clone, Copy, ValueEnum)]
enum PrintedFormat {
    /// A COPY statement for psql
    Copy,
    /// A statement for each row
    Insert,
    /// With a line of column names
    Csv,
    /// An object a line, its values texts or null
    Json,
}

fn condition(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(column, _)| !column.is_empty());
    let (column, value) = parts.ok_or("a column and its value are needed, such as id=42")?;
    Ok((column.to_owned(), value.to_owned()))
}

pub(super) async fn print(arguments: &Rows, env: &Env, cancel: &Cancel) -> Result<CommandOutput> {
    let signer = arguments.trust.signer()?;
    let (backup, key) = arguments
        .key
        .with_backup(&arguments.backup.backup, signer.as_ref(), env, cancel)
        .await?;
    let ask = RowsOptions {
        key: &key,
        signer: signer.as_ref(),
        table: &arguments.table,
        conditions: arguments.conditions.clone(),
        limit: arguments.limit,
        format: match arguments.format {
            PrintedFormat::Copy => RowFormat::Copy,
            PrintedFormat::Insert => RowFormat::Insert,
            PrintedFormat::Csv => RowFormat::Csv,
            PrintedFormat::Json => RowFormat::Json,
        },
        legacy: arguments.legacy.consent(),
        workers: arguments.trust.workers(),
    };
    rows(&backup, &ask, cancel).await?;
    Ok(CommandOutput::SILENT)
}
