// SPDX-License-Identifier: Apache-2.0
//! The guards of remote procedure calls.

use std::fmt;

use crate::error::{check, reported};
use crate::guards::{Received, Reserved};
use crate::raw::{Incoming, Outgoing, RawRpc};
use crate::rpc_owner::Entered;
use crate::{Peer, TachyonError};

/// Room for one request or reply, to be written in place.
///
/// Dropping it gives the room back and sends nothing.
#[must_use = "what is not committed is not sent"]
pub struct RpcTxGuard<'a> {
    raw: Entered<'a, RawRpc>,
    outgoing: Outgoing,
    slot: Reserved,
    is_open: bool,
}

impl<'a> RpcTxGuard<'a> {
    #[inline]
    pub(crate) fn new(raw: Entered<'a, RawRpc>, outgoing: Outgoing, slot: Reserved) -> Self {
        Self {
            raw,
            outgoing,
            slot,
            is_open: true,
        }
    }

    /// Copies `data` to the beginning of the slot.
    ///
    /// # Panics
    /// When `data` is longer than [`max_size`](Self::max_size).
    #[inline]
    pub fn write(&self, data: &[u8]) {
        self.slot.write(data);
    }

    /// The whole slot; what it holds before it is written is of no meaning.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.slot.bytes()
    }

    /// Bytes that were reserved.
    #[inline]
    #[must_use]
    pub fn max_size(&self) -> usize {
        self.slot.size
    }

    /// Sends the first `actual_size` bytes and returns the correlation id: the new one of a
    /// call, that of the request for a reply.
    ///
    /// # Errors
    /// `InvalidSize` when `actual_size` exceeds [`max_size`](Self::max_size), or when no
    /// such request is waiting for a reply; `OutOfMemory`; `Closed` and the like when the
    /// connection has ended since, or this one of many callers has left; `BufferFull` when
    /// that caller has no room and another's was reserved. The room is given back then.
    #[inline]
    pub fn commit(mut self, actual_size: usize, msg_type: u32) -> Result<u64, TachyonError> {
        let id = self.raw.commit(self.outgoing, actual_size, msg_type);
        self.is_open = id.is_err();
        id.map_err(reported)
    }
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
        if self.is_open {
            self.raw.roll_back(self.outgoing);
        }
    }
}

impl fmt::Debug for RpcTxGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcTxGuard")
            .field("outgoing", &self.outgoing)
            .field("max_size", &self.slot.size)
            .finish_non_exhaustive()
    }
}

/// A received request or reply, read in place.
///
/// Dropping it releases it. A request may be answered before or after.
pub struct RpcRxGuard<'a> {
    raw: Entered<'a, RawRpc>,
    message: Received,
    incoming: Incoming,
    is_held: bool,
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
        raw: Entered<'a, RawRpc>,
        incoming: Incoming,
        (message, correlation_id): (Received, u64),
    ) -> Self {
        Self {
            raw,
            incoming,
            is_held: true,
            actual_size: message.size,
            type_id: message.type_id,
            correlation_id,
            message,
        }
    }

    /// The payload, to be read only. See the crate's page on
    /// [what a peer can do to it](crate#what-a-peer-can-do).
    #[inline]
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.message.data()
    }

    /// Who sent it.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.raw.peer()
    }

    /// Number of the caller that sent it, of many; None of a reply, and of a single caller.
    #[must_use]
    pub fn sender(&self) -> Option<u32> {
        let peer = self.raw.sender();
        (peer != 0).then_some(peer)
    }

    /// Releases it, as dropping does. The call of a reply is no longer outstanding then.
    ///
    /// # Errors
    /// `Closed` and the like when the connection has ended meanwhile.
    #[inline]
    pub fn commit(mut self) -> Result<(), TachyonError> {
        self.is_held = false;
        check(self.raw.release(self.incoming))
    }
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
        if self.is_held {
            // Fails only when the connection has ended, which released it.
            self.raw.release(self.incoming);
        }
    }
}

impl fmt::Debug for RpcRxGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcRxGuard")
            .field("is_request", &(self.incoming == Incoming::Request))
            .field("actual_size", &self.actual_size)
            .field("type_id", &self.type_id)
            .field("correlation_id", &self.correlation_id)
            .finish_non_exhaustive()
    }
}
