//! From what is asked to what will be done. Pure: no network, no clock, no file.

use super::recipients::recipients;
use super::values as value;
use super::*;
use crate::envelope::test_keys;
use crate::error::{Code, Error, Result};
use crate::event::{Event, EventFields, missing};
use crate::variables;
use crate::variables::Env;

impl Plan {
    /// Every rule of the contract, the refusals that protect keys first.
    pub fn resolve(event: &Event, env: &Env, place: RuntimeLimits) -> Result<Self> {
        variables::check(env)?;
        let defaults = deployment::defaults(env)?;
        deployment::admit(event, env)?;
        deployment::keep_pins(event, &defaults, env)?;
        let asked = EventFields::new(event, &defaults, env);
        Self::of(&asked, env, place).map_err(|error| deployment::name_defaults(error, event, &defaults))
    }

    fn of(asked: &EventFields<'_>, env: &Env, place: RuntimeLimits) -> Result<Self> {
        let recipients = recipients(asked, env)?;
        let mut warnings = test_keys::admit(&recipients, env)?;
        let action = match asked.text("action")?.as_deref() {
            None | Some("backup") => Action::Backup,
            Some("check") => Action::Check,
            Some("plan") => Action::Plan,
            Some(_) => return Err(bad("action", "must be backup, check or plan")),
        };
        let databases = databases(asked)?;
        let exclude_databases = exclude_databases(asked)?;
        if matches!(databases, Databases::Named(_)) && !exclude_databases.is_empty() {
            warnings
                .push("exclude_databases has an effect beside `database` \"*\" alone: the databases named here are backed up".to_owned());
        }
        let source = source(asked, env)?;
        let destination = destination(asked, source.region.as_ref())?;
        let format = match asked.text("format")?.as_deref() {
            None | Some("pgseal/1") => Format::Pgseal1,
            Some("legacy") => Format::Legacy,
            Some(_) => return Err(bad("format", "must be pgseal/1 or legacy")),
        };
        let compression = asked.text("compression")?;
        let compression = compression.as_deref().map_or(Ok(Compression::Bzip2(9)), Compression::parse)?;
        if format == Format::Legacy {
            legacy_fits(compression, &recipients)?;
        }
        let scheduled_time = asked.text("scheduled_time")?;
        let scheduled_time = schedule::time(scheduled_time.as_deref(), place.now)?;
        let rate_limit = asked.text_or_number("rate_limit")?;
        let lock_timeout = asked.text("lock_timeout")?;
        let plan = Self {
            action,
            exclude_databases,
            databases,
            source,
            destination,
            recipients,
            rate_limit: RateLimit::parse(rate_limit.as_deref().unwrap_or("10M"))?,
            compression,
            workers: asked.number("workers", 1..=256)?.map_or(place.cpus, |workers| workers as usize),
            checked_blocks: checked_blocks(env)?,
            format,
            selection: Selection {
                tables: patterns(asked, "tables")?,
                exclude_tables: patterns(asked, "exclude_tables")?,
                exclude_table_data: patterns(asked, "exclude_table_data")?,
                schemas: patterns(asked, "schemas")?,
                exclude_schemas: patterns(asked, "exclude_schemas")?,
            },
            globals: asked.flag("globals")?,
            lock_timeout: value::duration("lock_timeout", lock_timeout.as_deref().unwrap_or("60s"))?,
            scheduled_time,
            lateness: schedule::late(scheduled_time, place.now),
            stall_timeout: stall_timeout(env)?,
            deadline_check: deadline_check(env)?,
            client_folders: env
                .get("PGSEAL_PG_BIN")
                .map(|list| std::env::split_paths(list).collect())
                .unwrap_or_default(),
            available_memory: place.memory,
            signing_key: SigningKey::of(env)?,
            warnings,
        };
        plan.memory(0)?;
        if !plan.selection.tables.is_empty() && !plan.selection.schemas.is_empty() {
            let error = bad(
                "tables",
                "cannot be given together with schemas: pg_dump would pass over the schemas",
            );
            return Err(error.advise("Name the tables of a schema as schema.*, in tables alone."));
        }
        if let Databases::Named(names) = &plan.databases {
            let prefix = match &plan.source.target {
                DatabaseTarget::Host(host) => plan.destination.prefix.for_host(host.label()),
                DatabaseTarget::Instance(_) => plan.destination.prefix.of_longest_host(),
            };
            names
                .iter()
                .try_for_each(|name| Stem::new(&prefix, name, plan.scheduled_time).map(drop))?;
        }
        Ok(plan)
    }

    /// What a backup of this database on this server is named.
    pub(crate) fn stem(&self, database: &DatabaseName, host: &Host) -> Result<Stem> {
        Stem::new(&self.destination.prefix.for_host(host.label()), database, self.scheduled_time)
    }

