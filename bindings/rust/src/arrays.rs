// SPDX-License-Identifier: Apache-2.0
//! Arrays: one message for each item, sent and received by one call.

use std::time::Duration;

use crate::error::fail;
use crate::wait::{nanoseconds, not_come, try_now, wait, Room};
use crate::{Bus, TachyonError};

/// What a receive into an array has brought; all messages are of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ReceivedBatch {
    /// Number of messages, and of items at the front of the array that were written.
    pub count: usize,
    /// Their type.
    pub type_id: u32,
}

/// The number of items in an array of so many bytes.
fn count_items(bytes: usize, item_size: usize) -> Result<usize, TachyonError> {
    if item_size == 0 || bytes % item_size != 0 {
        let text = format!("{bytes} bytes are no array of items of {item_size} bytes");
        return Err(fail(TachyonError::InvalidSize, &text));
    }
    Ok(bytes / item_size)
}

/// Arrays are sequences of items of `item_size` bytes without gaps. With the feature
/// `bytemuck` they may be slices of any plain type instead.
///
/// ```
/// # use std::time::Duration;
/// # use tachyon_ipc::{Bus, TachyonError};
/// # let path = format!("@arrays-example-{}", std::process::id());
/// # let peer = path.clone();
/// # let listener = std::thread::spawn(move || Bus::listen(&peer, 1 << 16).unwrap());
/// # let producer = Bus::connect_timeout(&path, Duration::from_secs(5))?;
/// # let consumer = listener.join().unwrap();
/// let sent = producer.send_batch(b"onetwosix", 3, 7)?;
/// assert_eq!(sent, 3);
///
/// let mut items = [0; 30];
/// let batch = consumer.recv_batch_into(&mut items, 3, 10_000)?;
/// assert_eq!((batch.count, batch.type_id), (3, 7));
/// assert_eq!(&items[..9], b"onetwosix");
/// # Ok::<(), TachyonError>(())
/// ```
impl Bus {
    /// Sends one message for each item, copied, as [`send`](Self::send) in a loop would but
    /// with few flushes, and returns how many were sent and flushed: fewer than there are
    /// when the ring is full or the peer has gone. Does not wait.
    ///
    /// # Errors
    /// As [`send`](Self::send) when not even the first one could be sent; `InvalidSize`
    /// when the bytes are not a number of items, or `item_size` is 0 or can never fit.
    #[inline]
    pub fn send_batch(
        &self,
        items: &[u8],
        item_size: usize,
        type_id: u32,
    ) -> Result<usize, TachyonError> {
        self.send_batch_timeout(items, item_size, type_id, Duration::ZERO)
    }

    /// [`send_batch`](Self::send_batch) that waits for room; a zero `timeout` does not,
    /// [`Duration::MAX`] waits for ever. The time-out is for all of them together.
    ///
    /// # Errors
    /// As [`send_batch`](Self::send_batch), but `Timeout` instead of `BufferFull` (unless
    /// `timeout` is zero).
    pub fn send_batch_timeout(
        &self,
        items: &[u8],
        item_size: usize,
        type_id: u32,
        timeout: Duration,
    ) -> Result<usize, TachyonError> {
        self.raw.may_send()?;
        let count = count_items(items.len(), item_size)?;
        let ns = nanoseconds(timeout);
        match self.raw.send_batch(items, item_size, type_id, ns) {
            0 if count > 0 => Err(not_come(&Room(item_size), timeout)),
            sent => Ok(sent),
        }
    }

    /// Waits for a message, for ever, and copies it and those behind it into the front of
    /// `items`, as long as size and type stay the same; they are released.
    ///
    /// A message of another type, or of another size than `item_size`, ends the batch and
    /// stays in the ring: none is lost or cut. A signal does not end the wait.
    ///
    /// # Errors
    /// As [`acquire_rx`](Self::acquire_rx); `InvalidSize` when the next message has another
    /// size, and when `items` is empty or not a number of items.
    pub fn recv_batch_into(
        &self,
        items: &mut [u8],
        item_size: usize,
        spin_threshold: u32,
    ) -> Result<ReceivedBatch, TachyonError> {
        self.recv_batch_into_timeout(items, item_size, spin_threshold, Duration::MAX)
    }

    /// [`recv_batch_into`](Self::recv_batch_into) with a time-out; zero is a single look.
    ///
    /// # Errors
    /// As [`recv_batch_into`](Self::recv_batch_into); `Timeout`, or `BufferEmpty` when
    /// `timeout` is zero.
    pub fn recv_batch_into_timeout(
        &self,
        items: &mut [u8],
        item_size: usize,
        spin_threshold: u32,
        timeout: Duration,
    ) -> Result<ReceivedBatch, TachyonError> {
        self.before_recv_batch(items, item_size)?;
        wait(timeout, &"message", |ns| {
            self.receive_batch(items, item_size, spin_threshold, ns)
        })
    }

