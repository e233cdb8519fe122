//! A failed call to S3, as the code that its user can act on.

use crate::aws::{EXPIRED, SKEWED, ServiceError};
use crate::error::{Code, Error};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// What S3's answer means for the caller, where that is not simply an error.
pub(crate) enum S3ErrorKind {
    /// 412: the key exists (`If-None-Match: *`).
    Exists,
    /// 409: another write of this key is under way; try again.
    Busy,
    /// The upload id is not known (any more).
    NoUpload,
    /// 404 of an object.
    NotFound,
    /// 403: the role may not.
    Denied(Error),
    /// 403: nobody knows these credentials, or they were signed with another secret. No call can succeed.
    BadCredentials(Error),
    /// The bytes were refused: their checksum does not fit.
    Corrupted(Error),
    /// 501: this server does not know what was asked of it.
    Unsupported(Error),
    /// A success that is none, or an error that does not fit the call.
    Senseless(Error),
    Failed(Error),
}

const EXPIRED_HINT: &str = "These credentials have expired, and new ones were not to be had: give the task or function a role, \
                            which renews them; keys and session tokens in variables are fixed at the start.";
/// Of credentials that are none; all of them come with a 403.
const UNKNOWN: [&str; 5] = [
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "InvalidSecurity",
    "NotSignedUp",
];
const UNKNOWN_HINT: &str = "The access key, its secret or the session token is wrong: correct AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and \
                            AWS_SESSION_TOKEN, or unset them and give the task or function a role.";
const NO_READS: &str = "This endpoint does not know a call that every S3 has: see that AWS_ENDPOINT_URL_S3 names an S3 server, and that nothing \
                        between answers in its place.";
const REDIRECTED: &str = "Something between here and S3 sends this request elsewhere, such as a portal or proxy that wants a login: let \
                          requests to S3 through.";
const INVALID_HINT: &str = "S3 takes this request for invalid: correct the field behind what it names (`storage_class`, `kms_key_id`, \
                            `encryption`, `tags`, `acl`, `object_lock`), or a store that does not offer it.";
const TOO_LARGE: &str = "A limit on the size of a body, of this endpoint or of a proxy before it (such as client_max_body_size), is smaller \
                         than a part: raise it.";
const SKEWED_HINT: &str = "S3 takes this machine's clock for wrong, though it was corrected by S3's own: set the clock (NTP), and look \
                           for a proxy that delays requests.";

