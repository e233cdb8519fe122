//! What the user may not read: found before the dump starts, by the names of the objects.

use super::preflight::{NameSample, READ, RELATION, names};
use super::selection::IS_IDENTITY;
use super::session::Session;
use crate::error::{Code, Error, Result};

pub(super) const UNREADABLE: &str = "
  AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,S}'::pg_catalog.\"char\"[])
  AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE')
           AND CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
                              ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END)";

/// Of those, what `SELECT` itself is missing for.
pub(super) const NO_SELECT: &str = "
  AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,S}'::pg_catalog.\"char\"[])
  AND NOT CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
                              ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END";

/// And what stands in a schema that is closed.
pub(super) const NO_USAGE: &str = "
  AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,S}'::pg_catalog.\"char\"[])
  AND NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE')";

/// The first server that has `pg_read_all_data`.
const READ_ALL_DATA_SINCE: u32 = 14;

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

/// What a query gives the names of.
#[derive(Clone, Copy)]
enum Named {
    Relations,
    /// Those that they stand in, each once.
    Schemas,
}

/// Of a whole database, as an error that names it.
pub(crate) async fn whole(session: &Session<'_>, warnings: &mut Vec<String>) -> Result<()> {
    let of = |condition: &str, named| {
        let from = format!("{READ} {condition}");
        match named {
            Named::Relations => NameSample::query(RELATION, &from, "n.nspname, c.relname"),
            Named::Schemas => schemas(&from, "n"),
        }
    };
    tables(session, of, warnings).await?;
    large_objects(session, warnings).await
}

/// Of the relations that SQL in `relations` has in `left_over`; what it has in `without_rows` is locked and not read.
pub(crate) async fn part(session: &Session<'_>, relations: &str, with_large_objects: bool, warnings: &mut Vec<String>) -> Result<()> {
    let of = |condition: &str, named| {
        // Owned sequences come along with their tables, and those of identity columns with nothing else. Tables without their rows are locked, sequences are not even that.
        let read = match condition {
            ROW_SECURITY => "SELECT oid FROM left_over EXCEPT SELECT oid FROM without_rows".to_owned(),
            _ => format!(
                "(SELECT c.oid FROM left_over l JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) l.oid AND NOT {IS_IDENTITY} \
                 UNION {OWNED}) EXCEPT SELECT w.oid FROM without_rows w JOIN pg_catalog.pg_class q \
                 ON q.oid OPERATOR(pg_catalog.=) w.oid WHERE q.relkind OPERATOR(pg_catalog.=) 'S'"
            ),
        };
        let from = format!(
            "FROM (WITH RECURSIVE {relations} SELECT n.nspname, c.relname {READ} {condition}
                 AND c.oid OPERATOR(pg_catalog.=) ANY ({read})) x"
        );
        match named {
            Named::Relations => NameSample::query("pg_catalog.format('%I.%I', x.nspname, x.relname)", &from, "x.nspname, x.relname"),
            Named::Schemas => schemas(&from, "x"),
        }
    };
    tables(session, of, warnings).await?;
    match with_large_objects {
        true => large_objects(session, warnings).await,
        false => Ok(()),
    }
}

/// `alias`: what has the column `nspname` there.
fn schemas(from: &str, alias: &str) -> String {
    let name = format!("{alias}.nspname");
    NameSample::query(
        &format!("pg_catalog.format('%I', {name})"),
        &format!("{from} GROUP BY {name}"),
        &name,
    )
}

async fn tables(session: &Session<'_>, of: impl Fn(&str, Named) -> String, warnings: &mut Vec<String>) -> Result<()> {
    match none(session, &of(UNREADABLE, Named::Relations), "no SELECT on", None, warnings).await {
        Err(error) if error.code == Code::DbPrivilege => return Err(missing_privilege(session, &of).await.unwrap_or(error)),
        answer => answer?,
    }
    let hint = "As an administrator: ALTER ROLE … BYPASSRLS, with the backup user's name. A dump without all rows would be no backup.";
    let query = of(ROW_SECURITY, Named::Relations);
    none(session, &query, "row security hides rows of", Some(hint), warnings).await
}

/// Which of the two privileges is missing, and how this server grants them; `None` where it would not say.
async fn missing_privilege(session: &Session<'_>, of: &impl Fn(&str, Named) -> String) -> Option<Error> {
    let no_select = names(session, &of(NO_SELECT, Named::Relations)).await.ok()?.ok()?;
    let no_usage = names(session, &of(NO_USAGE, Named::Schemas)).await.ok()?.ok()?;
    let schemas = names(session, &of(UNREADABLE, Named::Schemas)).await.ok()?.ok()?;
    unreadable(session.major(), &no_select, &no_usage, &schemas)
}

fn unreadable(major: u32, no_select: &NameSample, no_usage: &NameSample, schemas: &NameSample) -> Option<Error> {
    let kinds = [("no USAGE on schema", no_usage), ("no SELECT on", no_select)];
    let missing: Vec<String> = kinds
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| format!("{what} {names}"))
        .collect();
    let schema = schemas.first.first().filter(|_| !missing.is_empty())?;
    let error = Error::new(Code::DbPrivilege, missing.join("; "));
    Some(if major >= READ_ALL_DATA_SINCE {
        error
    } else {
        let others = if schemas.total > 1 { ", and so for each schema" } else { "" };
        error.advise(format!(
            "GRANT USAGE ON SCHEMA {schema} TO the backup user; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO the backup user; \
             GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO the backup user{others}."
        ))
    })
}

async fn large_objects(session: &Session<'_>, warnings: &mut Vec<String>) -> Result<()> {
    let query = NameSample::query("m.oid", CLOSED_OBJECTS, "m.oid");
    let hint = "GRANT SELECT ON LARGE OBJECT n TO the backup user, for each: no other grant covers them.";
    none(session, &query, "no SELECT on large object", Some(hint), warnings).await
}

async fn none(session: &Session<'_>, query: &str, what: &str, hint: Option<&'static str>, warnings: &mut Vec<String>) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(names: &[&str]) -> NameSample {
        NameSample {
            first: names.iter().map(|name| (*name).to_owned()).collect(),
            total: names.len() as u64,
        }
    }

    #[test]
    fn a_missing_privilege_is_named_and_granted_as_this_server_can() {
        let nothing = NameSample::default();
        let crm = sample(&["crm"]);
        let old = unreadable(13, &nothing, &crm, &crm).unwrap();
        assert_eq!(old.message, "no USAGE on schema crm");
        assert!(!old.hint().contains("pg_read_all_data"), "{}", old.hint());
        for grant in [
            "GRANT USAGE ON SCHEMA crm",
            "ON ALL TABLES IN SCHEMA crm",
            "ON ALL SEQUENCES IN SCHEMA crm",
        ] {
            assert!(old.hint().contains(grant), "{}", old.hint());
        }
        let both = unreadable(14, &sample(&["crm.t"]), &crm, &crm).unwrap();
        assert_eq!(both.message, "no USAGE on schema crm; no SELECT on crm.t");
        assert!(both.hint().contains("pg_read_all_data"));
        let only_select = unreadable(12, &sample(&["a.t", "b.t"]), &nothing, &sample(&["a", "b"])).unwrap();
        assert_eq!(only_select.message, "no SELECT on a.t, b.t");
        assert!(only_select.hint().contains("each schema"));
        assert!(unreadable(13, &nothing, &nothing, &nothing).is_none());
    }
}
