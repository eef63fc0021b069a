// SPDX-License-Identifier: Apache-2.0
//! The bare futex, shared between processes: the floor of a wake-up.

use std::sync::atomic::AtomicU32;

/// Sleep unless the word has changed from `seen`.
pub fn wait(word: &AtomicU32, seen: u32) {
    // SAFETY: the word outlives the call; a null time-out waits for ever.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            seen,
            std::ptr::null::<libc::timespec>(),
        );
    }
}

pub fn wake(word: &AtomicU32) {
    // SAFETY: the word outlives the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
}
