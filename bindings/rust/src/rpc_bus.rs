// SPDX-License-Identifier: Apache-2.0
//! One end of a connection for remote procedure calls.

use std::fmt;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::time::Duration;

use tachyon_sys as sys;

use crate::error::{check, fail, last};
use crate::received::Received;
use crate::rpc_guard::Outgoing;
use crate::rpc_owner::{Entered, Owner};
use crate::slot::Slot;
use crate::wait::{nanoseconds, try_now, wait, wait_for_ever, FOR_EVER};
use crate::{Options, Peer, RpcRxGuard, RpcStats, RpcTxGuard, State, TachyonError, SPIN_THRESHOLD};

/// One end of a connection for remote procedure calls: the caller, which connects, or the
/// callee, which listens.
///
/// Each call has a correlation id; ids start at 1 and grow by 1. Any number of calls may be
/// outstanding and replies may come in any order: one that is not awaited yet is kept.
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
    raw: NonNull<sys::tachyon_rpc_bus_t>,
    owner: Owner,
    sending: Slot,
    receiving: Slot,
    /// The same for as long as the handle lives, once it has been made.
    descriptor: OnceLock<RawFd>,
}

// SAFETY: the library lets any thread use a handle as long as one does at a time, which
// `owner` sees to. Guards stay in their thread.
unsafe impl Send for RpcBus {}
// SAFETY: what is not safe to call from several threads at once, and the slots, are only
// touched by the thread that has entered `owner`.
unsafe impl Sync for RpcBus {}

impl RpcBus {
    /// Takes a handle over.
    ///
    /// # Safety
    /// `raw` is open and nobody else's.
    pub(crate) unsafe fn from_raw(raw: NonNull<sys::tachyon_rpc_bus_t>) -> Self {
        Self {
            raw,
            owner: Owner::default(),
            sending: Slot::default(),
            receiving: Slot::default(),
            descriptor: OnceLock::new(),
        }
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut sys::tachyon_rpc_bus_t {
        self.raw.as_ptr()
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
        // SAFETY: the handle is open; any thread may call this.
        unsafe { sys::tachyon_rpc_set_polling_mode(self.as_ptr(), i32::from(pure_spin)) }
    }

    /// Largest payload that this end can send: a caller's request, a callee's reply.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        // SAFETY: the handle is open; what is read never changes.
        unsafe { sys::tachyon_rpc_max_payload(self.as_ptr()) }
    }

    // ---- Sending ----

