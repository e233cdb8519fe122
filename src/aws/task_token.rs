//! A task that Step Functions waits for (`runTask.waitForTaskToken`): it hears that this one is alive, and what it came to
//! (<https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html>).

use super::{RetryNotice, ServiceError, config, own_region};
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::variables::Env;
use aws_sdk_sfn::Client;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

const VARIABLE: &str = "PGSEAL_TASK_TOKEN";
/// The state machine gives a task up after ten such times.
const EVERY: Duration = Duration::from_secs(60);
/// What Step Functions takes, in characters (`MAX_OUTPUT` in bytes of UTF-8).
const MAX_CODE: usize = 256;
const MAX_CAUSE: usize = 32_768;
const MAX_OUTPUT: usize = 262_144;

/// Anyone who has it can say how the task ended: it is never shown.
pub(crate) struct TaskToken {
    client: Client,
    token: SecretString,
}

/// What Step Functions is told at the end.
pub(crate) enum TaskOutcome {
    /// JSON.
    Success(String),
    /// A name for `Catch` and `Retry`, such as `pgseal.db_busy`, and JSON that says more.
    Failure { error_type: String, cause: String },
}

impl TaskToken {
    /// `None`: nobody waits for this run.
    pub(crate) async fn from_env(env: &Env) -> Result<Option<Arc<Self>>> {
        let Some(token) = env.get(VARIABLE) else { return Ok(None) };
        let region = own_region(env).ok_or_else(|| Error::field(Code::BadEvent, "region", format!("is needed beside {VARIABLE}")))??;
        let config = config(&region).await?;
        let config = aws_sdk_sfn::config::Builder::from(&config).interceptor(RetryNotice::new("Step Functions"));
        Ok(Some(Arc::new(Self {
            client: Client::from_conf(config.build()),
            token: SecretString::from(token),
        })))
    }

    /// Says each minute that the task is alive, from now until the guard is dropped. If nobody waits for it any more, the run
    /// ends: another one may have begun in its place.
    pub(crate) fn beat(self: &Arc<Self>, cancel: &Cancel) -> Heartbeat {
        let (task, cancel) = (self.clone(), cancel.clone());
        Heartbeat(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            loop {
                ticks.tick().await;
                let sent = task
                    .client
                    .send_task_heartbeat()
                    .task_token(task.token.expose_secret())
                    .send()
                    .await;
                let Err(error) = sent else { continue };
                let failed = ServiceError::from_sdk(&error);
                if is_given_up(&failed.code) {
                    let told = format!("Step Functions no longer waits for this task ({})", failed.code);
                    cancel.cancel(Error::new(Code::Terminated, told));
                    return;
                }
                // The next one may get through.
                tracing::warn!("{}", failed.sentence("states:SendTaskHeartbeat", "its task"));
            }
        }))
    }

    pub(crate) async fn report(&self, outcome: TaskOutcome) -> Result<()> {
        let token = self.token.expose_secret();
        let (action, failed) = match outcome {
            TaskOutcome::Success(output) => {
                // What the state machine looks at is there all the same.
                let output = match output.len() > MAX_OUTPUT {
                    true => r#"{"status":"complete"}"#.to_owned(),
                    false => output,
                };
                let sent = self.client.send_task_success().task_token(token).output(output).send().await;
                ("states:SendTaskSuccess", sent.err().map(|error| ServiceError::from_sdk(&error)))
            }
            TaskOutcome::Failure { error_type, cause } => {
                let request = self.client.send_task_failure().task_token(token).error(cut(&error_type, MAX_CODE));
                let sent = request.cause(cut(&cause, MAX_CAUSE)).send().await;
                ("states:SendTaskFailure", sent.err().map(|error| ServiceError::from_sdk(&error)))
            }
        };
        failed.map_or(Ok(()), |failed| Err(failed.into_error(action, "its task")))
    }
}

/// Its execution ended, or its time was up.
fn is_given_up(code: &str) -> bool {
    matches!(code, "TaskTimedOut" | "TaskDoesNotExist" | "InvalidToken")
}

fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// Ends the heartbeats when it is dropped.
pub(crate) struct Heartbeat(JoinHandle<()>);

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_fits() {
        assert_eq!(cut("äöü", 2), "äö");
        assert!(is_given_up("TaskTimedOut") && !is_given_up("ThrottlingException"));
    }
}
