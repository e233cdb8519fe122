//! `drill`: what it came to is in its report and, for those who are woken by alarms, in the log.

use super::CommandOutput;
use super::key_arguments::must_exist;
use super::report_place::ReportPlace;
use super::restore::Drill;
use super::views::DrillAnswer;
use crate::cancel::Cancel;
use crate::error::{Code, Result};
use crate::metrics;
use crate::observe::logs::ANSWER;
use crate::restore::drill::{self, DrillOptions};
use crate::restore::report::{DrillOutcome, DrillReport};
use crate::store::Location;
use crate::variables::Env;

pub(super) async fn drill(arguments: &Drill, env: &Env, cancel: &Cancel) -> Result<CommandOutput> {
    let outcome = run(arguments, env, cancel).await;
    if outcome.is_err() {
        // Nobody knows the database yet: of no backup, no key, no place for the report.
        let folder = Location::parse(&arguments.backup.backup).ok().and_then(|named| named.split());
        folder
            .iter()
            .for_each(|(folder, _)| metrics::record_drill(&folder.last_name(), None, false, 0));
    }
    outcome
}

async fn run(arguments: &Drill, env: &Env, cancel: &Cancel) -> Result<CommandOutput> {
    let signer = arguments.trust.signer()?;
    must_exist(&arguments.key.key)?;
    let place = ReportPlace::open(&arguments.report, env).await?;
    let (backup, key) = arguments
        .key
        .with_backup(&arguments.backup.backup, signer.as_ref(), env, cancel)
        .await?;
    let ask = DrillOptions {
        key,
        signer: signer.as_ref(),
        unconfined: arguments.unconfined,
        filter: arguments.filter.options(),
        workers: arguments.trust.workers(),
        jobs: arguments.jobs.into(),
        client_folders: env.client_folders(),
        path: env.get("PATH").map(str::to_owned),
    };
    let report = drill::drill(&backup, ask, cancel).await;
    record(&report, &backup.folder);
    let (exit, page) = match place.leave(&report).await {
        Ok(page) => (report.exit(), Some(page)),
        Err(error) => {
            // What the drill found out is worth more than where it was to be kept.
            tracing::error!(code = error.code.name(), "the report was not kept: {}", error.message);
            (error.code.exit(), None)
        }
    };
    Ok(CommandOutput::new(DrillAnswer { report, page }, exit))
}

fn record(report: &DrillReport, folder: &Location) {
    let (database, has_passed) = (report.backup.database.as_str(), report.outcome == DrillOutcome::Passed);
    let differs = "what was restored is not what the backup's inventory says";
    match &report.error {
        Some(error) => tracing::error!(target: ANSWER, database, code = error.code.name(), hint = error.hint(), "{}", error.message),
        None if has_passed => {}
        None => tracing::error!(target: ANSWER, database, code = Code::RestoreFailed.name(), "{differs}"),
    }
    // Of a backup that was not opened the report does not know it.
    let database = Some(database).filter(|name| !name.is_empty());
    metrics::record_drill(&folder.last_name(), database, has_passed, report.duration_ms);
}
