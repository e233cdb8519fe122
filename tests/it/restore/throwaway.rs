//! A server for a drill: it comes, it takes a restore, and it goes.

use super::{cancel, debian, dump, psql, until};
use crate::support::postgres::Server;
use pgseal::cancel::Cancel;
use pgseal::error::{Code, Error};
use pgseal::format::database_properties::DatabaseProperties;
use pgseal::pipeline::Stage;
use pgseal::process::client_tools::ClientTools;
use pgseal::restore::create::create;
use pgseal::restore::filter::{Filter, FilterOptions};
use pgseal::restore::psql::PsqlMode;
use pgseal::restore::scratch_server::{ScratchOptions, ScratchServer, find};
use pgseal::restore::target_database::must_be_empty;
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

fn start(parent: &Path, cancel: &Cancel) -> pgseal::error::Result<ScratchServer> {
    let server = find(&debian(), None, 10).expect("a server");
    let options = ScratchOptions {
        locales: &[],
        parent,
        unconfined: false,
    };
    ScratchServer::start(&server, psql(), &options, cancel)
}

#[test]
fn it_serves_and_leaves_nothing() {
    let parent = parent();
    let throwaway = start(parent.path(), &cancel()).expect("it starts");
    let folders: Vec<_> = std::fs::read_dir(parent.path()).expect("the folder").flatten().collect();
    assert_eq!(folders.len(), 1);
    assert_eq!(folders[0].metadata().expect("metadata").permissions().mode() & 0o707, 0o700);
    let seen = throwaway
        .access()
        .execute("SELECT current_setting('fsync') || current_setting('listen_addresses');", &cancel());
    assert_eq!(seen.expect("an answer"), "off");
    assert!(!processes(parent.path()).is_empty());
    drop(throwaway);
    assert_eq!(processes(parent.path()), Vec::<String>::new());
    assert_eq!(std::fs::read_dir(parent.path()).expect("the folder").count(), 0);
}

#[test]
fn a_cancel_on_the_way_leaves_nothing_either() {
    let parent = parent();
    let cancel = cancel();
    let starting = std::thread::spawn({
        let (cancel, folder) = (cancel.clone(), parent.path().to_owned());
        move || start(&folder, &cancel).map(drop)
    });
    until("the server's folder is made", || {
        std::fs::read_dir(parent.path()).expect("the folder").count() > 0 || starting.is_finished()
    });
    cancel.cancel(Error::new(Code::Terminated, "stop"));
    assert_eq!(starting.join().expect("no panic").expect_err("cancelled").code, Code::Terminated);
    assert_eq!(processes(parent.path()), Vec::<String>::new());
    assert_eq!(std::fs::read_dir(parent.path()).expect("the folder").count(), 0);
}

#[test]
fn a_dump_is_restored_into_it_and_compared() {
    let source = Server::start();
    source.create_app("create table t (i int primary key); insert into t select generate_series(1, 1000); select lo_create(4711)");
    let dump = dump(&source);
    let parent = parent();
    let throwaway = start(parent.path(), &cancel()).expect("it starts");
    let target = throwaway.access().database("app");
    create(&target, &DatabaseProperties::default(), &cancel()).expect("a database");
    must_be_empty(&target, &cancel()).expect("it is empty");
    let options = FilterOptions {
        no_owner: true,
        no_privileges: true,
        no_transactions: true,
        settings_newer_than: Some(psql().major),
        ..FilterOptions::default()
    };
    let mut filter = Filter::new(options, target.restore(PsqlMode::all(true), &cancel()).expect("psql starts"));
    filter.put(&dump).expect("psql reads");
    let said: Vec<String> = filter.finish().expect("a restore").below.into_iter().map(String::from).collect();
    assert_eq!(said, [""; 0]);
    for (rows, equal) in [(1000, true), (1001, false)] {
        let inventory = json!({"tables": [{"name": "public.t", "rows": rows, "bytes": 1}], "rows": rows, "large_objects": 1});
        let inventory = super::inventory(inventory);
        let comparison = super::compared(&inventory, &target, &cancel()).expect("a comparison");
        assert_eq!(comparison.is_equal(), equal, "{:?}", comparison.differences);
    }
}

const FOLDER: &str = "TESTBED_FOLDER";

