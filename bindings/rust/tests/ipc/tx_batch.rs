// SPDX-License-Identifier: Apache-2.0
//! Batches written in place.

use std::time::{Duration, Instant};

use crate::support::{pair, LONG};
use tachyon_ipc::TachyonError;

#[test]
fn what_is_written_arrives_as_messages_in_order() {
    let (tx, rx) = pair(4096);
    let mut next = 0u64;
    for round in 0..500 {
        let item_size = [8, 32, 33, 100][round % 4];
        let mut batch = tx.acquire_tx_batch(item_size, 7).unwrap();
        assert_eq!((batch.len(), batch.is_empty()), (7, false));
        assert_eq!(batch.item_size(), item_size);
        for (number, item) in (next..).zip(&mut batch) {
            assert_eq!(item.len(), item_size);
            item.fill(number as u8);
            item[..8].copy_from_slice(&number.to_le_bytes());
        }
        assert!(batch.get_mut(7).is_none());
        assert_eq!(batch.get_mut(6).unwrap()[..8], (next + 6).to_le_bytes());
        let count = 1 + round % 7;
        batch.commit(count, 9).unwrap();
        let received = rx.drain_batch(100, 0).unwrap();
        assert_eq!(received.len(), count);
        for message in &received {
            assert_eq!((message.actual_size(), message.type_id()), (item_size, 9));
            assert_eq!(message.data()[..8], next.to_le_bytes());
            assert!(message.data()[8..].iter().all(|&byte| byte == next as u8));
            next += 1;
        }
    }
}

#[test]
fn the_iterator_knows_its_length_and_ends() {
    let (tx, _rx) = pair(4096);
    let mut batch = tx.acquire_tx_batch(1, 3).unwrap();
    let mut items = batch.iter_mut();
    assert_eq!(items.len(), 3);
    let (first, second) = (items.next().unwrap(), items.next().unwrap());
    first[0] = 1; // both are alive, and apart
    second[0] = 2;
    assert_eq!((first[0], second[0], items.len()), (1, 2, 1));
    items.next().unwrap();
    assert!(items.next().is_none());
    assert!(items.next().is_none());
}

#[test]
fn what_is_dropped_or_given_back_was_never_there() {
    let (tx, rx) = pair(4096);
    drop(tx.acquire_tx_batch(100, 5).unwrap());
    tx.acquire_tx_batch(100, 5).unwrap().commit(0, 1).unwrap();
    let mut batch = tx.acquire_tx_batch(100, 5).unwrap();
    batch.get_mut(0).unwrap().fill(7);
    batch.commit_unflushed(1, 1).unwrap();
    assert!(rx.try_acquire_rx().unwrap().is_none());
    tx.flush();
    assert_eq!(rx.acquire_rx(0).unwrap().data(), [7; 100]);
    assert!(rx.try_acquire_rx().unwrap().is_none());
}

#[test]
fn more_than_is_reserved_is_refused_and_given_back() {
    let (tx, rx) = pair(4096);
    let batch = tx.acquire_tx_batch(8, 2).unwrap();
    let error = batch.commit(3, 1).unwrap_err();
    let text = "3 messages cannot be committed: 2 are reserved";
    assert_eq!(error, TachyonError::InvalidSize);
    assert_eq!(error.to_string(), text);
    tx.send(b"next", 2).unwrap();
    assert_eq!(rx.acquire_rx(0).unwrap().data(), b"next");
}

#[test]
fn one_guard_at_a_time() {
    let (tx, _rx) = pair(4096);
    let batch = tx.acquire_tx_batch(8, 2).unwrap();
    assert_eq!(tx.acquire_tx(8).unwrap_err(), TachyonError::Busy);
    assert_eq!(tx.send(b"", 1).unwrap_err(), TachyonError::Busy);
    assert_eq!(tx.acquire_tx_batch(8, 2).unwrap_err(), TachyonError::Busy);
    drop(batch);
    let mut producer = tx.into_producer();
    std::mem::forget(producer.acquire_tx_batch(8, 2).unwrap());
    producer.send(b"", 1).unwrap();
}

#[test]
fn as_many_as_fit_and_then_none() {
    let (tx, rx) = pair(4096);
    let batch = tx.acquire_tx_batch_timeout(32, usize::MAX, LONG).unwrap();
    assert_eq!(batch.len(), 63);
    batch.commit(63, 1).unwrap();
    let full = tx.acquire_tx_batch(32, 1).unwrap_err();
    assert_eq!(full, TachyonError::BufferFull);
    let (start, timeout) = (Instant::now(), Duration::from_millis(30));
    let late = tx.acquire_tx_batch_timeout(32, 1, timeout).unwrap_err();
    assert!(start.elapsed() >= timeout);
    assert_eq!(late.to_string(), "no room for 32 bytes within 30ms");
    rx.acquire_rx(0).unwrap().commit().unwrap();
    let batch = tx.acquire_tx_batch_timeout(32, 9, LONG).unwrap();
    assert_eq!(batch.len(), 1);
}

#[test]
fn bad_sizes_and_the_end_are_told() {
    let (tx, rx) = pair(4096);
    for (size, count, text) in [
        (0, 1, "item_size is 0"),
        (1, 0, "max_count is 0"),
        (
            4000,
            1,
            "a message of 4000 bytes can never fit: this ring takes 3968 at most",
        ),
    ] {
        let error = tx.acquire_tx_batch(size, count).unwrap_err();
        assert_eq!(error, TachyonError::InvalidSize);
        assert_eq!(error.to_string(), text);
    }
    drop(rx);
    while let Ok(batch) = tx.acquire_tx_batch_timeout(1000, 9, LONG) {
        let count = batch.len();
        let _ = batch.commit(count, 1);
    }
    let ended = tx.acquire_tx_batch(8, 1).unwrap_err();
    assert_eq!(ended, TachyonError::Closed);
}
