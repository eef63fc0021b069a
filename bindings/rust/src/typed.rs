// SPDX-License-Identifier: Apache-2.0
//! Messages of a type: sent, written in place, received.

use std::mem::{align_of, size_of};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crate::error::fail;
use crate::message::{bytes_of, read};
use crate::{Bus, Message, RxGuard, TachyonError, TxGuard, SPIN_THRESHOLD};

/// The error of a message that is not a `T`.
#[cold]
fn unexpected<T: Message>(message: &RxGuard<'_>, then: &str) -> TachyonError {
    let name = std::any::type_name::<T>();
    let name = name.rsplit("::").next().unwrap_or(name);
    let text = format!(
        "the next message is of type_id {} and {} bytes, not {name} of type_id {} and {}{} \
         bytes{then}",
        message.type_id,
        message.data().len(),
        T::TYPE_ID,
        T::SMALLEST,
        match T::GROWTH {
            Some(_) => " or more",
            None => "",
        },
    );
    fail(TachyonError::UnexpectedMessage, &text)
}

/// Messages of a type, which the generator writes from a C header. See
/// [typed messages](crate#typed-messages).
///
/// What is no message does not compile:
///
/// ```compile_fail,E0277
/// fn send(bus: &tachyon_ipc::Bus) {
///     bus.send_message(&1u32).unwrap();
/// }
/// ```
impl Bus {
    /// [`send`](Self::send) of a message.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[inline]
    pub fn send_message<T: Message>(&self, message: &T) -> Result<(), TachyonError> {
        self.send(bytes_of(message), T::TYPE_ID)
    }

    /// [`send_timeout`](Self::send_timeout) of a message.
    ///
    /// # Errors
    /// As [`send_timeout`](Self::send_timeout).
    #[inline]
    pub fn send_message_timeout<T: Message>(
        &self,
        message: &T,
        timeout: Duration,
    ) -> Result<(), TachyonError> {
        self.send_timeout(bytes_of(message), T::TYPE_ID, timeout)
    }

    /// Reserves room for one message, all zero, to be written in place; does not wait.
    ///
    /// # Errors
    /// As [`acquire_tx`](Self::acquire_tx).
    #[inline]
    pub fn loan<T: Message>(&self) -> Result<Loan<'_, T>, TachyonError> {
        self.loan_timeout(Duration::ZERO)
    }

    /// [`loan`](Self::loan) that waits for room; a zero `timeout` does not,
    /// [`Duration::MAX`] waits for ever.
    ///
    /// # Errors
    /// As [`acquire_tx_timeout`](Self::acquire_tx_timeout).
    #[inline]
    pub fn loan_timeout<T: Message>(&self, timeout: Duration) -> Result<Loan<'_, T>, TachyonError> {
        self.acquire_tx_timeout(size_of::<T>(), timeout)
            .map(Loan::new)
    }

    /// Waits for the next message, for ever, and copies it; None at the end of the stream,
    /// when the peer has closed and everything has been delivered.
    ///
    /// One of an older version, of a type that may grow, is zero in the fields that it does
    /// not have; of a newer one what is new is left out.
    ///
    /// # Errors
    /// As [`acquire_rx`](Self::acquire_rx), but for `Closed`. `UnexpectedMessage` when it is
    /// of another type or size: it stays in the ring, for the next receive.
    #[inline]
    pub fn recv_message<T: Message>(&self) -> Result<Option<T>, TachyonError> {
        self.recv_message_timeout(Duration::MAX)
    }

    /// [`recv_message`](Self::recv_message) with a time-out; zero is a single look.
    ///
    /// # Errors
    /// As [`recv_message`](Self::recv_message); `Timeout`, or `BufferEmpty` when `timeout`
    /// is zero.
    #[inline]
    pub fn recv_message_timeout<T: Message>(
        &self,
        timeout: Duration,
    ) -> Result<Option<T>, TachyonError> {
        match self.acquire_rx_timeout(SPIN_THRESHOLD, timeout) {
            Ok(guard) => guard.take().map(Some),
            Err(TachyonError::Closed) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The next message if it is there now, copied as by
    /// [`recv_message`](Self::recv_message).
    ///
    /// # Errors
    /// As [`recv_message`](Self::recv_message); `Closed` at the end of the stream.
    #[inline]
    pub fn try_recv_message<T: Message>(&self) -> Result<Option<T>, TachyonError> {
        self.try_acquire_rx()?.map(RxGuard::take).transpose()
    }
}

impl RxGuard<'_> {
    /// A copy of the message, as [`Bus::recv_message`] makes it; for a bus of several types,
    /// by [`type_id`](Self::type_id).
    ///
    /// # Errors
    /// `UnexpectedMessage` when it is of another type or size.
    #[inline]
    pub fn message<T: Message>(&self) -> Result<T, TachyonError> {
        self.read().ok_or_else(|| unexpected::<T>(self, ""))
    }

    #[inline]
    fn read<T: Message>(&self) -> Option<T> {
        (self.type_id == T::TYPE_ID)
            .then(|| read(self.data()))
            .flatten()
    }

    /// Copies and releases it, or leaves it in the ring.
    #[inline]
    fn take<T: Message>(self) -> Result<T, TachyonError> {
        match self.read() {
            // What may have been overwritten is no message; what else has ended since then
            // the next call says.
            Some(message) => match self.commit() {
                Err(TachyonError::Lagged) => Err(TachyonError::Lagged),
                _ => Ok(message),
            },
            None => {
                let error = unexpected::<T>(&self, "; it stays in the ring");
                self.put_back();
                Err(error)
            }
        }
    }
}

