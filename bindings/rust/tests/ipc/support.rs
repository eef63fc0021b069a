// SPDX-License-Identifier: Apache-2.0
//! Connections and processes to test with.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use tachyon_ipc::{Bus, Options, RpcBus, TachyonError};

/// Longer than anything here takes, unless it hangs.
pub const LONG: Duration = Duration::from_secs(20);

/// Names the socket to a child process.
const SOCKET: &str = "TACHYON_TEST_SOCKET";

/// A socket of the abstract namespace that no other test has.
pub fn path() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("@tachyon-ipc-{}-{count}", std::process::id())
}

/// Both ends of a connection, listener first; a panic in the other thread is one here.
pub fn pair(capacity: usize) -> (Bus, Bus) {
    let path = path();
    let listen = path.clone();
    let listener = thread::spawn(move || Bus::listen_timeout(&listen, capacity, LONG));
    let connector = Bus::connect_timeout(&path, LONG).unwrap();
    (listener.join().unwrap().unwrap(), connector)
}

/// Both ends of a connection for calls, callee first.
pub fn rpc_pair(capacity: usize) -> (RpcBus, RpcBus) {
    let path = path();
    let listen = path.clone();
    let listener = thread::spawn(move || RpcBus::listen_timeout(&listen, capacity, capacity, LONG));
    let caller = RpcBus::connect_timeout(&path, LONG).unwrap();
    (listener.join().unwrap().unwrap(), caller)
}

/// Listen with `options`, connect with `connect`; what both say.
pub fn meet<T>(listen: Options, connect: impl FnOnce(&str) -> T) -> (Result<Bus, TachyonError>, T) {
    let path = path();
    let address = path.clone();
    let listener = thread::spawn(move || listen.listen(address, 4096));
    let connected = connect(&path);
    (listener.join().unwrap(), connected)
}

/// The command that runs an ignored test of this program in a process of its own, where
/// `child_path()` is `path`.
pub fn child(test: &str, path: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            test,
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(SOCKET, path);
    command
}

pub fn child_path() -> String {
    std::env::var(SOCKET).expect("run by another test only")
}

/// Runs an ignored test of this program in a process of its own.
pub fn run_alone(test: &str) {
    let output = child(test, &path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{test}: {}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Numbers that are the same in every run and every process.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    /// A message and its type.
    pub fn message(&mut self, longest: usize) -> (Vec<u8>, u32) {
        let size = self.below(longest + 1);
        let bytes = (0..size).map(|_| self.below(256) as u8).collect();
        (bytes, self.below(1 << 32) as u32)
    }
}
