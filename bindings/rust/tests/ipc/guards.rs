// SPDX-License-Identifier: Apache-2.0
//! No two live guards share a slot, whatever safe code does.

use std::mem;
use std::panic::{catch_unwind, AssertUnwindSafe};

use crate::support::{pair, rpc_pair};
use tachyon_ipc::{Bus, Consumer, Producer, TachyonError};

const CAPACITY: usize = 1 << 16;

#[test]
fn fault_14_a_second_slot_is_busy_while_the_first_is_alive() {
    let (tx, rx) = pair(CAPACITY);
    let first = tx.acquire_tx(8).unwrap();
    let error = tx.acquire_tx(8).unwrap_err();
    assert_eq!(error, TachyonError::Busy);
    assert_eq!(
        error.to_string(),
        "a TxGuard of this handle is alive: commit or drop it first"
    );
    assert_eq!(tx.send(b"beside", 1), Err(TachyonError::Busy));
    first.write(b"untouched"[..8].as_ref());
    first.commit(8, 1).unwrap();
    tx.acquire_tx(8).unwrap().commit(0, 2).unwrap();
    assert_eq!(rx.acquire_rx(100).unwrap().data(), b"untouche");
}

#[test]
fn fault_14_a_second_message_is_busy_while_the_first_is_held() {
    let (tx, rx) = pair(CAPACITY);
    tx.send(b"one", 1).unwrap();
    tx.send(b"two", 2).unwrap();
    let first = rx.acquire_rx(100).unwrap();
    let error = rx.acquire_rx(100).unwrap_err();
    assert_eq!(error, TachyonError::Busy);
    assert_eq!(
        error.to_string(),
        "a received message of this handle is alive: commit or drop it first"
    );
    assert_eq!(rx.try_acquire_rx().unwrap_err(), TachyonError::Busy);
    assert_eq!(rx.drain_batch(2, 100).unwrap_err(), TachyonError::Busy);
    assert_eq!(first.data(), b"one");
    drop(first);
    let batch = rx.drain_batch(2, 100).unwrap();
    assert_eq!(rx.acquire_rx(100).unwrap_err(), TachyonError::Busy);
    assert_eq!(batch.get(0).unwrap().data(), b"two");
    batch.commit().unwrap();
    assert!(rx.try_acquire_rx().unwrap().is_none());
}

#[test]
fn dropping_a_slot_sends_nothing() {
    let (tx, rx) = pair(4096);
    for i in 0..1000 {
        tx.acquire_tx(i % tx.max_payload()).unwrap().write(b"");
    }
    tx.flush();
    assert!(rx.try_acquire_rx().unwrap().is_none());
    tx.send(b"real", 1).unwrap();
    assert_eq!(rx.acquire_rx(100).unwrap().data(), b"real");
    assert!(rx.try_acquire_rx().unwrap().is_none());
}

#[test]
fn dropping_a_message_releases_it() {
    let (tx, rx) = pair(4096);
    for i in 0..1000 {
        tx.send(&[i as u8; 1500], i).unwrap(); // two fit
        assert_eq!(rx.acquire_rx(100).unwrap().type_id, i);
    }
}

#[test]
fn a_commit_beyond_the_slot_fails_and_gives_it_back() {
    let (tx, rx) = pair(CAPACITY);
    let error = tx.acquire_tx(8).unwrap().commit(9, 1).unwrap_err();
    assert_eq!(error, TachyonError::InvalidSize);
    assert_eq!(
        error.to_string(),
        "the message has 9 bytes, but only 8 are reserved"
    );
    tx.send(b"next", 2).unwrap();
    assert_eq!(rx.acquire_rx(100).unwrap().type_id, 2);
}

