//! Drills of databases whose owners wish the driller ill: nothing of theirs gets out of the server, and all that PostgreSQL
//! lets an ordinary owner have is restored.

use super::sealed::Order;
use super::{Fixture, openssl, text};
use crate::support::invariants::event;
use crate::support::pgseal::{CommandOutput, Pgseal, bare};
use crate::support::postgres::{debian_major, newest_debian};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

const PLANTED: &str = include_str!("../fixtures/planted.sql");
/// nobody's, of Debian: a user like any other, whom initdb finds in /etc/passwd.
const PLAIN: u32 = 65534;

/// A backup of a database full of planted code, readable by everybody, and what its code looks for.
struct Planted {
    fixture: Fixture,
    mark: tempfile::TempDir,
    listener: TcpListener,
}

fn open_to_all(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("permissions");
}

impl Planted {
    fn new() -> Self {
        let fixture = Fixture::new(json!({}));
        let mark = tempfile::tempdir().expect("a folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("it does not wait");
        let port = listener.local_addr().expect("an address").port().to_string();
        let sql = PLANTED
            .replace("@MARK@", text(mark.path()))
            .replace("@KEY@", &fixture.key())
            .replace("@PORT@", &port);
        fixture.server.psql("app", &sql);
        let fetched = fixture.fetched();
        std::fs::remove_dir_all(&fetched).expect("removed");
        std::fs::create_dir(&fetched).expect("made");
        backup(&fixture, json!({}));
        for (path, mode) in [
            (fixture.folder.path(), 0o755),
            (&fetched, 0o755),
            (mark.path(), 0o777),
            (Path::new(&fixture.key()), 0o644),
        ] {
            open_to_all(path, mode);
        }
        Self { fixture, mark, listener }
    }

    fn drill(&self, user: Option<u32>, options: &[&str]) -> CommandOutput {
        let said = drill(&self.fixture, user, options);
        let left: Vec<_> = std::fs::read_dir(self.mark.path()).expect("the folder").flatten().collect();
        assert!(left.is_empty(), "code of the backup wrote {left:?}\n{}", said.stdout);
        assert!(self.listener.accept().is_err(), "code of the backup opened a connection");
        said
    }
}

/// Another backup of `app`, by its superuser, and downloaded: where it lies.
pub(super) fn backup(fixture: &Fixture, asked: Value) -> String {
    let mut order = event(&fixture.server, "app", &fixture.bucket);
    order["user"] = json!("owner");
    order["public_key"] = json!(String::from_utf8(openssl(&["pkey", "-pubout", "-in", &fixture.key()])).expect("PEM"));
    order["scheduled_time"] = json!("2026-11-24T02:00:00Z");
    order["prefix"] = json!("planted");
    for (name, value) in asked.as_object().into_iter().flatten() {
        order[name] = value.clone();
    }
    Pgseal::backup(&order)
        .envs(fixture.bucket.env())
        .envs(fixture.server.env())
        .env("PGSEAL_PG_BIN", newest_debian())
        .run()
        .complete();
    fixture.bucket.download(&fixture.fetched());
    text(&fixture.fetched().join("app_20261124T020000Z")).to_owned()
}

pub(super) fn drill(fixture: &Fixture, user: Option<u32>, options: &[&str]) -> CommandOutput {
    let reports = tempfile::tempdir().expect("a folder");
    open_to_all(reports.path(), 0o777);
    let backup = fixture.fetched().join("app_20261124T020000Z");
    let mut command: Command = bare();
    command
        .args(["drill", text(&backup), "--key", &fixture.key(), "--report", text(reports.path())])
        .args(options);
    command
        .env("PGSEAL_PG_BIN", newest_debian())
        .env("AWS_EC2_METADATA_DISABLED", "true");
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    CommandOutput::from(command.output().expect("pgseal ends"))
}

/// Everything of the corpus that ordinary owners may have is there, and what is not is named.
fn assert_passed(said: &CommandOutput) -> Value {
    let report = said.receipt();
    assert_eq!(
        (said.code, &report["outcome"]),
        (0, &json!("passed")),
        "{report:#}\n{}",
        said.stderr
    );
    let tables = report["comparison"]["tables"].as_array().expect("tables");
    assert!(tables.iter().all(|table| table["equal"] == true), "{report:#}");
    assert_eq!(report["comparison"]["large_objects"], json!({"expected": 1, "found": 1}));
    let lost = report["not_restored"].as_array().expect("what is not restored").iter();
    let mut lost: Vec<String> = lost.map(|lost| lost["what"].as_str().expect("a name").replace('"', "")).collect();
    lost.sort();
    let kinds = [
        "CAST (text AS bytea",
        "CAST (text AS uuid",
        "EVENT TRIGGER",
        "FOREIGN DATA WRAPPER",
        "FOREIGN TABLE public.of_file",
        "FUNCTION code.in_language",
        "FUNCTION code.now",
        "LANGUAGE",
        "PUBLICATION wide",
        "SET log_min_messages of FUNCTION code.quiet",
        "TRIGGER in_language BEFORE INSERT ON public.with_language",
        "TYPE public.shell",
    ];
    for kind in kinds {
        assert!(lost.iter().any(|what| what.contains(kind)), "{kind} in {lost:?}");
    }
    assert_eq!(lost.len(), kinds.len(), "{lost:?}");
    assert_eq!(report.get("left_out"), None, "{report:#}");
    // Of the server, about the publication.
    let warnings = report["warnings"].as_array().expect("warnings");
    assert!(
        warnings.len() == 1 && warnings[0].as_str().expect("text").contains("wal_level"),
        "{report:#}"
    );
    report
}

/// As root and as a plain user; and as root where the kernel has no Landlock, which is what the image may meet.
#[test]
fn planted_code_gets_out_of_no_drill_and_honest_objects_are_restored() {
    let planted = Planted::new();
    let report = assert_passed(&planted.drill(None, &[]));
    let held = &report["confinement"];
    assert!(
        held["landlock"]["abi"].is_u64() && held["seccomp"] == true && held["users"] == true,
        "{held}"
    );

    let report = assert_passed(&planted.drill(Some(PLAIN), &[]));
    let held = &report["confinement"];
    assert!(
        held["landlock"]["abi"].is_u64() && held["seccomp"] == true && held["users"] == false,
        "{held}"
    );

    without_landlock(|| {
        let report = assert_passed(&planted.drill(None, &[]));
        assert_eq!(report["confinement"], json!({"landlock": null, "seccomp": true, "users": true}));
        let refused = planted.drill(Some(PLAIN), &[]);
        let report = refused.receipt();
        assert_eq!(
            (refused.code, &report["error"]["code"]),
            (7, &json!("restore_failed")),
            "{report:#}"
        );
        assert!(
            report["error"]["hint"].as_str().expect("a hint").contains("--unconfined"),
            "{report:#}"
        );
        let report = assert_passed(&planted.drill(Some(PLAIN), &["--unconfined"]));
        assert_eq!(report["confinement"], json!({"landlock": null, "seccomp": true, "users": false}));
    });
}

/// Anyone who may write to the bucket can seal any SQL for the recipient: it runs where no signer is pinned, and gets nowhere.
#[test]
fn a_block_of_a_forged_set_gets_nowhere() {
    let (folder, mark) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("it does not wait");
    let key = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/keys/recipient-a.pem");
    let attack = PLANTED.split_once("CREATE FUNCTION code.attack").expect("the function").1;
    let attack = attack.split_once("END $$;").expect("its end").0;
    let sql = format!(
        "CREATE SCHEMA code;\nCREATE FUNCTION code.attack{attack}END $$;\nDO $$ BEGIN PERFORM code.attack('block'); END $$;\n\
         CREATE TABLE public.proof AS SELECT 1;\n"
    )
    .replace("@MARK@", text(mark.path()))
    .replace("@KEY@", text(&key))
    .replace("@PORT@", &listener.local_addr().expect("an address").port().to_string());
    let order = Order {
        version: format!("{}.0", debian_major()),
        ..Order::default()
    };
    let forged = order.seal(sql.as_bytes());
    for (name, body) in &forged.objects {
        std::fs::write(folder.path().join(name), body).expect("written");
    }
    for path in [folder.path(), mark.path()] {
        open_to_all(path, 0o777);
    }
    let reports = folder.path().join("reports");
    let mut command = bare();
    command
        .args(["drill", text(&folder.path().join(&forged.stem)), "--key", text(&key)])
        .args(["--report", text(&reports)])
        .env("PGSEAL_PG_BIN", format!("/usr/lib/postgresql/{}/bin", debian_major()));
    let said = CommandOutput::from(command.output().expect("pgseal ends"));
    let report = said.receipt();
    // It ran to its end, since every way was closed; that its own table has a row too many is told.
    let differences = report["comparison"]["differences"].to_string();
    assert!(
        report["outcome"] == "failed" && differences.contains("the table public.proof has 1 rows"),
        "{report:#}\n{}",
        said.stderr
    );
    assert_eq!(std::fs::read_dir(mark.path()).expect("the folder").count(), 0);
    assert!(listener.accept().is_err(), "code of the set opened a connection");
}

/// On a thread for which, and for all that it starts, the kernel is as one without Landlock.
fn without_landlock(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let rules = [(libc::SYS_landlock_create_ruleset, Vec::new())].into();
            let answer = SeccompAction::Errno(libc::ENOSYS as u32);
            let filter = SeccompFilter::new(
                rules,
                SeccompAction::Allow,
                answer,
                std::env::consts::ARCH.try_into().expect("an architecture"),
            );
            let filter: BpfProgram = filter.expect("a filter").try_into().expect("a program");
            apply_filter(&filter).expect("it holds");
            work();
        });
        thread.join().expect("no panic");
    });
}

