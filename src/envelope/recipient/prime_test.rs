//! Whether a key's modulus is a prime, which no RSA modulus is.

use crate::envelope::modulus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use tokio::sync::watch;

/// The one test of a key that takes its time (some 5 ms for 2048 bits, 500 for 8192). No secret is wrapped before its outcome.
#[derive(Debug)]
pub(super) struct PrimeTest {
    modulus: Box<[u8]>,
    is_begun: AtomicBool,
    is_prime: watch::Sender<Option<bool>>,
}

impl PrimeTest {
    pub(super) fn new(modulus: &[u8]) -> Arc<Self> {
        Arc::new(Self {
            modulus: modulus.into(),
            is_begun: AtomicBool::new(false),
            is_prime: watch::Sender::new(None),
        })
    }

    pub(super) fn run(&self) -> bool {
        let known = *self.is_prime.borrow();
        known.unwrap_or_else(|| {
            let is_prime = modulus::is_prime(&self.modulus);
            self.is_prime.send_replace(Some(is_prime));
            is_prime
        })
    }

    #[cfg(test)]
    pub(super) fn outcome(&self) -> Option<bool> {
        *self.is_prime.borrow()
    }

    /// Whether nobody has begun it before.
    pub(super) fn begins_now(&self) -> bool {
        !self.is_begun.swap(true, Ordering::Relaxed)
    }

    /// One after the other on one thread, each as long as somebody holds its key.
    pub(super) fn run_beside(tests: &[&Arc<Self>]) {
        let waiting: Vec<_> = tests.iter().copied().map(Arc::downgrade).collect();
        let run = move || {
            waiting.iter().filter_map(Weak::upgrade).for_each(|test| {
                test.run();
            });
        };
        if crate::background::start("keys", run).is_err() {
            tests.iter().for_each(|test| {
                test.run();
            });
        }
    }

    pub(super) async fn finished(&self) {
        let is_known = |outcome: &Option<bool>| outcome.is_some();
        // The sender is alive as long as the recipient is.
        let _ = self.is_prime.subscribe().wait_for(is_known).await;
    }
}
