//! Which entry point, and the exit code.

use pgseal::allocator;
use pgseal::aws;
use pgseal::cancel::Cancel;
use pgseal::cli::{self, Cli, CommandOutput, Misuse};
use pgseal::descriptors;
use pgseal::error::{Code, Error, Result};
use pgseal::format::ToJson;
use pgseal::human::{Page, Screen, Verbatim};
use pgseal::lambda;
use pgseal::observe::{logs, output, progress};
use pgseal::panics;
use pgseal::receipt::Receipt;
use pgseal::signals::{self, AnswerOnce, FailureDocument};
use pgseal::variables::Env;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    descriptors::keep_from_children();
    allocator::limit_malloc_arenas();
    panics::tell_places_only();
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    if let Some(error) = cli::refuse_private_keys(&words) {
        let exit = error.code.exit();
        say_misuse(Misuse::refused(error, &words), &words);
        output::flush();
        return ExitCode::from(exit);
    }
    output::never_say(cli::with_logins(&words));
    let exit = match cli::parse() {
        Ok(cli) => {
            let env = Env::from_process(&[("S3_REGION", cli.region.as_deref()), ("AWS_PROFILE", cli.profile.as_deref())]);
            if let Some(profile) = &cli.profile {
                aws::use_profile(profile);
            }
            let audience = Audience::new(&cli, &env);
            logs::start(&env, matches!(audience, Audience::Person(_)), cli.level());
            harden_process();
            let entry = EntryPoint::new(cli, &env);
            if matches!(entry, EntryPoint::Lambda) || entry.takes_an_event() {
                aws::read_system_roots_ahead();
            }
            let answer = Arc::new(AnswerOnce::default());
            let document = entry.failure_document(audience);
            let outcome = open(&entry, &env, &answer, document);
            // None: the watch over signals has answered, and ends the process.
            answer.give(|| say(audience, document, outcome)).unwrap_or(Code::Terminated.exit())
        }
        Err(usage) => misused(&usage, &words),
    };
    output::flush();
    ExitCode::from(exit)
}

/// Who reads standard output.
#[derive(Clone, Copy)]
enum Audience {
    /// At a terminal.
    Person(Page),
    /// Behind a pipe, or wherever `--json` was asked for.
    Program,
}

impl Audience {
    fn new(cli: &Cli, env: &Env) -> Self {
        match !cli.json && output::stdout_is_terminal() {
            true => Self::Person(Page::for_stdout(env)),
            false => Self::Program,
        }
    }
}

enum EntryPoint {
    Version { verbose: bool },
    Command(Box<cli::Command>),
    Lambda,
    OneShot,
}

impl EntryPoint {
    fn new(cli: Cli, env: &Env) -> Self {
        match cli.command {
            None if cli.version => Self::Version { verbose: cli.verbose },
            Some(command) => Self::Command(Box::new(command)),
            // The runtime itself panics where this variable is missing.
            None if env.get("AWS_LAMBDA_RUNTIME_API").is_some() => Self::Lambda,
            None => Self::OneShot,
        }
    }

    fn takes_an_event(&self) -> bool {
        match self {
            Self::Command(command) => command.takes_an_event(),
            Self::Version { .. } | Self::Lambda => false,
            Self::OneShot => true,
        }
    }

    /// What a program reads of a failure.
    fn failure_document(&self, audience: Audience) -> FailureDocument {
        match (self, audience) {
            (_, Audience::Person(_)) | (Self::Lambda | Self::Version { .. }, _) => |_| None,
            (Self::OneShot, _) => |error| Some(Receipt::refused(error).to_json()),
            (Self::Command(command), _) => command.failure_document(),
        }
    }
}

/// What was done, or why not, a panic included. Whatever still waits in a thread by then (a silent name server) is not
/// waited for.
fn open(entry: &EntryPoint, env: &Env, answer: &Arc<AnswerOnce>, document: FailureDocument) -> Result<Option<CommandOutput>> {
    // One thread for all that waits: an answer then wakes no thread beside the one that asked. What takes time, the pipeline
    // and its workers, has threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(Code::Bug, format!("no runtime: {error}")))?;
    let cancel = Cancel::new()?;
    signals::watch(&cancel, answer, document)?;
    let work = async {
        match entry {
            EntryPoint::Version { verbose } => Ok(Some(CommandOutput::new(Verbatim(cli::version(*verbose, env)), 0))),
            // On the heap: without optimisation the stack would hold a copy of each for every caller.
            EntryPoint::Command(command) => Box::pin(cli::run_command(command, env, &cancel)).await.map(Some),
            EntryPoint::Lambda => Box::pin(lambda::serve(env, &cancel)).await.map(|()| Some(CommandOutput::SILENT)),
            EntryPoint::OneShot => Ok(Box::pin(cli::one_shot(env, &cancel)).await),
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
fn say(audience: Audience, document: FailureDocument, outcome: Result<Option<CommandOutput>>) -> u8 {
    progress::end();
    let (said, exit, answer) = match outcome {
        Ok(Some(CommandOutput { answer: None, exit })) => return exit,
        Ok(Some(CommandOutput {
            answer: Some(answer),
            exit,
        })) => match audience {
            Audience::Person(page) => {
                let mut screen = Screen::new(page);
                answer.draw(&mut screen);
                let text = screen.finish();
                (text.write(), exit, text.as_str().to_owned())
            }
            Audience::Program => {
                let text = answer.json();
                (output::answer(&text), exit, text)
            }
        },
        Ok(None) => {
            output::tell(&cli::usage());
            return Code::BadUsage.exit();
        }
        Err(error) => {
            match audience {
                Audience::Person(page) => cli::failure(page, &error).tell(),
                Audience::Program => tell(&error),
            }
            let exit = error.code.exit();
            let Some(text) = document(error) else { return exit };
            (output::answer(&text), exit, text)
        }
    };
    let Err(unsaid) = said else { return exit };
    tell(&unsaid);
    // It may be all that tells of what was done.
    output::tell(&format!("{answer}\n"));
    // A failure is worth more than that nobody could read of it.
    if exit == 0 { unsaid.code.exit() } else { exit }
}

fn tell(error: &Error) {
    for error in std::iter::once(error).chain(&error.also) {
        output::tell(&format!("pgseal: {error}\n  {}\n", error.hint()));
    }
}

/// Help was asked for; everything else is a mistake on the command line.
fn misused(usage: &clap::Error, words: &[String]) -> u8 {
    if let Some(misuse) = Misuse::new(usage, words) {
        say_misuse(misuse, words);
        return Code::BadUsage.exit();
    }
    match output::answer(usage.render().to_string().trim_end()) {
        Ok(()) => 0,
        Err(unsaid) => {
            tell(&unsaid);
            unsaid.code.exit()
        }
    }
}

fn say_misuse(misuse: Misuse, words: &[String]) {
    if output::stdout_is_terminal() && !words.iter().any(|word| word == "--json") {
        cli::failure(Page::for_stdout(&Env::from_process(&[])), &misuse.error).tell();
        if !misuse.usage.is_empty() {
            output::tell(&format!("    {}\n", misuse.usage));
        }
        return;
    }
    output::tell(&format!("pgseal: {}: {}", misuse.error.code.name(), misuse.text));
    if let Some(document) = misuse.document {
        let _ = output::answer(&document);
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
