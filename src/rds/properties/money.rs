//! How the server writes amounts of type `money`: in the locale of `lc_monetary`, which `pg_dump` neither sets nor tells. Read in
//! another one, `$ 12,50` is 1,250.

use crate::error::Result;
use crate::format::database_properties::MoneyFormat;
use crate::rds::session::{self, AdvisoryRows, Session};
use std::time::Duration;

const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Of the type, its arrays, and domains and composite types of it.
const IS_USED: &str = "
EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND NOT a.attisdropped
    AND a.atttypid OPERATOR(pg_catalog.=) ANY ('{790,791}'::pg_catalog.oid[]))
OR EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.typbasetype OPERATOR(pg_catalog.=) ANY ('{790,791}'::pg_catalog.oid[]))";

/// `None` where no column holds any. The login's settings are those of `pg_dump`'s.
pub(super) async fn ask(session: &Session) -> Result<(Option<MoneyFormat>, Option<String>)> {
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
