//! A signal that ends the program: the unfinished file goes first.

use std::ffi::c_int;
use std::fs;
use std::io;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::output::remove_unfinished;

pub(crate) fn watch() -> io::Result<()> {
    let ignored = ignored();
    let ends = [SIGHUP, SIGINT, SIGTERM]
        .into_iter()
        .filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let mut signals = Signals::new(ends.collect::<Vec<c_int>>())?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            // Held on: no other file is begun, and none gets its name.
            let _lock = remove_unfinished();
            let _ = emulate_default_handler(signal);
        }
    })?;
    Ok(())
}

/// A bit for each signal that the program was started to ignore, as `nohup` does.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
