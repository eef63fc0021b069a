// SPDX-License-Identifier: Apache-2.0
//! The library's handles: every call of it that takes one is made here.
//!
//! A handle is open as long as one of its owners lives, so what is called here is called on
//! an open one. The calls are safe in themselves, since arguments that are pointers come
//! from references or slices. What they hand out, [`Reserved`] and [`Received`] memory, is
//! a guard's.

use std::cell::Cell;
use std::ffi::CStr;
use std::fmt;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tachyon_sys as sys;

use crate::error::{last, last_code};
use crate::guards::{OneGuard, Received, Reserved};
use crate::held::Held;
use crate::{
    Event, Interrupter, Peer, PeerInfo, Position, RpcStats, State, Stats, TachyonError,
    SPIN_THRESHOLD as SPIN,
};

pub(crate) type Code = sys::tachyon_error_t;
pub(crate) type View = sys::tachyon_msg_view_t;
pub(crate) const SUCCESS: Code = sys::tachyon_error_t_TACHYON_SUCCESS;

/// What `open` makes.
fn new_handle<T>(open: impl FnOnce(*mut *mut T) -> Code) -> Result<NonNull<T>, Code> {
    let mut raw = ptr::null_mut();
    match open(&mut raw) {
        SUCCESS => Ok(NonNull::new(raw).expect("a success comes with a handle")),
        code => Err(code),
    }
}

/// What any thread may do with a listener that has many peers.
pub(crate) trait Listens: Send + Sync + UnwindSafe + RefUnwindSafe {
    /// What has happened to a peer; None for an error that the library reports.
    fn accept(&self, ns: i64) -> Option<Event>;
    fn peers(&self) -> Result<Vec<PeerInfo>, TachyonError>;
    fn drop_peer(&self, peer: u32) -> Code;
}

/// An owner of a handle, with all that any thread may do at any time.
macro_rules! handle {
    ($Handle:ident of $raw:ident:
     $reference:ident, $destroy:ident, $close:ident, $abort:ident,
     $get_state:ident, $max_payload:ident, $set_polling_mode:ident,
     $accept:ident, $get_peers:ident, $drop_peer:ident) => {
        pub(crate) struct $Handle {
            raw: NonNull<sys::$raw>,
            /// Lives as long as the handle, whose waits poll its descriptor.
            interrupter: Option<Interrupter>,
        }

        // SAFETY: the library lets any thread do at any time what can be done with a shared
        // handle, and what else is done needs a `Raw...`, which is not shared.
        unsafe impl Send for $Handle {}
        // SAFETY: as above.
        unsafe impl Sync for $Handle {}

        impl $Handle {
            fn open(
                interrupter: Option<Interrupter>,
                open: impl FnOnce(*mut *mut sys::$raw) -> Code,
            ) -> Result<Self, Code> {
                new_handle(open).map(|raw| Self { raw, interrupter })
            }

            #[inline]
            fn as_ptr(&self) -> *mut sys::$raw {
                self.raw.as_ptr()
            }

            pub(crate) fn close(&self) {
                // SAFETY: the handle is open. The memory stays mapped.
                unsafe { sys::$close(self.as_ptr()) }
            }

            pub(crate) fn abort(&self) {
                // SAFETY: the handle is open. The memory stays mapped.
                unsafe { sys::$abort(self.as_ptr()) }
            }

            pub(crate) fn state(&self) -> State {
                // SAFETY: the handle is open.
                State::from_raw(unsafe { sys::$get_state(self.as_ptr()) })
            }

            /// The state with the reason.
            pub(crate) fn check(&self) -> Result<(), TachyonError> {
                match self.state() {
                    State::Ready => Ok(()),
                    _ => Err(last()),
                }
            }

            pub(crate) fn max_payload(&self) -> usize {
                // SAFETY: the handle is open.
                unsafe { sys::$max_payload(self.as_ptr()) }
            }

            pub(crate) fn set_polling_mode(&self, pure_spin: bool) {
                // SAFETY: the handle is open.
                unsafe { sys::$set_polling_mode(self.as_ptr(), i32::from(pure_spin)) }
            }
        }

        impl Listens for $Handle {
            fn accept(&self, ns: i64) -> Option<Event> {
                let mut event = MaybeUninit::uninit();
                // SAFETY: the handle is open. A success fills the event in.
                unsafe {
                    let code = sys::$accept(self.as_ptr(), event.as_mut_ptr(), ns);
                    (code == SUCCESS).then(|| Event::from_raw(&event.assume_init()))
                }
            }

            fn peers(&self) -> Result<Vec<PeerInfo>, TachyonError> {
                let mut peers: Vec<sys::tachyon_peer_info_t> = Vec::new();
                loop {
                    let room = peers.capacity();
                    // SAFETY: the handle is open, and there is room for that many.
                    let count = unsafe { sys::$get_peers(self.as_ptr(), peers.as_mut_ptr(), room) };
                    if count == 0 && last_code() != SUCCESS {
                        return Err(last());
                    }
                    if count <= room {
                        // SAFETY: so many are filled in.
                        unsafe { peers.set_len(count) };
                        return Ok(peers.iter().map(PeerInfo::from_raw).collect());
                    }
                    peers.reserve(count);
                }
            }

            fn drop_peer(&self, peer: u32) -> Code {
                // SAFETY: the handle is open.
                unsafe { sys::$drop_peer(self.as_ptr(), peer) }
            }
        }

        impl Clone for $Handle {
            fn clone(&self) -> Self {
                // SAFETY: the handle is open, and now has one more owner.
                unsafe { sys::$reference(self.as_ptr()) };
                Self {
                    raw: self.raw,
                    interrupter: self.interrupter.clone(),
                }
            }
        }

        impl Drop for $Handle {
            fn drop(&mut self) {
                // SAFETY: gives up the ownership that this was made with.
                unsafe { sys::$destroy(self.as_ptr()) }
            }
        }
    };
}

