// SPDX-License-Identifier: Apache-2.0
//! A reserved slot.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use tachyon_sys as sys;

use crate::error::reported;
use crate::{Bus, TachyonError};

/// Room for one outgoing message, to be written in place.
///
/// Dropping it gives the room back and sends nothing.
#[derive(Debug)]
#[must_use = "a message that is not committed is not sent"]
pub struct TxGuard<'bus> {
    bus: &'bus Bus,
    slot: NonNull<u8>,
    max_size: usize,
}

impl<'bus> TxGuard<'bus> {
    #[inline]
    pub(crate) fn new(bus: &'bus Bus, slot: NonNull<u8>, max_size: usize) -> Self {
        Self {
            bus,
            slot,
            max_size,
        }
    }

    /// Copies `data` to the beginning of the slot.
    ///
    /// # Panics
    /// When `data` is longer than [`max_size`](Self::max_size).
    #[inline]
    pub fn write(&self, data: &[u8]) {
        write(self.slot, self.max_size, data);
    }

    /// The whole slot; what it holds before it is written is of no meaning.
    ///
    /// # Safety
    /// None is needed any more, the bounds are the slot's and no other guard has it: the
    /// signature is kept for existing code. [`as_mut`](AsMut::as_mut) is the same.
    #[inline]
    pub unsafe fn as_mut_slice(&mut self) -> &mut [u8] {
        self.as_mut()
    }

    /// Bytes that were reserved.
    #[inline]
    #[must_use]
    pub fn max_size(&self) -> usize {
        self.max_size
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
    /// [`Bus::flush`]; the 64th one since the last flush flushes by itself.
    ///
    /// # Errors
    /// `InvalidSize` when `actual_size` exceeds [`max_size`](Self::max_size); `Closed` and
    /// the like when the connection has ended since. The room is given back then.
    #[inline]
    pub fn commit_unflushed(self, actual_size: usize, type_id: u32) -> Result<(), TachyonError> {
        let bus = ManuallyDrop::new(self).bus; // in registers: this is the hot path
                                               // SAFETY: the handle is open and the reservation was the guard's.
        let code = unsafe { sys::tachyon_commit_tx(bus.as_ptr(), actual_size, type_id) };
        if code != sys::tachyon_error_t_TACHYON_SUCCESS {
            let error = reported(code);
            roll_back(bus);
            return Err(error);
        }
        bus.sending().free();
        Ok(())
    }
}

/// Gives back what a guard had reserved.
#[cold]
fn roll_back(bus: &Bus) {
    // SAFETY: the handle is open. It fails only when the connection has ended, and the
    // reservation with it.
    unsafe { sys::tachyon_rollback_tx(bus.as_ptr()) };
    bus.sending().free();
}

/// Copies `data` into a slot of `max_size` bytes.
#[inline]
pub(crate) fn write(slot: NonNull<u8>, max_size: usize, data: &[u8]) {
    assert!(
        data.len() <= max_size,
        "{} bytes do not fit the {max_size} that are reserved",
        data.len(),
    );
    // SAFETY: the slot has room for them, and no slice of it is borrowed: `data` lives
    // elsewhere, since a slice of the slot would borrow the guard mutably.
    unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), slot.as_ptr(), data.len()) }
}

impl AsMut<[u8]> for TxGuard<'_> {
    /// The whole slot; what it holds before it is written is of no meaning.
    #[inline]
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: the slot is mapped and writable for max_size bytes as long as the bus is.
        // It is ours alone: one reservation is open at a time on a bus, one TxGuard alive,
        // and this borrows it. The peer reads it after the commit. Shared memory is always
        // initialised.
        unsafe { std::slice::from_raw_parts_mut(self.slot.as_ptr(), self.max_size) }
    }
}

impl Drop for TxGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        roll_back(self.bus);
    }
}
