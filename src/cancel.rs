//! Why to stop, as one value: the deadline, a signal and a failure elsewhere all look the same to who works.
//!
//! Threads wait on a descriptor, tasks on a token; both wake at once, and both read the same reason.

use crate::error::{Code, Error, Result};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Cloned freely; cancelled once, the first reason stands.
#[derive(Clone)]
pub struct Cancel(Arc<Inner>);

struct Inner {
    reason: OnceLock<Error>,
    token: CancellationToken,
    wake: OwnedFd,
    children: Mutex<Vec<Weak<Inner>>>,
}

impl Cancel {
    pub fn new() -> Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| Error::new(Code::Bug, format!("no event descriptor: {error}")))?;
        Ok(Self(Arc::new(Inner {
            reason: OnceLock::new(),
            token: CancellationToken::new(),
            wake,
            children: Mutex::default(),
        })))
    }

    /// Cancelled with this one, or alone: one backup of several that fails must not stop the others.
    pub(crate) fn child(&self) -> Result<Self> {
        let child = Self::new()?;
        let mut children = self.0.children.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        children.retain(|known| known.strong_count() > 0);
        children.push(Arc::downgrade(&child.0));
        drop(children);
        if let Some(reason) = self.reason() {
            child.cancel(reason.clone());
        }
        Ok(child)
    }

    pub fn cancel(&self, reason: Error) {
        self.0.cancel(reason);
    }

    /// Cancels when it is dropped: what was begun under this ends with the caller that began it, even by a panic.
    pub(crate) fn cancel_on_drop(&self) -> CancelOnDrop {
        CancelOnDrop(self.clone())
    }

    pub(crate) fn reason(&self) -> Option<&Error> {
        self.0.reason.get()
    }

    /// `Err` with the reason once cancelled.
    pub(crate) fn check(&self) -> Result<()> {
        self.reason().map_or(Ok(()), |reason| Err(reason.clone()))
    }

    /// Waits for the cancel, for tasks.
    pub(crate) async fn cancelled(&self) -> Error {
        self.0.token.cancelled().await;
        self.reason()
            .cloned()
            .unwrap_or_else(|| Error::new(Code::Bug, "cancelled without a reason"))
    }

    /// Runs `work` until it ends or this is cancelled.
    pub(crate) async fn run_until_cancelled<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            reason = self.cancelled() => Err(reason),
            done = work => done,
        }
    }

    /// Runs `work` to its end even when cancelled, but from then on no longer than `grace`: for calls whose outcome
    /// somebody must know.
    pub(crate) async fn run_with_grace<T>(&self, grace: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::pin!(work);
        tokio::select! {
            biased;
            done = &mut work => done,
            reason = self.cancelled() => tokio::time::timeout(grace, work).await.unwrap_or(Err(reason)),
        }
    }

    /// Waits a while, for tasks.
    pub(crate) async fn pause(&self, time: Duration) -> Result<()> {
        tokio::select! {
            biased;
            reason = self.cancelled() => Err(reason),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }

    /// Readable once cancelled, for threads that wait with poll(2).
    pub(crate) fn wake(&self) -> BorrowedFd<'_> {
        self.0.wake.as_fd()
    }

    /// Sleeps on a thread; wakes early, with the reason, when cancelled.
    pub(crate) fn sleep(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            self.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 3600, tv_nsec: 0 });
            // EINTR and an early return are both answered by the loop.
            let _ = poll(&mut [PollFd::new(&self.0.wake, PollFlags::IN)], Some(&timeout));
        }
    }
}

/// See [`Cancel::cancel_on_drop`].
pub(crate) struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel(Error::new(Code::Bug, "nobody waits for this any more"));
    }
}

impl Inner {
    fn cancel(&self, reason: Error) {
        if self.reason.set(reason.clone()).is_err() {
            return;
        }
        self.token.cancel();
        // An eventfd can only refuse a write when its counter is full, and then it is readable already.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
        let children = self.children.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        for child in children.iter().filter_map(Weak::upgrade) {
            child.cancel(reason.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stands_and_reaches_children() {
        let cancel = Cancel::new().unwrap();
        let child = cancel.child().unwrap();
        cancel.cancel(Error::new(Code::Deadline, "first"));
        cancel.cancel(Error::new(Code::Terminated, "second"));
        assert_eq!(child.check().unwrap_err().code, Code::Deadline);
        assert_eq!(cancel.child().unwrap().check().unwrap_err().code, Code::Deadline);
    }

    #[test]
    fn what_was_begun_ends_with_a_panic() {
        let cancel = Cancel::new().unwrap();
        let inside = cancel.clone();
        let panicked = std::panic::catch_unwind(move || {
            let _ends = inside.cancel_on_drop();
            panic!("on purpose")
        });
        assert!(panicked.is_err() && cancel.check().is_err());
    }

    #[test]
    fn a_child_fails_alone() {
        let cancel = Cancel::new().unwrap();
        let child = cancel.child().unwrap();
        child.cancel(Error::new(Code::S3Denied, "no"));
        assert!(cancel.check().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_must_be_known_is_waited_for_and_not_for_ever() {
        let cancel = Cancel::new().unwrap();
        cancel.cancel(Error::new(Code::Terminated, "stop"));
        let grace = Duration::from_secs(2);
        let takes = |seconds| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok(seconds)
        };
        assert_eq!(cancel.run_with_grace(grace, takes(1)).await.unwrap(), 1);
        assert_eq!(cancel.run_with_grace(grace, takes(3)).await.unwrap_err().code, Code::Terminated);
    }

    #[test]
    fn a_sleeping_thread_wakes() {
        let cancel = Cancel::new().unwrap();
        let sleeper = std::thread::spawn({
            let cancel = cancel.clone();
            move || cancel.sleep(Duration::from_secs(3600))
        });
        cancel.cancel(Error::new(Code::Terminated, "stop"));
        assert_eq!(sleeper.join().unwrap().unwrap_err().code, Code::Terminated);
    }
}
