// SPDX-License-Identifier: Apache-2.0
//! Opening a connection without waiting.

use std::marker::PhantomData;

use tachyon_sys::{
    tachyon_error_t_TACHYON_ERR_EMPTY as EMPTY,
    tachyon_error_t_TACHYON_ERR_INTERRUPTED as INTERRUPTED,
};

use crate::error::reported;
use crate::raw::{RawOpening, SUCCESS};
use crate::{Bus, RpcBus, TachyonError};

/// What an [`Opening`] can be of: a [`Bus`] or an [`RpcBus`].
pub trait Opened: Sized {
    #[doc(hidden)]
    const IS_RPC: bool;

    #[doc(hidden)]
    fn take(opening: &mut RawOpening) -> Result<Self, TachyonError>;
}

impl Opened for Bus {
    const IS_RPC: bool = false;

    fn take(opening: &mut RawOpening) -> Result<Self, TachyonError> {
        opening.finish_bus().map(Self::new).map_err(reported)
    }
}

impl Opened for RpcBus {
    const IS_RPC: bool = true;

    fn take(opening: &mut RawOpening) -> Result<Self, TachyonError> {
        opening.finish_rpc().map(Self::new).map_err(reported)
    }
}

/// A listen or connect in progress, for event loops: nothing of it waits. Made by
/// [`Options::start_listen`](crate::Options::start_listen) and its like.
///
/// Its [descriptor](Self::descriptor) is readable when there is something to do, so:
/// [`step`](Self::step); if that gave nothing, wait until it is readable, and step again.
/// The time-out of the options is for the whole and needs no timer.
///
/// Dropping it gives up: path, sockets and memory go, and clients are turned away.
///
/// ```
/// use std::time::Duration;
/// use tachyon_ipc::{Bus, Opened, Opening, Options};
/// use tokio::io::unix::AsyncFd;
///
/// /// Dropping the future gives up.
/// async fn open<T: Opened>(opening: Opening<T>) -> std::io::Result<T> {
///     // SAFETY: its descriptor is the same each time and lives as long as it.
///     let mut opening = unsafe { AsyncFd::register(opening) }?;
///     loop {
///         if let Some(bus) = opening.get_mut().step()? {
///             return Ok(bus);
///         }
///         opening.readable_mut().await?.clear_ready();
///     }
/// }
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let path = format!("@opening-example-{}", std::process::id());
/// let options = Options::new().timeout(Duration::from_secs(5));
/// let listening = options.start_listen(&path, 4096)?; // from now on a peer can connect
/// # let producer = std::thread::spawn(move || {
/// #     Bus::connect(&path).and_then(|bus| bus.send(b"hello", 1)).unwrap();
/// # });
/// let bus = open(listening).await?;
/// # producer.join().unwrap();
/// assert_eq!(bus.acquire_rx(0)?.data(), b"hello");
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Opening<T> {
    pub(crate) raw: RawOpening,
    opens: PhantomData<fn() -> T>,
}

impl<T: Opened> Opening<T> {
    pub(crate) fn new(raw: RawOpening) -> Self {
        Self {
            raw,
            opens: PhantomData,
        }
    }

    /// Goes on as far as it can, without waiting: the connection once it stands, None
    /// until then.
    ///
    /// # Errors
    /// As the call that waits, such as [`Options::listen`](crate::Options::listen), again
    /// at each step; `BufferEmpty` when the connection has been taken. `Interrupted` while
    /// its [`Interrupter`](crate::Interrupter) says so, if there is a
    /// [descriptor](Self::descriptor), which is readable then; nothing is lost.
    pub fn step(&mut self) -> Result<Option<T>, TachyonError> {
        self.step_ns(0)
    }

    /// Goes on, also after a signal, until the connection stands.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn wait(mut self) -> Result<T, TachyonError> {
        loop {
            if let Some(opened) = self.step_ns(-1)? {
                return Ok(opened);
            }
        }
    }

    fn step_ns(&mut self, ns: i64) -> Result<Option<T>, TachyonError> {
        match self.raw.step(ns) {
            SUCCESS => T::take(&mut self.raw).map(Some),
            EMPTY => Ok(None),
            INTERRUPTED if !self.raw.is_interrupted() => Ok(None), // by a signal
            code => Err(reported(code)),
        }
    }
}
