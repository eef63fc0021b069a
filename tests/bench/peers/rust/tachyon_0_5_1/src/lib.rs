// SPDX-License-Identifier: Apache-2.0
//! tachyon-ipc 0.5.1 of crates.io by its Rust crate: what its calls are where Tachyon's are
//! others. It has none that waits for who listens, nor for room.

#[path = "../../tachyon/src/adapter.rs"]
mod adapter;

use link::{cannot, until_there, Or, Setting};
use tachyon_ipc::{Bus, RpcBus, TachyonError, TxGuard};

const HEADER: usize = 64;
const SPARES: usize = 32; // messages between two times at which room is given back

/// Of a ring, in bytes.
fn capacity(setting: &Setting) -> usize {
    let bytes = setting.ring_bytes();
    if bytes / (setting.size + HEADER) <= SPARES {
        cannot("gives room back every 32 messages, more than its ring has room for");
    }
    bytes
}

fn listen(path: &str, setting: &Setting) -> Bus {
    Bus::listen(path, capacity(setting)).or_cannot()
}

fn connect(path: &str) -> Bus {
    until_there(|| Bus::connect(path))
}

fn rpc_listen(path: &str, setting: &Setting) -> RpcBus {
    let capacity = capacity(setting);
    RpcBus::listen(path, capacity, capacity).or_cannot()
}

fn rpc_connect(path: &str) -> RpcBus {
    until_there(|| RpcBus::connect(path))
}

fn until_room<T>(attempt: impl Fn() -> Result<T, TachyonError>) -> T {
    loop {
        match attempt() {
            Err(TachyonError::BufferFull) => std::hint::spin_loop(),
            result => return result.or_cannot(),
        }
    }
}

fn send(bus: &Bus, payload: &[u8]) {
    until_room(|| bus.send(payload, 1));
}

fn room(bus: &Bus, size: usize) -> TxGuard<'_> {
    // Nobody makes room by reading what has not been flushed.
    until_room(|| bus.acquire_tx(size).inspect_err(|_| bus.flush()))
}

fn call(rpc: &RpcBus, payload: &[u8]) -> u64 {
    until_room(|| rpc.call(payload, 1))
}

fn reply(rpc: &RpcBus, id: u64, payload: &[u8]) {
    until_room(|| rpc.reply(id, payload, 1));
}
