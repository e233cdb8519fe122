//! A signal while it runs: said as such, within seconds, and nothing left.

use super::Fixture;
use crate::support::fault_proxy::{Fault, FaultProxy, Operation, Rule};
use crate::support::invariants::{backup_stands, nothing_left};
use crate::support::pgseal::{CommandOutput, Pgseal};
use crate::support::wait::until;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::process::Child;

/// Sends the signal, and asserts what was promised for it.
fn stopped_by(signal: Signal, child: Child, fixture: &Fixture) {
    kill_process(Pid::from_child(&child), signal).expect("pgseal runs");
    let said = CommandOutput::from(child.wait_with_output().expect("pgseal ends"));
    said.failed("terminated", 6);
    nothing_left(&fixture.server, &fixture.bucket, &said, &[]);
}

#[test]
fn a_signal_while_the_child_is_silent_is_not_blamed_on_the_child() {
    for signal in [Signal::TERM, Signal::INT] {
        let fixture = Fixture::new();
        let mut holder = fixture.server.session("app");
        holder.run("begin; lock table plain in access exclusive mode");
        let child = fixture.prepared(&["backup", "--event", &fixture.event().to_string()]).spawn();
        let waiting = "select count(*) from pg_stat_activity where usename = 'dumper' and wait_event_type = 'Lock'";
        until("pg_dump waits for the lock", || fixture.server.psql("postgres", waiting) != "0");
        stopped_by(signal, child, &fixture);
    }
}

#[test]
fn a_signal_while_a_part_is_on_its_way_aborts_the_upload() {
    let fixture = Fixture::new();
    fixture.server.psql(
        "app",
        "create table wide as select repeat('x', 1000) as x from generate_series(1, 20000)",
    );
    let proxy = FaultProxy::before(&fixture.bucket, [Rule::on(Operation::UploadPart).then(Fault::Silence)]);
    let mut event = fixture.event();
    event["compression"] = json!("none");
    let child = Pgseal::backup(&event).envs(proxy.env()).envs(fixture.server.env()).spawn();
    proxy.wait_for(Operation::UploadPart);
    stopped_by(Signal::TERM, child, &fixture);
    assert_eq!(proxy.count(Operation::AbortUpload), 1);
}

/// Its answer was all that was waited for: a backup that stood was told as one that did not.
#[test]
fn a_signal_while_the_manifest_is_on_its_way_says_what_came_of_it() {
    let fixture = Fixture::new();
    let stopped = |fault: Fault| {
        let rule = Rule::on(Operation::PutObject).key("manifest").then(fault);
        let proxy = FaultProxy::before(&fixture.bucket, [rule]);
        let run = Pgseal::backup(&fixture.event()).envs(proxy.env()).envs(fixture.server.env());
        let child = run.spawn();
        proxy.wait_for_silence();
        kill_process(Pid::from_child(&child), Signal::TERM).expect("pgseal runs");
        CommandOutput::from(child.wait_with_output().expect("pgseal ends"))
    };
    let said = stopped(Fault::Silence);
    said.failed("terminated", 6);
    assert!(
        said.stdout.contains("if it arrives all the same, the backup is there"),
        "{}",
        said.stdout
    );
    backup_stands(&fixture.bucket, &stopped(Fault::SilenceAfter).complete());
}

/// The backup stood, and the function's time ran out over a page of instructions.
#[test]
fn a_page_of_instructions_that_s3_does_not_take_costs_a_warning() {
    let fixture = Fixture::new();
    let rule = Rule::on(Operation::PutObject).key("RECOVER").then(Fault::Silence);
    let proxy = FaultProxy::before(&fixture.bucket, [rule]);
    let said = Pgseal::backup(&fixture.event()).envs(proxy.env()).envs(fixture.server.env()).run();
    let receipt = said.complete();
    assert!(
        receipt["backups"][0]["warnings"].to_string().contains("s3_unavailable"),
        "{receipt}"
    );
    backup_stands(&fixture.bucket, &receipt);
}
