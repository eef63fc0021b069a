// SPDX-License-Identifier: Apache-2.0
//! That a second guard does not compile is in the documentation of the two types.

use std::thread;
use std::time::Duration;

use crate::support::{path, LONG};
use tachyon_ipc::{Consumer, Producer, TachyonError};

#[test]
fn a_producer_and_a_consumer_may_listen_or_connect() {
    for producer_listens in [true, false] {
        let path = path();
        let peer = path.clone();
        let producer = thread::spawn(move || {
            let mut producer = if producer_listens {
                Producer::listen(&peer, 4096).unwrap()
            } else {
                Producer::connect_timeout(&peer, LONG).unwrap()
            };
            for i in 0..1000u32 {
                let guard = producer.acquire_tx_timeout(4, LONG).unwrap();
                guard.write(&i.to_le_bytes());
                guard.commit_unflushed(4, i).unwrap();
            }
            producer.flush();
            producer.send_timeout(b"end", 1000, LONG).unwrap();
        });
        let mut consumer = if producer_listens {
            Consumer::connect_timeout(&path, LONG).unwrap()
        } else {
            Consumer::listen(&path, 4096).unwrap()
        };
        let mut count = 0;
        while let Some(message) = consumer.recv().unwrap() {
            assert_eq!(message.type_id, count);
            count += 1;
        }
        assert_eq!(count, 1001);
        assert_eq!(consumer.recv().map(|end| end.is_none()), Ok(true));
        assert_eq!(consumer.acquire_rx(0).unwrap_err(), TachyonError::Closed);
        producer.join().unwrap();
    }
}

#[test]
fn every_way_to_receive_is_there() {
    let path = path();
    let peer = path.clone();
    let producer = thread::spawn(move || {
        let mut producer = Producer::listen(&peer, 4096).unwrap();
        for i in 0..6 {
            producer.send(b"", i).unwrap();
        }
        producer
    });
    let mut consumer = Consumer::connect_timeout(&path, LONG).unwrap();
    let producer = producer.join().unwrap();
    assert_eq!(consumer.acquire_rx(0).unwrap().type_id, 0);
    assert_eq!(consumer.try_acquire_rx().unwrap().unwrap().type_id, 1);
    assert_eq!(consumer.acquire_rx_timeout(0, LONG).unwrap().type_id, 2);
    assert_eq!(consumer.drain_batch(1, 0).unwrap().len(), 1);
    assert_eq!(consumer.try_drain_batch(1).unwrap().unwrap().len(), 1);
    assert_eq!(consumer.drain_batch_timeout(9, 0, LONG).unwrap().len(), 1);
    assert!(consumer.try_acquire_rx().unwrap().is_none());
    assert!(consumer.try_drain_batch(9).unwrap().is_none());
    let short = Duration::from_millis(5);
    let error = consumer.acquire_rx_timeout(0, short).unwrap_err();
    assert_eq!(error, TachyonError::Timeout);
    assert_eq!(producer.bus().stats().messages, 6);
}

#[test]
fn two_producers_are_refused_when_they_meet() {
    let path = path();
    let peer = path.clone();
    let listener = thread::spawn(move || Producer::listen(&peer, 4096).map(|_| ()));
    let error = Producer::connect_timeout(&path, LONG).unwrap_err();
    assert_eq!(error, TachyonError::Busy);
    let cause = "both ends declared the role of producer";
    assert_eq!(error.to_string(), format!("{cause} ({path})"));
    Consumer::connect(&path).unwrap(); // the listener goes on
    assert_eq!(listener.join().unwrap(), Ok(()));
}
