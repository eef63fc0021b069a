// SPDX-License-Identifier: Apache-2.0
use std::thread;
use std::time::Duration;

use crate::support::{pair, Random, LONG};
use tachyon_ipc::{State, TachyonError};

const CAPACITY: usize = 1 << 16;

#[test]
fn either_end_may_send() {
    for listener_sends in [true, false] {
        let (listener, connector) = pair(CAPACITY);
        let (tx, rx) = if listener_sends {
            (listener, connector)
        } else {
            (connector, listener)
        };
        tx.send(b"hello", 42).unwrap();
        let message = rx.acquire_rx(100).unwrap();
        assert_eq!((message.data(), message.type_id), (&b"hello"[..], 42));
        assert_eq!(message.actual_size, 5);
        message.commit().unwrap();
    }
}

#[test]
fn every_size_from_nothing_to_the_largest_arrives_unchanged() {
    let (tx, rx) = pair(4096);
    let largest = tx.max_payload();
    assert_eq!(largest, 4096 - 128);
    let bytes: Vec<u8> = (0..largest).map(|i| i as u8).collect();
    for size in (0..=largest).step_by(31).chain([largest]) {
        tx.send(&bytes[..size], size as u32).unwrap();
        let message = rx.acquire_rx(100).unwrap();
        assert_eq!(message.data(), &bytes[..size]);
        assert_eq!(message.type_id, size as u32);
    }
}

#[test]
fn a_stream_through_a_small_ring_keeps_order_and_content() {
    const COUNT: usize = 20_000;
    let (tx, rx) = pair(4096);
    let consumer = thread::spawn(move || {
        let mut random = Random(7);
        let mut count = 0;
        for message in &rx {
            let message = message.unwrap();
            let (bytes, type_id) = random.message(300);
            assert_eq!((message.data(), message.type_id), (&bytes[..], type_id));
            count += 1;
        }
        count
    });
    let mut random = Random(7);
    for i in 0..COUNT {
        let (bytes, type_id) = random.message(300);
        if i % 2 == 0 {
            tx.send_timeout(&bytes, type_id, LONG).unwrap();
        } else {
            let guard = tx.acquire_tx_timeout(bytes.len() + i % 70, LONG).unwrap();
            guard.write(&bytes);
            guard.commit_unflushed(bytes.len(), type_id).unwrap();
        }
    }
    drop(tx);
    assert_eq!(consumer.join().unwrap(), COUNT);
}

#[test]
fn slots_and_messages_are_aligned() {
    let (tx, rx) = pair(CAPACITY);
    for size in [0, 1, 32, 33, 64, 1000] {
        let alignment = if size > 32 { 64 } else { 32 };
        let mut guard = tx.acquire_tx(size).unwrap();
        assert_eq!(guard.as_mut().as_ptr().align_offset(alignment), 0);
        assert_eq!(guard.max_size(), size);
        guard.commit(size, 0).unwrap();
        let message = rx.acquire_rx(100).unwrap();
        assert_eq!(message.data().as_ptr().align_offset(alignment), 0);
    }
}

#[test]
fn a_commit_without_a_flush_shows_at_the_flush() {
    let (tx, rx) = pair(CAPACITY);
    for i in 0..3 {
        tx.acquire_tx(8).unwrap().commit_unflushed(8, i).unwrap();
    }
    assert!(rx.try_acquire_rx().unwrap().is_none());
    tx.flush();
    for i in 0..3 {
        assert_eq!(rx.try_acquire_rx().unwrap().unwrap().type_id, i);
    }
    assert!(rx.try_acquire_rx().unwrap().is_none());
}

#[test]
fn dropping_a_producer_shows_everything_and_ends_the_stream() {
    let (tx, rx) = pair(CAPACITY);
    tx.send(b"one", 1).unwrap();
    tx.acquire_tx(3).unwrap().commit_unflushed(3, 2).unwrap();
    drop(tx);
    assert_eq!(rx.state(), State::Ready); // there is something to receive
    let types: Vec<u32> = rx.iter().map(|message| message.unwrap().type_id).collect();
    assert_eq!(types, [1, 2]);
    assert_eq!(rx.acquire_rx(100).unwrap_err(), TachyonError::Closed);
    assert_eq!(rx.try_acquire_rx().unwrap_err(), TachyonError::Closed);
    assert_eq!(rx.drain_batch(8, 100).unwrap_err(), TachyonError::Closed);
    assert_eq!(rx.state(), State::Disconnected);
    assert_eq!(rx.check(), Err(TachyonError::Closed));
    assert_eq!(rx.iter().count(), 0);
}

#[test]
fn iteration_says_busy_for_a_kept_message_and_goes_on() {
    let (tx, rx) = pair(CAPACITY);
    for i in 0..3 {
        tx.send(b"", i).unwrap();
    }
    drop(tx);
    let mut messages = rx.iter();
    let first = messages.next().unwrap().unwrap();
    assert_eq!(messages.next().unwrap().unwrap_err(), TachyonError::Busy);
    drop(first);
    assert_eq!(messages.next().unwrap().unwrap().type_id, 1);
    assert_eq!(messages.next().unwrap().unwrap().type_id, 2);
    assert!(messages.next().is_none());
    assert!(messages.next().is_none());
}

