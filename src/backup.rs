//! One plan in, one receipt out.

mod already_complete;
mod attempt;
mod commit;
mod estimate;
mod legacy_names;
mod sizing;
mod stream;

pub(crate) use estimate::Estimate;
#[cfg(test)]
pub(crate) use sizing::Sizing;
pub(crate) use sizing::{Route, TaskSize};

use crate::aws::manifest_signer::ManifestSigner;
use crate::background;
use crate::cancel::Cancel;
use crate::envelope::data_key::DataKey;
use crate::envelope::manifest::Timestamp;
use crate::envelope::signature::Verifier;
use crate::error::{Code, Error, Result};
use crate::format::backup_format::Format;
use crate::format::names::{DatabaseName, Stem};
use crate::observe::logs::ANSWER;
use crate::panics;
use crate::plan::{DatabaseTarget, Databases, Host, Plan};
use crate::process::client_tools::{self, ClientTools};
use crate::rds::Server;
use crate::rds::databases::{DatabaseList, ListedDatabase, databases};
use crate::receipt::{BackupSummary, Receipt, ReceiptEntry};
use crate::store::S3;
use crate::variables::Env;
use already_complete::{ExistingBackup, ThisOrder};
use attempt::{Attempt, AttemptEnd};
use std::sync::Arc;
use time::OffsetDateTime;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

/// What all databases of one event share.
pub(crate) struct BackupContext<'a> {
    pub plan: &'a Plan,
    pub env: &'a Env,
    pub server: Server,
    pub store: Arc<S3>,
    pub deadline: Option<OffsetDateTime>,
    pub cancel: &'a Cancel,
}

/// Whether a run of this order would find it done. Fails as that run would, such as with `stem_taken`.
pub(crate) async fn is_made(
    plan: &Plan,
    server: (&Host, u16),
    database: &DatabaseName,
    store: &S3,
    signer: Option<&Verifier>,
) -> Result<bool> {
    let stem = plan.stem(database, server.0)?;
    match ThisOrder::new(plan, server, database, &stem, signer.cloned()).find(store).await? {
        ExistingBackup::Complete(_) => Ok(true),
        ExistingBackup::Nothing => Ok(false),
        ExistingBackup::Unseen(error) => Err(error),
    }
}

/// Every database that the plan means is tried; one that fails does not stop the others, a cancel does.
pub(crate) async fn run_backups(plan: &Plan, env: &Env, deadline: Option<OffsetDateTime>, cancel: &Cancel) -> Receipt {
    // Before the first question to S3: where there are few cores, keys are then there when the server needs one of them.
    let mut seal = Some(begin_seal(plan.format));
    let opened = async {
        let context = BackupContext::open(plan, env, deadline, cancel).await?;
        let list = context.databases().await?;
        Ok((context, list))
    };
    match opened.await {
        Ok((context, DatabaseList { databases, warnings })) => {
            warnings.iter().for_each(|warning| tracing::warn!(target: ANSWER, "{warning}"));
            let mut entries = Vec::with_capacity(databases.len());
            for listed in databases {
                entries.push(match listed {
                    ListedDatabase::Chosen(name) => {
                        let seal = seal.take().unwrap_or_else(|| begin_seal(plan.format));
                        context.backup_database(&name, seal).await
                    }
                    ListedDatabase::Skipped { name, reason } => {
                        tracing::warn!(target: ANSWER, database = name, "skipped: {reason}");
                        ReceiptEntry::skipped(&name, reason)
                    }
                    ListedDatabase::Failed { name, error, .. } => {
                        tracing::error!(target: ANSWER, database = name, code = error.code.name(), hint = error.hint(), "{}", error.message);
                        ReceiptEntry::failed(&name, None, error)
                    }
                });
            }
            let server = Some(context.server.host.label());
            Receipt::new(entries, plan.warnings.iter().cloned().chain(warnings).collect()).of_server(server)
        }
        Err(error) => nothing_tried(plan, error),
    }
}