/// Runs itself again as the process to kill.
#[test]
fn it_ends_with_a_process_that_is_killed() {
    if let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) {
        let _throwaway = start(&folder, &cancel()).expect("it starts");
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

/// It once ended in the words of initdb or of the kernel, which name no cause.
#[test]
fn an_installation_that_the_drills_users_may_not_read_is_named() {
    let (parent, closed) = (parent(), tempfile::tempdir().expect("a folder"));
    std::fs::set_permissions(closed.path(), PermissionsExt::from_mode(0o700)).expect("its permissions");
    for program in ["initdb", "postgres", "psql"] {
        std::os::unix::fs::symlink(debian()[0].join(program), closed.path().join(program)).expect("a link");
    }
    let options = ScratchOptions {
        locales: &[],
        parent: parent.path(),
        unconfined: false,
    };
    let open = find(&debian(), None, 10).expect("a server");
    let at_closed = |client: &ClientTools| ClientTools {
        folder: closed.path().to_owned(),
        ..client.clone()
    };
    for (server, client, named) in [(at_closed(&open), psql(), "initdb"), (open.clone(), at_closed(&psql()), "psql")] {
        let error = ScratchServer::start(&server, client, &options, &cancel())
            .map(drop)
            .expect_err("closed");
        let program = closed.path().join(named).display().to_string();
        assert!(
            error.code == Code::RestoreFailed && error.message.contains(&format!("cannot run {program}: Permission denied")),
            "{error}"
        );
        assert!(error.hint().contains("chmod a+rX") && error.hint().contains("PGSEAL_PG_BIN"));
        assert_eq!(std::fs::read_dir(parent.path()).expect("the folder").count(), 0);
    }
}

/// What code of a backup could do at worst: here it is the superuser of its server already.
const WAYS_OUT: &[&str] = &[
    "COPY (SELECT 1) TO PROGRAM 'cat >FOLDER/out'",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO 'FOLDER/out'",
    "CREATE TEMP TABLE t (t text); COPY t FROM 'FOLDER/secret'",
    "SELECT pg_read_file('FOLDER/secret')",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_read_file('/proc/self/environ')",
    "SELECT pg_ls_dir('FOLDER')",
    "SELECT lo_from_bytea(990000, 'x'); SELECT lo_export(990000, 'FOLDER/out')",
    "SELECT lo_import('FOLDER/secret')",
    "CREATE TABLESPACE outside LOCATION 'FOLDER'",
    "LOAD 'FOLDER/library.so'",
    "CREATE EXTENSION IF NOT EXISTS dblink SCHEMA public; SELECT public.dblink_connect('host=127.0.0.1 port=PORT user=x password=x')",
    "CREATE EXTENSION IF NOT EXISTS dblink SCHEMA public; SELECT public.dblink_connect('host=FOLDER user=x password=x')",
];

#[test]
fn even_the_superuser_of_a_drills_server_gets_no_program_no_file_and_no_connection() {
    let (parent, outside) = (parent(), tempfile::tempdir().expect("a folder"));
    std::fs::set_permissions(outside.path(), PermissionsExt::from_mode(0o777)).expect("its permissions");
    for (name, content) in [("secret", "key".as_bytes()), ("library.so", include_bytes!("throwaway.rs"))] {
        std::fs::write(outside.path().join(name), content).expect("written");
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("it does not wait");
    let socket = std::os::unix::net::UnixListener::bind(outside.path().join(".s.PGSQL.5432")).expect("a socket");
    socket.set_nonblocking(true).expect("it does not wait");
    std::fs::set_permissions(outside.path().join(".s.PGSQL.5432"), PermissionsExt::from_mode(0o777)).expect("its permissions");
    let port = listener.local_addr().expect("an address").port().to_string();
    let throwaway = start(parent.path(), &cancel()).expect("it starts");
    for way in WAYS_OUT {
        let sql = way
            .replace("FOLDER", outside.path().to_str().expect("UTF-8"))
            .replace("PORT", &port);
        let error = throwaway.access().execute(&format!("{sql};"), &cancel()).expect_err(way);
        assert!(
            [
                "SQLSTATE 42501",
                "SQLSTATE of class 38",
                "SQLSTATE of class 08",
                "SQLSTATE 53200",
                "SQLSTATE 58P01",
                "SQLSTATE XX000",
                "Permission denied",
                "Operation not permitted",
                "failed",
                "could not"
            ]
            .iter()
            .any(|words| error.message.contains(words)),
            "{way}: {error}"
        );
    }
    assert!(!outside.path().join("out").exists());
    assert!(listener.accept().is_err() && socket.accept().is_err());
    // The server's own folder is all that it has.
    assert_eq!(
        throwaway
            .access()
            .execute("SELECT count(*) > 0 FROM pg_ls_dir('.');", &cancel())
            .expect("an answer"),
        "t"
    );
}

#[test]
fn a_drills_server_and_its_psql_are_nobody_we_know() {
    let parent = parent();
    let throwaway = start(parent.path(), &cancel()).expect("it starts");
    // Without a password nobody comes in, not even over the socket.
    let socket = throwaway.access().conninfo.get("host").expect("a socket").to_owned();
    let mut stranger = Command::new(psql().program("psql"));
    stranger
        .args(["-X", "-w", "-c", "select 1", "-d", "postgres", "-h", &socket])
        .env_clear();
    stranger.arg("-U").arg(throwaway.access().conninfo.get("user").expect("a user"));
    assert!(!stranger.output().expect("psql starts").status.success());
    let pid = std::fs::read_dir("/proc").expect("/proc").flatten().find(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(parent.path().to_str().expect("UTF-8"))
    });
    let process = pid.expect("a server").path();
    let status = std::fs::read_to_string(process.join("status")).expect("its status");
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .expect("a field")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let known = std::fs::read_to_string("/etc/passwd").expect("accounts");
    let user = field("Uid:").split(' ').next().expect("a user").to_owned();
    assert!(
        !known.lines().any(|line| line.split(':').nth(2) == Some(&user)),
        "{user} is somebody"
    );
    assert_eq!(
        (field("Groups:").as_str(), field("NoNewPrivs:").as_str(), field("Seccomp:").as_str()),
        ("", "1", "2")
    );
    // It has no file of ours but its log.
    let links = std::fs::read_dir(process.join("fd")).expect("descriptors").flatten();
    let links: Vec<PathBuf> = links.filter_map(|link| std::fs::read_link(link.path()).ok()).collect();
    let is_its_own = |link: &PathBuf| {
        let name = link.to_string_lossy();
        name.starts_with(parent.path().to_str().expect("UTF-8"))
            || ["/dev/", "socket:", "pipe:", "anon_inode:"]
                .iter()
                .any(|kind| name.starts_with(kind))
    };
    assert!(links.iter().all(is_its_own), "{links:?}");
    let environment = std::fs::read(process.join("environ")).expect("its environment");
    let environment = String::from_utf8_lossy(&environment).into_owned();
    assert!(
        !environment.contains("AWS_") && !environment.contains("PGPASSWORD"),
        "{environment}"
    );
}
