//! Tables that belong to an extension: `pg_dump` leaves them to `CREATE EXTENSION`, with their rows, unless the extension marks
//! them by `pg_extension_config_dump`. A user's own table can be one, by `ALTER EXTENSION … ADD TABLE`.

use crate::error::Result;
use crate::rds::preflight::{NameSample, names};
use crate::rds::session::Session;

const FROM: &str = "
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_extension x ON x.oid OPERATOR(pg_catalog.=) d.refobjid
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) d.objid AND c.relkind OPERATOR(pg_catalog.=) 'r'
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
  AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
  AND d.deptype OPERATOR(pg_catalog.=) 'e'
  AND (c.oid OPERATOR(pg_catalog.=) ANY (x.extconfig)) IS NOT TRUE
  AND pg_catalog.pg_relation_size(c.oid) OPERATOR(pg_catalog.>) 0";

/// A warning, if any of them has rows.
pub(super) async fn ask(session: &Session<'_>) -> Result<Option<String>> {
    let query = NameSample::query("pg_catalog.format('%I.%I', n.nspname, c.relname)", FROM, "1");
    Ok(match names(session, &query).await? {
        Ok(names) if names.is_empty() => None,
        Ok(names) => Some(format!(
            "pg_dump leaves out the rows of tables that belong to an extension which does not mark them for it; what CREATE EXTENSION \
             does not make again is not in this backup (ALTER EXTENSION … DROP TABLE makes a table your own): {names}"
        )),
        Err(why) => Some(format!(
            "whether tables that belong to extensions have rows, which no dump holds, could not be looked at: {why}"
        )),
    })
}
