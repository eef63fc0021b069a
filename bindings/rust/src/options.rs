// SPDX-License-Identifier: Apache-2.0
//! How to open a connection, and opening it.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::time::Duration;

use tachyon_sys as sys;

use crate::error::{fail, reported};
use crate::opening::Opened;
use crate::raw::RawOpening;
use crate::wait::nanoseconds;
use crate::{Bus, Interrupter, Opening, RpcBus, TachyonError};

/// Direction of one end of a [`Bus`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Role {
    /// Decided by the first send or receive.
    #[default]
    None,
    /// This end sends.
    Producer,
    /// This end receives.
    Consumer,
}

/// Options of listening and connecting; a builder like [`std::fs::OpenOptions`].
///
/// A `path` is one of the file system (107 bytes at most), or `@name` for the abstract
/// namespace. A `capacity` is in bytes, a power of two of at most 2 GiB; less than a page
/// is rounded up to one.
///
/// ```
/// use std::time::Duration;
/// use tachyon_ipc::{Options, Role, TachyonError};
///
/// let options = Options::new().timeout(Duration::from_millis(5)).role(Role::Consumer);
/// let error = options.listen("@options-example", 1 << 16).unwrap_err();
/// assert_eq!(error, TachyonError::Timeout);
/// assert_eq!(error.to_string(), "no peer connected to @options-example in time");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct Options {
    timeout: Option<Duration>,
    mode: u32,
    role: Role,
    allowed_uids: Vec<u32>,
    schema: u64,
    interrupter: Option<Interrupter>,
}

impl Options {
    /// The defaults: listen for ever, connect in one try, mode 0600, the same user only.
    pub fn new() -> Self {
        Self::default()
    }

    /// When listening, the longest wait for a peer; when connecting, how long to go on
    /// trying while nobody listens (zero: one try). [`Duration::MAX`] is for ever.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Permission bits of the listening socket; 0 stands for the default, 0o600.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Allows a peer of this user id. As soon as one is named, only those named are
    /// allowed; this process's own is not implied.
    pub fn allow_uid(mut self, uid: u32) -> Self {
        self.allowed_uids.push(uid);
        self
    }

    /// Allows a peer of any user id. A listener needs a wider [`mode`](Self::mode) too.
    pub fn allow_any_uid(self) -> Self {
        self.allow_uid(u32::MAX)
    }

    /// Declares the direction of this end, so that a peer that declares the same is
    /// refused at once.
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// Fingerprint of the message types: two ends with different ones are refused, 0 is
    /// not compared.
    pub fn schema(mut self, schema: u64) -> Self {
        self.schema = schema;
        self
    }

    /// Lets an [`Interrupter`] end the waits of this opening, and those of what is opened,
    /// with [`TachyonError::Interrupted`].
    pub fn interrupter(mut self, interrupter: &Interrupter) -> Self {
        self.interrupter = Some(interrupter.clone());
        self
    }

    /// Creates a ring of `capacity` bytes and waits for one good peer.
    ///
    /// A stale socket at the path is replaced; clients that are silent, wrong or not
    /// allowed are refused and listening goes on, as it does after a signal. On return
    /// the path is free for the next listener.
    ///
    /// # Errors
    /// `InvalidSize`, `AddrInUse`, `Permission`, `NetworkError` (such as a missing
    /// directory), `Timeout`, or what the system refused.
    pub fn listen(&self, path: impl AsRef<Path>, capacity: usize) -> Result<Bus, TachyonError> {
        self.start_listen(path, capacity)?.wait()
    }

    /// Attaches to a listener.
    ///
    /// # Errors
    /// `NetworkError` at once when nobody listens, unless there is a
    /// [`timeout`](Self::timeout), then `Timeout`; `AbiMismatch`, `Permission`, `Busy`
    /// (both ends declared one role), `InvalidSize`, or what the system refused.
    pub fn connect(&self, path: impl AsRef<Path>) -> Result<Bus, TachyonError> {
        self.start_connect(path)?.wait()
    }

    /// [`listen`](Self::listen) for the callee: `cap_fwd` bytes of ring for requests,
    /// `cap_rev` for replies.
    ///
    /// # Errors
    /// As [`listen`](Self::listen); `InvalidSize` when a role is declared.
    pub fn rpc_listen(
        &self,
        path: impl AsRef<Path>,
        cap_fwd: usize,
        cap_rev: usize,
    ) -> Result<RpcBus, TachyonError> {
        self.start_rpc_listen(path, cap_fwd, cap_rev)?.wait()
    }

