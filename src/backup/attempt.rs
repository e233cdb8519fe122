//! One attempt at one backup: each step leaves nothing visible behind but the last.

use super::already_complete::{ExistingBackup, ThisOrder};
use super::legacy_names;
use super::stream::{SentStream, send};
use super::{BackupContext, Estimate, Sealing};
use crate::aws::manifest_signer::ManifestSigner;
use crate::envelope::data_key::DataKey;
use crate::envelope::manifest::{ManifestObject, Role, WrappedKey};
use crate::envelope::recipient;
use crate::error::{Code, Error, Result};
use crate::format::backup_format::Format;
use crate::format::hex;
use crate::format::inventory::Inventory;
use crate::format::names::{DatabaseName, Stem};
use crate::format::row_digest::hint_recipients;
use crate::panics;
use crate::pipeline::pg_dump::{DumpScope, STATISTICS_SINCE};
use crate::pipeline::{StreamSummary, seal_small};
use crate::process::client_tools::ClientTools;
use crate::rds::Session;
use crate::rds::preflight::{ServerFacts, facts};
use crate::rds::properties;
use crate::rds::selection::{self, DumpSelection};
use crate::receipt::CompletedBackup;
use crate::store::{ObjectIdentity, PutOutcome, PutRequest, StoredObject, Upload, exists_and_is_missing, of_another_run};
use bytes::Bytes;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::pin::pin;
use time::OffsetDateTime;

/// Why an attempt ends without a backup of its own.
pub(super) enum AttemptEnd {
    /// Another delivery of the same event made it.
    AlreadyComplete(Box<CompletedBackup>),
    Failed(Error),
}

impl From<Error> for AttemptEnd {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

pub(super) struct Attempt<'a> {
    pub(super) context: &'a BackupContext<'a>,
    pub(super) database: &'a DatabaseName,
    pub(super) seal: DataKey,
    pub(super) client: ClientTools,
    pub(super) estimate: Estimate,
    pub(super) stem: &'a Stem,
    /// What a manifest under this stem must be of.
    pub(super) order: ThisOrder,
    pub(super) facts: ServerFacts,
    /// What the plan's patterns mean in this database.
    pub(super) selection: DumpSelection,
    /// Of the database itself.
    pub(super) properties: properties::PropertiesAnswer,
    /// Plain bytes of what was sent, by role.
    pub(super) plain_lengths: BTreeMap<String, u64>,
    pub(super) started: OffsetDateTime,
    /// What stands in S3 by now, with its ETag.
    pub(super) stored: Vec<(ManifestObject, String)>,
    pub(super) recipients: Vec<WrappedKey>,
    pub(super) salts: Map<String, Value>,
    pub(super) warnings: Vec<String>,
    /// Who signs, if anyone does.
    pub(super) signing: Option<ManifestSigner>,
}

