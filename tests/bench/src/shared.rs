// SPDX-License-Identifier: Apache-2.0
//! Memory that both processes see: mapped before the fork, so that it has one address.

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// A zeroed `T` that stays shared across fork. `T` must be valid when all zero and
/// hold only atomics or memory that its users order themselves.
pub struct Shared<T> {
    place: *mut T,
}

impl<T> Shared<T> {
    /// SAFETY: the caller's `T` must be what the type's comment asks for.
    pub unsafe fn zeroed() -> std::io::Result<Shared<T>> {
        let place = libc::mmap(
            std::ptr::null_mut(),
            std::mem::size_of::<T>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
            -1,
            0,
        );
        if place == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        Ok(Shared {
            place: place.cast(),
        })
    }

    pub fn as_ptr(&self) -> *mut T {
        self.place
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: mapped for the life of `self`, zeroed, and `T` is valid so.
        unsafe { &*self.place }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: `zeroed` mapped exactly this.
        unsafe { libc::munmap(self.place.cast(), std::mem::size_of::<T>()) };
    }
}

/// A word alone on its cache line, and on the neighbour that the prefetcher pairs
/// with it.
#[repr(C, align(128))]
pub struct Line {
    pub word: AtomicU64,
}

/// Words through which the two processes meet. Each has a single writer.
#[repr(C)]
pub struct Signals {
    pub ping: Line,
    pub pong: Line,
    /// The last wake-up that the peer has had.
    pub awake: Line,
    /// How often the lead and the peer have come to the meeting point.
    pub arrivals: [Line; 2],
    pub futex: FutexLine,
}

#[repr(C, align(128))]
pub struct FutexLine {
    pub word: AtomicU32,
}
