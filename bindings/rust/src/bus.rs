// SPDX-License-Identifier: Apache-2.0
//! One end of a connection.

use std::cell::Cell;
use std::fmt;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::time::Duration;

use tachyon_sys as sys;

use crate::error::{check, last};
use crate::received::Received;
use crate::slot::Slot;
use crate::wait::{try_now, wait, wait_for_ever};
use crate::{
    Closer, Consumer, Messages, Options, Peer, Producer, RxBatchGuard, RxGuard, State, Stats,
    TachyonError, TxGuard, SPIN_THRESHOLD,
};

/// Bytes of ring that a message takes at least.
const LEAST_MESSAGE: usize = 64;

/// Bytes of ring that no payload can have.
const OVERHEAD: usize = 128;

/// One end of a connection: sends or receives, whichever it does first.
///
/// A bus may move to another thread but not be shared between threads. One [`TxGuard`], or
/// one [`RxGuard`] or [`RxBatchGuard`], may be alive at a time: the next acquire fails with
/// [`TachyonError::Busy`]. [`Producer`] and [`Consumer`] are the same thing with this rule
/// checked by the compiler. A guard that is forgotten ([`std::mem::forget`]) keeps its
/// direction busy for good; only turning the bus into such a half frees it.
///
/// Dropping a bus shows the peer all that was committed and ends the stream.
///
/// ```
/// use std::time::Duration;
/// use tachyon_ipc::Bus;
///
/// let path = format!("@bus-example-{}", std::process::id());
/// let listen = path.clone();
/// let consumer = std::thread::spawn(move || {
///     let bus = Bus::listen(&listen, 1 << 16).unwrap();
///     let mut texts = Vec::new();
///     for message in &bus { // until the producer has closed
///         let message = message.unwrap();
///         texts.push((message.type_id, message.data().to_vec()));
///     }
///     texts
/// });
///
/// let bus = Bus::connect_timeout(&path, Duration::from_secs(5)).unwrap();
/// bus.send(b"hello", 1).unwrap(); // copies
///
/// let mut guard = bus.acquire_tx(64).unwrap(); // writes in place
/// guard.as_mut()[..5].copy_from_slice(b"world");
/// guard.commit(5, 2).unwrap();
/// drop(bus);
///
/// let texts = consumer.join().unwrap();
/// assert_eq!(texts, [(1, b"hello".to_vec()), (2, b"world".to_vec())]);
/// ```
///
/// It cannot be shared:
///
/// ```compile_fail,E0277
/// fn share(bus: &tachyon_ipc::Bus) {
///     std::thread::scope(|scope| { scope.spawn(|| bus.flush()); });
/// }
/// ```
///
/// Nor does a guard outlive it:
///
/// ```compile_fail,E0515
/// fn outlive(bus: tachyon_ipc::Bus) -> tachyon_ipc::RxGuard<'static> {
///     bus.acquire_rx(0).unwrap()
/// }
/// ```
pub struct Bus {
    raw: NonNull<sys::tachyon_bus_t>,
    sending: Slot,
    receiving: Slot,
    /// Kept from one batch to the next, so that not each allocates.
    views: Cell<Vec<sys::tachyon_msg_view_t>>,
}

// SAFETY: the library lets any thread use a handle as long as one does at a time. A guard
// borrows the bus, which is not Sync, so no guard stays behind on the other thread.
unsafe impl Send for Bus {}

