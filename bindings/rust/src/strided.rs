// SPDX-License-Identifier: Apache-2.0
//! A batch of equal messages as one array in the ring.

use std::marker::PhantomData;

use crate::bus::View;

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
