//! Many events to one process, as a warm Lambda function has them: no state, and nothing grows.

use crate::support::invariants::{clients_of, event};
use crate::support::platform::Platform;
use crate::support::postgres::Server;
use crate::support::s3::EmbeddedS3;
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

/// `make kill-trials` sends more.
const EVENTS: usize = 400;
/// By then every pool is full and every library is set up.
const WARM: usize = 200;

/// What a process holds: descriptors, threads, and memory in kB.
fn holds(process: u32) -> (usize, u64, u64) {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("its status");
    let number = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).expect("a line of the status");
        line.split_ascii_whitespace()
            .nth(1)
            .and_then(|text| text.parse().ok())
            .expect("a number")
    };
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).expect("its descriptors").count();
    (descriptors, number("Threads:"), number("VmRSS:"))
}

#[test]
fn many_events_leave_one_process_as_it_was() {
    let events = std::env::var("TESTBED_EVENTS").map_or(EVENTS, |number| number.parse().expect("a number of events"));
    let server = Server::start();
    server.create_app("create table plain as select generate_series(1, 100) as id");
    let s3 = EmbeddedS3::start();
    let bucket = s3.bucket();
    let platform = Platform::start(s3.env().into_iter().chain(server.env()));
    let good = event(&server, "app", &bucket);
    let changed = |name: &str, value: Value| {
        let mut event = good.clone();
        event[name] = value;
        event
    };
    // Two in ten are backups; the others fail in what way they can, and each finds its own failure and no other's.
    let bad = [
        (json!({"databse": "app"}), "pgseal.bad_event"),
        (changed("prefix", json!("../x")), "pgseal.bad_name"),
        (changed("host", json!("169.254.169.254")), "pgseal.host_not_allowed"),
        (changed("public_key", json!([])), "pgseal.no_public_key"),
        (changed("public_key", json!("ssh-rsa AAAA")), "pgseal.bad_public_key"),
        (changed("database", json!("missing")), "pgseal.no_database"),
        (changed("user", json!("nobody")), "pgseal.db_auth"),
        (changed("bucket", json!("no-such-bucket-here")), "pgseal.s3_no_bucket"),
    ];
    let (mut warm, mut complete) = ((0, 0, 0), 0);
    for number in 0..events {
        match bad.get(number % 10) {
            Some((event, code)) => {
                let (told, receipt) = platform.invoke(event, Duration::from_secs(120)).expect_err("a bad event");
                assert_eq!(told, *code, "event {number}: {receipt}");
            }
            None => {
                let hour = format!("{:02}:{:02}", number / 60, number % 60);
                let event = changed("scheduled_time", json!(format!("2026-11-24T{hour}:00Z")));
                let receipt = platform.invoke(&event, Duration::from_secs(120)).expect("a good event");
                assert_eq!(
                    (&receipt["status"], &receipt["backups"][0]["rows"]),
                    (&json!("complete"), &json!(100))
                );
                complete += 1;
            }
        }
        if number == WARM {
            warm = holds(platform.id());
        }
    }
    let end = holds(platform.id());
    eprintln!("{complete} of {events} were backups; descriptors, threads, kB: {warm:?} -> {end:?}");
    assert!(clients_of(&server).is_empty());
    assert_eq!(
        bucket.keys().iter().filter(|key| key.ends_with(".manifest.jsonl")).count(),
        complete
    );
    // Connections that are kept for the next event come and go.
    assert!(end.0 <= warm.0 + 8, "descriptors: {warm:?} -> {end:?}");
    assert!(end.1 <= warm.1 + 4, "threads: {warm:?} -> {end:?}");
    assert!(end.2 <= warm.2 + 8 * 1024, "memory: {warm:?} -> {end:?}");
}
