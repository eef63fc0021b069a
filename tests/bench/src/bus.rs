// SPDX-License-Identifier: Apache-2.0
//! The raw C API as the benchmarks use it: the calls a user would write, no more.

use std::ffi::{CStr, CString};

use tachyon_sys::*;

/// What every small message carries.
pub type Payload = [u64; 4];
pub const SIZE: usize = std::mem::size_of::<Payload>();

/// Looks before sleeping, as the examples have it.
pub const SPIN: u32 = 10_000;

/// One end; ends the process on an error, since no number is worth having then.
pub struct Bus(*mut tachyon_bus_t);

#[cold]
pub fn fail(doing: &str) -> ! {
    // SAFETY: the library returns a static or thread-local string, never NULL.
    let message = unsafe { CStr::from_ptr(tachyon_last_error_message()) };
    panic!("{doing}: {}", message.to_string_lossy());
}

pub fn check(error: tachyon_error_t, doing: &str) {
    if error != tachyon_error_t_TACHYON_SUCCESS {
        fail(doing);
    }
}

/// "major.minor.patch" of the library measured.
pub fn version() -> String {
    // SAFETY: static storage, never NULL.
    let version = unsafe { CStr::from_ptr(tachyon_version()) };
    version.to_string_lossy().into_owned()
}

/// Options for connecting to a process that may not listen yet.
pub fn patient() -> tachyon_options_t {
    // SAFETY: zero is every option's default.
    let mut options: tachyon_options_t = unsafe { std::mem::zeroed() };
    options.size = std::mem::size_of::<tachyon_options_t>();
    options.timeout_ns = 20_000_000_000;
    options
}

impl Bus {
    pub fn listen(path: &str, capacity: usize) -> Bus {
        let path = CString::new(path).expect("a path without NUL");
        let mut bus = std::ptr::null_mut();
        // SAFETY: `path` and `bus` outlive the call.
        let error = unsafe { tachyon_bus_listen(path.as_ptr(), capacity, &mut bus) };
        check(error, "listen");
        Bus(bus)
    }

    /// Tries until the other process listens.
    pub fn connect(path: &str) -> Bus {
        let path = CString::new(path).expect("a path without NUL");
        let mut bus = std::ptr::null_mut();
        let options = patient();
        // SAFETY: all pointers outlive the call.
        let error = unsafe { tachyon_bus_connect_with(path.as_ptr(), &options, &mut bus) };
        check(error, "connect");
        Bus(bus)
    }

    /// Reserve room, looking again for as long as the ring is full.
    #[inline(always)]
    pub fn acquire(&self, size: usize) -> *mut u8 {
        loop {
            // SAFETY: the handle is live until drop.
            let slot = unsafe { tachyon_acquire_tx(self.0, size) };
            if !slot.is_null() {
                return slot.cast();
            }
            // SAFETY: no arguments.
            if unsafe { tachyon_last_error() } != tachyon_error_t_TACHYON_ERR_FULL {
                fail("acquire_tx");
            }
            std::hint::spin_loop();
        }
    }

    #[inline(always)]
    pub fn commit(&self, size: usize, type_id: u32) {
        // SAFETY: the handle is live until drop.
        check(
            unsafe { tachyon_commit_tx(self.0, size, type_id) },
            "commit_tx",
        );
    }

    #[inline(always)]
    pub fn flush(&self) {
        // SAFETY: the handle is live until drop.
        unsafe { tachyon_flush(self.0) };
    }

    /// Write one message in place; it is visible after the next flush.
    #[inline(always)]
    pub fn write(&self, payload: &Payload) {
        let slot = self.acquire(SIZE);
        // SAFETY: `SIZE` bytes were reserved, aligned to 32.
        unsafe { slot.cast::<Payload>().write(*payload) };
        self.commit(SIZE, 1);
    }

    #[inline(always)]
    pub fn send(&self, payload: &Payload) {
        self.write(payload);
        self.flush();
    }

    /// Wait for a message, let `read` look at it, release it.
    #[inline(always)]
    pub fn receive<T>(&self, spin: u32, read: impl FnOnce(&[u8]) -> T) -> T {
        let (mut type_id, mut size) = (0, 0);
        // SAFETY: the handle is live until drop, the results are writable, and the
        // bytes are ours until they are released below.
        let value = unsafe {
            let message = tachyon_acquire_rx_blocking(self.0, &mut type_id, &mut size, spin);
            if message.is_null() {
                fail("acquire_rx_blocking");
            }
            read(std::slice::from_raw_parts(message.cast(), size))
        };
        // SAFETY: as above.
        check(unsafe { tachyon_commit_rx(self.0) }, "commit_rx");
        value
    }

    #[inline(always)]
    pub fn receive_payload(&self, spin: u32) -> Payload {
        self.receive(spin, payload_of)
    }

    /// Wait for messages, let `read` look at each of up to 64, release them together.
    #[inline(always)]
    pub fn drain(
        &self,
        views: &mut [tachyon_msg_view_t; 64],
        mut read: impl FnMut(Payload),
    ) -> usize {
        // SAFETY: the handle is live until drop, the views are writable, and what they
        // point to is ours until released below.
        unsafe {
            let count = tachyon_drain_batch(self.0, views.as_mut_ptr(), views.len(), SPIN);
            if count == 0 {
                fail("drain_batch");
            }
            for view in &views[..count] {
                read(payload_of(std::slice::from_raw_parts(
                    view.ptr.cast(),
                    view.actual_size,
                )));
            }
            check(
                tachyon_commit_rx_batch(self.0, views.as_ptr(), count),
                "commit_rx_batch",
            );
            count
        }
    }

    /// Wait for a message that is not expected; true if none came.
    pub fn stays_silent_for(&self, timeout_ns: i64) -> bool {
        let (mut type_id, mut size) = (0, 0);
        // SAFETY: the handle is live until drop and the results are writable.
        unsafe {
            let message =
                tachyon_acquire_rx_timed(self.0, &mut type_id, &mut size, SPIN, timeout_ns);
            message.is_null() && tachyon_last_error() == tachyon_error_t_TACHYON_ERR_TIMEOUT
        }
    }

    /// How often this end has gone to sleep.
    pub fn sleeps(&self) -> u64 {
        // SAFETY: the handle is live until drop; zero is a valid value of the struct.
        unsafe {
            let mut stats: tachyon_stats_t = std::mem::zeroed();
            check(tachyon_bus_get_stats(self.0, &mut stats), "get_stats");
            stats.sleeps
        }
    }
}

#[inline(always)]
pub fn payload_of(bytes: &[u8]) -> Payload {
    assert_eq!(bytes.len(), SIZE, "a message has lost its size");
    // SAFETY: the length was checked; a payload is aligned to 32.
    unsafe { bytes.as_ptr().cast::<Payload>().read() }
}

impl Drop for Bus {
    fn drop(&mut self) {
        // SAFETY: made by listen or connect, released once.
        unsafe { tachyon_bus_destroy(self.0) };
    }
}
