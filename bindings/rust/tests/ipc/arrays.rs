// SPDX-License-Identifier: Apache-2.0
use std::thread;
use std::time::Duration;

use crate::support::{pair, path, LONG};
use tachyon_ipc::{Consumer, Producer, TachyonError};

fn numbers(range: std::ops::Range<u64>) -> Vec<u8> {
    range.flat_map(u64::to_le_bytes).collect()
}

#[test]
fn an_array_arrives_as_messages_and_as_an_array() {
    let (tx, rx) = pair(1 << 16);
    let items = numbers(0..100);
    assert_eq!(tx.send_batch(&items, 8, 7), Ok(100));
    for i in 0..10u64 {
        let message = rx.acquire_rx(100).unwrap();
        assert_eq!((message.data(), message.type_id), (&i.to_le_bytes()[..], 7));
    }
    let mut received = vec![0; 8 * 200];
    let batch = rx.recv_batch_into(&mut received, 8, 100).unwrap();
    assert_eq!((batch.count, batch.type_id), (90, 7));
    assert_eq!(received[..720], items[80..]);
    assert!(received[720..].iter().all(|&byte| byte == 0));
    assert_eq!(rx.try_recv_batch_into(&mut received, 8), Ok(None));
    assert_eq!(rx.stats().messages, 100);
}

#[test]
fn another_size_or_type_ends_a_batch_and_is_not_lost() {
    let (tx, rx) = pair(1 << 16);
    let mut items = [0; 64];
    tx.send_batch(&numbers(0..3), 8, 1).unwrap();
    tx.send_batch(&numbers(3..5), 8, 2).unwrap();
    tx.send(b"other", 2).unwrap();
    tx.send_batch(&numbers(5..6), 8, 2).unwrap();
    let batch = rx.try_recv_batch_into(&mut items, 8).unwrap().unwrap();
    assert_eq!((batch.count, batch.type_id), (3, 1));
    let batch = rx.recv_batch_into_timeout(&mut items, 8, 0, LONG).unwrap();
    assert_eq!((batch.count, batch.type_id), (2, 2));
    assert_eq!(items[..16], numbers(3..5));
    let error = rx.recv_batch_into(&mut items, 8, 0).unwrap_err();
    assert_eq!(error, TachyonError::InvalidSize);
    assert_eq!(
        error.to_string(),
        "the next message has 5 bytes, the items of the array have 8"
    );
    assert_eq!(rx.acquire_rx(0).unwrap().data(), b"other");
    assert_eq!(rx.recv_batch_into(&mut items, 8, 0).unwrap().count, 1);
}

#[test]
fn a_full_ring_takes_a_part() {
    let (tx, rx) = pair(4096);
    let items = numbers(0..200);
    let sent = tx.send_batch(&items, 8, 1).unwrap();
    assert!(0 < sent && sent < 64, "{sent}");
    assert_eq!(tx.send_batch(&items, 8, 1), Err(TachyonError::BufferFull));
    let short = Duration::from_millis(20);
    let error = tx.send_batch_timeout(&items, 8, 1, short).unwrap_err();
    assert_eq!(error, TachyonError::Timeout);
    let mut received = vec![0; 1600];
    let batch = rx.recv_batch_into(&mut received, 8, 0).unwrap();
    assert_eq!(batch.count, sent);
    // What was sent before a time-out counts.
    let rest = &items[8 * sent..];
    let more = tx.send_batch_timeout(rest, 8, 1, short).unwrap();
    assert!(0 < more && more < 200 - sent, "{more}");
    let batch = rx.recv_batch_into(&mut received, 8, 0).unwrap();
    assert_eq!(received[..8 * batch.count], rest[..8 * more]);
}

#[test]
fn arrays_larger_than_the_ring_pass_in_order() {
    const COUNT: u64 = 100_000;
    let path = path();
    let peer = path.clone();
    let producer = thread::spawn(move || {
        let mut producer = Producer::connect_timeout(&peer, LONG).unwrap();
        let items = numbers(0..COUNT);
        producer.send_batch_timeout(&items, 8, 1, LONG)
    });
    let mut consumer = Consumer::listen(&path, 1 << 14).unwrap();
    let mut items = [0; 8 * 1000];
    let mut count = 0;
    let end = loop {
        match consumer.recv_batch_into(&mut items, 8, 100) {
            Ok(batch) => {
                let next = count + batch.count as u64;
                assert_eq!(items[..8 * batch.count], numbers(count..next));
                count = next;
            }
            Err(error) => break error,
        }
    };
    assert_eq!((count, end), (COUNT, TachyonError::Closed));
    assert_eq!(producer.join().unwrap(), Ok(COUNT as usize));
}

#[test]
fn a_peer_that_closes_ends_a_waiting_array() {
    let (tx, rx) = pair(4096);
    let sender = thread::spawn(move || tx.send_batch_timeout(&numbers(0..1000), 8, 1, LONG));
    assert_eq!(rx.acquire_rx(100).unwrap().type_id, 1); // it has begun
    thread::sleep(Duration::from_millis(20));
    drop(rx);
    let sent = sender.join().unwrap().unwrap();
    assert!(0 < sent && sent < 1000, "{sent}");
}

