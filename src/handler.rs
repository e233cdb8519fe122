//! The one handler behind the three entry points: an event in, an answer out.

use crate::aws::parameters;
use crate::aws::task_token::TaskOutcome;
use crate::backup;
use crate::cancel::Cancel;
use crate::check::{self, CheckReport};
use crate::envelope::recipient;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::fleet::{self, FleetEvent, FleetSummary};
use crate::format::ToJson;
use crate::metrics;
use crate::observe::logs::ANSWER;
use crate::panics;
use crate::plan::{Action, AllowedHosts, DatabaseTarget, Host, Plan, RuntimeLimits};
use crate::plan_events::{self, BackupPlan, PlanLimits};
use crate::receipt::Receipt;
use crate::variables::Env;
use std::path::Path;
use time::OffsetDateTime;

/// What one event came to.
pub(crate) enum Response {
    Receipt(Receipt),
    Report(CheckReport),
    Fleet(BackupPlan),
    Summary(FleetSummary),
}

/// What an entry point knows, as a parameter.
pub(crate) struct HandlerContext<'a> {
    pub env: &'a Env,
    /// When the platform will end us; our own end comes earlier.
    pub deadline: Option<OffsetDateTime>,
    pub cancel: &'a Cancel,
}

/// Resolves the event and does what it asks. `action` overrides the event's own.
pub(crate) async fn handle(event: Result<Event>, action: Option<Action>, world: &HandlerContext<'_>) -> Response {
    let place = RuntimeLimits {
        now: OffsetDateTime::now_utc(),
        cpus: cpus(),
        memory: memory(world.env),
    };
    let asked = action.or_else(|| event.as_ref().ok().and_then(|event| Action::named(event.text("action")?)));
    let resolved = async {
        let event = match asked {
            Some(Action::Summary) => event?.for_all(),
            _ => event?,
        };
        let env = parameters::with_recipients(world.env, &event, world.cancel).await?;
        let plan = Plan::resolve(&event, &env, place)?;
        if matches!(asked.unwrap_or(plan.action), Action::Backup | Action::Check) {
            fleet::must_be_planned(&plan)?;
        }
        Ok::<_, Error>((plan, event))
    };
    let (event, plan) = match resolved.await {
        Ok((plan, event)) => (event, plan),
        Err(error) => {
            for error in std::iter::once(&error).chain(&error.also) {
                tracing::error!(target: ANSWER, code = error.code.name(), hint = error.hint(), "{}", error.message);
            }
            let refusal = Response::refused(asked, error);
            refusal.record(world.env);
            return refusal;
        }
    };
    let action = action.unwrap_or(plan.action);
    recipient::begin_tests(&plan.recipients);
    plan.warnings.iter().for_each(|warning| tracing::warn!(target: ANSWER, "{warning}"));
    let answer = panics::caught(async {
        Ok(match action {
            Action::Backup => Response::Receipt(Box::pin(backup::run_backups(&plan, world.env, world.deadline, world.cancel)).await),
            Action::Check => Response::Report(Box::pin(check::run_checks(&plan, world.env, world.deadline, world.cancel)).await),
            Action::Plan => {
                world.cancel.run_until_cancelled(recipient::tested(&plan.recipients)).await?;
                Response::Fleet(match &plan.source.target {
                    DatabaseTarget::Discovered(asked) => {
                        let fleet = FleetEvent {
                            event: &event,
                            plan: &plan,
                            place,
                            deadline: world.deadline,
                        };
                        Box::pin(fleet::plan_fleet(&fleet, asked, world.env, world.cancel)).await
                    }
                    _ => {
                        Box::pin(plan_events::plan_backups(
                            &event,
                            &plan,
                            PlanLimits::default(),
                            world.env,
                            world.cancel,
                        ))
                        .await
                    }
                })
            }
            Action::Summary => Response::Summary(Box::pin(fleet::summarize(&plan, world.env, world.cancel)).await),
        })
    });
    let mut answer = answer.await.unwrap_or_else(|bug: Error| Response::refused(Some(action), bug));
    answer.name_what_was_stopped();
    answer.record(world.env);
    answer
}

