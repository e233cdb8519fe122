//! The database's side of a run: what stands between, what is in it, and what never answers.

mod guard;
mod hostile;
mod star;
mod transactions;
mod waits;

use crate::support::front::{Front, Manner};
use crate::support::invariants::{backup_stands, event, nothing_left};
use crate::support::pgseal::Pgseal;
use crate::support::postgres::{Builder, Pooler, Server};
use crate::support::s3::{Bucket, EmbeddedS3, block_on};
use crate::support::wait::until;
use pgseal::cancel::Cancel;
use pgseal::event::Event;
use pgseal::format::names::DatabaseName;
use pgseal::plan::{Plan, RuntimeLimits};
use pgseal::rds::session::{AdvisoryRows, Session};
use pgseal::variables::Env;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// A server with a small database `app`, and a bucket.
struct Fixture {
    server: Server,
    _s3: EmbeddedS3,
    bucket: Bucket,
}

impl Fixture {
    fn new() -> Self {
        Self::on(Server::builder())
    }

    fn on(builder: Builder) -> Self {
        let server = builder.start();
        server.create_app("create table plain (id int); insert into plain select generate_series(1, 100)");
        let s3 = EmbeddedS3::start();
        let bucket = s3.bucket();
        Self { server, _s3: s3, bucket }
    }

    fn event(&self) -> Value {
        event(&self.server, "app", &self.bucket)
    }

    /// Through something that listens on another port.
    fn event_through(&self, port: u16) -> Value {
        let mut event = self.event();
        event["port"] = json!(port);
        event
    }

    fn prepared(&self, command: &str, event: &Value) -> Pgseal {
        let run = Pgseal::new(&[command, "--event", &event.to_string()]);
        run.envs(self.bucket.env()).envs(self.server.env())
    }

    /// `check` says ok and `backup` makes one.
    fn works(&self, event: &Value) {
        let said = self.prepared("check", event).run();
        assert_eq!(
            (said.code, &said.receipt()["status"]),
            (0, &json!("ok")),
            "{}{}",
            said.stdout,
            said.stderr
        );
        backup_stands(&self.bucket, &self.prepared("backup", event).run().complete());
    }
}

/// Startup `options` are what RDS Proxy refuses.
#[test]
fn rds_proxy_takes_our_logins() {
    let fixture = Fixture::new();
    let front = Front::before(&fixture.server, Manner::RefusesOptions);
    fixture.works(&fixture.event_through(front.port()));
}

#[test]
fn a_real_pgbouncer_takes_our_logins() {
    let fixture = Fixture::new();
    for mode in ["session", "transaction"] {
        let pooler = Pooler::before(&fixture.server, mode);
        let mut event = fixture.event_through(pooler.port());
        event["prefix"] = json!(mode);
        fixture.works(&event);
    }
}

/// The words of an error are in the server's language; the same failures have the same codes.
#[test]
fn a_server_that_speaks_another_language_is_understood() {
    let fixture = Fixture::new();
    let front = Front::before(&fixture.server, Manner::Translates);
    let sql = |text: &str| fixture.server.psql("postgres", text);
    let fails = |event: &Value, password: &str, code: &str| {
        let said = fixture.prepared("backup", event).env("PGPASSWORD", password).run();
        said.failed(code, 3);
        said
    };
    let event = fixture.event_through(front.port());
    let password = fixture.server.password();
    fails(&event, "wr0ng-passw0rd", "db_auth");
    sql("alter role dumper connection limit 0");
    fails(&event, password, "db_busy");
    sql("alter role dumper connection limit -1");
    let mut missing = event.clone();
    missing["database"] = json!("nowhere");
    fails(&missing, password, "no_database");
    sql("revoke connect on database app from public");
    fails(&event, password, "db_privilege");
    sql("grant connect on database app to public");

    // What pg_dump meets first: its words have no SQLSTATE.
    let mut holder = fixture.server.session("app");
    holder.run("begin; lock table plain in access exclusive mode");
    let mut waiting = event.clone();
    waiting["lock_timeout"] = json!("1s");
    let said = fails(&waiting, password, "db_lock_timeout");
    assert!(said.stdout.contains("public.plain"), "{}", said.stdout);
    nothing_left(&fixture.server, &fixture.bucket, &said, &[]);
}

/// libpq verifies under `require` as soon as it has roots, tokio-postgres does not: `check` was ok and `backup` failed.
#[test]
fn sslmode_require_means_the_same_to_both_tls_stacks() {
    let fixture = Fixture::on(Server::builder().tls(&["elsewhere.example"]));
    let stranger = crate::support::postgres::Authority::new();
    for (number, roots) in [None, Some(stranger.pem())].into_iter().enumerate() {
        let mut event = fixture.event();
        event["prefix"] = json!(format!("backups/{number}"));
        for command in ["check", "backup"] {
            let run = fixture.prepared(command, &event).env("PGSSLMODE", "require");
            let run = run.env("PGSSLROOTCERT", roots.clone().unwrap_or_default());
            let said = run.run();
            assert_eq!(said.code, 0, "{command}: {}{}", said.stdout, said.stderr);
        }
    }
}