#[test]
fn what_is_no_array_is_refused() {
    let (tx, rx) = pair(4096);
    let mut items = [0; 10];
    for (size, text) in [
        (0, "10 bytes are no array of items of 0 bytes"),
        (3, "10 bytes are no array of items of 3 bytes"),
    ] {
        let error = tx.send_batch(&items, size, 1).unwrap_err();
        assert_eq!(error, TachyonError::InvalidSize);
        assert_eq!(error.to_string(), text);
        let error = rx.recv_batch_into(&mut items, size, 0).unwrap_err();
        assert_eq!(error.to_string(), text);
    }
    assert_eq!(tx.send_batch(&[], 8, 1), Ok(0));
    let error = rx.recv_batch_into(&mut [], 8, 0).unwrap_err();
    assert_eq!(error.to_string(), "max_count is 0");
    let error = tx.send_batch(&[0; 5000], 5000, 1).unwrap_err();
    assert_eq!(error, TachyonError::InvalidSize);
    let guard = tx.acquire_tx(8).unwrap();
    assert_eq!(tx.send_batch(b"x", 1, 1), Err(TachyonError::Busy));
    drop(guard);
    tx.send(b"x", 1).unwrap();
    let _guard = rx.acquire_rx(0).unwrap();
    let error = rx.recv_batch_into(&mut items, 1, 0).unwrap_err();
    assert_eq!(error, TachyonError::Busy);
}

#[test]
fn a_batch_of_one_size_is_an_array_wherever_it_lies() {
    let (tx, rx) = pair(4096);
    for size in [1, 32, 33, 100, 64] {
        for round in 0..100u8 {
            let items: Vec<u8> = (0..5 * size).map(|i| i as u8 ^ round).collect();
            assert_eq!(tx.send_batch(&items, size, 1), Ok(5));
            let batch = rx.drain_batch(64, 0).unwrap();
            let array = batch.strided().unwrap();
            assert_eq!((array.len(), array.item_size()), (5, size));
            assert!(array.stride() % 64 == 0 && !array.is_empty());
            assert!(array.iter().eq(items.chunks(size)));
            assert_eq!(array.get(4), Some(&items[4 * size..]));
            assert_eq!(array.get(5), None);
            assert_eq!(array.as_ptr(), batch.get(0).unwrap().data().as_ptr());
        }
    }
}

#[test]
fn a_batch_of_several_sizes_is_no_array() {
    let (tx, rx) = pair(4096);
    tx.send(b"one", 1).unwrap();
    tx.send(b"three", 1).unwrap();
    assert!(rx.drain_batch(64, 0).unwrap().strided().is_none());
}

#[cfg(feature = "bytemuck")]
mod typed {
    use super::*;

    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    #[repr(C)]
    struct Tick {
        sequence: u64,
        price: f64,
    }
    // SAFETY: numbers without gaps, for which all bits are values.
    unsafe impl bytemuck::Zeroable for Tick {}
    // SAFETY: as above.
    unsafe impl bytemuck::Pod for Tick {}

    fn ticks(count: u64) -> Vec<Tick> {
        (0..count)
            .map(|sequence| Tick {
                sequence,
                price: sequence as f64 / 4.0,
            })
            .collect()
    }

    #[test]
    fn values_pass_by_copy_and_in_place() {
        let (tx, rx) = pair(1 << 16);
        let (mut tx, mut rx) = (tx.into_producer(), rx.into_consumer());
        let sent = ticks(50);
        let mut received = vec![Tick::default(); 50];
        assert_eq!(rx.try_recv_items_into(&mut received), Ok(None));
        assert_eq!(tx.send_items(&sent, 7), Ok(50));
        let batch = rx.recv_items_into(&mut received[..20], 0).unwrap();
        assert_eq!((batch.count, batch.type_id), (20, 7));
        let batch = rx
            .recv_items_into_timeout(&mut received[20..], 0, LONG)
            .unwrap();
        assert_eq!(batch.count, 30);
        assert_eq!(received, sent);

        assert_eq!(tx.send_items_timeout(&sent, 7, LONG), Ok(50));
        let batch = rx.drain_batch(64, 0).unwrap();
        let items = batch.strided().unwrap().items::<Tick>().unwrap();
        assert!(items.iter().eq(&sent));
        assert_eq!((items.len(), items.is_empty()), (50, false));
        assert_eq!(items.get(49), Some(&sent[49]));
        assert_eq!(items.get(50), None);
        let total: f64 = items.iter().map(|tick| tick.price).sum();
        assert_eq!(total, sent.iter().map(|tick| tick.price).sum::<f64>());
    }

    #[test]
    fn a_type_of_another_size_or_alignment_is_no_view() {
        #[derive(Clone, Copy)]
        #[repr(C, align(64))]
        struct Wide([u8; 64]);
        // SAFETY: bytes, for which all bits are values.
        unsafe impl bytemuck::Zeroable for Wide {}
        // SAFETY: as above.
        unsafe impl bytemuck::AnyBitPattern for Wide {}

        let (tx, rx) = pair(1 << 16);
        tx.send_items(&ticks(3), 1).unwrap();
        let batch = rx.drain_batch(3, 0).unwrap();
        let array = batch.strided().unwrap();
        assert!(array.items::<Tick>().is_some());
        assert!(array.items::<[u32; 4]>().is_some());
        assert!(array.items::<u64>().is_none());
        drop(batch);
        tx.send_batch(&[7; 128], 64, 1).unwrap();
        let batch = rx.drain_batch(3, 0).unwrap();
        let wide = batch.strided().unwrap().items::<Wide>().unwrap();
        assert_eq!(wide.get(1).unwrap().0, [7; 64]);
    }

    #[test]
    fn a_type_without_bytes_is_refused() {
        let (tx, rx) = pair(4096);
        let error = tx.send_items(&[(); 3], 1).unwrap_err();
        assert_eq!(error, TachyonError::InvalidSize);
        let error = rx.recv_items_into(&mut [(); 3], 0).unwrap_err();
        assert_eq!(error, TachyonError::InvalidSize);
    }
}
