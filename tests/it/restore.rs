//! The rooms above the restore, each against real servers: where to restore to, psql, an empty target, a throw-away server,
//! the comparison.

mod compare;
mod conninfo;
mod empty;
mod hostile;
mod psql;
mod throwaway;
mod tls;
mod twins;

use crate::support::postgres::{Server, client_folder, clients_path, debian_major};
use crate::support::wait::until;
use pgseal::cancel::Cancel;
use pgseal::format::inventory::Inventory;
use pgseal::format::table_name::TableName;
use pgseal::process::client_tools::{self, ClientTools};
use pgseal::restore::compare::{Comparison, LoadedDump};
use pgseal::restore::conninfo::Conninfo;
use pgseal::restore::psql::{PsqlTarget, find};
use std::path::PathBuf;

fn cancel() -> Cancel {
    Cancel::new().expect("an event descriptor")
}

/// The programs of Debian's own packages.
fn debian() -> Vec<PathBuf> {
    vec![PathBuf::from(format!("/usr/lib/postgresql/{}/bin", debian_major()))]
}

fn psql() -> ClientTools {
    client_tools::installed("psql", &debian(), None).swap_remove(0)
}

/// The one for dumps by `pg_dump` 18.
fn newest_psql() -> ClientTools {
    let folders: Vec<PathBuf> = std::env::split_paths(&clients_path()).collect();
    find(&folders, None, "18.4").expect("psql 18")
}

/// The superuser through the server's socket.
fn access(server: &Server, database: &str) -> PsqlTarget {
    let conninfo = Conninfo::parse(&server.conninfo(database)).expect("the server's conninfo");
    PsqlTarget::new(psql(), conninfo, [])
}

/// A plain dump of `app` by the server's own `pg_dump`.
fn dump(server: &Server) -> Vec<u8> {
    let output = std::process::Command::new(client_folder(18).join("pg_dump"))
        .args(["--dbname", &server.conninfo("app")])
        .output()
        .expect("pg_dump starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Against a dump that makes these tables besides those of the inventory.
fn compared(inventory: &Inventory, restored: &PsqlTarget, cancel: &Cancel) -> pgseal::error::Result<Comparison> {
    let made = ["public.unlogged_one", r#"public."Odd ""; table""#];
    let made = made.iter().filter_map(|name| TableName::parse(name)).collect();
    pgseal::restore::compare::compare(inventory, LoadedDump::alone(&[], &made), restored, cancel)
}

/// A whole inventory of what a test cares about.
fn inventory(part: serde_json::Value) -> Inventory {
    let mut whole = serde_json::to_value(Inventory::default()).expect("JSON");
    for (name, value) in part.as_object().expect("an object") {
        whole[name] = value.clone();
    }
    serde_json::from_value(whole).expect("an inventory")
}
