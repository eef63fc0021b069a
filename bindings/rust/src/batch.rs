// SPDX-License-Identifier: Apache-2.0
//! Many received messages at once.

use std::iter::FusedIterator;
use std::mem;

use tachyon_sys as sys;

use crate::bus::View;
use crate::error::{check, fail};
use crate::{Bus, Strided, TachyonError};

/// Received messages, read in place.
///
/// Dropping it releases them all.
///
/// ```compile_fail,E0505
/// fn keep(batch: tachyon_ipc::RxBatchGuard<'_>) -> usize {
///     let first = batch.get(0).unwrap();
///     batch.commit().unwrap();
///     first.data().len()
/// }
/// ```
#[derive(Debug)]
pub struct RxBatchGuard<'bus> {
    bus: &'bus Bus,
    views: Vec<View>,
    /// Number of messages. For information: writing to it changes nothing.
    pub count: usize,
}

impl<'bus> RxBatchGuard<'bus> {
    pub(crate) fn new(bus: &'bus Bus, views: Vec<View>) -> Self {
        Self {
            bus,
            count: views.len(),
            views,
        }
    }

    /// The message at `i`, counted from 0 in the order they were sent.
    #[inline]
    #[must_use]
    pub fn get(&self, i: usize) -> Option<RxMsgView<'_>> {
        self.views.get(i).map(|view| RxMsgView { view })
    }

    /// Number of messages.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.views.len()
    }

    /// Never true: a batch has a message.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.views.is_empty()
    }

    /// The messages in the order they were sent.
    #[inline]
    pub fn iter(&self) -> BatchIter<'_> {
        BatchIter {
            views: self.views.iter(),
        }
    }

    /// All messages as one array in the ring; None when they are not of one size.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tachyon_ipc::{Bus, TachyonError};
    /// # let path = format!("@strided-example-{}", std::process::id());
    /// # let peer = path.clone();
    /// # let listener = std::thread::spawn(move || Bus::listen(&peer, 1 << 16).unwrap());
    /// # let producer = Bus::connect_timeout(&path, Duration::from_secs(5))?;
    /// # let consumer = listener.join().unwrap();
    /// producer.send_batch(b"onetwosix", 3, 7)?;
    /// let batch = consumer.drain_batch(64, 10_000)?;
    /// let array = batch.strided().expect("messages of one size");
    /// assert_eq!(array.get(1), Some(&b"two"[..]));
    /// assert_eq!(array.iter().len(), 3);
    /// # Ok::<(), TachyonError>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn strided(&self) -> Option<Strided<'_>> {
        Strided::of(&self.views)
    }

    /// Releases all messages, as dropping does.
    ///
    /// # Errors
    /// `Closed` and the like when the connection has ended meanwhile.
    pub fn commit(self) -> Result<(), TachyonError> {
        let count = self.views.len();
        self.commit_first(count)
    }

    /// Releases the first `count` messages only; the others come again with the next
    /// receive.
    ///
    /// # Errors
    /// `InvalidSize` when there are not as many (all are released then); `Closed` and
    /// the like when the connection has ended meanwhile.
    pub fn commit_first(mut self, count: usize) -> Result<(), TachyonError> {
        if count > self.views.len() {
            let text = format!(
                "{count} messages to release, but the batch has {}",
                self.views.len()
            );
            return Err(fail(TachyonError::InvalidSize, &text));
        }
        let released = self.release(count);
        mem::forget(self); // whose views release() has given back
        check(released)
    }

    fn release(&mut self, count: usize) -> sys::tachyon_error_t {
        self.bus.receiving().free();
        let views = mem::take(&mut self.views);
        // SAFETY: the handle is open, and the views are those that were handed out.
        let released =
            unsafe { sys::tachyon_commit_rx_batch(self.bus.as_ptr(), views.as_ptr(), count) };
        self.bus.keep_views(views);
        released
    }
}

impl Drop for RxBatchGuard<'_> {
    fn drop(&mut self) {
        let count = self.views.len();
        self.release(count); // fails only when the bus has been closed, which released them
    }
}

impl<'batch> IntoIterator for &'batch RxBatchGuard<'_> {
    type Item = RxMsgView<'batch>;
    type IntoIter = BatchIter<'batch>;

    #[inline]
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Iterator over the messages of a [`RxBatchGuard`].
#[derive(Debug, Clone)]
pub struct BatchIter<'batch> {
    views: std::slice::Iter<'batch, View>,
}

impl<'batch> Iterator for BatchIter<'batch> {
    type Item = RxMsgView<'batch>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.views.next().map(|view| RxMsgView { view })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.views.size_hint()
    }
}

impl ExactSizeIterator for BatchIter<'_> {}
impl FusedIterator for BatchIter<'_> {}

/// One message of a [`RxBatchGuard`].
#[derive(Debug, Clone, Copy)]
pub struct RxMsgView<'batch> {
    view: &'batch View,
}

impl<'batch> RxMsgView<'batch> {
    /// The payload. See the crate's page on what a hostile peer can do to it.
    #[inline]
    #[must_use]
    pub fn data(&self) -> &'batch [u8] {
        // SAFETY: the payload is mapped and readable for its size until the batch, which
        // is borrowed, is released. The peer writes there only after that.
        unsafe { std::slice::from_raw_parts(self.view.ptr.cast(), self.view.actual_size) }
    }

    /// Size in bytes.
    #[inline]
    #[must_use]
    pub fn actual_size(&self) -> usize {
        self.view.actual_size
    }

    /// Type that the sender gave it.
    #[inline]
    #[must_use]
    pub fn type_id(&self) -> u32 {
        self.view.type_id
    }
}

impl AsRef<[u8]> for RxMsgView<'_> {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.data()
    }
}