impl Bus {
    /// Takes a handle over.
    ///
    /// # Safety
    /// `raw` is open and nobody else's.
    pub(crate) unsafe fn from_raw(raw: NonNull<sys::tachyon_bus_t>) -> Self {
        Self {
            raw,
            sending: Slot::default(),
            receiving: Slot::default(),
            views: Cell::default(),
        }
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut sys::tachyon_bus_t {
        self.raw.as_ptr()
    }

    /// Creates a ring of `capacity` bytes and waits for a peer, for ever: a signal does not
    /// end it. [`Options::listen`] has the details.
    ///
    /// # Errors
    /// As [`Options::listen`].
    pub fn listen(socket_path: &str, capacity: usize) -> Result<Self, TachyonError> {
        Options::new().listen(socket_path, capacity)
    }

    /// [`listen`](Self::listen) with a time-out.
    ///
    /// # Errors
    /// As [`Options::listen`]; [`TachyonError::Timeout`].
    pub fn listen_timeout(
        socket_path: &str,
        capacity: usize,
        timeout: Duration,
    ) -> Result<Self, TachyonError> {
        Options::new()
            .timeout(timeout)
            .listen(socket_path, capacity)
    }

    /// Attaches to a listener, in one try. [`Options::connect`] has the details.
    ///
    /// # Errors
    /// As [`Options::connect`]; [`TachyonError::NetworkError`] at once when nobody listens.
    pub fn connect(socket_path: &str) -> Result<Self, TachyonError> {
        Options::new().connect(socket_path)
    }

    /// [`connect`](Self::connect) that goes on trying while nobody listens.
    ///
    /// # Errors
    /// As [`Options::connect`]; [`TachyonError::Timeout`].
    pub fn connect_timeout(socket_path: &str, timeout: Duration) -> Result<Self, TachyonError> {
        Options::new().timeout(timeout).connect(socket_path)
    }

    /// Makes this the sending half, on which a second guard does not compile.
    #[must_use]
    pub fn into_producer(self) -> Producer {
        Producer::from(self)
    }

    /// Makes this the receiving half, on which a second guard does not compile.
    #[must_use]
    pub fn into_consumer(self) -> Consumer {
        Consumer::from(self)
    }

    /// Prefers a NUMA node, 0 to 63, for the ring's pages.
    ///
    /// # Errors
    /// `InvalidSize` for another node; `SystemError` with the kernel's reason; `Forked`.
    pub fn set_numa_node(&self, node_id: i32) -> Result<(), TachyonError> {
        // SAFETY: the handle is open.
        check(unsafe { sys::tachyon_bus_set_numa_node(self.as_ptr(), node_id) })
    }

    /// Chooses how this end waits: 0 (the default) spins, then sleeps; anything else only
    /// spins.
    pub fn set_polling_mode(&self, spin_mode: i32) {
        // SAFETY: the handle is open.
        unsafe { sys::tachyon_bus_set_polling_mode(self.as_ptr(), i32::from(spin_mode != 0)) }
    }

    /// Largest payload of one message in bytes.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        // SAFETY: the handle is open.
        unsafe { sys::tachyon_max_payload(self.as_ptr()) }
    }

    // ---- Sending ----

    /// Copies `data` into the ring and shows it to the peer, without waiting.
    ///
    /// # Errors
    /// `BufferFull` at once when there is no room; `InvalidSize` when it can never fit;
    /// `Busy` while a [`TxGuard`] is alive, or when this end receives or the peer sends;
    /// `Closed`, `PeerDead`, `Corrupt`, `Forked`. Nothing is sent then.
    #[inline]
    pub fn send(&self, data: &[u8], type_id: u32) -> Result<(), TachyonError> {
        self.sending.must_be_free("TxGuard")?;
        check(self.raw_send(data, type_id, 0))
    }

    /// [`send`](Self::send) that waits for room; a zero `timeout` does not,
    /// [`Duration::MAX`] waits for ever.
    ///
    /// # Errors
    /// As [`send`](Self::send), but `Timeout` instead of `BufferFull` (unless `timeout` is
    /// zero).
    #[inline]
    pub fn send_timeout(
        &self,
        data: &[u8],
        type_id: u32,
        timeout: Duration,
    ) -> Result<(), TachyonError> {
        self.sending.must_be_free("TxGuard")?;
        wait(timeout, |ns| {
            (self.raw_send(data, type_id, ns) == sys::tachyon_error_t_TACHYON_SUCCESS).then_some(())
        })
    }

    #[inline]
    fn raw_send(&self, data: &[u8], type_id: u32, timeout_ns: i64) -> sys::tachyon_error_t {
        // SAFETY: the handle is open, data is readable for its length, and no guard has a
        // reservation that this would replace.
        unsafe {
            sys::tachyon_send(
                self.as_ptr(),
                data.as_ptr().cast(),
                data.len(),
                type_id,
                SPIN_THRESHOLD,
                timeout_ns,
            )
        }
    }

