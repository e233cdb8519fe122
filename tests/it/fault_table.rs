//! Everything that can go wrong, as one table; after each row the same checks. The rows are FAULTS of the design: each call
//! to S3 in each way that it can break, each phase of pg_dump, each signal, each state of the database, each bad event.

mod database;
mod dump;
mod refused;
mod s3;
mod signals;

use crate::support::fault_proxy::{FaultProxy, Rule};
use crate::support::invariants::{backup_stands, client_of_database, no_secret, sealed_into};
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::postgres::{Server, clients_path};
use crate::support::s3::{Bucket, EmbeddedS3};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Rows walked side by side. Most of them wait for a retry, not for a processor.
const WALKERS: usize = 16;

/// One row: what is broken, and what is promised then.
pub struct Point {
    name: String,
    cause: Cause,
    promise: Promise,
}

pub enum Cause {
    /// A proxy before S3 breaks calls.
    S3(Vec<Rule>),
    /// While the call of this rule waits for its answer, the program gets a signal.
    Signal(Rule, Signal),
    /// In place of pg_dump runs a script; `$REAL` is the real one, `$FOLDER` a place for its notes.
    Dump(String),
    /// These fields of the event are others.
    Event(Value),
    /// These variables are set.
    Variables(Vec<(&'static str, String)>),
    /// The text of the event as it is, instead of a good one.
    Text(String),
    /// This was done in the database, and is undone afterwards.
    Database { done: String, undone: String },
    /// A lock on the table is held by another session.
    Locked,
}

#[derive(Clone)]
pub enum Promise {
    /// A whole backup, and in its warnings these words.
    Complete { warned: &'static str },
    /// This code, and in the message or hint these words.
    Fails { code: &'static str, says: &'static str },
    /// The same, where data may stay that no manifest names.
    FailsLate { code: &'static str },
    /// It may even have succeeded, which nobody could be told.
    Unknown { code: &'static str },
}

impl Point {
    pub fn new(name: impl Into<String>, cause: Cause, promise: Promise) -> Self {
        Self {
            name: name.into(),
            cause,
            promise,
        }
    }
}

pub const WHOLE: Promise = Promise::Complete { warned: "" };

pub fn fails(code: &'static str) -> Promise {
    Promise::Fails { code, says: "" }
}

/// What all rows share; each walker has a database of its own.
struct Fixture {
    server: Server,
    s3: EmbeddedS3,
    walkers: AtomicUsize,
}

/// A major before Debian's, so that a script which calls itself the pg_dump of this major is the one that is chosen.
const MAJOR: u32 = 14;

impl Fixture {
    fn new() -> Self {
        let server = Server::builder().major(MAJOR).setting("max_connections", "100").start();
        // Two parts of at least 8 MiB.
        server.create_app("create table wide as select i, repeat('x', 1000) as x from generate_series(1, 9000) as i");
        let s3 = EmbeddedS3::start();
        let walkers = AtomicUsize::new(0);
        Self { server, s3, walkers }
    }

    fn walk(&self, points: &Mutex<Vec<Point>>) -> Vec<(String, String)> {
        let number = self.walkers.fetch_add(1, Ordering::Relaxed);
        let database = format!("app_{number}");
        self.server.psql("postgres", &format!("create database {database} template app"));
        let mut outcomes = Vec::new();
        loop {
            let Some(point) = points.lock().expect("no holder panics").pop() else {
                return outcomes;
            };
            let walked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.at(&point, &database)));
            outcomes.push(match walked {
                Ok(code) => (point.name, code),
                Err(panic) => {
                    let told = panic.downcast_ref::<String>().map_or("panicked", |text| text);
                    (point.name, format!("BROKEN {told}"))
                }
            });
        }
    }

    /// One row, and the checks after it. Gives the code that it came to.
    fn at(&self, point: &Point, database: &str) -> String {
        let bucket = self.s3.bucket();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut event = sealed_into(self.server.event(database), &bucket);
        event["compression"] = json!("none"); // so that the parts are the dump's own size
        let rules = match &point.cause {
            Cause::S3(rules) => rules.clone(),
            Cause::Signal(rule, _) => vec![rule.clone()],
            Cause::Event(fields) => {
                for (name, value) in fields.as_object().expect("fields") {
                    event[name] = value.clone();
                }
                Vec::new()
            }
            _ => Vec::new(),
        };
        let proxy = FaultProxy::before(&bucket, rules);
        let mut run = match &point.cause {
            Cause::Text(text) => Pgseal::new(&["backup", "--event", "-"]).stdin(text.clone()),
            _ => Pgseal::backup(&event),
        };
        run = run.envs(proxy.env()).envs(self.server.env());
        match &point.cause {
            Cause::Dump(script) => {
                write_script(folder.path(), script);
                // Short only where it is waited for: a busy machine may take seconds to start a script.
                let stall = if script.contains("sleep 600") { "4s" } else { "120s" };
                run = run.env("PGSEAL_PG_BIN", folder.path()).env("PGSEAL_STALL_TIMEOUT", stall);
            }
            Cause::Variables(pairs) => run = run.envs(pairs.iter().map(|(name, value)| (*name, value.as_str()))),
            _ => {}
        }
        let said = match &point.cause {
            Cause::Signal(_, signal) => {
                let child = run.spawn();
                proxy.wait_for_silence();
                kill_process(Pid::from_child(&child), *signal).expect("it runs");
                CommandOutput::from(child.wait_with_output().expect("it ends"))
            }
            Cause::Database { done, undone } => {
                self.server.psql(database, done);
                let said = run.run();
                self.server.psql(database, undone);
                said
            }
            Cause::Locked => {
                let mut holder = self.server.session(database);
                holder.run("begin; lock table wide in access exclusive mode");
                run.run()
            }
            _ => run.run(),
        };
        drop(proxy);
        let code = self.check(&point.promise, &bucket, &said);
        assert_eq!(client_of_database(&self.server, database), [""; 0], "a child outlived the run");
        no_secret(&said, &[self.server.password()]);
        self.s3.forget(&bucket);
        code
    }

    fn check(&self, promise: &Promise, bucket: &Bucket, said: &CommandOutput) -> String {
        let keys = bucket.keys();
        let count = |what: &str| keys.iter().filter(|key| key.ends_with(what)).count();
        if let Promise::Complete { warned } = promise {
            let receipt = said.complete();
            backup_stands(bucket, &receipt);
            assert_eq!((count(".manifest.jsonl"), count(".sql.enc")), (1, 1), "{keys:?}");
            let warnings = receipt["backups"][0]["warnings"].to_string();
            assert!(warnings.contains(warned), "no {warned} in {warnings}");
            return "complete".to_owned();
        }
        let (code, says, may_stay) = match promise {
            Promise::FailsLate { code } | Promise::Unknown { code } => (*code, "", true),
            Promise::Fails { code, says } => (*code, *says, false),
            Promise::Complete { .. } => unreachable!("returned above"),
        };
        let receipt = said.receipt();
        let error = Some(&receipt["error"]).filter(|error| error.is_object());
        let error = error.unwrap_or(&receipt["backups"][0]["error"]);
        let known = pgseal::error::Code::ALL
            .iter()
            .find(|known| known.name() == code)
            .expect("a known code");
        said.failed(code, known.exit().into());
        let told = format!("{} {}", error["message"], error["hint"]);
        assert!(told.contains(says), "no {says} in {told}");
        assert!(error["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{error}");
        let may_stand = matches!(promise, Promise::Unknown { .. });
        assert!(may_stand || count(".manifest.jsonl") == 0, "{keys:?}");
        assert!(may_stay || count(".sql.enc") == 0, "{keys:?}");
        assert_eq!(bucket.open_uploads(), [], "an upload was left open");
        code.to_owned()
    }
}

fn write_script(folder: &Path, script: &str) {
    let program = folder.join("pg_dump");
    let real = clients_path()
        .split(':')
        .map(|path| format!("{path}/pg_dump"))
        .find(|path| Path::new(path).exists());
    let real = real.expect("a real pg_dump");
    let version = format!("[ \"$1\" = --version ] && {{ echo 'pg_dump (PostgreSQL) {MAJOR}.99'; exit 0; }}");
    let places = format!("PATH=/usr/bin:/bin FOLDER='{}' REAL={real}", folder.display());
    fs::write(&program, format!("#!/bin/bash\n{version}\n{places}\n{script}\n")).expect("the script is written");
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("the script can be run");
}

#[test]
fn after_every_fault_the_promise_holds() {
    let mut points: Vec<Point> = [
        s3::points(),
        signals::points(),
        dump::points(),
        refused::points(),
        database::points(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let total = points.len();
    assert!(total >= 180, "only {total} rows");
    let names: std::collections::HashSet<_> = points.iter().map(|point| point.name.clone()).collect();
    assert_eq!(names.len(), total, "two rows have one name");
    if let Ok(only) = std::env::var("TESTBED_POINT") {
        points.retain(|point| point.name.contains(&only));
    }
    points.reverse(); // they are taken from the end
    let fixture = Fixture::new();
    let points = Mutex::new(points);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let walkers: Vec<_> = (0..WALKERS).map(|_| scope.spawn(|| fixture.walk(&points))).collect();
        walkers
            .into_iter()
            .flat_map(|walker| walker.join().expect("no walker panics"))
            .collect()
    });
    let broken: Vec<_> = outcomes.iter().filter(|(_, code)| code.starts_with("BROKEN")).collect();
    let list: String = broken.iter().map(|(name, told)| format!("-- {name}\n   {told}\n")).collect();
    assert!(broken.is_empty(), "{} of {total} rows are broken:\n{list}", broken.len());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, code) in &outcomes {
        *counts.entry(code).or_default() += 1;
    }
    eprintln!("{} rows: {counts:?}", outcomes.len());
}
