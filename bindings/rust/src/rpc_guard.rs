// SPDX-License-Identifier: Apache-2.0
//! The guards of remote procedure calls.

use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use tachyon_sys as sys;

use crate::error::{check, reported};
use crate::received::Received;
use crate::rpc_owner::Entered;
use crate::{tx_guard, RpcBus, TachyonError};

/// What a reserved slot will be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outgoing {
    Call,
    Reply(u64),
}

/// Room for one request or reply, to be written in place.
///
/// Dropping it gives the room back and sends nothing.
#[must_use = "what is not committed is not sent"]
pub struct RpcTxGuard<'a> {
    bus: &'a RpcBus,
    outgoing: Outgoing,
    slot: NonNull<u8>,
    max_size: usize,
}

impl<'a> RpcTxGuard<'a> {
    pub(crate) fn new(
        bus: &'a RpcBus,
        entered: Entered<'a>,
        outgoing: Outgoing,
        slot: NonNull<u8>,
        max_size: usize,
    ) -> Self {
        entered.stay();
        Self {
            bus,
            outgoing,
            slot,
            max_size,
        }
    }

    /// Copies `data` to the beginning of the slot.
    ///
    /// # Panics
    /// When `data` is longer than [`max_size`](Self::max_size).
    #[inline]
    pub fn write(&self, data: &[u8]) {
        tx_guard::write(self.slot, self.max_size, data);
    }

    /// The whole slot; what it holds before it is written is of no meaning.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: the slot is mapped and writable for max_size bytes as long as the bus is.
        // It is ours alone: one reservation is open at a time on a bus, one RpcTxGuard
        // alive, and this borrows it. The peer reads it after the commit. Shared memory is
        // always initialised.
        unsafe { std::slice::from_raw_parts_mut(self.slot.as_ptr(), self.max_size) }
    }

    /// Bytes that were reserved.
    #[inline]
    #[must_use]
    pub fn max_size(&self) -> usize {
        self.max_size
    }

    /// Sends the first `actual_size` bytes and returns the correlation id: the new one of a
    /// call, that of the request for a reply.
    ///
    /// # Errors
    /// `InvalidSize` when `actual_size` exceeds [`max_size`](Self::max_size), or when no
    /// such request is waiting for a reply; `OutOfMemory`; `Closed` and the like when the
    /// connection has ended since. The room is given back then.
    #[inline]
    pub fn commit(self, actual_size: usize, msg_type: u32) -> Result<u64, TachyonError> {
        let guard = ManuallyDrop::new(self);
        let (bus, outgoing) = (guard.bus, guard.outgoing);
        let mut correlation_id = 0;
        // SAFETY: the handle is open and this thread's, the reservation was the guard's.
        let code = unsafe {
            match outgoing {
                Outgoing::Call => sys::tachyon_rpc_commit_call(
                    bus.as_ptr(),
                    actual_size,
                    msg_type,
                    &mut correlation_id,
                ),
                Outgoing::Reply(id) => {
                    correlation_id = id;
                    sys::tachyon_rpc_commit_reply(bus.as_ptr(), id, actual_size, msg_type)
                }
            }
        };
        if code != sys::tachyon_error_t_TACHYON_SUCCESS {
            let error = reported(code);
            roll_back(bus, outgoing);
            return Err(error);
        }
        bus.sending().free();
        bus.owner().leave();
        Ok(correlation_id)
    }
}

/// Gives back what a guard had reserved.
#[cold]
fn roll_back(bus: &RpcBus, outgoing: Outgoing) {
    // SAFETY: the handle is open and this thread's. It fails only when the connection has
    // ended, and the reservation with it.
    unsafe {
        match outgoing {
            Outgoing::Call => sys::tachyon_rpc_rollback_call(bus.as_ptr()),
            Outgoing::Reply(_) => sys::tachyon_rpc_rollback_reply(bus.as_ptr()),
        }
    }
    bus.sending().free();
    bus.owner().leave();
}

impl AsMut<[u8]> for RpcTxGuard<'_> {
    #[inline]
    fn as_mut(&mut self) -> &mut [u8] {
        self.as_mut_slice()
    }
}

impl Drop for RpcTxGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        roll_back(self.bus, self.outgoing);
    }
}

impl fmt::Debug for RpcTxGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcTxGuard")
            .field("outgoing", &self.outgoing)
            .field("max_size", &self.max_size)
            .finish_non_exhaustive()
    }
}

/// A received request or reply, read in place.
///
/// Dropping it releases it. A request may be answered before or after.
pub struct RpcRxGuard<'a> {
    bus: &'a RpcBus,
    message: Received,
    is_request: bool,
    /// Size in bytes. For information: writing to it changes nothing.
    pub actual_size: usize,
    /// Message type that the sender gave it.
    pub type_id: u32,
    /// Which call this is the request or the reply of.
    pub correlation_id: u64,
}

impl<'a> RpcRxGuard<'a> {
    #[inline]
    pub(crate) fn new(
        bus: &'a RpcBus,
        entered: Entered<'a>,
        message: Received,
        correlation_id: u64,
        is_request: bool,
    ) -> Self {
        entered.stay();
        Self {
            bus,
            is_request,
            actual_size: message.size,
            type_id: message.type_id,
            correlation_id,
            message,
        }
    }

    /// The payload. See the crate's page on what a hostile peer can do to it.
    #[inline]
    #[must_use]
    pub fn data(&self) -> &[u8] {
        // SAFETY: the payload is readable for its size until it is released, which takes
        // this guard: it is mapped, or a copy that the library keeps. The peer writes there
        // only after that.
        unsafe { std::slice::from_raw_parts(self.message.payload.as_ptr(), self.message.size) }
    }

    /// Releases it, as dropping does. The call of a reply is no longer outstanding then.
    ///
    /// # Errors
    /// `Closed` and the like when the connection has ended meanwhile.
    #[inline]
    pub fn commit(self) -> Result<(), TachyonError> {
        let guard = ManuallyDrop::new(self);
        check(release(guard.bus, guard.is_request))
    }
}

#[inline]
fn release(bus: &RpcBus, is_request: bool) -> sys::tachyon_error_t {
    // SAFETY: the handle is open and this thread's, and what is held is the guard's.
    let code = unsafe {
        if is_request {
            sys::tachyon_rpc_commit_serve(bus.as_ptr())
        } else {
            sys::tachyon_rpc_commit_rx(bus.as_ptr())
        }
    };
    bus.receiving().free();
    bus.owner().leave();
    code
}

impl AsRef<[u8]> for RpcRxGuard<'_> {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.data()
    }
}

impl Drop for RpcRxGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // Fails only when the connection has ended, which released it.
        release(self.bus, self.is_request);
    }
}

impl fmt::Debug for RpcRxGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcRxGuard")
            .field("is_request", &self.is_request)
            .field("actual_size", &self.actual_size)
            .field("type_id", &self.type_id)
            .field("correlation_id", &self.correlation_id)
            .finish_non_exhaustive()
    }
}
