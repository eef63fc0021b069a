// SPDX-License-Identifier: Apache-2.0
//! One end of a connection for remote procedure calls.

use std::fmt;
use std::os::fd::RawFd;
use std::sync::OnceLock;
use std::time::Duration;

use crate::error::{check, fail};
use crate::raw::{Dropping, Incoming, Outgoing, RawRpc, RpcHandle};
use crate::rpc_owner::{Entered, Owner};
use crate::wait::{try_now, wait, Room};
use crate::{Options, Peer, RpcRxGuard, RpcStats, RpcTxGuard, State, TachyonError};

/// One end of a connection for remote procedure calls: the caller, which connects, or the
/// callee, which listens.
///
/// Each call has a correlation id; ids start at 1 and grow by 1. Any number of calls may be
/// outstanding and replies may come in any order: one that is not awaited yet is kept.
///
/// With [`Options::max_peers`](crate::Options::max_peers) a callee serves many callers, whose
/// requests come by turns: see [one listener, many peers](crate#one-listener-many-peers). The
/// ids that it sees are its own then, the same for no two requests; a reply goes to the caller
/// whose request it answers. That a caller has left is no error of the handle, but an
/// [`Event`](crate::Event), and the outcome of a reply to it.
///
/// A handle may be shared between threads, but one at a time uses it: from the moment that
/// a thread enters a call or gets a guard until the last of them has ended, calls of other
/// threads fail with [`TachyonError::Busy`]. One [`RpcTxGuard`] and one [`RpcRxGuard`] may
/// be alive at a time; the next is `Busy` too. A guard that is forgotten
/// ([`std::mem::forget`]) keeps the handle so for good.
///
/// ```
/// use std::time::Duration;
/// use tachyon_ipc::{Options, RpcBus, TachyonError};
///
/// let path = format!("@rpc-example-{}", std::process::id());
/// let listen = path.clone();
/// let callee = std::thread::spawn(move || {
///     let bus = RpcBus::listen(&listen, 1 << 16, 1 << 16)?;
///     loop {
///         match bus.serve(10_000) {
///             Ok(request) => {
///                 let answer = request.data().to_ascii_uppercase();
///                 bus.reply(request.correlation_id, &answer, request.type_id)?;
///             } // dropping the request releases it
///             Err(TachyonError::Closed) => return Ok::<(), TachyonError>(()),
///             Err(error) => return Err(error),
///         }
///     }
/// });
///
/// let caller = RpcBus::connect_timeout(&path, Duration::from_secs(5))?;
/// let first = caller.call(b"hello", 7)?;
/// let second = caller.call(b"world", 7)?;
/// let reply = caller.wait_timeout(second, 10_000, Duration::from_secs(5))?;
/// assert_eq!(reply.data(), b"WORLD");
/// drop(reply);
/// assert_eq!(caller.wait(first, 10_000)?.data(), b"HELLO");
///
/// drop(caller);
/// callee.join().unwrap()?;
/// # Ok::<(), TachyonError>(())
/// ```
///
/// Guards stay in their thread:
///
/// ```compile_fail,E0277
/// fn send_away(bus: &tachyon_ipc::RpcBus) {
///     let guard = bus.acquire_call(8).unwrap();
///     std::thread::scope(|scope| { scope.spawn(move || drop(guard)); });
/// }
/// ```
pub struct RpcBus {
    /// What any thread may do at any time.
    pub(crate) handle: RpcHandle,
    pub(crate) calls: Owner<RawRpc>,
    /// Who is at the other end, as of the beginning.
    peer: Peer,
    /// The same for as long as the handle lives, once it has been made.
    pub(crate) known_descriptor: OnceLock<RawFd>,
    dropping: Dropping,
}

impl RpcBus {
    pub(crate) fn new(raw: RawRpc) -> Self {
        Self {
            handle: raw.handle.clone(),
            peer: raw.peer(),
            calls: Owner::new(raw),
            known_descriptor: OnceLock::new(),
            dropping: Dropping::new(),
        }
    }

