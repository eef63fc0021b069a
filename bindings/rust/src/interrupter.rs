// SPDX-License-Identifier: Apache-2.0
//! Ending waits from another thread.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

/// Ends waits, from any thread: of all that was opened with it by
/// [`Options::interrupter`](crate::Options::interrupter), of opening itself and of later
/// calls.
///
/// From [`interrupt`](Self::interrupt) until [`clear`](Self::clear) whoever waits is told
/// [`TachyonError::Interrupted`](crate::TachyonError::Interrupted), and so is whoever would
/// have to wait. What finds its message or its room at once goes on. Connections stay as
/// they are, unlike after [`Closer::close`](crate::Closer::close).
///
/// ```
/// use std::time::Duration;
/// use tachyon_ipc::{Interrupter, Options, TachyonError};
///
/// let stop = Interrupter::new()?;
/// let options = Options::new().interrupter(&stop);
/// let server = std::thread::spawn(move || {
///     options.listen("@interrupter-example", 1 << 16).map(|_| ())
/// });
/// stop.interrupt();
/// assert_eq!(server.join().unwrap(), Err(TachyonError::Interrupted));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Interrupter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Whether a byte lies in the pair, which makes `read` readable.
    raised: Mutex<bool>,
    read: UnixStream,
    write: UnixStream,
}

impl Interrupter {
    /// One that lets waits be.
    ///
    /// # Errors
    /// When the process has no descriptors left; it takes two.
    pub fn new() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        let raised = Mutex::new(false);
        Ok(Self(Arc::new(Inner {
            raised,
            read,
            write,
        })))
    }

    /// Ends the waits, and those to come, until [`clear`](Self::clear).
    pub fn interrupt(&self) {
        self.set(true);
    }

    /// Lets those to come be.
    pub fn clear(&self) {
        self.set(false);
    }

    /// Whether waits end now.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        *self.0.raised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, raise: bool) {
        let mut raised = self.0.raised.lock().unwrap_or_else(PoisonError::into_inner);
        if *raised != raise {
            // One byte at most lies there, so neither waits, nor fails.
            let moved = match raise {
                true => (&self.0.write).write(&[0]),
                false => (&self.0.read).read(&mut [0]),
            };
            moved.expect("a byte goes through a pair of sockets");
            *raised = raise;
        }
    }

    /// Readable while waits are to end.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.0.read.as_raw_fd()
    }
}

/// Whether it is the same one.
impl PartialEq for Interrupter {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Interrupter {}
