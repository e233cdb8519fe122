//! A signal while it runs: said as such, within seconds, and nothing left.

use super::Ground;
use crate::support::fault_proxy::{Fault, FaultProxy, Operation, Rule};
use crate::support::invariants::nothing_left;
use crate::support::pgseal::{Pgseal, Said};
use crate::support::wait::until;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::process::Child;

/// Sends the signal, and asserts what was promised for it.
fn stopped_by(signal: Signal, child: Child, ground: &Ground) {
    kill_process(Pid::from_child(&child), signal).expect("pgseal runs");
    let said = Said::from(child.wait_with_output().expect("pgseal ends"));
    said.failed("terminated", 6);
    nothing_left(&ground.server, &ground.bucket, &said, &[]);
}

#[test]
fn a_signal_while_the_child_is_silent_is_not_blamed_on_the_child() {
    for signal in [Signal::TERM, Signal::INT] {
        let ground = Ground::new();
        let mut holder = ground.server.session("app");
        holder.run("begin; lock table plain in access exclusive mode");
        let child = ground.prepared(&["backup", "--event", &ground.event().to_string()]).spawn();
        let waiting = "select count(*) from pg_stat_activity where usename = 'dumper' and wait_event_type = 'Lock'";
        until("pg_dump waits for the lock", || ground.server.psql("postgres", waiting) != "0");
        stopped_by(signal, child, &ground);
    }
}

#[test]
fn a_signal_while_a_part_is_on_its_way_aborts_the_upload() {
    let ground = Ground::new();
    ground.server.psql(
        "app",
        "create table wide as select repeat('x', 1000) as x from generate_series(1, 20000)",
    );
    let proxy = FaultProxy::before(&ground.bucket, [Rule::on(Operation::UploadPart).then(Fault::Silence)]);
    let mut event = ground.event();
    event["compression"] = json!("none");
    let child = Pgseal::backup(&event).envs(proxy.env()).envs(ground.server.env()).spawn();
    proxy.wait_for(Operation::UploadPart);
    stopped_by(Signal::TERM, child, &ground);
    assert_eq!(proxy.count(Operation::AbortUpload), 1);
}