#[test]
fn a_consumer_that_closes_is_noticed_by_the_producer() {
    let (tx, rx) = pair(4096);
    tx.send(b"unread", 1).unwrap();
    drop(rx);
    assert_eq!(tx.state(), State::Disconnected);
    let sent = (0..10_000).find_map(|_| tx.send(&[0; 1000], 1).err());
    assert_eq!(sent, Some(TachyonError::Closed));
}

#[test]
fn after_close_a_receive_says_so_and_held_messages_stay() {
    let (tx, rx) = pair(CAPACITY);
    tx.send(b"held", 1).unwrap();
    let held = rx.acquire_rx(100).unwrap();
    rx.close();
    rx.close();
    assert_eq!(held.data(), b"held");
    drop(held);
    assert_eq!(rx.acquire_rx(100).unwrap_err(), TachyonError::Closed);
    assert_eq!(rx.try_acquire_rx().unwrap_err(), TachyonError::Closed);
    assert_eq!(rx.check(), Err(TachyonError::Closed));
}

#[test]
fn after_close_a_send_says_so_at_the_latest_when_it_needs_room() {
    let (tx, rx) = pair(4096);
    tx.acquire_tx(3).unwrap().commit_unflushed(3, 1).unwrap();
    let mut slot = tx.acquire_tx(100).unwrap();
    tx.close();
    slot.as_mut().fill(1); // still mapped
    drop(slot);
    assert_eq!(rx.acquire_rx(100).unwrap().type_id, 1);
    assert_eq!(rx.acquire_rx(100).unwrap_err(), TachyonError::Closed);
    let sent = (0..10).find_map(|_| tx.send(&[0; 1000], 1).err());
    assert_eq!(sent, Some(TachyonError::Closed));
    assert_eq!(tx.check(), Err(TachyonError::Closed));
}

#[test]
fn another_thread_can_close_what_is_blocked() {
    let (tx, rx) = pair(4096);
    while tx.send(&[0; 1000], 1).is_ok() {}
    let closer = tx.closer();
    let blocked = thread::spawn(move || tx.send_timeout(&[0; 1000], 1, LONG));
    thread::sleep(Duration::from_millis(20));
    closer.clone().close();
    assert_eq!(blocked.join().unwrap(), Err(TachyonError::Closed));

    rx.drain_batch(100, 0).unwrap().commit().unwrap();
    assert_eq!(rx.acquire_rx(0).unwrap_err(), TachyonError::Closed);
    let (_tx, rx) = pair(4096);
    let closer = rx.closer();
    let blocked = thread::spawn(move || rx.acquire_rx(0).map(|_| ()));
    thread::sleep(Duration::from_millis(20));
    closer.close();
    assert_eq!(blocked.join().unwrap(), Err(TachyonError::Closed));
    closer.close(); // the bus is gone, its memory is not
}

#[test]
fn a_closer_does_not_keep_the_stream_open() {
    let (tx, rx) = pair(CAPACITY);
    let closer = tx.closer();
    tx.acquire_tx(3).unwrap().commit_unflushed(3, 1).unwrap();
    drop(tx);
    assert_eq!(rx.acquire_rx(100).unwrap().type_id, 1);
    assert_eq!(rx.acquire_rx(100).unwrap_err(), TachyonError::Closed);
    drop(closer);
}

#[test]
fn a_bus_may_move_to_another_thread_between_messages() {
    let (tx, rx) = pair(CAPACITY);
    tx.send(b"first", 1).unwrap();
    let tx = thread::spawn(move || {
        tx.send(b"second", 2).unwrap();
        tx
    })
    .join()
    .unwrap();
    tx.send(b"third", 3).unwrap();
    for i in 1..=3 {
        assert_eq!(rx.acquire_rx(100).unwrap().type_id, i);
    }
}

#[test]
fn a_spinning_consumer_receives_too() {
    let (tx, rx) = pair(CAPACITY);
    rx.set_polling_mode(1);
    let consumer = thread::spawn(move || rx.acquire_rx(0).map(|m| m.type_id));
    tx.send(b"", 9).unwrap();
    assert_eq!(consumer.join().unwrap(), Ok(9));
}

#[test]
fn peer_and_counters_are_told() {
    let (tx, rx) = pair(CAPACITY);
    let peer = tx.peer();
    // SAFETY: a plain system call.
    let uid = unsafe { libc::geteuid() };
    assert_eq!((peer.pid, peer.uid), (Some(std::process::id()), uid));
    assert_eq!(rx.peer(), peer);

    tx.send(&[1; 32], 1).unwrap();
    tx.send(&[2; 33], 1).unwrap();
    let stats = tx.stats();
    assert_eq!(stats.capacity, CAPACITY as u64);
    assert_eq!((stats.messages, stats.flushes), (2, 2));
    assert_eq!((stats.ring_bytes, stats.used), (64 + 128, 64 + 128));
    rx.acquire_rx(100).unwrap().commit().unwrap();
    assert_eq!(rx.stats().messages, 1);
    assert!(format!("{rx:?}").contains("messages: 1"), "{rx:?}");
}

#[test]
fn the_ring_can_prefer_a_numa_node() {
    let (tx, _rx) = pair(CAPACITY);
    match tx.set_numa_node(0) {
        Ok(()) => {}
        // A container may refuse it, or the kernel may know no nodes.
        Err(error) => assert_eq!(error, TachyonError::SystemError, "{error}"),
    }
}
