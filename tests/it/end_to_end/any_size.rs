//! A database of any size takes the same memory: the rows come from a program in the place of `pg_dump`, so that no disk need
//! hold them. `make test-large` backs up 20 GB.

use super::{DATABASE, KeyPair};
use crate::support::invariants::sealed_into;
use crate::support::pgseal::Pgseal;
use crate::support::postgres::Server;
use crate::support::s3::EmbeddedS3;
use serde_json::json;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Child;

const ROWS_OF_BLOCK: u64 = 50_000;
/// Before PostgreSQL 15, so that none of Debian's clients goes before the one that is made here.
const MAJOR: u32 = 14;

/// A `pg_dump` whose one table is a block of rows, over and over.
fn client(folder: &Path) {
    let mut block = String::new();
    for row in 0..ROWS_OF_BLOCK {
        let mixed = row.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        writeln!(
            block,
            "{row}\tcustomer {}\t2026-11-{:02} 02:00:00+00\t{mixed:016x}",
            row % 977,
            row % 28 + 1
        )
        .expect("a string");
    }
    std::fs::write(folder.join("block"), block).expect("the block is written");
    let script = format!(
        "#!/bin/bash\n[ \"$1\" = --version ] && {{ echo 'pg_dump (PostgreSQL) {MAJOR}.99'; exit 0; }}\n\
         PATH=/usr/bin:/bin; echo '--'; echo '-- PostgreSQL database dump'; echo '--'; echo\n\
         echo 'COPY public.orders (id, name, made, mixed) FROM stdin;'\n\
         for ((i = $(cat '{0}/blocks'); i > 0; i--)); do cat '{0}/block'; done\n\
         echo '\\.'; echo; echo; echo '--'; echo '-- PostgreSQL database dump complete'; echo '--'; echo\n",
        folder.display()
    );
    let program = folder.join("pg_dump");
    std::fs::write(&program, script).expect("the script is written");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("it can be run");
}

/// The most that a process has held, in KiB, as long as it could be asked.
fn peak(child: &mut Child) -> u64 {
    let mut peak = 0;
    while child.try_wait().expect("it is ours").is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let held = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = held.unwrap_or(0).max(peak);
        // The high-water mark is kept by the kernel: it matters only that it is read near the end.
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    peak
}

#[test]
fn a_database_of_any_size_takes_the_same_memory() {
    let (server, s3, pair) = (Server::builder().major(MAJOR).start(), EmbeddedS3::start(), KeyPair::new());
    server.create_app("create table orders (id int, name text, made timestamptz, mixed text)");
    let bucket = s3.bucket();
    let clients = tempfile::tempdir().expect("a folder");
    client(clients.path());
    let block = std::fs::metadata(clients.path().join("block")).expect("the block").len();
    let backed_up = |bytes: u64, prefix: &str| {
        let blocks = bytes.div_ceil(block);
        let mut event = sealed_into(server.event(DATABASE), &bucket);
        event["public_key"] = json!(pair.public);
        event["prefix"] = json!(prefix);
        event["workers"] = json!(2);
        let run = Pgseal::backup(&event).envs(server.env()).envs(bucket.env());
        std::fs::write(clients.path().join("blocks"), blocks.to_string()).expect("written");
        let mut child = run.env("PGSEAL_PG_BIN", clients.path().as_os_str()).spawn();
        let peak = peak(&mut child);
        let said = crate::support::pgseal::CommandOutput::from(child.wait_with_output().expect("it ends"));
        let receipt = said.complete();
        let made = &receipt["backups"][0];
        assert!(made["dumped_bytes"].as_u64() > Some(bytes), "{receipt}");
        (
            peak,
            format!("s3://{}/{}", bucket.name, made["stem"].as_str().expect("a stem")),
            blocks,
        )
    };
    let large = std::env::var("TESTBED_LARGE_GB").map_or(300_000_000, |text| {
        text.parse::<u64>().expect("TESTBED_LARGE_GB is a number") * 1_000_000_000
    });
    let (small_peak, ..) = backed_up(80_000_000, "small");
    let (large_peak, place, blocks) = backed_up(large, "large");
    println!("peak {small_peak} KiB of 80 MB, {large_peak} KiB of {large} bytes");
    assert!(
        large_peak * 4 < small_peak * 5,
        "{small_peak} KiB, and {large_peak} KiB of {large} bytes"
    );
    // And it is all there, down to the row.
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key.pem");
    std::fs::write(&key, &pair.private).expect("the key is written");
    let verified = Pgseal::new(&["verify", &place, "--key", key.to_str().expect("UTF-8")])
        .envs(bucket.env())
        .run();
    let report = verified.receipt();
    assert_eq!((verified.code, &report["rows"]), (0, &json!(blocks * ROWS_OF_BLOCK)), "{report}");
}
