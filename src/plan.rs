//! What will be done: an event and an environment, resolved once into values that cannot be wrong.

pub(crate) mod bucket;
mod deployment;
mod discovery;
mod host;
mod limits;
mod lock_guard;
mod memory;
mod rate_limit;
mod rate_schedule;
mod recipients;
mod resolve;
mod retention;
mod schedule;
mod source;
mod storage;
pub mod values;

pub use bucket::{AccountId, BucketAccess, BucketName, OWNER_VARIABLE, RegionName};
pub(crate) use discovery::{Discovery, Narrowing, SKIP_TAG};
pub(crate) use host::{AllowedHosts, Host};
pub(crate) use limits::Limits;
pub use lock_guard::LockGuard;
pub use memory::{DEFAULT_CHECK_INTERVAL, MemoryBudget, PG_DUMP, block_bytes};
pub use rate_limit::RateLimit;
pub use rate_schedule::RateSchedule;
pub(crate) use recipients::parameter_path;
pub use retention::{RetentionClass, RetentionDays};
pub(crate) use storage::{CannedAcl, Encryption, KmsKeyId, ObjectLock, StorageClass, Tagging};
pub(crate) use values::{SecretArn, SigningKey};

use crate::envelope::recipient::Recipient;
use crate::error::Result;
use crate::format::backup_format::Format;
use crate::format::compression::Compression;
use crate::format::names::{DatabaseName, Prefix, Stem};
use crate::format::object_names::manifest_revision;
use crate::format::order::Selection;
use crate::variables::Env;
use secrecy::SecretString;
use std::path::PathBuf;
use std::time::Duration;
use time::OffsetDateTime;

/// Uploads of one backup that are on the wire at once.
pub const IN_FLIGHT: u64 = 2;

/// What is true of the place where a plan is made, beside its environment: a parameter, so that resolving is pure.
#[derive(Clone, Copy, Debug)]
pub struct RuntimeLimits {
    pub now: OffsetDateTime,
    /// CPUs that the cgroup grants.
    pub cpus: usize,
    /// Bytes of memory that the function or cgroup grants.
    pub memory: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Backup,
    Check,
    Plan,
    /// Of a fleet: which backups of one time are there.
    Summary,
}

impl Action {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "backup" => Some(Self::Backup),
            "check" => Some(Self::Check),
            "plan" => Some(Self::Plan),
            "summary" => Some(Self::Summary),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Databases {
    Named(Vec<DatabaseName>),
    /// `"*"`: every one, except the server's own templates, `rdsadmin` and `exclude_databases`.
    All,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseTarget {
    Host(Host),
    /// An RDS instance or Aurora cluster, to be looked up.
    Instance(String),
    /// All that are found so, for a fleet's plan: each becomes a `Host` of an event of its own.
    Discovered(Discovery),
}

#[derive(Clone, Debug)]
pub enum Auth {
    /// A short-lived token, signed for this region.
    Iam {
        region: RegionName,
    },
    Password(PasswordSource),
}

#[derive(Clone, Debug)]
pub enum PasswordSource {
    Variable(SecretString),
    Passfile(PathBuf),
    Secret(SecretArn),
}

/// How the server's certificate is checked, as libpq's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    Disable,
    Require,
    VerifyCa,
    VerifyFull,
}

impl TlsMode {
    /// Whether anybody asks who the server is.
    pub(crate) fn verifies(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyFull)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

/// How the server is reached and who logs in.
#[derive(Clone, Debug)]
pub struct Source {
    pub target: DatabaseTarget,
    /// As asked; else the one that a look-up finds, else 5432.
    pub port: Option<u16>,
    pub user: String,
    pub auth: Auth,
    pub region: Option<RegionName>,
    pub tls_mode: TlsMode,
    /// A CA bundle instead of the embedded one of RDS.
    pub root_certificates: Option<PathBuf>,
    pub allowed_hosts: AllowedHosts,
    pub limits: Limits,
}

/// Where the objects go and how S3 is to keep them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    pub bucket: BucketAccess,
    pub prefix: Prefix,
    /// Of the dump; the small objects beside it stay in the standard class.
    pub storage_class: Option<StorageClass>,
    /// As asked for; none leaves it to the bucket.
    pub encryption: Option<Encryption>,
    pub kms_key_id: Option<KmsKeyId>,
    pub acl: Option<CannedAcl>,
    pub tags: Option<Tagging>,
    /// Becomes a tag, and the days of a lock that names none.
    pub retention: Option<RetentionClass>,
    pub object_lock: Option<ObjectLock>,
}

impl Destination {
    /// The tags of an object, in the form of the `x-amz-tagging` header.
    pub(crate) fn tagging(&self, key: &str) -> Option<String> {
        let own = self.tags.as_ref().map(|tags| tags.as_str().to_owned());
        let name = key.rsplit('/').next().unwrap_or(key);
        let of_class = self.retention.map(|class| class.tagging(manifest_revision(name).is_some()));
        let all: Vec<String> = own.into_iter().chain(of_class).collect();
        (!all.is_empty()).then(|| all.join("&"))
    }

