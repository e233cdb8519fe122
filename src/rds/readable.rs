//! What the user may not read: found before the dump starts, by the names of the objects.

use super::preflight::{NameSample, READ, RELATION, names};
use super::session::Session;
use crate::error::{Code, Error, Result};

pub(super) const UNREADABLE: &str = "
  AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,S}'::pg_catalog.\"char\"[])
  AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE')
           AND CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
                              ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END)";

/// A partitioned table has no rows of its own: its partitions are read, and it is their row security that counts.
pub(super) const ROW_SECURITY: &str = "
  AND c.relkind OPERATOR(pg_catalog.=) 'r' AND pg_catalog.row_security_active(c.oid)
  AND NOT (c.relpersistence OPERATOR(pg_catalog.=) 'u' AND pg_catalog.pg_is_in_recovery())";

/// Neither `pg_read_all_data` nor anything else but a grant on each covers large objects.
pub(super) const CLOSED_OBJECTS: &str = "
FROM pg_catalog.pg_largeobject_metadata m
WHERE NOT (pg_catalog.pg_has_role(m.lomowner, 'USAGE')
           OR (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) current_user)
           OR pg_catalog.current_setting('lo_compat_privileges') OPERATOR(pg_catalog.=) 'on'
           OR EXISTS (SELECT FROM pg_catalog.aclexplode(m.lomacl) a
                      WHERE a.privilege_type OPERATOR(pg_catalog.=) 'SELECT'
                        AND CASE WHEN a.grantee OPERATOR(pg_catalog.=) '0'::pg_catalog.oid THEN true ELSE pg_catalog.pg_has_role(a.grantee, 'USAGE') END))";

/// Sequences of serial and identity columns.
const OWNED: &str = "SELECT o.objid FROM pg_catalog.pg_depend o JOIN left_over l ON l.oid OPERATOR(pg_catalog.=) o.refobjid
    JOIN pg_catalog.pg_class q ON q.oid OPERATOR(pg_catalog.=) o.objid AND q.relkind OPERATOR(pg_catalog.=) 'S'
    WHERE o.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND o.refclassid OPERATOR(pg_catalog.=) o.classid
      AND o.deptype OPERATOR(pg_catalog.=) ANY ('{a,i}'::pg_catalog.\"char\"[])";

/// Of a whole database, as an error that names it.
pub async fn whole(session: &Session, warnings: &mut Vec<String>) -> Result<()> {
    let of = |condition: &str| NameSample::query(RELATION, &format!("{READ} {condition}"), "n.nspname, c.relname");
    tables(session, of, warnings).await?;
    large_objects(session, warnings).await
}

/// Of the relations that SQL in `relations` has in `left_over`; what it has in `without_rows` is locked and not read.
pub async fn part(session: &Session, relations: &str, with_large_objects: bool, warnings: &mut Vec<String>) -> Result<()> {
    let of = |condition: &str| {
        // Owned sequences come along with their tables. Tables without their rows are locked, sequences are not even that.
        let read = match condition {
            ROW_SECURITY => "SELECT oid FROM left_over EXCEPT SELECT oid FROM without_rows".to_owned(),
            _ => format!(
                "(SELECT oid FROM left_over UNION {OWNED}) EXCEPT SELECT w.oid FROM without_rows w JOIN pg_catalog.pg_class q \
                 ON q.oid OPERATOR(pg_catalog.=) w.oid WHERE q.relkind OPERATOR(pg_catalog.=) 'S'"
            ),
        };
        let from = format!(
            "FROM (WITH RECURSIVE {relations} SELECT n.nspname, c.relname {READ} {condition}
                 AND c.oid OPERATOR(pg_catalog.=) ANY ({read})) x"
        );
        NameSample::query("pg_catalog.format('%I.%I', x.nspname, x.relname)", &from, "x.nspname, x.relname")
    };
    tables(session, of, warnings).await?;
    match with_large_objects {
        true => large_objects(session, warnings).await,
        false => Ok(()),
    }
}

async fn tables(session: &Session, of: impl Fn(&str) -> String, warnings: &mut Vec<String>) -> Result<()> {
    none(session, &of(UNREADABLE), "no SELECT on", None, warnings).await?;
    let hint = "ALTER ROLE the backup user BYPASSRLS: a dump without all rows would be no backup.";
    none(session, &of(ROW_SECURITY), "row security hides rows of", Some(hint), warnings).await
}

async fn large_objects(session: &Session, warnings: &mut Vec<String>) -> Result<()> {
    let query = NameSample::query("m.oid", CLOSED_OBJECTS, "m.oid");
    let hint = "GRANT SELECT ON LARGE OBJECT n TO the backup user, for each; pg_read_all_data does not cover them.";
    none(session, &query, "no SELECT on large object", Some(hint), warnings).await
}

async fn none(session: &Session, query: &str, what: &str, hint: Option<&'static str>, warnings: &mut Vec<String>) -> Result<()> {
    match names(session, query).await? {
        Ok(names) if names.is_empty() => {}
        Ok(names) => {
            let error = Error::new(Code::DbPrivilege, format!("{what} {names}"));
            return Err(match hint {
                Some(hint) => error.advise(hint),
                None => error,
            });
        }
        Err(why) => warnings.push(format!("whether there is {what} something could not be looked at: {why}")),
    }
    Ok(())
}
