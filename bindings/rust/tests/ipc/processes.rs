// SPDX-License-Identifier: Apache-2.0
//! Two processes, one of which may die. The second is this program again.

use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{child, child_path, pair, path, rpc_pair, Random, LONG};
use tachyon_ipc::{Bus, RpcBus, State, TachyonError};

const STREAM: usize = 50_000;

/// A process that is killed and waited for when the test ends.
pub struct Process(Child);

impl Process {
    pub fn start(test: &str, path: &str) -> Self {
        let quiet = child(test, path).stdout(Stdio::null()).spawn();
        Self(quiet.unwrap())
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    pub fn expect_success(&mut self) {
        assert!(self.0.wait().unwrap().success());
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_stream_between_processes_arrives_whole() {
    let path = path();
    let mut producer = Process::start("processes::produce", &path);
    let rx = Bus::listen_timeout(&path, 1 << 16, LONG).unwrap();
    assert_eq!(rx.peer().pid, Some(producer.id()));
    let mut random = Random(11);
    let mut count = 0;
    for message in &rx {
        let message = message.unwrap();
        let (bytes, type_id) = random.message(200);
        assert_eq!((message.data(), message.type_id), (&bytes[..], type_id));
        count += 1;
    }
    assert_eq!(count, STREAM);
    producer.expect_success();
}

#[test]
#[ignore = "the other process of a_stream_between_processes_arrives_whole"]
fn produce() {
    let tx = Bus::connect_timeout(&child_path(), LONG).unwrap();
    let mut random = Random(11);
    for _ in 0..STREAM {
        let (bytes, type_id) = random.message(200);
        tx.send_timeout(&bytes, type_id, LONG).unwrap();
    }
}

#[test]
fn a_killed_producer_leaves_what_it_had_flushed() {
    let path = path();
    let mut producer = Process::start("processes::send_three_and_hang", &path);
    let rx = Bus::listen_timeout(&path, 4096, LONG).unwrap();
    let waiting = || {
        let batch = rx.try_drain_batch(9).unwrap();
        batch.map_or(0, |batch| {
            let count = batch.len();
            batch.commit_first(0).unwrap();
            count
        })
    };
    while waiting() < 3 {
        thread::sleep(Duration::from_millis(1));
    }
    producer.kill();
    assert_eq!(rx.state(), State::Ready); // there is something to receive
    let received: Vec<_> = rx.iter().map(|message| Ok(message?.type_id)).collect();
    assert_eq!(received, [Ok(1), Ok(2), Ok(3), Err(TachyonError::PeerDead)]);
    assert_eq!(rx.state(), State::FatalError);
    assert_eq!(rx.check(), Err(TachyonError::PeerDead));
}

#[test]
fn a_killed_producer_ends_a_blocked_receive() {
    let path = path();
    let mut producer = Process::start("processes::send_three_and_hang", &path);
    let rx = Bus::listen_timeout(&path, 4096, LONG).unwrap();
    let pid = producer.id();
    for i in 1..=3 {
        assert_eq!(rx.acquire_rx_timeout(100, LONG).unwrap().type_id, i);
    }
    let killer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        producer.kill();
        Instant::now()
    });
    let error = rx.acquire_rx(100).unwrap_err();
    let noticed = Instant::now();
    assert_eq!(error, TachyonError::PeerDead);
    assert_eq!(
        error.to_string(),
        format!("the peer (process {pid}) died without closing")
    );
    let killed = killer.join().unwrap();
    assert!(noticed.saturating_duration_since(killed) < Duration::from_secs(2));
}

#[test]
#[ignore = "the process that the tests a_killed_producer_... kill"]
fn send_three_and_hang() {
    let tx = Bus::connect_timeout(&child_path(), LONG).unwrap();
    for i in 1..=3 {
        tx.acquire_tx(8).unwrap().commit_unflushed(8, i).unwrap();
    }
    tx.flush();
    tx.acquire_tx(8).unwrap().commit_unflushed(8, 4).unwrap(); // never to be seen
    thread::sleep(LONG);
}

#[test]
fn a_killed_consumer_ends_a_blocked_send() {
    let path = path();
    let mut consumer = Process::start("processes::connect_and_hang", &path);
    let tx = Bus::listen_timeout(&path, 4096, LONG).unwrap();
    while tx.send(&[0; 1000], 1).is_ok() {}
    let killer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        consumer.kill();
    });
    let sent = tx.send_timeout(&[0; 1000], 1, LONG);
    assert_eq!(sent, Err(TachyonError::PeerDead));
    assert_eq!(tx.acquire_tx(1).unwrap_err(), TachyonError::PeerDead);
    assert_eq!(tx.state(), State::FatalError);
    killer.join().unwrap();
}

#[test]
#[ignore = "the process that a_killed_consumer_ends_a_blocked_send kills"]
fn connect_and_hang() {
    let _bus = Bus::connect_timeout(&child_path(), LONG).unwrap();
    thread::sleep(LONG);
}

#[test]
fn a_killed_callee_fails_every_outstanding_call() {
    let path = path();
    let mut callee = Process::start("processes::answer_one_and_hang", &path);
    let caller = RpcBus::connect_timeout(&path, LONG).unwrap();
    let ids: Vec<u64> = (0..10).map(|i| caller.call(b"", i).unwrap()).collect();
    assert_eq!(caller.wait_timeout(ids[9], 100, LONG).unwrap().data(), b"9");
    let killer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        callee.kill();
    });
    for id in &ids[..9] {
        assert_eq!(caller.wait(*id, 100).unwrap_err(), TachyonError::PeerDead);
    }
    assert_eq!(caller.call(b"", 1), Err(TachyonError::PeerDead));
    assert_eq!(caller.state(), State::FatalError);
    killer.join().unwrap();
}

#[test]
#[ignore = "the process that a_killed_callee_fails_every_outstanding_call kills"]
fn answer_one_and_hang() {
    let callee = RpcBus::listen_timeout(&child_path(), 4096, 4096, LONG).unwrap();
    for i in 0..10 {
        let request = callee.serve(100).unwrap();
        if i == 9 {
            callee.reply(request.correlation_id, b"9", 1).unwrap();
        }
    }
    thread::sleep(LONG);
}

#[test]
fn a_forked_child_is_refused_and_does_no_harm() {
    let (tx, rx) = pair(4096);
    let (callee, caller) = rpc_pair(4096);
    tx.send(b"before", 1).unwrap();
    // SAFETY: the child uses nothing that another thread of this process may have locked
    // but the allocator, which glibc unlocks for it, and leaves by _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let refused = [
            tx.send(b"", 1).err(),
            rx.acquire_rx(0).err(),
            rx.try_drain_batch(4).err(),
            callee.serve(0).err(),
            caller.call(b"", 1).err(),
        ]
        .iter()
        .all(|error| *error == Some(TachyonError::Forked))
            && tx.state() == State::FatalError;
        drop((tx, rx, callee, caller));
        // SAFETY: a plain system call.
        unsafe { libc::_exit(if refused { 42 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: a plain system call.
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert!(libc::WIFEXITED(status));
    assert_eq!(libc::WEXITSTATUS(status), 42);

    tx.send(b"after", 2).unwrap();
    let types: Vec<u32> = rx.iter().take(2).map(|m| m.unwrap().type_id).collect();
    assert_eq!(types, [1, 2]);
    let id = caller.call(b"ping", 1).unwrap();
    callee.serve(100).unwrap().commit().unwrap();
    callee.reply(id, b"pong", 1).unwrap();
    assert_eq!(caller.wait(id, 100).unwrap().data(), b"pong");
}
