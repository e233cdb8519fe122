//! Why `pg_dump` failed, where its words do not say: they are the server's, in the server's language, and come without an
//! SQLSTATE. So the server is asked, in its own terms: is it there, what is locked, what may not be read, did the replica
//! cancel something. What `pg_dump` itself says is English (`LC_ALL=C`), as is the SQL that it quotes.

use super::preflight::{self, NameSample, ServerFacts};
use super::readable;
use super::{Server, Session};
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::format::names::DatabaseName;
use crate::format::order::Selection;

/// How a message begins that names what is locked.
pub(super) const LOCKED_NOW: &str = "locked exclusively now";

/// The failure of one dump.
pub(crate) struct DumpFailure<'a> {
    pub database: &'a DatabaseName,
    pub selection: &'a Selection,
    /// Before the dump.
    pub facts: &'a ServerFacts,
    /// Whether any of the dump had come.
    pub has_begun: bool,
    pub error: Error,
}

/// The same failure with what the server can still tell of it: the relation behind a lock time-out, and the code where the
/// words had none. Asking is limited like everything before a dump, and changes nothing where there is no answer.
pub(crate) async fn explain(server: &Server, failure: DumpFailure<'_>, cancel: &Cancel) -> Error {
    let asking = async {
        Ok(match failure.error.code {
            // Told already: see `lock_wait`.
            Code::DbLockTimeout if failure.error.message.starts_with(LOCKED_NOW) => None,
            Code::DbLockTimeout => locked(server, &failure, cancel).await?,
            Code::DumpFailed => cause(server, &failure, cancel).await?,
            // Its own limit is for LOCK TABLE alone: for views and catalogs it waits without one.
            Code::DumpStalled => stalled(server, &failure, cancel).await?,
            _ => None,
        })
    };
    match server.in_time(asking).await {
        Ok(Some(explained)) => explained,
        _ => failure.error,
    }
}

async fn locked(server: &Server, failure: &DumpFailure<'_>, cancel: &Cancel) -> Result<Option<Error>> {
    let session = Session::open(server, failure.database, cancel).await?;
    let locked = preflight::locked(&session).await?;
    Ok((!locked.is_empty()).then(|| behind_lock(&locked, &failure.error)))
}

/// Before its first byte it waits for locks and for nothing else that takes so long. Later a lock may be the reason.
async fn stalled(server: &Server, failure: &DumpFailure<'_>, cancel: &Cancel) -> Result<Option<Error>> {
    let session = Session::open(server, failure.database, cancel).await?;
    let locked = preflight::locked_of_any_kind(&session).await?;
    let explained = || {
        let lock = behind_lock(&locked, &failure.error);
        match failure.has_begun {
            false => lock,
            true => Error::new(failure.error.code, lock.message),
        }
    };
    Ok((!locked.is_empty()).then(explained))
}

fn behind_lock(locked: &NameSample, error: &Error) -> Error {
    Error::new(Code::DbLockTimeout, format!("{LOCKED_NOW}: {locked}; {}", error.message))
}

async fn cause(server: &Server, failure: &DumpFailure<'_>, cancel: &Cancel) -> Result<Option<Error>> {
    let with_words = |mut explained: Error| {
        explained.message = format!("{}; {}", explained.message, failure.error.message);
        Some(explained)
    };
    let session = match Session::open(server, failure.database, cancel).await {
        Ok(session) => session,
        // What keeps us out now kept pg_dump out. In the middle of a dump a server that is gone is a failed dump.
        Err(error) if !failure.has_begun && cancel.check().is_ok() => return Ok(with_words(error)),
        Err(_) => return Ok(None),
    };
    if failure.error.message.contains("LOCK TABLE") {
        let locked = preflight::locked(&session).await?;
        if !locked.is_empty() {
            return Ok(Some(behind_lock(&locked, &failure.error)));
        }
    }
    if !failure.selection.is_partial()
        && let Err(error) = readable::whole(&session, &mut Vec::new()).await
        && error.code == Code::DbPrivilege
    {
        return Ok(with_words(error));
    }
    let cancelled = failure.facts.replica && preflight::conflicts(&session).await? > failure.facts.conflicts;
    let conflict = || {
        Error::new(
            Code::ReplicaConflict,
            "the replica cancelled queries of this database since the dump began",
        )
    };
    Ok(if cancelled { with_words(conflict()) } else { None })
}