handle!(BusHandle of tachyon_bus_t:
    tachyon_bus_ref, tachyon_bus_destroy, tachyon_bus_close, tachyon_bus_abort,
    tachyon_get_state, tachyon_max_payload, tachyon_bus_set_polling_mode,
    tachyon_bus_accept, tachyon_bus_get_peers, tachyon_bus_drop_peer);
handle!(RpcHandle of tachyon_rpc_bus_t:
    tachyon_rpc_ref, tachyon_rpc_destroy, tachyon_rpc_close, tachyon_rpc_abort,
    tachyon_rpc_get_state, tachyon_rpc_max_payload, tachyon_rpc_set_polling_mode,
    tachyon_rpc_accept, tachyon_rpc_get_peers, tachyon_rpc_drop_peer);

/// Whether dropping a bus is the end of its stream, or the failure of who had it.
pub(crate) struct Dropping {
    aborts: AtomicBool,
    /// A bus that is opened and dropped while a panic unwinds, such as in a destructor, is
    /// not what has failed.
    opened_in_panic: bool,
}

impl Dropping {
    pub(crate) fn new() -> Self {
        Self {
            aborts: AtomicBool::new(false),
            opened_in_panic: thread::panicking(),
        }
    }

    pub(crate) fn set_aborts(&self, aborts: bool) {
        self.aborts.store(aborts, Ordering::Relaxed);
    }

    pub(crate) fn is_failure(&self) -> bool {
        self.aborts.load(Ordering::Relaxed) || (thread::panicking() && !self.opened_in_panic)
    }
}

/// A [`BusHandle`] with what one thread at a time may do: it is not `Sync`. Methods answer
/// None for an error that the library reports.
pub(crate) struct RawBus {
    pub(crate) handle: BusHandle,
    sending: OneGuard,
    receiving: OneGuard,
    held: Held,
    /// Kept from one batch to the next, so that not each allocates.
    views: Cell<Vec<View>>,
}

// SAFETY: the library lets any thread use a handle as long as one does at a time. A guard
// borrows its bus, which is not Sync, so none stays behind on the other thread, and the
// views that are kept are of no meaning without one.
unsafe impl Send for RawBus {}
// Nothing panics between two writes to its cells.
impl RefUnwindSafe for RawBus {}