/// A secret and its keys, which are derived beside whatever else is done.
type Sealing = oneshot::Receiver<Result<DataKey>>;

fn begin_seal(format: Format) -> Sealing {
    let (made, sealing) = oneshot::channel();
    // Without a thread the sender is gone, and who waits does the work.
    drop(background::start("seal", move || drop(made.send(DataKey::new(format)))));
    sealing
}

/// The failure stands with each database that was named, since each has no backup now.
fn nothing_tried(plan: &Plan, error: Error) -> Receipt {
    tracing::error!(target: ANSWER, code = error.code.name(), hint = error.hint(), "{}", error.message);
    let server = match &plan.source.target {
        DatabaseTarget::Host(host) => Some(host.label()),
        DatabaseTarget::Instance(_) | DatabaseTarget::Discovered(_) => None,
    };
    let receipt = match &plan.databases {
        Databases::Named(names) => {
            let failed = |name: &DatabaseName| {
                ReceiptEntry::failed(name.as_str(), plan.known_stem(name).map(|stem| stem.to_string()), error.clone())
            };
            Receipt::new(names.iter().map(failed).collect(), plan.warnings.clone())
        }
        Databases::All => Receipt::refused(error),
    };
    receipt.of_server(server)
}

impl<'a> BackupContext<'a> {
    /// Looks at the bucket, then finds the server and its credentials.
    pub(crate) async fn open(plan: &'a Plan, env: &'a Env, deadline: Option<OffsetDateTime>, cancel: &'a Cancel) -> Result<Self> {
        let store = Arc::new(S3::open(&plan.destination, env).await?);
        cancel.run_until_cancelled(store.check_bucket()).await?;
        let server = cancel.run_until_cancelled(Server::find(&plan.source)).await?;
        Ok(Self {
            plan,
            env,
            server,
            store,
            deadline,
            cancel,
        })
    }

    /// The databases that the plan means, and what a user might miss among them.
    pub(crate) async fn databases(&self) -> Result<DatabaseList> {
        match &self.plan.databases {
            Databases::Named(names) => Ok(DatabaseList::named(names)),
            Databases::All => databases(&self.server, &self.plan.exclude_databases, self.cancel).await,
        }
    }

    /// The `pg_dump` for a server of this major. Asking for its version starts a process, which is given a limit, and which
    /// nobody waits for after a cancel.
    pub(crate) async fn find_client(&self, major: u32) -> Result<ClientTools> {
        let (folders, path) = (self.plan.client_folders.clone(), self.env.get("PATH").map(str::to_owned));
        let (cancel, limit) = (self.cancel.clone(), self.server.limits.login);
        let search = spawn_blocking(move || client_tools::find(&folders, path.as_deref(), major, limit, &cancel));
        let found = async { search.await.map_err(|_| Error::new(Code::Bug, "the search for pg_dump panicked"))? };
        self.cancel.run_until_cancelled(found).await
    }

    /// What a backup of this database would meet under its name: when the one was finished that stands there already, or
    /// what stands in the way.
    pub(crate) async fn look_under_name(&self, database: &DatabaseName) -> Result<Option<Timestamp>> {
        let stem = self.plan.stem(database, &self.server.host)?;
        let signer = match &self.plan.signing_key {
            Some(key) => Some(self.cancel.run_until_cancelled(ManifestSigner::open(key)).await?.verifier()?),
            None => None,
        };
        let order = ThisOrder::new(self.plan, (&self.server.host, self.server.port), database, &stem, signer);
        match self.cancel.run_until_cancelled(order.find(&self.store)).await? {
            ExistingBackup::Complete(found) => Ok(Some(found.manifest.finished_at)),
            ExistingBackup::Nothing if self.plan.format == Format::Legacy => {
                legacy_names::must_be_free(&self.store, &stem, self.cancel).await.map(|()| None)
            }
            ExistingBackup::Nothing | ExistingBackup::Unseen(_) => Ok(None),
        }
    }

