//! The entry points of a shell and of ECS: commands, and the one-shot backup.

mod decrypt;
mod drill;
mod event_argument;
mod explain;
mod filter;
mod fleet;
mod help;
mod history;
mod init;
mod key_arguments;
mod keygen;
mod report_place;
mod restore;
mod rows;
mod shown;
mod usage;
mod version;
mod views;

pub use views::failure;

pub use event_argument::EventArgument;
pub use shown::{refuse_private_keys, with_logins};
pub use usage::Misuse;
pub use version::version;

use crate::aws;
use crate::aws::task_token::TaskToken;
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::format::ToJson;
use crate::handler::{HandlerContext, Response, handle};
use crate::human::{Answer, Page, Verbatim};
use crate::observe::output;
use crate::plan::bucket;
use crate::plan::{Action, Plan, RegionName, RuntimeLimits};
use crate::policy;
use crate::receipt::{Receipt, Refusal};
use crate::signals::FailureDocument;
use crate::variables;
use crate::variables::Env;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

/// Of the options that every command takes.
const EVERYWHERE: &str = "Options of every command";

fn region(text: &str) -> Result<String, String> {
    match RegionName::new("region", text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.without_field().to_owned()),
    }
}

/// Sealed backups of PostgreSQL on RDS, straight to S3.
///
/// Without a command it answers events on Lambda, and elsewhere makes one backup of what BACKUP_EVENT (JSON) or the
/// environment variables describe.
#[derive(Parser)]
#[command(name = "pgseal", disable_version_flag = true, after_help = help::SHORT, after_long_help = help::LONG)]
pub struct Cli {
    /// Print version; with -v also the commit, the target, and the installed pg_dump and psql
    #[arg(short = 'V', long)]
    pub version: bool,
    /// Prints more of what is done
    #[arg(short, long, global = true, help_heading = EVERYWHERE)]
    pub verbose: bool,
    /// Prints only errors and the result
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = EVERYWHERE)]
    pub quiet: bool,
    /// Answers with the JSON document that a pipe gets, at a terminal too
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub json: bool,
    /// The bucket's region, before what the environment and the profile say
    #[arg(long, global = true, value_name = "REGION", value_parser = region, help_heading = EVERYWHERE)]
    pub region: Option<String>,
    /// The profile in ~/.aws/config and ~/.aws/credentials, such as one of `aws sso login`
    #[arg(long, global = true, value_name = "NAME", help_heading = EVERYWHERE)]
    pub profile: Option<String>,
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Cli {
    /// The level of the log that options ask for.
    pub fn level(&self) -> Option<&'static str> {
        match (self.quiet, self.verbose) {
            (true, _) => Some("error"),
            (_, true) => Some("debug"),
            _ => None,
        }
    }
}

/// What a command says, and its exit status.
pub struct CommandOutput {
    pub answer: Option<Box<dyn Answer>>,
    pub exit: u8,
}

impl CommandOutput {
    pub fn new(answer: impl Answer + 'static, exit: u8) -> Self {
        Self {
            answer: Some(Box::new(answer)),
            exit,
        }
    }

    /// Nothing is left to be said.
    pub const SILENT: Self = Self { answer: None, exit: 0 };
}