impl RawBus {
    fn new(handle: BusHandle) -> Self {
        Self {
            handle,
            sending: OneGuard::default(),
            receiving: OneGuard::default(),
            held: Held::default(),
            views: Cell::default(),
        }
    }

    pub(crate) fn peer(&self) -> Peer {
        let mut peer = Peer::NOBODY;
        // SAFETY: the handle is open and this thread's. This fails only when there is nobody.
        unsafe { sys::tachyon_bus_get_peer(self.handle.as_ptr(), &mut peer) };
        Peer::from_raw(peer)
    }

    pub(crate) fn set_numa_node(&self, node_id: i32) -> Code {
        // SAFETY: the handle is open.
        unsafe { sys::tachyon_bus_set_numa_node(self.handle.as_ptr(), node_id) }
    }

    /// -1 for an error that the library reports.
    pub(crate) fn descriptor(&self) -> RawFd {
        // SAFETY: the handle is open and this thread's.
        unsafe { sys::tachyon_bus_fileno(self.handle.as_ptr()) }
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = MaybeUninit::zeroed();
        // SAFETY: the handle is open and this thread's. Only a NULL makes this fail, and
        // zeros are valid counters.
        Stats::from_raw(unsafe {
            sys::tachyon_bus_get_stats(self.handle.as_ptr(), stats.as_mut_ptr());
            stats.assume_init()
        })
    }

    /// Of the peer whose message was found last; 0 for none.
    #[inline]
    pub(crate) fn sender(&self) -> u32 {
        // SAFETY: the handle is open and this thread's.
        unsafe { sys::tachyon_bus_sender(self.handle.as_ptr()) }
    }

    pub(crate) fn position(&self) -> Result<Position, Code> {
        let Position {
            mut position,
            mut epoch,
        } = Position::default();
        // SAFETY: the handle is open and this thread's.
        match unsafe { sys::tachyon_bus_position(self.handle.as_ptr(), &mut position, &mut epoch) }
        {
            SUCCESS => Ok(Position { position, epoch }),
            code => Err(code),
        }
    }

    /// Borrowed mutably, so no guard is alive: one that seems to be was forgotten.
    #[inline]
    pub(crate) fn forget_guards(&mut self) {
        self.sending.free();
        self.receiving.free();
        self.held.forget();
    }

    // ---- Sending ----

    #[inline]
    pub(crate) fn may_send(&self) -> Result<(), TachyonError> {
        self.sending.must_be_free("TxGuard")
    }

    #[inline]
    pub(crate) fn send(&self, data: &[u8], type_id: u32, ns: i64) -> Option<()> {
        let (bus, start, size) = (self.handle.as_ptr(), data.as_ptr().cast(), data.len());
        // SAFETY: the handle is open and this thread's, data is readable for its length.
        let code = unsafe { sys::tachyon_send(bus, start, size, type_id, SPIN, ns) };
        (code == SUCCESS).then_some(())
    }

    /// How many items of so many bytes were sent.
    pub(crate) fn send_batch(
        &self,
        items: &[u8],
        item_size: usize,
        type_id: u32,
        ns: i64,
    ) -> usize {
        let (bus, start, count) = (
            self.handle.as_ptr(),
            items.as_ptr(),
            items.len() / item_size,
        );
        // SAFETY: the handle is open and this thread's, items is readable for that many.
        unsafe { sys::tachyon_send_batch(bus, start.cast(), item_size, count, type_id, SPIN, ns) }
    }

    #[inline]
    pub(crate) fn reserve(&self, max_size: usize, ns: i64) -> Option<Reserved> {
        // SAFETY: the handle is open and this thread's.
        let slot =
            unsafe { sys::tachyon_acquire_tx_timed(self.handle.as_ptr(), max_size, SPIN, ns) };
        Reserved::new(slot, max_size, &self.sending)
    }

    /// Keeps the reservation when it fails.
    #[inline]
    pub(crate) fn commit(&self, actual_size: usize, type_id: u32) -> Code {
        // SAFETY: the handle is open and this thread's.
        let code = unsafe { sys::tachyon_commit_tx(self.handle.as_ptr(), actual_size, type_id) };
        if code == SUCCESS {
            self.sending.free();
        }
        code
    }

