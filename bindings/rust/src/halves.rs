// SPDX-License-Identifier: Apache-2.0
//! The halves of a connection.

use std::time::Duration;

use crate::{
    Bus, Frame, Loan, Message, Options, ReceivedBatch, Role, RxBatchGuard, RxGuard, TachyonError,
    TxBatchGuard, TxGuard, SPIN_THRESHOLD,
};

/// A bus of one direction: its methods are those of [`Bus`], but borrow mutably.
macro_rules! half {
    (
        $(#[$doc:meta])*
        $Half:ident of $role:ident;
        $(
            $(#[$feature:meta])?
            fn $method:ident $(<$T:ident: $Bound:path>)? ($($arg:ident: $Type:ty),*) -> $Value:ty;
        )*
    ) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $Half {
            bus: Bus,
        }

        impl $Half {
            /// [`Options::listen`] with the role declared: a peer of the same role is
            /// refused.
            ///
            /// # Errors
            /// As [`Options::listen`].
            pub fn listen(socket_path: &str, capacity: usize) -> Result<Self, TachyonError> {
                let options = Options::new().role(Role::$role);
                options.listen(socket_path, capacity).map(Self::from)
            }

            /// [`Options::connect`] with the role declared: refused by a peer of the same
            /// role.
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
            pub fn connect_timeout(
                socket_path: &str,
                timeout: Duration,
            ) -> Result<Self, TachyonError> {
                let options = Options::new().role(Role::$role).timeout(timeout);
                options.connect(socket_path).map(Self::from)
            }

            $(
                #[doc = concat!("[`Bus::", stringify!($method), "`].\n\n")]
                #[doc = concat!("# Errors\nAs [`Bus::", stringify!($method), "`].")]
                $(#[$feature])?
                #[inline]
                pub fn $method $(<$T: $Bound>)? (
                    &mut self,
                    $($arg: $Type),*
                ) -> Result<$Value, TachyonError> {
                    self.exclusive().$method($($arg),*)
                }
            )*

            /// [`Bus::close`].
            pub fn close(&self) {
                self.bus.close();
            }

            /// [`Bus::abort`].
            pub fn abort(&self) {
                self.bus.abort();
            }

            /// The bus, to look at it or to set it up.
            #[inline]
            #[must_use]
            pub fn bus(&self) -> &Bus {
                &self.bus
            }

            /// Borrowed mutably, so no guard is alive: one that seems to be was forgotten.
            #[inline]
            fn exclusive(&mut self) -> &Bus {
                self.bus.raw.forget_guards();
                &self.bus
            }
        }

        impl From<Bus> for $Half {
            fn from(bus: Bus) -> Self {
                Self { bus }
            }
        }

        impl From<$Half> for Bus {
            fn from(mut half: $Half) -> Self {
                half.exclusive();
                half.bus
            }
        }
    };
}

half! {
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
    Producer of Producer;
    fn send(data: &[u8], type_id: u32) -> ();
    fn send_timeout(data: &[u8], type_id: u32, timeout: Duration) -> ();
    fn send_message<T: Message>(message: &T) -> ();
    fn send_message_timeout<T: Message>(message: &T, timeout: Duration) -> ();
    fn send_frame(frame: Frame<'_>) -> ();
    fn send_frame_timeout(frame: Frame<'_>, timeout: Duration) -> ();
    fn loan<T: Message>() -> Loan<'_, T>;
    fn loan_timeout<T: Message>(timeout: Duration) -> Loan<'_, T>;
    fn acquire_tx(max_size: usize) -> TxGuard<'_>;
    fn acquire_tx_timeout(max_size: usize, timeout: Duration) -> TxGuard<'_>;
    fn acquire_tx_batch(item_size: usize, max_count: usize) -> TxBatchGuard<'_>;
    fn acquire_tx_batch_timeout(item_size: usize, max_count: usize, timeout: Duration) -> TxBatchGuard<'_>;
    fn send_batch(items: &[u8], item_size: usize, type_id: u32) -> usize;
    fn send_batch_timeout(items: &[u8], item_size: usize, type_id: u32, timeout: Duration) -> usize;
    #[cfg(feature = "bytemuck")]
    fn send_items<T: bytemuck::NoUninit>(items: &[T], type_id: u32) -> usize;
    #[cfg(feature = "bytemuck")]
    fn send_items_timeout<T: bytemuck::NoUninit>(items: &[T], type_id: u32, timeout: Duration) -> usize;
}

impl Producer {
    /// [`Bus::flush`].
    #[inline]
    pub fn flush(&mut self) {
        self.bus.flush();
    }
}

half! {
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
    Consumer of Consumer;
    fn acquire_rx(spin_threshold: u32) -> RxGuard<'_>;
    fn acquire_rx_timeout(spin_threshold: u32, timeout: Duration) -> RxGuard<'_>;
    fn try_acquire_rx() -> Option<RxGuard<'_>>;
    fn recv_message<T: Message>() -> Option<T>;
    fn recv_message_timeout<T: Message>(timeout: Duration) -> Option<T>;
    fn try_recv_message<T: Message>() -> Option<T>;
    fn drain_batch(max_msgs: usize, spin_threshold: u32) -> RxBatchGuard<'_>;
    fn drain_batch_timeout(max_msgs: usize, spin_threshold: u32, timeout: Duration) -> RxBatchGuard<'_>;
    fn try_drain_batch(max_msgs: usize) -> Option<RxBatchGuard<'_>>;
    fn recv_batch_into(items: &mut [u8], item_size: usize, spin_threshold: u32) -> ReceivedBatch;
    fn recv_batch_into_timeout(items: &mut [u8], item_size: usize, spin_threshold: u32, timeout: Duration) -> ReceivedBatch;
    fn try_recv_batch_into(items: &mut [u8], item_size: usize) -> Option<ReceivedBatch>;
    #[cfg(feature = "bytemuck")]
    fn recv_items_into<T: bytemuck::Pod>(items: &mut [T], spin_threshold: u32) -> ReceivedBatch;
    #[cfg(feature = "bytemuck")]
    fn recv_items_into_timeout<T: bytemuck::Pod>(items: &mut [T], spin_threshold: u32, timeout: Duration) -> ReceivedBatch;
    #[cfg(feature = "bytemuck")]
    fn try_recv_items_into<T: bytemuck::Pod>(items: &mut [T]) -> Option<ReceivedBatch>;
}

impl Consumer {
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
}
