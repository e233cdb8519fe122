//! The databases of a server, for `"*"`: all of them, also those that cannot be backed up. What is left out in silence is
//! missed on the day it is needed.

use super::session::{Row, Session, hex, shown};
use super::{Server, diagnose::LoginRefusal};
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::format::names::DatabaseName;

/// Why a database of a server is no work for anybody.
pub(crate) const LEFT_OUT: &str = "a tag of the server leaves it out";

/// What an event means, in order, and what its sender should know.
#[derive(Debug, Default)]
pub(crate) struct DatabaseList {
    pub databases: Vec<ListedDatabase>,
    pub warnings: Vec<String>,
}

#[derive(Debug)]
pub(crate) enum ListedDatabase {
    Chosen(DatabaseName),
    /// PostgreSQL itself forbids to dump it.
    Skipped {
        name: String,
        reason: &'static str,
    },
    /// It should be backed up and cannot be. `name` as it can be shown; `DatabaseName` where it is one.
    Failed {
        name: String,
        database: Option<DatabaseName>,
        error: Error,
    },
}

impl ListedDatabase {
    pub(crate) fn chosen(&self) -> Option<&DatabaseName> {
        match self {
            Self::Chosen(name) => Some(name),
            _ => None,
        }
    }
}

impl DatabaseList {
    pub(crate) fn named(names: &[DatabaseName]) -> Self {
        Self {
            databases: names.iter().cloned().map(ListedDatabase::Chosen).collect(),
            warnings: Vec::new(),
        }
    }
}

impl ListedDatabase {
    fn name(&self) -> &str {
        match self {
            Self::Chosen(name) => name.as_str(),
            Self::Skipped { name, .. } | Self::Failed { name, .. } => name,
        }
    }
}

impl DatabaseList {
    /// What a server's tags leave out is told as that. Of all its databases (`is_all`) a name that is none fails: the one who
    /// named it expects a backup.
    pub(crate) fn narrow(&mut self, only: Option<&[String]>, excluded: &[String], is_all: bool) {
        for listed in &mut self.databases {
            let name = listed.name().to_owned();
            if only.is_some_and(|only| !only.contains(&name)) || excluded.contains(&name) {
                *listed = ListedDatabase::Skipped { name, reason: LEFT_OUT };
            }
        }
        let expected = only.filter(|_| is_all).unwrap_or_default();
        for name in expected.iter().filter(|name| !excluded.contains(name)) {
            if !self.databases.iter().any(|listed| listed.name() == name) {
                self.databases.push(ListedDatabase::Failed {
                    name: name.clone(),
                    database: None,
                    error: Error::new(
                        Code::NoDatabase,
                        format!("a tag of the server names {name}, which is not among its databases"),
                    ),
                });
            }
        }
        if is_all {
            self.databases.sort_by(|a, b| a.name().cmp(b.name()));
        }
    }
}

/// One row of `pg_database`.
#[derive(Debug)]
struct DatabaseRow {
    name: Vec<u8>,
    allows_connections: bool,
    connection_limit: i64,
    may_connect: bool,
    /// No limit holds for a superuser.
    is_superuser: bool,
}

/// Lists them from whichever database lets us in, within the limit for everything before a dump.
pub(crate) async fn databases(server: &Server, excluded: &[String], cancel: &Cancel) -> Result<DatabaseList> {
    let looking = async {
        let session = open_any(server, excluded, cancel).await?;
        let name = hex("d.datname");
        let query = format!(
            "SELECT {name}, d.datallowconn, d.datconnlimit, pg_catalog.has_database_privilege(d.oid, 'CONNECT'),
                 pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on'
             FROM pg_catalog.pg_database d ORDER BY d.datname"
        );
        session.rows(&query).await?.iter().map(found).collect::<Result<Vec<_>>>()
    };
    sort_out(server.in_time(looking).await?, excluded)
}

fn found(row: &Row) -> Result<DatabaseRow> {
    Ok(DatabaseRow {
        name: row.bytes(0)?,
        allows_connections: row.flag(1)?,
        connection_limit: row.text(2)?.parse().unwrap_or(-1),
        // NULL of a database that is just being dropped.
        may_connect: row.optional(3)? != Some("f"),
        is_superuser: row.flag(4)?,
    })
}

/// `postgres` is closed on hardened servers, and need not exist.
async fn open_any<'a>(server: &'a Server, excluded: &[String], cancel: &Cancel) -> Result<Session<'a>> {
    let mut first: Option<Error> = None;
    let usual = ["postgres", "template1", server.user.as_str()].map(str::to_owned);
    for name in usual.iter().chain(excluded.iter().take(5)) {
        let Ok(database) = DatabaseName::new(name) else { continue };
        match Session::try_open(server, &database, cancel).await {
            Ok(session) => return Ok(session),
            Err(LoginRefusal {
                error,
                of_the_database: true,
            }) => {
                tracing::debug!(database = name, "the databases cannot be listed from here: {}", error.message);
                first.get_or_insert(error);
            }
            Err(refusal) => return Err(refusal.into()),
        }
    }
    let error = first.unwrap_or_else(|| Error::new(Code::NoDatabase, "there is no database to ask for the others"));
    Err(error.advise(
        "To list all databases one must be open to the backup user: GRANT CONNECT ON DATABASE postgres TO it, or name the databases.",
    ))
}