    /// Waits for a caller, for ever, with `cap_fwd` bytes of ring for requests and
    /// `cap_rev` for replies. [`Options::rpc_listen`] has the details.
    ///
    /// # Errors
    /// As [`Options::rpc_listen`].
    pub fn listen(socket_path: &str, cap_fwd: usize, cap_rev: usize) -> Result<Self, TachyonError> {
        Options::new().rpc_listen(socket_path, cap_fwd, cap_rev)
    }

    /// [`listen`](Self::listen) with a time-out.
    ///
    /// # Errors
    /// As [`Options::rpc_listen`]; [`TachyonError::Timeout`].
    pub fn listen_timeout(
        socket_path: &str,
        cap_fwd: usize,
        cap_rev: usize,
        timeout: Duration,
    ) -> Result<Self, TachyonError> {
        let options = Options::new().timeout(timeout);
        options.rpc_listen(socket_path, cap_fwd, cap_rev)
    }

    /// Attaches to a callee, in one try. [`Options::rpc_connect`] has the details.
    ///
    /// # Errors
    /// As [`Options::rpc_connect`]; [`TachyonError::AbiMismatch`] when a plain bus listens.
    pub fn connect(socket_path: &str) -> Result<Self, TachyonError> {
        Options::new().rpc_connect(socket_path)
    }

    /// [`connect`](Self::connect) that goes on trying while nobody listens.
    ///
    /// # Errors
    /// As [`Options::rpc_connect`]; [`TachyonError::Timeout`].
    pub fn connect_timeout(socket_path: &str, timeout: Duration) -> Result<Self, TachyonError> {
        Options::new().timeout(timeout).rpc_connect(socket_path)
    }

    /// Chooses how this end waits: false (the default) spins, then sleeps; true only spins.
    pub fn set_polling_mode(&self, pure_spin: bool) {
        self.handle.set_polling_mode(pure_spin);
    }