/// Room for one outgoing message, to be written in place: all zero at first.
///
/// Dropping it gives the room back and sends nothing.
///
/// ```compile_fail,E0382
/// fn twice<T: tachyon_ipc::Message>(loan: tachyon_ipc::Loan<'_, T>) {
///     loan.commit().unwrap();
///     loan.commit().unwrap();
/// }
/// ```
///
/// ```compile_fail,E0505
/// fn keep<T: tachyon_ipc::Message>(mut loan: tachyon_ipc::Loan<'_, T>) {
///     let message: &mut T = &mut loan;
///     loan.commit().unwrap();
///     drop(message);
/// }
/// ```
#[derive(Debug)]
#[must_use = "a message that is not committed is not sent"]
pub struct Loan<'bus, T: Message> {
    guard: TxGuard<'bus>,
    start: *mut T,
}

impl<'bus, T: Message> Loan<'bus, T> {
    /// A slot is aligned to 64 bytes; to 32 of at most 32, which no larger alignment has.
    const FITS: () = assert!(
        size_of::<T>() > 0 && align_of::<T>() <= 64,
        "a message has a byte at least, and its alignment is 64 at most",
    );

    #[inline]
    fn new(mut guard: TxGuard<'bus>) -> Self {
        let () = Self::FITS;
        let slot = guard.as_mut();
        slot.fill(0);
        let start = slot.as_mut_ptr().cast();
        Self { guard, start }
    }

    /// Sends it: [`commit_unflushed`](Self::commit_unflushed) and [`Bus::flush`].
    ///
    /// # Errors
    /// As [`commit_unflushed`](Self::commit_unflushed).
    #[inline]
    pub fn commit(self) -> Result<(), TachyonError> {
        self.guard.commit(size_of::<T>(), T::TYPE_ID)
    }

    /// [`TxGuard::commit_unflushed`].
    ///
    /// # Errors
    /// `Closed` and the like when the connection has ended since. The room is given back
    /// then.
    #[inline]
    pub fn commit_unflushed(self) -> Result<(), TachyonError> {
        self.guard.commit_unflushed(size_of::<T>(), T::TYPE_ID)
    }
}

impl<T: Message> Deref for Loan<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the slot has the size of a T and its alignment, any bytes are a value, and
        // it is ours alone as long as the guard lives, which gives out no other reference.
        unsafe { &*self.start }
    }
}

impl<T: Message> DerefMut for Loan<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and this is borrowed mutably.
        unsafe { &mut *self.start }
    }
}
