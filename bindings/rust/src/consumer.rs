// SPDX-License-Identifier: Apache-2.0
//! The receiving half.

use std::time::Duration;

use crate::{
    Bus, Options, ReceivedBatch, Role, RxBatchGuard, RxGuard, TachyonError, SPIN_THRESHOLD,
};

/// The receiving half of a connection: a [`Bus`] on which a second guard does not compile.
///
/// The message of a guard that was forgotten comes again.
///
/// ```
/// # use std::time::Duration;
/// # use tachyon_ipc::{Consumer, Producer, TachyonError};
/// # let path = format!("@consumer-example-{}", std::process::id());
/// # let peer = path.clone();
/// # let producer = std::thread::spawn(move || {
/// #     let mut producer = Producer::connect_timeout(&peer, Duration::from_secs(5)).unwrap();
/// #     producer.send(b"hello", 1).unwrap();
/// #     producer.send(b"world", 2).unwrap();
/// # });
/// let mut consumer = Consumer::listen(&path, 1 << 16)?;
/// let mut bytes = 0;
/// while let Some(message) = consumer.recv()? {
///     bytes += message.data().len();
/// }
/// assert_eq!(bytes, 10); // the producer has sent two messages and closed
/// # producer.join().unwrap();
/// # Ok::<(), TachyonError>(())
/// ```
///
/// ```compile_fail,E0499
/// fn two_guards(consumer: &mut tachyon_ipc::Consumer) {
///     let first = consumer.acquire_rx(0).unwrap();
///     let second = consumer.acquire_rx(0).unwrap();
///     first.commit().unwrap();
/// }
/// ```
///
/// ```compile_fail,E0499
/// fn batch_beside_a_guard(consumer: &mut tachyon_ipc::Consumer) -> usize {
///     let first = consumer.acquire_rx(0).unwrap();
///     let batch = consumer.drain_batch(16, 0).unwrap();
///     first.data().len()
/// }
/// ```
#[derive(Debug)]
pub struct Consumer {
    bus: Bus,
}

impl Consumer {
    /// [`Options::listen`] with the role declared: a peer that receives too is refused.
    ///
    /// # Errors
    /// As [`Options::listen`].
    pub fn listen(socket_path: &str, capacity: usize) -> Result<Self, TachyonError> {
        let options = Options::new().role(Role::Consumer);
        options.listen(socket_path, capacity).map(Self::from)
    }

    /// [`Options::connect`] with the role declared: refused by a peer that receives too.
    ///
    /// # Errors
    /// As [`Options::connect`].
    pub fn connect(socket_path: &str) -> Result<Self, TachyonError> {
        Self::connect_timeout(socket_path, Duration::ZERO)
    }

    /// [`connect`](Self::connect) that goes on trying while nobody listens.
    ///
    /// # Errors
    /// As [`Options::connect`]; [`TachyonError::Timeout`].
    pub fn connect_timeout(socket_path: &str, timeout: Duration) -> Result<Self, TachyonError> {
        let options = Options::new().role(Role::Consumer).timeout(timeout);
        options.connect(socket_path).map(Self::from)
    }

    /// Waits for the next message; None at the end of the stream, when the producer has
    /// closed and everything has been delivered.
    ///
    /// # Errors
    /// As [`Bus::acquire_rx`], but for `Closed`.
    #[inline]
    pub fn recv(&mut self) -> Result<Option<RxGuard<'_>>, TachyonError> {
        match self.acquire_rx(SPIN_THRESHOLD) {
            Ok(message) => Ok(Some(message)),
            Err(TachyonError::Closed) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// [`Bus::acquire_rx`].
    ///
    /// # Errors
    /// As [`Bus::acquire_rx`].
    #[inline]
    pub fn acquire_rx(&mut self, spin_threshold: u32) -> Result<RxGuard<'_>, TachyonError> {
        self.exclusive().acquire_rx(spin_threshold)
    }

