//! Which door, and the exit code.

use clap::Parser;
use pgseal::cancel::Cancel;
use pgseal::cli::{self, Cli};
use pgseal::error::{Code, Error, Result};
use pgseal::event::Env;
use pgseal::heap;
use pgseal::lambda;
use pgseal::observe::logs;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use std::io::Write;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    heap::share();
    let cli = Cli::parse();
    let env = Env::of_process();
    logs::start(&env);
    seal_process();
    let run = || {
        // One thread for all that waits: an answer then wakes no thread beside the one that asked. What takes time, the road
        // and its workers, has threads of its own.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime
            .map_err(|error| Error::new(Code::Bug, format!("no runtime: {error}")))?
            .block_on(door(cli, &env))
    };
    // A panic has told its place by then; here it only gets its exit code.
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    let outcome = outcome.unwrap_or_else(|_| Err(Error::new(Code::Bug, "the program panicked")));
    outcome.unwrap_or_else(|error| {
        eprintln!("pgseal: {error}\n  {}", error.hint());
        ExitCode::from(error.code.exit())
    })
}

async fn door(cli: Cli, env: &Env) -> Result<ExitCode> {
    let cancel = Cancel::new()?;
    on_signals(&cancel)?;
    let said = match cli.command {
        Some(command) => Some(cli::run(command, env, &cancel).await?),
        // The runtime itself panics where this variable is missing.
        None if env.get("AWS_LAMBDA_RUNTIME_API").is_some() => {
            lambda::run(env, &cancel).await?;
            return Ok(ExitCode::SUCCESS);
        }
        None => cli::one_shot(env, &cancel).await,
    };
    let Some((answer, exit)) = said else {
        eprint!("{}", cli::usage());
        return Ok(ExitCode::from(2));
    };
    // Whoever closed our stdout does not want the receipt; what was done stands all the same.
    if let Some(answer) = answer {
        let _ = writeln!(std::io::stdout(), "{answer}");
    }
    Ok(ExitCode::from(exit))
}

/// SIGTERM and SIGINT become a cancel like any other; as process 1 they would otherwise do nothing.
fn on_signals(cancel: &Cancel) -> Result<()> {
    for (kind, name) in [(SignalKind::terminate(), "SIGTERM"), (SignalKind::interrupt(), "SIGINT")] {
        let mut signals = signal(kind).map_err(|error| Error::new(Code::Bug, format!("no handler for {name}: {error}")))?;
        let cancel = cancel.clone();
        tokio::spawn(async move {
            if signals.recv().await.is_some() {
                cancel.cancel(Error::new(Code::Terminated, format!("stopped by {name}")));
            }
        });
    }
    Ok(())
}

/// No core dump of this process, and no debugger of the same user: its memory holds tokens and secrets.
fn seal_process() {
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
