// SPDX-License-Identifier: Apache-2.0
//! Several received messages held at once, each for as long as one likes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::mem::ManuallyDrop;
use std::time::Duration;

use crate::error::check;
use crate::raw::{Code, View, SUCCESS};
use crate::wait::{try_now, wait};
use crate::{Bus, TachyonError};

/// What is handed out and not released, oldest first.
#[derive(Default)]
pub(crate) struct Held {
    queue: RefCell<Queue>,
}

#[derive(Default)]
struct Queue {
    views: VecDeque<View>,
    /// Of each whether its guard has gone.
    free: VecDeque<bool>,
    /// Number of the oldest, counted from the first ever.
    first: u64,
}

impl Held {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.borrow().views.is_empty()
    }

    /// The number that it has from now on.
    pub(crate) fn push(&self, view: View) -> u64 {
        let mut queue = self.queue.borrow_mut();
        queue.views.push_back(view);
        queue.free.push_back(false);
        queue.first + queue.views.len() as u64 - 1
    }

    /// The guard of this one has gone: `release` gets the oldest run of those that are free.
    pub(crate) fn free(&self, number: u64, release: impl FnOnce(&[View]) -> Code) -> Code {
        let queue = &mut *self.queue.borrow_mut();
        let index = number
            .checked_sub(queue.first)
            .and_then(|index| queue.free.get_mut(index as usize));
        let Some(free) = index else {
            return SUCCESS; // forgotten, and taken back since
        };
        *free = true;
        let count = queue.free.iter().take_while(|free| **free).count();
        if count == 0 {
            return SUCCESS;
        }
        let code = release(&queue.views.make_contiguous()[..count]);
        queue.views.drain(..count);
        queue.free.drain(..count);
        queue.first += count as u64;
        code
    }

    /// No guard is alive: the library gives all of them again.
    pub(crate) fn forget(&self) {
        let mut queue = self.queue.borrow_mut();
        queue.first += queue.views.len() as u64;
        queue.views.clear();
        queue.free.clear();
    }
}

/// Messages that are held while others are received. See [`HeldGuard`].
impl Bus {
    /// Waits for the message behind those that are held, for ever, and holds it too: looks
    /// `spin_threshold` times, then sleeps. A signal does not end it.
    ///
    /// # Errors
    /// `BufferFull` at once when the messages held take more than half of the ring: drop
    /// the oldest first, for else the sender would have no room. `Closed`, `Aborted` and
    /// `PeerDead` at the end of the stream; what is held stays so. `Lagged` when the sender
    /// has let this consumer go, and what is held may be overwritten. `Busy` while a guard
    /// of another kind is alive, or a second message is asked of a listener with many
    /// peers; for the rest as [`acquire_rx`](Self::acquire_rx).
    #[inline]
    pub fn acquire_rx_next(&self, spin_threshold: u32) -> Result<HeldGuard<'_>, TachyonError> {
        self.acquire_rx_next_timeout(spin_threshold, Duration::MAX)
    }

    /// [`acquire_rx_next`](Self::acquire_rx_next) with a time-out; zero is a single look.
    ///
    /// # Errors
    /// As [`acquire_rx_next`](Self::acquire_rx_next); `Timeout`, or `BufferEmpty` when
    /// `timeout` is zero.
    pub fn acquire_rx_next_timeout(
        &self,
        spin_threshold: u32,
        timeout: Duration,
    ) -> Result<HeldGuard<'_>, TachyonError> {
        self.raw.may_hold()?;
        wait(timeout, &"message", |ns| self.raw.hold(spin_threshold, ns))
            .map(|(view, number)| HeldGuard::new(self, view, number))
    }

    /// The message behind those that are held, if it is there now.
    ///
    /// # Errors
    /// As [`acquire_rx_next`](Self::acquire_rx_next).
    pub fn try_acquire_rx_next(&self) -> Result<Option<HeldGuard<'_>>, TachyonError> {
        self.raw.may_hold()?;
        let held = try_now(|ns| self.raw.hold(0, ns))?;
        Ok(held.map(|(view, number)| HeldGuard::new(self, view, number)))
    }
}

/// One of several received messages that are held at once, read in place.
///
/// They may be dropped in any order. A ring is released from its oldest message on, so that
/// the room of one is used again once those before it have been dropped too; meanwhile
/// [`Bus::acquire_rx_next`] gives the messages behind them, until they take more than half
/// of the ring. All other calls that receive fail with [`TachyonError::Busy`].
///
/// ```
/// # use std::time::Duration;
/// # use tachyon_ipc::{Bus, TachyonError};
/// # let path = format!("@held-example-{}", std::process::id());
/// # let peer = path.clone();
/// # let listener = std::thread::spawn(move || Bus::listen(&peer, 1 << 16).unwrap());
/// # let producer = Bus::connect_timeout(&path, Duration::from_secs(5))?;
/// # let consumer = listener.join().unwrap();
/// producer.send(b"before", 1)?;
/// producer.send(b"after", 1)?;
/// let mut last = consumer.acquire_rx_next(10_000)?;
/// let next = consumer.acquire_rx_next(10_000)?; // beside the last one
/// assert_eq!((last.data(), next.data()), (&b"before"[..], &b"after"[..]));
/// last = next; // the first one is released
/// # drop(last);
/// # Ok::<(), TachyonError>(())
/// ```
///
/// ```compile_fail,E0515
/// fn outlive(bus: tachyon_ipc::Bus) -> tachyon_ipc::HeldGuard<'static> {
///     bus.acquire_rx_next(0).unwrap()
/// }
/// ```
#[must_use = "dropping it releases the message"]
pub struct HeldGuard<'bus> {
    bus: &'bus Bus,
    view: View,
    number: u64,
}

impl<'bus> HeldGuard<'bus> {
    #[inline]
    fn new(bus: &'bus Bus, view: View, number: u64) -> Self {
        Self { bus, view, number }
    }

    /// The payload, to be read only. See the crate's page on
    /// [what a peer can do to it](crate#what-a-peer-can-do).
    #[inline]
    #[must_use]
    pub fn data(&self) -> &[u8] {
        // SAFETY: the payload is mapped and readable for its size until it is released,
        // which comes after this. The peer writes there only after that.
        unsafe { std::slice::from_raw_parts(self.view.ptr.cast(), self.view.actual_size) }
    }

    /// Type that the sender gave it.
    #[inline]
    #[must_use]
    pub fn type_id(&self) -> u32 {
        self.view.type_id
    }

    /// Releases it, as dropping does.
    ///
    /// # Errors
    /// `Closed` and the like when this end is over; `Lagged` when it, or one released with
    /// it, may have been overwritten before. What is not the oldest is released later, and
    /// nothing is said of it.
    pub fn commit(self) -> Result<(), TachyonError> {
        let this = ManuallyDrop::new(self);
        check(this.bus.raw.let_go(this.number))
    }
}

impl AsRef<[u8]> for HeldGuard<'_> {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.data()
    }
}

impl Drop for HeldGuard<'_> {
    fn drop(&mut self) {
        self.bus.raw.let_go(self.number); // fails only when the connection has ended
    }
}

impl fmt::Debug for HeldGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldGuard")
            .field("type_id", &self.view.type_id)
            .field("size", &self.view.actual_size)
            .finish_non_exhaustive()
    }
}
