// SPDX-License-Identifier: Apache-2.0
//! One listener, many peers: who comes, who goes, who is there.

use std::ffi::c_char;
use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;
use std::time::Duration;

use tachyon_sys as sys;

use crate::error::{check, reported};
use crate::raw::Listens;
use crate::wait::{try_now, wait};
use crate::{Bus, Peer, RpcBus, RxBatchGuard, RxGuard, TachyonError};

/// A place in what a listener with many consumers sends, of use as long as that listener
/// lives: a consumer that connects with [`Start::At`](crate::Start::At) goes on there, as
/// long as it is still in the ring. Both numbers can be stored, to be given back unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Position {
    /// Bytes of ring before it.
    pub position: u64,
    /// Which listener it is of.
    pub epoch: u64,
}

/// A peer of a listener with many has come or gone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// It is connected.
    #[non_exhaustive]
    Joined {
        /// Its number: they grow, and none is used again.
        peer: u32,
        /// Who it is.
        who: Peer,
        /// Its [name](crate::Options::name).
        name: Option<String>,
    },
    /// It is gone, and what it had sent is delivered. A receiver that is not received from is
    /// not told.
    #[non_exhaustive]
    Left {
        /// Its number.
        peer: u32,
        /// `Closed` (by either end), `Aborted`, `PeerDead`, `Corrupt`, or `Lagged`: it was
        /// too slow.
        reason: TachyonError,
        /// Who it was.
        who: Peer,
        /// Its [name](crate::Options::name).
        name: Option<String>,
    },
    /// So many events were not kept, since nobody asked for them.
    Missed(u32),
}

impl Event {
    pub(crate) fn from_raw(event: &sys::tachyon_event_t) -> Self {
        let (peer, who) = (event.peer, Peer::from_raw(event.who));
        let name = name_from_raw(&event.name);
        match event.kind {
            sys::tachyon_event_kind_t_TACHYON_EVENT_JOINED => Self::Joined { peer, who, name },
            sys::tachyon_event_kind_t_TACHYON_EVENT_LEFT => Self::Left {
                peer,
                reason: TachyonError::from_raw(event.reason),
                who,
                name,
            },
            _ => Self::Missed(peer), // as the library says of that kind
        }
    }
}

/// A peer of a listener with many, as long as it is connected.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PeerInfo {
    /// Its number: they grow, and none is used again.
    pub peer: u32,
    /// Who it is.
    pub who: Peer,
    /// Its [name](crate::Options::name).
    pub name: Option<String>,
    /// Messages of it that were released; of a consumer 0.
    pub messages: u64,
    /// Bytes of ring that a consumer of many has still to read; else 0.
    pub behind: u64,
    /// Times that this end slept for it alone.
    pub sleeps: u64,
    /// Times that this end woke it.
    pub wakes: u64,
}

impl PeerInfo {
    pub(crate) fn from_raw(info: &sys::tachyon_peer_info_t) -> Self {
        Self {
            peer: info.peer,
            who: Peer::from_raw(info.who),
            name: name_from_raw(&info.name),
            messages: info.messages,
            behind: info.behind,
            sleeps: info.sleeps,
            wakes: info.wakes,
        }
    }
}

fn name_from_raw(name: &[c_char]) -> Option<String> {
    let bytes: Vec<u8> = name
        .iter()
        .take_while(|&&c| c != 0)
        .map(|&c| c as u8)
        .collect();
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// What a listener with many peers, and an acceptor of it, has.
macro_rules! accepts {
    ($Type:ty, $self:ident => $handle:expr) => {
        impl $Type {
            /// Lets peers in and out, and waits for the next [`Event`], for ever. Any
            /// thread that can get at it may call it while another sends or receives.
            ///
            /// Events are kept until they are fetched, 1,024 of them; what comes on top of
            /// those is only counted ([`Event::Missed`]).
            ///
            /// # Errors
            /// `Closed` when this handle is, after what was kept; `Busy` while another thread
            /// waits for events; `InvalidSize` when it has a single peer
            /// ([`Options::max_peers`](crate::Options::max_peers)); `Interrupted`, by a
            /// signal too where the handle is an [`RpcBus`]; `Forked`, `SystemError`.
            pub fn accept(&self) -> Result<Event, TachyonError> {
                self.accept_timeout(Duration::MAX)
            }

            /// [`accept`](Self::accept) with a time-out; zero is a single look.
            ///
            /// # Errors
            /// As [`accept`](Self::accept); `Timeout`, or `BufferEmpty` when `timeout` is
            /// zero.
            pub fn accept_timeout(&self, timeout: Duration) -> Result<Event, TachyonError> {
                let $self = self;
                wait(timeout, &"event", |ns| $handle.accept(ns))
            }

            /// One step of letting peers in and out, without waiting, and the next
            /// [`Event`] if there is one.
            ///
            /// # Errors
            /// As [`accept`](Self::accept).
            pub fn try_accept(&self) -> Result<Option<Event>, TachyonError> {
                let $self = self;
                try_now(|ns| $handle.accept(ns))
            }

            /// The events as they come, until the handle is closed.
            pub fn events(&self) -> Events<'_> {
                let $self = self;
                Events {
                    listener: &$handle,
                    ended: false,
                }
            }

            /// Who is connected, in no order.
            ///
            /// # Errors
            /// `InvalidSize` when the handle has a single peer; `Forked`.
            pub fn peers(&self) -> Result<Vec<PeerInfo>, TachyonError> {
                let $self = self;
                $handle.peers()
            }

            /// Disconnects the peer of this number: it is told `Closed`, or `Lagged` where
            /// it may not have read all of what is sent to many. What it has sent and nobody
            /// has received yet is not delivered. [`Event::Left`] follows as for any other.
            ///
            /// # Errors
            /// `InvalidSize` when none of this number is connected, or the handle has a
            /// single peer; `Forked`.
            pub fn drop_peer(&self, peer: u32) -> Result<(), TachyonError> {
                let $self = self;
                check($handle.drop_peer(peer))
            }
        }
    };
}

