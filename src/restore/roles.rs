//! Whether the roles that a dump names must be there before its rows come.

use super::filter::FilterOptions;
use super::psql::PsqlTarget;
use super::target_database;
use crate::cancel::Cancel;
use crate::envelope::manifest::Manifest;
use crate::error::Result;
use crate::format::database_properties::DatabaseProperties;

/// The roles that the dump names, as far as they are not made first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Roles {
    /// All must be there.
    Needed,
    /// Of a part of the dump, or without either owners or privileges, nobody can tell which.
    SomeMayBeNeeded,
    NotNeeded,
}

impl Roles {
    pub(super) fn needed_by(manifest: &Manifest, filter: &FilterOptions) -> Self {
        match (filter.no_owner, filter.no_privileges) {
            (true, true) => Self::NotNeeded,
            (false, false) if !manifest.is_partial() && !filter.no_policies => Self::Needed,
            _ => Self::SomeMayBeNeeded,
        }
    }

    /// Of a part of the dump nobody can tell which it names.
    pub(super) fn by_part(self, is_part: bool) -> Self {
        match self {
            Self::Needed if is_part => Self::SomeMayBeNeeded,
            needed => needed,
        }
    }

    /// Names of roles are bytes: those of a database in another encoding read otherwise in the one that is asked before the
    /// new one is there.
    pub(super) fn asked_elsewhere(self, is_new: bool, properties: &DatabaseProperties) -> Self {
        let is_sure = !is_new || properties.encoding.as_deref() == Some("UTF8");
        if self == Self::Needed && !is_sure {
            Self::SomeMayBeNeeded
        } else {
            self
        }
    }

    /// Told now: hours later, with all rows in, it would come as an error.
    pub(super) fn check_against(self, properties: &DatabaseProperties, server: &PsqlTarget, cancel: &Cancel) -> Result<()> {
        match self {
            Self::Needed => target_database::must_have_roles(properties, server, cancel),
            Self::SomeMayBeNeeded => {
                let told = target_database::may_lack_roles(properties, server, cancel)?;
                told.iter().for_each(|warning| tracing::warn!("{warning}"));
                Ok(())
            }
            Self::NotNeeded => Ok(()),
        }
    }
}
