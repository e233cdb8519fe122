//! Collations that a server has only where its operating system has their locales. initdb puts those of the system into
//! `pg_catalog`, and no dump makes them: a restore elsewhere has to know which.

use crate::error::Result;
use crate::format::database_properties::SystemCollation;
use crate::rds::session::{self, AdvisoryRows, Session};

/// The database's own, and those of `pg_catalog` on which a column, an index, a domain, a key or an expression depends: what
/// initdb takes from the system is not pinned, so the catalog lists all that use it.
const FROM: &str = "
FROM pg_catalog.pg_collation l
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) l.collnamespace
WHERE l.collprovider OPERATOR(pg_catalog.=) 'c'
  AND NOT (l.collcollate OPERATOR(pg_catalog.=) ANY ('{C,POSIX}') AND l.collctype OPERATOR(pg_catalog.=) ANY ('{C,POSIX}'))
  AND (n.nspname OPERATOR(pg_catalog.<>) 'pg_catalog'
    OR EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.refobjid OPERATOR(pg_catalog.=) l.oid
        AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_collation'::pg_catalog.regclass))";

/// For the inventory: a backup without this list is one all the same.
pub(super) async fn ask(session: &Session<'_>) -> Result<(Vec<SystemCollation>, Option<String>)> {
    let query = format!(
        "SELECT DISTINCT {}, {}, {} {FROM} ORDER BY 1, 2, 3 LIMIT {}",
        session::name("CASE WHEN n.nspname OPERATOR(pg_catalog.=) 'pg_catalog' THEN l.collname END"),
        session::name("l.collcollate"),
        session::name("l.collctype"),
        SystemCollation::MAX_COUNT
    );
    match session.advice(&query).await? {
        AdvisoryRows::Rows(rows) => {
            let collation = |row: &session::Row| {
                Ok(SystemCollation {
                    name: row.optional(0)?.map(|_| row.name(0)).transpose()?,
                    collate: row.name(1)?,
                    ctype: row.name(2)?,
                })
            };
            Ok((rows.iter().map(collation).collect::<Result<_>>()?, None))
        }
        AdvisoryRows::Refused(why) => Ok((
            Vec::new(),
            Some(format!(
                "the collations that the database uses could not be looked at, and are not in the inventory: {why}"
            )),
        )),
    }
}
