// SPDX-License-Identifier: Apache-2.0
//! One end of a connection.

use std::fmt;
use std::iter::FusedIterator;
use std::time::Duration;

use crate::error::{check, last};
use crate::raw::{BusHandle, Dropping, RawBus};
use crate::wait::{try_now, wait, Room};
use crate::{
    Consumer, Options, Peer, Producer, RxBatchGuard, RxGuard, State, Stats, TachyonError, TxGuard,
    SPIN_THRESHOLD,
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
/// Dropping a bus shows the peer all that was committed and ends the stream. Dropping it
/// while the thread panics [aborts](Self::abort) instead, and so does leaving early where
/// [`set_abort_on_drop`](Self::set_abort_on_drop) asks for it.
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
    pub(crate) raw: RawBus,
    dropping: Dropping,
}

impl Bus {
    pub(crate) fn new(raw: RawBus) -> Self {
        Self {
            raw,
            dropping: Dropping::new(),
        }
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
        check(self.raw.set_numa_node(node_id))
    }

    /// Chooses how this end waits: 0 (the default) spins, then sleeps; anything else only
    /// spins.
    pub fn set_polling_mode(&self, spin_mode: i32) {
        self.raw.handle.set_polling_mode(spin_mode != 0);
    }

    /// Largest payload of one message in bytes.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.raw.handle.max_payload()
    }

    // ---- Sending ----

    /// Copies `data` into the ring and shows it to the peer, without waiting.
    ///
    /// # Errors
    /// `BufferFull` at once when there is no room; `InvalidSize` when it can never fit;
    /// `Busy` while a [`TxGuard`] is alive, or when this end receives or the peer sends;
    /// `Closed`, `Aborted`, `PeerDead`, `Corrupt`, `Forked`. Nothing is sent then.
    #[inline]
    pub fn send(&self, data: &[u8], type_id: u32) -> Result<(), TachyonError> {
        self.raw.may_send()?;
        self.raw.send(data, type_id, 0).ok_or_else(last)
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
        self.raw.may_send()?;
        wait(timeout, &Room(data.len()), |ns| {
            self.raw.send(data, type_id, ns)
        })
    }

    /// Reserves room for one message of up to `max_size` bytes, without waiting.
    ///
    /// The slot is aligned to 32 bytes for up to 32 bytes and to 64 for more.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[inline]
    pub fn acquire_tx(&self, max_size: usize) -> Result<TxGuard<'_>, TachyonError> {
        self.acquire_tx_timeout(max_size, Duration::ZERO)
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
        self.raw.may_send()?;
        let slot = wait(timeout, &Room(max_size), |ns| {
            self.raw.reserve(max_size, ns)
        })?;
        Ok(TxGuard::new(self, slot))
    }

    /// Shows the peer all committed messages at once, and wakes it.
    #[inline]
    pub fn flush(&self) {
        self.raw.flush();
    }

    // ---- Receiving ----

    /// Waits for the next message, for ever: looks `spin_threshold` times, then sleeps. A
    /// signal does not end it.
    ///
    /// # Errors
    /// `Closed` at the end of the stream: the peer has closed and everything has been
    /// delivered. `Aborted` when it gave up instead, `PeerDead` when it died; `Busy` while a
    /// guard of a received message is alive, or when this end sends or the peer receives;
    /// `Corrupt`, `Forked`.
    #[inline]
    pub fn acquire_rx(&self, spin_threshold: u32) -> Result<RxGuard<'_>, TachyonError> {
        self.acquire_rx_timeout(spin_threshold, Duration::MAX)
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
        self.raw.may_receive()?;
        let message = wait(timeout, &"message", |ns| {
            self.raw.receive(spin_threshold, ns)
        })?;
        Ok(RxGuard::new(self, message))
    }

    /// The next message if it is there now.
    ///
    /// # Errors
    /// As [`acquire_rx`](Self::acquire_rx).
    #[inline]
    pub fn try_acquire_rx(&self) -> Result<Option<RxGuard<'_>>, TachyonError> {
        self.raw.may_receive()?;
        let message = try_now(|ns| self.raw.receive(0, ns))?;
        Ok(message.map(|message| RxGuard::new(self, message)))
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
        self.drain_batch_timeout(max_msgs, spin_threshold, Duration::MAX)
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
        self.raw.may_receive()?;
        let max = self.as_many_as_fit(max_msgs);
        let views = wait(timeout, &"message", |ns| {
            self.raw.drain(max, spin_threshold, ns)
        })?;
        Ok(RxBatchGuard::new(self, views))
    }

    /// Up to `max_msgs` messages, if any is there now.
    ///
    /// # Errors
    /// As [`drain_batch`](Self::drain_batch).
    pub fn try_drain_batch(
        &self,
        max_msgs: usize,
    ) -> Result<Option<RxBatchGuard<'_>>, TachyonError> {
        self.raw.may_receive()?;
        let max = self.as_many_as_fit(max_msgs);
        let views = try_now(|ns| self.raw.drain(max, 0, ns))?;
        Ok(views.map(|views| RxBatchGuard::new(self, views)))
    }

    /// As many messages as are wanted and the ring can hold.
    fn as_many_as_fit(&self, max_msgs: usize) -> usize {
        max_msgs.min((self.max_payload() + OVERHEAD) / LEAST_MESSAGE)
    }

    /// The messages as they come, until the end of the stream; also `for message in &bus`.
    pub fn iter(&self) -> Messages<'_> {
        Messages {
            bus: self,
            ended: false,
        }
    }

    // ---- Looking, closing ----

    /// State of the connection; asks the kernel whether the peer is still there.
    #[must_use]
    pub fn state(&self) -> State {
        self.raw.handle.state()
    }

    /// [`state`](Self::state) with the reason.
    ///
    /// # Errors
    /// `Closed`, `Aborted`, `PeerDead`, `Corrupt` or `Forked`.
    pub fn check(&self) -> Result<(), TachyonError> {
        self.raw.handle.check()
    }

    /// Who is at the other end; of many peers the one whose message was received last, and
    /// while there is none one without a process, whose ids are `u32::MAX`.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.raw.peer()
    }

    /// Counters of this end since it was opened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.raw.stats()
    }

    /// Shows the peer what was committed and ends the stream: every later call that finds
    /// no room or no message fails with [`TachyonError::Closed`]. What guards hold stays
    /// readable. Dropping the bus does the same.
    ///
    /// The first of `close` and [`abort`](Self::abort) counts.
    pub fn close(&self) {
        self.flush();
        self.raw.handle.close();
    }

    /// Cuts the stream off, since this end has failed: so that half of a stream is never
    /// taken for the whole, the peer, sending or receiving, gets everything that was
    /// flushed, and then [`TachyonError::Aborted`] instead of the end of the stream. What
    /// was only committed is dropped, not flushed. Here it is as after
    /// [`close`](Self::close).
    ///
    /// A bus that is dropped while its thread panics does this by itself.
    pub fn abort(&self) {
        self.raw.handle.abort();
    }

    /// Makes dropping the bus [`abort`](Self::abort), unless it was closed before; off by
    /// default. For those who leave by `?`, which no destructor can tell from success:
    ///
    /// ```
    /// # use std::{error::Error, time::Duration};
    /// # use tachyon_ipc::{Consumer, Producer, TachyonError};
    /// fn send_numbers(path: &str, text: &str) -> Result<(), Box<dyn Error>> {
    ///     let mut producer = Producer::connect_timeout(path, Duration::from_secs(5))?;
    ///     producer.bus().set_abort_on_drop(true);
    ///     for number in text.split(' ') {
    ///         let number: u32 = number.parse()?; // an error leaves half of a stream
    ///         producer.send_timeout(&number.to_le_bytes(), 0, Duration::MAX)?;
    ///     }
    ///     producer.close(); // the whole was sent
    ///     Ok(())
    /// }
    /// # let path = format!("@abort-on-drop-example-{}", std::process::id());
    /// # let peer = path.clone();
    /// # let sender = std::thread::spawn(move || send_numbers(&peer, "1 2 x").is_err());
    /// let mut consumer = Consumer::listen(&path, 4096)?;
    /// # assert!(sender.join().unwrap());
    /// // The text was "1 2 x".
    /// assert_eq!(consumer.recv()?.unwrap().data(), 1u32.to_le_bytes());
    /// assert_eq!(consumer.recv()?.unwrap().data(), 2u32.to_le_bytes());
    /// assert_eq!(consumer.recv().unwrap_err(), TachyonError::Aborted);
    /// # Ok::<(), TachyonError>(())
    /// ```
    pub fn set_abort_on_drop(&self, abort: bool) {
        self.dropping.set_aborts(abort);
    }

    /// Something to close this bus with from another thread.
    #[must_use]
    pub fn closer(&self) -> Closer {
        Closer {
            handle: self.raw.handle.clone(),
        }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        if self.dropping.is_failure() {
            self.abort();
        } else {
            self.close(); // a Closer may live on
        }
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

/// The messages of a [`Bus`] as they come; made by [`Bus::iter`] or `for message in &bus`.
///
/// Waits for each message. Ends when the peer has closed and everything has been delivered.
/// Any other failure comes as the last item, such as [`TachyonError::Aborted`]. A message
/// that is kept while the next one is asked for gives [`TachyonError::Busy`].
#[derive(Debug)]
pub struct Messages<'bus> {
    bus: &'bus Bus,
    ended: bool,
}

