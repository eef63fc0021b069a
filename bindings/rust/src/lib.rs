// SPDX-License-Identifier: Apache-2.0
#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![warn(missing_debug_implementations, unsafe_op_in_unsafe_fn)]
#![warn(clippy::undocumented_unsafe_blocks)]

mod arrays;
mod batch;
mod bus;
mod closer;
mod consumer;
mod descriptor;
mod error;
mod messages;
mod options;
mod producer;
mod received;
mod rpc_bus;
mod rpc_guard;
mod rpc_owner;
mod rx_guard;
mod slot;
mod status;
mod strided;
mod tx_guard;
mod type_id;
mod wait;

pub use arrays::ReceivedBatch;
pub use batch::{BatchIter, RxBatchGuard, RxMsgView};
pub use bus::Bus;
pub use closer::Closer;
pub use consumer::Consumer;
pub use error::TachyonError;
pub use messages::Messages;
pub use options::{Options, Role};
pub use producer::Producer;
pub use rpc_bus::RpcBus;
pub use rpc_guard::{RpcRxGuard, RpcTxGuard};
pub use rx_guard::RxGuard;
pub use status::{Peer, RpcStats, State, Stats};
#[cfg(feature = "bytemuck")]
pub use strided::Items;
pub use strided::Strided;
pub use tx_guard::TxGuard;
pub use type_id::{make_type_id, msg_type, route_id};

/// Looks at the ring before a waiting call goes to sleep, where the call takes no
/// `spin_threshold` of its own.
pub const SPIN_THRESHOLD: u32 = 10_000;
