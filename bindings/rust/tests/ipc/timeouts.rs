// SPDX-License-Identifier: Apache-2.0
//! Every call that waits is back when its time is up, and not before.

use std::time::{Duration, Instant};

use crate::support::{pair, path, rpc_pair};
use tachyon_ipc::{Bus, Options, RpcBus, TachyonError};

/// Late by that much is a hang; what is above it a busy machine may do.
const LATE: Duration = Duration::from_secs(5);

fn timed<T>(
    timeout: Duration,
    call: impl Fn(Duration) -> Result<T, TachyonError>,
) -> Option<TachyonError> {
    let start = Instant::now();
    let error = call(timeout).err();
    let took = start.elapsed();
    assert!(took >= timeout, "{took:?} for {timeout:?}");
    assert!(took < timeout + LATE, "{took:?} for {timeout:?}");
    error
}

/// Zero gives `at_once`, more a time-out.
fn times_out<T>(at_once: TachyonError, call: impl Fn(Duration) -> Result<T, TachyonError>) {
    assert_eq!(timed(Duration::ZERO, &call), Some(at_once));
    for milliseconds in [1, 50] {
        let timeout = Duration::from_millis(milliseconds);
        assert_eq!(timed(timeout, &call), Some(TachyonError::Timeout));
    }
}

#[test]
fn receiving() {
    let (_tx, rx) = pair(4096);
    times_out(TachyonError::BufferEmpty, |t| rx.acquire_rx_timeout(10, t));
    times_out(TachyonError::BufferEmpty, |t| {
        rx.drain_batch_timeout(4, 10, t)
    });
    rx.set_polling_mode(1);
    times_out(TachyonError::BufferEmpty, |t| rx.acquire_rx_timeout(10, t));
}

#[test]
fn sending() {
    let (tx, _rx) = pair(4096);
    while tx.send(&[0; 1000], 1).is_ok() {}
    times_out(TachyonError::BufferFull, |t| tx.acquire_tx_timeout(1000, t));
    times_out(TachyonError::BufferFull, |t| {
        tx.send_timeout(&[0; 1000], 1, t)
    });
}

#[test]
fn the_text_says_what_has_not_come() {
    const SHORT: Duration = Duration::from_millis(2);
    let text = |error: Option<TachyonError>| error.unwrap().to_string();
    let (tx, rx) = pair(4096);
    let none = "no message within 2ms";
    assert_eq!(text(rx.acquire_rx_timeout(1, SHORT).err()), none);
    assert_eq!(text(rx.drain_batch_timeout(4, 1, SHORT).err()), none);
    let mut items = [0; 8];
    let received = rx.recv_batch_into_timeout(&mut items, 8, 1, SHORT);
    assert_eq!(text(received.err()), none);

    while tx.send(&[0; 1000], 1).is_ok() {}
    let none = "no room for 1000 bytes within 2ms";
    assert_eq!(text(tx.acquire_tx_timeout(1000, SHORT).err()), none);
    assert_eq!(text(tx.send_timeout(&[0; 1000], 1, SHORT).err()), none);
    let sent = tx.send_batch_timeout(&[0; 2000], 1000, 1, SHORT);
    assert_eq!(text(sent.err()), none);

    let (callee, caller) = rpc_pair(4096);
    let none = "no request within 2ms";
    assert_eq!(text(callee.serve_timeout(1, SHORT).err()), none);
    let id = caller.call(b"", 1).unwrap();
    let none = format!("no reply to call {id} within 2ms");
    assert_eq!(text(caller.wait_timeout(id, 1, SHORT).err()), none);
    let none = "no reply within 2ms";
    assert_eq!(text(caller.wait_any_timeout(1, SHORT).err()), none);
    while caller.call(&[0; 1000], 1).is_ok() {}
    let none = "no room for 1000 bytes within 2ms";
    assert_eq!(text(caller.call_timeout(&[0; 1000], 1, SHORT).err()), none);
    assert_eq!(text(caller.acquire_call_timeout(1000, SHORT).err()), none);
}

#[test]
fn listening_and_connecting() {
    let path = path();
    // To listen without time is to find out whether one could.
    times_out(TachyonError::Timeout, |t| {
        Bus::listen_timeout(&path, 4096, t)
    });
    times_out(TachyonError::Timeout, |t| {
        RpcBus::listen_timeout(&path, 4096, 4096, t)
    });
    // To connect without time is one try.
    times_out(TachyonError::NetworkError, |t| {
        Bus::connect_timeout(&path, t)
    });
    times_out(TachyonError::NetworkError, |t| {
        RpcBus::connect_timeout(&path, t)
    });
    let error = Options::new()
        .timeout(Duration::from_millis(1))
        .connect(&path)
        .unwrap_err();
    assert!(error.to_string().contains(&path), "{error}");
}

#[test]
fn calling() {
    let (_callee, caller) = rpc_pair(4096);
    let id = caller.call(b"", 1).unwrap();
    times_out(TachyonError::BufferEmpty, |t| {
        caller.wait_timeout(id, 10, t)
    });
    assert!(caller.try_wait(id).unwrap().is_none());
    while caller.call(&[0; 1000], 1).is_ok() {}
    times_out(TachyonError::BufferFull, |t| {
        caller.call_timeout(&[0; 1000], 1, t)
    });
    times_out(TachyonError::BufferFull, |t| {
        caller.acquire_call_timeout(1000, t)
    });
}

#[test]
fn serving() {
    let (callee, caller) = rpc_pair(4096);
    times_out(TachyonError::BufferEmpty, |t| callee.serve_timeout(10, t));
    assert!(callee.try_serve().unwrap().is_none());
    for _ in 0..9 {
        caller.call(b"", 1).unwrap();
        callee.serve(0).unwrap().commit().unwrap();
    }
    let answered = (1..).take_while(|&id| callee.reply(id, &[0; 1000], 1).is_ok());
    let next = answered.count() as u64 + 1;
    assert!(next < 9);
    times_out(TachyonError::BufferFull, |t| {
        callee.reply_timeout(next, &[0; 1000], 1, t)
    });
    times_out(TachyonError::BufferFull, |t| {
        callee.acquire_reply_timeout(next, 1000, t)
    });
}

#[test]
fn a_message_in_time_ends_the_wait() {
    let (tx, rx) = pair(4096);
    let start = Instant::now();
    let consumer =
        std::thread::spawn(move || rx.acquire_rx_timeout(10, Duration::MAX).map(|m| m.type_id));
    std::thread::sleep(Duration::from_millis(20));
    tx.send(b"", 3).unwrap();
    assert_eq!(consumer.join().unwrap(), Ok(3));
    assert!(start.elapsed() < LATE);
}
