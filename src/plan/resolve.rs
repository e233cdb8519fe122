//! From what is asked to what will be done. Pure: no network, no clock, no file.

use super::recipients::recipients;
use super::source::source;
use super::values as value;
use super::*;
use crate::envelope::test_keys;
use crate::error::{Code, Error, Faults, Result};
use crate::event::{Event, EventFields, missing};
use crate::variables;
use crate::variables::Env;

const DEFAULT_RATE: &str = "10M";

impl Plan {
    /// Every rule of the contract.
    pub fn resolve(event: &Event, env: &Env, place: RuntimeLimits) -> Result<Self> {
        variables::check(env)?;
        let mut faults = Faults::default();
        faults.keep(event.unknown_fields());
        let plan = faults.keep(Self::resolve_known(event, env, place));
        faults.settle(plan)
    }

    /// The refusals that protect keys first.
    fn resolve_known(event: &Event, env: &Env, place: RuntimeLimits) -> Result<Self> {
        let defaults = deployment::defaults(env)?;
        deployment::admit(event, env)?;
        deployment::keep_pins(event, &defaults, env)?;
        let asked = EventFields::new(event, &defaults, env);
        Self::from_fields_or_faults(&asked, env, place).map_err(|mut error| {
            let also = std::mem::take(&mut error.also).into_iter();
            error.also = also.map(|error| deployment::name_defaults(error, event, &defaults)).collect();
            deployment::name_defaults(error, event, &defaults)
        })
    }

    fn from_fields_or_faults(asked: &EventFields<'_>, env: &Env, place: RuntimeLimits) -> Result<Self> {
        let mut faults = Faults::default();
        let plan = Self::from_fields(asked, env, place, &mut faults);
        faults.settle(plan)?.fitting()
    }

    /// `None` if a field is at fault; the others are looked at all the same.
    fn from_fields(asked: &EventFields<'_>, env: &Env, place: RuntimeLimits, faults: &mut Faults) -> Option<Self> {
        let recipients = faults.keep(recipients(asked, env));
        let admitted = recipients
            .as_ref()
            .and_then(|recipients| faults.keep(test_keys::admit(recipients, env)));
        let action = faults.keep(action(asked));
        let databases = faults.keep(databases(asked));
        let exclude_databases = faults.keep(exclude_databases(asked));
        let source = source(asked, env, faults);
        let region = source.as_ref().and_then(|source| source.region.clone());
        // Where that is at fault, it has been told.
        let region = region.or_else(|| RegionName::new("region", &asked.text("region").ok()??).ok());
        let scheduled_time = faults.keep(
            asked
                .text("scheduled_time")
                .and_then(|time| schedule::time(time.as_deref(), place.now)),
        );
        let retention = faults.keep(retention(asked, scheduled_time.unwrap_or(place.now)));
        let days = faults.keep(retention::RetentionDays::from_env(env));
        let retention = retention.map(|class| Some((class?, days?.locked(class?))));
        let destination = destination(asked, region.as_ref(), retention.flatten(), faults);
        let format = faults.keep(format(asked));
        let compression = faults.keep(compression(asked));
        if let (Some(Format::Legacy), Some(compression), Some(recipients)) = (format, compression, &recipients) {
            faults.keep(legacy_fits(compression, recipients));
        }
        let rate_limit = faults.keep(rate_limit(asked));
        let lock_timeout = asked.text("lock_timeout");
        let lock_timeout = faults.keep(lock_timeout.and_then(|text| value::duration("lock_timeout", text.as_deref().unwrap_or("60s"))));
        let workers = faults.keep(asked.number("workers", 1..=256));
        let checked_blocks = faults.keep(checked_blocks(env));
        let selection = selection(asked, faults);
        let globals = faults.keep(asked.flag("globals"));
        let statistics = faults.keep(asked.flag("statistics"));
        let lock_guard = asked.text("lock_guard");
        let lock_guard = faults.keep(lock_guard.and_then(|text| LockGuard::parse(text.as_deref().unwrap_or("off"))));
        let stall_timeout = faults.keep(stall_timeout(env));
        let deadline_check = faults.keep(deadline_check(env));
        let signing_key = faults.keep(SigningKey::from_env(env));
        retention?;
        let (databases, exclude_databases, mut warnings) = (databases?, exclude_databases?, admitted?);
        if matches!(databases, Databases::Named(_)) && !exclude_databases.is_empty() {
            warnings
                .push("exclude_databases has an effect beside `database` \"*\" alone: the databases named here are backed up".to_owned());
        }
        let (scheduled_time, rate_limit) = (scheduled_time?, rate_limit?);
        warnings.extend(rate_limit.warning());
        Some(Self {
            action: action?,
            exclude_databases,
            databases,
            source: source?,
            destination: destination?,
            recipients: recipients?,
            rate_limit,
            compression: compression?,
            workers: workers?.map_or(place.cpus, |workers| workers as usize),
            checked_blocks: checked_blocks?,
            format: format?,
            selection: selection?,
            globals: globals?,
            statistics: statistics?,
            lock_guard: lock_guard?,
            lock_timeout: lock_timeout?,
            retention_days: days?,
            retention_classes: RetentionClass::possible(asked.text("retention").ok().flatten().as_deref()),
            scheduled_time,
            lateness: schedule::late(scheduled_time, place.now),
            stall_timeout: stall_timeout?,
            deadline_check: deadline_check?,
            client_folders: env.client_folders(),
            available_memory: place.memory,
            signing_key: signing_key?,
            warnings,
        })
    }

