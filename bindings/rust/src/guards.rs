// SPDX-License-Identifier: Apache-2.0
//! A message in place: what the library hands out, and the guards that hold it.

use std::cell::Cell;
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use crate::error::{check, fail, reported};
use crate::raw::SUCCESS;
use crate::{Bus, TachyonError};

/// Whether a guard of one direction is alive: there may be one at a time.
#[derive(Default)]
pub(crate) struct OneGuard(Cell<bool>);

impl OneGuard {
    #[inline]
    pub(crate) fn must_be_free(&self, guard: &str) -> Result<(), TachyonError> {
        if self.0.get() {
            return Err(Self::taken(guard));
        }
        Ok(())
    }

    #[cold]
    fn taken(guard: &str) -> TachyonError {
        let text = format!("a {guard} of this handle is alive: commit or drop it first");
        fail(TachyonError::Busy, &text)
    }

    #[inline]
    pub(crate) fn take(&self) {
        self.0.set(true);
    }

    #[inline]
    pub(crate) fn free(&self) {
        self.0.set(false);
    }
}

/// A slot that the library has reserved. Lives in a guard, which borrows the bus, and ends
/// with it, before the slot is committed or given back.
#[derive(Debug)]
pub(crate) struct Reserved {
    start: NonNull<u8>,
    pub(crate) size: usize,
}

impl Reserved {
    #[inline]
    pub(crate) fn new(start: *mut c_void, size: usize, guard: &OneGuard) -> Option<Self> {
        let start = NonNull::new(start.cast())?;
        guard.take();
        Some(Self { start, size })
    }

    /// Copies `data` to the beginning.
    #[inline]
    pub(crate) fn write(&self, data: &[u8]) {
        assert!(
            data.len() <= self.size,
            "{} bytes do not fit the {} that are reserved",
            data.len(),
            self.size,
        );
        // SAFETY: the slot has room for them, and no slice of it is borrowed: `data` lives
        // elsewhere, since a slice of the slot would borrow this mutably.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), self.start.as_ptr(), data.len()) }
    }

    #[inline]
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the slot is mapped and writable for its size as long as the bus is. It is
        // ours alone: one reservation is open at a time on a bus, one guard alive, and this
        // borrows it. The peer reads it after the commit. Shared memory is always
        // initialised.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.size) }
    }
}

/// A message that the library has handed out. Lives in a guard, which borrows the bus, and
/// ends with it, before the message is released.
#[derive(Debug)]
pub(crate) struct Received {
    start: NonNull<u8>,
    pub(crate) size: usize,
    pub(crate) type_id: u32,
}

impl Received {
    #[inline]
    pub(crate) fn new(
        start: *const c_void,
        size: usize,
        type_id: u32,
        guard: &OneGuard,
    ) -> Option<Self> {
        let start = NonNull::new(start.cast_mut().cast())?;
        guard.take();
        Some(Self {
            start,
            size,
            type_id,
        })
    }

    #[inline]
    pub(crate) fn data(&self) -> &[u8] {
        // SAFETY: the payload is readable for its size until it is released: it is mapped,
        // or a copy that the library keeps. The peer writes there only after that.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.size) }
    }
}

/// Room for one outgoing message, to be written in place.
///
/// Dropping it gives the room back and sends nothing.
#[derive(Debug)]
#[must_use = "a message that is not committed is not sent"]
pub struct TxGuard<'bus> {
    bus: &'bus Bus,
    slot: Reserved,
}

impl<'bus> TxGuard<'bus> {
    #[inline]
    pub(crate) fn new(bus: &'bus Bus, slot: Reserved) -> Self {
        Self { bus, slot }
    }

    /// Copies `data` to the beginning of the slot.
    ///
    /// # Panics
    /// When `data` is longer than [`max_size`](Self::max_size).
    #[inline]
    pub fn write(&self, data: &[u8]) {
        self.slot.write(data);
    }

