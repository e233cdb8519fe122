//! What goes wrong in or around the database: the promised code, and nothing left behind.

mod fake_dump;

use crate::support::aws::Ministack;
use crate::support::invariants::{backup_stands, event, nothing_left, sealed_into};
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::ports::nobody_listens;
use crate::support::postgres::{Authority, Builder, Server};
use crate::support::s3::Bucket;
use crate::support::wait::until;
use serde_json::{Value, json};
use std::process::Child;

/// A server with a database `app` of some size and a bucket.
struct Fixture {
    server: Server,
    bucket: Bucket,
}

impl Fixture {
    fn new() -> Self {
        Self::on(Server::builder())
    }

    fn on(builder: Builder) -> Self {
        let server = builder.setting("log_statement", "all").start();
        server.create_app("create table plain (id int); insert into plain select generate_series(1, 100)");
        Self {
            server,
            bucket: Ministack::shared().bucket(),
        }
    }

    fn sql(&self, database: &str, sql: &str) -> String {
        self.server.psql(database, sql)
    }

    /// A role that may log in and nothing else, and the event in its name.
    fn reader(&self) -> Value {
        let password = self.server.password();
        self.sql("postgres", &format!("create role reader login password '{password}'"));
        self.sql("app", "grant select on plain to reader");
        sealed_into(self.server.event_as("app", "reader"), &self.bucket)
    }

    fn event(&self) -> Value {
        event(&self.server, "app", &self.bucket)
    }

    fn prepared(&self, event: &Value) -> Pgseal {
        Pgseal::backup(event).envs(self.bucket.env()).envs(self.server.env())
    }

    /// Runs into the promised failure; everything of FAULTS holds afterwards. Gives the error.
    fn fails(&self, event: &Value, code: &str) -> Value {
        self.failed(&self.prepared(event).run(), code)
    }

    fn failed(&self, said: &CommandOutput, code: &str) -> Value {
        let exit = if code.starts_with("dump_") { 5 } else { 3 };
        let receipt = said.failed(code, exit);
        nothing_left(&self.server, &self.bucket, said, &[]);
        receipt["backups"][0]["error"].clone()
    }

    /// Whether a pg_dump ever came as far as its first statement.
    fn was_dumped(&self) -> bool {
        self.server
            .log()
            .contains("statement: SELECT pg_catalog.set_config('search_path', '', false)")
    }

    /// A table that takes a while at the rate of `slow`, in a text that hardly compresses.
    fn with_bulk(self) -> Self {
        self.sql(
            "app",
            "create table bulk (id int, noise text); insert into bulk select i,
                (select string_agg(md5(random()::text), '') from generate_series(1, 30 + i % 2))
                from generate_series(1, 40000) i",
        );
        self
    }
}

fn says(error: &Value, what: &str) {
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains(what), "the message names {what}: {error}");
}

const DUMPING: &str = "from pg_stat_activity where state = 'active' and query like 'COPY \"public\".\"bulk\"%'";

/// A dump caught in the middle of the bulk; `uploading`: when a part of it is already on its way.
fn mid_dump(fixture: &Fixture, uploading: bool) -> Child {
    let mut event = fixture.event();
    event["compression"] = json!("none");
    event["rate_limit"] = json!(if uploading { "3M" } else { "1M" });
    let child = fixture.prepared(&event).spawn();
    until("pg_dump copies", || {
        fixture.sql("postgres", &format!("select count(*) {DUMPING}")) == "1"
    });
    if uploading {
        until("an upload is open", || !fixture.bucket.open_uploads().is_empty());
    }
    child
}

fn ended(child: Child) -> CommandOutput {
    CommandOutput::from(child.wait_with_output().expect("pgseal ends"))
}

#[test]
fn a_backend_terminated_early_is_dump_failed() {
    let fixture = Fixture::new().with_bulk();
    let child = mid_dump(&fixture, false);
    fixture.sql("postgres", &format!("select pg_terminate_backend(pid) {DUMPING}"));
    let error = fixture.failed(&ended(child), "dump_failed");
    // The server's own word on it may be lost with the connection; which query it was is always known.
    says(&error, "bulk");
}

#[test]
fn a_backend_terminated_while_parts_are_uploaded_is_dump_failed() {
    let fixture = Fixture::new().with_bulk();
    let child = mid_dump(&fixture, true);
    fixture.sql("postgres", &format!("select pg_terminate_backend(pid) {DUMPING}"));
    fixture.failed(&ended(child), "dump_failed");
}

