//! The database that a restore goes into: made or found fit before, spoken of when the dump did not go in, and given what no
//! dump holds.

use super::{Load, UNKNOWN_PROPERTIES};
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::format::database_properties::DatabaseProperties;
use crate::restore::create::{create, drop_database, maintenance, must_not_exist, rename_database};
use crate::restore::dump_sink::DumpSessions;
use crate::restore::properties::{self, PropertyChoice};
use crate::restore::psql::PsqlTarget;
use crate::restore::roles::Roles;
use crate::restore::steps::blocking;
use crate::restore::target_database;

/// Of PostgreSQL: longer names it cuts off.
const LONGEST_NAME: usize = 63;
const RESTORING: &str = "_restoring";

/// Where the dump goes.
pub(super) struct LoadTarget {
    pub access: PsqlTarget,
    /// The database's own, if it has another one until all is in.
    pub name: Option<String>,
}

fn restoring(name: &str) -> String {
    let most = LONGEST_NAME - RESTORING.len();
    format!("{}{RESTORING}", &name[..name.floor_char_boundary(most)])
}

impl Load<'_> {
    /// What is left of a restore whose dump did not go in: nothing where it was one transaction, else a part that may be all
    /// that somebody has.
    pub(super) async fn left_behind(&self, mut error: Error, access: &PsqlTarget, is_part: bool) -> Error {
        let name = access.conninfo.dbname().unwrap_or("that --to names").to_owned();
        let (sessions, create) = (self.ask.sessions, self.ask.create);
        // Of a database that has another name until all is in, nobody expects a part.
        let is_whole = sessions == DumpSessions::OneTransaction || sessions.are_several() && create;
        let left = match (is_whole, create) {
            (true, false) => "nothing of it was kept".to_owned(),
            (true, true) => {
                // By then a cancel may have come: what was made for this goes all the same.
                let (access, made) = (access.clone(), name.clone());
                let dropped = blocking(move || drop_database(&access, &made, &Cancel::new()?)).await;
                match dropped {
                    Ok(()) => "nothing of it was kept, nor the database that --create made".to_owned(),
                    Err(_) => format!("the database {name}, made by --create, is left empty: drop it before the next try"),
                }
            }
            (false, true) => {
                format!("the database {name}, made by --create, may hold a part of the backup now: drop it before the next try")
            }
            (false, false) if is_part => format!(
                "the database {name} holds some of this part now: drop the tables that this restore made there, and nothing else, before the next try"
            ),
            (false, false) => format!("the database {name} may hold a part of the backup now: empty it before the next try"),
        };
        error.message = format!("{}; {left}", error.message);
        if matches!(error.code, Code::Terminated | Code::Deadline) {
            error = error.advise("Restore again into an empty database; --single-transaction keeps all of a restore or nothing, and so do --create and --jobs.");
        }
        error
    }

    /// The target, made or found empty; its name is the backup's where none was given. `part`: the tables of a backup that is
    /// not of a whole database.
    pub(super) async fn prepared(
        &self,
        access: PsqlTarget,
        database: &str,
        properties: &DatabaseProperties,
        part: Option<Vec<String>>,
        roles: Roles,
    ) -> Result<LoadTarget> {
        let (is_new, cancel, properties) = (self.ask.create, self.cancel.clone(), properties.clone());
        if !is_new && !access.names_database() {
            let error = Error::field(Code::BadUsage, "to", "names no database");
            return Err(error.advise("Add dbname=… to --to: an empty database; or --create to have it made."));
        }
        let access = match access.conninfo.dbname() {
            // Which one a service or a variable means libpq alone knows: made would be another.
            None if is_new && access.names_database() => {
                let error = Error::field(Code::BadUsage, "to", "names its database by a service or by PGDATABASE");
                return Err(error.advise("Say dbname=… in --to as well: that is the one that --create makes."));
            }
            None if is_new => access.database(database),
            _ => access,
        };
        let name = access.conninfo.dbname().map(str::to_owned);
        let name = name.filter(|_| is_new && self.ask.sessions.are_several());
        blocking(move || {
            if !is_new {
                target_database::must_be_no_template(&access, &cancel)?;
                match part {
                    Some(tables) => target_database::must_have_none_of(&tables, &access, &cancel)?,
                    None => target_database::must_be_empty(&access, &cancel)?,
                }
            }
            let server = if is_new { maintenance(&access, &cancel)? } else { access.clone() };
            roles
                .asked_elsewhere(is_new, &properties)
                .check_against(&properties, &server, &cancel)?;
            let access = match &name {
                Some(name) => {
                    must_not_exist(name, &server, &cancel)?;
                    access.database(&restoring(name))
                }
                None => access,
            };
            if is_new {
                create(&access, &properties, &cancel)?;
            }
            Ok(LoadTarget { access, name })
        })
        .await
    }

    /// All that a dump and its inventory hold is in: the database gets its name.
    pub(super) async fn renamed(&self, access: &PsqlTarget, name: Option<String>) -> Result<PsqlTarget> {
        let Some(name) = name else { return Ok(access.clone()) };
        let (access, cancel) = (access.clone(), self.cancel.clone());
        blocking(move || {
            rename_database(&access, &name, &cancel)?;
            Ok(access.database(&name))
        })
        .await
    }

    /// What no dump holds: applied to a database of our making, and only spoken of where somebody else made it.
    pub(super) async fn database_level(&self, properties: &DatabaseProperties, access: &PsqlTarget) -> Result<Vec<String>> {
        let (ask, cancel) = (self.ask, self.cancel);
        if !ask.create {
            let mut warnings = Vec::new();
            let place = match properties.encoding {
                Some(_) => "inventory (pgseal decrypt --what inventory)",
                None => "manifest",
            };
            if properties.has_settings() {
                warnings.push(format!(
                "settings, comment and privileges of the source's database itself were not applied: they come with --create, and are in \
                 the {place}"
            ));
            }
            return Ok(warnings);
        }
        let unknown = properties.encoding.is_none().then(|| UNKNOWN_PROPERTIES.to_owned());
        let wanted = PropertyChoice {
            owner: !ask.filter.no_owner,
            privileges: !ask.filter.no_privileges,
            roles: true,
        };
        let (properties, access, cancel) = (properties.clone(), access.clone(), cancel.clone());
        let said = blocking(move || properties::apply(&properties, wanted, &access, &cancel)).await?;
        Ok(unknown.into_iter().chain(said.into_iter().map(String::from)).collect())
    }
}