#[derive(Subcommand)]
pub enum Command {
    /// Makes one backup now
    #[command(after_help = help::BACKUP)]
    Backup(EventArgument),
    /// Checks everything except the dump itself: names, keys, bucket, TLS, login, versions, privileges, size; writes nothing
    #[command(after_help = help::CHECK)]
    Check {
        #[command(flatten)]
        event: EventArgument,
        /// Only resolves the event, without any network
        #[arg(long, hide = true)]
        offline: bool,
    },
    /// Says which databases the event means, each as an event of its own with its estimate; writes nothing
    #[command(after_help = help::PLAN)]
    Plan(EventArgument),
    /// Prints the IAM policies that the event's writer and its backups' readers need
    #[command(after_help = help::POLICY)]
    Policy(EventArgument),
    /// Lists complete backups, the newest first, and apart from them what interrupted runs left
    #[command(after_help = help::LIST)]
    List(restore::List),
    /// Removes what interrupted runs left: objects that no manifest names; without --delete it only lists them
    #[command(after_help = help::CLEAN)]
    Clean(restore::Clean),
    /// Compares a backup with its manifest; with the private key, every byte down to the inventory
    #[command(after_help = help::VERIFY)]
    Verify(restore::Verify),
    /// Restores a backup into an empty database, streaming, stopping at the first error
    #[command(after_help = help::RESTORE)]
    Restore(restore::Restore),
    /// Restores a backup into a throw-away server, compares it with its inventory, and leaves a report
    #[command(after_help = help::DRILL)]
    Drill(restore::Drill),
    /// Tells what became of each table over many nights, and its last good night, without reading any dump
    #[command(after_help = help::HISTORY)]
    History(history::HistoryArguments),
    /// Tells in what two backups differ: tables, extensions, versions, properties, without reading any dump
    #[command(after_help = help::DIFF)]
    Diff(history::DiffArguments),
    /// Gives a backup new recipients; the dump is not touched
    #[command(after_help = help::REWRAP)]
    Rewrap(restore::Rewrap),
    /// Decrypts the dump
    #[command(after_help = help::DECRYPT)]
    Decrypt(decrypt::Decrypt),
    /// Prints rows of one table, without a server
    #[command(after_help = help::ROWS)]
    Rows(rows::Rows),
    /// Asks a few questions; writes an event, prints the SQL and the policies that it needs, and checks what is there
    #[command(after_help = help::INIT)]
    Init(init::Init),
    /// Tells the state of many servers' backups: `pgseal fleet status LOCATION`
    #[command(subcommand)]
    Fleet(fleet::Fleet),
    /// Makes a pair of keys: the public one for events, the private one for restores
    #[command(after_help = help::KEYGEN)]
    Keygen(keygen::Keygen),
    /// Lists the codes of all failures, with exit status and advice
    Codes,
    /// Says what the code of a failure means, and what to do
    Explain {
        /// Such as s3_denied
        code: String,
    },
    /// Prints a script that completes commands and options: `pgseal completions bash > /etc/bash_completion.d/pgseal`
    Completions {
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Prints the manual page: `pgseal man | man -l -`
    Man {
        /// Of this command
        command: Option<String>,
    },
}

impl Command {
    /// Whether it is about an event.
    pub fn takes_an_event(&self) -> bool {
        matches!(self, Self::Backup(_) | Self::Check { .. } | Self::Plan(_))
    }

