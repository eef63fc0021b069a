// SPDX-License-Identifier: Apache-2.0
//! What a process can sleep on: the bare futex, which is the floor of a wake-up, and
//! the descriptors that the core had the choice of.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicU32;

/// Sleep unless the word has changed from `seen`.
pub fn futex_wait(word: &AtomicU32, seen: u32) {
    // SAFETY: the word outlives the call; a null time-out waits for ever.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            seen,
            std::ptr::null::<libc::timespec>(),
        );
    }
}

pub fn futex_wake(word: &AtomicU32) {
    // SAFETY: the word outlives the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
}

#[derive(Clone, Copy)]
pub enum Descriptor {
    /// A byte on a socket, as the core does it.
    Socket,
    Eventfd,
}

/// One of each kind, made before the fork.
pub struct Descriptors {
    waker: UnixStream,
    sleeper: UnixStream,
    eventfd: OwnedFd,
}

impl Descriptors {
    pub fn new() -> io::Result<Self> {
        let (waker, sleeper) = UnixStream::pair()?;
        // SAFETY: a plain system call.
        let eventfd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if eventfd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was opened right above and is owned by nobody else.
        let eventfd = unsafe { OwnedFd::from_raw_fd(eventfd) };
        Ok(Self {
            waker,
            sleeper,
            eventfd,
        })
    }

    pub fn wake(&self, by: Descriptor) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: both read from a buffer of at least that length.
        let sent = unsafe {
            match by {
                Descriptor::Socket => libc::send(
                    self.waker.as_raw_fd(),
                    one.as_ptr().cast(),
                    1,
                    libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                ),
                Descriptor::Eventfd => {
                    libc::write(self.eventfd.as_raw_fd(), one.as_ptr().cast(), 8)
                }
            }
        };
        assert!(sent > 0, "a wake-up was not sent");
    }

    /// Sleep in ppoll until woken, and take the wake-up.
    pub fn sleep(&self, by: Descriptor) {
        let fd = match by {
            Descriptor::Socket => self.sleeper.as_raw_fd(),
            Descriptor::Eventfd => self.eventfd.as_raw_fd(),
        };
        let mut poll = libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        let mut buffer = [0u8; 8];
        // SAFETY: one pollfd, no time-out, no mask; the buffer has 8 bytes.
        let taken = unsafe {
            libc::ppoll(&mut poll, 1, std::ptr::null(), std::ptr::null());
            libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len())
        };
        assert!(taken > 0, "woken without a wake-up");
    }
}