    /// Largest payload that this end can send: a caller's request, a callee's reply.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.handle.max_payload()
    }

    // ---- Sending ----

    /// Takes the handle for this thread, with no [`RpcTxGuard`] alive: sending would
    /// replace its reservation.
    #[inline]
    fn enter_to_send(&self) -> Result<Entered<'_, RawRpc>, TachyonError> {
        let raw = self.calls.enter()?;
        raw.may_send()?;
        Ok(raw)
    }

    #[inline]
    fn acquire(
        &self,
        outgoing: Outgoing,
        max_size: usize,
        timeout: Duration,
    ) -> Result<RpcTxGuard<'_>, TachyonError> {
        let raw = self.enter_to_send()?;
        let slot = wait(timeout, &Room(max_size), |ns| {
            raw.reserve(outgoing, max_size, ns)
        })?;
        Ok(RpcTxGuard::new(raw, outgoing, slot))
    }

    /// Reserves room for a request of up to `max_size` bytes, without waiting.
    ///
    /// # Errors
    /// `BufferFull` at once when there is no room; `InvalidSize` when it can never fit;
    /// `Busy` while an [`RpcTxGuard`] is alive, while another thread uses the handle, or on
    /// a callee; `Closed`, `Aborted`, `PeerDead`, `Corrupt`, `Forked`.
    #[inline]
    pub fn acquire_call(&self, max_size: usize) -> Result<RpcTxGuard<'_>, TachyonError> {
        self.acquire_call_timeout(max_size, Duration::ZERO)
    }

    /// [`acquire_call`](Self::acquire_call) that waits for room; a zero `timeout` does not,
    /// [`Duration::MAX`] waits for ever.
    ///
    /// # Errors
    /// As [`acquire_call`](Self::acquire_call), but `Timeout` instead of `BufferFull`
    /// (unless `timeout` is zero).
    #[inline]
    pub fn acquire_call_timeout(
        &self,
        max_size: usize,
        timeout: Duration,
    ) -> Result<RpcTxGuard<'_>, TachyonError> {
        self.acquire(Outgoing::Call, max_size, timeout)
    }

    /// Sends a request (copied) without waiting, and returns its correlation id.
    ///
    /// # Errors
    /// As [`acquire_call`](Self::acquire_call). Nothing is sent then.
    #[inline]
    pub fn call(&self, payload: &[u8], msg_type: u32) -> Result<u64, TachyonError> {
        self.call_timeout(payload, msg_type, Duration::ZERO)
    }

    /// [`call`](Self::call) that waits for room; a zero `timeout` does not,
    /// [`Duration::MAX`] waits for ever. The time-out is for sending, not for the reply.
    ///
    /// # Errors
    /// As [`acquire_call_timeout`](Self::acquire_call_timeout). Nothing is sent then.
    #[inline]
    pub fn call_timeout(
        &self,
        payload: &[u8],
        msg_type: u32,
        timeout: Duration,
    ) -> Result<u64, TachyonError> {
        let raw = self.enter_to_send()?;
        wait(timeout, &Room(payload.len()), |ns| {
            raw.call(payload, msg_type, ns)
        })
    }

    /// Reserves room for a reply of up to `max_size` bytes, without waiting.
    ///
    /// # Errors
    /// `InvalidSize` when `correlation_id` is 0; as [`acquire_call`](Self::acquire_call)
    /// otherwise, but `Busy` on a caller. Whether that request is waiting for a reply shows
    /// at the commit. With many callers the room is that of the one whose request was taken
    /// last, and a reply to another is copied at the commit; `OutOfMemory`.
    #[inline]
    pub fn acquire_reply(
        &self,
        correlation_id: u64,
        max_size: usize,
    ) -> Result<RpcTxGuard<'_>, TachyonError> {
        self.acquire_reply_timeout(correlation_id, max_size, Duration::ZERO)
    }

    /// [`acquire_reply`](Self::acquire_reply) that waits for room; a zero `timeout` does
    /// not, [`Duration::MAX`] waits for ever.
    ///
    /// # Errors
    /// As [`acquire_reply`](Self::acquire_reply), but `Timeout` instead of `BufferFull`
    /// (unless `timeout` is zero); `Interrupted` by a signal, as [`serve`](Self::serve).
    #[inline]
    pub fn acquire_reply_timeout(
        &self,
        correlation_id: u64,
        max_size: usize,
        timeout: Duration,
    ) -> Result<RpcTxGuard<'_>, TachyonError> {
        if correlation_id == 0 {
            let text = "no request 0 is outstanding: correlation ids start at 1";
            return Err(fail(TachyonError::InvalidSize, text));
        }
        self.acquire(Outgoing::Reply(correlation_id), max_size, timeout)
    }

    /// Answers a request (copied) without waiting.
    ///
    /// # Errors
    /// `InvalidSize` when no such request is waiting for a reply, such as a second reply to
    /// one; otherwise as [`acquire_reply`](Self::acquire_reply). Nothing is sent then. With
    /// many callers `BufferFull` is of this one, and `Closed`, `Aborted`, `PeerDead` and
    /// `Corrupt` say how it has left: the request needs no reply any more.
    #[inline]
    pub fn reply(
        &self,
        correlation_id: u64,
        payload: &[u8],
        msg_type: u32,
    ) -> Result<(), TachyonError> {
        self.reply_timeout(correlation_id, payload, msg_type, Duration::ZERO)
    }

    /// [`reply`](Self::reply) that waits for room; a zero `timeout` does not,
    /// [`Duration::MAX`] waits for ever.
    ///
    /// # Errors
    /// As [`reply`](Self::reply), but `Timeout` instead of `BufferFull` (unless `timeout`
    /// is zero); `Interrupted` by a signal, as [`serve`](Self::serve).
    #[inline]
    pub fn reply_timeout(
        &self,
        correlation_id: u64,
        payload: &[u8],
        msg_type: u32,
        timeout: Duration,
    ) -> Result<(), TachyonError> {
        let raw = self.enter_to_send()?;
        wait(timeout, &Room(payload.len()), |ns| {
            raw.reply(correlation_id, payload, msg_type, ns)
        })
    }

    // ---- Receiving ----

    /// Takes the handle for this thread, with no [`RpcRxGuard`] alive.
    #[inline]
    fn enter_to_receive(&self) -> Result<Entered<'_, RawRpc>, TachyonError> {
        let raw = self.calls.enter()?;
        raw.may_receive()?;
        Ok(raw)
    }

    #[inline]
    fn receive(
        &self,
        what: Incoming,
        spin_threshold: u32,
        timeout: Duration,
    ) -> Result<RpcRxGuard<'_>, TachyonError> {
        let raw = self.enter_to_receive()?;
        let message = wait(timeout, &what, |ns| raw.receive(what, spin_threshold, ns))?;
        Ok(RpcRxGuard::new(raw, what, message))
    }

    #[inline]
    fn try_receive(&self, what: Incoming) -> Result<Option<RpcRxGuard<'_>>, TachyonError> {
        let raw = self.enter_to_receive()?;
        let message = try_now(|ns| raw.receive(what, 0, ns))?;
        Ok(message.map(|message| RpcRxGuard::new(raw, what, message)))
    }

    /// Waits for the reply to one call, for ever: looks `spin_threshold` times, then
    /// sleeps. A signal does not end it.
    ///
    /// # Errors
    /// `InvalidSize` when no such call is outstanding; `Closed`, `Aborted` or `PeerDead` when
    /// the callee is gone; `Busy` while an [`RpcRxGuard`] is alive, while another thread uses
    /// the handle, or on a callee; `Corrupt`, `Forked`.
    #[inline]
    pub fn wait(
        &self,
        correlation_id: u64,
        spin_threshold: u32,
    ) -> Result<RpcRxGuard<'_>, TachyonError> {
        self.wait_timeout(correlation_id, spin_threshold, Duration::MAX)
    }

    /// [`wait`](Self::wait) with a time-out; zero is a single look. The call stays
    /// outstanding: wait again, or [`cancel`](Self::cancel) it.
    ///
    /// # Errors
    /// As [`wait`](Self::wait); `Timeout`, or `BufferEmpty` when `timeout` is zero.
    #[inline]
    pub fn wait_timeout(
        &self,
        correlation_id: u64,
        spin_threshold: u32,
        timeout: Duration,
    ) -> Result<RpcRxGuard<'_>, TachyonError> {
        self.receive(Incoming::ReplyTo(correlation_id), spin_threshold, timeout)
    }

    /// The reply to one call if it is there now.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    #[inline]
    pub fn try_wait(&self, correlation_id: u64) -> Result<Option<RpcRxGuard<'_>>, TachyonError> {
        self.try_receive(Incoming::ReplyTo(correlation_id))
    }

    /// Waits for the reply that comes first, to any outstanding call, for ever; the guard's
    /// `correlation_id` tells which call that is. A signal does not end it.
    ///
    /// # Errors
    /// As [`wait`](Self::wait); `InvalidSize` when no call is outstanding.
    #[inline]
    pub fn wait_any(&self, spin_threshold: u32) -> Result<RpcRxGuard<'_>, TachyonError> {
        self.wait_any_timeout(spin_threshold, Duration::MAX)
    }

    /// [`wait_any`](Self::wait_any) with a time-out; zero is a single look.
    ///
    /// # Errors
    /// As [`wait_any`](Self::wait_any); `Timeout`, or `BufferEmpty` when `timeout` is zero.
    #[inline]
    pub fn wait_any_timeout(
        &self,
        spin_threshold: u32,
        timeout: Duration,
    ) -> Result<RpcRxGuard<'_>, TachyonError> {
        self.receive(Incoming::AnyReply, spin_threshold, timeout)
    }

    /// A reply to any outstanding call if one is there now.
    ///
    /// # Errors
    /// As [`wait_any`](Self::wait_any).
    #[inline]
    pub fn try_wait_any(&self) -> Result<Option<RpcRxGuard<'_>>, TachyonError> {
        self.try_receive(Incoming::AnyReply)
    }

    /// Gives a call up; its reply will be dropped.
    ///
    /// # Errors
    /// `InvalidSize` when no such call is outstanding; `Busy` while its reply is held, while
    /// another thread uses the handle, or on a callee.
    pub fn cancel(&self, correlation_id: u64) -> Result<(), TachyonError> {
        check(self.calls.enter()?.cancel(correlation_id))
    }

    /// Waits for the next request: looks `spin_threshold` times, then sleeps.
    ///
    /// # Errors
    /// `Interrupted` by a signal, so that a server can look whether it is to stop; `Closed`
    /// when the caller has closed and every request has been served, `Aborted` when it gave
    /// up instead, `PeerDead` when it died, none of them with many callers; `Busy` while an [`RpcRxGuard`] is alive, while another thread uses the
    /// handle, or on a caller; `OutOfMemory`, `Corrupt`, `Forked`.
    #[inline]
    pub fn serve(&self, spin_threshold: u32) -> Result<RpcRxGuard<'_>, TachyonError> {
        self.serve_timeout(spin_threshold, Duration::MAX)
    }

    /// [`serve`](Self::serve) with a time-out; zero is a single look.
    ///
    /// # Errors
    /// As [`serve`](Self::serve); `Timeout`, or `BufferEmpty` when `timeout` is zero.
    #[inline]
    pub fn serve_timeout(
        &self,
        spin_threshold: u32,
        timeout: Duration,
    ) -> Result<RpcRxGuard<'_>, TachyonError> {
        self.receive(Incoming::Request, spin_threshold, timeout)
    }

    /// The next request if it is there now.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    #[inline]
    pub fn try_serve(&self) -> Result<Option<RpcRxGuard<'_>>, TachyonError> {
        self.try_receive(Incoming::Request)
    }

    // ---- Looking, closing ----

    /// State of the connection; asks the kernel whether the peer is still there.
    #[must_use]
    pub fn state(&self) -> State {
        self.handle.state()
    }

    /// [`state`](Self::state) with the reason.
    ///
    /// # Errors
    /// `Closed`, `Aborted`, `PeerDead`, `Corrupt` or `Forked`.
    pub fn check(&self) -> Result<(), TachyonError> {
        self.handle.check()
    }

    /// Who is at the other end; in place of many callers one without a process, whose ids
    /// are `u32::MAX`: [`RpcRxGuard::peer`] says whose a request is.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Counters of this end since it was opened.
    ///
    /// # Errors
    /// `Busy` while another thread uses the handle.
    pub fn stats(&self) -> Result<RpcStats, TachyonError> {
        Ok(self.calls.enter()?.stats())
    }

    /// Ends the connection, from any thread: a call that is waiting returns, and it and
    /// every later one that finds no room or no message fails with
    /// [`TachyonError::Closed`]. What guards hold stays readable. Dropping the handle does
    /// the same.
    ///
    /// The first of `close` and [`abort`](Self::abort) counts.
    pub fn close(&self) {
        self.handle.close();
    }

    /// [`close`](Self::close) for an end that has failed: the peer, caller or callee, gets
    /// what was sent, and then [`TachyonError::Aborted`]. A handle that is dropped while
    /// its thread panics does this by itself.
    pub fn abort(&self) {
        self.handle.abort();
    }

    /// [`Bus::set_abort_on_drop`](crate::Bus::set_abort_on_drop).
    pub fn set_abort_on_drop(&self, abort: bool) {
        self.dropping.set_aborts(abort);
    }
}

impl Drop for RpcBus {
    fn drop(&mut self) {
        if self.dropping.is_failure() {
            self.abort();
        }
    }
}

impl fmt::Debug for RpcBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcBus")
            .field("peer", &self.peer())
            .finish_non_exhaustive()
    }
}
