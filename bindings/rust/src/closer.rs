// SPDX-License-Identifier: Apache-2.0
//! Ending a bus from elsewhere.

use std::fmt;
use std::ptr::NonNull;

use tachyon_sys as sys;

/// Closes a [`Bus`](crate::Bus) that another thread is using, blocked in a call or not;
/// made by [`Bus::closer`](crate::Bus::closer).
///
/// Keeps the memory of the connection, but not the connection: dropping the bus ends the
/// stream all the same.
///
/// ```
/// # use std::time::Duration;
/// # use tachyon_ipc::{Bus, TachyonError};
/// # let path = format!("@closer-example-{}", std::process::id());
/// # let peer = path.clone();
/// # let peer = std::thread::spawn(move || Bus::listen(&peer, 4096).unwrap());
/// let bus = Bus::connect_timeout(&path, Duration::from_secs(5))?;
/// let closer = bus.closer();
/// let receiver = std::thread::spawn(move || bus.acquire_rx(100).map(|_| ()));
/// closer.close();
/// assert_eq!(receiver.join().unwrap(), Err(TachyonError::Closed));
/// # Ok::<(), TachyonError>(())
/// ```
pub struct Closer {
    raw: NonNull<sys::tachyon_bus_t>,
}

// SAFETY: what is done with the handle here, any thread may do at any time.
unsafe impl Send for Closer {}
// SAFETY: as above.
unsafe impl Sync for Closer {}

impl Closer {
    /// Shares a handle.
    ///
    /// # Safety
    /// `raw` is open.
    pub(crate) unsafe fn of(raw: NonNull<sys::tachyon_bus_t>) -> Self {
        // SAFETY: the handle is open.
        unsafe { sys::tachyon_bus_ref(raw.as_ptr()) };
        Self { raw }
    }

    /// Ends the stream: a call that is waiting returns, and it and every later one that
    /// finds no room or no message fails with
    /// [`TachyonError::Closed`](crate::TachyonError::Closed). Does not flush: what a
    /// producer committed since its last flush is lost.
    pub fn close(&self) {
        // SAFETY: the handle is open as long as it has an owner, such as this.
        unsafe { sys::tachyon_bus_close(self.raw.as_ptr()) }
    }
}

impl Clone for Closer {
    fn clone(&self) -> Self {
        // SAFETY: the handle is open.
        unsafe { Self::of(self.raw) }
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        // SAFETY: gives up the ownership that this was made with.
        unsafe { sys::tachyon_bus_destroy(self.raw.as_ptr()) }
    }
}

impl fmt::Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closer").finish_non_exhaustive()
    }
}