    /// The whole slot; what it holds before it is written is of no meaning.
    ///
    /// # Safety
    /// None is needed any more, the bounds are the slot's and no other guard has it: the
    /// signature is kept for existing code. [`as_mut`](AsMut::as_mut) is the same.
    #[inline]
    pub unsafe fn as_mut_slice(&mut self) -> &mut [u8] {
        self.slot.bytes()
    }

    /// Bytes that were reserved.
    #[inline]
    #[must_use]
    pub fn max_size(&self) -> usize {
        self.slot.size
    }

    /// Sends the first `actual_size` bytes: [`commit_unflushed`](Self::commit_unflushed)
    /// and [`Bus::flush`].
    ///
    /// # Errors
    /// As [`commit_unflushed`](Self::commit_unflushed).
    #[inline]
    pub fn commit(self, actual_size: usize, type_id: u32) -> Result<(), TachyonError> {
        let bus = self.bus;
        self.commit_unflushed(actual_size, type_id)?;
        bus.flush();
        Ok(())
    }

    /// Makes the first `actual_size` bytes a message that the peer will see after the next
    /// [`Bus::flush`]; the 32nd one since the last flush flushes by itself.
    ///
    /// # Errors
    /// `InvalidSize` when `actual_size` exceeds [`max_size`](Self::max_size); `Closed` and
    /// the like when the connection has ended since. The room is given back then.
    #[inline]
    pub fn commit_unflushed(self, actual_size: usize, type_id: u32) -> Result<(), TachyonError> {
        // In registers: this is the hot path.
        let raw = &ManuallyDrop::new(self).bus.raw;
        let code = raw.commit(actual_size, type_id);
        if code == SUCCESS {
            return Ok(());
        }
        let error = reported(code);
        raw.roll_back();
        Err(error)
    }
}

impl AsMut<[u8]> for TxGuard<'_> {
    /// The whole slot; what it holds before it is written is of no meaning.
    #[inline]
    fn as_mut(&mut self) -> &mut [u8] {
        self.slot.bytes()
    }
}

impl Drop for TxGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.bus.raw.roll_back();
    }
}

/// A received message, read in place.
///
/// Dropping it releases it, so that its room can be used again. [`commit`](Self::commit) says
/// besides whether it was still there.
///
/// ```compile_fail,E0505
/// fn keep(message: tachyon_ipc::RxGuard<'_>) -> u8 {
///     let data = message.data();
///     message.commit().unwrap();
///     data[0]
/// }
/// ```
///
/// ```compile_fail,E0594
/// fn write(message: tachyon_ipc::RxGuard<'_>) {
///     message.data()[0] = 1;
/// }
/// ```
#[derive(Debug)]
pub struct RxGuard<'bus> {
    pub(crate) bus: &'bus Bus,
    message: Received,
    /// Size in bytes. For information: writing to it changes nothing.
    pub actual_size: usize,
    /// Type that the sender gave it.
    pub type_id: u32,
}

impl<'bus> RxGuard<'bus> {
    #[inline]
    pub(crate) fn new(bus: &'bus Bus, message: Received) -> Self {
        Self {
            bus,
            actual_size: message.size,
            type_id: message.type_id,
            message,
        }
    }

    /// The payload, to be read only. See the crate's page on
    /// [what a peer can do to it](crate#what-a-peer-can-do).
    #[inline]
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.message.data()
    }

    /// Releases the message, as dropping does.
    ///
    /// # Errors
    /// `Closed` and the like when the connection has ended meanwhile; `Lagged` when it may
    /// have been overwritten before: what was made of it is of no use.
    #[inline]
    pub fn commit(self) -> Result<(), TachyonError> {
        check(ManuallyDrop::new(self).bus.raw.release())
    }

    /// Leaves it in the ring: the next receive gives it again.
    pub(crate) fn put_back(self) {
        ManuallyDrop::new(self).bus.raw.put_back();
    }
}

impl AsRef<[u8]> for RxGuard<'_> {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.data()
    }
}

impl Drop for RxGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.bus.raw.release(); // fails only when the connection has ended, which released it
    }
}
