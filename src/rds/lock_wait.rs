//! Whether a dump waits for a lock. `pg_dump`'s own limit is for LOCK TABLE alone: for views, sequences and catalogs it would wait
//! until the deadline, and nobody would hear what for.

use super::Server;
use super::dump_failure::LOCKED_NOW;
use super::preflight::{self, NameSample};
use super::session::{AdvisoryRows, Session};
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::format::names::DatabaseName;
use std::time::Duration;
use tokio::time::Instant;

/// Where pg_dump's own limit holds, it ends first.
const SLACK: Duration = Duration::from_millis(500);
/// Between two looks at a dump of which nothing comes, at least.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// Ends only once the dump has waited for a lock for so long, with the error that says so. No session is opened as long as
/// bytes come, and what fails in a look changes nothing.
pub(crate) async fn outlast(
    server: &Server,
    database: &DatabaseName,
    application_name: &str,
    limit: Duration,
    bytes: impl Fn() -> u64,
    cancel: &Cancel,
) -> Error {
    let pause = (limit / 2).max(SHORTEST_PAUSE);
    let (mut seen, mut since) = (bytes(), Instant::now());
    let mut next = since + limit + SLACK;
    loop {
        tokio::time::sleep_until(next).await;
        next = Instant::now() + pause;
        if bytes() != seen {
            (seen, since) = (bytes(), Instant::now());
        }
        if since.elapsed() < limit {
            continue;
        }
        if let Ok(Some(locked)) = server.in_time(look(server, database, application_name, limit, cancel)).await
            && bytes() == seen
        {
            return timed_out(&locked, limit);
        }
    }
}

fn timed_out(locked: &NameSample, limit: Duration) -> Error {
    let waits = format!(
        "pg_dump has waited for a lock for longer than {} s (`lock_timeout`)",
        limit.as_secs_f64()
    );
    let message = match locked.is_empty() {
        true => waits,
        false => format!("{LOCKED_NOW}: {locked}; {waits}"),
    };
    Error::new(Code::DbLockTimeout, message)
}

/// What is locked, if the dump waits for it.
async fn look(
    server: &Server,
    database: &DatabaseName,
    application_name: &str,
    limit: Duration,
    cancel: &Cancel,
) -> Result<Option<NameSample>> {
    let session = Session::open(server, database, cancel).await?;
    match session.advice(&waiting(application_name, limit + SLACK), LOCK_TIMEOUT).await? {
        AdvisoryRows::Rows(rows) if !rows.is_empty() => preflight::locked_of_any_kind(&session).await.map(Some),
        AdvisoryRows::Rows(_) | AdvisoryRows::Refused(_) => Ok(None),
    }
}

/// What the session of a user with another role as its default may not see of its own pg_dump is not asked for: names and locks
/// are shown to all. The time, where a server before 14 does not say since when a lock is waited for, is of the query.
fn waiting(application_name: &str, limit: Duration) -> String {
    format!(
        "SELECT 1 FROM pg_catalog.pg_stat_activity a
         JOIN pg_catalog.pg_locks l ON l.pid OPERATOR(pg_catalog.=) a.pid AND NOT l.granted
         WHERE a.application_name OPERATOR(pg_catalog.=) '{application_name}'
           AND a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
           AND coalesce((pg_catalog.row_to_json(l) OPERATOR(pg_catalog.->>) 'waitstart')::pg_catalog.timestamptz, a.query_start)
               OPERATOR(pg_catalog.<) (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-)
                                       '{} milliseconds'::pg_catalog.\"interval\") LIMIT 1",
        limit.as_millis()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_locked_is_named_where_it_is_known() {
        let limit = Duration::from_millis(1500);
        let locked = NameSample {
            first: vec!["public.totals".to_owned()],
            total: 1,
        };
        let error = timed_out(&locked, limit);
        assert_eq!(error.code, Code::DbLockTimeout);
        assert!(
            error.message.starts_with("locked exclusively now: public.totals; pg_dump"),
            "{error}"
        );
        assert!(timed_out(&NameSample::default(), limit).message.starts_with("pg_dump has waited"));
        assert!(waiting("pgseal 01", limit).contains("'1500 milliseconds'"));
    }
}