/// Anyone who answers under `require` or `disable` must not get the password by asking.
#[test]
fn no_password_is_sent_to_an_unverified_server_that_asks_for_it() {
    let fixture = Fixture::on(Server::builder().tls(&["localhost"]).hba("hostssl all owner all password"));
    let mut event = fixture.event();
    event["user"] = json!("owner");
    for mode in ["require", "verify-ca"] {
        let said = fixture.prepared("backup", &event).env("PGSSLMODE", mode).run();
        said.failed("db_auth", 3);
        assert!(said.stdout.contains("plain text"), "{}", said.stdout);
        nothing_left(&fixture.server, &fixture.bucket, &said, &[]);
    }
    // And a verified one may.
    fixture.works(&event);

    let plain = Fixture::on(Server::builder().hba("host all hashed all md5"));
    let password = plain.server.password();
    plain.server.psql(
        "postgres",
        &format!("set password_encryption = md5; create role hashed superuser login password '{password}'"),
    );
    let mut event = plain.event();
    event["user"] = json!("hashed");
    let said = plain.prepared("backup", &event).run();
    said.failed("db_auth", 3);
    assert!(said.stdout.contains("MD5"), "{}", said.stdout);
}

/// Advice is not worth a backup: a table that somebody waits to alter is counted by its last ANALYZE.
#[test]
fn a_lock_that_somebody_waits_for_costs_the_exact_size_alone() {
    let fixture = Fixture::new();
    let sql = |text: &str| fixture.server.psql("app", text);
    sql("create table busy as select generate_series(1, 10000) as i; analyze busy; create index on busy (i)");
    let mut reader = fixture.server.session("app");
    reader.run("begin; select count(*) from busy");
    let waiting = fixture
        .server
        .psql_command("app")
        .args(["-c", "alter table busy add column x int"])
        .spawn();
    let mut waiting = waiting.expect("psql starts");
    let queued = "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and not granted";
    until("somebody waits for the table", || sql(queued) != "0");
    let report = fixture.prepared("check", &fixture.event()).run().receipt();
    let dump_bytes = &report["estimates"][0]["estimate"]["dump_bytes"];
    assert_eq!(report["status"], "ok", "{report}");
    assert!(dump_bytes.as_u64().expect("an estimate") >= 300_000, "{report}");
    drop(reader);
    waiting.wait().expect("psql ends");
}

/// A server that takes for ever over the sizes: the estimate is what is lost.
#[test]
fn a_slow_catalog_costs_a_warning_and_not_the_backup() {
    let fixture = Fixture::new();
    // Two queries need it: the sizes, and whether each large object can be read.
    let mut holder = fixture.server.session("app");
    holder.run("begin; lock table pg_largeobject_metadata in access exclusive mode");
    let report = fixture.prepared("check", &fixture.event()).run().receipt();
    assert_eq!(report["status"], "ok", "{report}");
    let detail = |report: &Value| {
        let checks = report["checks"].as_array().cloned().unwrap_or_default();
        let database = checks.into_iter().find(|check| check["name"] == "database");
        database.map(|check| check["detail"].clone()).expect("the database was looked at")
    };
    let facts = detail(&report);
    assert_eq!(facts["size_from"], "last_analyze", "{facts}");
    assert_eq!(facts["warnings"].as_array().map(Vec::len), Some(2), "{facts}");
}

/// A backup failed of it, though only the inventory lists them.
#[test]
fn a_locked_list_of_extensions_costs_a_warning() {
    let fixture = Fixture::new();
    let mut holder = fixture.server.session("app");
    holder.run("begin; lock table pg_extension in access exclusive mode");
    let said = fixture.prepared("check", &fixture.event()).run();
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("the extensions could not be looked at"), "{}", said.stdout);
}

