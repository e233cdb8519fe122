//! Whether the dump blocks somebody. It holds a weak lock on each of its tables until its end: `ALTER TABLE` and its like wait
//! for it, and all who come behind them wait as well.

use super::Server;
use super::session::{AdvisoryRows, Session};
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::format::names::DatabaseName;
use crate::plan::LockGuard;
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Those who wait for the dump now.
#[derive(Debug, PartialEq, Eq)]
struct Blocked {
    sessions: i64,
    /// The server says that one has waited for as long as it may.
    is_long: bool,
    /// For what, as far as that can be told.
    relations: String,
}

/// Ends only where the guard ends the dump, with the error that says so; else it tells once, by `warn`. What fails in a look
/// changes nothing.
pub(crate) async fn watch(
    server: &Server,
    database: &DatabaseName,
    application_name: &str,
    guard: LockGuard,
    warn: impl Fn(String),
    cancel: &Cancel,
) -> Error {
    let pause = (guard.limit / 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
    // Since when each look found somebody: servers before 14 do not tell it.
    let mut since = None;
    loop {
        tokio::time::sleep(pause).await;
        let looked = server.in_time(look(server, database, application_name, guard.limit, cancel)).await;
        match looked {
            Ok(Some(blocked)) => {
                let begun = *since.get_or_insert_with(Instant::now);
                if !blocked.is_long && begun.elapsed() < guard.limit {
                    continue;
                }
                let told = in_words(&blocked, guard.limit);
                if guard.ends {
                    return ended(&told);
                }
                warn(told);
                // Told once; it goes on to the dump's end.
                return std::future::pending().await;
            }
            Ok(None) => since = None,
            Err(_) => {}
        }
    }
}

fn in_words(blocked: &Blocked, limit: Duration) -> String {
    let Blocked { sessions, relations, .. } = blocked;
    let who = match sessions {
        1 => "a session".to_owned(),
        several => format!("{several} sessions"),
    };
    let what = if relations.is_empty() {
        String::new()
    } else {
        format!(" for {relations}")
    };
    format!(
        "the dump has blocked {who}{what} for longer than {} s (`lock_guard`)",
        limit.as_secs_f64()
    )
}

fn ended(told: &str) -> Error {
    Error::new(Code::DbLockTimeout, told)
        .advise("Run it when nothing alters or truncates tables (ALTER TABLE, TRUNCATE, VACUUM FULL), or let `lock_guard` only warn.")
}

async fn look(
    server: &Server,
    database: &DatabaseName,
    application_name: &str,
    limit: Duration,
    cancel: &Cancel,
) -> Result<Option<Blocked>> {
    let session = Session::open(server, database, cancel).await?;
    match session.brief_advice(&blocked_by(application_name, limit)).await? {
        AdvisoryRows::Rows(rows) => match rows.first() {
            Some(row) if row.number(0)? > 0 => Ok(Some(Blocked {
                sessions: row.number(0)? as i64,
                is_long: row.flag(1)?,
                relations: row.text(2)?.to_owned(),
            })),
            _ => Ok(None),
        },
        AdvisoryRows::Refused(_) => Ok(None),
    }
}

/// Who waits for whom is shown to all; since when, from 14 on.
fn blocked_by(application_name: &str, limit: Duration) -> String {
    format!(
        "SELECT pg_catalog.count(DISTINCT l.pid),
                coalesce(pg_catalog.bool_or((pg_catalog.row_to_json(l) OPERATOR(pg_catalog.->>) 'waitstart')::pg_catalog.timestamptz
                    OPERATOR(pg_catalog.<) (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-)
                                            '{} milliseconds'::pg_catalog.\"interval\")), false),
                coalesce(pg_catalog.string_agg(DISTINCT l.relation::pg_catalog.regclass::pg_catalog.text, ', '), '')
         FROM pg_catalog.pg_locks l
         WHERE NOT l.granted AND EXISTS (
             SELECT FROM pg_catalog.pg_stat_activity d
             WHERE d.application_name OPERATOR(pg_catalog.=) '{application_name}'
               AND d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
               AND d.pid OPERATOR(pg_catalog.=) ANY (pg_catalog.pg_blocking_pids(l.pid)))",
        limit.as_millis()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_and_for_what_is_told() {
        let told = |sessions, relations: &str| {
            let blocked = Blocked {
                sessions,
                is_long: true,
                relations: relations.to_owned(),
            };
            in_words(&blocked, Duration::from_secs(30))
        };
        assert_eq!(
            told(1, "public.t"),
            "the dump has blocked a session for public.t for longer than 30 s (`lock_guard`)"
        );
        assert_eq!(told(3, ""), "the dump has blocked 3 sessions for longer than 30 s (`lock_guard`)");
    }
}