    /// Its answer if it fails, for a program: one JSON document, in the shape of the command if it has one. Nothing stands in
    /// the place of a backup's content or of a script.
    pub fn failure_document(&self) -> FailureDocument {
        match self {
            Self::Backup(_) => |error| Some(Receipt::refused(error).to_json()),
            Self::Check { .. } => |error| Some(Response::refused(Some(Action::Check), error).to_json()),
            Self::Plan(_) => |error| Some(Response::refused(Some(Action::Plan), error).to_json()),
            Self::Decrypt(_) | Self::Rows(_) | Self::Completions { .. } | Self::Man { .. } => |_| None,
            _ => |error| Some(Refusal::new(error).to_json()),
        }
    }
}

/// Runs a command; gives what goes to stdout, and the exit status.
pub async fn run_command(command: &Command, env: &Env, cancel: &Cancel) -> Result<CommandOutput> {
    let of_profile;
    let mut env = env;
    if !command.takes_an_event() {
        // An event's own answer says it too.
        variables::check(env)?;
        if bucket::region_variable(env).is_none()
            && let Some(region) = aws::region_of_profile().await
        {
            of_profile = env.with("AWS_DEFAULT_REGION", &region);
            env = &of_profile;
        }
    }
    let world = HandlerContext {
        env,
        deadline: None,
        cancel,
    };
    let answer = match command {
        Command::Backup(argument) => Box::pin(handle(argument.read(env, cancel).await, Some(Action::Backup), &world)).await,
        Command::Check {
            event: argument,
            offline: false,
        } => Box::pin(handle(argument.read(env, cancel).await, Some(Action::Check), &world)).await,
        Command::Check {
            event: argument,
            offline: true,
        } => {
            let resolved = plan_of(argument, env, cancel).await;
            match resolved {
                Ok(plan) => return Ok(CommandOutput::new(Verbatim(crate::check::describe(&plan).to_string()), 0)),
                Err(error) => Response::refused(Some(Action::Check), error),
            }
        }
        Command::Plan(argument) => Box::pin(handle(argument.read(env, cancel).await, Some(Action::Plan), &world)).await,
        Command::List(arguments) => return Box::pin(restore::list(arguments, env, cancel)).await.map_err(misused),
        Command::Clean(arguments) => return Box::pin(restore::clean(arguments, env, cancel)).await.map_err(misused),
        Command::Verify(arguments) => return Box::pin(restore::verify(arguments, env, cancel)).await.map_err(misused),
        Command::Restore(arguments) => return Box::pin(restore::restore(arguments, env, cancel)).await.map_err(misused),
        Command::Drill(arguments) => return Box::pin(drill::drill(arguments, env, cancel)).await.map_err(misused),
        Command::History(arguments) => return Box::pin(history::history(arguments, env, cancel)).await.map_err(misused),
        Command::Diff(arguments) => return Box::pin(history::diff(arguments, env, cancel)).await.map_err(misused),
        Command::Rewrap(arguments) => return Box::pin(restore::rewrap(arguments, env, cancel)).await.map_err(misused),
        Command::Decrypt(arguments) => return Box::pin(decrypt::run(arguments, env, cancel)).await.map_err(misused),
        Command::Rows(arguments) => return Box::pin(rows::print(arguments, env, cancel)).await.map_err(misused),
        Command::Fleet(command) => return Box::pin(fleet::fleet(command, env, cancel)).await.map_err(misused),
        Command::Policy(argument) => {
            let plan = plan_of(argument, env, cancel).await?;
            return Ok(CommandOutput::new(policy::policies(&plan), 0));
        }
        Command::Init(arguments) => return Box::pin(init::init(arguments, env, cancel)).await.map_err(misused),
        Command::Keygen(arguments) => return Ok(CommandOutput::new(keygen::keygen(arguments).map_err(misused)?, 0)),
        Command::Codes => return Ok(CommandOutput::new(explain::CodeList, 0)),
        Command::Explain { code } => return Ok(CommandOutput::new(explain::explain(code)?, 0)),
        Command::Completions { shell } => return Ok(CommandOutput::new(Verbatim(help::completions(*shell)), 0)),
        Command::Man { command } => return Ok(CommandOutput::new(Verbatim(help::manual(command.as_deref())?), 0)),
    };
    Ok(of_response(answer))
}

/// A command without an event has no fields of one: what cannot be used is an argument, or a variable of the environment.
fn misused(mut error: Error) -> Error {
    let is_argument = |name: &str| !name.contains(|letter: char| letter.is_ascii_uppercase());
    if error.code == Code::BadEvent && error.field.as_deref().is_none_or(is_argument) {
        error.code = Code::BadUsage;
    }
    match error.code {
        Code::S3NoBucket => error.or_advise("Correct the bucket's name in s3://BUCKET/PREFIX."),
        Code::Terminated => error.or_advise("Stopped by a signal. Nothing was changed; run again."),
        _ => error,
    }
}

/// The entry point of ECS, cron and a shell. `None`: there is neither an event nor the variables of one.
pub async fn one_shot(env: &Env, cancel: &Cancel) -> Option<CommandOutput> {
    // A variable that cannot be read may be the event itself.
    let event = match variables::check(env).map(|()| env.get("BACKUP_EVENT")) {
        Err(error) => Err(error),
        Ok(Some(text)) => Event::parse(text),
        Ok(None) if event_argument::describes_a_backup(env) => Ok(Event::default()),
        Ok(None) => return None,
    };
    let world = HandlerContext {
        env,
        deadline: None,
        cancel,
    };
    Some(of_response(handle_task(event, &world).await))
}

/// If Step Functions waits for this run, it hears from it. What cannot be told changes nothing of what was done.
async fn handle_task(event: Result<Event>, world: &HandlerContext<'_>) -> Response {
    let told = |error: Error| tracing::error!(code = error.code.name(), "{}", error.message);
    let token = TaskToken::from_env(world.env).await.unwrap_or_else(|error| {
        told(error);
        None
    });
    let heartbeat = token.as_ref().map(|token| token.beat(world.cancel));
    let answer = handle(event, None, world).await;
    if let Some(token) = token {
        // None may come behind the answer.
        drop(heartbeat);
        let _ = token.report(answer.to_outcome()).await.map_err(told);
    }
    answer
}

fn of_response(response: Response) -> CommandOutput {
    let exit = response.exit();
    CommandOutput::new(response, exit)
}

/// The process's own arguments. Help fits the terminal as all screens do.
pub fn parse() -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    if output::stdout_is_terminal() {
        command = command.term_width(Page::terminal_width().min(100));
    }
    Cli::from_arg_matches(&command.try_get_matches()?)
}

/// Usage, for stderr.
pub fn usage() -> String {
    // The mistake last: it is what is still to be seen.
    let help = Cli::command().render_help();
    format!(
        "{help}\n\npgseal: no event: give a command, BACKUP_EVENT, or the environment variables of a backup.\n`pgseal init` asks a few questions and writes an event.\n"
    )
}

/// Resolved without any network.
async fn plan_of(argument: &EventArgument, env: &Env, cancel: &Cancel) -> Result<Plan> {
    resolved(&argument.read(env, cancel).await?, env)
}

fn resolved(event: &Event, env: &Env) -> Result<Plan> {
    let place = RuntimeLimits {
        now: time::OffsetDateTime::now_utc(),
        cpus: crate::handler::cpus(),
        memory: crate::handler::memory(env),
    };
    Plan::resolve(event, env, place)
}