    #[inline]
    pub(crate) fn reserve_batch(
        &self,
        item_size: usize,
        max_count: usize,
        ns: i64,
    ) -> Option<ReservedBatch> {
        let bus = self.handle.as_ptr();
        let (mut len, mut stride) = (0, 0);
        // SAFETY: the handle is open and this thread's.
        let first = unsafe {
            sys::tachyon_acquire_tx_batch(
                bus,
                item_size,
                max_count,
                &mut len,
                &mut stride,
                SPIN,
                ns,
            )
        };
        let first = NonNull::new(first.cast())?;
        self.sending.take();
        Some(ReservedBatch {
            first,
            item_size,
            stride,
            len,
        })
    }

    /// Keeps the reservation when it fails.
    #[inline]
    pub(crate) fn commit_batch(&self, count: usize, type_id: u32) -> Code {
        // SAFETY: the handle is open and this thread's.
        let code = unsafe { sys::tachyon_commit_tx_batch(self.handle.as_ptr(), count, type_id) };
        if code == SUCCESS {
            self.sending.free();
        }
        code
    }

    /// Fails only when the connection has ended, and the reservation with it.
    #[cold]
    pub(crate) fn roll_back(&self) {
        self.sending.free();
        // SAFETY: the handle is open and this thread's.
        unsafe { sys::tachyon_rollback_tx(self.handle.as_ptr()) };
    }

    #[inline]
    pub(crate) fn flush(&self) {
        // SAFETY: the handle is open and this thread's.
        unsafe { sys::tachyon_flush(self.handle.as_ptr()) }
    }

    // ---- Receiving ----

    #[inline]
    pub(crate) fn may_receive(&self) -> Result<(), TachyonError> {
        self.receiving.must_be_free("received message")
    }

    #[inline]
    pub(crate) fn receive(&self, spin: u32, ns: i64) -> Option<Received> {
        let bus = self.handle.as_ptr();
        let (mut type_id, mut size) = (0, 0);
        // SAFETY: the handle is open and this thread's.
        let payload =
            unsafe { sys::tachyon_acquire_rx_timed(bus, &mut type_id, &mut size, spin, ns) };
        Received::new(payload, size, type_id, &self.receiving)
    }

    #[inline]
    pub(crate) fn release(&self) -> Code {
        self.receiving.free();
        // SAFETY: the handle is open and this thread's.
        unsafe { sys::tachyon_commit_rx(self.handle.as_ptr()) }
    }

    /// What was received comes again.
    pub(crate) fn put_back(&self) {
        self.receiving.free();
    }

    /// At least one message, and at most `max`.
    #[inline]
    pub(crate) fn drain(&self, max: usize, spin: u32, ns: i64) -> Option<Vec<View>> {
        let bus = self.handle.as_ptr();
        let mut views = self.views.take();
        views.clear();
        views.reserve(max);
        // SAFETY: the handle is open and this thread's, and there is room for that many
        // views, of which the library fills in as many as it says.
        let count = unsafe {
            let count = sys::tachyon_drain_batch_timed(bus, views.as_mut_ptr(), max, spin, ns);
            views.set_len(count);
            count
        };
        if count == 0 {
            self.views.set(views);
            return None;
        }
        self.receiving.take();
        Some(views)
    }

    /// Releases the first `count` messages of what was drained.
    #[inline]
    pub(crate) fn release_batch(&self, views: Vec<View>, count: usize) -> Code {
        self.receiving.free();
        // SAFETY: the handle is open and this thread's.
        let code =
            unsafe { sys::tachyon_commit_rx_batch(self.handle.as_ptr(), views.as_ptr(), count) };
        self.views.set(views);
        code
    }

    /// What is held is no hindrance, but a guard of another kind is.
    #[inline]
    pub(crate) fn may_hold(&self) -> Result<(), TachyonError> {
        if self.held.is_empty() {
            self.may_receive()
        } else {
            Ok(())
        }
    }

