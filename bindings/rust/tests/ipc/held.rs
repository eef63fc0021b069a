// SPDX-License-Identifier: Apache-2.0
use std::collections::VecDeque;
use std::mem;
use std::thread;
use std::time::Duration;

use crate::support::{pair, Random, LONG};
use tachyon_ipc::{HeldGuard, TachyonError};

#[test]
fn several_are_held_and_dropped_in_any_order() {
    const COUNT: usize = 20_000;
    let (tx, rx) = pair(1 << 14);
    let producer = thread::spawn(move || {
        let mut messages = Random(3);
        for _ in 0..COUNT {
            let (bytes, type_id) = messages.message(500);
            tx.send_timeout(&bytes, type_id, LONG).unwrap();
        }
    });
    let (mut messages, mut random) = (Random(3), Random(4));
    let mut held: VecDeque<(HeldGuard<'_>, Vec<u8>)> = VecDeque::new();
    let (mut count, mut most) = (0, 0);
    let end = loop {
        match rx.acquire_rx_next_timeout(100, LONG) {
            Ok(message) => {
                let (bytes, type_id) = messages.message(500);
                assert_eq!(message.type_id(), type_id);
                held.push_back((message, bytes));
                count += 1;
            }
            Err(TachyonError::BufferFull) => {
                // Only the oldest gives room.
                drop(held.pop_front());
            }
            Err(error) => break error,
        }
        most = most.max(held.len());
        if random.below(3) == 0 && !held.is_empty() {
            held.remove(random.below(held.len()));
        }
        for (message, bytes) in &held {
            assert_eq!(message.data(), bytes);
        }
    };
    assert_eq!((count, end), (COUNT, TachyonError::Closed));
    assert!(most > 10, "{most}");
    for (message, bytes) in held {
        assert_eq!(message.data(), bytes);
        message.commit().unwrap();
    }
    assert_eq!(rx.stats().messages, COUNT as u64);
    producer.join().unwrap();
}

#[test]
fn room_is_given_back_from_the_oldest_on() {
    let (tx, rx) = pair(4096);
    while tx.send(&[0; 100], 1).is_ok() {}
    let first = rx.acquire_rx_next(0).unwrap();
    let second = rx.acquire_rx_next(0).unwrap();
    let third = rx.try_acquire_rx_next().unwrap().unwrap();
    second.commit().unwrap();
    assert_eq!(tx.send(&[0; 100], 1), Err(TachyonError::BufferFull));
    assert_eq!(rx.stats().messages, 0);
    drop(first); // and with it the second
    assert_eq!(rx.stats().messages, 2);
    tx.send(&[0; 100], 1).unwrap();
    drop(third);
    assert_eq!(rx.stats().messages, 3);
}

#[test]
fn more_than_half_of_the_ring_is_refused_at_once() {
    let (tx, rx) = pair(4096);
    tx.send(&[1; 3000], 1).unwrap();
    let large = rx.acquire_rx_next(0).unwrap();
    let error = rx.acquire_rx_next(0).unwrap_err();
    assert_eq!(error, TachyonError::BufferFull);
    assert!(error
        .to_string()
        .contains("more than half: release the oldest"));
    drop(large);
    let short = Duration::from_millis(5);
    let error = rx.acquire_rx_next_timeout(0, short).unwrap_err();
    assert_eq!(error, TachyonError::Timeout);
    assert_eq!(error.to_string(), "no message within 5ms");
    assert!(rx.try_acquire_rx_next().unwrap().is_none());
}

#[test]
fn other_guards_and_held_messages_exclude_each_other() {
    let (tx, rx) = pair(4096);
    for i in 0..4 {
        tx.send(&[i], i.into()).unwrap();
    }
    let guard = rx.acquire_rx(0).unwrap();
    let error = rx.acquire_rx_next(0).unwrap_err();
    assert_eq!(error, TachyonError::Busy);
    drop(guard);
    let held = [
        rx.acquire_rx_next(0).unwrap(),
        rx.acquire_rx_next(0).unwrap(),
    ];
    assert_eq!(rx.acquire_rx(0).unwrap_err(), TachyonError::Busy);
    assert_eq!(rx.drain_batch(1, 0).unwrap_err(), TachyonError::Busy);
    assert_eq!(
        rx.recv_batch_into(&mut [0], 1, 0).unwrap_err(),
        TachyonError::Busy
    );
    drop(held);
    assert_eq!(rx.acquire_rx(0).unwrap().data(), [3]);
}

#[test]
fn what_is_held_outlives_the_peer() {
    let (tx, rx) = pair(4096);
    tx.send(b"one", 1).unwrap();
    tx.send(b"two", 1).unwrap();
    let one = rx.acquire_rx_next(0).unwrap();
    tx.abort();
    drop(tx);
    let two = rx.acquire_rx_next(0).unwrap();
    assert_eq!(rx.acquire_rx_next(0).unwrap_err(), TachyonError::Aborted);
    assert_eq!((one.data(), two.data()), (&b"one"[..], &b"two"[..]));
    two.commit().unwrap();
    one.commit().unwrap();
    assert_eq!(rx.acquire_rx(0).unwrap_err(), TachyonError::Aborted);
}

#[test]
fn what_was_closed_here_stays_readable() {
    let (tx, rx) = pair(4096);
    tx.send(b"one", 1).unwrap();
    let one = rx.acquire_rx_next(0).unwrap();
    rx.close();
    assert_eq!(rx.acquire_rx_next(0).unwrap_err(), TachyonError::Closed);
    assert_eq!(one.data(), b"one");
    assert_eq!(one.commit(), Err(TachyonError::Closed));
}

#[test]
fn a_forgotten_one_is_taken_back_by_a_half() {
    let (tx, rx) = pair(4096);
    for i in 0..3 {
        tx.send(&[i], 1).unwrap();
    }
    mem::forget(rx.acquire_rx_next(0).unwrap());
    drop(rx.acquire_rx_next(0).unwrap()); // behind it, so that nothing is released
    assert_eq!(rx.acquire_rx(0).unwrap_err(), TachyonError::Busy);
    let mut rx = rx.into_consumer();
    for i in 0..3 {
        assert_eq!(rx.recv().unwrap().unwrap().data(), [i]);
    }
    let rx = tachyon_ipc::Bus::from(rx);
    tx.send(b"x", 1).unwrap();
    assert_eq!(rx.acquire_rx_next(0).unwrap().data(), b"x");
}
