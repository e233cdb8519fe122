//! Behaviour of the built program against real parts: PostgreSQL, S3 servers, the Lambda emulator, containers.
//! `testbed/install.sh` installs what they need; `make test` calls it.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a test tells its reader")]

mod support;

mod bench;
mod codes;
mod container;
mod crash_trials;
mod database_faults;
mod database_side;
mod demo;
mod end_to_end;
mod entry_points;
mod events;
mod fault_table;
mod fidelity;
mod fleet;
mod lambda;
mod login;
mod outputs;
mod pins;
mod profiles;
mod readme;
mod restore;
mod restore_cli;
mod s3_faults;
mod s3_server;
mod schemas;
mod secrets;
mod soak;
mod supply;
mod templates;
mod terminal;
mod versions;
mod warm_process;