    /// The message behind those that are held, and its number among them.
    pub(crate) fn hold(&self, spin: u32, ns: i64) -> Option<(View, u64)> {
        let mut view = MaybeUninit::uninit();
        // SAFETY: the handle is open and this thread's. A success fills the view in.
        let view = unsafe {
            let (bus, to) = (self.handle.as_ptr(), view.as_mut_ptr());
            let message = sys::tachyon_acquire_rx_next_timed(bus, to, spin, ns);
            (!message.is_null()).then(|| view.assume_init())?
        };
        self.receiving.take();
        Some((view, self.held.push(view)))
    }

    /// Releases what is not held any more, from the oldest on.
    pub(crate) fn let_go(&self, number: u64) -> Code {
        let code = self.held.free(number, |views| {
            // SAFETY: the handle is open and this thread's.
            unsafe {
                let (bus, first) = (self.handle.as_ptr(), views.as_ptr());
                sys::tachyon_commit_rx_batch(bus, first, views.len())
            }
        });
        if self.held.is_empty() {
            self.receiving.free();
        }
        code
    }

    /// How many items of so many bytes were received, and their type.
    pub(crate) fn receive_batch(
        &self,
        items: &mut [u8],
        item_size: usize,
        spin: u32,
        ns: i64,
    ) -> Option<(usize, u32)> {
        let (bus, start, max) = (
            self.handle.as_ptr(),
            items.as_mut_ptr(),
            items.len() / item_size,
        );
        let mut id = 0;
        // SAFETY: the handle is open and this thread's, items is writable for that many.
        let count = unsafe {
            sys::tachyon_recv_batch(bus, start.cast(), item_size, max, &mut id, spin, ns)
        };
        (count > 0).then_some((count, id))
    }
}

/// Slots of one size that the library has reserved; as [`Reserved`].
#[derive(Debug)]
pub(crate) struct ReservedBatch {
    first: NonNull<u8>,
    pub(crate) item_size: usize,
    stride: usize,
    pub(crate) len: usize,
}

impl ReservedBatch {
    /// # Safety
    /// `i` is below the length, and no other slice of that item is alive.
    #[inline]
    pub(crate) unsafe fn item<'a>(&self, i: usize) -> &'a mut [u8] {
        // SAFETY: the slot lies there, as the library says of this stride, apart from the
        // others; for the rest as for `Reserved`. The caller answers for the lifetime.
        unsafe {
            std::slice::from_raw_parts_mut(self.first.as_ptr().add(i * self.stride), self.item_size)
        }
    }
}

/// What a slot of an RPC bus is reserved for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outgoing {
    Call,
    Reply(u64),
}

/// What is received from an RPC bus.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Incoming {
    Request,
    AnyReply,
    ReplyTo(u64),
}

impl fmt::Display for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request => f.write_str("request"),
            Self::AnyReply => f.write_str("reply"),
            Self::ReplyTo(call) => write!(f, "reply to call {call}"),
        }
    }
}

/// An [`RpcHandle`] with what one thread at a time may do: it is not `Sync`. Methods answer
/// None for an error that the library reports.
pub(crate) struct RawRpc {
    pub(crate) handle: RpcHandle,
    sending: OneGuard,
    receiving: OneGuard,
}

impl RawRpc {
    fn new(handle: RpcHandle) -> Self {
        Self {
            handle,
            sending: OneGuard::default(),
            receiving: OneGuard::default(),
        }
    }

    /// -1 for an error that the library reports.
    pub(crate) fn descriptor(&self) -> RawFd {
        // SAFETY: the handle is open and this thread's.
        unsafe { sys::tachyon_rpc_fileno(self.handle.as_ptr()) }
    }

    pub(crate) fn stats(&self) -> RpcStats {
        let mut stats = MaybeUninit::zeroed();
        // SAFETY: as for `RawBus::stats`.
        RpcStats::from_raw(unsafe {
            sys::tachyon_rpc_get_stats(self.handle.as_ptr(), stats.as_mut_ptr());
            stats.assume_init()
        })
    }

    /// Of many callers that of the request that was found last.
    pub(crate) fn peer(&self) -> Peer {
        let mut peer = Peer::NOBODY;
        // SAFETY: as for `RawBus::peer`.
        unsafe { sys::tachyon_rpc_get_peer(self.handle.as_ptr(), &mut peer) };
        Peer::from_raw(peer)
    }