impl S3ErrorKind {
    pub(crate) fn from_sdk<E>(error: &SdkError<E, HttpResponse>, action: &str, resource: &str) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let failed = ServiceError::from_sdk(error);
        let tell = |code: Code| Error::new(code, failed.sentence(action, resource));
        match (failed.code.as_str(), failed.status) {
            ("PreconditionFailed", _) | (_, Some(412)) if has_condition(action) => Self::Exists,
            ("ConditionalRequestConflict" | "OperationAborted", _) | (_, Some(409)) if is_write(action) => Self::Busy,
            (_, Some(409 | 412)) => Self::Senseless(tell(Code::S3Unavailable)),
            ("NotImplemented", _) | (_, Some(501)) if is_write(action) => Self::Unsupported(tell(Code::S3Unsupported)),
            ("NotImplemented", _) | (_, Some(501)) => Self::Failed(tell(Code::S3Unavailable).advise(NO_READS)),
            ("NoSuchUpload", _) => Self::NoUpload,
            ("NoSuchBucket" | "InvalidBucketName", _) => Self::Failed(tell(Code::S3NoBucket)),
            // S3 names itself in each of its redirects; a portal that wants a login does not.
            ("", Some(307)) if failed.region.is_none() => Self::Failed(tell(Code::S3Unavailable).advise(REDIRECTED)),
            ("PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException", _)
            | (_, Some(301 | 307)) => {
                let error = tell(Code::S3WrongRegion);
                Self::Failed(match &failed.region {
                    Some(region) => error.advise(format!("Set `bucket_region` to {region}.")),
                    None => error,
                })
            }
            ("BadDigest" | "XAmzContentSHA256Mismatch" | "InvalidDigest" | "XAmzContentChecksumMismatch" | "IncompleteBody", _) => {
                Self::Corrupted(tell(Code::S3Integrity))
            }
            // It does not hold the parts that it said it had taken.
            ("InvalidPart" | "InvalidPartOrder", _) => Self::Corrupted(tell(Code::S3Integrity)),
            ("EntityTooLarge", _) | (_, Some(413)) => Self::Failed(tell(Code::S3Unavailable).advise(TOO_LARGE)),
            (_, Some(404)) => Self::NotFound,
            // Each was tried again before it came here, with new credentials and the time that S3 told.
            (code, _) if EXPIRED.contains(&code) => Self::Denied(tell(Code::S3Denied).advise(EXPIRED_HINT)),
            (code, _) if SKEWED.contains(&code) => Self::Denied(tell(Code::S3Denied).advise(SKEWED_HINT)),
            (code, _) if UNKNOWN.contains(&code) => Self::BadCredentials(tell(Code::S3Denied).advise(UNKNOWN_HINT)),
            // HeadObject's and HeadBucket's, which have no body to tell a code in.
            ("", Some(400)) => Self::Denied(tell(Code::S3Denied).advise(EXPIRED_HINT)),
            (_, Some(401 | 403)) => Self::Denied(tell(Code::S3Denied)),
            _ if failed.no_credentials => Self::Failed(failed.into_error(action, resource)),
            ("RequestTimeout" | "SlowDown" | "InternalError" | "ServiceUnavailable", _) => Self::Failed(tell(Code::S3Unavailable)),
            // A class that is not offered, a tag, a lock, a key of KMS: no policy.
            (code, Some(400)) if !code.is_empty() => Self::Failed(tell(Code::S3Denied).advise(INVALID_HINT)),
            // Any other refusal of a request that is well-formed: a policy, KMS.
            (code, Some(400..=499)) if !code.is_empty() => Self::Failed(tell(Code::S3Denied)),
            _ => Self::Failed(tell(Code::S3Unavailable)),
        }
    }

    /// Where none of the special meanings was expected.
    pub(crate) fn into_error(self, action: &str, resource: &str) -> Error {
        match self {
            Self::Denied(error)
            | Self::BadCredentials(error)
            | Self::Corrupted(error)
            | Self::Unsupported(error)
            | Self::Senseless(error)
            | Self::Failed(error) => error,
            Self::Exists if is_write(action) => Error::new(Code::CommitFailed, format!("{action}: S3 says that {resource} exists already")),
            Self::Exists => Error::new(
                Code::S3Unavailable,
                format!("{action}: S3 says of {resource} that a condition does not hold (412)"),
            ),
            Self::Busy => Error::new(Code::S3Unavailable, format!("{action}: another write of {resource} is under way")),
            Self::NoUpload => Error::new(Code::S3UploadGone, format!("{action}: the upload of {resource} is gone")),
            Self::NotFound => Error::new(Code::S3NoBucket, format!("{action}: {resource} was not found")),
        }
    }
}

/// Writes are named by the permission that they need.
fn is_write(action: &str) -> bool {
    action.starts_with("s3:PutObject")
}

/// `If-None-Match` of what makes an object, `If-Match` of reading one.
fn has_condition(action: &str) -> bool {
    matches!(
        action,
        "s3:PutObject" | "s3:PutObject (CompleteMultipartUpload)" | "s3:GetObject" | "s3:GetObjectVersion"
    )
}

/// A 412 to a write under a name that is free.
pub(crate) fn exists_and_is_missing(action: &str, arn: &str) -> Error {
    let told = format!("{action} on {arn}: S3 says that it exists already (412), and that there is no such object (404)");
    Error::new(Code::S3Unavailable, told)
}

/// What to do about objects of another run under the same names.
pub(crate) const OF_ANOTHER_RUN: &str = "If that run goes on, wait for its end and run again. If it has failed, its objects stay, since \
     nothing is overwritten: remove them, which have no manifest and are no backup, or take another `scheduled_time`, which names the \
     backup.";

/// Objects of the legacy format have no name of their own for each run. Anyone who deleted this one might take it from a run
/// that goes on.
pub(crate) fn of_another_run(object: &str) -> Error {
    Error::new(
        Code::CommitFailed,
        format!("{object} exists already, from another run of this event"),
    )
    .advise(OF_ANOTHER_RUN)
}
