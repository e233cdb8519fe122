//! SIGTERM, as ECS, Kubernetes and a person at a shell send it.

use super::{Fixture, Moment, SOON, asked, at_moments};
use crate::support::invariants::no_secret;
use crate::support::pgseal::CommandOutput;
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::process::ExitStatusExt;
use std::time::Instant;

#[test]
fn terminated_at_any_moment_it_ends_soon_and_cleans_up() {
    at_moments(asked("TESTBED_SIGNALS", 30), terminated_at);
}

fn terminated_at(fixture: &Fixture, moment: Moment) {
    let bucket = fixture.s3.bucket();
    let (mut child, proxy) = moment.of(fixture, &bucket);
    let begun = Instant::now();
    if child.try_wait().expect("a child").is_none() {
        // It may end by itself in between.
        let _ = kill_process(Pid::from_child(&child), Signal::TERM);
    }
    let output = child.wait_with_output().expect("it ends");
    let by_signal = output.status.signal();
    let said = CommandOutput::from(output);
    assert!(begun.elapsed() < SOON, "{moment:?}: {:?}", begun.elapsed());
    fixture.nobody_left();
    no_secret(&said, &[fixture.server.password()]);
    let stands = fixture.whole_or_invisible(&bucket);
    eprintln!("{moment:?}: exit {}, {}", said.code, if stands { "whole" } else { "invisible" });
    match said.code {
        0 => assert!(stands, "{moment:?}: {}", said.stdout),
        // Before the program could listen, the signal did what it does to every program.
        -1 => assert!(
            by_signal == Some(Signal::TERM.as_raw()) && !stands && said.stdout.is_empty(),
            "{moment:?}: {by_signal:?} {}",
            said.stdout
        ),
        _ => {
            said.failed("terminated", 6);
        }
    }
    assert_eq!(bucket.open_uploads(), [], "{moment:?}");
    drop(proxy);
    fixture.then_it_succeeds(&bucket, stands);
    fixture.s3.forget(&bucket);
}
