//! The road home, for a person in an emergency: which backup, is it what was written, and its bytes back; into a database
//! by `psql`, or into a throw-away server whose content is compared.

mod accounts;
pub mod backup;
mod child;
pub mod compare;
pub mod confinement;
pub mod conninfo;
pub mod create;
pub mod decrypt;
pub mod drill;
pub mod empty;
pub mod filter;
pub mod globals;
pub mod into;
pub mod legacy;
pub mod list;
mod locales;
pub mod names;
pub mod opened;
pub mod origin;
pub mod properties;
pub mod psql;
pub mod report;
pub mod rewrap;
mod roles;
mod scratch_database;
mod scratch_folder;
mod steps;
pub mod throwaway;
mod tls;
mod tried;
pub mod verify;