    /// Reserves room for one message of up to `max_size` bytes, without waiting.
    ///
    /// The slot is aligned to 32 bytes for up to 32 bytes and to 64 for more.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[inline]
    pub fn acquire_tx(&self, max_size: usize) -> Result<TxGuard<'_>, TachyonError> {
        self.sending.must_be_free("TxGuard")?;
        match self.reserve(max_size, 0) {
            Some(slot) => Ok(self.tx_guard(slot, max_size)),
            None => Err(last()),
        }
    }

    /// [`acquire_tx`](Self::acquire_tx) that waits for room; a zero `timeout` does not,
    /// [`Duration::MAX`] waits for ever.
    ///
    /// # Errors
    /// As [`send_timeout`](Self::send_timeout).
    #[inline]
    pub fn acquire_tx_timeout(
        &self,
        max_size: usize,
        timeout: Duration,
    ) -> Result<TxGuard<'_>, TachyonError> {
        self.sending.must_be_free("TxGuard")?;
        let slot = wait(timeout, |ns| self.reserve(max_size, ns))?;
        Ok(self.tx_guard(slot, max_size))
    }

    #[inline]
    fn reserve(&self, max_size: usize, timeout_ns: i64) -> Option<NonNull<u8>> {
        // SAFETY: the handle is open, and no guard has a reservation to replace.
        let slot = unsafe {
            sys::tachyon_acquire_tx_timed(self.as_ptr(), max_size, SPIN_THRESHOLD, timeout_ns)
        };
        NonNull::new(slot.cast())
    }

    #[inline]
    fn tx_guard(&self, slot: NonNull<u8>, max_size: usize) -> TxGuard<'_> {
        self.sending.take();
        TxGuard::new(self, slot, max_size)
    }

    /// Shows the peer all committed messages at once, and wakes it.
    #[inline]
    pub fn flush(&self) {
        // SAFETY: the handle is open.
        unsafe { sys::tachyon_flush(self.as_ptr()) }
    }

    #[inline]
    pub(crate) fn sending(&self) -> &Slot {
        &self.sending
    }

    // ---- Receiving ----

    /// Waits for the next message, for ever: looks `spin_threshold` times, then sleeps. A
    /// signal does not end it.
    ///
    /// # Errors
    /// `Closed` at the end of the stream: the peer has closed and everything has been
    /// delivered. `PeerDead` when it died instead; `Busy` while a guard of a received
    /// message is alive, or when this end sends or the peer receives; `Corrupt`, `Forked`.
    #[inline]
    pub fn acquire_rx(&self, spin_threshold: u32) -> Result<RxGuard<'_>, TachyonError> {
        self.receiving.must_be_free("received message")?;
        let message = wait_for_ever(|ns| self.look(spin_threshold, ns))?;
        Ok(self.rx_guard(message))
    }

    /// [`acquire_rx`](Self::acquire_rx) with a time-out; zero is a single look.
    ///
    /// # Errors
    /// As [`acquire_rx`](Self::acquire_rx); `Timeout`, or `BufferEmpty` when `timeout` is
    /// zero.
    #[inline]
    pub fn acquire_rx_timeout(
        &self,
        spin_threshold: u32,
        timeout: Duration,
    ) -> Result<RxGuard<'_>, TachyonError> {
        self.receiving.must_be_free("received message")?;
        let message = wait(timeout, |ns| self.look(spin_threshold, ns))?;
        Ok(self.rx_guard(message))
    }

    /// The next message if it is there now.
    ///
    /// # Errors
    /// As [`acquire_rx`](Self::acquire_rx).
    #[inline]
    pub fn try_acquire_rx(&self) -> Result<Option<RxGuard<'_>>, TachyonError> {
        self.receiving.must_be_free("received message")?;
        let message = try_now(|ns| self.look(0, ns))?;
        Ok(message.map(|message| self.rx_guard(message)))
    }

    #[inline]
    fn look(&self, spin_threshold: u32, timeout_ns: i64) -> Option<Received> {
        let (mut type_id, mut size) = (0, 0);
        // SAFETY: the handle is open, and no guard's message would be handed out again.
        let payload = unsafe {
            sys::tachyon_acquire_rx_timed(
                self.as_ptr(),
                &mut type_id,
                &mut size,
                spin_threshold,
                timeout_ns,
            )
        };
        Received::new(payload, size, type_id)
    }

    #[inline]
    fn rx_guard(&self, message: Received) -> RxGuard<'_> {
        self.receiving.take();
        RxGuard::new(self, message)
    }

    /// Waits for a message, for ever, and takes up to `max_msgs` that are there. A signal
    /// does not end it.
    ///
    /// # Errors
    /// As [`acquire_rx`](Self::acquire_rx); `InvalidSize` when `max_msgs` is 0.
    pub fn drain_batch(
        &self,
        max_msgs: usize,
        spin_threshold: u32,
    ) -> Result<RxBatchGuard<'_>, TachyonError> {
        self.drain(max_msgs, |views| {
            wait_for_ever(|ns| self.look_at_batch(views, spin_threshold, ns)).map(Some)
        })
        .map(|batch| batch.expect("waiting gives a batch"))
    }

    /// [`drain_batch`](Self::drain_batch) with a time-out; zero is a single look.
    ///
    /// # Errors
    /// As [`drain_batch`](Self::drain_batch); `Timeout`, or `BufferEmpty` when `timeout` is
    /// zero.
    pub fn drain_batch_timeout(
        &self,
        max_msgs: usize,
        spin_threshold: u32,
        timeout: Duration,
    ) -> Result<RxBatchGuard<'_>, TachyonError> {
        self.drain(max_msgs, |views| {
            wait(timeout, |ns| self.look_at_batch(views, spin_threshold, ns)).map(Some)
        })
        .map(|batch| batch.expect("waiting gives a batch"))
    }

    /// Up to `max_msgs` messages, if any is there now.
    ///
    /// # Errors
    /// As [`drain_batch`](Self::drain_batch).
    pub fn try_drain_batch(
        &self,
        max_msgs: usize,
    ) -> Result<Option<RxBatchGuard<'_>>, TachyonError> {
        self.drain(max_msgs, |views| {
            try_now(|ns| self.look_at_batch(views, 0, ns))
        })
    }

    /// Gives `take` room for as many views as are wanted and the ring can hold.
    fn drain(
        &self,
        max_msgs: usize,
        take: impl FnOnce(&mut [MaybeUninit<View>]) -> Result<Option<usize>, TachyonError>,
    ) -> Result<Option<RxBatchGuard<'_>>, TachyonError> {
        self.receiving.must_be_free("received message")?;
        let max = max_msgs.min(self.max_payload() / LEAST_MESSAGE + OVERHEAD / LEAST_MESSAGE);
        let mut views = self.views.take();
        views.clear();
        views.reserve(max);
        let taken = take(&mut views.spare_capacity_mut()[..max]);
        // SAFETY: the library has filled in that many, of at most `max`.
        unsafe { views.set_len(taken.as_ref().map_or(0, |count| count.unwrap_or(0))) };
        if views.is_empty() {
            self.views.set(views);
            return taken.map(|_| None);
        }
        self.receiving.take();
        Ok(Some(RxBatchGuard::new(self, views)))
    }

    fn look_at_batch(
        &self,
        views: &mut [MaybeUninit<View>],
        spin_threshold: u32,
        timeout_ns: i64,
    ) -> Option<usize> {
        // SAFETY: the handle is open, there is room for that many views, and no guard's
        // message would be handed out again.
        let count = unsafe {
            sys::tachyon_drain_batch_timed(
                self.as_ptr(),
                views.as_mut_ptr().cast(),
                views.len(),
                spin_threshold,
                timeout_ns,
            )
        };
        (count > 0).then_some(count)
    }

    #[inline]
    pub(crate) fn receiving(&self) -> &Slot {
        &self.receiving
    }

    pub(crate) fn keep_views(&self, views: Vec<View>) {
        self.views.set(views);
    }

    /// The messages as they come, until the end of the stream; also `for message in &bus`.
    pub fn iter(&self) -> Messages<'_> {
        Messages::new(self)
    }

    // ---- Looking, closing ----

    /// State of the connection; asks the kernel whether the peer is still there.
    #[must_use]
    pub fn state(&self) -> State {
        // SAFETY: the handle is open.
        State::from_raw(unsafe { sys::tachyon_get_state(self.as_ptr()) })
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
        // SAFETY: the handle is open. Only a NULL makes this fail.
        unsafe { sys::tachyon_bus_get_peer(self.as_ptr(), &mut peer) };
        Peer::from_raw(peer)
    }

    /// Counters of this end since it was opened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = MaybeUninit::zeroed();
        // SAFETY: the handle is open; only a NULL makes this fail, and zeros are valid
        // counters.
        let stats = unsafe {
            sys::tachyon_bus_get_stats(self.as_ptr(), stats.as_mut_ptr());
            stats.assume_init()
        };
        Stats::from_raw(stats)
    }

    /// Shows the peer what was committed and ends the stream: every later call that finds
    /// no room or no message fails with [`TachyonError::Closed`]. What guards hold stays
    /// readable. Dropping the bus does the same.
    pub fn close(&self) {
        self.flush();
        // SAFETY: the handle is open. The memory stays mapped, so guards stay valid.
        unsafe { sys::tachyon_bus_close(self.as_ptr()) }
    }

    /// Something to close this bus with from another thread.
    #[must_use]
    pub fn closer(&self) -> Closer {
        // SAFETY: the handle is open.
        unsafe { Closer::of(self.raw) }
    }
}

pub(crate) type View = sys::tachyon_msg_view_t;

impl Drop for Bus {
    fn drop(&mut self) {
        self.close(); // a Closer may live on
                      // SAFETY: the handle is ours, and guards borrow the bus, so there is none.
        unsafe { sys::tachyon_bus_destroy(self.as_ptr()) }
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus")
            .field("peer", &self.peer())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl<'bus> IntoIterator for &'bus Bus {
    type Item = Result<RxGuard<'bus>, TachyonError>;
    type IntoIter = Messages<'bus>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