impl Response {
    /// The answer to an event of which nothing could be done, in the shape that its action has.
    pub(crate) fn refused(action: Option<Action>, error: Error) -> Self {
        match action {
            Some(Action::Check) => Self::Report(CheckReport::refused(error)),
            Some(Action::Plan) => Self::Fleet(BackupPlan::refused(error)),
            Some(Action::Summary) => Self::Summary(FleetSummary::refused(error)),
            Some(Action::Backup) | None => Self::Receipt(Receipt::refused(error)),
        }
    }

    /// Of a check or a plan that was stopped nobody asks whether a backup was made.
    fn name_what_was_stopped(&mut self) {
        let told = |error: &mut Error| {
            if error.code == Code::Terminated {
                *error = error.clone().or_advise("Stopped by a signal; nothing was written. Run again.");
            }
        };
        match self {
            Self::Receipt(_) => {}
            Self::Report(report) => report.checks.iter_mut().filter_map(|check| check.error.as_mut()).for_each(told),
            Self::Fleet(fleet) => {
                let items = fleet.items.iter_mut().flatten();
                let of_databases = items.filter_map(|planned| planned.error.as_mut());
                fleet.error.iter_mut().chain(of_databases).for_each(told);
            }
            Self::Summary(summary) => summary.error.iter_mut().for_each(told),
        }
    }

    /// For programs that read the log: on Lambda nobody else hears of a success.
    fn record(&self, env: &Env) {
        if let Self::Summary(summary) = self {
            metrics::record_fleet(summary.databases, summary.complete);
        }
        let Self::Receipt(receipt) = self else { return };
        // Of a deployment for one server its alarms hear even of what failed before it was looked at. What is no host is not
        // repeated: it may be a connection string.
        let host = env
            .get("POSTGRES_HOST")
            .and_then(|host| AllowedHosts::parse(Some("*")).admit(host).ok());
        let server = receipt.server.as_deref().or(host.as_ref().map(Host::label));
        metrics::record_receipt(receipt, server);
    }

    pub(crate) fn to_json(&self) -> String {
        match self {
            Self::Receipt(receipt) => receipt.to_json(),
            Self::Report(report) => report.to_json(),
            Self::Fleet(fleet) => fleet.to_json(),
            Self::Summary(summary) => summary.to_json(),
        }
    }

    pub(crate) fn failure(&self) -> Option<&Error> {
        match self {
            Self::Receipt(receipt) => receipt.failure(),
            Self::Report(report) => report.failure(),
            Self::Fleet(fleet) => fleet.failure(),
            Self::Summary(summary) => summary.error.as_ref(),
        }
    }

    /// What failed, and nothing else of a receipt: what is read is cut after some length.
    pub(crate) fn failures_to_json(&self) -> String {
        match self {
            Self::Receipt(receipt) => receipt.failures_to_json(),
            other => other.to_json(),
        }
    }

    /// For Step Functions, as Lambda tells it: a failure by its code, with what failed alone.
    pub(crate) fn to_outcome(&self) -> TaskOutcome {
        match self.failure() {
            None => TaskOutcome::Success(self.to_json()),
            Some(error) => TaskOutcome::Failure {
                error_type: error.error_type(),
                cause: self.failures_to_json(),
            },
        }
    }

    pub(crate) fn exit(&self) -> u8 {
        self.failure().map_or(0, |error| error.code.exit())
    }
}

/// CPUs that affinity and cgroup grant.
pub(crate) fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Memory that the function, the control groups and the machine grant, in bytes.
pub(crate) fn memory(env: &Env) -> Option<u64> {
    let function = env.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").and_then(|text| text.parse().ok());
    crate::observe::memory::available(function, Path::new("/"))
}
