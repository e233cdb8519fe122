//! What can be known before the dump starts: in seconds, instead of after hours.

use super::{Server, diagnose};
use crate::cancel::Cancel;
use crate::envelope::contents::Extension;
use crate::error::{Code, Error, Result};
use crate::plan::{DatabaseName, Selection};
use serde::Serialize;
use tokio_postgres::{Client, Row};

/// What the server says of itself and of one database.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// Such as `17.6`.
    pub server_version: String,
    /// Such as 170006.
    #[serde(skip)]
    pub version_number: u32,
    /// In recovery: a read replica.
    pub replica: bool,
    /// `pg_database_size`, in bytes: indexes and dead rows included.
    pub database_bytes: u64,
    /// Tables without their indexes, in bytes: near to what a plain dump has.
    pub table_bytes: u64,
    pub tables: u64,
    pub large_objects: u64,
    /// Unlogged tables: on a replica their rows cannot be read.
    pub unlogged_tables: u64,
    pub extensions: Vec<Extension>,
}

impl Facts {
    pub fn major(&self) -> u32 {
        self.version_number / 10_000
    }
}

/// The size of a table that is locked exclusively is taken from its last ANALYZE: asking for it would wait.
/// Large objects stand in a dump as hexadecimal digits, two for a byte.
const FACTS: &str = "
WITH locked AS (SELECT relation FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation IS NOT NULL)
SELECT current_setting('server_version'), pg_is_in_recovery(),
       pg_database_size(current_database()),
       coalesce(sum(CASE WHEN c.oid IN (SELECT relation FROM locked) THEN c.relpages::bigint * 8192 ELSE pg_table_size(c.oid) END)
                FILTER (WHERE c.relkind IN ('r', 'm')), 0)::bigint + 2 * pg_table_size('pg_catalog.pg_largeobject'),
       count(*) FILTER (WHERE c.relkind IN ('r', 'p')),
       count(*) FILTER (WHERE c.relkind = 'r' AND c.relpersistence = 'u'),
       (SELECT count(*) FROM pg_largeobject_metadata)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";

