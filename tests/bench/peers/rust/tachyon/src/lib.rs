// SPDX-License-Identifier: Apache-2.0
//! Tachyon by its Rust crate: its own calls, which wait for the other and for room.

mod adapter;

use std::time::Duration;

use link::{Or, Setting};
use tachyon_ipc::{Bus, RpcBus, TxGuard};

const LIMIT: Duration = Duration::from_secs(20);

fn listen(path: &str, setting: &Setting) -> Bus {
    Bus::listen_timeout(path, setting.ring_bytes(), LIMIT).or_cannot()
}

fn connect(path: &str) -> Bus {
    Bus::connect_timeout(path, LIMIT).or_cannot()
}

fn rpc_listen(path: &str, setting: &Setting) -> RpcBus {
    let capacity = setting.ring_bytes();
    RpcBus::listen_timeout(path, capacity, capacity, LIMIT).or_cannot()
}

fn rpc_connect(path: &str) -> RpcBus {
    RpcBus::connect_timeout(path, LIMIT).or_cannot()
}

fn send(bus: &Bus, payload: &[u8]) {
    bus.send_timeout(payload, 1, Duration::MAX).or_cannot();
}

fn room(bus: &Bus, size: usize) -> TxGuard<'_> {
    bus.acquire_tx_timeout(size, Duration::MAX).or_cannot()
}

fn call(rpc: &RpcBus, payload: &[u8]) -> u64 {
    rpc.call_timeout(payload, 1, Duration::MAX).or_cannot()
}

fn reply(rpc: &RpcBus, id: u64, payload: &[u8]) {
    rpc.reply_timeout(id, payload, 1, Duration::MAX).or_cannot();
}