fn sort_out(found: Vec<DatabaseRow>, excluded: &[String]) -> Result<DatabaseList> {
    let mut list = DatabaseList::default();
    let mut missing: Vec<&String> = excluded.iter().collect();
    for DatabaseRow {
        name: bytes,
        allows_connections,
        connection_limit,
        may_connect,
        is_superuser,
    } in found
    {
        let name = shown(&bytes);
        missing.retain(|excluded| **excluded != name);
        if excluded.contains(&name) || matches!(bytes.as_slice(), b"rdsadmin" | b"template0" | b"template1") {
            continue;
        }
        list.databases.push(match () {
            () if connection_limit == -2 => ListedDatabase::Skipped {
                name,
                reason: "it is invalid: a DROP DATABASE was interrupted, and it can only be dropped",
            },
            () if !allows_connections => ListedDatabase::Skipped {
                name,
                reason: "it allows no connections (datallowconn)",
            },
            () if connection_limit == 0 && !is_superuser => choose(&bytes, name, Some(&NO_CONNECTIONS)),
            () => choose(&bytes, name, (!may_connect).then_some(&NO_CONNECT)),
        });
    }
    for name in missing {
        list.warnings.push(format!(
            "exclude_databases names {}, and there is no such database",
            shown(name.as_bytes())
        ));
    }
    if !list
        .databases
        .iter()
        .any(|listed| !matches!(listed, ListedDatabase::Skipped { .. }))
    {
        return Err(Error::new(Code::NoDatabase, "there is no database to back up on this server"));
    }
    Ok(list)
}

/// Why the user is not let into a database, and what helps.
struct ClosedDoor {
    why: &'static str,
    advice: &'static str,
}

const NO_CONNECT: ClosedDoor = ClosedDoor {
    why: "no CONNECT on database",
    advice: "GRANT CONNECT ON DATABASE name TO the backup user, or leave it out on purpose by `exclude_databases`.",
};
const NO_CONNECTIONS: ClosedDoor = ClosedDoor {
    why: "CONNECTION LIMIT 0 lets none but superusers into database",
    advice: "ALTER DATABASE name CONNECTION LIMIT -1, or leave it out on purpose by `exclude_databases`.",
};

fn choose(bytes: &[u8], name: String, closed: Option<&ClosedDoor>) -> ListedDatabase {
    if bytes == b"*" {
        return odd(name, "its name means all databases wherever an event names it".to_owned());
    }
    let database = match std::str::from_utf8(bytes).map(DatabaseName::new) {
        Ok(Ok(database)) => database,
        Ok(Err(error)) => return odd(name, error.message),
        Err(_) => return odd(name, "its name is not UTF-8".to_owned()),
    };
    let Some(ClosedDoor { why, advice }) = closed else {
        return ListedDatabase::Chosen(database);
    };
    let error = Error::new(Code::DbPrivilege, format!("{why} {name}")).advise(*advice);
    ListedDatabase::Failed {
        name,
        database: Some(database),
        error,
    }
}

fn odd(name: String, why: String) -> ListedDatabase {
    let error = Error::new(
        Code::BadName,
        format!("the database {name} cannot be backed up under this name: {why}"),
    );
    ListedDatabase::Failed {
        name,
        database: None,
        error: error.advise("Rename it (ALTER DATABASE … RENAME TO), or leave it out on purpose by `exclude_databases`."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(name: &[u8]) -> DatabaseRow {
        DatabaseRow {
            name: name.to_owned(),
            allows_connections: true,
            connection_limit: -1,
            may_connect: true,
            is_superuser: false,
        }
    }

    fn told(listed: &ListedDatabase) -> String {
        match listed {
            ListedDatabase::Chosen(name) => name.as_str().to_owned(),
            ListedDatabase::Skipped { name, .. } => format!("{name}: skipped"),
            ListedDatabase::Failed { name, error, .. } => format!("{name}: {}", error.code.name()),
        }
    }

    #[test]
    fn a_star_hides_nothing() {
        let found = vec![
            database(b"app"),
            database(b"caf\xe9"),
            DatabaseRow {
                may_connect: false,
                ..database(b"hr")
            },
            database(b"left_out"),
            DatabaseRow {
                connection_limit: 0,
                ..database(b"lim0")
            },
            DatabaseRow {
                connection_limit: 0,
                is_superuser: true,
                ..database(b"lim0_of_a_superuser")
            },
            database(b"line\nbreak"),
            DatabaseRow {
                connection_limit: -2,
                ..database(b"half_dropped")
            },
            DatabaseRow {
                allows_connections: false,
                ..database(b"closed")
            },
            database(b"rdsadmin"),
            database(b"template0"),
            database(b"template1"),
            database(b"template_service"),
        ];
        let excluded = ["left_out".to_owned(), "no_such".to_owned()];
        let list = sort_out(found, &excluded).unwrap();
        let told: Vec<_> = list.databases.iter().map(told).collect();
        assert_eq!(
            told,
            [
                "app",
                "caf\\xe9: bad_name",
                "hr: db_privilege",
                "lim0: db_privilege",
                "lim0_of_a_superuser",
                "line\\nbreak: bad_name",
                "half_dropped: skipped",
                "closed: skipped",
                "template_service"
            ]
        );
        assert_eq!(list.warnings.len(), 1);
        assert!(list.warnings[0].contains("no_such"));
    }

    #[test]
    fn nothing_to_back_up_is_said() {
        let closed = DatabaseRow {
            allows_connections: false,
            ..database(b"closed")
        };
        let error = sort_out(vec![database(b"template1"), closed], &[]).unwrap_err();
        assert_eq!(error.code, Code::NoDatabase);
    }
}
