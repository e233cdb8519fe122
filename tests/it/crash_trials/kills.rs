//! SIGKILL, as the kernel sends it when memory ends, and as a host that is gone.

use super::{Fixture, Moment, asked, at_moments};
use std::io::Read;

#[test]
fn killed_at_any_moment_it_leaves_a_whole_backup_or_none() {
    let stood = at_moments(asked("TESTBED_KILLS", 120), killed_at);
    let whole = stood.iter().filter(|&&stands| stands).count();
    let invisible = stood.len() - whole;
    eprintln!("{invisible} invisible, {whole} whole");
    assert!(invisible > 0 && whole > 0, "the moments were not before and after the commit");
}

/// Gives whether there was a backup.
fn killed_at(fixture: &Fixture, moment: Moment) -> bool {
    let bucket = fixture.s3.bucket();
    let (mut child, proxy) = moment.of(fixture, &bucket);
    child.kill().expect("a child");
    child.wait().expect("it ends");
    fixture.nobody_left();
    let stands = fixture.whole_or_invisible(&bucket);
    let mut said = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut said).expect("UTF-8");
    assert!(stands || !said.contains("complete"), "{moment:?}: success was said: {said}");
    drop(proxy);
    eprintln!("{moment:?}: {}", if stands { "whole" } else { "invisible" });
    fixture.then_it_succeeds(&bucket, stands);
    fixture.s3.forget(&bucket);
    stands
}
