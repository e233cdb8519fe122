//! What can go wrong, as one closed table: code → exit status, what to do.

use serde::{Serialize, Serializer, ser::SerializeMap};
use std::fmt;

pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! codes {
    ($($code:ident $name:literal $exit:literal $hint:literal;)*) => {
        /// The closed list of failures. A name never changes its meaning: alarms and `Catch` rules depend on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($code),* }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &[Code] = &[$(Code::$code),*];

            /// The name in receipts, logs and `errorType` (there behind `pgseal.`).
            pub fn name(self) -> &'static str {
                match self { $(Code::$code => $name),* }
            }

            /// The exit status: 2 event or usage, 3 database, 4 S3 or another AWS service, 5 dump, 6 deadline or
            /// signal, 7 verification or decryption, 70 a bug, 74 an answer that could not be written.
            pub fn exit(self) -> u8 {
                match self { $(Code::$code => $exit),* }
            }

            /// What its reader can do, where nothing more exact is known.
            pub(crate) fn hint(self) -> &'static str {
                match self { $(Code::$code => $hint),* }
            }
        }
    };
}

codes! {
    BadEvent "bad_event" 2 "Correct the field of the event, or the environment variable behind it, that is named here.";
    BadName "bad_name" 2 "Use a name without control characters, `..` and leading or doubled slashes; S3 keys end at 1024 bytes.";
    HostNotAllowed "host_not_allowed" 2 "Add the host's exact name, or a pattern such as *.example.com, to the environment variable PGSEAL_ALLOWED_HOSTS.";
    NoPublicKey "no_public_key" 2 "Give an RSA public key in `public_key` or OPENSSL_PUBLIC_KEY: nothing is ever backed up unencrypted.";
    BadPublicKey "bad_public_key" 2 "Make a key pair with `pgseal keygen`, or with `openssl genrsa -aes256 -out private_key.pem 3072`, and give its public half: what `openssl rsa -in private_key.pem -pubout` prints.";
    PrivateKeyGiven "private_key_given" 2 "Treat this private key as leaked: make a new pair, give the public half only, and remove the private one from wherever it is.";
    KeyNotAllowed "key_not_allowed" 2 "An event may only choose among the recipients that the environment names (OPENSSL_PUBLIC_KEY, PGSEAL_ALLOWED_FINGERPRINTS).";
    NotEnoughMemory "not_enough_memory" 2 "Give the function or task more memory, or lower `workers` or the compression level; `pgseal check` prints the formula.";
    InstanceNotFound "instance_not_found" 3 "Check `instance` and `region`; only an available RDS instance or Aurora cluster has an endpoint.";
    DbUnreachable "db_unreachable" 3 "Check the endpoint and port, that the function or task is in the database's VPC, and that the security group lets it in.";
    DbTls "db_tls" 3 "The connection is never downgraded. Check that the server speaks TLS, that `host` is a name in its certificate, and PGSSLROOTCERT if its CA is not Amazon's.";
    DbAuth "db_auth" 3 "With IAM: it is enabled on the instance; `GRANT rds_iam TO user`; the role allows rds-db:connect on this dbuser; `region` is the database's; the clock is right; `host` is the RDS endpoint, not an alias. With `auth` password: the user has LOGIN, and PGPASSWORD, PGPASSFILE or `password_secret` holds its password of today.";
    DbBusy "db_busy" 3 "The server accepts no further connection now: raise max_connections, close idle ones, or run at a quieter hour.";
    DbLockTimeout "db_lock_timeout" 3 "Another session holds an exclusive lock: run when no DDL runs, or raise `lock_timeout`.";
    DbPrivilege "db_privilege" 3 "GRANT pg_read_all_data TO the backup user (before PostgreSQL 14: USAGE on each schema, SELECT on all its tables and sequences); large objects need GRANT SELECT each, row security needs BYPASSRLS.";
    NoDatabase "no_database" 3 "Check `database`: no such database on this server, or none that this user can connect to.";
    ReplicaConflict "replica_conflict" 3 "The replica cancelled the dump to replay changes: raise max_standby_streaming_delay, set hot_standby_feedback, or dump from the primary.";
    VersionMismatch "version_mismatch" 5 "No installed pg_dump is new enough for this server: use an image with a newer client, or PGSEAL_PG_BIN.";
    PgDumpMissing "pg_dump_missing" 5 "Install postgresql-client, or name its folder in PGSEAL_PG_BIN.";
    DumpFailed "dump_failed" 5 "No backup was made; run again. If it recurs, look at the server's log at this time.";
    DumpStalled "dump_stalled" 5 "pg_dump sent nothing for PGSEAL_STALL_TIMEOUT: look for a hanging server or a silent network between.";
    DumpIncomplete "dump_incomplete" 5 "pg_dump ended without its closing line; no backup was made. Run again, and report it if it recurs.";
    S3Unavailable "s3_unavailable" 4 "S3 did not answer properly after every retry: check the network path (NAT or VPC endpoint) and run again.";
    S3Integrity "s3_integrity" 4 "S3 received other bytes than were sent, twice: suspect a proxy or memory; run again elsewhere.";
    S3UploadGone "s3_upload_gone" 4 "Someone or a lifecycle rule aborted the upload: let AbortIncompleteMultipartUpload wait for longer than the backup takes: 14 days.";
    S3WrongRegion "s3_wrong_region" 4 "Set `bucket_region` to the bucket's region.";
    S3NoBucket "s3_no_bucket" 4 "Create the bucket, or correct `bucket`.";
    S3Denied "s3_denied" 4 "Allow the named action on the named resource: in the role, the bucket policy, the KMS key's policy and the organisation's. A bucket policy may also demand a header: `encryption`, `kms_key_id`, `acl`, `storage_class`, `tags` and `object_lock` send it.";
    CommitUnknown "commit_unknown" 4 "Whether S3 completed it is unknown: allow s3:ListBucket on the bucket, or s3:GetObject on the prefix, and run again: a complete backup is then found. Without a manifest there is no backup.";
    CommitFailed "commit_failed" 4 "The data was stored but its manifest could not be: without it, it is no backup. Run again; the objects of the run named here may be deleted once `pgseal list` shows no backup of that run.";
    AwsFailed "aws_failed" 4 "Check the role's credentials, its permission for the named call, and the network path to that service.";
    StemTaken "stem_taken" 4 "Another object has this backup's name: give each server and each selection a `prefix` of its own (such as `backups/{host}`), or use another `scheduled_time`; look at the object before you remove it.";
    S3Unsupported "s3_unsupported" 4 "This S3 endpoint lacks conditional writes (If-None-Match) or checksums, without which nothing protects a backup from being overwritten or spoilt: use Amazon S3, or a server that has both.";
    Deadline "deadline" 6 "Time ran out: raise the function's timeout or memory, raise `rate_limit`, or run it as an ECS task, which has no limit.";
    DeadlinePredicted "deadline_predicted" 6 "Raise the timeout or `rate_limit`, or run it as an ECS task; PGSEAL_DEADLINE_CHECK=off tries all the same.";
    Terminated "terminated" 6 "Stopped by a signal; no backup was made. Run again.";
    NoBackup "no_backup" 7 "Look with `pgseal list` for what is there; what has no manifest is no backup.";
    TooOld "too_old" 7 "Look for the runs since then: the schedule, and the log of the last one.";
    Tampered "tampered" 7 "Do not use this backup: fetch the objects again, else take another one, and find out who can write to the bucket.";
    WrongKey "wrong_key" 7 "Use the private key whose fingerprint is named here.";
    RestoreFailed "restore_failed" 7 "Look at the first error; restore into an empty database.";
    BadUsage "bad_usage" 2 "See `pgseal --help`.";
    OutputFailed "output_failed" 74 "The answer could not be written to stdout; what was done is kept: `pgseal list` shows it.";
    Bug "bug" 70 "This should not happen: please report it with the log.";
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A failure: the fact first (`message`), the advice second (`hint`). Holds no secret and no value of an event.
#[derive(Clone, Debug, thiserror::Error)]
pub struct Error {
    pub code: Code,
    pub message: String,
    /// The field of the event that is at fault, where it is one.
    pub field: Option<String>,
    hint: Option<String>,
    /// Other faults of the same event.
    pub also: Vec<Error>,
}

/// Faults of one event that are told. Who has more has one cause: a wrong database, or a text that is no event.
const MOST_FAULTS: usize = 20;

/// Faults of one event that do not hang on each other, so that all are told at once.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Error>);

impl Faults {
    /// That there is one more, which no value goes with.
    pub(crate) fn add(&mut self, mut error: Error) {
        let also = std::mem::take(&mut error.also);
        let free = MOST_FAULTS.saturating_sub(self.0.len());
        self.0.extend(std::iter::once(error).chain(also).take(free));
    }

    /// `None` where it is a fault.
    pub(crate) fn keep<T>(&mut self, outcome: Result<T>) -> Option<T> {
        outcome.map_err(|error| self.add(error)).ok()
    }

    /// The value if there was no fault; else the first fault, and the others in it. Without a value there was one.
    pub(crate) fn settle<T>(self, value: Option<T>) -> Result<T> {
        let mut faults = self.0.into_iter();
        match (faults.next(), value) {
            (None, Some(value)) => Ok(value),
            (None, None) => Err(Error::new(Code::Bug, "a value is missing, and no fault says why")),
            (Some(mut first), _) => {
                first.also.extend(faults);
                Err(first)
            }
        }
    }
}

/// Without the system's number behind its words, such as ` (os error 2)`: it tells people nothing.
fn without_numbers(mut message: String) -> String {
    const BEFORE: &str = " (os error ";
    while let Some(at) = message.find(BEFORE) {
        let digits = message[at + BEFORE.len()..].bytes().take_while(u8::is_ascii_digit).count();
        let end = at + BEFORE.len() + digits;
        if digits == 0 || !message[end..].starts_with(')') {
            break;
        }
        message.replace_range(at..=end, "");
    }
    message
}

impl Error {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: without_numbers(message.into()),
            field: None,
            hint: None,
            also: Vec::new(),
        }
    }

    /// A field of the event, or the environment variable behind it, that cannot be used; with `bad_usage` an option.
    pub(crate) fn field(code: Code, field: &str, message: impl fmt::Display) -> Self {
        let named = match code {
            Code::BadUsage => format!("--{field} {message}"),
            _ => format!("`{field}` {message}"),
        };
        Self {
            code,
            message: without_numbers(named),
            field: Some(field.to_owned()),
            hint: None,
            also: Vec::new(),
        }
    }

    /// The message behind the field that it is about: for a question or an option, which has a name of its own.
    pub(crate) fn without_field(&self) -> &str {
        let field = self.field.as_deref().unwrap_or_default();
        let rest = self
            .message
            .strip_prefix(&format!("`{field}` "))
            .or_else(|| self.message.strip_prefix(&format!("--{field} ")));
        rest.unwrap_or(&self.message)
    }

    /// Advice that was given for this very error.
    pub(crate) fn own_hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Advice that is more exact than the code's own.
    pub(crate) fn advise(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Advice, unless there is some already that is more exact than the code's own.
    pub(crate) fn or_advise(mut self, hint: &str) -> Self {
        self.hint.get_or_insert_with(|| hint.to_owned());
        self
    }

    pub fn hint(&self) -> &str {
        let named = || match (self.code, self.field.as_deref()) {
            (Code::BadEvent, None) => "Correct what is named here; docs/REFERENCE.md has a table of all fields and variables.",
            (Code::BadEvent, Some(field)) if is_variable(field) => "Correct the environment variable that is named here, or unset it.",
            _ => self.code.hint(),
        };
        self.hint.as_deref().unwrap_or_else(named)
    }

    /// The name under which Lambda, Step Functions and alarms see it.
    pub(crate) fn error_type(&self) -> String {
        format!("pgseal.{}", self.code.name())
    }
}

