//! Work to be done while others are waited for, on a thread that takes the time that nobody else wants: on one or two cores
//! it would else hold up the very answers beside which it is done.

/// Above the usual 0, and far below 19, with which the work might hardly go on beside a busy neighbour.
const NICENESS: i32 = 10;

pub(crate) fn start(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    let started = thread.spawn(|| {
        // Of Linux's threads each has its own niceness, and "this process" means this thread (setpriority(2), BUGS).
        let _ = rustix::process::setpriority_process(None, NICENESS);
        work();
    });
    started.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::getpriority_process;
    use std::sync::mpsc::channel;

    #[test]
    fn only_the_thread_itself_is_nice() {
        let before = getpriority_process(None).unwrap();
        let (sender, received) = channel();
        start("test", move || sender.send(getpriority_process(None)).unwrap()).unwrap();
        assert_eq!(received.recv().unwrap().unwrap(), before.max(NICENESS));
        assert_eq!(getpriority_process(None).unwrap(), before);
    }
}