    /// The number of the same; 0 for none.
    pub(crate) fn sender(&self) -> u32 {
        // SAFETY: the handle is open and this thread's.
        unsafe { sys::tachyon_rpc_sender(self.handle.as_ptr()) }
    }

    // ---- Sending ----

    #[inline]
    pub(crate) fn may_send(&self) -> Result<(), TachyonError> {
        self.sending.must_be_free("RpcTxGuard")
    }

    #[inline]
    pub(crate) fn call(&self, payload: &[u8], msg_type: u32, ns: i64) -> Option<u64> {
        let mut id = 0;
        let (rpc, start, size) = (self.handle.as_ptr(), payload.as_ptr().cast(), payload.len());
        // SAFETY: the handle is open and this thread's, payload is readable for its length.
        let code =
            unsafe { sys::tachyon_rpc_call_timed(rpc, start, size, msg_type, &mut id, SPIN, ns) };
        (code == SUCCESS).then_some(id)
    }

    #[inline]
    pub(crate) fn reply(&self, id: u64, payload: &[u8], msg_type: u32, ns: i64) -> Option<()> {
        let (rpc, start, size) = (self.handle.as_ptr(), payload.as_ptr().cast(), payload.len());
        // SAFETY: the handle is open and this thread's, payload is readable for its length.
        let code =
            unsafe { sys::tachyon_rpc_reply_timed(rpc, id, start, size, msg_type, SPIN, ns) };
        (code == SUCCESS).then_some(())
    }

    #[inline]
    pub(crate) fn reserve(&self, outgoing: Outgoing, max_size: usize, ns: i64) -> Option<Reserved> {
        let acquire = match outgoing {
            Outgoing::Call => sys::tachyon_rpc_acquire_tx_timed,
            Outgoing::Reply(_) => sys::tachyon_rpc_acquire_reply_tx_timed,
        };
        // SAFETY: the handle is open and this thread's.
        let slot = unsafe { acquire(self.handle.as_ptr(), max_size, SPIN, ns) };
        Reserved::new(slot, max_size, &self.sending)
    }

    /// The correlation id; keeps the reservation when it fails.
    #[inline]
    pub(crate) fn commit(
        &self,
        outgoing: Outgoing,
        size: usize,
        msg_type: u32,
    ) -> Result<u64, Code> {
        let raw = self.handle.as_ptr();
        let mut id = 0;
        // SAFETY: the handle is open and this thread's.
        let code = unsafe {
            match outgoing {
                Outgoing::Call => sys::tachyon_rpc_commit_call(raw, size, msg_type, &mut id),
                Outgoing::Reply(request) => {
                    id = request;
                    sys::tachyon_rpc_commit_reply(raw, id, size, msg_type)
                }
            }
        };
        if code != SUCCESS {
            return Err(code);
        }
        self.sending.free();
        Ok(id)
    }

    /// Fails only when the connection has ended, and the reservation with it.
    #[cold]
    pub(crate) fn roll_back(&self, outgoing: Outgoing) {
        self.sending.free();
        // SAFETY: the handle is open and this thread's.
        unsafe {
            match outgoing {
                Outgoing::Call => sys::tachyon_rpc_rollback_call(self.handle.as_ptr()),
                Outgoing::Reply(_) => sys::tachyon_rpc_rollback_reply(self.handle.as_ptr()),
            }
        }
    }

    // ---- Receiving ----

    #[inline]
    pub(crate) fn may_receive(&self) -> Result<(), TachyonError> {
        self.receiving.must_be_free("RpcRxGuard")
    }

