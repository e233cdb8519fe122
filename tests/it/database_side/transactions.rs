//! What a database sets for all transactions: our own queries neither wait nor fail, and what `pg_dump` cannot do is told.

use super::Fixture;
use crate::support::postgres::Server;
use serde_json::json;

const DEFAULTS: [&str; 3] = [
    "default_transaction_isolation = serializable",
    "default_transaction_read_only = on",
    "default_transaction_deferrable = on",
];

/// A serializable, deferrable transaction that reads waits for all that write: ours must not be one.
#[test]
fn deferrable_defaults_beside_a_serializable_writer_are_a_warning_of_check() {
    let fixture = Fixture::new();
    for default in DEFAULTS {
        fixture.server.psql("postgres", &format!("alter database app set {default}"));
    }
    let mut writer = fixture.server.session("app");
    writer.run("begin isolation level serializable read write; insert into plain values (0)");
    let said = fixture.prepared("check", &fixture.event()).run();
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("default_transaction_isolation"), "{}", said.stdout);
}

/// `check` said nothing of it, and the backup failed.
#[test]
fn a_table_that_is_locked_exclusively_now_is_a_warning_of_check() {
    let fixture = Fixture::new();
    let mut holder = fixture.server.session("app");
    holder.run("begin; lock table plain in access exclusive mode");
    let mut event = fixture.event();
    event["lock_timeout"] = json!("1s");
    let said = fixture.prepared("check", &event).run();
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    let named_locks = |report: &serde_json::Value| {
        let checks = report["checks"].as_array().expect("checks").clone();
        checks.into_iter().find(|check| check["name"] == "locks")
    };
    let check = named_locks(&said.receipt()).expect("the locks");
    let warning = check["detail"]["warning"].as_str().expect("a warning");
    assert_eq!(check["status"], "warning", "{check}");
    assert!(warning.contains("public.plain") && warning.contains("1 s"), "{warning}");
    fixture.prepared("backup", &event).run().failed("db_lock_timeout", 3);
    holder.run("rollback");
    assert_eq!(named_locks(&fixture.prepared("check", &event).run().receipt()), None);
}

/// `check` was ok there, and the backup was not.
#[test]
fn a_serializable_default_on_a_hot_standby_is_found_by_check_with_the_code_of_the_backup() {
    let fixture = Fixture::new();
    fixture.server.psql("postgres", &format!("alter database app set {}", DEFAULTS[0]));
    let standby = Server::builder().standby_of(&fixture.server).start();
    let event = fixture.event_through(standby.port());
    for command in ["check", "backup"] {
        let said = fixture.prepared(command, &event).run();
        assert_eq!(said.code, 5, "{command}: {}{}", said.stdout, said.stderr);
        for word in ["dump_failed", "default_transaction_isolation", "ALTER ROLE"] {
            assert!(said.stdout.contains(word), "{command}: {word}: {}", said.stdout);
        }
    }
    // As the hint says.
    fixture.server.psql(
        "postgres",
        "alter role dumper in database app set default_transaction_isolation = 'read committed'",
    );
    let seen = "select count(*) from pg_db_role_setting where setrole <> 0";
    while standby.psql("postgres", seen) == "0" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let mut event = event;
    event["prefix"] = json!("backups/standby");
    assert_eq!(fixture.prepared("check", &event).run().code, 0);
    fixture.prepared("backup", &event).run().complete();
}