accepts!(Bus, bus => bus.raw.handle);
accepts!(RpcBus, rpc => rpc.handle);
accepts!(Acceptor, acceptor => *acceptor.listener);

/// With [many peers](crate#one-listener-many-peers).
impl Bus {
    /// The same for other threads, while this one sends and receives.
    #[must_use]
    pub fn acceptor(&self) -> Acceptor {
        Acceptor::new(self.raw.handle.clone())
    }

    /// Number of the peer whose message was received last; None before the first, when this
    /// end sends, and when it has a single peer. [`RxGuard::sender`] says it of a message.
    #[inline]
    #[must_use]
    pub fn sender(&self) -> Option<u32> {
        let peer = self.raw.sender();
        (peer != 0).then_some(peer)
    }

    /// Where this end of one producer and many consumers stands: after what it has released,
    /// or flushed. A later connection of a consumer goes on there with
    /// [`Start::At`](crate::Start::At). Also after the end.
    ///
    /// # Errors
    /// `InvalidSize` when the producer has one consumer, or many have this one.
    pub fn position(&self) -> Result<Position, TachyonError> {
        self.raw.position().map_err(reported)
    }
}

impl RpcBus {
    /// The same for other threads, while one serves; unlike an `Arc` of the handle it lets
    /// dropping that be the end.
    #[must_use]
    pub fn acceptor(&self) -> Acceptor {
        Acceptor::new(self.handle.clone())
    }
}

impl RxGuard<'_> {
    /// Number of the peer that sent it, of many; see [`Bus::sender`].
    #[inline]
    #[must_use]
    pub fn sender(&self) -> Option<u32> {
        self.bus.sender()
    }
}

impl RxBatchGuard<'_> {
    /// Number of the peer that sent all of it, of many; see [`Bus::sender`].
    #[inline]
    #[must_use]
    pub fn sender(&self) -> Option<u32> {
        self.bus.sender()
    }
}

/// Lets the peers of a [`Bus`] or [`RpcBus`] in and out while another thread sends or receives
/// on it; made by [`Bus::acceptor`] or [`RpcBus::acceptor`]. Any thread may have one, and one
/// at a time may wait for events.
///
/// Keeps the memory of the connection, but not the connection: dropping the handle that it
/// was made by ends the stream, and a wait for events with [`TachyonError::Closed`].
///
/// ```
/// # use std::time::Duration;
/// use tachyon_ipc::{Event, Options, Role, TachyonError};
/// # use tachyon_ipc::Consumer;
/// # let path = format!("@acceptor-example-{}", std::process::id());
///
/// let options = Options::new().role(Role::Producer).max_peers(16);
/// let mut producer = options.listen(&path, 1 << 16)?.into_producer();
/// let acceptor = producer.bus().acceptor();
/// let doorman = std::thread::spawn(move || {
///     let mut joined = 0;
///     for event in acceptor.events() {
///         match event? {
///             Event::Joined { .. } => joined += 1,
///             Event::Left { peer, reason, .. } => println!("{peer} has left: {reason}"),
///             other => println!("{other:?}"),
///         }
///     } // until the producer is dropped
///     Ok::<u32, TachyonError>(joined)
/// });
/// # let consumer = std::thread::spawn(move || {
/// #     let mut consumer = Consumer::connect_timeout(&path, Duration::from_secs(5)).unwrap();
/// #     let data = consumer.recv().unwrap().unwrap().data().to_vec();
/// #     data
/// # });
/// # while producer.bus().peers()?.is_empty() {
/// #     std::thread::yield_now();
/// # }
/// producer.send_timeout(b"to all", 1, Duration::MAX)?;
/// # assert_eq!(consumer.join().unwrap(), b"to all");
/// drop(producer);
/// assert_eq!(doorman.join().unwrap()?, 1);
/// # Ok::<(), TachyonError>(())
/// ```
///
/// It lets others in, but does not send or receive for them:
///
/// ```compile_fail,E0599
/// fn send_elsewhere(acceptor: &tachyon_ipc::Acceptor) {
///     acceptor.send(b"hello", 1).unwrap();
/// }
/// ```
#[derive(Clone)]
pub struct Acceptor {
    listener: Arc<dyn Listens>,
}

impl Acceptor {
    fn new(handle: impl Listens + 'static) -> Self {
        Self {
            listener: Arc::new(handle),
        }
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").finish_non_exhaustive()
    }
}

/// The events of a listener with many peers as they come; made by [`Bus::events`],
/// [`RpcBus::events`] or [`Acceptor::events`]. It may go to another thread, as an
/// [`Acceptor`] may.
///
/// Waits for each event. Ends when the handle is closed and what was kept has been given.
/// Any other failure comes as the last item.
pub struct Events<'a> {
    listener: &'a dyn Listens,
    ended: bool,
}

impl Iterator for Events<'_> {
    type Item = Result<Event, TachyonError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let event = wait(Duration::MAX, &"event", |ns| self.listener.accept(ns));
        self.ended = event.is_err();
        match event {
            Err(TachyonError::Closed) => None,
            event => Some(event),
        }
    }
}

impl FusedIterator for Events<'_> {}

impl fmt::Debug for Events<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