    /// Takes the handle for this thread, with no [`RpcTxGuard`] alive: sending would
    /// replace its reservation.
    #[inline]
    fn enter_to_send(&self) -> Result<Entered<'_>, TachyonError> {
        let entered = self.owner.enter()?;
        self.sending.must_be_free("RpcTxGuard")?;
        Ok(entered)
    }

    /// Reserves room for a request of up to `max_size` bytes, without waiting.
    ///
    /// # Errors
    /// `BufferFull` at once when there is no room; `InvalidSize` when it can never fit;
    /// `Busy` while an [`RpcTxGuard`] is alive, while another thread uses the handle, or on
    /// a callee; `Closed`, `PeerDead`, `Corrupt`, `Forked`.
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
        let entered = self.enter_to_send()?;
        let slot = wait(timeout, |ns| {
            // SAFETY: the handle is open and this thread's, with no reservation to replace.
            let slot = unsafe {
                sys::tachyon_rpc_acquire_tx_timed(self.as_ptr(), max_size, SPIN_THRESHOLD, ns)
            };
            NonNull::new(slot.cast())
        })?;
        self.sending.take();
        Ok(RpcTxGuard::new(
            self,
            entered,
            Outgoing::Call,
            slot,
            max_size,
        ))
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
        let _entered = self.enter_to_send()?;
        wait(timeout, |ns| {
            let mut correlation_id = 0;
            // SAFETY: the handle is open and this thread's, with no reservation to replace;
            // payload is readable for its length.
            let code = unsafe {
                sys::tachyon_rpc_call_timed(
                    self.as_ptr(),
                    payload.as_ptr().cast(),
                    payload.len(),
                    msg_type,
                    &mut correlation_id,
                    SPIN_THRESHOLD,
                    ns,
                )
            };
            (code == sys::tachyon_error_t_TACHYON_SUCCESS).then_some(correlation_id)
        })
    }

    /// Reserves room for a reply of up to `max_size` bytes, without waiting.
    ///
    /// # Errors
    /// `InvalidSize` when `correlation_id` is 0; as [`acquire_call`](Self::acquire_call)
    /// otherwise, but `Busy` on a caller. Whether that request is waiting for a reply shows
    /// at the commit.
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
    /// (unless `timeout` is zero).
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
        let entered = self.enter_to_send()?;
        let slot = wait(timeout, |ns| {
            // SAFETY: the handle is open and this thread's, with no reservation to replace.
            let slot = unsafe {
                sys::tachyon_rpc_acquire_reply_tx_timed(self.as_ptr(), max_size, SPIN_THRESHOLD, ns)
            };
            NonNull::new(slot.cast())
        })?;
        self.sending.take();
        Ok(RpcTxGuard::new(
            self,
            entered,
            Outgoing::Reply(correlation_id),
            slot,
            max_size,
        ))
    }

    /// Answers a request (copied) without waiting.
    ///
    /// # Errors
    /// `InvalidSize` when no such request is waiting for a reply, such as a second reply to
    /// one; otherwise as [`acquire_reply`](Self::acquire_reply). Nothing is sent then.
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
    /// is zero).
    #[inline]
    pub fn reply_timeout(
        &self,
        correlation_id: u64,
        payload: &[u8],
        msg_type: u32,
        timeout: Duration,
    ) -> Result<(), TachyonError> {
        let _entered = self.enter_to_send()?;
        wait(timeout, |ns| {
            // SAFETY: the handle is open and this thread's, with no reservation to replace;
            // payload is readable for its length.
            let code = unsafe {
                sys::tachyon_rpc_reply_timed(
                    self.as_ptr(),
                    correlation_id,
                    payload.as_ptr().cast(),
                    payload.len(),
                    msg_type,
                    SPIN_THRESHOLD,
                    ns,
                )
            };
            (code == sys::tachyon_error_t_TACHYON_SUCCESS).then_some(())
        })
    }

    #[inline]
    pub(crate) fn sending(&self) -> &Slot {
        &self.sending
    }

    // ---- Receiving ----

    /// Takes the handle for this thread, with no [`RpcRxGuard`] alive.
    #[inline]
    fn enter_to_receive(&self) -> Result<Entered<'_>, TachyonError> {
        let entered = self.owner.enter()?;
        self.receiving.must_be_free("RpcRxGuard")?;
        Ok(entered)
    }

    /// Waits for the reply to one call, for ever: looks `spin_threshold` times, then
    /// sleeps. A signal does not end it.
    ///
    /// # Errors
    /// `InvalidSize` when no such call is outstanding; `Closed` or `PeerDead` when the
    /// callee is gone; `Busy` while an [`RpcRxGuard`] is alive, while another thread uses
    /// the handle, or on a callee; `Corrupt`, `Forked`.
    #[inline]
    pub fn wait(
        &self,
        correlation_id: u64,
        spin_threshold: u32,
    ) -> Result<RpcRxGuard<'_>, TachyonError> {
        let entered = self.enter_to_receive()?;
        let reply = wait_for_ever(|ns| self.look_for_reply(correlation_id, spin_threshold, ns))?;
        Ok(self.rx_guard(entered, reply, correlation_id, false))
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
        let entered = self.enter_to_receive()?;
        let reply = wait(timeout, |ns| {
            self.look_for_reply(correlation_id, spin_threshold, ns)
        })?;
        Ok(self.rx_guard(entered, reply, correlation_id, false))
    }

    /// The reply to one call if it is there now.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    #[inline]
    pub fn try_wait(&self, correlation_id: u64) -> Result<Option<RpcRxGuard<'_>>, TachyonError> {
        let entered = self.enter_to_receive()?;
        let reply = try_now(|ns| self.look_for_reply(correlation_id, 0, ns))?;
        Ok(reply.map(|reply| self.rx_guard(entered, reply, correlation_id, false)))
    }

    /// Waits for the reply that comes first, to any outstanding call, for ever; the guard's
    /// `correlation_id` tells which call that is. A signal does not end it.
    ///
    /// # Errors
    /// As [`wait`](Self::wait); `InvalidSize` when no call is outstanding.
    #[inline]
    pub fn wait_any(&self, spin_threshold: u32) -> Result<RpcRxGuard<'_>, TachyonError> {
        let entered = self.enter_to_receive()?;
        let (reply, id) = wait_for_ever(|ns| self.look_for_any_reply(spin_threshold, ns))?;
        Ok(self.rx_guard(entered, reply, id, false))
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
        let entered = self.enter_to_receive()?;
        let (reply, id) = wait(timeout, |ns| self.look_for_any_reply(spin_threshold, ns))?;
        Ok(self.rx_guard(entered, reply, id, false))
    }

    /// A reply to any outstanding call if one is there now.
    ///
    /// # Errors
    /// As [`wait_any`](Self::wait_any).
    #[inline]
    pub fn try_wait_any(&self) -> Result<Option<RpcRxGuard<'_>>, TachyonError> {
        let entered = self.enter_to_receive()?;
        let reply = try_now(|ns| self.look_for_any_reply(0, ns))?;
        Ok(reply.map(|(reply, id)| self.rx_guard(entered, reply, id, false)))
    }

    #[inline]
    fn look_for_any_reply(&self, spin_threshold: u32, timeout_ns: i64) -> Option<(Received, u64)> {
        let (mut correlation_id, mut size, mut type_id) = (0, 0, 0);
        // SAFETY: the handle is open and this thread's.
        let payload = unsafe {
            sys::tachyon_rpc_wait_any(
                self.as_ptr(),
                &mut correlation_id,
                &mut size,
                &mut type_id,
                spin_threshold,
                timeout_ns,
            )
        };
        Received::new(payload, size, type_id).map(|reply| (reply, correlation_id))
    }

    #[inline]
    fn look_for_reply(
        &self,
        correlation_id: u64,
        spin_threshold: u32,
        timeout_ns: i64,
    ) -> Option<Received> {
        let (mut size, mut type_id) = (0, 0);
        // SAFETY: the handle is open and this thread's.
        let payload = unsafe {
            sys::tachyon_rpc_wait_timed(
                self.as_ptr(),
                correlation_id,
                &mut size,
                &mut type_id,
                spin_threshold,
                timeout_ns,
            )
        };
        Received::new(payload, size, type_id)
    }

    /// Gives a call up; its reply will be dropped.
    ///
    /// # Errors
    /// `InvalidSize` when no such call is outstanding; `Busy` while its reply is held, while
    /// another thread uses the handle, or on a callee.
    pub fn cancel(&self, correlation_id: u64) -> Result<(), TachyonError> {
        let _entered = self.owner.enter()?;
        // SAFETY: the handle is open and this thread's.
        check(unsafe { sys::tachyon_rpc_cancel(self.as_ptr(), correlation_id) })
    }

    /// Waits for the next request: looks `spin_threshold` times, then sleeps.
    ///
    /// # Errors
    /// `Interrupted` by a signal, so that a server can look whether it is to stop; `Closed`
    /// when the caller has closed and every request has been served, `PeerDead` when it died
    /// instead; `Busy` while an [`RpcRxGuard`] is alive, while another thread uses the
    /// handle, or on a caller; `OutOfMemory`, `Corrupt`, `Forked`.
    #[inline]
    pub fn serve(&self, spin_threshold: u32) -> Result<RpcRxGuard<'_>, TachyonError> {
        self.serve_ns(spin_threshold, FOR_EVER)
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
        self.serve_ns(spin_threshold, nanoseconds(timeout))
    }

    #[inline]
    fn serve_ns(
        &self,
        spin_threshold: u32,
        timeout_ns: i64,
    ) -> Result<RpcRxGuard<'_>, TachyonError> {
        let entered = self.enter_to_receive()?;
        match self.look_for_request(spin_threshold, timeout_ns) {
            Some((request, id)) => Ok(self.rx_guard(entered, request, id, true)),
            None => Err(last()),
        }
    }

    /// The next request if it is there now.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    #[inline]
    pub fn try_serve(&self) -> Result<Option<RpcRxGuard<'_>>, TachyonError> {
        let entered = self.enter_to_receive()?;
        let request = try_now(|ns| self.look_for_request(0, ns))?;
        Ok(request.map(|(request, id)| self.rx_guard(entered, request, id, true)))
    }

    #[inline]
    fn look_for_request(&self, spin_threshold: u32, timeout_ns: i64) -> Option<(Received, u64)> {
        let (mut correlation_id, mut type_id, mut size) = (0, 0, 0);
        // SAFETY: the handle is open and this thread's.
        let payload = unsafe {
            sys::tachyon_rpc_serve_timed(
                self.as_ptr(),
                &mut correlation_id,
                &mut type_id,
                &mut size,
                spin_threshold,
                timeout_ns,
            )
        };
        Received::new(payload, size, type_id).map(|request| (request, correlation_id))
    }

    #[inline]
    fn rx_guard<'a>(
        &'a self,
        entered: Entered<'a>,
        message: Received,
        correlation_id: u64,
        is_request: bool,
    ) -> RpcRxGuard<'a> {
        self.receiving.take();
        RpcRxGuard::new(self, entered, message, correlation_id, is_request)
    }

    #[inline]
    pub(crate) fn receiving(&self) -> &Slot {
        &self.receiving
    }

    #[inline]
    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }

    #[inline]
    pub(crate) fn known_descriptor(&self) -> &OnceLock<RawFd> {
        &self.descriptor
    }

    // ---- Looking, closing ----

    /// State of the connection; asks the kernel whether the peer is still there.
    #[must_use]
    pub fn state(&self) -> State {
        // SAFETY: the handle is open; any thread may call this.
        State::from_raw(unsafe { sys::tachyon_rpc_get_state(self.as_ptr()) })
    }

    /// [`state`](Self::state) with the reason.
    ///
    /// # Errors
    /// `Closed` or `PeerDead` when disconnected; `Corrupt` or `Forked` when the state is
    /// fatal.
    pub fn check(&self) -> Result<(), TachyonError> {
        match self.state() {
            State::Ready => Ok(()),
            _ => Err(last()),
        }
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> Peer {
        let mut peer = sys::tachyon_peer_t {
            pid: 0,
            uid: 0,
            gid: 0,
        };
        // SAFETY: the handle is open; what is read never changes. Only a NULL makes this
        // fail.
        unsafe { sys::tachyon_rpc_get_peer(self.as_ptr(), &mut peer) };
        Peer::from_raw(peer)
    }

    /// Counters of this end since it was opened.
    ///
    /// # Errors
    /// `Busy` while another thread uses the handle.
    pub fn stats(&self) -> Result<RpcStats, TachyonError> {
        let _entered = self.owner.enter()?;
        let mut stats = MaybeUninit::zeroed();
        // SAFETY: the handle is open and this thread's; only a NULL makes this fail, and
        // zeros are valid counters.
        let stats = unsafe {
            sys::tachyon_rpc_get_stats(self.as_ptr(), stats.as_mut_ptr());
            stats.assume_init()
        };
        Ok(RpcStats::from_raw(stats))
    }

    /// Ends the connection, from any thread: a call that is waiting returns, and it and
    /// every later one that finds no room or no message fails with
    /// [`TachyonError::Closed`]. What guards hold stays readable. Dropping the handle does
    /// the same.
    pub fn close(&self) {
        // SAFETY: the handle is open; any thread may call this. The memory stays mapped, so
        // guards stay valid.
        unsafe { sys::tachyon_rpc_close(self.as_ptr()) };
    }
}

impl Drop for RpcBus {
    fn drop(&mut self) {
        // SAFETY: the handle is ours, and guards and calls borrow it, so there is none.
        unsafe { sys::tachyon_rpc_destroy(self.as_ptr()) }
    }
}

impl fmt::Debug for RpcBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcBus")
            .field("peer", &self.peer())
            .finish_non_exhaustive()
    }
}