    /// What holds of fields together.
    fn fitting(self) -> Result<Self> {
        self.memory(0)?;
        if !self.selection.tables.is_empty() && !self.selection.schemas.is_empty() {
            let error = bad(
                "tables",
                "cannot be given together with schemas: pg_dump would pass over the schemas",
            );
            return Err(error.advise("Name the tables of a schema as schema.*, in tables alone."));
        }
        if let Databases::Named(names) = &self.databases {
            let prefix = match &self.source.target {
                DatabaseTarget::Host(host) => self.destination.prefix.for_host(host.label()),
                DatabaseTarget::Instance(_) | DatabaseTarget::Discovered(_) => self.destination.prefix.of_longest_host(),
            };
            names
                .iter()
                .try_for_each(|name| Stem::new(&prefix, name, self.scheduled_time).map(drop))?;
        }
        Ok(self)
    }

    /// Of its recipients.
    pub(crate) fn fingerprints(&self) -> Vec<&str> {
        self.recipients.iter().map(|recipient| recipient.fingerprint.as_str()).collect()
    }

    /// What a backup of this database on this server is named.
    pub(crate) fn stem(&self, database: &DatabaseName, host: &Host) -> Result<Stem> {
        Stem::new(&self.destination.prefix.for_host(host.label()), database, self.scheduled_time)
    }