#[test]
fn a_server_that_crashes_is_dump_failed() {
    let fixture = Fixture::new().with_bulk();
    let child = mid_dump(&fixture, true);
    let backend = fixture.sql("postgres", &format!("select pid {DUMPING}"));
    kill(&backend);
    let said = ended(child);
    // One backend killed brings all down; the server then recovers.
    let asked = || {
        fixture
            .server
            .psql_command("postgres")
            .args(["-c", "select 1"])
            .output()
            .expect("psql ends")
    };
    until("the server is back", || asked().status.success());
    fixture.failed(&said, "dump_failed");
}

#[test]
fn a_killed_pg_dump_is_dump_failed() {
    let fixture = Fixture::new().with_bulk();
    let child = mid_dump(&fixture, true);
    let clients = crate::support::invariants::clients_of(&fixture.server);
    let [dump] = &clients[..] else { panic!("one pg_dump: {clients:?}") };
    kill(dump.split(' ').next().expect("its id"));
    let error = fixture.failed(&ended(child), "dump_failed");
    says(&error, "signal");
}

fn kill(process: &str) {
    let pid = process.parse().ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("the process is there");
}

/// A replica that does not wait: what the primary clears away, it takes from under the dump.
#[test]
fn a_dump_that_a_replica_cancels_is_replica_conflict() {
    let fixture = Fixture::new().with_bulk();
    let standby = Server::builder()
        .standby_of(&fixture.server)
        .setting("max_standby_streaming_delay", "0")
        .start();
    until("the replica has the data", || caught_up(&fixture, &standby));
    let replica = Fixture {
        server: standby,
        bucket: Ministack::shared().bucket(),
    };
    let child = mid_dump(&replica, false);
    fixture.sql("app", "delete from bulk");
    fixture.sql("app", "vacuum bulk");
    let error = replica.failed(&ended(child), "replica_conflict");
    assert!(error["hint"].to_string().contains("hot_standby_feedback"), "advice: {error}");
}

fn caught_up(primary: &Fixture, standby: &Server) -> bool {
    let written = primary.sql("postgres", "select pg_current_wal_lsn()");
    standby.psql("postgres", &format!("select pg_last_wal_replay_lsn() >= '{written}'")) == "t"
}

#[test]
fn a_table_without_select_is_named_before_the_dump() {
    let fixture = Fixture::new();
    let event = fixture.reader();
    fixture.sql("app", "create schema inner_; grant usage on schema inner_ to reader");
    fixture.sql("app", "create table inner_.\"Kept Back\" (id int)");
    let error = fixture.fails(&event, "db_privilege");
    says(&error, "inner_");
    says(&error, "no SELECT on inner_");
    says(&error, "Kept Back");
    assert!(!fixture.was_dumped(), "{}", fixture.server.log());
    fixture.sql("app", "revoke usage on schema inner_ from reader");
    let error = fixture.fails(&event, "db_privilege");
    says(&error, "no USAGE on schema inner_; no SELECT on inner_");
    fixture.sql("app", "grant select on inner_.\"Kept Back\" to reader");
    let error = fixture.fails(&event, "db_privilege");
    assert_eq!(error["message"], "no USAGE on schema inner_", "{error}");
    let mut part = event.clone();
    part["exclude_tables"] = json!(["nothing_of_this_name"]);
    let error = fixture.fails(&part, "db_privilege");
    assert_eq!(error["message"], "no USAGE on schema inner_", "{error}");

    // What the event leaves out need not be readable.
    let mut without = event.clone();
    without["exclude_tables"] = json!(["inner_.*"]);
    backup_stands(&fixture.bucket, &fixture.prepared(&without).run().complete());
}

#[test]
fn a_sequence_without_select_is_named_before_the_dump() {
    let fixture = Fixture::new();
    let event = fixture.reader();
    fixture.sql("app", "create sequence counter_kept_back");
    says(&fixture.fails(&event, "db_privilege"), "counter_kept_back");
    assert!(!fixture.was_dumped(), "{}", fixture.server.log());
}

#[test]
fn row_security_is_never_a_silent_subset() {
    let fixture = Fixture::new();
    fixture.sql(
        "app",
        "create table tenants (id int); alter table tenants enable row level security",
    );
    fixture.sql("app", "create policy few on tenants using (id < 10)");
    fixture.sql("app", "insert into tenants select generate_series(1, 99)");
    says(&fixture.fails(&fixture.event(), "db_privilege"), "tenants");
    assert!(!fixture.was_dumped(), "{}", fixture.server.log());

    fixture.sql("postgres", "alter role dumper bypassrls");
    let receipt = fixture.prepared(&fixture.event()).run().complete();
    assert_eq!(receipt["backups"][0]["rows"], 199);
    assert!(fixture.was_dumped(), "{}", fixture.server.log());
}

