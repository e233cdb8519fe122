//! `fleet`: many servers at once.

use super::CommandOutput;
use super::key_arguments::verifier;
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::restore::fleet_status::{FleetStatusOptions, fleet_status};
use crate::restore::list::filter::age;
use crate::store::{Location, NewFile};
use crate::variables::Env;
use clap::{Args, Subcommand};
use std::io::Write;
use std::path::{Path, PathBuf};
use time::Duration;

#[derive(Subcommand)]
pub enum Fleet {
    /// Says of each database on each server how old its newest complete backup is, and what is missing
    #[command(after_help = super::help::FLEET_STATUS)]
    Status(FleetStatusArguments),
}

#[derive(Args)]
pub struct FleetStatusArguments {
    /// s3://bucket/prefix, or a directory: the folders below it are the servers'
    #[arg(value_name = "LOCATION")]
    location: String,
    /// Fails (exit 7) where a newest backup is older
    #[arg(long, value_name = "AGE", value_parser = age, default_value = "26h")]
    max_age: Duration,
    /// Where drills leave their reports, if not beside the backups: s3://bucket/drills, or a directory
    #[arg(long, value_name = "LOCATION")]
    reports: Option<String>,
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

pub(super) async fn fleet(command: &Fleet, env: &Env, cancel: &Cancel) -> Result<CommandOutput> {
    let Fleet::Status(arguments) = command;
    must_be_new(arguments.html.as_deref(), arguments.force)?;
    let ask = FleetStatusOptions {
        max_age: arguments.max_age,
        reports: arguments.reports.as_deref().map(Location::parse).transpose()?,
        signer: verifier(arguments.signer.as_deref())?,
    };
    let status = fleet_status(&arguments.location, &ask, env, cancel).await?;
    if let Some(path) = &arguments.html {
        write_page(path, arguments.force, &status.to_html())?;
    }
    let exit = status.error.as_ref().map_or(0, |error| error.code.exit());
    Ok(CommandOutput::new(status, exit))
}

/// Told before any work is done.
pub(super) fn must_be_new(path: Option<&Path>, replace: bool) -> Result<()> {
    match path.filter(|path| !replace && path.exists()) {
        Some(path) => Err(exists(path)),
        None => Ok(()),
    }
}

fn exists(path: &Path) -> Error {
    Error::new(Code::BadUsage, format!("--html: {} exists already", path.display())).advise("Name another file, or add --force.")
}

pub(super) fn write_page(path: &Path, replace: bool, page: &str) -> Result<()> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(path),
        _ => Error::new(Code::BadUsage, format!("--html: {} cannot be written: {error}", path.display())),
    };
    let mut file = NewFile::create(path, 0o644).map_err(failed)?;
    file.write_all(page.as_bytes()).map_err(failed)?;
    match replace {
        true => file.replace().map_err(failed),
        false => file.publish().map_err(failed),
    }
}
