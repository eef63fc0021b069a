// SPDX-License-Identifier: Apache-2.0
//! A received message.

use std::mem::ManuallyDrop;

use tachyon_sys as sys;

use crate::error::check;
use crate::received::Received;
use crate::{Bus, TachyonError};

/// A received message, read in place.
///
/// Dropping it releases it, so that its room can be used again.
///
/// ```compile_fail,E0505
/// fn keep(message: tachyon_ipc::RxGuard<'_>) -> u8 {
///     let data = message.data();
///     message.commit().unwrap();
///     data[0]
/// }
/// ```
#[derive(Debug)]
pub struct RxGuard<'bus> {
    bus: &'bus Bus,
    message: Received,
    /// Size in bytes. For information: writing to it changes nothing.
    pub actual_size: usize,
    /// Type that the sender gave it.
    pub type_id: u32,
}

impl<'bus> RxGuard<'bus> {
    #[inline]
    pub(crate) fn new(bus: &'bus Bus, message: Received) -> Self {
        Self {
            bus,
            actual_size: message.size,
            type_id: message.type_id,
            message,
        }
    }

    /// The payload. See the crate's page on what a hostile peer can do to it.
    #[inline]
    #[must_use]
    pub fn data(&self) -> &[u8] {
        // SAFETY: the payload is mapped and readable for its size until it is released,
        // which takes this guard. The peer writes there only after that.
        unsafe { std::slice::from_raw_parts(self.message.payload.as_ptr(), self.message.size) }
    }

    /// Releases the message, as dropping does.
    ///
    /// # Errors
    /// `Closed` and the like when the connection has ended meanwhile.
    #[inline]
    pub fn commit(self) -> Result<(), TachyonError> {
        check(release(ManuallyDrop::new(self).bus))
    }
}

#[inline]
fn release(bus: &Bus) -> sys::tachyon_error_t {
    bus.receiving().free();
    // SAFETY: the handle is open, and what is handed out is the guard's message.
    unsafe { sys::tachyon_commit_rx(bus.as_ptr()) }
}

impl AsRef<[u8]> for RxGuard<'_> {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.data()
    }
}

impl Drop for RxGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        release(self.bus); // fails only when the connection has ended, which released it
    }
}
