// SPDX-License-Identifier: Apache-2.0
//! The raw C API, called directly: this is what a program without the safe crate does.

use std::ffi::{CStr, CString};
use std::mem::{size_of, zeroed};
use std::ptr;

use tachyon_sys::{
    tachyon_acquire_rx_blocking, tachyon_bus_connect_with, tachyon_bus_destroy,
    tachyon_bus_listen_with, tachyon_bus_t, tachyon_commit_rx,
    tachyon_error_t_TACHYON_ERR_ABORTED as ABORTED, tachyon_error_t_TACHYON_ERR_CLOSED as CLOSED,
    tachyon_error_t_TACHYON_ERR_INTERRUPTED as INTERRUPTED,
    tachyon_error_t_TACHYON_ERR_PEER_DEAD as PEER_DEAD, tachyon_error_t_TACHYON_SUCCESS as SUCCESS,
    tachyon_last_error, tachyon_last_error_message, tachyon_options_t,
};

use crate::tally::Tally;
use crate::tick::{MarketTick, ASK, BID, SENTINEL, TYPES};

const SPIN_THRESHOLD: u32 = 10_000;

const CONNECT_NS: i64 = 60_000_000_000;

/// A receiving end that has a producer.
pub struct Receiver {
    rx: *mut tachyon_bus_t,
}

/// With the description of the messages: a peer that has other ones is refused.
fn options() -> tachyon_options_t {
    // SAFETY: all zero is the default of every option.
    let mut options: tachyon_options_t = unsafe { zeroed() };
    options.size = size_of::<tachyon_options_t>();
    options.types = TYPES.as_ptr().cast();
    options.types_size = TYPES.len();
    options
}

impl Receiver {
    pub fn listen(socket: &str, capacity: usize) -> Result<Self, String> {
        let path = CString::new(socket).map_err(|_| format!("{socket:?} contains a NUL"))?;
        let mut rx = ptr::null_mut();
        // SAFETY: the path ends with a NUL, and the rest outlives the call.
        match unsafe { tachyon_bus_listen_with(path.as_ptr(), capacity, &options(), &mut rx) } {
            SUCCESS => Ok(Self { rx }),
            _ => Err(last_message()),
        }
    }

    /// Join the readers of a producer that listens; if it does not yet, wait for it.
    pub fn connect(socket: &str) -> Result<Self, String> {
        let path = CString::new(socket).map_err(|_| format!("{socket:?} contains a NUL"))?;
        let mut options = options();
        options.timeout_ns = CONNECT_NS;
        let mut rx = ptr::null_mut();
        // SAFETY: the path ends with a NUL, and the rest outlives the call.
        match unsafe { tachyon_bus_connect_with(path.as_ptr(), &options, &mut rx) } {
            SUCCESS => Ok(Self { rx }),
            _ => Err(last_message()),
        }
    }

    /// Take everything up to the sentinel, which is returned but not released.
    pub fn receive(&mut self, tally: &mut Tally) -> Result<MarketTick, String> {
        let rx = self.rx;
        let (mut type_id, mut size) = (0u32, 0usize);
        loop {
            // SAFETY: `rx` is open, and this thread alone receives on it.
            let message =
                unsafe { tachyon_acquire_rx_blocking(rx, &mut type_id, &mut size, SPIN_THRESHOLD) };
            if message.is_null() {
                // SAFETY: it reads a value of this thread's own.
                match unsafe { tachyon_last_error() } {
                    INTERRUPTED => continue,
                    error => return Err(end_of_stream(error)),
                }
            }
            if size != size_of::<MarketTick>() {
                return Err(format!(
                    "a message has {size} bytes, a MarketTick {}",
                    size_of::<MarketTick>()
                ));
            }
            // SAFETY: `message` points to `size` readable bytes; no alignment is assumed.
            let tick = unsafe { message.cast::<MarketTick>().read_unaligned() };
            match type_id {
                BID | ASK => tally.add(&tick, type_id),
                SENTINEL => return Ok(tick),
                _ => return Err(format!("a message has the unknown type {type_id}")),
            }
            // SAFETY: the message is copied, and nothing points to it any more.
            if unsafe { tachyon_commit_rx(rx) } != SUCCESS {
                return Err(last_message());
            }
        }
    }

    /// Release the sentinel and close: the producer waits for this, and takes us for dead
    /// without it. That is how it learns of a stream that was not complete.
    pub fn accept(self) {
        // SAFETY: `self` was the only owner, and nothing points to a message any more.
        unsafe {
            tachyon_commit_rx(self.rx);
            tachyon_bus_destroy(self.rx);
        }
    }
}

fn end_of_stream(error: u32) -> String {
    match error {
        CLOSED => "the producer ended the stream without its sentinel".to_string(),
        ABORTED => format!("the producer gave up: {}", last_message()),
        PEER_DEAD => format!("the producer died: {}", last_message()),
        _ => last_message(),
    }
}

fn last_message() -> String {
    // SAFETY: the text is valid until this thread's next call, and copied before it.
    unsafe { CStr::from_ptr(tachyon_last_error_message()) }
        .to_string_lossy()
        .into_owned()
}
