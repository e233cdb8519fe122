//! Who waits for the dump, and what `lock_guard` does about it.

use crate::support::invariants::event;
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::postgres::Server;
use crate::support::s3::EmbeddedS3;
use crate::support::wait::until;
use serde_json::{Value, json};

/// Backs up with this guard, while somebody wants to alter a table that the dump has locked.
fn blocked(guard: &str) -> (CommandOutput, String) {
    let server = Server::start();
    server.create_app("create table wide as select repeat('x', 1000) as x from generate_series(1, 8000)");
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let mut event = event(&server, "app", &bucket);
    // Eight seconds, in which the other one waits for its lock.
    event["rate_limit"] = json!("1M");
    event["lock_guard"] = json!(guard);
    let dump = Pgseal::backup(&event).envs(bucket.env()).envs(server.env()).spawn();
    let locks = "select count(*) from pg_locks l join pg_stat_activity a using (pid)
                 where a.application_name like 'pgseal %' and l.relation = 'wide'::regclass and l.granted";
    until("the dump holds its lock", || server.psql("app", locks) != "0");
    let altered = std::thread::scope(|scope| {
        let altering = scope.spawn(|| server.psql("app", "alter table wide add column y int; select 'altered'"));
        altering.join().expect("psql")
    });
    (CommandOutput::from(dump.wait_with_output().expect("pgseal ends")), altered)
}

fn warnings(receipt: &Value) -> String {
    receipt["backups"][0]["warnings"].to_string()
}

#[test]
fn a_dump_that_blocks_somebody_for_too_long_says_so() {
    let (said, altered) = blocked("warn:300ms");
    assert_eq!(altered, "altered");
    let told = warnings(&said.complete());
    assert!(
        told.contains("has blocked a session for public.wide for longer than 0.3 s"),
        "{told}"
    );
}

#[test]
fn a_dump_that_blocks_somebody_for_too_long_is_ended() {
    let (said, altered) = blocked("end:300ms");
    assert_eq!(altered, "altered");
    let receipt = said.failed("db_lock_timeout", 3);
    assert!(receipt.to_string().contains("lock_guard"), "{receipt}");
}

#[test]
fn a_guard_that_is_patient_enough_says_nothing() {
    let (said, _) = blocked("warn:10min");
    assert!(!warnings(&said.complete()).contains("lock_guard"), "{}", said.stdout);
}