    /// What is there now, copied as by [`recv_batch_into`](Self::recv_batch_into).
    ///
    /// # Errors
    /// As [`recv_batch_into`](Self::recv_batch_into).
    pub fn try_recv_batch_into(
        &self,
        items: &mut [u8],
        item_size: usize,
    ) -> Result<Option<ReceivedBatch>, TachyonError> {
        self.before_recv_batch(items, item_size)?;
        try_now(|ns| self.receive_batch(items, item_size, 0, ns))
    }

    fn before_recv_batch(&self, items: &[u8], item_size: usize) -> Result<(), TachyonError> {
        self.raw.may_receive()?;
        count_items(items.len(), item_size).map(|_| ())
    }

    fn receive_batch(
        &self,
        items: &mut [u8],
        item_size: usize,
        spin_threshold: u32,
        ns: i64,
    ) -> Option<ReceivedBatch> {
        let received = self.raw.receive_batch(items, item_size, spin_threshold, ns);
        received.map(|(count, type_id)| ReceivedBatch { count, type_id })
    }
}

#[cfg(feature = "bytemuck")]
mod typed {
    use std::mem::size_of;
    use std::time::Duration;

    use bytemuck::{cast_slice, cast_slice_mut, NoUninit, Pod};

    use super::ReceivedBatch;
    use crate::{Bus, TachyonError};

    /// Slices of plain types, one message for each item; with the feature `bytemuck`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tachyon_ipc::{Bus, TachyonError};
    /// # let path = format!("@items-example-{}", std::process::id());
    /// # let peer = path.clone();
    /// # let listener = std::thread::spawn(move || Bus::listen(&peer, 1 << 16).unwrap());
    /// # let producer = Bus::connect_timeout(&path, Duration::from_secs(5))?;
    /// # let consumer = listener.join().unwrap();
    /// #[derive(Clone, Copy, Debug, Default, PartialEq)]
    /// #[repr(C)]
    /// struct Tick {
    ///     symbol: u64,
    ///     price: f64,
    /// }
    /// // SAFETY: plain numbers without gaps; bytemuck's derive would check that.
    /// unsafe impl bytemuck::Zeroable for Tick {}
    /// unsafe impl bytemuck::Pod for Tick {}
    ///
    /// let ticks = [Tick { symbol: 1, price: 101.5 }, Tick { symbol: 2, price: 99.0 }];
    /// assert_eq!(producer.send_items(&ticks, 7)?, 2);
    ///
    /// let mut received = [Tick::default(); 64];
    /// let batch = consumer.recv_items_into(&mut received, 10_000)?;
    /// assert_eq!(received[..batch.count], ticks);
    /// # Ok::<(), TachyonError>(())
    /// ```
    impl Bus {
        /// [`send_batch`](Self::send_batch) of a slice.
        ///
        /// # Errors
        /// As [`send_batch`](Self::send_batch).
        #[inline]
        pub fn send_items<T: NoUninit>(
            &self,
            items: &[T],
            type_id: u32,
        ) -> Result<usize, TachyonError> {
            self.send_items_timeout(items, type_id, Duration::ZERO)
        }

        /// [`send_batch_timeout`](Self::send_batch_timeout) of a slice.
        ///
        /// # Errors
        /// As [`send_batch_timeout`](Self::send_batch_timeout).
        #[inline]
        pub fn send_items_timeout<T: NoUninit>(
            &self,
            items: &[T],
            type_id: u32,
            timeout: Duration,
        ) -> Result<usize, TachyonError> {
            self.send_batch_timeout(cast_slice(items), size_of::<T>(), type_id, timeout)
        }

        /// [`recv_batch_into`](Self::recv_batch_into) a slice.
        ///
        /// # Errors
        /// As [`recv_batch_into`](Self::recv_batch_into).
        #[inline]
        pub fn recv_items_into<T: Pod>(
            &self,
            items: &mut [T],
            spin_threshold: u32,
        ) -> Result<ReceivedBatch, TachyonError> {
            self.recv_batch_into(cast_slice_mut(items), size_of::<T>(), spin_threshold)
        }

        /// [`recv_batch_into_timeout`](Self::recv_batch_into_timeout) with a slice.
        ///
        /// # Errors
        /// As [`recv_batch_into_timeout`](Self::recv_batch_into_timeout).
        #[inline]
        pub fn recv_items_into_timeout<T: Pod>(
            &self,
            items: &mut [T],
            spin_threshold: u32,
            timeout: Duration,
        ) -> Result<ReceivedBatch, TachyonError> {
            self.recv_batch_into_timeout(
                cast_slice_mut(items),
                size_of::<T>(),
                spin_threshold,
                timeout,
            )
        }

        /// [`try_recv_batch_into`](Self::try_recv_batch_into) a slice.
        ///
        /// # Errors
        /// As [`try_recv_batch_into`](Self::try_recv_batch_into).
        #[inline]
        pub fn try_recv_items_into<T: Pod>(
            &self,
            items: &mut [T],
        ) -> Result<Option<ReceivedBatch>, TachyonError> {
            self.try_recv_batch_into(cast_slice_mut(items), size_of::<T>())
        }
    }
}
