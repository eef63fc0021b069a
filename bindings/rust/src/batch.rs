// SPDX-License-Identifier: Apache-2.0
//! Many received messages at once.

use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::mem;

use crate::error::{check, fail};
use crate::raw::{Code, View};
use crate::{Bus, TachyonError};

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
    pub(crate) bus: &'bus Bus,
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
    /// `Closed` and the like when the connection has ended meanwhile; `Lagged` when they may
    /// have been overwritten before: what was made of them is of no use.
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

    fn release(&mut self, count: usize) -> Code {
        let views = mem::take(&mut self.views);
        self.bus.raw.release_batch(views, count)
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

/// Messages of one size in one [`RxBatchGuard`](crate::RxBatchGuard), read in place as an
/// array whose items lie [`stride`](Self::stride) bytes apart, also where the ring wraps.
///
/// Reaching an item takes one multiplication, where the batch itself looks it up in a list.
#[derive(Debug, Clone, Copy)]
pub struct Strided<'batch> {
    first: *const u8,
    item_size: usize,
    stride: usize,
    len: usize,
    batch: PhantomData<&'batch [u8]>,
}

impl<'batch> Strided<'batch> {
    /// None when the messages are not of one size.
    pub(crate) fn of(views: &'batch [View]) -> Option<Self> {
        // SAFETY: the views are those that the library has handed out.
        let stride = unsafe { tachyon_sys::tachyon_batch_stride(views.as_ptr(), views.len()) };
        (stride != 0).then(|| Self {
            first: views[0].ptr.cast(),
            item_size: views[0].actual_size,
            stride,
            len: views.len(),
            batch: PhantomData,
        })
    }

    /// The payload of the message at `i`, counted from 0 in the order they were sent.
    #[inline]
    #[must_use]
    pub fn get(&self, i: usize) -> Option<&'batch [u8]> {
        // SAFETY: that message's payload lies there, as the library says of this stride,
        // and is readable for its size until the batch, which is borrowed, is released.
        (i < self.len).then(|| unsafe {
            std::slice::from_raw_parts(self.first.add(i * self.stride), self.item_size)
        })
    }

    /// The payloads in the order they were sent.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'batch [u8]> {
        let array = *self;
        (0..self.len).map(move |i| array.get(i).expect("an index below the length"))
    }

    /// Number of messages.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never true: a batch has a message.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of each message.
    #[inline]
    #[must_use]
    pub fn item_size(&self) -> usize {
        self.item_size
    }

    /// Bytes from one message to the next: a multiple of 64.
    #[inline]
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// The first byte of the first message, for libraries that take arrays with strides;
    /// valid as long as the batch.
    #[inline]
    #[must_use]
    pub fn as_ptr(&self) -> *const u8 {
        self.first
    }
}

#[cfg(feature = "bytemuck")]
pub use typed::Items;

#[cfg(feature = "bytemuck")]
mod typed {
    use std::marker::PhantomData;
    use std::mem::{align_of, size_of};

    use bytemuck::AnyBitPattern;

    use super::Strided;

    /// [`Strided`] messages as values of a plain type; with the feature `bytemuck`.
    #[derive(Debug, Clone, Copy)]
    pub struct Items<'batch, T> {
        array: Strided<'batch>,
        item: PhantomData<&'batch T>,
    }

    impl<'batch> Strided<'batch> {
        /// The messages as values; None when `T` has another size, or needs a stricter
        /// alignment than 32 bytes (64 for messages of more than 32 bytes).
        #[must_use]
        pub fn items<T: AnyBitPattern>(self) -> Option<Items<'batch, T>> {
            let fits = self.item_size == size_of::<T>()
                && self.first as usize % align_of::<T>() == 0
                && self.stride % align_of::<T>() == 0;
            fits.then_some(Items {
                array: self,
                item: PhantomData,
            })
        }
    }

    impl<'batch, T: AnyBitPattern> Items<'batch, T> {
        /// The value at `i`, counted from 0 in the order they were sent.
        #[inline]
        #[must_use]
        pub fn get(&self, i: usize) -> Option<&'batch T> {
            // SAFETY: the payload has the size of T and its alignment, and any bytes are a
            // T. It is readable until the batch, which is borrowed, is released.
            self.array
                .get(i)
                .map(|payload| unsafe { &*payload.as_ptr().cast() })
        }

        /// The values in the order they were sent.
        #[inline]
        pub fn iter(&self) -> impl ExactSizeIterator<Item = &'batch T> {
            let items = Self { ..*self };
            (0..self.len()).map(move |i| items.get(i).expect("an index below the length"))
        }

        /// Number of messages.
        #[inline]
        #[must_use]
        pub fn len(&self) -> usize {
            self.array.len()
        }

        /// Never true: a batch has a message.
        #[inline]
        #[must_use]
        pub fn is_empty(&self) -> bool {
            self.array.is_empty()
        }
    }
}