    async fn backup_database(&self, database: &DatabaseName, seal: Sealing) -> ReceiptEntry {
        let name = database.as_str();
        let stem = match self.plan.stem(database, &self.server.host) {
            Ok(stem) => stem,
            Err(error) => return ReceiptEntry::failed(name, None, error),
        };
        match panics::caught(Box::pin(self.seal(database, &stem, seal))).await {
            Ok(made) => {
                warned(name, &made);
                tracing::info!(target: ANSWER, database = name, %stem, bytes = made.dumped_bytes, rows = made.rows, "complete");
                ReceiptEntry::complete(name, stem.to_string(), made)
            }
            Err(AttemptEnd::AlreadyComplete(found)) => {
                let mut made = BackupSummary::of_completed(*found, self.store.bucket());
                tracing::info!(target: ANSWER, database = name, %stem, run = made.run, finished_at = %made.finished_at, "already complete");
                made.warnings.extend(self.plan.lateness.iter().cloned());
                made.warnings.extend(old(made.finished_at, OffsetDateTime::now_utc()));
                warned(name, &made);
                ReceiptEntry::already_complete(name, stem.to_string(), made)
            }
            Err(AttemptEnd::Failed(error)) => {
                tracing::error!(target: ANSWER, database = name, code = error.code.name(), hint = error.hint(), "{}", error.message);
                ReceiptEntry::failed(name, Some(stem.to_string()), error)
            }
        }
    }

    /// The whole of one backup, in the order that the invariants demand: nothing of it counts before the last step.
    async fn seal(&self, database: &DatabaseName, stem: &Stem, seal: Sealing) -> Result<BackupSummary, AttemptEnd> {
        let mut attempt = Box::pin(Attempt::preflight(self, database, stem, seal)).await?;
        if self.plan.format == Format::Pgseal1 {
            Box::pin(attempt.write_keys()).await?;
            Box::pin(attempt.write_globals()).await?;
            let dump = Box::pin(attempt.write_dump()).await?;
            return Box::pin(attempt.write_manifest(dump)).await;
        }
        let order = attempt.order.clone();
        let mut stands = false;
        let sealed = async {
            Box::pin(attempt.write_globals()).await?;
            let dump = Box::pin(attempt.write_dump()).await?;
            stands = true;
            Box::pin(attempt.write_keys()).await?;
            Box::pin(attempt.write_manifest(dump)).await
        };
        match sealed.await {
            Err(AttemptEnd::Failed(error)) if matches!(error.code, Code::CommitFailed | Code::CommitUnknown) => {
                Err(legacy_names::settled(self, &order, error).await)
            }
            Err(AttemptEnd::Failed(error)) if stands => Err(AttemptEnd::Failed(legacy_names::with_dump_left(stem, error))),
            ended => ended,
        }
    }
}

/// Each of them once, wherever it was found: a log that nobody has to search is all that is seen of a run at night.
fn warned(database: &str, made: &BackupSummary) {
    made.warnings
        .iter()
        .for_each(|warning| tracing::warn!(target: ANSWER, database, "{warning}"));
}

/// A delivery that finds its work done long ago was not a second delivery of last night's event.
fn old(finished: Timestamp, now: OffsetDateTime) -> Option<String> {
    (now - finished.0 > time::Duration::days(1))
        .then(|| format!("this backup was finished at {finished}, more than a day ago: nothing new was made"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    /// An event with a fixed time was success forever, night after night.
    #[test]
    fn a_backup_that_is_found_a_day_later_is_told_with_its_time() {
        let now = datetime!(2026-11-24 02:00 UTC);
        let finished = |ago: time::Duration| old(Timestamp(now - ago), now);
        assert_eq!(finished(time::Duration::minutes(10)), None);
        let warning = finished(time::Duration::hours(25)).expect("a warning");
        assert!(warning.contains("2026-11-23T01:00:00Z"), "{warning}");
    }
}
