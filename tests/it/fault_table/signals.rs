//! SIGTERM and SIGINT while each call to S3 waits for its answer.

use super::s3::CALLS;
use super::{Cause, Point, Promise, fails};
use crate::support::fault_proxy::Fault;
use rustix::process::Signal;

pub fn points() -> Vec<Point> {
    let mut points = Vec::new();
    for call in &CALLS {
        let promise = || match call.name {
            "PutObject of the manifest" => Promise::FailsLate { code: "terminated" },
            // The backup stands by then.
            "PutObject of the recovery instructions" => Promise::Complete {
                warned: "the recovery instructions",
            },
            _ => fails("terminated"),
        };
        for (name, signal) in [("SIGTERM", Signal::TERM), ("SIGINT", Signal::INT)] {
            let cause = Cause::Signal(call.rule().then(Fault::Silence), signal);
            points.push(Point::new(format!("{name}: {}", call.name), cause, promise()));
        }
    }
    points
}
