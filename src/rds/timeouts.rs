//! Time-outs that the login or the database sets. `pg_dump` switches them off for its session, `pg_dumpall` does not.

use super::preflight::ServerFacts;
use super::session::{AdvisoryRows, Session};
use crate::error::Result;

/// Our own sessions set theirs, so what a session begins with is asked for.
pub(super) const TIMEOUTS: &str = "
SELECT s.name FROM pg_catalog.pg_settings s
WHERE s.name OPERATOR(pg_catalog.=) ANY ('{statement_timeout,lock_timeout,idle_in_transaction_session_timeout,idle_session_timeout,transaction_timeout}'::pg_catalog.text[])
  AND s.reset_val OPERATOR(pg_catalog.<>) '0' ORDER BY 1";

pub(super) async fn ask(session: &Session<'_>) -> Result<Vec<String>> {
    match session.brief_advice(TIMEOUTS).await? {
        AdvisoryRows::Rows(rows) => rows.iter().map(|row| row.text(0).map(str::to_owned)).collect(),
        AdvisoryRows::Refused(_) => Ok(Vec::new()),
    }
}

/// What `check` says of them where the roles are asked for.
pub(crate) fn warning(facts: &ServerFacts) -> Option<String> {
    let names = facts.timeouts.join(", ");
    (!names.is_empty()).then(|| {
        format!(
            "the login or the database sets {names}: for the roles (`globals`) it is switched off by a startup option, which RDS \
             Proxy and some poolers refuse; there, switch it off for the backup user: ALTER ROLE … SET … = 0"
        )
    })
}
