//! A panic is a failure like any other: it ends as an answer with the code `bug`, wherever an event came in.

use crate::error::{Code, Error};
use crate::observe::output;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::task::Poll;

thread_local! {
    /// Where this thread panicked last, for the error that is made of it.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From now on a panic is told as its place alone: its message may hold what was being read, a row as well as a password.
pub fn tell_places_only() {
    set_hook(Box::new(|info| {
        let place = info.location().map(|place| format!("{}:{}", place.file(), place.line()));
        let place = place.unwrap_or_else(|| "an unknown place".to_owned());
        output::tell(&format!("pgseal: a panic at {place}\n"));
        PLACE.set(Some(place));
    }));
}

/// What a panic that was caught on this thread comes to.
pub fn bug() -> Error {
    let place = PLACE.take().map(|place| format!(" at {place}")).unwrap_or_default();
    Error::new(Code::Bug, format!("the program panicked{place}"))
}

/// Runs `work` to its end; a panic in it is an error. The work is then dropped, which ends what it owned.
pub(crate) async fn caught<T, E: From<Error>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    // On the heap: wrapped several deep, a whole backup's state would otherwise be copied on the stack of each.
    let mut work = Box::pin(work);
    std::future::poll_fn(|context| {
        // Not polled again after a panic: nothing sees what it left half done.
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(poll) => poll,
            Err(_) => Poll::Ready(Err(bug().into())),
        }
    })
    .await
}

/// The same for work that waits on its thread.
pub(crate) fn caught_on_thread<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(bug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_before_and_after_a_wait_is_an_error() {
        for waits in [0, 1] {
            let error = caught::<(), Error>(async {
                for _ in 0..waits {
                    tokio::task::yield_now().await;
                }
                panic!("on purpose")
            });
            assert_eq!(error.await.unwrap_err().code, Code::Bug);
        }
        assert_eq!(caught::<_, Error>(async { Ok(7) }).await.unwrap(), 7);
        assert_eq!(caught_on_thread::<()>(|| panic!("on purpose")).unwrap_err().code, Code::Bug);
        assert_eq!(caught_on_thread(|| Ok(7)).unwrap(), 7);
    }

    #[tokio::test]
    async fn what_the_work_owned_is_dropped() {
        let kept = std::sync::Arc::new(());
        let inside = kept.clone();
        let panics = async move {
            let _inside = inside;
            panic!("on purpose")
        };
        caught::<(), Error>(panics).await.unwrap_err();
        assert_eq!(std::sync::Arc::strong_count(&kept), 1);
    }
}
