//! What a user added to an extension (`ALTER EXTENSION … ADD FUNCTION`) or moved out of its schema: `pg_dump` leaves it to
//! `CREATE EXTENSION`, which does not make it, or makes it elsewhere.
//!
//! The catalog does not tell who added a member. But all that a relocatable extension has is in its own schema, or it could not
//! be moved. Of others nothing is known: their scripts may put things anywhere.

use crate::error::Result;
use crate::rds::preflight::{NameSample, names};
use crate::rds::session::Session;

const FROM: &str = "
FROM pg_catalog.pg_extension x
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) x.extnamespace
JOIN pg_catalog.pg_depend d ON d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
    AND d.refobjid OPERATOR(pg_catalog.=) x.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'
CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) o
WHERE x.extrelocatable
  AND NOT (o.schema OPERATOR(pg_catalog.=) ANY (ARRAY['pg_catalog', pg_catalog.quote_ident(n.nspname)]))
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend s JOIN pg_catalog.pg_namespace m ON m.oid OPERATOR(pg_catalog.=) s.objid
    WHERE s.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass
      AND s.refclassid OPERATOR(pg_catalog.=) d.refclassid AND s.refobjid OPERATOR(pg_catalog.=) d.refobjid
      AND s.deptype OPERATOR(pg_catalog.=) 'e' AND pg_catalog.quote_ident(m.nspname) OPERATOR(pg_catalog.=) o.schema)";

/// A warning, if there are any.
pub(super) async fn ask(session: &Session<'_>) -> Result<Option<String>> {
    let name = "pg_catalog.format('%s %s of %I', o.type, o.identity, x.extname)";
    Ok(match names(session, &NameSample::query(name, FROM, "1")).await? {
        Ok(names) if names.is_empty() => None,
        Ok(names) => Some(format!(
            "pg_dump leaves out what belongs to an extension, and CREATE EXTENSION does not put it into another schema than the \
             extension's own: what a user added or moved is not in this backup (ALTER EXTENSION … DROP … makes it your own): {names}"
        )),
        Err(why) => Some(format!(
            "whether users added something to extensions, which no dump holds, could not be looked at: {why}"
        )),
    })
}
