//! Backup, proof and restore, over and over, while one call to S3 in a hundred breaks and now and then the server ends a
//! session: each round ends in a backup that restores, or in a failure that leaves nothing.

use crate::support::fault_proxy::{Canned, Fault, FaultProxy};
use crate::support::invariants::{clients_of, event, key_pair, nothing_left};
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::postgres::Server;
use crate::support::s3::EmbeddedS3;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Rounds in the short form; `make soak` sets a time instead.
const ROUNDS: usize = 12;

/// Numbers that look random and are the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn fault(&mut self) -> Fault {
        match self.below(9) {
            0 => Fault::Answer(Canned::slow_down()),
            1 => Fault::Answer(Canned::error(500, "InternalError")),
            2 => Fault::Answer(Canned::new(200, "<html></html>")),
            3 => Fault::Answer(Canned::error(403, "AccessDenied")),
            4 => Fault::CutBefore,
            5 => Fault::ResetInBody(1000),
            6 => Fault::LoseAnswer,
            7 => Fault::CutAnswer { missing: 30 },
            _ => Fault::Twice,
        }
    }
}

#[test]
fn round_after_round_ends_whole_or_with_nothing() {
    let server = Server::start();
    server.create_app("create table wide as select i, repeat('x', 1000) as x from generate_series(1, 9000) as i");
    let s3 = EmbeddedS3::start();
    let keys = tempfile::tempdir().expect("a temporary folder");
    let (private, public) = key_pair(keys.path());
    let seconds = std::env::var("TESTBED_SOAK").ok().map(|text| text.parse().expect("seconds"));
    let (begun, mut dice, mut counts) = (Instant::now(), Dice(0x9E37_79B9_7F4A_7C15), BTreeMap::<String, usize>::new());
    let mut count = |what: &str| *counts.entry(what.to_owned()).or_default() += 1;
    for round in 0.. {
        let over = seconds.map_or(round >= ROUNDS, |seconds| begun.elapsed() >= Duration::from_secs(seconds));
        if over {
            break;
        }
        let bucket = s3.bucket();
        let mut weather = Dice(dice.below(u64::MAX) | 1);
        let proxy = FaultProxy::with(&bucket, move |_| (weather.below(100) == 0).then(|| weather.fault()));
        let mut event = event(&server, "app", &bucket);
        event["public_key"] = json!(public);
        event["compression"] = json!(["none", "bzip2:1", "zstd"][round % 3]);
        let child = Pgseal::backup(&event).envs(proxy.env()).envs(server.env()).spawn();
        if dice.below(100) == 0 {
            // Anyone who dumps at some moment of this; perhaps nobody.
            let end = "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'pgseal%'";
            server.psql("postgres", end);
        }
        let said = CommandOutput::from(child.wait_with_output().expect("it ends"));
        let broken = proxy.broken();
        drop(proxy);
        count(&format!("with {broken} broken calls"));
        let receipt = said.receipt();
        assert!(clients_of(&server).is_empty(), "a child outlived the run");
        if said.code != 0 {
            assert!(broken > 0 || said.code == 5 || said.code == 3, "nothing was broken: {receipt}");
            let code = said.error_code();
            if code != "commit_failed" {
                nothing_of_its_data(&server, &bucket, &said);
            }
            count(&code);
        } else {
            count("complete");
            let stem = receipt["backups"][0]["stem"].as_str().expect("a stem");
            let place = format!("s3://{}/{stem}", bucket.name);
            let key = private.to_str().expect("UTF-8");
            let home = |arguments: &[&str]| {
                let said = Pgseal::new(arguments).envs(bucket.env()).envs(server.env()).run();
                assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
            };
            home(&["verify", &place, "--key", key]);
            server.psql("postgres", "create database back");
            home(&["restore", &place, "--key", key, "--to", &server.url("back")]);
            let sum = "select count(*), sum(i), max(length(x)) from wide";
            assert_eq!(server.psql("back", sum), server.psql("app", sum));
            server.psql("postgres", "drop database back");
            count("restored");
        }
        s3.forget(&bucket);
    }
    eprintln!("{:?}: {counts:?}", begun.elapsed());
    assert!(counts.get("restored").is_some_and(|restored| *restored > ROUNDS / 2), "{counts:?}");
}

/// Its key and inventory may stay: nothing can be opened or found by them.
fn nothing_of_its_data(server: &Server, bucket: &crate::support::s3::Bucket, said: &CommandOutput) {
    for key in bucket.keys().iter().filter(|key| key.contains(".inventory.")) {
        bucket.delete(key);
    }
    nothing_left(server, bucket, said, &[]);
}
