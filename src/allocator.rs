//! The C library's heap. By default each thread gets one of its own, and buffers of megabytes that go from thread to thread
//! leave holes in all of them: a quarter of the peak of a restore was such holes.
#![cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "mallopt(3) has no safe wrapper"))]

/// Has all threads share one heap, from now on. To be called before there are other threads. False where the library has no
/// such setting, which costs memory and nothing else.
pub fn limit_malloc_arenas() -> bool {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes two numbers, and is called while there is one thread only (mallopt(3): MT-Unsafe init).
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1) == 1
    }
    #[cfg(not(target_env = "gnu"))]
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_is_taken() {
        assert_eq!(limit_malloc_arenas(), cfg!(target_env = "gnu"));
    }
}