#[test]
fn a_write_beyond_the_slot_panics_and_gives_it_back() {
    let (tx, rx) = pair(CAPACITY);
    let panic = catch_unwind(AssertUnwindSafe(|| {
        tx.acquire_tx(8).unwrap().write(&[0; 9])
    }));
    let text = *panic.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(text, "9 bytes do not fit the 8 that are reserved");
    tx.send(b"next", 2).unwrap();
    assert_eq!(rx.acquire_rx(100).unwrap().type_id, 2);
}

#[test]
fn writing_to_the_public_fields_changes_nothing() {
    let (tx, rx) = pair(CAPACITY);
    tx.send(b"four", 1).unwrap();
    tx.send(b"five", 2).unwrap();
    let mut message = rx.acquire_rx(100).unwrap();
    message.actual_size = usize::MAX;
    assert_eq!(message.data(), b"four");
    drop(message);
    let mut batch = rx.drain_batch(8, 100).unwrap();
    batch.count = usize::MAX;
    assert_eq!((batch.len(), batch.iter().count()), (1, 1));
    assert!(batch.get(1).is_none());
    batch.commit().unwrap();

    let (callee, caller) = rpc_pair(CAPACITY);
    caller.call(b"four", 1).unwrap();
    let mut request = callee.serve(100).unwrap();
    request.actual_size = usize::MAX;
    request.correlation_id = 77;
    assert_eq!(request.data(), b"four");
    request.commit().unwrap();
    callee.reply(1, b"", 1).unwrap();
}

#[test]
fn a_forgotten_slot_stays_busy_on_a_bus_and_is_free_again_on_a_producer() {
    let (tx, rx) = pair(CAPACITY);
    let forgotten: &mut [u8] = tx
        .acquire_tx(64)
        .map(Box::new)
        .map(Box::leak)
        .unwrap()
        .as_mut();
    forgotten.fill(7); // alive: it borrows the bus
    assert_eq!(tx.acquire_tx(64).unwrap_err(), TachyonError::Busy);
    assert_eq!(tx.send(b"", 1), Err(TachyonError::Busy));

    let mut producer = tx.into_producer();
    for i in 0..3 {
        mem::forget(producer.acquire_tx(64).unwrap());
        producer.send(b"sent", i).unwrap();
        mem::forget(producer.acquire_tx(64).unwrap());
    }
    let tx = Bus::from(producer);
    tx.send(b"sent", 3).unwrap();
    drop(tx);
    let types: Vec<u32> = rx.iter().map(|message| message.unwrap().type_id).collect();
    assert_eq!(types, [0, 1, 2, 3]);
}

#[test]
fn a_forgotten_message_stays_busy_on_a_bus_and_comes_again_on_a_consumer() {
    let (tx, rx) = pair(CAPACITY);
    for i in 0..3 {
        tx.send(b"", i).unwrap();
    }
    mem::forget(rx.acquire_rx(100).unwrap());
    assert_eq!(rx.acquire_rx(100).unwrap_err(), TachyonError::Busy);
    assert_eq!(rx.drain_batch(3, 100).unwrap_err(), TachyonError::Busy);

    let mut consumer = rx.into_consumer();
    mem::forget(consumer.acquire_rx(100).unwrap());
    mem::forget(consumer.drain_batch(3, 100).unwrap());
    assert_eq!(consumer.acquire_rx(100).unwrap().type_id, 0);
    mem::forget(consumer.drain_batch(3, 100).unwrap());
    let rx = Bus::from(consumer);
    assert_eq!(rx.drain_batch(3, 100).unwrap().get(0).unwrap().type_id(), 1);
}

#[test]
fn the_halves_give_their_bus_back() {
    let (tx, rx) = pair(CAPACITY);
    let (producer, consumer) = (Producer::from(tx), Consumer::from(rx));
    assert_eq!(producer.bus().max_payload(), CAPACITY - 128);
    let (tx, rx): (Bus, Bus) = (producer.into(), consumer.into());
    tx.send(b"still", 1).unwrap();
    assert_eq!(rx.acquire_rx(100).unwrap().data(), b"still");
}
