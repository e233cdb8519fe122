//! A server for a drill: it comes, it takes a restore, and it goes.

use super::{cancel, debian, dump, newest_psql, psql, until};
use crate::support::postgres::Server;
use pgseal::error::{Code, Error};
use pgseal::format::database_properties::DatabaseProperties;
use pgseal::pipeline::Stage;
use pgseal::restore::compare::compare;
use pgseal::restore::create::create;
use pgseal::restore::empty::must_be_empty;
use pgseal::restore::filter::{Filter, FilterOptions};
use pgseal::restore::psql::Manner;
use pgseal::restore::throwaway::{Throwaway, find};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Alive processes whose arguments name this folder.
fn processes(folder: &Path) -> Vec<String> {
    let name = folder.display().to_string();
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let lines = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(&name)).collect()
}

/// A folder that the server's user may pass through.
fn parent() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("its permissions");
    folder
}

#[test]
fn it_serves_and_leaves_nothing() {
    let parent = parent();
    let server = find(&debian(), None, 10).expect("a server");
    let throwaway = Throwaway::start(&server, psql(), &[], parent.path(), &cancel()).expect("it starts");
    let folders: Vec<_> = std::fs::read_dir(parent.path()).expect("the folder").flatten().collect();
    assert_eq!(folders.len(), 1);
    assert_eq!(folders[0].metadata().expect("metadata").permissions().mode() & 0o777, 0o700);
    let seen = throwaway
        .access()
        .query("SELECT current_setting('fsync') || current_setting('listen_addresses');", &cancel());
    assert_eq!(seen.expect("an answer"), "off");
    assert!(!processes(parent.path()).is_empty());
    drop(throwaway);
    assert_eq!(processes(parent.path()), Vec::<String>::new());
    assert_eq!(std::fs::read_dir(parent.path()).expect("the folder").count(), 0);
}

#[test]
fn a_cancel_on_the_way_leaves_nothing_either() {
    let parent = parent();
    let server = find(&debian(), None, 10).expect("a server");
    let cancel = cancel();
    let start = std::thread::spawn({
        let (cancel, folder) = (cancel.clone(), parent.path().to_owned());
        move || Throwaway::start(&server, psql(), &[], &folder, &cancel).map(drop)
    });
    until("the server's folder is made", || {
        std::fs::read_dir(parent.path()).expect("the folder").count() > 0 || start.is_finished()
    });
    cancel.cancel(Error::new(Code::Terminated, "stop"));
    assert_eq!(start.join().expect("no panic").expect_err("cancelled").code, Code::Terminated);
    assert_eq!(processes(parent.path()), Vec::<String>::new());
    assert_eq!(std::fs::read_dir(parent.path()).expect("the folder").count(), 0);
}

#[test]
fn a_dump_is_restored_into_it_and_compared() {
    let source = Server::start();
    source.create_app("create table t (i int primary key); insert into t select generate_series(1, 1000); select lo_create(4711)");
    let dump = dump(&source);
    let parent = parent();
    let server = find(&debian(), None, 10).expect("a server");
    let throwaway = Throwaway::start(&server, newest_psql(), &[], parent.path(), &cancel()).expect("it starts");
    let target = throwaway.access().database("app");
    create(&target, &DatabaseProperties::default(), &cancel()).expect("a database");
    must_be_empty(&target, &cancel()).expect("it is empty");
    let options = FilterOptions {
        no_owner: true,
        no_privileges: true,
        no_transactions: true,
        settings_newer_than: Some(server.major),
        ..FilterOptions::default()
    };
    let mut filter = Filter::new(options, target.restore(Manner::all(true), &cancel()).expect("psql starts"));
    filter.put(&dump).expect("psql reads");
    assert_eq!(filter.finish().expect("a restore").below, Vec::<String>::new());
    for (rows, equal) in [(1000, true), (1001, false)] {
        let inventory = json!({"tables": [{"name": "public.t", "rows": rows, "bytes": 1}], "rows": rows, "large_objects": 1});
        let inventory = super::inventory(inventory);
        let comparison = compare(&inventory, &target, &cancel()).expect("a comparison");
        assert_eq!(comparison.is_equal(), equal, "{:?}", comparison.differences);
    }
}

const FOLDER: &str = "PGSEAL_TEST_FOLDER";

/// Runs itself again as the process to kill.
#[test]
fn it_ends_with_a_process_that_is_killed() {
    if let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) {
        let server = find(&debian(), None, 10).expect("a server");
        let _throwaway = Throwaway::start(&server, psql(), &[], &folder, &cancel()).expect("it starts");
        std::fs::write(folder.join("ready"), "").expect("a sign");
        std::io::stdin().read_line(&mut String::new()).expect("standard input");
        return;
    }
    let parent = parent();
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "restore::throwaway::it_ends_with_a_process_that_is_killed"])
        .env(FOLDER, parent.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    until("the server is ready", || parent.path().join("ready").exists());
    assert!(!processes(parent.path()).is_empty());
    child.kill().expect("SIGKILL");
    child.wait().expect("its end");
    until("no process is left", || processes(parent.path()).is_empty());
}

#[test]
fn a_server_that_is_too_old_or_missing_is_said() {
    let error = find(&debian(), None, 99).expect_err("too new");
    assert!(
        error.code == Code::RestoreFailed && error.message.contains("PostgreSQL 99"),
        "{error}"
    );
}