    /// [`Bus::acquire_rx_timeout`].
    ///
    /// # Errors
    /// As [`Bus::acquire_rx_timeout`].
    #[inline]
    pub fn acquire_rx_timeout(
        &mut self,
        spin_threshold: u32,
        timeout: Duration,
    ) -> Result<RxGuard<'_>, TachyonError> {
        self.exclusive().acquire_rx_timeout(spin_threshold, timeout)
    }

    /// [`Bus::try_acquire_rx`].
    ///
    /// # Errors
    /// As [`Bus::try_acquire_rx`].
    #[inline]
    pub fn try_acquire_rx(&mut self) -> Result<Option<RxGuard<'_>>, TachyonError> {
        self.exclusive().try_acquire_rx()
    }

    /// [`Bus::drain_batch`].
    ///
    /// # Errors
    /// As [`Bus::drain_batch`].
    pub fn drain_batch(
        &mut self,
        max_msgs: usize,
        spin_threshold: u32,
    ) -> Result<RxBatchGuard<'_>, TachyonError> {
        self.exclusive().drain_batch(max_msgs, spin_threshold)
    }

    /// [`Bus::drain_batch_timeout`].
    ///
    /// # Errors
    /// As [`Bus::drain_batch_timeout`].
    pub fn drain_batch_timeout(
        &mut self,
        max_msgs: usize,
        spin_threshold: u32,
        timeout: Duration,
    ) -> Result<RxBatchGuard<'_>, TachyonError> {
        self.exclusive()
            .drain_batch_timeout(max_msgs, spin_threshold, timeout)
    }

    /// [`Bus::try_drain_batch`].
    ///
    /// # Errors
    /// As [`Bus::try_drain_batch`].
    pub fn try_drain_batch(
        &mut self,
        max_msgs: usize,
    ) -> Result<Option<RxBatchGuard<'_>>, TachyonError> {
        self.exclusive().try_drain_batch(max_msgs)
    }

    /// [`Bus::recv_batch_into`].
    ///
    /// # Errors
    /// As [`Bus::recv_batch_into`].
    #[inline]
    pub fn recv_batch_into(
        &mut self,
        items: &mut [u8],
        item_size: usize,
        spin_threshold: u32,
    ) -> Result<ReceivedBatch, TachyonError> {
        self.exclusive()
            .recv_batch_into(items, item_size, spin_threshold)
    }

    /// [`Bus::recv_batch_into_timeout`].
    ///
    /// # Errors
    /// As [`Bus::recv_batch_into_timeout`].
    #[inline]
    pub fn recv_batch_into_timeout(
        &mut self,
        items: &mut [u8],
        item_size: usize,
        spin_threshold: u32,
        timeout: Duration,
    ) -> Result<ReceivedBatch, TachyonError> {
        self.exclusive()
            .recv_batch_into_timeout(items, item_size, spin_threshold, timeout)
    }

    /// [`Bus::try_recv_batch_into`].
    ///
    /// # Errors
    /// As [`Bus::try_recv_batch_into`].
    #[inline]
    pub fn try_recv_batch_into(
        &mut self,
        items: &mut [u8],
        item_size: usize,
    ) -> Result<Option<ReceivedBatch>, TachyonError> {
        self.exclusive().try_recv_batch_into(items, item_size)
    }

    /// [`Bus::recv_items_into`].
    ///
    /// # Errors
    /// As [`Bus::recv_items_into`].
    #[cfg(feature = "bytemuck")]
    #[inline]
    pub fn recv_items_into<T: bytemuck::Pod>(
        &mut self,
        items: &mut [T],
        spin_threshold: u32,
    ) -> Result<ReceivedBatch, TachyonError> {
        self.exclusive().recv_items_into(items, spin_threshold)
    }

    /// [`Bus::recv_items_into_timeout`].
    ///
    /// # Errors
    /// As [`Bus::recv_items_into_timeout`].
    #[cfg(feature = "bytemuck")]
    #[inline]
    pub fn recv_items_into_timeout<T: bytemuck::Pod>(
        &mut self,
        items: &mut [T],
        spin_threshold: u32,
        timeout: Duration,
    ) -> Result<ReceivedBatch, TachyonError> {
        self.exclusive()
            .recv_items_into_timeout(items, spin_threshold, timeout)
    }

    /// [`Bus::try_recv_items_into`].
    ///
    /// # Errors
    /// As [`Bus::try_recv_items_into`].
    #[cfg(feature = "bytemuck")]
    #[inline]
    pub fn try_recv_items_into<T: bytemuck::Pod>(
        &mut self,
        items: &mut [T],
    ) -> Result<Option<ReceivedBatch>, TachyonError> {
        self.exclusive().try_recv_items_into(items)
    }

    /// The bus, to look at it or to set it up.
    #[inline]
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Borrowed mutably, so no guard is alive: one that seems to be was forgotten, and the
    /// library hands its message out again.
    #[inline]
    fn exclusive(&mut self) -> &Bus {
        self.bus.receiving().free();
        &self.bus
    }
}

impl From<Bus> for Consumer {
    fn from(bus: Bus) -> Self {
        Self { bus }
    }
}

impl From<Consumer> for Bus {
    fn from(mut consumer: Consumer) -> Self {
        consumer.exclusive();
        consumer.bus
    }
}