impl<'a> Attempt<'a> {
    /// Everything that can be known in seconds: is it done already, can all be read, is there a `pg_dump`, is there time.
    pub(crate) async fn preflight(
        context: &'a BackupContext<'a>,
        database: &'a DatabaseName,
        stem: &'a Stem,
        seal: Sealing,
    ) -> Result<Self, AttemptEnd> {
        context.cancel.check()?;
        let started = OffsetDateTime::now_utc();
        let signing = match &context.plan.signing_key {
            Some(key) => Some(context.cancel.run_until_cancelled(ManifestSigner::tried(key)).await?),
            None => None,
        };
        let signer = signing.as_ref().map(ManifestSigner::verifier).transpose()?;
        let order = ThisOrder::new(context.plan, (&context.server.host, context.server.port), database, stem, signer);
        let at_server = async {
            let session = Session::open(&context.server, database, context.cancel).await?;
            // A question to pg_dump starts a process: meanwhile the server is asked for all else.
            let (facts, client, properties) = tokio::join!(
                facts(&session, &context.plan.selection),
                context.find_client(session.major()),
                properties::ask(&session, &context.plan.selection)
            );
            let (facts, client) = (facts?, client?);
            let selection = selection::resolve(&session, database, &context.plan.selection, client.major).await?;
            let mut properties = properties?;
            properties.ask_for_dumped(&session, &selection).await?;
            Ok::<_, Error>((facts, client, properties, selection))
        };
        let mut at_server = pin!(context.server.in_time(at_server));
        // Meanwhile S3: what it says comes first, since a backup that is complete needs no database.
        let found = async { context.cancel.run_until_cancelled(order.find(&context.store)).await };
        let (found, looked) = first_with_start_of(found, at_server.as_mut()).await;
        match found? {
            ExistingBackup::Nothing if context.plan.format == Format::Legacy => {
                if let Err(left) = legacy_names::must_be_free(&context.store, stem, context.cancel).await {
                    return Err(legacy_names::settled(context, &order, left).await);
                }
            }
            ExistingBackup::Nothing => {}
            ExistingBackup::Unseen(denied) => tracing::info!("what was made before cannot be looked for: {}", denied.message),
            ExistingBackup::Complete(found) => return Err(AttemptEnd::AlreadyComplete(found)),
        }
        context
            .cancel
            .run_until_cancelled(recipient::tested(&context.plan.recipients))
            .await?;
        let (facts, client, properties, selection) = match looked {
            Some(looked) => looked?,
            None => at_server.await?,
        };
        let estimate = Estimate::new(context.plan, &facts, selection.dump_bytes)?;
        estimate.check_deadline(context.plan, context.deadline)?;
        tracing::info!(
            database = database.as_str(),
            server_version = facts.server_version,
            pg_dump_version = client.version,
            estimated_bytes = estimate.dump_bytes,
            estimated_seconds = estimate.seconds,
            "starting"
        );
        let slowness = estimate.warning(context.plan);
        let mut warnings: Vec<String> = context.plan.lateness.iter().cloned().chain(slowness).collect();
        warnings.extend([&facts.warnings[..], &selection.warnings, &properties.warnings].concat());
        if facts.replica && facts.size.unlogged_tables > 0 {
            warnings.push(format!(
                "{} unlogged tables have no rows on a replica: the dump holds their definitions only",
                facts.size.unlogged_tables
            ));
        }
        if context.plan.statistics && client.major < STATISTICS_SINCE {
            warnings.push(format!(
                "`statistics` are not in this dump: pg_dump {} has none, {STATISTICS_SINCE} has",
                client.version
            ));
        }
        Ok(Self {
            context,
            database,
            // Where no thread could be started it was not begun.
            seal: seal.await.unwrap_or_else(|_| DataKey::new(context.plan.format))?,
            client,
            estimate,
            stem,
            order,
            facts,
            selection,
            properties,
            plain_lengths: BTreeMap::new(),
            started,
            stored: Vec::new(),
            recipients: Vec::new(),
            salts: Map::new(),
            warnings,
            signing,
        })
    }

    /// The secret for each recipient. Where names hold the run it comes first: this also proves that the role may write, before
    /// hours of dumping. Names of the legacy format are shared by all attempts, and nothing is overwritten: there it comes once
    /// the dump stands, or what a failed attempt left would stop every later one.
    pub(crate) async fn write_keys(&mut self) -> Result<(), AttemptEnd> {
        for recipient in &self.context.plan.recipients {
            let key = match self.context.plan.format {
                Format::Pgseal1 => self
                    .stem
                    .object(&self.seal.run, &format!("key.{}.enc", &recipient.fingerprint[..16])),
                Format::Legacy => self.stem.legacy_object("key.txt.enc"),
            };
            self.recipients
                .push(WrappedKey::new(recipient, self.context.plan.format.into(), &key));
            let wrapped = self.seal.wrap(recipient)?;
            self.put(Role::Key, key, wrapped).await?;
        }
        Ok(())
    }

    /// The roles, if asked for: an object of its own, since it is restored before the dump.
    pub(crate) async fn write_globals(&mut self) -> Result<(), AttemptEnd> {
        if !self.context.plan.globals {
            return Ok(());
        }
        let key = self.stem.object(
            &self.seal.run,
            &format!("globals.sql{}.enc", self.context.plan.compression.extension()),
        );
        let scope = DumpScope::Globals {
            database: self.database,
            encoding: &self.selection.encoding.clone(),
            timeouts: &self.facts.timeouts.clone(),
        };
        self.write_streamed(Role::Globals, key, &scope).await?;
        Ok(())
    }