    /// The same before the server was looked up: `None` where the name depends on that.
    pub fn known_stem(&self, database: &DatabaseName) -> Option<Stem> {
        match &self.source.target {
            DatabaseTarget::Host(host) => self.stem(database, host).ok(),
            DatabaseTarget::Instance(_) if self.destination.prefix.names_host() => None,
            DatabaseTarget::Instance(_) => Stem::new(&self.destination.prefix, database, self.scheduled_time).ok(),
        }
    }

    /// The formula for a dump of about so many bytes.
    pub(crate) fn memory(&self, expected_bytes: u64) -> Result<MemoryBudget> {
        MemoryBudget::fit(
            self.compression,
            self.workers,
            self.checked_blocks,
            expected_bytes,
            self.available_memory,
        )
    }
}

fn bad(field: &str, reason: &str) -> Error {
    Error::field(Code::BadEvent, field, reason)
}

fn databases(asked: &EventFields<'_>) -> Result<Databases> {
    let names = asked.texts("database")?.ok_or_else(|| missing(&["database"]))?;
    match names.as_slice() {
        [] => Err(bad("database", "must name at least one database")),
        [all] if all == "*" => Ok(Databases::All),
        names if names.iter().any(|name| name == "*") => Err(bad("database", "must be \"*\" alone, or names")),
        names => {
            let mut unique: Vec<DatabaseName> = Vec::with_capacity(names.len());
            for name in names {
                let name = DatabaseName::new(name)?;
                if !unique.contains(&name) {
                    unique.push(name);
                }
            }
            Ok(Databases::Named(unique))
        }
    }
}

fn exclude_databases(asked: &EventFields<'_>) -> Result<Vec<String>> {
    let names = asked.texts("exclude_databases")?.unwrap_or_default();
    if names.iter().any(String::is_empty) {
        return Err(bad("exclude_databases", "must not hold an empty name"));
    }
    Ok(names)
}

fn source(asked: &EventFields<'_>, env: &Env) -> Result<Source> {
    let allowed_hosts = allowed_hosts(asked, env)?;
    let (host, instance) = {
        let asked = asked.of_one_rank(&["host", "instance"]);
        (asked.text("host")?, asked.text("instance")?)
    };
    let target = match (host, instance) {
        (Some(host), None) => DatabaseTarget::Host(allowed_hosts.admit(&host)?),
        (None, Some(instance)) => DatabaseTarget::Instance(value::instance(instance)?),
        (Some(_), Some(_)) => return Err(bad("host", "and `instance` exclude each other: give one")),
        (None, None) => return Err(missing(&["host", "instance"])),
    };
    let region = asked.text("region")?.map(|text| RegionName::new("region", &text)).transpose()?;
    let auth = match asked.text("auth")?.as_deref() {
        None | Some("iam") => Auth::Iam {
            region: region.clone().ok_or_else(|| missing(&["region"]))?,
        },
        Some("password") => Auth::Password(password_source(asked, env)?),
        Some(_) => return Err(bad("auth", "must be iam or password")),
    };
    if matches!(target, DatabaseTarget::Instance(_)) && region.is_none() {
        return Err(missing(&["region"]));
    }
    let user = asked.required("user")?;
    if user.chars().any(char::is_control) || user.len() > 63 {
        return Err(Error::field(
            Code::BadName,
            "user",
            "must be at most 63 bytes without control characters",
        ));
    }
    Ok(Source {
        target,
        port: asked.number("port", 1..=65_535)?.map(|port| port as u16),
        user,
        tls_mode: tls_mode(&auth, env)?,
        auth,
        region,
        root_certificates: env.get("PGSSLROOTCERT").map(PathBuf::from),
        allowed_hosts,
        limits: Limits::from_env(env)?,
    })
}

/// A host of the environment's own choice is the only one, where it names no others: an event cannot turn the function into
/// a probe of the network around it.
fn allowed_hosts(asked: &EventFields<'_>, env: &Env) -> Result<AllowedHosts> {
    match (env.get("PGSEAL_ALLOWED_HOSTS"), env.get("POSTGRES_HOST")) {
        (Some(list), _) => Ok(AllowedHosts::parse(Some(list))),
        (None, None) => Ok(AllowedHosts::parse(None)),
        (None, Some(host)) => {
            let own = asked.of_defaults().text("host")?;
            Ok(AllowedHosts::parse(None).only([host].into_iter().chain(own.as_deref())))
        }
    }
}

