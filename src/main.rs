//! Which entry point, and the exit code.

use clap::Parser;
use pgseal::allocator;
use pgseal::aws;
use pgseal::cancel::Cancel;
use pgseal::cli::{self, Cli, CommandOutput};
use pgseal::descriptors;
use pgseal::error::{Code, Error, Result};
use pgseal::format::ToJson;
use pgseal::lambda;
use pgseal::observe::{logs, output};
use pgseal::panics;
use pgseal::receipt::Receipt;
use pgseal::signals::{self, AnswerOnce};
use pgseal::variables::Env;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    descriptors::keep_from_children();
    allocator::limit_malloc_arenas();
    panics::tell_places_only();
    let exit = match Cli::try_parse() {
        Ok(cli) => {
            let env = Env::of_process();
            logs::start(&env);
            harden_process();
            let entry = EntryPoint::of(cli, &env);
            if matches!(entry, EntryPoint::Lambda) || entry.takes_an_event() {
                aws::read_system_roots_ahead();
            }
            let answer = Arc::new(AnswerOnce::default());
            let outcome = open(&entry, &env, &answer);
            // None: the watch over signals has answered, and ends the process.
            answer.give(|| say(&entry, outcome)).unwrap_or(Code::Terminated.exit())
        }
        Err(usage) => misused(&usage),
    };
    output::flush();
    ExitCode::from(exit)
}

enum EntryPoint {
    Version { verbose: bool },
    Command(Box<cli::Command>),
    Lambda,
    OneShot,
}

impl EntryPoint {
    fn of(cli: Cli, env: &Env) -> Self {
        match cli.command {
            None if cli.version => Self::Version { verbose: cli.verbose },
            Some(command) => Self::Command(Box::new(command)),
            // The runtime itself panics where this variable is missing.
            None if env.get("AWS_LAMBDA_RUNTIME_API").is_some() => Self::Lambda,
            None => Self::OneShot,
        }
    }

    /// Whether a failure of ours is answered on stdout too, as every other failure there.
    fn takes_an_event(&self) -> bool {
        match self {
            Self::Command(command) => command.takes_an_event(),
            Self::Version { .. } | Self::Lambda => false,
            Self::OneShot => true,
        }
    }
}

/// What was done, or why not, a panic included. Whatever still waits in a thread by then (a silent name server) is not
/// waited for.
fn open(entry: &EntryPoint, env: &Env, answer: &Arc<AnswerOnce>) -> Result<Option<CommandOutput>> {
    // One thread for all that waits: an answer then wakes no thread beside the one that asked. What takes time, the pipeline
    // and its workers, has threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(Code::Bug, format!("no runtime: {error}")))?;
    let cancel = Cancel::new()?;
    signals::watch(&cancel, answer, entry.takes_an_event())?;
    let work = async {
        match entry {
            EntryPoint::Version { verbose } => Ok(Some((Some(cli::version(*verbose, env)), 0))),
            EntryPoint::Command(command) => cli::run_command(command, env, &cancel).await.map(Some),
            EntryPoint::Lambda => lambda::serve(env, &cancel).await.map(|()| Some((None, 0))),
            EntryPoint::OneShot => Ok(cli::one_shot(env, &cancel).await),
        }
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(work)));
    runtime.shutdown_background();
    outcome.unwrap_or_else(|_| {
        let bug = panics::bug();
        cancel.cancel(bug.clone());
        Err(bug)
    })
}

/// Says the outcome, and gives the exit status.
fn say(entry: &EntryPoint, outcome: Result<Option<CommandOutput>>) -> u8 {
    let (answer, exit) = match outcome {
        Ok(Some((None, exit))) => return exit,
        Ok(Some((Some(answer), exit))) => (answer, exit),
        Ok(None) => {
            output::tell(&cli::usage());
            return Code::BadUsage.exit();
        }
        Err(error) => {
            tell(&error);
            if !entry.takes_an_event() {
                return error.code.exit();
            }
            let exit = error.code.exit();
            (Receipt::refused(error).to_json(), exit)
        }
    };
    match output::answer(&answer) {
        Ok(()) => exit,
        Err(unsaid) => {
            tell(&unsaid);
            if entry.takes_an_event() {
                output::tell(&format!("{answer}\n"));
            }
            // A failure is worth more than that nobody could read of it.
            if exit == 0 { unsaid.code.exit() } else { exit }
        }
    }
}

fn tell(error: &Error) {
    output::tell(&format!("pgseal: {error}\n  {}\n", error.hint()));
}

/// Help and version were asked for; everything else is a mistake on the command line.
fn misused(usage: &clap::Error) -> u8 {
    let text = usage.render();
    if usage.use_stderr() {
        output::tell(&format!("pgseal: {}: {text}", Code::BadUsage.name()));
        return Code::BadUsage.exit();
    }
    match output::answer(text.to_string().trim_end()) {
        Ok(()) => 0,
        Err(unsaid) => {
            tell(&unsaid);
            unsaid.code.exit()
        }
    }
}

/// No core dump of this process, and no debugger of the same user: its memory holds tokens and secrets.
fn harden_process() {
    // Both can only fail where they are forbidden from outside, and then a backup is worth more than the refusal.
    let _ = setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    );
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