fn is_variable(field: &str) -> bool {
    field.starts_with(|letter: char| letter.is_ascii_uppercase()) && !field.contains(|letter: char| letter.is_ascii_lowercase())
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.message)
    }
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("code", &self.code)?;
        map.serialize_entry("message", &self.message)?;
        map.serialize_entry("hint", self.hint())?;
        if let Some(field) = &self.field {
            map.serialize_entry("field", field)?;
        }
        if !self.also.is_empty() {
            map.serialize_entry("also", &self.also)?;
        }
        map.end()
    }
}

/// The pipeline's stages speak `std::io`; an [`Error`] rides inside and is found again by [`from_io`].
impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        std::io::Error::other(error)
    }
}

/// The error that a stage put in, or `otherwise` around an error of the system.
pub(crate) fn from_io(error: std::io::Error, otherwise: Code) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => ours,
        Err(system) => Error::new(otherwise, system.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_exits_are_the_promised_ones() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| [2, 3, 4, 5, 6, 7, 70, 74].contains(&code.exit())));
    }

    #[test]
    fn a_hint_speaks_of_a_field_only_where_one_is_named() {
        let hint = |error: Error| error.hint().to_owned();
        assert!(hint(Error::field(Code::BadEvent, "port", "must be a number")).contains("field of the event"));
        for error in [
            Error::new(Code::BadEvent, "the event is not UTF-8"),
            Error::field(Code::BadEvent, "PGSEAL_LOG", "(an environment variable) must be one of …"),
        ] {
            assert!(!hint(error.clone()).contains("field of the event"), "{error}");
        }
    }

    #[test]
    fn all_faults_are_in_the_first() {
        let mut faults = Faults::default();
        assert_eq!(faults.keep(Ok(1)), Some(1));
        for field in ["port", "user"] {
            assert_eq!(faults.keep::<u8>(Err(Error::field(Code::BadEvent, field, "is wrong"))), None);
        }
        let error = faults.settle(Some(1)).unwrap_err();
        let json = serde_json::to_value(&error).unwrap();
        assert_eq!((&json["field"], &json["also"][0]["field"]), (&"port".into(), &"user".into()));
        assert_eq!(Faults::default().settle(Some(2)).unwrap(), 2);
    }

    #[test]
    fn an_error_survives_the_way_through_io() {
        let io = std::io::Error::from(Error::new(Code::DumpStalled, "silent"));
        assert_eq!(from_io(io, Code::Bug).code, Code::DumpStalled);
    }
}
