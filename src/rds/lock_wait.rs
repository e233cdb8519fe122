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
    // Since when each look found it waiting.
    let mut waits_since = None;
    let mut next = since + limit + SLACK;
    loop {
        tokio::time::sleep_until(next).await;
        next = Instant::now() + pause;
        if bytes() != seen {
            (seen, since) = (bytes(), Instant::now());
            waits_since = None;
        }
        if since.elapsed() < limit {
            continue;
        }
        let looked = server.in_time(look(server, database, application_name, limit, cancel)).await;
        match looked {
            Ok(Some(WaitingDump { is_long, locked })) => {
                let begun = *waits_since.get_or_insert_with(Instant::now);
                if (is_long || begun.elapsed() >= limit) && bytes() == seen {
                    return timed_out(&locked, limit);
                }
            }
            Ok(None) => waits_since = None,
            Err(_) => {}
        }
    }
}

/// A dump that waits for a lock now.
struct WaitingDump {
    /// The server says that it has waited for as long as it may.
    is_long: bool,
    locked: NameSample,
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
) -> Result<Option<WaitingDump>> {
    let session = Session::open(server, database, cancel).await?;
    match session.brief_advice(&waiting(application_name, limit + SLACK)).await? {
        AdvisoryRows::Rows(rows) => match rows.first() {
            Some(row) => Ok(Some(WaitingDump {
                is_long: row.flag(0)?,
                locked: preflight::locked_of_any_kind(&session).await?,
            })),
            None => Ok(None),
        },
        AdvisoryRows::Refused(_) => Ok(None),
    }
}

/// Names and locks are shown to all. Since when it waits, a server before 14 tells by the query alone, and only to those who may see
/// it: not to a user who has another role as a default.
fn waiting(application_name: &str, limit: Duration) -> String {
    format!(
        "SELECT coalesce(coalesce((pg_catalog.row_to_json(l) OPERATOR(pg_catalog.->>) 'waitstart')::pg_catalog.timestamptz, a.query_start)
                    OPERATOR(pg_catalog.<) (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-)
                                            '{} milliseconds'::pg_catalog.\"interval\"), false)
         FROM pg_catalog.pg_stat_activity a
         JOIN pg_catalog.pg_locks l ON l.pid OPERATOR(pg_catalog.=) a.pid AND NOT l.granted
         WHERE a.application_name OPERATOR(pg_catalog.=) '{application_name}'
           AND a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database() LIMIT 1",
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