    /// The dump, and beside it what is in it.
    pub(crate) async fn write_dump(&mut self) -> Result<StreamSummary, AttemptEnd> {
        let key = match self.context.plan.format {
            Format::Pgseal1 => self
                .stem
                .object(&self.seal.run, &format!("sql{}.enc", self.context.plan.compression.extension())),
            Format::Legacy => self.stem.legacy_object("sql.bz.enc"),
        };
        let scope = DumpScope::Database {
            name: self.database,
            selection: &self.selection.clone(),
            lock_timeout: self.context.plan.lock_timeout,
            on_replica: self.facts.replica,
            statistics: self.context.plan.statistics && self.client.major >= STATISTICS_SINCE,
        };
        self.write_streamed(Role::Dump, key, &scope).await
    }

    /// Sends one stream, and makes it visible only after all of it was proven. On any failure the upload is aborted and
    /// the abort awaited.
    async fn write_streamed(&mut self, role: Role, key: String, scope: &DumpScope<'_>) -> Result<StreamSummary, AttemptEnd> {
        let is_of_one_run = self.context.plan.format == Format::Pgseal1;
        let mut upload = Upload::new(self.context.store.clone(), key.clone(), is_of_one_run);
        let sent = panics::caught(self.send_and_commit(role, &mut upload, scope)).await;
        let mut left = upload.warnings();
        match sent {
            Ok((arrived, stored)) => {
                self.warnings.append(&mut left);
                self.stored.push((ManifestObject::sealed(role, key, &arrived.sealed), stored.etag));
                Ok(arrived)
            }
            Err(stop) => {
                if let Err(open) = upload.abort().await {
                    tracing::warn!(code = open.code.name(), "an upload stays open: {}", open.message);
                    left.push(format!("the upload stays open: {}", open.message));
                }
                Err(match stop {
                    AttemptEnd::Failed(mut error) => {
                        for warning in left {
                            error.message = format!("{}; and {warning}", error.message);
                        }
                        AttemptEnd::Failed(error)
                    }
                    AttemptEnd::AlreadyComplete(mut found) => {
                        found.warnings.append(&mut left);
                        AttemptEnd::AlreadyComplete(found)
                    }
                })
            }
        }
    }

    async fn send_and_commit(
        &mut self,
        role: Role,
        upload: &mut Upload,
        scope: &DumpScope<'_>,
    ) -> Result<(StreamSummary, StoredObject), AttemptEnd> {
        let SentStream {
            salt,
            arrived,
            last,
            warnings,
        } = send(self, upload, scope).await?;
        self.warnings.extend(warnings);
        if let Some(refused) = &arrived.counted.refused {
            self.warnings.push(format!(
                "restores and drills will refuse the {} as tampered: it holds what psql could take for a command of its own, and no newer \
                 pg_dump writes: {refused}; rename the object that is called so, and take a pg_dump of August 2025 or later",
                role.as_str()
            ));
        }
        self.salts.insert(role.as_str().to_owned(), hex(&salt).into());
        self.plain_lengths.insert(role.as_str().to_owned(), arrived.counted.plain_bytes);
        if role == Role::Dump {
            self.write_inventory(&arrived).await?;
            self.context.cancel.run_until_cancelled(self.must_be_free()).await??;
        }
        self.context.cancel.check()?;
        let stored = upload.commit(&arrived.sealed, last, self.context.cancel).await?;
        Ok((arrived, stored))
    }