    /// The same before the server was looked up: `None` where the name depends on that.
    pub fn known_stem(&self, database: &DatabaseName) -> Option<Stem> {
        match &self.source.target {
            DatabaseTarget::Host(host) => self.stem(database, host).ok(),
            DatabaseTarget::Discovered(_) => None,
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

pub(super) fn bad(field: &str, reason: &str) -> Error {
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

fn action(asked: &EventFields<'_>) -> Result<Action> {
    match asked.text("action")?.as_deref() {
        None => Ok(Action::Backup),
        Some(name) => Action::named(name).ok_or_else(|| bad("action", "must be backup, check, plan or summary")),
    }
}

fn rate_limit(asked: &EventFields<'_>) -> Result<RateSchedule> {
    if let Some(list) = asked.list("rate_limit") {
        let zone = asked.text("timezone")?;
        return RateSchedule::new(list, RateLimit::parse(DEFAULT_RATE)?, zone.as_deref().unwrap_or("UTC"));
    }
    let rate = asked.text_or_number("rate_limit")?;
    RateLimit::parse(rate.as_deref().unwrap_or(DEFAULT_RATE)).map(RateSchedule::from)
}

fn retention(asked: &EventFields<'_>, time: OffsetDateTime) -> Result<Option<RetentionClass>> {
    let zone = asked.text("timezone")?;
    // Refused wherever it stands: it would be wrong the day that something goes by it.
    zone.as_deref().map(retention::zone).transpose()?;
    let class = asked.text("retention")?;
    class.map(|class| RetentionClass::new(&class, zone.as_deref(), time)).transpose()
}

fn format(asked: &EventFields<'_>) -> Result<Format> {
    match asked.text("format")?.as_deref() {
        None | Some("pgseal/1") => Ok(Format::Pgseal1),
        Some("legacy") => Ok(Format::Legacy),
        Some(_) => Err(bad("format", "must be pgseal/1 or legacy")),
    }
}

fn compression(asked: &EventFields<'_>) -> Result<Compression> {
    let text = asked.text("compression")?;
    text.as_deref().map_or(Ok(Compression::Bzip2(9)), Compression::parse)
}

fn selection(asked: &EventFields<'_>, faults: &mut Faults) -> Option<Selection> {
    let mut of = |field: &str| faults.keep(patterns(asked, field));
    let [tables, exclude_tables, exclude_table_data] = ["tables", "exclude_tables", "exclude_table_data"].map(&mut of);
    let [schemas, exclude_schemas] = ["schemas", "exclude_schemas"].map(&mut of);
    Some(Selection {
        tables: tables?,
        exclude_tables: exclude_tables?,
        exclude_table_data: exclude_table_data?,
        schemas: schemas?,
        exclude_schemas: exclude_schemas?,
    })
}

fn destination(
    asked: &EventFields<'_>,
    region: Option<&RegionName>,
    // With the days that its lock lasts.
    retention: Option<(RetentionClass, u32)>,
    faults: &mut Faults,
) -> Option<Destination> {
    let text = |field: &str| asked.text(field);
    let name = faults.keep(asked.required("bucket").and_then(|name| BucketName::new(&name)));
    let bucket_region = text("bucket_region").and_then(|text| {
        let named = text.map(|text| RegionName::new("bucket_region", &text)).transpose()?;
        named.or(region.cloned()).ok_or_else(|| missing(&["bucket_region", "region"]))
    });
    let owner = text("bucket_owner").and_then(|owner| owner.map(|owner| AccountId::new("bucket_owner", &owner)).transpose());
    let prefix = text("prefix").and_then(|prefix| Prefix::new(prefix.as_deref().unwrap_or("backups")));
    // A region that is wrong has been told, and is not missing.
    let is_told = bucket_region.is_err() && region.is_none() && text("region").is_ok_and(|region| region.is_some());
    let is_told = is_told && text("bucket_region").is_ok_and(|region| region.is_none());
    let bucket_region = if is_told { None } else { faults.keep(bucket_region) };
    let (owner, prefix) = (faults.keep(owner), faults.keep(prefix));
    let storage_class = match asked.members("storage_class") {
        Some(classes) => StorageClass::by_class(classes, retention.map(|(class, _)| class)),
        None => text("storage_class").and_then(|class| class.as_deref().map(StorageClass::new).transpose()),
    };
    let kms_key_id = text("kms_key_id").and_then(|key| key.map(KmsKeyId::new).transpose());
    let acl = text("acl").and_then(|acl| acl.as_deref().map(CannedAcl::new).transpose());
    let (storage_class, kms_key_id, acl) = (faults.keep(storage_class), faults.keep(kms_key_id), faults.keep(acl));
    let has_key = kms_key_id.as_ref().is_some_and(Option::is_some);
    let encryption = faults.keep(text("encryption").and_then(|asked| storage::encryption(asked, has_key)));
    let tags = asked
        .object("tags")
        .and_then(|tags| Ok(tags.map(|tags| Tagging::new(tags, retention.is_some())).transpose()?.flatten()));
    let tags = faults.keep(tags);
    let object_lock = asked.object("object_lock").and_then(|lock| {
        lock.map(|lock| storage::object_lock(lock, retention.map(|(_, days)| days)))
            .transpose()
    });
    let object_lock = faults.keep(object_lock);
    Some(Destination {
        bucket: BucketAccess {
            name: name?,
            region: bucket_region?,
            owner: owner?,
        },
        prefix: prefix?,
        storage_class: storage_class?,
        encryption: encryption?,
        kms_key_id: kms_key_id?,
        acl: acl?,
        tags: tags?,
        retention: retention.map(|(class, _)| class),
        object_lock: object_lock?,
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