/// The globals hold CREATE TABLESPACE with a folder; a drill that made it left plain rows there.
#[test]
fn a_drill_leaves_nothing_in_the_sources_tablespaces() {
    let fixture = Fixture::new(json!({}));
    let place = tempfile::tempdir().expect("a folder");
    open_to_all(place.path(), 0o700);
    let given = Command::new("chown")
        .arg("postgres")
        .arg(place.path())
        .status()
        .expect("chown starts");
    assert!(given.success());
    let location = text(place.path());
    fixture
        .server
        .psql("postgres", &format!("create tablespace fast location '{location}'"));
    fixture.server.psql(
        "app",
        "alter table plain set tablespace fast; create index in_fast on plain (id) tablespace fast",
    );
    backup(&fixture, json!({"globals": true}));
    fixture.server.psql("app", "drop table plain");
    fixture.server.psql("postgres", "drop tablespace fast");
    let said = drill(&fixture, None, &[]);
    let report = said.receipt();
    assert_eq!((said.code, &report["outcome"]), (0, &json!("passed")), "{report:#}");
    assert_eq!(std::fs::read_dir(place.path()).expect("the folder").count(), 0);
    let left: Vec<&str> = report["left_out"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|left| left["what"].as_str())
        .collect();
    assert!(left.contains(&"tablespaces"), "{report:#}");
}

/// An owner set it off for the database while rows came in: what the superuser set right afterwards was read as other SQL
/// than the one that was looked through.
#[test]
fn where_a_string_ends_is_not_up_to_the_databases_settings() {
    let fixture = Fixture::new(json!({}));
    fixture.server.psql(
        "app",
        r#"create extension hstore; create role reader;
           create function public.set_it(i int) returns boolean language plpgsql as $$ begin
               if current_database() = 'drill' then execute 'alter database drill set standard_conforming_strings = off'; end if;
               return true; end $$;
           create table public.t (i int check (public.set_it(i))); insert into t values (1);
           comment on extension hstore is 'x\';
           create table public."'; CREATE ROLE pwn SUPERUSER; CREATE ROLE pwn; --" (i int);
           grant select on public."'; CREATE ROLE pwn SUPERUSER; CREATE ROLE pwn; --" to reader"#,
    );
    backup(&fixture, json!({}));
    let said = drill(&fixture, None, &[]);
    let report = said.receipt();
    assert_eq!((said.code, &report["outcome"]), (0, &json!("passed")), "{report:#}");
    assert!(!report.to_string().contains("already exists"), "{report:#}");
}
