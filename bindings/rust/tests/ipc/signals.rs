// SPDX-License-Identifier: Apache-2.0
//! Signals end no wait but those of a server.

use std::os::unix::thread::JoinHandleExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::{pair, path, rpc_pair, LONG};
use tachyon_ipc::{Bus, RpcBus, TachyonError};

static HANDLED: AtomicU64 = AtomicU64::new(0);

extern "C" fn count(_signal: libc::c_int) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// Send the thread a signal every millisecond, of a kind that ends system calls, `while_`
/// it runs; how many it handled, at least (other tests may count too).
fn storm<T>(thread: &JoinHandle<T>, while_: impl Fn(u64) -> bool) -> u64 {
    // SAFETY: the handler only counts, and it is in place before the first signal.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = count as *const () as usize; // no SA_RESTART
        assert_eq!(
            libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()),
            0
        );
    }
    let before = HANDLED.load(Ordering::Relaxed);
    let mut sent = 0;
    while while_(sent) && !thread.is_finished() {
        // SAFETY: the thread is not joined, so its handle is valid.
        unsafe { libc::pthread_kill(thread.as_pthread_t(), libc::SIGUSR1) };
        sent += 1;
        thread::sleep(Duration::from_millis(1));
    }
    HANDLED.load(Ordering::Relaxed) - before
}

#[test]
fn a_receive_waits_on() {
    let (tx, rx) = pair(4096);
    let consumer = thread::spawn(move || rx.acquire_rx(10).map(|message| message.type_id));
    assert!(storm(&consumer, |sent| sent < 50) > 0);
    tx.send(b"", 5).unwrap();
    assert_eq!(consumer.join().unwrap(), Ok(5));
}

#[test]
fn a_drain_and_a_wait_for_a_reply_wait_on() {
    let (tx, rx) = pair(4096);
    let consumer = thread::spawn(move || rx.drain_batch(8, 10).map(|batch| batch.len()));
    assert!(storm(&consumer, |sent| sent < 50) > 0);
    tx.send(b"", 5).unwrap();
    assert_eq!(consumer.join().unwrap(), Ok(1));

    let (callee, caller) = rpc_pair(4096);
    let id = caller.call(b"", 1).unwrap();
    let waiter = thread::spawn(move || caller.wait(id, 10).map(|reply| reply.type_id));
    assert!(storm(&waiter, |sent| sent < 50) > 0);
    callee.serve(0).unwrap().commit().unwrap();
    callee.reply(id, b"", 6).unwrap();
    assert_eq!(waiter.join().unwrap(), Ok(6));
}

#[test]
fn a_listener_listens_on() {
    let path = path();
    let address = path.clone();
    let listener = thread::spawn(move || Bus::listen(&address, 4096).map(|_| ()));
    assert!(storm(&listener, |sent| sent < 50) > 0);
    Bus::connect_timeout(&path, LONG).unwrap();
    assert_eq!(listener.join().unwrap(), Ok(()));
}

#[test]
fn a_time_out_passes_all_the_same() {
    let (_tx, rx) = pair(4096);
    let start = Instant::now();
    let timeout = Duration::from_millis(100);
    let consumer = thread::spawn(move || rx.acquire_rx_timeout(10, timeout).map(|_| ()));
    storm(&consumer, |_| true);
    assert_eq!(consumer.join().unwrap(), Err(TachyonError::Timeout));
    assert!(start.elapsed() >= timeout && start.elapsed() < LONG);
}

#[test]
fn a_wait_for_room_waits_on() {
    let (tx, rx) = pair(4096);
    while tx.send(&[0; 1000], 1).is_ok() {}
    let producer = thread::spawn(move || {
        let sent = tx.send_batch_timeout(&[0; 2000], 1000, 2, LONG)?;
        tx.acquire_tx_timeout(1000, LONG)?.commit(1000, 3)?;
        Ok::<_, TachyonError>((sent, tx))
    });
    assert!(storm(&producer, |sent| sent < 50) > 0);
    let mut received = 0;
    while received < 6 {
        received += rx.drain_batch(1, 10).unwrap().len();
        assert!(!producer.is_finished() || received > 1);
    }
    assert_eq!(producer.join().unwrap().unwrap().0, 2);
}

#[test]
fn a_server_is_told() {
    let (callee, caller) = rpc_pair(4096);
    let server = thread::spawn(move || (callee.serve(10).map(|_| ()), callee));
    storm(&server, |_| true);
    let (served, callee) = server.join().unwrap();
    assert_eq!(served, Err(TachyonError::Interrupted));

    caller.call(b"", 1).unwrap(); // while it waits for room to reply, too
    callee.serve(0).unwrap().commit().unwrap();
    callee.reply(1, &[0; 3968], 1).unwrap();
    let full = thread::spawn(move || callee.acquire_reply_timeout(1, 3968, LONG).map(|_| ()));
    storm(&full, |_| true);
    assert_eq!(full.join().unwrap(), Err(TachyonError::Interrupted));
}

#[test]
fn a_callee_listens_on() {
    let path = path();
    let address = path.clone();
    let listener = thread::spawn(move || RpcBus::listen(&address, 4096, 4096).map(|_| ()));
    assert!(storm(&listener, |sent| sent < 50) > 0);
    RpcBus::connect_timeout(&path, LONG).unwrap();
    assert_eq!(listener.join().unwrap(), Ok(()));
}