/// Tables and sequences that pg_dump reads: those of extensions it leaves out, unless the extension says otherwise.
const UNREADABLE: &str = "
SELECT format('%I.%I', n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
  AND NOT (has_schema_privilege(n.oid, 'USAGE')
           AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT')
                              ELSE has_table_privilege(c.oid, 'SELECT') END)
ORDER BY 1";

const ROW_SECURITY: &str = "
SELECT format('%I.%I', n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND row_security_active(c.oid)
ORDER BY 1";

/// Neither `pg_read_all_data` nor anything else but a grant on each covers large objects.
const LARGE_OBJECTS: &str = "
SELECT m.oid::text
FROM pg_largeobject_metadata m
WHERE NOT (pg_has_role(m.lomowner, 'USAGE')
           OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
           OR current_setting('lo_compat_privileges') = 'on'
           OR EXISTS (SELECT FROM aclexplode(m.lomacl) a
                      WHERE a.privilege_type = 'SELECT'
                        AND CASE a.grantee WHEN 0 THEN true ELSE pg_has_role(a.grantee, 'USAGE') END))
ORDER BY m.oid";

const DATABASES: &str = "
SELECT datname, datistemplate FROM pg_database
WHERE datallowconn AND datname <> 'rdsadmin' AND has_database_privilege(datname, 'CONNECT')
ORDER BY 1";

/// Every relation that somebody holds an exclusive lock on.
const LOCKED: &str = "
SELECT DISTINCT format('%I.%I', n.nspname, c.relname)
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.mode = 'AccessExclusiveLock' AND l.granted AND c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_'
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY 1";

/// All databases that can be connected to, and what was left out though a user might expect it.
pub struct Fleet {
    pub names: Vec<DatabaseName>,
    pub warnings: Vec<String>,
}

/// The server's databases, for `"*"`.
pub async fn databases(server: &Server, cancel: &Cancel) -> Result<Fleet> {
    let client = server.connect(&DatabaseName::new("postgres")?, cancel).await?;
    let rows = rows(&client, DATABASES).await?;
    let mut fleet = Fleet {
        names: Vec::new(),
        warnings: Vec::new(),
    };
    for row in &rows {
        let (name, template): (String, bool) = (row.get(0), row.get(1));
        if name.starts_with("template") || template {
            if !template {
                fleet.warnings.push(format!(
                    "\"*\" leaves out names that start with template: {name}; name it to back it up"
                ));
            }
            continue;
        }
        match DatabaseName::new(&name) {
            Ok(name) => fleet.names.push(name),
            Err(error) => fleet.warnings.push(format!("a database was left out: {}", error.message)),
        }
    }
    if fleet.names.is_empty() {
        return Err(Error::new(Code::NoDatabase, "there is no database that this user can connect to"));
    }
    Ok(fleet)
}

/// Connects and looks.
pub async fn preflight(server: &Server, database: &DatabaseName, selection: &Selection, cancel: &Cancel) -> Result<Facts> {
    let session = Session::open(server, database, cancel).await?;
    session.facts(selection, cancel).await
}

/// A session whose server has said which it is.
pub struct Session {
    client: Client,
    /// Such as 170006.
    version_number: u32,
}

impl Session {
    pub async fn open(server: &Server, database: &DatabaseName, cancel: &Cancel) -> Result<Self> {
        let client = server.connect(database, cancel).await?;
        let version = "SELECT current_setting('server_version_num')::int";
        let version_number: i32 = cancel.race(row(&client, version)).await?.get(0);
        Ok(Self {
            client,
            version_number: version_number.max(0) as u32,
        })
    }

    pub fn major(&self) -> u32 {
        self.version_number / 10_000
    }

    /// A part that the dump could not read is an error here, unless the dump is of a part only: then `pg_dump` itself
    /// decides, since only it knows what its patterns mean.
    pub async fn facts(self, selection: &Selection, cancel: &Cancel) -> Result<Facts> {
        let facts = cancel.race(facts(&self.client, self.version_number)).await?;
        if !selection.is_partial() {
            cancel.race(readable(&self.client)).await?;
        }
        Ok(facts)
    }
}

async fn facts(client: &Client, version_number: u32) -> Result<Facts> {
    let row = row(client, FACTS).await?;
    let version: String = row.get(0);
    let unsigned = |column: usize| row.get::<_, i64>(column).max(0) as u64;
    Ok(Facts {
        server_version: version.split_whitespace().next().unwrap_or_default().to_owned(),
        version_number,
        replica: row.get(1),
        database_bytes: unsigned(2),
        table_bytes: unsigned(3),
        tables: unsigned(4),
        unlogged_tables: unsigned(5),
        large_objects: unsigned(6),
        extensions: rows(client, "SELECT extname::text, extversion FROM pg_extension ORDER BY 1")
            .await?
            .iter()
            .map(|row| Extension {
                name: row.get(0),
                version: row.get(1),
            })
            .collect(),
    })
}

async fn readable(client: &Client) -> Result<()> {
    let unreadable = names(client, UNREADABLE).await?;
    if !unreadable.is_empty() {
        return Err(Error::new(Code::DbPrivilege, format!("no SELECT on {}", some_of(&unreadable))));
    }
    let secured = names(client, ROW_SECURITY).await?;
    if !secured.is_empty() {
        let error = Error::new(Code::DbPrivilege, format!("row security hides rows of {}", some_of(&secured)));
        return Err(error.advise("ALTER ROLE the backup user BYPASSRLS: a dump without all rows would be no backup."));
    }
    let closed = names(client, LARGE_OBJECTS).await?;
    if !closed.is_empty() {
        let error = Error::new(Code::DbPrivilege, format!("no SELECT on large object {}", some_of(&closed)));
        return Err(error.advise("GRANT SELECT ON LARGE OBJECT n TO the backup user, for each; pg_read_all_data does not cover them."));
    }
    Ok(())
}

/// What stands in the way of a lock, for the message of a lock timeout; empty where it cannot be told any more.
pub async fn locked_relations(server: &Server, database: &DatabaseName, cancel: &Cancel) -> Vec<String> {
    let look = async {
        let client = server.connect(database, cancel).await?;
        names(&client, LOCKED).await
    };
    look.await.unwrap_or_default()
}

async fn row(client: &Client, query: &str) -> Result<Row> {
    let row = rows(client, query).await?.pop();
    row.ok_or_else(|| Error::new(Code::Bug, "the server answered with no row"))
}

async fn rows(client: &Client, query: &str) -> Result<Vec<Row>> {
    // In one message: `query` would first ask for the types, which costs a round trip more.
    client.query_typed(query, &[]).await.map_err(|error| diagnose::of_query(&error))
}

async fn names(client: &Client, query: &str) -> Result<Vec<String>> {
    Ok(rows(client, query).await?.iter().map(|row| row.get(0)).collect())
}

/// The first five, and how many more.
pub fn some_of(names: &[String]) -> String {
    let shown = names.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(5) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