    /// The message and its correlation id.
    #[inline]
    pub(crate) fn receive(&self, what: Incoming, spin: u32, ns: i64) -> Option<(Received, u64)> {
        let raw = self.handle.as_ptr();
        let (mut id, mut size, mut type_id) = (0, 0, 0);
        // SAFETY: the handle is open and this thread's.
        let payload = unsafe {
            match what {
                Incoming::Request => {
                    sys::tachyon_rpc_serve_timed(raw, &mut id, &mut type_id, &mut size, spin, ns)
                }
                Incoming::AnyReply => {
                    sys::tachyon_rpc_wait_any(raw, &mut id, &mut size, &mut type_id, spin, ns)
                }
                Incoming::ReplyTo(call) => {
                    id = call;
                    sys::tachyon_rpc_wait_timed(raw, id, &mut size, &mut type_id, spin, ns)
                }
            }
        };
        Received::new(payload, size, type_id, &self.receiving).map(|message| (message, id))
    }

    #[inline]
    pub(crate) fn release(&self, what: Incoming) -> Code {
        self.receiving.free();
        // SAFETY: the handle is open and this thread's.
        unsafe {
            match what {
                Incoming::Request => sys::tachyon_rpc_commit_serve(self.handle.as_ptr()),
                _ => sys::tachyon_rpc_commit_rx(self.handle.as_ptr()),
            }
        }
    }

    pub(crate) fn cancel(&self, id: u64) -> Code {
        // SAFETY: the handle is open and this thread's.
        unsafe { sys::tachyon_rpc_cancel(self.handle.as_ptr(), id) }
    }
}

/// A connection that is being opened. One thread at a time may use it: it is not `Sync`.
#[derive(Debug)]
pub struct RawOpening {
    raw: NonNull<sys::tachyon_opening_t>,
    /// As that of a handle.
    interrupter: Option<Interrupter>,
}

// SAFETY: the library lets any thread use an opening as long as one does at a time.
unsafe impl Send for RawOpening {}

impl RawOpening {
    /// Listens with these capacities, the second of which only RPC has, or connects.
    pub(crate) fn start(
        path: &CStr,
        is_rpc: bool,
        capacities: Option<[usize; 2]>,
        options: &sys::tachyon_options_t,
        interrupter: Option<Interrupter>,
    ) -> Result<Self, Code> {
        let path = path.as_ptr();
        // SAFETY: path, options and what these point to outlive the call.
        new_handle(|out| unsafe {
            match capacities {
                Some([forward, reverse]) if is_rpc => {
                    sys::tachyon_rpc_listen_start(path, forward, reverse, options, out)
                }
                Some([size, _]) => sys::tachyon_bus_listen_start(path, size, options, out),
                None if is_rpc => sys::tachyon_rpc_connect_start(path, options, out),
                None => sys::tachyon_bus_connect_start(path, options, out),
            }
        })
        .map(|raw| Self { raw, interrupter })
    }

    /// It was not a signal.
    pub(crate) fn is_interrupted(&self) -> bool {
        let interrupter = self.interrupter.as_ref();
        interrupter.is_some_and(Interrupter::is_interrupted)
    }

    pub(crate) fn step(&mut self, ns: i64) -> Code {
        // SAFETY: the opening is not released yet, and this thread's.
        unsafe { sys::tachyon_opening_step(self.raw.as_ptr(), ns) }
    }

    pub(crate) fn finish_bus(&mut self) -> Result<RawBus, Code> {
        // SAFETY: the opening is not released yet, and this thread's.
        BusHandle::open(self.interrupter.clone(), |out| unsafe {
            sys::tachyon_opening_finish_bus(self.raw.as_ptr(), out)
        })
        .map(RawBus::new)
    }

    pub(crate) fn finish_rpc(&mut self) -> Result<RawRpc, Code> {
        // SAFETY: the opening is not released yet, and this thread's.
        RpcHandle::open(self.interrupter.clone(), |out| unsafe {
            sys::tachyon_opening_finish_rpc(self.raw.as_ptr(), out)
        })
        .map(RawRpc::new)
    }

    /// -1 for an error that the library reports.
    pub(crate) fn descriptor(&self) -> RawFd {
        // SAFETY: the opening is not released yet, and this thread's.
        unsafe { sys::tachyon_opening_fileno(self.raw.as_ptr()) }
    }
}

impl Drop for RawOpening {
    fn drop(&mut self) {
        // SAFETY: the opening is ours.
        unsafe { sys::tachyon_opening_cancel(self.raw.as_ptr()) }
    }
}
