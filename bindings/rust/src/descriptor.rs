// SPDX-License-Identifier: Apache-2.0
//! Waiting in an event loop: the descriptor that says when there is something to do.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use crate::error::last;
use crate::{Bus, Consumer, Opening, Producer, RpcBus, TachyonError};

const NONE: RawFd = -1;

/// # Safety
/// A descriptor that lives as long as `'a`, or negative.
unsafe fn borrow<'a>(fd: RawFd) -> Result<BorrowedFd<'a>, TachyonError> {
    if fd < 0 {
        return Err(last());
    }
    // SAFETY: as the caller says.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

impl Bus {
    /// A descriptor for poll, epoll and event loops: readable while there may be something
    /// to do for this end, level-triggered; do not read or close it.
    ///
    /// Receiving end: readable while a message is there, or the stream has ended or the
    /// peer is gone. It may be readable once more than needed; a look that finds nothing
    /// ([`try_acquire_rx`](Self::try_acquire_rx)) makes it unreadable until there is news.
    /// Sending end: readable when the peer is gone, and, after a send without waiting has
    /// said `BufferFull`, when that message fits; ask for the descriptor before that send.
    /// With many peers a receiving end is readable for their [events](Self::try_accept) too;
    /// a sending one's are for an [`Acceptor`](crate::Acceptor) in a thread.
    ///
    /// [`AsFd`] and [`AsRawFd`] give the same one, so that a bus fits into what takes any
    /// such object, such as [`Async` of polling or `AsyncFd` of Tokio](crate#event-loops).
    ///
    /// # Errors
    /// `Forked`; `SystemError` when the process has no descriptor left. Not any more once
    /// it has been made.
    pub fn descriptor(&self) -> Result<BorrowedFd<'_>, TachyonError> {
        // SAFETY: it lives as long as the handle.
        unsafe { borrow(self.raw.descriptor()) }
    }
}

impl RpcBus {
    /// [`Bus::descriptor`], readable while a reply (caller) or a request (callee) may be
    /// there or the peer is gone, and when a request or reply fits that was refused with
    /// `BufferFull`. Who waits for both takes messages until there is none, then tries to
    /// send, then polls.
    ///
    /// # Errors
    /// As [`Bus::descriptor`]; `Busy` while another thread uses the handle, unless it has
    /// been made before.
    pub fn descriptor(&self) -> Result<BorrowedFd<'_>, TachyonError> {
        let fd = self.known_descriptor.get();
        if let Some(&fd) = fd {
            // SAFETY: it lives as long as the handle.
            return unsafe { borrow(fd) };
        }
        let raw = self.calls.enter()?;
        // SAFETY: as above.
        let fd = unsafe { borrow(raw.descriptor()) }?;
        self.known_descriptor.get_or_init(|| fd.as_raw_fd());
        Ok(fd)
    }
}

impl<T> Opening<T> {
    /// A descriptor for poll, epoll and event loops: readable when
    /// [`step`](Self::step) has something to do, because somebody has come or because it
    /// is time; level-triggered; do not read or close it.
    ///
    /// # Errors
    /// `Forked`; `SystemError` when the process has no descriptor left.
    pub fn descriptor(&self) -> Result<BorrowedFd<'_>, TachyonError> {
        // SAFETY: it lives as long as the opening.
        unsafe { borrow(self.raw.descriptor()) }
    }
}

macro_rules! as_descriptor {
    ($type:ty, $self:ident => $owner:expr $(; $T:ident)?) => {
        /// Panics where [`Bus::descriptor`] fails.
        impl $(<$T>)? AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                let $self = self;
                $owner.descriptor().expect("a descriptor to wait on")
            }
        }

        /// -1 where [`Bus::descriptor`] fails.
        impl $(<$T>)? AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                let $self = self;
                $owner.descriptor().map_or(NONE, |fd| fd.as_raw_fd())
            }
        }
    };
}

as_descriptor!(Bus, bus => bus);
as_descriptor!(Producer, producer => producer.bus());
as_descriptor!(Consumer, consumer => consumer.bus());
as_descriptor!(RpcBus, rpc => rpc);
as_descriptor!(Opening<T>, opening => opening; T);
