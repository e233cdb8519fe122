//! Sealed backups of PostgreSQL on RDS, straight to S3.
//!
//! The map, in the order in which a byte meets the rooms: an event is read ([`event`]), resolved to a [`plan`], run by
//! [`backup`], which logs in ([`rds`]), joins the stages of the pipeline ([`pipeline`]) under a fresh secret
//! ([`envelope`]), stores the parts ([`store`]) and says what was done ([`receipt`]).

pub mod allocator;
pub mod aws;
mod background;
pub mod backup;
pub mod ca_file;
pub mod cancel;
pub mod check;
pub mod cli;
pub mod descriptors;
pub mod envelope;
pub mod error;
pub mod event;
pub mod format;
pub mod handler;
pub mod lambda;
pub mod observe;
pub mod panics;
pub mod pipeline;
pub mod plan;
pub mod plan_events;
pub mod process;
pub mod rds;
pub mod receipt;
pub mod restore;
pub mod signals;
pub mod store;
pub mod variables;
