// SPDX-License-Identifier: Apache-2.0
use std::thread;
use std::time::Duration;

use crate::support::{pair, Random, LONG};
use tachyon_ipc::TachyonError;

#[test]
fn a_batch_holds_what_is_there_in_order() {
    let (tx, rx) = pair(1 << 16);
    for i in 0..5u32 {
        let guard = tx.acquire_tx(4).unwrap();
        guard.write(&i.to_le_bytes());
        guard.commit_unflushed(4, i).unwrap();
    }
    tx.flush();
    let batch = rx.drain_batch(64, 100).unwrap();
    assert_eq!((batch.len(), batch.count, batch.is_empty()), (5, 5, false));
    assert_eq!(batch.iter().len(), 5);
    for (i, message) in (0u32..).zip(&batch) {
        assert_eq!(message.data(), i.to_le_bytes());
        assert_eq!((message.type_id(), message.actual_size()), (i, 4));
    }
    assert_eq!(batch.get(4).unwrap().type_id(), 4);
    assert!(batch.get(5).is_none());
    batch.commit().unwrap();
    assert!(rx.try_drain_batch(64).unwrap().is_none());
    assert_eq!(rx.stats().messages, 5);
}

#[test]
fn a_batch_takes_at_most_what_is_asked_for() {
    let (tx, rx) = pair(1 << 16);
    for i in 0..5 {
        tx.send(b"", i).unwrap();
    }
    let first: Vec<u32> = rx
        .drain_batch(2, 100)
        .unwrap()
        .iter()
        .map(|m| m.type_id())
        .collect();
    let rest = rx.try_drain_batch(usize::MAX).unwrap().unwrap();
    assert_eq!(first, [0, 1]);
    assert_eq!(
        rest.iter().map(|m| m.type_id()).collect::<Vec<_>>(),
        [2, 3, 4]
    );
}

#[test]
fn a_full_ring_fits_one_batch() {
    let (tx, rx) = pair(4096);
    let sent = (0..).take_while(|&i| tx.send(b"", i).is_ok()).count();
    assert_eq!(rx.drain_batch(usize::MAX, 0).unwrap().len(), sent);
}

#[test]
fn what_is_not_released_comes_again() {
    let (tx, rx) = pair(1 << 16);
    for i in 0..5 {
        tx.send(&[i as u8; 100], i).unwrap();
    }
    rx.drain_batch(5, 100).unwrap().commit_first(2).unwrap();
    let batch = rx.drain_batch(5, 100).unwrap();
    assert_eq!(batch.get(0).unwrap().data(), [2; 100]);
    batch.commit_first(0).unwrap();
    assert_eq!(rx.acquire_rx(100).unwrap().type_id, 2);
    let batch = rx.drain_batch(5, 100).unwrap();
    assert_eq!(batch.len(), 2);
    let error = batch.commit_first(3).unwrap_err();
    assert_eq!(error, TachyonError::InvalidSize);
    assert_eq!(
        error.to_string(),
        "3 messages to release, but the batch has 2"
    );
    assert!(rx.try_acquire_rx().unwrap().is_none());
}

#[test]
fn an_empty_batch_is_refused() {
    let (_tx, rx) = pair(1 << 16);
    let error = rx.drain_batch(0, 100).unwrap_err();
    assert_eq!(error, TachyonError::InvalidSize);
    assert_eq!(error.to_string(), "max_msgs is 0");
}

#[test]
fn batches_of_any_size_lose_nothing_across_the_end_of_the_ring() {
    const COUNT: usize = 20_000;
    let (tx, rx) = pair(4096);
    let consumer = thread::spawn(move || {
        let (mut messages, mut sizes) = (Random(3), Random(4));
        let mut count = 0;
        loop {
            let batch = match rx.drain_batch_timeout(1 + sizes.below(40), 100, LONG) {
                Ok(batch) => batch,
                Err(error) => break (count, error),
            };
            // Releases a part, so that a batch may begin anywhere.
            let part = 1 + sizes.below(batch.len());
            for message in batch.iter().take(part) {
                let (bytes, type_id) = messages.message(500);
                assert_eq!((message.data(), message.type_id()), (&bytes[..], type_id));
            }
            count += part;
            batch.commit_first(part).unwrap();
        }
    });
    let mut messages = Random(3);
    for _ in 0..COUNT {
        let (bytes, type_id) = messages.message(500);
        tx.send_timeout(&bytes, type_id, LONG).unwrap();
    }
    drop(tx);
    assert_eq!(consumer.join().unwrap(), (COUNT, TachyonError::Closed));
}

#[test]
fn a_waiting_drain_gets_what_comes_later() {
    let (tx, rx) = pair(1 << 16);
    let consumer = thread::spawn(move || rx.drain_batch(8, 10).map(|batch| batch.len()));
    thread::sleep(Duration::from_millis(20));
    tx.send(b"late", 1).unwrap();
    assert_eq!(consumer.join().unwrap(), Ok(1));
}