    /// Rows and bytes of each table, encrypted like the dump: names of tables are data.
    async fn write_inventory(&mut self, arrived: &StreamSummary) -> Result<(), AttemptEnd> {
        let counted = &arrived.counted;
        let tables = self.properties.names.translate(&counted.tables);
        self.properties.forget_unused_money(&tables);
        if self.context.plan.format == Format::Legacy {
            self.warnings.extend(self.properties.lost_without_inventory());
            return Ok(());
        }
        let contents = Inventory {
            format: Inventory::FORMAT.to_owned(),
            database: self.database.as_str().to_owned(),
            host: Some(self.context.server.host.as_str().to_owned()),
            port: Some(self.context.server.port),
            selection: Some(self.order.selection.clone()),
            partial: Some(self.order.selection.is_partial()),
            server_version: self.facts.server_version.clone(),
            pg_dump_version: self.client.version.clone(),
            plain_bytes: counted.plain_bytes,
            plain_sha256: counted.plain_sha256.into(),
            rows: counted.rows,
            large_objects: counted.large_objects,
            tables,
            extensions: self.facts.extensions.clone(),
            warnings: self.warnings.clone(),
            plain_lengths: self.plain_lengths.clone(),
            part_index: arrived.part_index.clone(),
            hint_recipients: Some(hint_recipients(&self.context.plan.fingerprints()).into()),
            properties: self.properties.properties.clone(),
        };
        let (salt, key) = self.seal.cipher_key()?;
        let sealed = seal_small(&contents.to_json()?, &key, salt)?;
        self.salts.insert(Role::Inventory.as_str().to_owned(), hex(&salt).into());
        self.put(Role::Inventory, self.stem.object(&self.seal.run, "inventory.json.enc"), sealed)
            .await
    }

    /// Ends this attempt where another one has committed since it began.
    async fn must_be_free(&self) -> Result<Result<(), AttemptEnd>> {
        Ok(match self.order.find(&self.context.store).await? {
            ExistingBackup::Complete(found) => Err(AttemptEnd::AlreadyComplete(found)),
            ExistingBackup::Nothing | ExistingBackup::Unseen(_) => Ok(()),
        })
    }

    /// A small object of this attempt.
    async fn put(&mut self, role: Role, key: String, bytes: Vec<u8>) -> Result<(), AttemptEnd> {
        let object = ManifestObject::small(role, key.clone(), &bytes);
        let body = Bytes::from(bytes);
        let put = PutRequest {
            key: key.clone(),
            body: body.clone(),
            is_dump: false,
        };
        let etag = match self.context.cancel.run_until_cancelled(self.context.store.put(put)).await? {
            PutOutcome::Stored { etag } => etag,
            // Most likely our own, from a try whose answer was lost: that its bytes say. Where they may not be read, the size
            // does, under a name that holds the run; a name of the legacy format can be what an earlier attempt left.
            PutOutcome::Exists => {
                let look = async { Ok(self.context.store.identify(&key, &body).await) };
                match self.context.cancel.run_until_cancelled(look).await? {
                    ObjectIdentity::Same { etag } => etag,
                    ObjectIdentity::SameSize { etag } if self.context.plan.format == Format::Pgseal1 => etag,
                    ObjectIdentity::Unknown => return Err(cannot_tell(&key).into()),
                    // No other run writes under this name.
                    ObjectIdentity::Other if self.context.plan.format == Format::Pgseal1 => {
                        return Err(self.context.store.is_not_what_was_sent(&key).into());
                    }
                    ObjectIdentity::Missing if self.context.plan.format == Format::Pgseal1 => {
                        return Err(exists_and_is_missing("s3:PutObject", &key).into());
                    }
                    _ => {
                        self.context.cancel.run_until_cancelled(self.must_be_free()).await??;
                        return Err(of_another_run(&key).into());
                    }
                }
            }
        };
        self.stored.push((object, etag));
        Ok(())
    }
}

/// Runs the first to its end, and the second beside it as far as it comes: its answer, if it ended too.
async fn first_with_start_of<A, B>(first: impl Future<Output = A>, second: impl Future<Output = B> + Unpin) -> (A, Option<B>) {
    let (mut first, mut second) = (pin!(first), second);
    let mut answer = None;
    loop {
        tokio::select! {
            biased;
            done = &mut second, if answer.is_none() => answer = Some(done),
            done = &mut first => return (done, answer),
        }
    }
}

fn cannot_tell(key: &str) -> Error {
    Error::new(
        Code::CommitUnknown,
        format!("{key} exists, and whether this run wrote it is unknown: neither s3:GetObject nor s3:ListBucket is allowed"),
    )
    .advise("Allow s3:ListBucket on the bucket, or s3:GetObject on the prefix, and run again.")
}