/// Two are out at once: the time of the second ran while the first kept the server busy, and the backup failed of it.
#[test]
fn slow_queries_at_once_each_have_their_own_time() {
    let fixture = Fixture::new();
    let more = [
        ("TESTBED_KEYS", "allowed"),
        ("PGSEAL_LOGIN_TIMEOUT", "6s"),
        ("S3_REGION", "eu-central-1"),
    ];
    let env = fixture
        .server
        .env()
        .into_iter()
        .chain(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let event = Event::parse(&fixture.event().to_string()).expect("an event");
    let place = RuntimeLimits {
        now: OffsetDateTime::now_utc(),
        cpus: 1,
        memory: None,
    };
    let plan = Plan::resolve(&event, &Env::from_iter(env), place).expect("a plan");
    let answers = block_on(async {
        let server = pgseal::rds::Server::find(&plan.source).await.expect("the server");
        let cancel = Cancel::new().expect("a cancel");
        let database = DatabaseName::new("app").expect("a name");
        let session = Session::open(&server, &database, &cancel).await.expect("a login");
        let slow = || session.brief_advice("SELECT pg_catalog.pg_sleep(60)");
        let (one, other) = tokio::join!(slow(), slow());
        [one, other].map(|answer| {
            answer
                .map(|answer| matches!(answer, AdvisoryRows::Refused(_)))
                .map_err(|error| error.to_string())
        })
    });
    assert_eq!(answers, [Ok(true), Ok(true)]);
}

/// A pg_dump that waits for a lock longer than it may be silent is not stalled.
#[test]
fn a_long_lock_timeout_is_no_stall() {
    let fixture = Fixture::new();
    let mut holder = fixture.server.session("app");
    holder.run("begin; lock table plain in access exclusive mode");
    let mut event = fixture.event();
    event["lock_timeout"] = json!("6s");
    let said = fixture.prepared("backup", &event).env("PGSEAL_STALL_TIMEOUT", "5s").run();
    said.failed("db_lock_timeout", 3);
}

/// pg_dump's own limit for locks is for tables alone: of a view's lock it was said that the dump had stalled, or nothing. Before
/// PostgreSQL 14 a server does not tell since when a lock is waited for.
#[test]
fn a_view_that_is_locked_is_named() {
    for builder in [Server::builder(), Server::builder().major(10)] {
        let fixture = Fixture::on(builder);
        fixture.server.psql("app", "create materialized view totals as select 1 as n");
        fixture.server.let_dumper_read("app", "public");
        let mut holder = fixture.server.session("app");
        holder.run("begin; refresh materialized view totals");
        let mut event = fixture.event();
        event["lock_timeout"] = json!("1s");
        let check = fixture.prepared("check", &event).run();
        assert!(check.stdout.contains("public.totals"), "{}{}", check.stdout, check.stderr);
        let blocked = || {
            let began = Instant::now();
            let said = fixture.prepared("backup", &event).run();
            let receipt = said.failed("db_lock_timeout", 3).to_string();
            assert!(
                receipt.contains("public.totals") && began.elapsed() < Duration::from_secs(20),
                "{receipt}"
            );
        };
        blocked();
        // Such a session may not see what its own user's sessions do.
        let sql = "create role reader; grant reader to dumper; grant select on plain to reader;
            grant usage on schema public to reader; alter role dumper set role = reader";
        fixture.server.psql("app", sql);
        blocked();
    }
}

/// What an extension keeps for itself is not dumped; what it names as configuration is.
#[test]
fn members_of_extensions_count_where_they_are_dumped() {
    let fixture = Fixture::new();
    let sql = |text: &str| fixture.server.psql("app", text);
    sql(&format!(
        "create role reader login password '{}'; grant select on plain to reader",
        fixture.server.password()
    ));
    sql("create extension hstore; create table kept (id int); create sequence counter; create table config (id int)");
    sql("alter table kept enable row level security; alter table config enable row level security");
    for object in ["table kept", "sequence counter", "table config"] {
        sql(&format!("alter extension hstore add {object}"));
    }
    let mut event = fixture.event();
    event["user"] = json!("reader");
    fixture.works(&event);

    event["prefix"] = json!("backups/config");
    let refused = |object: &str| {
        for command in ["check", "backup"] {
            let said = fixture.prepared(command, &event).run();
            assert_eq!(said.code, 3, "{command}: {}{}", said.stdout, said.stderr);
            assert!(
                said.stdout.contains("db_privilege") && said.stdout.contains(object),
                "{}",
                said.stdout
            );
        }
    };
    let name = |name: &str| {
        sql(&format!(
            "update pg_extension set extconfig = array['{name}'::regclass::oid], extcondition = array[''] where extname = 'hstore'"
        ));
    };
    name("counter");
    refused("counter");
    sql("grant select on sequence counter to reader");
    name("config");
    refused("config");
    sql("grant select on config to reader");
    refused("row security");
}

/// However much is wrong, the answer is short.
#[test]
fn thousands_of_objects_that_cannot_be_read_are_five_names_and_a_number() {
    let fixture = Fixture::new();
    fixture
        .server
        .psql("app", "select count(lo_create(0)) from generate_series(1, 3000)");
    let said = fixture.prepared("check", &fixture.event()).run();
    assert_eq!(said.code, 3, "{}", said.stdout);
    assert!(said.stdout.contains("and 2995 more"), "{}", said.stdout);
}
