//! How the server writes amounts of type `money`: in the locale of `lc_monetary`, which `pg_dump` neither sets nor tells. Read in
//! another one, `$ 12,50` is 1,250.

use crate::error::Result;
use crate::format::database_properties::MoneyFormat;
use crate::rds::session::{self, AdvisoryRows, Session};
use std::time::Duration;

const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Of the type, its arrays, domains, composite types and ranges, and constants of it in views, rules, checks, defaults, indexes,
/// policies, triggers and bounds of partitions, all of which a dump has as text.
const IS_USED: &str = "
EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND NOT a.attisdropped
    AND a.atttypid OPERATOR(pg_catalog.=) ANY ('{790,791}'::pg_catalog.oid[]))
OR EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.typbasetype OPERATOR(pg_catalog.=) ANY ('{790,791}'::pg_catalog.oid[]))
OR EXISTS (SELECT FROM pg_catalog.pg_range r WHERE r.rngsubtype OPERATOR(pg_catalog.=) ANY ('{790,791}'::pg_catalog.oid[]))
OR EXISTS (SELECT FROM (
    SELECT r.ev_action AS tree FROM pg_catalog.pg_rewrite r WHERE r.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
    UNION ALL SELECT r.ev_qual FROM pg_catalog.pg_rewrite r WHERE r.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
    UNION ALL SELECT k.conbin FROM pg_catalog.pg_constraint k WHERE k.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
    UNION ALL SELECT d.adbin FROM pg_catalog.pg_attrdef d
    UNION ALL SELECT t.typdefaultbin FROM pg_catalog.pg_type t
    UNION ALL SELECT i.indexprs FROM pg_catalog.pg_index i
    UNION ALL SELECT i.indpred FROM pg_catalog.pg_index i
    UNION ALL SELECT p.polqual FROM pg_catalog.pg_policy p
    UNION ALL SELECT p.polwithcheck FROM pg_catalog.pg_policy p
    UNION ALL SELECT t.tgqual FROM pg_catalog.pg_trigger t
    UNION ALL SELECT f.proargdefaults FROM pg_catalog.pg_proc f WHERE f.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
    UNION ALL SELECT c.relpartbound FROM pg_catalog.pg_class c) x
    WHERE pg_catalog.strpos(pg_catalog.format('%s', x.tree), ':consttype 790 ') OPERATOR(pg_catalog.>) 0
       OR pg_catalog.strpos(pg_catalog.format('%s', x.tree), ':consttype 791 ') OPERATOR(pg_catalog.>) 0)";

/// `None` where no column holds any. The login's settings are those of `pg_dump`'s.
pub(super) async fn ask(session: &Session<'_>) -> Result<(Option<MoneyFormat>, Option<String>)> {
    let written = MoneyFormat::AMOUNTS.map(|amount| {
        session::name(&format!(
            "pg_catalog.format('%s', '{amount}'::pg_catalog.numeric::pg_catalog.money)"
        ))
    });
    let query = format!(
        "SELECT {}, {} WHERE {IS_USED}",
        session::name("pg_catalog.current_setting('lc_monetary')"),
        written.join(", ")
    );
    let why = match session.advice(&query, LOCK_TIMEOUT).await? {
        AdvisoryRows::Rows(rows) => {
            let Some(row) = rows.first() else { return Ok((None, None)) };
            let text = |column: usize| Ok::<_, crate::error::Error>(String::from_utf8(row.bytes(column)?).ok());
            match (text(0)?, text(1)?, text(2)?) {
                (Some(locale), Some(above), Some(below)) => {
                    let samples = [above, below];
                    return Ok((Some(MoneyFormat { locale, samples }), None));
                }
                _ => "they are no text in UTF-8".to_owned(),
            }
        }
        AdvisoryRows::Refused(why) => why,
    };
    Ok((
        None,
        Some(format!(
            "how amounts of type money are written could not be looked at, and a restore cannot tell whether it reads them right: {why}"
        )),
    ))
}
