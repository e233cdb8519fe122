//! Sealed backups of PostgreSQL on RDS, straight to S3.
//!
//! An event and the environment become a [`plan`]; a [`backup`] logs in ([`rds`]), joins the stages of the [`pipeline`]
//! under a fresh data key ([`envelope`]), stores the parts ([`store`]) and says in a [`receipt`] what was done. A
//! [`restore`] goes the other way: it finds a backup, proves it, decrypts it and feeds it to psql.
//!
//! The modules below stand in reading order. `ARCHITECTURE.md` is the map with a picture, and lists the floors: which module
//! may use which.
//!
//! | What | Modules |
//! | --- | --- |
//! | entry points | [`lambda`], [`cli`]; then [`handler`]: one event in, one response out |
//! | use cases | [`backup`], [`check`], [`plan_events`], [`fleet`], [`restore`], and the [`receipt`] and [`metrics`] of the first |
//! | the stream | [`pipeline`]: one stage a file; [`pipeline::forward`] and [`fn@pipeline::back`] alone join them |
//! | the world | [`rds`]: the server; [`store`]: S3 and directories; [`aws`]: the SDK; [`process`]: child processes |
//! | what is asked | [`event`], [`variables`], [`plan`] |
//! | what is written | [`envelope`]: keys, manifest, signature; [`mod@format`]: the nouns of `docs/FORMAT.md` |
//! | everywhere | [`error`], [`cancel`], [`observe`], [`human`]: screens for people, [`signals`], [`panics`] |

// Of the library alone, since all of a test's helpers are `pub`: what no other crate uses is `pub(crate)`, so that the compiler
// sees what nobody uses.
#![deny(unreachable_pub)]

// Entry points.
pub mod cli;
pub mod lambda;

pub(crate) mod handler;

// What is asked.
pub mod event;

pub mod variables;

pub mod plan;

// Use cases.
pub(crate) mod backup;
pub mod metrics;
pub mod receipt;

pub(crate) mod check;
pub(crate) mod plan_events;
// All servers of an account.
pub(crate) mod fleet;
pub(crate) mod policy;

pub mod restore;

// The stream.
pub mod pipeline;

// The world.
pub mod rds;

pub mod store;

pub mod aws;
pub(crate) mod ca_file;

pub mod process;

// What is written.
pub mod envelope;

pub mod format;

// Everywhere.
pub mod error;

pub mod cancel;
pub mod human;
pub mod observe;
pub mod panics;
pub mod signals;

mod background;
mod random;
// `main` alone calls these, first of all.
pub mod allocator;
pub mod descriptors;