#[test]
fn a_large_object_that_cannot_be_read_is_named_before_the_dump() {
    let fixture = Fixture::new();
    fixture.sql("app", "select lo_from_bytea(424242, 'kept back')");
    says(&fixture.fails(&fixture.event(), "db_privilege"), "424242");
    assert!(!fixture.was_dumped(), "{}", fixture.server.log());

    fixture.sql("app", "grant select on large object 424242 to dumper");
    backup_stands(&fixture.bucket, &fixture.prepared(&fixture.event()).run().complete());
}

#[test]
fn a_lock_that_is_held_is_named_when_time_is_up() {
    let fixture = Fixture::new();
    fixture.sql("app", "create table \"Busy Table\" (id int)");
    let mut holder = fixture.server.session("app");
    holder.run("begin; lock table \"Busy Table\" in access exclusive mode");
    let mut event = fixture.event();
    event["lock_timeout"] = json!("1s");
    says(&fixture.fails(&event, "db_lock_timeout"), "Busy Table");

    drop(holder);
    fixture.prepared(&event).run().complete();
}

#[test]
fn an_unknown_database_is_said() {
    let fixture = Fixture::new();
    let event = event(&fixture.server, "no such database", &fixture.bucket);
    fixture.fails(&event, "no_database");
}

/// The variable is never cut at a comma, which a name may hold.
#[test]
fn several_names_in_postgres_database_are_told_where_a_list_goes() {
    let fixture = Fixture::new();
    let mut event = fixture.event();
    event.as_object_mut().unwrap().remove("database");
    let said = fixture.prepared(&event).env("POSTGRES_DATABASE", "a,b").run();
    let error = fixture.failed(&said, "no_database");
    assert!(
        error["hint"].as_str().unwrap().contains("{\"database\": [\"a\", \"b\"]}"),
        "{error}"
    );
}

#[test]
fn nobody_listening_is_db_unreachable() {
    let fixture = Fixture::new();
    let mut event = fixture.event();
    event["port"] = json!(nobody_listens());
    fixture.fails(&event, "db_unreachable");
}

#[test]
fn a_name_that_does_not_resolve_is_db_unreachable() {
    let fixture = Fixture::new();
    let mut event = fixture.event();
    event["host"] = json!("nowhere.invalid");
    let said = fixture.prepared(&event).env("PGSEAL_ALLOWED_HOSTS", "nowhere.invalid").run();
    fixture.failed(&said, "db_unreachable");
}

/// Five slots, three of them for superusers.
fn narrow() -> Builder {
    Server::builder()
        .setting("max_connections", "5")
        .setting("superuser_reserved_connections", "3")
}

#[test]
fn too_many_connections_are_db_busy() {
    let fixture = Fixture::on(narrow());
    let held: Vec<_> = (0..2).map(|_| fixture.server.session("postgres")).collect();
    fixture.fails(&fixture.event(), "db_busy");
    drop(held);

    for (limited, freed) in [
        ("alter role dumper connection limit 0", "alter role dumper connection limit -1"),
        ("alter database app connection limit 0", "alter database app connection limit -1"),
    ] {
        fixture.sql("postgres", limited);
        fixture.fails(&fixture.event(), "db_busy");
        fixture.sql("postgres", freed);
    }
}

#[test]
fn a_busy_server_is_tried_again() {
    let fixture = Fixture::new();
    fixture.sql("postgres", "alter role dumper connection limit 0");
    let child = fixture.prepared(&fixture.event()).spawn();
    until("a login is refused", || {
        fixture.server.log().contains("too many connections for role")
    });
    fixture.sql("postgres", "alter role dumper connection limit -1");
    backup_stands(&fixture.bucket, &ended(child).complete());
}

#[test]
fn a_password_is_not_sent_to_an_unknown_authority_either() {
    let fixture = Fixture::on(Server::builder().tls(&["localhost"]));
    let stranger = Authority::new();
    let said = fixture.prepared(&fixture.event()).env("PGSSLROOTCERT", stranger.pem()).run();
    fixture.failed(&said, "db_tls");
}

#[test]
fn a_server_without_tls_is_db_tls_unless_that_was_asked_for() {
    let fixture = Fixture::new();
    let authority = Authority::new();
    for mode in ["", "require", "verify-ca", "verify-full"] {
        let run = fixture
            .prepared(&fixture.event())
            .env("PGSSLMODE", mode)
            .env("PGSSLROOTCERT", authority.pem());
        fixture.failed(&run.run(), "db_tls");
    }
    fixture.prepared(&fixture.event()).env("PGSSLMODE", "disable").run().complete();
}
