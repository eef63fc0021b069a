// SPDX-License-Identifier: Apache-2.0
//! How to open a connection, and opening it.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::time::Duration;

use tachyon_sys as sys;

use crate::error::{fail, reported};
use crate::opening::Opened;
use crate::raw::RawOpening;
use crate::wait::nanoseconds;
use crate::{Bus, Interrupter, Message, Opening, Position, RpcBus, TachyonError};

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

/// What a producer with many consumers does with one that is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SlowPeer {
    /// Waits for it, as long as it lives.
    #[default]
    Block,
    /// Waits for it this long, more than zero, and then lets it go: it is told
    /// [`TachyonError::Lagged`].
    Disconnect(Duration),
}

/// What a producer with many consumers does while there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WithoutPeers {
    /// Fills the ring, then waits for one.
    #[default]
    Wait,
    /// Goes on and overwrites.
    FreeRun,
}

/// Where a consumer of a producer with many consumers begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Start {
    /// With what is flushed from now on.
    #[default]
    Now,
    /// With the oldest message that is still there.
    Oldest,
    /// Where an earlier connection was.
    At(Position),
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
    types: Vec<&'static str>,
    types_required: bool,
    interrupter: Option<Interrupter>,
    max_peers: u32,
    slow_peer: SlowPeer,
    without_peers: WithoutPeers,
    keep_place: Duration,
    start: Start,
    name: String,
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

    /// Declares that messages of this type may pass; called again, of several types. All of
    /// them, in any order, are what the peer's are compared with: what differs other than
    /// [messages may](Message) is refused by name. It sets the [`schema`](Self::schema).
    ///
    /// Opening fails with `InvalidSize` when two of them have one `type_id`, or different
    /// parts one name.
    pub fn types<T: Message>(mut self) -> Self {
        self.types.push(T::TYPES);
        self
    }

    /// Refuses a peer that declares neither [`types`](Self::types) nor a
    /// [`schema`](Self::schema). Off by default; opening fails with `InvalidSize` without
    /// types of one's own.
    pub fn types_required(mut self, required: bool) -> Self {
        self.types_required = required;
        self
    }

    /// Lets an [`Interrupter`] end the waits of this opening, and those of what is opened,
    /// with [`TachyonError::Interrupted`].
    pub fn interrupter(mut self, interrupter: &Interrupter) -> Self {
        self.interrupter = Some(interrupter.clone());
        self
    }

    /// Lets a listener, for calls or with a [`role`](Self::role), have up to so many peers at
    /// a time, 1 to 1024, and lets [`listen`](Self::listen) return at once: see
    /// [one listener, many peers](crate#one-listener-many-peers). 0: a single peer, ever.
    pub fn max_peers(mut self, max_peers: u32) -> Self {
        self.max_peers = max_peers;
        self
    }

    /// What a producer that listens with [`max_peers`](Self::max_peers) above 1 does with a
    /// consumer that is slow.
    pub fn slow_peer(mut self, slow_peer: SlowPeer) -> Self {
        self.slow_peer = slow_peer;
        self
    }

    /// What such a producer does while there is no consumer.
    pub fn without_peers(mut self, without_peers: WithoutPeers) -> Self {
        self.without_peers = without_peers;
        self
    }

    /// How long such a producer keeps the place of a consumer with a
    /// [`name`](Self::name) that died without closing: the next one of its name goes on
    /// after what it had released, and until then sending waits as for one that lives. Zero,
    /// the default: not at all.
    pub fn keep_place(mut self, time: Duration) -> Self {
        self.keep_place = time;
        self
    }

    /// Where a consumer that connects begins. Of no meaning where the producer has one
    /// consumer at a time, but a position is refused there ([`TachyonError::Lagged`]).
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Name of an end that connects, of at most 31 bytes: at one listener no two living
    /// peers of one user have the same. Empty, the default: none.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Creates a ring of `capacity` bytes and waits for one good peer.
    ///
    /// A stale socket at the path is replaced; clients that are silent, wrong or not
    /// allowed are refused and listening goes on, as it does after a signal. On return
    /// the path is free for the next listener.
    ///
    /// With [`max_peers`](Self::max_peers) it returns as soon as peers can connect, and the
    /// handle goes on listening as long as it lives.
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
    /// (both ends declared one role, the listener has as many peers as it may, or one of
    /// this [`name`](Self::name)), `Lagged` (what was at the position to
    /// [start](Self::start) at is gone), `InvalidSize`, or what the system refused.
    pub fn connect(&self, path: impl AsRef<Path>) -> Result<Bus, TachyonError> {
        self.start_connect(path)?.wait()
    }

    /// [`listen`](Self::listen) for the callee: `cap_fwd` bytes of ring for requests,
    /// `cap_rev` for replies; of many callers for each.
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
        self.open(path.as_ref(), Some([capacity, 0]))
    }

    /// Begins to [`connect`](Self::connect).
    ///
    /// # Errors
    /// As [`connect`](Self::connect), but for what [`Opening::step`] finds.
    pub fn start_connect(&self, path: impl AsRef<Path>) -> Result<Opening<Bus>, TachyonError> {
        self.open(path.as_ref(), None)
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
        self.open(path.as_ref(), Some([cap_fwd, cap_rev]))
    }

    /// [`start_connect`](Self::start_connect) for [`rpc_connect`](Self::rpc_connect).
    ///
    /// # Errors
    /// As [`rpc_connect`](Self::rpc_connect), but for what [`Opening::step`] finds.
    pub fn start_rpc_connect(
        &self,
        path: impl AsRef<Path>,
    ) -> Result<Opening<RpcBus>, TachyonError> {
        self.open(path.as_ref(), None)
    }

    /// Listens with these capacities, or connects.
    fn open<T: Opened>(
        &self,
        path: &Path,
        capacities: Option<[usize; 2]>,
    ) -> Result<Opening<T>, TachyonError> {
        let path = c_string("socket path", path.as_os_str().as_bytes())?;
        let name = c_string("name", self.name.as_bytes())?;
        let types = (!self.types.is_empty()).then(|| self.types.concat());
        let mut options = self.to_raw(&name, types.as_deref());
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

    /// As the library takes it; borrows the user ids, the name and the description.
    fn to_raw(&self, name: &CStr, types: Option<&str>) -> sys::tachyon_options_t {
        let (slow_peer, slow_after_ns) = match self.slow_peer {
            SlowPeer::Block => (sys::tachyon_slow_peer_t_TACHYON_SLOW_BLOCK, 0),
            SlowPeer::Disconnect(after) => (
                sys::tachyon_slow_peer_t_TACHYON_SLOW_DISCONNECT,
                at_most_for_ever(after),
            ),
        };
        let (start, Position { position, epoch }) = match self.start {
            Start::Now => (sys::tachyon_start_t_TACHYON_START_NOW, Position::default()),
            Start::Oldest => (
                sys::tachyon_start_t_TACHYON_START_OLDEST,
                Position::default(),
            ),
            Start::At(position) => (sys::tachyon_start_t_TACHYON_START_POSITION, position),
        };
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
            max_peers: self.max_peers,
            slow_peer,
            without_peers: match self.without_peers {
                WithoutPeers::Wait => sys::tachyon_without_peers_t_TACHYON_WITHOUT_PEERS_WAIT,
                WithoutPeers::FreeRun => {
                    sys::tachyon_without_peers_t_TACHYON_WITHOUT_PEERS_FREE_RUN
                }
            },
            start,
            slow_after_ns,
            start_position: position,
            start_epoch: epoch,
            name: name.as_ptr(),
            keep_place_ns: at_most_for_ever(self.keep_place),
            types: types.map_or(ptr::null(), |types| types.as_ptr().cast()),
            types_size: types.map_or(0, str::len),
            types_required: u32::from(self.types_required),
        }
    }
}

/// A time that is not a wait, so that a negative one does not stand for ever.
fn at_most_for_ever(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

fn c_string(what: &str, bytes: &[u8]) -> Result<CString, TachyonError> {
    CString::new(bytes).map_err(|nul| {
        let position = nul.nul_position();
        let text = format!("the {what} has a NUL byte at position {position}");
        fail(TachyonError::InvalidSize, &text)
    })
}