    /// [`connect`](Self::connect) for the caller.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); `InvalidSize` when a role is declared.
    pub fn rpc_connect(&self, path: impl AsRef<Path>) -> Result<RpcBus, TachyonError> {
        self.start_rpc_connect(path)?.wait()
    }

    /// Begins to [`listen`](Self::listen); from then on clients can connect.
    ///
    /// # Errors
    /// As [`listen`](Self::listen), but for what [`Opening::step`] finds.
    pub fn start_listen(
        &self,
        path: impl AsRef<Path>,
        capacity: usize,
    ) -> Result<Opening<Bus>, TachyonError> {
        self.start(path.as_ref(), Some([capacity, 0]))
    }

    /// Begins to [`connect`](Self::connect).
    ///
    /// # Errors
    /// As [`connect`](Self::connect), but for what [`Opening::step`] finds.
    pub fn start_connect(&self, path: impl AsRef<Path>) -> Result<Opening<Bus>, TachyonError> {
        self.start(path.as_ref(), None)
    }

    /// [`start_listen`](Self::start_listen) for [`rpc_listen`](Self::rpc_listen).
    ///
    /// # Errors
    /// As [`rpc_listen`](Self::rpc_listen), but for what [`Opening::step`] finds.
    pub fn start_rpc_listen(
        &self,
        path: impl AsRef<Path>,
        cap_fwd: usize,
        cap_rev: usize,
    ) -> Result<Opening<RpcBus>, TachyonError> {
        self.start(path.as_ref(), Some([cap_fwd, cap_rev]))
    }

    /// [`start_connect`](Self::start_connect) for [`rpc_connect`](Self::rpc_connect).
    ///
    /// # Errors
    /// As [`rpc_connect`](Self::rpc_connect), but for what [`Opening::step`] finds.
    pub fn start_rpc_connect(
        &self,
        path: impl AsRef<Path>,
    ) -> Result<Opening<RpcBus>, TachyonError> {
        self.start(path.as_ref(), None)
    }

    /// Listens with these capacities, or connects.
    fn start<T: Opened>(
        &self,
        path: &Path,
        capacities: Option<[usize; 2]>,
    ) -> Result<Opening<T>, TachyonError> {
        let path = CString::new(path.as_os_str().as_bytes()).map_err(|nul| {
            let position = nul.nul_position();
            let text = format!("the socket path has a NUL byte at position {position}");
            fail(TachyonError::InvalidSize, &text)
        })?;
        let mut options = self.to_raw();
        if capacities.is_some() && self.timeout == Some(Duration::ZERO) {
            options.timeout_ns = 1; // which 0 is not
        }
        // A server is told of signals, so that it can look whether it is to stop.
        options.restart = u32::from(!T::IS_RPC || capacities.is_none());
        RawOpening::start(
            &path,
            T::IS_RPC,
            capacities,
            &options,
            self.interrupter.clone(),
        )
        .map(Opening::new)
        .map_err(reported)
    }

    /// As the library takes it; borrows the user ids.
    fn to_raw(&self) -> sys::tachyon_options_t {
        sys::tachyon_options_t {
            size: std::mem::size_of::<sys::tachyon_options_t>(),
            // By default 0: listen for ever, connect in one try.
            timeout_ns: self.timeout.map_or(0, nanoseconds),
            socket_mode: self.mode,
            role: match self.role {
                Role::None => sys::tachyon_role_t_TACHYON_ROLE_NONE,
                Role::Producer => sys::tachyon_role_t_TACHYON_ROLE_PRODUCER,
                Role::Consumer => sys::tachyon_role_t_TACHYON_ROLE_CONSUMER,
            },
            allowed_uids: match self.allowed_uids.as_slice() {
                [] => ptr::null(),
                uids => uids.as_ptr(),
            },
            allowed_uid_count: self.allowed_uids.len(),
            schema: self.schema,
            interrupted: None,
            interrupted_context: ptr::null_mut(),
            restart: 0,
            interrupt_fd: self.interrupter.as_ref().map_or(0, Interrupter::descriptor),
            max_peers: 0,
            slow_peer: sys::tachyon_slow_peer_t_TACHYON_SLOW_BLOCK,
            without_peers: sys::tachyon_without_peers_t_TACHYON_WITHOUT_PEERS_WAIT,
            start: sys::tachyon_start_t_TACHYON_START_NOW,
            slow_after_ns: 0,
            start_position: 0,
            start_epoch: 0,
            name: ptr::null(),
            keep_place_ns: 0,
        }
    }
}
