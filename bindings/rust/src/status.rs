// SPDX-License-Identifier: Apache-2.0
//! Looking at a connection.

use tachyon_sys as sys;

/// State of a connection as this end sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Usable. A receiving end stays so until everything has been delivered.
    Ready,
    /// The peer, or this end, has closed.
    Disconnected,
    /// The peer died, gave up or corrupted the ring, or the handle belongs to the parent
    /// process.
    FatalError,
}

impl State {
    pub(crate) fn from_raw(state: sys::tachyon_state_t) -> Self {
        match state {
            sys::tachyon_state_t_TACHYON_STATE_READY => Self::Ready,
            sys::tachyon_state_t_TACHYON_STATE_DISCONNECTED => Self::Disconnected,
            // The states before READY belong to no handle that the library gives out.
            _ => Self::FatalError,
        }
    }
}

/// Who is at the other end, as the kernel said at the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Peer {
    /// Process id; None when it lives in a pid namespace that this process cannot see.
    pub pid: Option<u32>,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Peer {
    /// In place of who is at the other end: no user has this id, least of all root.
    pub(crate) const NOBODY: sys::tachyon_peer_t = sys::tachyon_peer_t {
        pid: 0,
        uid: u32::MAX,
        gid: u32::MAX,
    };

    pub(crate) fn from_raw(peer: sys::tachyon_peer_t) -> Self {
        Self {
            pid: u32::try_from(peer.pid).ok().filter(|&pid| pid != 0),
            uid: peer.uid,
            gid: peer.gid,
        }
    }
}

/// Counters of one end of a [`Bus`](crate::Bus) since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes of the ring.
    pub capacity: u64,
    /// Bytes of it that this end knows to be in use.
    pub used: u64,
    /// Messages that a producer committed or a consumer released.
    pub messages: u64,
    /// Bytes of ring they took, headers and padding included.
    pub ring_bytes: u64,
    /// Times that a producer published.
    pub flushes: u64,
    /// Times that a producer looked and found no room.
    pub full: u64,
    /// Times that this end went to sleep.
    pub sleeps: u64,
    /// Times that this end woke its peer.
    pub wakes: u64,
}

impl Stats {
    pub(crate) fn from_raw(stats: sys::tachyon_stats_t) -> Self {
        Self {
            capacity: stats.capacity,
            used: stats.used,
            messages: stats.messages,
            ring_bytes: stats.ring_bytes,
            flushes: stats.flushes,
            full: stats.full,
            sleeps: stats.sleeps,
            wakes: stats.wakes,
        }
    }
}

/// Counters of one end of an [`RpcBus`](crate::RpcBus) since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RpcStats {
    /// Requests that a caller sent or a callee took.
    pub calls: u64,
    /// Replies that a caller was handed or a callee sent.
    pub replies: u64,
    /// Caller: replies to calls that were not outstanding, such as cancelled ones.
    pub dropped: u64,
    /// Caller: replies that were copied because another one was awaited.
    pub kept: u64,
    /// Calls without a reply so far.
    pub outstanding: u64,
}

impl RpcStats {
    pub(crate) fn from_raw(stats: sys::tachyon_rpc_stats_t) -> Self {
        Self {
            calls: stats.calls,
            replies: stats.replies,
            dropped: stats.dropped,
            kept: stats.kept,
            outstanding: stats.outstanding,
        }
    }
}
