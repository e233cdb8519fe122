//! The restore pipeline, for a person in an emergency: which backup, is it what was written, and its bytes back; into a database
//! by `psql`, or into a throw-away server whose content is compared.

pub(crate) mod clean;
mod collations;
pub mod compare;
pub mod conninfo;
pub mod create;
pub(crate) mod decrypt;
pub(crate) mod drill;
mod failed_rows;
pub mod filter;
pub mod find;
pub(crate) mod fleet_status;
pub(crate) mod globals;
mod latest;
pub mod legacy;
pub(crate) mod list;
pub(crate) mod load;
mod locales;
pub mod properties;
pub mod provenance;
pub mod psql;
pub mod report;
pub(crate) mod rewrap;
mod roles;
mod scratch_database;
mod scratch_folder;
pub mod scratch_server;
mod steps;
pub(crate) mod summary;
pub mod target_database;
mod tls;
pub mod unsealed;
mod value_settings;
pub mod verify;