    /// As they stand at an object that is there: what its retention sets is set anew for each object.
    pub(crate) fn set_tags(&mut self, tags: impl Iterator<Item = (String, String)>) {
        let (of_retention, own): (Vec<_>, Vec<_>) = tags.partition(|(name, _)| retention::TAGS.contains(&name.as_str()));
        let class = of_retention.iter().find(|(name, _)| name == retention::CLASS_TAG);
        self.retention = class.and_then(|(_, class)| RetentionClass::named(class));
        let own = own.into_iter().map(|(name, value)| (name, value.into())).collect();
        // S3's own tags cannot be set.
        self.tags = Tagging::new(&own, self.retention.is_some()).unwrap_or_default();
    }

    /// A bucket to read from.
    pub fn reading(bucket: BucketName, env: &Env) -> Result<Self> {
        Ok(Self {
            bucket: BucketAccess::reading(bucket, env)?,
            prefix: Prefix::new("")?,
            storage_class: None,
            encryption: None,
            kms_key_id: None,
            acl: None,
            tags: None,
            retention: None,
            object_lock: None,
        })
    }
}

/// Whether a deadline that cannot be met stops a backup before it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlineCheck {
    Refuse,
    Warn,
    Off,
}

/// One event, resolved: nothing is looked up in an event or environment after this.
#[derive(Clone, Debug)]
pub struct Plan {
    pub action: Action,
    pub databases: Databases,
    /// Left out of `"*"` on purpose: names, as they are shown.
    pub exclude_databases: Vec<String>,
    pub source: Source,
    pub destination: Destination,
    pub recipients: Vec<Recipient>,
    pub rate_limit: RateSchedule,
    pub compression: Compression,
    pub workers: usize,
    /// Of so many bzip2 blocks one is decoded again before it is sent.
    pub checked_blocks: usize,
    pub format: Format,
    pub selection: Selection,
    pub globals: bool,
    /// Those of the planner, too, from pg_dump 18 on.
    pub statistics: bool,
    pub lock_guard: Option<LockGuard>,
    pub lock_timeout: Duration,
    /// Those that the backups of this event may have, today and on other days.
    pub retention_classes: &'static [RetentionClass],
    /// What the lifecycle rules of the deployment go by.
    pub retention_days: RetentionDays,
    /// Names the backup.
    pub scheduled_time: OffsetDateTime,
    /// That the scheduled time is long past, for each backup's warnings.
    pub lateness: Option<String>,
    /// How long `pg_dump` may be silent while it is being read.
    pub stall_timeout: Duration,
    pub deadline_check: DeadlineCheck,
    /// Folders to look for `pg_dump` in, before the usual ones.
    pub client_folders: Vec<PathBuf>,
    pub available_memory: Option<u64>,
    /// Who signs the manifests, if anyone does.
    pub signing_key: Option<SigningKey>,
    /// What should not stay as it is, for every receipt.
    pub warnings: Vec<String>,
}
