//! Holds the rate, so that production keeps its IOPS: a token bucket in front of `pg_dump`.

use crate::cancel::Cancel;
use crate::plan::{RateLimit, RateSchedule};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::io::Read;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// Bytes of one cell. governor keeps whole nanoseconds a cell: with one cell a byte, 100 MiB/s would run 6 % fast.
const CELL: u64 = 1 << 10;
/// What may pass at once: so much time's worth, but at least 128 cells.
const BURST: Duration = Duration::from_millis(20);
const LEAST_BURST: u64 = 128;
/// How often a schedule is looked at. Its times are whole minutes.
const LOOK: Duration = Duration::from_secs(1);
/// One read asks for at most half of that: the other half takes up what a late wake-up would lose.
const READS: u64 = 2;

/// A reader that lets its bytes through at a rate, measured from its first byte on.
pub struct Throttle<R> {
    inner: R,
    schedule: RateSchedule,
    rate: RateLimit,
    looked: Instant,
    bucket: Option<TokenBucket>,
    cancel: Cancel,
    waited: Duration,
}

struct TokenBucket {
    limiter: DefaultDirectRateLimiter,
    clock: DefaultClock,
    /// Cells that may be asked for at once.
    burst: u64,
    /// Bytes that have passed and do not fill a cell yet.
    carried: u64,
}

/// What is left when all has passed.
pub(crate) struct Throttled<R> {
    pub inner: R,
    /// Time spent waiting for the rate.
    pub waited: Duration,
}

impl<R: Read> Throttle<R> {
    pub fn new(inner: R, schedule: impl Into<RateSchedule>, cancel: Cancel) -> Self {
        let schedule = schedule.into();
        let rate = schedule.at(OffsetDateTime::now_utc());
        Self {
            inner,
            schedule,
            rate,
            looked: Instant::now(),
            bucket: rate.bytes_per_second().map(TokenBucket::new),
            cancel,
            waited: Duration::ZERO,
        }
    }

    pub(crate) fn finish(self) -> Throttled<R> {
        Throttled {
            inner: self.inner,
            waited: self.waited,
        }
    }
}

impl TokenBucket {
    fn new(bytes_per_second: u64) -> Self {
        let cell = Duration::from_nanos(((u128::from(CELL) * 1_000_000_000 / u128::from(bytes_per_second)) as u64).max(1));
        let burst = (bytes_per_second.saturating_mul(BURST.as_millis() as u64) / 1000 / CELL).clamp(LEAST_BURST, 1 << 20);
        // A clamped number is neither zero nor beyond u32, and a period of at least 1 ns is one.
        let cells = NonZeroU32::new(burst as u32).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(cell)
            .unwrap_or(Quota::per_second(NonZeroU32::MIN))
            .allow_burst(cells);
        let bucket = Self {
            limiter: RateLimiter::direct(quota),
            clock: DefaultClock::default(),
            burst,
            carried: 0,
        };
        // A full bucket at the start would let a short dump run ahead of its rate.
        let _ = bucket.limiter.check_n(cells);
        bucket
    }

    /// The whole cells of these bytes and what was carried.
    fn cells_of(&mut self, bytes: usize) -> u64 {
        self.carried += bytes as u64;
        let cells = self.carried / CELL;
        self.carried %= CELL;
        cells
    }
}

impl<R> Throttle<R> {
    /// Goes over to the rate of this time of the day.
    fn follow_schedule(&mut self) {
        if self.schedule.is_constant() || self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        let rate = self.schedule.at(OffsetDateTime::now_utc());
        if rate != self.rate {
            self.rate = rate;
            self.bucket = rate.bytes_per_second().map(TokenBucket::new);
        }
    }

    /// Until the bucket has so many cells, or as long as a schedule may be left alone.
    fn wait(&mut self, pause: Duration) -> std::io::Result<()> {
        let pause = if self.schedule.is_constant() { pause } else { pause.min(LOOK) };
        self.waited += pause;
        self.cancel.sleep(pause)?;
        Ok(())
    }
}

impl<R: Read> Read for Throttle<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.follow_schedule();
        let room = self
            .bucket
            .as_ref()
            .map_or(usize::MAX, |bucket| (bucket.burst / READS * CELL) as usize);
        let room = buffer.len().min(room);
        let read = self.inner.read(&mut buffer[..room])?;
        let mut cells = self.bucket.as_mut().map_or(0, |bucket| bucket.cells_of(read));
        while let Some(bucket) = &mut self.bucket
            && let Some(some) = NonZeroU32::new(cells.min(bucket.burst) as u32)
        {
            match bucket.limiter.check_n(some) {
                Ok(Ok(())) => cells -= u64::from(some.get()),
                Ok(Err(early)) => {
                    let pause = early.wait_time_from(bucket.clock.now());
                    self.wait(pause)?;
                    self.follow_schedule();
                }
                Err(_) => return Err(std::io::Error::other("the throttle's burst is smaller than its reads")),
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Code, Error};

    #[test]
    fn every_byte_passes_unchanged() {
        let bytes: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
        for limit in ["0", "100M", "1G"] {
            let mut throttle = Throttle::new(bytes.as_slice(), RateLimit::parse(limit).unwrap(), Cancel::new().unwrap());
            let mut out = Vec::new();
            throttle.read_to_end(&mut out).unwrap();
            assert!(out == bytes, "{limit}");
        }
    }

    #[test]
    fn a_slow_throttle_wakes_for_a_cancel() {
        let cancel = Cancel::new().unwrap();
        let bytes = vec![0; 10 << 20];
        let mut throttle = Throttle::new(bytes.as_slice(), RateLimit::parse("1k").unwrap(), cancel.clone());
        let canceller = std::thread::spawn(move || cancel.cancel(Error::new(Code::Terminated, "stop")));
        let error = throttle.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(crate::error::from_io(error, Code::Bug).code, Code::Terminated);
        canceller.join().unwrap();
    }

    #[test]
    fn the_time_waited_is_what_the_rate_demands() {
        // 2 MiB at 8 MiB/s are 250 ms; less must never be waited, whatever the machine does.
        let bytes = vec![0; 2 << 20];
        let start = std::time::Instant::now();
        let mut throttle = Throttle::new(bytes.as_slice(), RateLimit::parse("8M").unwrap(), Cancel::new().unwrap());
        std::io::copy(&mut throttle, &mut std::io::sink()).unwrap();
        assert!(start.elapsed() >= Duration::from_millis(240));
    }
}
