// SPDX-License-Identifier: Apache-2.0
#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![warn(missing_debug_implementations, unsafe_op_in_unsafe_fn)]
#![warn(clippy::undocumented_unsafe_blocks)]

mod arrays;
mod batch;
mod bus;
mod descriptor;
mod error;
mod frame;
mod guards;
mod halves;
mod held;
mod interrupter;
mod many;
mod message;
mod opening;
mod options;
mod raw;
mod rpc_bus;
mod rpc_guard;
mod rpc_owner;
mod status;
mod tx_batch;
mod typed;
mod wait;

pub use arrays::ReceivedBatch;
#[cfg(feature = "bytemuck")]
pub use batch::Items;
pub use batch::{BatchIter, RxBatchGuard, RxMsgView, Strided};
pub use bus::{Bus, Closer, Messages};
#[cfg(feature = "bytemuck")]
#[doc(hidden)]
pub use bytemuck; // for plain!
pub use error::TachyonError;
pub use frame::{Frame, FrameItem, FrameRef, ItemKind, ItemType};
pub use guards::{RxGuard, TxGuard};
pub use halves::{Consumer, Producer};
pub use held::HeldGuard;
pub use interrupter::Interrupter;
pub use many::{Acceptor, Event, Events, PeerInfo, Position};
pub use message::{Bool, Message, Plain, U16Be, U32Be, U64Be};
pub use opening::{Opened, Opening};
pub use options::{Options, Role, SlowPeer, Start, WithoutPeers};
pub use rpc_bus::RpcBus;
pub use rpc_guard::{RpcRxGuard, RpcTxGuard};
pub use status::{Peer, RpcStats, State, Stats};
pub use tx_batch::{TxBatchGuard, TxBatchIter};
pub use typed::Loan;

use tachyon_sys::{TACHYON_MSG_TYPE, TACHYON_ROUTE_ID, TACHYON_TYPE_ID};

/// Looks at the ring before a waiting call goes to sleep, where the call takes no
/// `spin_threshold` of its own.
pub const SPIN_THRESHOLD: u32 = tachyon_sys::TACHYON_DEFAULT_SPIN;

/// Puts a route (upper half) and a message type (lower half) into one `type_id`.
///
/// ```
/// use tachyon_ipc::{make_type_id, msg_type, route_id};
/// let id = make_type_id(1, 42);
/// assert_eq!((id, route_id(id), msg_type(id)), (0x0001_002A, 1, 42));
/// ```
#[inline]
#[must_use]
pub const fn make_type_id(route: u16, msg_type: u16) -> u32 {
    TACHYON_TYPE_ID(route, msg_type)
}

/// The route in a `type_id`.
#[inline]
#[must_use]
pub const fn route_id(type_id: u32) -> u16 {
    TACHYON_ROUTE_ID(type_id)
}

/// The message type in a `type_id`.
#[inline]
#[must_use]
pub const fn msg_type(type_id: u32) -> u16 {
    TACHYON_MSG_TYPE(type_id)
}
