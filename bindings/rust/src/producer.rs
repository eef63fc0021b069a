// SPDX-License-Identifier: Apache-2.0
//! The sending half.

use std::time::Duration;

use crate::{Bus, Options, Role, TachyonError, TxGuard};

/// The sending half of a connection: a [`Bus`] on which a second guard does not compile.
///
/// A guard that was forgotten is rolled back by the next acquire or send.
///
/// ```
/// # use std::time::Duration;
/// # use tachyon_ipc::{Consumer, Producer, TachyonError};
/// # let path = format!("@producer-example-{}", std::process::id());
/// # let peer = path.clone();
/// # let consumer = std::thread::spawn(move || {
/// #     let mut consumer = Consumer::connect_timeout(&peer, Duration::from_secs(5)).unwrap();
/// #     let data = consumer.recv().unwrap().unwrap().data().to_vec();
/// #     data
/// # });
/// let mut producer = Producer::listen(&path, 1 << 16)?;
/// let guard = producer.acquire_tx(5)?;
/// guard.write(b"hello");
/// guard.commit(5, 1)?;
/// let next = producer.acquire_tx(5)?; // the first one is gone
/// # drop(next);
/// # assert_eq!(consumer.join().unwrap(), b"hello");
/// # Ok::<(), TachyonError>(())
/// ```
///
/// ```compile_fail,E0499
/// fn two_guards(producer: &mut tachyon_ipc::Producer) {
///     let first = producer.acquire_tx(5).unwrap();
///     let second = producer.acquire_tx(5).unwrap();
///     first.commit(5, 1).unwrap();
/// }
/// ```
///
/// ```compile_fail,E0499
/// fn send_beside_a_guard(producer: &mut tachyon_ipc::Producer) {
///     let guard = producer.acquire_tx(5).unwrap();
///     producer.send(b"hello", 1).unwrap();
///     guard.commit(5, 1).unwrap();
/// }
/// ```
#[derive(Debug)]
pub struct Producer {
    bus: Bus,
}

impl Producer {
    /// [`Options::listen`] with the role declared: a peer that sends too is refused.
    ///
    /// # Errors
    /// As [`Options::listen`].
    pub fn listen(socket_path: &str, capacity: usize) -> Result<Self, TachyonError> {
        let options = Options::new().role(Role::Producer);
        options.listen(socket_path, capacity).map(Self::from)
    }

    /// [`Options::connect`] with the role declared: refused by a peer that sends too.
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
        let options = Options::new().role(Role::Producer).timeout(timeout);
        options.connect(socket_path).map(Self::from)
    }

    /// [`Bus::send`].
    ///
    /// # Errors
    /// As [`Bus::send`].
    #[inline]
    pub fn send(&mut self, data: &[u8], type_id: u32) -> Result<(), TachyonError> {
        self.exclusive().send(data, type_id)
    }

    /// [`Bus::send_timeout`].
    ///
    /// # Errors
    /// As [`Bus::send_timeout`].
    #[inline]
    pub fn send_timeout(
        &mut self,
        data: &[u8],
        type_id: u32,
        timeout: Duration,
    ) -> Result<(), TachyonError> {
        self.exclusive().send_timeout(data, type_id, timeout)
    }

    /// [`Bus::send_batch`].
    ///
    /// # Errors
    /// As [`Bus::send_batch`].
    #[inline]
    pub fn send_batch(
        &mut self,
        items: &[u8],
        item_size: usize,
        type_id: u32,
    ) -> Result<usize, TachyonError> {
        self.exclusive().send_batch(items, item_size, type_id)
    }

    /// [`Bus::send_batch_timeout`].
    ///
    /// # Errors
    /// As [`Bus::send_batch_timeout`].
    #[inline]
    pub fn send_batch_timeout(
        &mut self,
        items: &[u8],
        item_size: usize,
        type_id: u32,
        timeout: Duration,
    ) -> Result<usize, TachyonError> {
        self.exclusive()
            .send_batch_timeout(items, item_size, type_id, timeout)
    }

    /// [`Bus::send_items`].
    ///
    /// # Errors
    /// As [`Bus::send_items`].
    #[cfg(feature = "bytemuck")]
    #[inline]
    pub fn send_items<T: bytemuck::NoUninit>(
        &mut self,
        items: &[T],
        type_id: u32,
    ) -> Result<usize, TachyonError> {
        self.exclusive().send_items(items, type_id)
    }

    /// [`Bus::send_items_timeout`].
    ///
    /// # Errors
    /// As [`Bus::send_items_timeout`].
    #[cfg(feature = "bytemuck")]
    #[inline]
    pub fn send_items_timeout<T: bytemuck::NoUninit>(
        &mut self,
        items: &[T],
        type_id: u32,
        timeout: Duration,
    ) -> Result<usize, TachyonError> {
        self.exclusive().send_items_timeout(items, type_id, timeout)
    }

    /// [`Bus::acquire_tx`].
    ///
    /// # Errors
    /// As [`Bus::acquire_tx`].
    #[inline]
    pub fn acquire_tx(&mut self, max_size: usize) -> Result<TxGuard<'_>, TachyonError> {
        self.exclusive().acquire_tx(max_size)
    }

    /// [`Bus::acquire_tx_timeout`].
    ///
    /// # Errors
    /// As [`Bus::acquire_tx_timeout`].
    #[inline]
    pub fn acquire_tx_timeout(
        &mut self,
        max_size: usize,
        timeout: Duration,
    ) -> Result<TxGuard<'_>, TachyonError> {
        self.exclusive().acquire_tx_timeout(max_size, timeout)
    }

    /// [`Bus::flush`].
    #[inline]
    pub fn flush(&mut self) {
        self.bus.flush();
    }

    /// The bus, to look at it or to set it up.
    #[inline]
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Borrowed mutably, so no guard is alive: one that seems to be was forgotten, and the
    /// library replaces its reservation.
    #[inline]
    fn exclusive(&mut self) -> &Bus {
        self.bus.sending().free();
        &self.bus
    }
}

impl From<Bus> for Producer {
    fn from(bus: Bus) -> Self {
        Self { bus }
    }
}

impl From<Producer> for Bus {
    fn from(mut producer: Producer) -> Self {
        producer.exclusive();
        producer.bus
    }
}
