//! `decrypt`: the dump, or another object of a backup, in the clear.

use super::CommandOutput;
use super::key_arguments::{KeyArguments, LegacyArguments, Trust};
use super::restore::BackupArgument;
use crate::cancel::Cancel;
use crate::envelope::manifest::Role;
use crate::error::{Code, Error, Result};
use crate::human::units;
use crate::observe::output;
use crate::restore::decrypt;
use crate::variables::Env;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct Decrypt {
    #[command(flatten)]
    backup: BackupArgument,
    #[command(flatten)]
    key: KeyArguments,
    /// A new file instead of standard output (`-`)
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replaces that file, if there is one
    #[arg(long, requires = "output")]
    force: bool,
    #[command(flatten)]
    legacy: LegacyArguments,
    /// What of the backup to decrypt
    #[arg(long, value_enum, default_value_t = DecryptedObject::Dump)]
    what: DecryptedObject,
    /// Only the rows of this table, as COPY has them; may be given several times
    #[arg(long = "table", value_name = "TABLE")]
    tables: Vec<String>,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Clone, Copy, ValueEnum)]
enum DecryptedObject {
    /// The dump: SQL for psql
    Dump,
    /// What should be in it, table by table: JSON
    Inventory,
    /// The roles: SQL for psql
    Globals,
}

pub(super) async fn run(arguments: &Decrypt, env: &Env, cancel: &Cancel) -> Result<CommandOutput> {
    if arguments.output.is_none() && output::stdout_is_terminal() {
        return Err(
            Error::new(Code::BadUsage, "--output: without it all of the dump would go to this terminal")
                .advise("Give -o FILE, or a pipe; `-o -` if the terminal is meant."),
        );
    }
    let signer = arguments.trust.signer()?;
    let (backup, key) = arguments
        .key
        .with_backup(&arguments.backup.backup, signer.as_ref(), env, cancel)
        .await?;
    let ask = decrypt::DecryptOptions {
        key: &key,
        signer: signer.as_ref(),
        role: match arguments.what {
            DecryptedObject::Dump => Role::Dump,
            DecryptedObject::Inventory => Role::Inventory,
            DecryptedObject::Globals => Role::Globals,
        },
        tables: &arguments.tables,
        output: arguments.output.as_deref().filter(|path| *path != Path::new("-")),
        force: arguments.force,
        legacy: arguments.legacy.consent(),
        workers: arguments.trust.workers(),
    };
    let counted = decrypt::decrypt(&backup, &ask, cancel).await?;
    let what = match ask.role {
        Role::Dump if !ask.tables.is_empty() => format!("the rows of {} from a dump", ask.tables.join(", ")),
        Role::Dump => format!(
            "the dump, {} in {}",
            units::counted(counted.rows, "row"),
            units::counted(counted.tables.len() as u64, "table")
        ),
        role => role.as_str().to_owned(),
    };
    let place = ask.output.map(|path| format!(" into {}", path.display())).unwrap_or_default();
    let size = units::sized(counted.plain_bytes);
    tracing::info!("{}: decrypted {what}, {size}{place}", backup.stem);
    Ok(CommandOutput::SILENT)
}
