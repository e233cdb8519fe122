//! What deploy/bucket-policy.json says of writes (`NothingIsOverwritten`), for every user but the owner: so what is tested here
//! would not be refused by a bucket that has it.

use s3s::auth::Credentials;
use s3s::{S3Result, s3_error};

/// An object comes into being by a request with `If-None-Match`, or not at all.
pub fn admits(owner: Option<&str>, credentials: Option<&Credentials>, is_conditional: bool) -> S3Result<()> {
    let is_owner = owner.is_some() && credentials.map(|credentials| credentials.access_key.as_str()) == owner;
    match is_conditional || is_owner {
        true => Ok(()),
        false => Err(s3_error!(
            AccessDenied,
            "explicit deny in a resource-based policy: NothingIsOverwritten"
        )),
    }
}
