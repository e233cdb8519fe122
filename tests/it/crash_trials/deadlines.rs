//! Lambda's deadline, at random moments of a run: what a killed function would leave half done is cleaned up before.

use super::{Fixture, Moment, SOON, asked};
use crate::support::platform::Platform;
use std::time::{Duration, Instant};

#[test]
fn a_deadline_at_any_moment_ends_it_soon_and_cleans_up() {
    let fixture = Fixture::new();
    let settings = [("PGSEAL_DEADLINE_CHECK".to_owned(), "off".to_owned())];
    let platform = Platform::start(fixture.s3.env().into_iter().chain(fixture.server.env()).chain(settings));
    let long = Duration::from_secs(600);
    let invoke = |left| {
        let bucket = fixture.s3.bucket();
        let begun = Instant::now();
        (platform.invoke(&fixture.event(&bucket), left), bucket, begun.elapsed())
    };
    invoke(long).0.expect("the first, which is slower than all others");
    let (outcome, _, mut length) = invoke(long);
    outcome.expect("a backup in a warm process");
    let (mut stopped, mut whole) = (0, 0);
    for part in Moment::parts().take(asked("TESTBED_DEADLINES", 20)) {
        let moment = length.mul_f64(part);
        // Of a short time-out a sixth is kept for the end.
        let (outcome, bucket, took) = invoke(moment * 6 / 5);
        assert!(took < moment + SOON, "{moment:?}: {took:?}");
        fixture.nobody_left();
        assert_eq!(bucket.open_uploads(), [], "{moment:?}");
        let stands = fixture.whole_or_invisible(&bucket);
        eprintln!("{moment:?} of {length:?}: {}", if stands { "whole" } else { "invisible" });
        match outcome {
            Ok(receipt) => {
                assert!(stands, "{moment:?}: {receipt}");
                length = took;
            }
            Err((code, receipt)) => assert_eq!(code, "pgseal.deadline", "{moment:?}: {receipt}"),
        }
        *if stands { &mut whole } else { &mut stopped } += 1;
        fixture.then_it_succeeds(&bucket, stands);
        fixture.s3.forget(&bucket);
    }
    eprintln!("{stopped} stopped, {whole} whole");
    assert!(stopped > 0, "no deadline came before the end");
}
