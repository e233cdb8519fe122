//! How exactly the throttle holds its rate: `cargo bench --bench throttle [-- SECONDS]`.
//!
//! Reads from a source that is never slow, so that nothing but the throttle decides. Without `--bench` (as in
//! `cargo test`) it only shows that it runs: a clock is no judge on a shared machine.

#![expect(clippy::print_stdout, reason = "its output is for a person")]

use pgseal::cancel::Cancel;
use pgseal::pipeline::throttle::Throttle;
use pgseal::plan::RateLimit;
use std::io::Read;
use std::time::{Duration, Instant};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let measuring = arguments.iter().any(|argument| argument == "--bench");
    let seconds = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(10.0);
    let time = if measuring {
        Duration::from_secs_f64(seconds)
    } else {
        Duration::from_millis(10)
    };
    for rate in ["1M", "5M", "20M", "100M", "200M"] {
        let limit = RateLimit::parse(rate).expect("a rate");
        let wanted = limit.bytes_per_second().expect("a limit") as f64;
        let mut throttle = Throttle::new(std::io::repeat(7), limit, Cancel::new().expect("an event descriptor"));
        let mut buffer = vec![0; 128 << 10];
        let (start, mut bytes) = (Instant::now(), 0u64);
        while start.elapsed() < time {
            bytes += throttle.read(&mut buffer).expect("an endless source") as u64;
        }
        let measured = bytes as f64 / start.elapsed().as_secs_f64();
        println!("{rate:>5}  {measured:>12.0} B/s  {:+.2} %", 100.0 * (measured / wanted - 1.0));
    }
}