fn password_source(asked: &EventFields<'_>, env: &Env) -> Result<PasswordSource> {
    if let Some(arn) = asked.text("password_secret")? {
        return Ok(PasswordSource::Secret(value::secret_arn(arn)?));
    }
    if let Some(password) = env.get("PGPASSWORD") {
        return Ok(PasswordSource::Variable(SecretString::from(password)));
    }
    env.get("PGPASSFILE")
        .map(|path| PasswordSource::Passfile(PathBuf::from(path)))
        .ok_or_else(|| {
            bad(
                "password_secret",
                "is missing: with `auth` password give it, or PGPASSWORD or PGPASSFILE in the environment",
            )
        })
}

/// A token must reach the right server only; a password's owner may choose.
fn tls_mode(auth: &Auth, env: &Env) -> Result<TlsMode> {
    if matches!(auth, Auth::Iam { .. }) {
        return Ok(TlsMode::VerifyFull);
    }
    match env.get("PGSSLMODE") {
        None | Some("verify-full") => Ok(TlsMode::VerifyFull),
        Some("verify-ca") => Ok(TlsMode::VerifyCa),
        Some("require") => Ok(TlsMode::Require),
        Some("disable") => Ok(TlsMode::Disable),
        Some(_) => Err(Error::new(
            Code::BadEvent,
            "PGSSLMODE must be verify-full, verify-ca, require or disable: the others may fall back to no TLS",
        )),
    }
}

fn destination(asked: &EventFields<'_>, region: Option<&RegionName>) -> Result<Destination> {
    let bucket_region = asked
        .text("bucket_region")?
        .map(|text| RegionName::new("bucket_region", &text))
        .transpose()?;
    let text = |field: &str| asked.text(field);
    let kms_key_id = text("kms_key_id")?.map(KmsKeyId::new).transpose()?;
    Ok(Destination {
        bucket: BucketAccess {
            name: BucketName::new(&asked.required("bucket")?)?,
            region: bucket_region
                .or(region.cloned())
                .ok_or_else(|| missing(&["bucket_region", "region"]))?,
            owner: asked
                .text("bucket_owner")?
                .map(|owner| AccountId::new("bucket_owner", &owner))
                .transpose()?,
        },
        prefix: Prefix::new(&asked.text("prefix")?.unwrap_or_else(|| "backups".to_owned()))?,
        storage_class: text("storage_class")?.as_deref().map(StorageClass::new).transpose()?,
        encryption: storage::encryption(text("encryption")?, kms_key_id.is_some())?,
        kms_key_id,
        acl: text("acl")?.as_deref().map(CannedAcl::new).transpose()?,
        tags: asked.object("tags")?.map(Tagging::new).transpose()?.flatten(),
        object_lock: asked.object("object_lock")?.map(storage::object_lock).transpose()?,
    })
}

/// The legacy format has one key file, `bzip2` in its name, and a wrapping with room for 175 bytes.
fn legacy_fits(compression: Compression, recipients: &[Recipient]) -> Result<()> {
    if !matches!(compression, Compression::Bzip2(_)) {
        return Err(bad("compression", "must be bzip2 with `format` legacy"));
    }
    if recipients.len() != 1 {
        return Err(bad("public_key", "must be one recipient with `format` legacy"));
    }
    Ok(())
}

fn patterns(asked: &EventFields<'_>, field: &str) -> Result<Vec<String>> {
    let patterns = asked.texts(field)?.unwrap_or_default();
    if patterns.iter().any(String::is_empty) {
        return Err(bad(field, "must not hold an empty pattern"));
    }
    if patterns.iter().any(|pattern| pattern.chars().any(char::is_control)) {
        return Err(Error::field(Code::BadName, field, "must not hold control characters"));
    }
    Ok(patterns)
}

fn stall_timeout(env: &Env) -> Result<Duration> {
    match env.get("PGSEAL_STALL_TIMEOUT") {
        None => Ok(Duration::from_secs(15 * 60)),
        Some(text) => value::duration("PGSEAL_STALL_TIMEOUT", text)
            .map_err(|_| Error::new(Code::BadEvent, "PGSEAL_STALL_TIMEOUT must be a number with its unit, such as 15min")),
    }
}

fn checked_blocks(env: &Env) -> Result<usize> {
    match env.get("PGSEAL_CHECK_BLOCKS") {
        None | Some("share") => Ok(DEFAULT_CHECK_INTERVAL),
        Some("all") => Ok(1),
        Some(_) => Err(Error::new(Code::BadEvent, "PGSEAL_CHECK_BLOCKS must be share or all")),
    }
}

fn deadline_check(env: &Env) -> Result<DeadlineCheck> {
    match env.get("PGSEAL_DEADLINE_CHECK") {
        None | Some("refuse") => Ok(DeadlineCheck::Refuse),
        Some("warn") => Ok(DeadlineCheck::Warn),
        Some("off") => Ok(DeadlineCheck::Off),
        Some(_) => Err(Error::new(Code::BadEvent, "PGSEAL_DEADLINE_CHECK must be refuse, warn or off")),
    }
}
