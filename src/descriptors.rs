//! Descriptors that we were started with, such as a key by `/dev/fd/9`: for us, and for no process that we start.

#![expect(unsafe_code, reason = "a number becomes a descriptor that may be closed")]

use rustix::io::{FdFlags, fcntl_setfd};
use std::os::fd::BorrowedFd;

/// Where the system does not list them.
const DESCRIPTOR_LIMIT: i32 = 1024;

/// Call it before any process is started. Our own are made so from the first.
pub fn keep_from_children() {
    let listed = std::fs::read_dir("/proc/self/fd").map(|entries| {
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        numbers.collect()
    });
    let numbers: Vec<i32> = listed.unwrap_or_else(|_| (3..DESCRIPTOR_LIMIT).collect());
    for number in numbers.into_iter().filter(|number| *number > 2) {
        // SAFETY: it is borrowed for this one call, which closes nothing; of a number that is no descriptor it is EBADF.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        let _ = fcntl_setfd(descriptor, FdFlags::CLOEXEC);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_child_does_not_get_what_we_were_started_with() {
        let file = tempfile::tempfile().unwrap();
        fcntl_setfd(&file, FdFlags::empty()).unwrap();
        let is_there = || {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            std::process::Command::new("test").args(["-e", &path]).status().unwrap().success()
        };
        assert!(is_there());
        keep_from_children();
        assert!(!is_there());
    }
}
