//! Starts servers such that they end with the test run, even where that is killed.
//!
//! The kernel signals a child when the *thread* that started it ends, and a test's thread may end before a server
//! that others share. So one thread that lives as long as the process starts them all.

use rustix::process::{Pid, Signal, kill_process};
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

type Order = (Command, Sender<std::io::Result<Child>>);

/// Starts the command from the thread that lasts. The command itself asks for the signal (`setpriv --pdeathsig`).
pub fn spawn(command: Command) -> Child {
    static KEEPER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let keeper = KEEPER.get_or_init(|| {
        let (orders, received) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in received {
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(orders)
    });
    let (answer, answered) = channel();
    keeper
        .lock()
        .expect("the keeper's lock")
        .send((command, answer))
        .expect("the keeper lives");
    answered.recv().expect("the keeper answers").expect("the server's command starts")
}

/// SIGQUIT is PostgreSQL's immediate shutdown: it ends the backends and frees shared memory. SIGKILL comes only after.
pub fn end(child: &mut Child) {
    let pid = Pid::from_child(child);
    let _ = kill_process(pid, Signal::QUIT);
    let bound = Instant::now() + Duration::from_secs(60);
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() > bound {
            let _ = child.kill();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