impl<'bus> Iterator for Messages<'bus> {
    type Item = Result<RxGuard<'bus>, TachyonError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let message = self.bus.acquire_rx(SPIN_THRESHOLD);
        if let Err(error) = message {
            self.ended = error != TachyonError::Busy;
            if error == TachyonError::Closed {
                return None;
            }
        }
        Some(message)
    }
}

impl FusedIterator for Messages<'_> {}

/// Closes or aborts a [`Bus`](crate::Bus) that another thread is using, blocked in a call or not;
/// made by [`Bus::closer`](crate::Bus::closer).
///
/// Keeps the memory of the connection, but not the connection: dropping the bus ends the
/// stream all the same.
///
/// ```
/// # use std::time::Duration;
/// # use tachyon_ipc::{Bus, TachyonError};
/// # let path = format!("@closer-example-{}", std::process::id());
/// # let peer = path.clone();
/// # let peer = std::thread::spawn(move || Bus::listen(&peer, 4096).unwrap());
/// let bus = Bus::connect_timeout(&path, Duration::from_secs(5))?;
/// let closer = bus.closer();
/// let receiver = std::thread::spawn(move || bus.acquire_rx(100).map(|_| ()));
/// closer.close();
/// assert_eq!(receiver.join().unwrap(), Err(TachyonError::Closed));
/// # Ok::<(), TachyonError>(())
/// ```
#[derive(Clone)]
pub struct Closer {
    handle: BusHandle,
}

impl Closer {
    /// Ends the stream: a call that is waiting returns, and it and every later one that
    /// finds no room or no message fails with
    /// [`TachyonError::Closed`](crate::TachyonError::Closed). Does not flush: what a
    /// producer committed since its last flush is lost.
    pub fn close(&self) {
        self.handle.close();
    }

    /// [`Bus::abort`]; to a call that is waiting, here, it is as [`close`](Self::close).
    pub fn abort(&self) {
        self.handle.abort();
    }
}

impl fmt::Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closer").finish_non_exhaustive()
    }
}
