// SPDX-License-Identifier: Apache-2.0
//! Many messages of one size, written in place.

use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::time::Duration;

use crate::error::reported;
use crate::raw::{ReservedBatch, SUCCESS};
use crate::wait::{wait, Room};
use crate::{Bus, TachyonError};

impl Bus {
    /// Reserves room for up to `max_count` messages of exactly `item_size` bytes, to be
    /// written in place: as many as there is room for now, at least one. Does not wait.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tachyon_ipc::{Bus, TachyonError};
    /// # let path = format!("@tx-batch-example-{}", std::process::id());
    /// # let peer = path.clone();
    /// # let listener = std::thread::spawn(move || Bus::listen(&peer, 1 << 16).unwrap());
    /// # let producer = Bus::connect_timeout(&path, Duration::from_secs(5))?;
    /// # let consumer = listener.join().unwrap();
    /// let mut batch = producer.acquire_tx_batch(8, 100)?;
    /// for (number, item) in (0u64..).zip(batch.iter_mut()) {
    ///     item.copy_from_slice(&number.to_le_bytes());
    /// }
    /// let count = batch.len();
    /// batch.commit(count, 7)?;
    /// assert_eq!(consumer.drain_batch(1000, 0)?.len(), count);
    /// # Ok::<(), TachyonError>(())
    /// ```
    ///
    /// # Errors
    /// As [`send`](Self::send); `InvalidSize` when `item_size` or `max_count` is 0.
    #[inline]
    pub fn acquire_tx_batch(
        &self,
        item_size: usize,
        max_count: usize,
    ) -> Result<TxBatchGuard<'_>, TachyonError> {
        self.acquire_tx_batch_timeout(item_size, max_count, Duration::ZERO)
    }

    /// [`acquire_tx_batch`](Self::acquire_tx_batch) that waits while there is no room for
    /// one; a zero `timeout` does not, [`Duration::MAX`] waits for ever.
    ///
    /// # Errors
    /// As [`acquire_tx_batch`](Self::acquire_tx_batch), but `Timeout` instead of
    /// `BufferFull` (unless `timeout` is zero).
    #[inline]
    pub fn acquire_tx_batch_timeout(
        &self,
        item_size: usize,
        max_count: usize,
        timeout: Duration,
    ) -> Result<TxBatchGuard<'_>, TachyonError> {
        self.raw.may_send()?;
        let slots = wait(timeout, &Room(item_size), |ns| {
            self.raw.reserve_batch(item_size, max_count, ns)
        })?;
        Ok(TxBatchGuard { bus: self, slots })
    }
}

/// Room for several outgoing messages of one size, to be written in place; made by
/// [`Bus::acquire_tx_batch`].
///
/// Dropping it gives the room back and sends nothing.
///
/// ```compile_fail,E0499
/// fn alias<'a>(batch: &'a mut tachyon_ipc::TxBatchGuard<'_>) -> [Option<&'a mut [u8]>; 2] {
///     [batch.get_mut(0), batch.get_mut(0)]
/// }
/// ```
///
/// ```compile_fail,E0505
/// fn keep(mut batch: tachyon_ipc::TxBatchGuard<'_>) {
///     let item = batch.get_mut(0).unwrap();
///     batch.commit(1, 7).unwrap();
///     item[0] = 1;
/// }
/// ```
#[must_use = "messages that are not committed are not sent"]
pub struct TxBatchGuard<'bus> {
    bus: &'bus Bus,
    slots: ReservedBatch,
}

impl TxBatchGuard<'_> {
    /// Messages that were reserved; at least one.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len
    }

    /// Never true: a batch has room for a message.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.len == 0
    }

    /// Bytes of each message.
    #[inline]
    #[must_use]
    pub fn item_size(&self) -> usize {
        self.slots.item_size
    }

    /// Room for the message at `i`; what it holds before it is written is of no meaning.
    #[inline]
    #[must_use]
    pub fn get_mut(&mut self, i: usize) -> Option<&mut [u8]> {
        // SAFETY: borrows this mutably, so no other slice of it is alive.
        (i < self.slots.len).then(|| unsafe { self.slots.item(i) })
    }

    /// Room for each message, in the order in which they will be sent.
    #[inline]
    pub fn iter_mut(&mut self) -> TxBatchIter<'_> {
        TxBatchIter {
            slots: &self.slots,
            next: 0,
            items: PhantomData,
        }
    }

    /// Sends the first `count` messages and gives the others back:
    /// [`commit_unflushed`](Self::commit_unflushed) and [`Bus::flush`].
    ///
    /// # Errors
    /// As [`commit_unflushed`](Self::commit_unflushed).
    #[inline]
    pub fn commit(self, count: usize, type_id: u32) -> Result<(), TachyonError> {
        let bus = self.bus;
        self.commit_unflushed(count, type_id)?;
        bus.flush();
        Ok(())
    }

    /// Makes the first `count` of them messages that the peer will see after the next
    /// [`Bus::flush`], and gives the others back; 32 or more since the last flush are
    /// flushed here.
    ///
    /// # Errors
    /// `InvalidSize` when `count` exceeds [`len`](Self::len); `Closed` and the like when
    /// the connection has ended since. All of it is given back then.
    #[inline]
    pub fn commit_unflushed(self, count: usize, type_id: u32) -> Result<(), TachyonError> {
        let raw = &ManuallyDrop::new(self).bus.raw;
        let code = raw.commit_batch(count, type_id);
        if code == SUCCESS {
            return Ok(());
        }
        let error = reported(code);
        raw.roll_back();
        Err(error)
    }
}

impl Drop for TxBatchGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.bus.raw.roll_back();
    }
}

impl fmt::Debug for TxBatchGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TxBatchGuard")
            .field("len", &self.slots.len)
            .field("item_size", &self.slots.item_size)
            .finish_non_exhaustive()
    }
}

impl<'batch> IntoIterator for &'batch mut TxBatchGuard<'_> {
    type Item = &'batch mut [u8];
    type IntoIter = TxBatchIter<'batch>;

    #[inline]
    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

/// Iterator over the room of a [`TxBatchGuard`].
#[derive(Debug)]
pub struct TxBatchIter<'batch> {
    slots: &'batch ReservedBatch,
    next: usize,
    /// The guard is borrowed mutably.
    items: PhantomData<&'batch mut [u8]>,
}

impl<'batch> Iterator for TxBatchIter<'batch> {
    type Item = &'batch mut [u8];

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let i = self.next;
        // SAFETY: each item is given out once, and the guard is borrowed mutably.
        (i < self.slots.len).then(|| unsafe {
            self.next = i + 1;
            self.slots.item(i)
        })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.slots.len - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for TxBatchIter<'_> {}
impl std::iter::FusedIterator for TxBatchIter<'_> {}
